//! The numbers of a refusal, counted anew from the description, the tenants and the request.

use std::collections::BTreeMap;

use pinwise::engine::{Fact, Rejection};
use pinwise::host::{DeviceKind, PciDevice};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::NodeId;
use pinwise::{Bytes, Claim, CpuSet, NodeSet, PageSize, PciAddr, Policy};

use super::scene::Scene;
use super::{ensure, for_cases};

/// pCPUs that a VM may have, by core; of whole cores alone, where no other tenant has a sibling.
fn usable(scene: &Scene, whole: bool) -> Vec<(NodeSet, u64)> {
    let (host, usage) = (&scene.host, &scene.usage);
    let kept = &host.kept().cpus;
    let spec = &scene.request;
    let nodes = spec.nodes.as_ref();
    let apart = spec.policies.own_l3 == Policy::Require;
    let mut closed = CpuSet::new();
    usage.tenants().for_each(|(_, claim)| closed.extend(&claim.closes(host)));
    let cores = host.cores().iter().map(|core| {
        let held = core.pcpus.iter().any(|pcpu| usage.dedicated().contains(*pcpu));
        let free = core.pcpus.iter().filter(|pcpu| {
            host.allowed().contains(**pcpu)
                && spec.cpus.as_ref().is_none_or(|cpus| cpus.contains(**pcpu))
                && nodes.is_none_or(|nodes| nodes.contains(core.node))
                && !kept.contains(**pcpu)
                && !usage.dedicated().contains(**pcpu)
                && !closed.contains(**pcpu)
        });
        let theirs = |pcpu| host.core_of(pcpu).map(|core| (core.id.package, core.l3));
        let beside = || {
            usage.dedicated().iter().any(|pcpu| theirs(pcpu) == Some((core.id.package, core.l3)))
        };
        let count = if (whole && held) || (apart && beside()) { 0 } else { free.count() as u64 };
        ([core.node].into_iter().collect(), count)
    });
    cores.collect()
}

/// The number of vCPUs that may float on these nodes.
fn shared_room(scene: &Scene, nodes: &NodeSet) -> u64 {
    let (host, usage, spec) = (&scene.host, &scene.usage, &scene.request);
    let held_to = |node| spec.nodes.as_ref().is_none_or(|nodes| nodes.contains(node));
    let left = |pcpu| {
        let here = usage.tenants().filter(|(_, claim)| claim.floating.contains(pcpu));
        let each = |claim: &Claim| {
            u64::from(claim.floating_vcpus) * 1_000_000 / claim.floating.len() as u64
        };
        1_000_000_u64.saturating_sub(here.map(|(_, claim)| each(claim)).sum())
    };
    let mut closed = usage.dedicated().union(&host.kept().cpus).union(host.isolated());
    usage.tenants().for_each(|(_, claim)| closed.extend(&claim.closes(host)));
    let of_node = |id| {
        let cpus = host.node(id).map(|node| node.cpus.intersection(host.allowed()));
        let cpus = cpus.unwrap_or_default().difference(&closed);
        let cpus = spec.cpus.as_ref().map_or(cpus.clone(), |own| cpus.intersection(own));
        if held_to(id) { cpus.iter().map(left).sum::<u64>() / 1_000_000 } else { 0 }
    };
    nodes.iter().map(of_node).sum()
}

fn free_pages(scene: &Scene, nodes: &NodeSet, size: PageSize) -> u64 {
    let (host, usage) = (&scene.host, &scene.usage);
    let held = scene.request.memory_nodes.as_ref();
    let gives = |node: &NodeId| match held {
        Some(held) => held.contains(*node),
        None => host.node(*node).is_some_and(|node| !node.cpus.is_empty()),
    };
    let kept = |id| match size.is_huge() {
        true => 0,
        false => host.node(id).map_or(0, |node| host.kept_memory(node).0.div_ceil(size.bytes())),
    };
    let of_node = |id| usage.free_pages(host, id, size).saturating_sub(kept(id));
    let sum: u64 = nodes.iter().filter(gives).map(of_node).sum();
    let in_all = host.nodes().iter().map(|node| of_node(node.id)).sum::<u64>();
    let in_all = in_all.saturating_sub(usage.unbound_pages(size));
    let all: NodeSet = host.nodes().iter().map(|node| node.id).collect();
    let of_vm = match (&scene.request.nodes, held) {
        (Some(nodes), None) => nodes.clone(),
        (nodes, held) => {
            nodes.as_ref().unwrap_or(&all).union(held.unwrap_or(&all)).intersection(&all)
        }
    };
    if *nodes == of_vm { sum.min(in_all) } else { sum }
}

