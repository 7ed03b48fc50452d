//! Fleets of hosts in random states: what is ranked with bounds, in any order of search, is what
//! asking every host says.

use std::cmp::Reverse;
use std::sync::Arc;

use pinwise::engine::{GpuShape, GpuShare, L3Use};
use pinwise::fleet::{FleetHost, FleetOptions, HostOrder, HostRefusal, rank};
use pinwise::host::Gpu;
use pinwise::request::{GpuRequest, Wish};
use pinwise::rules::{Evidence, Range, RuleId};
use pinwise::workload::Weights;
use pinwise::{
    Bytes, Claim, CpuSet, Host, Options, Question, Ranked, Request, RequestSpec, Usage, Workload,
    recommend,
};

use super::scene::{HOSTS, hold, options, request, tenant, worsened};
use super::{ensure, for_cases};
use pinwise_testkit::common::{checked, description};
use pinwise_testkit::rng::Rng;

pub(super) type Fleet = Vec<FleetHost<Arc<Host>>>;

/// Two or three models, about twenty hosts of each, with up to two, six or twelve tenants.
pub(super) fn fleet(rng: &mut Rng) -> Fleet {
    let model = |rng: &mut Rng| {
        let described = description(rng.pick(&HOSTS));
        let described = if rng.percent(50) { worsened(rng, described) } else { described };
        Arc::new(described.build().unwrap())
    };
    let models: Vec<Arc<Host>> = (0..rng.between(2, 3)).map(|_| model(rng)).collect();
    let busy = rng.pick(&[2, 6, 12]);
    let member = |rng: &mut Rng, model: &Arc<Host>| {
        let mut usage = Usage::empty(model);
        for number in 0..rng.below(busy + 1) {
            // One that cannot hold what it wants does not come.
            let claim = tenant(rng, model, &usage);
            _ = usage.claim(model, &format!("tenant{number}"), claim);
        }
        FleetHost::new(Arc::clone(model), usage)
    };
    let each = rng.between(18, 26);
    let mut fleet: Fleet =
        models.iter().flat_map(|model| vec![model; each]).map(|model| member(rng, model)).collect();
    rng.shuffle(&mut fleet);
    fleet
}

/// Mostly of a VM without devices, for which there are the most bounds.
pub(super) fn wish(rng: &mut Rng, fleet: &Fleet) -> RequestSpec {
    let mut wish = request(rng, fleet[0].host());
    if rng.percent(70) {
        wish.gpus = GpuRequest::default();
        wish.devices.clear();
        wish.vcpus = wish.vcpus.min(rng.pick(&[4, 8, 16, 24, 32]));
        if rng.percent(50) {
            fill(rng, fleet, &mut wish);
        }
    }
    if rng.percent(30) {
        wish.even_cells = true;
    }
    if rng.percent(40) {
        let member = &fleet[rng.below(fleet.len())];
        hold(rng, member.host(), &mut wish);
    }
    if let GpuRequest::Addresses(_) = wish.gpus {
        wish.gpus = GpuRequest::Count { count: 1, model: None };
    }
    if rng.percent(20) {
        let mut weight = || u16::try_from(rng.below(5)).unwrap();
        wish.workload = Workload::Custom(Weights {
            cpu_single_thread: weight(),
            cpu_all_threads: weight(),
            memory_bandwidth: weight(),
            memory_latency: 1 + weight(),
            ..Weights::default()
        });
    }
    wish
}

/// Just about as much as is free on some node.
fn fill(rng: &mut Rng, fleet: &Fleet, wish: &mut RequestSpec) {
    let member = &fleet[rng.below(fleet.len())];
    let (host, usage) = (member.host(), member.usage());
    let node = &host.nodes()[rng.below(host.nodes().len())];
    let free = node.cpus.intersection(host.allowed()).difference(usage.dedicated());
    let free = free.difference(&host.kept().cpus).len();
    let vcpus = if rng.percent(70) { free / 2 } else { free };
    wish.vcpus = u32::try_from(vcpus.saturating_sub(rng.below(3)).max(4)).unwrap();
    wish.emulator_pcpus = u32::try_from(rng.below(2)).unwrap();
    let Some(pool) = node.pools.get(rng.below(node.pools.len())) else { return };
    let pages = usage.free_pages(host, node.id, pool.size);
    if rng.percent(50) && pages > 0 {
        wish.page_size = Some(pool.size);
        wish.memory = pool.size.times(pages);
    } else {
        wish.page_size = None;
        wish.memory = Bytes::from_gib(1);
    }
}

