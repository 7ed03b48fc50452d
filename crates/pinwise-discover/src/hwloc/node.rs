//! Nodes, with their pCPUs, memory and page pools.

use super::cpu::LstopoCpus;
use super::distances;
use super::element::LstopoElement;
use super::note::LstopoNote;
use super::problem::LstopoError;
use super::walk::Found;
use crate::cores::adopt;
use crate::notes::Notes;
use pinwise::host::NodeSpec;
use pinwise::host::PagePool;
use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, NodeId, PageSize};

pub(super) fn finish(
    root: LstopoElement<'_>,
    machine: LstopoElement<'_>,
    found: &Found<'_>,
    cpus: &LstopoCpus,
    notes: &mut Notes,
) -> Result<Vec<NodeSpec>, LstopoError> {
    let mut nodes = Vec::with_capacity(found.nodes.len().max(1));
    for node in &found.nodes {
        let listed = node.element.cpus("cpuset")?.unwrap_or_default();
        let (memory, pools) = memory(node.id, node.element, notes)?;
        let cpus = listed.intersection(&cpus.online);
        nodes.push(NodeSpec { id: node.id, cpus, memory, pools, distances: Vec::new() });
    }
    if nodes.is_empty() {
        // hwloc 1 wrote no node for a machine without NUMA; the memory is in the machine's object.
        let id = NodeId(0);
        let (memory, pools) = memory(id, machine, notes)?;
        let cpus = cpus.online.clone();
        nodes.push(NodeSpec { id, cpus, memory, pools, distances: Vec::new() });
    }
    nodes.sort_by_key(|node| node.id);
    let seen = divide(&mut nodes, notes);
    adopt(&mut nodes, &cpus.cores, &seen, notes);
    if nodes.iter().all(|node| node.memory == Bytes::ZERO) {
        notes.add(LstopoNote::NoMemory);
    } else {
        notes.add(LstopoNote::AllFree);
    }
    distances::fill(root, machine, found, &mut nodes, notes)?;
    Ok(nodes)
}

/// Assigns every pCPU to one node, and returns the assigned pCPUs.
///
/// hwloc lists nearby pCPUs for a node without pCPUs of its own: those of the object that the node
/// is attached to. So if several nodes list a pCPU, it belongs to the node that lists the fewest
/// pCPUs, and among equals to the first, as kernels number nodes with pCPUs first.
fn divide(nodes: &mut [NodeSpec], notes: &mut Notes) -> CpuSet {
    let mut order: Vec<_> = (0..nodes.len()).collect();
    order.sort_by_key(|at| nodes.get(*at).map(|node| (node.cpus.len(), node.id)));
    let mut taken = CpuSet::new();
    for at in order {
        let Some(node) = nodes.get_mut(at) else { continue };
        let own = node.cpus.difference(&taken);
        if own != node.cpus {
            let pcpus = node.cpus.intersection(&taken);
            notes.add(LstopoNote::Nearer { pcpus, node: node.id });
        }
        taken.extend(&own);
        node.cpus = own;
    }
    taken
}

/// The memory of a node and its pools: hugepages as counted, and the rest as pages of 4 KiB, as
/// only the sum of base pages matters.
fn memory(
    id: NodeId,
    element: LstopoElement<'_>,
    notes: &mut Notes,
) -> Result<(Bytes, Vec<PagePool>), LstopoError> {
    let mut told = Vec::new();
    for page in element.children("page_type") {
        let (Some(size), Some(count)) = (page.number("size")?, page.number("count")?) else {
            continue;
        };
        told.push((size, count));
    }
    let paged = told
        .iter()
        .fold(0_u64, |sum, (size, count)| sum.saturating_add(size.saturating_mul(*count)));
    let memory = Bytes(element.number("local_memory")?.unwrap_or(paged));
    let mut rest = memory;
    let mut pools: Vec<PagePool> = Vec::new();
    for (size, told) in told {
        let page = PageSize::from_kib(size / 1024).filter(|page| page.bytes() == size);
        let Some(size) = page.filter(|page| page.is_huge()) else { continue };
        if pools.iter().any(|pool| pool.size == size) {
            notes.add(LstopoNote::PoolTwice { node: id, page_size: size });
            continue;
        }
        let total = told.min(rest.0 / size.bytes());
        if total != told {
            let (node, page_size, memory) = (id, size, rest);
            notes.add(LstopoNote::PagesCut { node, page_size, told, memory });
        }
        rest = rest.saturating_sub(size.times(total));
        pools.push(PagePool { size, total, free: total });
    }
    let base = PageSize::KIB_4;
    let total = rest.0 / base.bytes();
    pools.push(PagePool { size: base, total, free: total });
    pools.sort_unstable();
    Ok((memory, pools))
}
