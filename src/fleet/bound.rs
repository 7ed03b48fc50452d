//! How a host stands among others: what a search found there, or the best that counts allow.

use std::cmp::Reverse;
use std::ops::Deref;

use super::ceiling::UpperBound;
use super::room::{Room, most_nodes};
use super::{FleetHost, FleetOptions, HostOrder, Remaining, at_home};
use crate::engine::cost::{NodeRoom as SlotRoom, Slots};
use crate::engine::profile::{L3Use, Profile};
use crate::engine::recommend::First;
use crate::engine::score::Options;
use crate::host::Host;
use crate::host::derived::GpuMask;
use crate::host::spec::MAX_NODES;
use crate::request::{GpuRequest, Policy, Request};
use crate::sets::bits;

/// More ways to choose GPUs than this are not gone through: then they are taken to cost nothing.
const MAX_SETS: usize = 512;

/// What pieces of L3 domains cost, in thousandths of GPUs. Chosen by us: as much as a one-GPU slot.
pub(super) const PIECES_PRICE: i64 = 1000;

/// How a host is ordered, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostKey {
    /// Preferences that are not met.
    pub(super) unmet: usize,
    pub(super) packages: u32,
    /// Whether the GPUs of a VM are below several switches.
    pub(super) apart: bool,
    pub(super) price: i64,
    pub(super) score: Reverse<i64>,
    pub(super) left: Order,
    pub(super) host: usize,
}

/// What is left on a host, in the order that its bin wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    Least(Remaining),
    Most(Reverse<Remaining>),
}

impl Order {
    pub(super) fn left(self) -> Remaining {
        match self {
            Self::Least(left) | Self::Most(Reverse(left)) => left,
        }
    }
}

impl HostKey {
    /// Of the placement that a search found.
    pub(super) fn found(
        room: &Room,
        host: usize,
        first: &First,
        unmet: usize,
        options: &FleetOptions,
    ) -> Self {
        let Profile { packages, gpus, same_switch, l3, .. } = first.profile;
        let pieces = if l3 == L3Use::Pieces { PIECES_PRICE } else { 0 };
        let (free_gpus, free_pcpus) = room.free();
        let dedicated = first.placement.claim().dedicated.len() as u64;
        let left = Remaining {
            gpus: free_gpus.saturating_sub(first.placement.gpus().count() as u64),
            pcpus: free_pcpus.saturating_sub(dedicated),
        };
        let in_all = first.score.with_packing(&options.engine, first.cost.millionths_in_all());
        let score = Reverse(in_all.total);
        let price = first.cost.price() + pieces;
        let left = match options.bin {
            HostOrder::Spread => Order::Most(Reverse(left)),
            _ => Order::Least(left),
        };
        Self { unmet, packages, apart: gpus > 1 && !same_switch, price, left, score, host }
            .in_bin(options.bin)
    }

    /// The best that there could be: no placement on this host stands before it.
    pub(super) fn at_best<H: Deref<Target = Host>>(
        member: &FleetHost<H>,
        at: usize,
        request: &Request,
        options: &FleetOptions,
        ceiling: Option<&UpperBound>,
    ) -> Self {
        let FleetHost { host, room, .. } = member;
        let FleetOptions { engine, bin, .. } = options;
        let counted = match (bin, ceiling) {
            (HostOrder::BestFit, Some(ceiling)) => at_home::best(member, request, engine, ceiling),
            (HostOrder::BestFit, None) => {
                let (packages, apart, price) = cheapest(member, request, engine);
                Some(Counted { packages, apart, price, ..Counted::nothing(host, request) })
            }
            _ => Some(Counted::nothing(host, request)),
        };
        // Where nothing can be, the search says why, after all others.
        let never = || Counted { unmet: usize::MAX, ..Counted::nothing(host, request) };
        let Counted { unmet, packages, apart, price, score, pcpus } = counted.unwrap_or_else(never);
        let (free_gpus, free_pcpus) = room.free();
        let left = |pcpus: u64| Remaining {
            gpus: free_gpus.saturating_sub(request.spec().gpus.count() as u64),
            pcpus: free_pcpus.saturating_sub(pcpus),
        };
        let dedicated = request.spec().policies.dedicated_cpus == Policy::Require;
        let left = match bin {
            HostOrder::Spread => Order::Most(Reverse(left(if dedicated {
                u64::from(request.spec().vcpus)
            } else {
                0
            }))),
            _ => Order::Least(left(pcpus.0)),
        };
        Self { unmet, packages, apart, price, score, left, host: at }.in_bin(*bin)
    }

    /// Without what the bin does not ask about.
    fn in_bin(self, bin: HostOrder) -> Self {
        match bin {
            HostOrder::BestFit | HostOrder::FirstFit => self,
            HostOrder::Spread => {
                Self { packages: 0, apart: false, price: 0, score: Reverse(0), ..self }
            }
        }
    }
}

/// The best that counts allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counted {
    pub(super) unmet: usize,
    pub(super) packages: u32,
    pub(super) apart: bool,
    pub(super) price: i64,
    pub(super) score: Reverse<i64>,
    /// The most pCPUs that it takes.
    pub(super) pcpus: Reverse<u64>,
}

impl Counted {
    /// Where nothing is counted.
    fn nothing(host: &Host, request: &Request) -> Self {
        let pcpus = Reverse(most_pcpus(host, request, u64::from(request.spec().vcpus)));
        let score = Reverse(i64::MAX);
        Self { unmet: 0, packages: 1, apart: false, price: 0, score, pcpus }
    }
}

