//! Who holds what on a host. Free is what the host has, less what the tenants and the unknown hold.

use std::collections::BTreeMap;

use super::Host;
use super::pcie::DeviceKind;
use crate::sets::CpuSet;
use crate::units::{NodeId, PageSize, PciAddr};

/// Pages that a tenant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PageClaim {
    /// The node they are on; `None` where they may be anywhere.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub node: Option<NodeId>,
    /// Their size.
    pub size: PageSize,
    /// How many.
    pub count: u64,
}

/// What one tenant holds: plain sets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Claim {
    /// pCPUs that nobody else may use: those with a vCPU, and siblings kept idle beside them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub dedicated: CpuSet,
    /// pCPUs that it shares with others: where its vCPUs float, or its emulator threads run.
    #[cfg_attr(feature = "serde", serde(default))]
    pub floating: CpuSet,
    /// Its memory.
    #[cfg_attr(feature = "serde", serde(default))]
    pub pages: Vec<PageClaim>,
    /// Its devices, whole IOMMU groups.
    #[cfg_attr(feature = "serde", serde(default))]
    pub devices: Vec<PciAddr>,
}

/// Why a claim was refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// A tenant of this name holds something already.
    #[error("tenant {tenant:?} is there already")]
    NameTaken {
        /// Its name.
        tenant: String,
    },
    /// No tenant of this name.
    #[error("there is no tenant {tenant:?}")]
    NoTenant {
        /// The name.
        tenant: String,
    },
    /// pCPUs that the host does not have online.
    #[error("tenant {tenant:?} claims pCPUs {cpus}, which are not online")]
    NotOnline {
        /// Who claims.
        tenant: String,
        /// The pCPUs.
        cpus: CpuSet,
    },
    /// Dedicated pCPUs that another tenant holds.
    #[error("tenant {tenant:?} claims pCPUs {cpus}, which {holder:?} holds")]
    PcpusHeld {
        /// Who claims.
        tenant: String,
        /// The pCPUs.
        cpus: CpuSet,
        /// Who holds the first of them.
        holder: String,
    },
    /// Pages that are not free, or that the host does not have.
    #[error("tenant {tenant:?} claims {needed} pages of {size} on {}, where {free} are free",
        .node.map_or_else(|| "any node".to_owned(), |node| format!("node {node}")))]
    PagesShort {
        /// Who claims.
        tenant: String,
        /// The node; `None` for all together.
        node: Option<NodeId>,
        /// The page size.
        size: PageSize,
        /// Pages claimed.
        needed: u64,
        /// Pages free.
        free: u64,
    },
    /// A device that does not exist, or is a bridge.
    #[error("tenant {tenant:?} claims {address}, which is no device of the host")]
    NoDevice {
        /// Who claims.
        tenant: String,
        /// The device.
        address: PciAddr,
    },
    /// A device that another tenant holds, or that is claimed twice.
    #[error("tenant {tenant:?} claims {address}, which {holder:?} holds")]
    DeviceHeld {
        /// Who claims.
        tenant: String,
        /// The device.
        address: PciAddr,
        /// Who holds it.
        holder: String,
    },
}

type PoolKey = (NodeId, PageSize);

/// What the tenants of one host hold. Claim and release are all or nothing.
///
/// Pages that the host counts as used and no tenant explains belong to the unknown, and stay taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    tenants: BTreeMap<String, Claim>,
    dedicated: CpuSet,
    devices: BTreeMap<PciAddr, String>,
    /// Pages that tenants hold, where that is not zero.
    pages: BTreeMap<PoolKey, u64>,
    /// Pages that tenants hold somewhere.
    unbound: BTreeMap<PageSize, u64>,
    /// Pages in use when the host was described, that no tenant of that time holds.
    unexplained: BTreeMap<PoolKey, u64>,
}

impl Usage {
    /// No tenants: all pages that the host's description counts as free are free.
    #[must_use]
    pub fn empty(host: &Host) -> Self {
        let mut usage = Self::default();
        for node in host.nodes() {
            for pool in node.pools.iter().filter(|pool| pool.free < pool.total) {
                usage.unexplained.insert((node.id, pool.size), pool.total - pool.free);
            }
        }
        usage
    }

