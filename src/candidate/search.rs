//! The loops of the search: over node sets, GPU sets, splits and what the guest is shown.

use super::cpus::{Picked, Stock};
use super::gpus::GpuSet;
use super::nodes::{NodeMask, share_out, subsets};
use super::weigh::{Choice, Layout};
use super::{Search, emulator_room, threads};
use crate::placement::{MemoryMode, Style};
use crate::profile::{L3Use, Profile, count};
use crate::request::{Policy, Request};
use crate::sets::bits;
use crate::units::Bytes;

/// Where not all node sets can be tried, those around so many sets of GPUs are.
const MAX_GPU_SEEDS: usize = 64;

/// What a guest on several nodes could be shown.
const CHOICES: usize = 4;

/// What a search of one number of threads goes by.
#[derive(Debug)]
struct Pass<'s> {
    stock: &'s Stock<'s>,
    units: u64,
    /// By node: guest cores that fit.
    caps: Vec<u64>,
    /// What is the same for all that is tried.
    base: Profile,
    /// Positions of the nodes on which something of the VM could be.
    usable: Vec<usize>,
    /// The GPU sets' nodes.
    of_gpus: Vec<NodeMask>,
    /// Where its variants begin in [`Search::best`].
    first: usize,
}

/// Room that is used again for every node set.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    at: Vec<usize>,
    room: Vec<u64>,
    weights: Vec<u64>,
    /// Splits in a row, each with a number for every node.
    splits: Vec<u64>,
    pages: Vec<usize>,
}

/// The same number of guest cores on every node: how it would lie, by nodes. On most hosts most sets
/// are settled by this alone.
#[derive(Debug)]
struct Even {
    share: Vec<u64>,
    /// Nodes with room for it.
    fits: NodeMask,
    /// Nodes where it would lie in whole L3 domains, or in pieces.
    whole_l3: NodeMask,
    pieces: NodeMask,
    /// Nodes where it would be on efficiency cores.
    efficiency: NodeMask,
    /// Nodes where the VM would not hold all of each core.
    parts: NodeMask,
}

impl Even {
    fn lie(&self, mask: NodeMask) -> Picked {
        let l3 = match (mask & self.pieces, mask & self.whole_l3) {
            (0, 0) => L3Use::NoChoice,
            (0, _) => L3Use::Whole,
            _ => L3Use::Pieces,
        };
        Picked { l3, efficiency: mask & self.efficiency != 0, whole: mask & self.parts == 0 }
    }
}

/// What came of a set of nodes.
#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    /// Whether anything is possible.
    possible: bool,
    /// Whether any of that has all its GPUs on these nodes.
    settled: bool,
}

