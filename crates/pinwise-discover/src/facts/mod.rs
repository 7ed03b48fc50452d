//! What a partial source says about a machine: links of GPUs, nodes of devices, distances of nodes.
//!
//! `nvidia-smi`, `rocm-smi`, NVML, NCCL and `numactl` each know something that sysfs, lstopo or libvirt
//! do not, and none of them describes a host. What one of them says is [`Facts`]: plain data, not yet
//! believed. [`read_facts`] reads the texts that an operator can send, [`overlay`] lays facts over a
//! host's description: it adds what is lacking, keeps the more specific where both speak, and reports
//! every conflict.

mod data;
mod lines;
mod matrix;
#[cfg(feature = "xml")]
mod nccl;
pub(crate) mod note;
mod numactl;
mod nvidia;
pub(crate) mod overlay;
pub(crate) mod peer;
mod problem;
mod rocm;
mod whole;

pub use data::{
    Facts, FunctionFacts, GpuFacts, GpuName, LinkFacts, NicName, NodeFacts, PartitionFacts,
    PathEnd, PathFacts, PeerFacts, vendor,
};
pub use note::FactsNote;
pub use overlay::{OverlayNote, Report, SourceConflict, overlay};
pub use peer::{PeerAccess, PeerStatus};
pub use problem::FactsError;
pub use whole::overlay_host;

use lines::Lines;

/// The longest text that [`read_facts`] looks at.
pub const MAX_FACTS: usize = 4 << 20;

/// Reads what `nvidia-smi topo -m`, `nvidia-smi topo -p2p`, `rocm-smi --showtopo`, `numactl --hardware`
/// and NCCL or RCCL (`NCCL_TOPO_DUMP_FILE`) print. Which of them it is, is told by the text itself; one
/// text may hold several of the first four, as a log does, and gives the facts of each.
///
/// XML needs the feature `libvirt-xml`.
///
/// # Errors
/// [`FactsError`] if the text is too long, is none of these, or says something that cannot be so: a
/// value that its place does not allow, a row that is too short, the same thing twice, a pair of GPUs
/// that is linked in one direction only.
pub fn read_facts(text: &str) -> Result<Vec<Facts>, FactsError> {
    if text.len() > MAX_FACTS {
        return Err(FactsError::TooLong { bytes: text.len(), limit: MAX_FACTS });
    }
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('<') {
        #[cfg(feature = "xml")]
        return Ok(vec![nccl::read(text)?]);
        #[cfg(not(feature = "xml"))]
        return Err(FactsError::NoXml);
    }
    let lines = Lines::new(text);
    let (rocm, nvidia): (Vec<_>, Vec<_>) =
        matrix::tables(lines.iter())?.into_iter().partition(|(title, _)| rocm::is_title(*title));
    let mut found = Vec::new();
    found.extend(rocm::read(&lines, &rocm)?);
    found.extend(nvidia::read(&nvidia, &nvidia::legend(lines.iter()))?);
    found.extend(numactl::read(&lines)?);
    if found.is_empty() {
        return Err(FactsError::Unknown { beginning: lines.beginning() });
    }
    Ok(found)
}
