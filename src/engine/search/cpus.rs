//! Cores: how many guest cores a node has room for, and which of its cores a VM takes.
//!
//! **Takes** the free pCPUs, the host's core groups and a `CpuPolicy`. **Gives** `FreeCores`, built
//! once per policy: the number of usable cores per node and per group; the `CoreUse` of any number
//! of cores on a node (an estimate that picks nothing); and, for the winning candidates, the cores
//! themselves. Estimate and pick follow one plan, so what was counted is what is built.
//!
//! # What a policy may use
//! A pCPU is *usable* if it is allowed, not dedicated to a tenant, not kept for the host, and among
//! those that the request is held to; pCPUs
//! that tenants float on stay usable. A core is *shared* if any of its pCPUs is held, or is kept
//! for the host and allowed.
//! - *Dedicated, whole*: unshared cores only. A core has room for a guest core of t threads if t of
//!   its pCPUs are usable. The VM also holds the usable siblings beyond t, idle. A sibling outside
//!   the allowed set does not make a core shared: no tenant can get it.
//! - *Dedicated, not whole*: any core with t usable pCPUs. The VM holds only those with a vCPU.
//! - *Floating*: room is that of the node's pool, see [`Pool`]. A vCPU may run on every pCPU of its
//!   node's pool, and none is held for it.
//!
//! `levels[n - 1]` is the set of cores with at least n usable pCPUs, one bit per core. All counts
//! are population counts over ranges of these, because the cores of a host are sorted by node, L3
//! domain, kind and lowest pCPU.
//!
//! # Groups
//! A *group* is the cores of one kind in one L3 domain of one package of one node. The module
//! `plan` chooses among them. Cores of unknown L3 domain count as one domain. An L3 domain that
//! spans two nodes is one group on each.
//!
//! # Tiers
//! Where the kernel isolates some of the allowed pCPUs, cores with an isolated one come first.
//! Among these and among the others, performance cores come before slower ones, and of one kind
//! those with the smallest *load*, the number of tenants that float on them. A `Tier` has the cores
//! that are alike in isolation and load. Most hosts have no tiers, and then nothing is counted for
//! them.
//!
//! # Which cores of a group
//! Cores whose top frequency stands out among their kind are *favoured*. A workload that gives one
//! thread's speed a weight of at least 30 (of the presets: latency-sensitive, 40) takes favoured
//! cores first, every other one takes them last. Among these, cores with more usable siblings come
//! first (this matters only where cores may be shared), then cores with lower positions. vCPUs are
//! numbered in the order of picking, node by node, so neighbours in the guest are neighbours in the
//! host, and the two vCPUs of a guest core are the two lowest usable pCPUs of its core.
//!
//! # What is told to the rules: `CoreUse`
//! - `l3`: `NoChoice` if the node has fewer than two domains; `Whole` if the cores lie in no more
//!   domains than they would on an empty node, filling the largest domains first; `Pieces`
//!   otherwise. On a node of four 8-core domains, 10 cores in two domains are `Whole`, in three
//!   `Pieces`. An efficiency group in the domain of a performance group that has usable cores is
//!   not counted as a further domain.
//! - `efficiency`: whether an efficiency core carries a vCPU on a host that has both kinds.
//! - `whole`: whether each core has exactly as many allowed pCPUs as the guest core has threads, so
//!   that the VM holds whole cores without having asked for them. pCPUs that the request may not
//!   have do not count.
//!
//! Over several nodes the worst of each counts. Floating vCPUs always have `NoChoice`, no
//! efficiency core, and `whole`, which no rule and no requirement reads of them.
//!
//! # Emulator threads
//! The search only proves by counting that a pCPU remains for them; `engine::build` picks it. If
//! the request wants pCPUs for the emulator alone, these are counted after the VM's pCPUs; where it
//! holds its cores whole, after its cores, which are assumed to be those with the fewest pCPUs on
//! the host. They are on the VM's nodes while there is room: on cores without its vCPUs, else,
//! where it does not hold its cores whole, on siblings of its vCPUs. Otherwise one pCPU outside the
//! VM's vCPUs must be held by nobody; it may be an idle sibling, or a reserved pCPU outside the
//! allowed set. Unless the request asks for some, no pCPU is needed on a host where all allowed
//! pCPUs are isolated and none is reserved: the host's own work, emulator threads included, runs
//! elsewhere there.
//!
//! # Bounds
//! A plan looks at each group of a node once per group taken: at most quadratic in the groups of a
//! node. The last estimate for each node is remembered. A host has at most 4096 pCPUs.
//!
//! # Invariants
//! - All pCPUs of a core are on one node and in at most one L3 domain (checked when a host is
//!   built).
//! - The cores of a node, and of a group, are one range of positions in `Host::cores`.
//! - `pick` returns as many cores as asked for, if no more are asked for than the node has room
//!   for.
//!
//! # Known limitations
//! - Guest cores have one or two threads. On hosts with four or eight siblings per core, the others
//!   stay idle (whole cores) or free. No evidence tells what more threads would do.
//! - Clusters below the L3 domain, such as efficiency cores that share an L2 cache, are
//!   informative. Kernels number them in a row, so picking by number keeps them together where they
//!   are free.
//! - The plan looks at one VM. It keeps large domains whole, but does not know which VM comes next.

