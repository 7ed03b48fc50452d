//! What a placement takes from the VMs that could still come.
//!
//! A slot is room for a VM of 1, 2, 4 or 8 GPUs with their share of cores and memory, in the smallest
//! part of the host that has so many GPUs: below a switch, on a node, in a package, or on the host.
//! The cost of a placement is the share of the free cores that it takes, the slots that it ends, and
//! those that it puts off: a slot whose GPUs tenants hold comes back when they are gone, the later the
//! more they are.

use smallvec::SmallVec;

use crate::host::Host;
use crate::host::derived::GpuMask;
use crate::host::gpu_places::{GpuNode, GpuPlaces, Part, Share};
use crate::units::Bytes;

pub use crate::host::gpu_places::SLOT_SIZES;

/// Slots by size, in the order of [`SLOT_SIZES`].
pub type SlotCounts = [u64; SLOT_SIZES.len()];

/// What a slot counts, by size, in thousandths of GPUs.
pub type SlotWeights = [u32; SLOT_SIZES.len()];

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

/// What the VMs that are usually asked for have for each of their GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GpuShare {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory: Bytes,
}

/// What is free for slots.
#[derive(Debug, Clone)]
pub(crate) struct Slots<'h> {
    places: &'h GpuPlaces,
    nodes: Vec<NodeRoom>,
    /// By node with GPUs: how many of them are served, and the slots below it.
    served: Vec<(u64, SlotCounts)>,
    /// By package: GPUs that are served.
    in_package: SmallVec<[u64; 8]>,
    free: GpuMask,
    share: Share,
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
pub struct HostCost {
    /// Cores that it takes, and how many were free.
    pub cores: (u64, u64),
    /// The host's GPUs, free or not.
    pub gpus: u64,
    /// Slots that come back later because of it, in thousandths of GPUs: a slot's weight, halved for
    /// every tenant that is there already.
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

    /// In millionths of what there is: the share of the free cores, and what other VMs lose and wait
    /// for beyond the unavoidable, against all slots of the empty host.
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
    /// `room` says what is free on a node by its position, `held` has the GPUs of each tenant; `named`
    /// is the share that the caller's VMs have, where it is known.
    pub(crate) fn new(
        host: &'h Host,
        room: impl Fn(usize) -> NodeRoom,
        free: GpuMask,
        held: &[GpuMask],
        named: Option<GpuShare>,
        weights: SlotWeights,
    ) -> Self {
        let places = &host.derived().gpu_places;
        let named =
            named.map(|share| Share { cores: u64::from(share.cores), bytes: share.memory.0 });
        let share = named.unwrap_or(places.share);
        let nodes: Vec<NodeRoom> = (0..host.nodes().len()).map(room).collect();
        let later = places.places.iter().filter_map(|(size, gpus)| {
            // Each tenant is as likely as not to be gone when a VM of the slot's size comes, and the
            // sixth is no worse than the fifth: both chosen by us, on 30 random traces of 16 and 24
            // hosts. Free slots are counted as lost, not as put off.
            let tenants = held.iter().filter(|tenant| **tenant & gpus != 0).count();
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
            share,
            weights,
        };
        for node in &places.with_gpus {
            let served = slots.nodes[node.at].served(&share);
            let below = slots.below(node, served, free);
            slots.served.push((served, below));
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

    /// What a placement costs that takes so many cores, none where `cores` is empty, and bytes from each
    /// of the nodes `at`, and these GPUs.
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
        let free = self.free & !gpus;
        let mut counts = self.before;
        let mut in_package = None;
        for (node, (served, below)) in self.places.with_gpus.iter().zip(&self.served) {
            let taken = node.gpus & gpus;
            let i = at.iter().position(|at| *at == node.at);
            // A node without a served GPU has no slot to lose.
            if *served == 0 || (taken == 0 && i.is_none()) {
                continue;
            }
            let mut room = self.nodes[node.at];
            room.gpus = room.gpus.saturating_sub(u64::from(taken.count_ones()));
            if let Some(i) = i {
                room.bytes = room.bytes.saturating_sub(bytes(i));
                room.cores = room.cores.saturating_sub(cores.get(i).copied().unwrap_or(0));
            }
            let left = room.served(&self.share);
            if left == *served && taken == 0 {
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
        let later = self.held.iter().filter(|(place, _)| place & gpus != 0);
        later.fold(0_i64, |sum, (_, price)| sum.saturating_add(*price))
    }

    /// The slots of sizes that are kept below a switch or on a node, on a node that serves so many GPUs.
    fn below(&self, node: &GpuNode, served: u64, free: GpuMask) -> SlotCounts {
        let mut counts = SlotCounts::default();
        for ((count, size), part) in counts.iter_mut().zip(SLOT_SIZES).zip(self.places.parts) {
            let most = whole(served, size);
            *count = match part {
                Part::Switch => {
                    let switches = &self.places.switches[node.switches.clone()];
                    let free = |(_, gpus): &(usize, GpuMask)| u64::from((gpus & free).count_ones());
                    most.min(switches.iter().map(|switch| whole(free(switch), size)).sum())
                }
                Part::Node => most,
                Part::Package | Part::Host => 0,
            };
        }
        counts
    }

    /// Sets the slots of sizes that are kept in a package or on the host, where each package serves so
    /// many GPUs.
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

/// How many slots of a size, a power of two, so many GPUs are.
fn whole(gpus: u64, size: u64) -> u64 {
    gpus >> size.trailing_zeros()
}
