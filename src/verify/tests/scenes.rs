//! Clean placements by hand, each with its host, tenants and request.
//!
//! The host is made up. It has two nodes of four cores with two pCPUs each: core n has the pCPUs n
//! and n + 8, core 0 is kept for the host, core 7 is not allowed. A third node has neither. GPUs
//! 13:00.0 and 14:00.0 share a switch on node 0, 81:00.0 is on node 1 beside NIC 82:00.0.

use std::str::FromStr;

use crate::host::pcie::{
    FabricPartition, GpuLink, GpuLinkKind, PciClass, PciDevice, PciId, RootComplex,
};
use crate::host::spec::{CoreSpec, HostSpec, NodeSpec};
use crate::host::{CoreKind, CpuVendor, Host, PagePool};
use crate::placement::{
    Cell, ExpanderBus, GuestFunction, GuestPci, GuestPort, GuestSwitch, GuestTopology, MemoryMode,
    PlacedDevice, Placement, Style,
};
use crate::question::Question;
use crate::request::{GpuRequest, Policy, Request, RequestSpec};
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{Bytes, CellId, Distance, NodeId, PackageId, PageSize, PciAddr, PcpuId};
use crate::usage::{Claim, PageClaim, Usage};
use crate::verify::{Violation, verify};

pub(super) struct Scene {
    pub(super) host: HostSpec,
    pub(super) tenants: Vec<Claim>,
    pub(super) request: RequestSpec,
    pub(super) placement: Placement,
}

impl Scene {
    pub(super) fn host(&self) -> Host {
        self.host.clone().build().unwrap()
    }

    /// The tenants are called "other".
    pub(super) fn usage(&self) -> Usage {
        let host = self.host();
        let mut usage = Usage::empty(&host);
        for claim in &self.tenants {
            usage.claim(&host, "other", claim.clone()).unwrap();
        }
        usage
    }

    pub(super) fn request(&self) -> Request {
        self.request.clone().build().unwrap()
    }

    pub(super) fn verify(&self) -> Result<(), Vec<Violation>> {
        let (host, usage, request) = (self.host(), self.usage(), self.request());
        verify(Question::new(&host, &usage, &request), &self.placement)
            .map_err(|found| found.into_iter().collect())
    }

    /// The other tenant has these pCPUs for itself, and these devices.
    pub(super) fn hold(&mut self, dedicated: &str, devices: &[&str]) {
        let devices = devices.iter().map(|text| address(text)).collect();
        self.tenants = vec![Claim { dedicated: cpus(dedicated), devices, ..Claim::default() }];
    }

    /// The other tenant has pages.
    pub(super) fn hold_pages(&mut self, node: Option<NodeId>, size: PageSize, count: u64) {
        let pages = vec![PageClaim { node, page_size: size, count }];
        self.tenants = vec![Claim { pages, ..Claim::default() }];
    }

    /// A function of the host.
    pub(super) fn device(&mut self, text: &str) -> &mut PciDevice {
        let wanted = address(text);
        self.host.devices.iter_mut().find(|device| device.address == wanted).unwrap()
    }

    /// A function of the host becomes one of this class.
    pub(super) fn class(&mut self, text: &str, class: u32) {
        self.device(text).class = PciClass(class);
    }

    /// Another device in the place of the first one.
    pub(super) fn replace_gpu(&mut self, text: &str) {
        let new = address(text);
        let record = self.host.devices.iter().find(|device| device.address == new);
        self.placement.devices[0].node = record.unwrap().node;
        self.placement.devices[0].address = new;
        self.placement.pci.functions[0].host = new;
    }

    /// No core need be whole: the VM holds these siblings beside its vCPUs.
    pub(super) fn idle(&mut self, idle: &str) {
        self.request.policies.whole_cores = Policy::Ignore;
        self.placement.whole_cores = false;
        self.placement.idle = cpus(idle);
    }
}

pub(super) fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

pub(super) fn nodes(text: &str) -> NodeSet {
    text.parse().unwrap()
}

pub(super) fn vcpus(text: &str) -> VcpuSet {
    text.parse().unwrap()
}

pub(super) fn address(text: &str) -> PciAddr {
    PciAddr::from_str(text).unwrap()
}

fn device(text: &str, class: u32, node: Option<u32>, parent: Option<&str>) -> PciDevice {
    let of_card = matches!(class >> 16, 3 | 4);
    let (vendor, model) = if of_card { (0x10de, 0x2330) } else { (0x1000, 0x0001) };
    PciDevice {
        node: node.map(NodeId),
        parent: parent.map(address),
        ..PciDevice::new(address(text), PciClass(class), PciId(vendor), PciId(model))
    }
}

