//! Memory: amount, page sizes and host nodes.

use std::collections::BTreeMap;

use super::shows_cells;
use crate::emit::xml::Element;
use crate::placement::{MemoryMode, Placement};
use crate::sets::CellSet;

/// `<memory>` and `<currentMemory>`: equal, since the pages of a VM with devices are all in use.
pub fn sizes(placement: &Placement) -> [Element; 2] {
    // Always with the unit: libvirt reads "MB" as decimal.
    ["memory", "currentMemory"]
        .map(|name| Element::new(name).attr("unit", "KiB").text(placement.memory().kib()))
}

/// `<memoryBacking>`, if there are hugepages.
pub fn backing(placement: &Placement) -> Option<Element> {
    let pages = hugepages(placement)?;
    Some(Element::new("memoryBacking").child(pages))
}

/// `<hugepages>`: one `<page>` per page size, with the guest cells that use it if the guest has
/// cells.
fn hugepages(placement: &Placement) -> Option<Element> {
    let mut sizes: BTreeMap<_, CellSet> = BTreeMap::new();
    for cell in placement.cells.iter().filter(|cell| cell.page_size.is_huge()) {
        sizes.entry(cell.page_size).or_default().insert(cell.id);
    }
    let pages = sizes.iter().map(|(size, cells)| {
        let page = Element::new("page").attr("size", size.kib()).attr("unit", "KiB");
        if shows_cells(placement) { page.attr("nodeset", cells) } else { page }
    });
    (!sizes.is_empty()).then(|| Element::new("hugepages").children(pages))
}

/// `<numatune>`: host nodes. Pinning alone is not enough: it takes effect after the memory is
/// allocated.
pub fn tune(placement: &Placement) -> Option<Element> {
    let mode = match placement.memory_mode {
        MemoryMode::Strict => "strict",
        MemoryMode::Interleave => "interleave",
        MemoryMode::Unbound => return None,
    };
    let memory = Element::new("memory").attr("mode", mode).attr("nodeset", placement.nodes());
    let cells = if placement.cells.len() > 1 { placement.cells.as_slice() } else { &[] };
    let nodes = cells.iter().map(|cell| {
        let node = Element::new("memnode").attr("cellid", cell.id).attr("mode", mode);
        node.attr("nodeset", &cell.nodes)
    });
    Some(Element::new("numatune").child(memory).children(nodes))
}
