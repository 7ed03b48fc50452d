//! Nodes: their pCPUs, memory, page pools and distances.

use super::cpu::SysfsCpus;
use super::note::SysfsNote;
use super::problem::SysfsError;
use super::tree::Tree;
use crate::cores::adopt;
use crate::notes::Notes;
use pinwise::host::NodeSpec;
use pinwise::host::PagePool;
use pinwise::sets::{CpuSet, NodeSet};
use pinwise::units::{Bytes, Distance, Id as _, NodeId, PageSize};

const FOLDER: &str = "sys/devices/system/node";
/// The machine's pools over all nodes.
const POOLS: &str = "sys/kernel/mm";

pub(super) fn read(
    tree: &Tree<'_>,
    cpus: &SysfsCpus,
    notes: &mut Notes,
) -> Result<Vec<NodeSpec>, SysfsError> {
    let ids = tree.numbered(FOLDER, "node")?;
    if let Some(id) = ids.iter().find(|id| **id >= NodeId::LIMIT) {
        return Err(tree.bad(FOLDER, &format!("node{id}"), "a node in range"));
    }
    if ids.is_empty() {
        // A kernel without NUMA support, or a container: one node holds everything.
        notes.add(SysfsNote::NoNodes);
        let (memory, pools) = memory(tree, NodeId(0), "proc/meminfo", POOLS, notes)?;
        let cpus = cpus.online.clone();
        let node = NodeSpec { id: NodeId(0), cpus, memory, pools, distances: Vec::new() };
        let mut nodes = vec![node];
        promised(tree, &mut nodes, notes)?;
        return Ok(nodes);
    }
    let mut nodes = Vec::with_capacity(ids.len());
    let mut seen = CpuSet::new();
    for id in ids.into_iter().map(NodeId) {
        let folder = format!("{FOLDER}/node{id}");
        let file = |name: &str| format!("{folder}/{name}");
        let listed = tree.cpus(&file("cpulist"), &file("cpumap"))?.unwrap_or_default();
        let listed = listed.intersection(&cpus.online);
        if listed.intersects(&seen) {
            let pcpus = listed.intersection(&seen);
            notes.add(SysfsNote::OnSeveralNodes { pcpus, node: id });
        }
        let (memory, pools) = memory(tree, id, &file("meminfo"), &folder, notes)?;
        let own = listed.difference(&seen);
        seen.extend(&listed);
        nodes.push(NodeSpec { id, cpus: own, memory, pools, distances: Vec::new() });
    }
    adopt(&mut nodes, &cpus.cores, &seen, notes);
    distances(tree, &mut nodes, notes)?;
    promised(tree, &mut nodes, notes)?;
    forbidden(tree, &mut nodes, notes)?;
    Ok(nodes)
}

/// Nodes that a cgroup forbids to this process keep their memory, but none of it is free.
fn forbidden(tree: &Tree<'_>, nodes: &mut [NodeSpec], notes: &mut Notes) -> Result<(), SysfsError> {
    const STATUS: &str = "proc/self/status";
    let text = tree.text(STATUS)?.unwrap_or_default();
    let Some(list) = text.lines().find_map(|line| line.strip_prefix("Mems_allowed_list:")) else {
        return Ok(());
    };
    let list = list.trim();
    let allowed: NodeSet = list.parse().map_err(|_| tree.bad(STATUS, list, "a list of nodes"))?;
    if !nodes.iter().any(|node| allowed.contains(node.id) && node.memory != Bytes::ZERO) {
        notes.add(SysfsNote::MemoryForbidden { file: STATUS, list: list.to_owned() });
        return Ok(());
    }
    let is_closed = |node: &&mut NodeSpec| !allowed.contains(node.id) && node.memory != Bytes::ZERO;
    let mut closed = NodeSet::new();
    for node in nodes.iter_mut().filter(is_closed) {
        node.pools.iter_mut().for_each(|pool| pool.free = 0);
        closed.insert(node.id);
    }
    if !closed.is_empty() {
        notes.add(SysfsNote::NodesClosed { file: STATUS, list: list.to_owned(), closed });
    }
    Ok(())
}

/// Subtracts promised pages. Free pages may be promised to processes that mapped but have not
/// touched them yet, as VMs do with most of their memory after their start. The kernel counts these
/// for the whole machine and not by node, so they count as taken on every node where they could be.
fn promised(tree: &Tree<'_>, nodes: &mut [NodeSpec], notes: &mut Notes) -> Result<(), SysfsError> {
    for name in tree.names(&format!("{POOLS}/hugepages"))? {
        let Some(size) = page_size(&name) else { continue };
        let path = format!("{POOLS}/hugepages/{name}/resv_hugepages");
        let pages: u64 = tree.value(&path, "a number of pages")?.unwrap_or(0);
        let mut pools: Vec<_> = nodes.iter_mut().flat_map(|node| &mut node.pools).collect();
        pools.retain(|pool| pool.size == size && pool.free > 0);
        if pages == 0 || pools.is_empty() {
            continue;
        }
        if pools.len() > 1 {
            notes.add(SysfsNote::PagesPromised { pages, page_size: size });
        }
        for pool in pools {
            pool.free = pool.free.saturating_sub(pages);
        }
    }
    Ok(())
}

