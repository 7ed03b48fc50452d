//! The description of a host as plain data, and the checks that turn it into a [`Host`].

mod complete;
mod finish;
mod parts;
mod problem;

use std::collections::{BTreeMap, BTreeSet};

use super::Host;
use super::derived::Derived;
use super::kept::{Kept, Reserve, Seen};
use super::limits::{MAX_GPUS, MAX_NODES, MAX_PCI_FUNCTIONS, MAX_PCPUS};
use super::memory::ReserveMemory;
use super::pcie::{DeviceKind, FabricPartition, GpuLink, PciDevice, PciTree};
use super::records::{CpuVendor, L3Domain, PagePool};
use super::sources::PartSource;
use crate::sets::CpuSet;
use crate::units::{Bytes, CoreId, Distance, Id as _, L3Id, NodeId, PageSize, PciAddr};

pub use parts::{CacheKind, CacheSpec, CoreSpec, L3Spec, NodeSpec};
pub use problem::HostError;

/// The largest number of sources of a description's parts.
const MAX_SOURCES: usize = 256;
/// The largest number of bridges above a function.
const MAX_BRIDGES: usize = 32;

/// A host's description: plain data, in any order, unchecked until [`HostSpec::build`].
///
/// The fields follow the kernel's; a hand-written description needs only nodes and cores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct HostSpec {
    /// The host's name.
    pub name: String,
    /// The origin of the description: whether it is synthetic, and from which facts.
    #[cfg_attr(feature = "serde", serde(default))]
    pub about: String,
    /// The CPU's vendor.
    #[cfg_attr(feature = "serde", serde(default))]
    pub cpu_vendor: CpuVendor,
    /// The CPU's model.
    #[cfg_attr(feature = "serde", serde(default))]
    pub cpu_model: String,
    /// The nodes.
    pub nodes: Vec<NodeSpec>,
    /// The cores.
    pub cores: Vec<CoreSpec>,
    /// The L3 domains; a pCPU in none of them has no known L3.
    #[cfg_attr(feature = "serde", serde(default))]
    pub l3_domains: Vec<L3Spec>,
    /// Caches of other levels, if known; informative only.
    #[cfg_attr(feature = "serde", serde(default))]
    pub caches: Vec<CacheSpec>,
    /// Groups of cores below the L3, such as efficiency cores that share an L2, as sets of pCPUs;
    /// informative only. Cores are chosen by L3 domain and then by pCPU number, so neighbours in a
    /// cluster, which kernels number consecutively, are taken together if all are free.
    #[cfg_attr(feature = "serde", serde(default))]
    pub clusters: Vec<CpuSet>,
    /// pCPUs that exist but are offline; informative only.
    #[cfg_attr(feature = "serde", serde(default))]
    pub offline: CpuSet,
    /// pCPUs that VMs may use; `None` for all online ones.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub allowed: Option<CpuSet>,
    /// pCPUs that the kernel's scheduler leaves alone (`isolcpus`).
    #[cfg_attr(feature = "serde", serde(default))]
    pub isolated: CpuSet,
    /// The pCPUs kept for the host's own work.
    #[cfg_attr(feature = "serde", serde(default))]
    pub reserved: Reserve,
    /// The ordinary memory kept free on each node for the host's own work.
    #[cfg_attr(feature = "serde", serde(default))]
    pub reserve_memory: ReserveMemory,
    /// PCI functions and bridges.
    #[cfg_attr(feature = "serde", serde(default))]
    pub devices: Vec<PciDevice>,
    /// Direct connections between GPUs.
    #[cfg_attr(feature = "serde", serde(default))]
    pub gpu_links: Vec<GpuLink>,
    /// The sets of GPUs that the fabric manager can give to one VM.
    #[cfg_attr(feature = "serde", serde(default))]
    pub fabric_partitions: Vec<FabricPartition>,
    /// The sources of the parts; empty if not recorded.
    #[cfg_attr(feature = "serde", serde(default))]
    pub sources: Vec<PartSource>,
}

/// Sorts by a key and refuses two items with the same key.
fn sort_unique<T, K: Ord + ToString>(
    items: &mut [T],
    what: &'static str,
    key: impl Fn(&T) -> K,
) -> Result<(), HostError> {
    items.sort_by_key(&key);
    match items.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
        Some(pair) => Err(HostError::Duplicate { what, id: key(&pair[0]).to_string() }),
        None => Ok(()),
    }
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), HostError> {
    if found > limit { Err(HostError::TooMany { what, found, limit }) } else { Ok(()) }
}

