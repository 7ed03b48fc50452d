//! The memory of a domain: its amount, page sizes and host nodes.

use std::collections::BTreeMap;

use crate::libvirt::note::LibvirtNote;
use crate::libvirt::problem::LibvirtError;
use crate::libvirt::values::{decimal, list, memory};
use crate::libvirt::xml::{
    XmlNode, XmlValue, attribute, child, children, descend, missing, required, text, twice,
};
use crate::notes::Notes;
use pinwise::host::Host;
use pinwise::sets::{CellSet, NodeSet};
use pinwise::units::{Bytes, CellId, Id as _, NodeId, PageSize};
use pinwise::usage::PageClaim;

/// A part of the guest's memory: a guest cell, or a memory module.
pub(in crate::libvirt) struct GuestMemory {
    /// The guest cell; 0 if the guest has no cells.
    pub(in crate::libvirt) cell: CellId,
    pub(in crate::libvirt) memory: Bytes,
    /// The page size and nodes that a memory module names for itself.
    page: Option<PageSize>,
    nodes: Option<Binding>,
}

/// The host nodes that memory may be on.
#[derive(Clone, Default)]
pub(crate) struct Binding {
    /// The nodes; empty for any node.
    pub(crate) nodes: NodeSet,
    /// Whether the memory may also be on other nodes.
    pub(crate) preferred: bool,
    /// Whether the pages are spread over the nodes one by one.
    pub(crate) interleaved: bool,
}

pub(super) fn read(
    root: XmlNode<'_>,
    host: &Host,
    placed_by_numad: bool,
    notes: &mut Notes,
) -> Result<Vec<PageClaim>, LibvirtError> {
    let cells = cells(root)?;
    let ids: CellSet = cells.iter().map(|part| part.cell).collect();
    let pages = hugepages(root, host, &ids, notes)?;
    let (all, by_cell) = bindings(root, host, &ids, placed_by_numad, notes)?;
    let modules = modules(root, host, &ids)?;
    let base = base_page(host);
    let mut counts: BTreeMap<(Option<NodeId>, PageSize), u64> = BTreeMap::new();
    for part in cells.into_iter().chain(modules) {
        let page = part.page.or_else(|| pages.by_cell.get(&part.cell).copied());
        let page = page.or(pages.all).unwrap_or(base);
        let count = part.memory.0.div_ceil(page.bytes());
        if page.is_huge() && page.pages_in(part.memory).is_none() {
            let GuestMemory { cell, memory, .. } = part;
            notes.add(LibvirtNote::PartPages { cell, memory, count, page_size: page });
        }
        let binding = part.nodes.as_ref().or_else(|| by_cell.get(&part.cell)).unwrap_or(&all);
        if binding.nodes.len() > 1 {
            let (cell, nodes) = (part.cell, binding.nodes.clone());
            notes.add(LibvirtNote::OnSeveralNodes { cell, nodes });
        }
        spread(count, page, binding, host, &mut counts);
    }
    let claims = counts.into_iter().filter(|(_, count)| *count > 0);
    Ok(claims.map(|((node, size), count)| PageClaim { node, page_size: size, count }).collect())
}

/// The size of the host's base pages; a kernel has one.
fn base_page(host: &Host) -> PageSize {
    let sizes = host.nodes().iter().flat_map(|node| &node.pools).map(|pool| pool.size);
    sizes.filter(|size| !size.is_huge()).min().unwrap_or(PageSize::KIB_4)
}

/// The memory of the guest: that of its cells, or else `<memory>`; zero if the domain states none.
pub(in crate::libvirt) fn guest_memory(root: XmlNode<'_>) -> Result<Bytes, LibvirtError> {
    if descend(root, &["cpu", "numa"])?.is_none() && child(root, "memory")?.is_none() {
        return Ok(Bytes::ZERO);
    }
    let cells = cells(root)?;
    Ok(Bytes(cells.iter().fold(0, |sum: u64, cell| sum.saturating_add(cell.memory.0))))
}

/// The pages that a domain asks for.
pub(in crate::libvirt) enum Pages {
    /// Base pages: no `<hugepages>`.
    Base,
    /// Hugepages of one size.
    Size(PageSize),
    /// Hugepages of the host's default size.
    Unnamed,
    /// Hugepages of several sizes.
    Several,
}

/// The pages that a domain asks for.
pub(in crate::libvirt) fn page_size_of(root: XmlNode<'_>) -> Result<Pages, LibvirtError> {
    let Some(node) = descend(root, &["memoryBacking", "hugepages"])? else {
        return Ok(Pages::Base);
    };
    let mut sizes = Vec::new();
    for page in children(node, "page") {
        sizes.push(page_size(page, &required(page, "size")?)?);
    }
    sizes.dedup();
    Ok(match sizes.as_slice() {
        [] => Pages::Unnamed,
        [size] => Pages::Size(*size),
        _ => Pages::Several,
    })
}

