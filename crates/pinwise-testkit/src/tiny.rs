//! Hosts of at most eight pCPUs and two nodes, with tenants, and requests for them. Everything that
//! the engine distinguishes occurs often, and so do its combinations.

use std::collections::BTreeMap;

use pinwise::host::{
    CoreKind, CoreSpec, CpuVendor, FabricPartition, GpuLink, GpuLinkKind, L3Spec, LinkState,
    NodeSpec, PagePool, PciClass, PciDevice, PciId, Reserve, ReserveMemory,
};
use pinwise::request::{GpuRequest, Sharing, Wish};
use pinwise::units::{Distance, NodeId, PackageId, PcpuId, Ratio};
use pinwise::usage::PageClaim;
use pinwise::{
    Bytes, Claim, CpuSet, Host, HostSpec, NodeSet, Options, PageSize, PciAddr, Policies, Policy,
    RequestSpec, Usage, Workload,
};

use super::case::Case;
use super::rng::Rng;

const GPU: PciClass = PciClass(0x03_02_00);
const AUDIO: PciClass = PciClass(0x04_03_00);
const NIC: PciClass = PciClass(0x02_00_00);
const BRIDGE: PciClass = PciClass(0x06_04_00);

/// The case of a seed.
pub fn case(seed: u64) -> Case {
    drawn(&mut Rng::new(seed))
}

/// A case of whatever is drawn.
pub fn drawn(rng: &mut Rng) -> Case {
    loop {
        let host = host(rng);
        let built = host.clone().build().expect("generated hosts keep the builder's promises");
        let mut tenants = tenants(rng, &built);
        let mut request = request(rng, &built);
        let options = options(rng);
        hold(rng, &built, &tenants, &mut request);
        isolate(rng, &mut tenants, &mut request);
        let case = Case { host, tenants, request, options };
        if case.build().is_some() {
            return case;
        }
    }
}

fn options(rng: &mut Rng) -> Options {
    Options {
        caution: rng.pick(&[0, 250, 500, 500, 500, 750, 1000]),
        // The packing cost depends on more than a profile: the oracle judges the rest.
        packing_weight: 0,
        preference_cost: rng.pick(&[0, 10_000, 100_000, 100_000, 100_000, 1_000_000]),
        ..Options::default()
    }
}

fn host(rng: &mut Rng) -> HostSpec {
    let nodes = rng.pick(&[1, 2, 2]);
    let threads = rng.pick(&[1, 1, 2, 2, 2]);
    let most = 8 / threads;
    let count = if rng.percent(60) { most } else { rng.between(nodes.max(2), most) };
    let mut at_node: Vec<usize> = (0..count).map(|_| rng.below(nodes)).collect();
    // Every node has a core, but for a few that have memory only.
    if nodes == 2 && !rng.percent(5) {
        at_node = (0..count).map(|at| at % 2).collect();
        if rng.percent(40) {
            at_node[1..].fill(1);
        }
    }
    at_node.sort_unstable();
    let packages = rng.between(1, 2);
    let split = nodes == 1 && packages == 2 && rng.percent(30);
    let package = |at: usize, node: usize| {
        let second = if split { at % 2 } else { node };
        PackageId(if packages == 2 { second as u32 } else { 0 })
    };
    let hybrid = rng.percent(20);
    let mut ids: Vec<u32> = (0..(count * threads) as u32).collect();
    match rng.below(3) {
        0 => {}
        // Siblings are neighbours.
        1 => {
            ids = (0..count)
                .flat_map(|c| (0..threads).map(move |t| c + t * count))
                .map(|n| n as u32)
                .collect()
        }
        _ => rng.shuffle(&mut ids),
    }
    let mut offline = CpuSet::new();
    let unpaired = if rng.percent(25) { rng.below(count) } else { count };
    let mut cores = Vec::new();
    for (at, node) in at_node.iter().enumerate() {
        let mut pcpus: Vec<u32> = ids[at * threads..(at + 1) * threads].to_vec();
        if at == unpaired && threads == 2 {
            offline.insert(PcpuId(pcpus.remove(rng.below(2))));
        }
        let efficient = hybrid && rng.percent(50);
        if efficient && threads == 2 && rng.percent(80) {
            pcpus.truncate(1);
        }
        cores.push(CoreSpec {
            package: package(at, *node),
            die: 0,
            core: at as u32,
            kind: if efficient { CoreKind::Efficiency } else { CoreKind::Performance },
            max_mhz: rng.percent(30).then(|| rng.pick(&[3000, 3500])),
            pcpus: pcpus.into_iter().map(PcpuId).collect(),
        });
    }
    let (devices, gpus) = devices(rng, nodes);
    let mut host = HostSpec {
        name: "tiny".into(),
        cpu_vendor: rng.pick(&[CpuVendor::Amd, CpuVendor::Intel]),
        nodes: memory(rng, nodes),
        l3_domains: l3(rng, &at_node, &cores, hybrid),
        offline,
        devices,
        ..HostSpec::default()
    };
    for (core, node) in cores.iter().zip(&at_node) {
        host.nodes[*node].cpus.extend(&core.pcpus);
    }
    let online: Vec<PcpuId> = cores.iter().flat_map(|core| core.pcpus.iter()).collect();
    if rng.percent(25) {
        let mut allowed: CpuSet = online.iter().copied().collect();
        (0..rng.between(1, 2)).for_each(|_| _ = allowed.remove(rng.pick(&online)));
        host.allowed = Some(allowed);
    }
    host.reserved = match rng.below(10) {
        0..=2 => Reserve::Auto,
        3 => Reserve::None,
        4 | 5 => Reserve::These(rng.pick(&cores).pcpus),
        _ => Reserve::These([rng.pick(&online)].into_iter().collect()),
    };
    if cores.len() % 3 > 0 {
        host.reserve_memory = ReserveMemory::OnEach(Bytes::ZERO);
    }
    host.cores = cores;
    fabric(rng, &mut host, &gpus);
    host
}

