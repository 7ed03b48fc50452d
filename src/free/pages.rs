//! Free pages of one size.

use smallvec::SmallVec;

use crate::host::{Host, Node};
use crate::request::Request;
use crate::units::PageSize;
use crate::usage::Usage;

/// Free pages of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FreePages {
    /// The free pages of each node, by position in [`Host::nodes`].
    pub(crate) on_node: SmallVec<[u64; 8]>,
    /// The free pages of all nodes together, less those that tenants hold on no particular node.
    pub(crate) in_all: u64,
}

/// The free pages of `size` on a node that a new VM may have: of base pages, not those that the
/// host keeps.
pub(crate) fn on_node(host: &Host, usage: &Usage, node: &Node, size: PageSize) -> u64 {
    let free = usage.free_pages(host, node.id, size);
    if size.is_huge() {
        return free;
    }
    free.saturating_sub(host.kept_memory(node).0.div_ceil(size.bytes()))
}

impl FreePages {
    pub(crate) fn new(host: &Host, usage: &Usage, size: PageSize) -> Self {
        let on_node: SmallVec<[u64; 8]> =
            host.nodes().iter().map(|node| on_node(host, usage, node, size)).collect();
        let sum = on_node.iter().fold(0_u64, |sum, free| sum.saturating_add(*free));
        Self { in_all: sum.saturating_sub(usage.unbound_pages(size)), on_node }
    }
}

/// The number of pages of `size` that the request needs; `None` if it cannot use this size, because
/// it asks for another or its memory is not a multiple.
pub(crate) fn needed(request: &Request, size: PageSize) -> Option<u64> {
    let spec = request.spec();
    if spec.page_size.is_some_and(|wanted| wanted != size) {
        return None;
    }
    size.pages_in(spec.memory)
}
