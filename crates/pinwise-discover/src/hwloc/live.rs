//! This machine, as libhwloc sees it.

use hwlocality::Topology;
use hwlocality::topology::builder::{BuildFlags, TypeFilter};
use hwlocality::topology::export::xml::XMLExportFlags;

use super::lstopo::read_lstopo;
use super::problem::LstopoError;
use crate::reading::Reading;
use pinwise::shown::plain;

/// Why libhwloc's view of this machine was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HwlocError {
    /// libhwloc failed to read or to export the topology.
    #[error("libhwloc: {problem}")]
    Library {
        /// The message of libhwloc.
        problem: String,
    },
    /// The exported topology is not a host.
    #[error("the topology of this machine: {problem}")]
    Topology {
        /// The problem.
        #[source]
        problem: LstopoError,
    },
}

/// Reads the running machine through libhwloc: it exports XML with all PCI functions and bridges,
/// and [`read_lstopo`] reads that. libhwloc obeys `HWLOC_XMLFILE` and similar variables.
///
/// pCPUs and nodes that a cgroup forbids to this process are included, as not allowed. hwloc counts
/// the pages of each node but not the free ones, so all are assumed free, with a note.
///
/// # Errors
/// [`HwlocError`] if libhwloc fails, or [`read_lstopo`] refuses the exported XML.
pub fn read_live() -> Result<Reading, HwlocError> {
    let xml = export().map_err(|problem| HwlocError::Library { problem: plain(&problem) })?;
    let mut reading = read_lstopo(&xml).map_err(|problem| HwlocError::Topology { problem })?;
    reading.host.about = "read from hwloc".to_owned();
    reading.host.sources.clear();
    reading.host.mark_source("hwloc");
    Ok(reading)
}

fn export() -> Result<String, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let topology = Topology::builder()
        .with_flags(BuildFlags::INCLUDE_DISALLOWED)
        .map_err(|error| said(&error))?
        .with_io_type_filter(TypeFilter::KeepAll)
        .map_err(|error| said(&error))?
        .build()
        .map_err(|error| said(&error))?;
    let xml = topology.export_xml(XMLExportFlags::empty()).map_err(|error| said(&error))?;
    // Names may have bytes that are not UTF-8, so this cannot be a `str`.
    Ok(String::from_utf8_lossy(xml.as_raw().to_bytes()).into_owned())
}
