//! The best that a VM without devices could be on a host, by what is free on its nodes and in their L3
//! domains.

use std::cmp::Reverse;
use std::ops::Deref;

use smallvec::SmallVec;

use super::FleetHost;
use super::bound::{Counted, PIECES_PRICE, most_pcpus, slots};
use super::ceiling::{Set, UpperBound};
use super::room::Room;
use crate::engine::cost::Slots;
use crate::engine::profile::{L3Use, l3_use};
use crate::engine::score::{Options, Score};
use crate::host::Host;
use crate::host::spec::MAX_NODES;
use crate::request::{Policy, Request};
use crate::units::{Bytes, PageSize};
use crate::usage::Usage;

/// A host that is asked for the VM.
struct Asked<'a> {
    host: &'a Host,
    room: &'a Room,
    usage: &'a Usage,
    request: &'a Request,
    options: &'a Options,
    ceiling: &'a UpperBound,
    slots: Slots<'a>,
    /// By node.
    bytes: [u64; MAX_NODES],
    /// Whether a pCPU is left for the emulator threads, wherever the VM is.
    emulates: bool,
}

/// A kind of placement that there may be, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Plan {
    unmet: usize,
    packages: u32,
    price: i64,
    /// The highest that it could have.
    score: Reverse<i64>,
    /// The most that it takes.
    cores: Reverse<u64>,
}

/// What there may be.
struct Plans {
    all: SmallVec<[Plan; 32]>,
    /// The score that something there surely has.
    sure: i64,
    /// The best of those that have the highest score of all: nothing behind it matters.
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

/// The best that counts allow: no placement that the engine would choose here stands before it. `None`
/// where there can be none.
pub(super) fn best<H: Deref<Target = Host>>(
    FleetHost { host, usage, room }: &FleetHost<H>,
    request: &Request,
    options: &Options,
    ceiling: &UpperBound,
) -> Option<Counted> {
    let bytes = room.bytes(host, usage, request);
    let slots = slots(host, room, options, &bytes);
    let emulates = request.spec().emulator_pcpus == 0
        && (room.free().1 > u64::from(request.spec().vcpus) || host.is_for_vms_only());
    let asked = Asked { host, room, usage, request, options, ceiling, slots, bytes, emulates };
    let mut plans = Plans { all: SmallVec::new(), sure: i64::MIN, first: None };
    (1..=2).for_each(|threads| asked.at_home(threads, &mut plans));
    let vcpus = u64::from(request.spec().vcpus);
    for (threads, span) in ceiling.elsewhere() {
        let cores = threads.map_or(0, |threads| vcpus / threads);
        let score = Reverse(span.best.with_packing(options, asked.least_cost(cores)).total);
        let cores = Reverse(vcpus);
        plans.all.push(Plan { unmet: span.unmet, packages: 1, price: 0, score, cores });
    }
    // The engine takes the best score: what surely stays below another's is not taken.
    let taken = plans.all.iter().filter(|plan| plan.score.0 >= plans.sure);
    let counted = taken.map(|plan| Counted {
        unmet: plan.unmet,
        packages: plan.packages,
        apart: false,
        price: plan.price,
        score: plan.score,
        pcpus: Reverse(most_pcpus(host, request, plan.cores.0)),
    });
    counted.min()
}

impl Asked<'_> {
    /// What taking so many cores costs wherever they are, in millionths of what there is.
    fn least_cost(&self, cores: u64) -> i64 {
        match self.options.packing_weight {
            0 => 0,
            _ => self.slots.host_cost(&[], &[cores], 0, |_| 0).millionths(),
        }
    }

    /// Adds the placements with so many threads a core on as many nodes as the VM has cells.
    fn at_home(&self, threads: u64, plans: &mut Plans) {
        let Self { request, options, ceiling, .. } = self;
        let vcpus = u64::from(request.spec().vcpus);
        let wanted = request.spec().smt.required().is_none_or(|shown| shown == (threads == 2));
        if !wanted || !vcpus.is_multiple_of(threads) {
            return;
        }
        // A packing cost only lowers a score.
        let highest = ceiling.at_home(threads).iter().map(|kind| kind.span.best.total).max();
        if highest.is_none_or(|highest| highest < plans.sure) {
            return;
        }
        let (cores, nodes) = (vcpus / threads, ceiling.nodes as u64);
        let Some(sets) = &ceiling.sets else {
            let cost = self.least_cost(cores);
            plans.all.extend(ceiling.at_home(threads).iter().map(|kind| Plan {
                unmet: kind.span.unmet,
                packages: kind.packages,
                price: 0,
                score: Reverse(kind.span.best.with_packing(options, cost).total),
                cores: Reverse(cores),
            }));
            return;
        };
        // The cells are even, or there is one.
        if cores.is_multiple_of(nodes) {
            sets.iter().for_each(|set| self.on_set(set, threads, cores / nodes, plans));
        }
    }