/// The tenant that has a function of the device's bundle.
fn holder(scene: &Scene, address: PciAddr) -> Option<&str> {
    let bundle = scene.host.pci().bundle_of(address);
    bundle.into_iter().find_map(|member| scene.usage.holder_of(member))
}

/// Whether a device takes from the host what it needs and the request does not name: disks, NICs,
/// the last display, the last USB controller. These hosts tell no boot display.
fn takes_needed(scene: &Scene, address: PciAddr) -> bool {
    let pci = scene.host.pci();
    let (bundle, card) = (pci.bundle_of(address), pci.companions_of(address));
    let class = |device: &PciDevice| device.class.0 >> 8;
    let last = |mate: &PciDevice, classes: &[u32]| {
        let left = pci.devices().iter().filter(|other| !bundle.contains(&other.address));
        let mut alike = left.filter(|other| classes.contains(&class(other)));
        classes.contains(&class(mate)) && alike.next().is_none()
    };
    let needed = |mate: &PciDevice| {
        let kept = matches!(class(mate) >> 8, 1 | 2) || mate.kind() == DeviceKind::Nic;
        !mate.is_for_vms()
            && (kept || last(mate, &[0x0300, 0x0301, 0x0380]) || last(mate, &[0x0c03]))
    };
    let named = match &scene.request.gpus {
        GpuRequest::Addresses(named) => named.as_slice(),
        GpuRequest::Count { .. } | GpuRequest::VfOf { .. } => &[],
    };
    let own = |mate: &PciAddr| {
        *mate == address
            || card.contains(mate)
            || named.contains(mate)
            || scene.request.devices.contains(mate)
    };
    let mates = bundle.iter().filter(|mate| !own(mate)).filter_map(|mate| pci.get(*mate));
    mates.into_iter().any(needed)
}

