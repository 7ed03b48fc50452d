//! Replaces the parts of `<cpu>` that a placement decides.

use roxmltree::Node;

use super::edit::EditedText;
use super::parts::{child, insert};
use super::problem::PatchError;
use pinwise::emit::libvirt::{cpu, shows_cells};
use pinwise::emit::xml::Element;
use pinwise::placement::Placement;

pub(super) fn patch(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
) -> Result<(), PatchError> {
    let Some(node) = child(root, "cpu")? else {
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
    }
    // In other modes, `<cache>` stays: the user may have chosen it.
    let own_cache = matches!(mode, Some("host-passthrough" | "maximum"));
    let is_topoext = |node: &Node<'_, '_>| {
        node.has_tag_name("feature") && node.attribute("name") == Some("topoext")
    };
    let owned: Vec<_> = node
        .children()
        .filter(|node| {
            node.has_tag_name("topology")
                || node.has_tag_name("numa")
                || (own_cache && node.has_tag_name("cache"))
                || (placement.topoext && is_topoext(node))
        })
        .collect();
    let mut ours = vec![cpu::topology(placement)];
    ours.extend(cpu::cache(placement).filter(|_| own_cache));
    ours.extend(cpu::topoext(placement));
    let extras = cell_extras(source, child(node, "numa")?)?;
    if shows_cells(placement) || !extras.is_empty() {
        let more = |cell: Element| extras.iter().copied().fold(cell, Element::raw_attr);
        ours.push(cpu::numa_with(placement, more));
    }
    source.exchange(node, &owned, &ours);
    Ok(())
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
