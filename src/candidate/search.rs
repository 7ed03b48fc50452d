//! The loops of the search: over node sets, GPU sets, splits and what the guest is shown.

use std::cmp::Reverse;

use super::cpus::Picked;
use super::gpus::GpuSet;
use super::nodes::{NodeMask, shares, subsets};
use super::{Candidate, Pages, Rank, Search, Stock, emulator_room, far, threads};
use crate::feasibility::lacking;
use crate::placement::{MemoryMode, Style};
use crate::profile::{L3Use, Profile, collective, count};
use crate::request::{Policy, Request};
use crate::score::{Score, score};
use crate::sets::bits;
use crate::units::Bytes;

/// Where not all node sets can be tried, those around so many sets of GPUs are.
const MAX_GPU_SEEDS: usize = 64;

/// A set of nodes with what is to be put on it.
#[derive(Debug, Clone, Copy)]
struct Layout<'s> {
    stock: &'s Stock<'s>,
    threads: u32,
    mask: NodeMask,
    at: &'s [usize],
    /// By node: guest cores that fit.
    room: &'s [u64],
    units: u64,
    /// Position in [`Search::pages`].
    page: usize,
    /// What is the same for all that is tried on these nodes.
    base: Profile,
}

/// What the guest is shown.
#[derive(Debug, Clone, Copy)]
struct Choice {
    style: Style,
    memory: MemoryMode,
    expanders: bool,
}

