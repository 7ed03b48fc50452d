//! Splits: how the guest cores are shared out over the nodes of a set.

use std::cell::OnceCell;

use smallvec::SmallVec;

use super::cpus::CoreUse;
use super::nodes::share_out;
use super::state::{EvenSplit, Layout, Pass, PerNode};
use super::walk::{Splits, Walk};
use crate::engine::profile::L3Use;
use crate::host::limits::MAX_NODES;
use crate::host::mask::NodeMask;

impl Walk<'_> {
    /// Evaluates the even split over `size` nodes. No node fits if the guest cores cannot be shared
    /// out evenly, or if [`Pass::core_use`] answers for every split.
    pub(super) fn even(&mut self, pass: &Pass<'_>, size: usize) -> EvenSplit {
        let cells = size as u64;
        let share = pass.units / cells;
        let mut even =
            EvenSplit { share: SmallVec::from_elem(share, size), ..EvenSplit::default() };
        even.pages.extend(self.inventory.pages.iter().map(|pages| {
            let each = Some(pages.needed / cells).filter(|each| each * cells == pages.needed);
            let enough = |at: &usize| each.is_some_and(|each| pages.free[*at] >= each);
            pass.usable.iter().copied().filter(enough).collect()
        }));
        if pass.alike {
            even.tight.resize_with(even.pages.len(), OnceCell::new);
        }
        if share * cells != pass.units || !pass.if_all.is_empty() {
            return even;
        }
        for node in pass.usable.iter().copied().filter(|node| pass.caps[*node] >= share) {
            let core_use = self.memo.core_use(pass.stock, &[node], &[share], pass.base.threads);
            even.fits.insert(node);
            match core_use.l3 {
                L3Use::NoChoice => {}
                L3Use::One => even.one_l3.insert(node),
                L3Use::Fewest => even.fewest_l3.insert(node),
                L3Use::Pieces => even.pieces.insert(node),
            }
            let plain = [u32::try_from(share).unwrap_or(u32::MAX), 0, 0];
            if core_use.cores != plain && even.cores.is_empty() {
                even.cores.resize(pass.caps.len(), plain);
            }
            if !even.cores.is_empty() {
                even.cores[node] = core_use.cores;
            }
            if !core_use.whole {
                even.parts.insert(node);
            }
            if core_use.crowd > 0 {
                even.crowds.resize(pass.caps.len(), 0);
                even.crowds[node] = core_use.crowd;
            }
        }
        even
    }

    /// Whether no other split over the layout's nodes could use the cores better.
    pub(super) fn is_good(&self, layout: &Layout<'_>, core_use: CoreUse) -> bool {
        let pass = layout.size.pass;
        let nodes = &self.inventory.host.derived().nodes;
        let largest = |at: usize| nodes[at].l3_sizes.first().map_or(0, |cores| *cores as u64);
        let in_one = layout.mask.iter().map(largest).sum::<u64>();
        let each = if pass.stock.way.doubled { 2 } else { 1 };
        core_use.is_good(pass.units <= each * in_one)
    }

    /// The positions of the layout's nodes, and the splits to try, one after the other: evenly, or
    /// in proportion to the GPUs if every node has some, limited by each node's room. If vCPUs may
    /// share cores, the split that uses the most cores follows; otherwise, on two nodes, those that
    /// use fewer L3 domains or no efficiency cores.
    pub(super) fn split<'l>(
        &mut self,
        layout: &Layout<'_>,
        lists: &'l mut Splits,
    ) -> (&'l [usize], &'l [u64]) {
        let Splits { at, room, weights, splits } = lists;
        let pass = layout.size.pass;
        let facts = &self.inventory.host.derived().nodes;
        let gpus = self.inventory.gpus.sets[layout.gpus].gpus;
        at.clear();
        room.clear();
        weights.clear();
        for node in layout.mask.iter() {
            at.push(node);
            room.push(pass.caps[node]);
            weights.push(u64::from((facts[node].gpus & gpus).len()));
        }
        splits.clear();
        // A flat guest, too, has a vCPU on each of its nodes: a node without one is not the VM's.
        if !weights.contains(&0) {
            share_out(pass.units, room, weights, true, splits);
        }
        if weights.iter().any(|gpus| *gpus == 0 || *gpus != weights[0]) {
            weights.fill(1);
            share_out(pass.units, room, weights, true, splits);
        }
        let alone = layout.alone;
        if alone != NodeMask::EMPTY {
            add_splits(pass, layout, (at, room), splits);
        }
        if pass.shares_cores() {
            pass.stock.share_by_cores(at, pass.units, splits);
            return (at, splits);
        }
        let (&[a, b], true) = (room.as_slice(), !splits.is_empty()) else {
            return (at, splits);
        };
        let threads = pass.base.threads;
        let core_use = self.memo.core_use(pass.stock, at, &splits[..2], threads);
        if !self.is_good(layout, core_use) {
            let mut seen = vec![core_use];
            let total = pass.units;
            let least = |i: usize| u64::from(!alone.contains(at[i]));
            let may = |x: &u64| (least(0)..=a).contains(x) && (least(1)..=b).contains(&(total - x));
            for x in (0..=total).filter(may) {
                let core_use = self.memo.core_use(pass.stock, at, &[x, total - x], threads);
                if !seen.contains(&core_use) {
                    seen.push(core_use);
                    splits.extend([x, total - x]);
                }
            }
        }
        (at, splits)
    }
}

/// Adds splits for a set with nodes that may give memory alone: one with as many guest cores as
/// possible on the nodes with memory, one with as many as possible on those that lend pCPUs, and
/// one with all on each node that has room for them, where the others need none. `at` and `room`
/// are those of the set.
fn add_splits(
    pass: &Pass<'_>,
    layout: &Layout<'_>,
    (at, room): (&[usize], &[u64]),
    to: &mut Vec<u64>,
) {
    let has_memory = |i: &usize| layout.home.contains(at[*i]);
    let lends = |i: &usize| !has_memory(i);
    // At least one on each node that lends pCPUs; it would not be the VM's otherwise.
    let least: PerNode<u64> = (0..at.len()).map(|i| u64::from(lends(&i))).collect();
    let Some(more) = pass.units.checked_sub(least.iter().sum()) else { return };
    // Evenly over nodes alike, so that their numbers do not matter.
    let fill = |first: &dyn Fn(&usize) -> bool| {
        let mut shares = least.clone();
        let mut left = more;
        for turn in [true, false] {
            let nodes: PerNode<usize> = (0..at.len()).filter(|i| first(i) == turn).collect();
            let caps: PerNode<u64> =
                nodes.iter().map(|i| room[*i].saturating_sub(least[*i])).collect();
            let taken = left.min(caps.iter().sum());
            let mut of_turn = Vec::with_capacity(nodes.len());
            share_out(taken, &caps, &[1; MAX_NODES][..caps.len()], false, &mut of_turn);
            nodes.iter().zip(of_turn).for_each(|(i, share)| shares[*i] += share);
            left -= taken;
        }
        (left == 0).then_some(shares)
    };
    let Some(by_memory) = fill(&has_memory) else { return };
    to.extend(&by_memory);
    to.extend(fill(&lends).into_iter().flatten());
    // All on one node, if the others may do without: its cores may turn out whole.
    for at in (0..at.len()).filter(|at| room[*at] >= pass.units) {
        if least.iter().enumerate().all(|(other, least)| other == at || *least == 0) {
            to.extend((0..least.len()).map(|other| if other == at { pass.units } else { 0 }));
        }
    }
}
