//! The host that hwloc's lstopo wrote to an XML file, of hwloc 1, 2 or 3.
//!
//! The file may come from anywhere, so it is bounded, and nothing here panics on what it says. It
//! is read without libhwloc, which refuses files of newer versions and crashes on broken ones.
//!
//! lstopo tells less than sysfs: pages in all but not how many are free; only PCI functions of
//! interest and the bridges above them that branch, without IOMMU groups, drivers and BARs; of a
//! PCIe link the product of speed and width, from which neither follows; and no pCPUs or nodes that
//! a cgroup forbade to whoever wrote the file, unless it was told to write all.

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
