//! How the guest cores are shared out over a set of nodes, and how they would lie there.

use smallvec::SmallVec;

use super::cpus::{CoreUse, FreeCores};
use super::inventory::Search;
use super::nodes::share_out;
use super::state::{Buffers, EvenSplit, Layout, Pass};
use crate::engine::profile::L3Use;
use crate::sets::bits;

impl Search<'_> {
    /// What an even split over so many nodes comes to, if there is one.
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
            let lie = self.lie(pass.stock, &[node], &[share], pass.base.threads);
            even.fits |= bit;
            even.whole_l3 |= if lie.l3 == L3Use::Whole { bit } else { 0 };
            even.pieces |= if lie.l3 == L3Use::Pieces { bit } else { 0 };
            even.efficiency |= if lie.efficiency { bit } else { 0 };
            even.parts |= if lie.whole { 0 } else { bit };
        }
        even
    }

    /// How the guest cores are shared out over the nodes: evenly, or by GPUs where every node has
    /// some; as far as there is room. On two nodes also the splits that lie better
    /// in L3 domains or avoid efficiency cores.
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
        // On a flat guest "at least one" holds too: a node without a vCPU would not be the VM's.
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
        let lie = self.lie(layout.stock, at, &splits[..2], threads);
        if !lie.is_good() {
            let mut seen = vec![lie];
            let total = layout.units;
            for x in (1..total).filter(|x| *x <= a && total - x <= b) {
                let lie = self.lie(layout.stock, at, &[x, total - x], threads);
                if !seen.contains(&lie) {
                    seen.push(lie);
                    splits.extend([x, total - x]);
                }
            }
        }
    }

    /// How so many cores on each node would lie: in L3 domains, and whether on efficiency cores.
    pub(super) fn lie(
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
            let known = &mut self.lies[*at];
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

    /// What was found for one stock and number of threads says nothing of another.
    pub(super) fn forget_lies(&mut self) {
        self.lies.clear();
        self.lies.resize(self.host.nodes().len(), None);
    }
}
