//! Checks of the guest's view: its topology, its cells and their distances.

use super::case::Case;
use super::violation::Violation;
use crate::host::CpuVendor;
use crate::placement::{GuestTopology, Style};
use crate::request::Policy;
use crate::sets::VcpuSet;
use crate::units::{CellId, Distance, VcpuId};

pub(super) fn check(
    case: &Case<'_>,
    topology: &GuestTopology,
    iommu: bool,
    topoext: bool,
    found: &mut Vec<Violation>,
) {
    let GuestTopology { sockets, dies, cores, threads } = *topology;
    let request = case.request;
    let vcpus = request.spec().vcpus;
    let product =
        sockets.checked_mul(dies).and_then(|n| n.checked_mul(cores)?.checked_mul(threads));
    if product == Some(vcpus) {
        sockets_whole(case, sockets, found);
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
    nodes(case, found);
    distances(case, found);
}

/// Every virtual socket is inside one cell. vCPUs are numbered socket by socket.
fn sockets_whole(case: &Case<'_>, sockets: u32, found: &mut Vec<Violation>) {
    // The product of the topology is the number of vCPUs, so there is a socket and the division is
    // exact.
    let each = case.request.spec().vcpus.checked_div(sockets).unwrap_or(0);
    for socket in 0..sockets {
        let mut first: Option<CellId> = None;
        for offset in 0..each {
            let Some(cell) = case.cell_of(VcpuId(socket * each + offset)) else { continue };
            let first = *first.get_or_insert(cell.id);
            if first != cell.id {
                found.push(Violation::SocketStraddles { socket, first, second: cell.id });
                break;
            }
        }
    }
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

fn nodes(case: &Case<'_>, found: &mut Vec<Violation>) {
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
    if required && case.nodes.len() != 1 && case.style != Style::Default {
        found.push(Violation::NotOneNode { nodes: case.nodes.clone() });
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
