//! Isolation: the VM's own, and that of the other tenant.

use super::super::scenes::{cpus, floating, lent, pin};
use super::{Sabotage, other, vcpu};
use crate::host::spec::L3Spec;
use crate::request::Policy;
use crate::verify::CpuUser::{Emulator, Vcpu};
use crate::verify::Violation::*;
use crate::verify::tests::scenes::Scene;

/// `pin`, in an L3 domain of its own.
fn own_l3() -> Scene {
    let mut scene = pin();
    let domain = |list| L3Spec { cpus: cpus(list), size: None };
    scene.host.l3_domains = vec![domain("0-3,8-11"), domain("4-7,12-15")];
    scene.hold("4", &[]);
    scene.request.policies.own_l3 = Policy::Require;
    scene.placement.own_l3 = true;
    assert_eq!(scene.verify(), Ok(()));
    scene
}

/// `lent` on cores 1 and 4, whose siblings it does not hold, with nobody beside it.
fn parts() -> Scene {
    lent()
}

pub(super) fn isolation_broken() -> Vec<Sabotage> {
    let cores = "whole cores";
    let l3 = "L3 domains of its own";
    vec![
        (
            pin,
            |s| s.placement.whole_cores = false,
            IsolationClaimed { what: cores, found: false, wanted: true },
        ),
        (
            parts,
            |s| s.placement.whole_cores = true,
            IsolationClaimed { what: cores, found: true, wanted: false },
        ),
        // The siblings that the request leaves out stay open to others.
        (
            parts,
            |s| {
                s.request.policies.whole_cores = Policy::Require;
                s.request.cpus = Some(cpus("0-7"));
                s.placement.whole_cores = true;
            },
            IsolationClaimed { what: cores, found: true, wanted: false },
        ),
        (
            own_l3,
            |s| s.placement.own_l3 = false,
            IsolationClaimed { what: l3, found: false, wanted: true },
        ),
        (
            pin,
            |s| s.placement.own_l3 = true,
            IsolationClaimed { what: l3, found: true, wanted: false },
        ),
        (
            floating,
            |s| {
                s.request.policies.own_l3 = Policy::Prefer;
                s.placement.own_l3 = true;
            },
            IsolationClaimed { what: l3, found: true, wanted: false },
        ),
        (own_l3, |s| s.hold("3", &[]), L3Shared { pcpus: cpus("3"), holder: other() }),
        (
            parts,
            |s| {
                s.hold("9", &[]);
                s.tenants[0].whole_cores = true;
            },
            TenantIsolated { user: Vcpu(vcpu(0)), pcpus: cpus("1"), holder: other() },
        ),
        (
            own_l3,
            |s| {
                s.tenants[0].own_l3 = true;
                s.placement.emulator = cpus("13");
            },
            TenantIsolated { user: Emulator, pcpus: cpus("13"), holder: other() },
        ),
    ]
}
