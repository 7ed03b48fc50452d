//! What every reader of a machine's own words returns, and the repairs that they share.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::builder::{CoreSpec, HostBuilder, NodeSpec};
use crate::sets::CpuSet;
use crate::units::PackageId;

/// A machine with more to say than this is broken in one way many times.
const MAX_NOTES: usize = 64;

/// What a source shows of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The host, unchecked until it is built. What the source does not know is left out: sysfs has
    /// no names of GPU models and no links between GPUs, lstopo no IOMMU groups.
    pub host: HostBuilder,
    /// What was left out or replaced, and why: a sentence each.
    pub notes: Vec<String>,
}

/// What was left out or replaced.
#[derive(Default)]
pub(super) struct Notes {
    sentences: Vec<String>,
    more: usize,
}

impl Notes {
    pub(super) fn add(&mut self, sentence: String) {
        if self.sentences.len() < MAX_NOTES {
            self.sentences.push(sentence);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn into_sentences(mut self) -> Vec<String> {
        if self.more > 0 {
            self.sentences.push(format!("and {} more notes", self.more));
        }
        self.sentences
    }
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

/// pCPUs whose own node is off, for want of memory, belong to no node that the kernel shows. They
/// join the node of their SMT sibling, or else the first node with pCPUs of their package, or else
/// the first node.
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
            notes.add(format!("pCPUs {orphans} are on no node: taken as on node {}", node.id));
        }
    }
}
