//! The search: which nodes, GPUs, CPUs and pages a VM could have, and how much its guest could see.
//!
//! Candidates are counted before they are built: a node is its free cores and pages, a set of nodes a
//! bit mask, a set of GPUs the best of its class. Every candidate has a profile, candidates of equal
//! profile share a score, and only the best of each variant becomes a placement with pins.
//!
//! Node sets grow from one node until one holds the VM with all its GPUs; a set wider than that gains
//! nothing in any rule. Sets of one size are tried all, up to 4096 of them; beyond, and beyond 1024 GPU
//! sets, the search is cut and the answer says so.

pub(crate) mod build;
pub(crate) mod cpus;
pub(crate) mod gpus;
pub(crate) mod guest_pci;
pub(crate) mod nodes;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::capacity::Slots;
use crate::feasibility::{Fact, lacking, node_set};
use crate::host::Host;
use crate::host::usage::Usage;
use crate::placement::{MemoryMode, Style};
use crate::profile::{L3Use, Profile, collective, count, devices_far, is_hybrid};
use crate::request::{Policy, Request};
use crate::score::{Options, Property, Score, score};
use crate::units::{NodeId, PageSize};
use cpus::{FreePcpus, NodeCpus, Way};
use gpus::{GpuSet, GpuSets};
use nodes::{NodeMask, members, shares, subsets};

impl Candidate {
    /// The order of candidates, best first.
    pub(crate) fn rank(&self) -> &Rank {
        &self.rank
    }
}

/// A way to place the VM, decided down to how many cores and pages on which node.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) style: Style,
    pub(crate) way: Way,
    pub(crate) threads: u32,
    pub(crate) memory: MemoryMode,
    pub(crate) expanders: bool,
    /// Positions in [`Host::nodes`], ascending.
    pub(crate) nodes: Vec<usize>,
    /// By node: guest cores; vCPUs where they float.
    pub(crate) units: Vec<u64>,
    pub(crate) page: PageSize,
    /// By node.
    pub(crate) pages: Vec<u64>,
    /// Position in [`Search::gpus`].
    pub(crate) gpus: usize,
    pub(crate) profile: Profile,
    pub(crate) score: Score,
    rank: Rank,
}

/// What orders candidates, best first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    score: Reverse<i64>,
    nodes: u32,
    /// Of two styles that score the same, the one with a core for every vCPU: the safer start (F1).
    threads: u32,
    /// Expander buses tell the guest more and cost nothing.
    blind: bool,
    /// What it costs the host's other tenants.
    cost: i64,
    cores: u64,
    spread: u64,
    gpus: usize,
    left_over: u64,
    mask: NodeMask,
    page: Reverse<PageSize>,
}

/// Candidates of one variant differ in nothing that the guest could see but their places.
pub(crate) type Variant = (Style, MemoryMode, bool, Way2);
/// A [`Way`] as an ordered key.
pub(crate) type Way2 = (bool, bool);

/// The page sizes worth trying, largest first, and the free pages of each by node.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) size: PageSize,
    pub(crate) needed: u64,
    pub(crate) free: Vec<u64>,
    /// Free on the whole host, less what tenants hold somewhere.
    pub(crate) in_all: u64,
}

/// The free cores of all nodes under one way of taking them.
#[derive(Debug, Clone)]
pub(crate) struct Stock {
    pub(crate) way: Way,
    pub(crate) nodes: Vec<NodeCpus>,
}

/// A search for one request on one host.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    pub(crate) host: &'a Host,
    pub(crate) request: &'a Request,
    pub(crate) options: &'a Options,
    pub(crate) free: FreePcpus,
    pub(crate) stocks: Vec<Stock>,
    pub(crate) pages: Vec<Pages>,
    pub(crate) gpus: GpuSets,
    pub(crate) slots: Slots,
    hybrid: bool,
    /// The best of each variant.
    pub(crate) best: BTreeMap<Variant, Candidate>,
    /// Required properties that stopped a candidate which fits, by style.
    pub(crate) lacking: BTreeMap<Style, Property>,
    /// Whether a bound cut the search.
    pub(crate) cut: bool,
    scores: Vec<(Profile, Score)>,
}

