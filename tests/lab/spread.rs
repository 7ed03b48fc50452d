//! Placements made by the engine, of every size: made-up hosts of one to eight nodes with unequal
//! pools, and the fixtures, each asked for VMs from two vCPUs to three hundred.

use pinwise::host::{
    CoreSpec, CpuVendor, DeviceKind, NodeSpec, PagePool, PciClass, PciDevice, PciId,
};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::{Distance, NodeId, PackageId, PcpuId};
use pinwise::{
    Bytes, CpuSet, Host, HostSpec, Options, PageSize, PciAddr, Placement, Question, RequestSpec,
    Usage, recommend, verify,
};

use pinwise_testkit::common;
use pinwise_testkit::rng::Rng;

const PAGES: [PageSize; 3] = [PageSize::KIB_4, PageSize::MIB_2, PageSize::GIB_1];

/// A host that nobody has: `nodes` nodes of 24 cores with two threads, a quarter of the cores of
/// every second node reserved; a switch with two GPUs, a NIC and a drive on each node.
pub(crate) fn made_up(nodes: u32, vendor: CpuVendor) -> Host {
    made_up_with(nodes, vendor, devices)
}

/// Such a host with several nodes in each package, and without devices.
pub(crate) fn packages(packages: u32, nodes_in_each: u32, vendor: CpuVendor) -> Host {
    let host = made_up_with(packages * nodes_in_each, vendor, |_| Vec::new());
    let mut host = host.description().clone();
    for (core, number) in host.cores.iter_mut().zip(0..) {
        (core.package, core.core) = (PackageId(core.package.0 / nodes_in_each), number);
    }
    host.build().expect("the host is sound")
}

/// Such a host with other devices on its nodes.
pub(crate) fn made_up_with(
    nodes: u32,
    vendor: CpuVendor,
    devices: impl Fn(u32) -> Vec<PciDevice>,
) -> Host {
    const CORES: u32 = 24;
    let first = |node: u32| node * CORES;
    let all = nodes * CORES;
    let row = |from: u32, count: u32| -> CpuSet { (from..from + count).map(PcpuId).collect() };
    let distance = |from: u32, to: u32| match from.abs_diff(to) {
        0 => Distance::LOCAL,
        1 => Distance(12),
        apart => Distance(u8::try_from(20 + apart).expect("few nodes")),
    };
    let node = |id: u32| NodeSpec {
        id: NodeId(id),
        cpus: row(first(id), CORES).union(&row(all + first(id), CORES)),
        memory: Bytes::from_gib(64),
        pools: [(PageSize::MIB_2, 4096 + 1024 * u64::from(id)), (PageSize::GIB_1, 12)]
            .map(|(size, total)| PagePool { size, total, free: total })
            .to_vec(),
        distances: (0..nodes).map(|to| distance(id, to)).collect(),
    };
    let core = |number: u32| CoreSpec {
        package: PackageId(number / CORES),
        die: 0,
        core: number % CORES,
        kind: pinwise::host::CoreKind::Performance,
        max_mhz: None,
        pcpus: [number, all + number].map(PcpuId).into_iter().collect(),
    };
    let mut reserved = CpuSet::new();
    for id in (0..nodes).step_by(2) {
        reserved.extend(&row(first(id), CORES / 4));
        reserved.extend(&row(all + first(id), CORES / 4));
    }
    HostSpec {
        name: format!("made-up-{nodes}"),
        cpu_vendor: vendor,
        nodes: (0..nodes).map(node).collect(),
        cores: (0..all).map(core).collect(),
        reserved: reserved.into(),
        devices: (0..nodes).flat_map(devices).collect(),
        ..HostSpec::default()
    }
    .build()
    .expect("the host is sound")
}

/// So many NICs on a node, each behind a root port of its own.
pub(crate) fn nics(node: u32, count: u8) -> Vec<PciDevice> {
    let base = u8::try_from(0x10 + 0x18 * node).expect("few nodes");
    let function = |bus: u8, device: u8, class: u32| {
        let address = PciAddr { domain: 0, bus: base + bus, device, function: 0 };
        let new = PciDevice::new(address, PciClass(class), PciId(0x15b3), PciId(0x1021));
        PciDevice { node: Some(NodeId(node)), ..new }
    };
    let pair = |at: u8| {
        let port = function(0, at, 0x0006_0400);
        let nic = function(1 + at, 0, 0x0002_0000);
        [PciDevice { parent: Some(port.address), ..nic }, port]
    };
    (0..count).flat_map(pair).collect()
}

/// A root port, a switch, and four functions below it.
fn devices(node: u32) -> Vec<PciDevice> {
    const BRIDGE: u32 = 0x0006_0400;
    let base = u8::try_from(0x10 + 0x10 * node).expect("few nodes");
    let at = |bus: u8, device: u8| PciAddr { domain: 0, bus: base + bus, device, function: 0 };
    let function = |address: PciAddr, class: u32, parent: Option<PciAddr>| PciDevice {
        node: Some(NodeId(node)),
        parent,
        ..PciDevice::new(address, PciClass(class), PciId(0x10de), PciId(0x2330))
    };
    let mut all =
        vec![function(at(0, 1), BRIDGE, None), function(at(1, 0), BRIDGE, Some(at(0, 1)))];
    let classes = [(3, 0x0003_0200), (4, 0x0003_0200), (5, 0x0002_0000), (6, 0x0001_0802)];
    for ((bus, class), port) in classes.into_iter().zip(0..) {
        all.push(function(at(2, port), BRIDGE, Some(at(1, 0))));
        all.push(function(at(bus, 0), class, Some(at(2, port))));
    }
    for (device, group) in all.iter_mut().filter(|d| d.class.0 != BRIDGE).zip(node * 8..) {
        device.iommu_group = Some(group);
    }
    all
}

