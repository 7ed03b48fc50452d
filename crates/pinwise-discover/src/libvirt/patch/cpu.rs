//! The parts of `<cpu>` that a placement decides.

use roxmltree::Node;

use super::edit::EditedText;
use super::memory::shows;
use super::parts::{child, insert, says};
use super::problem::PatchError;
use pinwise::emit::libvirt::{cpu, shows_cells};
use pinwise::emit::xml::Element;
use pinwise::placement::{GuestTopology, Placement};

pub(super) fn patch(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
) -> Result<(), PatchError> {
    let Some(node) = child(root, "cpu")? else {
        let why = "without <cpu> the guest sees a model of the least common features";
        source.changed("<cpu>", None, Some("host-passthrough".to_owned()), why);
        insert(source, root, cpu::cpu(placement));
        return Ok(());
    };
    let mut mode = node.attribute("mode");
    if mode.is_none() && node.attribute("match").is_none() && child(node, "model")?.is_none() {
        mode = Some("host-passthrough");
        let attributes = [("mode", "host-passthrough"), ("check", "none"), ("migratable", "off")];
        let missing = attributes.iter().filter(|(name, _)| node.attribute(*name).is_none());
        let text = missing.map(|(name, value)| format!(" {name}='{value}'")).collect();
        let at = node.range().start + "<cpu".len();
        source.splice(at..at, text);
        let why = "without a model the guest sees one of the least common features";
        source.changed("model of <cpu>", None, Some("host-passthrough".to_owned()), why);
    }
    patch_topology(source, node, placement)?;
    // In other modes, `<cache>` stays: the user may have chosen it.
    if matches!(mode, Some("host-passthrough" | "maximum")) {
        patch_cache(source, node, placement)?;
    }
    if let Some(ours) = cpu::topoext(placement) {
        let is_topoext = |node: &Node<'_, '_>| {
            node.has_tag_name("feature") && node.attribute("name") == Some("topoext")
        };
        let existing: Vec<_> = node.children().filter(is_topoext).collect();
        let has = |node: &Node<'_, '_>| {
            matches!(node.attribute("policy"), None | Some("require" | "force"))
        };
        if existing.len() != 1 || !existing.iter().all(has) {
            let why = "without it an AMD guest ignores SMT siblings";
            source.changed("feature topoext", None, Some("require".to_owned()), why);
            source.exchange(node, &existing, &[ours]);
        }
    }
    patch_cells(source, root, node, placement)
}

fn patch_topology(
    source: &mut EditedText<'_>,
    node: Node<'_, '_>,
    placement: &Placement,
) -> Result<(), PatchError> {
    let existing = child(node, "topology")?;
    let wanted = placement.topology;
    let number = |name: &str| {
        let text = existing.and_then(|node| node.attribute(name)).unwrap_or("1");
        text.trim().parse::<u32>().ok()
    };
    let parts = ["sockets", "dies", "cores", "threads"].map(number);
    let GuestTopology { sockets, dies, cores, threads } = wanted;
    let ours = [sockets, dies, cores, threads];
    let clusters = number("clusters");
    if existing.is_some() && parts == ours.map(Some) && clusters == Some(1) {
        return Ok(());
    }
    let text = |[sockets, dies, cores, threads]: [u32; 4]| {
        format!("{sockets} sockets, {dies} dies, {cores} cores, {threads} threads")
    };
    let [a, b, c, d] = parts.map(|part| part.unwrap_or(0));
    let before = existing.map(|_| text([a, b, c, d]));
    let why = if parts[3] == Some(threads) {
        "the guest sees the packages and cores that it gets"
    } else if threads > 1 {
        "the guest sees which vCPUs are siblings of one core"
    } else {
        "each guest core has a host core of its own"
    };
    source.changed("topology", before, Some(text(ours)), why);
    let mut element = cpu::topology(placement);
    if existing.is_some_and(|node| node.attribute("clusters").is_some()) {
        element = element.attr("clusters", 1);
    }
    source.exchange(node, existing.as_slice(), &[element]);
    Ok(())
}

