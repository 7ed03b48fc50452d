//! The search: every way to place one VM on one host, enumerated, scored and ranked.
//!
//! **Takes** an `Inventory`: the request, the options, and what is free on the host for them.
//! **Gives** what was `Found`: the best `Candidate` of every variant, the required properties that
//! stopped candidates which would otherwise fit, and whether a bound cut the enumeration. A
//! candidate is a count, not yet a placement: the number of guest cores and pages on each node, and
//! one GPU set. `engine::build` turns the best candidates into pins. The search is a pure function.
//!
//! # Where it is
//! `inventory` takes stock of the host, once; nothing changes it afterwards. `pass` has the loops
//! from policies to node sets, `layouts` those on one node set. `splits` shares guest cores out;
//! `weigh` judges one layout. `nodes`, `gpus` and `cpus` enumerate: `gpu_choice` has the ways to
//! take GPUs, `plan` chooses cores, `doubled` lets cores carry two vCPUs, `lent` knows nodes
//! without memory, and `further` counts the VMs of equal cells that still fit. `walk` has what the
//! loops own: the `memo`, the candidates `found` so far, and lists to fill anew. `state` has the
//! values that they hand on.
//!
//! # Words
//! - *Guest core*: the 1 or 2 vCPUs that share a core in the guest. A VM of 32 vCPUs is 32 guest
//!   cores with one thread each, or 16 with two. Where vCPUs float, each vCPU counts as one.
//! - *Policy* (`CpuPolicy`): whether each vCPU has a pCPU of its own, and whether cores are taken
//!   whole.
//! - *Choice*: what the guest is shown. A flat guest with strict memory; a flat guest with pages
//!   interleaved over its nodes; a cell per node with expander buses; a cell per node without them.
//! - *Variant*: style, memory mode, expander buses and policy. One candidate is kept per variant.
//! - *Node set*: a `NodeMask`, one word of positions in `Host::nodes`; of GPUs, a `GpuMask`.
//!
//! # The loops, outermost first
//! The functions are called `try_passes`, `try_sizes`, `try_node_sets`, `try_gpu_sets`,
//! `try_splits` and `try_choices`; the last has the page sizes too.
//! 1. **Policy and threads.** Policies run strictest first: dedicated pCPUs on whole cores, unless
//!    these are ignored; dedicated pCPUs on partial cores, unless whole cores are required;
//!    floating vCPUs, unless dedicated pCPUs are required. Each runs with one thread per guest
//!    core, and, where pCPUs are dedicated and the number of vCPUs is even, with two; a required
//!    SMT wish leaves one of these. Each pair of policy and threads is a *pass*. A pass that would
//!    leave no pCPU for the emulator threads is skipped.
//! 2. **Size.** Node sets of 1, 2, 3, … nodes. A size is skipped if even the roomiest nodes of that
//!    number lack the cores, or lack the pages of every page size. It is skipped, too, if GPUs must
//!    be local and every GPU set lies on more nodes than that. If one node is required, only size 1
//!    is tried; if k > 1 cells are required, only size k. There are never more nodes than guest
//!    cores.
//! 3. **Node set.** The subsets of that size in ascending order of their positions. A node takes
//!    part if it has room for at least one guest core; it need not have free pages. Nodes without
//!    memory, and nodes that give only memory, are the subject of `lent`. If
//!    the request is held to some pCPUs or nodes, nothing else has room; what is left for other VMs
//!    is counted without regard to that.
//! 4. **GPU set.** Those that no other set dominates as seen from these nodes; see `gpus`.
//! 5. **Split** of the guest cores over the nodes; see below.
//! 6. **Choice.** A single node has only the first. A required number of cells drops the choices
//!    that show another number.
//! 7. **Page size**, largest first. The first one under which the layout is possible is used.
//!
//! Example: 16 vCPUs without devices, default policies, on four nodes that could each hold the VM
//! and have one L3 domain each. Sizes 1 and 2 give 4 + 6 node sets. A single node has one choice, a
//! pair three (without a device there is nothing to hang from an expander bus). That makes 4 + 18 =
//! 22 layouts in each of two passes: 44 in all.
//!
//! # Where growth stops
//! The low and likely ends of the evidence table, which alone are scored, credit a VM only with the
//! nodes that its size needs. So a set that is wider than necessary is worth trying for two reasons
//! alone: to show the guest cells, and to bring GPUs onto the VM's nodes. Let n be the first size
//! with a possible candidate.
//! - If some candidate has all its GPUs of known node on its own nodes (always so without GPUs),
//!   the last size is max(n, 2).
//! - Otherwise the last size is max(2, n + s), where s is the largest number of nodes that any GPU
//!   set lies on, or the first larger size at which such a candidate is found. Beyond the first
//!   possible size of at least 2, only node sets that contain all nodes of some GPU set are tried.
//!
//! # Splits
//! Every node of a set gets at least one guest core; a node without a vCPU would not be the VM's,
//! unless it gives memory alone (`lent`).
//! - *Even*: the same number on every node. `EvenSplit` evaluates it once per node and size, so a
//!   node set is answered with a few mask operations. It is the only split if a required number of
//!   cells must be alike, and usually the only one tried.
//! - *By GPUs*: if every node holds a GPU of the set, in proportion to their numbers. If these
//!   differ, the even weights are tried as well.
//! - *On exactly two nodes*, with dedicated pCPUs: if the first split scatters cores over more L3
//!   domains than needed, or uses efficiency cores, every other split x : total - x is looked at
//!   and the first of each distinct `CoreUse` is kept.
//!
//! Shares are rounded down and limited by each node's room. The rest is levelled over the nodes
//! that have room; the last few go to those with the most room left: 33 over room for 40 and 41 is
//! 16 : 17, and 32 over room for 10 and 40 is 10 : 22. Pages follow the guest cores, or are shared
//! out evenly if memory is interleaved or the split is even.
//!
//! # Memo
//! Rules, requirements and preferences see a candidate only through its `Profile`. The profile is
//! determined by the pass, by the features in `Features` (numbers of nodes with memory, packages,
//! far devices and remote GPUs, whether pCPUs are lent, the kind of GPU set, the `CoreUse`), by the
//! choice, and by whether pages are huge. Its verdict, a score without the packing cost or the
//! first required property that it lacks, is computed once. On eight equal nodes in two packages,
//! 28 pairs have two sets of features.
//!
//! `Memo` remembers these for one pass, and with them the last `CoreUse` of each node. For the
//! whole search it remembers the GPU sets worth trying from each set of nodes with GPUs.
//!
//! # Rank and ties
//! Best first: higher score, packing included; fewer nodes; fewer threads per guest core; cells
//! without expander buses last; fewer guest cores on nodes that lend pCPUs; smaller *spread* (the
//! distances between the VM's nodes, plus the distance from each GPU of known node to the nearest
//! of them); where vCPUs float, the least load of its fullest node; room on its nodes for the pCPUs
//! that the emulator wants for itself; lower packing cost; fewer cores; the better GPU set; where
//! all cells must be alike, a node set that leaves room for as many *further* VMs like it as any;
//! fewer cores left free on its nodes, so the tightest fit; the smaller node mask; larger pages.
//! Equal candidates of two variants are ordered by the variant. Of equal splits the first one tried
//! stays. The packing cost never raises a score, so a layout whose score without it is below the
//! best of its variant is dropped before pages and cost are counted.
//!
//! # Bounds
//! - At most 4096 node sets per size. A host of 14 nodes has at most 3432 and is never cut. Beyond
//!   the bound, sets are grown from every usable node and from the nodes of the first 64 GPU sets,
//!   each once by distance and once by room: at most 256 sets.
//! - At most 1024 GPU sets, before the cut to one per class. Both bounds can set `cut` in the
//!   answer; `gpus` says when the second does.
//!
//! # Invariants
//! Positions and masks are those of one host with at most 64 nodes and 64 GPUs. Guest cores add up
//! to the pass's number and pages to the request's; no share exceeds what its node has free; a cell
//! has a page and a guest core. Whatever a profile reads is fixed by the pass, a feature, the
//! choice or the page size: a fact missing from the features would give one layout another's score.
//!
//! # Known limitations
//! - A preferred number of cells above 2 is priced but not sought: growth stops at the same size. A
//!   wider set could also bring a NIC on a third node near, find hugepages, or keep L3 domains
//!   whole. Accepted, because each is worth one preference or a few percent, while a wider set
//!   takes cores from nodes on which other VMs would be local. A caller can require a
//!   number of cells instead.
//! - On three or more nodes guest cores are shared out evenly or by GPUs only.
//! - If `engine::build` refuses the best candidate of a variant, its second best is not tried. That
//!   takes more cards than the guest's PCI tree holds, or cores with unequal numbers of usable
//!   siblings.

pub(crate) mod chosen;
pub(crate) mod cpus;
mod device_facts;
mod doubled;
mod found;
mod further;
mod gpu_choice;
pub(crate) mod gpus;
mod inventory;
mod layouts;
mod lent;
mod memo;
pub(crate) mod nodes;
mod pass;
mod plan;
mod splits;
mod state;
mod walk;
mod weigh;

pub(crate) use crate::free::virtual_gpus::host_for;
pub(crate) use found::{Candidate, Found};
pub(crate) use inventory::{
    Inventory, Pages, emulator_room, emulator_way, missing_nodes, unusable,
};
pub(crate) use lent::missing_memory_nodes;
pub(crate) use pass::search;
