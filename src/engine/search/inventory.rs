//! The inventory: what is free on one host for one request, taken stock of once and then only read.

use super::cpus::{CpuPolicy, FreeCores};
use super::gpus::GpuSets;
use super::lent::memory;
use super::state::PerNode;
use crate::engine::cost::{NodeRoom as SlotRoom, Slots};
use crate::engine::gpu_tenants::GpuTenants;
use crate::engine::profile::count;
use crate::engine::refusal::Fact;
use crate::engine::score::Options;
use crate::free::{FreePages, FreePcpus, gpus as free_gpus, pages::needed};
use crate::host::Host;
use crate::host::mask::NodeMask;
use crate::question::Question;
use crate::request::{Policy, Request};
use crate::sets::{CpuSet, NodeSet};
use crate::units::PageSize;
use crate::usage::Usage;

/// What is free on one host for one request. Nothing in it changes once it is made.
#[derive(Debug)]
pub(crate) struct Inventory<'a> {
    pub(crate) host: &'a Host,
    pub(crate) usage: &'a Usage,
    pub(crate) request: &'a Request,
    pub(crate) options: &'a Options,
    pub(crate) free: FreePcpus,
    /// The free cores, one entry for each way to take pCPUs, the strictest way first.
    pub(crate) stocks: Vec<FreeCores<'a>>,
    /// The page sizes to try, largest first.
    pub(crate) pages: Vec<Pages>,
    pub(crate) gpus: GpuSets,
    pub(crate) slots: Slots<'a>,
    /// For each requested device: the position of its node, if it is known.
    pub(super) device_nodes: Vec<Option<usize>>,
    /// The nodes in `device_nodes`, as a set.
    pub(super) devices: NodeMask,
    /// The nodes that the request is held to, or all.
    pub(crate) nodes: NodeMask,
    /// The nodes whose memory the VM may have.
    pub(crate) memory: NodeMask,
}

/// One page size to try: the number of pages that the VM needs, and the numbers that are free.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) size: PageSize,
    pub(crate) needed: u64,
    /// Free pages by node position.
    pub(crate) free: PerNode<u64>,
    /// The nodes with a free page of this size.
    pub(super) some: NodeMask,
    /// Free pages of the host, less those that tenants hold on no particular node.
    pub(crate) in_all: u64,
}

impl Pages {
    /// Whether the pages that are free on these nodes suffice for the VM.
    pub(super) fn suffice_on(&self, mask: NodeMask) -> bool {
        let sum = mask.iter().fold(0, |sum: u64, at| sum.saturating_add(self.free[at]));
        sum.min(self.in_all) >= self.needed
    }

    /// Takes away the pages of all nodes but these.
    fn keep(&mut self, nodes: NodeMask) {
        for (at, free) in self.free.iter_mut().enumerate() {
            if !nodes.contains(at) {
                *free = 0;
            }
        }
        self.some &= nodes;
    }
}

impl<'a> Inventory<'a> {
    /// Counts what is free for the request.
    ///
    /// # Errors
    /// The facts that refuse every style: no set of GPUs, or no page size, can serve the request,
    /// or none of the pCPUs, nodes or memory nodes that it is held to can be had.
    pub(crate) fn new(question: Question<'a>) -> Result<Self, Vec<Fact>> {
        let Question { host, usage, request, options } = question;
        let gpus = GpuSets::new(host, usage, request)?;
        let all = FreePcpus::new(host, usage);
        // Other VMs are not held to what this request is held to, and have their cores whole.
        let is_held = request.spec().cpus.is_some() || request.spec().nodes.is_some();
        let shares = request.spec().policies.whole_cores == Policy::Ignore;
        let apart = request.spec().policies.own_l3 != Policy::Ignore;
        let floats = request.spec().shared.is_some();
        let for_others =
            if is_held || shares || apart || floats { all.whole_cores() } else { None };
        let free = all.narrowed(host, request);
        let nodes = nodes(host, request)?;
        let memory = memory(host, request, nodes).map_err(|fact| vec![fact])?;
        if let Some(fact) = unusable(request, &free.usable).filter(|_| free.usable.is_empty()) {
            return Err(vec![fact]);
        }
        let mut stocks: Vec<FreeCores<'a>> = Vec::with_capacity(MAX_WAYS);
        for way in ways(request) {
            let stock = FreeCores::new(host, &free, request, way);
            let doubled = stock.doubled(request);
            stocks.push(stock);
            stocks.extend(doubled);
        }
        let mut pages = pages(host, usage, request)?;
        let whole_cores = |at: usize| match &for_others {
            Some(whole) => u64::from(whole.count(&host.derived().nodes[at].cores)),
            None => stocks[0].nodes[at].cores[0],
        };
        let slots = slots(host, usage, whole_cores, &pages, options)
            .for_one_of(gpus.sets.iter().map(|set| set.gpus));
        pages.iter_mut().for_each(|pages| pages.keep(memory));
        let device_nodes: Vec<Option<usize>> = device_nodes(host, request).collect();
        let devices = device_nodes.iter().flatten().copied().collect();
        Ok(Self {
            host,
            usage,
            request,
            options,
            free,
            stocks,
            pages,
            gpus,
            slots,
            device_nodes,
            devices,
            nodes,
            memory,
        })
    }
}

