//! Splits: how the guest cores are shared out over the nodes of a set.

use smallvec::SmallVec;

use super::cpus::CoreUse;
use super::nodes::share_out;
use super::state::{EvenSplit, Layout, Pass};
use super::walk::{Splits, Walk};
use crate::engine::profile::L3Use;

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
            for x in (1..total).filter(|x| *x <= a && total - x <= b) {
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