impl HostSpec {
    /// Checks every invariant of [`Host`].
    ///
    /// # Errors
    /// [`HostError`] for the first item that violates an invariant or exceeds one of the limits
    /// [`MAX_NODES`], [`MAX_PCPUS`], [`MAX_GPUS`], [`MAX_PCI_FUNCTIONS`].
    pub fn build(mut self) -> Result<Host, HostError> {
        at_most("nodes", self.nodes.len(), MAX_NODES)?;
        at_most("cores", self.cores.len(), MAX_PCPUS)?;
        at_most("L3 domains", self.l3_domains.len(), MAX_PCPUS)?;
        at_most("clusters", self.clusters.len(), MAX_PCPUS)?;
        at_most("kinds of caches", self.caches.len(), MAX_PCPUS)?;
        at_most("PCI functions", self.devices.len(), MAX_PCI_FUNCTIONS)?;
        at_most("GPU links", self.gpu_links.len(), MAX_GPUS * MAX_GPUS)?;
        at_most("fabric partitions", self.fabric_partitions.len(), MAX_PCI_FUNCTIONS)?;
        at_most("sources", self.sources.len(), MAX_SOURCES)?;
        let online = self.check_cores()?;
        self.check_nodes(&online)?;
        let l3_domains = self.check_l3(&online)?;
        self.check_caches(&online)?;
        let all_allowed = online.clone();
        let allowed = self.allowed.clone().unwrap_or(all_allowed);
        for (what, set) in [("allowed", &allowed), ("isolated", &self.isolated)] {
            subset(format!("the set of {what} pCPUs"), set, &online)?;
        }
        if let Reserve::These(reserved) = &self.reserved {
            subset("the set of reserved pCPUs".to_owned(), reserved, &online)?;
        }
        let nodes = self.finish_nodes();
        let cores = self.finish_cores(&nodes, &l3_domains)?;
        let mut core_of =
            vec![u32::MAX; online.iter().last().map_or(0, |p| p.index() as usize + 1)];
        for (core, at) in cores.iter().zip(0_u32..) {
            for pcpu in &core.pcpus {
                core_of[pcpu.index() as usize] = at;
            }
        }
        let pci = self.check_pci()?;
        let gpus = Host::gpus_of(&pci);
        at_most("GPUs", gpus.len(), MAX_GPUS)?;
        let gpu_addresses: BTreeSet<_> = gpus.iter().map(|gpu| gpu.address).collect();
        self.check_fabric(&gpu_addresses)?;
        let seen = Seen {
            cores: &cores,
            l3_domains: &l3_domains,
            gpus: &gpus,
            pci: &pci,
            allowed: &allowed,
            isolated: &self.isolated,
        };
        let kept = Kept::new(&self.reserved, &seen);
        let derived = Derived::new(
            &nodes,
            &cores,
            &allowed,
            &pci,
            &gpus,
            &self.gpu_links,
            &self.fabric_partitions,
        )
        .with_caches(&l3_domains);
        Ok(Host {
            spec: self,
            nodes,
            cores,
            core_of,
            l3_domains,
            online,
            allowed,
            pci,
            gpus,
            kept,
            derived,
        })
    }

    fn check_cores(&mut self) -> Result<CpuSet, HostError> {
        self.cores.sort_by_key(|core| core.pcpus.first());
        let mut ids = BTreeSet::new();
        let mut online = CpuSet::new();
        for core in &self.cores {
            let id = core_id(core);
            if core.pcpus.is_empty() {
                return Err(HostError::EmptyCore { core: id });
            }
            if !ids.insert(id) {
                return Err(HostError::Duplicate { what: "core", id: id.to_string() });
            }
            if let Some(pcpu) = core.pcpus.intersection(&online).first() {
                return Err(HostError::Duplicate { what: "pCPU", id: pcpu.to_string() });
            }
            online.extend(&core.pcpus);
        }
        if online.is_empty() {
            return Err(HostError::NoPcpus);
        }
        at_most("pCPUs", online.len(), MAX_PCPUS)?;
        if let Some(pcpu) = self.offline.intersection(&online).first() {
            return Err(HostError::Duplicate {
                what: "pCPU, online and offline,",
                id: pcpu.to_string(),
            });
        }
        Ok(online)
    }

