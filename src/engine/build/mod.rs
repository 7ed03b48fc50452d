//! From a candidate to a placement: which pCPU each vCPU gets, and all that an emitter prints.

use smallvec::SmallVec;

use crate::engine::refusal::{Fact, one_node};
use crate::host::{Host, KeptWhy};
use crate::placement::{Cell, GuestTopology, MemoryMode, PlacedDevice, Placement, Style};
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{Bytes, CellId, Distance, NodeId, PciAddr, PcpuId};

use crate::engine::search::cpus::CpuPolicy;
use crate::engine::search::gpus::GpuSet;
use crate::free::bundle;
pub(crate) mod pci;
mod topology;
use crate::engine::search::{Candidate, Inventory, emulator_way};
use pci::guest_pci;
use topology::{topoext, topology};

/// The most vCPUs that a guest can have without an IOMMU that remaps interrupts.
const MAX_XAPIC_VCPUS: u32 = 255;

/// The pCPUs of a VM.
#[derive(Debug, Default)]
struct Pcpus {
    vcpus: Vec<CpuSet>,
    idle: CpuSet,
    emulator_own: CpuSet,
    emulator: CpuSet,
    iothreads: Vec<CpuSet>,
}

/// The placement of a candidate.
///
/// # Errors
/// A [`Fact`] if the guest's PCI tree has no room for the devices, or, on hosts whose cores have
/// unequal numbers of usable siblings, no pCPU is left for the emulator threads.
pub(crate) fn build(inventory: &Inventory<'_>, candidate: &Candidate) -> Result<Placement, Fact> {
    let host = inventory.host;
    let pcpus = pick(inventory, candidate)?;
    let ids: Vec<NodeId> = candidate.nodes.iter().map(|at| host.nodes()[*at].id).collect();
    let cells = cells(inventory, candidate, &ids);
    let devices = devices(inventory, candidate, &cells);
    let pci = guest_pci(host, &devices, true)?;
    let CpuPolicy { dedicated, whole, own_l3, .. } = candidate.way;
    let whole_cores = dedicated && whole && holds_cores(inventory, &pcpus);
    Ok(Placement {
        name: inventory.request.spec().name.clone(),
        style: candidate.style,
        dedicated: candidate.way.dedicated,
        memory_mode: candidate.memory,
        topology: topology(host, inventory.request.spec(), candidate),
        vcpus: pcpus.vcpus,
        idle: pcpus.idle,
        emulator_own: pcpus.emulator_own,
        emulator: pcpus.emulator,
        iothreads: pcpus.iothreads,
        cells,
        devices,
        fabric_partition: partition(inventory, candidate.gpus),
        pci,
        iommu: inventory.request.spec().vcpus > MAX_XAPIC_VCPUS,
        topoext: topoext(host, candidate.threads),
        whole_cores,
        own_l3,
    })
}

/// Whether the VM holds all pCPUs of its cores that a VM can have, so that nobody else is on them.
/// It does not where its own set of pCPUs leaves siblings out, or where its emulator alone shares a
/// core.
fn holds_cores(inventory: &Inventory<'_>, pcpus: &Pcpus) -> bool {
    let host = inventory.host;
    let mut own = pcpus.idle.union(&pcpus.emulator_own);
    pcpus.vcpus.iter().for_each(|set| own.extend(set));
    let open = |pcpu: &PcpuId| host.allowed().contains(*pcpu) && !own.contains(*pcpu);
    let mut cores = own.iter().filter_map(|pcpu| host.core_of(pcpu));
    !cores.any(|core| core.pcpus.iter().any(open))
}

/// The default layout with the GPUs of a candidate: the yardstick that predictions are against.
/// `None` where the host has too few pages of any size.
pub(crate) fn default_layout(inventory: &Inventory<'_>, gpus: usize) -> Option<Placement> {
    // What people get who choose nothing: base pages, unless they are too few.
    let mut sizes: Vec<_> = inventory.pages.iter().filter(|p| p.in_all >= p.needed).collect();
    sizes.reverse();
    let page = sizes.first()?.size;
    let vcpus = inventory.request.spec().vcpus;
    let cell = Cell {
        id: CellId(0),
        nodes: NodeSet::new(),
        vcpus: VcpuSet::row(0, vcpus),
        memory: inventory.request.spec().memory,
        page_size: page,
        pages: Vec::new(),
        distances: vec![Distance::LOCAL],
    };
    let set = &inventory.gpus.sets[gpus];
    let devices = placed_devices(inventory, set, |_| None);
    Some(Placement {
        name: inventory.request.spec().name.clone(),
        style: Style::Default,
        dedicated: false,
        memory_mode: MemoryMode::Unbound,
        topology: GuestTopology { sockets: 1, dies: 1, cores: vcpus, threads: 1 },
        vcpus: vec![CpuSet::new(); vcpus as usize],
        idle: CpuSet::new(),
        emulator_own: CpuSet::new(),
        emulator: CpuSet::new(),
        iothreads: vec![CpuSet::new(); inventory.request.spec().io_threads as usize],
        cells: vec![cell],
        fabric_partition: partition(inventory, gpus),
        pci: guest_pci(inventory.host, &devices, false).ok()?,
        devices,
        iommu: vcpus > MAX_XAPIC_VCPUS,
        topoext: false,
        whole_cores: false,
        own_l3: false,
    })
}

