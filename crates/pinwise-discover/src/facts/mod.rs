//! Facts from partial sources about a machine: links of GPUs, nodes of devices, distances of nodes.
//!
//! `nvidia-smi`, `rocm-smi`, NVML, NCCL and `numactl` each know something that sysfs, lstopo or
//! libvirt do not, but none of them describes a whole host (a table of `lscpu` describes one
//! without memory and devices). Their statements are [`Facts`]: plain
//! data, not yet trusted. [`read_facts`] reads texts that an operator can send. [`overlay`] lays
//! facts over a host's description: it adds missing parts, keeps the more specific value if both
//! have one, and reports every conflict.

#[cfg(all(feature = "serde", feature = "xml"))]
pub(crate) mod alone;
mod amd;
mod data;
mod function_line;
mod functions;
mod lines;
mod lookalike;
mod lscpu;
mod matrix;
mod meminfo;
#[cfg(feature = "xml")]
mod nccl;
mod nodeinfo;
pub(crate) mod note;
mod numactl;
mod nvidia;
pub(crate) mod overlay;
mod pci_tree;
pub(crate) mod peer;
mod problem;
mod reader;
mod rocm;
mod whole;

pub use data::{
    Facts, FunctionFacts, GpuFacts, GpuName, LinkFacts, MemoryFacts, NicName, NodeFacts,
    PartitionFacts, PathEnd, PathFacts, PcpuFacts, PeerFacts, vendor,
};
pub use lscpu::read_lscpu;
pub use note::FactsNote;
pub use overlay::{OverlayNote, Report, SourceConflict, overlay};
pub use peer::{PeerAccess, PeerStatus};
pub use problem::{FactsError, MAX_FACTS};
pub use reader::Reader;
pub use whole::overlay_host;

use crate::pasted;
use lines::Lines;
use reader::FactsText;

/// The readers of facts, in the order in which they examine a text. [`read_facts`] tries each of
/// them, and the error about an unknown text names them all.
pub const READERS: &[Reader] = &[
    nvidia::READER,
    rocm::READER,
    numactl::READER,
    amd::READER,
    meminfo::READER,
    nodeinfo::READER,
    lscpu::READER,
    functions::GROUPS,
    functions::LSPCI,
    pci_tree::READER,
    #[cfg(feature = "xml")]
    nccl::READER,
];

/// Reads a text that one of the [`READERS`] recognises. One text may hold the output of several
/// commands, as a log does, and gives the facts of each. XML is always one document, and needs the
/// feature `xml`.
///
/// # Errors
/// [`FactsError`] if the text is empty or too long, no reader recognises any of it, or it is
/// invalid: a value that is not allowed in its place, a row that is too short, a repetition, or a
/// pair of GPUs that is linked in one direction only.
pub fn read_facts(text: &str) -> Result<Vec<Facts>, FactsError> {
    if text.len() > MAX_FACTS {
        return Err(FactsError::TooLong { bytes: text.len(), limit: MAX_FACTS });
    }
    let text = &*pasted::clean(text);
    if text.trim().is_empty() {
        return Err(FactsError::Empty);
    }
    let is_xml = text.trim_start().starts_with('<');
    if is_xml && cfg!(not(feature = "xml")) {
        return Err(FactsError::NoXml);
    }
    if let Some(of) = pasted::root_element(text).and_then(lookalike::of_root) {
        return Err(FactsError::Unsuitable { of });
    }
    let lines = Lines::new(if is_xml { "" } else { text });
    let split = if is_xml { FactsText::of_xml(text, &lines) } else { FactsText::of_lines(&lines)? };
    let mut found = Vec::new();
    for reader in READERS.iter().filter(|reader| (reader.looks_like)(&split)) {
        found.extend((reader.read)(&split)?);
    }
    if found.is_empty() {
        if let Some(of) = lookalike::of_lines(&lines) {
            return Err(FactsError::Unsuitable { of });
        }
        let names: Vec<&str> = READERS.iter().map(|reader| reader.name).collect();
        let (last, others) = names.split_last().expect("there are readers");
        let known = format!("{} and {last}", others.join(", "));
        return Err(FactsError::Unknown { known, beginning: lines.beginning() });
    }
    Ok(found)
}
