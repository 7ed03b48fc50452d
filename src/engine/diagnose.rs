//! Diagnosis: why each style does not fit. [`changes`](crate::changes) finds what would.
//!
//! **Takes** a finished search, or the facts that stopped it from starting. **Gives** a `Rejection`
//! for every style that the request asks for and no placement was found of: facts with ids and
//! numbers, the decisive one first. The default layout is the yardstick and is never rejected.
//! Sentences are made elsewhere.
//!
//! # Reasons are counted again
//! The search does not record why each of thousands of layouts failed. It notes one thing per
//! style: the first required property that stopped a layout which otherwise fits. Everything else
//! follows from counts afterwards, for the *loosest* policy that the request allows: what this one
//! lacks, all lack.
//!
//! Before the search. A named device does not exist, is a bridge or is held; a named GPU is not a
//! GPU; too few eligible GPUs; memory that is not a whole number of any allowed page size; none of
//! the pCPUs or nodes that the request is held to can be had. All styles then have these facts.
//!
//! After it, per style. What `engine::build` refused comes first, then:
//! 1. *Alone*, each of these ends the list: SMT is required otherwise; a number of cells is
//!    required that the style does not show; an odd number of vCPUs, where siblings are shown; no
//!    core has two usable pCPUs, where they are shown; one node is required, and the style shows
//!    cells.
//! 2. Fewer usable nodes than the required cells, or than two where cells are shown. A usable node
//!    has room for a guest core and a free page of some size.
//! 3. What all nodes together lack: cores, or pCPUs where vCPUs float; and pages, one fact per page
//!    size, if no size has enough.
//! 4. If nothing so far: no pCPU is left for the emulator threads.
//! 5. The required property that the search noted; if it is locality, also a GPU of unknown node.
//! 6. If nothing so far and several cells are required: what any nodes of that number lack
//!    together. What single nodes lack, if one node is required, if locality is and one node could
//!    hold all GPUs, or if nothing was found so far. With required locality only nodes that hold a
//!    whole GPU set count. Nodes are ordered by their largest shortage relative to the need, the
//!    smallest first, so the first facts name the node that nearly fits.
//! 7. If still nothing: a style with cells lacks cells (the sum suffices, but not for each cell).
//! 8. If still nothing: what each node lacks for the whole VM.
//! 9. Behind facts about pCPUs, nodes or pages: the pCPUs and nodes of the request's own sets that
//!    cannot be had; behind facts about pages, the nodes without memory.
//! 10. Behind facts about base pages: the ordinary memory that the host keeps.
//!
//! "All nodes" and "each node" are those that the request is held to, if it is held to some.
//!
//! Example: a VM with one GPU needs 16 pages of 1 GiB on the GPU's node 0, where 13 are free, and
//! requires one node and locality. `pin` is refused with "every GPU on a node of the VM", from step
//! 5, and then "node 0: 13 free pages of 1 GiB, 16 needed, 3 short", from step 6.
//!
//! # Bounds
//! Diagnosis is linear in nodes and page sizes.
//!
//! # Invariants
//! - A style for which nothing was found has at least one fact. Tests hold this against a
//!   brute-force search on tiny hosts.
//! - Every fact is true of the host and its tenants as given, and can be counted again.
//!
//! # Known limitations
//! - Facts are necessary conditions. Mending the first may bring up the next; only a change that
//!   was tried is known to suffice.

use crate::engine::refusal::{Fact, Rejection, asked, node_set};
use crate::engine::score::Property;
use crate::engine::search::cpus::FreeCores;
use crate::engine::search::{
    Found, Inventory, Pages, emulator_room, missing_memory_nodes, missing_nodes, unusable,
};
use crate::host::mask::NodeMask;
use crate::placement::Style;
use crate::request::Policy;
use crate::units::Bytes;

/// The facts for every style that nothing was found for.
pub(crate) fn rejections(
    inventory: &Inventory<'_>,
    found: &Found,
    placed: &[Style],
    failed: Vec<(Style, Fact)>,
) -> Vec<Rejection> {
    let styles = asked(inventory.request).filter(|style| !placed.contains(style));
    styles
        .map(|style| {
            let built = failed.iter().filter(|(other, _)| *other == style);
            let mut facts: Vec<Fact> = built.map(|(_, fact)| fact.clone()).collect();
            facts.extend(why_not(inventory, found.lacking(style), style));
            facts.extend(held_to(inventory, &facts));
            facts.extend(kept_memory(inventory, &facts));
            Rejection { style, facts }
        })
        .collect()
}

