//! The packing cost: what a placement takes from the VMs that could still come.
//!
//! **Takes** what is free on each node, the GPUs that each tenant holds, the shape of the VMs that
//! are usually sold (`Options::gpu_share`, `Options::slot_weights`), and a placement as counts.
//! **Gives** a `HostCost`: counts and prices in thousandths of GPUs, and from these one number, in
//! millionths. The search uses it as a tie-break, or in the score if `packing_weight` is above 0;
//! the fleet orders hosts by it. It is computed for every candidate that could still win, so it is
//! a few shifts and masks per node. `capacity` counts exactly, and is far more expensive.
//!
//! # Slots
//! A *slot* is room for one VM of 1, 2, 4 or 8 GPUs with their share of cores and memory, inside
//! one part of the host. The part for a size is the smallest kind that can hold it on this host,
//! empty: below a switch, else on a node, else in a package, else on the whole host; always a node
//! for size 1. GPUs inside a processor do not count.
//!
//! The *share* of a GPU is the caller's, or 7/8 of what each GPU can have on its own node: the
//! minimum over nodes with GPUs of cores / GPUs, and of memory / GPUs (hugepage pools if the node
//! has any, all of its memory otherwise). Seven eighths is ours: VMs with GPUs are seldom sold with
//! all of it. On each node it is no more than what each GPU could have there if the tenants with
//! GPUs were gone: whatever the share, every slot is there once these leave. Without this limit a
//! share that an empty host cannot give would make it free of charge to break that host.
//!
//! A node *serves* min(free GPUs, free whole cores / share, free bytes / share) GPUs. Free bytes
//! are those in pages of any size that this request could use. Slots are counted from served GPUs:
//! - node: served / size, rounded down;
//! - switch: the same, but no more than the sum over the node's switches of free GPUs / size;
//! - package and host: served GPUs of all its nodes / size.
//!
//! So taking cores or memory on a node with GPUs can end slots without taking a GPU.
//!
//! # The three parts of the cost
//! 1. **Loss.** Every slot that ends, at its weight. A slot weighs what the caller says, by default
//!    as many thousandths as it has GPUs: 1000, 2000, 4000, 8000. Sizes are counted independently,
//!    so one GPU may end a slot of every size. If the caller says which VMs are asked for
//!    (`Options::gpu_mix`), a size weighs less on a host that could not hold some of these even
//!    without tenants that have GPUs (see `gpu_mix`): such hosts are filled first.
//! 2. **Delay.** A *place* is the part of the host that a slot of 2 or more GPUs would be in, free
//!    or not: a switch, a node, a package or the host. If tenants hold GPUs of a place, its slot
//!    comes back when they leave, and a VM that takes a GPU there puts that off. Each such place
//!    costs the slot's weight, halved for each tenant that holds a GPU of it, five times at most:
//!    each tenant is as likely as not to be gone when a VM of that size comes. The rule and its end
//!    at five are ours, chosen on 30 random traces of 16 and 24 hosts.
//! 3. **Cores.** The free whole cores that the placement takes. Floating vCPUs take none.
//!
//! `price` is loss plus delay. `unavoidable` is the lowest price that any of the GPU sets tried
//! would have, with no cores and no memory taken. On one host, a VM that asks for a GPU must end
//! something, and only what it ends beyond the unavoidable tells placements apart:
//!
//! ```text
//! cost = cores taken / free whole cores + (price - unavoidable) / all slots of the empty host
//! ```
//!
//! in millionths, where *all slots* is the sum over sizes up to the number of GPUs of GPUs x weight
//! / size. Between hosts the unavoidable is not left out: what is unavoidable on one may be free of
//! charge on another.
//!
//! # Example
//! Two nodes of 24 cores, 480 GiB of hugepages and 4 GPUs each, no two GPUs on one switch, and two
//! nodes without GPUs. A share is 5 cores (7/8 of 24 / 4 = 6, rounded down) and 105 GiB (7/8 of 480
//! / 4 = 120). Slots of 2 and 4 GPUs are on a node, slots of 8 on the host. All slots of the empty
//! host: 8 x 1000 + 4 x 2000 + 2 x 4000 + 1 x 8000 = 32,000.
//! - Empty host, a VM with 1 GPU and 4 cores: slots go from 8, 4, 2, 1 to 7, 3, 1, 0. The loss is
//!   1000 + 2000 + 4000 + 8000 = 15,000. No GPU would cost less, so all of it is unavoidable.
//! - One tenant holds 2 GPUs of the second node; the slots are 6, 3, 1, 0. A GPU of the second node
//!   ends a 1-slot and a 2-slot (3000) and delays the node's 2- and 4-slots and the host's 8-slot
//!   (1000 + 2000 + 4000): price 10,000. A GPU of the first node ends a 1-, a 2- and a 4-slot
//!   (7000) and delays the 8-slot (4000): price 11,000. The VM joins the tenant; 10,000 is
//!   unavoidable.
//!
//! # In the score
//! `packing = -(millionths x packing_weight / 1000)`. At the default weight 0 the cost decides only
//! between candidates that are equal in score, number of nodes, threads, expander buses and spread;
//! at 1000, taking everything that is free costs as much as losing a factor e of performance. It is
//! never positive, which lets the search drop candidates before counting it.
//!
//! # Invariants
//! - A place held by no tenant has no delay; its slots are free and end as loss. A place held in
//!   part may cost both: the free slots that end in it, and its delay.
//! - Sums saturate at 64 bits instead of wrapping. A negative difference to the unavoidable counts
//!   as 0.
//! - The slots before are counted once per request; the slots after only for nodes that the
//!   placement touches.
//!
//! # Known limitations
//! - VMs without GPUs are seen as the share of cores alone; no slot is counted for them, and none
//!   for memory on nodes without GPUs. Accepted, because GPUs are what runs out first on hosts that
//!   have them.
//! - Each place is delayed once, however many slots it would hold: a node of 4 GPUs without
//!   switches is one place for slots of 2. Tenants that hold only cores or memory of a place do not
//!   delay it.
//! - Slots of one size are counted as if nothing of another size were placed, so weights add up
//!   what no sequence of VMs could have together. Only differences between placements are meant.
//! - Nodes that lie in several packages or in none count together as one package.

