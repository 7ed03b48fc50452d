//! What tenants have to themselves: their cores and their L3 domains, whatever later VMs wish. The
//! hosts are made of a few facts.

use pinwise::capacity::{Capacity, Shape, capacity};
use pinwise::engine::{Fact, Property};
use pinwise::host::{CoreSpec, L3Spec, NodeSpec, Reserve};
use pinwise::json::{read_usage, write_usage};
use pinwise::units::{NodeId, PackageId, PcpuId};
use pinwise::usage::{Offer, OfferError, Taken};
use pinwise::{
    Bytes, Claim, CpuSet, Host, HostSpec, Options, PageSize, Placement, Policies, Policy, Question,
    RequestSpec, Usage,
};
use pinwise_testkit::common::{ask_with, checked, vm};

fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

/// A node of twelve cores in three L3 domains of four; core n has the pCPUs n and n + 12. Nothing
/// is kept for the host.
fn host() -> Host {
    let mut host = HostSpec { reserved: Reserve::None, ..HostSpec::default() };
    for core in 0..12 {
        let pcpus = [core, core + 12].map(PcpuId).into_iter().collect();
        host.cores.push(CoreSpec::new(PackageId(0), core, pcpus));
    }
    for first in [0, 4, 8] {
        let cpus = (first..first + 4).flat_map(|n| [n, n + 12]).map(PcpuId).collect();
        host.l3_domains.push(L3Spec { cpus, size: None });
    }
    host.nodes.push(NodeSpec::new(NodeId(0), cpus("0-23"), Bytes::from_gib(64)));
    host.build().unwrap()
}

fn with(whole_cores: Policy, own_l3: Policy, vcpus: u32) -> RequestSpec {
    let policies = Policies { whole_cores, own_l3, ..Policies::default() };
    RequestSpec { policies, ..vm(vcpus, 1) }
}

fn best(host: &Host, usage: &Usage, request: &RequestSpec) -> Option<Placement> {
    let answer = ask_with(host, usage, request, &Options::default()).ok()?;
    Some(answer.best().placement.clone())
}

fn held(host: &Host, claim: Claim) -> Usage {
    let mut usage = Usage::empty(host);
    usage.claim(host, "strict", claim).unwrap();
    usage
}

#[test]
fn siblings_of_a_strict_tenant_are_not_for_vms_that_share_cores() {
    let host = host();
    let (whole_cores, dedicated) = (true, cpus("0-10"));
    let lax = Claim { dedicated: dedicated.clone(), ..Claim::default() };
    let strict = Claim { whole_cores, ..lax.clone() };
    let request = |vcpus| with(Policy::Ignore, Policy::Ignore, vcpus);
    let (lax, usage) = (held(&host, lax), held(&host, strict.clone()));
    assert_eq!(best(&host, &lax, &request(13)).unwrap().vcpus.len(), 13);
    let own = best(&host, &usage, &request(2)).unwrap();
    assert_eq!(own.vcpu_pcpus(), cpus("11,23"));
    assert!(best(&host, &usage, &request(3)).is_none());
    // Nor for emulator threads or vCPUs that float, and no further VM has room there.
    assert!(!own.emulator.intersects(&cpus("12-22")), "{}", own.emulator);
    let floats = Policies { dedicated_cpus: Policy::Ignore, ..request(3).policies };
    assert!(best(&host, &usage, &RequestSpec { policies: floats, ..request(3) }).is_none());
    let shape =
        Shape { whole_cores: false, ..Shape::new(1, 1, Bytes::from_gib(1), PageSize::KIB_4) };
    assert_eq!(capacity(&host, &lax, &shape), Capacity::Exact(13));
    assert_eq!(capacity(&host, &usage, &shape), Capacity::Exact(2));
    assert_eq!(strict.closes(&host), cpus("12-22"));
}

