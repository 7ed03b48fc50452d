//! Why a style does not fit, decisive fact first, and the smallest change that would make it fit.

use crate::candidate::{Search, Stock, emulator_room};
use crate::feasibility::{Fact, Rejection, node_set};
use crate::host::Host;
use crate::host::usage::Usage;
use crate::placement::Style;
use crate::recommend::{Ranked, recommend};
use crate::request::{GpuRequest, Policy, Request, RequestBuilder};
use crate::score::{Options, Property};
use crate::units::{Bytes, NodeId, PageSize};

/// The facts for every style that nothing was found for.
pub(crate) fn rejections(
    search: &Search<'_>,
    ranked: &[Ranked],
    failed: Vec<(Style, Fact)>,
) -> Vec<Rejection> {
    let found = |style: &Style| ranked.iter().any(|ranked| ranked.placement.style == *style);
    let styles = Style::ALL.into_iter().skip(1).filter(|style| !found(style));
    styles
        .map(|style| {
            let built = failed.iter().filter(|(other, _)| *other == style);
            let mut facts: Vec<Fact> = built.map(|(_, fact)| fact.clone()).collect();
            facts.extend(why_not(search, style));
            Rejection { style, facts }
        })
        .collect()
}

/// The facts that keep a style from fitting. Not empty for a style that nothing was found for.
fn why_not(search: &Search<'_>, style: Style) -> Vec<Fact> {
    let request = search.request;
    let threads = if style.shows_smt() { 2 } else { 1 };
    if request.smt.required().is_some_and(|shown| shown != style.shows_smt()) {
        return vec![Fact::Lacks { property: Property::Smt }];
    }
    if request.cells.required().is_some_and(|cells| (cells > 1) != style.shows_cells()) {
        return vec![Fact::Lacks { property: Property::Cells }];
    }
    if !request.vcpus.is_multiple_of(threads) {
        return vec![Fact::OddVcpus { vcpus: request.vcpus, threads }];
    }
    // Of the ways that the request allows, the loosest: what it lacks, all lack.
    let dedicated = |stock: &&Stock<'_>| threads == 1 || stock.way.dedicated;
    let Some(stock) = search.stocks.iter().rfind(dedicated) else { return Vec::new() };
    if threads > 1 && stock.nodes.iter().all(|node| node.cores[1] == 0) {
        return vec![Fact::NoSmt];
    }
    let one_node = request.policies.one_node == Policy::Require;
    if style.shows_cells() && one_node {
        return vec![Fact::Lacks { property: Property::OneNode }];
    }
    let usable = (0..stock.nodes.len()).filter(|at| {
        stock.room(*at, threads) > 0 && search.pages.iter().any(|pages| pages.free[*at] > 0)
    });
    let usable: Vec<usize> = usable.collect();
    let wanted = request.cells.required().unwrap_or(if style.shows_cells() { 2 } else { 1 });
    let mut facts = Vec::new();
    if usable.len() < wanted as usize && wanted > 1 {
        let have = u32::try_from(usable.len()).unwrap_or(u32::MAX);
        facts.push(Fact::NodesShort { needed: wanted, usable: have });
    }
    let units = u64::from(request.vcpus / threads);
    let all: Vec<usize> = (0..stock.nodes.len()).collect();
    facts.extend(short(search, stock, threads, units, &all));
    if facts.is_empty() {
        facts.extend(emulator_room(search, stock, threads, units));
    }
    let property = search.lacking.get(&style).copied();
    facts.extend(property.map(|property| Fact::Lacks { property }));
    facts.extend(unknown_gpu(search).filter(|_| property == Some(Property::GpuLocality)));
    if one_node || local_on_one_node(search) || facts.is_empty() {
        facts.extend(closest_nodes(search, stock, threads, units));
    }
    if facts.is_empty() && style.shows_cells() {
        // What would suffice in all does not give every cell a core and a page.
        facts.push(Fact::Lacks { property: Property::Cells });
    }
    if facts.is_empty() {
        // Nor does what suffices in all suffice on nodes that have a vCPU each.
        facts.extend(all.iter().flat_map(|at| short(search, stock, threads, units, &[*at])));
    }
    facts
}

/// What these nodes lack together.
fn short(
    search: &Search<'_>,
    stock: &Stock<'_>,
    threads: u32,
    units: u64,
    at: &[usize],
) -> Vec<Fact> {
    let nodes = || node_set(search.host, at.iter().copied());
    let mut facts = Vec::new();
    let free: u64 = at.iter().map(|n| stock.room(*n, threads)).sum();
    if free < units {
        facts.push(match stock.way.dedicated {
            true => Fact::CoresShort { nodes: nodes(), threads, needed: units, free },
            false => Fact::PcpusShort { nodes: nodes(), needed: units, free },
        });
    }
    let whole_host = at.len() == stock.nodes.len();
    let free = |pages: &crate::candidate::Pages| {
        let sum = at.iter().map(|n| pages.free[*n]).fold(0, u64::saturating_add);
        if whole_host { sum.min(pages.in_all) } else { sum }
    };
    // One size that suffices is enough.
    if search.pages.iter().all(|pages| free(pages) < pages.needed) {
        facts.extend(search.pages.iter().map(|pages| Fact::PagesShort {
            nodes: nodes(),
            size: pages.size,
            needed: pages.needed,
            free: free(pages),
        }));
    }
    facts
}

