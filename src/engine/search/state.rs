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
    /// Cores that stay free on its nodes: the tightest fit goes first.
    pub(super) left_over: u64,
    pub(super) mask: NodeMask,
    pub(super) page: Reverse<PageSize>,
}

/// What a rank begins with: all that is known before the packing cost is.
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
    /// Whether there are enough on these nodes.
    pub(super) fn suffice_on(&self, mask: NodeMask) -> bool {
        let sum = bits(mask).fold(0, |sum: u64, at| sum.saturating_add(self.free[at]));
        sum.min(self.in_all) >= self.needed
    }
}

/// Candidates of one variant differ in nothing that the guest could see but their places.
pub(crate) type Variant = (Style, MemoryMode, bool, CpuPolicy);

/// The page sizes worth trying, largest first, and the free pages of each by node.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) size: PageSize,
    pub(crate) needed: u64,
    pub(crate) free: PerNode<u64>,
    /// The nodes that have some.
    pub(super) some: NodeMask,
    /// Free on the whole host, less what tenants hold somewhere.
    pub(crate) in_all: u64,
}

/// Room for what is counted of one candidate: by node of it, where that is, the free pages, the
/// weights and the pages that it would have.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) at: Vec<usize>,
    pub(super) free: Vec<u64>,
    pub(super) weights: Vec<u64>,
    pub(super) pages: Vec<u64>,
}

/// What a guest on several nodes could be shown.
pub(super) const CHOICES: usize = 4;

/// What a search of one number of threads goes by.
#[derive(Debug)]
pub(super) struct Pass<'s> {
    pub(super) stock: &'s FreeCores<'s>,
    pub(super) units: u64,
    /// By node: guest cores that fit.
    pub(super) caps: PerNode<u64>,
    /// What is the same for all that is tried.
    pub(super) base: Profile,
    /// Positions of the nodes on which something of the VM could be.
    pub(super) usable: PerNode<usize>,
    /// The GPU sets' nodes.
    pub(super) of_gpus: SmallVec<[NodeMask; 16]>,
    /// Whether only as many cores and pages on every node will do: several cells, all alike.
    pub(super) alike: bool,
    /// Where its variants begin in [`Search::best`].
    pub(super) first: usize,
}

/// Room that is used again for every node set.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) at: Vec<usize>,
    pub(super) room: Vec<u64>,
    pub(super) weights: Vec<u64>,
    /// Splits in a row, each with a number for every node.
    pub(super) splits: Vec<u64>,
    pub(super) pages: Vec<usize>,
}

/// A set of nodes and of GPUs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'s> {
    pub(super) stock: &'s FreeCores<'s>,
    /// What is the same for all that is tried in this pass.
    pub(super) base: &'s Profile,
    /// Where the pass's variants begin in [`Search::best`].
    pub(super) first: usize,
    /// By node: guest cores that fit.
    pub(super) caps: &'s [u64],
    pub(super) mask: NodeMask,
    /// How many they are.
    pub(super) nodes: usize,
    /// Packages of the nodes.
    pub(super) packages: u32,
    /// Devices that are not on these nodes.
    pub(super) devices_far: u32,
    /// GPUs that are known to be on other nodes.
    pub(super) gpus_remote: u32,
    pub(super) units: u64,
    /// Distances between the VM's nodes, once somebody has asked for them.
    pub(super) between: &'s OnceCell<u64>,
    /// Position in [`GpuSets::sets`](super::gpus::GpuSets::sets).
    pub(super) gpus: usize,
    /// As [`EvenSplit::pages`](EvenSplit::pages).
    pub(super) even_pages: &'s [NodeMask],
}

/// How a layout's guest cores are shared out over its nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores<'s> {
    pub(super) units: &'s [u64],
    /// Whether they are as many on every node.
    pub(super) is_even: bool,
    /// Where in [`Search::known`] it stands how they would lie.
    pub(super) known: usize,
}

/// What the guest is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// From 0, unlike all others of a pass.
    pub(super) number: usize,
    pub(super) style: Style,
    pub(super) memory: MemoryMode,
    pub(super) expanders: bool,
}

impl Choice {
    /// Its place in [`Known`].
    pub(super) fn place(self, page: PageSize) -> usize {
        self.number * 2 + usize::from(page.is_huge())
    }
}

/// What tells a layout's profiles from the others of its pass, and what was found out of each: by
/// choice, twice, with base pages and with hugepages.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) features: Features,
    pub(super) verdicts: [Option<Verdict>; CHOICES * 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) nodes: u32,
    pub(super) packages: u32,
    pub(super) devices_far: u32,
    pub(super) gpus_remote: u32,
    /// The kind of the GPU set.
    pub(super) gpus: usize,
    pub(super) lie: CoreUse,
}

/// What a profile alone decides: its score without the packing cost, or the first required property
/// that it lacks.
pub(super) type Verdict = Result<Score, Property>;

/// The same number of guest cores on every node: how it would lie, by nodes. On most hosts most sets
/// are settled by this alone.
#[derive(Debug)]
pub(super) struct EvenSplit {
    pub(super) share: PerNode<u64>,
    /// Nodes with room for it.
    pub(super) fits: NodeMask,
    /// By page size, in the order of [`Search::pages`]: nodes with as many free pages as each of so many
    /// equal cells needs; none where the pages cannot be shared out evenly.
    pub(super) pages: SmallVec<[NodeMask; 4]>,
    /// Nodes where it would lie in whole L3 domains, or in pieces.
    pub(super) whole_l3: NodeMask,
    pub(super) pieces: NodeMask,
    /// Nodes where it would be on efficiency cores.
    pub(super) efficiency: NodeMask,
    /// Nodes where the VM would not hold all of each core.
    pub(super) parts: NodeMask,
}

impl EvenSplit {
    pub(super) fn lie(&self, mask: NodeMask) -> CoreUse {
        let l3 = match (mask & self.pieces, mask & self.whole_l3) {
            (0, 0) => L3Use::NoChoice,
            (0, _) => L3Use::Whole,
            _ => L3Use::Pieces,
        };
        CoreUse { l3, efficiency: mask & self.efficiency != 0, whole: mask & self.parts == 0 }
    }

    /// Those of these nodes that have the cores and the pages of one of so many equal cells.
    pub(super) fn nodes(&self, of: &[usize]) -> PerNode<usize> {
        let with_pages = self.pages.iter().fold(0, |all, of_size| all | of_size);
        of.iter().copied().filter(|at| self.fits & with_pages & (1 << at) != 0).collect()
    }
}