impl<'a> Search<'a> {
    /// Takes stock of what is free; the facts where no GPUs or no page size would do.
    pub(crate) fn new(
        host: &'a Host,
        usage: &'a Usage,
        request: &'a Request,
        options: &'a Options,
    ) -> Result<Self, Vec<Fact>> {
        let gpus = GpuSets::new(host, usage, request)?;
        let free = FreePcpus::new(host, usage.dedicated());
        let stock = |way: Way| Stock {
            way,
            nodes: host.nodes().iter().map(|n| NodeCpus::new(host, &free, n.id, way)).collect(),
        };
        let stocks: Vec<Stock> = ways(request).into_iter().map(stock).collect();
        let pages = pages(host, usage, request)?;
        let slots = Slots::new(host, &stocks[0], &pages, &gpus.eligible);
        let cut = !gpus.complete;
        Ok(Self {
            host,
            request,
            options,
            stocks,
            free,
            pages,
            gpus,
            slots,
            hybrid: is_hybrid(host),
            best: BTreeMap::new(),
            lacking: BTreeMap::new(),
            cut,
            scores: Vec::new(),
        })
    }

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

    fn search(&mut self, stock: &Stock, threads: u32) {
        let units = u64::from(self.request.vcpus / threads);
        let caps: Vec<u64> = (0..stock.nodes.len()).map(|at| stock.room(at, threads)).collect();
        let usable: Vec<usize> = self.usable(&caps);
        let wanted_cells = self.request.cells.required();
        let widest =
            if self.request.policies.one_node == Policy::Require { 1 } else { usable.len() };
        let host = self.host;
        let far = |a: usize, b: usize| far(host, a, b);
        for size in 1..=widest {
            // Sizes below what the cells need can only be flat, and above it only for the GPUs' sake.
            let tried = subsets(&usable, size, far, |at| caps[at]);
            self.cut |= !tried.complete && self.could_fit(&usable, &caps, units, size);
            let mut settled = false;
            for mask in tried.masks {
                settled |= self.try_nodes(stock, threads, mask, &caps, units);
            }
            let narrow = size < 2.max(wanted_cells.unwrap_or(1) as usize);
            if settled && !narrow {
                break;
            }
        }
    }

    /// The nodes on which something of the VM could be.
    fn usable(&self, caps: &[u64]) -> Vec<usize> {
        let memory = |at: usize| self.pages.iter().any(|pages| pages.free[at] > 0);
        (0..caps.len()).filter(|at| caps[*at] > 0 && memory(*at)).collect()
    }

    fn could_fit(&self, usable: &[usize], caps: &[u64], units: u64, size: usize) -> bool {
        let mut room: Vec<u64> = usable.iter().map(|at| caps[*at]).collect();
        room.sort_unstable_by(|a, b| b.cmp(a));
        room.iter().take(size).sum::<u64>() >= units
    }

    /// Tries all that can be done on a set of nodes. Whether a candidate was possible that a wider
    /// set cannot better: one with all GPUs on its nodes.
    fn try_nodes(
        &mut self,
        stock: &Stock,
        threads: u32,
        mask: NodeMask,
        caps: &[u64],
        units: u64,
    ) -> bool {
        let at: Vec<usize> = members(mask).collect();
        let room: Vec<u64> = at.iter().map(|n| caps[*n]).collect();
        let has_pages = |pages: &Pages| {
            pages.in_all >= pages.needed
                && at.iter().map(|n| pages.free[*n]).sum::<u64>() >= pages.needed
        };
        if room.iter().sum::<u64>() < units || !self.emulator_fits(stock, threads, units) {
            return false;
        }
        let Some(page) = self.pages.iter().position(has_pages) else { return false };
        let mut settled = false;
        for gpus in self.gpu_choices(mask) {
            let layout = Layout { stock, threads, mask, at: &at, room: &room, units, page, gpus };
            for variant in layout.variants(self.request) {
                let local = self.gpus.sets[gpus].nodes & !mask == 0;
                if self.consider(&layout, variant) {
                    settled |= local || at.len() == self.host.nodes().len();
                }
            }
        }
        settled
    }

    /// One GPU set for each thing about it that a rule can see from these nodes, best quality first.
    fn gpu_choices(&self, mask: NodeMask) -> Vec<usize> {
        let mut seen = Vec::new();
        let mut choices = Vec::new();
        for (at, set) in self.gpus.sets.iter().enumerate() {
            let key = (
                set.nodes & !mask == 0,
                set.node_of.iter().any(Option::is_none),
                set.nodes.count_ones() > 1,
                (set.path, set.same_switch, set.partition),
                set.degraded > 0,
                self.expander_nodes(set, mask),
            );
            if !seen.contains(&key) {
                seen.push(key);
                choices.push(at);
            }
        }
        choices
    }

