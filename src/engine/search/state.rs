//! The values that the loops of the search hand on.

use std::cell::OnceCell;

use smallvec::SmallVec;

use super::cpus::{CoreUse, FreeCores};
use super::lent::Roles;
use crate::engine::profile::{L3Use, Profile};
use crate::host::derived::ByKind;
use crate::host::mask::NodeMask;
use crate::placement::{MemoryMode, Style};
use crate::units::PageSize;

/// One for each of some nodes; those of most hosts take no memory of their own.
pub(crate) type PerNode<T> = SmallVec<[T; 8]>;

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
    /// The nodes whose memory the VM may have.
    pub(super) memory: NodeMask,
    /// What the nodes can give.
    pub(super) roles: Roles,
    /// The sets of nodes on which a GPU set lies.
    pub(super) of_gpus: SmallVec<[NodeMask; 16]>,
    /// By node position: how its cores would be used if vCPUs were on all of them. Empty unless
    /// vCPUs may share cores and [`Pass::core_use`] knows the best split without making one.
    pub(super) if_all: PerNode<CoreUse>,
    /// Whether all cells must be alike, so that each node gives the same numbers of cores and
    /// pages.
    pub(super) alike: bool,
    /// Whether each of the required cells could show its vCPUs as pairs of siblings.
    pub(super) shows_pairs: bool,
    /// The number of pCPUs that the request wants for the emulator alone.
    pub(super) emulator_pcpus: u64,
    /// By node position: the pCPUs that these could be, if vCPUs may take all of the node's cores
    /// and if they take none. Empty where that is not asked.
    pub(super) emulator_free: PerNode<(u64, u64)>,
    /// The number of the pass's first variant among all of the search.
    pub(super) first: usize,
}

/// The constants of one size of node sets.
#[derive(Debug)]
pub(super) struct Size<'s> {
    pub(super) pass: &'s Pass<'s>,
    pub(super) even: EvenSplit,
    /// The choices for a guest on this number of nodes.
    pub(super) choices: SmallVec<[Choice; CHOICES]>,
}

/// What trying some layouts gave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    /// Whether some candidate is possible.
    pub(super) possible: bool,
    /// Whether some possible candidate has all its GPUs of known node on its own nodes.
    pub(super) settled: bool,
}

impl Outcome {
    /// Adds what trying other layouts gave.
    pub(super) fn add(&mut self, other: Self) {
        self.possible |= other.possible;
        self.settled |= other.settled;
    }
}

/// A node set and a GPU set, with the facts that follow from the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'s> {
    pub(super) size: &'s Size<'s>,
    pub(super) mask: NodeMask,
    /// Its nodes whose memory the VM may have.
    pub(super) home: NodeMask,
    /// Its nodes that may be without a vCPU.
    pub(super) alone: NodeMask,
    /// The number of nodes in `mask`.
    pub(super) nodes: usize,
    /// The number of packages that the nodes are in.
    pub(super) packages: u32,
    /// The number of requested devices that are not known to be on these nodes.
    pub(super) devices_far: u32,
    /// The page sizes with enough free pages on these nodes, as indices into `Inventory::pages`.
    pub(super) pages: &'s [usize],
    /// The sum of the distances between the VM's nodes, computed when it is first asked for.
    pub(super) between: &'s OnceCell<u64>,
    /// Index into [`GpuSets::sets`](super::gpus::GpuSets::sets).
    pub(super) gpus: usize,
    /// The number of GPUs that are known to be on other nodes.
    pub(super) gpus_remote: u32,
}

/// How a layout's guest cores are shared out over its nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores<'s> {
    pub(super) units: &'s [u64],
    /// Whether every node has the same number.
    pub(super) is_even: bool,
    /// Whether some node has none.
    pub(super) has_gaps: bool,
    /// The memo's entry for the layout with these cores.
    pub(super) entry: usize,
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
    /// The place of its verdict in an entry of the memo.
    pub(super) fn place(self, page: PageSize) -> usize {
        self.number * 2 + usize::from(page.is_huge())
    }
}

/// The nodes with room for as many cells as there can be VMs of them, and how many of these nodes a
/// VM may leave out.
pub(super) type Tight = (NodeMask, u64);

