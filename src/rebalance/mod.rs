//! Moves that make room for a refused request: the VMs to re-pin while they run, and the VMs to
//! stop and start elsewhere on the host.
//!
//! **Takes** the refused question, and the requests of the tenants that may be restarted. **Gives**
//! steps, each possible at its turn, and the placement of the request after them; or the reason why
//! there is no advice.
//!
//! # Two kinds of step
//! - *Re-pin*: a running VM gets other pCPUs and keeps its memory and devices. Every tenant with
//!   dedicated pCPUs may be re-pinned, core by core: SMT siblings stay siblings, and a whole core
//!   is replaced by a whole core. vCPUs may leave the node of their memory; the step says so.
//!   A VM whose request the caller gives keeps to the pCPUs and nodes that it is held to.
//! - *Restart*: a VM is placed again by its request. Only tenants whose request the caller gives.
//!
//! # The search
//! Sets of VMs are tried in the order of their disturbance: first without restarts, then with one,
//! and so on; among these, the smallest sets first. For each set:
//! 1. the set is removed from the host, as far as it can leave; if the request still does not fit,
//!    the set is skipped;
//! 2. the request is placed, first anywhere and then on every node and pair of nodes;
//! 3. the VMs of the set are placed around it, live moves first because they have the least choice;
//! 4. the steps are ordered such that each is possible at its turn;
//! 5. the steps are carried out on a copy of the usage, and the request is placed and verified
//!    again.
//!
//! So every advice was tried. An advice that is not found may still exist: see the bounds.
//!
//! # Bounds
//! At most [`MAX_STEPS`] VMs are moved, at most [`MAX_QUESTIONS`] recommendations are asked for,
//! and 64 sets of nodes are tried for the request. If the second bound cut the search short, the
//! answer says so.

mod advice;
mod repin;
mod search;

#[cfg(test)]
pub(crate) use repin::repin;

pub use advice::{Advice, MAX_QUESTIONS, MAX_STEPS, NoAdvice, Step};
pub use search::rebalance;