    /// Adds the placements on a set of nodes with so many cores of each.
    fn on_set(&self, set: &Set, threads: u64, share: u64, plans: &mut Plans) {
        let Self { room, request, options, ceiling, .. } = self;
        let nodes = ceiling.nodes as u64;
        let memory = request.spec().memory.0 / nodes;
        let whole_only = request.spec().policies.whole_cores == Policy::Require;
        let enough = |at: &usize| u64::from(room.nodes[*at].cores) >= share;
        let whole = set.nodes.iter().all(enough);
        let pcpus = |at: &usize| u64::from(room.nodes[*at].pcpus) >= share * threads;
        let possible = |at: &usize| pcpus(at) && self.bytes[*at] >= memory;
        if (whole_only && !whole) || !set.nodes.iter().all(possible) {
            return;
        }
        let in_whole = if whole { self.l3(set, share) } else { None };
        let pieces = |l3| if l3 == L3Use::Pieces { PIECES_PRICE } else { 0 };
        let at_best = Plan {
            unmet: 0,
            packages: set.packages,
            price: in_whole.filter(|_| whole_only).map_or(0, pieces),
            score: Reverse(ceiling.highest),
            cores: Reverse(u64::MAX),
        };
        if plans.first.is_some_and(|first| first <= at_best) {
            return;
        }
        let shares = [share; MAX_NODES];
        let cost = self.slots.host_cost(&set.nodes, &shares[..set.nodes.len()], 0, |_| memory);
        let millionths = if options.packing_weight == 0 { 0 } else { cost.millionths() };
        // Whether a core of which nobody has a part has room for all threads.
        let exact = threads == 1 || ceiling.pairs;
        let mut worst = i64::MAX;
        let kinds = ceiling.at_home(threads).iter();
        for kind in kinds.filter(|kind| kind.packages == set.packages) {
            let total = |score: Score| score.with_packing(options, millionths).total;
            if in_whole.is_none_or(|known| kind.l3 == known) {
                worst = worst.min(total(kind.span.worst));
            }
            // Cores in part may lie better than whole ones, cores with too few threads only worse.
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
                plans.push(plan, ceiling.highest);
            }
        }
        let known = whole && exact && (plans.sure + 1..i64::MAX).contains(&worst);
        if known && self.emulates && self.has_pages(set, memory) {
            plans.sure = worst;
        }
    }

    /// Whether pages of one size suffice for the VM on these nodes.
    fn has_pages(&self, set: &Set, memory: u64) -> bool {
        let Self { host, usage, request, .. } = self;
        let pages = |size: PageSize| {
            let needed = size.pages_in(Bytes(memory));
            let free = |at: &usize| usage.free_pages(host, host.nodes()[*at].id, size);
            let enough = |at: &usize| needed.is_some_and(|needed| free(at) >= needed);
            usage.unbound_pages(size) == 0 && set.nodes.iter().all(enough)
        };
        let mut sizes = host.nodes()[set.nodes[0]].pools.iter().map(|pool| pool.size);
        let wanted =
            |size: &PageSize| request.spec().page_size.is_none_or(|wanted| wanted == *size);
        sizes.any(|size| wanted(&size) && pages(size))
    }

    /// How so many whole cores of each node would lie; `None` where cores of two kinds differ.
    fn l3(&self, set: &Set, share: u64) -> Option<L3Use> {
        let derived = self.host.derived();
        let of_node = |at: &usize| {
            let facts = &derived.nodes[*at];
            let mut free: SmallVec<[u16; 16]> =
                self.room.groups[facts.groups.clone()].iter().copied().collect();
            free.sort_unstable_by(|a, b| b.cmp(a));
            let mut held = 0;
            let used = free
                .iter()
                .take_while(|cores| (held < share).then(|| held += u64::from(**cores)).is_some());
            l3_use(&facts.l3_sizes, usize::try_from(share).unwrap_or(usize::MAX), used.count())
        };
        (!derived.hybrid).then(|| set.nodes.iter().map(of_node).max()).flatten()
    }
}
