//! The host that hwloc's lstopo wrote to an XML file, of hwloc 1, 2 or 3.
//!
//! The file may come from anywhere, so it is bounded, and nothing here panics on what it says. It is
//! read without libhwloc, which refuses files of newer versions and crashes on broken ones.
//!
//! lstopo tells less than sysfs: pages in all but not how many are free; only PCI functions of interest
//! and the bridges above them that branch, without IOMMU groups, drivers and BARs; of a PCIe link the
//! product of speed and width, from which neither follows; and no pCPUs or nodes that a cgroup forbade
//! to whoever wrote the file, unless it was told to write all.

mod cpu;
mod distances;
mod element;
#[cfg(feature = "hwloc")]
mod live;
mod node;
mod pci;
mod walk;

#[cfg(feature = "hwloc")]
pub use live::{HwlocError, read_live};

use super::notes::Notes;
use super::reading::Reading;
use super::shown::{is_word, plain, shorten};
use crate::document::{self, Bounds, Refused};
use element::Element;
pub(super) use element::parse_mask;
use pinwise::host::CpuVendor;
use pinwise::host::HostSpec;
use walk::Found;

/// The longest text that is read.
pub const MAX_LSTOPO: usize = 64 << 20;
/// The largest machines have some hundred thousand elements. lstopo names a document type, but has
/// none inside.
const BOUNDS: Bounds = Bounds { bytes: MAX_LSTOPO, nodes: 4 << 20, document_type: true };
/// The longest part of a foreign text that a message shows.
const MAX_SHOWN: usize = 60;

/// Why a text is not a topology.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LstopoError {
    /// More text than the largest machine needs.
    #[error("the text has {found} bytes, the limit is {MAX_LSTOPO}")]
    TooLarge {
        /// How many.
        found: usize,
    },
    /// Text that is not XML, with the place.
    #[error("not well-formed XML: {problem}")]
    Xml {
        /// What the parser says.
        problem: String,
    },
    /// Entities of its own, which no lstopo writes and which can blow a text up.
    #[error("the text declares entities at byte {at}, which no lstopo does")]
    Entities {
        /// Where in the text.
        at: usize,
    },
    /// XML of another kind.
    #[error("the root element is <{root}>, not <topology>")]
    NotTopology {
        /// The root element.
        root: String,
    },
    /// A value that cannot be what the attribute holds.
    #[error("{line}:{column}: {attribute} {value:?} of {element} is not {expected}")]
    Value {
        /// The line, from 1.
        line: u32,
        /// The column of the element, from 1.
        column: u32,
        /// The type of the object, or the element.
        element: String,
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// An object without what identifies it.
    #[error("{line}:{column}: {element} has no {attribute}")]
    Missing {
        /// The line, from 1.
        line: u32,
        /// The column, from 1.
        column: u32,
        /// The type of the object, or the element.
        element: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// Two objects with the same id.
    #[error("{line}:{column}: {element} {id} occurs twice")]
    Duplicate {
        /// The line of the second, from 1.
        line: u32,
        /// Its column, from 1.
        column: u32,
        /// The type of the object.
        element: String,
        /// The id.
        id: String,
    },
    /// More objects than a host can have.
    #[error("{line}:{column}: {element} is beyond the limit of {limit}")]
    TooMany {
        /// The line of the first one too many, from 1.
        line: u32,
        /// Its column, from 1.
        column: u32,
        /// The type of the object, or the element.
        element: String,
        /// The most.
        limit: usize,
    },
    /// No pCPU that is on.
    #[error("the topology shows no pCPUs")]
    NoPcpus,
}

/// Reads the XML that `lstopo machine.xml` writes.
///
/// # Errors
/// [`LstopoError`] if the text is longer than [`MAX_LSTOPO`], not XML, not a topology of hwloc 1, 2 or
/// 3, shows no pCPUs or more of something than a host can have, or if an index, a mask of pCPUs or a PCI
/// id is missing, is none, or occurs twice.
pub fn read_lstopo(xml: &str) -> Result<Reading, LstopoError> {
    if let Some(at) = xml.find("<!ENTITY") {
        return Err(LstopoError::Entities { at });
    }
    let document = document::parse(xml, &BOUNDS).map_err(|refused| match refused {
        Refused::TooLong => LstopoError::TooLarge { found: xml.len() },
        Refused::Unread(problem) => LstopoError::Xml { problem },
    })?;
    topology(Element(document.root_element()))
}

fn topology(root: Element<'_>) -> Result<Reading, LstopoError> {
    let name = root.0.tag_name().name();
    if name != "topology" {
        return Err(LstopoError::NotTopology { root: shorten(name, MAX_SHOWN) });
    }
    // hwloc 1 wrote no version.
    let version = root.text("version").unwrap_or("1");
    if !matches!(version.split('.').next(), Some("1" | "2" | "3")) {
        return Err(root.bad("version", "that of a format of hwloc 1, 2 or 3"));
    }
    let mut notes = Notes::default();
    let found = Found::in_topology(root)?;
    let machine = found.machine.ok_or(LstopoError::NoPcpus)?;
    let cpus = cpu::finish(root, machine, &found, &mut notes)?;
    let nodes = node::finish(root, machine, &found, &cpus, &mut notes)?;
    let devices = pci::finish(&found, &nodes, &cpus.online, &mut notes);
    let (cpu_vendor, cpu_model) = model(&found);
    let info = |name| machine.info(name).or_else(|| root.info(name)).map(plain);
    let mut host = HostSpec {
        name: info("HostName").filter(|name| is_word(name)).unwrap_or_else(|| "host".to_owned()),
        about: match info("hwlocVersion").filter(|version| is_word(version)) {
            Some(version) => format!("read from XML of hwloc {version}"),
            None => "read from XML of hwloc".to_owned(),
        },
        cpu_vendor,
        cpu_model,
        nodes,
        cores: cpus.cores,
        l3_domains: cpus.l3_domains,
        offline: cpus.offline,
        allowed: cpus.allowed,
        devices,
        ..HostSpec::default()
    };
    host.mark_source("XML of lstopo");
    Ok(Reading { host, notes: notes.into_sentences() })
}

/// Of the first package that tells; hwloc 1 tells the model only.
fn model(found: &Found<'_>) -> (CpuVendor, String) {
    let objects = || found.machine.into_iter().chain(found.packages.iter().copied());
    let first = |name| objects().find_map(|object| object.info(name));
    let model = first("CPUModel").map(plain).unwrap_or_default();
    let vendor = match first("CPUVendor") {
        Some("GenuineIntel") => CpuVendor::Intel,
        Some("AuthenticAMD" | "HygonGenuine") => CpuVendor::Amd,
        None if model.contains("Intel(R)") => CpuVendor::Intel,
        None if model.contains("AMD") => CpuVendor::Amd,
        _ => CpuVendor::Other,
    };
    (vendor, model)
}
