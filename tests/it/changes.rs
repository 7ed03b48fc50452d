//! What a refused request is told to change, on hosts made of a few facts.

use pinwise::changes::{Change, smallest_changes};
use pinwise::explain::explain_refusal;
use pinwise::host::{CoreSpec, NodeSpec};
use pinwise::request::Wish;
use pinwise::units::{NodeId, PackageId, PcpuId};
use pinwise::{
    Bytes, CpuSet, Host, HostSpec, Policies, Policy, Question, RequestSpec, Usage, recommend,
};

use pinwise_testkit::common::{checked, sentences, vm};

/// A package per node, `cores` cores on each, all first siblings before all second ones.
fn host(nodes: u32, cores: u32, threads: u32, gib: u64) -> Host {
    let all = nodes * cores;
    let mut host = HostSpec::default();
    for node in 0..nodes {
        let mut cpus = CpuSet::new();
        for core in node * cores..(node + 1) * cores {
            let pcpus: CpuSet = (0..threads).map(|thread| PcpuId(core + thread * all)).collect();
            cpus.extend(&pcpus);
            host.cores.push(CoreSpec::new(PackageId(node), core, pcpus));
        }
        host.nodes.push(NodeSpec::new(NodeId(node), cpus, Bytes::from_gib(gib)));
    }
    host.build().unwrap()
}

fn changes(host: &Host, request: &RequestSpec) -> Vec<Change> {
    let request = checked(request);
    smallest_changes(Question::new(host, &Usage::empty(host), &request))
}

fn text(host: &Host, request: &RequestSpec) -> String {
    let request = checked(request);
    let usage = Usage::empty(host);
    let question = Question::new(host, &usage, &request);
    let refusal = recommend(question).unwrap_err();
    explain_refusal(host, &request, &refusal, Some(&smallest_changes(question)))
}