/// The fabric partition of a GPU set.
fn partition(inventory: &Inventory<'_>, gpus: usize) -> Option<u32> {
    inventory.host.partition_of(inventory.gpus.sets[gpus].gpus)
}

fn pick(inventory: &Inventory<'_>, candidate: &Candidate) -> Result<Pcpus, Fact> {
    let mut pcpus = Pcpus::default();
    if !candidate.way.dedicated {
        float(inventory, candidate, &mut pcpus);
        return emulator(inventory, candidate, pcpus);
    }
    let stock = inventory.stocks.iter().find(|stock| stock.way == candidate.way);
    let stock = stock.expect("a candidate's way is one of the stocks'");
    pcpus.vcpus.reserve(inventory.request.spec().vcpus as usize);
    // A node that gives memory alone has no vCPU.
    let with_vcpus = candidate.nodes.iter().zip(&candidate.units).filter(|(_, units)| **units > 0);
    for (at, units) in with_vcpus {
        for (core, vcpus) in stock.pick(*at, *units, candidate.threads) {
            // Isolated pCPUs first: they are for vCPUs.
            let mut of_core: SmallVec<[PcpuId; 8]> =
                of_core(inventory, core, candidate.way).collect();
            of_core.sort_by_key(|pcpu| !inventory.host.isolated().contains(*pcpu));
            let (with, without) = of_core.split_at(vcpus as usize);
            pcpus.vcpus.extend(with.iter().map(|pcpu| CpuSet::one(*pcpu)));
            if candidate.way.whole {
                pcpus.idle.extend(&without.iter().copied().collect());
            }
        }
    }
    emulator(inventory, candidate, pcpus)
}

fn of_core<'a>(
    inventory: &'a Inventory<'_>,
    core: usize,
    way: CpuPolicy,
) -> impl Iterator<Item = PcpuId> + 'a {
    inventory.free.of_core(core, &inventory.host.cores()[core], way.isolation())
}

/// vCPUs that share the pool of their node, less the pCPUs that the emulator has alone.
fn float(inventory: &Inventory<'_>, candidate: &Candidate, pcpus: &mut Pcpus) {
    let host = inventory.host;
    let stock = inventory.stocks.iter().find(|stock| stock.way == candidate.way);
    let stock = stock.expect("a candidate's way is one of the stocks'");
    // A node that gives memory alone has no vCPU.
    let free_on = |(at, units): (&usize, &u64)| -> CpuSet {
        let open = || inventory.free.usable.difference(host.isolated());
        if *units == 0 { CpuSet::new() } else { open().intersection(&host.nodes()[*at].cpus) }
    };
    let mut shared: Vec<CpuSet> =
        candidate.nodes.iter().zip(&candidate.units).map(free_on).collect();
    let own = inventory.request.spec().emulator_pcpus as usize;
    let mut room: Vec<u64> = candidate.nodes.iter().map(|at| stock.room(*at, 1)).collect();
    for _ in 0..own {
        // From where most is left.
        let left = |at: &usize| room[*at].saturating_sub(candidate.units[*at]);
        let with_vcpus = (0..shared.len()).filter(|at| candidate.units[*at] > 0);
        let at = with_vcpus.max_by_key(|at| (left(at), usize::MAX - at));
        let Some(at) = at.filter(|at| left(at) > 0) else { break };
        if let Some(pcpu) = spare(host, &shared[at]) {
            shared[at].remove(pcpu);
            room[at] -= 1;
            pcpus.emulator_own.insert(pcpu);
        }
    }
    for (units, shared) in candidate.units.iter().zip(&shared) {
        for _ in 0..*units {
            pcpus.vcpus.push(shared.clone());
        }
    }
}

/// The pCPU of a shared set that its vCPUs miss least: a second thread before a core, a slow core
/// before a fast one, the last of equals.
fn spare(host: &Host, shared: &CpuSet) -> Option<PcpuId> {
    shared.iter().max_by_key(|pcpu| {
        let core = host.core_of(*pcpu);
        let others = core.iter().flat_map(|core| &core.pcpus).filter(|p| shared.contains(**p));
        (others.count() > 1, core.map(|core| core.kind), *pcpu)
    })
}

