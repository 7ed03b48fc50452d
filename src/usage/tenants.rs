//! The record of the resources that the tenants of a host hold.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::claim::{Claim, ClaimError, PageClaim};
use super::generation::Generation;
use super::table::Table;
use crate::host::Host;
use crate::host::pcie::DeviceKind;
use crate::sets::CpuSet;
use crate::units::{NodeId, PageSize, PciAddr};

/// A pool: its node and page size.
type PoolKey = (NodeId, PageSize);

/// The resources held by the tenants of one host. Claim and release are all or nothing.
///
/// Pages that the host's description counts as used and no tenant explains stay taken.
///
/// Two usages are equal if the same tenants hold the same resources: a release restores the state
/// before the claim, byte for byte. The history, [`Usage::generation`], is not compared.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    pub(super) held: Held,
    pub(super) generation: Generation,
    /// The generation of each tenant's claim.
    pub(super) since: Table<Arc<str>, Generation>,
}

/// A [`Usage`] without its history: what is held, and values derived from that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) tenants: Table<Arc<str>, Claim>,
    /// pCPUs dedicated to a tenant.
    pub(super) dedicated: CpuSet,
    /// The holder of each device.
    pub(super) devices: Table<PciAddr, Arc<str>>,
    /// The number of tenants with mediated devices.
    pub(super) sharers: usize,
    /// The number of pages that tenants hold in each pool, if any.
    pub(super) pages: Table<PoolKey, u64>,
    /// The number of pages of each size that tenants hold on no particular node.
    pub(super) unbound: Table<PageSize, u64>,
    /// The number of pages in each pool that were in use when the host was described, and that no
    /// tenant held then.
    pub(super) unexplained: Table<PoolKey, u64>,
}

impl PartialEq for Usage {
    fn eq(&self, other: &Self) -> bool {
        self.held == other.held
    }
}

impl Eq for Usage {}

impl Usage {
    /// A usage without tenants. The free pages are those that the host's description counts as
    /// free.
    #[must_use]
    pub fn empty(host: &Host) -> Self {
        let mut usage = Self::default();
        for node in host.nodes() {
            for pool in node.pools.iter().filter(|pool| pool.free < pool.total) {
                usage.held.unexplained.insert((node.id, pool.size), pool.total - pool.free);
            }
        }
        usage
    }

    /// The usage with the tenants that ran when the host was described. Their pages are among those
    /// that the description counts as used, so they are not counted twice.
    ///
    /// # Errors
    /// [`ClaimError`] for the first tenant that cannot hold its claim.
    pub fn with_running<I>(host: &Host, tenants: I) -> Result<Self, ClaimError>
    where
        I: IntoIterator<Item = (String, Claim)>,
    {
        let mut usage = Self::default();
        for (name, claim) in tenants {
            usage.claim(host, &name, claim)?;
        }
        for &((node, size), used) in Self::empty(host).held.unexplained.iter() {
            let explained = usage.held.pages.get(&(node, size)).copied().unwrap_or(0);
            if used > explained {
                usage.held.unexplained.insert((node, size), used - explained);
            }
        }
        Ok(usage)
    }

