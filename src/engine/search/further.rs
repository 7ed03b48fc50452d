//! Further VMs: those of the same equal cells that still fit beside a layout. A sequence of such
//! VMs then reaches the number that [`capacity`](crate::capacity) counts: where any k nodes are as
//! good as others, the k with the most room are the right ones.

use super::cpus::FreeCores;
use super::inventory::Inventory;
use super::state::{Layout, Size};
use crate::free::cells::vms_of_cells;

/// The number of VMs of the layout's cells, apart from its own, that its nodes and all others have
/// the cores and pages for.
pub(super) fn further(inventory: &Inventory<'_>, layout: &Layout<'_>, page: usize) -> u64 {
    let Size { pass, even, .. } = layout.size;
    let (k, pages) = (layout.nodes, &inventory.pages[page]);
    let Some(share) = even.share.first() else { return 0 };
    let each = (pages.needed / k as u64).max(1);
    let room = |at: usize| {
        let by_cores = cells(pass.stock, at, *share, pass.base.threads);
        let cells = by_cores.min(pages.free[at] / each);
        cells.saturating_sub(u64::from(layout.mask.contains(at)))
    };
    vms_of_cells(pass.usable.iter().map(|at| room(*at)), k)
}

/// The number of cells with `share` guest cores that a node has cores for. A cell uses a core at
/// most once; where cores need not be whole, one with two usable pCPUs serves two cells of one
/// thread each.
fn cells(stock: &FreeCores<'_>, at: usize, share: u64, threads: u32) -> u64 {
    let share = share.max(1);
    let [all, pairs] = stock.nodes[at].cores;
    if stock.way.doubled || stock.way.whole || !stock.way.dedicated || threads == 2 {
        return stock.room(at, threads) / share;
    }
    // More than two cells share pairs alone, and the first has one guest core on each of its cores.
    if all < share { 0 } else { ((all + pairs) / share).max(1) }
}
