//! What the guest is shown of CPUs and cells.

use super::super::scenes::{
    cpus, default, floating, nodes, numa_smt, pin, smt, vcpus, without_memory,
};
use super::Sabotage;
use crate::host::CpuVendor;
use crate::placement::{GuestTopology, MemoryMode, Style};
use crate::request::{Guest, Policy, Wish};
use crate::units::{Bytes, CellId, Distance, NodeId};
use crate::verify::Violation::{self, *};

pub(super) fn guest_broken() -> Vec<Sabotage> {
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
            |s| {
                s.placement.memory_mode = MemoryMode::Interleave;
                for (cell, list) in s.placement.cells.iter_mut().zip(["0-2", "3-7"]) {
                    (cell.nodes, cell.vcpus) = (nodes("0-1"), vcpus(list));
                }
            },
            CoreStraddles { core: 1, first: CellId(0), second: CellId(1) },
        ),
        (
            numa_smt,
            |s| s.placement.topology = GuestTopology { sockets: 4, dies: 1, cores: 1, threads: 2 },
            Sockets { found: 4, most: 2 },
        ),
        (numa_smt, |s| s.request.guest = Guest::Windows, Sockets { found: 2, most: 1 }),
        (
            pin,
            |s| s.placement.topology = GuestTopology { sockets: 2, dies: 1, cores: 1, threads: 1 },
            Sockets { found: 2, most: 1 },
        ),
        (
            default,
            |s| s.placement.topology = GuestTopology { sockets: 2, dies: 1, cores: 2, threads: 1 },
            Sockets { found: 2, most: 1 },
        ),
        (pin, |s| s.placement.cells[0].nodes = nodes(""), NoNodes { cell: CellId(0) }),
        (
            pin,
            |s| s.placement.cells[0].nodes = nodes("0,9"),
            NoSuchNode { cell: CellId(0), node: NodeId(9) },
        ),
        (
            pin,
            |s| s.request.nodes = Some(nodes("1,7")),
            NodesExcluded { cell: CellId(0), nodes: nodes("0") },
        ),
        (
            floating,
            |s| s.request.nodes = Some(nodes("0")),
            NodesExcluded { cell: CellId(0), nodes: nodes("1") },
        ),
        (
            numa_smt,
            |s| s.request.policies.one_node = Policy::Require,
            NotOneNode { nodes: nodes("0-1") },
        ),
        (
            without_memory,
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
