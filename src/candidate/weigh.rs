//! The weighing of one candidate against the best of its variant so far.

use std::cmp::Reverse;

use super::cpus::{Picked, Stock};
use super::gpus::GpuSet;
use super::nodes::{NodeMask, share_out};
use super::{Candidate, Pages, Rank, Search};
use crate::feasibility::lacking;
use crate::placement::{MemoryMode, Style};
use crate::profile::{Profile, count};
use crate::score::{Property, Score, score};
use crate::sets::bits;

/// A set of nodes and of GPUs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'s> {
    pub(super) stock: &'s Stock<'s>,
    pub(super) mask: NodeMask,
    pub(super) units: u64,
    /// Guest cores for which there is room beside the VM's.
    pub(super) free: u64,
    /// Distances between the VM's nodes, and from its GPUs to the nearest of them.
    pub(super) spread: u64,
    /// Position in [`GpuSets::sets`](super::gpus::GpuSets::sets).
    pub(super) gpus: usize,
    /// What is the same for all that is tried on these nodes with these GPUs.
    pub(super) base: Profile,
}

/// What the guest is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) style: Style,
    pub(super) memory: MemoryMode,
    pub(super) expanders: bool,
}

/// What a profile alone decides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    /// The first required property that it lacks.
    lacking: Option<Property>,
    /// Without the packing cost.
    score: Score,
}

impl Search<'_> {
    /// Keeps the candidate if it is possible and the best of its variant so far. Whether it is possible.
    pub(super) fn consider(
        &mut self,
        layout: &Layout<'_>,
        choice: Choice,
        at: &[usize],
        units: &[u64],
        lie: Picked,
        page: usize,
    ) -> bool {
        let Choice { style, memory, expanders } = choice;
        let Layout { stock, mask, gpus, .. } = *layout;
        let cells = style.shows_cells();
        let set = self.gpus.sets[gpus];
        if expanders && !self.has_devices_on(&set, mask) {
            return false;
        }
        let pages = &self.pages[page];
        // All pages together suffice; each cell needs one at least.
        let each = || pages.needed >= at.len() as u64 && at.iter().all(|n| pages.free[*n] > 0);
        if cells && !each() {
            return false;
        }
        let profile = Profile {
            style,
            memory,
            expanders,
            cells: if cells { count(at.len()) } else { 1 },
            hugepages: pages.size.is_huge(),
            l3: lie.l3,
            efficiency_core: lie.efficiency,
            whole_cores: layout.base.whole_cores || (stock.way.dedicated && lie.whole),
            ..layout.base
        };
        let Verdict { lacking, score } = self.verdict(&profile);
        if let Some(property) = lacking {
            self.lacking.entry(style).or_insert(property);
            return false;
        }
        let key = (style, memory, expanders, stock.way);
        let known = self.best.iter().position(|(variant, _)| *variant == key);
        // The packing cost only lowers a score, so what is behind without it stays behind.
        let start = |score: i64| {
            (Reverse(score), profile.nodes, profile.threads, cells && !expanders, layout.spread)
        };
        if known.is_some_and(|best| self.best[best].1.rank.start() < start(score.total)) {
            return true;
        }
        let Pages { size, needed, ref free, .. } = self.pages[page];
        let (of_nodes, weights, split) = &mut self.scratch;
        of_nodes.clear();
        of_nodes.extend(at.iter().map(|n| free[*n]));
        weights.clear();
        match memory {
            MemoryMode::Interleave => weights.resize(at.len(), 1),
            _ => weights.extend(units),
        }
        split.clear();
        if !share_out(needed, of_nodes, weights, cells, split) {
            return false;
        }
        let bytes = |i: usize| u128::from(split[i]) * u128::from(size.bytes());
        let gpu_nodes = set.node_of(self.host).flatten();
        let cores = if stock.way.dedicated { units } else { &[] };
        let host_cost = self.slots.host_cost(at, cores, gpu_nodes, bytes);
        let cost = host_cost.millionths();
        let score = score.with_packing(self.options, cost);
        let (score_rank, nodes, threads, blind, spread) = start(score.total);
        let rank = Rank {
            score: score_rank,
            nodes,
            threads,
            blind,
            spread,
            cost,
            cores: cores.iter().sum(),
            gpus,
            left_over: layout.free,
            mask,
            page: Reverse(size),
        };
        if known.is_some_and(|best| self.best[best].1.rank <= rank) {
            return true;
        }
        let candidate = Candidate {
            style,
            way: stock.way,
            threads,
            memory,
            expanders,
            nodes: at.to_vec(),
            units: units.to_vec(),
            page: size,
            pages: split.clone(),
            gpus,
            profile,
            score,
            cost: host_cost,
            rank,
        };
        match known {
            Some(best) => self.best[best].1 = candidate,
            None => self.best.push((key, candidate)),
        }
        true
    }

    fn verdict(&mut self, profile: &Profile) -> Verdict {
        if let Some((_, verdict)) = self.verdicts.iter().rfind(|(known, _)| known == profile) {
            return *verdict;
        }
        let verdict = Verdict {
            lacking: lacking(self.request, profile),
            score: score(self.request, self.options, profile, 0),
        };
        self.verdicts.push((*profile, verdict));
        verdict
    }

    /// Whether a device is on one of the nodes, so that an expander bus has something to show.
    fn has_devices_on(&self, set: &GpuSet, mask: NodeMask) -> bool {
        let on = |at: &usize| mask & (1 << at) != 0;
        set.nodes & mask != 0 || self.device_nodes.iter().flatten().any(on)
    }

    /// The distances between the VM's nodes.
    pub(super) fn between(&self, at: &[usize]) -> u64 {
        let far = |a: usize, b: usize| u64::from(self.host.derived().far(a, b));
        let to_earlier = |(i, a): (usize, &usize)| at[..i].iter().map(|b| far(*a, *b)).sum::<u64>();
        at.iter().enumerate().map(to_earlier).sum()
    }

    /// The distances from the GPUs to the nearest of the VM's nodes.
    pub(super) fn beside(&self, at: &[usize], set: &GpuSet, mask: NodeMask) -> u64 {
        let far = |a: usize, b: usize| u64::from(self.host.derived().far(a, b));
        let facts = &self.host.derived().nodes;
        let nearest = |node: usize| {
            let gpus = u64::from((facts[node].gpus & set.gpus).count_ones());
            let here = mask & (1 << node) != 0;
            let near = || at.iter().map(|n| far(node, *n)).min().unwrap_or(0);
            gpus * if here { far(node, node) } else { near() }
        };
        bits(set.nodes).map(nearest).sum()
    }
}
