//! What must hold between answers: for the same machine told another way, for a little more or less
//! of something, and over a host's whole life. Random scenes on the fixtures' hosts; the seeds are
//! fixed.

mod audit;
mod changes;
mod extremes;
mod facts;
mod fleets;
mod kept;
mod life;
mod more;
mod order;
mod packing;
mod renumber;
mod says;
mod scene;
mod scores;
mod tenants;
mod xml;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pinwise::engine::Property;
use pinwise::request::GpuRequest;
use pinwise::rules::Range;
use pinwise::{Policies, Policy, Question, Ranked, RequestSpec, Score, Style, json, verify};

use pinwise_testkit::common::{self, checked};
use pinwise_testkit::rng::Rng;
use scene::{Answer, HOSTS, Scene};

/// Checks `cases` cases, each with its own random numbers, and reports the first that fail.
fn for_cases(property: u64, cases: u64, mut check: impl FnMut(&mut Rng) -> Result<(), String>) {
    let mut failures = Vec::new();
    for case in 0..cases {
        let mut rng = Rng::new(property * 1_000_000 + case);
        let checked = catch_unwind(AssertUnwindSafe(|| check(&mut rng)));
        match checked {
            Ok(Ok(())) => {}
            Ok(Err(text)) => failures.push(format!("case {case}: {text}")),
            Err(_) => failures.push(format!("case {case} panicked: see above")),
        }
    }
    let count = failures.len();
    failures.truncate(3);
    assert!(failures.is_empty(), "{count} of {cases} cases fail\n{}", failures.join("\n\n"));
}

fn ensure(holds: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text()) }
}

/// The answer as bytes.
fn bytes(scene: &Scene, answer: &Answer) -> String {
    let (host, usage, request) = (&scene.host, &scene.usage, &checked(&scene.request));
    let json = match answer {
        Ok(answer) => json::recommendation(Question::new(host, usage, request), answer),
        Err(refused) => json::refusal(refused, &[]),
    };
    format!("{answer:?}\n{json}")
}

fn scores(answer: &Answer) -> Vec<(Style, Score)> {
    let ranked = answer.iter().flat_map(|answer| &answer.ranked);
    ranked.map(|ranked| (ranked.placement.style, ranked.score)).collect()
}

/// The best score of each style.
fn best(answer: &Answer) -> BTreeMap<Style, i64> {
    let mut best = BTreeMap::new();
    for (style, score) in scores(answer) {
        best.entry(style).or_insert(score.total);
    }
    best
}

fn is_cut(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.cut)
}

#[test]
fn the_generator_spreads() {
    let cases = 400;
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for case in 0..cases {
        let scene = Scene::new(&mut Rng::new(case));
        let answer = scene.answer();
        let mut seen = vec![
            scene.host.name().to_owned(),
            format!("{} tenants", scene.tenants.len()),
            format!("{} GPUs", scene.request.gpus.count()),
            format!("for {}", scene.request.workload),
            format!("page size {}", scene.request.page_size.is_some()),
            if answer.is_ok() { "fits" } else { "refused" }.to_owned(),
        ];
        if let GpuRequest::Addresses(_) = &scene.request.gpus {
            seen.push("GPUs by address".to_owned());
        }
        let styles: BTreeSet<Style> = best(&answer).into_keys().collect();
        seen.extend(styles.iter().map(|style| format!("{style} is ranked")));
        for ranked in answer.iter().flat_map(|answer| answer.ranked.first()) {
            seen.push(format!("{} wins", ranked.placement.style));
            seen.push(format!("dedicated {}", ranked.placement.dedicated));
            seen.push(format!("on {} nodes", ranked.placement.nodes().len().min(3)));
            seen.push(format!("unmet {}", !ranked.unmet.is_empty()));
        }
        seen.into_iter().for_each(|what| *counts.entry(what).or_default() += 1);
    }
    println!("{counts:#?}");
    let percent =
        |what: &str| counts.get(what).map_or(0.0, |n| f64::from(*n) * 100.0 / cases as f64);
    let refused = percent("refused");
    assert!((10.0..60.0).contains(&refused), "{refused}% are refused");
    let least = |what: &str, least: f64| {
        assert!(percent(what) >= least, "{what}: only {}%", percent(what));
    };
    HOSTS.iter().for_each(|host| least(host, 6.0));
    (0..=8).for_each(|gpus| least(&format!("{gpus} GPUs"), 1.0));
    (0..=4).for_each(|tenants| least(&format!("{tenants} tenants"), 3.0));
    for style in Style::ALL.into_iter().skip(1) {
        least(&format!("{style} is ranked"), 5.0);
        least(&format!("{style} wins"), if style.floats() { 0.5 } else { 1.0 });
    }
    (1..=3).for_each(|nodes| least(&format!("on {nodes} nodes"), 2.0));
    for (what, share) in [
        ("dedicated true", 20.0),
        ("dedicated false", 3.0),
        ("unmet true", 10.0),
        ("unmet false", 10.0),
        ("page size true", 20.0),
        ("page size false", 20.0),
        ("GPUs by address", 5.0),
    ] {
        least(what, share);
    }
}