fn patch_cache(
    source: &mut EditedText<'_>,
    node: Node<'_, '_>,
    placement: &Placement,
) -> Result<(), PatchError> {
    let existing = child(node, "cache")?;
    let ours = cpu::cache(placement);
    let same = match (existing, &ours) {
        (Some(node), Some(ours)) => says(node, ours),
        (existing, ours) => existing.is_none() && ours.is_none(),
    };
    if !same {
        let mode = |node: Node<'_, '_>| {
            let mode = node.attribute("mode").unwrap_or("unknown");
            pinwise::shown::shorten(mode, super::problem::MAX_SHOWN)
        };
        let after = ours.as_ref().map(|_| "passthrough".to_owned());
        let why = if ours.is_some() {
            "the vCPUs are pinned, so the host's caches are theirs"
        } else {
            "the vCPUs float, so no cache is theirs"
        };
        source.changed("cache", existing.map(mode), after, why);
        source.exchange(node, existing.as_slice(), ours.as_slice());
    }
    Ok(())
}

/// Shows the cells. One cell is shown if the domain shows just one, or needs one for memory that
/// is plugged in later.
fn patch_cells(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    node: Node<'_, '_>,
    placement: &Placement,
) -> Result<(), PatchError> {
    let existing = child(node, "numa")?;
    let count = |node: Node<'_, '_>| node.children().filter(|n| n.has_tag_name("cell")).count();
    if existing.map(|node| shows(node, placement)).transpose()? == Some(true) {
        return Ok(());
    }
    let extras = cell_extras(source, existing)?;
    let shown = shows_cells(placement) || !extras.is_empty() || shows_one(root)?;
    if !shown && existing.is_none() {
        return Ok(());
    }
    let more = |cell: Element| extras.iter().copied().fold(cell, Element::raw_attr);
    let ours = shown.then(|| cpu::numa_with(placement, more));
    let before = existing.map(|node| count(node).to_string());
    let after = shown.then(|| {
        let each = placement.cells.iter();
        let each = each.map(|cell| format!("vCPUs {} with {}", cell.vcpus, cell.memory));
        format!("{} ({})", placement.cells.len(), each.collect::<Vec<_>>().join("; "))
    });
    let why = "the guest's cells are the host's nodes that it is on";
    source.changed("guest cells", before, after, why);
    source.exchange(node, existing.as_slice(), ours.as_slice());
    Ok(())
}

/// Whether the guest sees its cell although it has only one: the domain shows just one, or needs
/// one for memory that is plugged in later.
pub(super) fn shows_one(root: Node<'_, '_>) -> Result<bool, PatchError> {
    let numa = child(root, "cpu")?.map(|cpu| child(cpu, "numa")).transpose()?.flatten();
    let cells = numa.map(|numa| numa.children().filter(|n| n.has_tag_name("cell")).count());
    Ok(cells == Some(1) || child(root, "maxMemory")?.is_some())
}

/// The attributes `memAccess` and `discard` of the domain's cells, as written, which must be the
/// same in all cells.
fn cell_extras<'a>(
    source: &EditedText<'a>,
    numa: Option<Node<'_, '_>>,
) -> Result<Vec<&'a str>, PatchError> {
    let mut all = Vec::new();
    for node in numa.iter().flat_map(Node::children).filter(Node::is_element) {
        let plain = node.has_tag_name("cell")
            && node.children().all(|node| !node.is_element() || node.has_tag_name("distances"));
        let known = ["id", "cpus", "memory", "unit", "memAccess", "discard"];
        if !plain || node.attributes().any(|attribute| !known.contains(&attribute.name())) {
            let reason = "cells with caches, interconnects or unknown attributes";
            return Err(PatchError::Conflict { element: "numa", reason });
        }
        let extras = node.attributes().filter(|attribute| known[4..].contains(&attribute.name()));
        all.push(extras.map(|attribute| source.text(attribute.range())).collect::<Vec<_>>());
    }
    if all.windows(2).any(|pair| pair[0] != pair[1]) {
        let reason = "cells that differ in memAccess or discard";
        return Err(PatchError::Conflict { element: "numa", reason });
    }
    Ok(all.pop().unwrap_or_default())
}