    fn check_nodes(&mut self, online: &CpuSet) -> Result<(), HostError> {
        sort_unique(&mut self.nodes, "node", |node| node.id)?;
        let mut seen = CpuSet::new();
        let count = self.nodes.len();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let id = node.id;
            if id.index() >= NodeId::LIMIT {
                return Err(HostError::IdTooLarge { what: "node", id: id.index() });
            }
            subset(format!("node {id}"), &node.cpus, online)?;
            if let Some(pcpu) = node.cpus.intersection(&seen).first() {
                return Err(HostError::Duplicate { what: "pCPU on nodes,", id: pcpu.to_string() });
            }
            seen.extend(&node.cpus);
            if node.distances.is_empty() {
                node.distances = vec![Distance(20); count];
                node.distances[at] = Distance::LOCAL;
            }
            check_distances(node, at, count)?;
            check_pools(node)?;
        }
        match online.difference(&seen).first() {
            Some(pcpu) => Err(HostError::NoNode { pcpu }),
            None => Ok(()),
        }
    }

    fn check_l3(&mut self, online: &CpuSet) -> Result<Vec<L3Domain>, HostError> {
        self.l3_domains.retain(|l3| !l3.cpus.is_empty());
        self.l3_domains.sort_by_key(|l3| l3.cpus.first());
        let mut seen = CpuSet::new();
        let mut domains = Vec::with_capacity(self.l3_domains.len());
        for (l3, number) in self.l3_domains.iter().zip(0..) {
            subset(format!("L3 domain {}", l3.cpus), &l3.cpus, online)?;
            if let Some(pcpu) = l3.cpus.intersection(&seen).first() {
                return Err(HostError::Duplicate {
                    what: "pCPU in L3 domains,",
                    id: pcpu.to_string(),
                });
            }
            seen.extend(&l3.cpus);
            domains.push(L3Domain { id: L3Id(number), cpus: l3.cpus.clone(), size: l3.size });
        }
        Ok(domains)
    }

    fn check_caches(&mut self, online: &CpuSet) -> Result<(), HostError> {
        sort_unique(&mut self.caches, "the cache", |cache| {
            let size = cache.size.map_or_else(String::new, |size| format!(" of {size}"));
            format!("{cache}{size}")
        })?;
        let mut seen: BTreeMap<String, CpuSet> = BTreeMap::new();
        for cache in &mut self.caches {
            cache.shared_by.sort_by_key(CpuSet::first);
            let what = cache.to_string();
            if !matches!(cache.level, 1 | 2 | 4) {
                return Err(HostError::CacheLevel { level: cache.level });
            }
            disjoint(&what, &cache.shared_by, online, seen.entry(what.clone()).or_default())?;
        }
        self.clusters.sort_by_key(CpuSet::first);
        disjoint("cluster", &self.clusters, online, &mut CpuSet::new())
    }

    fn check_pci(&mut self) -> Result<PciTree, HostError> {
        sort_unique(&mut self.devices, "PCI function", |device| device.address)?;
        for device in &mut self.devices {
            device.used_for.sort_unstable();
            device.used_for.dedup();
        }
        if let Some(outside) = self.devices.iter().find_map(outside_of_range) {
            return Err(outside);
        }
        let bridges: BTreeMap<_, _> = self
            .devices
            .iter()
            .filter(|device| device.kind() == DeviceKind::Bridge)
            .map(|device| (device.address, device.parent))
            .collect();
        for device in &self.devices {
            let dangling = |id: String, hint| {
                Err(HostError::Dangling {
                    what: format!("PCI function {}", device.address),
                    id,
                    hint,
                })
            };
            if let Some(node) = device.node.filter(|node| !self.nodes.iter().any(|n| n.id == *node))
            {
                return dangling(format!("node {node}"), " (omit the node if the kernel says -1)");
            }
            if let Some(parent) = device.parent.filter(|parent| !bridges.contains_key(parent)) {
                return dangling(
                    format!("parent {parent}"),
                    " or is not a PCI-to-PCI bridge (class 0x0604)",
                );
            }
            let mut up = device.parent;
            for _ in 0..MAX_BRIDGES {
                up = up.and_then(|bridge| bridges.get(&bridge).copied().flatten());
            }
            if up.is_some() {
                return Err(HostError::PciCycle { address: device.address });
            }
        }
        let mut devices = self.devices.clone();
        complete::complete(&mut devices);
        // Where one node has all the memory, there is no other node for a device to be near.
        for device in &mut devices {
            device.node = device.node.or(self.only_memory_node());
        }
        Ok(PciTree::new(devices))
    }

    /// The node that has memory, if no other has.
    pub(super) fn only_memory_node(&self) -> Option<NodeId> {
        let mut with_memory = self.nodes.iter().filter(|node| node.memory != Bytes::ZERO);
        let first = with_memory.next()?;
        with_memory.next().is_none().then_some(first.id)
    }

    fn check_fabric(&mut self, gpus: &BTreeSet<PciAddr>) -> Result<(), HostError> {
        let known = |what: &dyn Fn() -> String, address: PciAddr| match gpus.contains(&address) {
            true => Ok(()),
            false => {
                Err(HostError::Dangling { what: what(), id: format!("GPU {address}"), hint: "" })
            }
        };
        for link in &mut self.gpu_links {
            (link.a, link.b) = (link.a.min(link.b), link.a.max(link.b));
            let what = || format!("the GPU link {}-{}", link.a, link.b);
            known(&what, link.a)?;
            known(&what, link.b)?;
            if link.a == link.b {
                return Err(HostError::SameGpuTwice { what: what(), address: link.a });
            }
        }
        sort_unique(&mut self.gpu_links, "GPU link", |link| format!("{}-{}", link.a, link.b))?;
        sort_unique(&mut self.fabric_partitions, "fabric partition", |partition| partition.id)?;
        for partition in &mut self.fabric_partitions {
            let what = || format!("fabric partition {}", partition.id);
            partition.gpus.iter().try_for_each(|gpu| known(&what, *gpu))?;
            partition.gpus.sort_unstable();
            if let Some(pair) = partition.gpus.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(HostError::SameGpuTwice { what: what(), address: pair[0] });
            }
        }
        Ok(())
    }
}