impl Search<'_> {
    /// Finds the best candidate of every variant.
    pub(crate) fn run(&mut self) {
        let stocks = std::mem::take(&mut self.stocks);
        for stock in &stocks {
            for threads in threads(self.request, stock.way) {
                self.lies.iter_mut().for_each(Vec::clear);
                self.search(stock, threads);
            }
        }
        self.stocks = stocks;
    }

    fn search(&mut self, stock: &Stock<'_>, threads: u32) {
        let units = u64::from(self.request.vcpus / threads);
        let caps: Vec<u64> = (0..stock.nodes.len()).map(|at| stock.room(at, threads)).collect();
        if emulator_room(self, stock, threads, units).is_some() {
            return;
        }
        let usable = self.usable(&caps);
        let wanted_cells = self.request.cells.required().unwrap_or(1) as usize;
        let one_node = self.request.policies.one_node == Policy::Require;
        let mut widest = if one_node { 1 } else { usable.len() };
        let base = Profile {
            whole_cores: stock.way.dedicated && stock.way.whole,
            ..Profile::of_host(self.host, self.request, threads, stock.way.dedicated)
        };
        let host = self.host;
        let mut widening = false;
        for size in 1.. {
            if size > widest {
                break;
            }
            if !self.could_fit(&usable, &caps, units, size) {
                continue;
            }
            let of_gpus: Vec<NodeMask> = self.gpus.sets.iter().map(|set| set.nodes).collect();
            let on_usable = of_gpus.iter().filter(|gpus| bits(**gpus).all(|n| usable.contains(&n)));
            let on_usable = on_usable.copied().take(MAX_GPU_SEEDS);
            let tried = subsets(&usable, size, on_usable, |a, b| far(host, a, b), |at| caps[at]);
            self.cut |= !tried.complete;
            let (mut possible, mut settled) = (false, false);
            for mask in tried.masks {
                // Once it fits, only GPUs that come to lie on the VM's nodes are worth a wider set.
                if widening && of_gpus.iter().all(|gpus| gpus & !mask != 0) {
                    continue;
                }
                let (some, best) = self.try_nodes(stock, base, mask, &caps, units);
                possible |= some;
                settled |= best;
            }
            // A wider set gains nothing, but room for cells, and nodes for GPUs that are not local yet:
            // at most one more for each node that has some.
            let spread = self.gpus.sets.iter().map(|set| set.nodes.count_ones() as usize).max();
            let enough = size.max(2).max(wanted_cells);
            widening |= possible && size >= enough;
            if settled {
                widest = widest.min(enough);
            } else if possible {
                widest = widest.min(enough.max(size + spread.unwrap_or(0)));
            }
        }
    }

    /// The nodes on which something of the VM could be.
    fn usable(&self, caps: &[u64]) -> Vec<usize> {
        // One without free pages can still have vCPUs of a flat guest.
        let memory = |at: usize| self.host.nodes()[at].memory != Bytes::ZERO;
        (0..caps.len()).filter(|at| caps[*at] > 0 && memory(*at)).collect()
    }

    /// Whether the roomiest nodes of this number have the cores and, apart from that, the pages.
    fn could_fit(&self, usable: &[usize], caps: &[u64], units: u64, size: usize) -> bool {
        let largest = |by: &[u64]| -> u64 {
            let mut room: Vec<u64> = usable.iter().map(|at| by[*at]).collect();
            room.sort_unstable_by(|a, b| b.cmp(a));
            room.iter().take(size).fold(0, |sum, n| sum.saturating_add(*n))
        };
        largest(caps) >= units
            && self.pages.iter().any(|p| largest(&p.free).min(p.in_all) >= p.needed)
    }

    /// Tries all that can be done on a set of nodes. Whether any of it is possible, and whether some
    /// of that has all its GPUs on these nodes.
    fn try_nodes(
        &mut self,
        stock: &Stock<'_>,
        base: Profile,
        mask: NodeMask,
        caps: &[u64],
        units: u64,
    ) -> (bool, bool) {
        let cores: u64 = bits(mask).map(|at| caps[at]).sum();
        if cores < units {
            return (false, false);
        }
        let free = |free: &[u64]| bits(mask).fold(0, |sum: u64, at| sum.saturating_add(free[at]));
        let fits = |at: &usize| {
            let pages = &self.pages[*at];
            free(&pages.free).min(pages.in_all) >= pages.needed
        };
        let pages: Vec<usize> = (0..self.pages.len()).filter(fits).collect();
        let Some(largest) = pages.first() else { return (false, false) };
        let at: Vec<usize> = bits(mask).collect();
        let room: Vec<u64> = at.iter().map(|n| caps[*n]).collect();
        let mut base = base;
        base.set_nodes(self.host, at.iter().copied());
        let off = |node: &&Option<usize>| node.is_none_or(|at| mask & (1 << at) == 0);
        base.devices_far = count(self.device_nodes.iter().filter(off).count());
        let (mut possible, mut settled) = (false, false);
        for gpus in self.gpu_choices(mask) {
            let set = &self.gpus.sets[gpus];
            let local = set.nodes & !mask == 0;
            let base = self.with_gpus(base, set, mask);
            let layout = |page: usize| Layout {
                stock,
                threads: base.threads,
                mask,
                at: &at,
                room: &room,
                units,
                page,
                base: Profile { hugepages: self.pages[page].size.is_huge(), ..base },
            };
            let layouts: Vec<Layout<'_>> = pages.iter().map(|page| layout(*page)).collect();
            let layout = layout(*largest);
            let splits = self.splits(&layout, gpus);
            for choice in layout.choices(self.request) {
                for units in &splits {
                    // The largest pages that suffice in all may not let every cell have one.
                    let mut sizes = layouts.iter();
                    let some = sizes.any(|layout| self.consider(layout, gpus, choice, units));
                    possible |= some;
                    settled |= some && local;
                }
            }
        }
        (possible, settled)
    }

    /// The GPU sets that are worth trying from these nodes: those that no other one betters, or
    /// equals with better quality, in everything that a rule can see.
    fn gpu_choices(&self, mask: NodeMask) -> Vec<usize> {
        let mut kept: Vec<(usize, [u32; 8])> = Vec::new();
        for (at, set) in self.gpus.sets.iter().enumerate() {
            // Every entry: the less the better, whatever the rest.
            let marks = [
                u32::from(set.nodes & !mask != 0),
                u32::from(set.unknown > 0),
                u32::from(set.nodes.count_ones() > 1),
                set.facts.path as u32,
                u32::from(!set.facts.same_switch),
                u32::from(!set.facts.partition),
                u32::from(set.facts.degraded > 0),
                u32::from(set.nodes & mask == 0),
            ];
            let betters = |other: &[u32; 8]| other.iter().zip(&marks).all(|(a, b)| a <= b);
            if !kept.iter().any(|(_, other)| betters(other)) {
                let bettered = |other: &[u32; 8]| marks.iter().zip(other).all(|(a, b)| a <= b);
                kept.retain(|(_, other)| !bettered(other));
                kept.push((at, marks));
            }
        }
        kept.into_iter().map(|(at, _)| at).collect()
    }

    fn with_gpus(&self, base: Profile, set: &GpuSet, mask: NodeMask) -> Profile {
        let gpus = set.gpus.count_ones() as usize;
        let remote = set.node_of(self.host).flatten().filter(|at| mask & (1 << at) == 0);
        Profile {
            gpus: count(gpus),
            gpu_nodes: set.nodes.count_ones(),
            gpus_unknown: set.unknown,
            gpus_remote: count(remote.count()),
            gpus_degraded: set.facts.degraded,
            gpu_path: set.facts.path,
            same_switch: set.facts.same_switch,
            partition: set.facts.partition,
            collective: collective(self.request, gpus, set.facts.path),
            ..base
        }
    }

    /// Whether a device is on one of the nodes, so that an expander bus has something to show.
    fn has_devices_on(&self, set: &GpuSet, mask: NodeMask) -> bool {
        let on = |at: &usize| mask & (1 << at) != 0;
        set.nodes & mask != 0 || self.device_nodes.iter().flatten().any(on)
    }

    /// Keeps the candidate if it is possible and the best of its variant so far. Whether it is
    /// possible.
    fn consider(
        &mut self,
        layout: &Layout<'_>,
        gpus: usize,
        choice: Choice,
        units: &[u64],
    ) -> bool {
        let Choice { style, memory, expanders } = choice;
        let Layout { stock, threads, mask, at, room, page, .. } = *layout;
        let cells = style.shows_cells();
        let mut profile = Profile {
            style,
            memory,
            expanders,
            cells: if cells { count(at.len()) } else { 1 },
            ..layout.base
        };
        if stock.way.dedicated {
            let lie = self.lie(layout, units);
            (profile.l3, profile.efficiency_core) = (lie.l3, lie.efficiency);
            profile.whole_cores |= lie.whole;
        }
        let pages = &self.pages[page];
        // All pages together suffice; each cell needs one at least.
        let each = || pages.needed >= at.len() as u64 && at.iter().all(|n| pages.free[*n] > 0);
        let blind = expanders && !self.has_devices_on(&self.gpus.sets[gpus], mask);
        if blind || (cells && !each()) {
            return false;
        }
        let alike = |shares: &[u64]| shares.windows(2).all(|pair| pair[0] == pair[1]);
        let even_cells = cells && self.request.even_cells;
        if even_cells && !alike(units) {
            return false;
        }
        if let Some(property) = lacking(self.request, &profile) {
            self.lacking.entry(style).or_insert(property);
            return false;
        }
        let Pages { size, needed, ref free, .. } = self.pages[page];
        let free: Vec<u64> = at.iter().map(|n| free[*n]).collect();
        let even = vec![1; at.len()];
        let weights = if memory == MemoryMode::Interleave { &even } else { units };
        let split = || {
            let split = shares(needed, &free, weights, cells)?;
            (!even_cells || alike(&split)).then_some(split)
        };
        if even_cells && split().is_none() {
            return false;
        }
        let key = (style, memory, expanders, stock.way);
        // The packing cost only lowers a score, so what is behind without it stays behind.
        let free_of_cost = self.score(&profile, 0);
        if self.best.get(&key).is_some_and(|best| best.score.total > free_of_cost.total) {
            return true;
        }
        let Some(split) = split() else { return false };
        let set = &self.gpus.sets[gpus];
        let bytes = |i: usize| u128::from(split[i]) * u128::from(size.bytes());
        let gpu_nodes = set.node_of(self.host).flatten();
        let none = vec![0; at.len()];
        let cores = if stock.way.dedicated { units } else { &none };
        let host_cost = self.slots.host_cost(at, cores, set.gpus, gpu_nodes, bytes);
        let cost = host_cost.millionths();
        let score = free_of_cost.with_packing(self.options, cost);
        let taken: u64 = units.iter().sum();
        let rank = Rank {
            score: Reverse(score.total),
            nodes: profile.nodes,
            threads,
            blind: cells && !expanders,
            spread: self.spread(at, set),
            cost,
            cores: cores.iter().sum(),
            gpus,
            left_over: room.iter().sum::<u64>() - taken,
            mask,
            page: Reverse(size),
        };
        if self.best.get(&key).is_none_or(|best| rank < best.rank) {
            let candidate = Candidate {
                style,
                way: stock.way,
                threads,
                memory,
                expanders,
                nodes: at.to_vec(),
                units: units.to_vec(),
                page: size,
                pages: split,
                gpus,
                profile,
                score,
                cost: host_cost,
                rank,
            };
            self.best.insert(key, candidate);
        }
        true
    }

    /// How the guest cores are shared out over the nodes: evenly, or by GPUs where every node has
    /// some; as far as there is room. On two nodes also the splits that lie better
    /// in L3 domains or avoid efficiency cores.
    fn splits(&mut self, layout: &Layout<'_>, gpus: usize) -> Vec<Vec<u64>> {
        let set = &self.gpus.sets[gpus];
        let gpus_on = |n: usize| set.node_of(self.host).filter(|at| *at == Some(n)).count() as u64;
        let on: Vec<u64> = layout.at.iter().map(|n| gpus_on(*n)).collect();
        let even = vec![1; layout.at.len()];
        let weights = if on.contains(&0) { &even } else { &on };
        // On a flat guest "at least one" holds too: a node without a vCPU would not be the VM's.
        let first = |weights: &[u64]| shares(layout.units, layout.room, weights, true);
        let mut splits: Vec<Vec<u64>> = first(weights).into_iter().collect();
        if on.iter().any(|n| *n != weights[0]) {
            splits.extend(first(&even));
        }
        let (&[a, b], Some(start)) = (layout.room, splits.first().cloned()) else {
            return splits;
        };
        let lie = self.lie(layout, &start);
        if layout.stock.way.dedicated && (lie.l3 == L3Use::Pieces || lie.efficiency) {
            let mut seen = vec![lie];
            let total = layout.units;
            for x in (1..total).filter(|x| *x <= a && total - x <= b) {
                let split = vec![x, total - x];
                let lie = self.lie(layout, &split);
                if !seen.contains(&lie) {
                    seen.push(lie);
                    splits.push(split);
                }
            }
        }
        splits
    }

    /// How so many cores on each node would lie: in L3 domains, and whether on efficiency cores.
    fn lie(&mut self, layout: &Layout<'_>, split: &[u64]) -> Picked {
        let mut all = Picked { l3: L3Use::NoChoice, efficiency: false, whole: true };
        for (at, cores) in layout.at.iter().zip(split) {
            let picked = self.lie_on(layout.stock, *at, *cores, layout.threads);
            all.l3 = all.l3.max(picked.l3);
            all.efficiency |= picked.efficiency;
            all.whole &= picked.whole;
        }
        all
    }

    fn lie_on(&mut self, stock: &Stock<'_>, at: usize, cores: u64, threads: u32) -> Picked {
        let known = self.lies[at].iter().find(|(c, t, _)| (*c, *t) == (cores, threads));
        if let Some((.., picked)) = known {
            return *picked;
        }
        let picked = stock.nodes[at].estimate(self.host.derived().hybrid, cores, threads);
        self.lies[at].push((cores, threads, picked));
        picked
    }

    fn score(&mut self, profile: &Profile, cost: i64) -> Score {
        let known = self.scores.iter().rfind(|(other, _)| other == profile);
        let score = known.map(|(_, score)| *score).unwrap_or_else(|| {
            let score = score(self.request, self.options, profile, 0);
            self.scores.push((*profile, score));
            score
        });
        score.with_packing(self.options, cost)
    }

    /// The distances between the VM's nodes, and from its GPUs to the nearest of them.
    fn spread(&self, at: &[usize], set: &GpuSet) -> u64 {
        let mut sum = 0;
        for (i, a) in at.iter().enumerate() {
            sum += at[..i].iter().map(|b| u64::from(far(self.host, *a, *b))).sum::<u64>();
        }
        for gpu in set.node_of(self.host).flatten() {
            let nearest = at.iter().map(|n| far(self.host, gpu, *n)).min();
            sum += u64::from(nearest.unwrap_or(0));
        }
        sum
    }
}

impl Layout<'_> {
    fn choices(&self, request: &Request) -> impl Iterator<Item = Choice> {
        let (flat, cells) = match self.threads {
            1 => (Style::Pin, Style::PinNuma),
            _ => (Style::PinSmt, Style::PinNumaSmt),
        };
        let strict = |style, expanders| Choice { style, memory: MemoryMode::Strict, expanders };
        let interleaved = Choice { memory: MemoryMode::Interleave, ..strict(flat, false) };
        let all = [strict(flat, false), interleaved, strict(cells, true), strict(cells, false)];
        let tried = if self.at.len() > 1 { 4 } else { 1 };
        let several = count(self.at.len());
        // Left out here is only what the number of cells rules out; policies give facts.
        let wanted = request.cells.required();
        all.into_iter().take(tried).filter(move |choice| {
            let cells = if choice.style.shows_cells() { several } else { 1 };
            wanted.is_none_or(|wanted| wanted == cells)
        })
    }
}