    /// The tenants that ran when the host was described: the pages that they hold are among those
    /// that the description counts as used, and are not counted twice.
    ///
    /// # Errors
    /// [`ClaimError`] for the first tenant that cannot hold what it says.
    pub fn with_running<I>(host: &Host, tenants: I) -> Result<Self, ClaimError>
    where
        I: IntoIterator<Item = (String, Claim)>,
    {
        let mut usage = Self { unexplained: BTreeMap::new(), ..Self::default() };
        for (name, claim) in tenants {
            usage.claim(host, &name, claim)?;
        }
        for ((node, size), used) in Self::empty(host).unexplained {
            let explained = usage.pages.get(&(node, size)).copied().unwrap_or(0);
            if used > explained {
                usage.unexplained.insert((node, size), used - explained);
            }
        }
        Ok(usage)
    }

    /// The tenants by name.
    pub fn tenants(&self) -> impl Iterator<Item = (&str, &Claim)> {
        self.tenants.iter().map(|(name, claim)| (name.as_str(), claim))
    }

    /// All pCPUs that somebody holds for itself.
    #[must_use]
    pub fn dedicated(&self) -> &CpuSet {
        &self.dedicated
    }

    /// Who holds `address`.
    #[must_use]
    pub fn holder_of(&self, address: PciAddr) -> Option<&str> {
        self.devices.get(&address).map(String::as_str)
    }

    /// Free pages of `size` on `node`; 0 where there is no such pool. Pages held somewhere
    /// ([`Usage::unbound_pages`]) are not taken off.
    #[must_use]
    pub fn free_pages(&self, host: &Host, node: NodeId, size: PageSize) -> u64 {
        let total = host.node(node).and_then(|n| n.pool(size)).map_or(0, |pool| pool.total);
        let key = (node, size);
        let taken = |map: &BTreeMap<PoolKey, u64>| map.get(&key).copied().unwrap_or(0);
        total.saturating_sub(taken(&self.pages)).saturating_sub(taken(&self.unexplained))
    }

    /// Pages of `size` that tenants hold on no particular node.
    #[must_use]
    pub fn unbound_pages(&self, size: PageSize) -> u64 {
        self.unbound.get(&size).copied().unwrap_or(0)
    }

    /// Free pages of `size` on the whole host.
    #[must_use]
    pub fn free_pages_in_all(&self, host: &Host, size: PageSize) -> u64 {
        let bound = host.nodes().iter().map(|node| self.free_pages(host, node.id, size));
        bound.fold(0, u64::saturating_add).saturating_sub(self.unbound_pages(size))
    }

    /// Gives `tenant` what `claim` says.
    ///
    /// # Errors
    /// [`ClaimError`] if the name is taken, a pCPU is not online or held, a pool has too few free
    /// pages, or a device does not exist, is held or is named twice. Nothing has changed then.
    pub fn claim(&mut self, host: &Host, tenant: &str, claim: Claim) -> Result<(), ClaimError> {
        self.check(host, tenant, &claim)?;
        self.dedicated.extend(&claim.dedicated);
        for device in &claim.devices {
            self.devices.insert(*device, tenant.to_owned());
        }
        for page in claim.pages.iter().filter(|page| page.count > 0) {
            *self.counter(page) += page.count;
        }
        self.tenants.insert(tenant.to_owned(), claim);
        Ok(())
    }

    /// Takes back all that `tenant` holds, and returns it.
    ///
    /// # Errors
    /// [`ClaimError::NoTenant`] if there is no such tenant.
    pub fn release(&mut self, tenant: &str) -> Result<Claim, ClaimError> {
        let unknown = || ClaimError::NoTenant { tenant: tenant.to_owned() };
        let claim = self.tenants.remove(tenant).ok_or_else(unknown)?;
        self.dedicated = self.dedicated.difference(&claim.dedicated);
        for device in &claim.devices {
            self.devices.remove(device);
        }
        for page in claim.pages.iter().filter(|page| page.count > 0) {
            *self.counter(page) -= page.count;
        }
        self.pages.retain(|_, count| *count > 0);
        self.unbound.retain(|_, count| *count > 0);
        Ok(claim)
    }

    fn counter(&mut self, page: &PageClaim) -> &mut u64 {
        match page.node {
            Some(node) => self.pages.entry((node, page.size)).or_default(),
            None => self.unbound.entry(page.size).or_default(),
        }
    }