impl Inventory<'_> {
    /// Whether every GPU must be on a node of the VM.
    pub(super) fn wants_local(&self) -> bool {
        self.request.spec().policies.gpu_locality == Policy::Require
    }
}

/// The most ways to take pCPUs, unless the request prefers L3 domains of its own: two dedicated
/// ones, each with cores that carry two vCPUs as well, and floating.
const MAX_WAYS: usize = 5;

/// The ways in which a request lets pCPUs be taken, the strictest first. Each dedicated one may be
/// followed by its like with cores that carry two vCPUs.
fn ways(request: &Request) -> Vec<CpuPolicy> {
    let strictest = CpuPolicy { dedicated: true, whole: true, doubled: false, own_l3: false };
    let mut ways = Vec::with_capacity(3);
    let own_l3 = request.spec().policies.own_l3;
    for (own_l3, is_tried) in [(true, own_l3 != Policy::Ignore), (false, own_l3 != Policy::Require)]
    {
        if !is_tried {
            continue;
        }
        // Where whole cores do not matter, no idle sibling is held.
        if request.spec().policies.whole_cores != Policy::Ignore {
            ways.push(CpuPolicy { own_l3, ..strictest });
        }
        if request.spec().policies.whole_cores != Policy::Require {
            ways.push(CpuPolicy { whole: false, own_l3, ..strictest });
        }
    }
    if request.spec().shared.is_some() {
        ways.clear();
    }
    if !request.spec().must_dedicate() {
        ways.push(CpuPolicy { dedicated: false, whole: false, doubled: false, own_l3: false });
    }
    ways
}

/// What is free for other VMs, in pages that the request could use.
fn slots<'h>(
    host: &'h Host,
    usage: &Usage,
    cores: impl Fn(usize) -> u64,
    pages: &[Pages],
    options: &Options,
) -> Slots<'h> {
    let free = free_gpus::free(host, usage);
    let on_node = &host.derived().gpu_places.on_node;
    let bytes = |at: usize| {
        let of = |pages: &Pages| pages.free[at].saturating_mul(pages.size.bytes());
        pages.iter().map(of).fold(0, u64::saturating_add)
    };
    let room = |at: usize| SlotRoom {
        gpus: u64::from((on_node[at] & free).len()),
        cores: cores(at),
        bytes: bytes(at),
    };
    let sizes = pages.iter().map(|pages| pages.size);
    let without = || GpuTenants::new(host, usage).rooms_without(sizes, bytes);
    Slots::new(
        host,
        room,
        free,
        &free_gpus::held_by_tenants(host, usage),
        options.expected(),
        without,
    )
}