/// The even split over a number of nodes, evaluated for every node at once: a node set is then
/// answered by a few mask operations. On most hosts no other split is tried for most node sets.
#[derive(Debug, Default)]
pub(super) struct EvenSplit {
    /// The number of guest cores on each node of a set.
    pub(super) share: PerNode<u64>,
    /// Nodes with room for a share.
    pub(super) fits: NodeMask,
    /// For each page size, in the order of `Inventory::pages`: the nodes with enough free pages for
    /// one of the equal cells; no node, if the pages of the VM cannot be shared out evenly.
    pub(super) pages: SmallVec<[NodeMask; 4]>,
    /// For each page size: the nodes that a VM of equal cells should be on, once that is asked.
    pub(super) tight: SmallVec<[OnceCell<Tight>; 4]>,
    /// Nodes where the share would be in one of several L3 domains.
    pub(super) one_l3: NodeMask,
    /// Nodes where the share would be in several L3 domains, but no more than needed.
    pub(super) fewest_l3: NodeMask,
    /// Nodes where the share would be scattered over more L3 domains than needed.
    pub(super) pieces: NodeMask,
    /// The cores that a share would be on. By node position, unless that is a performance core for
    /// each guest core on every node; then there is none.
    pub(super) cores: PerNode<ByKind>,
    /// Nodes where the VM would hold a part of some core.
    pub(super) parts: NodeMask,
    /// What other tenants' floating threads cost the cores of a share. By node position, unless
    /// that is nothing on every node; then there is none.
    pub(super) crowds: PerNode<u32>,
}

impl Pass<'_> {
    /// How the cores of these nodes are used at best where vCPUs may share them. `None` where that
    /// depends on how the vCPUs are shared out.
    ///
    /// The best split uses the most cores: all of them if cores must carry two vCPUs, and otherwise
    /// one for each vCPU as long as there are some.
    pub(super) fn core_use(&self, mask: NodeMask) -> Option<CoreUse> {
        if self.if_all.is_empty() {
            return None;
        }
        let mut all = CoreUse { l3: L3Use::NoChoice, cores: [0; 3], whole: true, crowd: 0 };
        let mut room = 0;
        for at in mask.iter() {
            let CoreUse { l3, cores, whole, crowd } = self.if_all[at];
            all.l3 = all.l3.max(l3);
            all.add_cores(cores);
            all.whole &= whole;
            all.crowd += crowd;
            room += self.caps[at];
        }
        if self.stock.way.doubled {
            all.whole &= room == self.units;
        } else {
            all.cores[0] = all.cores[0].min(u32::try_from(self.units).unwrap_or(u32::MAX));
        }
        Some(all)
    }
}

impl EvenSplit {
    /// Whether every one of these nodes has room for a share.
    pub(super) fn fits_on(&self, mask: NodeMask) -> bool {
        mask.is_subset(self.fits)
    }

    /// How the cores would be used, if the VM were on these nodes.
    pub(super) fn core_use(&self, mask: NodeMask) -> CoreUse {
        let l3 = if mask.intersects(self.pieces) {
            L3Use::Pieces
        } else if mask.intersects(self.fewest_l3) {
            L3Use::Fewest
        } else if mask.intersects(self.one_l3) {
            L3Use::One
        } else {
            L3Use::NoChoice
        };
        let crowd = match self.crowds.is_empty() {
            true => 0,
            false => mask.iter().map(|at| self.crowds[at]).sum(),
        };
        let whole = !mask.intersects(self.parts);
        let mut all = CoreUse { l3, cores: [0; 3], whole, crowd };
        if self.cores.is_empty() {
            let each = self.share.first().map_or(0, |share| *share) * u64::from(mask.len());
            all.cores[0] = u32::try_from(each).unwrap_or(u32::MAX);
        } else {
            mask.iter().for_each(|at| all.add_cores(self.cores[at]));
        }
        all
    }

    /// The nodes among `of` that have room for one of the equal cells: its cores, and its pages in
    /// some page size.
    pub(super) fn nodes(&self, of: &[usize]) -> PerNode<usize> {
        let with_pages = NodeMask::union(self.pages.iter().copied());
        of.iter().copied().filter(|at| (self.fits & with_pages).contains(*at)).collect()
    }
}