fn memory(rng: &mut Rng, nodes: usize) -> Vec<NodeSpec> {
    let sizes: Vec<PageSize> = match rng.below(8) {
        0 => vec![PageSize::KIB_4],
        1 | 2 => vec![PageSize::KIB_4, PageSize::MIB_2],
        3 => vec![PageSize::KIB_4, PageSize::GIB_1],
        4 => vec![PageSize::GIB_1],
        5 => vec![PageSize::MIB_2],
        _ => vec![PageSize::KIB_4, PageSize::MIB_2, PageSize::GIB_1],
    };
    // Pools of small pages count in units of the largest, so that every size can hold a VM.
    let largest = *sizes.last().expect("there is a size");
    let coarse = rng.percent(70);
    let scale = |size: PageSize| if coarse { largest.bytes() / size.bytes() } else { 1 };
    let node = |rng: &mut Rng, id: usize| {
        let mut pools = Vec::new();
        for size in &sizes {
            let most = rng.pick(&[4, 10, 20, 20]);
            let total = rng.between(0, most) as u64 * scale(*size) + rng.below(2) as u64;
            let free = if rng.percent(70) { total } else { rng.below(total as usize + 1) as u64 };
            pools.push(PagePool { size: *size, total, free });
        }
        if !sizes.contains(&PageSize::KIB_4) {
            pools.push(PagePool { size: PageSize::KIB_4, total: 0, free: 0 });
        }
        let memory = pools.iter().map(|pool| pool.total * pool.size.bytes()).sum();
        let other = Distance(rng.pick(&[12, 21, 21, 32, 255]));
        let mut distances = vec![other; nodes];
        distances[id] = Distance::LOCAL;
        let (id, cpus) = (NodeId(id as u32), CpuSet::new());
        NodeSpec { id, cpus, memory: Bytes(memory), pools, distances }
    };
    let mut all: Vec<NodeSpec> = (0..nodes).map(|id| node(rng, id)).collect();
    // A node without memory.
    if nodes == 2 && rng.percent(5) {
        let node = &mut all[rng.below(nodes)];
        node.memory = Bytes::ZERO;
        node.pools.iter_mut().for_each(|pool| (pool.total, pool.free) = (0, 0));
    }
    all
}

