//! Ordinary memory that the host keeps: not given away to the last, said, and counted alike
//! everywhere.

use pinwise::capacity::{Shape, capacity};
use pinwise::changes::{Change, smallest_changes};
use pinwise::engine::Fact;
use pinwise::host::{NodeSpec, ReserveMemory};
use pinwise::units::NodeId;
use pinwise::usage::PageClaim;
use pinwise::{
    Bytes, Claim, Host, Infeasible, PageSize, Policy, Question, Recommendation, RequestSpec, Usage,
    Warning, recommend, verify,
};
use pinwise_discover::Assembly;
use pinwise_testkit::machine::Machine;

const PAGE: PageSize = PageSize::KIB_4;

/// Two nodes of 8 cores and 32 GiB, all in base pages.
fn host(reserve_memory: ReserveMemory) -> Host {
    let machine = Machine { nodes: 2, cores: 8, threads: 2, pages: 0, gpus: &[], links: &[] };
    let mut host = machine.describe();
    for node in &mut host.nodes {
        *node = NodeSpec::new(node.id, node.cpus.clone(), Bytes::from_gib(32));
    }
    host.reserve_memory = reserve_memory;
    host.build().unwrap()
}

fn keep(gib: u64) -> ReserveMemory {
    ReserveMemory::OnEach(Bytes::from_gib(gib))
}

/// A VM of 4 vCPUs on one node.
fn one_node(mib: u64) -> RequestSpec {
    let mut request = RequestSpec::new("vm", 4, Bytes::from_mib(mib));
    request.policies.one_node = Policy::Require;
    request
}

fn ask(host: &Host, request: &RequestSpec) -> Result<Recommendation, Infeasible> {
    let request = request.clone().build().unwrap();
    recommend(Question::new(host, &Usage::empty(host), &request))
}

#[test]
fn the_last_gib_of_a_node_is_the_hosts() {
    let host = host(ReserveMemory::Auto);
    assert!(ask(&host, &one_node(31 << 10)).is_ok());
    let above = one_node((31 << 10) + 1);
    let refused = ask(&host, &above).unwrap_err();
    let facts = &refused.rejected[0].facts;
    let free = (31 << 30) / PAGE.bytes();
    let short = |fact: &Fact| matches!(fact, Fact::PagesShort { free: f, .. } if *f == free);
    assert!(facts.iter().any(short), "{facts:?}");
    let kept = |fact: &Fact| matches!(fact, Fact::MemoryKept { memory, .. } if *memory == Bytes::from_gib(2));
    assert!(facts.iter().any(kept), "{facts:?}");
    let (usage, request) = (Usage::empty(&host), above.build().unwrap());
    let changes = smallest_changes(Question::new(&host, &usage, &request));
    assert!(changes.contains(&Change::KeepNoMemory), "{changes:?}");
}

#[test]
fn an_operator_keeps_more_or_nothing() {
    let (nothing, more) = (host(keep(0)), host(keep(12)));
    assert!(ask(&nothing, &one_node(32 << 10)).is_ok());
    assert!(ask(&more, &one_node(20 << 10)).is_ok());
    assert!(ask(&more, &one_node((20 << 10) + 1)).is_err());
    let all = host(keep(0)).with_reserved_memory(keep(33)).unwrap();
    assert!(ask(&all, &one_node(1)).is_err(), "more than there is");
}

#[test]
fn what_is_left_is_said() {
    let host = host(ReserveMemory::Auto);
    let request = one_node(30 << 10).build().unwrap();
    let usage = Usage::empty(&host);
    let question = Question::new(&host, &usage, &request);
    let answer = recommend(question).unwrap();
    let warnings = answer.best().warnings(question);
    // 30 + 8 x 5 + 60 MiB.
    let (left, overhead) = (vec![(NodeId(0), Bytes::from_gib(2))], Bytes::from_mib(130));
    let said = Warning::LeftForHost { left, overhead };
    assert!(warnings.contains(&said), "{warnings:?}");
    assert!(said.to_string().contains("left for the host is 2 GiB on node 0"));
}

