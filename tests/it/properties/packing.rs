//! Best fit fills hosts: of two hosts alike but for one VM with GPUs, it never takes the emptier.

use std::sync::Arc;

use pinwise::engine::GpuShare;
use pinwise::fleet::{FleetHost, FleetOptions, HostRank, rank};
use pinwise::request::GpuRequest;
use pinwise::{
    Bytes, Claim, CpuSet, Host, Options, Policies, Policy, Question, Request, RequestSpec, Usage,
    Workload, recommend,
};

use super::{ensure, for_cases};
use pinwise_testkit::common::{checked, description};
use pinwise_testkit::rng::Rng;

/// Hosts whose nodes with GPUs are alike.
const BOARDS: [&str; 4] = ["hgx-h200", "hgx-h200-snc2", "mi350x", "rtx-pro-6000"];

/// A tenant without GPUs that holds this number of whole cores of each node.
fn without_gpus(host: &Host, cores: usize) -> Usage {
    let mut dedicated = CpuSet::new();
    for node in host.nodes() {
        let own =
            host.cores().iter().filter(|core| core.pcpus.iter().all(|p| node.cpus.contains(*p)));
        own.take(cores).for_each(|core| dedicated.extend(&core.pcpus.iter().copied().collect()));
    }
    let dedicated = dedicated.intersection(host.online());
    let mut usage = Usage::empty(host);
    usage.claim(host, "others", Claim { dedicated, ..Claim::default() }).unwrap();
    usage
}

fn vm(rng: &mut Rng, name: &str) -> Request {
    let gpus = rng.pick(&[1, 1, 1, 2, 2, 4]);
    let vcpus = 2 * gpus * rng.pick(&[1, 2, 4, 5, 7, 9]);
    let memory = Bytes::from_gib(u64::from(gpus) * rng.pick(&[8, 64, 128]));
    let policies =
        Policies { one_node: Policy::Prefer, gpu_locality: Policy::Require, ..Policies::default() };
    checked(&RequestSpec {
        gpus: GpuRequest::Count { count: gpus, model: None },
        workload: Workload::GpuTraining,
        policies,
        ..RequestSpec::new(name, vcpus, memory)
    })
}

#[test]
fn best_fit_never_takes_the_emptier_of_two_hosts() {
    let mut compared = 0;
    for_cases(70, 300, |rng| {
        let model = Arc::new(description(rng.pick(&BOARDS)).build().unwrap());
        let least = model.nodes().iter().map(|node| node.cpus.len()).min().unwrap_or(0);
        let emptier = without_gpus(&model, rng.below(1 + least as usize / 3));
        let mut options =
            Options { packing_weight: rng.pick(&[0, 0, 1, 500, 4000]), ..Options::default() };
        let (cores, memory) = (rng.pick(&[1, 3, 6, 8, 11, 40]), rng.pick(&[1, 60, 120, 230, 900]));
        let share = GpuShare { cores, memory: Bytes::from_gib(memory) };
        options.gpu_share = rng.percent(70).then_some(share);
        let (first, second) = (vm(rng, "first"), vm(rng, "second"));
        let mut fuller = emptier.clone();
        let question = Question::new(&model, &emptier, &first).with(&options);
        let Ok(placed) = recommend(question) else { return Ok(()) };
        fuller.claim(&model, "first", placed.best().placement.claim()).unwrap();
        let at = rng.below(2);
        let mut fleet = vec![FleetHost::new(Arc::clone(&model), emptier)];
        fleet.insert(at, FleetHost::new(Arc::clone(&model), fuller));
        let engine = options.clone();
        let options = FleetOptions { engine, answers: 2, ..FleetOptions::default() };
        let answer = rank(&fleet, &second, &options);
        let [best, other] = &answer.ranked[..] else { return Ok(()) };
        let is_apart = |rank: &HostRank| {
            let profile = &rank.best.profile;
            (rank.best.unmet.len(), profile.packages, profile.gpus > 1 && !profile.same_switch)
        };
        if is_apart(best) != is_apart(other) {
            return Ok(());
        }
        compared += 1;
        ensure(best.host == at, || {
            let of = |rank: &HostRank| (rank.best.cost, rank.best.profile.l3, rank.best.score);
            format!("{:?}\n{:?}\n{first:?}\n{second:?}\n{options:?}", of(best), of(other))
        })
    });
    println!("{compared} compared");
    assert!(compared > 200, "{compared} compared");
}