fn l3(rng: &mut Rng, at_node: &[usize], cores: &[CoreSpec], hybrid: bool) -> Vec<L3Spec> {
    let kind = if hybrid { rng.below(3) } else { rng.pick(&[0, 1, 2, 3, 3, 3, 4]) };
    let mut domains: BTreeMap<usize, CpuSet> = BTreeMap::new();
    for (at, (core, node)) in cores.iter().zip(at_node).enumerate() {
        let domain = match kind {
            0 => break,
            1 => *node,
            2 => 0,
            // Smaller than a node, of unequal sizes.
            3 => node * 10 + at % 2,
            _ => node * 10 + at / 2,
        };
        // A core in no known domain.
        if kind > 2 && rng.percent(4) {
            continue;
        }
        // No cache is shared between packages.
        let domain = domain * 2 + core.package.0 as usize;
        domains.entry(domain).or_default().extend(&core.pcpus);
    }
    domains.into_values().map(|cpus| L3Spec { cpus, size: None }).collect()
}

fn at(bus: u8, device: u8, function: u8) -> PciAddr {
    PciAddr { domain: 0, bus, device, function }
}

/// Up to three GPUs, perhaps with audio functions, and perhaps a NIC.
fn devices(rng: &mut Rng, nodes: usize) -> (Vec<PciDevice>, Vec<PciAddr>) {
    let mut devices: Vec<PciDevice> = Vec::new();
    let mut gpus = Vec::new();
    let (wiring, shared_group) = (rng.below(5), rng.percent(15));
    let same_node = rng.percent(40).then(|| rng.below(nodes));
    let iommu = rng.percent(90);
    let full = LinkState { mts: 16_000, width: 16 };
    for k in 0..rng.pick(&[0, 1, 2, 2, 2, 3]) as u8 {
        let node = same_node.unwrap_or_else(|| rng.below(nodes));
        let node = (!rng.percent(15)).then_some(NodeId(node as u32));
        let bridge = |address, parent| PciDevice {
            node,
            parent,
            link_max: Some(full),
            link_now: Some(full),
            ..PciDevice::new(address, BRIDGE, PciId(0x8086), PciId(0x1234))
        };
        let bus = 0x10 + k;
        let address = at(bus, 0, 0);
        let has = |devices: &[PciDevice], a| devices.iter().any(|d: &PciDevice| d.address == a);
        let parent = match wiring {
            // On a root bus of its own, without a known port.
            0 => None,
            // Below a root port, of one or of several root complexes.
            1 | 2 => {
                let port = if wiring == 1 { at(0, 1 + k, 0) } else { at(0x80 + k, 1, 0) };
                devices.push(bridge(port, None));
                Some(port)
            }
            // Below one switch, or below one switch of two behind one root port.
            _ => {
                let switch = if wiring == 3 { 0 } else { k % 2 };
                let (root, up) = (at(0, 1, 0), at(1, 0, switch));
                let down = at(2 + switch, k, 0);
                for (address, parent) in [(root, None), (up, Some(root)), (down, Some(up))] {
                    if !has(&devices, address) {
                        devices.push(bridge(address, parent));
                    }
                }
                Some(down)
            }
        };
        let group = if shared_group { 1 } else { 10 + u32::from(k) };
        let slow = LinkState { width: 4, ..full };
        let gpu = PciDevice {
            name: Some(if rng.percent(20) { "B" } else { "A" }.into()),
            node,
            parent,
            iommu_group: iommu.then_some(group),
            link_max: rng.percent(80).then_some(full),
            link_now: Some(if rng.percent(20) { slow } else { full }),
            ..PciDevice::new(address, GPU, PciId(0x10de), PciId(0x2335))
        };
        if rng.percent(30) {
            let address = at(bus, 0, 1);
            let (class, name) = (AUDIO, None);
            devices.push(PciDevice { address, class, name, ..gpu.clone() });
        }
        devices.push(gpu);
        gpus.push(address);
    }
    if rng.percent(30) {
        let node = (!rng.percent(20)).then(|| NodeId(rng.below(nodes) as u32));
        let iommu_group = iommu.then_some(50);
        let nic = PciDevice::new(at(0x20, 0, 0), NIC, PciId(0x15b3), PciId(0x1021));
        devices.push(PciDevice { node, iommu_group, ..nic });
    }
    (devices, gpus)
}

