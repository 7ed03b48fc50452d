//! Fleets: one request against many hosts, searching as few of them as the answer needs.
//!
//! **Takes** `FleetHost`s (a topology, which hosts of one model share, and the usage of the host's
//! own tenants), one request, or one per host, and options. **Gives** the best hosts, each with the
//! placement that `recommend` gives there alone; the others in the order of what is known of them;
//! and the hosts on which the VM does not fit, with the reason. With the feature `rayon` hosts are
//! asked in parallel; the answer is the same, byte for byte.
//!
//! # The order of hosts: `HostKey`
//! Smaller is better, field by field:
//! 1. preferences that are not met;
//! 2. packages that the VM spans;
//! 3. whether its GPUs, if several, are scattered: not all on one switch;
//! 4. *price*: the slots that end or are delayed (see `cost`; the unavoidable is not left out,
//!    because between hosts it can be avoided), plus 1000 if cores lie in more L3 domains than
//!    needed. The 1000 is ours: as much as a 1-GPU slot;
//! 5. the score, highest first, with the packing cost in full;
//! 6. what remains free, `Remaining`: GPUs, then pCPUs, least first;
//! 7. the host's position.
//!
//! This is `HostOrder::BestFit`: on each host the engine chooses the placement that is best for the
//! VM; between hosts, the fleet chooses the one where that takes the least from later VMs. `Spread`
//! keeps fields 1, 6 (most first) and 7. `FirstFit` asks the hosts in order and stops at the first
//! that fits.
//!
//! # Bound, then search
//! 1. *Counting.* `FreeCounts`, kept beside each usage, refuse a host that has too few GPUs, too
//!    few pCPUs (if they must be dedicated) or too few pages (if a page size is requested), on as
//!    many of its roomiest nodes as the VM may span (GPUs only if they must be local). What they
//!    let pass may still not fit.
//! 2. *Bounding.* Every other host gets the best `HostKey` that counts allow. A bound is never
//!    worse than the key of the placement that the engine would choose on that host.
//! 3. *Searching.* Hosts are searched in the order of their bounds, 16 at first and twice as many
//!    each time, until as many keys were found as answers are wanted, and the next bound is no
//!    better than the last of them. No host behind it can come before an answer.
//! 4. *Answering.* The first hosts are given to `recommend` in full. The rest are `NotChosen`:
//!    those searched with what was found, the others with their bound, which does not say that the
//!    VM fits.
//!
//! Example: three answers are wanted and the third best key found has price 4000. A host whose
//! bound has price 5000, all fields before being equal, is not searched: its real price is at least
//! 5000.
//!
//! # Bounds in general
//! Over all GPU sets that the VM could have (one per way of taking GPUs from the classes "same
//! node, same switch"; at most 512 sets), the smallest triple of packages, switches and price with
//! no cores and no memory taken. If the VM must be on one node, the price is that of one node, with
//! the fewest cores the VM can have and its memory. Everything else that a placement takes only
//! adds to the price. Preferences count as met and the score as unbounded. If there are more than
//! 512 sets, or a model is wanted, the price is taken as 0. Without GPUs that leaves little to tell
//! hosts apart.
//!
//! # Bounds for VMs without devices: `UpperBound`
//! What such a VM can score depends on little, and not on what is free: for every request and model
//! with at least 16 hosts, all profiles that a placement could have there (nodes, packages, L3 use,
//! core kinds, page kinds, what the guest is shown) are scored once. Some of these no placement
//! has; that only makes the bound too good. Hosts then differ in where the VM could be *at home*.
//!
//! A VM is **at home** on a set of exactly as many nodes as it has cells: one, unless more are
//! required. If cells are alike, each node of the set gets the same number of guest cores, so free
//! counts say whether it fits, how the cores would lie in L3 domains, and what slots end. If cells
//! may differ, or there are more than 64 such sets, the sets are not told apart and cost nothing.
//! Elsewhere (more nodes, floating vCPUs) the bound is the best score of that kind at price 0 in
//! one package.
//!
//! The engine chooses by score and the fleet orders by price, so a cheap placement must not bound a
//! host whose engine would not choose it. A set of nodes on which counting *proves* that the VM
//! fits (whole cores, pages of one size, a pCPU for the emulator) makes its worst possible score
//! sure; whatever cannot reach the surest score is left out, and the smallest of the others is the
//! bound.
//!
//! # What is folded
//! Hosts with the same topology and request whose tenants leave the same pCPUs, pages and devices
//! free, and hold GPUs in the same groups, are in one *state*, and each state is searched once. A
//! fleet of 10,000 hosts of one model, half of them empty, searches the empty state once.
//! Topologies and requests are compared by address, never by content, and nothing is ordered by
//! these addresses.
//!
//! # Batches
//! `place_each` places requests in turn, each on its best host, and claims: later ones see what
//! earlier ones took, and one that fits nowhere is passed over. `place_gang` places the same
//! request n times, named with -0, -1, … behind its own name, with an `AntiAffinity` of hosts or
//! packages, and claims all or nothing. For packages, what is free in those of earlier VMs counts
//! as taken.
//!
//! # Invariants
//! - A bound is not greater than the key found on its host. Debug builds assert it for every
//!   search.
//! - `FreeCounts` are counted again at every claim and release of a `FleetHost`.
//! - Keys of two hosts are never equal, so the order is total: of equal hosts the first comes
//!   first.
//!
//! # Known limitations
//! - A loose bound costs searches, never an answer. With several answers wanted on a nearly full
//!   fleet, most states may have to be searched.
//! - Topologies are shared by address. Hosts that are described twice are searched twice.
//! - A refusal is computed once per state. If it names the holder of a device, that may be the
//!   tenant of another host in the same state.
//! - Gangs and lists are greedy: another order might place more. The search over orders is
//!   exponential, and a scheduler that wants it can try orders on copies.

mod answer;
mod at_home;
mod batch;
mod bound;
mod cheapest;
mod counted;
mod counts;
mod key;
mod member;
mod rank;
mod search;
mod upper_bound;

pub use answer::{
    FleetAnswer, FleetOptions, HostOrder, HostRank, HostRefusal, NotChosen, Remaining, Shortfall,
};
pub use batch::{AntiAffinity, BatchError, place_each, place_gang};
pub use member::FleetHost;
pub use rank::{rank, rank_by};
