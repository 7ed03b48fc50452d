//! The count on a host: its free resources, in the numbers that are packed.

use super::count::Capacity;
use super::exact::{FreeOnNode, MAX_SETS, closed, grow, in_sets, maximal, subsets_of, vms};
use super::packing::{Packing, Resources, most};
use super::shape::{Allowed, GpuBond, Shape};
use crate::free::{FreePages, FreePcpus, Isolation, Pool, bundle, gpus, virtual_gpus};
use crate::host::Host;
use crate::host::mask::{GpuMask, NodeMask};
use crate::sets::CpuSet;
use crate::units::PcpuId;
use crate::usage::Usage;

/// The largest number of GPU sets that are searched.
const MAX_GPU_SETS: usize = 16_384;

/// The largest number of further VMs of `shape` that fit on a host beside its tenants, with each VM
/// placed as well as possible.
///
/// A cell has its vCPUs, pages and GPUs on one node: pCPUs of nodes without memory are not counted,
/// and neither is memory of nodes without CPUs.
///
/// Free means what [`recommend`](crate::engine::recommend) would use: pCPUs that are allowed,
/// dedicated to nobody and not kept for the host, on whole cores if the shape says so; pages that
/// are free on the cell's node; and GPUs of the cell's node whose bundle nobody holds, or virtual
/// functions of such GPUs, as the shape asks. One more
/// pCPU is left for emulator threads if no pCPU outside the VMs' could take them.
#[must_use]
pub fn capacity(host: &Host, usage: &Usage, shape: &Shape) -> Capacity {
    let Some(pages) = shape.page_size.pages_in(shape.memory) else { return Capacity::Exact(0) };
    if shape.cells == 0 || (shape.shared.is_some() && shape.smt) {
        return Capacity::Exact(0);
    }
    if !shape.vcpus.is_multiple_of(shape.threads()) {
        return Capacity::Exact(0);
    }
    // Pages held on no particular node reduce the total.
    let free_pages = FreePages::new(host, usage, shape.page_size);
    let each = u64::from(shape.cells).saturating_mul(pages);
    let most = free_pages.in_all.checked_div(each).unwrap_or(u64::MAX);
    let free = FreeForShape::new(host, usage, shape);
    let with = |kept: Option<PcpuId>| free.capacity(kept, shape, &free_pages, pages).capped(most);
    let all = with(None);
    if shape.shared.is_some()
        || shape.vcpus == 0
        || host.emulators_roam()
        || !free.emulators_need_one()
    {
        return all;
    }
    // Any pCPU may be left for emulator threads: take the one that costs least.
    let mut best = Capacity::Exact(0);
    for kept in free.kinds() {
        let other = with(Some(kept));
        best = Capacity::new(
            best.at_least().max(other.at_least()),
            best.at_most().max(other.at_most()),
        );
    }
    // An idle sibling of a VM can serve its emulator: then no pCPU has to be left.
    let own = shape.whole_cores && free.spare();
    Capacity::new(best.at_least(), if own { all.at_most() } else { best.at_most() })
}

/// The free resources of the host for VMs of one shape.
struct FreeForShape<'a> {
    host: &'a Host,
    gpus: GpuMask,
    threads: usize,
    whole: bool,
    /// The free virtual functions of GPUs on each node.
    virtual_functions: Vec<u64>,
    /// The usable pCPUs of each core, by position in [`Host::cores`].
    cores: Vec<Vec<PcpuId>>,
    /// By node: the number of vCPUs that may float on it, if the shape's do.
    floating: Option<Vec<u64>>,
    /// pCPUs that emulator threads may use and VMs may not.
    aside: CpuSet,
}

impl<'a> FreeForShape<'a> {
    fn new(host: &'a Host, usage: &Usage, shape: &Shape) -> Self {
        let free = FreePcpus::new(host, usage);
        let cores = host.cores().iter().enumerate();
        let cores: Vec<Vec<PcpuId>> = cores
            .map(|(at, core)| free.of_core(at, core, Isolation::whole(shape.whole_cores)).collect())
            .collect();
        let mut aside = free.for_emulators(host);
        let threads = shape.threads() as usize;
        let whole = shape.whole_cores;
        for pcpu in cores.iter().filter(|core| core.len() >= threads).flatten() {
            aside.remove(*pcpu);
        }
        let virtual_functions = virtual_gpus::free_on_nodes(host, usage);
        let gpus = gpus::offered(host, usage);
        let room = |overcommit| {
            let nodes = host.nodes().iter();
            nodes.map(|node| Pool::of(&free, host, node, overcommit).room).collect()
        };
        let floating = shape.shared.map(|shared| room(shared.overcommit));
        Self { host, gpus, virtual_functions, threads, whole, cores, floating, aside }
    }

