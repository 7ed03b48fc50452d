//! The search: which nodes, GPUs, CPUs and pages a VM could have, and how much its guest could see.
//!
//! Candidates are counted before they are built: a node is its free cores and pages, a set of nodes a
//! bit mask, a set of GPUs the best of its class. Every candidate has a profile, candidates of equal
//! profile share a score, and only the best of each variant becomes a placement with pins.
//!
//! Node sets grow from one node until one holds the VM with all its GPUs; a set wider than that gains
//! nothing in any rule. Sets of one size are tried all, up to 4096 of them; beyond, and beyond 1024 GPU
//! sets, the search is cut and the answer says so.

pub(crate) mod cpus;
pub(crate) mod gpus;
pub(crate) mod nodes;
mod pass;
mod splits;
mod weigh;

use std::cmp::Reverse;
use std::ops::Range;

use smallvec::SmallVec;

use crate::engine::cost::{HostCost, NodeRoom as SlotRoom, Slots};
use crate::engine::profile::Profile;
use crate::engine::refusal::Fact;
use crate::engine::score::{Options, Property, Score};
use crate::free::{FreePages, FreePcpus, gpus as free_gpus, pages::needed};
use crate::host::Host;
use crate::placement::{MemoryMode, Style};
use crate::question::Question;
use crate::request::{Policy, Request};
use crate::sets::bits;
use crate::units::PageSize;
use crate::usage::Usage;
use cpus::{Picked, Stock, Way};
use gpus::GpuSets;
use nodes::NodeMask;
use pass::Buffers;
use weigh::Known;

/// One for each of some nodes; those of most hosts take no memory of their own.
pub(crate) type PerNode<T> = SmallVec<[T; 8]>;

/// A way to place the VM, decided down to how many cores and pages on which node.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) style: Style,
    pub(crate) way: Way,
    pub(crate) threads: u32,
    pub(crate) memory: MemoryMode,
    pub(crate) expanders: bool,
    /// Positions in [`Host::nodes`], ascending.
    pub(crate) nodes: PerNode<usize>,
    /// By node: guest cores; vCPUs where they float.
    pub(crate) units: PerNode<u64>,
    pub(crate) page: PageSize,
    /// By node.
    pub(crate) pages: PerNode<u64>,
    /// Position in [`Search::gpus`].
    pub(crate) gpus: usize,
    pub(crate) profile: Profile,
    pub(crate) score: Score,
    pub(crate) cost: HostCost,
    rank: Rank,
}

impl Candidate {
    /// The order of candidates, best first.
    pub(crate) fn rank(&self) -> &Rank {
        &self.rank
    }

    /// What it is a variant of.
    pub(crate) fn variant(&self) -> Variant {
        (self.style, self.memory, self.expanders, self.way)
    }
}

/// What orders candidates, best first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    start: Start,
    /// What it costs the host's other tenants.
    cost: i64,
    cores: u64,
    /// Better GPU sets come first in [`GpuSets::sets`].
    gpus: usize,
    /// Cores that stay free on its nodes: the tightest fit goes first.
    left_over: u64,
    mask: NodeMask,
    page: Reverse<PageSize>,
}

/// What a rank begins with: all that is known before the packing cost is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Start {
    score: Reverse<i64>,
    nodes: u32,
    /// Of two styles that score the same, the one with a core for every vCPU: the safer start (F1).
    threads: u32,
    /// Expander buses tell the guest more and cost nothing.
    blind: bool,
    /// Distances between the VM's nodes, and from its GPUs to them.
    spread: u64,
}

impl Pages {
    /// Whether there are enough on these nodes.
    fn suffice_on(&self, mask: NodeMask) -> bool {
        let sum = bits(mask).fold(0, |sum: u64, at| sum.saturating_add(self.free[at]));
        sum.min(self.in_all) >= self.needed
    }
}

/// Candidates of one variant differ in nothing that the guest could see but their places.
pub(crate) type Variant = (Style, MemoryMode, bool, Way);

/// The page sizes worth trying, largest first, and the free pages of each by node.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) size: PageSize,
    pub(crate) needed: u64,
    pub(crate) free: PerNode<u64>,
    /// The nodes that have some.
    some: NodeMask,
    /// Free on the whole host, less what tenants hold somewhere.
    pub(crate) in_all: u64,
}

/// A search for one request on one host.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    pub(crate) host: &'a Host,
    pub(crate) request: &'a Request,
    pub(crate) options: &'a Options,
    pub(crate) free: FreePcpus,
    pub(crate) stocks: Vec<Stock<'a>>,
    pub(crate) pages: Vec<Pages>,
    pub(crate) gpus: GpuSets,
    pub(crate) slots: Slots<'a>,
    /// By requested device: its node, where it is known.
    device_nodes: Vec<Option<usize>>,
    /// The known ones of them.
    devices: NodeMask,
    /// The best of each variant: a place for every way, number of threads and choice.
    best: Vec<Option<Candidate>>,
    /// Required properties that stopped a candidate which fits, by style.
    lacking: [Option<Property>; Style::ALL.len()],
    /// Whether a bound cut the search.
    pub(crate) cut: bool,
    /// What was found out in this pass, by what tells candidates apart.
    known: Vec<Known>,
    /// By node position: how so many cores would lie, as it was asked last.
    lies: Vec<Option<(u64, Picked)>>,
    /// Positions in [`GpuSets::sets`] that are worth trying, and where they stand by the nodes with
    /// GPUs that the VM is on.
    gpu_choices: Vec<usize>,
    gpu_choices_of: Vec<(NodeMask, Range<usize>)>,
    buffers: Buffers,
    scratch: Scratch,
}