fn is_so(scene: &Scene, fact: &Fact) -> Result<(), String> {
    let (host, usage, request) = (&scene.host, &scene.usage, &scene.request);
    let whole = request.policies.whole_cores == Policy::Require;
    let on = |nodes: &NodeSet, least: u64| -> Vec<u64> {
        let cores = usable(scene, whole).into_iter();
        let here = cores.filter(|(node, free)| node.is_subset(nodes) && *free >= least);
        here.map(|(_, free)| free).collect()
    };
    let expected = match fact {
        Fact::CoresShort { nodes, threads, needed, free } => {
            ensure(free < needed, || format!("{fact:?}"))?;
            let free = on(nodes, u64::from(*threads)).len() as u64;
            let needed = u64::from(request.vcpus / threads);
            Fact::CoresShort { nodes: nodes.clone(), threads: *threads, needed, free }
        }
        Fact::PcpusShort { nodes, needed, free } => {
            ensure(free < needed, || format!("{fact:?}"))?;
            // Of pinned vCPUs that share cores, or of vCPUs that float.
            let shared = shared_room(scene, nodes);
            let free = if *free == shared { shared } else { on(nodes, 1).iter().sum() };
            Fact::PcpusShort { nodes: nodes.clone(), needed: u64::from(request.vcpus), free }
        }
        Fact::PagesShort { nodes, page_size: size, needed, free } => {
            ensure(free < needed, || format!("{fact:?}"))?;
            let needed = request.memory.0 / size.bytes();
            let free = free_pages(scene, nodes, *size);
            Fact::PagesShort { nodes: nodes.clone(), page_size: *size, needed, free }
        }
        Fact::MemoryKept { nodes, .. } => {
            let kept = |id| host.node(id).map_or(0, |node| host.kept_memory(node).0);
            ensure(nodes.iter().all(|id| kept(id) > 0), || format!("{fact:?}"))?;
            let memory = Bytes(nodes.iter().map(kept).sum());
            Fact::MemoryKept { nodes: nodes.clone(), memory }
        }
        Fact::NoPageSize { .. } => {
            let known = host.nodes().iter().flat_map(|node| node.pools.iter().map(|p| p.size));
            let mut sizes = known.chain(request.page_size);
            let of = |size: &PageSize| request.page_size.is_none_or(|wanted| wanted == *size);
            let fits = |size: PageSize| request.memory.0.is_multiple_of(size.bytes());
            ensure(!sizes.any(|size| of(&size) && fits(size)), || format!("{fact:?}"))?;
            Fact::NoPageSize { memory: request.memory, page_size: request.page_size }
        }
        Fact::GpusShort { needed, free, .. } => {
            let GpuRequest::Count { count, model } = &request.gpus else {
                return Err(format!("{fact:?} of GPUs by address"));
            };
            ensure(free < needed, || format!("{fact:?}"))?;
            // Integrated ones count where they are named.
            let fits = |gpu: &&pinwise::host::Gpu| match model {
                Some(model) => gpu.model.to_lowercase().contains(&model.to_lowercase()),
                None => !gpu.integrated,
            };
            let all: Vec<_> = host.gpus().iter().filter(fits).map(|gpu| gpu.address).collect();
            let is_free = |gpu: &&PciAddr| {
                let open = request.allow_group || !takes_needed(scene, **gpu);
                open && holder(scene, **gpu).is_none() && !request.devices.contains(gpu)
            };
            let free = all.iter().filter(is_free).count() as u32;
            let (total, model) = (all.len() as u32, model.clone());
            Fact::GpusShort { needed: *count, free, total, model }
        }
        Fact::NoDevice { address } => {
            let device = host.pci().get(*address);
            let none = device.is_none_or(|device| !device.is_endpoint());
            ensure(none, || format!("{fact:?}"))?;
            fact.clone()
        }
        Fact::NotAGpu { address } => {
            ensure(host.gpu(*address).is_none(), || format!("{fact:?}"))?;
            fact.clone()
        }
        Fact::DeviceHeld { address, .. } => {
            let holder = holder(scene, *address).unwrap_or_default().to_owned();
            Fact::DeviceHeld { address: *address, holder }
        }
        Fact::GroupTaken { address, taken, others, .. } => {
            ensure(takes_needed(scene, *address) && !request.allow_group, || format!("{fact:?}"))?;
            let bundle = host.pci().bundle_of(*address);
            ensure(taken.iter().all(|one| bundle.contains(&one.address)), || format!("{fact:?}"))?;
            let free = |gpu: &PciAddr| holder(scene, *gpu).is_none();
            ensure(others.iter().all(free), || format!("{fact:?}"))?;
            fact.clone()
        }
        Fact::GpuNodeUnknown { address } => {
            let unknown = host.gpu(*address).is_some_and(|gpu| gpu.node.is_none());
            ensure(unknown, || format!("{fact:?}"))?;
            fact.clone()
        }
        Fact::NodesShort { needed, usable: have } => {
            ensure(have < needed, || format!("{fact:?}"))?;
            let wanted = match request.cells {
                Wish::Require(cells) => cells,
                _ => 2,
            };
            Fact::NodesShort { needed: wanted, usable: *have }
        }
        Fact::NoSmt => {
            let two = usable(scene, whole).iter().any(|(_, free)| *free > 1);
            ensure(!two, || "a core has two".to_owned())?;
            fact.clone()
        }
        Fact::OddVcpus { threads, .. } => {
            ensure(!request.vcpus.is_multiple_of(*threads), || format!("{fact:?}"))?;
            Fact::OddVcpus { vcpus: request.vcpus, threads: *threads }
        }
        Fact::NoEmulatorPcpu { needed, free } => {
            ensure(free < needed, || format!("{fact:?}"))?;
            // Where none is asked for, one has to be somewhere.
            let needed = u64::from(request.emulator_pcpus.max(1));
            let left: CpuSet = host.allowed().union(&host.reserved()).difference(usage.dedicated());
            ensure(*free <= left.len() as u64, || format!("{fact:?} of {left}"))?;
            Fact::NoEmulatorPcpu { needed, free: *free }
        }
        Fact::CpusUnusable { cpus, left } => {
            let wanted = request.cpus.clone().unwrap_or_default();
            let on_nodes = |pcpu| {
                let node = host.core_of(pcpu).map(|core| core.node);
                request.nodes.as_ref().is_none_or(|ids| node.is_some_and(|id| ids.contains(id)))
            };
            let free = host.allowed().difference(usage.dedicated()).difference(&host.kept().cpus);
            let (usable, cannot): (Vec<_>, Vec<_>) =
                wanted.iter().partition(|p| free.contains(*p) && on_nodes(*p));
            ensure(!cpus.is_empty() && *left as usize == usable.len(), || format!("{fact:?}"))?;
            Fact::CpusUnusable { cpus: cannot.into_iter().collect(), left: *left }
        }
        Fact::NodesMissing { nodes, left } => {
            let wanted = request.nodes.clone().unwrap_or_default();
            let (known, missing): (Vec<_>, Vec<_>) =
                wanted.iter().partition(|id| host.node(*id).is_some());
            ensure(!nodes.is_empty() && *left as usize == known.len(), || format!("{fact:?}"))?;
            Fact::NodesMissing { nodes: missing.into_iter().collect(), left: *left }
        }
        Fact::MemoryNodesMissing { nodes, left } => {
            let wanted = request.memory_nodes.clone().unwrap_or_default();
            let (known, missing): (Vec<_>, Vec<_>) =
                wanted.iter().partition(|id| host.node(*id).is_some());
            ensure(!nodes.is_empty() && *left as usize == known.len(), || format!("{fact:?}"))?;
            Fact::MemoryNodesMissing { nodes: missing.into_iter().collect(), left: *left }
        }
        Fact::NodesWithoutMemory { .. } => {
            let may = |id: NodeId| {
                let memory = request.memory_nodes.as_ref().is_some_and(|ids| ids.contains(id));
                request.nodes.as_ref().is_none_or(|ids| ids.contains(id)) || memory
            };
            let nodes = host.nodes().iter().filter(|n| n.memory == Bytes::ZERO && may(n.id));
            Fact::NodesWithoutMemory { nodes: nodes.map(|node| node.id).collect() }
        }
        // Of what is required; the property tests of requirements and the oracle judge those.
        _ => fact.clone(),
    };
    ensure(*fact == expected, || format!("{fact:?}, counted {expected:?}"))
}