/// The error about an address of the function that no text could name.
fn outside_of_range(device: &PciDevice) -> Option<HostError> {
    let all = [Some(device.address), device.parent, device.physical_function];
    let address = all.into_iter().flatten().find(|address| !address.is_valid())?;
    Some(HostError::AddressRange { address })
}

fn core_id(spec: &CoreSpec) -> CoreId {
    CoreId { package: spec.package, die: spec.die, core: spec.core }
}

fn subset(what: String, set: &CpuSet, online: &CpuSet) -> Result<(), HostError> {
    let cpus = set.difference(online);
    if cpus.is_empty() { Ok(()) } else { Err(HostError::NotOnline { what, cpus }) }
}

/// Checks that sets of online pCPUs are disjoint.
fn disjoint(
    what: &str,
    sets: &[CpuSet],
    online: &CpuSet,
    seen: &mut CpuSet,
) -> Result<(), HostError> {
    for set in sets {
        subset(format!("{what} {set}"), set, online)?;
        if let Some(pcpu) = set.intersection(seen).first() {
            let id = format!("{pcpu} of {what} {set}");
            return Err(HostError::Duplicate { what: "pCPU", id });
        }
        seen.extend(set);
    }
    Ok(())
}

fn check_distances(node: &NodeSpec, at: usize, count: usize) -> Result<(), HostError> {
    let problem = |problem| Err(HostError::Distances { node: node.id, problem });
    if node.distances.len() != count {
        return problem(format!("{} distances for {count} nodes", node.distances.len()));
    }
    for (to, distance) in node.distances.iter().enumerate() {
        let fine =
            if to == at { *distance == Distance::LOCAL } else { *distance > Distance::LOCAL };
        if !fine {
            let rule = if to == at { "10 to itself" } else { "more than 10 to another node" };
            return problem(format!("distance {distance} at position {to} must be {rule}"));
        }
    }
    Ok(())
}

/// Sorts the pools, adds the base page's pool if it is missing, and checks their sizes.
fn check_pools(node: &mut NodeSpec) -> Result<(), HostError> {
    sort_unique(&mut node.pools, "page pool", |pool| pool.size)?;
    let pooled =
        node.pools.iter().map(|pool| u128::from(pool.size.bytes()) * u128::from(pool.total));
    let pooled: u128 = pooled.sum();
    let rest = u128::from(node.memory.0).checked_sub(pooled);
    let exceeds = HostError::PoolsExceedMemory { node: node.id, memory: node.memory };
    let rest = rest.and_then(|rest| u64::try_from(rest).ok()).ok_or(exceeds)?;
    if node.pools.first().is_none_or(|pool| pool.size.is_huge()) {
        let total = rest / PageSize::KIB_4.bytes();
        node.pools.insert(0, PagePool { size: PageSize::KIB_4, total, free: total });
    }
    match node.pools.iter().find(|pool| pool.free > pool.total) {
        Some(&PagePool { size, total, free }) => {
            Err(HostError::PoolOverfull { node: node.id, size, free, total })
        }
        None => Ok(()),
    }
}
