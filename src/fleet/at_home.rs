//! A bound for VMs without devices, from the free resources of a host's nodes and L3 domains.
//!
//! A VM is *at home* on a set of exactly as many nodes as it has cells: one, unless more are
//! required.

use std::cmp::Reverse;
use std::ops::Deref;

use smallvec::SmallVec;

use super::counted::{Counted, most_pcpus, slots};
use super::counts::FreeCounts;
use super::key::PIECES_PRICE;
use super::member::FleetHost;
use super::upper_bound::{NodeSetAtHome, UpperBound};
use crate::engine::cost::Slots;
use crate::engine::profile::{L3Use, l3_use};
use crate::engine::{Options, Score};
use crate::free::pages;
use crate::host::Host;
use crate::host::limits::MAX_NODES;
use crate::host::mask::GpuMask;
use crate::request::{Policy, Request};
use crate::units::{Bytes, PageSize};
use crate::usage::Usage;

/// A host, its free resources, and the VM that the bound is for.
struct HostBound<'a> {
    host: &'a Host,
    counts: &'a FreeCounts,
    usage: &'a Usage,
    request: &'a Request,
    options: &'a Options,
    upper: &'a UpperBound,
    slots: Slots<'a>,
    /// The free memory of each node, by position, in bytes of pages that the request could use.
    bytes: [u64; MAX_NODES],
    /// Whether a pCPU is certainly left for the emulator threads, wherever the VM is.
    emulates: bool,
}

/// A kind of placement that may be possible; the best is the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Plan {
    unmet: usize,
    packages: u32,
    price: i64,
    /// An upper bound of its score.
    score: Reverse<i64>,
    /// An upper bound of the number of cores that it takes.
    cores: Reverse<u64>,
}

/// The placements that may be possible on a host.
struct Plans {
    all: SmallVec<[Plan; 32]>,
    /// A score that some placement certainly reaches: the engine takes none below it.
    sure: i64,
    /// The best plan among those with the highest score; the plans behind it do not matter.
    first: Option<Plan>,
}

impl Plans {
    fn push(&mut self, plan: Plan, highest: i64) {
        if plan.score.0 >= highest {
            self.first = self.first.into_iter().chain([plan]).min();
        }
        self.all.push(plan);
    }
}

/// The bound for the VM on this host; `None` if no placement is possible.
pub(super) fn best<H: Deref<Target = Host>>(
    FleetHost { host, usage, counts }: &FleetHost<H>,
    request: &Request,
    options: &Options,
    upper: &UpperBound,
) -> Option<Counted> {
    let bytes = counts.bytes(host, usage, request);
    let slots = slots(host, counts, usage, request, options, &bytes);
    let emulates = request.spec().emulator_pcpus == 0
        && (counts.in_all().pcpus > u64::from(request.spec().vcpus) || host.emulators_roam());
    let bound = HostBound { host, counts, usage, request, options, upper, slots, bytes, emulates };
    let mut plans = Plans { all: SmallVec::new(), sure: i64::MIN, first: None };
    (1..=2).for_each(|threads| bound.at_home(threads, &mut plans));
    let vcpus = u64::from(request.spec().vcpus);
    for (threads, span) in upper.elsewhere() {
        let cores = threads.map_or(0, |threads| bound.fewest(vcpus / threads, threads));
        let score = Reverse(span.best.with_packing(options, bound.least_cost(cores)).total);
        let cores = Reverse(vcpus);
        plans.all.push(Plan { unmet: span.unmet, packages: 1, price: 0, score, cores });
    }
    // The engine takes the best score, so a plan that is certainly below another is not taken.
    let taken = plans.all.iter().filter(|plan| plan.score.0 >= plans.sure);
    let counted = taken.map(|plan| Counted {
        unmet: plan.unmet,
        packages: plan.packages,
        scattered: false,
        price: plan.price,
        score: plan.score,
        pcpus: Reverse(most_pcpus(host, request, plan.cores.0)),
    });
    counted.min()
}

