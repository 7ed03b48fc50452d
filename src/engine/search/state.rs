//! What the search hands from loop to loop: plain values.

use std::cell::OnceCell;
use std::cmp::Reverse;

use smallvec::SmallVec;

use super::cpus::{CoreUse, CpuPolicy, FreeCores};
use super::nodes::NodeMask;
use crate::engine::cost::HostCost;
use crate::engine::profile::{L3Use, Profile};
use crate::engine::score::{Property, Score};
use crate::placement::{MemoryMode, Style};
use crate::sets::bits;
use crate::units::PageSize;

/// One for each of some nodes; those of most hosts take no memory of their own.
pub(crate) type PerNode<T> = SmallVec<[T; 8]>;

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
    /// Position in [`Search::gpus`].
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
    /// What it costs the host's other tenants.
    pub(super) cost: i64,
    pub(super) cores: u64,
    /// Better GPU sets come first in [`GpuSets::sets`].
    pub(super) gpus: usize,
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
    /// Distances between the VM's nodes, and from its GPUs to them.
    pub(super) spread: u64,
}

impl Pages {
    /// Whether the pages that are free on these nodes suffice for the VM.
    pub(super) fn suffice_on(&self, mask: NodeMask) -> bool {
        let sum = bits(mask).fold(0, |sum: u64, at| sum.saturating_add(self.free[at]));
        sum.min(self.in_all) >= self.needed
    }
}

/// The key of a variant: style, memory mode, expander buses, policy. The guests of two candidates
/// of one variant differ only in where they are.
pub(crate) type Variant = (Style, MemoryMode, bool, CpuPolicy);

/// One page size to try: the number of pages that the VM needs, and the numbers that are free.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) size: PageSize,
    pub(crate) needed: u64,
    /// Free pages by node position.
    pub(crate) free: PerNode<u64>,
    /// The nodes with a free page of this size.
    pub(super) some: NodeMask,
    /// Free pages of the host, less those that tenants hold on no particular node.
    pub(crate) in_all: u64,
}

/// Lists that the weighing of one candidate fills anew, with an entry for each of its nodes:
/// position, free pages, weight, pages of the candidate.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) at: Vec<usize>,
    pub(super) free: Vec<u64>,
    pub(super) weights: Vec<u64>,
    pub(super) pages: Vec<u64>,
}

/// The number of choices: the ways to show a guest on several nodes where it is.
pub(super) const CHOICES: usize = 4;

/// The constants of one pass: one policy, and one number of threads per guest core.
#[derive(Debug)]
pub(super) struct Pass<'s> {
    pub(super) stock: &'s FreeCores<'s>,
    /// The number of guest cores of the VM; of vCPUs, where they float.
    pub(super) units: u64,
    /// By node position: the number of guest cores that the node has room for.
    pub(super) caps: PerNode<u64>,
    /// A profile with the facts that all layouts of the pass share.
    pub(super) base: Profile,
    /// Positions of the nodes that can take part in a layout.
    pub(super) usable: PerNode<usize>,
    /// The sets of nodes on which a GPU set lies.
    pub(super) of_gpus: SmallVec<[NodeMask; 16]>,
    /// Whether all cells must be alike, so that each node gives the same numbers of cores and
    /// pages.
    pub(super) alike: bool,
    /// Index in `Search::best` of the pass's first variant.
    pub(super) first: usize,
}

/// Lists that are filled anew for every node set.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) at: Vec<usize>,
    pub(super) room: Vec<u64>,
    pub(super) weights: Vec<u64>,
    /// Splits one after the other, each with one number per node.
    pub(super) splits: Vec<u64>,
    pub(super) pages: Vec<usize>,
}

