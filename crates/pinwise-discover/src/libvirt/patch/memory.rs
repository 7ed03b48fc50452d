//! `<memoryBacking>` and `<numatune>`: the pages of the guest's memory, and the host nodes that
//! they are on.

use roxmltree::Node;

use super::edit::EditedText;
use super::parts::{child, insert, listed};
use super::problem::PatchError;
use crate::libvirt::{values, xml};
use pinwise::emit::libvirt::memory;
use pinwise::emit::xml::Element;
use pinwise::placement::{Cell, MemoryMode, Placement};
use pinwise::sets::{CellSet, NodeSet};
use pinwise::units::{CellId, PageSize};

/// Sets the page size. `default_page` is the size that `<hugepages/>` means on the host, if known.
pub(super) fn backing(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
    default_page: Option<PageSize>,
) -> Result<(), PatchError> {
    let container = child(root, "memoryBacking")?;
    let existing = container.map(|node| child(node, "hugepages")).transpose()?.flatten();
    let size_of = |cell: &Cell| Some(cell.page_size).filter(|size| size.is_huge());
    let same = match existing {
        None => placement.cells.iter().all(|cell| size_of(cell).is_none()),
        Some(node) => {
            names_only(node, placement.cells.len())
                && (placement.cells.iter())
                    .all(|cell| page_of(node, cell.id, default_page) == Some(size_of(cell)))
        }
    };
    if same {
        return Ok(());
    }
    let mut sizes: Vec<String> = Vec::new();
    for cell in &placement.cells {
        let text = match size_of(cell) {
            Some(size) => format!("hugepages of {size}"),
            None => "base pages".to_owned(),
        };
        if !sizes.contains(&text) {
            sizes.push(text);
        }
    }
    let before = match existing {
        None => "base pages".to_owned(),
        Some(node) => pages_text(node),
    };
    let why = match existing {
        None => "hugepages are free: fewer entries of the TLB serve more memory",
        Some(_) => "the placement counts pages of this size",
    };
    source.changed("pages", Some(before), Some(sizes.join(" and ")), why);
    let ours = memory::backing(placement);
    let Some(container) = container else {
        ours.into_iter().for_each(|element| insert(source, root, element));
        return Ok(());
    };
    let ours = ours.map(Element::into_children).unwrap_or_default();
    let others = container.children().filter(|node| node.is_element() || node.is_comment());
    if ours.is_empty() && others.count() == 1 {
        source.remove(container);
    } else {
        source.exchange(container, existing.as_slice(), &ours);
    }
    Ok(())
}

fn pages_text(node: Node<'_, '_>) -> String {
    let mut sizes: Vec<String> = Vec::new();
    for page in node.children().filter(|node| node.has_tag_name("page")) {
        let size = size(page).map_or_else(|| "an unknown size".to_owned(), |s| s.to_string());
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    match sizes.is_empty() {
        true => "hugepages of the host's default size".to_owned(),
        false => format!("hugepages of {}", sizes.join(" and ")),
    }
}

/// Whether the pages name no guest cell that is gone.
fn names_only(hugepages: Node<'_, '_>, cells: usize) -> bool {
    let pages = hugepages.children().filter(|node| node.has_tag_name("page"));
    let mut named = pages.filter(|page| page.attribute("nodeset").is_some());
    named.all(|page| {
        let cells_of: Option<CellSet> = listed(page, "nodeset");
        cells_of.is_some_and(|set| set.iter().all(|cell| (cell.0 as usize) < cells))
    })
}

/// The size of a guest cell's hugepages, which is `None` for base pages; `None` if the size is
/// unknown.
fn page_of(
    hugepages: Node<'_, '_>,
    cell: CellId,
    default_page: Option<PageSize>,
) -> Option<Option<PageSize>> {
    let pages = || hugepages.children().filter(|node| node.has_tag_name("page"));
    if pages().next().is_none() {
        return default_page.map(Some);
    }
    let names = |page: &Node<'_, '_>| {
        listed::<CellId>(*page, "nodeset").is_some_and(|cells| cells.contains(cell))
    };
    let page = pages().find(names);
    let page = page.or_else(|| pages().find(|page| page.attribute("nodeset").is_none()));
    let Some(page) = page else { return Some(None) };
    size(page).map(|size| Some(size).filter(|size| size.is_huge()))
}

fn size(page: Node<'_, '_>) -> Option<PageSize> {
    let value = xml::attribute(page, "size")?;
    let bytes = values::memory(page, &value).ok()?;
    PageSize::from_kib(bytes.kib()).filter(|size| size.bytes() == bytes.0)
}

/// Sets the host nodes. A mode that the domain asks for stays if it holds the memory to the same
/// nodes: `preferred` for cells of one node each, and `restrictive`. On a host of one node, memory
/// that is not bound stays so.
pub(super) fn nodes(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
    one_node: bool,
) -> Result<(), PatchError> {
    let existing = child(root, "numatune")?;
    if one_node && existing.is_none() {
        return Ok(());
    }
    let Some(mut ours) = memory::tune(placement) else {
        if let Some(node) = existing {
            let before = Some(binding_text(node)?);
            source.changed("memory", before, None, "the memory of this layout floats");
            source.remove(node);
        }
        return Ok(());
    };
    let strict = match placement.memory_mode {
        MemoryMode::Interleave => "interleave",
        _ => "strict",
    };
    let kept = match existing {
        Some(node) => mode_of(node)?.filter(|mode| {
            let single = placement.cells.iter().all(|cell| cell.nodes.len() == 1);
            strict == "strict" && (*mode == "restrictive" || (*mode == "preferred" && single))
        }),
        None => None,
    };
    let mode = kept.unwrap_or(strict);
    if existing.map(|node| is_bound(node, placement, mode)).transpose()? == Some(true) {
        return Ok(());
    }
    if mode != strict {
        let nodeset = placement.nodes();
        let memory = Element::new("memory").attr("mode", mode).attr("nodeset", nodeset);
        let cells = if placement.cells.len() > 1 { placement.cells.as_slice() } else { &[] };
        let each = cells.iter().map(|cell| {
            let node = Element::new("memnode").attr("cellid", cell.id).attr("mode", mode);
            node.attr("nodeset", &cell.nodes)
        });
        ours = Element::new("numatune").child(memory).children(each);
    }
    let before = existing.map(binding_text).transpose()?;
    let after = format!("{mode} on node{} {}", plural(&placement.nodes()), placement.nodes());
    let why = match &before {
        Some(before) if before.starts_with("preferred") && mode == strict => {
            "without it the kernel may take memory of other nodes"
        }
        Some(_) => "the memory follows the vCPUs",
        None => "pins alone take effect after the memory is allocated",
    };
    source.changed("memory", before, Some(after), why);
    match existing {
        Some(node) => source.replace(node, &[ours]),
        None => insert(source, root, ours),
    }
    Ok(())
}

fn plural(nodes: &NodeSet) -> &'static str {
    if nodes.len() == 1 { "" } else { "s" }
}

