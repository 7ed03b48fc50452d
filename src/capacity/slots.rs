//! What a placement takes from the VMs that could still come.
//!
//! A slot is room for a VM of 1, 2, 4 or 8 GPUs with their share of cores and memory, in the smallest
//! part of the host that has so many GPUs: below a switch, on a node, in a package, or on the host.
//! The cost of a placement is the share of the free cores that it takes, the slots that it ends, and
//! those that it puts off: a slot whose GPUs tenants hold comes back when they are gone, the later the
//! more they are.

use crate::host::Host;
use crate::host::builder::MAX_NODES;
use crate::host::derived::GpuMask;
use crate::host::gpu_places::{GpuPlaces, Part, Share};
use crate::units::Bytes;

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
    /// By node: GPUs that are served.
    served: Vec<u64>,
    free: GpuMask,
    share: Share,
    free_cores: u64,
    before: SlotCounts,
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
    /// Slots that come back later because of it, in thousandths of GPUs: a slot's size, halved for
    /// every tenant that is there already.
    pub delayed: i64,
    /// Slots before, by size.
    pub slots_before: SlotCounts,
    /// Slots after.
    pub slots_after: SlotCounts,
}

impl HostCost {
    /// What other VMs lose, in GPUs: the slots that end, each by its size.
    #[must_use]
    pub fn loss(&self) -> i64 {
        let ended = self.slots_before.iter().zip(&self.slots_after).zip(SLOT_SIZES);
        let lost = ended.map(|((before, after), size)| before.saturating_sub(*after) * size);
        i64::try_from(lost.sum::<u64>()).unwrap_or(i64::MAX)
    }

    /// What other VMs lose and wait for, in thousandths of GPUs.
    #[must_use]
    pub fn price(&self) -> i64 {
        self.loss().saturating_mul(1000).saturating_add(self.delayed)
    }

    /// In millionths of what there is: the share of the free cores, and what other VMs lose and wait
    /// for against all slots of the empty host.
    #[must_use]
    pub fn millionths(&self) -> i64 {
        let part = |taken: u64, of: u64| {
            let of = of.max(1);
            let share = match taken.checked_mul(1_000_000) {
                Some(product) => u128::from(product / of),
                None => u128::from(taken) * 1_000_000 / u128::from(of),
            };
            i64::try_from(share).unwrap_or(i64::MAX)
        };
        let sizes = SLOT_SIZES.iter().filter(|size| **size <= self.gpus).count() as u64;
        let price = u64::try_from(self.price()).unwrap_or(0);
        part(self.cores.0, self.cores.1) + part(price, self.gpus * sizes * 1000)
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
            let price = (size * 1000) >> tenants.min(5);
            (tenants > 0).then(|| (*gpus, i64::try_from(price).unwrap_or(i64::MAX)))
        });
        let mut slots = Self {
            served: nodes.iter().map(|node| node.served(&share)).collect(),
            free_cores: nodes.iter().map(|node| node.cores).sum(),
            held: later.collect(),
            before: SlotCounts::default(),
            places,
            nodes,
            free,
            share,
        };
        slots.before = slots.count(&slots.served, free);
        slots
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
        let mut served = [0; MAX_NODES];
        served[..self.served.len()].copy_from_slice(&self.served);
        let mut changed = false;
        for &(node, on_node) in &self.places.with_gpus {
            // A node without a served GPU has no slot to lose.
            let (before, taken) = (served[node], on_node & gpus);
            let i = at.iter().position(|at| *at == node);
            if before == 0 || (taken == 0 && i.is_none()) {
                continue;
            }
            let mut room = self.nodes[node];
            room.gpus = room.gpus.saturating_sub(u64::from(taken.count_ones()));
            if let Some(i) = i {
                room.bytes = room.bytes.saturating_sub(bytes(i));
                room.cores = room.cores.saturating_sub(cores.get(i).copied().unwrap_or(0));
            }
            served[node] = room.served(&self.share);
            changed |= served[node] != before;
        }
        if changed || self.free & gpus != 0 {
            self.count(&served, self.free & !gpus)
        } else {
            self.before
        }
    }

    /// What a VM on these GPUs puts off, in thousandths of GPUs.
    fn delayed(&self, gpus: GpuMask) -> i64 {
        let later = self.held.iter().filter(|(place, _)| place & gpus != 0);
        later.fold(0_i64, |sum, (_, price)| sum.saturating_add(*price))
    }

    /// Slots by size, where so many GPUs are served on each node.
    fn count(&self, served: &[u64], free: GpuMask) -> SlotCounts {
        let GpuPlaces { packages: package, with_gpus, switches, parts, .. } = self.places;
        let on_nodes = || with_gpus.iter().map(|(node, _)| *node);
        let mut counts = SlotCounts::default();
        for ((count, size), part) in counts.iter_mut().zip(SLOT_SIZES).zip(*parts) {
            // Sizes are powers of two.
            let whole = |gpus: u64| gpus >> size.trailing_zeros();
            *count = match part {
                Part::Switch => {
                    let of_switch =
                        |s: &(usize, GpuMask)| whole(u64::from((s.1 & free).count_ones()));
                    let of_node = |switches: &[(usize, GpuMask)]| {
                        let most = whole(served[switches[0].0]);
                        most.min(switches.iter().map(of_switch).sum())
                    };
                    switches.chunk_by(|a, b| a.0 == b.0).map(of_node).sum()
                }
                Part::Node => on_nodes().map(|at| whole(served[at])).sum(),
                Part::Package => {
                    let mut in_package = [0; MAX_NODES + 1];
                    let mut last = 0;
                    for at in on_nodes() {
                        in_package[package[at]] += served[at];
                        last = last.max(package[at]);
                    }
                    in_package[..=last].iter().map(|served| whole(*served)).sum()
                }
                Part::Host => whole(on_nodes().map(|at| served[at]).sum()),
            };
        }
        counts
    }
}
