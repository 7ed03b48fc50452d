//! The search: which nodes, GPUs, CPUs and pages a VM could have, and how much its guest could see.
//!
//! Candidates are counted before they are built: a node is its free cores and pages, a set of nodes a
//! bit mask, a set of GPUs the best of its class. Every candidate has a profile, candidates of equal
//! profile share a score, and only the best of each variant becomes a placement with pins.
//!
//! Node sets grow from one node until one holds the VM with all its GPUs; a set wider than that gains
//! nothing in any rule. Sets of one size are tried all, up to 4096 of them; beyond, and beyond 1024 GPU
//! sets, the search is cut and the answer says so.

pub(crate) mod cpus;
pub(crate) mod gpus;
mod inventory;
pub(crate) mod nodes;
mod pass;
mod splits;
mod state;
mod weigh;

pub(crate) use inventory::{Search, emulator_room, emulator_way};
pub(crate) use state::{Candidate, Pages};
