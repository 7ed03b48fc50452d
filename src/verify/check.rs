//! The order of the checks.

use super::case::{Case, cores_by_pcpu, housekeeping};
use super::isolation::{self, Isolation};
use super::violation::Violation;
use super::violations::Violations;
use super::{cpu, devices, fabric, guest, memory, pci};
use crate::placement::Placement;
use crate::question::Question;
use crate::sets::NodeSet;

/// Checks `placement` against the question's request, host and usage. The usage must not include
/// the VM itself.
///
/// # Errors
/// [`Violations`] with every [`Violation`] found, grouped by subject: CPUs, the guest's view,
/// memory, devices, the guest's PCIe tree. One mistake may cause several violations.
pub fn verify(question: Question<'_>, placement: &Placement) -> Result<(), Violations> {
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
        fabric_partition,
        pci,
        iommu,
        topoext,
        whole_cores,
        own_l3,
    } = placement;
    let cores = cores_by_pcpu(host);
    let mut nodes = NodeSet::new();
    for cell in cells {
        nodes.extend(&cell.nodes);
    }
    let housekeeping = housekeeping(host, &cores);
    let style = *style;
    let barred = isolation::barred(host, usage, *own_l3);
    let case = Case { host, usage, request, style, cells, cores, housekeeping, nodes, barred };
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
    let isolation = Isolation { whole_cores: *whole_cores, own_l3: *own_l3 };
    isolation.check(&case, &cpus, &mut found);
    let shown = guest::Shown { topology, vcpus, iommu: *iommu, topoext: *topoext };
    guest::check(&case, &shown, &mut found);
    memory::check(&case, *memory_mode, &mut found);
    devices::check(&case, devices, pci, &mut found);
    fabric::check(&case, devices, *fabric_partition, &mut found);
    pci::check(&case, devices, pci, &mut found);
    Violations::check(found)
}