fn unknown_gpu(search: &Search<'_>) -> Option<Fact> {
    let mut gpus = search.gpus.eligible.iter();
    let unknown = gpus.find(|gpu| search.host.gpu(**gpu).is_some_and(|gpu| gpu.node.is_none()));
    unknown.map(|address| Fact::GpuNodeUnknown { address: *address })
}

/// Whether locality is required and one node could have all the GPUs, so that what that node lacks is
/// what the user wants to know.
fn local_on_one_node(search: &Search<'_>) -> bool {
    search.request.policies.gpu_locality == Policy::Require
        && search.gpus.sets.iter().any(|set| set.nodes.count_ones() == 1)
}

/// What each node lacks for the whole VM, the one that lacks least first. Where locality is required,
/// of the nodes with enough GPUs only.
fn closest_nodes(search: &Search<'_>, stock: &Stock<'_>, threads: u32, units: u64) -> Vec<Fact> {
    let local = search.request.policies.gpu_locality == Policy::Require;
    let near =
        |at: &usize| !local || search.gpus.sets.iter().any(|set| set.nodes & !(1_u64 << at) == 0);
    let mut lacks: Vec<(u64, Vec<Fact>)> = (0..stock.nodes.len())
        .filter(near)
        .map(|at| short(search, stock, threads, units, &[at]))
        .filter(|facts| !facts.is_empty())
        .map(|facts| (facts.iter().map(shortage).max().unwrap_or(0), facts))
        .collect();
    lacks.sort();
    lacks.into_iter().flat_map(|(_, facts)| facts).collect()
}

/// How much of what is needed is missing, in millionths.
fn shortage(fact: &Fact) -> u64 {
    match fact {
        Fact::CoresShort { needed, free, .. }
        | Fact::PcpusShort { needed, free, .. }
        | Fact::PagesShort { needed, free, .. } => {
            let missing = u128::from(needed.saturating_sub(*free)) * 1_000_000;
            u64::try_from(missing / u128::from((*needed).max(1))).unwrap_or(u64::MAX)
        }
        _ => 0,
    }
}

/// A change to the request or the host that makes it fit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "change", rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Change {
    /// At most so many vCPUs.
    FewerVcpus {
        /// The most that fit.
        vcpus: u32,
    },
    /// At most so much memory.
    LessMemory {
        /// The most that fits.
        memory: Bytes,
    },
    /// More pages on one node.
    MorePages {
        /// The node.
        node: NodeId,
        /// The page size.
        size: PageSize,
        /// How many more.
        more: u64,
        /// How many the pool then has in all: what to write into `nr_hugepages`.
        total: u64,
    },
    /// Another page size.
    OtherPageSize {
        /// The size that fits.
        size: PageSize,
    },
    /// At most so many GPUs.
    FewerGpus {
        /// The most that fit.
        gpus: u32,
    },
    /// A requirement less: preferred instead.
    Relax {
        /// The property.
        property: Property,
    },
}

/// The smallest changes that would each, alone, make a refused request fit. Every one was tried.
#[must_use]
pub fn smallest_changes(
    host: &Host,
    usage: &Usage,
    request: &Request,
    options: &Options,
) -> Vec<Change> {
    let fits = |host: &Host, changed: RequestBuilder| {
        changed.build().is_ok_and(|request| recommend(host, usage, &request, options).is_ok())
    };
    let plain: &RequestBuilder = request;
    let mut changes = more_pages(host, request, |host| fits(host, plain.clone()));
    let sizes = [PageSize::GIB_1, PageSize::MIB_2, PageSize::KIB_4];
    let other = |size: &PageSize| {
        request.page_size.is_some_and(|wanted| wanted != *size)
            && fits(host, RequestBuilder { page_size: Some(*size), ..plain.clone() })
    };
    changes.extend(sizes.into_iter().find(other).map(|size| Change::OtherPageSize { size }));
    let vcpus = |vcpus: u64| {
        let vcpus = u32::try_from(vcpus).unwrap_or(u32::MAX);
        fits(host, RequestBuilder { vcpus, ..plain.clone() })
    };
    // Pairs and odd numbers apart: an odd number cannot show siblings, so the two are not one row.
    let fewer = [1, 2].map(|step| {
        let below = u64::from(request.vcpus).div_ceil(step);
        most(below, |n| vcpus(n * step)).map_or(0, |n| n * step)
    });
    // Nor is a row always without gaps: a few more may fit where one less did not.
    let fewer = fewer[0].max(fewer[1]);
    let below = fewer + 1..u64::from(request.vcpus).min(fewer + 9);
    let fewer = if fewer > 0 { below.rev().find(|n| vcpus(*n)).unwrap_or(fewer) } else { 0 };
    if fewer > 0 {
        changes.push(Change::FewerVcpus { vcpus: u32::try_from(fewer).unwrap_or(u32::MAX) });
    }
    // Each page size apart: what is no multiple of a size cannot use its pages, so all sizes together
    // are not one row.
    let most_of = |size: &PageSize| {
        let fits =
            |pages| fits(host, RequestBuilder { memory: size.times(pages), ..plain.clone() });
        most(request.memory.0.div_ceil(size.bytes()), fits).map(|pages| size.times(pages))
    };
    let memory = sizes.iter().filter_map(most_of).max();
    changes.extend(memory.map(|memory| Change::LessMemory { memory }));
    if let GpuRequest::Count { count, model } = &request.gpus {
        let gpus = |count| GpuRequest::Count { count, model: model.clone() };
        let fewer = (0..*count).rev();
        let fits = |n: &u32| fits(host, RequestBuilder { gpus: gpus(*n), ..plain.clone() });
        changes.extend({ fewer }.find(fits).map(|gpus| Change::FewerGpus { gpus }));
    }
    for (property, relaxed) in relaxations(plain) {
        if fits(host, relaxed) {
            changes.push(Change::Relax { property });
        }
    }
    changes
}

