//! What is free for one request on one host, and what the search has found so far.

use std::ops::Range;

use super::cpus::{CoreUse, CpuPolicy, FreeCores};
use super::gpus::GpuSets;
use super::nodes::NodeMask;
use super::state::{Buffers, Candidate, Known, Pages, Scratch};
use crate::engine::cost::{NodeRoom as SlotRoom, Slots};
use crate::engine::refusal::Fact;
use crate::engine::score::{Options, Property};
use crate::free::{FreePages, FreePcpus, gpus as free_gpus, pages::needed};
use crate::host::Host;
use crate::placement::Style;
use crate::question::Question;
use crate::request::{Policy, Request};
use crate::units::PageSize;
use crate::usage::Usage;

/// A search for one request on one host.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    pub(crate) host: &'a Host,
    pub(crate) request: &'a Request,
    pub(crate) options: &'a Options,
    pub(crate) free: FreePcpus,
    pub(crate) stocks: Vec<FreeCores<'a>>,
    pub(crate) pages: Vec<Pages>,
    pub(crate) gpus: GpuSets,
    pub(crate) slots: Slots<'a>,
    /// For each requested device: the position of its node, if it is known.
    pub(super) device_nodes: Vec<Option<usize>>,
    /// The nodes in `device_nodes`, as a set.
    pub(super) devices: NodeMask,
    /// The best candidate of each variant, indexed by policy, number of threads and choice.
    pub(super) best: Vec<Option<Candidate>>,
    /// By style: the first required property that stopped a candidate which otherwise fits.
    pub(super) lacking: [Option<Property>; Style::ALL.len()],
    /// Whether a bound cut the search.
    pub(crate) cut: bool,
    /// The memo of this pass: one entry for each set of features that was met.
    pub(super) known: Vec<Known>,
    /// By node position: the last number of cores that was asked about, and how these would be
    /// used.
    pub(super) core_uses: Vec<Option<(u64, CoreUse)>>,
    /// Indices into [`GpuSets::sets`]: for each entry of `gpu_choices_of`, the sets worth trying.
    pub(super) gpu_choices: Vec<usize>,
    /// For each set of nodes with GPUs that was met: the range of its sets in `gpu_choices`.
    pub(super) gpu_choices_of: Vec<(NodeMask, Range<usize>)>,
    pub(super) buffers: Buffers,
    pub(super) scratch: Scratch,
}

impl<'a> Search<'a> {
    /// Counts what is free for the request.
    ///
    /// # Errors
    /// The facts that refuse every style: no set of GPUs, or no page size, can serve the request.
    pub(crate) fn new(question: Question<'a>) -> Result<Self, Vec<Fact>> {
        let Question { host, usage, request, options } = question;
        let gpus = GpuSets::new(host, usage, request)?;
        let free = FreePcpus::new(host, usage);
        let stocks: Vec<FreeCores<'a>> = ways(request)
            .into_iter()
            .map(|way| FreeCores::new(host, &free, request, way))
            .collect();
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
            core_uses: Vec::new(),
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
    pub(super) fn say(&mut self, style: Style, property: Property) {
        self.lacking[style as usize].get_or_insert(property);
    }

    /// The best candidate of every variant that has one.
    pub(crate) fn best(&self) -> impl Iterator<Item = &Candidate> {
        self.best.iter().flatten()
    }
}

/// The ways in which a request lets pCPUs be taken, the strictest first.
fn ways(request: &Request) -> Vec<CpuPolicy> {
    let mut ways = vec![CpuPolicy { dedicated: true, whole: true }];
    if request.spec().policies.whole_cores != Policy::Require {
        ways.push(CpuPolicy { dedicated: true, whole: false });
    }
    if request.spec().policies.dedicated_cpus != Policy::Require {
        let whole = request.spec().policies.whole_cores == Policy::Require;
        ways.push(CpuPolicy { dedicated: false, whole });
    }
    ways
}

/// The threads a guest core may have.
pub(super) fn threads(request: &Request, way: CpuPolicy) -> Vec<u32> {
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
pub(crate) fn emulator_way(request: &Request, way: CpuPolicy) -> CpuPolicy {
    CpuPolicy { whole: request.spec().policies.whole_cores == Policy::Require, ..way }
}

/// The fact that no pCPU is left for the emulator threads, if so.
pub(crate) fn emulator_room(
    search: &Search<'_>,
    stock: &FreeCores<'_>,
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
    } else if search.host.emulators_roam() {
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
