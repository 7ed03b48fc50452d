//! Requests that are held to some pCPUs or nodes, on a host made of a few facts.

use pinwise::changes::{Change, smallest_changes};
use pinwise::engine::Fact;
use pinwise::host::{CoreSpec, NodeSpec, Reserve};
use pinwise::json::read_request;
use pinwise::rebalance::{Step, rebalance};
use pinwise::request::Wish;
use pinwise::units::{NodeId, PackageId, PcpuId};
use pinwise::{Bytes, Claim, CpuSet, Host, HostSpec, NodeSet, Question, RequestSpec, Usage};

use pinwise_testkit::common::{ask, checked, sentences, vm};

/// Two nodes of eight cores and 16 GiB. Core n has pCPUs n and n + 16; the first is the host's.
fn host() -> Host {
    let mut host = HostSpec { reserved: Reserve::Auto, ..HostSpec::default() };
    for node in 0..2 {
        let mut cpus = CpuSet::new();
        for core in node * 8..(node + 1) * 8 {
            let pcpus: CpuSet = [core, core + 16].map(PcpuId).into_iter().collect();
            cpus.extend(&pcpus);
            host.cores.push(CoreSpec::new(PackageId(node), core, pcpus));
        }
        host.nodes.push(NodeSpec::new(NodeId(node), cpus, Bytes::from_gib(16)));
    }
    host.build().unwrap()
}

fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

fn on_cpus(text: &str, request: RequestSpec) -> RequestSpec {
    RequestSpec { cpus: Some(cpus(text)), ..request }
}

fn on_nodes(text: &str, request: RequestSpec) -> RequestSpec {
    RequestSpec { nodes: Some(text.parse::<NodeSet>().unwrap()), ..request }
}

/// The facts and changes of a refusal, each once.
fn refused(host: &Host, request: &RequestSpec) -> (Vec<Fact>, Vec<Change>) {
    let refusal = ask(host, request).unwrap_err();
    let mut facts: Vec<Fact> = refusal.rejected.into_iter().flat_map(|r| r.facts).collect();
    facts.sort();
    facts.dedup();
    let (usage, request) = (Usage::empty(host), checked(request));
    (facts, smallest_changes(Question::new(host, &usage, &request)))
}

#[test]
fn vcpus_and_idle_siblings_are_inside_and_the_hosts_pcpus_still_serve_the_emulator() {
    let answer = ask(&host(), &on_cpus("4-7,20-21,999", vm(4, 4))).unwrap();
    for ranked in &answer.ranked {
        let placement = &ranked.placement;
        assert!(placement.vcpu_pcpus().is_subset(&cpus("4-7,20-21")), "{placement:?}");
        assert!(placement.idle.is_subset(&cpus("4-7,20-21")), "{placement:?}");
        assert_eq!(placement.emulator, cpus("0,16"));
    }
    let best = &answer.best().placement;
    assert_eq!((best.vcpu_pcpus(), best.idle.clone()), (cpus("4-7"), cpus("20-21")));
    assert!(answer.best().profile.whole_cores);
}

#[test]
fn a_tenant_on_an_excluded_sibling_shares_the_core() {
    let host = host();
    let mut usage = Usage::empty(&host);
    let claim = Claim { dedicated: cpus("20"), ..Claim::default() };
    usage.claim(&host, "other", claim).unwrap();
    let ask = |vcpus| {
        let request = checked(&on_cpus("4-7", vm(vcpus, 4)));
        pinwise::recommend(Question::new(&host, &usage, &request))
    };
    assert_eq!(ask(3).unwrap().best().placement.vcpu_pcpus(), cpus("5-7"));
    assert!(ask(4).is_err());
}

#[test]
fn emulator_pcpus_of_its_own_are_inside() {
    let request = RequestSpec { emulator_pcpus: 1, ..on_cpus("4-7", vm(3, 4)) };
    let placement = ask(&host(), &request).unwrap().best().placement.clone();
    assert!(placement.emulator_own.is_subset(&cpus("4-7")), "{placement:?}");
    let request = RequestSpec { vcpus: 4, ..request };
    let (facts, changes) = refused(&host(), &request);
    assert!(facts.contains(&Fact::NoEmulatorPcpu { needed: 1, free: 0 }), "{facts:?}");
    assert!(changes.contains(&Change::AnyCpus), "{changes:?}");
}

