//! Fleets: one request against many hosts, of which as few as possible are searched.
//!
//! **Takes** `FleetHost`s (a topology, shared by hosts of one model, and the usage of the host's
//! own tenants), one request, or one per host, and options. **Gives** the best hosts, each with the
//! placement that `recommend` would give there; the other hosts, ordered by what is known of them;
//! and the hosts on which the VM does not fit, with the reason. With the feature `rayon` hosts are
//! evaluated in parallel; the answer is the same, byte for byte.
//!
//! # The order of hosts: `HostKey`
//! Smaller is better, field by field:
//! 1. the number of unmet preferences;
//! 2. the number of packages that the VM spans;
//! 3. whether its GPUs, if several, are scattered: not all on one switch;
//! 4. *price*: the slots that end or are delayed (see `cost`; unavoidable ones count too, because
//!    another host may avoid them), plus 1000 if the cores are in more L3 domains than needed. The
//!    1000 is chosen by us: as much as a 1-GPU slot;
//! 5. the score with the full packing cost, highest first;
//! 6. the free resources that remain, `Remaining`: GPUs, then pCPUs, least first;
//! 7. the host's position.
//!
//! This is `HostOrder::BestFit`: on each host the engine chooses the best placement for the VM;
//! between hosts, the fleet chooses the one where that placement takes the least from later VMs.
//! `Spread` keeps fields 1, 6 (most first) and 7. `FirstFit` tries the hosts in order and stops at
//! the first that fits.
//!
//! # Bound, then search
//! 1. *Counting.* `FreeCounts`, kept beside each usage, refuse a host that has too few GPUs, too
//!    few pCPUs (if they must be dedicated) or too few pages (if a page size is requested). They
//!    count as many of the host's roomiest nodes as the VM may span (for GPUs only if they must be
//!    local). A host that passes may still not fit.
//! 2. *Bounding.* Every other host gets the best `HostKey` that its counts allow. A bound is never
//!    worse than the key of the placement that the engine would choose on that host.
//! 3. *Searching.* Hosts are searched in the order of their bounds, 16 at first and twice as many
//!    each time, until there are as many keys as answers wanted, and the next bound is no better
//!    than the last of these keys. No host behind it can come before an answer.
//! 4. *Answering.* The first hosts are given to `recommend` in full. The rest are `NotChosen`:
//!    searched ones with their result, the others with their bound, which does not prove that the
//!    VM fits.
//!
//! Example: three answers are wanted, and the third best key found has price 4000. A host whose
//! bound has price 5000, with all earlier fields equal, is not searched: its real price is at least
//! 5000.
//!
//! # Bounds in general
//! The bound is the smallest triple of packages, switches and price, with no cores and no memory
//! taken, over all GPU sets that the VM could have: one set per way of taking GPUs from the classes
//! "same node, same switch", and at most 512 sets. If the VM must be on one node, the price is that
//! of one node, with the fewest cores that the VM can have and its memory. Everything else that a
//! placement takes only adds to the price. Preferences count as met and the score as unbounded. If
//! there are more than 512 sets, or a model is requested, the price is taken as 0. For VMs without
//! GPUs this bound hardly distinguishes hosts.
//!
//! # Bounds for VMs without devices: `UpperBound`
//! The score of a VM without devices depends on few properties, and not on free resources. So for
//! every request and model with at least 16 hosts, all profiles that a placement could have there
//! (nodes, packages, L3 use, core kinds, page kinds, the guest's view) are scored once. Some of
//! these profiles no placement has, which only makes the bound too good. Hosts then differ in where
//! the VM could be *at home*.
//!
//! A VM is **at home** on a set of exactly as many nodes as it has cells: one, unless more are
//! required. If cells are equal, each node of the set gets the same number of guest cores, so free
//! counts determine whether the VM fits, how its cores are spread over L3 domains, and which slots
//! end. If cells may differ, or there are more than 64 such sets, the sets are not distinguished
//! and cost nothing. Elsewhere (more nodes, floating vCPUs) the bound is the best score of that
//! kind at price 0 in one package.
//!
//! The engine chooses by score and the fleet orders by price, so a cheap placement must not bound a
//! host whose engine would not choose it. If counting *proves* that the VM fits on a set of nodes
//! (whole cores, pages of one size, a pCPU for the emulator), the worst score on that set is
//! certain to be reached. Placements that cannot reach the best such score are ignored, and the
//! smallest of the others is the bound.
//!
//! # Shared states
//! Hosts are in one *state* if they have the same topology and request, and their tenants leave the
//! same pCPUs, pages and devices free and hold GPUs in the same groups. Each state is searched
//! once: a fleet of 10,000 hosts of one model, half of them empty, searches the empty state once.
//! Topologies and requests are compared by address, never by content, and nothing is ordered by
//! these addresses.
//!
//! # Kept fleets
//! `rank` counts every host anew. `Fleet` owns its hosts instead, notes what changes, and keeps
//! what it knows for each shape of requests: the same answers at a cost that hardly grows with the
//! fleet (see `kept`).
//!
//! # Batches
//! `place_each` places requests in turn, each on its best host, and claims: later ones see the
//! claims of earlier ones, and a request that fits nowhere is skipped. `place_gang` places the same
//! request n times, with -0, -1, … appended to its name, with an `AntiAffinity` of hosts or
//! packages, and claims all or nothing. For packages, the free resources in packages of earlier VMs
//! count as taken.
//!
//! # Invariants
//! - A bound is not greater than the key found on its host. Debug builds assert it for every
//!   search.
//! - `FreeCounts` are recounted at every claim and release of a `FleetHost`.
//! - Keys of two hosts are never equal, so the order is total: among equal hosts the first comes
//!   first.
//!
//! # Known limitations
//! - A loose bound costs searches, never an answer. If several answers are wanted from a nearly
//!   full fleet, most states may have to be searched.
//! - Topologies are shared by address. A topology that is loaded twice is searched twice.
//! - A refusal is computed once per state. If it names the holder of a device, that may be the
//!   holder on another host of the state.
//! - Gangs and lists are greedy: another order might place more. A search over orders would be
//!   exponential; a scheduler that wants it can try orders on copies.

mod answer;
mod at_home;
mod batch;
mod bound;
mod cheapest;
mod counted;
mod counts;
mod kept;
mod key;
mod member;
mod rank;
mod search;
mod upper_bound;

pub use answer::{
    FleetAnswer, FleetOptions, HostOrder, HostRank, HostRefusal, NotChosen, Remaining, Shortfall,
};
pub use batch::{AntiAffinity, BatchError, place_each, place_gang};
pub use kept::{Ask, Fleet, FleetError, NotPlaced, RefusedHosts};
pub use member::FleetHost;
pub use rank::{rank, rank_by};
