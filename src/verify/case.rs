//! What all checks look at, and the checker's own reading of what is kept and what is free.

use std::collections::BTreeMap;

use crate::host::{Core, Host};
use crate::placement::{Cell, Style};
use crate::request::Request;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{NodeId, PageSize, PciAddr, PcpuId, VcpuId};
use crate::usage::Usage;

/// What all checks look at.
pub(super) struct Case<'a> {
    pub(super) host: &'a Host,
    pub(super) usage: &'a Usage,
    pub(super) request: &'a Request,
    pub(super) style: Style,
    pub(super) cells: &'a [Cell],
    /// By pCPU: its core.
    pub(super) cores: BTreeMap<PcpuId, &'a Core>,
    /// pCPUs that no vCPU may have.
    pub(super) housekeeping: CpuSet,
    /// All nodes of all cells.
    pub(super) nodes: NodeSet,
}

impl Case<'_> {
    /// The first cell that has the vCPU.
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

/// The reserved pCPUs; where there are none, the core of the lowest allowed pCPU, unless it is the
/// only core or all allowed pCPUs are isolated.
pub(super) fn housekeeping(host: &Host, cores: &BTreeMap<PcpuId, &Core>) -> CpuSet {
    let mut kept = host.reserved().clone();
    let beside_isolated = !host.allowed().difference(host.isolated()).is_empty();
    if kept.is_empty() && host.cores().len() > 1 && beside_isolated {
        let lowest = host.allowed().first().and_then(|pcpu| cores.get(&pcpu));
        for pcpu in lowest.into_iter().flat_map(|core| &core.pcpus) {
            kept.insert(*pcpu);
        }
    }
    kept
}

/// The id of the vCPU at `position`; beyond all ids where the list is longer than there are ids.
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

/// The pages of one size that nobody holds on a node: all, less those that tenants claim there,
/// less those that the host counts as used and no tenant explains.
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

/// The pages of one size that nobody holds on all nodes together, less those that tenants claim
/// wherever the kernel finds them.
pub(super) fn free_pages_in_all(host: &Host, usage: &Usage, size: PageSize) -> u64 {
    let mut free = 0_u64;
    for record in host.nodes() {
        free = free.saturating_add(free_pages(host, usage, record.id, size));
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
