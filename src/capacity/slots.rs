//! What a placement takes from the VMs that could still come.
//!
//! A slot is room for a VM of 1, 2, 4 or 8 GPUs with their share of cores and memory, on one node
//! where it fits on one, else inside one package, else on the host. The cost of a placement is the
//! share of the free cores that it takes, and the share of the slots that it ends.

use crate::host::Host;
use crate::host::builder::MAX_NODES;
use crate::sets::bits;
use crate::units::PciAddr;

/// The sizes of the slots that are counted. Chosen by us: what HGX boards and clouds offer.
pub const SLOT_SIZES: [u64; 4] = [1, 2, 4, 8];

/// Slots by size, in the order of [`SLOT_SIZES`].
pub type SlotCounts = [u64; SLOT_SIZES.len()];

/// What is free on a node.
#[derive(Debug, Clone, Copy)]
struct NodeRoom {
    gpus: u64,
    cores: u64,
    bytes: u128,
}

impl NodeRoom {
    /// GPUs that have their share of cores and memory on the node.
    fn served(&self, share: &Share) -> u64 {
        if self.gpus == 0 {
            return 0;
        }
        let by_cores = self.cores.checked_div(share.cores).unwrap_or(u64::MAX);
        let by_bytes = self.bytes.checked_div(share.bytes).unwrap_or(u128::MAX);
        self.gpus.min(by_cores).min(u64::try_from(by_bytes).unwrap_or(u64::MAX))
    }
}

/// A GPU's share of its host: what the whole host has, divided by its GPUs.
#[derive(Debug, Clone, Copy)]
struct Share {
    cores: u64,
    bytes: u128,
}

/// What is free for slots.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    nodes: Vec<NodeRoom>,
    /// By node: GPUs that are served, and the package's number.
    served: Vec<(u64, usize)>,
    share: Share,
    free_cores: u64,
    before: SlotCounts,
}

/// What a placement costs the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HostCost {
    /// Cores that it takes, and how many were free.
    pub cores: (u64, u64),
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

    /// In millionths of what is free: the share of the cores, and the mean share of the slots of each
    /// size that there were.
    #[must_use]
    pub fn millionths(&self) -> i64 {
        let part = |taken: u64, of: u64| {
            let share = u128::from(taken) * 1_000_000 / u128::from(of.max(1));
            i64::try_from(share).unwrap_or(i64::MAX)
        };
        let counted = self.slots_before.iter().zip(&self.slots_after).filter(|(b, _)| **b > 0);
        let lost = counted.map(|(before, after)| part(before.saturating_sub(*after), *before));
        let (sum, sizes) = lost.fold((0, 0), |(sum, sizes), lost| (sum + lost, sizes + 1));
        part(self.cores.0, self.cores.1) + sum / sizes.max(1)
    }
}

impl Slots {
    /// By node: free cores, and free memory in bytes in pages that the request could use.
    pub(crate) fn new(host: &Host, cores: &[u64], bytes: &[u128], free_gpus: &[PciAddr]) -> Self {
        let gpus_on = |at: usize| {
            let node = host.nodes()[at].id;
            let here = |gpu: &&PciAddr| host.gpu(**gpu).is_some_and(|gpu| gpu.node == Some(node));
            free_gpus.iter().filter(here).count() as u64
        };
        let nodes: Vec<NodeRoom> = (0..host.nodes().len())
            .map(|at| NodeRoom { gpus: gpus_on(at), cores: cores[at], bytes: bytes[at] })
            .collect();
        let gpus = host.gpus().iter().filter(|gpu| !gpu.integrated).count().max(1) as u64;
        // Half of an even share: GPUs often crowd on some nodes, and their node's cores are what a VM
        // wants, not all that the host has.
        let share = Share {
            cores: host.cores().len() as u64 / gpus / 2,
            bytes: host.nodes().iter().map(|n| u128::from(n.memory.0)).sum::<u128>()
                / u128::from(gpus)
                / 2,
        };
        let free_cores = nodes.iter().map(|node| node.cores).sum();
        let package = |at: usize| {
            let package = host.nodes()[at].package;
            let of = |package| host.packages().binary_search(&package).ok();
            // Nodes in no single package are a package of their own, the last.
            package.and_then(of).unwrap_or(host.packages().len())
        };
        let served: Vec<(u64, usize)> =
            nodes.iter().enumerate().map(|(at, node)| (node.served(&share), package(at))).collect();
        let before = count_slots(&served);
        Self { nodes, served, share, free_cores, before }
    }

    /// What a placement costs that takes so many cores and bytes from each of the nodes `at`.
    pub(crate) fn host_cost(
        &self,
        at: &[usize],
        cores: &[u64],
        gpu_nodes: impl Iterator<Item = usize>,
        bytes: impl Fn(usize) -> u128,
    ) -> HostCost {
        let mut served = self.served.clone();
        let mut gpus: [u64; MAX_NODES] = [0; MAX_NODES];
        let mut touched: u64 = 0;
        for at in gpu_nodes {
            gpus[at] += 1;
            touched |= 1 << at;
        }
        touched |= at.iter().fold(0, |mask, at| mask | (1 << at));
        for node in bits(touched) {
            let mut room = self.nodes[node];
            room.gpus = room.gpus.saturating_sub(gpus[node]);
            if let Some(i) = at.iter().position(|at| *at == node) {
                room.bytes = room.bytes.saturating_sub(bytes(i));
                room.cores = room.cores.saturating_sub(cores[i]);
            }
            served[node].0 = room.served(&self.share);
        }
        HostCost {
            cores: (cores.iter().sum(), self.free_cores),
            slots_before: self.before,
            slots_after: count_slots(&served),
        }
    }
}

/// Slots by size, of nodes given as GPUs served and package number.
fn count_slots(nodes: &[(u64, usize)]) -> SlotCounts {
    let mut packages: [u64; MAX_NODES + 1] = [0; MAX_NODES + 1];
    let mut on_nodes: SlotCounts = Default::default();
    let (mut all, mut last) = (0, 0);
    for (served, package) in nodes.iter().filter(|(served, _)| *served > 0) {
        // More packages than nodes there cannot be, as far as nodes have one.
        packages[(*package).min(MAX_NODES)] += served;
        last = last.max((*package).min(MAX_NODES));
        all += served;
        for (slots, size) in on_nodes.iter_mut().zip(SLOT_SIZES) {
            *slots += served / size;
        }
    }
    let mut counts = on_nodes;
    for (slots, size) in counts.iter_mut().zip(SLOT_SIZES).filter(|(slots, _)| **slots == 0) {
        *slots = packages[..=last].iter().map(|served| served / size).sum();
        if *slots == 0 {
            *slots = all / size;
        }
    }
    counts
}