/// Where emulator threads may run beside others' work: what nobody holds, allowed or reserved.
fn for_emulators(inventory: &Inventory<'_>) -> CpuSet {
    inventory.free.for_emulators(inventory.host)
}

/// Finds pCPUs for the emulator and I/O threads, never one with a dedicated vCPU: its own where it
/// asked for some, else what the host keeps, on the VM's nodes first, else idle siblings beside its
/// vCPUs, else whatever is free.
fn emulator(
    inventory: &Inventory<'_>,
    candidate: &Candidate,
    mut pcpus: Pcpus,
) -> Result<Pcpus, Fact> {
    let (host, request) = (inventory.host, inventory.request);
    let mut local = CpuSet::new();
    candidate.nodes.iter().for_each(|at| local.extend(&host.nodes()[*at].cpus));
    let busy = |pcpus: &Pcpus| {
        let mut busy = CpuSet::new();
        pcpus.vcpus.iter().for_each(|set| busy.extend(set));
        busy
    };
    if request.spec().emulator_pcpus > 0 {
        let busy = busy(&pcpus);
        own_pcpus(inventory, candidate, &busy, &local, &mut pcpus)?;
    }
    if !pcpus.emulator_own.is_empty() {
        pcpus.emulator = pcpus.emulator_own.clone();
        pcpus.iothreads = vec![pcpus.emulator.clone(); request.spec().io_threads as usize];
        return Ok(pcpus);
    }
    let kept = inventory.free.housekeeping.intersection(&for_emulators(inventory));
    let here = kept.intersection(&local);
    if !candidate.way.dedicated {
        // Where vCPUs share pCPUs, so may these threads.
        let own = busy(&pcpus);
        pcpus.emulator =
            [here, kept, own].into_iter().find(|set| !set.is_empty()).unwrap_or_default();
        pcpus.iothreads = vec![pcpus.emulator.clone(); request.spec().io_threads as usize];
        return Ok(pcpus);
    }
    if kept.is_empty() && !pcpus.idle.is_empty() {
        let idle: Vec<PcpuId> = pcpus.idle.iter().collect();
        // One sibling each from the end, so that the first vCPUs, which guests load most, keep
        // their cores to themselves for as long as possible.
        let mut from_the_end = idle.iter().rev().cycle().map(|p| std::iter::once(*p).collect());
        pcpus.emulator = from_the_end.next().unwrap_or_default();
        pcpus.iothreads = from_the_end.take(request.spec().io_threads as usize).collect();
        return Ok(pcpus);
    }
    // Isolated pCPUs are for vCPUs: the host's own work runs elsewhere.
    let isolated = host.kept().why == KeptWhy::AllIsolated;
    let free = inventory.free.usable.difference(&busy(&pcpus));
    let free = if isolated { CpuSet::new() } else { free };
    let choices = [here, kept, free.intersection(&local), free];
    let first = choices.into_iter().find(|set| !set.is_empty());
    pcpus.emulator = match first {
        Some(first) => first,
        // Without a pin they run where the host's own work does.
        None if host.emulators_roam() => CpuSet::new(),
        None => return Err(Fact::NoEmulatorPcpu { needed: 1, free: 0 }),
    };
    pcpus.iothreads = vec![pcpus.emulator.clone(); request.spec().io_threads as usize];
    Ok(pcpus)
}

/// Adds what is missing to the pCPUs for the emulator alone, nearest first: on the VM's nodes,
/// cores without vCPUs, then siblings of the last vCPUs, unless the VM holds its cores whole; then
/// cores of other nodes. Where cores have to be whole, these are. Floating vCPUs have given what
/// their nodes have already.
fn own_pcpus(
    inventory: &Inventory<'_>,
    candidate: &Candidate,
    busy: &CpuSet,
    local: &CpuSet,
    pcpus: &mut Pcpus,
) -> Result<(), Fact> {
    let host = inventory.host;
    let needed = inventory.request.spec().emulator_pcpus as usize;
    let way = emulator_way(inventory.request, candidate.way);
    let Pcpus { vcpus, emulator_own: own, .. } = pcpus;
    let near = |core: &usize| local.contains(host.cores()[*core].pcpus[0]);
    let carries = |core: &usize| host.cores()[*core].pcpus.iter().any(|p| busy.contains(*p));
    let mut free: Vec<usize> = (0..host.cores().len()).filter(|core| !carries(core)).collect();
    if let Some(floaters) = &inventory.free.floaters {
        free.sort_by_key(|core| floaters.load(*core));
    }
    let free = || free.iter().copied();
    let take = |own: &mut CpuSet, core: usize| {
        let wanted = own.len() < needed;
        for pcpu in of_core(inventory, core, way).filter(|_| wanted) {
            if way.whole || own.len() < needed {
                own.insert(pcpu);
            }
        }
    };
    if way.dedicated {
        free().filter(near).for_each(|core| take(own, core));
    }
    if way.dedicated && !candidate.way.whole {
        let cores = vcpus.iter().rev().filter_map(|set| host.core_of(set.first()?));
        for pcpu in cores.flat_map(|core| core.pcpus.iter().copied()) {
            // These cores are the VM's own, so its isolation allows them.
            let may = inventory.free.usable.contains(pcpu) && !busy.contains(pcpu);
            if may && own.len() < needed {
                own.insert(pcpu);
            }
        }
    }
    free().filter(|core| !near(core)).for_each(|core| take(own, core));
    if own.len() < needed {
        return Err(Fact::NoEmulatorPcpu { needed: needed as u64, free: own.len() as u64 });
    }
    Ok(())
}

