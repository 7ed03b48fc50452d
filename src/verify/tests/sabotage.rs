//! One thing broken, exactly that violation; and no kind of violation without such a case.

use std::collections::BTreeSet;

use super::scenes::{
    Scene, address, cpus, default, expander, floating, function, nodes, numa_smt, pin, port, smt,
    vcpus,
};
use crate::host::CpuVendor;
use crate::host::pcie::RootComplex;
use crate::placement::{GuestTopology, MemoryMode, Style};
use crate::request::{GpuRequest, Policy, Wish};
use crate::units::{Bytes, CellId, CoreId, Distance, NodeId, PackageId, PageSize, PcpuId, VcpuId};
use crate::verify::CpuUser::{Emulator, EmulatorOwn, Idle, IoThread, Vcpu};
use crate::verify::Violation::{self, *};

/// Without a wildcard: a new violation does not compile until it is listed here, and then it needs a
/// case in the table.
macro_rules! violations {
    ($($name:ident)*) => {
        const ALL: &[&str] = &[$(stringify!($name)),*];

        fn name(violation: &Violation) -> &'static str {
            match violation {
                $(Violation::$name { .. } => stringify!($name),)*
            }
        }
    };
}

violations! {
    Name VcpuCount IoThreadCount NoPcpus DefaultPins NotOnline NotAllowed Reserved PcpusHeld OffNode
    NotDedicated NotOnePcpu PcpuTwice Crowded VcpusShareCore GuestCoreSplit CoreShared CoreNotWhole
    IdleApart IdleInUse BesideVcpus EmulatorCount EmulatorElsewhere Topology StyleThreads StyleCells
    Smt Topoext Iommu CellCount NoCells CellId CellEmpty CellVcpus CellsOverlap InNoCell
    SocketStraddles NoNodes NoSuchNode NotOneNode DistanceCount Distance MemorySum CellsDiffer StyleMemory
    DefaultBinds CellMemory CellPageSize CellPages PagesOffNode PagesShort NoMemory StrictSpreads
    GpuCount DeviceMissing DeviceUnasked NoSuchDevice NotGpu GpuModel GpuIntegrated DeviceHeld
    DeviceTwice GroupSplit WithheldApart FunctionApart DeviceNode DeviceCell GpuRemote NoCommonSwitch
    NotLinked NotPartition IndexTwice IndexGap ExpanderCell BusNumber BusOverlap BusBeyond PlainPorts
    PortParent PortSlot SlotTwice NoSuchPort FunctionNumber FunctionTwice NoFunctionZero
    Multifunction NotShown ShownUnplaced ShownTwice CardSplit CardsShare DeviceBus DeviceRoot
    MmioWindow
}

type Sabotage = (fn() -> Scene, fn(&mut Scene), Violation);

#[test]
fn one_thing_broken_is_exactly_that_violation() {
    for (scene, sabotage, expected) in table() {
        let mut scene = scene();
        sabotage(&mut scene);
        assert_eq!(scene.verify(), Err(vec![expected]));
    }
}