use std::ops::Range;

use crate::engine::profile::{L3Use, l3_use, load_price};
use crate::engine::work::busy;
use crate::free::{FreePcpus, Isolation, Pool};
use crate::host::Host;
use crate::host::core_set::CoreSet;
use crate::host::derived::ByKind;
use crate::request::{Request, Wish};

/// How pCPUs may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CpuPolicy {
    /// A pCPU for every vCPU.
    pub(crate) dedicated: bool,
    /// Cores that carry two vCPUs each, although the guest is shown a core for each: as few as
    /// possible, where the VM's nodes have fewer cores than it has vCPUs.
    pub(crate) doubled: bool,
    /// Only cores that nobody else is on; idle siblings are held.
    pub(crate) whole: bool,
    /// Only L3 domains where no tenant has dedicated pCPUs.
    pub(crate) own_l3: bool,
}

impl CpuPolicy {
    /// What the VM has to itself.
    pub(crate) const fn isolation(self) -> Isolation {
        Isolation { whole_cores: self.whole, own_l3: self.own_l3 }
    }
}

/// From this weight on (in hundredths for the presets) one thread's speed is what a workload waits
/// for. Chosen by us: latency-sensitive has 40, inference 20.
const FAVOURED_WEIGHT: u16 = 30;

/// From this weight on of memory latency, a larger L3 cache is worth more than a better fit. Chosen
/// by us: general has 20, latency-sensitive 50.
const CACHE_WEIGHT: u16 = 20;

/// How the cores that a VM takes would be used, as far as rules can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CoreUse {
    pub(crate) l3: L3Use,
    /// The cores under the vCPUs.
    pub(crate) cores: ByKind,
    /// Whether the VM would hold all of each core.
    pub(crate) whole: bool,
    /// What other tenants' floating threads cost these cores: the sum of [`load_price`] over them.
    pub(crate) crowd: u32,
}

impl CoreUse {
    /// Adds the cores of another node.
    pub(crate) fn add_cores(&mut self, cores: ByKind) {
        for (sum, cores) in self.cores.iter_mut().zip(cores) {
            *sum += cores;
        }
    }

    /// Whether no other split could use the cores better. `one`: whether one L3 domain on each node
    /// may be enough.
    pub(crate) fn is_good(self, one: bool) -> bool {
        let best = if one { L3Use::One } else { L3Use::Fewest };
        self.l3 <= best && self.cores[1] + self.cores[2] == 0 && self.crowd == 0
    }
}

/// Cores that are isolated alike and have one load of floating tenants.
#[derive(Debug, Clone)]
pub(crate) struct Tier {
    /// Whether the kernel isolates a pCPU of each, and leaves others of the host alone.
    pub(super) isolated: bool,
    /// The number of tenants that float there, as [`Floaters`](crate::free::floaters::Floaters)
    /// counts them.
    load: usize,
    cores: CoreSet,
    /// For each group of cores: the number of the tier's cores with at least n usable pCPUs, at
    /// index n - 1.
    pub(super) counts: Vec<[u32; 2]>,
}