/// The largest number below `above` that fits, if fitting is monotone; `None` if 1 does not fit.
fn most(above: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    if above <= 1 || !fits(1) {
        return None;
    }
    let (mut good, mut bad) = (1, above);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) { good = middle } else { bad = middle }
    }
    Some(good)
}

/// The fewest pages more of one size on one node that would do.
fn more_pages(host: &Host, request: &Request, fits: impl Fn(&Host) -> bool) -> Vec<Change> {
    let size = request.page_size.filter(|size| size.is_huge());
    let Some((size, needed)) = size.and_then(|s| Some((s, s.pages_in(request.memory)?))) else {
        return Vec::new();
    };
    let with = |at: usize, more: u64| {
        let mut changed = host.description().clone();
        let node = changed.nodes.get_mut(at)?;
        // What becomes a hugepage was base memory before, and has to be free for that.
        let base = node.pools.first_mut()?;
        let taken = more.checked_mul(size.bytes() / base.size.bytes())?;
        base.free = base.free.checked_sub(taken)?;
        base.total -= taken;
        match node.pools.iter_mut().find(|pool| pool.size == size) {
            Some(pool) => (pool.total, pool.free) = (pool.total + more, pool.free + more),
            None => node.pools.push(crate::host::PagePool { size, total: more, free: more }),
        }
        changed.build().ok()
    };
    let works = |at: usize, more: u64| with(at, more).is_some_and(|host| fits(&host));
    let mut best: Option<(u64, usize)> = None;
    for at in 0..host.nodes().len() {
        let most_needed = best.map_or(needed, |(more, _)| more - 1);
        let base = host.nodes()[at]
            .pools
            .first()
            .map_or(0, |pool| pool.free * pool.size.bytes() / size.bytes());
        let top = most_needed.min(base);
        if top == 0 || !works(at, top) {
            continue;
        }
        let (mut bad, mut good) = (0, top);
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            if works(at, middle) { good = middle } else { bad = middle }
        }
        best = Some((good, at));
    }
    let change = |(more, at): (u64, usize)| {
        let node = &host.nodes()[at];
        let total = node.pool(size).map_or(0, |pool| pool.total) + more;
        Change::MorePages { node: node.id, size, more, total }
    };
    best.map(change).into_iter().collect()
}

/// The request with one requirement less, for each.
fn relaxations(request: &RequestBuilder) -> Vec<(Property, RequestBuilder)> {
    let policies = [
        (Property::DedicatedCpus, request.policies.dedicated_cpus),
        (Property::WholeCores, request.policies.whole_cores),
        (Property::OneNode, request.policies.one_node),
        (Property::GpuLocality, request.policies.gpu_locality),
        (Property::SameSwitch, request.policies.same_switch),
        (Property::LinkedGpus, request.policies.linked_gpus),
        (Property::FabricPartition, request.policies.fabric_partition),
    ];
    let relaxed = |property: Property| {
        let mut changed = request.clone();
        let policies = &mut changed.policies;
        let policy = match property {
            Property::DedicatedCpus => &mut policies.dedicated_cpus,
            Property::WholeCores => &mut policies.whole_cores,
            Property::OneNode => &mut policies.one_node,
            Property::GpuLocality => &mut policies.gpu_locality,
            Property::SameSwitch => &mut policies.same_switch,
            Property::LinkedGpus => &mut policies.linked_gpus,
            _ => &mut policies.fabric_partition,
        };
        *policy = Policy::Prefer;
        changed
    };
    let required = policies.into_iter().filter(|(_, policy)| *policy == Policy::Require);
    required.map(|(property, _)| (property, relaxed(property))).collect()
}