fn cells(inventory: &Inventory<'_>, candidate: &Candidate, ids: &[NodeId]) -> Vec<Cell> {
    let (host, page) = (inventory.host, candidate.page);
    let memory = |pages: &[u64]| Bytes(pages.iter().map(|n| n * page.bytes()).sum());
    // By node in a row, as they were picked.
    let vcpus_on = |i: usize| -> VcpuSet {
        let first = candidate.units[..i].iter().sum();
        VcpuSet::row(
            small(first) * candidate.threads,
            small(candidate.units[i]) * candidate.threads,
        )
    };
    if !candidate.style.shows_cells() {
        let has_memory = |at: &usize| inventory.memory.contains(*at);
        let home = candidate.nodes.iter().zip(ids).filter(|(at, _)| has_memory(at));
        let share = ids.iter().copied().zip(candidate.pages.iter().copied());
        return vec![Cell {
            id: CellId(0),
            nodes: home.map(|(_, id)| *id).collect(),
            vcpus: VcpuSet::row(0, inventory.request.spec().vcpus),
            memory: memory(&candidate.pages),
            page_size: page,
            pages: share.filter(|(_, pages)| *pages > 0).collect(),
            distances: vec![Distance::LOCAL],
        }];
    }
    // libvirt takes 10 for a cell itself only, which the host's builder has checked.
    let distance = |from, to| host.derived().far(from, to);
    let cell = |(i, number): (usize, u32)| Cell {
        id: CellId(number),
        nodes: one_node(ids[i]),
        vcpus: vcpus_on(i),
        memory: memory(&candidate.pages[i..=i]),
        page_size: page,
        pages: vec![(ids[i], candidate.pages[i])],
        distances: candidate.nodes.iter().map(|to| distance(candidate.nodes[i], *to)).collect(),
    };
    (0..ids.len()).zip(0..).map(cell).collect()
}

fn small(guest_cores: u64) -> u32 {
    u32::try_from(guest_cores).expect("guest cores are at most as many as vCPUs")
}

fn devices(inventory: &Inventory<'_>, candidate: &Candidate, cells: &[Cell]) -> Vec<PlacedDevice> {
    placed_devices(inventory, &inventory.gpus.sets[candidate.gpus], |node| {
        let node = node.filter(|_| candidate.expanders)?;
        cells.iter().find(|cell| cell.nodes.contains(node)).map(|cell| cell.id)
    })
}

fn placed_devices(
    inventory: &Inventory<'_>,
    set: &GpuSet,
    cell: impl Fn(Option<NodeId>) -> Option<CellId>,
) -> Vec<PlacedDevice> {
    let host = inventory.host;
    let gpus = || set.gpus.iter().map(|at| host.gpus()[at].address);
    let mut others: Vec<PciAddr> = inventory.request.spec().devices.clone();
    others.extend(&inventory.gpus.chosen[set.chosen].devices);
    others.sort_unstable();
    let mut given: Vec<PciAddr> = gpus().chain(others.iter().copied()).collect();
    let mut placed = Vec::with_capacity(given.len());
    for (address, is_gpu) in gpus().map(|gpu| (gpu, true)).chain(others.iter().map(|d| (*d, false)))
    {
        let node = host.pci().get(address).and_then(|device| device.node);
        let mut device = PlacedDevice {
            address,
            is_gpu,
            node,
            cell: cell(node),
            functions: Vec::new(),
            withheld: Vec::new(),
        };
        // Functions that are requested on their own are devices of their own.
        for member in host.pci().companions_of(address) {
            if !given.contains(&member) {
                given.push(member);
                device.functions.push(member);
            }
        }
        placed.push(device);
    }
    for device in &mut placed {
        for member in bundle(host, device.address).iter() {
            if !given.contains(member) {
                given.push(*member);
                device.withheld.push(*member);
            }
        }
    }
    placed
}
