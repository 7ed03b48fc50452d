//! Overlay of GPUs and PCI functions: which GPU of the host a name means, and its facts.

use std::collections::{BTreeMap, BTreeSet};

use super::conflict::{Collector, Disagreement, SourceConflict};
use super::note::OverlayNote;
use crate::facts::data::{Facts, GpuFacts, GpuName};
use pinwise::host::HostSpec;
use pinwise::host::HostUse;
use pinwise::host::Part;
use pinwise::host::{DeviceKind, PciDevice, PciId};
use pinwise::sets::CpuSet;
use pinwise::units::{NodeId, PackageId, PciAddr};

/// The GPU of the host that each name of a source means.
pub(super) struct Names(BTreeMap<GpuName, PciAddr>);

impl Names {
    pub(super) fn get(&self, name: GpuName) -> Option<PciAddr> {
        self.0.get(&name).copied()
    }

    /// The names that can be resolved; `None` if the source numbers GPUs and is not from this host,
    /// judging by their number and nodes.
    pub(super) fn resolve(
        host: &HostSpec,
        facts: &Facts,
        collector: &mut Collector,
    ) -> Option<Self> {
        let mut names = BTreeMap::new();
        let gpus = host.devices.iter().filter(|device| device.kind() == DeviceKind::Gpu);
        // A virtual function is a share of a GPU that is present itself.
        let mut whole: Vec<(PciAddr, PciId)> = gpus
            .clone()
            .filter(|device| device.physical_function.is_none())
            .map(|device| (device.address, device.vendor))
            .collect();
        whole.sort_unstable();
        let all: BTreeSet<PciAddr> = gpus.map(|device| device.address).collect();
        let mut numbered: BTreeMap<PciId, usize> = BTreeMap::new();
        for gpu in &facts.gpus {
            match gpu.gpu {
                GpuName::At(address) if all.contains(&address) => {
                    names.insert(gpu.gpu, address);
                }
                GpuName::At(address) => {
                    collector.unknown(&facts.source, "GPU", address.to_string())
                }
                GpuName::Nth { vendor, .. } => *numbered.entry(vendor).or_default() += 1,
            }
        }
        for (vendor, found) in numbered {
            let own: Vec<PciAddr> =
                whole.iter().filter(|(_, of)| *of == vendor).map(|(at, _)| *at).collect();
            if own.len() != found {
                collector.conflict(SourceConflict::GpuCount {
                    source: facts.source.clone(),
                    found,
                    host: own.len(),
                    host_source: host.source_of(Part::Pci),
                });
                return None;
            }
            for (address, index) in own.into_iter().zip(0..) {
                names.insert(GpuName::Nth { vendor, index }, address);
            }
        }
        let names = Self(names);
        names.on_their_nodes(host, facts, collector).then_some(names)
    }

    /// Whether every numbered GPU is on the description's node, and its near pCPUs are in that
    /// node's package. (Drivers that do not know how a package is divided report other pCPUs of the
    /// package as near.)
    fn on_their_nodes(&self, host: &HostSpec, facts: &Facts, collector: &mut Collector) -> bool {
        for gpu in facts.gpus.iter().filter(|gpu| matches!(gpu.gpu, GpuName::Nth { .. })) {
            let Some(address) = self.get(gpu.gpu) else { continue };
            let device = host.devices.iter().find(|device| device.address == address);
            let (Some(node), Some(known)) = (device.and_then(|d| d.node), node_of(host, gpu))
            else {
                continue;
            };
            if node != known {
                collector.conflict(SourceConflict::OtherNodes {
                    source: facts.source.clone(),
                    gpu: address,
                    found: known.to_string(),
                    host: node.to_string(),
                    host_source: host.source_of(Part::Pci),
                });
                return false;
            }
            let Some(node) = host.nodes.iter().find(|known| known.id == node) else { continue };
            let Some(cpus) = gpu.cpus.as_ref().filter(|_| !node.cpus.is_empty()) else { continue };
            let own = packages(host, &node.cpus);
            if !packages(host, cpus).is_subset(&own) {
                collector.conflict(SourceConflict::OtherNodes {
                    source: facts.source.clone(),
                    gpu: address,
                    found: format!("{} with pCPUs {cpus}", node.id),
                    host: format!("{} with pCPUs {}", node.id, node.cpus),
                    host_source: host.source_of(Part::Memory),
                });
                return false;
            }
        }
        true
    }
}

