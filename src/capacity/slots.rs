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
use crate::sets::bits;
use crate::units::Bytes;

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

/// What the VMs that are usually asked for have for each of their GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GpuShare {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory: Bytes,
}

#[derive(Debug, Clone, Copy)]
struct Share {
    cores: u64,
    bytes: u128,
}

/// The smallest part of a host that has the GPUs of a slot: what a VM of this size is best kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Switch,
    Node,
    Package,
    Host,
}

/// What is free for slots.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    nodes: Vec<NodeRoom>,
    /// By node: GPUs that are served, and the package's number.
    served: Vec<(u64, usize)>,
    /// By node: its GPUs by switch.
    switches: Vec<Vec<GpuMask>>,
    free: GpuMask,
    /// By size.
    parts: [Part; SLOT_SIZES.len()],
    share: Share,
    free_cores: u64,
    gpus: u64,
    before: SlotCounts,
    places: Vec<Place>,
}

/// The place of a slot of two GPUs or more, free or not.
#[derive(Debug, Clone, Copy)]
struct Place {
    gpus: GpuMask,
    size: u64,
    /// Tenants that hold some of its GPUs.
    tenants: u32,
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
            let share = u128::from(taken) * 1_000_000 / u128::from(of.max(1));
            i64::try_from(share).unwrap_or(i64::MAX)
        };
        let sizes = SLOT_SIZES.iter().filter(|size| **size <= self.gpus).count() as u64;
        let price = u64::try_from(self.price()).unwrap_or(0);
        part(self.cores.0, self.cores.1) + part(price, self.gpus * sizes * 1000)
    }
}

impl Slots {
    /// By node: free cores, and free memory in bytes in pages that the request could use. `held` has the
    /// GPUs of each tenant; `named` is the share that the caller's, knows, if it does.
    pub(crate) fn new(
        host: &Host,
        cores: &[u64],
        bytes: &[u128],
        free: GpuMask,
        held: &[GpuMask],
        named: Option<GpuShare>,
    ) -> Self {
        let derived = host.derived();
        let counted = |gpu: &usize| !host.gpus()[*gpu].integrated;
        let all: Vec<usize> = (0..host.gpus().len()).filter(counted).collect();
        let on = |at: usize| {
            let here = all.iter().filter(|gpu| derived.gpus[**gpu].node == Some(at));
            here.fold(0, |mask: GpuMask, gpu| mask | (1 << gpu))
        };
        let by_node: Vec<GpuMask> = (0..host.nodes().len()).map(on).collect();
        let room = |at: usize| NodeRoom {
            gpus: u64::from((by_node[at] & free).count_ones()),
            cores: cores[at],
            bytes: bytes[at],
        };
        let nodes: Vec<NodeRoom> = (0..host.nodes().len()).map(room).collect();
        let switches_of = |node: &GpuMask| {
            let mut switches: Vec<GpuMask> =
                bits(*node).map(|gpu| derived.gpus[gpu].on_switch & node).collect();
            switches.retain(|switch| *switch != 0);
            switches.sort_unstable();
            switches.dedup();
            switches
        };
        let switches: Vec<Vec<GpuMask>> = by_node.iter().map(switches_of).collect();
        let package = |at: usize| {
            let package = host.nodes()[at].package;
            let of = |package| host.packages().binary_search(&package).ok();
            // Nodes in no single package are a package of their own, the last.
            package.and_then(of).unwrap_or(host.packages().len())
        };
        let named = named.map(|share| Share {
            cores: u64::from(share.cores),
            bytes: u128::from(share.memory.0),
        });
        let share = named.unwrap_or_else(|| share(host, &by_node));
        let served: Vec<(u64, usize)> =
            nodes.iter().enumerate().map(|(at, node)| (node.served(&share), package(at))).collect();
        let most = |masks: &mut dyn Iterator<Item = GpuMask>| {
            u64::from(masks.map(GpuMask::count_ones).max().unwrap_or(0))
        };
        let mut in_packages = [0; MAX_NODES + 1];
        for (mask, (_, package)) in by_node.iter().zip(&served) {
            in_packages[(*package).min(MAX_NODES)] |= mask;
        }
        let on_switch = most(&mut switches.iter().flatten().copied());
        let on_node = most(&mut by_node.iter().copied());
        let in_package = most(&mut in_packages.into_iter());
        let parts = SLOT_SIZES.map(|size| match size {
            _ if size == 1 => Part::Node,
            _ if size <= on_switch => Part::Switch,
            _ if size <= on_node => Part::Node,
            _ if size <= in_package => Part::Package,
            _ => Part::Host,
        });
        let free_cores = nodes.iter().map(|node| node.cores).sum();
        let gpus = all.len() as u64;
        let before = Default::default();
        let places =
            SLOT_SIZES.into_iter().zip(parts).filter(|(size, _)| (2..=gpus).contains(size));
        let places = places.flat_map(|(size, part)| {
            let masks: Vec<GpuMask> = match part {
                Part::Switch => switches.iter().flatten().copied().collect(),
                Part::Node => by_node.clone(),
                Part::Package => in_packages.to_vec(),
                Part::Host => vec![by_node.iter().fold(0, |all, mask| all | mask)],
            };
            masks.into_iter().filter(|mask| *mask != 0).map(move |gpus| {
                let tenants = held.iter().filter(|tenant| **tenant & gpus != 0).count();
                Place { gpus, size, tenants: u32::try_from(tenants).unwrap_or(u32::MAX) }
            })
        });
        let places = places.collect();
        let mut slots =
            Self { nodes, served, switches, free, parts, share, free_cores, gpus, before, places };
        slots.before = slots.count(&slots.served, slots.free);
        slots
    }

