//! The independent checker: whether a placement is what was asked for, and legal on the host.
//!
//! It shares no code with what makes placements: everything is derived again from the host's
//! records, in plain loops. A mistake in the engine is then not repeated here.
//!
//! It rests on nothing in the placement either. Lists may have the wrong length, ids may name nothing,
//! sums may overflow: each is a violation, and none a panic.

mod cpu;
mod devices;
mod guest;
mod memory;
mod neighbours;
mod pci;
mod peers;
#[cfg(test)]
#[cfg(any())] mod tests;
mod violation;

use std::collections::BTreeMap;

use crate::host::{Core, Host};
use crate::placement::{Cell, Placement, Style};
use crate::question::Question;
use crate::request::Request;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{PcpuId, VcpuId};
use crate::usage::Usage;

pub use neighbours::{WrongWarning, verify_warnings};
pub use violation::{CpuUser, Violation};

/// What all checks look at.
struct Case<'a> {
    host: &'a Host,
    usage: &'a Usage,
    request: &'a Request,
    style: Style,
    cells: &'a [Cell],
    /// By pCPU: its core.
    cores: BTreeMap<PcpuId, &'a Core>,
    /// pCPUs that no vCPU may have.
    housekeeping: CpuSet,
    /// All nodes of all cells.
    nodes: NodeSet,
}

impl Case<'_> {
    /// The first cell that has the vCPU.
    fn cell_of(&self, vcpu: VcpuId) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.vcpus.contains(vcpu))
    }
}

/// Checks `placement` for `request` on `host`, where `usage` says what the other tenants hold. The
/// VM itself must not be among them.
///
/// # Errors
/// Every [`Violation`] found, grouped by subject: CPUs, what the guest sees, memory, devices, the
/// guest's PCIe tree. One mistake may break several rules.
pub fn verify(question: Question<'_>, placement: &Placement) -> Result<(), Vec<Violation>> {
    let Question { host, usage, request, .. } = question;
    // Without `..` here and below: a new field of a placement does not compile until it is checked.
    let Placement {
        name,
        style,
        dedicated,
        memory_mode,
        topology,
        vcpus,
        idle,
        emulator_own,
        emulator,
        iothreads,
        cells,
        devices,
        pci,
        iommu,
        topoext,
    } = placement;
    let mut cores = BTreeMap::new();
    for core in host.cores() {
        for pcpu in &core.pcpus {
            cores.insert(*pcpu, core);
        }
    }
    let mut nodes = NodeSet::new();
    for cell in cells {
        nodes.extend(&cell.nodes);
    }
    let housekeeping = housekeeping(host, &cores);
    let case = Case { host, usage, request, style: *style, cells, cores, housekeeping, nodes };
    let mut found = Vec::new();
    if *name != request.spec().name {
        found.push(Violation::Name { found: name.clone(), wanted: request.spec().name.clone() });
    }
    let cpus = cpu::Cpus {
        dedicated: *dedicated,
        threads: topology.threads,
        vcpus,
        idle,
        emulator_own,
        emulator,
        iothreads,
    };
    cpus.check(&case, &mut found);
    guest::check(&case, topology, *iommu, *topoext, &mut found);
    memory::check(&case, *memory_mode, &mut found);
    devices::check(&case, devices, pci, &mut found);
    pci::check(&case, devices, pci, &mut found);
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// The reserved pCPUs; where there are none, the core of the lowest allowed pCPU, unless it is the
/// only core or all allowed pCPUs are isolated.
fn housekeeping(host: &Host, cores: &BTreeMap<PcpuId, &Core>) -> CpuSet {
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
fn vcpu_id(position: usize) -> VcpuId {
    VcpuId(u32::try_from(position).unwrap_or(u32::MAX))
}
