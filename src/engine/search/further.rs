//! Further VMs: those of the same equal cells that still fit beside a layout. A sequence of such
//! VMs then reaches the number that [`capacity`](crate::capacity) counts.
//!
//! Let n VMs of k cells fit as well as can be, and node i have room for b(i) cells. Then the sum of
//! min(b(i), n) is at least k n; what is beyond that is the *slack*. A VM on k nodes takes k from
//! the sum, and n - 1 further VMs need k (n - 1). But a node with room for n cells or more gives
//! these one less, unless the VM is on it. So n - 1 further VMs fit exactly if no more such nodes
//! are left out than the slack.

use super::cpus::FreeCores;
use super::inventory::Inventory;
use super::state::{Layout, Size, Tight};
use crate::free::cells::vms_of_cells;

/// Whether another node set for a VM of the layout's cells would leave room for more VMs like it.
pub(super) fn wastes(inventory: &Inventory<'_>, layout: &Layout<'_>, page: usize) -> bool {
    let size = layout.size;
    let (full, slack) = *size.even.tight[page].get_or_init(|| tight(inventory, size, page));
    u64::from((full - layout.mask).len()) > slack
}

fn tight(inventory: &Inventory<'_>, size: &Size<'_>, page: usize) -> Tight {
    let Size { pass, even, .. } = size;
    let (k, pages) = (even.share.len(), &inventory.pages[page]);
    let share = even.share.first().map_or(1, |share| (*share).max(1));
    let each = (pages.needed / k as u64).max(1);
    let cells =
        |at: &usize| cells(pass.stock, *at, share, pass.base.threads).min(pages.free[*at] / each);
    let room = || pass.usable.iter().map(cells);
    let in_all = pages.in_all.checked_div(pages.needed).unwrap_or(u64::MAX);
    let vms = vms_of_cells(room(), k).min(in_all);
    let full = pass.usable.iter().copied().filter(|at| vms > 0 && cells(at) >= vms).collect();
    let sum = room().map(|cells| cells.min(vms)).fold(0, u64::saturating_add);
    (full, sum.saturating_sub((k as u64).saturating_mul(vms)))
}

/// The number of cells with `share` guest cores that a node has cores for. A cell uses a core at
/// most once; where cores need not be whole, one with two usable pCPUs serves two cells of one
/// thread each.
fn cells(stock: &FreeCores<'_>, at: usize, share: u64, threads: u32) -> u64 {
    let [all, pairs] = stock.nodes[at].cores;
    if stock.way.doubled || stock.way.whole || !stock.way.dedicated || threads == 2 {
        return stock.room(at, threads) / share;
    }
    // Two cells or more share the pairs, and the first has one guest core on each of its cores.
    if all < share { 0 } else { ((all + pairs) / share).max(1) }
}
