//! Capacity: the exact number of further VMs of one shape that fit on a host.
//!
//! **Takes** a host, its usage and a `Shape`: equal cells, each with vCPUs, memory and GPUs of one
//! node. **Gives** [`Capacity::Exact`], or `Between` two bounds if the search reached its limit.
//! [`vms`] does the same over plain numbers per node. The engine does not use this module: it needs
//! a cost for each of thousands of candidates and counts slots instead (see `cost`).
//!
//! # What is counted
//! Free means what `recommend` would use: pCPUs that are allowed, dedicated to nobody and not kept
//! for the host, on whole cores if the shape asks for them; pages free on the cell's node; GPUs of
//! the cell's node that are not integrated into a processor, have no virtual functions, and whose
//! bundle nobody holds. A shape may ask for virtual functions of GPUs: these are a plain number per
//! node, in which functions of one IOMMU group count as one. Pages
//! held on no particular node limit the total: at most (free pages of the host / pages per VM) VMs
//! fit.
//!
//! A node has room for min(core limit, free pages / pages per cell, free GPUs / GPUs per cell)
//! cells. The core limit is itself such a count: a cell uses a core at most once, so v guest cores
//! need v distinct cores, and a core with room for two guest cores serves two cells. With whole
//! cores, every core serves one.
//!
//! vCPUs that float (`Shape::shared`) need room in the pool of their node: its shared pCPUs times
//! the overcommit, less the vCPUs of tenants that float there. They need no pCPU for the emulator.
//!
//! # The closed form
//! A VM has k cells on k distinct nodes, and node i has room for b(i) cells. n VMs fit exactly if
//!
//! ```text
//! min(b(1), n) + min(b(2), n) + … >= k n
//! ```
//!
//! because a node can serve each VM once. The largest such n is the minimum, over r from 0 to k -
//! 1, of (the sum of all b but the r largest) / (k - r), rounded down: even if the r largest nodes
//! serve every VM, the rest must supply k - r cells of each.
//!
//! Example: room for 5, 2 and 1 cells, k = 2. r = 0 gives 8 / 2 = 4; r = 1 gives 3 / 1 = 3. So 3
//! VMs fit: the first node serves all three, the others 2 and 1. The remaining 2 cells of the first
//! have no partner.
//!
//! # Allowed sets of nodes
//! If the cells of a VM must lie inside one of some node sets, sets contained in others are
//! dropped, and sets that share nodes are grouped. A group of one set is the closed form on its
//! nodes; groups add up. Larger groups are searched.
//!
//! GPUs are a plain number per node as long as each can be given away alone and any will do. Any
//! will do if no bond is requested. On hosts without fabric partitions, any will also do if the
//! bond is a partition, or if it is links and every two GPUs that one VM could combine are linked.
//! Otherwise a VM is an *option*: a node set, and the groups of GPUs that it takes there, where a
//! group is a set of GPUs that must go together. An option takes one unit of each of its nodes and
//! groups, and the search finds how many options can be taken.
//!
//! # The search
//! The search is depth first over the options, those with the fewest rivals for their resources
//! first, each taken as often as possible down to not at all. A greedy packing gives the first
//! lower bound. The upper bound is a cover: every option needs a unit of one of a few chosen
//! resources, so there are no more options than units of those; nor more than the units of all
//! nodes, or of all groups, divided by the smallest number that an option takes. Positions with
//! equal remaining units are visited once, up to 50,000 of them.
//!
//! # The emulator's pCPU
//! If no pCPU outside the VMs' reach is left for emulator threads, one more must stay free. The
//! cheapest is found by trying one of each kind (node, and number of usable siblings). If VMs of
//! whole cores have an idle sibling, that could serve instead; then the upper bound is computed
//! without the reservation, and the answer may be `Between`.
//!
//! # Bounds
//! 4096 node sets, 16,384 sets of nodes and GPUs, 20 million visits to an option (about a tenth of
//! a second), 64 nodes. A question that reaches one of these limits is answered `Between`:
//! `at_least` VMs were packed, and more than `at_most` cannot fit.
//!
//! # Invariants
//! - Resources are bits of a `u128`: 64 nodes, then 64 groups of GPUs.
//! - A shape that takes nothing fits `u64::MAX` times. One that cannot exist (no cells, memory that
//!   is not whole pages, odd vCPUs with siblings shown) fits 0 times.
//! - `Exact` is only returned if the options were complete and the search finished, or both bounds
//!   met.
//!
//! # Known limitations
//! - Cells are equal and take GPUs of their own node; VMs that `recommend` would place unevenly,
//!   with remote GPUs, or floating are not counted. Accepted, because a capacity is asked for a
//!   catalogue of shapes.
//! - Other devices, limits of the guest's PCI tree and numbers of emulator pCPUs are not looked at.
//! - "As well as can be" is over all placements. VMs of one cell placed one after the other by
//!   `recommend` are as many, unless GPUs share IOMMU groups. VMs of several equal cells are, too,
//!   where neither they nor the host have GPUs and all nodes are equally far from each other;
//!   elsewhere `recommend` prefers near nodes and GPUs that leave most slots, and may place fewer.
//!
//! # Reference shapes
//! `reference_shapes` makes shapes of 1, 2, 4 and 8 GPUs with an equal share of the cores and pages
//! of the GPUs' nodes, the host's own cores left out. Their page size is the hugepage size with
//! most memory on these nodes, or the base page. A number that one node cannot hold spreads evenly
//! over cells, or is left out.

mod count;
mod exact;
mod host;
mod packing;
mod shape;

pub use count::Capacity;
pub use exact::{FreeOnNode, vms};
pub use host::capacity;
pub use shape::{Allowed, GpuBond, Shape, reference_shapes};
