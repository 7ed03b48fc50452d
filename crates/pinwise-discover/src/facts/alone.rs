//! A host that a table of pCPUs describes where no source describes the whole host.
//!
//! The table gives cores, packages, nodes, caches and offline pCPUs. The facts are then laid over
//! what [`begin`] makes of it, and [`complete`] assumes the memory that none of them tells.

use std::collections::BTreeMap;

use super::data::{Facts, PcpuFacts};
use super::overlay::OverlayNote;
use super::overlay::cpus::cores_of;
use crate::cores::adopt;
use crate::notes::{Note, Notes};
use crate::reading::Reading;
use pinwise::host::{HostSpec, NodeSpec, PagePool, Part};
use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, NodeId, PageSize};

/// The memory that is assumed of a node: 1 PiB, more than any VM asks for.
const ASSUMED: Bytes = Bytes(1 << 50);

/// A host with the nodes and offline pCPUs of the first table that tells the core of every online
/// pCPU, and with no cores yet. That table is moved to the front of the facts, so that it is the
/// one that gives the cores. `None` if there is no such table.
///
/// Nodes are those of the table; where it tells none, those of other facts that tell pCPUs of
/// nodes, otherwise a single one. Nodes of other facts that have memory, but no pCPUs, are added.
pub(crate) fn begin(facts: &mut [Facts]) -> Option<Reading> {
    let whole = |facts: &Facts| {
        let mut online = facts.pcpus.iter().filter(|pcpu| is_online(pcpu)).peekable();
        online.peek().is_some() && online.all(|pcpu| pcpu.core.is_some())
    };
    let at = facts.iter().position(whole)?;
    facts[..=at].rotate_right(1);
    let (table, source) = (&facts[0], facts[0].source.clone());
    let named = |online: bool| -> CpuSet {
        let same = table.pcpus.iter().filter(|pcpu| is_online(pcpu) == online);
        same.map(|pcpu| pcpu.pcpu).collect()
    };
    let (online, offline) = (named(true), named(false));
    let mut nodes: Vec<NodeSpec> = nodes(facts, &online)
        .into_iter()
        .map(|(id, cpus)| NodeSpec {
            id,
            cpus,
            memory: Bytes::ZERO,
            pools: Vec::new(),
            distances: Vec::new(),
        })
        .collect();
    let mut seen = CpuSet::new();
    nodes.iter().for_each(|node| seen.extend(&node.cpus));
    let mut notes = Notes::default();
    adopt(&mut nodes, &cores_of(table, &offline), &seen, &mut notes);
    let mut host = HostSpec {
        name: "host".to_owned(),
        about: format!("read from {source}"),
        nodes,
        offline,
        ..HostSpec::default()
    };
    host.add_source(Part::Memory, &source);
    Some(Reading { host, notes: notes.finish() })
}

/// Whether a pCPU is online: lscpu tells nothing else of one that is not.
fn is_online(pcpu: &PcpuFacts) -> bool {
    let told = pcpu.core.is_some() || pcpu.package.is_some() || !pcpu.caches.is_empty();
    pcpu.online.unwrap_or(told || pcpu.node.is_some())
}

/// The nodes with their online pCPUs. The table comes first.
fn nodes(facts: &[Facts], online: &CpuSet) -> BTreeMap<NodeId, CpuSet> {
    let mut nodes: BTreeMap<NodeId, CpuSet> = BTreeMap::new();
    for pcpu in facts[0].pcpus.iter().filter(|pcpu| online.contains(pcpu.pcpu)) {
        if let Some(node) = pcpu.node {
            nodes.entry(node).or_default().insert(pcpu.pcpu);
        }
    }
    let untold = nodes.is_empty();
    let mut seen = CpuSet::new();
    for node in facts.iter().flat_map(|facts| &facts.nodes) {
        let mut cpus = CpuSet::new();
        if let Some(told) = node.cpus.as_ref().filter(|_| untold) {
            cpus = told.intersection(online).difference(&seen);
            seen.extend(&cpus);
        }
        if !cpus.is_empty() || node.memory.is_some_and(|memory| memory != Bytes::ZERO) {
            nodes.entry(node.id).or_default().extend(&cpus);
        }
    }
    if nodes.values().all(CpuSet::is_empty) {
        let first = nodes.keys().next().copied().unwrap_or_default();
        nodes.insert(first, online.clone());
    }
    nodes
}

/// Assumes unlimited memory of every node, with a note, if no facts tell of memory.
pub(crate) fn complete(host: &mut HostSpec, facts: &[Facts], notes: &mut Vec<Note>) {
    let by_node = facts.iter().flat_map(|facts| &facts.nodes).any(|node| node.memory.is_some());
    let of_all = host.nodes.len() == 1 && facts.iter().any(|facts| facts.memory.is_some());
    let told = by_node || of_all;
    let Some(table) = facts.first().filter(|_| !told) else { return };
    for node in &mut host.nodes {
        let (size, total) = (PageSize::KIB_4, ASSUMED.0 / PageSize::KIB_4.bytes());
        node.memory = ASSUMED;
        node.pools = vec![PagePool { size, total, free: total }];
    }
    host.add_source(Part::Memory, "an assumption");
    notes.push(OverlayNote::MemoryAssumed { source: table.source.clone() }.into());
}
