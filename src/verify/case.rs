//! The input common to all checks, and the checker's own reading of what is reserved and what is
//! free.

use std::collections::BTreeMap;

use crate::host::{Core, CoreKind, Host, Reserve, ReserveMemory};
use crate::placement::{Cell, Style};
use crate::request::Request;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{NodeId, PageSize, PciAddr, PcpuId, VcpuId};
use crate::usage::Usage;

/// The input common to all checks.
pub(super) struct Case<'a> {
    pub(super) host: &'a Host,
    pub(super) usage: &'a Usage,
    pub(super) request: &'a Request,
    pub(super) style: Style,
    pub(super) cells: &'a [Cell],
    /// The core of each pCPU.
    pub(super) cores: BTreeMap<PcpuId, &'a Core>,
    /// pCPUs that no vCPU may use.
    pub(super) housekeeping: CpuSet,
    /// All nodes of all cells.
    pub(super) nodes: NodeSet,
    /// pCPUs that isolation keeps the VM's dedicated pCPUs off: the tenants', or its own.
    pub(super) barred: CpuSet,
}

impl Case<'_> {
    /// Whether it is the default layout, which policies about layout do not bind.
    pub(super) fn is_default(&self) -> bool {
        self.style == Style::Default
    }

    /// The first cell that contains the vCPU.
    pub(super) fn cell_of(&self, vcpu: VcpuId) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.vcpus.contains(vcpu))
    }
}

/// The core of every online pCPU.
pub(super) fn cores_by_pcpu(host: &Host) -> BTreeMap<PcpuId, &Core> {
    let mut cores = BTreeMap::new();
    for core in host.cores() {
        for pcpu in &core.pcpus {
            cores.insert(*pcpu, core);
        }
    }
    cores
}

/// The pCPUs that no vCPU may have: those that the operator names; where the operator leaves the
/// choice open, one core, by the rules that [`Kept`](crate::host::Kept) documents.
pub(super) fn housekeeping(host: &Host, cores: &BTreeMap<PcpuId, &Core>) -> CpuSet {
    match &host.description().reserved {
        Reserve::These(cpus) => return cpus.clone(),
        Reserve::None => return CpuSet::new(),
        Reserve::Auto => {}
    }
    let open = host.allowed().difference(host.isolated());
    if host.cores().len() < 2 || open.is_empty() {
        return CpuSet::new();
    }
    // The best core so far: what speaks against it, the worst first, and its pCPUs to keep.
    let mut best: Option<([u64; 4], CpuSet)> = None;
    for pcpu in open.iter() {
        let Some(core) = cores.get(&pcpu) else { continue };
        let whole: CpuSet = core.pcpus.iter().copied().collect();
        let (against, kept) = if open.len() < host.allowed().len() {
            let kept = whole.difference(host.isolated());
            ([u64::from(kept.len() < whole.len()), 0, 0, 0], kept)
        } else {
            let fast = match core.kind {
                CoreKind::LowPower => 0,
                CoreKind::Efficiency => 1,
                CoreKind::Performance => 2,
            };
            let cache = host.l3_domains().iter().find(|domain| domain.cpus.contains(pcpu));
            let cache = cache.and_then(|domain| domain.size).map_or(u64::MAX, |size| size.0);
            let mut gpu = 0;
            for card in host.gpus() {
                if card.node != Some(core.node) || card.integrated {
                    continue;
                }
                let driver = host.pci().get(card.address).and_then(|d| d.driver.as_deref());
                let for_vms = matches!(driver, None | Some("vfio-pci" | "pci-stub"));
                gpu = gpu.max(if for_vms { 2 } else { 1 });
            }
            ([0, fast, cache, gpu], whole)
        };
        if best.as_ref().is_none_or(|(least, _)| against < *least) {
            best = Some((against, kept));
        }
    }
    best.map(|(_, kept)| kept).unwrap_or_default()
}

/// The id of the vCPU at `position`, or the largest id if `position` exceeds it.
pub(super) fn vcpu_id(position: usize) -> VcpuId {
    VcpuId(u32::try_from(position).unwrap_or(u32::MAX))
}

/// The first tenant, by name, that holds the device.
pub(super) fn holder_of(usage: &Usage, device: PciAddr) -> Option<&str> {
    for (tenant, claim) in usage.tenants() {
        if claim.devices.contains(&device) {
            return Some(tenant);
        }
    }
    None
}

/// The free pages of one size on a node: all, less those that tenants claim there, less those that
/// the host counts as used without a tenant to explain them.
pub(super) fn free_pages(host: &Host, usage: &Usage, node: NodeId, size: PageSize) -> u64 {
    let mut free = 0_u64;
    for record in host.nodes() {
        for pool in &record.pools {
            if record.id == node && pool.size == size {
                free = pool.total;
            }
        }
    }
    free = free.saturating_sub(usage.unexplained_pages(node, size));
    for (_, claim) in usage.tenants() {
        for page in &claim.pages {
            if page.node == Some(node) && page.page_size == size {
                free = free.saturating_sub(page.count);
            }
        }
    }
    free
}

/// The base pages that the host keeps on a node: what its operator says on each; otherwise 1 GiB,
/// or 2 GiB where no other node has memory, but no more than a sixteenth of the node's.
pub(super) fn kept_pages(host: &Host, node: NodeId, size: PageSize) -> u64 {
    if size.is_huge() {
        return 0;
    }
    if let ReserveMemory::OnEach(amount) = host.description().reserve_memory {
        return amount.0.div_ceil(size.bytes());
    }
    let (mut with_memory, mut own) = (0, 0);
    for record in host.nodes() {
        with_memory += usize::from(record.memory.0 > 0);
        for pool in record.pools.iter().filter(|pool| pool.size == size && record.id == node) {
            own = pool.total.saturating_mul(size.bytes());
        }
    }
    let gib: u64 = if with_memory > 1 { 1 << 30 } else { 2 << 30 };
    gib.min(own / 16).div_ceil(size.bytes())
}

/// The free pages of one size on all nodes together that a new VM may have, less those that tenants
/// claim without naming a node.
pub(super) fn free_pages_in_all(host: &Host, usage: &Usage, size: PageSize) -> u64 {
    let mut free = 0_u64;
    for record in host.nodes() {
        let here = free_pages(host, usage, record.id, size);
        free = free.saturating_add(here.saturating_sub(kept_pages(host, record.id, size)));
    }
    for (_, claim) in usage.tenants() {
        for page in &claim.pages {
            if page.node.is_none() && page.page_size == size {
                free = free.saturating_sub(page.count);
            }
        }
    }
    free
}