/// What the host keeps of its ordinary memory, where base pages are short.
fn kept_memory(inventory: &Inventory<'_>, facts: &[Fact]) -> Option<Fact> {
    let is_short =
        |fact: &Fact| matches!(fact, Fact::PagesShort { page_size, .. } if !page_size.is_huge());
    if !facts.iter().any(is_short) {
        return None;
    }
    let host = inventory.host;
    let kept = |at: &usize| host.kept_memory(&host.nodes()[*at]);
    let keeps = || inventory.nodes.iter().filter(|at| kept(at) > Bytes::ZERO);
    let memory = keeps().fold(0, |sum: u64, at| sum.saturating_add(kept(&at).0));
    (memory > 0).then(|| Fact::MemoryKept { nodes: node_set(host, keeps()), memory: Bytes(memory) })
}

/// What is wrong with the pCPUs and nodes that the request is held to, where pCPUs, nodes or pages
/// are short.
fn held_to(inventory: &Inventory<'_>, facts: &[Fact]) -> Vec<Fact> {
    let pcpus = facts.iter().any(|fact| {
        use Fact::{CoresShort, NoEmulatorPcpu, NoSmt, NodesShort, PcpusShort};
        matches!(
            fact,
            CoresShort { .. }
                | PcpusShort { .. }
                | NodesShort { .. }
                | NoEmulatorPcpu { .. }
                | NoSmt
        )
    });
    let pages = facts.iter().any(|fact| matches!(fact, Fact::PagesShort { .. }));
    let Inventory { host, request, free, .. } = inventory;
    let cpus = unusable(request, &free.usable).filter(|_| pcpus);
    let nodes = missing_nodes(host, request).filter(|_| pcpus || pages);
    let memory = missing_memory_nodes(host, request).filter(|_| pages);
    let without = without_memory(inventory).filter(|_| pages);
    cpus.into_iter().chain(nodes).chain(memory).chain(without).collect()
}

/// The fact that some of the nodes that the VM could have pCPUs or memory of have no memory, if so.
fn without_memory(inventory: &Inventory<'_>) -> Option<Fact> {
    let has_none = |at: &usize| inventory.host.nodes()[*at].memory == Bytes::ZERO;
    let nodes = node_set(inventory.host, concerned(inventory).iter().filter(has_none));
    (!nodes.is_empty()).then_some(Fact::NodesWithoutMemory { nodes })
}

/// The nodes whose pCPUs or memory the VM may have.
fn concerned(inventory: &Inventory<'_>) -> NodeMask {
    inventory.nodes | inventory.memory
}

/// The facts that keep a style from fitting, not empty for a style that nothing was found for.
/// `property` is the required property that the search noted for the style.
fn why_not(inventory: &Inventory<'_>, property: Option<Property>, style: Style) -> Vec<Fact> {
    let request = inventory.request;
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
    let dedicated = |stock: &&FreeCores<'_>| {
        let of_style = stock.way.dedicated != style.floats();
        of_style && (threads == 1 || !stock.way.doubled)
    };
    let Some(stock) = inventory.stocks.iter().rfind(dedicated) else { return Vec::new() };
    if threads > 1 && stock.nodes.iter().all(|node| node.cores[1] == 0) {
        return vec![Fact::NoSmt];
    }
    let one_node = request.spec().policies.one_node == Policy::Require;
    if style.shows_cells() && one_node {
        return vec![Fact::Lacks { property: Property::OneNode }];
    }
    let usable = (0..stock.nodes.len()).filter(|at| {
        stock.room(*at, threads) > 0 && inventory.pages.iter().any(|pages| pages.free[*at] > 0)
    });
    let usable: Vec<usize> = usable.collect();
    let wanted = request.spec().cells.required().unwrap_or(if style.shows_cells() { 2 } else { 1 });
    let mut facts = Vec::new();
    if usable.len() < wanted as usize && wanted > 1 {
        let have = u32::try_from(usable.len()).unwrap_or(u32::MAX);
        facts.push(Fact::NodesShort { needed: wanted, usable: have });
    }
    let units = u64::from(request.spec().vcpus / threads);
    let all: Vec<usize> = concerned(inventory).iter().collect();
    facts.extend(short(inventory, stock, threads, units, &all));
    if facts.is_empty() {
        facts.extend(emulator_room(inventory, stock, threads, units));
    }
    let is_short = |fact: &Fact| !matches!(fact, Fact::PagesShort { .. });
    if stock.way.own_l3 && facts.iter().any(is_short) {
        // Only what is free in L3 domains without others was counted.
        facts.push(Fact::Lacks { property: Property::OwnL3 });
    }
    facts.extend(property.map(|property| Fact::Lacks { property }));
    facts.extend(unknown_gpu(inventory).filter(|_| property == Some(Property::GpuLocality)));
    if let (true, Some(cells @ 2..)) = (facts.is_empty(), request.spec().cells.required()) {
        facts.extend(roomiest(inventory, stock, threads, units, cells as usize));
    }
    if one_node || local_on_one_node(inventory) || facts.is_empty() {
        facts.extend(closest_nodes(inventory, stock, threads, units));
    }
    // Cores may carry two vCPUs, but not where siblings are better shown.
    let plain = inventory.stocks.iter().rfind(|stock| dedicated(stock) && !stock.way.doubled);
    if facts.is_empty() {
        facts.extend(
            plain.into_iter().flat_map(|plain| short(inventory, plain, threads, units, &all)),
        );
    }
    if facts.is_empty() && style.shows_cells() {
        // What would suffice in all does not give every cell a core and a page.
        facts.push(Fact::Lacks { property: Property::Cells });
    }
    if facts.is_empty() {
        // Nor does what suffices in all suffice on nodes that have a vCPU each.
        facts.extend(all.iter().flat_map(|at| short(inventory, stock, threads, units, &[*at])));
    }
    if let (Some(plain), true) = (plain, facts.is_empty()) {
        facts.extend(all.iter().flat_map(|at| short(inventory, plain, threads, units, &[*at])));
    }
    facts
}

