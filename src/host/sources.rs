//! Where each part of a description was read from.

use std::fmt;

use super::spec::HostSpec;

/// A part of a description that has a source of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Part {
    /// Cores, their pCPUs and L3 domains.
    Cpus,
    /// Nodes with their pCPUs, memory and page pools.
    Memory,
    /// Distances between nodes.
    Distances,
    /// PCI functions and the bridges above them.
    Pci,
    /// The nodes of PCI functions, where another source than that of the functions told them.
    DeviceNodes,
    /// The speeds and widths of PCI links, where another source than that of the functions told them.
    PciLinks,
    /// The names of GPU models.
    GpuNames,
    /// Direct connections of GPUs.
    GpuLinks,
    /// The sets of GPUs that the fabric manager can give to one VM.
    FabricPartitions,
}

impl Part {
    /// Every part, in the order in which a person reads them.
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

    /// Whether the description has this part; what only another source can tell is never its own.
    fn is_in(self, host: &HostSpec) -> bool {
        match self {
            Self::Cpus => !host.cores.is_empty(),
            Self::Memory => !host.nodes.is_empty(),
            Self::Distances => host.nodes.iter().any(|node| !node.distances.is_empty()),
            Self::Pci => !host.devices.is_empty(),
            Self::DeviceNodes | Self::PciLinks | Self::GpuNames => false,
            Self::GpuLinks => !host.gpu_links.is_empty(),
            Self::FabricPartitions => !host.fabric_partitions.is_empty(),
        }
    }
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

/// A part of a description, and where it was read from. A part with several sources is there several
/// times.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PartSource {
    /// The part.
    pub part: Part,
    /// The source in words that a person knows it by, such as `sysfs` or `nvidia-smi topo -m`.
    pub from: String,
}

impl HostSpec {
    /// Notes that `source` told what is there and has no source yet.
    pub fn mark_source(&mut self, source: &str) {
        let told = |host: &Self, part| host.sources.iter().any(|known| known.part == part);
        for part in Part::ALL {
            if part.is_in(self) && !told(self, part) {
                self.add_source(part, source);
            }
        }
    }

    /// Notes that `source` told a part, or some of it.
    pub fn add_source(&mut self, part: Part, source: &str) {
        let new = PartSource { part, from: source.to_owned() };
        if !self.sources.contains(&new) {
            self.sources.push(new);
            self.sources.sort_by_key(|known| known.part);
        }
    }

    /// The sources of a part, "the description" where none is known.
    #[must_use]
    pub fn source_of(&self, part: Part) -> String {
        let known = self.sources.iter().filter(|known| known.part == part);
        let names: Vec<&str> = known.map(|known| known.from.as_str()).collect();
        if names.is_empty() { "the description".to_owned() } else { names.join(" and ") }
    }
}

/// `CPUs, memory from sysfs; GPU links from nvidia-smi topo -m`; `None` where no source is known.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::spec::NodeSpec;
    use crate::units::{Bytes, NodeId};

    #[test]
    fn a_part_keeps_its_first_source_and_takes_others_by_name() {
        let mut host = HostSpec::default();
        host.mark_source("nothing is there yet");
        assert_eq!(sources_text(&host.sources), None);
        let node = NodeSpec {
            id: NodeId(0),
            cpus: Default::default(),
            memory: Bytes::ZERO,
            pools: Vec::new(),
            distances: Vec::new(),
        };
        host.nodes.push(node);
        host.mark_source("sysfs");
        host.mark_source("lstopo");
        host.add_source(Part::GpuLinks, "NVML");
        host.add_source(Part::GpuLinks, "NVML");
        host.add_source(Part::Memory, "numactl");
        let text = "memory from sysfs; memory from numactl; GPU links from NVML";
        assert_eq!(sources_text(&host.sources).unwrap(), text);
        assert_eq!(host.source_of(Part::Memory), "sysfs and numactl");
        assert_eq!(host.source_of(Part::Pci), "the description");
    }
}
