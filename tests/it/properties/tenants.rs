//! A further tenant takes, and never gives.

use pinwise::workload::Weights;
use pinwise::{Style, Workload};

use pinwise_testkit::rng::Rng;
use super::scene::{Answer, Scene, tenant};
use super::{best, ensure, for_cases, is_cut, scores};

#[test]
fn a_further_tenant_never_improves_the_answer() {
    for_cases(4, 200, further_tenant);
}

/// Floating vCPUs on eight nodes: the fewest nodes that hold them were once counted in cores.
#[test]
fn a_further_tenant_never_improves_a_style_that_is_not_the_best() {
    further_tenant(&mut Rng::new(4_000_997)).unwrap();
}

/// With a single metric that counts, the best score is the best prediction of that metric.
#[test]
fn a_further_tenant_never_improves_a_prediction() {
    let (mut compared, mut worse) = (0, 0);
    for_cases(40, 250, |rng| {
        let mut scene = Scene::new(rng);
        let mut weights = Weights::default();
        let fields = [
            &mut weights.cpu_single_thread,
            &mut weights.cpu_all_threads,
            &mut weights.memory_bandwidth,
            &mut weights.memory_latency,
            &mut weights.gpu_compute,
            &mut weights.host_gpu_transfer,
            &mut weights.collective,
        ];
        let count = fields.len();
        *fields.into_iter().nth(rng.below(count)).unwrap() = 1;
        scene.request.spec().workload = Workload::Custom(weights);
        scene.options.preference_cost = 0;
        let before = scene.answer();
        let further = tenant(rng, &scene.host, &scene.usage);
        let mut other = scene.clone();
        let claimed = other.usage.claim(&other.host, "further", further.clone());
        if claimed.is_err() || is_cut(&before) {
            return Ok(());
        }
        let after = other.answer();
        let best = |answer: &Answer| scores(answer).iter().map(|(_, s)| s.performance).max();
        let (most, then) = (best(&before), best(&after));
        compared += u32::from(then.is_some());
        worse += u32::from(then < most);
        ensure(then <= most, || format!("{most:?} {then:?} {further:?}\n{}", scene.text()))
    });
    println!("{compared} compared, {worse} worse or refused");
    assert!(compared > 50 && worse > 0, "{compared} compared, {worse} worse");
}

/// Neither the best score of all nor that of any style rises.
fn further_tenant(rng: &mut Rng) -> Result<(), String> {
    let scene = Scene::new(rng);
    let mut other = scene.clone();
    let claim = tenant(rng, &scene.host, &scene.usage);
    if other.usage.claim(&other.host, "further", claim.clone()).is_err() {
        return Ok(());
    }
    let (before, after) = (scene.answer(), other.answer());
    if is_cut(&before) {
        return Ok(());
    }
    let (least, most) = (best(&before), best(&after));
    let worse = |(style, total): (&Style, &i64)| least.get(style).is_some_and(|t| t >= total);
    let holds = most.iter().all(worse) && most.values().max() <= least.values().max();
    let texts = |scene: &Scene| {
        let answer = scene.answer();
        let ranked = answer.iter().flat_map(|answer| &answer.ranked);
        ranked.map(|r| format!("{:?} {:?}\n", r.score, r.profile)).collect::<String>()
    };
    ensure(holds, || {
        let (a, b) = (texts(&scene), texts(&other));
        format!("{least:?}\n{most:?}\n{a}then\n{b}further: {claim:?}\n{}", scene.text())
    })
}
