//! Cores and caches out of what each pCPU says about its neighbours.

use std::collections::{BTreeMap, BTreeSet};

use super::notes::Notes;
use crate::host::builder::CoreSpec;
use crate::sets::CpuSet;
use crate::units::PcpuId;

/// The pCPUs that name the same set, by set: always a partition, whatever the sets are.
pub(super) fn partition(named: &[(PcpuId, CpuSet)]) -> Vec<CpuSet> {
    let mut parts: BTreeMap<&CpuSet, CpuSet> = BTreeMap::new();
    for (cpu, set) in named {
        parts.entry(set).or_default().insert(*cpu);
    }
    let mut parts: Vec<_> = parts.into_values().collect();
    parts.sort_unstable_by_key(CpuSet::first);
    parts
}

/// The cores: the pCPUs that name the same SMT siblings.
pub(super) fn smt_siblings(named: &[(PcpuId, CpuSet)], notes: &mut Notes) -> Vec<CpuSet> {
    let parts = partition(named);
    let whole: BTreeSet<_> = parts.iter().collect();
    let odd = named.iter().filter(|(_, set)| !whole.contains(set)).count();
    if odd > 0 {
        notes.add(format!("{odd} pCPUs name SMT siblings that do not name them: not taken"));
    }
    parts
}

/// Where ids are missing or name two cores (dies that an old kernel does not tell apart, hypervisors),
/// the cores of that host are numbered by their lowest pCPUs instead.
pub(super) fn renumber(specs: &mut [CoreSpec], missing: bool, notes: &mut Notes) {
    let ids: BTreeSet<_> = specs.iter().map(|spec| (spec.package, spec.die, spec.core)).collect();
    if !missing && ids.len() == specs.len() {
        return;
    }
    notes.add("core ids are missing or not unique: cores are numbered by pCPU".to_owned());
    for spec in specs {
        spec.core = spec.pcpus.first().unwrap_or_default().0;
    }
}

/// Whether these L3 caches divide a core, which no cache does.
pub(super) fn divide(l3: &[CpuSet], cores: &[CoreSpec], notes: &mut Notes) -> bool {
    let cut = |core: &&CoreSpec| {
        l3.iter().any(|l3| l3.intersects(&core.pcpus) && !core.pcpus.is_subset(l3))
    };
    let found = cores.iter().find(cut);
    if let Some(core) = found {
        notes.add(format!("L3 caches divide the core of pCPUs {}: left out", core.pcpus));
    }
    found.is_some()
}
