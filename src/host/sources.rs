//! The source of each part of a description.

use std::fmt;

/// A part of a description that has a source of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Part {
    /// Cores, their pCPUs and L3 domains.
    Cpus,
    /// Nodes with their pCPUs, memory and page pools.
    Memory,
    /// Distances between nodes.
    Distances,
    /// PCI functions and the bridges above them.
    Pci,
    /// The nodes of PCI functions, if their source differs from that of the functions.
    DeviceNodes,
    /// The speeds and widths of PCI links, if their source differs from that of the functions.
    PciLinks,
    /// The names of GPU models.
    GpuNames,
    /// Direct connections between GPUs.
    GpuLinks,
    /// The sets of GPUs that the fabric manager can give to one VM.
    FabricPartitions,
}

impl Part {
    /// Every part, in the order in which it is shown.
    pub const ALL: [Self; 9] = [
        Self::Cpus,
        Self::Memory,
        Self::Distances,
        Self::Pci,
        Self::DeviceNodes,
        Self::PciLinks,
        Self::GpuNames,
        Self::GpuLinks,
        Self::FabricPartitions,
    ];
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpus => "CPUs",
            Self::Memory => "memory",
            Self::Distances => "distances",
            Self::Pci => "PCI",
            Self::DeviceNodes => "nodes of devices",
            Self::PciLinks => "PCI links",
            Self::GpuNames => "GPU names",
            Self::GpuLinks => "GPU links",
            Self::FabricPartitions => "fabric partitions",
        })
    }
}

/// A part of a description and its source. A part with several sources occurs several times.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PartSource {
    /// The part.
    pub part: Part,
    /// The source, in words that a person recognises, such as `sysfs` or `nvidia-smi topo -m`.
    pub from: String,
}

/// `CPUs, memory from sysfs; GPU links from nvidia-smi topo -m`; `None` if no source is known.
pub(crate) fn sources_text(sources: &[PartSource]) -> Option<String> {
    let mut by_source: Vec<(&str, Vec<String>)> = Vec::new();
    for PartSource { part, from } in sources {
        match by_source.iter_mut().find(|(known, _)| known == from) {
            Some((_, parts)) => parts.push(part.to_string()),
            None => by_source.push((from, vec![part.to_string()])),
        }
    }
    let each = by_source.iter().map(|(from, parts)| format!("{} from {from}", parts.join(", ")));
    (!sources.is_empty()).then(|| each.collect::<Vec<_>>().join("; "))
}