/// The tiers of cores, best first: isolated ones before others, and of these, those with the least
/// load first. None if all cores are alike.
fn tiers(host: &Host, free: &FreePcpus, levels: &[CoreSet]) -> Vec<Tier> {
    let isolated = free.isolated_cores(host);
    if isolated.is_none() && free.floaters.is_none() {
        return Vec::new();
    }
    let all = CoreSet::of(host.cores(), |_| true);
    let by_load = free.floaters.as_ref().map(|floaters| floaters.by_load(host));
    let by_load = by_load.as_ref().map_or(std::slice::from_ref(&all), |by_load| &by_load[..]);
    let sides = if isolated.is_some() { &[true, false][..] } else { &[false] };
    let mut tiers = Vec::new();
    for (isolates, (load, of_load)) in
        sides.iter().flat_map(|side| std::iter::repeat(*side).zip(by_load.iter().enumerate()))
    {
        let mut cores = of_load.clone();
        match &isolated {
            Some(isolated) if isolates => cores.keep(isolated),
            Some(isolated) => cores.without(isolated),
            None => {}
        }
        let both = |level: &CoreSet| {
            let mut both = level.clone();
            both.keep(&cores);
            both
        };
        let both: Vec<CoreSet> = levels.iter().take(2).map(both).collect();
        let count = |t: usize, of: &Range<usize>| both.get(t).map_or(0, |set| set.count(of));
        let groups = host.derived().groups.iter();
        let counts = groups.map(|group| [0, 1].map(|t| count(t, &group.cores))).collect();
        tiers.push(Tier { isolated: isolates, load, cores, counts });
    }
    tiers
}

/// What is free on a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeRoom {
    /// `cores[n - 1]`: the number of cores with at least n usable pCPUs.
    pub(crate) cores: [u64; 2],
    /// Usable pCPUs.
    pub(crate) pcpus: u64,
}

/// The free cores of all nodes under one policy.
#[derive(Debug, Clone)]
pub(crate) struct FreeCores<'h> {
    pub(super) host: &'h Host,
    pub(crate) way: CpuPolicy,
    /// By position in [`Host::nodes`].
    pub(crate) nodes: Vec<NodeRoom>,
    /// By node: what floats on it; none where the VM's pCPUs are dedicated.
    pub(crate) pools: Vec<Pool>,
    /// `levels[n - 1]`: the set of cores with at least n usable pCPUs.
    levels: Vec<CoreSet>,
    /// See [`FreePcpus`].
    exact: Option<[CoreSet; 2]>,
    /// For each group of cores: the number of cores with at least n usable pCPUs, at index n - 1.
    pub(super) counts: Vec<[u32; 2]>,
    /// The tiers of cores, best first; none where the VM's pCPUs are not dedicated or cores do not
    /// differ in what makes a tier.
    pub(super) tiers: Vec<Tier>,
    /// Whether the fastest cores go first, rather than last.
    wants_favoured: bool,
    /// Whether a larger L3 cache comes before a better fit.
    pub(super) wants_cache: bool,
    /// Whether the guest is preferably not shown siblings.
    pub(super) wants_hidden: bool,
}

impl<'h> FreeCores<'h> {
    pub(crate) fn new(host: &'h Host, free: &FreePcpus, request: &Request, way: CpuPolicy) -> Self {
        let levels =
            if way.dedicated { free.levels(way.isolation()) } else { free.open_levels(host) };
        let level = |threads: usize, of: &Range<usize>| {
            levels.get(threads - 1).map_or(0, |level| level.count(of))
        };
        let derived = host.derived();
        let groups = derived.groups.iter();
        let counts: Vec<[u32; 2]> =
            groups.map(|group| [1, 2].map(|threads| level(threads, &group.cores))).collect();
        let node = |at: usize| {
            let facts = &derived.nodes[at];
            let pcpus = (3..=levels.len()).map(|threads| u64::from(level(threads, &facts.cores)));
            let of_node = &counts[facts.groups.clone()];
            let cores = [0, 1].map(|t| of_node.iter().map(|group| u64::from(group[t])).sum());
            NodeRoom { cores, pcpus: cores[0] + cores[1] + pcpus.sum::<u64>() }
        };
        let nodes: Vec<NodeRoom> = (0..host.nodes().len()).map(node).collect();
        let pool = |node| Pool::of(free, host, node, request.spec().overcommit());
        let pools =
            if way.dedicated { Vec::new() } else { host.nodes().iter().map(pool).collect() };
        let tiers = if way.dedicated { tiers(host, free, &levels) } else { Vec::new() };
        let weights = request.spec().workload.weights();
        let wants_favoured = weights.cpu_single_thread >= FAVOURED_WEIGHT;
        let wants_cache = weights.memory_latency >= CACHE_WEIGHT;
        Self {
            host,
            way,
            nodes,
            pools,
            counts,
            tiers,
            wants_favoured,
            wants_cache,
            wants_hidden: request.spec().smt == Wish::Prefer(false),
            levels,
            exact: free.exact.clone(),
        }
    }

