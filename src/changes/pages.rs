//! More pages, or pages of another size.

use super::ask::Ask;
use super::change::Change;
use crate::free::FreePages;
use crate::host::{Host, PagePool};
use crate::units::PageSize;

/// The page sizes of the host's pools, the largest first.
pub(super) fn sizes(host: &Host) -> Vec<PageSize> {
    let pools = host.nodes().iter().flat_map(|node| &node.pools);
    let mut sizes: Vec<PageSize> = pools.map(|pool| pool.size).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    sizes
}

/// The smallest number of further hugepages on one node that suffices: of the requested size, or
/// of the largest size where none is requested.
pub(super) fn more(ask: Ask<'_>) -> Option<Change> {
    let sizes = ask.spec().page_size.map_or_else(|| sizes(ask.host()), |size| vec![size]);
    sizes.into_iter().filter(|size| size.is_huge()).find_map(|size| more_of(ask, size))
}

fn more_of(ask: Ask<'_>, size: PageSize) -> Option<Change> {
    let host = ask.host();
    let needed = size.pages_in(ask.spec().memory)?;
    let works = |at: usize, more: u64| {
        with_pages(host, size, at, more).is_some_and(|host| ask.fits_on(&host))
    };
    let mut best: Option<(u64, usize)> = None;
    for (at, node) in host.nodes().iter().enumerate() {
        let base = node.pools.first().filter(|pool| !pool.size.is_huge());
        let room = base.map_or(0, |pool| {
            let usage = ask.usage();
            let FreePages { on_node, in_all } = FreePages::new(host, usage, pool.size);
            // Tenants' pages of no known node are missing in the sum alone.
            let free = pool.free.min(on_node[at]).min(in_all);
            free / (size.bytes() / pool.size.bytes())
        });
        let top = best.map_or(needed, |(more, _)| more - 1).min(room);
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
    let (more, at) = best?;
    let node = &host.nodes()[at];
    let total = node.pool(size).map_or(0, |pool| pool.total) + more;
    Some(Change::MorePages { node: node.id, page_size: size, more, total })
}

/// The host with base pages of a node made into hugepages; `None` if too few of them are free.
fn with_pages(host: &Host, size: PageSize, at: usize, more: u64) -> Option<Host> {
    let mut changed = host.description().clone();
    let node = changed.nodes.get_mut(at)?;
    // What becomes a hugepage was base memory before, and has to be free for that.
    let base = node.pools.first_mut().filter(|pool| !pool.size.is_huge())?;
    let taken = more.checked_mul(size.bytes() / base.size.bytes())?;
    base.free = base.free.checked_sub(taken)?;
    base.total -= taken;
    match node.pools.iter_mut().find(|pool| pool.size == size) {
        Some(pool) => (pool.total, pool.free) = (pool.total + more, pool.free + more),
        None => node.pools.push(PagePool { size, total: more, free: more }),
    }
    changed.build().ok()
}

/// The largest other page size with which the request fits, where one is requested.
pub(super) fn other_size(ask: Ask<'_>) -> Option<Change> {
    let requested = ask.spec().page_size?;
    let mut others = sizes(ask.host()).into_iter().filter(|size| *size != requested);
    let size = others.find(|size| ask.fits(|spec| spec.page_size = Some(*size)))?;
    Some(Change::OtherPageSize { page_size: size })
}
