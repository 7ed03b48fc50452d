//! Overlay of nodes: their pCPUs, memory and distances.

use super::conflict::{Collector, Disagreement};
use super::note::OverlayNote;
use crate::facts::data::{Facts, NodeFacts};
use pinwise::host::PagePool;
use pinwise::host::Part;
use pinwise::host::{HostSpec, NodeSpec};
use pinwise::units::{Bytes, Distance, NodeId, PageSize};

pub(super) fn lay(host: &mut HostSpec, facts: &Facts, collector: &mut Collector) {
    let whole = whole(host, facts, collector);
    for node in facts.nodes.iter().chain(&whole) {
        let Some(at) = host.nodes.iter().position(|known| known.id == node.id) else {
            collector.unknown(&facts.source, "node", node.id.to_string());
            continue;
        };
        let memory_source = host.source_of(Part::Memory);
        let differ = |part, what, host: String, found: String| Disagreement {
            part,
            what,
            of: format!("node {}", node.id),
            host,
            host_source: memory_source.clone(),
            found,
            source: &facts.source,
            taken: false,
        };
        let known = &host.nodes[at];
        if let Some(cpus) = node.cpus.as_ref().filter(|cpus| **cpus != known.cpus) {
            let (host, found) = (known.cpus.to_string(), cpus.to_string());
            collector.differ(differ(Part::Memory, "the pCPUs", host, found));
        }
        if let Some(memory) = node.memory.filter(|memory| !close(known.memory, *memory, node)) {
            if known.memory == Bytes::ZERO && known.pools.iter().all(|pool| pool.total == 0) {
                let known = &mut host.nodes[at];
                known.memory = memory;
                let (size, total) = (PageSize::KIB_4, memory.0 / PageSize::KIB_4.bytes());
                known.pools.retain(|pool| pool.size.is_huge());
                known.pools.insert(0, PagePool { size, total, free: total });
                host.add_source(Part::Memory, &facts.source);
            } else {
                let (host, found) = (known.memory.to_string(), memory.to_string());
                collector.differ(differ(Part::Memory, "the memory", host, found));
            }
        }
        free(host, facts, node, at);
    }
    distances(host, facts, collector);
}

/// The machine's memory as that of its only node.
fn whole(host: &HostSpec, facts: &Facts, collector: &mut Collector) -> Option<NodeFacts> {
    let memory = facts.memory?;
    let [node] = host.nodes.as_slice() else {
        collector.note(OverlayNote::UndividedMemory { source: facts.source.clone() });
        return None;
    };
    Some(NodeFacts {
        id: node.id,
        cpus: None,
        memory: Some(memory.total),
        free: memory.free,
        // As between two descriptions.
        rounding: Bytes(64 << 20),
        distances: Vec::new(),
    })
}

/// Whether an amount of memory and a rounded one can be equal. A whole number of GiB is likely
/// typed by a person, who rounds.
fn close(known: Bytes, found: Bytes, node: &NodeFacts) -> bool {
    const GIB: u64 = 1 << 30;
    let apart = known.0.abs_diff(found.0);
    apart <= node.rounding.0 || (known.0.is_multiple_of(GIB) && known.0 > 0 && apart < GIB)
}

/// The pool of base pages. A description may leave it out: it is then the memory beyond the
/// hugepages.
fn base_pool(node: &mut NodeSpec) -> Option<&mut PagePool> {
    if node.pools.iter().all(|pool| pool.size.is_huge()) {
        let huge = |pool: &PagePool| pool.total.checked_mul(pool.size.bytes());
        let huge = node.pools.iter().try_fold(0, |sum: u64, pool| sum.checked_add(huge(pool)?))?;
        let (size, rest) = (PageSize::KIB_4, node.memory.0.checked_sub(huge)?);
        let total = rest / size.bytes();
        node.pools.insert(0, PagePool { size, total, free: total });
    }
    node.pools.iter_mut().find(|pool| !pool.size.is_huge())
}

/// If every page counts as free, nobody counted them; a source that did is used instead.
fn free(host: &mut HostSpec, facts: &Facts, node: &NodeFacts, at: usize) {
    let Some(free) = node.free else { return };
    let Some(pool) = base_pool(&mut host.nodes[at]) else { return };
    let pages = free.0 / pool.size.bytes();
    if pool.free == pool.total && pages < pool.total {
        pool.free = pages;
        host.add_source(Part::Memory, &facts.source);
    }
}

/// Adds the table if the description has none; it must have a distance for each pair of nodes.
fn distances(host: &mut HostSpec, facts: &Facts, collector: &mut Collector) {
    let mut ids: Vec<NodeId> = host.nodes.iter().map(|node| node.id).collect();
    ids.sort_unstable();
    let row = |id: NodeId| {
        let told = &facts.nodes.iter().find(|node| node.id == id)?.distances;
        let distance = |to: &NodeId| {
            let found =
                told.iter().find(|(other, _)| other == to).map(|(_, distance)| *distance)?;
            let sound = (found == Distance::LOCAL) == (*to == id);
            sound.then_some(found)
        };
        ids.iter().map(distance).collect::<Option<Vec<Distance>>>()
    };
    if facts.nodes.iter().all(|node| node.distances.is_empty()) {
        return;
    }
    let Some(rows) = ids.iter().map(|id| row(*id)).collect::<Option<Vec<_>>>() else {
        collector.note(OverlayNote::BadDistances { source: facts.source.clone() });
        return;
    };
    let told = host.nodes.iter().all(|node| node.distances.len() == ids.len());
    for (id, found) in ids.iter().zip(rows) {
        let source = host.source_of(Part::Distances);
        let Some(node) = host.nodes.iter_mut().find(|node| node.id == *id) else { continue };
        if !told {
            node.distances = found;
        } else if node.distances != found {
            let list = |row: &[Distance]| {
                row.iter().map(|distance| distance.0.to_string()).collect::<Vec<_>>().join(" ")
            };
            collector.differ(Disagreement {
                part: Part::Distances,
                what: "the distances",
                of: format!("node {id}"),
                host: list(&node.distances),
                host_source: source,
                found: list(&found),
                source: &facts.source,
                taken: false,
            });
        }
    }
    if !told {
        host.add_source(Part::Distances, &facts.source);
    }
}