#[test]
fn every_violation_has_its_sabotage() {
    let table = table();
    let seen: BTreeSet<_> = table.iter().map(|(_, _, expected)| name(expected)).collect();
    let missing: Vec<_> = ALL.iter().filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

pub(super) fn table() -> Vec<Sabotage> {
    let mut table = cpus_broken();
    table.extend(guest_broken());
    table.extend(memory_broken());
    table.extend(devices_broken());
    table.extend(policies_broken());
    table.extend(controllers_broken());
    table.extend(plugged_in_wrong());
    table
}

fn core(package: u32, core: u32) -> CoreId {
    CoreId { package: PackageId(package), die: 0, core }
}

fn vcpu(number: u32) -> VcpuId {
    VcpuId(number)
}

fn other() -> String {
    "other".to_owned()
}

fn cpus_broken() -> Vec<Sabotage> {
    vec![
        (pin, |s| s.placement.name = other(), Name { found: other(), wanted: "vm1".to_owned() }),
        (default, |s| s.placement.vcpus.push(cpus("")), VcpuCount { found: 5, wanted: 4 }),
        (pin, |s| s.placement.iothreads.clear(), IoThreadCount { found: 0, wanted: 1 }),
        (pin, |s| s.placement.emulator = cpus(""), NoPcpus { user: Emulator }),
        (pin, |s| s.placement.iothreads[0] = cpus(""), NoPcpus { user: IoThread(0) }),
        (floating, |s| s.placement.vcpus[3] = cpus(""), NoPcpus { user: Vcpu(vcpu(3)) }),
        (
            default,
            |s| s.placement.emulator = cpus("0"),
            DefaultPins { user: Emulator, pcpus: cpus("0") },
        ),
        (
            default,
            |s| s.placement.vcpus[1] = cpus("5"),
            DefaultPins { user: Vcpu(vcpu(1)), pcpus: cpus("5") },
        ),
        (
            pin,
            |s| s.placement.iothreads[0] = cpus("9,99"),
            NotOnline { user: IoThread(0), pcpus: cpus("99") },
        ),
        (
            floating,
            |s| s.placement.vcpus[0] = cpus("1,16383"),
            NotOnline { user: Vcpu(vcpu(0)), pcpus: cpus("16383") },
        ),
        (
            pin,
            |s| s.placement.emulator = cpus("0,7"),
            NotAllowed { user: Emulator, pcpus: cpus("7") },
        ),
        (
            smt,
            |s| {
                s.placement.vcpus[2] = cpus("7");
                s.placement.vcpus[3] = cpus("5");
                s.placement.topology = GuestTopology { sockets: 1, dies: 1, cores: 4, threads: 1 };
                s.placement.style = Style::Pin;
                s.placement.topoext = false;
                s.placement.vcpus[1] = cpus("6");
                s.idle("12,13,14");
            },
            NotAllowed { user: Vcpu(vcpu(2)), pcpus: cpus("7") },
        ),
        (
            pin,
            |s| {
                s.placement.vcpus[0] = cpus("8");
                s.idle("10");
            },
            Reserved { user: Vcpu(vcpu(0)), pcpus: cpus("8") },
        ),
        // Where no pCPU is reserved, the first core is the host's.
        (
            pin,
            |s| {
                s.host.reserved = cpus("");
                s.placement.vcpus[0] = cpus("8");
                s.idle("10");
            },
            Reserved { user: Vcpu(vcpu(0)), pcpus: cpus("8") },
        ),
        (
            numa_smt,
            |s| {
                s.placement.emulator_own = cpus("0");
                s.placement.emulator = cpus("0");
                s.idle("");
            },
            Reserved { user: EmulatorOwn, pcpus: cpus("0") },
        ),
        (
            pin,
            |s| {
                s.hold("3", &[]);
                s.placement.emulator = cpus("3,8");
            },
            PcpusHeld { user: Emulator, pcpus: cpus("3"), holder: other() },
        ),
        (
            pin,
            |s| s.hold("1", &[]),
            PcpusHeld { user: Vcpu(vcpu(0)), pcpus: cpus("1"), holder: other() },
        ),
        (pin, |s| s.hold("10", &[]), PcpusHeld { user: Idle, pcpus: cpus("10"), holder: other() }),
        (
            pin,
            |s| {
                s.placement.vcpus[0] = cpus("4");
                s.idle("10");
            },
            OffNode { vcpu: vcpu(0), cell: CellId(0), pcpus: cpus("4") },
        ),
        (floating, |s| s.request.policies.dedicated_cpus = Policy::Require, NotDedicated),
        (
            pin,
            |s| {
                s.placement.vcpus[0] = cpus("1,9");
                s.placement.idle = cpus("10");
                s.placement.iothreads[0] = cpus("10");
            },
            NotOnePcpu { vcpu: vcpu(0), pcpus: cpus("1,9") },
        ),
        (
            pin,
            |s| {
                s.placement.vcpus[0] = cpus("1,3");
                s.placement.idle = cpus("9-11");
            },
            NotOnePcpu { vcpu: vcpu(0), pcpus: cpus("1,3") },
        ),
        (
            pin,
            |s| {
                s.placement.vcpus[1] = cpus("1");
                s.placement.idle = cpus("9");
            },
            PcpuTwice { pcpu: PcpuId(1), first: vcpu(0), second: vcpu(1) },
        ),
        (
            floating,
            |s| {
                s.placement.vcpus = vec![cpus("1-2,9"); 4];
                s.placement.idle = cpus("10");
            },
            Crowded { vcpus: 4, pcpus: cpus("1-2,9") },
        ),
        (
            floating,
            |s| {
                s.placement.vcpus = vec![cpus("1"), cpus("1"), cpus("2,9"), cpus("2,9-10")];
            },
            Crowded { vcpus: 2, pcpus: cpus("1") },
        ),
        (
            pin,
            |s| {
                s.placement.vcpus[1] = cpus("9");
                s.placement.idle = cpus("");
                s.placement.iothreads[0] = cpus("8");
            },
            VcpusShareCore { core: core(0, 1), first: vcpu(0), second: vcpu(1) },
        ),
        (
            numa_smt,
            |s| {
                s.placement.vcpus[1] = cpus("11");
                s.placement.iothreads[0] = cpus("9");
                s.idle("9");
            },
            GuestCoreSplit { vcpu: vcpu(1), core: core(0, 1), other: core(0, 3) },
        ),
        (
            pin,
            |s| {
                s.hold("9", &[]);
                s.placement.idle = cpus("10");
                s.placement.iothreads[0] = cpus("10");
            },
            CoreShared { core: core(0, 1), pcpus: cpus("9"), holder: other() },
        ),
        (
            pin,
            |s| s.placement.idle = cpus("10"),
            CoreNotWhole { core: core(0, 1), pcpus: cpus("9") },
        ),
        (
            numa_smt,
            |s| s.placement.idle = cpus(""),
            CoreNotWhole { core: core(0, 3), pcpus: cpus("11") },
        ),
        (pin, |s| s.placement.idle = cpus("3,9-11"), IdleApart { pcpus: cpus("3,11") }),
        (numa_smt, |s| s.placement.idle = cpus("3,11"), IdleInUse { pcpus: cpus("3") }),
        (
            pin,
            |s| s.placement.iothreads[0] = cpus("1,9"),
            BesideVcpus { user: IoThread(0), pcpus: cpus("1") },
        ),
        (pin, |s| s.placement.idle = cpus("1,9-10"), BesideVcpus { user: Idle, pcpus: cpus("1") }),
        (numa_smt, |s| s.request.emulator_pcpus = 2, EmulatorCount { found: 1, wanted: 2 }),
        (numa_smt, |s| s.placement.emulator = cpus("0,3"), EmulatorElsewhere { pcpus: cpus("0") }),
    ]
}

fn guest_broken() -> Vec<Sabotage> {
    vec![
        (
            pin,
            |s| s.placement.topology.cores = 3,
            Topology {
                topology: GuestTopology { sockets: 1, dies: 1, cores: 3, threads: 1 },
                vcpus: 2,
            },
        ),
        (
            pin,
            |s| {
                s.placement.topology =
                    GuestTopology { sockets: 2, dies: 1 << 31, cores: 1, threads: 1 }
            },
            Topology {
                topology: GuestTopology { sockets: 2, dies: 1 << 31, cores: 1, threads: 1 },
                vcpus: 2,
            },
        ),
        (
            pin,
            |s| s.placement.style = Style::PinSmt,
            StyleThreads { style: Style::PinSmt, threads: 1 },
        ),
        (smt, |s| s.placement.style = Style::Pin, StyleThreads { style: Style::Pin, threads: 2 }),
        (
            pin,
            |s| s.placement.style = Style::PinNuma,
            StyleCells { style: Style::PinNuma, cells: 1 },
        ),
        (
            numa_smt,
            |s| s.placement.style = Style::PinSmt,
            StyleCells { style: Style::PinSmt, cells: 2 },
        ),
        (pin, |s| s.request.smt = Wish::Require(true), Smt { threads: 1, wanted: true }),
        (smt, |s| s.request.smt = Wish::Require(false), Smt { threads: 2, wanted: false }),
        (
            pin,
            |s| s.placement.topoext = true,
            Topoext { found: true, threads: 1, vendor: CpuVendor::Amd },
        ),
        (
            smt,
            |s| s.placement.topoext = false,
            Topoext { found: false, threads: 2, vendor: CpuVendor::Amd },
        ),
        (
            smt,
            |s| s.host.cpu_vendor = CpuVendor::Intel,
            Topoext { found: true, threads: 2, vendor: CpuVendor::Intel },
        ),
        (pin, |s| s.placement.iommu = true, Iommu { found: true, vcpus: 2 }),
        (
            default,
            |s| {
                s.request.vcpus = 256;
                s.placement.vcpus = vec![cpus(""); 256];
                s.placement.cells[0].vcpus = vcpus("0-255");
                s.placement.topology.cores = 256;
            },
            Iommu { found: false, vcpus: 256 },
        ),
        (pin, |s| s.request.cells = Wish::Require(2), CellCount { found: 1, wanted: 2 }),
        (default, |s| s.placement.cells.clear(), NoCells),
        (
            pin,
            |s| s.placement.cells[0].id = CellId(1),
            Violation::CellId { position: 0, found: CellId(1) },
        ),
        (
            numa_smt,
            |s| {
                let cells = &mut s.placement.cells;
                cells.push(cells[0].clone());
                (cells[2].id, cells[2].vcpus) = (CellId(2), vcpus(""));
                for (at, gib) in [(0, 3), (2, 1)] {
                    cells[at].memory = Bytes::from_gib(gib);
                    cells[at].pages[0].1 = gib;
                }
                for (cell, row) in cells.iter_mut().zip([[10, 21, 11], [21, 10, 21], [11, 21, 10]])
                {
                    cell.distances = row.map(Distance).to_vec();
                }
            },
            CellEmpty { cell: CellId(2) },
        ),
        (
            pin,
            |s| s.placement.cells[0].vcpus = vcpus("0-1,9"),
            CellVcpus { cell: CellId(0), vcpus: vcpus("9") },
        ),
        (
            numa_smt,
            |s| {
                s.placement.memory_mode = MemoryMode::Interleave;
                for cell in &mut s.placement.cells {
                    cell.nodes = nodes("0-1");
                }
                s.placement.cells[1].vcpus = vcpus("0,4-7");
            },
            CellsOverlap { first: CellId(0), second: CellId(1), vcpus: vcpus("0") },
        ),
        (pin, |s| s.placement.cells[0].vcpus = vcpus("0"), InNoCell { vcpus: vcpus("1") }),
        (
            numa_smt,
            |s| s.placement.topology = GuestTopology { sockets: 1, dies: 2, cores: 2, threads: 2 },
            SocketStraddles { socket: 0, first: CellId(0), second: CellId(1) },
        ),
        (pin, |s| s.placement.cells[0].nodes = nodes(""), NoNodes { cell: CellId(0) }),
        (
            pin,
            |s| s.placement.cells[0].nodes = nodes("0,9"),
            NoSuchNode { cell: CellId(0), node: NodeId(9) },
        ),
        (
            numa_smt,
            |s| s.request.policies.one_node = Policy::Require,
            NotOneNode { nodes: nodes("0-1") },
        ),
        (
            pin,
            |s| s.placement.cells[0].distances.push(Distance(20)),
            DistanceCount { cell: CellId(0), found: 2, wanted: 1 },
        ),
        (
            numa_smt,
            |s| s.placement.cells[0].distances[1] = Distance(20),
            Violation::Distance {
                from: CellId(0),
                to: CellId(1),
                found: Distance(20),
                wanted: Distance(21),
            },
        ),
        (
            pin,
            |s| s.placement.cells[0].distances[0] = Distance(11),
            Violation::Distance {
                from: CellId(0),
                to: CellId(0),
                found: Distance(11),
                wanted: Distance(10),
            },
        ),
    ]
}

fn memory_broken() -> Vec<Sabotage> {
    let gib = Bytes::from_gib;
    vec![
        (
            pin,
            |s| s.request.memory = Bytes::from_gib(5),
            MemorySum { found: gib(4), wanted: gib(5) },
        ),
        (
            numa_smt,
            |s| {
                s.request.even_cells = true;
                for (cell, count) in s.placement.cells.iter_mut().zip([5, 3]) {
                    cell.memory = Bytes::from_gib(count);
                    cell.pages[0].1 = count;
                }
            },
            CellsDiffer { cell: CellId(1), found: 4, memory: gib(3) },
        ),
        (
            pin,
            |s| s.placement.memory_mode = MemoryMode::Unbound,
            StyleMemory { style: Style::Pin, mode: MemoryMode::Unbound },
        ),
        (
            default,
            |s| s.placement.memory_mode = MemoryMode::Interleave,
            StyleMemory { style: Style::Default, mode: MemoryMode::Interleave },
        ),
        (default, |s| s.placement.cells[0].nodes = nodes("0"), DefaultBinds { cell: CellId(0) }),
        (
            default,
            |s| {
                let memory = Bytes(Bytes::from_gib(4).0 + 4096);
                s.request.memory = memory;
                s.placement.cells[0].memory = memory;
                s.placement.cells[0].page = PageSize::MIB_2;
            },
            CellMemory { cell: CellId(0), memory: Bytes(gib(4).0 + 4096), page: PageSize::MIB_2 },
        ),
        (
            numa_smt,
            |s| {
                let cells = &mut s.placement.cells;
                (cells[0].memory, cells[0].pages[0].1) = (Bytes::from_gib(8), 8);
                (cells[1].memory, cells[1].pages[0].1) = (Bytes::ZERO, 0);
            },
            CellMemory { cell: CellId(1), memory: Bytes::ZERO, page: PageSize::GIB_1 },
        ),
        (
            pin,
            |s| s.request.page_size = Some(PageSize::MIB_2),
            CellPageSize { cell: CellId(0), found: PageSize::GIB_1, wanted: PageSize::MIB_2 },
        ),
        (
            pin,
            |s| s.placement.cells[0].pages[0].1 = 5,
            CellPages { cell: CellId(0), pages: 5, page: PageSize::GIB_1, memory: gib(4) },
        ),
        (
            pin,
            |s| s.placement.cells[0].pages = vec![(NodeId(0), 3), (NodeId(1), 1)],
            PagesOffNode { cell: CellId(0), node: NodeId(1), pages: 1 },
        ),
        (
            pin,
            |s| s.hold_pages(Some(NodeId(0)), PageSize::GIB_1, 14),
            PagesShort { node: Some(NodeId(0)), page: PageSize::GIB_1, needed: 4, free: 2 },
        ),
        // Pages held somewhere may be anywhere.
        (
            pin,
            |s| s.hold_pages(None, PageSize::GIB_1, 30),
            PagesShort { node: None, page: PageSize::GIB_1, needed: 4, free: 2 },
        ),
        (
            default,
            |s| {
                s.placement.cells[0].page = PageSize::GIB_1;
                s.hold_pages(Some(NodeId(1)), PageSize::GIB_1, 16);
                s.placement.cells[0].memory = Bytes::from_gib(17);
                s.request.memory = Bytes::from_gib(17);
            },
            PagesShort { node: None, page: PageSize::GIB_1, needed: 17, free: 16 },
        ),
        // Each of two cells alone would fit.
        (
            numa_smt,
            |s| {
                s.placement.memory_mode = MemoryMode::Interleave;
                s.placement.cells[1].nodes = nodes("0-1");
                s.placement.cells[1].pages = vec![(NodeId(0), 4)];
                s.hold_pages(Some(NodeId(0)), PageSize::GIB_1, 10);
            },
            PagesShort { node: Some(NodeId(0)), page: PageSize::GIB_1, needed: 8, free: 6 },
        ),
        (
            pin,
            |s| s.placement.cells[0].nodes = nodes("0,2"),
            NoMemory { cell: CellId(0), node: NodeId(2) },
        ),
        (
            floating,
            |s| s.placement.cells[0].nodes = nodes("0-2"),
            NoMemory { cell: CellId(0), node: NodeId(2) },
        ),
        (
            numa_smt,
            |s| s.placement.cells[0].nodes = nodes("0-1"),
            StrictSpreads { cell: CellId(0), nodes: nodes("0-1") },
        ),
    ]
}

fn devices_broken() -> Vec<Sabotage> {
    let (gpu, nic) = (address("13:00.0"), address("82:00.0"));
    vec![
        (
            pin,
            |s| s.request.gpus = GpuRequest::Count { count: 2, model: None },
            GpuCount { found: 1, wanted: 2 },
        ),
        (
            pin,
            |s| s.request.devices = vec![address("82:00.0")],
            DeviceMissing { address: nic, as_gpu: false },
        ),
        (
            numa_smt,
            |s| {
                let three = ["13:00.0", "14:00.0", "81:00.0"].map(address);
                s.request.gpus = GpuRequest::Addresses(three.to_vec());
            },
            DeviceMissing { address: address("14:00.0"), as_gpu: true },
        ),
        (
            numa_smt,
            |s| s.request.devices = vec![address("c0:00.0")],
            DeviceUnasked { address: nic, as_gpu: false },
        ),
        (
            numa_smt,
            |s| s.request.gpus = GpuRequest::Addresses(vec![address("81:00.0")]),
            DeviceUnasked { address: gpu, as_gpu: true },
        ),
        (
            pin,
            |s| s.placement.devices[0].withheld.push(address("99:00.0")),
            NoSuchDevice { address: address("99:00.0") },
        ),
        (default, |s| s.replace_gpu("82:00.0"), NotGpu { address: nic }),
        (
            pin,
            |s| s.request.gpus = GpuRequest::Count { count: 1, model: Some("A100".to_owned()) },
            GpuModel { address: gpu, model: "NVIDIA H100".to_owned(), wanted: "A100".to_owned() },
        ),
        (default, |s| s.replace_gpu("00:02.0"), GpuIntegrated { address: address("00:02.0") }),
        (
            default,
            |s| s.hold("", &["14:00.0"]),
            DeviceHeld { address: address("14:00.0"), holder: other() },
        ),
        (
            pin,
            |s| s.hold("", &["13:00.2"]),
            DeviceHeld { address: address("13:00.2"), holder: other() },
        ),
        (
            pin,
            |s| s.placement.devices[0].withheld.push(address("13:00.2")),
            DeviceTwice { address: address("13:00.2") },
        ),
        (
            pin,
            |s| s.placement.devices[0].withheld.clear(),
            GroupSplit { address: gpu, missing: address("13:00.2") },
        ),
        (
            pin,
            |s| s.placement.devices[0].withheld.push(address("82:00.0")),
            WithheldApart { address: gpu, withheld: nic },
        ),
        (
            pin,
            |s| {
                s.placement.devices[0].functions.push(address("82:00.0"));
                s.placement.pci.functions.push(function("82:00.0", 1, 2));
            },
            FunctionApart { address: gpu, function: nic },
        ),
        (
            pin,
            |s| s.placement.devices[0].node = None,
            DeviceNode { address: gpu, found: None, wanted: Some(NodeId(0)) },
        ),
        (
            numa_smt,
            |s| {
                s.placement.devices[0].cell = Some(CellId(1));
                s.placement.pci.expanders[0].cell = CellId(1);
            },
            DeviceCell { address: gpu, found: Some(CellId(1)), wanted: Some(CellId(0)) },
        ),
        // On a plain port although there is an expander bus for its node.
        (
            numa_smt,
            |s| {
                s.placement.devices[2].cell = None;
                s.placement.pci.ports[2] = port(5, 0, None);
            },
            DeviceCell { address: nic, found: None, wanted: Some(CellId(1)) },
        ),
        // There is but one cell.
        (
            pin,
            |s| {
                s.placement.devices[0].cell = Some(CellId(0));
                s.placement.pci.expanders.push(expander(2, 0, 32, 0x10));
                s.placement.pci.ports[0] = port(1, 2, Some(0));
            },
            DeviceCell { address: gpu, found: Some(CellId(0)), wanted: None },
        ),
        // Its node is not known.
        (
            numa_smt,
            |s| {
                s.placement.devices[3].cell = Some(CellId(1));
                s.placement.pci.expanders.push(expander(7, 1, 128, 0xc0));
                s.placement.pci.ports[3] = port(6, 7, Some(0));
            },
            DeviceCell { address: address("c0:00.0"), found: Some(CellId(1)), wanted: None },
        ),
    ]
}

fn policies_broken() -> Vec<Sabotage> {
    let (first, second) = (address("13:00.0"), address("81:00.0"));
    vec![
        (
            pin,
            |s| {
                s.request.policies.gpu_locality = Policy::Require;
                s.request.gpus = GpuRequest::Addresses(vec![address("81:00.0")]);
                s.placement.devices = vec![super::scenes::placed("81:00.0", 1, &["81:00.1"], &[])];
                s.placement.pci.functions[0].host = address("81:00.0");
                s.placement.pci.functions[1].host = address("81:00.1");
            },
            GpuRemote { address: address("81:00.0"), node: Some(NodeId(1)), nodes: nodes("0") },
        ),
        (
            numa_smt,
            |s| s.request.policies.same_switch = Policy::Require,
            NoCommonSwitch { first, second },
        ),
        (
            numa_smt,
            |s| s.request.policies.linked_gpus = Policy::Require,
            NotLinked { first, second },
        ),
        (
            pin,
            |s| s.request.policies.fabric_partition = Policy::Require,
            NotPartition { gpus: vec![first] },
        ),
    ]
}

fn controllers_broken() -> Vec<Sabotage> {
    vec![
        (pin, |s| s.placement.pci.ports.push(port(1, 0, None)), IndexTwice { index: 1 }),
        (
            pin,
            |s| {
                s.placement.pci.ports[0].index = 5;
                s.placement.pci.functions[0].port = 5;
                s.placement.pci.functions[1].port = 5;
            },
            IndexGap { index: 5, count: 1 },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders.push(expander(7, 9, 200, 0)),
            ExpanderCell { index: 7, cell: CellId(9) },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders.push(expander(7, 0, 255, 0)),
            BusNumber { index: 7, bus_nr: 255 },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders[1].bus_nr = 33,
            BusOverlap { index: 2, bus_nr: 33, taken: 33 },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders[1].bus_nr = 254,
            BusBeyond { index: 2, last: 256 },
        ),
        (numa_smt, |s| s.placement.pci.expanders[0].bus_nr = 9, PlainPorts { found: 1, room: 0 }),
        (numa_smt, |s| s.placement.pci.ports[0].parent = 99, PortParent { port: 3, parent: 99 }),
        (numa_smt, |s| s.placement.pci.ports[3].parent = 99, PortParent { port: 6, parent: 99 }),
        (numa_smt, |s| s.placement.pci.ports[0].slot = None, PortSlot { port: 3, slot: None }),
        (
            numa_smt,
            |s| s.placement.pci.ports[0].slot = Some(32),
            PortSlot { port: 3, slot: Some(32) },
        ),
        (numa_smt, |s| s.placement.pci.ports[2].slot = Some(0), SlotTwice { parent: 2, slot: 0 }),
    ]
}

fn plugged_in_wrong() -> Vec<Sabotage> {
    let (gpu, sound) = (address("13:00.0"), address("13:00.1"));
    vec![
        (
            numa_smt,
            |s| {
                s.placement.pci.functions[1].port = 9;
                s.placement.pci.functions[0].multifunction = false;
            },
            NoSuchPort { host: sound, port: 9 },
        ),
        (
            pin,
            |s| {
                s.placement.pci.functions[1].port = 9;
                s.placement.pci.functions[0].multifunction = false;
            },
            NoSuchPort { host: sound, port: 9 },
        ),
        (
            pin,
            |s| s.placement.pci.functions[1].function = 8,
            FunctionNumber { host: sound, function: 8 },
        ),
        (
            pin,
            |s| {
                s.placement.pci.functions[1].function = 0;
                s.placement.pci.functions[1].multifunction = true;
            },
            FunctionTwice { port: 1, function: 0 },
        ),
        (default, |s| s.placement.pci.functions[0].function = 1, NoFunctionZero { port: 1 }),
        (default, |s| s.placement.pci.ports.push(port(2, 0, None)), NoFunctionZero { port: 2 }),
        (
            pin,
            |s| s.placement.pci.functions[0].multifunction = false,
            Multifunction { host: gpu, found: false },
        ),
        (
            pin,
            |s| s.placement.pci.functions[1].multifunction = true,
            Multifunction { host: sound, found: true },
        ),
        (
            pin,
            |s| {
                s.placement.pci.functions.pop();
                s.placement.pci.functions[0].multifunction = false;
            },
            NotShown { host: sound },
        ),
        (
            pin,
            |s| s.placement.pci.functions.push(function("13:00.2", 1, 2)),
            ShownUnplaced { host: address("13:00.2") },
        ),
        (
            pin,
            |s| s.placement.pci.functions.push(function("13:00.1", 1, 2)),
            ShownTwice { host: sound },
        ),
        (
            pin,
            |s| {
                s.placement.pci.ports.push(port(2, 0, None));
                s.placement.pci.functions[0].multifunction = false;
                s.placement.pci.functions[1] = function("13:00.1", 2, 0);
            },
            CardSplit { address: gpu, function: sound, port: 2, other: 1 },
        ),
        (
            numa_smt,
            |s| {
                s.placement.pci.ports.remove(2);
                s.placement.pci.ports[2].index = 5;
                s.placement.pci.functions[4] = function("82:00.0", 4, 2);
                s.placement.pci.functions[5].port = 5;
            },
            CardsShare { port: 4, first: address("81:00.0"), second: address("82:00.0") },
        ),
        (
            numa_smt,
            |s| s.placement.pci.ports[0] = port(3, 2, Some(5)),
            DeviceBus { address: gpu, found: Some(CellId(1)), wanted: Some(CellId(0)) },
        ),
        (
            numa_smt,
            |s| s.placement.pci.ports[2] = port(5, 0, None),
            DeviceBus { address: address("82:00.0"), found: None, wanted: Some(CellId(1)) },
        ),
        (
            numa_smt,
            |s| s.placement.pci.ports[0] = port(3, 0, None),
            DeviceBus { address: gpu, found: None, wanted: Some(CellId(0)) },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders[0].root.bus = 0x99,
            DeviceRoot {
                address: gpu,
                index: 1,
                found: RootComplex { domain: 0, bus: 0x99 },
                wanted: RootComplex { domain: 0, bus: 0x10 },
            },
        ),
        (
            pin,
            |s| s.placement.pci.mmio64_mib = Some(64 << 10),
            MmioWindow { found: 64 << 10, needed: (64 << 10) + 32 },
        ),
        (
            pin,
            |s| s.placement.pci.mmio64_mib = Some(100_000),
            MmioWindow { found: 100_000, needed: (64 << 10) + 32 },
        ),
    ]
}