#[test]
fn what_a_vm_asked_for_stays_with_its_claim_and_through_json() {
    let host = host();
    let usage = Usage::empty(&host);
    for (whole_cores, own_l3, expected) in [
        (Policy::Require, Policy::Ignore, (true, false)),
        (Policy::Prefer, Policy::Require, (true, true)),
        (Policy::Ignore, Policy::Prefer, (false, true)),
    ] {
        let claim = best(&host, &usage, &with(whole_cores, own_l3, 2)).unwrap().claim();
        assert_eq!((claim.whole_cores, claim.own_l3), expected);
        let usage = held(&host, claim);
        assert_eq!(read_usage(&write_usage(&usage, &host), &host), Ok(usage));
    }
    // It leaves the second threads of its cores to others.
    let request = RequestSpec { cpus: Some(cpus("0-11")), ..vm(2, 1) };
    let claim = best(&host, &usage, &request).unwrap().claim();
    assert!(!claim.whole_cores);
    let second =
        RequestSpec { cpus: Some(cpus("12-23")), ..with(Policy::Ignore, Policy::Ignore, 12) };
    assert!(best(&host, &held(&host, claim), &second).is_some());
}

#[test]
fn l3_domains_of_ones_own_hold_no_others_now_or_later() {
    let host = host();
    let other = Claim { dedicated: cpus("0,4,16"), ..Claim::default() };
    let usage = held(&host, other);
    let own = best(&host, &usage, &with(Policy::Require, Policy::Require, 2)).unwrap();
    assert!(own.claim().dedicated.is_subset(&cpus("8-11,20-23")), "{:?}", own.vcpus);
    // Without the wish the tightest domains come first, and with it no other VM comes in.
    let mut then = usage.clone();
    then.claim(&host, "own", own.claim()).unwrap();
    let most = best(&host, &then, &with(Policy::Ignore, Policy::Ignore, 13)).unwrap();
    assert!(!most.vcpu_pcpus().intersects(&cpus("8-11,20-23")));
    assert!(best(&host, &then, &with(Policy::Ignore, Policy::Ignore, 14)).is_none());
    // One free domain has no nine pCPUs: refused, or taken elsewhere where it is preferred.
    let prefer = best(&host, &usage, &with(Policy::Require, Policy::Prefer, 9)).unwrap();
    assert!(!prefer.own_l3 && !prefer.claim().own_l3);
    let request = with(Policy::Require, Policy::Require, 9);
    let refused = ask_with(&host, &usage, &request, &Options::default()).unwrap_err();
    let facts: Vec<_> = refused.rejected.into_iter().flat_map(|r| r.facts).collect();
    assert!(facts.contains(&Fact::Lacks { property: Property::OwnL3 }), "{facts:?}");
}

#[test]
fn an_offer_that_breaks_isolation_is_refused() {
    let host = host();
    let usage = Usage::empty(&host);
    let offer = |request: &RequestSpec| {
        let request = checked(request);
        let question = Question::new(&host, &usage, &request);
        question.offer(&pinwise::recommend(question).unwrap().best().placement)
    };
    let own = offer(&with(Policy::Require, Policy::Require, 2));
    let held = own.claim.dedicated.first().unwrap();
    let first = host.core_of(held).unwrap().l3;
    let beside = host.cores().iter().filter(|core| core.l3 == first);
    let beside: CpuSet = beside.map(|core| core.pcpus[0]).collect();
    let beside = beside.difference(&own.claim.dedicated);
    let one: CpuSet = beside.first().into_iter().collect();
    // Another came into its L3 domain.
    let mut then = Usage::empty(&host);
    then.claim(&host, "x", Claim { dedicated: one.clone(), ..Claim::default() }).unwrap();
    let taken = |error| match error {
        OfferError::Taken { taken, .. } => taken,
        other => panic!("{other}"),
    };
    let told = taken(then.accept(&host, &own).unwrap_err());
    assert!(matches!(&told[..], [Taken::L3 { cpus, .. }] if *cpus == one), "{told:?}");
    // It came into another's.
    let mut then = Usage::empty(&host);
    then.accept(&host, &own).unwrap();
    let late = Offer {
        tenant: "late".to_owned(),
        claim: Claim { dedicated: one.clone(), ..Claim::default() },
        whole_cores: false,
        ..own
    };
    let told = taken(then.accept(&host, &late).unwrap_err());
    assert!(matches!(&told[..], [Taken::Closed { cpus, .. }] if *cpus == one), "{told:?}");
}
