//! What is free where cores have to be whole, and where each pCPU alone is: what a VM holds, how
//! many VMs a host takes, and where the emulator's own pCPUs are. The hosts are made of a few
//! facts.

use pinwise::explain::explain;
use pinwise::host::{CoreSpec, NodeSpec, Reserve};
use pinwise::request::Wish;
use pinwise::units::{NodeId, PackageId, PcpuId};
use pinwise::{
    Bytes, Claim, CpuSet, Host, HostSpec, Options, Placement, Policies, Policy, Question,
    Recommendation, RequestSpec, Style, Usage, Warning,
};
use pinwise_testkit::common::{ask_with, checked, of_style, vm};

/// A package per node, `cores` cores of two pCPUs on each; core n has the pCPUs 2n and 2n + 1.
/// Nothing is kept for the host.
fn host(nodes: u32, cores: u32) -> Host {
    let mut host = HostSpec { reserved: Reserve::None, ..HostSpec::default() };
    for node in 0..nodes {
        let mut cpus = CpuSet::new();
        for core in node * cores..(node + 1) * cores {
            let pcpus: CpuSet = [2 * core, 2 * core + 1].map(PcpuId).into_iter().collect();
            cpus.extend(&pcpus);
            host.cores.push(CoreSpec::new(PackageId(node), core, pcpus));
        }
        host.nodes.push(NodeSpec::new(NodeId(node), cpus, Bytes::from_gib(64)));
    }
    host.build().unwrap()
}

fn with(whole_cores: Policy, vcpus: u32) -> RequestSpec {
    let policies = Policies { whole_cores, ..Policies::default() };
    RequestSpec { policies, ..vm(vcpus, 1) }
}

/// The usage of a host with a tenant on these pCPUs.
fn held(host: &Host, dedicated: &str) -> Usage {
    let mut usage = Usage::empty(host);
    let claim = Claim { dedicated: dedicated.parse().unwrap(), ..Claim::default() };
    usage.claim(host, "other", claim).unwrap();
    usage
}

fn answer(host: &Host, usage: &Usage, request: &RequestSpec) -> Option<Recommendation> {
    ask_with(host, usage, request, &Options::default()).ok()
}

fn best(host: &Host, usage: &Usage, request: &RequestSpec) -> Option<Placement> {
    answer(host, usage, request).map(|answer| answer.best().placement.clone())
}

#[test]
fn a_vm_that_ignores_whole_cores_holds_its_vcpus_pcpus_alone() {
    use Policy::{Ignore, Prefer, Require};
    let host = host(1, 4);
    let usage = held(&host, "0");
    for (policy, pcpus) in [(Ignore, 1), (Prefer, 2), (Require, 2)] {
        let placement = best(&host, &usage, &with(policy, 1)).unwrap();
        assert_eq!(placement.claim().dedicated.len(), pcpus, "{policy:?}");
    }
    // Three cores are whole. Where that is preferred, a fourth vCPU takes what is left of the
    // first.
    let parts = best(&host, &usage, &with(Prefer, 7)).unwrap();
    assert_eq!(parts.claim().dedicated.len(), 7);
    assert!(best(&host, &usage, &with(Require, 7)).is_none());
}

#[test]
fn a_host_takes_a_vm_for_each_of_its_pcpus() {
    let host = host(1, 16);
    for (vcpus, vms) in [(1, 32), (2, 16), (3, 10), (4, 8), (5, 6), (6, 5), (8, 4)] {
        let mut usage = Usage::empty(&host);
        let mut placed = 0;
        while let Some(placement) = best(&host, &usage, &with(Policy::Ignore, vcpus)) {
            usage.claim(&host, &format!("vm{placed}"), placement.claim()).unwrap();
            placed += 1;
        }
        assert_eq!(placed, vms, "{vcpus} vCPUs");
    }
}

#[test]
fn odd_numbers_of_vcpus_and_half_held_cores_are_usable() {
    let host = host(1, 4);
    let empty = Usage::empty(&host);
    for vcpus in 1..=8 {
        let placement = best(&host, &empty, &with(Policy::Ignore, vcpus)).expect("it fits");
        assert_eq!(placement.claim().dedicated.len(), vcpus as usize);
    }
    let placement = best(&host, &held(&host, "0-2,5"), &with(Policy::Ignore, 4)).unwrap();
    assert_eq!(placement.vcpu_pcpus().to_string(), "3-4,6-7");
}

/// The second node has a core for each of its two vCPUs, the first has one core with two pCPUs.
#[test]
fn a_node_with_few_cores_has_an_equal_cell_too() {
    let host = host(2, 4);
    let cells = RequestSpec {
        cells: Wish::Require(2),
        even_cells: true,
        smt: Wish::Auto,
        ..with(Policy::Ignore, 4)
    };
    let placement = best(&host, &held(&host, "0-5,8,10,13"), &cells).unwrap();
    let vcpus = placement.vcpu_pcpus();
    assert!("6-7".parse::<CpuSet>().unwrap().is_subset(&vcpus), "{vcpus}");
}

#[test]
fn the_emulators_own_pcpu_is_on_the_vms_node_while_there_is_room() {
    use Policy::{Ignore, Prefer, Require};
    let host = host(2, 4);
    // Node 0 has four whole cores, node 1 has three.
    let usage = held(&host, "8");
    for (policy, vcpus, near) in [
        (Ignore, 4, true),
        (Ignore, 7, true),
        (Prefer, 3, true),
        (Require, 3, true),
        (Require, 4, false),
    ] {
        let mut spec = RequestSpec { emulator_pcpus: 1, ..with(policy, vcpus) };
        spec.policies.one_node = Require;
        let answer = answer(&host, &usage, &spec).unwrap();
        let pin = of_style(&answer, Style::Pin);
        let nodes = pin.placement.nodes();
        assert_eq!(nodes.len(), 1, "{policy:?} {vcpus}");
        let here = &host.node(nodes.first().unwrap()).unwrap().cpus;
        let own = &pin.placement.emulator_own;
        assert_eq!(own.is_subset(here), near, "{policy:?} {vcpus}: {own} beside {here}");
        let request = checked(&spec);
        let question = Question::new(&host, &usage, &request);
        let far = |warning: &Warning| matches!(warning, Warning::EmulatorFar { .. });
        assert_eq!(pin.warnings(question).iter().any(far), !near, "{policy:?} {vcpus}");
        let text = explain(question, &answer);
        let own = &answer.best().placement.emulator_own;
        assert!(text.contains(&format!("{own} for the emulator threads")), "{text}");
    }
}

/// The vCPUs have a core each, and what is left of these is the emulator's.
#[test]
fn siblings_of_vcpus_are_the_emulators_where_whole_cores_do_not_matter() {
    let host = host(1, 3);
    let usage = held(&host, "3,5");
    let hidden =
        RequestSpec { emulator_pcpus: 2, smt: Wish::Require(false), ..with(Policy::Ignore, 2) };
    let placement = best(&host, &usage, &hidden).unwrap();
    assert_eq!(placement.claim().dedicated.to_string(), "0-2,4");
    assert!(best(&host, &usage, &RequestSpec { emulator_pcpus: 3, ..hidden }).is_none());
}
