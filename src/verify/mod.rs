//! The independent checker: whether a placement is what was asked for, and legal on the host.
//!
//! # Why it can be trusted
//! It shares no code with what makes placements. Everything is derived again from the records of
//! the host, the tenants' claims and the request, in plain loops over lists, so that a mistake in
//! the engine is not repeated here. A test reads the `use` lines of this folder and fails on any
//! import from the engine, from the definition of what is free, or from an emitter.
//!
//! It rests on nothing in the placement either. Lists may have the wrong length, ids may name
//! nothing, sums may overflow: each is a [`Violation`], and none is a panic.
//!
//! # What it checks
//! Every field of a [`Placement`](crate::Placement), taken apart without `..`, so that a new field
//! does not compile until it is checked:
//! - pCPUs: every vCPU is pinned; dedicated vCPUs have one pCPU each, which is online, allowed, not
//!   kept for the host and held by nobody; the vCPUs of a guest core are on one core; emulator and
//!   I/O threads are on pCPUs without vCPUs; cores are whole where that is required.
//! - The guest's view: sockets x dies x cores x threads are the vCPUs, no guest core is in two
//!   cells, sockets are no more than the packages in use (or, where a guest takes a socket for one
//!   L3, than the cells), the style says what is shown, and distances are a symmetric matrix.
//! - Memory: cells partition the vCPUs and sum to the request; each is whole pages of its size; all
//!   cells together find their pages free, node by node and in all.
//! - Devices: those that were asked for, held by nobody, each once, with the whole IOMMU group, in
//!   the cell of their node; required switches, links and partitions.
//! - The guest's PCIe tree: numbering, slots, buses, expander buses, switches, and the MMIO window.
//! - Warnings about neighbours ([`verify_warnings`]): each is true, and none is missing.
//!
//! # What it does not check
//! - Whether a better placement exists: brute force on tiny hosts does, in the tests.
//! - Scores, predictions and costs: the tests recompute those.
//! - What an emitter prints: libvirt and booted guests judge that.
//! - The host itself: [`HostSpec::build`](crate::HostSpec::build) has checked it, and the checker
//!   takes its records as they are. It takes [`Usage`](crate::Usage) likewise as a list of claims
//!   and of pages that no claim explains.
//!
//! Tests sabotage a clean placement once for every violation, and expect exactly that violation.

mod case;
mod check;
mod cpu;
mod devices;
mod guest;
mod memory;
mod neighbours;
mod pci;
mod peers;
#[cfg(test)]
mod tests;
mod violation;

pub use check::verify;
pub use neighbours::{WrongWarning, verify_warnings};
pub use violation::{CpuUser, Violation, Violations};