fn packages(host: &HostSpec, cpus: &CpuSet) -> BTreeSet<PackageId> {
    let cores = host.cores.iter().filter(|core| core.pcpus.intersects(cpus));
    cores.map(|core| core.package).collect()
}

/// The node of a GPU: the one that the source names, otherwise the one that holds all pCPUs that it
/// names. `None` if several do.
fn node_of(host: &HostSpec, gpu: &GpuFacts) -> Option<NodeId> {
    gpu.node.or_else(|| {
        let cpus = gpu.cpus.as_ref().filter(|cpus| !cpus.is_empty())?;
        let near = host.nodes.iter().find(|node| cpus.is_subset(&node.cpus));
        near.map(|node| node.id)
    })
}

/// Takes the PCI functions if the description has none.
pub(super) fn add_functions(host: &mut HostSpec, facts: &Facts, collector: &mut Collector) {
    if !host.devices.is_empty() || facts.functions.is_empty() {
        return;
    }
    let mut unknown = 0_u32;
    for function in &facts.functions {
        let (Some(class), Some((vendor, device))) = (function.class, function.ids) else {
            unknown += 1;
            continue;
        };
        let mut new = PciDevice::new(function.address, class, vendor, device);
        new.link_max = function.link_max;
        new.link_now = function.link_now;
        new.iommu_group = function.iommu_group;
        new.driver.clone_from(&function.driver);
        new.name.clone_from(&function.name);
        new.parent = function.above;
        new.node = function.node.filter(|node| host.nodes.iter().any(|n| n.id == *node));
        host.devices.push(new);
    }
    let known = host.devices.iter().filter(|device| device.kind() == DeviceKind::Bridge);
    let bridges: BTreeSet<PciAddr> = known.map(|device| device.address).collect();
    for device in &mut host.devices {
        device.parent.take_if(|parent| !bridges.contains(parent));
    }
    if unknown > 0 {
        let source = facts.source.clone();
        collector.note(OverlayNote::NoIds { source, count: unknown });
    }
    if !host.devices.is_empty() {
        host.add_source(Part::Pci, &facts.source);
    }
}

/// Applies the facts about functions and GPUs that the description has.
pub(super) fn lay(host: &mut HostSpec, facts: &Facts, names: &Names, collector: &mut Collector) {
    let before = Before {
        pci: host.source_of(Part::Pci),
        nodes: told(host, Part::DeviceNodes),
        names: told(host, Part::GpuNames),
    };
    if before.pci != facts.source {
        functions(host, facts, &before, collector);
    }
    for gpu in &facts.gpus {
        let Some(address) = names.get(gpu.gpu) else { continue };
        affinity(host, facts, gpu, address, collector);
        node(host, facts, &before, (address, node_of(host, gpu)), collector);
        let Some(at) = host.devices.iter().position(|device| device.address == address) else {
            continue;
        };
        let device = &mut host.devices[at];
        let mut filled = false;
        if let (None, Some(now)) = (device.link_now, gpu.link_now) {
            // If both are known, they were read at different times: an idle link runs slower.
            device.link_now = Some(now);
            filled = true;
        }
        match (device.link_max, gpu.link_max) {
            (None, Some(most)) => {
                device.link_max = Some(most);
                filled = true;
            }
            (Some(known), Some(most)) if known != most => collector.differ(Disagreement {
                part: Part::PciLinks,
                what: "the most of the link",
                of: address.to_string(),
                host: known.to_string(),
                host_source: before.pci.clone(),
                found: most.to_string(),
                source: &facts.source,
                taken: false,
            }),
            _ => {}
        }
        let busy = gpu.processes.is_some_and(|processes| processes > 0);
        if busy && !device.used_for.contains(&HostUse::Processes) {
            device.used_for.push(HostUse::Processes);
        }
        if gpu.mig == Some(true) {
            device.mig_instances = device.mig_instances.or(gpu.mig_instances).or(Some(0));
            collector.note(OverlayNote::Mig { source: facts.source.clone(), address });
        }
        if filled {
            host.add_source(Part::PciLinks, &facts.source);
        }
        name(host, facts, &before, (gpu, at), collector);
    }
}

/// The sources of the description's parts before these facts.
struct Before {
    pci: String,
    /// The source of the nodes of devices, if it is not the source of the devices.
    nodes: Option<String>,
    /// The same for names.
    names: Option<String>,
}

fn told(host: &HostSpec, part: Part) -> Option<String> {
    let known = host.sources.iter().any(|known| known.part == part);
    known.then(|| host.source_of(part))
}

