//! Rules about the nodes and pages of the memory.

use std::collections::BTreeMap;

use super::as_is::{Binding, CellAsIs};
use super::facts::Facts;
use super::scene::Scene;
use crate::sets::{CellSet, NodeSet};
use crate::units::{Bytes, NodeId, PageSize};

pub(super) fn unbound(scene: &Scene<'_>) -> Option<Facts> {
    let domain = scene.domain;
    let free = domain.cells.iter().filter(|cell| cell.nodes.is_empty());
    let cells: CellSet = free.map(|cell| cell.id).collect();
    let several = scene.host.derived().nodes_with_memory > 1;
    let held = domain.is_held_by_vfio() || scene.all_stated();
    let matters = several && held && !domain.placed_by_numad && !cells.is_empty();
    let right_nodes = scene.span.nodes.clone();
    let right_nodes = if scene.all_stated() { right_nodes } else { NodeSet::new() };
    let devices = domain.devices.iter().map(|device| device.address).collect();
    matters.then(|| Facts { cells, devices, right_nodes, ..Facts::default() })
}

pub(super) fn elsewhere(scene: &Scene<'_>) -> Option<Facts> {
    // Memory that the engine, too, would put on other nodes than the vCPUs, and nodes without
    // CPUs, are there by intent.
    if scene.best.as_ref().is_some_and(|best| best.ranked.profile.lent) {
        return None;
    }
    let has_cpus = |node: &NodeId| scene.host.node(*node).is_some_and(|n| !n.cpus.is_empty());
    let has_memory = |node: &NodeId| scene.host.node(*node).is_some_and(|n| n.memory > Bytes::ZERO);
    let mut facts = Facts::default();
    for cell in scene.domain.cells.iter().filter(|cell| !cell.nodes.is_empty()) {
        let near: NodeSet = scene.nodes_of(cell).iter().filter(has_memory).collect();
        if !near.is_subset(&cell.nodes) && cell.nodes.iter().any(|node| has_cpus(&node)) {
            facts.cells.insert(cell.id);
            facts.nodes.extend(&cell.nodes);
            facts.right_nodes.extend(&near);
        }
    }
    (!facts.cells.is_empty()).then_some(facts)
}

/// The hugepages that the domain needs, by the nodes that they must be on and their size.
fn needed(cells: &[CellAsIs]) -> BTreeMap<(NodeSet, PageSize), u64> {
    let mut needed = BTreeMap::new();
    for cell in cells {
        let Some(size) = cell.page_size else { continue };
        let strict = cell.binding != Binding::Preferred;
        let nodes = if strict { cell.nodes.clone() } else { NodeSet::new() };
        let sum: &mut u64 = needed.entry((nodes, size)).or_default();
        *sum = sum.saturating_add(cell.memory.0.div_ceil(size.bytes()));
    }
    needed
}

/// The nodes and size of the first pool with fewer hugepages than the domain needs. `all` counts the
/// hugepages of a host, `on` those of a node.
fn short(
    scene: &Scene<'_>,
    all: impl Fn(PageSize) -> u64,
    on: impl Fn(NodeId, PageSize) -> u64,
) -> Option<Facts> {
    needed(&scene.domain.cells).into_iter().find_map(|((nodes, size), right)| {
        let on_nodes = nodes.iter().map(|node| on(node, size)).fold(0, u64::saturating_add);
        let found = if nodes.is_empty() { all(size) } else { on_nodes.min(all(size)) };
        let (page_size, found, right) = (Some(size), Some(found), Some(right));
        let facts = Facts { nodes, page_size, found, right, ..Facts::default() };
        (found < right).then_some(facts)
    })
}

fn total(scene: &Scene<'_>, node: NodeId, size: PageSize) -> u64 {
    let pool = scene.host.node(node).and_then(|node| node.pool(size));
    pool.map_or(0, |pool| pool.total)
}

fn total_in_all(scene: &Scene<'_>, size: PageSize) -> u64 {
    let nodes = scene.host.nodes().iter();
    nodes.map(|node| total(scene, node.id, size)).fold(0, u64::saturating_add)
}

pub(super) fn pages_missing(scene: &Scene<'_>) -> Option<Facts> {
    short(scene, |size| total_in_all(scene, size), |node, size| total(scene, node, size))
}

/// The pages that other tenants hold count, on whichever node. Pages in use for no known reason do
/// not: a domain that runs may have them, and its definition does not say that it runs.
pub(super) fn pages_taken(scene: &Scene<'_>) -> Option<Facts> {
    if scene.domain.running || pages_missing(scene).is_some() {
        return None;
    }
    let held = |size: PageSize, node: Option<NodeId>| {
        let all = scene.usage.tenants().flat_map(|(_, claim)| &claim.pages);
        let all = all.filter(|claim| claim.page_size == size);
        let on = all.filter(|claim| node.is_none() || claim.node == node);
        on.map(|claim| claim.count).fold(0, u64::saturating_add)
    };
    short(
        scene,
        |size| total_in_all(scene, size).saturating_sub(held(size, None)),
        |node, size| total(scene, node, size).saturating_sub(held(size, Some(node))),
    )
}

pub(super) fn small_pages(scene: &Scene<'_>) -> Option<Facts> {
    let best = &scene.best.as_ref()?.ranked.placement;
    let small = scene.domain.cells.iter().all(|cell| cell.page_size.is_none());
    let page_size = best.cells.first().map(|cell| cell.page_size).filter(|size| size.is_huge())?;
    let held = scene.domain.is_held_by_vfio() || scene.all_pinned();
    let nodes = best.nodes();
    let right = best.cells.iter().map(|cell| cell.memory.0 / cell.page_size.bytes()).sum();
    let facts = Facts { page_size: Some(page_size), nodes, right: Some(right), ..Facts::default() };
    (small && held).then_some(facts)
}