#[test]
fn every_number_of_a_refusal_is_so() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for_cases(24, 500, |rng| {
        let mut scene = Scene::new(rng);
        let before = scene.request.clone();
        match rng.below(20) {
            5 => {
                let more = |set: &CpuSet| set.union(&"5000-5003".parse().unwrap());
                scene.request.cpus = scene.request.cpus.as_ref().map(more);
                let some = if rng.percent(50) { "90" } else { "0,90" };
                scene.request.nodes = Some(some.parse().unwrap());
            }
            0 | 1 => scene.request.devices.push(host_address(&scene, rng.below(50))),
            2..5 => {
                scene.request.emulator_pcpus = rng.between(1, 40) as u32;
                scene.request.vcpus = (scene.host.cores().len() - rng.below(8)) as u32;
            }
            _ => {}
        }
        // Some of that is no request.
        if scene.request.clone().build().is_err() {
            scene.request = before;
        }
        let rejected: Vec<Rejection> = match scene.answer() {
            Ok(answer) => answer.rejected,
            Err(refusal) => refusal.rejected,
        };
        for fact in rejected.iter().flat_map(|rejection| &rejection.facts) {
            is_so(&scene, fact).map_err(|text| format!("{text}\n{}", scene.text()))?;
            let kind: String =
                format!("{fact:?}").chars().take_while(|c| c.is_alphanumeric()).collect();
            *seen.entry(kind).or_default() += 1;
        }
        Ok(())
    });
    println!("{seen:#?}");
    for kind in [
        "CoresShort",
        "PcpusShort",
        "PagesShort",
        "GpusShort",
        "NoDevice",
        "DeviceHeld",
        "NodesShort",
        "NoSmt",
        "OddVcpus",
        "NoEmulatorPcpu",
        "CpusUnusable",
        "NodesMissing",
        "Lacks",
    ] {
        assert!(seen.contains_key(kind), "{kind} is never seen: {seen:?}");
    }
}

/// One of the host's functions, or one that it has not.
fn host_address(scene: &Scene, at: usize) -> PciAddr {
    let missing = PciAddr { domain: 9, bus: 9, device: 9, function: 0 };
    scene.host.pci().devices().get(at).map_or(missing, |device| device.address)
}