    /// The held resources without the history, for comparing and printing: the same after a claim
    /// and its release, byte for byte.
    #[must_use]
    pub fn held(&self) -> impl fmt::Debug + PartialEq + '_ {
        &self.held
    }

    /// The number of claims and releases so far. It only grows; while it is unchanged, so are the
    /// held resources. See [`Offer`](super::Offer).
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The tenants in the order of their names, each with its claim.
    pub fn tenants(&self) -> impl Iterator<Item = (&str, &Claim)> {
        self.held.tenants.iter().map(|(name, claim)| (&**name, claim))
    }

    /// The claim of `tenant`; `None` if there is no such tenant.
    #[must_use]
    pub fn claim_of(&self, tenant: &str) -> Option<&Claim> {
        self.held.tenants.get(tenant)
    }

    /// All pCPUs that are dedicated to tenants.
    #[must_use]
    pub fn dedicated(&self) -> &CpuSet {
        &self.held.dedicated
    }

    /// The tenant that holds the function at `address` itself. A device is free only if nobody
    /// holds any function that must go together with it either.
    #[must_use]
    pub fn holder_of(&self, address: PciAddr) -> Option<&str> {
        self.held.devices.get(&address).map(|holder| &**holder)
    }

    /// A tenant that holds a mediated device of the function at `address`.
    #[must_use]
    pub fn sharer_of(&self, address: PciAddr) -> Option<&str> {
        if self.held.sharers == 0 {
            return None;
        }
        let shares = |claim: &Claim| claim.mediated.contains(&Some(address));
        self.tenants().find(|(_, claim)| shares(claim)).map(|(name, _)| name)
    }

    /// The tenants that hold a mediated device whose parent is unknown.
    pub fn unnamed_shares(&self) -> impl Iterator<Item = &str> {
        let tenants = (self.held.sharers > 0).then(|| self.tenants());
        let unnamed = |(_, claim): &(&str, &Claim)| claim.mediated.contains(&None);
        tenants.into_iter().flatten().filter(unnamed).map(|(name, _)| name)
    }

    /// The parents of mediated devices, as far as they are known, each with the number of devices;
    /// and the number of those whose parent is unknown.
    fn parents(&self) -> BTreeMap<Option<PciAddr>, usize> {
        let mut parents = BTreeMap::new();
        if self.held.sharers > 0 {
            for parent in self.tenants().flat_map(|(_, claim)| &claim.mediated) {
                *parents.entry(*parent).or_default() += 1;
            }
        }
        parents
    }

    /// What another tenant holds that cannot be used beside `address`: its physical function or a
    /// virtual function of it, or a mediated device of one of these or of itself.
    pub(super) fn excluded(&self, host: &Host, address: PciAddr) -> Option<(PciAddr, &str)> {
        let shared = |other: PciAddr| self.sharer_of(other).map(|holder| (other, holder));
        let held = |other: PciAddr| self.holder_of(other).map(|holder| (other, holder));
        let mut others = host.pci().excluded_by(address);
        shared(address).or_else(|| others.find_map(|other| held(other).or_else(|| shared(other))))
    }

    /// Free pages of `size` on `node`; 0 if there is no such pool. Pages held on no particular node
    /// ([`Usage::unbound_pages`]) are not subtracted.
    #[must_use]
    pub fn free_pages(&self, host: &Host, node: NodeId, size: PageSize) -> u64 {
        let total = host.node(node).and_then(|n| n.pool(size)).map_or(0, |pool| pool.total);
        let key = (node, size);
        let taken = |map: &Table<PoolKey, u64>| map.get(&key).copied().unwrap_or(0);
        total.saturating_sub(taken(&self.held.pages)).saturating_sub(taken(&self.held.unexplained))
    }

    /// Pages of `size` on `node` that the host counts as used and that no tenant explains.
    #[must_use]
    pub fn unexplained_pages(&self, node: NodeId, size: PageSize) -> u64 {
        self.held.unexplained.get(&(node, size)).copied().unwrap_or(0)
    }

    /// Pages of `size` that tenants hold on no particular node.
    #[must_use]
    pub fn unbound_pages(&self, size: PageSize) -> u64 {
        self.held.unbound.get(&size).copied().unwrap_or(0)
    }

    /// Free pages of `size` on the whole host: those of all nodes, less [`Usage::unbound_pages`].
    #[must_use]
    pub fn free_pages_in_all(&self, host: &Host, size: PageSize) -> u64 {
        let bound = host.nodes().iter().map(|node| self.free_pages(host, node.id, size));
        bound.fold(0, u64::saturating_add).saturating_sub(self.unbound_pages(size))
    }

    /// Whether both usages leave the same resources free on one host, with tenants that float on
    /// the same of the pCPUs that the host does not keep, and the same pCPUs isolated. Holders are
    /// not compared.
    pub(crate) fn leaves_the_same(&self, other: &Self, host: &Host) -> bool {
        let (a, b) = (&self.held, &other.held);
        a.dedicated == b.dedicated
            && a.pages == b.pages
            && a.unbound == b.unbound
            && a.unexplained == b.unexplained
            && a.devices.keys().eq(b.devices.keys())
            && self.floating(host).eq(other.floating(host))
            && self.parents() == other.parents()
            && self.isolated() == other.isolated()
    }

    /// The dedicated pCPUs of the tenants whose cores, and of those whose L3 domains, are closed to
    /// others.
    pub(crate) fn isolated(&self) -> (CpuSet, CpuSet) {
        let (mut of_cores, mut of_l3) = (CpuSet::new(), CpuSet::new());
        for (_, claim) in self.tenants() {
            if claim.whole_cores {
                of_cores.extend(&claim.dedicated);
            }
            if claim.own_l3 {
                of_l3.extend(&claim.dedicated);
            }
        }
        (of_cores, of_l3)
    }

    /// The sets of pCPUs that tenants float on, each with the number of vCPUs, without those inside
    /// what the host keeps.
    fn floating<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = (&'a CpuSet, u32)> {
        let sets =
            self.held.tenants.iter().map(|(_, claim)| (&claim.floating, claim.floating_vcpus));
        sets.filter(|(set, _)| !set.is_subset(&host.kept().cpus))
    }

    /// Claims `claim` for `tenant`.
    ///
    /// # Errors
    /// [`ClaimError`] if the name is taken, a pCPU is not online or held, a pool has too few free
    /// pages, or a device does not exist, is held or is named twice. In these cases the usage is
    /// unchanged.
    pub fn claim(&mut self, host: &Host, tenant: &str, mut claim: Claim) -> Result<(), ClaimError> {
        self.check(host, tenant, &claim)?;
        claim.pages.shrink_to_fit();
        claim.devices.shrink_to_fit();
        let name: Arc<str> = tenant.into();
        self.held.dedicated.extend(&claim.dedicated);
        self.held.sharers += usize::from(!claim.mediated.is_empty());
        for device in &claim.devices {
            self.held.devices.insert(*device, Arc::clone(&name));
        }
        for page in claim.pages.iter().filter(|page| page.count > 0) {
            *self.counter(page) += page.count;
        }
        self.generation.0 += 1;
        self.since.insert(Arc::clone(&name), self.generation);
        self.held.tenants.insert(name, claim);
        Ok(())
    }

    /// Releases everything that `tenant` holds, and returns it.
    ///
    /// # Errors
    /// [`ClaimError::NoTenant`] if there is no such tenant.
    pub fn release(&mut self, tenant: &str) -> Result<Claim, ClaimError> {
        let unknown = || ClaimError::NoTenant { tenant: tenant.to_owned() };
        let claim = self.held.tenants.remove(tenant).ok_or_else(unknown)?;
        self.generation.0 += 1;
        self.since.remove(tenant);
        self.held.dedicated = self.held.dedicated.difference(&claim.dedicated);
        self.held.sharers -= usize::from(!claim.mediated.is_empty());
        for device in &claim.devices {
            self.held.devices.remove(device);
        }
        for page in claim.pages.iter().filter(|page| page.count > 0) {
            *self.counter(page) -= page.count;
        }
        self.held.pages.retain(|count| *count > 0);
        self.held.unbound.retain(|count| *count > 0);
        Ok(claim)
    }

    fn counter(&mut self, page: &PageClaim) -> &mut u64 {
        match page.node {
            Some(node) => self.held.pages.entry((node, page.page_size)),
            None => self.held.unbound.entry(page.page_size),
        }
    }

    fn check(&self, host: &Host, tenant: &str, claim: &Claim) -> Result<(), ClaimError> {
        let taken = self.claim_of(tenant).is_some();
        let tenant = || tenant.to_owned();
        if taken {
            return Err(ClaimError::NameTaken { tenant: tenant() });
        }
        let cpus = claim.dedicated.union(&claim.floating).difference(host.online());
        if !cpus.is_empty() {
            return Err(ClaimError::NotOnline { tenant: tenant(), cpus });
        }
        let cpus = claim.dedicated.intersection(&self.held.dedicated);
        if !cpus.is_empty() {
            let held = |claim: &Claim| claim.dedicated.intersects(&cpus);
            let holder = self.held.tenants.iter().find(|(_, claim)| held(claim));
            let holder = holder.map(|(name, _)| (**name).to_owned()).unwrap_or_default();
            return Err(ClaimError::PcpusHeld { tenant: tenant(), cpus, holder });
        }
        for ((node, size), needed) in claim.pages_by_place() {
            let free = match node {
                Some(node) => self.free_pages(host, node, size),
                None => self.free_pages_in_all(host, size),
            };
            if needed > free {
                return Err(ClaimError::PagesShort {
                    tenant: tenant(),
                    node,
                    page_size: size,
                    needed,
                    free,
                });
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
            if let Some((other, holder)) = self.excluded(host, address) {
                let holder = holder.to_owned();
                return Err(ClaimError::Excluded { tenant: tenant(), address, other, holder });
            }
        }
        for address in claim.mediated.iter().flatten().copied() {
            if host.pci().get(address).is_none_or(|d| d.kind() == DeviceKind::Bridge) {
                return Err(ClaimError::NoDevice { tenant: tenant(), address });
            }
            let others = std::iter::once(address).chain(host.pci().excluded_by(address));
            let mut held = others.filter_map(|other| Some((other, self.holder_of(other)?)));
            if let Some((other, holder)) = held.next() {
                let holder = holder.to_owned();
                return Err(ClaimError::Excluded { tenant: tenant(), address, other, holder });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::spec::{CoreSpec, HostSpec, NodeSpec};
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
        HostSpec { nodes, cores, ..HostSpec::default() }.build().unwrap()
    }

    fn pages(node: Option<u32>, count: u64) -> Claim {
        let page = PageClaim { node: node.map(NodeId), page_size: PageSize::GIB_1, count };
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
        let (tenant, page_size) = ("b".to_owned(), PageSize::GIB_1);
        let short = ClaimError::PagesShort { tenant, node: None, page_size, needed: 7, free: 6 };
        assert_eq!(usage.claim(&host, "b", pages(Some(0), 7)), Err(short));
        assert_eq!(usage.claim(&host, "b", pages(Some(0), 6)), Ok(()));
    }
}