    fn check(&self, host: &Host, tenant: &str, claim: &Claim) -> Result<(), ClaimError> {
        let tenant = || tenant.to_owned();
        if self.tenants.contains_key(&tenant()) {
            return Err(ClaimError::NameTaken { tenant: tenant() });
        }
        let cpus = claim.dedicated.union(&claim.floating).difference(host.online());
        if !cpus.is_empty() {
            return Err(ClaimError::NotOnline { tenant: tenant(), cpus });
        }
        let cpus = claim.dedicated.intersection(&self.dedicated);
        if !cpus.is_empty() {
            let held = |claim: &Claim| claim.dedicated.intersects(&cpus);
            let holder = self.tenants.iter().find(|(_, claim)| held(claim));
            let holder = holder.map(|(name, _)| name.clone()).unwrap_or_default();
            return Err(ClaimError::PcpusHeld { tenant: tenant(), cpus, holder });
        }
        let mut wanted: BTreeMap<(Option<NodeId>, PageSize), u64> = BTreeMap::new();
        for page in &claim.pages {
            // Pages on a node are also among those of all nodes together.
            let on_node = page.node.map(|node| (Some(node), page.size));
            for key in on_node.into_iter().chain([(None, page.size)]) {
                let sum = wanted.entry(key).or_default();
                *sum = sum.saturating_add(page.count);
            }
        }
        for ((node, size), needed) in wanted {
            let free = match node {
                Some(node) => self.free_pages(host, node, size),
                None => self.free_pages_in_all(host, size),
            };
            if needed > free {
                return Err(ClaimError::PagesShort { tenant: tenant(), node, size, needed, free });
            }
        }
        for (at, address) in claim.devices.iter().enumerate() {
            let address = *address;
            if host.pci().get(address).is_none_or(|d| d.kind() == DeviceKind::Bridge) {
                return Err(ClaimError::NoDevice { tenant: tenant(), address });
            }
            let twice = claim.devices[..at].contains(&address).then(tenant);
            if let Some(holder) = twice.or_else(|| self.holder_of(address).map(str::to_owned)) {
                return Err(ClaimError::DeviceHeld { tenant: tenant(), address, holder });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::builder::{CoreSpec, HostBuilder, NodeSpec};
    use crate::host::{CoreKind, PagePool};
    use crate::units::{Bytes, PackageId, PcpuId};

    /// One node with 16 pages of 1 GiB.
    fn host() -> Host {
        let cpus: CpuSet = [PcpuId(0)].into_iter().collect();
        let pool = PagePool { size: PageSize::GIB_1, total: 16, free: 16 };
        let (id, memory) = (NodeId(0), Bytes::from_gib(32));
        let node =
            NodeSpec { id, cpus: cpus.clone(), memory, pools: vec![pool], distances: vec![] };
        let (package, kind) = (PackageId(0), CoreKind::Performance);
        let core = CoreSpec { package, die: 0, core: 0, kind, max_mhz: None, pcpus: cpus };
        let (nodes, cores) = (vec![node], vec![core]);
        HostBuilder { nodes, cores, ..HostBuilder::default() }.build().unwrap()
    }

    fn pages(node: Option<u32>, count: u64) -> Claim {
        let page = PageClaim { node: node.map(NodeId), size: PageSize::GIB_1, count };
        Claim { pages: vec![page], ..Claim::default() }
    }

    #[test]
    fn pages_held_anywhere_count_once() {
        let (host, mut usage) = (host(), Usage::empty(&host()));
        assert_eq!(usage.claim(&host, "a", pages(None, 10)), Ok(()));
        assert_eq!(usage.free_pages_in_all(&host, PageSize::GIB_1), 6);
    }

    #[test]
    fn pages_on_a_node_and_pages_anywhere_share_the_pool() {
        let (host, mut usage) = (host(), Usage::empty(&host()));
        usage.claim(&host, "a", pages(None, 10)).unwrap();
        let (tenant, size) = ("b".to_owned(), PageSize::GIB_1);
        let short = ClaimError::PagesShort { tenant, node: None, size, needed: 7, free: 6 };
        assert_eq!(usage.claim(&host, "b", pages(Some(0), 7)), Err(short));
        assert_eq!(usage.claim(&host, "b", pages(Some(0), 6)), Ok(()));
    }
}
