//! The host's own records, made from checked ones.

use std::collections::{BTreeMap, BTreeSet};

use super::{CoreSpec, HostError, HostSpec, NodeSpec, core_id};
use crate::host::records::{Core, CoreKind, L3Domain, Node};
use crate::sets::CpuSet;
use crate::units::PcpuId;

impl HostSpec {
    pub(super) fn finish_nodes(&self) -> Vec<Node> {
        let node_of = owners(self.nodes.iter().map(|node| &node.cpus));
        let mut packages = vec![BTreeSet::new(); self.nodes.len()];
        for core in &self.cores {
            for at in core.pcpus.iter().filter_map(|pcpu| owner(&node_of, pcpu)) {
                packages[at].insert(core.package);
            }
        }
        let node = |(spec, packages): (&NodeSpec, &BTreeSet<_>)| Node {
            id: spec.id,
            cpus: spec.cpus.clone(),
            package: packages.first().copied().filter(|_| packages.len() == 1),
            memory: spec.memory,
            pools: spec.pools.clone(),
            distances: spec.distances.clone(),
        };
        self.nodes.iter().zip(&packages).map(node).collect()
    }

    pub(super) fn finish_cores(
        &self,
        nodes: &[Node],
        l3: &[L3Domain],
    ) -> Result<Vec<Core>, HostError> {
        let common = common_frequencies(&self.cores);
        let node_of = owners(nodes.iter().map(|node| &node.cpus));
        let l3_of = owners(l3.iter().map(|l3| &l3.cpus));
        let mut cores = Vec::with_capacity(self.cores.len());
        for spec in &self.cores {
            let id = core_id(spec);
            let straddles = |what| HostError::CoreStraddles { core: id, what };
            let first = |of: &[u32]| spec.pcpus.iter().find_map(|pcpu| owner(of, pcpu));
            let node = first(&node_of).map(|at| (nodes[at].id, &nodes[at].cpus));
            let (node, cpus) = node.expect("every online pCPU has a node: checked above");
            if !spec.pcpus.is_subset(cpus) {
                return Err(straddles("nodes"));
            }
            let domain = first(&l3_of).map(|at| &l3[at]);
            if domain.is_some_and(|l3| !spec.pcpus.is_subset(&l3.cpus)) {
                return Err(straddles("L3 domains"));
            }
            let usual = common.get(&spec.kind).copied();
            cores.push(Core {
                id,
                node,
                l3: domain.map(|l3| l3.id),
                kind: spec.kind,
                favoured: spec.max_mhz > usual && usual.is_some(),
                max_mhz: spec.max_mhz,
                pcpus: spec.pcpus.iter().collect(),
            });
        }
        cores.sort_by_key(|core| {
            (core.node, core.id.package, core.l3, core.kind, core.pcpus.first().copied())
        });
        Ok(cores)
    }
}

/// For each pCPU, the position of the set that contains it, among disjoint sets; `u32::MAX` if none
/// does.
fn owners<'a>(sets: impl Iterator<Item = &'a CpuSet>) -> Vec<u32> {
    let mut owners = Vec::new();
    for (set, at) in sets.zip(0..) {
        for pcpu in set.iter() {
            let place = pcpu.0 as usize;
            owners.resize(owners.len().max(place + 1), u32::MAX);
            owners[place] = at;
        }
    }
    owners
}

fn owner(owners: &[u32], pcpu: PcpuId) -> Option<usize> {
    owners.get(pcpu.0 as usize).filter(|at| **at != u32::MAX).map(|at| *at as usize)
}

/// The most common top frequency of each kind of core; of two equally common ones, the lower. A
/// core above it is favoured.
fn common_frequencies(cores: &[CoreSpec]) -> BTreeMap<CoreKind, u32> {
    let mut counts: BTreeMap<(CoreKind, u32), usize> = BTreeMap::new();
    for core in cores {
        if let Some(mhz) = core.max_mhz {
            *counts.entry((core.kind, mhz)).or_default() += 1;
        }
    }
    let mut best: BTreeMap<CoreKind, (usize, u32)> = BTreeMap::new();
    for ((kind, mhz), count) in counts {
        let entry = best.entry(kind).or_insert((count, mhz));
        if count > entry.0 {
            *entry = (count, mhz);
        }
    }
    best.into_iter().map(|(kind, (_, mhz))| (kind, mhz)).collect()
}
