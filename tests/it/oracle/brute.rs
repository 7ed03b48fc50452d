//! Every legal way to place a VM on a tiny host, without any of the engine's thoughts: all sets of
//! cores and of GPUs, all page sizes, all that the guest may be shown. What is legal the checker
//! says; what it is worth, the public scoring function.
//!
//! The space, where the design and not the checker draws the line:
//! - the VM's nodes are those with a vCPU; memory on other nodes is tried only where the request
//!   names memory nodes, or some node with a vCPU has no memory for the VM, and the guest then has
//!   one cell;
//! - a cell is one node, all of it that the VM has; pages are interleaved over several nodes only;
//! - floating vCPUs may run on all that is free on their node, and show no siblings;
//! - of the cores of one kind on a node, those on which the fewest tenants float come first, and a
//!   faster core on which some float comes before a slower one;
//! - where cores are whole, emulator pCPUs of its own are not on cores with dedicated vCPUs.
//!
//! Cores that agree in node, package, L3 domain, kind and the state of their pCPUs are one class,
//! and only how many of a class are taken is tried: nothing that is checked or scored tells them
//! apart.

use std::collections::{BTreeMap, BTreeSet};

use pinwise::engine::{Profile, score};
use pinwise::host::{Core, CoreKind, CpuVendor, DeviceKind, PciDevice, Reserve, RootComplex};
use pinwise::placement::{
    Cell, ExpanderBus, GuestFunction, GuestPci, GuestPort, GuestTopology, MemoryMode, PlacedDevice,
};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::{CellId, Distance, NodeId, PcpuId, VcpuId};
use pinwise::{
    Bytes, Claim, CpuSet, Host, NodeSet, Options, PageSize, PciAddr, Placement, Policy, Question,
    Request, Score, Style, Usage, verify,
};

use pinwise_testkit::case::Built;

/// Where the vCPUs and the other threads are.
#[derive(Clone)]
struct Cpus {
    dedicated: bool,
    threads: u32,
    vcpus: Vec<CpuSet>,
    /// By vCPU, ascending.
    nodes: Vec<NodeId>,
    doubled: Option<Doubled>,
    idle: CpuSet,
    own: CpuSet,
    emulator: CpuSet,
}

/// Where cores may carry two vCPUs of two guest cores.
#[derive(Debug, Clone)]
struct Doubled {
    /// The number of cores of each node, which must be too few for the VM's nodes to have one for
    /// each vCPU.
    cores: BTreeMap<NodeId, usize>,
    /// Whether the cores are whole.
    whole: bool,
    /// Whether one node alone would show its siblings instead.
    shows: bool,
}

struct Brute<'a> {
    host: &'a Host,
    usage: &'a Usage,
    request: &'a Request,
    options: &'a Options,
    /// Allowed, held and closed by nobody, not the host's; where the VM is to have L3 domains of
    /// its own, of those where nobody has dedicated pCPUs.
    usable: CpuSet,
    /// Whether the VM is to have L3 domains of its own.
    own_l3: bool,
    gpus: Vec<Vec<PciAddr>>,
    best: BTreeMap<Style, (Score, Placement)>,
    tried: usize,
}

/// What the search found.
pub(crate) struct Found {
    /// The best of each style that has any.
    pub(crate) best: BTreeMap<Style, (Score, Placement)>,
    /// How many placements were scored.
    pub(crate) tried: usize,
}

/// The best legal placement of every style.
pub(crate) fn search(case: &Built, options: &Options) -> Found {
    let Built { host, usage, request } = case;
    let usable = host.allowed().difference(usage.dedicated()).difference(&kept(host));
    let usable = usable.difference(&closed(host, usage));
    let usable: CpuSet = usable.iter().filter(|pcpu| wants(host, request, *pcpu)).collect();
    let gpus = gpu_sets(host, usage, request);
    let (best, tried) = (BTreeMap::new(), 0);
    let all = usable.clone();
    let own_l3 = false;
    let mut brute = Brute { host, usage, request, options, usable, own_l3, gpus, best, tried };
    for own_l3 in [true, false] {
        if request.spec().shared.is_some() {
            break;
        }
        if own_l3 && request.spec().policies.own_l3 == Policy::Ignore {
            continue;
        }
        brute.own_l3 = own_l3;
        brute.usable = match own_l3 {
            true => all.difference(&around(host, usage.dedicated(), same_l3)),
            false => all.clone(),
        };
        for threads in [1, 2] {
            brute.dedicated(threads);
        }
        // Where whole cores do not matter, the others count as well.
        let policy = request.spec().policies.whole_cores;
        let is_tried = |whole: &bool| match policy {
            Policy::Require => *whole,
            Policy::Prefer => true,
            Policy::Ignore => !*whole,
        };
        for whole in [true, false].into_iter().filter(is_tried) {
            brute.doubled(whole);
        }
    }
    for cpus in brute.floating() {
        brute.place(&cpus);
    }
    Found { best: brute.best, tried: brute.tried }
}