/// The page size of a name such as `hugepages-2048kB`.
fn page_size(name: &str) -> Option<PageSize> {
    let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
    PageSize::from_kib(kib.parse().ok()?)
}

/// The rows in the order of the nodes. If one row is not of relative distances, the whole table is
/// ignored: firmware that got one row wrong cannot be trusted with the others.
fn distances(tree: &Tree<'_>, nodes: &mut [NodeSpec], notes: &mut Notes) -> Result<(), SysfsError> {
    let mut rows = Vec::with_capacity(nodes.len());
    for (at, node) in nodes.iter().enumerate() {
        let text = tree.text(&format!("{FOLDER}/node{}/distance", node.id))?.unwrap_or_default();
        let row: Vec<_> =
            text.split_whitespace().map(|word| word.parse().ok().map(Distance)).collect();
        let sound = |(to, distance): (usize, &Option<Distance>)| match distance {
            Some(distance) if to == at => *distance == Distance::LOCAL,
            Some(distance) => *distance > Distance::LOCAL,
            None => false,
        };
        if row.len() != nodes.len() || !row.iter().enumerate().all(sound) {
            let row = text.chars().filter(|c| !c.is_control()).take(40).collect();
            notes.add(SysfsNote::BadDistances { node: node.id, row });
            return Ok(());
        }
        rows.push(row.into_iter().flatten().collect());
    }
    for (node, row) in nodes.iter_mut().zip(rows) {
        node.distances = row;
    }
    Ok(())
}

/// A node's memory and its pools; `pools` is the folder that contains the folder `hugepages`.
/// Surplus pages vanish once they are free, but count as pages; otherwise their holders would hold
/// more than the total.
fn memory(
    tree: &Tree<'_>,
    id: NodeId,
    meminfo: &str,
    pools: &str,
    notes: &mut Notes,
) -> Result<(Bytes, Vec<PagePool>), SysfsError> {
    let text = tree.text(meminfo)?;
    if text.is_none() {
        notes.add(SysfsNote::NoMeminfo { file: meminfo.to_owned(), node: id });
    }
    let text = text.unwrap_or_default();
    // "Node 0 MemTotal: 5073100 kB" and "MemTotal: 5073100 kB".
    let field = |name: &str| -> Result<Bytes, SysfsError> {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(key, _)| key.split_whitespace().last() == Some(name));
        let Some((_, value)) = found else { return Ok(Bytes::ZERO) };
        let number = value.split_whitespace().next().unwrap_or_default();
        let kib: u64 = number
            .parse()
            .map_err(|_| tree.bad(meminfo, value.trim(), &format!("{name} in kB")))?;
        Ok(Bytes::from_kib(kib))
    };
    let memory = field("MemTotal")?;
    let mut rest = memory;
    let mut found = Vec::new();
    for name in tree.names(&format!("{pools}/hugepages"))? {
        let Some(size) = page_size(&name) else { continue };
        let count = |file: &str| -> Result<u64, SysfsError> {
            let path = format!("{pools}/hugepages/{name}/{file}");
            Ok(tree.value(&path, "a number of pages")?.unwrap_or(0))
        };
        let (told, free) = (count("nr_hugepages")?, count("free_hugepages")?);
        let total = told.min(rest.0 / size.bytes());
        if total != told || free > total {
            let (node, page_size, memory) = (id, size, rest);
            notes.add(SysfsNote::PagesCut { node, page_size, told, free, memory });
        }
        rest = rest.saturating_sub(size.times(total));
        // Arm has hugepages no larger than another kernel's base page; an empty pool is
        // meaningless.
        if size.is_huge() || total > 0 {
            found.push(PagePool { size, total, free: free.min(total) });
        }
    }
    // Page cache can be dropped for a guest, so it counts as free; slab may not be droppable. sysfs
    // does not show the size of the base page: 4 KiB is assumed, because only the sum matters.
    let free = [field("MemFree")?, field("Active(file)")?, field("Inactive(file)")?];
    let free: u64 = free.iter().fold(0, |sum, part| sum.saturating_add(part.0));
    let base = PageSize::KIB_4;
    let total = rest.0 / base.bytes();
    found.retain(|pool| pool.size != base);
    found.push(PagePool { size: base, total, free: (free / base.bytes()).min(total) });
    found.sort_unstable();
    Ok((memory, found))
}
