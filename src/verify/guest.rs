//! Checks of the guest's view: its topology, its cells and their distances.

use std::collections::BTreeSet;

use super::case::Case;
use super::violation::Violation;
use crate::host::CpuVendor;
use crate::placement::{GuestTopology, Style};
use crate::request::{Guest, Policy};
use crate::sets::{CpuSet, VcpuSet};
use crate::units::{CellId, Distance, VcpuId};

/// What the guest is shown of its CPUs, and the pCPUs of its vCPUs.
pub(super) struct Shown<'a> {
    pub(super) topology: &'a GuestTopology,
    pub(super) vcpus: &'a [CpuSet],
    pub(super) iommu: bool,
    pub(super) topoext: bool,
}

pub(super) fn check(case: &Case<'_>, shown: &Shown<'_>, found: &mut Vec<Violation>) {
    let Shown { topology, vcpus: pins, iommu, topoext } = *shown;
    let GuestTopology { sockets, dies, cores, threads } = *topology;
    let request = case.request;
    let vcpus = request.spec().vcpus;
    let product =
        sockets.checked_mul(dies).and_then(|n| n.checked_mul(cores)?.checked_mul(threads));
    if product == Some(vcpus) {
        cores_whole(case, threads, found);
        let most = most_sockets(case, pins, topoext);
        if u64::from(sockets) > most {
            found.push(Violation::Sockets { found: sockets, most });
        }
    } else {
        found.push(Violation::Topology { topology: *topology, vcpus });
    }
    if case.style.shows_smt() != (threads > 1) {
        found.push(Violation::StyleThreads { style: case.style, threads });
    }
    if let Some(wanted) = request.spec().smt.required().filter(|_| case.style != Style::Default) {
        if wanted != (threads > 1) {
            found.push(Violation::Smt { threads, wanted });
        }
    }
    let vendor = case.host.cpu_vendor();
    if topoext != (vendor == CpuVendor::Amd && threads > 1) {
        found.push(Violation::Topoext { found: topoext, threads, vendor });
    }
    if iommu != (vcpus > 255) {
        found.push(Violation::Iommu { found: iommu, vcpus });
    }
    let cells = case.cells.len();
    if cells == 0 {
        found.push(Violation::NoCells);
    }
    if case.style.shows_cells() != (cells > 1) {
        found.push(Violation::StyleCells { style: case.style, cells });
    }
    if let Some(wanted) = request.spec().cells.required().filter(|_| case.style != Style::Default) {
        if usize::try_from(wanted) != Ok(cells) {
            found.push(Violation::CellCount { found: cells, wanted });
        }
    }
    partition(case, found);
    nodes(case, pins, found);
    distances(case, found);
}

/// vCPUs are numbered with the threads innermost.
fn cores_whole(case: &Case<'_>, threads: u32, found: &mut Vec<Violation>) {
    // The product is the number of vCPUs, so there is a thread, and the division is exact.
    let cores = case.request.spec().vcpus.checked_div(threads).unwrap_or(0);
    for core in 0..cores {
        let mut first: Option<CellId> = None;
        for thread in 0..threads {
            let Some(cell) = case.cell_of(VcpuId(core * threads + thread)) else { continue };
            let first = *first.get_or_insert(cell.id);
            if first != cell.id {
                found.push(Violation::CoreStraddles { core, first, second: cell.id });
                break;
            }
        }
    }
}

/// The most sockets that a guest may see: one for each package of the host that a vCPU may run in;
/// where Linux takes every socket for one L3, one for each cell if these are more. Windows sees
/// one, and so does a guest whose vCPUs run anywhere.
fn most_sockets(case: &Case<'_>, pins: &[CpuSet], topoext: bool) -> u64 {
    if case.request.spec().guest == Guest::Windows {
        return 1;
    }
    let mut packages = BTreeSet::new();
    for pcpu in pins.iter().flat_map(CpuSet::iter) {
        packages.extend(case.cores.get(&pcpu).map(|core| core.id.package));
    }
    let cells =
        if case.host.cpu_vendor() == CpuVendor::Intel || topoext { 1 } else { case.cells.len() };
    packages.len().max(cells).max(1) as u64
}

