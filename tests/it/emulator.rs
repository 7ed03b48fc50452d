//! The pCPUs of the emulator threads: which they are, and what is said where there are none. And
//! when a guest has an IOMMU.

use pinwise::engine::Fact;
use pinwise::host::{CoreSpec, NodeSpec};
use pinwise::units::{NodeId, PackageId, PcpuId};
use pinwise::{Bytes, Claim, Host, HostSpec, Options, Policies, Policy, RequestSpec, Style, Usage};
use pinwise_testkit::common::{ask, ask_with, vm};

/// One node of `cores` cores with one or two pCPUs each; the first is the host's.
fn host(cores: u32, threads: u32) -> Host {
    let core = |core: u32| {
        CoreSpec::new(
            PackageId(0),
            core,
            (0..threads).map(|thread| PcpuId(core + thread * cores)).collect(),
        )
    };
    let node =
        NodeSpec::new(NodeId(0), (0..cores * threads).map(PcpuId).collect(), Bytes::from_gib(64));
    HostSpec {
        name: "one-node".to_owned(),
        nodes: vec![node],
        cores: (0..cores).map(core).collect(),
        ..HostSpec::default()
    }
    .build()
    .unwrap()
}

/// What keeps a style from fitting.
fn facts(host: &Host, request: &RequestSpec, style: Style) -> Vec<Fact> {
    let refusal = ask(host, request).expect_err("it fits nowhere");
    let mut rejected = refusal.rejected.into_iter();
    rejected.find(|rejection| rejection.style == style).expect("every style is told of").facts
}

#[test]
fn no_room_for_the_emulator_is_said_in_pcpus() {
    use Policy::{Ignore, Require};
    // Of six cores five are left. With one pCPU each: one beside four vCPUs, none beside five. With
    // two, a core that has a vCPU is taken whole, and four pCPUs are left beside three; seven where
    // whole cores do not matter. The only core of a host is the VM's. vCPUs that float take a pCPU
    // each, wherever.
    for ((cores, threads), (vcpus, emulator), (dedicated, whole), style, (needed, free)) in [
        ((6, 1), (4, 2), (Require, Require), Style::Pin, (2, 1)),
        ((6, 1), (4, 3), (Require, Require), Style::Pin, (3, 1)),
        ((6, 1), (5, 1), (Require, Require), Style::Pin, (1, 0)),
        ((6, 2), (5, 1), (Require, Require), Style::Pin, (1, 0)),
        ((6, 2), (3, 8), (Require, Require), Style::Pin, (8, 4)),
        ((6, 2), (3, 8), (Require, Ignore), Style::Pin, (8, 7)),
        ((4, 2), (6, 1), (Require, Require), Style::PinSmt, (1, 0)),
        ((4, 2), (4, 3), (Require, Require), Style::PinSmt, (3, 2)),
        ((6, 2), (8, 3), (Ignore, Ignore), Style::Pin, (3, 2)),
        ((1, 1), (1, 0), (Require, Require), Style::Pin, (1, 0)),
        ((1, 2), (2, 0), (Require, Require), Style::PinSmt, (1, 0)),
    ] {
        let policies =
            Policies { dedicated_cpus: dedicated, whole_cores: whole, ..Policies::default() };
        let request = RequestSpec { policies, emulator_pcpus: emulator, ..vm(vcpus, 4) };
        let facts = facts(&host(cores, threads), &request, style);
        let wanted = [Fact::NoEmulatorPcpu { needed, free }];
        assert_eq!(facts, wanted, "{cores} x {threads}, {vcpus} + {emulator}, {style}");
    }
}

/// That cores should be whole is for the vCPUs' sake: the emulator takes what is left of a core.
#[test]
fn the_emulator_takes_a_held_cores_other_sibling_where_whole_cores_are_preferred() {
    let host = host(6, 2);
    let mut usage = Usage::empty(&host);
    let held = Claim { dedicated: "11".parse().unwrap(), ..Claim::default() };
    usage.claim(&host, "other", held).unwrap();
    let preferred = |whole| Policies {
        dedicated_cpus: Policy::Require,
        whole_cores: whole,
        ..Policies::default()
    };
    // Four whole cores beside the host's and the one that is held in part.
    let request =
        RequestSpec { policies: preferred(Policy::Prefer), emulator_pcpus: 1, ..vm(4, 4) };
    let answer = ask_with(&host, &usage, &request, &Options::default()).unwrap();
    let pin = pinwise_testkit::common::of_style(&answer, Style::Pin);
    assert!(pin.unmet.is_empty(), "{:?}", pin.unmet);
    assert_eq!(pin.placement.vcpu_pcpus().to_string(), "1-4");
    assert_eq!(pin.placement.emulator_own.to_string(), "5");
    // Where they have to be whole, that core is nobody's.
    let request = RequestSpec { policies: preferred(Policy::Require), ..request };
    let answer = ask_with(&host, &usage, &request, &Options::default());
    let pin = answer.map(|answer| answer.ranked.iter().any(|r| r.placement.style == Style::Pin));
    assert!(!pin.unwrap_or_default());
}

/// The host's own core has room for the emulator, so vCPUs that float leave it none of theirs.
#[test]
fn floating_vcpus_share_all_that_is_free_where_the_emulator_is_elsewhere() {
    let policies = Policies { dedicated_cpus: Policy::Ignore, ..Policies::default() };
    let request = RequestSpec { policies, ..vm(4, 4) };
    let host = host(6, 1);
    let options = Options { all: true, ..Options::default() };
    let answer = ask_with(&host, &Usage::empty(&host), &request, &options).unwrap();
    let floats = answer.ranked.iter().map(|ranked| &ranked.placement).find(|p| !p.dedicated);
    let floats = floats.expect("a way in which vCPUs float");
    assert_eq!(floats.vcpu_pcpus().to_string(), "1-5");
    assert_eq!(floats.emulator.to_string(), "0");
}

#[test]
fn the_emulators_own_pcpus_are_on_a_node_of_the_vm() {
    let host = pinwise_testkit::common::host("rtx-pro-6000");
    let gpus = pinwise_testkit::common::these(&["81:00.0"]);
    let request = RequestSpec { gpus, emulator_pcpus: 1, ..vm(4, 8) };
    let answer = ask(&host, &request).unwrap();
    let placement = &answer.best().placement;
    let nodes = placement.nodes();
    assert_eq!(nodes.to_string(), "1");
    let here = &host.node(NodeId(1)).unwrap().cpus;
    assert!(!placement.emulator_own.is_empty() && placement.emulator_own.is_subset(here));
}

/// From 256 vCPUs on a guest needs an IOMMU for its interrupts, in every style, and below it has
/// none.
#[test]
fn an_iommu_comes_with_the_256th_vcpu() {
    let host = host(300, 1);
    for (vcpus, wanted) in [(255, false), (256, true)] {
        let answer = ask(&host, &vm(vcpus, 16)).unwrap();
        for ranked in answer.ranked.iter().chain(&answer.baseline) {
            assert_eq!(ranked.placement.iommu, wanted, "{vcpus}, {}", ranked.placement.style);
        }
        assert!(answer.baseline.is_some());
    }
}
