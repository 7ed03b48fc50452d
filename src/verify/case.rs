//! The input common to all checks, and the checker's own reading of what is reserved and what is
//! free.

use std::collections::BTreeMap;

use crate::host::{Core, Host};
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
}

impl Case<'_> {
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

/// The reserved pCPUs. If none are reserved: the core of the lowest allowed pCPU, unless it is the
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

/// The free pages of one size on all nodes together, less those that tenants claim without naming a
/// node.
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
