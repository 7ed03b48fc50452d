//! Claims about fleets: the order of hosts, lists of requests and gangs.

use std::sync::Arc;

use pinwise_testkit::common::{gpu_vm, host, vm};
use pinwise::fleet::{
    AntiAffinity, BatchError, FleetHost, FleetOptions, HostOrder, HostRefusal, Shortfall,
    place_each, place_gang, rank,
};
use pinwise::{
    Claim, Host, Policies, Policy, Question, Request, RequestSpec, Usage, Workload, recommend,
    verify,
};

fn empty(name: &str, count: usize) -> Vec<FleetHost<Arc<Host>>> {
    let host = Arc::new(host(name));
    let usage = Usage::empty(&host);
    vec![FleetHost::new(host, usage); count]
}

fn request(builder: RequestSpec) -> Request {
    builder.build().unwrap()
}

fn gpus(name: &str, count: u32) -> Request {
    let base = gpu_vm(4 * count, u64::from(8 * count), count, Workload::GpuTraining);
    let policies = Policies { gpu_locality: Policy::Require, ..Policies::default() };
    request(RequestSpec { name: name.to_owned(), policies, ..base })
}

fn options(bin: HostOrder) -> FleetOptions {
    FleetOptions { bin, answers: usize::MAX, ..FleetOptions::default() }
}

const TWO_NODES: &str = "hgx-h200-snc2";

#[test]
fn a_gpu_goes_where_a_set_is_broken_already() {
    let mut fleet = empty(TWO_NODES, 4);
    let best = options(HostOrder::BestFit);
    let one = rank(&fleet, &gpus("a", 1), &best).ranked.remove(0);
    assert_eq!(one.host, 0, "equal hosts keep their order");
    // Host 2 has the broken set of four now: the next single GPU joins it.
    fleet[2].claim("a", one.best.placement.claim()).unwrap();
    let next = rank(&fleet, &gpus("b", 1), &best).ranked.remove(0);
    assert_eq!(next.host, 2);
    let node = |rank: &pinwise::fleet::HostRank| rank.best.placement.gpus().next().unwrap().node;
    assert_eq!(node(&one), node(&next));
    let spread = rank(&fleet, &gpus("b", 1), &options(HostOrder::Spread));
    assert_eq!(spread.ranked.last().unwrap().host, 2);
    assert_eq!(rank(&fleet, &gpus("b", 1), &options(HostOrder::FirstFit)).ranked[0].host, 0);
}

#[test]
fn each_host_has_what_recommend_says_of_it_alone() {
    let mut fleet = empty(TWO_NODES, 3);
    place_each(
        &mut fleet,
        &[gpus("a", 1), gpus("b", 4), gpus("c", 8)],
        &options(HostOrder::Spread),
    );
    for wanted in [gpus("x", 2), gpus("y", 8), request(vm(8, 16))] {
        let answer = rank(&fleet, &wanted, &options(HostOrder::BestFit));
        assert_eq!(answer.ranked.len() + answer.refused.len(), fleet.len());
        for found in &answer.ranked {
            let member = &fleet[found.host];
            let (host, usage) = (member.host(), member.usage());
            let alone = recommend(
                Question::new(host, usage, &wanted).with(&FleetOptions::default().engine),
            )
            .unwrap();
            assert_eq!(&found.best, alone.best());
            verify(Question::new(host, usage, &wanted), &found.best.placement).unwrap();
        }
        for (at, _) in &answer.refused {
            let (host, usage) = (fleet[*at].host(), fleet[*at].usage());
            let alone = recommend(
                Question::new(host, usage, &wanted).with(&FleetOptions::default().engine),
            );
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
    assert!(place_gang(&mut fleet, &gpus("g", 8), 3, AntiAffinity::Nothing, &best).is_err());
    for apart in [AntiAffinity::Hosts, AntiAffinity::Packages] {
        let refused = place_gang(&mut fleet, &gpus("g", 1), 5, apart, &best);
        assert!(matches!(refused, Err(BatchError::NoHost { .. })), "{apart:?}");
    }
    let after: Vec<Usage> = fleet.iter().map(|member| member.usage().clone()).collect();
    assert_eq!(before, after);
    assert_eq!(
        place_gang(&mut fleet, &gpus("g", 4), 4, AntiAffinity::Nothing, &best).unwrap().len(),
        4
    );
    let names: Vec<_> = fleet.iter().flat_map(|member| member.usage().tenants()).collect();
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|(name, _)| name.starts_with("g-")), "{names:?}");
}