fn same_core(a: &Core, b: &Core) -> bool {
    a.id == b.id
}

fn same_l3(a: &Core, b: &Core) -> bool {
    (a.id.package, a.l3) == (b.id.package, b.l3)
}

/// The pCPUs of all cores that are near one of these pCPUs.
fn around(host: &Host, cpus: &CpuSet, near: fn(&Core, &Core) -> bool) -> CpuSet {
    let all = host.cores();
    let of = |other: &Core| all_of(other).intersects(cpus);
    let near = all.iter().filter(|core| all.iter().any(|other| of(other) && near(core, other)));
    near.flat_map(|core| core.pcpus.iter().copied()).collect()
}

/// What tenants close around their dedicated pCPUs.
fn closed(host: &Host, usage: &Usage) -> CpuSet {
    let mut closed = CpuSet::new();
    for (_, claim) in usage.tenants() {
        if claim.whole_cores {
            closed.extend(&around(host, &claim.dedicated, same_core));
        }
        if claim.own_l3 {
            closed.extend(&around(host, &claim.dedicated, same_l3));
        }
    }
    closed.difference(usage.dedicated()).difference(&kept(host))
}

/// Whether the pCPU is among those, and on one of the nodes, that the request is held to.
fn wants(host: &Host, request: &Request, pcpu: PcpuId) -> bool {
    let spec = request.spec();
    let node = host.core_of(pcpu).map(|core| core.node);
    spec.cpus.as_ref().is_none_or(|cpus| cpus.contains(pcpu))
        && spec.nodes.as_ref().is_none_or(|ids| node.is_some_and(|id| ids.contains(id)))
}

/// The pCPUs that the host keeps. The generated hosts isolate none and tell no sizes of caches.
fn kept(host: &Host) -> CpuSet {
    if host.description().reserved != Reserve::Auto || host.cores().len() < 2 {
        return host.reserved();
    }
    let fast = |core: &Core| core.kind == CoreKind::Performance;
    let beside_gpu =
        |core: &Core| host.gpus().iter().any(|gpu| !gpu.integrated && gpu.node == Some(core.node));
    let allowed = host.allowed().iter().filter_map(|pcpu| host.core_of(pcpu));
    // Of equal ones the first is taken.
    let core = allowed.min_by_key(|core| (fast(core), beside_gpu(core)));
    core.map(all_of).unwrap_or_default()
}

fn all_of(core: &Core) -> CpuSet {
    core.pcpus.iter().copied().collect()
}

fn only(pcpu: PcpuId) -> CpuSet {
    [pcpu].into_iter().collect()
}

fn gpu_sets(host: &Host, usage: &Usage, request: &Request) -> Vec<Vec<PciAddr>> {
    match &request.spec().gpus {
        GpuRequest::Addresses(named) => {
            let mut named = named.clone();
            named.sort_unstable();
            vec![named]
        }
        // The checker tells which of them the request may have.
        GpuRequest::Count { count, .. } | GpuRequest::VfOf { count, .. } => {
            let wants_virtual = matches!(request.spec().gpus, GpuRequest::VfOf { .. });
            let gpus = host.pci().devices().iter().filter(|d| d.kind() == DeviceKind::Gpu);
            let all = gpus.filter(|d| d.physical_function.is_some() == wants_virtual);
            let all: Vec<PciAddr> = all.map(|gpu| gpu.address).collect();
            let subsets = (0_u32..1 << all.len()).filter(|mask| mask.count_ones() == *count);
            let members = |mask: u32| -> Vec<PciAddr> {
                (0..all.len()).filter(|at| mask & (1 << at) != 0).map(|at| all[at]).collect()
            };
            let sets = subsets.map(members);
            if wants_virtual {
                sets.filter(|set| !spreads(host, usage, set)).collect()
            } else {
                sets.collect()
            }
        }
    }
}

