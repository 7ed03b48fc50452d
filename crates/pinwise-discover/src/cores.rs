//! Repairs of cores, caches and nodes, shared by several readers.

use std::collections::{BTreeMap, BTreeSet};

use crate::core_note::CoreNote;
use crate::notes::Notes;
use pinwise::host::{CoreSpec, NodeSpec};
use pinwise::sets::CpuSet;
use pinwise::units::{Id as _, PackageId, PcpuId};

/// The pCPUs of a mask in words of 32 bits, the lowest first; `None` if a word is invalid, or a
/// number exceeds the limit of pCPUs.
pub(super) fn mask(words: impl Iterator<Item = Option<u32>>) -> Option<CpuSet> {
    let mut cpus = CpuSet::new();
    for (word, at) in words.zip(0_u32..) {
        let word = word?;
        for bit in (0..32).filter(|bit| word & (1 << bit) != 0) {
            let cpu = at.checked_mul(32)?.checked_add(bit).filter(|cpu| *cpu < PcpuId::LIMIT)?;
            cpus.insert(PcpuId(cpu));
        }
    }
    Some(cpus)
}

/// The pCPUs grouped by the set that they name: always a partition, whatever the sets are.
pub(super) fn partition(named: &[(PcpuId, CpuSet)]) -> Vec<CpuSet> {
    let mut parts: BTreeMap<&CpuSet, CpuSet> = BTreeMap::new();
    for (cpu, set) in named {
        parts.entry(set).or_default().insert(*cpu);
    }
    let mut parts: Vec<_> = parts.into_values().collect();
    parts.sort_unstable_by_key(CpuSet::first);
    parts
}

/// The cores: groups of pCPUs that name the same SMT siblings.
pub(super) fn smt_siblings(named: &[(PcpuId, CpuSet)], notes: &mut Notes) -> Vec<CpuSet> {
    let parts = partition(named);
    let whole: BTreeSet<_> = parts.iter().collect();
    let count = named.iter().filter(|(_, set)| !whole.contains(set)).count();
    if count > 0 {
        notes.add(CoreNote::OneSided { count });
    }
    parts
}

/// Renumbers the cores by their lowest pCPUs if ids are missing or not unique (old kernels that do
/// not show dies, hypervisors).
pub(super) fn renumber(specs: &mut [CoreSpec], missing: bool, notes: &mut Notes) {
    let ids: BTreeSet<_> = specs.iter().map(|spec| (spec.package, spec.die, spec.core)).collect();
    if !missing && ids.len() == specs.len() {
        return;
    }
    notes.add(CoreNote::Renumbered);
    for spec in specs {
        spec.core = spec.pcpus.first().unwrap_or_default().0;
    }
}

/// Whether these L3 caches divide a core, which no real cache does.
pub(super) fn divide(l3: &[CpuSet], cores: &[CoreSpec], notes: &mut Notes) -> bool {
    let cut = |core: &&CoreSpec| {
        l3.iter().any(|l3| l3.intersects(&core.pcpus) && !core.pcpus.is_subset(l3))
    };
    let found = cores.iter().find(cut);
    if let Some(core) = found {
        notes.add(CoreNote::Divided { core: core.pcpus.clone() });
    }
    found.is_some()
}

/// A pCPU may be on no visible node because its own node is offline, without memory. It joins the
/// node of its SMT sibling, otherwise the first node with pCPUs of its package, otherwise the first
/// node.
pub(super) fn adopt(nodes: &mut [NodeSpec], cores: &[CoreSpec], seen: &CpuSet, notes: &mut Notes) {
    let on = |core: &CoreSpec| nodes.iter().position(|node| node.cpus.intersects(&core.pcpus));
    let mut near: BTreeMap<PackageId, usize> = BTreeMap::new();
    for core in cores {
        if let Some(at) = on(core) {
            let first = near.entry(core.package).or_insert(at);
            *first = at.min(*first);
        }
    }
    let mut adopted: BTreeMap<usize, CpuSet> = BTreeMap::new();
    for core in cores.iter().filter(|core| !core.pcpus.is_subset(seen)) {
        let at = on(core).or_else(|| near.get(&core.package).copied()).unwrap_or(0);
        adopted.entry(at).or_default().extend(&core.pcpus.difference(seen));
    }
    for (at, orphans) in adopted {
        if let Some(node) = nodes.get_mut(at) {
            node.cpus.extend(&orphans);
            notes.add(CoreNote::Adopted { pcpus: orphans, node: node.id });
        }
    }
}