/// A node set and a GPU set, with the facts that follow from the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'s> {
    pub(super) stock: &'s FreeCores<'s>,
    /// As [`Pass::base`].
    pub(super) base: &'s Profile,
    /// As [`Pass::first`].
    pub(super) first: usize,
    /// As [`Pass::caps`].
    pub(super) caps: &'s [u64],
    pub(super) mask: NodeMask,
    /// The number of nodes in `mask`.
    pub(super) nodes: usize,
    /// The number of packages that the nodes are in.
    pub(super) packages: u32,
    /// The number of requested devices that are not known to be on these nodes.
    pub(super) devices_far: u32,
    /// The number of GPUs that are known to be on other nodes.
    pub(super) gpus_remote: u32,
    pub(super) units: u64,
    /// The sum of the distances between the VM's nodes, computed when it is first asked for.
    pub(super) between: &'s OnceCell<u64>,
    /// Index into [`GpuSets::sets`](super::gpus::GpuSets::sets).
    pub(super) gpus: usize,
    /// As [`EvenSplit::pages`].
    pub(super) even_pages: &'s [NodeMask],
}

/// How a layout's guest cores are shared out over its nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores<'s> {
    pub(super) units: &'s [u64],
    /// Whether every node has the same number.
    pub(super) is_even: bool,
    /// Index into the memo, `Search::known`, of the layout with these cores.
    pub(super) known: usize,
}

/// What the guest is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// The number of the choice, from 0; each choice of a pass has one of its own.
    pub(super) number: usize,
    pub(super) style: Style,
    pub(super) memory: MemoryMode,
    pub(super) expanders: bool,
}

impl Choice {
    /// Its index into [`Known::verdicts`].
    pub(super) fn place(self, page: PageSize) -> usize {
        self.number * 2 + usize::from(page.is_huge())
    }
}

/// An entry of the memo: the features of a layout, and the verdict on each of its profiles once
/// that is known: two for each choice, with base pages and with hugepages.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) features: Features,
    pub(super) verdicts: [Option<Verdict>; CHOICES * 2],
}

/// Everything in which the profiles of two layouts of one pass can differ, for the same choice and
/// page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) nodes: u32,
    pub(super) packages: u32,
    pub(super) devices_far: u32,
    pub(super) gpus_remote: u32,
    /// [`GpuSet::kind`](super::gpus::GpuSet::kind) of the GPU set.
    pub(super) gpus: usize,
    pub(super) core_use: CoreUse,
}

/// The verdict on a profile: its score without the packing cost, or the first required property
/// that it lacks.
pub(super) type Verdict = Result<Score, Property>;

/// The even split over a number of nodes, evaluated for every node at once: a node set is then
/// answered by a few mask operations. On most hosts no other split is tried for most node sets.
#[derive(Debug)]
pub(super) struct EvenSplit {
    /// The number of guest cores on each node of a set.
    pub(super) share: PerNode<u64>,
    /// Nodes with room for a share.
    pub(super) fits: NodeMask,
    /// For each page size, in the order of `Search::pages`: the nodes with enough free pages for
    /// one of the equal cells; no node, if the pages of the VM cannot be shared out evenly.
    pub(super) pages: SmallVec<[NodeMask; 4]>,
    /// Nodes where the share would be in whole L3 domains.
    pub(super) whole_l3: NodeMask,
    /// Nodes where the share would be scattered over more L3 domains than needed.
    pub(super) pieces: NodeMask,
    /// Nodes where the share would include an efficiency core.
    pub(super) efficiency: NodeMask,
    /// Nodes where the VM would hold a part of some core.
    pub(super) parts: NodeMask,
}

impl EvenSplit {
    /// How the cores would be used, if the VM were on these nodes.
    pub(super) fn core_use(&self, mask: NodeMask) -> CoreUse {
        let l3 = match (mask & self.pieces, mask & self.whole_l3) {
            (0, 0) => L3Use::NoChoice,
            (0, _) => L3Use::Whole,
            _ => L3Use::Pieces,
        };
        CoreUse { l3, efficiency: mask & self.efficiency != 0, whole: mask & self.parts == 0 }
    }

    /// The nodes among `of` that have room for one of the equal cells: its cores, and its pages in
    /// some page size.
    pub(super) fn nodes(&self, of: &[usize]) -> PerNode<usize> {
        let with_pages = self.pages.iter().fold(0, |all, of_size| all | of_size);
        of.iter().copied().filter(|at| self.fits & with_pages & (1 << at) != 0).collect()
    }
}
