//! The pCPUs around a tenant that its isolation closes to others.

use std::collections::BTreeSet;

use super::claim::Claim;
use crate::host::{Core, Host};
use crate::sets::CpuSet;
use crate::units::{L3Id, PackageId};

/// An L3 domain; `None` for the cores of a package without a known one, which count as one domain.
pub(crate) type L3Domain = (PackageId, Option<L3Id>);

/// The L3 domain of a core.
pub(crate) fn l3_domain(core: &Core) -> L3Domain {
    (core.id.package, core.l3)
}

/// All pCPUs of the L3 domains of these pCPUs.
pub(crate) fn in_l3_domains(host: &Host, cpus: &CpuSet) -> CpuSet {
    let mut all = CpuSet::new();
    if cpus.is_empty() {
        return all;
    }
    let cores = cpus.iter().filter_map(|pcpu| host.core_of(pcpu));
    let domains: BTreeSet<L3Domain> = cores.map(l3_domain).collect();
    for core in host.cores().iter().filter(|core| domains.contains(&l3_domain(core))) {
        all.extend(&core.pcpus.iter().copied().collect());
    }
    all
}

/// All pCPUs of the cores of these pCPUs.
pub(crate) fn on_cores(host: &Host, cpus: &CpuSet) -> CpuSet {
    let mut all = CpuSet::new();
    for pcpu in cpus.iter().filter(|pcpu| host.core_of(*pcpu).is_some()) {
        // Most cores are known already from their first pCPU.
        if !all.contains(pcpu) {
            let core = host.core_of(pcpu).into_iter().flat_map(|core| &core.pcpus);
            core.for_each(|pcpu| {
                all.insert(*pcpu);
            });
        }
    }
    all
}

impl Claim {
    /// The pCPUs that other tenants may not have because of this claim's isolation, and that are
    /// not dedicated to it: siblings on its cores, pCPUs of its L3 domains. What the host keeps is
    /// not among them, as the host's own work may run there.
    #[must_use]
    pub fn closes(&self, host: &Host) -> CpuSet {
        let mut closed = CpuSet::new();
        if self.whole_cores {
            closed = on_cores(host, &self.dedicated);
        }
        if self.own_l3 {
            closed.extend(&in_l3_domains(host, &self.dedicated));
        }
        closed.difference(&self.dedicated).difference(&host.kept().cpus)
    }
}
