//! What the loops of the search own while they run.

use super::found::Found;
use super::inventory::Inventory;
use super::memo::Memo;
use super::nodes::Grown;

/// One run of the search: the inventory that it reads, and what it alone writes.
#[derive(Debug)]
pub(super) struct Walk<'s> {
    pub(super) inventory: &'s Inventory<'s>,
    pub(super) memo: Memo,
    pub(super) found: Found,
    pub(super) scratch: Scratch,
    pub(super) grown: Grown,
}

/// Lists that the weighing of one candidate fills anew, with an entry for each of its nodes.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Positions of the nodes.
    pub(super) at: Vec<usize>,
    /// Free pages.
    pub(super) free: Vec<u64>,
    pub(super) weights: Vec<u64>,
    /// Pages of the candidate.
    pub(super) pages: Vec<u64>,
    /// Cores that carry vCPUs; none where vCPUs float.
    pub(super) cores: Vec<u64>,
}

/// Lists that are filled anew for every layout with splits of its own. They lie beside the
/// [`Walk`], which weighs the splits while it reads them here.
#[derive(Debug, Default)]
pub(super) struct Splits {
    /// Positions of the layout's nodes.
    pub(super) at: Vec<usize>,
    /// By node: the number of guest cores that it has room for.
    pub(super) room: Vec<u64>,
    pub(super) weights: Vec<u64>,
    /// Splits one after the other, each with one number per node.
    pub(super) splits: Vec<u64>,
}
