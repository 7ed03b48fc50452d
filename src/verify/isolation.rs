//! Checks of isolation: the VM's own, and that of the tenants around it.

use std::collections::BTreeSet;

use super::case::Case;
use super::cpu::Cpus;
use super::violation::{CpuUser, Violation};
use crate::host::{Core, Host};
use crate::request::Policy;
use crate::sets::CpuSet;
use crate::units::{CoreId, L3Id, PackageId};
use crate::usage::{Claim, Usage};

/// What the placement says of its isolation.
pub(super) struct Isolation {
    pub(super) whole_cores: bool,
    pub(super) own_l3: bool,
}

impl Isolation {
    pub(super) fn check(&self, case: &Case<'_>, cpus: &Cpus<'_>, found: &mut Vec<Violation>) {
        let policies = &case.request.spec().policies;
        let mut own = CpuSet::new();
        if cpus.dedicated {
            for set in cpus.vcpus {
                own.extend(set);
            }
        }
        own.extend(cpus.idle);
        own.extend(cpus.emulator_own);
        let open = leaves_siblings(case, &own);
        let wants_cores = match policies.whole_cores {
            Policy::Require => cpus.dedicated && !open,
            Policy::Prefer => self.whole_cores && cpus.dedicated && !open && is_whole(case, &own),
            Policy::Ignore => false,
        };
        let wants_l3 = match policies.own_l3 {
            Policy::Require => true,
            Policy::Prefer => self.own_l3 && cpus.dedicated,
            Policy::Ignore => false,
        };
        for (what, found_flag, wanted) in [
            ("whole cores", self.whole_cores, wants_cores && !case.is_default()),
            ("L3 domains of its own", self.own_l3, wants_l3 && !case.is_default()),
        ] {
            if found_flag != wanted {
                found.push(Violation::IsolationClaimed { what, found: found_flag, wanted });
            }
        }
        if case.is_default() {
            return;
        }
        if self.own_l3 {
            let around = beside(case.host, &own, l3);
            for (holder, claim) in case.usage.tenants() {
                let pcpus = around.intersection(&claim.dedicated).difference(&own);
                if !pcpus.is_empty() {
                    let holder = holder.to_owned();
                    found.push(Violation::L3Shared { pcpus, holder });
                }
            }
        }
        // Held pCPUs have a violation of their own.
        let mut held = CpuSet::new();
        for (_, claim) in case.usage.tenants() {
            held.extend(&claim.dedicated);
        }
        let mut isolated = Vec::new();
        for (holder, claim) in case.usage.tenants() {
            let closed = closed_by(case.host, claim);
            let closed = closed.difference(&case.housekeeping).difference(&held);
            if !closed.is_empty() {
                isolated.push((holder, closed));
            }
        }
        for (user, pcpus) in cpus.users() {
            for (holder, closed) in &isolated {
                let mut pcpus = pcpus.intersection(closed);
                if matches!(user, CpuUser::Emulator | CpuUser::IoThread(_)) {
                    // The VM's own pCPUs beside its vCPUs are checked as what they are.
                    pcpus = pcpus.difference(cpus.idle).difference(cpus.emulator_own);
                }
                if !pcpus.is_empty() {
                    let holder = (*holder).to_owned();
                    found.push(Violation::TenantIsolated { user, pcpus, holder });
                }
            }
        }
    }
}

fn core(core: &Core) -> CoreId {
    core.id
}

/// Cores of a package without a known L3 domain count as one domain.
fn l3(core: &Core) -> (PackageId, Option<L3Id>) {
    (core.id.package, core.l3)
}

/// The pCPUs of the cores, or of the L3 domains, that some pCPUs are in.
fn beside<Part: Ord>(host: &Host, of: &CpuSet, part: fn(&Core) -> Part) -> CpuSet {
    let mut theirs = BTreeSet::new();
    for core in host.cores() {
        if core.pcpus.iter().any(|pcpu| of.contains(*pcpu)) {
            theirs.insert(part(core));
        }
    }
    let mut all = CpuSet::new();
    for core in host.cores() {
        if theirs.contains(&part(core)) {
            for pcpu in &core.pcpus {
                all.insert(*pcpu);
            }
        }
    }
    all
}

/// The pCPUs on cores and in L3 domains that a tenant has to itself.
fn closed_by(host: &Host, claim: &Claim) -> CpuSet {
    let mut closed = CpuSet::new();
    if claim.whole_cores {
        closed.extend(&beside(host, &claim.dedicated, core));
    }
    if claim.own_l3 {
        closed.extend(&beside(host, &claim.dedicated, l3));
    }
    closed
}

/// The pCPUs on cores and in L3 domains that some tenant has to itself.
pub(super) fn closed(host: &Host, usage: &Usage) -> CpuSet {
    let mut closed = CpuSet::new();
    for (_, claim) in usage.tenants() {
        closed.extend(&closed_by(host, claim));
    }
    closed
}

/// The pCPUs that tenants have to themselves, and, for a VM in L3 domains of its own, those in the
/// L3 domains of tenants.
pub(super) fn barred(host: &Host, usage: &Usage, own_l3: bool) -> CpuSet {
    let mut barred = closed(host, usage);
    for (_, claim) in usage.tenants() {
        if own_l3 {
            barred.extend(&beside(host, &claim.dedicated, l3));
        }
    }
    barred
}

/// Whether the request's own set of pCPUs leaves siblings of these pCPUs to others.
fn leaves_siblings(case: &Case<'_>, own: &CpuSet) -> bool {
    let Some(cpus) = &case.request.spec().cpus else { return false };
    let siblings = beside(case.host, own, core).intersection(case.host.allowed());
    !siblings.difference(cpus).difference(own).difference(&case.housekeeping).is_empty()
}

/// Whether the VM holds all pCPUs of its cores that a VM can have.
fn is_whole(case: &Case<'_>, own: &CpuSet) -> bool {
    beside(case.host, own, core).intersection(case.host.allowed()).is_subset(own)
}