#[test]
fn hugepages_are_for_vms_and_their_emulator_needs_some_ordinary_memory() {
    let machine = Machine { nodes: 1, cores: 8, threads: 2, pages: 32, gpus: &[], links: &[] };
    let mut described = machine.describe();
    let request = RequestSpec::new("vm", 4, Bytes::from_gib(32)).build().unwrap();
    let warned = |host: &Host| {
        let usage = Usage::empty(host);
        let question = Question::new(host, &usage, &request);
        let answer = recommend(question).unwrap();
        let little = |w: &Warning| matches!(w, Warning::LittleForEmulator { .. });
        answer.best().warnings(question).iter().any(little)
    };
    assert!(!warned(&described.clone().build().unwrap()), "16 GiB of base pages");
    described.nodes[0].memory = Bytes::from_mib((32 << 10) + 100);
    assert!(warned(&described.build().unwrap()), "100 MiB, and QEMU takes 134");
}

#[test]
fn all_count_the_same() {
    let host = host(ReserveMemory::Auto);
    let usage = Usage::empty(&host);
    let shape = Shape::new(1, 1, Bytes::from_gib(8), PAGE);
    assert_eq!(capacity(&host, &usage, &shape).exact(), Some(6), "three on each node");
    let (mut after, mut placed) = (usage.clone(), 0);
    while placed < 10 {
        let mut request = RequestSpec::new(&format!("vm{placed}"), 1, Bytes::from_gib(8));
        request.policies.one_node = Policy::Require;
        let request = request.build().unwrap();
        let Ok(answer) = recommend(Question::new(&host, &after, &request)) else { break };
        let placement = &answer.best().placement;
        after.claim(&host, &placement.name, placement.claim()).unwrap();
        placed += 1;
    }
    assert_eq!(placed, 6);
    // A tenant that runs may have more: it is a fact.
    let pages = vec![PageClaim::on(NodeId(0), PAGE, (32 << 30) / PAGE.bytes())];
    let tenant = ("t".to_owned(), Claim { pages, ..Claim::default() });
    assert!(Usage::with_running(&host, [tenant]).is_ok());
}

#[test]
fn the_checker_knows_what_is_kept() {
    let (free, kept) = (host(keep(0)), host(ReserveMemory::Auto));
    let request = one_node(32 << 10).build().unwrap();
    let usage = Usage::empty(&free);
    let placement =
        recommend(Question::new(&free, &usage, &request)).unwrap().best().placement.clone();
    assert!(verify(Question::new(&free, &usage, &request), &placement).is_ok());
    let found = verify(Question::new(&kept, &usage, &request), &placement).unwrap_err();
    assert!(found.to_string().contains("pages"), "{found}");
}

const NUMA: &str = "available: 1 nodes (0)\nnode 0 cpus: 0 1\nnode 0 size: 4300 MB\n\
                    node 0 free: 1000 MB\nnode distances:\nnode   0\n  0:  10\n";

#[test]
fn free_memory_of_numactl_counts_over_a_description_that_counts_none() {
    for pools in ["", r#", "pools": [{"size": "2 MiB", "total": 4, "free": 4}]"#] {
        let text = format!(
            r#"{{"format": "pinwise-host/1", "name": "typed", "cpu_vendor": "amd", "cpu_model": "",
            "nodes": [{{"id": 0, "cpus": "0-1", "memory": "4 GiB"{pools}}}],
            "cores": [{{"package": 0, "core": 0, "pcpus": "0-1"}}]}}"#
        );
        let mut assembly = Assembly::new();
        assembly.add_text("host.json", &text).unwrap();
        assembly.add_text("numa.txt", NUMA).unwrap();
        let assembled = assembly.finish().unwrap();
        assert_eq!(assembled.conflicts, [], "4 GiB is a rounded number of 4300 MB");
        let host = assembled.host.build().unwrap();
        let pool = host.nodes()[0].base_pool().unwrap();
        assert_eq!(pool.free, 1000 * 256);
    }
}