    /// Whether a GPU of the set is on one of the nodes, so that an expander bus has something to show.
    fn expander_nodes(&self, set: &GpuSet, mask: NodeMask) -> bool {
        let devices = self.request.devices.iter();
        let node = |address| self.host.pci().get(address).and_then(|d| d.node);
        let near = |id: NodeId| self.host.node_index(id).is_some_and(|at| mask & (1 << at) != 0);
        set.nodes & mask != 0 || devices.filter_map(|a| node(*a)).any(near)
    }

    /// Whether pCPUs for the emulator threads are left.
    fn emulator_fits(&self, stock: &Stock, threads: u32, units: u64) -> bool {
        emulator_room(self, stock, threads, units).is_none()
    }

    /// Keeps the candidate if it is possible and the best of its variant so far. Whether it is
    /// possible.
    fn consider(&mut self, layout: &Layout<'_>, variant: Choice) -> bool {
        let Choice { style, memory, expanders } = variant;
        let Layout { stock, threads, mask, at, room, page, .. } = *layout;
        if expanders && !self.expander_nodes(&self.gpus.sets[layout.gpus], mask) {
            return false;
        }
        let cells = style.shows_cells();
        let Pages { size, needed, ref free, .. } = self.pages[page];
        let free: Vec<u64> = at.iter().map(|n| free[*n]).collect();
        let mut possible = false;
        for units in self.splits(layout, cells) {
            let weights: Vec<u64> =
                if memory == MemoryMode::Interleave { vec![1; at.len()] } else { units.clone() };
            let Some(split) = shares(needed, &free, &weights, cells) else { continue };
            let profile = self.profile(layout, variant, &units, size);
            if let Some(property) = lacking(self.request, &profile) {
                self.lacking.entry(style).or_insert(property);
                continue;
            }
            possible = true;
            let set = &self.gpus.sets[layout.gpus];
            let bytes = |i: usize| u128::from(split[i]) * u128::from(size.bytes());
            let cost = self.slots.host_cost(stock, at, &units, set, bytes).millionths();
            let spread = self.spread(at, set);
            let score = self.score(&profile, cost);
            let taken: u64 = units.iter().sum();
            let rank = Rank {
                score: Reverse(score.total),
                nodes: profile.nodes,
                threads,
                blind: cells && !expanders,
                cost,
                cores: if stock.way.dedicated { taken } else { 0 },
                spread,
                gpus: layout.gpus,
                left_over: room.iter().sum::<u64>() - taken,
                mask,
                page: Reverse(size),
            };
            let key = (style, memory, expanders, (stock.way.dedicated, stock.way.whole));
            if self.best.get(&key).is_none_or(|best| rank < best.rank) {
                let candidate = Candidate {
                    style,
                    way: stock.way,
                    threads,
                    memory,
                    expanders,
                    nodes: at.to_vec(),
                    units,
                    page: size,
                    pages: split,
                    gpus: layout.gpus,
                    profile,
                    score,
                    rank,
                };
                self.best.insert(key, candidate);
            }
        }
        possible
    }

    /// How the guest cores are shared out over the nodes: evenly, or by GPUs where every node has
    /// some; as far as there is room. A flat guest on two nodes also tries the splits that lie better
    /// in L3 domains or avoid efficiency cores.
    fn splits(&self, layout: &Layout<'_>, cells: bool) -> Vec<Vec<u64>> {
        let set = &self.gpus.sets[layout.gpus];
        let on: Vec<u64> = layout.at.iter().map(|n| set.on(*n)).collect();
        let even = vec![1; layout.at.len()];
        let weights = if on.contains(&0) { &even } else { &on };
        // On a flat guest "at least one" holds too: a node without a vCPU would not be the VM's.
        let first = |weights: &[u64]| shares(layout.units, layout.room, weights, true);
        let mut splits: Vec<Vec<u64>> = first(weights).into_iter().collect();
        if weights != &even {
            splits.extend(first(&even));
        }
        if let (&[a, b], false, Some(start)) = (layout.room, cells, splits.first().cloned()) {
            let pieces = |split: &[u64]| {
                let picked = self.lie(layout, split);
                picked.0 == L3Use::Pieces || picked.1
            };
            if layout.stock.way.dedicated && pieces(&start) {
                let total = layout.units;
                let others =
                    (1..total).filter(|x| *x <= a && total - x <= b).map(|x| vec![x, total - x]);
                let mut seen = vec![self.lie(layout, &start)];
                for split in others {
                    let lie = self.lie(layout, &split);
                    if !seen.contains(&lie) {
                        seen.push(lie);
                        splits.push(split);
                    }
                }
            }
        }
        splits
    }

