//! The source of each part of a description.

use super::sources::{Part, PartSource};
use super::spec::HostSpec;

impl HostSpec {
    /// Whether the description has this part. Parts that only another source can provide never
    /// count.
    fn has(&self, part: Part) -> bool {
        match part {
            Part::Cpus => !self.cores.is_empty(),
            Part::Memory => !self.nodes.is_empty(),
            Part::Distances => self.nodes.iter().any(|node| !node.distances.is_empty()),
            Part::Pci => !self.devices.is_empty(),
            Part::DeviceNodes | Part::PciLinks | Part::GpuNames => false,
            Part::GpuLinks => !self.gpu_links.is_empty(),
            Part::FabricPartitions => !self.fabric_partitions.is_empty(),
        }
    }

    /// Records `source` for every part that is present and has no source yet.
    pub fn mark_source(&mut self, source: &str) {
        let told = |host: &Self, part| host.sources.iter().any(|known| known.part == part);
        for part in Part::ALL {
            if self.has(part) && !told(self, part) {
                self.add_source(part, source);
            }
        }
    }

    /// Records `source` as a source of a part, or of some of it.
    pub fn add_source(&mut self, part: Part, source: &str) {
        let new = PartSource { part, from: source.to_owned() };
        if !self.sources.contains(&new) {
            self.sources.push(new);
            self.sources.sort_by_key(|known| known.part);
        }
    }

    /// The sources of a part; "the description" if none is known.
    #[must_use]
    pub fn source_of(&self, part: Part) -> String {
        let known = self.sources.iter().filter(|known| known.part == part);
        let names: Vec<&str> = known.map(|known| known.from.as_str()).collect();
        if names.is_empty() { "the description".to_owned() } else { names.join(" and ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sources::sources_text;
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