/// What these nodes lack together.
fn short(
    inventory: &Inventory<'_>,
    stock: &FreeCores<'_>,
    threads: u32,
    units: u64,
    at: &[usize],
) -> Vec<Fact> {
    let nodes = || node_set(inventory.host, at.iter().copied());
    let mut facts = Vec::new();
    let free: u64 = at.iter().map(|n| stock.room(*n, threads)).sum();
    if free < units {
        facts.push(match stock.way.dedicated && (threads > 1 || !stock.way.doubled) {
            true => Fact::CoresShort { nodes: nodes(), threads, needed: units, free },
            false => Fact::PcpusShort { nodes: nodes(), needed: units, free },
        });
    }
    let whole_host = at.len() == concerned(inventory).len() as usize;
    let free = |pages: &Pages| {
        let sum = at.iter().map(|n| pages.free[*n]).fold(0, u64::saturating_add);
        if whole_host { sum.min(pages.in_all) } else { sum }
    };
    // One size that suffices is enough.
    if inventory.pages.iter().all(|pages| free(pages) < pages.needed) {
        facts.extend(inventory.pages.iter().map(|pages| Fact::PagesShort {
            nodes: nodes(),
            page_size: pages.size,
            needed: pages.needed,
            free: free(pages),
        }));
    }
    facts
}

/// What any `number` nodes lack together: the cores of those with the most, and the pages of those
/// with the most of each size.
fn roomiest(
    inventory: &Inventory<'_>,
    stock: &FreeCores<'_>,
    threads: u32,
    units: u64,
    number: usize,
) -> Vec<Fact> {
    let most = |room: &dyn Fn(usize) -> u64| {
        let mut nodes: Vec<usize> = concerned(inventory).iter().collect();
        nodes.sort_by_key(|at| std::cmp::Reverse(room(*at)));
        nodes.truncate(number);
        nodes
    };
    let by_cores = most(&|at| stock.room(at, threads));
    let mut facts = short(inventory, stock, threads, units, &by_cores);
    facts.retain(|fact| !matches!(fact, Fact::PagesShort { .. }));
    let lacking = |pages: &Pages| {
        let nodes = most(&|at| pages.free[at]);
        let free = nodes.iter().map(|at| pages.free[*at]).fold(0, u64::saturating_add);
        let nodes = node_set(inventory.host, nodes.into_iter());
        let Pages { size: page_size, needed, .. } = *pages;
        (free < needed).then_some(Fact::PagesShort { nodes, page_size, needed, free })
    };
    let of_pages: Option<Vec<Fact>> = inventory.pages.iter().map(lacking).collect();
    facts.extend(of_pages.unwrap_or_default());
    facts
}

fn unknown_gpu(inventory: &Inventory<'_>) -> Option<Fact> {
    let mut gpus = inventory.gpus.eligible.iter().map(|at| &inventory.host.gpus()[at]);
    let unknown = gpus.find(|gpu| gpu.node.is_none())?;
    Some(Fact::GpuNodeUnknown { address: unknown.address })
}

/// Whether locality is required and one node could have all the GPUs, so that what that node lacks
/// is what the user wants to know.
fn local_on_one_node(inventory: &Inventory<'_>) -> bool {
    inventory.request.spec().policies.gpu_locality == Policy::Require
        && inventory.gpus.sets.iter().any(|set| set.nodes.len() == 1)
}

/// What each node lacks for the whole VM, the one that lacks least first. Where locality is
/// required, of the nodes with enough GPUs only.
fn closest_nodes(
    inventory: &Inventory<'_>,
    stock: &FreeCores<'_>,
    threads: u32,
    units: u64,
) -> Vec<Fact> {
    let local = inventory.request.spec().policies.gpu_locality == Policy::Require;
    let near = |at: &usize| {
        !local || inventory.gpus.sets.iter().any(|set| set.nodes.is_subset(NodeMask::one(*at)))
    };
    let mut lacks: Vec<(u64, Vec<Fact>)> = inventory
        .nodes
        .iter()
        .filter(near)
        .map(|at| short(inventory, stock, threads, units, &[at]))
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
