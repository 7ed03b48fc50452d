//! A host from an XML file that lstopo of hwloc 1, 2 or 3 wrote.
//!
//! The file may come from anywhere, so it is bounded, and no content makes this panic. It is read
//! without libhwloc, which refuses files of newer versions and crashes on broken ones.
//!
//! lstopo shows less than sysfs:
//! - the pages of a node in all, but not the free ones;
//! - only PCI functions that it considers interesting and the bridges above them that branch,
//!   without IOMMU groups, drivers and BARs;
//! - of a PCIe link, the product of speed and width, from which neither follows;
//! - no pCPUs or nodes that a cgroup forbade to lstopo, unless it was told to write all.

mod cpu;
mod distances;
mod element;
mod function;
#[cfg(feature = "hwloc")]
mod live;
mod lstopo;
mod node;
pub(crate) mod note;
mod pci;
mod problem;
mod walk;

pub(crate) use element::parse_mask;
#[cfg(feature = "hwloc")]
pub use live::{HwlocError, read_live};
pub use lstopo::read_lstopo;
pub use note::LstopoNote;
pub use problem::{LstopoError, MAX_LSTOPO};