/// The cells are numbered from 0, and every vCPU is in exactly one of them.
fn partition(case: &Case<'_>, found: &mut Vec<Violation>) {
    let mut missing = VcpuSet::new();
    for vcpu in 0..case.request.spec().vcpus {
        missing.insert(VcpuId(vcpu));
    }
    let all = missing.clone();
    for (position, cell) in case.cells.iter().enumerate() {
        if usize::try_from(cell.id.0) != Ok(position) {
            found.push(Violation::CellId { position, found: cell.id });
        }
        if cell.vcpus.is_empty() {
            found.push(Violation::CellEmpty { cell: cell.id });
        }
        let beyond = cell.vcpus.difference(&all);
        if !beyond.is_empty() {
            found.push(Violation::CellVcpus { cell: cell.id, vcpus: beyond });
        }
        for other in &case.cells[..position] {
            let vcpus = cell.vcpus.intersection(&other.vcpus);
            if !vcpus.is_empty() {
                let (first, second) = (other.id, cell.id);
                found.push(Violation::CellsOverlap { first, second, vcpus });
            }
        }
        missing = missing.difference(&cell.vcpus);
    }
    // A placement without cells has a violation of its own.
    if !missing.is_empty() && !case.cells.is_empty() {
        found.push(Violation::InNoCell { vcpus: missing });
    }
}

fn nodes(case: &Case<'_>, pins: &[CpuSet], found: &mut Vec<Violation>) {
    for cell in case.cells {
        if cell.nodes.is_empty() && case.style != Style::Default {
            found.push(Violation::NoNodes { cell: cell.id });
        }
        for node in cell.nodes.iter() {
            if case.host.node(node).is_none() {
                found.push(Violation::NoSuchNode { cell: cell.id, node });
            }
        }
    }
    let required = case.request.spec().policies.one_node == Policy::Require;
    // A floating vCPU may run on several; an offline pCPU has a violation of its own.
    let mut nodes = case.nodes.clone();
    for pcpu in pins.iter().flat_map(CpuSet::iter) {
        if let Some(core) = case.cores.get(&pcpu) {
            nodes.insert(core.node);
        }
    }
    if required && nodes.len() != 1 && case.style != Style::Default {
        found.push(Violation::NotOneNode { nodes });
    }
}

fn distances(case: &Case<'_>, found: &mut Vec<Violation>) {
    let wanted = case.cells.len();
    // The positions of the nodes that exist; the others have no distance to compare.
    let mut nodes: Vec<Vec<usize>> = Vec::new();
    for cell in case.cells {
        let named = case.host.nodes().iter().enumerate();
        nodes.push(named.filter(|(_, node)| cell.nodes.contains(node.id)).map(|n| n.0).collect());
    }
    for (from, cell) in case.cells.iter().enumerate() {
        if cell.distances.len() != wanted {
            let count = cell.distances.len();
            found.push(Violation::DistanceCount { cell: cell.id, found: count, wanted });
            continue;
        }
        for (to, distance) in cell.distances.iter().enumerate() {
            let right =
                if from == to { Distance::LOCAL } else { farthest(case, &nodes[from], &nodes[to]) };
            if *distance != right {
                found.push(Violation::Distance {
                    from: cell.id,
                    to: case.cells[to].id,
                    found: *distance,
                    wanted: right,
                });
            }
        }
    }
}

/// The largest distance between the nodes of two cells in either direction, but at least 11: a
/// guest takes 10 as the distance of a cell to itself.
fn farthest(case: &Case<'_>, from: &[usize], to: &[usize]) -> Distance {
    let nodes = case.host.nodes();
    let mut farthest = Distance(11);
    for &a in from {
        for &b in to {
            farthest = farthest.max(nodes[a].distances[b]).max(nodes[b].distances[a]);
        }
    }
    farthest
}
