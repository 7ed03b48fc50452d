//! Splits: how the guest cores are shared out over the nodes of a set, and how the cores of each
//! node would be used.

use smallvec::SmallVec;

use super::cpus::{CoreUse, FreeCores};
use super::inventory::Search;
use super::nodes::share_out;
use super::state::{Buffers, EvenSplit, Layout, Pass};
use crate::engine::profile::L3Use;
use crate::sets::bits;

impl Search<'_> {
    /// Evaluates the even split over `size` nodes. No node fits, if the guest cores cannot be
    /// shared out evenly.
    pub(super) fn even(&mut self, pass: &Pass<'_>, size: usize) -> EvenSplit {
        let cells = size as u64;
        let share = pass.units / cells;
        let mut even = EvenSplit {
            share: SmallVec::from_elem(share, size),
            fits: 0,
            pages: SmallVec::new(),
            whole_l3: 0,
            pieces: 0,
            efficiency: 0,
            parts: 0,
        };
        even.pages.extend(self.pages.iter().map(|pages| {
            let each = Some(pages.needed / cells).filter(|each| each * cells == pages.needed);
            let enough = |at: &usize| each.is_some_and(|each| pages.free[*at] >= each);
            pass.usable.iter().filter(|at| enough(at)).fold(0, |mask, at| mask | 1 << at)
        }));
        if share * cells != pass.units {
            return even;
        }
        for node in pass.usable.iter().copied().filter(|node| pass.caps[*node] >= share) {
            let bit = 1 << node;
            let core_use = self.core_use(pass.stock, &[node], &[share], pass.base.threads);
            even.fits |= bit;
            even.whole_l3 |= if core_use.l3 == L3Use::Whole { bit } else { 0 };
            even.pieces |= if core_use.l3 == L3Use::Pieces { bit } else { 0 };
            even.efficiency |= if core_use.efficiency { bit } else { 0 };
            even.parts |= if core_use.whole { 0 } else { bit };
        }
        even
    }

    /// Collects the splits to try in `buffers.splits`: evenly, or in proportion to the GPUs if
    /// every node has some, limited by each node's room. On two nodes, the splits that use fewer L3
    /// domains or no efficiency cores follow.
    pub(super) fn split(&mut self, layout: &Layout<'_>, gpus: u64, buffers: &mut Buffers) {
        let Buffers { at, room, weights, splits, .. } = buffers;
        let facts = &self.host.derived().nodes;
        at.clear();
        room.clear();
        weights.clear();
        for node in bits(layout.mask) {
            at.push(node);
            room.push(layout.caps[node]);
            weights.push(u64::from((facts[node].gpus & gpus).count_ones()));
        }
        splits.clear();
        // A flat guest, too, has a vCPU on each of its nodes: a node without one is not the VM's.
        if !weights.contains(&0) {
            share_out(layout.units, room, weights, true, splits);
        }
        if weights.iter().any(|gpus| *gpus == 0 || *gpus != weights[0]) {
            weights.fill(1);
            share_out(layout.units, room, weights, true, splits);
        }
        let (&[a, b], true) = (room.as_slice(), layout.stock.way.dedicated && !splits.is_empty())
        else {
            return;
        };
        let threads = layout.base.threads;
        let core_use = self.core_use(layout.stock, at, &splits[..2], threads);
        if !core_use.is_good() {
            let mut seen = vec![core_use];
            let total = layout.units;
            for x in (1..total).filter(|x| *x <= a && total - x <= b) {
                let core_use = self.core_use(layout.stock, at, &[x, total - x], threads);
                if !seen.contains(&core_use) {
                    seen.push(core_use);
                    splits.extend([x, total - x]);
                }
            }
        }
    }

    /// How the given numbers of cores would be used, the worst node counting.
    pub(super) fn core_use(
        &mut self,
        stock: &FreeCores<'_>,
        at: &[usize],
        split: &[u64],
        threads: u32,
    ) -> CoreUse {
        let mut all = CoreUse { l3: L3Use::NoChoice, efficiency: false, whole: true };
        if !stock.way.dedicated {
            return all;
        }
        for (at, cores) in at.iter().zip(split) {
            let known = &mut self.core_uses[*at];
            let picked = match known {
                Some((of, picked)) if of == cores => *picked,
                _ => known.insert((*cores, stock.estimate(*at, *cores, threads))).1,
            };
            all.l3 = all.l3.max(picked.l3);
            all.efficiency |= picked.efficiency;
            all.whole &= picked.whole;
        }
        all
    }

    /// Empties the memo of core uses, which holds for one policy and one number of threads.
    pub(super) fn forget_core_uses(&mut self) {
        self.core_uses.clear();
        self.core_uses.resize(self.host.nodes().len(), None);
    }
}