/// A vendor's tool names its GPUs better than a list of PCI ids. If one name contains the other,
/// the longer is taken, and that is not a conflict.
fn name(
    host: &mut HostSpec,
    facts: &Facts,
    before: &Before,
    (gpu, at): (&GpuFacts, usize),
    collector: &mut Collector,
) {
    let Some(model) = &gpu.model else { return };
    let named = before.names.is_some();
    let device = &mut host.devices[at];
    if let Some(known) = &device.name {
        let (short, long) = (known.to_lowercase(), model.to_lowercase());
        if long == short || short.contains(&long) {
            return;
        }
        if !long.contains(&short) {
            collector.differ(Disagreement {
                part: Part::GpuNames,
                what: "the name",
                of: device.address.to_string(),
                host: known.clone(),
                host_source: before.names.as_ref().unwrap_or(&before.pci).clone(),
                found: model.clone(),
                source: &facts.source,
                taken: !named,
            });
            if named {
                return;
            }
        }
    }
    device.name = Some(model.clone());
    host.add_source(Part::GpuNames, &facts.source);
}

/// Applies the nodes of functions that are not GPUs.
fn functions(host: &mut HostSpec, facts: &Facts, before: &Before, collector: &mut Collector) {
    for function in &facts.functions {
        let device = host.devices.iter().find(|device| device.address == function.address);
        let kind = function.class.map(|class| {
            let (vendor, id) = function.ids.unwrap_or_default();
            PciDevice::new(function.address, class, vendor, id).kind()
        });
        match (device, kind) {
            // An unknown GPU is already reported by name; a bridge may be one that NCCL made up.
            (None, Some(DeviceKind::Nic)) => {
                collector.unknown(&facts.source, "NIC", function.address.to_string());
            }
            (Some(device), _) if device.kind() != DeviceKind::Bridge => {
                let own = (device.vendor, device.device);
                if let Some(ids) = function.ids.filter(|ids| *ids != own) {
                    collector.differ(Disagreement {
                        part: Part::Pci,
                        what: "the ids",
                        of: function.address.to_string(),
                        host: format!("{}:{}", own.0, own.1),
                        host_source: before.pci.clone(),
                        found: format!("{}:{}", ids.0, ids.1),
                        source: &facts.source,
                        taken: false,
                    });
                }
                node(host, facts, before, (function.address, function.node), collector);
            }
            _ => {}
        }
    }
}

/// The node of a device: added if unknown.
fn node(
    host: &mut HostSpec,
    facts: &Facts,
    before: &Before,
    (address, node): (PciAddr, Option<NodeId>),
    collector: &mut Collector,
) {
    let Some(node) = node else { return };
    if !host.nodes.iter().any(|known| known.id == node) {
        collector.unknown(&facts.source, "node", node.to_string());
        return;
    }
    let device = host.devices.iter_mut().find(|device| device.address == address);
    let Some(device) = device else { return };
    match device.node {
        None => {
            device.node = Some(node);
            host.add_source(Part::DeviceNodes, &facts.source);
        }
        Some(known) if known != node => {
            let Before { pci, nodes, .. } = before;
            let host_source = match nodes {
                Some(nodes) => format!("{pci} and {nodes}"),
                None => pci.clone(),
            };
            collector.differ(Disagreement {
                part: Part::DeviceNodes,
                what: "the node",
                of: address.to_string(),
                host: known.to_string(),
                host_source,
                found: node.to_string(),
                source: &facts.source,
                taken: false,
            });
        }
        Some(_) => {}
    }
}

/// The pCPUs near a GPU must be the online ones of the node that the source names; some sources
/// omit one, which is not a conflict.
fn affinity(
    host: &HostSpec,
    facts: &Facts,
    gpu: &GpuFacts,
    address: PciAddr,
    collector: &mut Collector,
) {
    let (Some(cpus), Some(node)) = (&gpu.cpus, gpu.node) else { return };
    let Some(node) = host.nodes.iter().find(|known| known.id == node) else { return };
    let online = host.cores.iter().fold(CpuSet::new(), |mut all, core| {
        all.extend(&core.pcpus);
        all
    });
    let own = cpus.intersection(&online);
    if !node.cpus.is_empty() && !own.is_subset(&node.cpus) {
        collector.differ(Disagreement {
            part: Part::DeviceNodes,
            what: "the pCPUs of the node",
            of: address.to_string(),
            host: node.cpus.to_string(),
            host_source: host.source_of(Part::Memory),
            found: cpus.to_string(),
            source: &facts.source,
            taken: false,
        });
    }
}