    /// `exact()[n - 1]`: the cores with exactly n pCPUs that the VM has to hold for a whole core.
    fn exact(&self) -> &[CoreSet; 2] {
        self.exact.as_ref().unwrap_or(&self.host.derived().allowed)
    }

    /// The number of guest cores of `threads` threads that a node has room for; of vCPUs, where
    /// they float.
    #[inline]
    pub(crate) fn room(&self, node: usize, threads: u32) -> u64 {
        let room = &self.nodes[node];
        match self.way {
            CpuPolicy { dedicated: false, .. } => self.pools[node].room,
            CpuPolicy { doubled: true, .. } if threads == 1 => room.cores[0] + room.cores[1],
            _ => room.cores[threads as usize - 1],
        }
    }

    /// The largest number of free cores with `threads` usable pCPUs in one L3 domain of a node.
    pub(crate) fn largest_domain(&self, node: usize, threads: u32) -> u64 {
        let derived = self.host.derived();
        let domain = |at: usize| (derived.groups[at].package, derived.groups[at].l3);
        let groups = || derived.nodes[node].groups.clone();
        let free = |of: usize| {
            let same = groups().filter(|at| domain(*at) == domain(of));
            same.map(|at| u64::from(self.counts[at][threads as usize - 1])).sum()
        };
        groups().map(free).max().unwrap_or(0)
    }

    /// The numbers of cores that carry vCPUs, and of those with two, if a node has this many guest
    /// cores.
    pub(crate) fn carrying(&self, node: usize, units: u64) -> (u64, u64) {
        let cores = if self.way.doubled { units.min(self.nodes[node].cores[0]) } else { units };
        (cores, units - cores)
    }

    /// The number of usable pCPUs that the smallest free cores of the host have together.
    pub(crate) fn smallest(&self, cores: u64) -> u64 {
        let all = 0..self.host.cores().len();
        let (mut left, mut pcpus) = (cores, 0);
        let sizes = self.levels.iter().map(|level| u64::from(level.count(&all)));
        let next = sizes.clone().skip(1).chain([0]);
        for (size, (this, larger)) in (1..).zip(sizes.zip(next)) {
            let taken = left.min(this - larger);
            left -= taken;
            pcpus += taken * size;
        }
        pcpus
    }

    /// How `cores` cores of a node would be used; the node must have that many free.
    pub(crate) fn estimate(&self, node: usize, cores: u64, threads: u32) -> CoreUse {
        let derived = self.host.derived();
        let facts = &derived.nodes[node];
        if !self.way.dedicated {
            let vcpus = u32::try_from(cores).unwrap_or(u32::MAX);
            let mut of_node = ByKind::default();
            for at in facts.groups.clone() {
                of_node[derived.place(derived.groups[at].kind)] += self.counts[at][0];
            }
            return CoreUse {
                l3: L3Use::NoChoice,
                cores: busy(vcpus, of_node),
                whole: true,
                crowd: 0,
            };
        }
        let start = facts.groups.start;
        if facts.groups.len() == 1 && !self.way.doubled {
            // One group: one L3 domain, and cores of one kind.
            let count = usize::try_from(cores).unwrap_or(usize::MAX);
            let mut by_kind = ByKind::default();
            by_kind[derived.place(derived.groups[start].kind)] =
                u32::try_from(cores).unwrap_or(u32::MAX);
            let whole = self.holds_all(start, count, threads);
            let crowd = self.crowd(start, count, threads);
            return CoreUse { l3: L3Use::NoChoice, cores: by_kind, whole, crowd };
        }
        let (cores, second) = self.carrying(node, cores);
        let mut domains = 0;
        let (mut by_kind, mut whole) =
            (ByKind::default(), second == 0 || self.has_all(node, second));
        let plan = self.plan(node, cores, threads);
        let mut crowd = 0;
        for (i, (at, count)) in plan.iter().copied().enumerate() {
            let group = &derived.groups[at];
            crowd += self.crowd(at, count, threads);
            whole &= second > 0 || self.holds_all(at, count, threads);
            by_kind[derived.place(group.kind)] += u32::try_from(count).unwrap_or(u32::MAX);
            let place = |at: usize| (derived.groups[at].package, derived.groups[at].l3);
            let known = plan[..i].iter().any(|(other, _)| place(*other) == place(at));
            domains += usize::from(!known);
        }
        let cores = usize::try_from(cores).unwrap_or(usize::MAX);
        CoreUse { l3: l3_use(&facts.l3_sizes, cores, domains), cores: by_kind, whole, crowd }
    }