/// The most pCPUs that a VM on so many cores takes: with all siblings of these, and of those of the
/// emulator threads.
pub(super) fn most_pcpus(host: &Host, request: &Request, cores: u64) -> u64 {
    let own = cores + u64::from(request.spec().emulator_pcpus);
    own.saturating_mul(host.derived().widest_core as u64)
}

/// What is free for slots.
pub(super) fn slots<'h>(
    host: &'h Host,
    room: &Room,
    options: &Options,
    bytes: &[u64; MAX_NODES],
) -> Slots<'h> {
    let places = &host.derived().gpu_places;
    let of_node = |at: usize| SlotRoom {
        gpus: u64::from((places.on_node[at] & room.free).count_ones()),
        cores: u64::from(room.nodes[at].cores),
        bytes: bytes[at],
    };
    Slots::new(host, of_node, room.free, &room.held, options.gpu_share, options.slot_weights)
}

/// A lower bound of the packages, whether the GPUs are below several switches, and the price, together.
type Cheapest = (u32, bool, i64);

/// Over all sets of free GPUs that the VM could have: what it takes beside them only costs more.
fn cheapest<H: Deref<Target = Host>>(
    FleetHost { host, usage, room }: &FleetHost<H>,
    request: &Request,
    options: &Options,
) -> Cheapest {
    let derived = host.derived();
    let bytes = room.bytes(host, usage, request);
    let slots = slots(host, room, options, &bytes);
    let nodes = most_nodes(host, request);
    let local = request.spec().policies.gpu_locality == Policy::Require;
    let of_set = |gpus: GpuMask| -> Option<Cheapest> {
        let several = gpus.count_ones() > 1;
        let first = derived.gpus.get(gpus.trailing_zeros() as usize);
        let apart = several && first.is_some_and(|first| gpus & !first.on_switch != 0);
        let on = || bits(gpus).filter_map(|gpu| derived.gpus[gpu].node);
        let mask = on().fold(0_u64, |mask, node| mask | (1 << node));
        if local && mask.count_ones() as usize > nodes {
            return None;
        }
        let packages = bits(mask).fold(0, |all, at| all | derived.nodes[at].packages);
        let packages = if local { packages.count_ones().max(1) } else { 1 };
        let price = if nodes == 1 {
            // All of it on one node, which is the GPUs' where these must be local.
            let on_one = (0..host.nodes().len()).filter(|at| !local || mask & !(1 << at) == 0);
            on_one.filter_map(|at| on_node(room, &slots, request, at, gpus, bytes[at])).min()?
        } else {
            slots.host_cost(&[], &[], gpus, |_| 0).price()
        };
        Some((packages, apart, price))
    };
    let least = (1, false, 0);
    match &request.spec().gpus {
        GpuRequest::Addresses(addresses) => of_set(host.gpu_mask(addresses)).unwrap_or(least),
        GpuRequest::Count { model: Some(_), .. } => least,
        GpuRequest::Count { count, model: None } => {
            let mut best = None;
            let mut left = MAX_SETS;
            let classes = classes(host, room.free);
            let all = each_set(&classes, *count, 0, &mut |gpus| {
                best = of_set(gpus).into_iter().chain(best).min();
                left -= 1;
                left > 0
            });
            // Where no set would do, the search says why.
            if all { best.unwrap_or(least) } else { least }
        }
    }
}

/// The price of the VM on one node with these GPUs, if the node has room by count.
fn on_node(
    room: &Room,
    slots: &Slots<'_>,
    request: &Request,
    at: usize,
    gpus: GpuMask,
    bytes: u64,
) -> Option<i64> {
    let dedicated = request.spec().policies.dedicated_cpus == Policy::Require;
    let siblings =
        request.spec().smt.required() != Some(false) && request.spec().vcpus.is_multiple_of(2);
    let fewest = u64::from(if siblings { request.spec().vcpus / 2 } else { request.spec().vcpus });
    let short = bytes < request.spec().memory.0
        || dedicated && u64::from(room.nodes[at].pcpus) < u64::from(request.spec().vcpus);
    let cores: &[u64] = if dedicated { &[fewest] } else { &[] };
    let price = || slots.host_cost(&[at], cores, gpus, |_| request.spec().memory.0).price();
    (!short).then(price)
}

/// The free GPUs in classes that no price tells apart: of one node and one switch.
fn classes(host: &Host, free: GpuMask) -> Vec<GpuMask> {
    let facts = &host.derived().gpus;
    let mut classes = Vec::with_capacity(8);
    let mut rest = free;
    while rest != 0 {
        let first = rest.trailing_zeros() as usize;
        let gpu = &facts[first];
        let like =
            |at: &usize| (facts[*at].node, facts[*at].on_switch) == (gpu.node, gpu.on_switch);
        let class = bits(rest).filter(like).fold(0, |mask: GpuMask, at| mask | (1 << at));
        classes.push(class);
        rest &= !class;
    }
    classes
}

/// Calls `each` with a set of every way to take so many from the classes, until it says stop. Whether
/// it went through them all.
fn each_set(
    classes: &[GpuMask],
    count: u32,
    chosen: GpuMask,
    each: &mut impl FnMut(GpuMask) -> bool,
) -> bool {
    if count == 0 {
        return each(chosen);
    }
    let Some((class, rest)) = classes.split_first() else { return true };
    if classes.iter().map(|class| class.count_ones()).sum::<u32>() < count {
        return true;
    }
    (0..=class.count_ones().min(count)).rev().all(|taken| {
        let first = bits(*class).take(taken as usize).fold(0, |mask: GpuMask, at| mask | (1 << at));
        each_set(rest, count - taken, chosen | first, each)
    })
}
