//! The loops of the search: over node sets, GPU sets, splits and what the guest is shown.

use std::cell::OnceCell;

use smallvec::SmallVec;

use super::cpus::FreeCores;
use super::gpus::DominanceKey;
use super::inventory::{Search, emulator_room, threads};
use super::nodes::{NodeMask, subsets};
use super::state::{Buffers, CHOICES, Choice, Cores, EvenSplit, Layout, Pass, PerNode};
use crate::engine::profile::{Profile, count};
use crate::engine::score::Property;
use crate::placement::{MemoryMode, Style};
use crate::request::{Policy, Request};
use crate::sets::bits;
use crate::units::Bytes;

/// The number of GPU sets around which node sets are grown, if not all node sets can be tried.
const MAX_GPU_SEEDS: usize = 64;

/// The outcome of trying one node set.
#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    /// Whether some candidate is possible.
    possible: bool,
    /// Whether some possible candidate has all its GPUs on these nodes.
    settled: bool,
}

impl Search<'_> {
    /// Finds the best candidate of every variant.
    pub(crate) fn run(&mut self) {
        if let Some(property) = self.gpus.lacking {
            Style::ALL.into_iter().for_each(|style| self.say(style, property));
            return;
        }
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

    fn search(&mut self, stock: &FreeCores<'_>, threads: u32, first: usize) {
        let units = u64::from(self.request.spec().vcpus / threads);
        if emulator_room(self, stock, threads, units).is_some() {
            return;
        }
        let caps: PerNode<u64> = (0..stock.nodes.len()).map(|at| stock.room(at, threads)).collect();
        let base = Profile {
            whole_cores: stock.way.dedicated && stock.way.whole,
            ..Profile::of_host(self.host, self.request, threads, stock.way.dedicated)
        };
        let usable = self.usable(&caps);
        let of_gpus = self.gpus.sets.iter().map(|set| set.nodes).collect();
        let several = self.request.spec().cells.required().is_some_and(|cells| cells > 1);
        let alike = self.request.spec().even_cells && several;
        let pass = Pass { stock, units, caps, base, usable, of_gpus, alike, first };
        // The memo distinguishes layouts of one pass only.
        self.known.clear();
        self.forget_core_uses();
        let mut buffers = std::mem::take(&mut self.buffers);
        self.grow(&pass, &mut buffers);
        self.buffers = buffers;
    }

    /// Tries node sets of growing size.
    fn grow(&mut self, pass: &Pass<'_>, buffers: &mut Buffers) {
        let wanted = self.request.spec().cells.required();
        let one_node = self.request.spec().policies.one_node == Policy::Require;
        // A node without a vCPU would not be the VM's.
        let most = usize::try_from(pass.units).unwrap_or(usize::MAX).min(pass.usable.len());
        let mut widest = if one_node { most.min(1) } else { most };
        // A required number of cells is a number of nodes.
        let first = wanted.filter(|cells| *cells > 1).map_or(1, |cells| cells as usize);
        if first > 1 {
            widest = widest.min(first);
        }
        let enough_for = self.largest_sums(pass);
        // If GPUs must be local, a set of fewer nodes than this lacks one of them.
        let usable = pass.usable.iter().fold(0, |mask: NodeMask, at| mask | (1 << at));
        let fewest = match self.wants_local() {
            true => self.gpus.fewest_local(usable).unwrap_or(usize::MAX),
            false => 0,
        };
        let spread = pass.of_gpus.iter().map(|nodes| nodes.count_ones() as usize).max();
        let mut widening = false;
        for size in first.. {
            if size > widest {
                break;
            }
            if !enough_for(size) {
                continue;
            }
            let choices: SmallVec<[Choice; CHOICES]> =
                choices_of(self.request, pass.base.threads, size).collect();
            if size < fewest {
                choices.iter().for_each(|choice| self.say(choice.style, Property::GpuLocality));
                continue;
            }
            let host = self.host;
            let even = self.even(pass, size);
            let alike = pass.alike.then(|| even.nodes(&pass.usable));
            let nodes = alike.as_deref().unwrap_or(&pass.usable);
            let on_nodes = |gpus: &&NodeMask| bits(**gpus).all(|n| nodes.contains(&n));
            let seeds = pass.of_gpus.iter().filter(on_nodes).copied().take(MAX_GPU_SEEDS);
            let far = |a, b| host.derived().far(a, b).0;
            let tried = subsets(nodes, size, seeds, far, |at| pass.caps[at]);
            self.cut |= !tried.complete;
            let mut outcome = Outcome::default();
            for mask in tried.masks {
                // Once the VM fits, a wider set is only worth trying if it brings GPUs onto its
                // nodes.
                if !widening || pass.of_gpus.iter().any(|gpus| gpus & !mask == 0) {
                    let this = self.try_nodes(pass, &even, &choices, mask, buffers);
                    outcome.possible |= this.possible;
                    outcome.settled |= this.settled;
                }
            }
            // A wider set has two uses: nodes for cells, and nodes of GPUs that are not local yet,
            // at most one for each node with GPUs.
            let enough = size.max(2).max(wanted.unwrap_or(1) as usize);
            widening |= outcome.possible && size >= enough;
            if outcome.settled {
                widest = widest.min(enough);
            } else if outcome.possible {
                widest = widest.min(enough.max(size + spread.unwrap_or(0)));
            }
        }
    }

    fn wants_local(&self) -> bool {
        self.request.spec().policies.gpu_locality == Policy::Require
    }

    /// The nodes that can take part in a layout.
    fn usable(&self, caps: &[u64]) -> PerNode<usize> {
        // A node without free pages can still have vCPUs of a flat guest.
        let memory = |at: usize| self.host.nodes()[at].memory != Bytes::ZERO;
        (0..caps.len()).filter(|at| caps[*at] > 0 && memory(*at)).collect()
    }

    /// Answers for a number of nodes: whether the roomiest ones together have the cores, and
    /// whether the roomiest ones, perhaps others, have the pages.
    fn largest_sums(&self, pass: &Pass<'_>) -> impl Fn(usize) -> bool + use<> {
        let fewest = |by: &[u64], in_all: u64, needed: u64| {
            let mut room: PerNode<u64> = pass.usable.iter().map(|at| by[*at]).collect();
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

    /// Tries every layout on a set of nodes.
    fn try_nodes(
        &mut self,
        pass: &Pass<'_>,
        even: &EvenSplit,
        choices: &[Choice],
        mask: NodeMask,
        buffers: &mut Buffers,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let all_fit = mask & !even.fits == 0;
        let room = || bits(mask).map(|at| pass.caps[at]).sum::<u64>();
        if !all_fit && (pass.alike || room() < pass.units) {
            return outcome;
        }
        // If GPUs must be local and are not, this is noted once for every style.
        let local_only = self.wants_local();
        let remote = local_only && !self.gpus.may_be_local(mask);
        if remote && choices.iter().all(|choice| self.lacking(choice.style).is_some()) {
            return outcome;
        }
        let (share, even_pages) = (even.share.as_slice(), even.pages.as_slice());
        buffers.pages.clear();
        for (page, (of, even)) in self.pages.iter().zip(even_pages).enumerate() {
            if (mask & !even == 0 && of.in_all >= of.needed) || of.suffice_on(mask) {
                buffers.pages.push(page);
            }
        }
        if buffers.pages.is_empty() {
            return outcome;
        }
        if remote {
            for choice in choices {
                let mut sizes = buffers.pages.iter();
                if sizes.any(|page| self.has_cells(*choice, mask, all_fit, *page, even_pages)) {
                    self.say(choice.style, Property::GpuLocality);
                }
            }
            return outcome;
        }
        let off = |node: &&Option<usize>| node.is_none_or(|at| mask & (1 << at) == 0);
        let between = OnceCell::new();
        let mut layout = Layout {
            stock: pass.stock,
            base: &pass.base,
            caps: &pass.caps,
            first: pass.first,
            mask,
            nodes: share.len(),
            packages: self.host.derived().packages_of(mask),
            devices_far: count(self.device_nodes.iter().filter(off).count()),
            gpus_remote: 0,
            units: pass.units,
            between: &between,
            gpus: 0,
            even_pages,
        };
        for i in self.gpu_choices(mask) {
            layout.gpus = self.gpu_choices[i];
            let set = &self.gpus.sets[layout.gpus];
            let local = set.nodes & !mask == 0;
            if local_only && !(local && set.unknown == 0) {
                continue;
            }
            let remote = || set.node_of(self.host).flatten().filter(|at| mask & (1 << at) == 0);
            layout.gpus_remote = if local { 0 } else { count(remote().count()) };
            let evenly = even.core_use(mask);
            let no_choice = share.len() != 2 || !pass.stock.way.dedicated || evenly.is_good();
            // Numbers of GPUs that differ from node to node are a reason for an uneven split.
            let settled = no_choice && mask & !set.nodes != 0;
            let is_even = all_fit && (pass.alike || settled);
            let splits = if is_even {
                share
            } else {
                let gpus = set.gpus;
                self.split(&layout, gpus, buffers);
                buffers.splits.as_slice()
            };
            for units in splits.chunks_exact(layout.nodes) {
                let is_even = is_even || units == share;
                let core_use = match is_even {
                    true => evenly,
                    false => self.core_use(pass.stock, &buffers.at, units, pass.base.threads),
                };
                let cores = Cores { units, is_even, known: self.known(&layout, core_use) };
                for choice in choices {
                    // Large pages that suffice for the VM may be fewer than its cells.
                    let mut sizes = buffers.pages.iter();
                    let some = sizes.any(|page| self.consider(&layout, *choice, cores, *page));
                    outcome.possible |= some;
                    outcome.settled |= some && local;
                }
            }
        }
        outcome
    }

    /// The GPU sets that are not dominated as seen from these nodes, as a range of `gpu_choices`.
    fn gpu_choices(&mut self, mask: NodeMask) -> std::ops::Range<usize> {
        let here = mask & self.gpus.nodes;
        if let Some((_, known)) = self.gpu_choices_of.iter().find(|(nodes, _)| *nodes == here) {
            return known.clone();
        }
        let mut kept: SmallVec<[(usize, DominanceKey); 16]> = SmallVec::new();
        for (at, set) in self.gpus.sets.iter().enumerate() {
            let marks = set.marks(mask);
            if !kept.iter().any(|(_, other)| other.betters(marks)) {
                kept.retain(|(_, other)| !marks.betters(*other));
                kept.push((at, marks));
            }
        }
        let start = self.gpu_choices.len();
        self.gpu_choices.extend(kept.into_iter().map(|(at, _)| at));
        let found = start..self.gpu_choices.len();
        self.gpu_choices_of.push((here, found.clone()));
        found
    }
}

/// The choices for a guest on this number of nodes.
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
    // Only a required number of cells leaves choices out here; what policies rule out becomes
    // facts.
    let wanted = request.spec().cells.required();
    all.into_iter().take(if nodes > 1 { CHOICES } else { 1 }).filter(move |choice| {
        let cells = if choice.style.shows_cells() { count(nodes) } else { 1 };
        wanted.is_none_or(|wanted| wanted == cells)
    })
}
