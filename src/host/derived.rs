//! What follows from a host's records and is asked for again and again: counted once, when the host
//! is built.

use std::collections::BTreeMap;
use std::ops::Range;

use super::pcie::{CommonBridge, GpuLink, PciTree};
use super::{Core, CoreKind, Gpu, Node};
use crate::units::{Bytes, L3Id, PackageId};

/// How two GPUs lie to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GpuPair {
    pub(crate) bridge: CommonBridge,
    pub(crate) linked: bool,
}

/// What is known of one node without looking at its cores again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeFacts {
    /// Positions in [`Host::cores`](super::Host::cores).
    pub(crate) cores: Range<usize>,
    /// How many of its cores each L3 domain has, largest first; cores in no known domain are one.
    pub(crate) l3_sizes: Vec<usize>,
    /// Its packages, as bits over positions in [`Derived::packages`]. A host has at most as many
    /// packages as a word has bits; further ones share the last bit.
    pub(crate) packages: u64,
}

/// Counted from the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) packages: Vec<PackageId>,
    pub(crate) nodes: Vec<NodeFacts>,
    /// Cores a node, largest first.
    pub(crate) core_counts: Vec<u64>,
    /// Memory a node, largest first.
    pub(crate) memories: Vec<u64>,
    pub(crate) nodes_with_memory: usize,
    /// Whether there are performance and efficiency cores.
    pub(crate) hybrid: bool,
    /// By GPU and GPU, in the order of [`Host::gpus`](super::Host::gpus).
    pairs: Vec<GpuPair>,
    gpus: usize,
}

impl Derived {
    pub(crate) fn new(
        nodes: &[Node],
        cores: &[Core],
        pci: &PciTree,
        gpus: &[Gpu],
        links: &[GpuLink],
    ) -> Self {
        let mut packages: Vec<PackageId> = cores.iter().map(|core| core.id.package).collect();
        packages.sort_unstable();
        packages.dedup();
        let facts = |node: &Node| {
            let first = cores.partition_point(|core| core.node < node.id);
            let last = cores.partition_point(|core| core.node <= node.id);
            let mut sizes: BTreeMap<Option<L3Id>, usize> = BTreeMap::new();
            let mut bits = 0;
            for core in &cores[first..last] {
                *sizes.entry(core.l3).or_default() += 1;
                let at = packages.binary_search(&core.id.package).unwrap_or(0);
                bits |= 1 << at.min(63);
            }
            let mut l3_sizes: Vec<usize> = sizes.into_values().collect();
            l3_sizes.sort_unstable_by(|a, b| b.cmp(a));
            NodeFacts { cores: first..last, l3_sizes, packages: bits }
        };
        let facts: Vec<NodeFacts> = nodes.iter().map(facts).collect();
        let largest_first = |mut sizes: Vec<u64>| {
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            sizes
        };
        let linked = |a, b| links.iter().any(|l| (l.a, l.b) == (a, b) || (l.b, l.a) == (a, b));
        let pair = |a: &Gpu, b: &Gpu| GpuPair {
            bridge: pci.common_bridge(a.address, b.address),
            linked: linked(a.address, b.address),
        };
        Self {
            core_counts: largest_first(facts.iter().map(|n| n.cores.len() as u64).collect()),
            memories: largest_first(nodes.iter().map(|node| node.memory.0).collect()),
            nodes_with_memory: nodes.iter().filter(|n| n.memory != Bytes::ZERO).count(),
            hybrid: cores.iter().any(|core| core.kind == CoreKind::Efficiency)
                && cores.iter().any(|core| core.kind == CoreKind::Performance),
            pairs: gpus.iter().flat_map(|a| gpus.iter().map(move |b| pair(a, b))).collect(),
            gpus: gpus.len(),
            packages,
            nodes: facts,
        }
    }

    /// Two GPUs by their positions in [`Host::gpus`](super::Host::gpus).
    pub(crate) fn pair(&self, a: usize, b: usize) -> GpuPair {
        self.pairs[a * self.gpus + b]
    }
}
