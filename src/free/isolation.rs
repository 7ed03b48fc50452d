//! What isolation closes: to new VMs around tenants, and around others to a VM.

use crate::host::Host;
use crate::sets::CpuSet;
use crate::usage::{Usage, in_l3_domains, on_cores};

/// What a VM has to itself around its dedicated pCPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Isolation {
    /// Its cores: shared ones are not for it.
    pub(crate) whole_cores: bool,
    /// Its L3 domains: those where tenants have dedicated pCPUs are not for it.
    pub(crate) own_l3: bool,
}

impl Isolation {
    /// Whole cores or not.
    pub(crate) const fn whole(whole_cores: bool) -> Self {
        Self { whole_cores, own_l3: false }
    }
}

/// The pCPUs that the isolation of tenants closes to new VMs, dedicated to none and not kept for
/// the host: [`Claim::closes`](crate::usage::Claim::closes) of all tenants together.
pub(crate) fn closed(host: &Host, usage: &Usage) -> CpuSet {
    let (of_cores, of_l3) = usage.isolated();
    if of_cores.is_empty() && of_l3.is_empty() {
        return CpuSet::new();
    }
    let mut closed = on_cores(host, &of_cores);
    closed.extend(&in_l3_domains(host, &of_l3));
    closed.difference(usage.dedicated()).difference(&host.kept().cpus)
}