pub(super) fn tuned(rng: &mut Rng) -> Options {
    let mut options = options(rng);
    options.all = false;
    options.packing_weight = rng.pick(&[0, 0, 100, 4000]);
    if rng.percent(30) {
        // A table of the user's own may contradict ours.
        let mut evidence = Evidence::default();
        for _ in 0..3 {
            let low = 400 + u32::try_from(rng.below(1000)).unwrap();
            let range = Range::new(low, low + 100, low + 300).unwrap();
            evidence = evidence.with(rng.pick(&RuleId::ALL), range);
        }
        options.evidence = evidence;
    }
    let share = |rng: &mut Rng| {
        let (cores, memory) = (rng.pick(&[1, 4, 8, 30]), rng.pick(&[1, 40, 200]));
        GpuShare { cores, memory: Bytes::from_gib(memory) }
    };
    options.gpu_share = rng.percent(50).then(|| share(rng));
    for _ in 0..rng.pick(&[0, 0, 1, 5]) {
        let (gpus, count) = (rng.pick(&[1, 2, 4, 8]), rng.pick(&[1, 7]));
        options.gpu_mix.push(GpuShape { gpus, share: share(rng), count });
    }
    options
}

/// What a fleet's order is said to go by.
fn key(
    engine: &Options,
    bin: HostOrder,
    best: &Ranked,
    left: (u64, u64),
) -> impl Ord + std::fmt::Debug + use<> {
    let profile = &best.profile;
    let pieces = if profile.l3 == L3Use::Pieces { 1000 } else { 0 };
    let apart = profile.gpus > 1 && !profile.same_switch;
    let unmet = best.unmet.len();
    match bin {
        HostOrder::Spread => (unmet, 0, false, 0, Reverse(0), Err(Reverse(left))),
        _ => {
            // From host to host, what cannot be avoided on one counts too.
            let mut in_all = best.cost;
            in_all.unavoidable = 0;
            let all = in_all.millionths();
            let packing = all * i64::from(engine.packing_weight) / 1000;
            let score = Reverse(best.score.performance + best.score.preferences - packing);
            (unmet, profile.packages, apart, best.cost.price() + pieces, score, Ok(left))
        }
    }
}

/// GPUs and pCPUs that would be left.
fn left(host: &Host, usage: &Usage, best: &Ranked) -> (u64, u64) {
    let given: Vec<_> = best.placement.gpus().map(|gpu| gpu.address).collect();
    let free = |gpu: &&Gpu| {
        let whole = host.pci().bundle_of(gpu.address);
        !gpu.integrated && whole.iter().all(|device| usage.holder_of(*device).is_none())
    };
    let left = host.gpus().iter().filter(free).filter(|gpu| !given.contains(&gpu.address));
    let gpus = left.count() as u64;
    let free = host.allowed().difference(usage.dedicated()).difference(&host.kept().cpus);
    let close = |free: CpuSet, (_, claim): (_, &Claim)| free.difference(&claim.closes(host));
    let free = usage.tenants().fold(free, close);
    let taken = best.placement.claim().dedicated.len();
    (gpus, (free.len() as u64).saturating_sub(taken as u64))
}

/// The hosts in the order of what each says alone.
fn alone(
    fleet: &Fleet,
    wanted: &Request,
    engine: &Options,
    bin: HostOrder,
) -> Vec<(usize, Ranked)> {
    let ask = |(at, member): (usize, &FleetHost<Arc<Host>>)| {
        let (host, usage) = (member.host(), member.usage());
        let best =
            recommend(Question::new(host, usage, wanted).with(engine)).ok()?.ranked.remove(0);
        Some((key(engine, bin, &best, left(host, usage, &best)), at, best))
    };
    let mut all: Vec<_> = fleet.iter().enumerate().filter_map(ask).collect();
    all.sort_by(|(a, at, _), (b, other, _)| a.cmp(b).then(at.cmp(other)));
    all.into_iter().map(|(_, at, best)| (at, best)).collect()
}

/// Twenty hosts with two nodes of four GPUs, of which a tenant holds all pCPUs but these.
fn crowded(allowed: Option<&str>, free: &str) -> Fleet {
    let mut described = description("hgx-h200-snc2");
    described.allowed = allowed.map(|cpus| cpus.parse().unwrap());
    let model = Arc::new(described.build().unwrap());
    let mut usage = Usage::empty(&model);
    let dedicated = model.allowed().difference(&free.parse().unwrap());
    usage.claim(&model, "tenant", Claim { dedicated, ..Claim::default() }).unwrap();
    vec![FleetHost::new(model, usage); 20]
}