    /// What other tenants' floating threads cost the first `count` cores of a group.
    fn crowd(&self, group: usize, count: usize, threads: u32) -> u32 {
        let mut left = u32::try_from(count).unwrap_or(u32::MAX);
        let of_tier = |tier: &Tier| {
            let taken = left.min(tier.counts[group][threads as usize - 1]);
            left -= taken;
            taken * load_price(tier.load)
        };
        self.tiers.iter().map(of_tier).sum()
    }

    /// Whether all cores of a node, `second` of them with two vCPUs and the others with one, have
    /// no pCPUs beyond these.
    fn has_all(&self, node: usize, second: u64) -> bool {
        let derived = self.host.derived();
        let cores = &derived.nodes[node].cores;
        let [one, two] = self.exact();
        let pair = |core: usize| self.levels.get(1).is_some_and(|level| level.contains(core));
        let exact = |core: usize| if pair(core) { two.contains(core) } else { one.contains(core) };
        self.nodes[node].cores[1] == second && self.levels[0].iter(cores).all(exact)
    }

    /// Whether a group has enough cores without pCPUs beyond the `threads` that a VM would use.
    fn holds_all(&self, group: usize, count: usize, threads: u32) -> bool {
        let derived = self.host.derived();
        let (of, small) = (&derived.groups[group].cores, &self.exact()[threads as usize - 1]);
        match small.count(of) as usize {
            0 => false,
            all if all == of.len() => true,
            _ => self.first(group, count, threads).all(|core| small.contains(core)),
        }
    }

    /// The cores of a group that are taken first. Work that waits for single threads takes the
    /// fastest; other work leaves them. Where cores may be shared, those with most siblings free
    /// come first.
    fn first<'s>(
        &'s self,
        group: usize,
        count: usize,
        threads: u32,
    ) -> impl Iterator<Item = usize> + 's {
        let derived = self.host.derived();
        let of = &derived.groups[group].cores;
        let sizes = move || (threads as usize..=self.levels.len()).rev();
        let favoured = [self.wants_favoured, !self.wants_favoured];
        let tiers = || self.tiers.iter().map(Some);
        let none = self.tiers.is_empty().then_some(None);
        let turns = tiers().chain(none).flat_map(move |tier| {
            let speeds = favoured.into_iter();
            speeds.flat_map(move |fast| sizes().map(move |size| (tier, fast, size)))
        });
        let of_turn = move |(tier, fast, size): (Option<&'s Tier>, bool, usize)| {
            let is_larger = move |core: &usize| {
                self.levels.get(size).is_some_and(|larger| larger.contains(*core))
            };
            let wanted = move |core: &usize| {
                derived.favoured.contains(*core) == fast
                    && tier.is_none_or(|tier| tier.cores.contains(*core))
            };
            self.levels[size - 1].iter(of).filter(wanted).filter(move |core| !is_larger(core))
        };
        turns.flat_map(of_turn).take(count)
    }

    /// The cores that a VM takes on a node, as positions in [`Host::cores`], with the number of its
    /// vCPUs on each, in the order of the vCPUs: by L3 domain, so that neighbours in the guest are
    /// neighbours in the host. Cores that carry two vCPUs of two guest cores are as far back as can
    /// be, since guests load their first vCPUs most.
    pub(crate) fn pick(&self, node: usize, units: u64, threads: u32) -> Vec<(usize, u32)> {
        let (cores, mut second) = self.carrying(node, units);
        let mut picked: Vec<(usize, u32)> = Vec::new();
        for (group, count) in self.plan(node, cores, threads) {
            picked.extend(self.first(group, count, threads).map(|core| (core, threads)));
        }
        let pair = |core: usize| self.levels.get(1).is_some_and(|level| level.contains(core));
        for (core, vcpus) in picked.iter_mut().rev() {
            if second > 0 && pair(*core) {
                *vcpus = 2;
                second -= 1;
            }
        }
        picked
    }
}