fn host() -> HostSpec {
    let node = |id: u32, list: &str, gib: u64, distances: [u8; 3]| NodeSpec {
        id: NodeId(id),
        cpus: cpus(list),
        memory: Bytes::from_gib(gib),
        pools: [(PageSize::MIB_2, gib * 64), (PageSize::GIB_1, gib / 4)]
            .map(|(size, total)| PagePool { size, total, free: total })
            .to_vec(),
        distances: distances.map(Distance).to_vec(),
    };
    let core = |number: u32| CoreSpec {
        package: PackageId(number / 4),
        die: 0,
        core: number % 4,
        kind: CoreKind::Performance,
        max_mhz: None,
        pcpus: [number, number + 8].map(PcpuId).into_iter().collect(),
    };
    let group = |group: u32, device: PciDevice| PciDevice { iommu_group: Some(group), ..device };
    let gpu = |device: PciDevice| PciDevice {
        name: Some("NVIDIA H100".to_owned()),
        bars: vec![Bytes::from_gib(64), Bytes::from_mib(32)],
        ..device
    };
    let (bridge, display, audio) = (0x0006_0400, 0x0003_0200, 0x0004_0300);
    let integrated = PciDevice {
        vendor: PciId(0x8086),
        iommu_group: Some(1),
        ..device("00:02.0", 0x0003_0000, Some(0), None)
    };
    let devices = vec![
        integrated,
        group(7, device("00:14.0", 0x000c_0330, Some(0), None)),
        device("10:01.0", bridge, Some(0), None),
        device("11:00.0", bridge, Some(0), Some("10:01.0")),
        device("12:00.0", bridge, Some(0), Some("11:00.0")),
        device("12:01.0", bridge, Some(0), Some("11:00.0")),
        group(2, gpu(device("13:00.0", display, Some(0), Some("12:00.0")))),
        group(2, device("13:00.1", audio, Some(0), Some("12:00.0"))),
        // Not NVIDIA's, so not a part of the card.
        group(2, device("13:00.2", 0x000c_0330, Some(0), Some("12:00.0"))),
        group(3, gpu(device("14:00.0", display, Some(0), Some("12:01.0")))),
        device("80:01.0", bridge, Some(1), None),
        group(4, gpu(device("81:00.0", display, Some(1), Some("80:01.0")))),
        group(4, device("81:00.1", audio, Some(1), Some("80:01.0"))),
        device("80:02.0", bridge, Some(1), None),
        group(5, device("82:00.0", 0x0002_0000, Some(1), Some("80:02.0"))),
        group(6, device("c0:00.0", 0x0001_0802, None, None)),
    ];
    let (a, b) = (address("13:00.0"), address("14:00.0"));
    HostSpec {
        name: "two-nodes".to_owned(),
        cpu_vendor: CpuVendor::Amd,
        // The first node is nearer to the second than the other way round.
        nodes: vec![
            node(0, "0-3,8-11", 64, [10, 20, 30]),
            node(1, "4-7,12-15", 64, [21, 10, 30]),
            node(2, "", 0, [30, 30, 10]),
        ],
        cores: (0..8).map(core).collect(),
        allowed: Some(cpus("0-6,8-14")),
        reserved: cpus("0,8").into(),
        devices,
        gpu_links: vec![GpuLink { a, b, kind: GpuLinkKind::NvLink, count: 18 }],
        fabric_partitions: vec![FabricPartition { id: 1, gpus: vec![a, b] }],
        ..HostSpec::default()
    }
}

/// NVLinks between two GPUs.
pub(super) fn link(a: &str, b: &str) -> GpuLink {
    GpuLink { a: address(a), b: address(b), kind: GpuLinkKind::NvLink, count: 18 }
}

/// An NVSwitch that stays with the host.
pub(super) fn nvswitch(text: &str) -> PciDevice {
    PciDevice { vendor: PciId(0x10de), ..device(text, 0x0006_8000, None, None) }
}

fn cell(id: u32, node: u32, list: &str, gib: u64, distances: &[u8]) -> Cell {
    Cell {
        id: CellId(id),
        nodes: [NodeId(node)].into_iter().collect(),
        vcpus: vcpus(list),
        memory: Bytes::from_gib(gib),
        page_size: PageSize::GIB_1,
        pages: vec![(NodeId(node), gib)],
        distances: distances.iter().copied().map(Distance).collect(),
    }
}

