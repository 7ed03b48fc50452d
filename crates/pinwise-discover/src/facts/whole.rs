//! A whole description as facts about another one.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Facts, FunctionFacts, GpuFacts, GpuName, LinkFacts, NodeFacts, PartitionFacts};
use super::overlay::{Report, overlay};
use crate::kinds::is_uniform;
use pinwise::host::DeviceKind;
use pinwise::host::HostSpec;
use pinwise::host::Part;
use pinwise::host::{CoreKind, CoreSpec};
use pinwise::units::{Bytes, PciAddr, PcpuId};

impl Facts {
    /// The statements of a description, to be laid over another one of the same machine.
    #[must_use]
    pub fn of_host(host: &HostSpec, source: &str) -> Self {
        let mut facts = Self { source: source.to_owned(), ..Self::default() };
        for device in &host.devices {
            if device.kind() == DeviceKind::Gpu {
                facts.gpus.push(GpuFacts {
                    model: device.name.clone(),
                    node: device.node,
                    link_now: device.link_now,
                    link_max: device.link_max,
                    ..GpuFacts::new(GpuName::At(device.address))
                });
            }
            facts.functions.push(FunctionFacts {
                class: Some(device.class),
                ids: Some((device.vendor, device.device)),
                node: device.node,
                above: device.parent,
                link_max: device.link_max,
                ..FunctionFacts::new(device.address)
            });
        }
        let mut ids: Vec<_> = host.nodes.iter().map(|node| node.id).collect();
        ids.sort_unstable();
        for node in &host.nodes {
            let free = node.pools.iter().find(|pool| !pool.size.is_huge());
            facts.nodes.push(NodeFacts {
                id: node.id,
                cpus: Some(node.cpus.clone()),
                memory: Some(node.memory).filter(|memory| *memory != Bytes::ZERO),
                // If every page counts as free, nobody counted them.
                free: free.filter(|pool| pool.free < pool.total).map(|p| p.size.times(p.free)),
                // Firmware and kernel keep a part of a node's memory for themselves, which differs
                // between sources.
                rounding: Bytes(64 << 20),
                distances: ids.iter().copied().zip(node.distances.iter().copied()).collect(),
            });
        }
        facts.links.extend(host.gpu_links.iter().map(|link| LinkFacts {
            a: GpuName::At(link.a),
            b: GpuName::At(link.b),
            kind: link.kind,
            count: Some(link.count),
        }));
        facts.partitions.extend(host.fabric_partitions.iter().map(|partition| PartitionFacts {
            id: partition.id,
            gpus: partition.gpus.iter().copied().map(GpuName::At).collect(),
        }));
        facts
    }
}

/// Lays a whole description over another one of the same machine: everything that
/// [`overlay`](super::overlay()) takes, and parts that facts cannot express: the PCI functions if
/// there are none, otherwise the IOMMU groups, drivers, bridges above, BARs and links of functions
/// that both have.
pub fn overlay_host(host: &mut HostSpec, other: &HostSpec, source: &str) -> Report {
    let nodes: BTreeSet<_> = host.nodes.iter().map(|node| node.id).collect();
    if host.devices.is_empty() && !other.devices.is_empty() {
        host.devices.clone_from(&other.devices);
        for device in &mut host.devices {
            device.node.take_if(|node| !nodes.contains(node));
        }
        host.add_source(Part::Pci, source);
    } else {
        fill(host, other, source);
    }
    if host.l3_domains.is_empty() && !other.l3_domains.is_empty() {
        let mut tried = host.clone();
        tried.l3_domains.clone_from(&other.l3_domains);
        if tried.clone().build().is_ok() {
            *host = tried;
            host.add_source(Part::Cpus, source);
        }
    }
    if take_kinds(host, other) | take_l3_sizes(host, other) {
        host.add_source(Part::Cpus, source);
    }
    overlay(host, &[Facts::of_host(other, source)])
}

/// Takes the kinds of cores where the host has one kind.
fn take_kinds(host: &mut HostSpec, other: &HostSpec) -> bool {
    if !is_uniform(host) || is_uniform(other) {
        return false;
    }
    let of = |core: &CoreSpec| core.pcpus.iter().map(|pcpu| (pcpu, core.kind)).collect::<Vec<_>>();
    let kinds: BTreeMap<PcpuId, CoreKind> = other.cores.iter().flat_map(of).collect();
    for core in &mut host.cores {
        let kind = core.pcpus.iter().find_map(|pcpu| kinds.get(&pcpu));
        core.kind = kind.copied().unwrap_or(core.kind);
    }
    !is_uniform(host)
}

/// Takes the sizes of L3 caches that the host has without one.
fn take_l3_sizes(host: &mut HostSpec, other: &HostSpec) -> bool {
    let sizes: BTreeMap<_, _> = other.l3_domains.iter().map(|l3| (&l3.cpus, l3.size)).collect();
    let mut taken = false;
    for l3 in host.l3_domains.iter_mut().filter(|l3| l3.size.is_none()) {
        l3.size = sizes.get(&l3.cpus).copied().flatten();
        taken |= l3.size.is_some();
    }
    taken
}

fn fill(host: &mut HostSpec, other: &HostSpec, source: &str) {
    let bridges = host.devices.iter().filter(|device| device.kind() == DeviceKind::Bridge);
    let bridges: BTreeSet<PciAddr> = bridges.map(|device| device.address).collect();
    let whole = host.devices.iter().all(|device| device.parent.is_none());
    let mut filled = false;
    for device in &mut host.devices {
        let same = other.devices.iter().find(|same| same.address == device.address);
        let Some(same) = same else { continue };
        let before = device.clone();
        device.iommu_group = device.iommu_group.or(same.iommu_group);
        device.driver = device.driver.take().or_else(|| same.driver.clone());
        device.physical_function = device.physical_function.or(same.physical_function);
        device.mediated = device.mediated.take().or_else(|| same.mediated.clone());
        device.mig_instances = device.mig_instances.or(same.mig_instances);
        device.link_now = device.link_now.or(same.link_now);
        device.link_max = device.link_max.or(same.link_max);
        device.access = device.access.or(same.access);
        if device.bars.is_empty() {
            device.bars.clone_from(&same.bars);
        }
        // Bridges of two sources in one tree could form a circle.
        if whole {
            device.parent = same.parent.filter(|parent| bridges.contains(parent));
        }
        filled |= *device != before;
    }
    if filled {
        host.add_source(Part::Pci, source);
    }
}
