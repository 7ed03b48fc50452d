//! A host from XML of lstopo.

use super::element::LstopoElement;
use super::problem::{LstopoError, MAX_LSTOPO, MAX_SHOWN};
use super::walk::Found;
use super::{cpu, node, pci};
use crate::document::{self, Bounds, DocumentError};
use crate::notes::Notes;
use crate::reading::Reading;
use pinwise::host::{CpuVendor, HostSpec};
use pinwise::shown::{is_word, plain, shorten};

/// Limits on a document. The largest machines have some hundred thousand elements. lstopo declares
/// a document type, so it is allowed; entities are refused.
const BOUNDS: Bounds = Bounds { bytes: MAX_LSTOPO, nodes: 4 << 20, document_type: true };

/// Reads the XML that `lstopo machine.xml` writes.
///
/// # Errors
/// [`LstopoError`] if the text is longer than [`MAX_LSTOPO`], is not XML, is not a topology of
/// hwloc 1, 2 or 3, or shows no pCPUs or more objects than a host can have; or if an index, a mask
/// of pCPUs or a PCI id is missing, malformed or repeated.
pub fn read_lstopo(xml: &str) -> Result<Reading, LstopoError> {
    if let Some(at) = xml.find("<!ENTITY") {
        return Err(LstopoError::Entities { at });
    }
    let document = document::parse(xml, &BOUNDS).map_err(|refused| match refused {
        DocumentError::TooLong => LstopoError::TooLong { bytes: xml.len(), limit: MAX_LSTOPO },
        DocumentError::Unread(problem) => LstopoError::Xml { problem },
    })?;
    topology(LstopoElement(document.root_element()))
}

fn topology(root: LstopoElement<'_>) -> Result<Reading, LstopoError> {
    let name = root.0.tag_name().name();
    if name != "topology" {
        return Err(LstopoError::NotTopology { root: shorten(name, MAX_SHOWN) });
    }
    // hwloc 1 writes no version.
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
    Ok(Reading { host, notes: notes.finish() })
}

/// The CPU's vendor and model, from the first object that has them; hwloc 1 writes only the model.
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
