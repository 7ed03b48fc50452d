//! The meaning of a path, and this machine as a source, through the features that are built in.

use std::path::Path;

use super::error::FilesError;
use crate::assembly::Assembly;
use crate::reading::Reading;
use crate::sysfs;
use crate::tenants::Tenants;
use pinwise::host::Host;

/// A source of a host or of tenants, as a command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source<'a> {
    /// `live`: this machine. As a host it is sysfs, with NVML if that is built in and available; as
    /// tenants it is the running domains of its libvirt.
    Machine,
    /// `hwloc`: this machine through libhwloc.
    Hwloc,
    /// `libvirt` or `libvirt:URI`: a running libvirt; without a URI, this machine's.
    Libvirt(Option<&'a str>),
    /// A file or a folder.
    Path(&'a Path),
}

impl<'a> Source<'a> {
    /// The source with this name. A file named `hwloc` is given as `./hwloc`.
    #[must_use]
    pub fn named(path: &'a Path) -> Self {
        match path.to_str() {
            Some("live") => Self::Machine,
            Some("hwloc") => Self::Hwloc,
            Some("libvirt") => Self::Libvirt(None),
            Some(text) => match text.strip_prefix("libvirt:") {
                Some(uri) => Self::Libvirt(Some(uri)),
                None => Self::Path(path),
            },
            None => Self::Path(path),
        }
    }

    /// Adds the machine; does nothing for a path.
    pub(super) fn add_host(self, assembly: &mut Assembly) -> Result<(), FilesError> {
        let (name, reading) = match self {
            Self::Machine => {
                let mut reading = sysfs::read(Path::new("/"))?;
                add_nvml(assembly, &mut reading);
                ("live", reading)
            }
            Self::Hwloc => ("hwloc", hwloc()?),
            Self::Libvirt(uri) => ("libvirt", libvirt(uri)?),
            Self::Path(_) => return Ok(()),
        };
        Ok(assembly.add_reading(name, reading)?)
    }
}

/// Without NVIDIA's driver there is nothing to add. A note says so if facts may be missing: the
/// machine has NVIDIA GPUs, or none of its devices is known.
#[cfg(feature = "nvml")]
fn add_nvml(assembly: &mut Assembly, reading: &mut Reading) {
    use crate::facts::vendor::NVIDIA;
    use crate::nvml::NvmlNote;
    use pinwise::host::DeviceKind;
    let devices = reading.host.devices.iter();
    let gpus = devices.filter(|d| d.vendor == NVIDIA && d.kind() == DeviceKind::Gpu);
    let gpus: Vec<_> = gpus.map(|gpu| gpu.address).collect();
    match crate::nvml::read(&gpus) {
        Ok(facts) => assembly.add_facts(facts),
        Err(_) if gpus.is_empty() && !reading.host.devices.is_empty() => {}
        Err(problem) => reading.notes.push(NvmlNote::Absent { problem }.into()),
    }
}

#[cfg(not(feature = "nvml"))]
fn add_nvml(_: &mut Assembly, _: &mut Reading) {}

#[cfg(feature = "hwloc")]
fn hwloc() -> Result<Reading, FilesError> {
    Ok(crate::hwloc::read_live()?)
}

#[cfg(not(feature = "hwloc"))]
fn hwloc() -> Result<Reading, FilesError> {
    Err(FilesError::NotBuilt { feature: "hwloc" })
}

#[cfg(feature = "libvirt")]
fn connect(uri: Option<&str>) -> Result<crate::libvirt::Connection, FilesError> {
    use crate::libvirt::{Connection, SYSTEM};
    Ok(Connection::open(uri.unwrap_or(SYSTEM))?)
}

#[cfg(feature = "libvirt")]
fn libvirt(uri: Option<&str>) -> Result<Reading, FilesError> {
    Ok(connect(uri)?.host()?)
}

#[cfg(not(feature = "libvirt"))]
fn libvirt(_: Option<&str>) -> Result<Reading, FilesError> {
    Err(FilesError::NotBuilt { feature: "libvirt" })
}

/// Adds the running domains of a libvirt; returns its notes, one sentence each.
#[cfg(feature = "libvirt")]
pub(super) fn add_running(
    tenants: &mut Tenants,
    host: &Host,
    uri: Option<&str>,
) -> Result<Vec<String>, FilesError> {
    let (domains, notes) = connect(uri)?.domains(host, false)?;
    domains.into_iter().for_each(|domain| tenants.add_domain(domain));
    Ok(notes.iter().map(ToString::to_string).collect())
}

/// Adds the running domains of a libvirt; returns its notes, one sentence each.
#[cfg(not(feature = "libvirt"))]
pub(super) fn add_running(
    _: &mut Tenants,
    _: &Host,
    _: Option<&str>,
) -> Result<Vec<String>, FilesError> {
    Err(FilesError::NotBuilt { feature: "libvirt" })
}

/// The XML of a libvirt's domain.
#[cfg(feature = "libvirt")]
pub(super) fn domain_xml(uri: Option<&str>, name: &str) -> Result<String, FilesError> {
    Ok(connect(uri)?.domain_xml(name)?)
}

/// The XML of a libvirt's domain.
#[cfg(not(feature = "libvirt"))]
pub(super) fn domain_xml(_: Option<&str>, _: &str) -> Result<String, FilesError> {
    Err(FilesError::NotBuilt { feature: "libvirt" })
}

/// The names and XML of a libvirt's domains.
#[cfg(feature = "libvirt")]
pub(super) fn domain_xmls(uri: Option<&str>) -> Result<Vec<(String, String)>, FilesError> {
    Ok(connect(uri)?.domain_xmls()?)
}

/// The names and XML of a libvirt's domains.
#[cfg(not(feature = "libvirt"))]
pub(super) fn domain_xmls(_: Option<&str>) -> Result<Vec<(String, String)>, FilesError> {
    Err(FilesError::NotBuilt { feature: "libvirt" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_machines_and_all_else_is_a_path() {
        let named = |text: &'static str| Source::named(Path::new(text));
        assert_eq!(named("live"), Source::Machine);
        assert_eq!(named("hwloc"), Source::Hwloc);
        assert_eq!(named("libvirt"), Source::Libvirt(None));
        assert_eq!(named("libvirt:test:///default"), Source::Libvirt(Some("test:///default")));
        for path in ["./hwloc", "live.json", "libvirt.xml", ""] {
            assert_eq!(named(path), Source::Path(Path::new(path)));
        }
    }
}
