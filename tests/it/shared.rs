//! vCPUs that share pCPUs on purpose: where they float, how many fit, and what others then do. The
//! hosts are made of a few facts.

use pinwise::capacity::{Capacity, Shape, capacity};
use pinwise::emit::libvirt::fragments;
use pinwise::explain::explain;
use pinwise::host::{CoreSpec, NodeSpec, Reserve};
use pinwise::request::{RequestError, Sharing, Wish};
use pinwise::units::{NodeId, PackageId, PcpuId, Ratio};
use pinwise::{
    Bytes, Claim, CpuSet, Host, HostSpec, NodeSet, Options, PageSize, Placement, Policies, Policy,
    Question, RequestSpec, Style, Usage, recommend,
};
use pinwise_testkit::common::{ask_with, checked, vm};

fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

/// Two nodes of four cores; core n has the pCPUs n and n + 8. Nothing is kept for the host.
fn spec() -> HostSpec {
    let mut host = HostSpec { reserved: Reserve::None, ..HostSpec::default() };
    for node in 0..2 {
        let mut all = CpuSet::new();
        for core in node * 4..node * 4 + 4 {
            let pcpus: CpuSet = [core, core + 8].map(PcpuId).into_iter().collect();
            all.extend(&pcpus);
            host.cores.push(CoreSpec::new(PackageId(node), core, pcpus));
        }
        host.nodes.push(NodeSpec::new(NodeId(node), all, Bytes::from_gib(64)));
    }
    host
}

fn host() -> Host {
    spec().build().unwrap()
}

fn shared(vcpus: u32, overcommit: u32) -> RequestSpec {
    let overcommit = Ratio(overcommit);
    RequestSpec { shared: Some(Sharing { overcommit }), ..vm(vcpus, 1) }
}

fn best(host: &Host, usage: &Usage, request: &RequestSpec) -> Option<Placement> {
    let answer = ask_with(host, usage, request, &Options::default()).ok()?;
    Some(answer.best().placement.clone())
}

#[test]
fn vcpus_float_over_a_node_with_their_memory() {
    let mut spec = spec();
    spec.isolated = cpus("1,9");
    let host = spec.build().unwrap();
    let mut usage = Usage::empty(&host);
    usage.claim(&host, "other", Claim { dedicated: cpus("0,4"), ..Claim::default() }).unwrap();
    let policies = Policies { one_node: Policy::Require, ..Policies::default() };
    let request = checked(&RequestSpec { policies, ..shared(20, 4000) });
    let question = Question::new(&host, &usage, &request);
    let answer = recommend(question).unwrap();
    assert!(answer.ranked.iter().all(|ranked| ranked.placement.style.floats()));
    assert!(answer.rejected.iter().all(|rejection| rejection.style == Style::FloatNuma));
    let placement = &answer.best().placement;
    assert_eq!(placement.style, Style::Float);
    // Node 0 has five pCPUs that are neither held nor isolated, node 1 seven.
    assert!(placement.vcpus.iter().all(|set| *set == cpus("5-7,12-15")), "{placement:?}");
    assert_eq!(placement.nodes(), "1".parse::<NodeSet>().unwrap());
    let claim = placement.claim();
    assert_eq!((claim.dedicated, claim.floating_vcpus), (CpuSet::new(), 20));
    let xml = fragments(placement).unwrap();
    assert!(xml.contains("<vcpu placement='static' cpuset='5-7,12-15'>20</vcpu>"), "{xml}");
    assert!(!xml.contains("vcpupin") && xml.contains("<emulatorpin cpuset='5-7,12-15'/>"), "{xml}");
    assert!(xml.contains("<memory mode='strict' nodeset='1'/>"), "{xml}");
    let text = explain(question, &answer);
    assert!(text.contains("vCPUs share 7 pCPUs of these nodes"), "{text}");
    assert!(text.contains("Cost to the host: 20 vCPUs share pCPUs 5-7,12-15"), "{text}");
}

#[test]
fn vms_go_to_the_least_loaded_node_until_the_overcommit_is_reached() {
    let host = host();
    for (overcommit, vcpus) in [(1000, 3), (1500, 5), (4000, 4), (4000, 7)] {
        let sharing = Sharing { overcommit: Ratio(overcommit) };
        let shape = Shape {
            shared: Some(sharing),
            ..Shape::new(1, vcpus, Bytes::from_gib(1), PageSize::KIB_4)
        };
        let most = capacity(&host, &Usage::empty(&host), &shape);
        let (mut usage, mut placed, mut nodes) = (Usage::empty(&host), 0, Vec::new());
        let request = RequestSpec { cells: Wish::Require(1), ..shared(vcpus, overcommit) };
        let policies = Policies { one_node: Policy::Require, ..request.policies };
        let request = RequestSpec { policies, ..request };
        while let Some(placement) = best(&host, &usage, &request) {
            usage.claim(&host, &format!("vm{placed}"), placement.claim()).unwrap();
            nodes.push(placement.nodes());
            placed += 1;
        }
        assert_eq!(most, Capacity::Exact(placed), "{vcpus} vCPUs at {overcommit}");
        assert!(nodes.chunks_exact(2).all(|pair| pair[0] != pair[1]), "{nodes:?}");
    }
}

#[test]
fn dedicated_vms_avoid_the_pool_and_a_pool_has_its_bounds() {
    let host = host();
    let mut usage = Usage::empty(&host);
    let pool = RequestSpec { cpus: Some(cpus("0-1,8-9")), ..shared(6, 2000) };
    let placement = best(&host, &usage, &pool).unwrap();
    assert_eq!(placement.vcpu_pcpus(), cpus("0-1,8-9"));
    usage.claim(&host, "shared", placement.claim()).unwrap();
    assert!(best(&host, &usage, &RequestSpec { vcpus: 3, ..pool.clone() }).is_none());
    assert!(best(&host, &usage, &RequestSpec { vcpus: 2, ..pool }).is_some());
    let pinned = best(&host, &usage, &vm(6, 1)).unwrap();
    assert!(!pinned.claim().dedicated.intersects(&cpus("0-1,8-9")), "{pinned:?}");
}

#[test]
fn one_definition_of_floating_asked_for_or_fallen_back_on() {
    let host = host();
    let mut usage = Usage::empty(&host);
    let held = Claim { dedicated: cpus("0-3,4-7"), ..Claim::default() };
    usage.claim(&host, "other", held).unwrap();
    let policies = Policies { dedicated_cpus: Policy::Prefer, ..Policies::default() };
    let fallen = best(&host, &usage, &RequestSpec { policies, ..vm(4, 1) }).unwrap();
    let asked = best(&host, &usage, &shared(4, 1000)).unwrap();
    assert_eq!((fallen.style, &fallen), (Style::Float, &asked));
    // Without overcommit, only as many as there are pCPUs.
    assert!(best(&host, &usage, &RequestSpec { policies, ..vm(9, 1) }).is_none());
    assert!(best(&host, &usage, &shared(9, 1500)).is_some());
}

#[test]
fn what_only_dedicated_pcpus_can_have_is_not_asked_for_beside() {
    let odd = [
        RequestSpec { smt: Wish::Require(true), ..shared(2, 2000) },
        RequestSpec { emulator_pcpus: 1, ..shared(2, 2000) },
    ];
    for request in odd {
        let error = request.build().unwrap_err();
        assert!(matches!(error, RequestError::SharedWith { .. }), "{error}");
    }
    let error = shared(2, 500).build().unwrap_err().to_string();
    assert_eq!(error, "the overcommit is 0.50, but must be between 1 and 64 vCPUs for each pCPU");
}
