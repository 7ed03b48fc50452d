//! Hosts with nodes that have no memory or no CPUs, made by hand: four nodes of four cores with two
//! pCPUs each, of which nodes 1 and 3 have no memory; and two nodes beside one of memory alone.

use pinwise::emit::libvirt;
use pinwise::engine::Fact;
use pinwise::explain::explain_refusal;
use pinwise::host::{CoreSpec, NodeSpec, PagePool, Reserve};
use pinwise::request::Wish;
use pinwise::units::{Distance, NodeId, PackageId, PcpuId};
use pinwise::{
    Bytes, Claim, CpuSet, Host, HostSpec, Infeasible, NodeSet, PageSize, Placement, Policies,
    Policy, Question, Recommendation, RequestSpec, Style, Usage, Warning, explain, recommend,
};

use pinwise_testkit::common::checked;

/// Node n has the pCPUs 8n to 8n + 7; the first `with_cpus` nodes have CPUs.
fn host(gib: &[u64], with_cpus: usize, far: impl Fn(usize, usize) -> u8) -> Host {
    let node = |at: usize| {
        let first = at as u32 * 8;
        let cpus =
            if at < with_cpus { (first..first + 8).map(PcpuId).collect() } else { CpuSet::new() };
        let pages = gib[at];
        NodeSpec {
            id: NodeId(at as u32),
            cpus,
            memory: Bytes::from_gib(gib[at]),
            pools: vec![PagePool { size: PageSize::GIB_1, total: pages, free: pages }],
            distances: (0..gib.len()).map(|to| Distance(far(at, to))).collect(),
        }
    };
    let core = |number: u32| {
        let pcpus = [2 * number, 2 * number + 1].map(PcpuId).into_iter().collect();
        CoreSpec::new(PackageId(0), number, pcpus)
    };
    HostSpec {
        nodes: (0..gib.len()).map(node).collect(),
        cores: (0..with_cpus as u32 * 4).map(core).collect(),
        reserved: Reserve::None,
        ..HostSpec::default()
    }
    .build()
    .unwrap()
}

/// Nodes 1 and 3 have no memory. Node 1 is nearer to node 0, node 3 to node 2.
fn four() -> Host {
    let far = |a: usize, b: usize| match (a == b, a / 2 == b / 2) {
        (true, _) => 10,
        (false, true) => 16,
        (false, false) => 28,
    };
    host(&[64, 0, 64, 0], 4, far)
}

/// Node 2 has memory and no CPUs.
fn beside_memory() -> Host {
    host(&[32, 32, 96], 2, |a, b| if a == b { 10 } else { 20 })
}

fn vm(vcpus: u32, gib: u64) -> RequestSpec {
    RequestSpec::new("vm1", vcpus, Bytes::from_gib(gib))
}

fn ask(host: &Host, usage: &Usage, request: &RequestSpec) -> Result<Recommendation, Infeasible> {
    recommend(Question::new(host, usage, &checked(request)))
}

fn best(host: &Host, request: &RequestSpec) -> Placement {
    let answer = ask(host, &Usage::empty(host), request).unwrap();
    answer.best().placement.clone()
}

fn nodes(text: &str) -> NodeSet {
    text.parse().unwrap()
}

fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

/// Whether the guest has a core for each vCPU, so that siblings cannot spare nodes.
fn a_core_each(request: RequestSpec) -> RequestSpec {
    RequestSpec { smt: Wish::Require(false), ..request }
}

#[test]
fn a_vm_that_fits_a_node_with_memory_is_there() {
    for vcpus in [1, 4] {
        let placement = best(&four(), &a_core_each(vm(vcpus, 16)));
        assert!(placement.vcpu_pcpus().is_subset(&cpus("0-7")), "{:?}", placement.vcpus);
        assert_eq!(placement.nodes(), nodes("0"));
    }
}

#[test]
fn a_larger_vm_borrows_pcpus_and_its_guest_sees_one_cell() {
    let host = four();
    let placement = best(&host, &vm(26, 100));
    assert_eq!((placement.nodes(), placement.cells.len()), (nodes("0,2"), 1));
    let pcpus = placement.vcpu_pcpus();
    assert!(pcpus.intersects(&cpus("8-15")) || pcpus.intersects(&cpus("24-31")), "{pcpus}");
    let xml = libvirt::fragments(&placement).unwrap();
    assert!(xml.contains("nodeset='0,2'"), "{xml}");
    // All that is free.
    let all = best(&host, &vm(32, 128));
    assert_eq!((all.nodes(), all.vcpu_pcpus()), (nodes("0,2"), cpus("0-31")));
}