fn binding_text(tune: Node<'_, '_>) -> Result<String, PatchError> {
    let Some(memory) = child(tune, "memory")? else {
        return Ok("bindings of single cells".to_owned());
    };
    let mode = pinwise::shown::shorten(memory.attribute("mode").unwrap_or("strict"), 20);
    Ok(match listed::<pinwise::units::NodeId>(memory, "nodeset") {
        Some(nodes) => format!("{mode} on node{} {nodes}", plural(&nodes)),
        None => format!("{mode}, placed by numad"),
    })
}

/// The mode of the memory and of every cell, if it is the same.
fn mode_of<'a>(tune: Node<'a, '_>) -> Result<Option<&'a str>, PatchError> {
    let mut parts = tune.children().filter(Node::is_element);
    let first = parts.next().map(|node| node.attribute("mode").unwrap_or("strict"));
    let same = parts.all(|node| Some(node.attribute("mode").unwrap_or("strict")) == first);
    Ok(first.filter(|_| same))
}

/// Whether every cell is bound as the placement wants.
fn is_bound(tune: Node<'_, '_>, placement: &Placement, mode: &str) -> Result<bool, PatchError> {
    let says = |node: Node<'_, '_>, nodes: &NodeSet| {
        node.attribute("mode").unwrap_or("strict") == mode
            && node.attribute("placement") != Some("auto")
            && listed(node, "nodeset").as_ref() == Some(nodes)
    };
    let whole = placement.nodes();
    if !child(tune, "memory")?.is_some_and(|node| says(node, &whole)) {
        return Ok(false);
    }
    let mut named = CellSet::new();
    for node in tune.children().filter(|node| node.has_tag_name("memnode")) {
        let id: Option<CellSet> = listed(node, "cellid");
        let id = id.and_then(|set| set.first());
        let cell = placement.cells.iter().find(|cell| Some(cell.id) == id);
        // libvirt's schema wants the mode of a cell to be named.
        let named_mode = node.attribute("mode").is_some();
        let Some(cell) = cell.filter(|cell| named_mode && says(node, &cell.nodes)) else {
            return Ok(false);
        };
        named.insert(cell.id);
    }
    let others = placement.cells.iter().filter(|cell| !named.contains(cell.id));
    Ok(others.into_iter().all(|cell| cell.nodes == whole))
}

/// Whether the `<numa>` of a domain shows just the placement's cells.
pub(super) fn shows(numa: Node<'_, '_>, placement: &Placement) -> Result<bool, PatchError> {
    let cells: Vec<_> = numa.children().filter(|node| node.has_tag_name("cell")).collect();
    if cells.len() != placement.cells.len() {
        return Ok(false);
    }
    for (node, cell) in cells.into_iter().zip(&placement.cells) {
        let id = node.attribute("id").is_none_or(|id| id.trim() == cell.id.to_string());
        let vcpus = listed(node, "cpus").as_ref() == Some(&cell.vcpus);
        let memory = xml::attribute(node, "memory").and_then(|v| values::memory(node, &v).ok());
        if !(id && vcpus && memory == Some(cell.memory)) {
            return Ok(false);
        }
        let distances = child(node, "distances")?;
        let siblings = || distances.into_iter().flat_map(|all| all.children());
        for (other, distance) in placement.cells.iter().zip(&cell.distances) {
            let id = other.id.to_string();
            let mut of = siblings().filter(|s| s.attribute("id").map(str::trim) == Some(&id));
            let told = of.next().and_then(|s| s.attribute("value"));
            let default = if other.id == cell.id { "10" } else { "20" };
            if told.unwrap_or(default).trim() != distance.to_string() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
