//! Shared pCPUs: what floats on those of a node, and how many more vCPUs may.

use super::pcpus::FreePcpus;
use crate::host::{Host, Node};
use crate::units::Ratio;

/// The pCPUs of a node that vCPUs may float on: usable, and not isolated by the kernel.
///
/// Each pCPU has room for the overcommit, less the vCPUs of tenants that float there: each tenant's
/// are spread evenly over its pCPUs. A pCPU with more than that has no room, and takes none from
/// the others. Example: at an overcommit of 2, a tenant with 4 vCPUs on 16 pCPUs leaves each of
/// these room for 1.75.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pool {
    /// Their number.
    pub(crate) pcpus: u64,
    /// The vCPUs of tenants that float there, in millionths.
    pub(crate) load: u64,
    /// The number of further vCPUs that may float there.
    pub(crate) room: u64,
}

impl Pool {
    pub(crate) fn of(free: &FreePcpus, host: &Host, node: &Node, overcommit: Ratio) -> Self {
        let open = free.usable.intersection(&node.cpus).difference(host.isolated());
        let pcpus = open.len() as u64;
        let each = u64::from(overcommit.0) * 1000;
        if free.sharers.is_empty() {
            return Self { pcpus, load: 0, room: each * pcpus / 1_000_000 };
        }
        let (mut load, mut room) = (0_u64, 0_u64);
        for pcpu in open.iter() {
            let here = free.sharers.iter().filter(|(set, _)| set.contains(pcpu));
            let part = |(set, vcpus): &(crate::sets::CpuSet, u32)| {
                u64::from(*vcpus) * 1_000_000 / set.len() as u64
            };
            let here = here.map(part).fold(0, u64::saturating_add);
            load = load.saturating_add(here);
            room += each.saturating_sub(here);
        }
        Self { pcpus, load, room: room / 1_000_000 }
    }

    /// The vCPUs for each pCPU with this many more, in millionths.
    pub(crate) fn fullness(self, vcpus: u64) -> u64 {
        self.load.saturating_add(vcpus * 1_000_000).checked_div(self.pcpus).unwrap_or(u64::MAX)
    }
}
