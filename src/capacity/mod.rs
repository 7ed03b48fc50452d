//! How many more VMs of a shape fit, and what a placement takes from them.
//!
//! [`capacity`] is exact: the largest number of further VMs of a [`Shape`] on a host with its tenants.
//! [`vms`] is the same over plain numbers per node. What the engine counts for every candidate
//! ([`HostCost`](crate::HostCost)) is coarser and cheaper.

mod exact;
mod host;
mod packing;
mod shape;

pub use exact::{NodeRoom, vms};
pub use host::capacity;
pub use shape::{Allowed, GpuBond, Shape, reference_shapes};

/// How many VMs fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Capacity {
    /// So many, and not one more. [`u64::MAX`] for a shape that takes nothing.
    Exact(u64),
    /// The search met its bound first.
    Between {
        /// So many were packed.
        at_least: u64,
        /// More than so many cannot be.
        at_most: u64,
    },
}

impl Capacity {
    fn new(at_least: u64, at_most: u64) -> Self {
        if at_least >= at_most { Self::Exact(at_most) } else { Self::Between { at_least, at_most } }
    }

    /// The number of VMs that surely fit.
    #[must_use]
    pub fn at_least(self) -> u64 {
        match self {
            Self::Exact(vms) | Self::Between { at_least: vms, .. } => vms,
        }
    }

    /// The number beyond which surely none fits.
    #[must_use]
    pub fn at_most(self) -> u64 {
        match self {
            Self::Exact(vms) | Self::Between { at_most: vms, .. } => vms,
        }
    }

    /// The number, where the search settled it.
    #[must_use]
    pub fn exact(self) -> Option<u64> {
        if let Self::Exact(vms) = self { Some(vms) } else { None }
    }

    /// At most `most`, whatever else.
    fn capped(self, most: u64) -> Self {
        Self::new(self.at_least().min(most), self.at_most().min(most))
    }

    /// The sum of independent parts.
    fn plus(self, other: Self) -> Self {
        let sum = |a: u64, b: u64| a.saturating_add(b);
        Self::new(sum(self.at_least(), other.at_least()), sum(self.at_most(), other.at_most()))
    }
}