/// The page sizes that hold the memory exactly, largest first, or only the one asked for.
fn pages(host: &Host, usage: &Usage, request: &Request) -> Result<Vec<Pages>, Vec<Fact>> {
    let mut sizes: Vec<PageSize> =
        host.nodes().iter().flat_map(|node| node.pools.iter().map(|pool| pool.size)).collect();
    sizes.extend(request.spec().page_size);
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    sizes.retain(|size| request.spec().page_size.is_none_or(|wanted| wanted == *size));
    let of = |size: PageSize| {
        let needed = needed(request, size)?;
        let FreePages { on_node: free, in_all } = FreePages::new(host, usage, size);
        let some = free.iter().enumerate().filter(|(_, free)| **free > 0);
        let some = some.map(|(at, _)| at).collect();
        Some(Pages { size, needed, free, some, in_all })
    };
    let pages: Vec<Pages> = sizes.into_iter().filter_map(of).collect();
    if pages.is_empty() {
        return Err(vec![Fact::NoPageSize {
            memory: request.spec().memory,
            page_size: request.spec().page_size,
        }]);
    }
    Ok(pages)
}

/// How pCPUs for the emulator threads may be taken: the VM's cores may be whole unasked, and then
/// these need not be.
pub(crate) fn emulator_way(request: &Request, way: CpuPolicy) -> CpuPolicy {
    let whole = way.dedicated && request.spec().policies.whole_cores == Policy::Require;
    CpuPolicy { whole, ..way }
}

/// The fact that no pCPU is left for the emulator threads, if so.
pub(crate) fn emulator_room(
    inventory: &Inventory<'_>,
    stock: &FreeCores<'_>,
    threads: u32,
    units: u64,
) -> Option<Fact> {
    let own = u64::from(inventory.request.spec().emulator_pcpus);
    let vcpus = units * u64::from(threads);
    let (needed, free) = if own > 0 {
        // Of whole cores, every one that carries vCPUs is taken; those with the fewest pCPUs go
        // first. Cores that carry two are at least half as many as the vCPUs. Of other cores, only
        // the pCPUs with a vCPU are.
        let all = inventory
            .free
            .count(inventory.host, emulator_way(inventory.request, stock.way).isolation());
        let taken = match stock.way {
            CpuPolicy { dedicated: false, .. } | CpuPolicy { whole: false, .. } => vcpus,
            CpuPolicy { doubled: true, .. } => stock.smallest(units.div_ceil(2)),
            _ => stock.smallest(units),
        };
        (own, all.saturating_sub(taken))
    } else if inventory.host.emulators_roam() || !stock.way.dedicated {
        // Where vCPUs share pCPUs, so may the emulator.
        return None;
    } else {
        (1, (inventory.free.for_emulators(inventory.host).len() as u64).saturating_sub(vcpus))
    };
    (free < needed).then_some(Fact::NoEmulatorPcpu { needed, free })
}

/// The nodes that the request is held to, or all.
///
/// # Errors
/// The fact that the host has none of them.
fn nodes(host: &Host, request: &Request) -> Result<NodeMask, Vec<Fact>> {
    let wanted = request.spec().nodes.as_ref();
    let is_in = |at: &usize| wanted.is_none_or(|ids| ids.contains(host.nodes()[*at].id));
    let nodes: NodeMask = (0..host.nodes().len()).filter(is_in).collect();
    match missing_nodes(host, request).filter(|_| nodes.is_empty()) {
        Some(fact) => Err(vec![fact]),
        None => Ok(nodes),
    }
}

/// The fact that the host lacks some of the nodes that the request is held to, if so.
pub(crate) fn missing_nodes(host: &Host, request: &Request) -> Option<Fact> {
    let wanted = request.spec().nodes.as_ref()?;
    let known: NodeSet = host.nodes().iter().map(|node| node.id).collect();
    let nodes = wanted.difference(&known);
    let left = count(wanted.len() - nodes.len());
    (!nodes.is_empty()).then_some(Fact::NodesMissing { nodes, left })
}

/// The fact that some of the pCPUs that the request is held to are not usable, if so.
pub(crate) fn unusable(request: &Request, usable: &CpuSet) -> Option<Fact> {
    let wanted = request.spec().cpus.as_ref()?;
    let cpus = wanted.difference(usable);
    let left = count(wanted.len() - cpus.len());
    (!cpus.is_empty()).then_some(Fact::CpusUnusable { cpus, left })
}

/// The node of each requested device that is no GPU of the request.
fn device_nodes(host: &Host, request: &Request) -> impl Iterator<Item = Option<usize>> {
    let node = |address| host.pci().get(address).and_then(|device| device.node);
    request.spec().devices.iter().map(move |a| node(*a).and_then(|node| host.node_index(node)))
}