/// The memory of each guest cell; all memory as cell 0 if the guest has no cells.
pub(in crate::libvirt) fn cells(root: XmlNode<'_>) -> Result<Vec<GuestMemory>, LibvirtError> {
    let whole = |cell, memory| GuestMemory { cell, memory, page: None, nodes: None };
    let mut parts = Vec::new();
    let mut seen = CellSet::new();
    let numa = descend(root, &["cpu", "numa"])?;
    for (node, at) in numa.into_iter().flat_map(|numa| children(numa, "cell")).zip(0..) {
        let id = match attribute(node, "id") {
            Some(id) => id.parse("a cell's number", below_limit)?,
            None if at < CellId::LIMIT => CellId(at),
            None => return Err(missing(node, "id")),
        };
        if !seen.insert(id) {
            return Err(twice(node, format!("cell {id}")));
        }
        parts.push(whole(id, memory(node, &required(node, "memory")?)?));
    }
    if parts.is_empty() {
        let node = child(root, "memory")?.ok_or_else(|| missing(root, "<memory>"))?;
        parts.push(whole(CellId(0), memory(node, &text(node, "memory"))?));
    }
    Ok(parts)
}

fn below_limit(text: &str) -> Option<CellId> {
    let id = u32::try_from(decimal(text)?).ok()?;
    (id < CellId::LIMIT).then_some(CellId(id))
}

/// The id of a guest cell; an error if the guest does not have the cell.
fn cell(value: &XmlValue<'_>, ids: &CellSet) -> Result<CellId, LibvirtError> {
    value.parse("a cell of the guest", |text| below_limit(text).filter(|id| ids.contains(*id)))
}

#[derive(Default)]
pub(in crate::libvirt) struct PageSizes {
    /// The page size of all cells that no `<page>` names.
    pub(in crate::libvirt) all: Option<PageSize>,
    pub(in crate::libvirt) by_cell: BTreeMap<CellId, PageSize>,
}

pub(in crate::libvirt) fn hugepages(
    root: XmlNode<'_>,
    host: &Host,
    ids: &CellSet,
    notes: &mut Notes,
) -> Result<PageSizes, LibvirtError> {
    let mut pages = PageSizes::default();
    let Some(node) = descend(root, &["memoryBacking", "hugepages"])? else { return Ok(pages) };
    for page in children(node, "page") {
        let value = required(page, "size")?;
        let size = page_size(page, &value)?;
        let Some(nodeset) = attribute(page, "nodeset") else {
            if pages.all.replace(size).is_some() {
                return Err(twice(page, "a <page> for all cells".to_owned()));
            }
            continue;
        };
        let named: CellSet = nodeset.parse("a list of the guest's cells", |text| {
            list(text).filter(|named: &CellSet| named.is_subset(ids))
        })?;
        for cell in named.iter() {
            if pages.by_cell.insert(cell, size).is_some() {
                return Err(twice(page, format!("a <page> for cell {cell}")));
            }
        }
    }
    if pages.all.is_none() && pages.by_cell.is_empty() {
        // The XML does not name the host's default size; the kernel's default is the smallest.
        let sizes = host.nodes().iter().flat_map(|node| &node.pools).map(|pool| pool.size);
        let size = sizes.filter(|size| size.is_huge()).min().unwrap_or(PageSize::MIB_2);
        notes.add(LibvirtNote::NoPageSize { page_size: size });
        pages.all = Some(size);
    }
    Ok(pages)
}

fn page_size(node: XmlNode<'_>, value: &XmlValue<'_>) -> Result<PageSize, LibvirtError> {
    let bytes = memory(node, value)?;
    let size = PageSize::from_kib(bytes.kib()).filter(|size| size.bytes() == bytes.0);
    size.ok_or_else(|| value.bad("a page size: a power of two from 4 KiB"))
}

/// The binding of all cells that no `<memnode>` names, and the bindings of the named cells.
pub(in crate::libvirt) fn bindings(
    root: XmlNode<'_>,
    host: &Host,
    ids: &CellSet,
    placed_by_numad: bool,
    notes: &mut Notes,
) -> Result<(Binding, BTreeMap<CellId, Binding>), LibvirtError> {
    let mut by_cell = BTreeMap::new();
    let tune = child(root, "numatune")?;
    for node in tune.into_iter().flat_map(|tune| children(tune, "memnode")) {
        let id = cell(&required(node, "cellid")?, ids)?;
        let binding = binding(node, required(node, "nodeset")?, host)?;
        if by_cell.insert(id, binding).is_some() {
            return Err(twice(node, format!("the <memnode> of cell {id}")));
        }
    }
    let memory = tune.map(|tune| child(tune, "memory")).transpose()?.flatten();
    let nodeset = memory.and_then(|node| attribute(node, "nodeset"));
    let auto = match memory.and_then(|node| attribute(node, "placement")) {
        Some(placement) => placement.parse("static or auto", |text| match text {
            "static" => Some(false),
            "auto" => Some(true),
            _ => None,
        })?,
        // If numad places the vCPUs, it also places the memory.
        None => placed_by_numad && nodeset.is_none(),
    };
    let all = match (memory, nodeset) {
        _ if auto => {
            notes.add(LibvirtNote::NumadPlacesMemory);
            Binding::default()
        }
        (Some(node), Some(nodeset)) => binding(node, nodeset, host)?,
        (Some(node), None) => return Err(missing(node, "nodeset")),
        (None, _) => Binding::default(),
    };
    Ok((all, by_cell))
}

