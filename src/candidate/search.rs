//! The loops of the search: over node sets, GPU sets, splits and what the guest is shown.

use super::cpus::{Picked, Stock};
use super::gpus::GpuSet;
use super::nodes::{NodeMask, share_out, subsets};
use super::weigh::{Choice, Layout};
use super::{Search, emulator_room, threads};
use crate::placement::{MemoryMode, Style};
use crate::profile::{L3Use, Profile, collective, count};
use crate::request::{Policy, Request};
use crate::sets::bits;
use crate::units::Bytes;

/// Where not all node sets can be tried, those around so many sets of GPUs are.
const MAX_GPU_SEEDS: usize = 64;

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
}

/// Room that is used again for every node set.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    at: Vec<usize>,
    room: Vec<u64>,
    /// GPUs by node.
    on: Vec<u64>,
    even: Vec<u64>,
    /// Splits in a row, each with a number for every node.
    splits: Vec<u64>,
    pages: Vec<usize>,
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
        for stock in &stocks {
            for threads in threads(self.request, stock.way) {
                self.search(stock, threads);
            }
        }
        self.stocks = stocks;
    }

    fn search(&mut self, stock: &Stock<'_>, threads: u32) {
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
        let pass = Pass { stock, units, caps, base, usable, of_gpus };
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
            let mut outcome = Outcome::default();
            for mask in tried.masks {
                // Once it fits, only GPUs that come to lie on the VM's nodes are worth a wider set.
                if !widening || pass.of_gpus.iter().any(|gpus| gpus & !mask == 0) {
                    let this = self.try_nodes(pass, mask, buffers);
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

    /// Tries all that can be done on a set of nodes.
    fn try_nodes(&mut self, pass: &Pass<'_>, mask: NodeMask, buffers: &mut Buffers) -> Outcome {
        let mut outcome = Outcome::default();
        if bits(mask).map(|at| pass.caps[at]).sum::<u64>() < pass.units {
            return outcome;
        }
        let Buffers { at, room, pages, .. } = buffers;
        pages.clear();
        pages.extend((0..self.pages.len()).filter(|page| self.pages[*page].suffice_on(mask)));
        if pages.is_empty() || self.is_hopeless(pass, mask) {
            return outcome;
        }
        at.clear();
        at.extend(bits(mask));
        room.clear();
        room.extend(at.iter().map(|at| pass.caps[*at]));
        let mut base = pass.base;
        base.set_nodes(self.host, at.iter().copied());
        let off = |node: &&Option<usize>| node.is_none_or(|at| mask & (1 << at) == 0);
        base.devices_far = count(self.device_nodes.iter().filter(off).count());
        let between = self.between(at);
        let choices = self.gpu_choices(mask);
        for i in choices {
            let gpus = self.gpu_choices[i];
            let set = self.gpus.sets[gpus];
            let layout = Layout {
                stock: pass.stock,
                mask,
                units: pass.units,
                free: buffers.room.iter().sum::<u64>() - pass.units,
                spread: between + self.beside(&buffers.at, &set, mask),
                gpus,
                base: self.with_gpus(base, &set, mask),
            };
            self.split(&layout, set.gpus, buffers);
            let Buffers { at, splits, pages, .. } = &mut *buffers;
            for units in splits.chunks_exact(at.len()) {
                let lie = self.lie(pass.stock, at, units, pass.base.threads);
                for choice in choices_of(self.request, pass.base.threads, at.len()) {
                    // The largest pages that suffice in all may not let every cell have one.
                    let mut sizes = pages.iter();
                    let some =
                        sizes.any(|page| self.consider(&layout, choice, at, units, lie, *page));
                    outcome.possible |= some;
                    outcome.settled |= some && set.nodes & !mask == 0;
                }
            }
        }
        outcome
    }

    /// Whether GPUs have to be local, none can be here, and that has been said of every style already.
    fn is_hopeless(&self, pass: &Pass<'_>, mask: NodeMask) -> bool {
        let local = |set: &GpuSet| set.unknown == 0 && set.nodes & !mask == 0;
        let said = |choice: Choice| self.lacking.contains_key(&choice.style);
        self.request.policies.gpu_locality == Policy::Require
            && !self.lacking.is_empty()
            && !self.gpus.sets.iter().any(local)
            && choices_of(self.request, pass.base.threads, mask.count_ones() as usize).all(said)
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

    fn with_gpus(&self, base: Profile, set: &GpuSet, mask: NodeMask) -> Profile {
        let gpus = set.gpus.count_ones();
        let remote = || set.node_of(self.host).flatten().filter(|at| mask & (1 << at) == 0);
        Profile {
            gpus,
            gpu_nodes: set.nodes.count_ones(),
            gpus_unknown: set.unknown,
            gpus_remote: if set.nodes & !mask == 0 { 0 } else { count(remote().count()) },
            gpus_degraded: set.facts.degraded,
            gpu_path: set.facts.path,
            same_switch: set.facts.same_switch,
            partition: set.facts.partition,
            collective: collective(self.request, gpus as usize, set.facts.path),
            ..base
        }
    }

    /// How the guest cores are shared out over the nodes: evenly, or by GPUs where every node has
    /// some; as far as there is room. On two nodes also the splits that lie better
    /// in L3 domains or avoid efficiency cores.
    fn split(&mut self, layout: &Layout<'_>, gpus: u64, buffers: &mut Buffers) {
        let Buffers { at, room, on, even, splits, .. } = buffers;
        splits.clear();
        let facts = &self.host.derived().nodes;
        on.clear();
        on.extend(at.iter().map(|at| u64::from((facts[*at].gpus & gpus).count_ones())));
        even.clear();
        even.resize(at.len(), 1);
        // On a flat guest "at least one" holds too: a node without a vCPU would not be the VM's.
        let by_gpus = !on.contains(&0);
        share_out(layout.units, room, if by_gpus { on } else { even }, true, splits);
        if by_gpus && on.iter().any(|gpus| *gpus != on[0]) {
            share_out(layout.units, room, even, true, splits);
        }
        let (&[a, b], true) = (room.as_slice(), layout.stock.way.dedicated && !splits.is_empty())
        else {
            return;
        };
        let threads = layout.base.threads;
        let lie = self.lie(layout.stock, at, &splits[..2], threads);
        if lie.l3 == L3Use::Pieces || lie.efficiency {
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
    let strict = |style, expanders| Choice { style, memory: MemoryMode::Strict, expanders };
    let interleaved = Choice { memory: MemoryMode::Interleave, ..strict(flat, false) };
    let all = [strict(flat, false), interleaved, strict(cells, true), strict(cells, false)];
    // Left out here is only what the number of cells rules out; policies give facts.
    let wanted = request.cells.required();
    all.into_iter().take(if nodes > 1 { 4 } else { 1 }).filter(move |choice| {
        let cells = if choice.style.shows_cells() { count(nodes) } else { 1 };
        wanted.is_none_or(|wanted| wanted == cells)
    })
}