/// Whether virtual functions of several cards are on one node where a card has as many of its own:
/// the design leaves the other cards whole.
fn spreads(host: &Host, usage: &Usage, set: &[PciAddr]) -> bool {
    let place = |address: &PciAddr| {
        let device = host.pci().get(*address).expect("an address of the host");
        (device.node, device.physical_function)
    };
    let places: BTreeSet<_> = set.iter().map(place).collect();
    let nodes: BTreeSet<_> = places.iter().map(|(node, _)| node).collect();
    let held =
        |address: PciAddr| usage.tenants().any(|(_, claim)| claim.devices.contains(&address));
    let has_enough = |(node, card): &(Option<NodeId>, Option<PciAddr>)| {
        let functions = host.pci().devices().iter().filter(|d| d.physical_function == *card);
        let free = functions.filter(|d| d.node == *node && !held(d.address));
        free.count() >= set.len() && !card.is_some_and(held)
    };
    let all = host.pci().devices().iter().filter(|d| d.physical_function.is_some());
    let mut cards = all.map(|d| (d.node, d.physical_function)).filter(|(n, _)| nodes.contains(n));
    places.len() > 1 && nodes.len() == 1 && cards.any(|card| has_enough(&card))
}

impl Brute<'_> {
    /// All ways to take cores for pinned vCPUs.
    fn dedicated(&mut self, threads: u32) {
        if !self.request.spec().vcpus.is_multiple_of(threads) {
            return;
        }
        let cores = self.host.cores().iter();
        let mut classes: BTreeMap<_, Vec<&Core>> = BTreeMap::new();
        let kept = kept(self.host);
        for core in
            cores.filter(|core| all_of(core).intersection(&self.usable).len() >= threads as usize)
        {
            let state = |p: &PcpuId| {
                let held = self.usage.dedicated().contains(*p);
                // What the host keeps closes a core; what the request leaves out does not.
                let wanted = (wants(self.host, self.request, *p), kept.contains(*p));
                (self.usable.contains(*p), held, self.host.allowed().contains(*p), wanted)
            };
            let mut states: Vec<_> = core.pcpus.iter().map(state).collect();
            states.sort_unstable();
            let key = (core.node, core.id.package, core.l3, core.kind, states, self.load(core));
            classes.entry(key).or_default().push(core);
        }
        let classes: Vec<Vec<&Core>> = classes.into_values().collect();
        let mut counts = vec![0; classes.len()];
        loop {
            let taken = counts.iter().sum::<usize>();
            let left = classes.iter().zip(&counts).flat_map(|(class, count)| &class[*count..]);
            let left: Vec<&Core> = left.copied().collect();
            let used = classes.iter().zip(&counts).flat_map(|(class, count)| &class[..*count]);
            let spares = used.copied().all(|core| self.spares_crowds(core, &left));
            if taken == (self.request.spec().vcpus / threads) as usize && spares {
                let taken = classes.iter().zip(&counts);
                let cores = taken.flat_map(|(class, count)| &class[..*count]);
                let cores: Vec<(&Core, u32)> = cores.map(|core| (*core, threads)).collect();
                self.pinned(&cores, threads, None);
            }
            // The next vector of counts, like an odometer.
            let Some(at) = (0..counts.len()).find(|at| counts[*at] < classes[*at].len()) else {
                return;
            };
            counts[at] += 1;
            counts[..at].fill(0);
        }
    }

    /// The number of tenants that float on a core, up to 3.
    fn load(&self, core: &Core) -> usize {
        let floats = |pcpu: &PcpuId| {
            self.usage.tenants().filter(|(_, claim)| claim.floating.contains(*pcpu)).count()
        };
        core.pcpus.iter().map(floats).max().unwrap_or(0).min(3)
    }

    /// Whether no core of its node that is left would be taken before this one: of its kind, with
    /// fewer tenants that float on it, or of a faster kind, even with tenants that float.
    fn spares_crowds(&self, taken: &Core, left: &[&Core]) -> bool {
        let before = |other: &Core| {
            let of_kind = other.kind == taken.kind && self.load(other) < self.load(taken);
            of_kind || (other.kind < taken.kind && self.load(other) > 0)
        };
        // Cores are whole for the sake of the VM, or are not asked to be.
        let any = self.request.spec().policies.whole_cores == Policy::Ignore;
        let whole = |other: &Core| any || self.is_whole(other) || !self.is_whole(taken);
        !left.iter().any(|other| other.node == taken.node && whole(other) && before(other))
    }

    /// All ways to take cores where some carry two vCPUs, although the guest is shown a core for each
    /// vCPU: as few such cores as possible on each node. [`Brute::must_double`] tells whether the VM's nodes have
    /// a core for each.
    fn doubled(&mut self, whole: bool) {
        let vcpus = self.request.spec().vcpus as usize;
        let (host, usable) = (self.host, self.usable.clone());
        if self.request.spec().smt.required().is_some() {
            return;
        }
        let room = |core: &Core| all_of(core).intersection(&usable).len().min(2);
        let cores = host.cores().iter().filter(|core| !whole || self.is_whole(core));
        let cores: Vec<&Core> = cores.filter(|core| room(core) > 0).collect();
        let mut taken = vec![0; cores.len()];
        loop {
            let used = |core: &Core| {
                let at = cores.iter().position(|other| other.id == core.id);
                at.map_or(0, |at| taken[at])
            };
            let of_node = |node| cores.iter().filter(move |core| core.node == node);
            let of_all = |node| of_node(node).count();
            let mut nodes: Vec<NodeId> =
                cores.iter().filter(|core| used(core) > 0).map(|core| core.node).collect();
            nodes.dedup();
            let fewest = nodes.iter().all(|node| {
                let double = of_node(*node).any(|core| used(core) == 2);
                !double || of_node(*node).all(|core| used(core) > 0)
            });
            let packages: BTreeSet<_> = cores.iter().map(|core| core.id.package).collect();
            let in_one = |package| {
                let here = |core: &&&Core| core.id.package == package && nodes[0] == core.node;
                let pairs = cores.iter().filter(here).filter(|core| room(core) == 2).count();
                pairs * 2 >= vcpus && vcpus.is_multiple_of(2)
            };
            let of_first = |core: &&&Core| Some(&core.node) == nodes.first();
            let in_first: BTreeSet<_> =
                cores.iter().filter(of_first).map(|core| core.id.package).collect();
            let shows = nodes.len() == 1
                && in_first.len() > 1
                && packages.iter().any(|package| in_one(*package));
            let left = cores.iter().zip(&taken).filter(|(_, taken)| **taken == 0);
            let left: Vec<&Core> = left.map(|(core, _)| *core).collect();
            let mut in_use = cores.iter().filter(|core| used(core) > 0);
            let spares = in_use.all(|core| self.spares_crowds(core, &left));
            if taken.iter().sum::<usize>() == vcpus && fewest && spares {
                let cores = cores.iter().zip(&taken).filter(|(_, vcpus)| **vcpus > 0);
                let cores: Vec<(&Core, u32)> =
                    cores.map(|(core, vcpus)| (*core, *vcpus as u32)).collect();
                let of_nodes = self.host.nodes().iter().map(|node| (node.id, of_all(node.id)));
                let doubled = Doubled { cores: of_nodes.collect(), whole, shows };
                self.pinned(&cores, 1, Some(doubled));
            }
            let Some(at) = (0..cores.len()).find(|at| taken[*at] < room(cores[*at])) else {
                return;
            };
            taken[at] += 1;
            taken[..at].fill(0);
        }
    }

    /// Whether cores have to carry two vCPUs each on these nodes. For required equal cells that
    /// could not show siblings instead, each node counts alone. Where all would carry two, siblings
    /// are shown instead, unless they had better be hidden.
    fn must_double(&self, doubled: &Doubled, nodes: &BTreeSet<NodeId>) -> bool {
        let Doubled { cores, whole, shows } = doubled;
        let spec = self.request.spec();
        let vcpus = spec.vcpus as usize;
        let each = vcpus / nodes.len();
        let alike = spec.even_cells && spec.cells.required().is_some_and(|cells| cells > 1);
        let in_all: usize = nodes.iter().map(|id| cores[id]).sum();
        let lacks = match alike && !(*whole && each.is_multiple_of(2)) {
            true => nodes.iter().any(|id| cores[id] < each),
            false => in_all < vcpus,
        };
        let hides = spec.smt == Wish::Prefer(false);
        lacks && (in_all * 2 != vcpus || hides) && !(*shows && nodes.len() == 1)
    }

    fn pinned(&mut self, cores: &[(&Core, u32)], threads: u32, doubled: Option<Doubled>) {
        let mut cores = cores.to_vec();
        cores.sort_by_key(|(core, _)| core.node);
        let empty = CpuSet::new();
        let mut cpus = Cpus {
            dedicated: true,
            threads,
            vcpus: Vec::new(),
            nodes: Vec::new(),
            doubled,
            idle: empty.clone(),
            own: empty.clone(),
            emulator: empty,
        };
        let mut beside = CpuSet::new();
        for (core, vcpus) in &cores {
            beside.extend(&all_of(core));
            let mut usable = all_of(core).intersection(&self.usable);
            for pcpu in
                core.pcpus.iter().filter(|p| self.usable.contains(**p)).take(*vcpus as usize)
            {
                usable.remove(*pcpu);
                cpus.vcpus.push(only(*pcpu));
                cpus.nodes.push(core.node);
            }
            cpus.idle.extend(&usable);
        }
        let mut vcpus = CpuSet::new();
        cpus.vcpus.iter().for_each(|set| vcpus.extend(set));
        let whole_cores = self.request.spec().policies.whole_cores;
        if self.request.spec().emulator_pcpus > 0 {
            let whole = whole_cores == Policy::Require;
            if !whole {
                // Siblings of its vCPUs too, which then are not idle.
                let own = self.usable.difference(&vcpus);
                let idle = CpuSet::new();
                self.place(&Cpus { idle, emulator: own.clone(), own, ..cpus.clone() });
            }
            for core in self.host.cores().iter().filter(|core| !all_of(core).intersects(&beside)) {
                if self.is_whole(core) || !whole {
                    cpus.own.extend(&all_of(core).intersection(&self.usable));
                }
            }
            // All that may be taken: more than asked for is legal.
            cpus.emulator = cpus.own.clone();
        } else {
            let free = self.for_emulators().difference(&vcpus);
            match free.first() {
                Some(pcpu) => cpus.emulator = only(pcpu),
                None if self.roams() => {}
                None => return,
            }
        }
        self.place(&cpus);
    }

    /// Whether emulator threads may go without a pCPU.
    fn roams(&self) -> bool {
        self.host.description().reserved == Reserve::None
    }

    /// Where emulator threads may run beside other work: held by nobody, and allowed or reserved.
    fn for_emulators(&self) -> CpuSet {
        let all = self.host.allowed().union(&self.host.reserved());
        let all = all.difference(self.usage.dedicated());
        let (all, kept) = (all.difference(&closed(self.host, self.usage)), kept(self.host));
        all.iter().filter(|p| kept.contains(*p) || wants(self.host, self.request, *p)).collect()
    }

    /// Whether a VM can have the core for itself: what it cannot use, nobody can.
    fn is_whole(&self, core: &Core) -> bool {
        let kept = kept(self.host);
        let dead = |p: PcpuId| {
            let wanted = wants(self.host, self.request, p) || kept.contains(p);
            let usable = self.host.allowed().contains(p) && wanted;
            !usable && !self.usage.dedicated().contains(p)
        };
        core.pcpus.iter().all(|p| self.usable.contains(*p) || dead(*p))
    }

    /// The number of vCPUs that may share these pCPUs of a node.
    fn shared_room(&self, set: &CpuSet) -> u64 {
        let overcommit = self.request.spec().shared.map_or(1000, |shared| shared.overcommit.0);
        let left = |pcpu: PcpuId| {
            let here = self.usage.tenants().filter(|(_, claim)| claim.floating.contains(pcpu));
            let part = |(_, claim): (&str, &Claim)| {
                u64::from(claim.floating_vcpus) * 1_000_000 / claim.floating.len() as u64
            };
            (u64::from(overcommit) * 1000).saturating_sub(here.map(part).sum())
        };
        set.iter().map(left).sum::<u64>() / 1_000_000
    }

    /// All node sets for vCPUs that float.
    fn floating(&self) -> Vec<Cpus> {
        let mut all_cpus = Vec::new();
        let spec = self.request.spec();
        if spec.policies.dedicated_cpus == Policy::Require && spec.shared.is_none() {
            return all_cpus;
        }
        let nodes = self.host.nodes();
        let free_on = |id: NodeId| {
            let node = self.host.node(id).expect("a node of the host");
            self.usable.intersection(&node.cpus)
        };
        for mask in 1_u32..1 << nodes.len() {
            let chosen: Vec<NodeId> = (0..nodes.len())
                .filter(|at| mask & (1 << at) != 0)
                .map(|at| nodes[at].id)
                .collect();
            let whole_sets: Vec<CpuSet> = chosen.iter().map(|id| free_on(*id)).collect();
            let all = whole_sets.iter().fold(CpuSet::new(), |all, set| all.union(set));
            // The emulator's own pCPU is one that no vCPU could have, or else from some set.
            // Without one, it is where the vCPUs are or beside them.
            let own = spec.emulator_pcpus > 0;
            let outside = self.usable.difference(&all).first();
            let carved = own && outside.is_none();
            let from = if carved { 0..whole_sets.len() } else { 0..1 };
            for carve in from {
                let mut sets = whole_sets.clone();
                let pcpu = match own {
                    false => self.for_emulators().union(&all).first(),
                    true => outside.or_else(|| {
                        let set = &mut sets[carve];
                        // The one that the vCPUs miss least.
                        let pcpu = set.iter().max_by_key(|pcpu| {
                            let core = self.host.core_of(*pcpu);
                            let core = core.expect("an online pCPU has a core");
                            (all_of(core).intersection(set).len() > 1, core.kind)
                        })?;
                        set.remove(pcpu);
                        Some(pcpu)
                    }),
                };
                let Some(pcpu) = pcpu else { continue };
                let room: Vec<u64> = sets.iter().map(|set| self.shared_room(set)).collect();
                let vcpus = u64::from(spec.vcpus);
                let alike = shared(&room, vcpus).filter(|_| spec.even_cells);
                for counts in splits(&room, vcpus).into_iter().chain(alike) {
                    let mut cpus = Cpus {
                        dedicated: false,
                        threads: 1,
                        vcpus: Vec::new(),
                        nodes: Vec::new(),
                        doubled: None,
                        idle: CpuSet::new(),
                        own: if own { only(pcpu) } else { CpuSet::new() },
                        emulator: only(pcpu),
                    };
                    for ((set, id), count) in sets.iter().zip(&chosen).zip(counts) {
                        let count = count as usize;
                        cpus.vcpus.extend(vec![set.clone(); count]);
                        cpus.nodes.extend(vec![*id; count]);
                    }
                    all_cpus.push(cpus);
                }
            }
        }
        all_cpus
    }

    /// The free pages of a node, without the base pages that the host keeps.
    fn pages_on(&self, id: NodeId, size: PageSize) -> u64 {
        let node = self.host.node(id).expect("a node of the host");
        let kept = if size.is_huge() { 0 } else { self.host.kept_memory(node).0 };
        let free = self.usage.free_pages(self.host, id, size);
        free.saturating_sub(kept.div_ceil(size.bytes()))
    }

    /// Everything else, given the pCPUs.
    fn place(&mut self, cpus: &Cpus) {
        let mut with_vcpus = cpus.nodes.clone();
        with_vcpus.dedup();
        let held = self.request.spec().memory_nodes.as_ref();
        let gives = |id: &NodeId| {
            let node = self.host.node(*id).expect("an id of a node of the host");
            let named = held.map_or(!node.cpus.is_empty(), |held| held.contains(*id));
            node.memory != Bytes::ZERO && named
        };
        let lends = held.is_some() || !with_vcpus.iter().all(gives);
        let ids = self.host.nodes().iter().map(|node| node.id);
        let others = ids.filter(|id| lends && gives(id) && !with_vcpus.contains(id));
        let others: Vec<NodeId> = others.collect();
        for mask in 0_u32..1 << others.len() {
            let more = (0..others.len()).filter(|at| mask & (1 << at) != 0).map(|at| others[at]);
            let all: BTreeSet<NodeId> = with_vcpus.iter().copied().chain(more).collect();
            if cpus.doubled.as_ref().is_some_and(|doubled| !self.must_double(doubled, &all)) {
                continue;
            }
            let memory: Vec<NodeId> = all.iter().copied().filter(gives).collect();
            if !memory.is_empty() {
                self.place_on(cpus, &memory, memory == with_vcpus);
            }
        }
    }

    /// Everything else, given the pCPUs and the nodes of the memory; with cells, too, if these are
    /// those of the vCPUs.
    fn place_on(&mut self, cpus: &Cpus, nodes: &Vec<NodeId>, may_show: bool) {
        let mut sizes: BTreeSet<PageSize> =
            self.host.nodes().iter().flat_map(|n| n.pools.iter().map(|p| p.size)).collect();
        if let Some(size) = self.request.spec().page_size {
            sizes.retain(|other| *other == size);
        }
        for size in sizes {
            let Some(needed) = size.pages_in(self.request.spec().memory) else { continue };
            let free: Vec<u64> = nodes.iter().map(|n| self.pages_on(*n, size)).collect();
            for gpus in self.gpus.clone() {
                for cells in [false, true] {
                    let single = nodes.len() == 1;
                    let pages = if cells && self.request.spec().even_cells {
                        shared(&free, needed)
                    } else {
                        fill(&free, needed, cells)
                    };
                    let Some(pages) = pages else { continue };
                    let modes: &[MemoryMode] = match (cells, single) {
                        (true, true) => continue,
                        (true, false) if !may_show => continue,
                        (false, false) => &[MemoryMode::Strict, MemoryMode::Interleave],
                        _ => &[MemoryMode::Strict],
                    };
                    for mode in modes {
                        let expanders: &[bool] = if cells { &[false, true] } else { &[false] };
                        for expanders in expanders {
                            let pages = &pages;
                            let memory = Memory { size, pages, nodes, cells, mode: *mode };
                            self.judge(cpus, &memory, &gpus, *expanders);
                        }
                    }
                }
            }
        }
    }

    /// The number of the fabric partition that has exactly these GPUs.
    fn partition(&self, gpus: &[PciAddr]) -> Option<u32> {
        let same = |listed: &[PciAddr]| {
            listed.len() == gpus.len() && listed.iter().all(|gpu| gpus.contains(gpu))
        };
        self.host.fabric_partitions().iter().find(|p| same(&p.gpus)).map(|partition| partition.id)
    }

    fn judge(&mut self, cpus: &Cpus, memory: &Memory<'_>, gpus: &[PciAddr], expanders: bool) {
        let style = match (memory.cells, cpus.threads > 1) {
            (false, _) if !cpus.dedicated => Style::Float,
            (true, _) if !cpus.dedicated => Style::FloatNuma,
            (false, false) => Style::Pin,
            (false, true) => Style::PinSmt,
            (true, false) => Style::PinNuma,
            (true, true) => Style::PinNumaSmt,
        };
        let devices = self.devices(gpus, |node| {
            let at = memory.nodes.iter().position(|n| Some(*n) == node);
            at.filter(|_| expanders).map(|at| CellId(at as u32))
        });
        if expanders && devices.iter().all(|device| device.cell.is_none()) {
            return;
        }
        let placement = Placement {
            name: self.request.spec().name.clone(),
            style,
            dedicated: cpus.dedicated,
            memory_mode: memory.mode,
            // One socket is legal everywhere.
            topology: GuestTopology {
                sockets: 1,
                dies: 1,
                cores: self.request.spec().vcpus / cpus.threads,
                threads: cpus.threads,
            },
            vcpus: cpus.vcpus.clone(),
            idle: cpus.idle.clone(),
            emulator_own: cpus.own.clone(),
            emulator: cpus.emulator.clone(),
            iothreads: vec![cpus.emulator.clone(); self.request.spec().io_threads as usize],
            cells: self.cells(cpus, memory),
            fabric_partition: self.partition(gpus),
            pci: self.guest_pci(&devices),
            devices,
            iommu: false,
            topoext: self.host.cpu_vendor() == CpuVendor::Amd && cpus.threads > 1,
            whole_cores: cpus.dedicated && self.claims_cores(cpus),
            own_l3: self.own_l3 && cpus.dedicated,
        };
        self.tried += 1;
        let profile = Profile::of(self.host, self.request, &placement);
        let profile = profile.beside(self.host, self.usage, &placement);
        let score = score(self.request, self.options, &profile, 0);
        if self.best.get(&style).is_none_or(|(best, _)| score.total > best.total)
            && verify(Question::new(self.host, self.usage, self.request), &placement).is_ok()
        {
            self.best.insert(style, (score, placement));
        }
    }

    /// Whether the placement says that its cores are its own: where whole cores are required, and
    /// its own set of pCPUs leaves no siblings to others.
    fn claims_cores(&self, cpus: &Cpus) -> bool {
        let mut own = cpus.own.union(&cpus.idle);
        cpus.vcpus.iter().for_each(|set| own.extend(set));
        let siblings = around(self.host, &own, same_core).intersection(self.host.allowed());
        let siblings = siblings.difference(&kept(self.host));
        let set = self.request.spec().cpus.as_ref();
        self.request.spec().policies.whole_cores == Policy::Require
            && set.is_none_or(|set| siblings.is_subset(set))
    }

    fn cells(&self, cpus: &Cpus, memory: &Memory<'_>) -> Vec<Cell> {
        let Memory { size, pages, nodes, cells, .. } = *memory;
        let vcpus = |on: &[NodeId]| {
            let at = (0..).map(VcpuId).zip(&cpus.nodes);
            at.filter(|(_, node)| !cells || on.contains(node)).map(|(vcpu, _)| vcpu).collect()
        };
        let distance = |a: NodeId, b: NodeId| {
            let told = self.host.distance(a, b).expect("the nodes are the host's");
            if a == b { Distance::LOCAL } else { told }
        };
        let cell = |id: u32, on: &[NodeId], pages: &[u64]| Cell {
            id: CellId(id),
            nodes: on.iter().copied().collect::<NodeSet>(),
            vcpus: vcpus(on),
            memory: Bytes(pages.iter().sum::<u64>() * size.bytes()),
            page_size: size,
            pages: on.iter().copied().zip(pages.iter().copied()).filter(|p| p.1 > 0).collect(),
            distances: match cells {
                true => nodes.iter().map(|to| distance(on[0], *to)).collect(),
                false => vec![Distance::LOCAL],
            },
        };
        match cells {
            true => (0..nodes.len())
                .map(|at| cell(at as u32, &nodes[at..=at], &pages[at..=at]))
                .collect(),
            false => vec![cell(0, nodes, pages)],
        }
    }

    fn devices(
        &self,
        gpus: &[PciAddr],
        cell: impl Fn(Option<NodeId>) -> Option<CellId>,
    ) -> Vec<PlacedDevice> {
        let records = self.host.pci().devices();
        let named: Vec<PciAddr> =
            gpus.iter().chain(&self.request.spec().devices).copied().collect();
        let mut given: BTreeSet<PciAddr> = named.iter().copied().collect();
        let mut placed = Vec::new();
        for (position, address) in named.into_iter().enumerate() {
            let record = self.host.pci().get(address);
            let of_card = records.iter().filter(|other| record.is_some_and(|own| card(own, other)));
            let functions = of_card.map(|other| other.address).filter(|a| given.insert(*a));
            let node = record.and_then(|record| record.node);
            placed.push(PlacedDevice {
                address,
                is_gpu: position < gpus.len(),
                node,
                cell: cell(node),
                functions: functions.collect(),
                withheld: Vec::new(),
            });
        }
        // No VM has the rest of their groups.
        for device in &mut placed {
            let own = device.functions.iter().chain([&device.address]);
            let groups: Vec<u32> =
                own.filter_map(|own| self.host.pci().get(*own)?.iommu_group).collect();
            let in_group = records.iter().filter(|other| {
                let bridge = matches!(other.class.0 >> 8, 0x0600 | 0x0604);
                other.iommu_group.is_some_and(|group| groups.contains(&group)) && !bridge
            });
            let rest = in_group.map(|other| other.address).filter(|a| given.insert(*a));
            device.withheld = rest.collect();
        }
        placed
    }

    fn guest_pci(&self, devices: &[PlacedDevice]) -> GuestPci {
        let mut pci = GuestPci::default();
        let mut bus_nr = 200;
        for device in devices {
            let mut top = device.address;
            while let Some(above) = self.host.pci().get(top).and_then(|record| record.parent) {
                top = above;
            }
            let root = RootComplex { domain: top.domain, bus: top.bus };
            // An expander for each device would be legal too; one for each cell and root is
            // simpler.
            let mut known = pci.expanders.iter();
            let known = known.find(|e| Some(e.cell) == device.cell && e.root == root).copied();
            let mut next = (pci.expanders.len() + pci.ports.len()) as u32 + 1;
            let expander = device.cell.map(|cell| {
                known.unwrap_or_else(|| {
                    let new = ExpanderBus { index: next, cell, bus_nr, root };
                    bus_nr += 10;
                    next += 1;
                    pci.expanders.push(new);
                    new
                })
            });
            let parent = expander.map_or(0, |expander| expander.index);
            let slot = pci.ports.iter().filter(|port| port.parent == parent).count() as u8;
            pci.ports.push(GuestPort { index: next, parent, slot: expander.map(|_| slot) });
            let functions = [device.address].into_iter().chain(device.functions.iter().copied());
            for (host, function) in functions.zip(0..) {
                let multifunction = function == 0 && !device.functions.is_empty();
                pci.functions.push(GuestFunction { host, port: next, function, multifunction });
            }
        }
        pci
    }
}

