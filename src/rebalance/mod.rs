//! What would make room for a request that was refused: which VMs to re-pin while they run, and
//! which to stop and start elsewhere on the host.
//!
//! **Takes** the question that was refused, and the requests of those tenants that may be
//! restarted. **Gives** steps, each possible when its turn comes, and the placement of the request
//! after them; or the reason why there is no advice.
//!
//! # Two kinds of step
//! - *Re-pin*: a running VM gets other pCPUs and keeps its memory and devices. Every tenant with
//!   pCPUs of its own may be re-pinned. Core by core: SMT siblings stay siblings, and a core that
//!   the VM has whole becomes one that it has whole. vCPUs may leave the node of their memory; the
//!   step says so.
//! - *Restart*: a VM is placed anew by its request. Only tenants whose request the caller names.
//!
//! # The search
//! Sets of VMs are tried by how much they disturb: without a restart first, then with one, and so
//! on, and of each kind the smallest sets first. For each set:
//! 1. the set is taken off the host, as far as it can leave: if the request does not fit then, the
//!    set is of no use;
//! 2. the request is placed, without restriction and then on every node and pair of nodes;
//! 3. the set is placed around it, live moves first because they have the least choice;
//! 4. the steps are put in an order in which each is possible;
//! 5. the steps are carried out on a copy of the usage, and the request is placed and verified
//!    again.
//!
//! What is advised was therefore tried. What is not found may still exist: see the bounds.
//!
//! # Bounds
//! [`MAX_STEPS`] VMs are moved at most, [`MAX_QUESTIONS`] recommendations are asked for at most,
//! and 64 sets of nodes are tried for the request. If the second cut the search, the answer says
//! so.

mod advice;
mod repin;
mod search;

#[cfg(test)]
pub(crate) use repin::repin;

pub use advice::{Advice, MAX_QUESTIONS, MAX_STEPS, NoAdvice, Step};
pub use search::rebalance;