use smallvec::SmallVec;

use crate::engine::gpu_mix::{Expected, SlotWeights};
use crate::host::Host;
use crate::host::gpu_places::{GpuNode, GpuPlaces, Part, Share};
use crate::host::mask::GpuMask;

pub use crate::host::gpu_places::SLOT_SIZES;

/// Slots by size, in the order of [`SLOT_SIZES`].
pub type SlotCounts = [u64; SLOT_SIZES.len()];

/// What is free on a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeRoom {
    pub(crate) gpus: u64,
    pub(crate) cores: u64,
    /// In pages that a VM could use; what 64 bits cannot count is as much as they can.
    pub(crate) bytes: u64,
}

impl NodeRoom {
    /// GPUs that have their share of cores and memory on the node.
    fn served(&self, share: &Share) -> u64 {
        if self.gpus == 0 {
            return 0;
        }
        // No division where there is enough for all, as most often.
        let of = |room: u64, share: u64| match share.checked_mul(self.gpus) {
            Some(all) if all <= room => self.gpus,
            _ => room.checked_div(share).unwrap_or(self.gpus),
        };
        of(self.cores, share.cores).min(of(self.bytes, share.bytes)).min(self.gpus)
    }
}

/// What is free for slots.
#[derive(Debug, Clone)]
pub(crate) struct Slots<'h> {
    places: &'h GpuPlaces,
    nodes: Vec<NodeRoom>,
    /// By node with GPUs: the share there, how many GPUs are served, and the slots below the node.
    served: Vec<(Share, u64, SlotCounts)>,
    /// By package: GPUs that are served.
    in_package: SmallVec<[u64; 8]>,
    free: GpuMask,
    weights: SlotWeights,
    free_cores: u64,
    before: SlotCounts,
    /// As [`HostCost::unavoidable`].
    unavoidable: i64,
    /// Places that tenants hold a part of, and what putting one off costs.
    held: Vec<(GpuMask, i64)>,
}

/// What a placement costs the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct HostCost {
    /// Cores that it takes, and how many were free.
    pub cores: (u64, u64),
    /// The host's GPUs, free or not.
    pub gpus: u64,
    /// Slots that come back later because of it, in thousandths of GPUs: a slot's weight, halved
    /// for every tenant that is repeated.
    pub delayed: i64,
    /// The least that any choice of the VM's GPUs would come to, of the choices that were tried, in
    /// thousandths of GPUs: slots that end and that come back later.
    pub unavoidable: i64,
    /// What a slot of each size counts, in thousandths of GPUs.
    pub weights: SlotWeights,
    /// Slots before, by size.
    pub slots_before: SlotCounts,
    /// Slots after.
    pub slots_after: SlotCounts,
}

impl HostCost {
    /// What other VMs lose, in thousandths of GPUs: the slots that end, each by its weight.
    #[must_use]
    pub fn loss(&self) -> i64 {
        let ended = self.slots_before.iter().zip(&self.slots_after).zip(self.weights);
        let lost = ended
            .map(|((before, after), weight)| before.saturating_sub(*after) * u64::from(weight));
        i64::try_from(lost.sum::<u64>()).unwrap_or(i64::MAX)
    }