    /// What a placement costs that takes so many cores, none where `cores` is empty, and bytes from each
    /// of the nodes `at`, and these GPUs; `gpu_nodes` has the node of each.
    pub(crate) fn host_cost(
        &self,
        at: &[usize],
        cores: &[u64],
        gpus: GpuMask,
        gpu_nodes: impl Iterator<Item = usize>,
        bytes: impl Fn(usize) -> u128,
    ) -> HostCost {
        let mut served = self.served.clone();
        let mut gpus_on: [u64; MAX_NODES] = [0; MAX_NODES];
        let mut touched: u64 = 0;
        for at in gpu_nodes {
            gpus_on[at] += 1;
            touched |= 1 << at;
        }
        touched |= at.iter().fold(0, |mask, at| mask | (1 << at));
        for node in bits(touched) {
            let mut room = self.nodes[node];
            room.gpus = room.gpus.saturating_sub(gpus_on[node]);
            if let Some(i) = at.iter().position(|at| *at == node) {
                room.bytes = room.bytes.saturating_sub(bytes(i));
                room.cores = room.cores.saturating_sub(cores.get(i).copied().unwrap_or(0));
            }
            served[node].0 = room.served(&self.share);
        }
        HostCost {
            cores: (cores.iter().sum(), self.free_cores),
            gpus: self.gpus,
            delayed: self.delayed(gpus),
            slots_before: self.before,
            slots_after: self.count(&served, self.free & !gpus),
        }
    }

    /// What a VM on these GPUs puts off. Each tenant is as likely as not to be gone when a VM of the
    /// slot's size comes, and the sixth is no worse than the fifth: both chosen by us, on 30 random
    /// traces of 16 and 24 hosts. Free slots are counted as lost, not as put off.
    fn delayed(&self, gpus: GpuMask) -> i64 {
        let later = self.places.iter().filter(|place| place.tenants > 0 && place.gpus & gpus != 0);
        let each = later.map(|place| (place.size * 1000) >> place.tenants.min(5));
        i64::try_from(each.sum::<u64>()).unwrap_or(i64::MAX)
    }

    /// Slots by size, of nodes given as GPUs served and package number.
    fn count(&self, nodes: &[(u64, usize)], free: GpuMask) -> SlotCounts {
        let mut packages: [u64; MAX_NODES + 1] = [0; MAX_NODES + 1];
        let (mut all, mut last) = (0, 0);
        for (served, package) in nodes.iter().filter(|(served, _)| *served > 0) {
            // More packages than nodes there cannot be, as far as nodes have one.
            packages[(*package).min(MAX_NODES)] += served;
            last = last.max((*package).min(MAX_NODES));
            all += served;
        }
        let mut counts = SlotCounts::default();
        for ((count, size), part) in counts.iter_mut().zip(SLOT_SIZES).zip(self.parts) {
            let below_switches = |at: usize| {
                let whole = |switch: &GpuMask| u64::from((switch & free).count_ones()) / size;
                self.switches[at].iter().map(whole).sum::<u64>()
            };
            *count = match part {
                Part::Switch => (0..nodes.len())
                    .filter(|at| nodes[*at].0 >= size)
                    .map(|at| below_switches(at).min(nodes[at].0 / size))
                    .sum(),
                Part::Node => nodes.iter().map(|(served, _)| served / size).sum(),
                Part::Package => packages[..=last].iter().map(|served| served / size).sum(),
                Part::Host => all / size,
            };
        }
        counts
    }
}

/// Seven eighths of what each GPU can have on its own node: VMs with GPUs are seldom sold with all of
/// it. Chosen by us.
fn share(host: &Host, by_node: &[GpuMask]) -> Share {
    let derived = host.derived();
    let on = || host.nodes().iter().enumerate().filter(|(at, _)| by_node[*at] != 0);
    let gpus = |at: usize| u64::from(by_node[at].count_ones());
    let cores = on().map(|(at, _)| derived.nodes[at].cores.len() as u64 / gpus(at)).min();
    let huge = |node: &crate::host::Node| {
        let pools = node.pools.iter().filter(|pool| pool.size.is_huge());
        pools.map(|pool| u128::from(pool.total) * u128::from(pool.size.bytes())).sum::<u128>()
    };
    let bytes = |(at, node): (usize, &crate::host::Node)| {
        let huge = huge(node);
        let all = if huge > 0 { huge } else { u128::from(node.memory.0) };
        all / u128::from(gpus(at))
    };
    Share { cores: cores.unwrap_or(0) * 7 / 8, bytes: on().map(bytes).min().unwrap_or(0) * 7 / 8 }
}