pub(super) fn placed(text: &str, node: u32, functions: &[&str], withheld: &[&str]) -> PlacedDevice {
    PlacedDevice {
        address: address(text),
        is_gpu: true,
        node: Some(NodeId(node)),
        cell: None,
        functions: functions.iter().map(|text| address(text)).collect(),
        withheld: withheld.iter().map(|text| address(text)).collect(),
    }
}

pub(super) fn function(text: &str, port: u32, function: u8) -> GuestFunction {
    GuestFunction { host: address(text), port, function, multifunction: false }
}

pub(super) fn port(index: u32, parent: u32, slot: Option<u8>) -> GuestPort {
    GuestPort { index, parent, slot }
}

pub(super) fn expander(index: u32, cell: u32, bus_nr: u8, root: u8) -> ExpanderBus {
    let root = RootComplex { domain: 0, bus: root };
    ExpanderBus { index, cell: CellId(cell), bus_nr, root }
}

fn placement(style: Style, topology: [u32; 4], pins: &[&str]) -> Placement {
    let [sockets, dies, cores, threads] = topology;
    Placement {
        name: "vm1".to_owned(),
        style,
        dedicated: true,
        memory_mode: MemoryMode::Strict,
        topology: GuestTopology { sockets, dies, cores, threads },
        vcpus: pins.iter().map(|pin| cpus(pin)).collect(),
        idle: CpuSet::new(),
        emulator_own: CpuSet::new(),
        emulator: cpus("0"),
        iothreads: Vec::new(),
        cells: Vec::new(),
        devices: Vec::new(),
        fabric_partition: None,
        pci: GuestPci::default(),
        iommu: false,
        topoext: style.shows_smt(),
        whole_cores: style != Style::Default,
        own_l3: false,
    }
}

fn request(vcpus: u32, gib: u64) -> RequestSpec {
    RequestSpec::new("vm1", vcpus, Bytes::from_gib(gib))
}

/// Two vCPUs on the first pCPUs of two cores of node 0, with a GPU that has sound and a withheld
/// function.
pub(super) fn pin() -> Scene {
    let mut request = request(2, 4);
    request.io_threads = 1;
    request.gpus = GpuRequest::Count { count: 1, model: Some("h100".to_owned()) };
    let mut placement = placement(Style::Pin, [1, 1, 2, 1], &["1", "2"]);
    placement.idle = cpus("9-10");
    placement.iothreads = vec![cpus("9")];
    placement.cells = vec![cell(0, 0, "0-1", 4, &[10])];
    placement.devices = vec![placed("13:00.0", 0, &["13:00.1"], &["13:00.2"])];
    placement.pci = GuestPci {
        switches: Vec::new(),
        expanders: Vec::new(),
        ports: vec![port(1, 0, None)],
        functions: vec![function("13:00.0", 1, 0), function("13:00.1", 1, 1)],
        mmio64_mib: Some(128 << 10),
    };
    placement.pci.functions[0].multifunction = true;
    Scene { host: host(), tenants: Vec::new(), request, placement }
}

/// Like `pin`, with both GPUs of the switch at 11:00.0 below a switch of the guest.
pub(super) fn switched() -> Scene {
    let mut scene = pin();
    scene.request.gpus = GpuRequest::Count { count: 2, model: None };
    scene.placement.devices.push(placed("14:00.0", 0, &[], &[]));
    scene.placement.fabric_partition = Some(1);
    scene.placement.pci = GuestPci {
        expanders: Vec::new(),
        ports: vec![port(1, 0, None), port(3, 2, Some(0)), port(4, 2, Some(1))],
        switches: vec![GuestSwitch { index: 2, port: 1, host: address("11:00.0") }],
        functions: vec![
            function("13:00.0", 3, 0),
            function("13:00.1", 3, 1),
            function("14:00.0", 4, 0),
        ],
        mmio64_mib: Some(256 << 10),
    };
    scene.placement.pci.functions[0].multifunction = true;
    scene
}