fn policy_of(policies: &mut Policies, property: Property) -> &mut Policy {
    match property {
        Property::DedicatedCpus => &mut policies.dedicated_cpus,
        Property::WholeCores => &mut policies.whole_cores,
        Property::OwnL3 => &mut policies.own_l3,
        Property::OneNode => &mut policies.one_node,
        Property::GpuLocality => &mut policies.gpu_locality,
        Property::SameSwitch => &mut policies.same_switch,
        Property::LinkedGpus => &mut policies.linked_gpus,
        Property::FabricPartition => &mut policies.fabric_partition,
        other => panic!("{other:?} is not a policy"),
    }
}

const POLICIES: [Property; 8] = [
    Property::DedicatedCpus,
    Property::WholeCores,
    Property::OwnL3,
    Property::OneNode,
    Property::GpuLocality,
    Property::SameSwitch,
    Property::LinkedGpus,
    Property::FabricPartition,
];

fn check_numbers(ranked: &Ranked) -> Result<(), String> {
    let Score { total, performance, packing, preferences, .. } = ranked.score;
    ensure(total == performance + packing + preferences, || format!("{:?}", ranked.score))?;
    ensure(packing <= 0 && preferences <= 0, || format!("{:?}", ranked.score))?;
    for prediction in ranked.predictions() {
        let Range { low, likely, high } = prediction.range;
        ensure(low <= likely && likely <= high, || format!("{prediction:?}"))?;
        let findings = ranked.findings.iter().filter(|f| f.metric == prediction.metric);
        let product = findings.fold(Range::ONE, |product, f| product.times(f.range));
        ensure(product == prediction.range, || format!("{prediction:?} is not {product:?}"))?;
    }
    let predicted = |finding: &pinwise::rules::Finding| {
        ranked.predictions().iter().any(|prediction| prediction.metric == finding.metric)
    };
    ensure(ranked.findings.iter().all(predicted), || format!("{:?}", ranked.findings))
}

#[test]
fn every_answer_is_legal_and_adds_up() {
    for_cases(9, 180, |rng| {
        let mut scene = Scene::new(rng);
        scene.options.packing_weight = rng.pick(&[0, 0, 100, 1000]);
        scene.options.all = rng.percent(40);
        let Ok(answer) = scene.answer() else { return Ok(()) };
        let totals = answer.ranked.iter().map(|ranked| std::cmp::Reverse(ranked.score.total));
        ensure(totals.is_sorted(), || format!("not in order\n{}", scene.text()))?;
        for ranked in &answer.ranked {
            let request = checked(&scene.request);
            let legal =
                verify(Question::new(&scene.host, &scene.usage, &request), &ranked.placement);
            legal.map_err(|violations| format!("{violations:?}\n{}", scene.text()))?;
            check_numbers(ranked).map_err(|text| format!("{text}\n{}", scene.text()))?;
        }
        answer.baseline.iter().try_for_each(check_numbers)
    });
}

#[test]
fn a_card_whose_functions_are_asked_for_one_by_one_stays_on_one_port() {
    let host = common::host("rtx-4080");
    let request = RequestSpec { devices: vec!["01:00.1".parse().unwrap()], ..common::vm(4, 8) };
    let request = RequestSpec { gpus: common::these(&["01:00.0"]), ..request };
    let answer = common::ask(&host, &request).unwrap();
    assert_eq!(answer.best().placement.pci.ports.len(), 1);
}

#[test]
fn the_scenes_use_every_fixture() {
    let hosts = common::hosts();
    let all: BTreeSet<&str> = hosts.iter().map(|host| host.name()).collect();
    assert_eq!(all, BTreeSet::from(HOSTS));
}