    /// How so many cores on each node would lie: in L3 domains, and whether on efficiency cores.
    fn lie(&self, layout: &Layout<'_>, split: &[u64]) -> (L3Use, bool) {
        let picked = layout.at.iter().zip(split).map(|(at, cores)| {
            layout.stock.nodes[*at].estimate(self.hybrid, *cores, layout.threads)
        });
        picked.fold((L3Use::NoChoice, false), |(l3, efficiency), picked| {
            (l3.max(picked.l3), efficiency | picked.efficiency)
        })
    }

    fn profile(
        &self,
        layout: &Layout<'_>,
        variant: Choice,
        units: &[u64],
        page: PageSize,
    ) -> Profile {
        let set = &self.gpus.sets[layout.gpus];
        let nodes = node_set(self.host, layout.at.iter().copied());
        let known = set.node_of.iter().flatten();
        let mut profile = Profile {
            style: variant.style,
            dedicated: layout.stock.way.dedicated,
            whole_cores: layout.stock.way.dedicated && layout.stock.way.whole,
            memory: variant.memory,
            cells: if variant.style.shows_cells() { count(layout.at.len()) } else { 1 },
            expanders: variant.expanders,
            hugepages: page.is_huge(),
            gpus: count(set.gpus.len()),
            gpu_nodes: set.nodes.count_ones(),
            gpus_unknown: count(set.node_of.iter().filter(|node| node.is_none()).count()),
            gpus_remote: count(known.filter(|at| layout.mask & (1 << **at) == 0).count()),
            gpus_degraded: set.degraded,
            devices_far: devices_far(self.host, self.request, &nodes),
            gpu_path: set.path,
            same_switch: set.same_switch,
            partition: set.partition,
            collective: collective(self.request, set.gpus.len(), set.path),
            ..Profile::of_host(self.host, self.request, layout.threads)
        };
        profile.set_nodes(self.host, &nodes);
        if layout.stock.way.dedicated {
            (profile.l3, profile.efficiency_core) = self.lie(layout, units);
        }
        profile
    }

    fn score(&mut self, profile: &Profile, cost: i64) -> Score {
        if let Some((_, known)) = self.scores.iter().find(|(other, _)| other == profile) {
            return known.with_packing(self.options, cost);
        }
        let score = score(self.request, self.options, profile, 0);
        self.scores.push((*profile, score));
        score.with_packing(self.options, cost)
    }

    /// The distances between the VM's nodes, and from its GPUs to the nearest of them.
    fn spread(&self, at: &[usize], set: &GpuSet) -> u64 {
        let between = at.iter().enumerate().flat_map(|(i, a)| at[..i].iter().map(|b| (*a, *b)));
        let nodes: u64 = between.map(|(a, b)| u64::from(far(self.host, a, b))).sum();
        let nearest = |gpu: usize| at.iter().map(|n| far(self.host, gpu, *n)).min().unwrap_or(0);
        nodes + set.node_of.iter().flatten().map(|gpu| u64::from(nearest(*gpu))).sum::<u64>()
    }
}

/// A set of nodes with what is to be put on it.
#[derive(Debug, Clone, Copy)]
struct Layout<'s> {
    stock: &'s Stock,
    threads: u32,
    mask: NodeMask,
    at: &'s [usize],
    room: &'s [u64],
    units: u64,
    /// Position in [`Search::pages`].
    page: usize,
    gpus: usize,
}

/// What the guest is shown.
#[derive(Debug, Clone, Copy)]
struct Choice {
    style: Style,
    memory: MemoryMode,
    expanders: bool,
}

