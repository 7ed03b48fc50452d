//! vCPUs that share pCPUs with other tenants on purpose.

use crate::units::Ratio;

/// vCPUs that float over pCPUs which others share: the small VMs of a cloud. Each may run on every
/// shared pCPU of its node; the host's scheduler spreads them.
///
/// The set is all that is free and not isolated on the VM's nodes, because a wider set is never
/// slower. [`RequestSpec::cpus`](crate::RequestSpec::cpus) bounds it to a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[doc(alias = "cpu_shared_set")]
pub struct Sharing {
    /// The most vCPUs for each shared pCPU of a node, those of other tenants that float there
    /// counted: from 1 to 64.
    #[doc(alias = "cpu_allocation_ratio")]
    pub overcommit: Ratio,
}

impl Sharing {
    /// The largest overcommit.
    pub const MAX: Ratio = Ratio(64_000);
}

/// Four vCPUs for each pCPU: chosen by us, for VMs that are idle most of the time.
impl Default for Sharing {
    fn default() -> Self {
        Self { overcommit: Ratio(4000) }
    }
}