fn fabric(rng: &mut Rng, host: &mut HostSpec, gpus: &[PciAddr]) {
    let linked = rng.percent(50);
    for (i, a) in gpus.iter().enumerate() {
        for b in &gpus[..i] {
            if linked && rng.percent(75) {
                let (a, b, kind) = (*a, *b, GpuLinkKind::NvLink);
                host.gpu_links.push(GpuLink { a, b, kind, count: 4 });
            }
        }
    }
    if !gpus.is_empty() && rng.percent(30) {
        for id in 0..rng.between(1, 3) as u32 {
            let mut gpus = gpus.to_vec();
            rng.shuffle(&mut gpus);
            gpus.truncate(rng.between(1, gpus.len()));
            host.fabric_partitions.push(FabricPartition { id, gpus });
        }
    }
}

fn tenants(rng: &mut Rng, host: &Host) -> Vec<(String, Claim)> {
    let mut usage = Usage::empty(host);
    let mut tenants = Vec::new();
    for number in 0..rng.pick(&[0, 0, 0, 1, 1, 2, 3]) {
        let mut claim = Claim::default();
        let free = host.online().difference(usage.dedicated());
        for pcpu in free.iter() {
            // A tenant on what is not allowed to us may share our cores, which no profile shows.
            if rng.percent(10) && host.allowed().contains(pcpu) {
                claim.dedicated.insert(pcpu);
            } else if rng.percent(10) {
                claim.floating.insert(pcpu);
            }
        }
        let nodes = host.nodes().iter();
        let pools: Vec<_> =
            nodes.flat_map(|n| n.pools.iter().map(move |p| (n.id, p.size))).collect();
        for (node, size) in pools {
            if rng.percent(75) {
                continue;
            }
            let free = usage.free_pages(host, node, size);
            let count = rng.below(free as usize / 2 + 1) as u64;
            let node = (!rng.percent(25)).then_some(node);
            claim.pages.push(PageClaim { node, page_size: size, count });
        }
        if let Some(gpu) = host.gpus().first().filter(|_| rng.percent(20)) {
            let gpu = if rng.percent(50) { gpu } else { &host.gpus()[host.gpus().len() - 1] };
            let card = host.pci().devices().iter().filter(|d| d.address.same_slot(gpu.address));
            claim.devices = card.flat_map(|d| host.pci().group_of(d.address)).collect();
            claim.devices.sort_unstable();
            claim.devices.dedup();
        }
        let name = format!("t{number}");
        if usage.claim(host, &name, claim.clone()).is_ok() {
            tenants.push((name, claim));
        }
    }
    tenants
}

/// Sometimes holds the VM to some pCPUs, to one node, or its memory to some nodes.
fn hold(rng: &mut Rng, host: &Host, tenants: &[(String, Claim)], request: &mut RequestSpec) {
    if rng.percent(15) {
        let share = rng.pick(&[50, 70, 85]);
        let mut cpus: CpuSet = host.online().iter().filter(|_| rng.percent(share)).collect();
        if rng.percent(20) {
            cpus.insert(PcpuId(99));
        }
        // A tenant on pCPUs that the request excludes may share our cores, which no profile shows.
        tenants.iter().for_each(|(_, claim)| cpus.extend(&claim.dedicated));
        request.cpus = Some(cpus).filter(|cpus| !cpus.is_empty());
    }
    if rng.percent(10) {
        let missing = usize::from(rng.percent(10));
        let node = NodeId(rng.below(host.nodes().len() + missing) as u32);
        request.nodes = Some([node].into_iter().collect());
    }
    if rng.percent(7) {
        let missing = usize::from(rng.percent(10));
        let ids = 0..host.nodes().len() + missing;
        let nodes: NodeSet = ids.filter(|_| rng.percent(60)).map(|id| NodeId(id as u32)).collect();
        request.memory_nodes = Some(nodes).filter(|nodes| !nodes.is_empty());
    }
}