#[test]
fn vcpus_and_memory_stay_on_the_nodes() {
    let answer = ask(&host(), &on_nodes("1", vm(4, 4))).unwrap();
    assert!(answer.ranked.iter().all(|r| r.placement.nodes() == "1".parse().unwrap()));
    // Both nodes would do.
    let (facts, changes) = refused(&host(), &on_nodes("1", vm(4, 20)));
    let short = |fact: &Fact| matches!(fact, Fact::PagesShort { nodes, .. } if nodes.len() == 1);
    assert!(facts.iter().any(short), "{facts:?}");
    let told = sentences(&changes);
    assert_eq!(told[0], "any nodes (without --nodes)");
}

#[test]
fn cells_are_on_nodes_that_have_some_of_the_pcpus() {
    let request = RequestSpec { cells: Wish::Require(2), ..on_cpus("6-9", vm(4, 4)) };
    let placement = ask(&host(), &request).unwrap().best().placement.clone();
    assert_eq!((placement.cells.len(), placement.vcpu_pcpus()), (2, cpus("6-9")));
    assert!(ask(&host(), &on_nodes("0", request)).is_err());
}

#[test]
fn a_refusal_names_what_cannot_be_had() {
    let (facts, changes) = refused(&host(), &on_cpus("0,4-5,200", vm(4, 4)));
    let unusable = Fact::CpusUnusable { cpus: cpus("0,200"), left: 2 };
    assert!(facts.contains(&unusable), "{facts:?}");
    assert_eq!(sentences(&changes)[0], "any pCPUs (without --cpus)");

    let (facts, _) = refused(&host(), &on_cpus("0,200", vm(4, 4)));
    assert_eq!(sentences(&facts), ["none of the pCPUs in --cpus is usable: 0,200"]);
    let (facts, changes) = refused(&host(), &on_nodes("5-6", vm(4, 4)));
    assert_eq!(sentences(&facts), ["the host has none of the nodes in --nodes: 5-6"]);
    assert_eq!(changes, [Change::AnyNodes]);
    // Either set alone would do.
    let (facts, changes) = refused(&host(), &on_nodes("1", on_cpus("4-7", vm(4, 4))));
    assert_eq!(facts, [Fact::CpusUnusable { cpus: cpus("4-7"), left: 0 }]);
    assert_eq!(changes, [Change::AnyCpus, Change::AnyNodes]);
}

#[test]
fn an_empty_set_is_no_request() {
    for text in [r#""cpus": """#, r#""nodes": """#] {
        let text = format!(r#"{{"vcpus": 4, "memory": "4 GiB", {text}}}"#);
        let error = read_request(&text).unwrap().build().unwrap_err().to_string();
        assert!(error.ends_with("that the VM is held to is empty; name some, or omit the set"));
    }
}

#[test]
fn a_vm_that_moves_stays_where_it_is_held_to() {
    let host = host();
    let mut usage = Usage::empty(&host);
    let claim = Claim { dedicated: cpus("1,17"), ..Claim::default() };
    usage.claim(&host, "mover", claim).unwrap();
    let request = checked(&on_cpus("1-4", vm(4, 4)));
    // Without its request it goes anywhere near; held to pCPUs 1 and 10, it has to go far.
    let mover = RequestSpec { name: "mover".to_owned(), ..on_cpus("1,10,17,26", vm(2, 1)) };
    for (known, expected) in [(vec![], 5..8), (vec![checked(&mover)], 10..11)] {
        let advice = rebalance(Question::new(&host, &usage, &request), &known).unwrap();
        let Step::Repin { moves, .. } = &advice.steps[0] else { panic!("{advice:?}") };
        assert!(expected.contains(&moves[0].1.0), "{moves:?}");
    }
}