/// Room for what is counted of one candidate: by node of it, where that is, the free pages, the
/// weights and the pages that it would have.
#[derive(Debug, Default)]
struct Scratch {
    at: Vec<usize>,
    free: Vec<u64>,
    weights: Vec<u64>,
    pages: Vec<u64>,
}

impl<'a> Search<'a> {
    /// Takes stock of what is free; the facts where no GPUs or no page size would do.
    pub(crate) fn new(question: Question<'a>) -> Result<Self, Vec<Fact>> {
        let Question { host, usage, request, options } = question;
        let gpus = GpuSets::new(host, usage, request)?;
        let free = FreePcpus::new(host, usage);
        let stocks: Vec<Stock<'a>> =
            ways(request).into_iter().map(|way| Stock::new(host, &free, request, way)).collect();
        let pages = pages(host, usage, request)?;
        let slots = slots(host, usage, |at| stocks[0].nodes[at].cores[0], &pages, options)
            .for_one_of(gpus.sets.iter().map(|set| set.gpus));
        let cut = !gpus.complete;
        Ok(Self {
            host,
            request,
            options,
            stocks,
            free,
            pages,
            gpus,
            slots,
            device_nodes: device_nodes(host, request).collect(),
            best: Vec::new(),
            devices: device_nodes(host, request).flatten().fold(0, |mask, at| mask | (1 << at)),
            lacking: [None; Style::ALL.len()],
            cut,
            known: Vec::with_capacity(16),
            lies: Vec::new(),
            gpu_choices: Vec::with_capacity(32),
            gpu_choices_of: Vec::with_capacity(16),
            buffers: Buffers::default(),
            scratch: Scratch::default(),
        })
    }
}

impl Search<'_> {
    /// A required property that stopped a candidate of this style which fits.
    pub(crate) fn lacking(&self, style: Style) -> Option<Property> {
        self.lacking[style as usize]
    }

    /// Notes the first required property that stopped a candidate of this style.
    fn say(&mut self, style: Style, property: Property) {
        self.lacking[style as usize].get_or_insert(property);
    }

    /// The best candidate of every variant that has one.
    pub(crate) fn best(&self) -> impl Iterator<Item = &Candidate> {
        self.best.iter().flatten()
    }
}

/// The ways in which a request lets pCPUs be taken, the strictest first.
fn ways(request: &Request) -> Vec<Way> {
    let mut ways = vec![Way { dedicated: true, whole: true }];
    if request.spec().policies.whole_cores != Policy::Require {
        ways.push(Way { dedicated: true, whole: false });
    }
    if request.spec().policies.dedicated_cpus != Policy::Require {
        let whole = request.spec().policies.whole_cores == Policy::Require;
        ways.push(Way { dedicated: false, whole });
    }
    ways
}

/// The threads a guest core may have.
fn threads(request: &Request, way: Way) -> Vec<u32> {
    let wanted = request.spec().smt.required();
    let mut threads = Vec::new();
    if wanted != Some(true) {
        threads.push(1);
    }
    if wanted != Some(false) && way.dedicated && request.spec().vcpus.is_multiple_of(2) {
        threads.push(2);
    }
    threads
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
        gpus: u64::from((on_node[at] & free).count_ones()),
        cores: cores(at),
        bytes: bytes(at),
    };
    Slots::new(
        host,
        room,
        free,
        &free_gpus::held_by_tenants(host, usage),
        options.gpu_share,
        options.slot_weights,
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
        let some = some.fold(0, |mask, (at, _)| mask | (1 << at));
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
pub(crate) fn emulator_way(request: &Request, way: Way) -> Way {
    Way { whole: request.spec().policies.whole_cores == Policy::Require, ..way }
}

/// The fact that no pCPU is left for the emulator threads, if so.
pub(crate) fn emulator_room(
    search: &Search<'_>,
    stock: &Stock<'_>,
    threads: u32,
    units: u64,
) -> Option<Fact> {
    let own = u64::from(search.request.spec().emulator_pcpus);
    let vcpus = units * u64::from(threads);
    let (needed, free) = if own > 0 {
        // Every core that carries vCPUs is taken whole; those with the fewest pCPUs go first.
        let way = emulator_way(search.request, stock.way);
        let all = search.free.count(search.host, way.whole);
        let taken = if way.dedicated { stock.smallest(units) } else { vcpus };
        (own, all.saturating_sub(taken))
    } else if search.host.is_for_vms_only() {
        return None;
    } else {
        (1, (search.free.for_emulators(search.host).len() as u64).saturating_sub(vcpus))
    };
    (free < needed).then_some(Fact::NoEmulatorPcpu { needed, free })
}

/// The node of each requested device that is no GPU of the request.
fn device_nodes(host: &Host, request: &Request) -> impl Iterator<Item = Option<usize>> {
    let node = |address| host.pci().get(address).and_then(|device| device.node);
    request.spec().devices.iter().map(move |a| node(*a).and_then(|node| host.node_index(node)))
}