/// Whether `other` is of the card of the whole GPU `gpu`: its sound, or its USB-C. These hosts have
/// no GPU in a processor that has more than sound.
fn card(gpu: &PciDevice, other: &PciDevice) -> bool {
    let slot = |device: &PciDevice| PciAddr { function: 0, ..device.address };
    gpu.kind() == DeviceKind::Gpu
        && gpu.physical_function.is_none()
        && gpu.address != other.address
        && slot(gpu) == slot(other)
        && gpu.vendor == other.vendor
        && matches!(other.class.0 >> 8, 0x0403 | 0x0c03 | 0x0c80)
}

struct Memory<'a> {
    size: PageSize,
    pages: &'a [u64],
    nodes: &'a [NodeId],
    cells: bool,
    mode: MemoryMode,
}

/// Some way to take `needed` from the pools, if asked at least one from each.
fn fill(free: &[u64], needed: u64, one_each: bool) -> Option<Vec<u64>> {
    let least = u64::from(one_each);
    if free.iter().any(|free| *free < least) || needed < least * free.len() as u64 {
        return None;
    }
    let mut taken = vec![least; free.len()];
    let mut left = needed - least * free.len() as u64;
    for (taken, free) in taken.iter_mut().zip(free) {
        let more = left.min(free - *taken);
        *taken += more;
        left -= more;
    }
    (left == 0).then_some(taken)
}

/// Every way to take at least one from each pool.
fn splits(free: &[u64], needed: u64) -> Vec<Vec<u64>> {
    let Some((first, rest)) = free.split_first() else {
        return if needed == 0 { vec![Vec::new()] } else { Vec::new() };
    };
    let with = |taken: u64| {
        let rest = splits(rest, needed - taken);
        rest.into_iter().map(move |rest| [vec![taken], rest].concat())
    };
    (1..=needed.min(*first)).flat_map(with).collect()
}

/// As many of them from each pool.
fn shared(free: &[u64], needed: u64) -> Option<Vec<u64>> {
    let each = needed / free.len() as u64;
    let fits = each * free.len() as u64 == needed && free.iter().all(|free| *free >= each);
    fits.then(|| vec![each; free.len()])
}