    /// Whether a pCPU has to be left for emulator threads.
    fn emulators_need_one(&self) -> bool {
        // If every core that a VM takes has an idle pCPU, its emulator needs no other.
        let spare = |core: &Vec<PcpuId>| core.len() < self.threads || core.len() > self.threads;
        self.aside.is_empty() && !(self.whole && self.cores.iter().all(spare))
    }

    /// Whether some core has an idle pCPU beside its vCPUs.
    fn spare(&self) -> bool {
        self.cores.iter().any(|core| core.len() > self.threads)
    }

    /// One pCPU of each kind: pCPUs of one node, on cores with equally many usable pCPUs, are
    /// equivalent.
    fn kinds(&self) -> Vec<PcpuId> {
        let mut seen = std::collections::BTreeMap::new();
        for (core, pcpus) in self.host.cores().iter().zip(&self.cores) {
            if let Some(pcpu) = pcpus.first() {
                seen.entry((core.node, pcpus.len())).or_insert(*pcpu);
            }
        }
        seen.into_values().collect()
    }

    /// The number of cells that a node has cores for, if the pCPU `kept` is left for emulator
    /// threads.
    fn cells(&self, at: usize, kept: Option<PcpuId>, shape: &Shape) -> u64 {
        if let Some(room) = &self.floating {
            return room[at].checked_div(u64::from(shape.vcpus)).unwrap_or(u64::MAX);
        }
        let cores = self.host.derived().nodes[at].cores.clone();
        let units = shape.vcpus as usize / self.threads;
        let room = |core: &Vec<PcpuId>| {
            let kept = kept.is_some_and(|kept| core.contains(&kept));
            let pcpus = if kept && self.whole { 0 } else { core.len() - usize::from(kept) };
            // A cell takes a core at most once: no two of its guest cores share a core.
            let cells = pcpus / self.threads;
            if self.whole { cells.min(1) as u64 } else { cells as u64 }
        };
        let room: Vec<u64> = self.cores[cores].iter().map(room).collect();
        closed(&room, units)
    }

    fn capacity(
        &self,
        kept: Option<PcpuId>,
        shape: &Shape,
        free_pages: &FreePages,
        pages: u64,
    ) -> Capacity {
        let (host, free) = (self.host, self.gpus);
        let facts = &host.derived().gpus;
        let on = |at: usize| free.iter().filter(move |gpu| facts[*gpu].node == Some(at));
        // From here on, what is free is counted in whole cells.
        let cells = |at: usize| {
            let by_pages = free_pages.on_node[at].checked_div(pages).unwrap_or(u64::MAX);
            let by_gpus = (on(at).count() as u64).checked_div(u64::from(shape.gpus));
            let by_functions =
                self.virtual_functions[at].checked_div(u64::from(shape.virtual_functions));
            let by_devices = by_gpus.unwrap_or(u64::MAX).min(by_functions.unwrap_or(u64::MAX));
            self.cells(at, kept, shape).min(by_pages).min(by_devices)
        };
        let room: Vec<u64> = (0..host.nodes().len()).map(cells).collect();
        let groups = groups(host, free);
        let partitions = &host.derived().partitions;
        let gpus = shape.gpus.saturating_mul(shape.cells);
        let apart = groups.iter().all(|group| group.len() == 1);
        let all_linked = |set: GpuMask| set.iter().all(|gpu| set.is_subset(facts[gpu].linked));
        let on_node = |at: usize| on(at).collect();
        let unbound = match shape.bond {
            GpuBond::Any => true,
            GpuBond::Linked if !partitions.is_empty() => false,
            // If all GPUs are linked, any will do; for a VM of one cell, all on the cell's node.
            GpuBond::Linked if shape.cells == 1 => {
                shape.gpus < 2 || (0..room.len()).all(|at| all_linked(on_node(at)))
            }
            GpuBond::Linked => all_linked(free),
            GpuBond::Partition => partitions.is_empty(),
        };
        if gpus == 0 || (apart && unbound) {
            let node = |(at, cells): (usize, &u64)| FreeOnNode {
                cpus: *cells,
                ..FreeOnNode::new(host.nodes()[at].id)
            };
            let nodes: Vec<FreeOnNode> = room.iter().enumerate().map(node).collect();
            let memory = crate::units::Bytes::ZERO;
            return vms(&nodes, &Shape { vcpus: 1, memory, gpus: 0, ..shape.clone() });
        }
        self.with_gpus(shape, room, free, &groups)
    }

