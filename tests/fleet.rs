//! Claims about fleets: the order of hosts, lists of requests and gangs.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod common;

use std::sync::Arc;

use common::{gpu_vm, host, vm};
use pinwise::fleet::{
    Apart, BatchError, Bin, FleetHost, FleetOptions, HostRefusal, Shortfall, place_each,
    place_gang, rank,
};
use pinwise::{
    Claim, Host, Policies, Policy, Request, RequestBuilder, Usage, Workload, recommend, verify,
};

fn empty(name: &str, count: usize) -> Vec<FleetHost<Arc<Host>>> {
    let host = Arc::new(host(name));
    let usage = Usage::empty(&host);
    vec![FleetHost::new(host, usage); count]
}

fn request(builder: RequestBuilder) -> Request {
    builder.build().unwrap()
}

fn gpus(name: &str, count: u32) -> Request {
    let base = gpu_vm(4 * count, u64::from(8 * count), count, Workload::GpuTraining);
    let policies = Policies { gpu_locality: Policy::Require, ..Policies::default() };
    request(RequestBuilder { name: name.to_owned(), policies, ..base })
}

fn options(bin: Bin) -> FleetOptions {
    FleetOptions { bin, ..FleetOptions::default() }
}

const TWO_NODES: &str = "hgx-h200-snc2";

#[test]
fn a_gpu_goes_where_a_set_is_broken_already() {
    let mut fleet = empty(TWO_NODES, 4);
    let best = options(Bin::BestFit);
    let one = rank(&fleet, &gpus("a", 1), &best).ranked.remove(0);
    assert_eq!(one.host, 0, "equal hosts keep their order");
    // Host 2 has the broken set of four now: the next single GPU joins it.
    fleet[2].claim("a", one.best.placement.claim()).unwrap();
    let next = rank(&fleet, &gpus("b", 1), &best).ranked.remove(0);
    assert_eq!(next.host, 2);
    let node = |rank: &pinwise::fleet::HostRank| rank.best.placement.gpus().next().unwrap().node;
    assert_eq!(node(&one), node(&next));
    let spread = rank(&fleet, &gpus("b", 1), &options(Bin::Spread));
    assert_eq!(spread.ranked.last().unwrap().host, 2);
    assert_eq!(rank(&fleet, &gpus("b", 1), &options(Bin::FirstFit)).ranked[0].host, 0);
}

#[test]
fn each_host_has_what_recommend_says_of_it_alone() {
    let mut fleet = empty(TWO_NODES, 3);
    place_each(&mut fleet, &[gpus("a", 1), gpus("b", 4), gpus("c", 8)], &options(Bin::Spread));
    for wanted in [gpus("x", 2), gpus("y", 8), request(vm(8, 16))] {
        let answer = rank(&fleet, &wanted, &FleetOptions::default());
        assert_eq!(answer.ranked.len() + answer.refused.len(), fleet.len());
        for found in &answer.ranked {
            let member = &fleet[found.host];
            let (host, usage) = (member.host(), member.usage());
            let alone = recommend(host, usage, &wanted, &FleetOptions::default().engine).unwrap();
            assert_eq!(&found.best, alone.best());
            verify(host, usage, &wanted, &found.best.placement).unwrap();
        }
        for (at, _) in &answer.refused {
            let (host, usage) = (fleet[*at].host(), fleet[*at].usage());
            let alone = recommend(host, usage, &wanted, &FleetOptions::default().engine);
            assert!(alone.is_err(), "a count refused {wanted:?} on host {at}");
        }
    }
}

#[test]
fn a_count_says_what_a_host_is_short_of() {
    let mut fleet = empty(TWO_NODES, 1);
    let all = gpus("a", 8);
    assert!(place_each(&mut fleet, &[all], &FleetOptions::default())[0].is_ok());
    let answer = rank(&fleet, &gpus("b", 1), &FleetOptions::default());
    let short = HostRefusal::Short(Shortfall::Gpus { needed: 1, free: 0 });
    assert_eq!(answer.refused, [(0, short)]);
    let wide = request(vm(4096, 16));
    let answer = rank(&fleet, &wide, &FleetOptions::default());
    assert!(matches!(
        answer.refused[..],
        [(0, HostRefusal::Short(Shortfall::Pcpus { needed: 4096, .. }))]
    ));
}

