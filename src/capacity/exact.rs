//! The exact count over plain numbers.

use super::count::Capacity;
use super::packing::{Packing, most};
use super::shape::{Allowed, Shape};
use crate::free::cells::vms_of_cells;
use crate::host::mask::{Mask, NodeMask};
use crate::units::NodeId;

/// The free resources of one node, as plain numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FreeOnNode {
    /// The node.
    pub node: NodeId,
    /// The number of vCPUs that could have a pCPU on it.
    pub cpus: u64,
    /// The number of free pages of the shape's size.
    pub pages: u64,
    /// The number of free GPUs.
    pub gpus: u64,
}

impl FreeOnNode {
    /// A node with nothing free.
    #[must_use]
    pub fn new(node: NodeId) -> Self {
        Self { node, cpus: 0, pages: 0, gpus: 0 }
    }

    /// The number of cells of the shape that fit on the node, with `pages` pages per cell.
    fn cells(&self, shape: &Shape, pages: u64) -> u64 {
        let part = |room: u64, each: u64| room.checked_div(each).unwrap_or(u64::MAX);
        part(self.cpus, u64::from(shape.vcpus))
            .min(part(self.pages, pages))
            .min(part(self.gpus, u64::from(shape.gpus)))
    }
}

/// The largest number of node sets that are searched, if several allowed sets share nodes.
pub(super) const MAX_SETS: usize = 4096;
/// The largest number of nodes that are considered: the largest that a host can have.
const MAX_NODES: usize = 64;

/// The largest number of VMs of `shape` that fit on these nodes together. A cell takes its vCPUs,
/// pages and GPUs from a node's numbers; the layout of cores and the links between GPUs are
/// ignored.
///
/// If the cells may be on any distinct nodes, or the allowed sets are disjoint, this is a formula.
/// Otherwise up to 4096 sets are searched, and the answer is [`Capacity::Between`] if there are
/// more. It is `Between` too for nodes beyond the 64th, and for a node that is listed twice.
#[must_use]
pub fn vms(free: &[FreeOnNode], shape: &Shape) -> Capacity {
    let Some(pages) = shape.page_size.pages_in(shape.memory).filter(|_| shape.cells > 0) else {
        return Capacity::Exact(0);
    };
    let cells: Vec<u64> = free.iter().map(|node| node.cells(shape, pages)).collect();
    let k = shape.cells as usize;
    let Allowed::Sets(sets) = &shape.allowed else { return Capacity::Exact(closed(&cells, k)) };
    let masks = |set: &crate::sets::NodeSet| {
        let inside = free.iter().take(MAX_NODES).enumerate();
        let inside = inside.filter(|(at, node)| set.contains(node.node) && cells[*at] > 0);
        inside.map(|(at, _)| at).collect()
    };
    let answer = in_sets(&cells, k, sets.iter().map(masks).collect());
    let again = |at: usize| free[..at].iter().any(|node| node.node == free[at].node);
    if free.len() > MAX_NODES || (0..free.len()).any(again) {
        return Capacity::new(answer.at_least(), closed(&cells, k));
    }
    answer
}

/// The largest number of sets of `k` distinct nodes, if node i can be in `room[i]` of them.
pub(super) fn closed(room: &[u64], k: usize) -> u64 {
    vms_of_cells(room.iter().copied(), k)
}

/// Like [`closed`], if each set of nodes must be inside one of `sets`, masks over positions in
/// `room`.
pub(super) fn in_sets(room: &[u64], k: usize, sets: Vec<NodeMask>) -> Capacity {
    let mut answer = Capacity::Exact(0);
    for part in parts(maximal(sets, k)) {
        let nodes: Vec<usize> = NodeMask::union(part.iter().copied()).iter().collect();
        let inside: Vec<u64> = nodes.iter().map(|at| room[*at]).collect();
        let upper = closed(&inside, k);
        answer = answer.plus(match part.as_slice() {
            [_] => Capacity::Exact(upper),
            sets => {
                let (options, complete) = subsets_of(sets, k, MAX_SETS);
                let options = options.into_iter().map(|set| u128::from(set.word())).collect();
                let nodes = room.len().min(MAX_NODES);
                let room = room[..nodes].to_vec();
                most(Packing { room, nodes, options, upper, complete })
            }
        });
    }
    answer
}

/// The sets of at least `k` nodes that are contained in no other set.
pub(super) fn maximal(mut sets: Vec<NodeMask>, k: usize) -> Vec<NodeMask> {
    sets.retain(|set| set.len() as usize >= k);
    sets.sort_unstable_by_key(|set| (u32::MAX - set.len(), *set));
    sets.dedup();
    let mut kept: Vec<NodeMask> = Vec::new();
    for set in sets {
        if kept.iter().all(|other| !set.is_subset(*other)) {
            kept.push(set);
        }
    }
    kept
}

/// The sets in groups, such that sets of different groups share no node.
fn parts(sets: Vec<NodeMask>) -> Vec<Vec<NodeMask>> {
    let mut parts: Vec<(NodeMask, Vec<NodeMask>)> = Vec::new();
    for set in sets {
        let (mut nodes, mut all) = (set, vec![set]);
        parts.retain_mut(|(of, sets)| {
            let joins = of.intersects(set);
            if joins {
                nodes |= *of;
                all.append(sets);
            }
            !joins
        });
        parts.push((nodes, all));
    }
    parts.into_iter().map(|(_, sets)| sets).collect()
}

/// All sets of `k` nodes inside any of `sets`, and whether there are at most `limit`.
pub(super) fn subsets_of(sets: &[NodeMask], k: usize, limit: usize) -> (Vec<NodeMask>, bool) {
    let mut all: std::collections::BTreeSet<NodeMask> = std::collections::BTreeSet::new();
    let mut complete = true;
    for set in sets {
        let nodes: Vec<usize> = set.iter().collect();
        complete &= grow(&nodes, k, NodeMask::EMPTY, &mut |mask| {
            all.insert(mask);
            all.len() < limit
        });
    }
    (all.into_iter().collect(), complete)
}

/// Calls `each` with `set` and every choice of `k` of the positions, until it returns false.
/// Returns whether all choices were visited.
pub(super) fn grow<Of: Copy>(
    from: &[usize],
    k: usize,
    set: Mask<Of>,
    each: &mut impl FnMut(Mask<Of>) -> bool,
) -> bool {
    if k == 0 {
        return each(set);
    }
    (0..from.len().saturating_sub(k - 1))
        .all(|at| grow(&from[at + 1..], k - 1, set.with(from[at]), each))
}