#[test]
fn a_gang_keeps_apart_what_must_be_apart() {
    let best = FleetOptions::default();
    let mut fleet = empty(TWO_NODES, 3);
    let hosts = |gang: &[pinwise::fleet::HostRank]| gang.iter().map(|r| r.host).collect::<Vec<_>>();
    let together =
        place_gang(&mut fleet.clone(), &gpus("g", 1), 3, AntiAffinity::Nothing, &best).unwrap();
    assert_eq!(hosts(&together), [0, 0, 0]);
    let by_host =
        place_gang(&mut fleet.clone(), &gpus("g", 1), 3, AntiAffinity::Hosts, &best).unwrap();
    assert_eq!(hosts(&by_host), [0, 1, 2]);
    let gang = place_gang(&mut fleet, &gpus("g", 1), 6, AntiAffinity::Packages, &best).unwrap();
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

/// Two models, each host with what was left of a few VMs that came and went.
fn used(seed: u64) -> Vec<FleetHost<Arc<Host>>> {
    let mut state = seed;
    let mut below = |n: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut fleet = empty(TWO_NODES, 20);
    fleet.extend(empty("rtx-4090-nps4", 8));
    for number in 0..90 {
        let (count, at) = (below(4), usize::try_from(below(28)).unwrap());
        let (vcpus, name) = (2 << below(4), format!("vm{number}"));
        let base =
            gpu_vm(vcpus, u64::from(vcpus) * 2, u32::try_from(count).unwrap(), Workload::General);
        let wanted = request(RequestSpec { name, ..base });
        place_each(&mut fleet[at..=at], &[wanted], &options(HostOrder::BestFit)).clear();
    }
    for member in &mut fleet {
        let names: Vec<String> =
            member.usage().tenants().map(|(name, _)| name.to_owned()).collect();
        for name in names.iter().filter(|_| below(3) == 0) {
            member.release(name).unwrap();
        }
    }
    fleet
}

/// Requests that bounds could be wrong about: with and without GPUs, on one node and more.
fn wishes() -> Vec<Request> {
    let mut wishes = Vec::new();
    for (count, vcpus) in [(0, 8), (0, 48), (1, 8), (2, 16), (4, 31), (8, 32)] {
        for policy in [Policy::Require, Policy::Prefer, Policy::Ignore] {
            let policies =
                Policies { gpu_locality: policy, one_node: policy, ..Policies::default() };
            let base = gpu_vm(vcpus, 64, count, Workload::GpuTraining);
            let one = RequestSpec { policies, ..base.clone() };
            let cells = pinwise::request::Wish::Require(2);
            let policies = Policies { one_node: Policy::Ignore, ..policies };
            wishes.extend([one, RequestSpec { policies, cells, ..base }].map(request));
        }
    }
    wishes
}

#[test]
fn a_bound_never_hides_a_better_host() {
    let (mut unsearched, mut ordered) = (0, 0);
    for seed in 1..=2 {
        let fleet = used(seed);
        for (wanted, bin) in
            wishes().iter().flat_map(|w| [(w, HostOrder::BestFit), (w, HostOrder::Spread)])
        {
            let all = rank(&fleet, wanted, &options(bin));
            assert!(all.behind.is_empty());
            assert_eq!(all.ranked.len() + all.refused.len(), fleet.len());
            for answers in [1, 3] {
                let few = rank(&fleet, wanted, &FleetOptions { answers, ..options(bin) });
                let first = answers.min(all.ranked.len());
                assert_eq!(few.ranked, all.ranked[..first], "{bin:?} {wanted:?}");
                assert_eq!(
                    few.ranked.len() + few.behind.len() + few.refused.len(),
                    fleet.len(),
                    "every host once"
                );
                let is_refused = |at: usize| all.refused.iter().any(|(other, _)| *other == at);
                assert!(few.refused.iter().all(|(at, _)| is_refused(*at)));
                unsearched += few.behind.iter().filter(|host| !host.searched).count();
            }
            // The order, made anew from what is answered of each.
            let key = |rank: &pinwise::fleet::HostRank| {
                let profile = &rank.best.profile;
                let pieces = profile.l3 == pinwise::engine::L3Use::Pieces;
                let price = rank.best.cost.price() + if pieces { 1000 } else { 0 };
                let apart = profile.gpus > 1 && !profile.same_switch;
                let score = std::cmp::Reverse(rank.best.score.total);
                (rank.best.unmet.len(), profile.packages, apart, price, score, rank.left)
            };
            if bin == HostOrder::BestFit {
                assert!(all.ranked.windows(2).all(|two| key(&two[0]) <= key(&two[1])));
                ordered += all.ranked.len();
            }
        }
    }
    assert!(unsearched > 500 && ordered > 500, "{unsearched} {ordered}: nothing was bounded");
}

#[cfg(feature = "rayon")]
#[test]
fn one_thread_and_many_give_the_same_answer() {
    // Enough of one model for the bounds that are counted once for all of them.
    let mut fleet = empty(TWO_NODES, 20);
    fleet.extend(empty("rtx-4090-nps4", 4));
    let wanted: Vec<Request> = (0..12).map(|n| gpus(&format!("vm{n}"), 1 << (n % 4))).collect();
    place_each(&mut fleet, &wanted, &options(HostOrder::Spread));
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for bin in [HostOrder::BestFit, HostOrder::FirstFit, HostOrder::Spread] {
            for wanted in [gpus("x", 2), request(vm(8, 16))] {
                for answers in [1, usize::MAX] {
                    let options = FleetOptions { answers, ..options(bin) };
                    let many = pool.install(|| rank(&fleet, &wanted, &options));
                    assert_eq!(many, rank(&fleet, &wanted, &options));
                }
            }
        }
    }
}
