//! The independent checker: whether a placement satisfies the request and is legal on the host.
//!
//! # Why it can be trusted
//! The checker shares no code with the engine. It derives everything again from the records of the
//! host, the tenants' claims and the request, in plain loops over lists, so that a mistake in the
//! engine is not repeated here. A test reads the `use` lines of this folder and fails on any import
//! from the engine, from the definition of what is free, or from an emitter.
//!
//! It trusts nothing in the placement. Lists may have the wrong length, ids may not exist, sums may
//! overflow: each is a [`Violation`], and none causes a panic.
//!
//! # What it checks
//! Every field of a [`Placement`](crate::Placement), taken apart without `..`, so that a new field
//! does not compile until it is checked:
//! - pCPUs: every vCPU is pinned; each dedicated vCPU has one pCPU, which is online, allowed, not
//!   reserved for the host, not held by anybody and not excluded by the request; the vCPUs of a
//!   guest core are on one core; emulator and I/O threads are on pCPUs without vCPUs; cores are
//!   claimed whole if the request requires it.
//! - Isolation: the VM has its cores and L3 domains to itself as far as the request says, and is on
//!   no pCPU that a tenant's isolation closes.
//! - The guest's view: sockets x dies x cores x threads equals the number of vCPUs, no guest core
//!   straddles cells, sockets are no more than the packages in use (or, where a guest takes each
//!   socket for one L3, than the cells), the topology shown agrees with the style, and distances
//!   are a symmetric matrix.
//! - Nodes: every cell is on nodes that the request allows. vCPUs are on the nodes of their cell,
//!   or, if the guest has one cell, on nodes that have no memory for the VM.
//! - Memory: the cells partition the vCPUs, and their memory adds up to the request's; each cell is
//!   a whole number of pages; the pages of all cells together are free, node by node and in total.
//! - Devices: the requested ones, held by nobody, each once, with the whole IOMMU group, in the
//!   cell of their node; required switches, links and partitions; devices by kind in the requested
//!   number, of the requested model, and near the GPUs.
//! - SR-IOV and mediated devices: no function beside one that excludes it, given or held; by
//!   number, GPUs of the requested kind, none with virtual functions and none that may be shared.
//! - The guest's PCIe tree: numbering, slots, buses, expander buses, switches, and the MMIO window.
//! - Warnings about neighbours ([`verify_warnings`]): each is true, and none is missing.
//!
//! # What it does not check
//! - Whether a better placement exists: the tests try all placements on tiny hosts.
//! - Scores, predictions and costs: the tests recompute those.
//! - The output of emitters: libvirt and booted guests check that in the lab.
//! - The host itself: [`HostSpec::build`](crate::HostSpec::build) has checked it, and the checker
//!   takes its records as they are. Likewise it takes [`Usage`](crate::Usage) as a list of claims
//!   and of pages that no claim explains.
//!
//! The tests sabotage a clean placement once for every violation, and expect exactly that
//! violation.

mod apart;
mod card;
mod case;
mod check;
mod cpu;
mod devices;
mod fabric;
mod functions;
mod guest;
mod isolation;
mod memory;
mod neighbours;
mod pci;
mod peers;
#[cfg(test)]
mod tests;
mod violation;
mod violations;
mod wishes;
mod wrong_warning;

pub use check::verify;
pub use neighbours::verify_warnings;
pub use violation::{CpuUser, Violation};
pub use violations::Violations;
pub use wrong_warning::WrongWarning;