/// An answer of the engine that the checker has seen.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) host: Host,
    pub(crate) placement: Placement,
}

/// The best of every style and number of cells that a request gives on a host.
pub(crate) fn answers(host: &Host, request: RequestSpec) -> Vec<Answer> {
    let Ok(request) = request.build() else { return Vec::new() };
    let usage = Usage::empty(host);
    let options = Options { all: true, ..Options::default() };
    let Ok(answer) = recommend(Question::new(host, &usage, &request).with(&options)) else {
        return Vec::new();
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut all = Vec::new();
    for ranked in answer.ranked.iter().chain(&answer.baseline) {
        let placement = &ranked.placement;
        if seen.insert((placement.style, placement.cells.len(), placement.pci.expanders.len())) {
            verify(Question::new(host, &usage, &request), placement).expect("the checker agrees");
            all.push(Answer { host: host.clone(), placement: placement.clone() });
        }
    }
    all
}

/// A VM of any size with devices of the host.
fn any_request(rng: &mut Rng, host: &Host, at: usize) -> RequestSpec {
    let vcpus = *[2, 3, 4, 6, 8, 12, 16, 24, 40, 64, 96, 128].get(at % 16).unwrap_or(&300);
    let nodes = host.nodes().len();
    let gpus = host.gpus().len().min(rng.pick(&[0, 1, 1, 2, 4, 8]));
    let mut others: Vec<PciAddr> = host.pci().devices().iter().map(|d| d.address).collect();
    let wanted = |address: &PciAddr| {
        let device = host.pci().get(*address);
        device.is_some_and(|d| {
            matches!(d.kind(), DeviceKind::Nic | DeviceKind::Nvme)
                && d.node.is_some()
                && d.physical_function.is_none()
        })
    };
    others.retain(wanted);
    rng.shuffle(&mut others);
    others.truncate(rng.pick(&[0, 0, 1, 2, 4, 8]));
    others.sort_unstable();
    let cells = u32::try_from(rng.between(1, nodes.min(8))).expect("few");
    let cells = if rng.percent(60) && cells > 1 { Wish::Require(cells) } else { Wish::Auto };
    // Whole GiB per cell, so that every size of page divides it, and little, so that it fits here
    // too.
    let times = rng.pick(&[1, 1, 1, 2, 4]);
    let gib = (nodes as u64).max(2) * if vcpus > 100 { 1 } else { times };
    let page = rng.pick(&PAGES);
    RequestSpec {
        page_size: Some(page),
        gpus: GpuRequest::Count { count: u32::try_from(gpus).expect("few"), model: None },
        devices: others,
        cells,
        io_threads: u32::try_from(rng.below(3)).expect("few"),
        ..RequestSpec::new("spread", vcpus, Bytes::from_gib(gib))
    }
}

/// The spread: the same on every machine.
pub(crate) fn spread() -> Vec<Answer> {
    let mut hosts: Vec<Host> = (1..=8)
        .map(|nodes| made_up(nodes, if nodes % 2 == 0 { CpuVendor::Intel } else { CpuVendor::Amd }))
        .collect();
    hosts.extend(common::hosts());
    let mut rng = Rng::new(5);
    let mut all = Vec::new();
    // Every number of cells, and every second number of devices.
    let largest = made_up(8, CpuVendor::Intel);
    let mut nics: Vec<PciAddr> = largest.pci().devices().iter().map(|d| d.address).collect();
    nics.retain(|a| largest.pci().get(*a).is_some_and(|d| d.kind() == DeviceKind::Nic));
    for cells in 1..=8_u32 {
        let request = RequestSpec {
            page_size: Some(PAGES[cells as usize % 3]),
            gpus: GpuRequest::Count { count: cells, model: None },
            devices: nics[..cells as usize].to_vec(),
            cells: if cells > 1 { Wish::Require(cells) } else { Wish::Auto },
            ..RequestSpec::new("spread", 7 * cells - 1, Bytes::from_gib(u64::from(cells)))
        };
        let mut some = answers(&largest, request);
        some.retain(|answer| answer.placement.cells.len() == cells as usize);
        some.sort_by_key(|answer| std::cmp::Reverse(answer.placement.pci.expanders.len()));
        some.truncate(2);
        all.extend(some);
    }
    for at in 0..64 {
        let host = &hosts[at % hosts.len()];
        let request = any_request(&mut rng, host, at / 2 + at % 5);
        let mut some = answers(host, request);
        // The best and the most cells; the rest by chance, so that the styles take turns.
        some.sort_by_key(|answer| std::cmp::Reverse(answer.placement.cells.len()));
        let chance = rng.below(some.len().max(1));
        let positions = [0, chance].into_iter().take(1 + usize::from(chance > 0));
        let mut some: Vec<Option<Answer>> = some.into_iter().map(Some).collect();
        all.extend(positions.filter_map(|at| some.get_mut(at).and_then(Option::take)));
    }
    all
}
