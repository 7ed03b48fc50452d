//! Cells' memory, pages and the nodes that they are on.

use super::super::scenes::{default, floating, lent, nodes, numa_smt, pin};
use super::Sabotage;
use crate::placement::{MemoryMode, Style};
use crate::units::{Bytes, CellId, NodeId, PageSize};
use crate::verify::Violation::*;

pub(super) fn memory_broken() -> Vec<Sabotage> {
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
                s.placement.cells[0].page_size = PageSize::MIB_2;
            },
            CellMemory {
                cell: CellId(0),
                memory: Bytes(gib(4).0 + 4096),
                page_size: PageSize::MIB_2,
            },
        ),
        (
            numa_smt,
            |s| {
                let cells = &mut s.placement.cells;
                (cells[0].memory, cells[0].pages[0].1) = (Bytes::from_gib(8), 8);
                (cells[1].memory, cells[1].pages[0].1) = (Bytes::ZERO, 0);
            },
            CellMemory { cell: CellId(1), memory: Bytes::ZERO, page_size: PageSize::GIB_1 },
        ),
        (
            pin,
            |s| s.request.page_size = Some(PageSize::MIB_2),
            CellPageSize { cell: CellId(0), found: PageSize::GIB_1, wanted: PageSize::MIB_2 },
        ),
        (
            pin,
            |s| s.placement.cells[0].pages[0].1 = 5,
            CellPages { cell: CellId(0), pages: 5, page_size: PageSize::GIB_1, memory: gib(4) },
        ),
        (
            pin,
            |s| s.placement.cells[0].pages = vec![(NodeId(0), 3), (NodeId(1), 1)],
            PagesOffNode { cell: CellId(0), node: NodeId(1), pages: 1 },
        ),
        (
            pin,
            |s| s.hold_pages(Some(NodeId(0)), PageSize::GIB_1, 14),
            PagesShort { node: Some(NodeId(0)), page_size: PageSize::GIB_1, needed: 4, free: 2 },
        ),
        // Pages held somewhere may be anywhere.
        (
            pin,
            |s| s.hold_pages(None, PageSize::GIB_1, 30),
            PagesShort { node: None, page_size: PageSize::GIB_1, needed: 4, free: 2 },
        ),
        (
            default,
            |s| {
                s.placement.cells[0].page_size = PageSize::GIB_1;
                s.hold_pages(Some(NodeId(1)), PageSize::GIB_1, 16);
                s.placement.cells[0].memory = Bytes::from_gib(17);
                s.request.memory = Bytes::from_gib(17);
            },
            PagesShort { node: None, page_size: PageSize::GIB_1, needed: 17, free: 16 },
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
            PagesShort { node: Some(NodeId(0)), page_size: PageSize::GIB_1, needed: 8, free: 6 },
        ),
        (
            pin,
            |s| s.placement.cells[0].nodes = nodes("0,2"),
            NoMemory { cell: CellId(0), node: NodeId(2) },
        ),
        (
            lent,
            |s| s.request.memory_nodes = Some(nodes("2")),
            MemoryExcluded { cell: CellId(0), nodes: nodes("1") },
        ),
        // Memory without CPUs is used if the request names it.
        (
            pin,
            |s| {
                s.host.nodes[2].memory = Bytes::from_gib(8);
                s.placement.cells[0].nodes = nodes("0,2");
            },
            MemoryExcluded { cell: CellId(0), nodes: nodes("2") },
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