/// Two cells of two guest cores with two threads each. Both cells have a GPU, one has a NIC too; an
/// NVMe drive of no known node is on a plain port.
pub(super) fn numa_smt() -> Scene {
    let mut request = request(8, 8);
    request.gpus = GpuRequest::Addresses(vec![address("13:00.0"), address("81:00.0")]);
    request.devices = vec![address("82:00.0"), address("c0:00.0")];
    request.page_size = Some(PageSize::GIB_1);
    request.emulator_pcpus = 1;
    request.io_threads = 1;
    let pins = ["1", "9", "2", "10", "4", "12", "5", "13"];
    let mut placement = placement(Style::PinNumaSmt, [2, 1, 2, 2], &pins);
    placement.emulator_own = cpus("3");
    placement.emulator = cpus("3");
    placement.idle = cpus("11");
    placement.iothreads = vec![cpus("11")];
    placement.cells = vec![cell(0, 0, "0-3", 4, &[10, 21]), cell(1, 1, "4-7", 4, &[21, 10])];
    placement.devices = vec![
        placed("13:00.0", 0, &["13:00.1"], &["13:00.2"]),
        placed("81:00.0", 1, &["81:00.1"], &[]),
        placed("82:00.0", 1, &[], &[]),
        placed("c0:00.0", 0, &[], &[]),
    ];
    let devices = &mut placement.devices;
    (devices[2].is_gpu, devices[3].is_gpu, devices[3].node) = (false, false, None);
    for (device, cell) in devices.iter_mut().zip([0, 1, 1]) {
        device.cell = Some(CellId(cell));
    }
    placement.pci = GuestPci {
        switches: Vec::new(),
        expanders: vec![expander(1, 0, 32, 0x10), expander(2, 1, 64, 0x80)],
        ports: vec![
            port(3, 1, Some(0)),
            port(4, 2, Some(0)),
            port(5, 2, Some(1)),
            port(6, 0, None),
        ],
        functions: vec![
            function("13:00.0", 3, 0),
            function("13:00.1", 3, 1),
            function("81:00.0", 4, 0),
            function("81:00.1", 4, 1),
            function("82:00.0", 5, 0),
            function("c0:00.0", 6, 0),
        ],
        mmio64_mib: Some(256 << 10),
    };
    for at in [0, 2] {
        placement.pci.functions[at].multifunction = true;
    }
    Scene { host: host(), tenants: Vec::new(), request, placement }
}

/// Two guest cores of two threads on one node.
pub(super) fn smt() -> Scene {
    let mut placement = placement(Style::PinSmt, [1, 1, 2, 2], &["4", "12", "6", "14"]);
    placement.cells = vec![cell(0, 1, "0-3", 4, &[10])];
    placement.emulator = cpus("0,8");
    Scene { host: host(), tenants: Vec::new(), request: request(4, 4), placement }
}

/// Everything floats; one GPU.
pub(super) fn default() -> Scene {
    let mut request = request(4, 4);
    request.policies.dedicated_cpus = Policy::Prefer;
    request.gpus = GpuRequest::Count { count: 1, model: None };
    let mut placement = placement(Style::Default, [1, 1, 4, 1], &["", "", "", ""]);
    (placement.dedicated, placement.whole_cores) = (false, false);
    placement.memory_mode = MemoryMode::Unbound;
    placement.emulator = CpuSet::new();
    let mut only = cell(0, 0, "0-3", 4, &[10]);
    (only.nodes, only.pages, only.page_size) = (NodeSet::new(), Vec::new(), PageSize::KIB_4);
    placement.cells = vec![only];
    placement.devices = vec![placed("14:00.0", 0, &[], &[])];
    placement.pci.ports = vec![port(1, 0, None)];
    placement.pci.functions = vec![function("14:00.0", 1, 0)];
    Scene { host: host(), tenants: Vec::new(), request, placement }
}

/// Four vCPUs anywhere on two cores of node 0, memory over both nodes.
pub(super) fn floating() -> Scene {
    let mut request = request(4, 4);
    request.policies.dedicated_cpus = Policy::Prefer;
    let mut placement = placement(Style::Float, [1, 1, 4, 1], &["1-2,9-10"; 4]);
    (placement.dedicated, placement.whole_cores) = (false, false);
    placement.memory_mode = MemoryMode::Interleave;
    placement.cells = vec![cell(0, 0, "0-3", 4, &[10])];
    placement.cells[0].nodes = nodes("0-1");
    placement.cells[0].pages = vec![(NodeId(0), 2), (NodeId(1), 2)];
    Scene { host: host(), tenants: Vec::new(), request, placement }
}

/// Two vCPUs, the first on node 0, whose memory is on node 1, as the request says.
pub(super) fn lent() -> Scene {
    let mut request = request(2, 4);
    request.policies.whole_cores = Policy::Ignore;
    request.memory_nodes = Some(nodes("1"));
    let mut placement = placement(Style::Pin, [1, 1, 2, 1], &["1", "4"]);
    placement.whole_cores = false;
    placement.cells = vec![cell(0, 1, "0-1", 4, &[10])];
    Scene { host: host(), tenants: Vec::new(), request, placement }
}

/// The same, because node 0 has no memory.
pub(super) fn without_memory() -> Scene {
    let mut scene = lent();
    scene.request.memory_nodes = None;
    (scene.host.nodes[0].memory, scene.host.nodes[0].pools) = (Bytes::ZERO, Vec::new());
    scene
}
