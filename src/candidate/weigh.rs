//! The weighing of one candidate against the best of its variant so far.

use std::cmp::Reverse;

use super::cpus::{Picked, Stock};
use super::gpus::GpuSet;
use super::nodes::{NodeMask, share_out};
use super::{Candidate, Pages, Rank, Search};
use crate::feasibility::lacking;
use crate::placement::{MemoryMode, Style};
use crate::profile::{Profile, collective, count};
use crate::score::{Property, Score, score};
use crate::sets::bits;
use crate::units::Distance;

/// A set of nodes and of GPUs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout<'s> {
    pub(super) stock: &'s Stock<'s>,
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
    /// Distances between the VM's nodes, and from its GPUs to the nearest of them.
    pub(super) spread: u64,
    /// Position in [`GpuSets::sets`](super::gpus::GpuSets::sets).
    pub(super) gpus: usize,
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

/// What tells a candidate's profile from the others of its pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features {
    nodes: u32,
    packages: u32,
    devices_far: u32,
    gpus_remote: u32,
    /// The kind of the GPU set.
    gpus: usize,
    choice: usize,
    lie: Picked,
    hugepages: bool,
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
        units: &[u64],
        lie: Picked,
        page: usize,
    ) -> bool {
        let Layout { mask, gpus, packages, devices_far, gpus_remote, .. } = *layout;
        let cells = choice.style.shows_cells();
        // An expander bus without a device has nothing to show.
        if choice.expanders && (self.gpus.sets[gpus].nodes | self.devices) & mask == 0 {
            return false;
        }
        // All pages together suffice; each cell needs one at least.
        let pages = &self.pages[page];
        if cells && (pages.needed < layout.nodes as u64 || mask & !pages.some != 0) {
            return false;
        }
        if cells && self.request.even_cells && !self.are_alike(mask, units, page) {
            return false;
        }
        let features = Features {
            nodes: count(layout.nodes),
            packages,
            devices_far,
            gpus_remote,
            gpus: self.gpus.sets[gpus].kind,
            choice: choice.number,
            lie,
            hugepages: pages.size.is_huge(),
        };
        let known = self.verdicts.iter().rfind(|(known, _)| *known == features);
        let Verdict { lacking, score } = match known {
            Some((_, verdict)) => *verdict,
            None => self.verdict(layout, choice, features),
        };
        if let Some(property) = lacking {
            self.lacking.entry(choice.style).or_insert(property);
            return false;
        }
        // The packing cost only lowers a score, so what is behind without it stays behind.
        let blind = cells && !choice.expanders;
        let threads = layout.base.threads;
        let start = (Reverse(score.total), features.nodes, threads, blind, layout.spread);
        let best = &self.best[layout.first + choice.number];
        if best.as_ref().is_none_or(|best| best.rank.start() >= start) {
            self.keep_if_best(layout, choice, units, page, features, score);
        }
        true
    }

    /// Whether all cells would have as many cores, and can have as many pages.
    fn are_alike(&self, mask: NodeMask, units: &[u64], page: usize) -> bool {
        let Pages { needed, ref free, .. } = self.pages[page];
        let cells = units.len() as u64;
        units.windows(2).all(|pair| pair[0] == pair[1])
            && needed.is_multiple_of(cells)
            && bits(mask).all(|at| free[at] >= needed / cells)
    }

    /// Keeps a possible candidate if its rank is the best of its variant.
    #[allow(clippy::too_many_arguments, reason = "all that a candidate is")]
    fn keep_if_best(
        &mut self,
        layout: &Layout<'_>,
        choice: Choice,
        units: &[u64],
        page: usize,
        features: Features,
        score: Score,
    ) {
        let Choice { style, memory, expanders, .. } = choice;
        let Layout { stock, mask, gpus, .. } = *layout;
        let Pages { size, needed, ref free, .. } = self.pages[page];
        let at: Vec<usize> = bits(mask).collect();
        let (of_nodes, weights) = &mut self.scratch;
        of_nodes.clear();
        of_nodes.extend(at.iter().map(|n| free[*n]));
        weights.clear();
        match memory {
            MemoryMode::Interleave => weights.resize(at.len(), 1),
            _ => weights.extend(units),
        }
        let mut pages = Vec::with_capacity(at.len());
        if !share_out(needed, of_nodes, weights, style.shows_cells(), &mut pages) {
            return;
        }
        let bytes = |i: usize| pages[i].saturating_mul(size.bytes());
        let set = &self.gpus.sets[gpus];
        let cores = if stock.way.dedicated { units } else { &[] };
        let host_cost = self.slots.host_cost(&at, cores, set.gpus, bytes);
        let cost = host_cost.millionths();
        let score = score.with_packing(self.options, cost);
        let threads = layout.base.threads;
        let rank = Rank {
            score: Reverse(score.total),
            nodes: features.nodes,
            threads,
            blind: style.shows_cells() && !expanders,
            spread: layout.spread,
            cost,
            cores: cores.iter().sum(),
            gpus,
            left_over: at.iter().map(|at| layout.caps[*at]).sum::<u64>() - layout.units,
            mask,
            page: Reverse(size),
        };
        let place = layout.first + choice.number;
        if self.best[place].as_ref().is_some_and(|best| best.rank <= rank) {
            return;
        }
        self.best[place] = Some(Candidate {
            style,
            way: stock.way,
            threads,
            memory,
            expanders,
            nodes: at,
            units: units.to_vec(),
            page: size,
            pages,
            gpus,
            profile: self.profile(layout, choice, features),
            score,
            cost: host_cost,
            rank,
        });
    }

    fn verdict(&mut self, layout: &Layout<'_>, choice: Choice, features: Features) -> Verdict {
        let profile = self.profile(layout, choice, features);
        let verdict = Verdict {
            lacking: lacking(self.request, &profile),
            score: score(self.request, self.options, &profile, 0),
        };
        self.verdicts.push((features, verdict));
        verdict
    }

    fn profile(&self, layout: &Layout<'_>, choice: Choice, features: Features) -> Profile {
        let Features { nodes, packages, devices_far, gpus_remote, lie, hugepages, .. } = features;
        let Choice { style, memory, expanders, .. } = choice;
        let set = &self.gpus.sets[layout.gpus];
        let gpus = set.gpus.count_ones();
        let dedicated = layout.stock.way.dedicated;
        Profile {
            style,
            memory,
            expanders,
            nodes,
            packages,
            cells: if style.shows_cells() { nodes } else { 1 },
            hugepages,
            l3: lie.l3,
            efficiency_core: lie.efficiency,
            whole_cores: layout.base.whole_cores || (dedicated && lie.whole),
            devices_far,
            gpus,
            gpu_nodes: set.nodes.count_ones(),
            gpus_unknown: set.unknown,
            gpus_remote,
            gpus_degraded: set.facts.degraded,
            gpu_path: set.facts.path,
            same_switch: set.facts.same_switch,
            partition: set.facts.partition,
            collective: collective(self.request, gpus as usize, set.facts.path),
            ..*layout.base
        }
    }

    /// The distances between the VM's nodes.
    pub(super) fn between(&self, mask: NodeMask) -> u64 {
        let derived = self.host.derived();
        let mut sum = 0;
        for a in bits(mask) {
            for b in bits(mask & !(u64::MAX << a)) {
                sum += u64::from(derived.far(a, b));
            }
        }
        sum
    }

    /// The distances from the GPUs to the nearest of the VM's nodes.
    pub(super) fn beside(&self, set: &GpuSet, mask: NodeMask) -> u64 {
        let derived = self.host.derived();
        let near = u64::from(set.gpus.count_ones() - set.unknown) * u64::from(Distance::LOCAL.0);
        let further = bits(set.nodes & !mask).map(|node| {
            let gpus = u64::from((derived.nodes[node].gpus & set.gpus).count_ones());
            let nearest = bits(mask).map(|n| derived.far(node, n)).min().unwrap_or(0);
            gpus * u64::from(nearest.saturating_sub(u32::from(Distance::LOCAL.0)))
        });
        near + further.sum::<u64>()
    }
}