/// Sometimes isolates tenants, or asks for L3 domains of the VM's own.
fn isolate(rng: &mut Rng, tenants: &mut [(String, Claim)], request: &mut RequestSpec) {
    for (_, claim) in tenants.iter_mut().filter(|(_, claim)| !claim.dedicated.is_empty()) {
        claim.whole_cores = rng.percent(20);
        claim.own_l3 = rng.percent(10);
    }
    for (_, claim) in tenants.iter_mut().filter(|(_, claim)| !claim.floating.is_empty()) {
        let vcpus = rng.pick(&[0, 0, 1, 2, 3]);
        // Which pCPU an emulator takes from a pool may depend on the load, and need not be the
        // best.
        claim.floating_vcpus = if request.emulator_pcpus == 0 { vcpus } else { 0 };
    }
    request.policies.own_l3 = match rng.below(20) {
        0 => Policy::Require,
        1 | 2 => Policy::Prefer,
        _ => Policy::Ignore,
    };
    if rng.percent(10) {
        let overcommit = Ratio(rng.pick(&[1000, 1500, 2000, 4000]));
        request.shared = Some(Sharing { overcommit });
        request.emulator_pcpus = 0;
        if request.smt == Wish::Require(true) {
            request.smt = Wish::Auto;
        }
        if request.policies.own_l3 == Policy::Require {
            request.policies.own_l3 = Policy::Ignore;
        }
    }
}

fn wish<T>(rng: &mut Rng, value: T) -> Wish<T> {
    match rng.below(20) {
        0..=13 => Wish::Auto,
        14..=18 => Wish::Prefer(value),
        _ => Wish::Require(value),
    }
}

fn request(rng: &mut Rng, host: &Host) -> RequestSpec {
    let sizes: Vec<PageSize> = host.nodes()[0].pools.iter().map(|pool| pool.size).collect();
    let unit = rng.pick(&sizes);
    let vcpus = rng.pick(&[1, 1, 2, 2, 2, 2, 2, 3, 3, 4, 4, 4, 5, 6]);
    let mut policy = |require: usize| match rng.below(100) {
        n if n < require => Policy::Require,
        n if n < 60 => Policy::Prefer,
        _ => Policy::Ignore,
    };
    let policies = Policies {
        dedicated_cpus: policy(40),
        whole_cores: policy(30),
        own_l3: Policy::Ignore,
        one_node: policy(6),
        gpu_locality: policy(6),
        same_switch: policy(6),
        linked_gpus: policy(6),
        fabric_partition: policy(5),
    };
    let gpus: Vec<PciAddr> = host.gpus().iter().map(|gpu| gpu.address).collect();
    let count = rng.pick(&[0, 0, 0, 1, 1, 1, 2, 2]).min(gpus.len() + usize::from(rng.percent(3)));
    let gpus = if rng.percent(25) && count > 0 {
        let mut gpus = gpus;
        rng.shuffle(&mut gpus);
        gpus.truncate(count);
        GpuRequest::Addresses(gpus)
    } else {
        let model = rng.percent(5).then(|| "a".to_owned());
        GpuRequest::Count { count: count as u32, model }
    };
    // Between sets of GPUs the search takes the better path. The score, which is against the
    // default layout with the same GPUs, may favour the worse one: there the two agree only without
    // collectives.
    let choice = host.gpus().len() > 2 && count == 2;
    let quiet = |workload: &Workload| workload.weights().collective == 0;
    let mut workloads = Workload::PRESETS.to_vec();
    workloads.retain(|workload| !choice || quiet(workload));
    let nic = host.pci().devices().iter().find(|device| device.class == NIC);
    let cells = rng.between(1, 2) as u32;
    let base = RequestSpec::new("vm", vcpus, unit.times(rng.pick(&[1, 2, 2, 2, 3, 4, 6])));
    RequestSpec {
        page_size: rng.percent(20).then(|| if rng.percent(85) { unit } else { rng.pick(&sizes) }),
        gpus,
        devices: nic.filter(|_| rng.percent(40)).map(|nic| nic.address).into_iter().collect(),
        workload: rng.pick(&workloads),
        cells: wish(rng, cells.min(vcpus)),
        smt: {
            let shown = rng.percent(50);
            wish(rng, shown)
        },
        peer_to_peer: rng.pick(&[None, Some(true), Some(false)]),
        emulator_pcpus: u32::from(rng.percent(20)),
        io_threads: u32::from(rng.percent(20)),
        policies,
        even_cells: rng.percent(10),
        ..base
    }
}