#[test]
fn a_later_request_sees_what_an_earlier_one_took() {
    let mut fleet = empty(TWO_NODES, 2);
    let wanted: Vec<Request> = (0..3).map(|n| gpus(&format!("vm{n}"), 8)).collect();
    let placed = place_each(&mut fleet, &wanted, &FleetOptions::default());
    let hosts: Vec<_> = placed.iter().map(|one| one.as_ref().ok().map(|rank| rank.host)).collect();
    assert_eq!(hosts, [Some(0), Some(1), None]);
    assert!(matches!(&placed[2], Err(BatchError::NoHost { refused, .. }) if refused.len() == 2));
}

#[test]
fn a_gang_is_placed_whole_or_not_at_all() {
    let mut fleet = empty(TWO_NODES, 2);
    let before: Vec<Usage> = fleet.iter().map(|member| member.usage().clone()).collect();
    let best = FleetOptions::default();
    assert!(place_gang(&mut fleet, &gpus("g", 8), 3, Apart::Nothing, &best).is_err());
    for apart in [Apart::Hosts, Apart::Packages] {
        let refused = place_gang(&mut fleet, &gpus("g", 1), 5, apart, &best);
        assert!(matches!(refused, Err(BatchError::NoHost { .. })), "{apart:?}");
    }
    let after: Vec<Usage> = fleet.iter().map(|member| member.usage().clone()).collect();
    assert_eq!(before, after);
    assert_eq!(place_gang(&mut fleet, &gpus("g", 4), 4, Apart::Nothing, &best).unwrap().len(), 4);
    let names: Vec<_> = fleet.iter().flat_map(|member| member.usage().tenants()).collect();
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|(name, _)| name.starts_with("g-")), "{names:?}");
}

#[test]
fn a_gang_keeps_apart_what_must_be_apart() {
    let best = FleetOptions::default();
    let mut fleet = empty(TWO_NODES, 3);
    let hosts = |gang: &[pinwise::fleet::HostRank]| gang.iter().map(|r| r.host).collect::<Vec<_>>();
    let together = place_gang(&mut fleet.clone(), &gpus("g", 1), 3, Apart::Nothing, &best).unwrap();
    assert_eq!(hosts(&together), [0, 0, 0]);
    let by_host = place_gang(&mut fleet.clone(), &gpus("g", 1), 3, Apart::Hosts, &best).unwrap();
    assert_eq!(hosts(&by_host), [0, 1, 2]);
    let gang = place_gang(&mut fleet, &gpus("g", 1), 6, Apart::Packages, &best).unwrap();
    let mut packages: Vec<_> = gang
        .iter()
        .flat_map(|rank| {
            let host = fleet[rank.host].host();
            let nodes = rank.best.placement.nodes();
            nodes.iter().map(|n| (rank.host, host.node(n).unwrap().package)).collect::<Vec<_>>()
        })
        .collect();
    packages.sort_unstable();
    packages.dedup();
    assert_eq!(packages.len(), 6, "two packages a host, a VM each");
}

#[test]
fn claim_and_release_restore_a_host() {
    let mut fleet = empty(TWO_NODES, 1);
    let before = rank(&fleet, &gpus("a", 4), &FleetOptions::default());
    place_each(&mut fleet, &[gpus("a", 4)], &FleetOptions::default());
    assert_ne!(rank(&fleet, &gpus("a", 4), &FleetOptions::default()), before);
    fleet[0].release("a").unwrap();
    assert_eq!(rank(&fleet, &gpus("a", 4), &FleetOptions::default()), before);
    assert!(fleet[0].claim("b", Claim::default()).is_ok());
}

#[cfg(feature = "rayon")]
#[test]
fn one_thread_and_many_give_the_same_answer() {
    let mut fleet = empty(TWO_NODES, 9);
    fleet.extend(empty("rtx-4090-nps4", 4));
    let wanted: Vec<Request> = (0..12).map(|n| gpus(&format!("vm{n}"), 1 << (n % 4))).collect();
    place_each(&mut fleet, &wanted, &options(Bin::Spread));
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for bin in [Bin::BestFit, Bin::FirstFit, Bin::Spread] {
            let many = pool.install(|| rank(&fleet, &gpus("x", 2), &options(bin)));
            assert_eq!(many, rank(&fleet, &gpus("x", 2), &options(bin)));
        }
    }
}
