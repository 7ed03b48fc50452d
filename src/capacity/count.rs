//! The number of VMs that fit, exact or bounded.

/// The number of VMs that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Capacity {
    /// Exactly this many VMs fit. [`u64::MAX`] for a shape that takes nothing.
    Exact(u64),
    /// Bounds on the number: the search reached its limit.
    Between {
        /// This many VMs were packed.
        at_least: u64,
        /// No more than this many VMs can fit.
        at_most: u64,
    },
}

impl Capacity {
    pub(super) fn new(at_least: u64, at_most: u64) -> Self {
        if at_least >= at_most { Self::Exact(at_most) } else { Self::Between { at_least, at_most } }
    }

    /// A lower bound of the number of VMs that fit.
    #[must_use]
    pub fn at_least(self) -> u64 {
        match self {
            Self::Exact(vms) | Self::Between { at_least: vms, .. } => vms,
        }
    }

    /// An upper bound of the number of VMs that fit.
    #[must_use]
    pub fn at_most(self) -> u64 {
        match self {
            Self::Exact(vms) | Self::Between { at_most: vms, .. } => vms,
        }
    }

    /// The number of VMs that fit, if the search settled it.
    #[must_use]
    pub fn exact(self) -> Option<u64> {
        if let Self::Exact(vms) = self { Some(vms) } else { None }
    }

    /// This number, or `most` if that is smaller.
    pub(super) fn capped(self, most: u64) -> Self {
        Self::new(self.at_least().min(most), self.at_most().min(most))
    }

    /// The sum over independent parts.
    pub(super) fn plus(self, other: Self) -> Self {
        let sum = |a: u64, b: u64| a.saturating_add(b);
        Self::new(sum(self.at_least(), other.at_least()), sum(self.at_most(), other.at_most()))
    }
}
