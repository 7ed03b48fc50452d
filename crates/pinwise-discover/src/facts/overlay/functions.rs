//! Overlay of PCI functions that the host has: their IOMMU groups, drivers, names, links and
//! bridges where the description lacks them.

use std::collections::{BTreeMap, BTreeSet};

use super::conflict::{Collector, Disagreement};
use crate::facts::data::{Facts, FunctionFacts};
use pinwise::host::{DeviceKind, HostSpec, Part};
use pinwise::units::PciAddr;

pub(super) fn lay(host: &mut HostSpec, facts: &Facts, collector: &mut Collector) {
    let source = host.source_of(Part::Pci);
    if facts.functions.is_empty() || source == facts.source {
        return;
    }
    let told: BTreeMap<PciAddr, &FunctionFacts> =
        facts.functions.iter().map(|function| (function.address, function)).collect();
    let bridges = host.devices.iter().filter(|device| device.kind() == DeviceKind::Bridge);
    let bridges: BTreeSet<PciAddr> = bridges.map(|device| device.address).collect();
    // Bridges of two sources in one tree could form a circle.
    let is_flat = host.devices.iter().all(|device| device.parent.is_none());
    let mut filled = false;
    for device in &mut host.devices {
        let Some(function) = told.get(&device.address) else { continue };
        let before = device.clone();
        if let (Some(known), Some(group)) = (device.iommu_group, function.iommu_group) {
            if known != group {
                collector.differ(Disagreement {
                    part: Part::Pci,
                    what: "the IOMMU group",
                    of: device.address.to_string(),
                    host: known.to_string(),
                    host_source: source.clone(),
                    found: group.to_string(),
                    source: &facts.source,
                    taken: false,
                });
            }
        }
        device.iommu_group = device.iommu_group.or(function.iommu_group);
        device.driver = device.driver.take().or_else(|| function.driver.clone());
        device.name = device.name.take().or_else(|| function.name.clone());
        if function.link_now.is_some() {
            // The maximum alone would be compared with that of other tools, as that of a GPU.
            device.link_now = device.link_now.or(function.link_now);
            device.link_max = device.link_max.or(function.link_max);
        }
        // A tree shows the nearest bridge; other sources, any bridge above.
        if is_flat && function.class.is_none() && function.above.is_some() {
            device.parent = function.above.filter(|above| bridges.contains(above));
        }
        filled |= *device != before;
    }
    if filled {
        host.add_source(Part::Pci, &facts.source);
    }
}