#[test]
fn pcpus_of_a_node_without_memory_use_the_nearest() {
    let host = four();
    for (held, lends, memory) in [("0-7,16-23,24-31", "8-15", "0"), ("0-23", "24-31", "2")] {
        let mut usage = Usage::empty(&host);
        let claim = Claim { dedicated: cpus(held), ..Claim::default() };
        usage.claim(&host, "other", claim).unwrap();
        let request = vm(8, 16);
        let answer = ask(&host, &usage, &request).unwrap();
        let placement = &answer.best().placement;
        assert_eq!((placement.nodes(), placement.vcpu_pcpus()), (nodes(memory), cpus(lends)));
        let request = checked(&request);
        let told = answer.best().warnings(Question::new(&host, &usage, &request));
        let remote =
            |w: &Warning| matches!(w, Warning::RemoteMemory { cpus: c, .. } if *c == cpus(lends));
        assert!(told.iter().any(remote), "{told:?}");
        // That is not one node.
        let policies = Policies { one_node: Policy::Require, ..Policies::default() };
        assert!(ask(&host, &usage, &RequestSpec { policies, ..vm(8, 16) }).is_err());
    }
}

#[test]
fn answers_and_refusals_name_the_nodes_without_memory() {
    let (host, request) = (four(), checked(&vm(4, 16)));
    let usage = Usage::empty(&host);
    let answer = ask(&host, &usage, request.spec()).unwrap();
    let text = explain(Question::new(&host, &usage, &request), &answer);
    assert!(text.contains("\nNodes 1,3 have no memory"), "{text}");
    let request = checked(&vm(4, 200));
    let refusal = ask(&host, &usage, request.spec()).unwrap_err();
    let fact = Fact::NodesWithoutMemory { nodes: nodes("1,3") };
    assert!(refusal.rejected.iter().all(|r| r.facts.contains(&fact)), "{refusal:?}");
    let text = explain_refusal(&host, &request, &refusal, None);
    assert!(text.contains("nodes 1,3 have no memory"), "{text}");
}

#[test]
fn memory_without_cpus_is_named_and_used_only_if_asked_for() {
    let host = beside_memory();
    let usage = Usage::empty(&host);
    let request = checked(&vm(4, 16));
    let answer = ask(&host, &usage, request.spec()).unwrap();
    let text = explain(Question::new(&host, &usage, &request), &answer);
    let line = "\nNode 2: 96 GiB without CPUs (not used; --memory-nodes 2 uses it).";
    assert!(text.contains(line), "{text}");
    assert_eq!(answer.best().placement.nodes(), nodes("0"));
    assert!(ask(&host, &usage, &vm(4, 80)).is_err());

    let request = RequestSpec { memory_nodes: Some(nodes("2")), ..vm(4, 80) };
    let placement = best(&host, &request);
    assert_eq!((placement.nodes(), placement.cells.len()), (nodes("2"), 1));
    assert!(placement.vcpu_pcpus().is_subset(&cpus("0-15")));
    // Cells would need memory beside their vCPUs.
    let request = RequestSpec { cells: Wish::Require(2), ..request };
    let refusal = ask(&host, &usage, &request).unwrap_err();
    assert!(refusal.rejected.iter().all(|rejection| !rejection.facts.is_empty()));
}

#[test]
fn memory_nodes_that_have_cpus_hold_the_memory_to_them() {
    let host = beside_memory();
    let request = RequestSpec { memory_nodes: Some(nodes("1")), ..vm(4, 16) };
    let placement = best(&host, &request);
    assert_eq!(placement.nodes(), nodes("1"));
    assert!(placement.vcpu_pcpus().is_subset(&cpus("8-15")), "beside it where there is room");
    let request =
        RequestSpec { cells: Wish::Require(2), memory_nodes: Some(nodes("0-1")), ..vm(8, 16) };
    let placement = best(&host, &request);
    assert!(placement.style.shows_cells() && placement.style != Style::Default);
    // More memory than nodes 0 and 1 have.
    let request = RequestSpec { memory_nodes: Some(nodes("0-2")), ..vm(8, 120) };
    assert!(best(&host, &request).nodes().contains(NodeId(2)));
}

#[test]
fn memory_nodes_that_the_host_lacks_are_named() {
    let host = beside_memory();
    let request = RequestSpec { memory_nodes: Some(nodes("7")), ..vm(4, 16) };
    let refusal = ask(&host, &Usage::empty(&host), &request).unwrap_err();
    let fact = Fact::MemoryNodesMissing { nodes: nodes("7"), left: 0 };
    assert!(refusal.rejected.iter().all(|rejection| rejection.facts == [fact.clone()]));
}