    /// What other VMs lose and wait for, in thousandths of GPUs.
    #[must_use]
    pub fn price(&self) -> i64 {
        self.loss().saturating_add(self.delayed)
    }

    /// In millionths of what there is: the share of the free cores, and what other VMs lose and
    /// wait for beyond the unavoidable, against all slots of the empty host.
    #[must_use]
    pub fn millionths(&self) -> i64 {
        self.share(self.price().saturating_sub(self.unavoidable))
    }

    /// The same with the unavoidable: what a VM cannot avoid on one host it may on another.
    pub(crate) fn millionths_in_all(&self) -> i64 {
        self.share(self.price())
    }

    fn share(&self, price: i64) -> i64 {
        let part = |taken: u64, of: u64| {
            let of = of.max(1);
            let share = match taken.checked_mul(1_000_000) {
                Some(product) => u128::from(product / of),
                None => u128::from(taken) * 1_000_000 / u128::from(of),
            };
            i64::try_from(share).unwrap_or(i64::MAX)
        };
        let of_size = |(size, weight): (u64, u32)| {
            if size <= self.gpus { self.gpus * u64::from(weight) / size } else { 0 }
        };
        let all: u64 = SLOT_SIZES.into_iter().zip(self.weights).map(of_size).sum();
        let price = u64::try_from(price).unwrap_or(0);
        part(self.cores.0, self.cores.1) + part(price, all)
    }
}

impl<'h> Slots<'h> {
    /// `room` says what is free on a node by its position, `held` has the GPUs of each tenant.
    /// `without` gives the room of each node with GPUs once the tenants with GPUs are gone, or
    /// nothing if there are none; it is called only if it could change a share or a weight.
    pub(crate) fn new(
        host: &'h Host,
        room: impl Fn(usize) -> NodeRoom,
        free: GpuMask,
        held: &[GpuMask],
        expected: Expected<'_>,
        without: impl FnOnce() -> SmallVec<[Share; 8]>,
    ) -> Self {
        let places = &host.derived().gpu_places;
        let share = expected.share(places.share);
        let nodes: Vec<NodeRoom> = (0..host.nodes().len()).map(room).collect();
        // Where what is free is a share for every GPU, the tenants with GPUs do not matter.
        let short = |node: &GpuNode| {
            let all = |share: u64| share.saturating_mul(u64::from(node.gpus.len()));
            let NodeRoom { cores, bytes, .. } = nodes[node.at];
            cores < all(share.cores) || bytes < all(share.bytes)
        };
        let asks = !expected.mix.is_empty() || places.with_gpus.iter().any(short);
        let mut rooms = if asks { without() } else { SmallVec::new() };
        if asks && rooms.is_empty() {
            let room = |node: &GpuNode| {
                let NodeRoom { cores, bytes, .. } = nodes[node.at];
                Share { cores, bytes }
            };
            rooms = places.with_gpus.iter().map(room).collect();
        }
        let weights = expected.weights_on(places, &rooms);
        let later = places.places.iter().filter_map(|(size, gpus)| {
            // Each tenant is as likely as not to be gone when a VM of the slot's size comes, and
            // the sixth is no worse than the fifth: both chosen by us, on 30 random traces of 16
            // and 24 hosts. Free slots are counted as lost, not as put off.
            let tenants = held.iter().filter(|tenant| tenant.intersects(*gpus)).count();
            let weight = SLOT_SIZES.iter().position(|other| other == size).map(|at| weights[at]);
            let price = i64::from(weight.unwrap_or(0)) >> tenants.min(5);
            (tenants > 0).then_some((*gpus, price))
        });
        let mut slots = Self {
            served: Vec::with_capacity(places.with_gpus.len()),
            in_package: SmallVec::new(),
            free_cores: nodes.iter().map(|node| node.cores).sum(),
            held: later.collect(),
            before: SlotCounts::default(),
            unavoidable: 0,
            places,
            nodes,
            free,
            weights,
        };
        for (i, node) in places.with_gpus.iter().enumerate() {
            let gpus = u64::from(node.gpus.len()).max(1);
            let most = |room: &Share| Share {
                cores: share.cores.min(room.cores / gpus),
                bytes: share.bytes.min(room.bytes / gpus),
            };
            let share = rooms.get(i).map_or(share, most);
            let served = slots.nodes[node.at].served(&share);
            let below = slots.below(node, served, free);
            slots.served.push((share, served, below));
            let package = places.packages[node.at];
            slots.in_package.resize(slots.in_package.len().max(package + 1), 0);
            slots.in_package[package] += served;
            slots.before.iter_mut().zip(below).for_each(|(sum, slots)| *sum += slots);
        }
        let mut before = slots.before;
        slots.set_wide(&slots.in_package, &mut before);
        Self { before, ..slots }
    }