impl Search<'_> {
    /// Finds the best candidate of every variant.
    pub(crate) fn run(&mut self) {
        let stocks = std::mem::take(&mut self.stocks);
        self.best.resize(stocks.len() * 2 * CHOICES, None);
        for (way, stock) in stocks.iter().enumerate() {
            for threads in threads(self.request, stock.way) {
                let first = (way * 2 + threads as usize - 1) * CHOICES;
                self.search(stock, threads, first);
            }
        }
        self.stocks = stocks;
    }

    fn search(&mut self, stock: &Stock<'_>, threads: u32, first: usize) {
        let units = u64::from(self.request.vcpus / threads);
        if emulator_room(self, stock, threads, units).is_some() {
            return;
        }
        let caps: Vec<u64> = (0..stock.nodes.len()).map(|at| stock.room(at, threads)).collect();
        let base = Profile {
            whole_cores: stock.way.dedicated && stock.way.whole,
            ..Profile::of_host(self.host, self.request, threads, stock.way.dedicated)
        };
        let usable = self.usable(&caps);
        let of_gpus = self.gpus.sets.iter().map(|set| set.nodes).collect();
        let pass = Pass { stock, units, caps, base, usable, of_gpus, first };
        // What is told apart is told apart inside one pass.
        self.verdicts.clear();
        self.forget_lies();
        let mut buffers = std::mem::take(&mut self.buffers);
        self.grow(&pass, &mut buffers);
        self.buffers = buffers;
    }

    /// Tries node sets of growing size.
    fn grow(&mut self, pass: &Pass<'_>, buffers: &mut Buffers) {
        let wanted = self.request.cells.required();
        let one_node = self.request.policies.one_node == Policy::Require;
        let mut widest = if one_node { 1 } else { pass.usable.len() };
        // A wanted number of cells is a number of nodes.
        let first = wanted.filter(|cells| *cells > 1).map_or(1, |cells| cells as usize);
        if first > 1 {
            widest = widest.min(first);
        }
        let enough_for = self.largest_sums(pass);
        let spread = pass.of_gpus.iter().map(|nodes| nodes.count_ones() as usize).max();
        let mut widening = false;
        for size in first.. {
            if size > widest {
                break;
            }
            if !enough_for(size) {
                continue;
            }
            let host = self.host;
            let on_usable = |gpus: &&NodeMask| bits(**gpus).all(|n| pass.usable.contains(&n));
            let seeds = pass.of_gpus.iter().filter(on_usable).copied().take(MAX_GPU_SEEDS);
            let far = |a, b| host.derived().far(a, b);
            let tried = subsets(&pass.usable, size, seeds, far, |at| pass.caps[at]);
            self.cut |= !tried.complete;
            let even = self.even(pass, size);
            let mut outcome = Outcome::default();
            for mask in tried.masks {
                // Once it fits, only GPUs that come to lie on the VM's nodes are worth a wider set.
                if !widening || pass.of_gpus.iter().any(|gpus| gpus & !mask == 0) {
                    let this = self.try_nodes(pass, &even, mask, buffers);
                    outcome.possible |= this.possible;
                    outcome.settled |= this.settled;
                }
            }
            // A wider set gains nothing, but room for cells, and nodes for GPUs that are not local yet:
            // at most one more for each node that has some.
            let enough = size.max(2).max(wanted.unwrap_or(1) as usize);
            widening |= outcome.possible && size >= enough;
            if outcome.settled {
                widest = widest.min(enough);
            } else if outcome.possible {
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

    /// Whether the roomiest nodes of a number have the cores and, apart from that, the pages.
    fn largest_sums(&self, pass: &Pass<'_>) -> impl Fn(usize) -> bool + use<> {
        let fewest = |by: &[u64], in_all: u64, needed: u64| {
            let mut room: Vec<u64> = pass.usable.iter().map(|at| by[*at]).collect();
            room.sort_unstable_by(|a, b| b.cmp(a));
            let mut sum: u64 = 0;
            let enough = |room: &u64| {
                sum = sum.saturating_add(*room);
                sum.min(in_all) >= needed
            };
            room.iter().position(enough).map_or(usize::MAX, |at| at + 1)
        };
        let by_cores = fewest(&pass.caps, u64::MAX, pass.units);
        let pages = self.pages.iter().map(|p| fewest(&p.free, p.in_all, p.needed));
        let fewest = by_cores.max(pages.min().unwrap_or(usize::MAX));
        move |size| size >= fewest
    }

    /// What an even split over so many nodes comes to, if there is one.
    fn even(&mut self, pass: &Pass<'_>, size: usize) -> Even {
        let share = pass.units / size as u64;
        let mut even = Even {
            share: vec![share; size],
            fits: 0,
            whole_l3: 0,
            pieces: 0,
            efficiency: 0,
            parts: 0,
        };
        if share * size as u64 != pass.units {
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

    /// Tries all that can be done on a set of nodes.
    fn try_nodes(
        &mut self,
        pass: &Pass<'_>,
        even: &Even,
        mask: NodeMask,
        buffers: &mut Buffers,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let all_fit = mask & !even.fits == 0;
        if !all_fit && bits(mask).map(|at| pass.caps[at]).sum::<u64>() < pass.units {
            return outcome;
        }
        buffers.pages.clear();
        for (page, of) in self.pages.iter().enumerate() {
            if of.suffice_on(mask) {
                buffers.pages.push(page);
            }
        }
        if buffers.pages.is_empty() || self.is_hopeless(pass, mask, even.share.len()) {
            return outcome;
        }
        let facts = &self.host.derived().nodes;
        let packages = bits(mask).fold(0, |all, at| all | facts[at].packages).count_ones();
        let off = |node: &&Option<usize>| node.is_none_or(|at| mask & (1 << at) == 0);
        let devices_far = count(self.device_nodes.iter().filter(off).count());
        let between = self.between(mask);
        for i in self.gpu_choices(mask) {
            let gpus = self.gpu_choices[i];
            let set = self.gpus.sets[gpus];
            let remote = || set.node_of(self.host).flatten().filter(|at| mask & (1 << at) == 0);
            let layout = Layout {
                stock: pass.stock,
                base: &pass.base,
                caps: &pass.caps,
                first: pass.first,
                mask,
                nodes: even.share.len(),
                packages,
                devices_far,
                gpus_remote: if set.nodes & !mask == 0 { 0 } else { count(remote().count()) },
                units: pass.units,
                spread: between + self.beside(&set, mask),
                gpus,
            };
            let lie = even.lie(mask);
            let no_choice = even.share.len() != 2 || !pass.stock.way.dedicated || lie.is_good();
            // Where every node has GPUs, these may be a reason for an uneven split.
            let splits = if all_fit && no_choice && mask & !set.nodes != 0 {
                even.share.as_slice()
            } else {
                self.split(&layout, set.gpus, buffers);
                buffers.splits.as_slice()
            };
            for units in splits.chunks_exact(layout.nodes) {
                let lie = if units == even.share {
                    lie
                } else {
                    self.lie(pass.stock, &buffers.at, units, pass.base.threads)
                };
                for choice in choices_of(self.request, pass.base.threads, layout.nodes) {
                    // The largest pages that suffice in all may not let every cell have one.
                    let mut sizes = buffers.pages.iter();
                    let some = sizes.any(|page| self.consider(&layout, choice, units, lie, *page));
                    outcome.possible |= some;
                    outcome.settled |= some && set.nodes & !mask == 0;
                }
            }
        }
        outcome
    }

    /// Whether GPUs have to be local, none can be here, and that has been said of every style already.
    fn is_hopeless(&self, pass: &Pass<'_>, mask: NodeMask, nodes: usize) -> bool {
        let local = |set: &GpuSet| set.unknown == 0 && set.nodes & !mask == 0;
        let said = |choice: Choice| self.lacking.contains_key(&choice.style);
        self.request.policies.gpu_locality == Policy::Require
            && !self.lacking.is_empty()
            && !self.gpus.sets.iter().any(local)
            && choices_of(self.request, pass.base.threads, nodes).all(said)
    }

    /// The GPU sets that are worth trying from these nodes, as positions in what was found for any nodes
    /// so far: those that no other one betters, or equals with better quality, in everything that a rule
    /// can see.
    fn gpu_choices(&mut self, mask: NodeMask) -> std::ops::Range<usize> {
        let here = mask & self.gpus.nodes;
        if let Some((_, known)) = self.gpu_choices_of.iter().find(|(nodes, _)| *nodes == here) {
            return known.clone();
        }
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
        let start = self.gpu_choices.len();
        self.gpu_choices.extend(kept.into_iter().map(|(at, _)| at));
        let found = start..self.gpu_choices.len();
        self.gpu_choices_of.push((here, found.clone()));
        found
    }

    /// How the guest cores are shared out over the nodes: evenly, or by GPUs where every node has
    /// some; as far as there is room. On two nodes also the splits that lie better
    /// in L3 domains or avoid efficiency cores.
    fn split(&mut self, layout: &Layout<'_>, gpus: u64, buffers: &mut Buffers) {
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
    fn lie(&mut self, stock: &Stock<'_>, at: &[usize], split: &[u64], threads: u32) -> Picked {
        let mut all = Picked { l3: L3Use::NoChoice, efficiency: false, whole: true };
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
    fn forget_lies(&mut self) {
        self.lies.clear();
        self.lies.resize(self.host.nodes().len(), None);
    }
}

/// What the guest could be shown on so many nodes.
fn choices_of(request: &Request, threads: u32, nodes: usize) -> impl Iterator<Item = Choice> {
    let (flat, cells) = match threads {
        1 => (Style::Pin, Style::PinNuma),
        _ => (Style::PinSmt, Style::PinNumaSmt),
    };
    let strict = |number, style, expanders| {
        let memory = MemoryMode::Strict;
        Choice { number, style, memory, expanders }
    };
    let all: [Choice; CHOICES] = [
        strict(0, flat, false),
        Choice { memory: MemoryMode::Interleave, ..strict(1, flat, false) },
        strict(2, cells, true),
        strict(3, cells, false),
    ];
    // Left out here is only what the number of cells rules out; policies give facts.
    let wanted = request.cells.required();
    all.into_iter().take(if nodes > 1 { CHOICES } else { 1 }).filter(move |choice| {
        let cells = if choice.style.shows_cells() { count(nodes) } else { 1 };
        wanted.is_none_or(|wanted| wanted == cells)
    })
}
