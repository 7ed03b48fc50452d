//! Rules about what the guest sees of its CPUs and cells.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::scene::Scene;
use crate::host::CpuVendor;
use crate::placement::GuestTopology;
use crate::sets::{CellSet, VcpuSet};
use crate::units::{Id as _, PackageId, VcpuId};

/// More vCPUs than this need x2APIC, which needs an emulated IOMMU.
const XAPIC_VCPUS: usize = 255;
/// Windows' client editions ignore further sockets.
const WINDOWS_SOCKETS: u32 = 2;

fn row(first: u32, number: u32) -> VcpuSet {
    (first..first.saturating_add(number).min(VcpuId::LIMIT)).map(VcpuId).collect()
}

fn number(n: usize) -> Option<u64> {
    u64::try_from(n).ok()
}

pub(super) fn cells_cut_cores(scene: &Scene<'_>) -> Option<Facts> {
    let domain = scene.domain;
    let threads = domain.topology.threads.max(1);
    let mut cell_of = vec![None; domain.vcpus.len()];
    for (cell, at) in domain.cells.iter().zip(0..) {
        let own = cell.vcpus.iter().filter_map(|vcpu| usize::try_from(vcpu.0).ok());
        for vcpu in own.filter(|vcpu| *vcpu < domain.vcpus.len()) {
            cell_of[vcpu] = Some(at);
        }
    }
    let mut vcpus = VcpuSet::new();
    for (core, first) in cell_of.chunks(threads as usize).zip((0..).step_by(threads as usize)) {
        if core.iter().any(|cell: &Option<usize>| *cell != core[0]) {
            vcpus.extend(&row(first, threads));
        }
    }
    let cells = domain.cells.iter().filter(|cell| cell.vcpus.intersects(&vcpus));
    let cells: CellSet = cells.map(|cell| cell.id).collect();
    let shown = domain.shows_cells && threads > 1 && !vcpus.is_empty();
    shown.then(|| Facts { vcpus, cells, ..Facts::default() })
}

/// The packages of the host that the vCPUs may be on; all if some vCPU is held to no pCPU.
fn packages(scene: &Scene<'_>) -> usize {
    let all = scene.host.packages().len();
    if scene.all_stated() { scene.span.packages.len().max(1) } else { all }
}

pub(super) fn many_sockets(scene: &Scene<'_>) -> Option<Facts> {
    let domain = scene.domain;
    let cells = if domain.shows_cells { domain.cells.len() } else { 1 };
    let right = number(packages(scene).max(cells));
    let found = Some(u64::from(domain.topology.sockets));
    (found > right && windows_sockets(scene).is_none()).then(|| Facts {
        found,
        right,
        ..Facts::default()
    })
}

pub(super) fn windows_sockets(scene: &Scene<'_>) -> Option<Facts> {
    let sockets = scene.domain.topology.sockets;
    let ignored = scene.domain.windows && sockets > WINDOWS_SOCKETS;
    let (found, right) = (Some(u64::from(sockets)), Some(1));
    ignored.then(|| Facts { found, right, ..Facts::default() })
}

pub(super) fn sockets_straddle(scene: &Scene<'_>) -> Option<Facts> {
    let GuestTopology { sockets, dies, cores, threads } = scene.domain.topology;
    let size = dies.saturating_mul(cores).saturating_mul(threads);
    let mut vcpus = VcpuSet::new();
    for socket in 0..if sockets > 1 { sockets } else { 0 } {
        let own = row(socket.saturating_mul(size), size);
        let pcpus = own.iter().filter_map(|v| scene.single.get(v.0 as usize).copied().flatten());
        let packages: BTreeSet<PackageId> =
            pcpus.filter_map(|pcpu| scene.host.core_of(pcpu)).map(|c| c.id.package).collect();
        if packages.len() > 1 {
            vcpus.extend(&own);
        }
    }
    let count = u32::try_from(scene.domain.vcpus.len()).unwrap_or(u32::MAX);
    let vcpus = vcpus.intersection(&row(0, count));
    (!vcpus.is_empty()).then(|| Facts { vcpus, ..Facts::default() })
}

pub(super) fn topoext(scene: &Scene<'_>) -> Option<Facts> {
    let domain = scene.domain;
    let amd = scene.host.cpu_vendor() == CpuVendor::Amd;
    let lost = amd && domain.topology.threads > 1 && domain.cpu.host && !domain.cpu.topoext;
    lost.then(|| Facts { found: Some(u64::from(domain.topology.threads)), ..Facts::default() })
}

pub(super) fn no_iommu(scene: &Scene<'_>) -> Option<Facts> {
    let vcpus = scene.domain.vcpus.len();
    let (found, right) = (number(vcpus), number(XAPIC_VCPUS));
    let lost = vcpus > XAPIC_VCPUS && !scene.domain.iommu;
    lost.then(|| Facts { found, right, ..Facts::default() })
}

pub(super) fn caches_hidden(scene: &Scene<'_>) -> Option<Facts> {
    let domain = scene.domain;
    let hidden = domain.cpu.host && !domain.cpu.caches && scene.all_stated();
    let found = number(scene.span.l3.len());
    hidden.then(|| Facts { found, ..Facts::default() })
}

pub(super) fn cpu_model(scene: &Scene<'_>) -> Option<Facts> {
    let given: Vec<_> = scene.domain.devices.iter().map(|device| device.address).collect();
    let named = !scene.domain.cpu.host && scene.domain.is_held_by_vfio();
    named.then(|| Facts { devices: given, ..Facts::default() })
}