/// What is chosen, where each GPU needs a core: its threads a core, nodes and price. A build with
/// checks finds a bound that is above it.
fn chosen(fleet: &Fleet, wish: RequestSpec) -> (u32, usize, i64) {
    let share = GpuShare { cores: 1, memory: Bytes::from_gib(1) };
    let engine = Options { gpu_share: Some(share), ..Options::default() };
    let answer = rank(fleet, &checked(&wish), &FleetOptions { engine, ..FleetOptions::default() });
    let best = &answer.ranked[0].best;
    (best.placement.topology.threads, best.placement.nodes().len(), best.cost.price())
}

#[test]
fn cores_for_the_emulator_threads_are_needed_too() {
    // Eight cores of node 0 are free, all of which vCPUs with a core each would take.
    let fleet = crowded(None, "1-8,97-104");
    let vm = RequestSpec::new("vm", 8, Bytes::from_gib(8));
    assert_eq!(chosen(&fleet, vm.clone()).0, 1);
    assert_eq!(chosen(&fleet, RequestSpec { emulator_pcpus: 1, ..vm }), (2, 1, 0));
}

#[test]
fn a_whole_core_need_not_have_two_pcpus() {
    // Of the eight whole cores of node 0 four may be used by one thread only; of four more, one
    // thread is free. Four of node 1 are whole.
    let allowed = "0-100,105-191";
    let fleet = crowded(Some(allowed), "1-8,97-100,105-108,25-28,121-124");
    let vm = RequestSpec::new("vm", 16, Bytes::from_gib(8));
    let vm = RequestSpec { smt: Wish::Require(true), ..vm };
    assert_eq!(chosen(&fleet, vm), (2, 2, 0));
}

#[test]
fn a_fleet_is_ranked_as_if_every_host_was_asked() {
    let (mut unsearched, mut ranked) = (0, 0);
    for_cases(50, 24, |rng| {
        let fleet = fleet(rng);
        let wish = wish(rng, &fleet);
        let (wanted, engine) = (checked(&wish), tuned(rng));
        for bin in [HostOrder::BestFit, HostOrder::Spread] {
            let all = alone(&fleet, &wanted, &engine, bin);
            for answers in [1, 3, usize::MAX] {
                let options = FleetOptions { engine: engine.clone(), order: bin, answers };
                let answer = rank(&fleet, &wanted, &options);
                let found: Vec<_> =
                    answer.ranked.iter().map(|r| (r.host, r.best.clone())).collect();
                let first = &all[..answers.min(all.len())];
                let hosts = |of: &[(usize, Ranked)]| of.iter().map(|r| r.0).collect::<Vec<_>>();
                ensure(found == first, || {
                    let (found, all) = (hosts(&found), hosts(&all));
                    format!("{bin:?} {found:?} of {all:?}\n{wish:?}\n{engine:?}")
                })?;
                let places = [answer.ranked.len(), answer.not_chosen.len(), answer.refused.len()];
                ensure(places.iter().sum::<usize>() == fleet.len(), || format!("{places:?}"))?;
                unsearched += answer.not_chosen.iter().filter(|host| !host.searched).count();
                ranked += found.len();
            }
        }
        Ok(())
    });
    println!("{ranked} ranked, {unsearched} not searched");
    assert!(ranked > 1000 && unsearched > 1000, "{ranked} ranked, {unsearched} not searched");
}

/// A count, not a time: the first batch is of 16 hosts, and few others should be searched. On hosts
/// with tenants that float, bounds are wider: nothing counts which cores they crowd.
#[test]
fn few_hosts_are_searched_for_a_vm_without_gpus() {
    let (mut hosts, mut searched) = (0, 0);
    for_cases(51, 12, |rng| {
        let fleet = fleet(rng);
        let vm = RequestSpec::new("vm", rng.pick(&[4, 8, 12]), Bytes::from_gib(4));
        let answer = rank(&fleet, &checked(&vm), &FleetOptions::default());
        let short = |refused: &&(usize, HostRefusal)| matches!(refused.1, HostRefusal::Short(_));
        hosts += fleet.len() - answer.refused.iter().filter(short).count();
        searched += answer.ranked.len() + answer.refused.iter().filter(|r| !short(r)).count();
        searched += answer.not_chosen.iter().filter(|host| host.searched).count();
        Ok(())
    });
    println!("{searched} of {hosts} hosts were searched");
    assert!(hosts > 400 && searched <= 24 * 12, "{searched} of {hosts} hosts");
}