fn binding(node: XmlNode<'_>, nodeset: XmlValue<'_>, host: &Host) -> Result<Binding, LibvirtError> {
    let (preferred, interleaved) = match attribute(node, "mode") {
        None => (false, false),
        Some(mode) => {
            mode.parse("strict, preferred, interleave or restrictive", |text| match text {
                "strict" | "restrictive" => Some((false, false)),
                "interleave" => Some((false, true)),
                "preferred" => Some((true, false)),
                _ => None,
            })?
        }
    };
    Ok(Binding { nodes: nodes(&nodeset, host)?, preferred, interleaved })
}

/// The named nodes; an error if the host lacks one, as libvirt would not start the domain.
fn nodes(value: &XmlValue<'_>, host: &Host) -> Result<NodeSet, LibvirtError> {
    let named: NodeSet = value.parse("a list of nodes such as 0-3,8 or 0-7,^5", list)?;
    let absent = named.iter().find(|id| host.node(*id).is_none());
    match absent {
        Some(id) => Err(value.absent(format!("node {id}"))),
        None => Ok(named),
    }
}

/// The memory modules plugged into guest cells. None if the guest has no cells: `<memory>` then
/// includes them.
fn modules(
    root: XmlNode<'_>,
    host: &Host,
    ids: &CellSet,
) -> Result<Vec<GuestMemory>, LibvirtError> {
    let mut parts = Vec::new();
    if descend(root, &["cpu", "numa"])?.is_none() {
        return Ok(parts);
    }
    let devices = child(root, "devices")?;
    for node in devices.into_iter().flat_map(|devices| children(devices, "memory")) {
        // Other models are backed by files or special memory. A virtio-mem counts with the size
        // that it may grow to.
        if !matches!(node.attribute("model"), Some("dimm" | "virtio-mem")) {
            continue;
        }
        let target = child(node, "target")?.ok_or_else(|| missing(node, "<target>"))?;
        let size = child(target, "size")?.ok_or_else(|| missing(target, "<size>"))?;
        let place =
            child(target, "node")?.map(|node| cell(&text(node, "node"), ids)).transpose()?;
        let page = descend(node, &["source", "pagesize"])?;
        let page = page.map(|page| page_size(page, &text(page, "pagesize"))).transpose()?;
        let mask = descend(node, &["source", "nodemask"])?;
        let mask = mask.map(|mask| nodes(&text(mask, "nodemask"), host)).transpose()?;
        parts.push(GuestMemory {
            cell: place.unwrap_or_default(),
            memory: memory(size, &text(size, "size"))?,
            page,
            nodes: mask.map(|nodes| Binding { nodes, ..Binding::default() }),
        });
    }
    Ok(parts)
}

/// Adds `count` pages to `counts`, in even shares over the nodes of the binding. A node with fewer
/// pages than its share gives all it has, and the others share the rest.
pub(crate) fn spread(
    count: u64,
    size: PageSize,
    binding: &Binding,
    host: &Host,
    counts: &mut BTreeMap<(Option<NodeId>, PageSize), u64>,
) {
    let mut add = |node, count| {
        let sum: &mut u64 = counts.entry((node, size)).or_default();
        *sum = sum.saturating_add(count);
        *sum
    };
    let mut rooms: Vec<(u64, NodeId)> = Vec::new();
    for id in binding.nodes.iter() {
        let pages = host.node(id).and_then(|node| node.pool(size)).map_or(0, |pool| pool.total);
        rooms.push((pages.saturating_sub(add(Some(id), 0)), id));
    }
    // The node with the least room first, so that the others share what it cannot hold.
    rooms.sort_unstable();
    let mut left = count;
    for (at, (room, id)) in rooms.iter().enumerate() {
        let share = left.div_ceil((rooms.len() - at) as u64).min(*room);
        add(Some(*id), share);
        left -= share;
    }
    // Pages beyond the room of all nodes are counted on the first node if the binding is strict;
    // whoever checks the claim against the node's pages then reports that it does not fit.
    let rest = rooms.first().map(|(_, id)| *id).filter(|_| !binding.preferred);
    add(rest, left);
}