    /// For a VM that has one of these sets of GPUs.
    pub(crate) fn for_one_of(self, sets: impl Iterator<Item = GpuMask>) -> Self {
        let price = |gpus| self.host_cost(&[], &[], gpus, |_| 0).price();
        let unavoidable = sets.map(price).min().unwrap_or(0);
        Self { unavoidable, ..self }
    }

    /// The cost of a placement that takes these cores, none where `cores` is empty, and bytes from
    /// each of the nodes `at`, and these GPUs.
    pub(crate) fn host_cost(
        &self,
        at: &[usize],
        cores: &[u64],
        gpus: GpuMask,
        bytes: impl Fn(usize) -> u64,
    ) -> HostCost {
        HostCost {
            cores: (cores.iter().sum(), self.free_cores),
            gpus: self.places.gpus,
            delayed: self.delayed(gpus),
            unavoidable: self.unavoidable,
            weights: self.weights,
            slots_before: self.before,
            slots_after: self.after(at, cores, gpus, bytes),
        }
    }

    fn after(
        &self,
        at: &[usize],
        cores: &[u64],
        gpus: GpuMask,
        bytes: impl Fn(usize) -> u64,
    ) -> SlotCounts {
        let free = self.free - gpus;
        let mut counts = self.before;
        let mut in_package = None;
        for (node, (share, served, below)) in self.places.with_gpus.iter().zip(&self.served) {
            let taken = node.gpus & gpus;
            let i = at.iter().position(|at| *at == node.at);
            // A node without a served GPU has no slot to lose.
            if *served == 0 || (taken.is_empty() && i.is_none()) {
                continue;
            }
            let mut room = self.nodes[node.at];
            room.gpus = room.gpus.saturating_sub(u64::from(taken.len()));
            if let Some(i) = i {
                room.bytes = room.bytes.saturating_sub(bytes(i));
                room.cores = room.cores.saturating_sub(cores.get(i).copied().unwrap_or(0));
            }
            let left = room.served(share);
            if left == *served && taken.is_empty() {
                continue;
            }
            let after = self.below(node, left, free);
            for ((count, before), after) in counts.iter_mut().zip(below).zip(after) {
                *count = *count + after - before;
            }
            in_package.get_or_insert_with(|| self.in_package.clone())
                [self.places.packages[node.at]] -= served - left;
        }
        if let Some(in_package) = in_package {
            self.set_wide(&in_package, &mut counts);
        }
        counts
    }

    /// What a VM on these GPUs puts off, in thousandths of GPUs.
    fn delayed(&self, gpus: GpuMask) -> i64 {
        let later = self.held.iter().filter(|(place, _)| place.intersects(gpus));
        later.fold(0_i64, |sum, (_, price)| sum.saturating_add(*price))
    }

    /// The slots of one node for the sizes that fit below a switch or on a node; the node serves
    /// `served` GPUs.
    fn below(&self, node: &GpuNode, served: u64, free: GpuMask) -> SlotCounts {
        let mut counts = SlotCounts::default();
        for ((count, size), part) in counts.iter_mut().zip(SLOT_SIZES).zip(self.places.parts) {
            let most = whole(served, size);
            *count = match part {
                Part::Switch => {
                    let switches = &self.places.switches[node.switches.clone()];
                    let free = |(_, gpus): &(usize, GpuMask)| u64::from((*gpus & free).len());
                    most.min(switches.iter().map(|switch| whole(free(switch), size)).sum())
                }
                Part::Node => most,
                Part::Package | Part::Host => 0,
            };
        }
        counts
    }

    /// Sets the slots for the sizes that need a package or the whole host; `in_package` has the
    /// GPUs that each package serves.
    fn set_wide(&self, in_package: &[u64], counts: &mut SlotCounts) {
        for ((count, size), part) in counts.iter_mut().zip(SLOT_SIZES).zip(self.places.parts) {
            match part {
                Part::Switch | Part::Node => {}
                Part::Package => *count = in_package.iter().map(|gpus| whole(*gpus, size)).sum(),
                Part::Host => *count = whole(in_package.iter().sum(), size),
            }
        }
    }
}

/// The number of slots of a size, a power of two, that this number of GPUs makes.
fn whole(gpus: u64, size: u64) -> u64 {
    gpus >> size.trailing_zeros()
}