    /// The search over sets of GPUs, for hosts where GPUs are not interchangeable.
    fn with_gpus(
        &self,
        shape: &Shape,
        mut room: Vec<u64>,
        free: GpuMask,
        groups: &[GpuMask],
    ) -> Capacity {
        let (host, k) = (self.host, shape.cells as usize);
        let facts = &host.derived().gpus;
        let usable: NodeMask = (0..room.len()).filter(|at| room[*at] > 0).collect();
        let sets = match &shape.allowed {
            Allowed::Any => vec![usable],
            Allowed::Sets(sets) => sets.iter().map(|set| usable & mask_of(host, set)).collect(),
        };
        let upper = in_sets(&room, k, sets.clone()).at_most();
        let (node_sets, mut complete) = subsets_of(&maximal(sets, k), k, MAX_SETS);
        let nodes = room.len();
        room.extend(std::iter::repeat_n(1, groups.len()));
        let mut options: Vec<Resources> = Vec::new();
        let mut add = |node_set: NodeMask, gpus: GpuMask| {
            let linked = gpus.iter().all(|gpu| gpus.is_subset(facts[gpu].linked));
            if shape.bond != GpuBond::Linked || linked {
                let taken = groups.iter().enumerate().filter(|(_, group)| group.intersects(gpus));
                let start = Resources::from(node_set.word());
                options.push(taken.fold(start, |all, (at, _)| all | (1 << (nodes + at))));
            }
        };
        let on = |at: usize| -> GpuMask {
            free.iter().filter(|gpu| facts[*gpu].node == Some(at)).collect()
        };
        let each = shape.gpus as usize;
        let partitions = &host.derived().partitions;
        if shape.bond != GpuBond::Any && !partitions.is_empty() {
            for (node_set, set) in
                node_sets.iter().flat_map(|n| partitions.iter().map(move |p| (n, p)))
            {
                let even = node_set.iter().all(|at| (on(at) & *set).len() as usize == each);
                if even && set.len() as usize == each * k {
                    add(*node_set, *set);
                }
            }
        } else {
            let mut looked = 0;
            for node_set in node_sets {
                let of_nodes: Vec<Vec<usize>> =
                    node_set.iter().map(|at| on(at).iter().collect()).collect();
                complete &= every(&of_nodes, each, GpuMask::EMPTY, &mut |gpus| {
                    add(node_set, gpus);
                    looked += 1;
                    looked < MAX_GPU_SETS
                });
            }
        }
        options.sort_unstable();
        options.dedup();
        // The upper bound of the nodes alone holds whatever the search skipped.
        most(Packing { room, nodes, options, upper, complete })
    }
}

/// Calls `each` with every choice of `count` GPUs of each list, until it returns false. Returns
/// whether all choices were visited.
fn every(
    lists: &[Vec<usize>],
    count: usize,
    set: GpuMask,
    each: &mut impl FnMut(GpuMask) -> bool,
) -> bool {
    // A trait object: otherwise each list would make a type of its own.
    fn step(
        lists: &[Vec<usize>],
        count: usize,
        set: GpuMask,
        each: &mut dyn FnMut(GpuMask) -> bool,
    ) -> bool {
        let Some((first, rest)) = lists.split_first() else { return each(set) };
        grow(first, count, set, &mut |set| step(rest, count, set, each))
    }
    step(lists, count, set, each)
}

fn mask_of(host: &Host, set: &crate::sets::NodeSet) -> NodeMask {
    set.iter().filter_map(|id| host.node_index(id)).collect()
}

/// The free GPUs in groups: giving away one GPU takes its whole group.
fn groups(host: &Host, free: GpuMask) -> Vec<GpuMask> {
    let mut groups: Vec<GpuMask> = Vec::new();
    for at in free.iter() {
        let mut group =
            GpuMask::one(at) | (host.gpu_mask(&bundle(host, host.gpus()[at].address)) & free);
        groups.retain(|other| {
            let joins = other.intersects(group);
            group |= if joins { *other } else { GpuMask::EMPTY };
            !joins
        });
        groups.push(group);
    }
    groups
}
