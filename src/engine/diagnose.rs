//! Why a style does not fit, decisive fact first.

use crate::engine::refusal::{Fact, Rejection, node_set};
use crate::engine::score::Property;
use crate::engine::search::cpus::Stock;
use crate::engine::search::{Search, emulator_room};
use crate::placement::Style;
use crate::request::Policy;
use crate::sets::bits;

/// The facts for every style that nothing was found for.
pub(crate) fn rejections(
    search: &Search<'_>,
    found: &[Style],
    failed: Vec<(Style, Fact)>,
) -> Vec<Rejection> {
    let styles = Style::ALL.into_iter().skip(1).filter(|style| !found.contains(style));
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
    if request.spec().smt.required().is_some_and(|shown| shown != style.shows_smt()) {
        return vec![Fact::Lacks { property: Property::Smt }];
    }
    if request.spec().cells.required().is_some_and(|cells| (cells > 1) != style.shows_cells()) {
        return vec![Fact::Lacks { property: Property::Cells }];
    }
    if !request.spec().vcpus.is_multiple_of(threads) {
        return vec![Fact::OddVcpus { vcpus: request.spec().vcpus, threads }];
    }
    // Of the ways that the request allows, the loosest: what it lacks, all lack.
    let dedicated = |stock: &&Stock<'_>| threads == 1 || stock.way.dedicated;
    let Some(stock) = search.stocks.iter().rfind(dedicated) else { return Vec::new() };
    if threads > 1 && stock.nodes.iter().all(|node| node.cores[1] == 0) {
        return vec![Fact::NoSmt];
    }
    let one_node = request.spec().policies.one_node == Policy::Require;
    if style.shows_cells() && one_node {
        return vec![Fact::Lacks { property: Property::OneNode }];
    }
    let usable = (0..stock.nodes.len()).filter(|at| {
        stock.room(*at, threads) > 0 && search.pages.iter().any(|pages| pages.free[*at] > 0)
    });
    let usable: Vec<usize> = usable.collect();
    let wanted = request.spec().cells.required().unwrap_or(if style.shows_cells() { 2 } else { 1 });
    let mut facts = Vec::new();
    if usable.len() < wanted as usize && wanted > 1 {
        let have = u32::try_from(usable.len()).unwrap_or(u32::MAX);
        facts.push(Fact::NodesShort { needed: wanted, usable: have });
    }
    let units = u64::from(request.spec().vcpus / threads);
    let all: Vec<usize> = (0..stock.nodes.len()).collect();
    facts.extend(short(search, stock, threads, units, &all));
    if facts.is_empty() {
        facts.extend(emulator_room(search, stock, threads, units));
    }
    let property = search.lacking(style);
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
    let free = |pages: &crate::engine::search::Pages| {
        let sum = at.iter().map(|n| pages.free[*n]).fold(0, u64::saturating_add);
        if whole_host { sum.min(pages.in_all) } else { sum }
    };
    // One size that suffices is enough.
    if search.pages.iter().all(|pages| free(pages) < pages.needed) {
        facts.extend(search.pages.iter().map(|pages| Fact::PagesShort {
            nodes: nodes(),
            page_size: pages.size,
            needed: pages.needed,
            free: free(pages),
        }));
    }
    facts
}

fn unknown_gpu(search: &Search<'_>) -> Option<Fact> {
    let mut gpus = bits(search.gpus.eligible).map(|at| &search.host.gpus()[at]);
    let unknown = gpus.find(|gpu| gpu.node.is_none())?;
    Some(Fact::GpuNodeUnknown { address: unknown.address })
}

/// Whether locality is required and one node could have all the GPUs, so that what that node lacks is
/// what the user wants to know.
fn local_on_one_node(search: &Search<'_>) -> bool {
    search.request.spec().policies.gpu_locality == Policy::Require
        && search.gpus.sets.iter().any(|set| set.nodes.count_ones() == 1)
}

/// What each node lacks for the whole VM, the one that lacks least first. Where locality is required,
/// of the nodes with enough GPUs only.
fn closest_nodes(search: &Search<'_>, stock: &Stock<'_>, threads: u32, units: u64) -> Vec<Fact> {
    let local = search.request.spec().policies.gpu_locality == Policy::Require;
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
