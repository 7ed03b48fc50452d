//! The VMs with GPUs that are usually asked for, and the slots that a host could have for them.
//!
//! Example: of ten VMs of 8 GPUs in the mix, four have 8 cores for each GPU and six have 5. Tenants
//! without GPUs hold a quarter of a host with 8 cores for each GPU, so it could hold only those
//! six. A slot of 8 GPUs weighs (6 + 1) / (10 + 1) of its weight there. Where half of a fleet is
//! such hosts, small VMs go there, and the others stay free for the four.

use smallvec::SmallVec;

use crate::host::gpu_places::{GpuPlaces, Part, SLOT_SIZES, Share};
use crate::units::Bytes;

/// What a slot counts, by size, in thousandths of GPUs.
pub type SlotWeights = [u32; SLOT_SIZES.len()];

/// What the VMs that are usually asked for have for each of their GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GpuShare {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory: Bytes,
}

/// VMs with GPUs that are asked for, all of one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GpuShape {
    /// The number of GPUs of each VM.
    pub gpus: u32,
    /// The cores and memory for each GPU.
    pub share: GpuShare,
    /// The number of these VMs, in proportion to other shapes.
    pub count: u32,
}

/// What is known of the VMs with GPUs that may come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) share: Option<GpuShare>,
    pub(crate) weights: SlotWeights,
    pub(crate) mix: &'a [GpuShape],
}

impl Expected<'_> {
    /// The share of a GPU on a host; `host` is the host's own.
    pub(crate) fn share(&self, host: Share) -> Share {
        let named =
            |share: GpuShare| Share { cores: u64::from(share.cores), bytes: share.memory.0 };
        self.share.map_or(host, named)
    }

    /// The weights of slots on a host with these rooms, by node with GPUs: cores and bytes once
    /// the tenants with GPUs are gone. A size counts in proportion to the VMs of the mix that the
    /// host could then hold. One VM that fits is added, so that a few arrivals decide little.
    pub(crate) fn weights_on(&self, places: &GpuPlaces, rooms: &[Share]) -> SlotWeights {
        let mut weights = self.weights;
        if self.mix.is_empty() {
            return weights;
        }
        for ((size, part), weight) in SLOT_SIZES.into_iter().zip(places.parts).zip(&mut weights) {
            let is_size = |shape: &&GpuShape| slot_size(shape.gpus) == size;
            let (mut all, mut held) = (1_u64, 1_u64);
            for shape in self.mix.iter().filter(is_size) {
                let most = most_gpus(places, part, rooms, shape.share);
                all += u64::from(shape.count);
                held += if most >= u64::from(shape.gpus) { u64::from(shape.count) } else { 0 };
            }
            let share = u64::from(*weight).saturating_mul(held) / all;
            *weight = u32::try_from(share).unwrap_or(*weight);
        }
        weights
    }
}

/// The size of the slot for a VM with this number of GPUs; the largest for more than it has.
fn slot_size(gpus: u32) -> u64 {
    let fits = |size: &u64| *size >= u64::from(gpus);
    SLOT_SIZES.into_iter().find(fits).unwrap_or(SLOT_SIZES[SLOT_SIZES.len() - 1])
}

/// The largest number of GPUs, each with this share, that some part of the host has room for.
fn most_gpus(places: &GpuPlaces, part: Part, rooms: &[Share], share: GpuShare) -> u64 {
    let nodes = places.with_gpus.iter().zip(rooms).map(|(node, room)| {
        let gpus = u64::from(node.gpus.len());
        let cores = room.cores.checked_div(u64::from(share.cores)).unwrap_or(gpus);
        let bytes = room.bytes.checked_div(share.memory.0).unwrap_or(gpus);
        (places.packages[node.at], gpus.min(cores).min(bytes))
    });
    match part {
        Part::Switch | Part::Node => nodes.map(|(_, gpus)| gpus).max().unwrap_or(0),
        Part::Host => nodes.map(|(_, gpus)| gpus).sum(),
        Part::Package => {
            let mut sums: SmallVec<[u64; 8]> = SmallVec::new();
            for (package, gpus) in nodes {
                sums.resize(sums.len().max(package + 1), 0);
                sums[package] += gpus;
            }
            sums.into_iter().max().unwrap_or(0)
        }
    }
}