impl Layout<'_> {
    fn variants(&self, request: &Request) -> Vec<Choice> {
        let smt = self.threads > 1;
        let (flat, cells) =
            if smt { (Style::PinSmt, Style::PinNumaSmt) } else { (Style::Pin, Style::PinNuma) };
        let mut variants =
            vec![Choice { style: flat, memory: MemoryMode::Strict, expanders: false }];
        if self.at.len() > 1 {
            variants.push(Choice { memory: MemoryMode::Interleave, ..variants[0] });
            let strict = Choice { style: cells, ..variants[0] };
            variants.extend([Choice { expanders: true, ..strict }, strict]);
        }
        // What cannot be is left out here only where the number of cells alone decides.
        variants.retain(|choice| {
            let cells = if choice.style.shows_cells() { count(self.at.len()) } else { 1 };
            request.cells.required().is_none_or(|wanted| wanted == cells)
        });
        variants
    }
}

impl Stock {
    /// How many guest cores of so many threads fit on a node; vCPUs where they float.
    pub(crate) fn room(&self, node: usize, threads: u32) -> u64 {
        let cpus = &self.nodes[node];
        if self.way.dedicated { cpus.cores[threads as usize - 1] } else { cpus.pcpus }
    }
}

/// The ways in which a request lets pCPUs be taken, the strictest first.
fn ways(request: &Request) -> Vec<Way> {
    let mut ways = vec![Way { dedicated: true, whole: true }];
    if request.policies.whole_cores != Policy::Require {
        ways.push(Way { dedicated: true, whole: false });
    }
    if request.policies.dedicated_cpus != Policy::Require {
        ways.push(Way { dedicated: false, whole: false });
    }
    ways
}

/// The threads a guest core may have.
fn threads(request: &Request, way: Way) -> Vec<u32> {
    let wanted = request.smt.required();
    let mut threads = Vec::new();
    if wanted != Some(true) {
        threads.push(1);
    }
    if wanted != Some(false) && way.dedicated && request.vcpus.is_multiple_of(2) {
        threads.push(2);
    }
    threads
}

/// The page sizes that hold the memory exactly, largest first, or only the one asked for.
fn pages(host: &Host, usage: &Usage, request: &Request) -> Result<Vec<Pages>, Vec<Fact>> {
    let mut sizes: Vec<PageSize> =
        host.nodes().iter().flat_map(|node| node.pools.iter().map(|pool| pool.size)).collect();
    sizes.extend(request.page_size);
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    sizes.retain(|size| request.page_size.is_none_or(|wanted| wanted == *size));
    let of = |size: PageSize| {
        Some(Pages {
            size,
            needed: size.pages_in(request.memory)?,
            free: host.nodes().iter().map(|n| usage.free_pages(host, n.id, size)).collect(),
            in_all: usage.free_pages_in_all(host, size),
        })
    };
    let pages: Vec<Pages> = sizes.into_iter().filter_map(of).collect();
    if pages.is_empty() {
        return Err(vec![Fact::NoPageSize { memory: request.memory, size: request.page_size }]);
    }
    Ok(pages)
}

/// The fact that no pCPU is left for the emulator threads, if so.
pub(crate) fn emulator_room(
    search: &Search<'_>,
    stock: &Stock,
    threads: u32,
    units: u64,
) -> Option<Fact> {
    let own = u64::from(search.request.emulator_pcpus);
    if !stock.way.dedicated && own == 0 {
        return None;
    }
    let vcpus = units * u64::from(threads);
    let (needed, free) = if own > 0 {
        // Every core that carries vCPUs is taken whole; those with the fewest pCPUs go first.
        let mut sizes: Vec<u64> = stock.nodes.iter().flat_map(NodeCpus::core_sizes).collect();
        sizes.sort_unstable();
        let taken = usize::try_from(units).unwrap_or(usize::MAX).min(sizes.len());
        (
            own,
            if stock.way.whole {
                sizes[taken..].iter().sum()
            } else {
                sizes.iter().sum::<u64>().saturating_sub(vcpus)
            },
        )
    } else {
        let all = search.host.allowed().union(&search.free.housekeeping);
        (1, (all.difference(&search.free.held).len() as u64).saturating_sub(vcpus))
    };
    (free < needed).then_some(Fact::NoEmulatorPcpu { needed, free })
}

/// The relative distance of two nodes by position.
fn far(host: &Host, a: usize, b: usize) -> u32 {
    let (a, b) = (host.nodes()[a].id, host.nodes()[b].id);
    host.distance(a, b).map_or(255, |distance| u32::from(distance.0))
}