impl HostBound<'_> {
    /// Whether the request lets a core carry two vCPUs of two guest cores.
    fn may_double(&self) -> bool {
        self.request.spec().smt.required().is_none()
    }

    /// The fewest cores under this many guest cores of `threads` threads, wherever they are.
    fn fewest(&self, cores: u64, threads: u64) -> u64 {
        let doubles = threads == 1 && self.may_double();
        if doubles { cores.div_ceil(2) } else { cores }
    }

    /// The lowest packing cost of a placement that takes this many cores, in millionths.
    fn least_cost(&self, cores: u64) -> i64 {
        match self.options.packing_weight {
            0 => 0,
            _ => self.slots.host_cost(&[], &[cores], GpuMask::EMPTY, |_| 0).millionths(),
        }
    }

    /// Adds the placements at home with this many threads per core: on exactly as many nodes as the
    /// VM has cells.
    fn at_home(&self, threads: u64, plans: &mut Plans) {
        let Self { request, options, upper, .. } = self;
        let vcpus = u64::from(request.spec().vcpus);
        let wanted = request.spec().smt.required().is_none_or(|shown| shown == (threads == 2));
        if !wanted || !vcpus.is_multiple_of(threads) {
            return;
        }
        // A packing cost only lowers a score.
        let highest = upper.at_home(threads).iter().map(|kind| kind.span.best.total).max();
        if highest.is_none_or(|highest| highest < plans.sure) {
            return;
        }
        let (cores, nodes) = (vcpus / threads, upper.nodes as u64);
        let Some(sets) = &upper.sets else {
            let cost = self.least_cost(self.fewest(cores, threads));
            plans.all.extend(upper.at_home(threads).iter().map(|kind| Plan {
                unmet: kind.span.unmet,
                packages: kind.packages,
                price: 0,
                score: Reverse(kind.span.best.with_packing(options, cost).total),
                cores: Reverse(cores),
            }));
            return;
        };
        // Either the cells are equal, or there is one cell.
        if cores.is_multiple_of(nodes) {
            sets.iter().for_each(|set| self.on_set(set, threads, cores / nodes, plans));
        }
    }

    /// Adds the placements on this set of nodes, with `share` cores on each.
    fn on_set(&self, set: &NodeSetAtHome, threads: u64, share: u64, plans: &mut Plans) {
        let Self { counts, request, options, upper, .. } = self;
        let nodes = upper.nodes as u64;
        let memory = request.spec().memory.0 / nodes;
        let whole_only = request.spec().policies.whole_cores == Policy::Require;
        let enough = |at: &usize| u64::from(counts.nodes[*at].cores) >= share;
        let whole = set.nodes.iter().all(enough);
        let pcpus = |at: &usize| u64::from(counts.nodes[*at].pcpus) >= share * threads;
        let possible = |at: &usize| pcpus(at) && self.bytes[*at] >= memory;
        // Cores may carry two vCPUs each, where a node has too few, as far as the VM may have them.
        let spec = request.spec();
        let is_held = spec.cpus.is_some() || spec.nodes.is_some() || spec.memory_nodes.is_some();
        let doubles = threads == 1 && self.may_double() && (is_held || !whole);
        if (whole_only && !whole && !doubles) || !set.nodes.iter().all(possible) {
            return;
        }
        // The counts are those of the whole host: a VM that is held to a part of it may have to
        // take worse cores.
        let in_whole = if whole && !is_held { self.l3(set, share) } else { None };
        let pieces = |l3| if l3 == L3Use::Pieces { PIECES_PRICE } else { 0 };
        let at_best = Plan {
            unmet: 0,
            packages: set.packages,
            price: in_whole.filter(|_| whole_only).map_or(0, pieces),
            score: Reverse(upper.highest),
            cores: Reverse(u64::MAX),
        };
        if plans.first.is_some_and(|first| first <= at_best) {
            return;
        }
        let shares = [if doubles { share.div_ceil(2) } else { share }; MAX_NODES];
        let cost =
            self.slots
                .host_cost(&set.nodes, &shares[..set.nodes.len()], GpuMask::EMPTY, |_| memory);
        let millionths = if options.packing_weight == 0 { 0 } else { cost.millionths() };
        // Whether every unshared core has room for all threads of a guest core.
        let exact = !is_held && (threads == 1 || upper.pairs);
        let mut worst = i64::MAX;
        let kinds = upper.at_home(threads).iter();
        for kind in kinds.filter(|kind| kind.packages == set.packages) {
            let total = |score: Score| score.with_packing(options, millionths).total;
            if in_whole.is_none_or(|known| kind.l3 == known) {
                let span = &kind.span;
                let least = if self.counts.crowded { span.crowded } else { span.worst };
                worst = worst.min(total(least));
            }
            // Shared cores may lie in fewer L3 domains than whole ones. Cores with too few threads
            // leave fewer whole ones, and these lie in no fewer domains.
            let may = match in_whole {
                Some(known) if whole_only && exact => kind.l3 == known,
                Some(known) if whole_only => kind.l3 >= known,
                _ => true,
            };
            if may {
                let plan = Plan {
                    unmet: kind.span.unmet,
                    packages: kind.packages,
                    price: cost.price() + pieces(kind.l3),
                    score: Reverse(total(kind.span.best)),
                    cores: Reverse(share * nodes),
                };
                plans.push(plan, upper.highest);
            }
        }
        let known = whole && exact && (plans.sure + 1..i64::MAX).contains(&worst);
        if known && self.emulates && self.has_pages(set, memory) {
            plans.sure = worst;
        }
    }

    /// Whether the free pages of one size are certainly enough for the VM on these nodes, with
    /// `memory` on each.
    fn has_pages(&self, set: &NodeSetAtHome, memory: u64) -> bool {
        let Self { host, usage, request, .. } = self;
        let suffices = |size: PageSize| {
            let needed = size.pages_in(Bytes(memory));
            let free = |at: &usize| pages::on_node(host, usage, &host.nodes()[*at], size);
            let enough = |at: &usize| needed.is_some_and(|needed| free(at) >= needed);
            usage.unbound_pages(size) == 0 && set.nodes.iter().all(enough)
        };
        let mut sizes = host.nodes()[set.nodes[0]].pools.iter().map(|pool| pool.size);
        let wanted =
            |size: &PageSize| request.spec().page_size.is_none_or(|wanted| wanted == *size);
        sizes.any(|size| wanted(&size) && suffices(size))
    }

    /// The L3 domains used by `share` whole cores of each node; `None` on hosts with two kinds of
    /// cores.
    fn l3(&self, set: &NodeSetAtHome, share: u64) -> Option<L3Use> {
        let derived = self.host.derived();
        let of_node = |at: &usize| {
            let facts = &derived.nodes[*at];
            let mut free: SmallVec<[u16; 16]> =
                self.counts.groups[facts.groups.clone()].iter().copied().collect();
            free.sort_unstable_by(|a, b| b.cmp(a));
            let mut taken = 0;
            let used = free
                .iter()
                .take_while(|cores| (taken < share).then(|| taken += u64::from(**cores)).is_some());
            l3_use(&facts.l3_sizes, usize::try_from(share).unwrap_or(usize::MAX), used.count())
        };
        (!derived.hybrid).then(|| set.nodes.iter().map(of_node).max()).flatten()
    }
}
