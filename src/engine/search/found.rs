//! The result of the search: the best candidates, and what stopped the others.

use std::cmp::Reverse;

use super::cpus::CpuPolicy;
use super::inventory::Inventory;
use super::state::PerNode;
use crate::engine::cost::HostCost;
use crate::engine::profile::Profile;
use crate::engine::score::{Property, Score};
use crate::host::mask::NodeMask;
use crate::placement::{MemoryMode, Style};
use crate::units::PageSize;

/// The result of the search of one host for one request.
#[derive(Debug)]
pub(crate) struct Found {
    /// The best candidate of each variant, indexed by policy, number of threads and choice.
    best: Vec<Option<Candidate>>,
    /// By style: the first required property that stopped a candidate which otherwise fits.
    lacking: [Option<Property>; Style::ALL.len()],
    /// By style: the best score so far.
    scores: [Option<i64>; Style::ALL.len()],
    /// Whether every variant of a style is wanted, not its best alone.
    wants_all: bool,
    /// Whether a bound cut the search.
    pub(crate) cut: bool,
}

impl Found {
    /// Nothing found yet of this number of variants.
    pub(super) fn new(inventory: &Inventory<'_>, variants: usize) -> Self {
        let mut best = Vec::new();
        best.resize(variants, None);
        let lacking = [None; Style::ALL.len()];
        let scores = [None; Style::ALL.len()];
        let wants_all = inventory.options.all;
        Self { best, lacking, scores, wants_all, cut: !inventory.gpus.complete }
    }

    /// The best candidate of every variant that has one.
    pub(crate) fn best(&self) -> impl Iterator<Item = &Candidate> {
        self.best.iter().flatten()
    }

    /// A required property that stopped a candidate of this style which otherwise fits.
    pub(crate) fn lacking(&self, style: Style) -> Option<Property> {
        self.lacking[style as usize]
    }

    /// Notes the first required property that stopped a candidate of this style.
    pub(super) fn note(&mut self, style: Style, property: Property) {
        self.lacking[style as usize].get_or_insert(property);
    }

    /// The best score of this style so far; `None` where every variant of it is wanted.
    pub(super) fn score_of(&self, style: Style) -> Option<i64> {
        self.scores[style as usize].filter(|_| !self.wants_all)
    }

    /// Whether a candidate of this style and score would not be in the answer: the style has a
    /// better one.
    pub(super) fn is_behind(&self, style: Style, score: i64) -> bool {
        self.score_of(style).is_some_and(|best| best > score)
    }

    /// Keeps the best candidate of one variant.
    pub(super) fn keep(&mut self, variant: usize, candidate: Candidate) {
        let best = &mut self.scores[candidate.style as usize];
        *best = (*best).max(Some(candidate.score.total));
        self.best[variant] = Some(candidate);
    }

    /// The rank of the best candidate of one variant.
    pub(super) fn best_of(&self, variant: usize) -> Option<&Rank> {
        self.best[variant].as_ref().map(|best| &best.rank)
    }
}

/// A way to place the VM, decided down to how many cores and pages on which node.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) style: Style,
    pub(crate) way: CpuPolicy,
    pub(crate) threads: u32,
    pub(crate) memory: MemoryMode,
    pub(crate) expanders: bool,
    /// Positions in [`Host::nodes`], ascending.
    pub(crate) nodes: PerNode<usize>,
    /// By node: guest cores; vCPUs where they float.
    pub(crate) units: PerNode<u64>,
    pub(crate) page: PageSize,
    /// By node.
    pub(crate) pages: PerNode<u64>,
    /// Index into [`GpuSets::sets`](super::gpus::GpuSets::sets).
    pub(crate) gpus: usize,
    pub(crate) profile: Profile,
    pub(crate) score: Score,
    pub(crate) cost: HostCost,
    pub(super) rank: Rank,
}

impl Candidate {
    /// The order of candidates, best first.
    pub(crate) fn rank(&self) -> &Rank {
        &self.rank
    }

    /// What it is a variant of.
    pub(crate) fn variant(&self) -> Variant {
        (self.style, self.memory, self.expanders, self.way)
    }
}

/// What orders candidates, best first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(super) start: Start,
    /// Where vCPUs float, the most vCPUs for each pCPU of a node, other tenants' counted, in
    /// thousandths.
    pub(super) load: u64,
    /// The number of the emulator's own pCPUs that may have to be on other nodes.
    pub(super) emulator_far: u64,
    /// What it costs the host's other tenants.
    pub(super) cost: i64,
    pub(super) cores: u64,
    /// Better GPU sets come first in [`GpuSets::sets`].
    pub(super) gpus: usize,
    /// Whether another node set would leave room for more VMs like this one, where all cells must
    /// be alike.
    pub(super) wastes: bool,
    /// The number of cores that stay free on its nodes: the tightest fit comes first.
    pub(super) left_over: u64,
    pub(super) mask: NodeMask,
    pub(super) page: Reverse<PageSize>,
}

/// The first part of a rank: what is known before the packing cost is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Start {
    pub(super) score: Reverse<i64>,
    pub(super) nodes: u32,
    /// Of two styles that score the same, the one with a core for every vCPU: the safer start (F1).
    pub(super) threads: u32,
    /// Expander buses tell the guest more and cost nothing.
    pub(super) blind: bool,
    /// Whether cores are in more L3 domains than needed.
    pub(super) pieces: bool,
    /// The number of guest cores on nodes that lend pCPUs.
    pub(super) lent: u64,
    /// Distances between the VM's nodes, and from its GPUs to them.
    pub(super) spread: u64,
}

/// The key of a variant: style, memory mode, expander buses, policy. The guests of two candidates
/// of one variant differ only in where they are.
pub(crate) type Variant = (Style, MemoryMode, bool, CpuPolicy);