#[test]
fn a_whole_host_lacks_the_core_that_it_keeps_also_where_memory_needs_two_nodes() {
    let host = host(2, 12, 2, 125);
    for smt in [Wish::Auto, Wish::Require(true)] {
        let request = RequestSpec { smt, ..vm(48, 244) };
        let text = text(&host, &request);
        for line in [
            "\nThe host keeps pCPUs 0,24 (the first core).\n",
            "\n  - nothing kept for the host, which keeps pCPUs 0,24 (--reserve none)\n",
            "\n  - at most 46 vCPUs (--vcpus 46)\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}

#[test]
fn four_cores_of_which_one_is_kept_hold_three_vcpus() {
    let host = host(1, 4, 1, 16);
    let said = text(&host, &vm(4, 8));
    assert!(said.contains("The host keeps pCPU 0 (the first core).\n"), "{said}");
    assert_eq!(
        sentences(&changes(&host, &vm(4, 8))),
        [
            "nothing kept for the host, which keeps pCPU 0 (--reserve none)",
            "at most 3 vCPUs (--vcpus 3)",
        ]
    );
}

/// Of four cores of two threads one is kept for the host.
#[test]
fn an_odd_number_that_fits_comes_with_the_even_one_below() {
    let host = host(1, 4, 2, 16);
    let told = changes(&host, &RequestSpec { smt: Wish::Require(false), ..vm(8, 4) });
    assert!(told.contains(&Change::FewerVcpus { vcpus: 3 }), "{told:?}");
    assert!(told.contains(&Change::EvenVcpus { vcpus: 2 }), "{told:?}");
    assert!(
        sentences(&told).contains(
            &"2 vCPUs, which the guest can see as pairs of siblings (--vcpus 2)".to_owned()
        )
    );
    // An odd number cannot be shown as pairs, so its user is not told of them.
    let told = changes(&host, &RequestSpec { smt: Wish::Require(false), ..vm(9, 4) });
    assert!(!told.iter().any(|change| matches!(change, Change::EvenVcpus { .. })), "{told:?}");
}

#[test]
fn what_is_kept_is_said_only_where_cores_are_short() {
    let said = text(&host(2, 4, 1, 16), &vm(2, 100));
    assert!(!said.contains("The host keeps"), "{said}");
}

#[test]
fn an_odd_number_cannot_show_siblings_and_the_next_one_can() {
    let request = RequestSpec { smt: Wish::Require(true), ..vm(3, 4) };
    let hidden = Change::OtherSmt { shown: false };
    let (four, two) = (Change::MoreVcpus { vcpus: 4 }, Change::FewerVcpus { vcpus: 2 });
    assert_eq!(changes(&host(1, 8, 2, 16), &request), [hidden, four, two]);
}

#[test]
fn a_core_of_two_vcpus_needs_no_smt_wish() {
    let policies = Policies { whole_cores: Policy::Ignore, ..Policies::default() };
    let request = RequestSpec { smt: Wish::Require(false), policies, ..vm(5, 4) };
    let told = changes(&host(1, 4, 2, 16), &request);
    assert!(told.contains(&Change::AnySmt), "an odd number shows no siblings: {told:?}");
}

#[test]
fn cells_get_the_numbers_that_fit() {
    let host = host(8, 4, 1, 4);
    // Seven nodes have less than 31 GiB, and six have fewer than 25 cores.
    let request = RequestSpec { cells: Wish::Require(2), ..vm(16, 30) };
    let eight = Change::OtherCells { cells: 8 };
    let flat = Change::OtherCells { cells: 1 };
    assert_eq!(changes(&host, &request)[..3], [Change::AnyCells, flat, eight]);

    let alike = RequestSpec { even_cells: true, cells: Wish::Require(3), ..vm(8, 4) };
    let changes = changes(&host, &alike);
    assert!(changes.contains(&Change::UnevenCells), "{changes:?}");
    assert!(!changes.contains(&Change::FewerVcpus { vcpus: 6 }), "4 GiB are not three shares");
    let alike = RequestSpec { memory: Bytes::from_gib(3), ..alike };
    let changes = self::changes(&host, &alike);
    assert!(changes.contains(&Change::MoreVcpus { vcpus: 9 }), "{changes:?}");
    assert!(changes.contains(&Change::FewerVcpus { vcpus: 6 }), "{changes:?}");
}

#[test]
fn a_refusal_of_few_cells_says_what_the_roomiest_nodes_lack_together() {
    let host = host(8, 4, 1, 4);
    let text = text(&host, &RequestSpec { cells: Wish::Require(2), ..vm(16, 2) });
    assert!(text.contains("nodes 1-2 together: 16 free pCPUs needed, 8 available"), "{text}");
    assert!(text.contains("would fit with any one"), "{text}");
    assert!(text.contains("(--cells auto)") && text.contains("(--cells 4)"), "{text}");
}

#[test]
fn emulator_pcpus_become_fewer() {
    let host = host(1, 8, 1, 16);
    let request = RequestSpec { emulator_pcpus: 5, ..vm(4, 4) };
    let fewer = Change::FewerEmulatorPcpus { emulator_pcpus: 3 };
    assert_eq!(changes(&host, &request)[0], fewer);
    let request = RequestSpec { emulator_pcpus: 1, ..vm(7, 4) };
    let none = Change::FewerEmulatorPcpus { emulator_pcpus: 0 };
    assert_eq!(changes(&host, &request)[0], none);
}

#[test]
fn hugepages_are_made_where_no_page_size_is_asked_for() {
    // Half of the memory is in hugepages: no page size has 12 GiB.
    let mut half = host(1, 4, 1, 16).description().clone();
    let base = &mut half.nodes[0].pools[0];
    let pages = (8_u64 << 30) / base.size.bytes();
    (base.total, base.free) = (pages, pages);
    let size = pinwise::PageSize::GIB_1;
    half.nodes[0].pools.push(pinwise::host::PagePool { size, total: 8, free: 8 });
    let more = Change::MorePages { node: NodeId(0), page_size: size, more: 4, total: 12 };
    assert_eq!(changes(&half.build().unwrap(), &vm(2, 12))[0], more);
}

#[test]
fn a_policy_that_fits_when_preferred_is_named() {
    let policies = Policies { one_node: Policy::Require, ..Policies::default() };
    let told = changes(&host(2, 4, 1, 16), &RequestSpec { policies, ..vm(6, 4) });
    assert_eq!(
        sentences(&told),
        [
            "preferring instead of requiring all vCPUs and memory on one node (--one-node prefer)",
            "at most 4 vCPUs (--vcpus 4)"
        ]
    );
}
