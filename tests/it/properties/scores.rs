//! The score, reckoned anew: from the predictions that are shown, the weights, what is unmet and
//! what it costs the host. And what is unmet, from the facts about the candidate.

use std::collections::BTreeMap;

use pinwise::engine::{GpuPath, Profile, Property, score};
use pinwise::request::Wish;
use pinwise::rules::Range;
use pinwise::units::Ratio;
use pinwise::{Options, Policy, Ranked, RequestSpec, Score, Workload};

use super::scene::Scene;
use super::{ensure, for_cases};
use pinwise_testkit::common::checked;

/// Thousandths to millionths of a natural logarithm.
fn micro(ratio: Ratio) -> f64 {
    (f64::from(ratio.0) / 1000.0).ln() * 1e6
}

/// The weighted mean of the points between low and likely, over the metrics that are predicted.
fn performance(ranked: &Ranked, request: &RequestSpec, options: &Options) -> f64 {
    let weights = request.workload.weights();
    let unasked = request.workload == Workload::General && request.cells == Wish::Auto;
    let Profile { gpus, style, .. } = ranked.profile;
    let cells_unasked = unasked && gpus > 0 && style.shows_cells();
    let caution = if cells_unasked { 1.0 } else { f64::from(options.caution) / 1000.0 };
    let (mut sum, mut weight_of_all) = (0.0, 0.0);
    for prediction in ranked.predictions() {
        let Range { low, likely, high: _ } = prediction.range;
        let point = micro(likely) + (micro(low) - micro(likely)) * caution;
        let weight = f64::from(weights.of(prediction.metric));
        sum += weight * point;
        weight_of_all += weight;
    }
    if weight_of_all > 0.0 { sum / weight_of_all } else { 0.0 }
}

fn is_met<T: PartialEq>(wish: &Wish<T>, has: T) -> bool {
    match wish {
        Wish::Auto => true,
        Wish::Prefer(wanted) | Wish::Require(wanted) => *wanted == has,
    }
}

/// What is wanted and missing, as the request says and the profile shows.
fn unmet(request: &RequestSpec, profile: &Profile) -> Vec<Property> {
    let policies = &request.policies;
    let mut unmet = Vec::new();
    let mut want = |property, policy: Policy, met: bool| {
        if policy != Policy::Ignore && !met {
            unmet.push(property);
        }
    };
    want(Property::DedicatedCpus, policies.dedicated_cpus, profile.dedicated);
    let whole = !profile.dedicated || profile.whole_cores;
    want(Property::WholeCores, policies.whole_cores, whole);
    want(Property::OwnL3, policies.own_l3, profile.own_l3);
    want(Property::OneNode, policies.one_node, profile.nodes == 1 && !profile.lent);
    // A GPU of no known node is not known to be near, and to a VM that floats none is.
    let near = profile.nodes > 0 && profile.gpus_remote + profile.gpus_unknown == 0;
    want(Property::GpuLocality, policies.gpu_locality, profile.gpus == 0 || near);
    let alone = profile.gpus < 2;
    want(Property::SameSwitch, policies.same_switch, alone || profile.same_switch);
    let linked = profile.gpu_path == GpuPath::Linked;
    want(Property::LinkedGpus, policies.linked_gpus, alone || linked);
    want(Property::FabricPartition, policies.fabric_partition, profile.partition);
    want(Property::Cells, Policy::Prefer, is_met(&request.cells, profile.cells));
    want(Property::Smt, Policy::Prefer, is_met(&request.smt, profile.threads == 2));
    want(Property::NearDevices, Policy::Prefer, profile.devices_far == 0);
    want(Property::HealthyLinks, Policy::Prefer, profile.gpus_degraded == 0);
    unmet
}

/// Each costs the same, but a device elsewhere a twentieth.
fn cost(lacks: &[Property], options: &Options) -> i64 {
    let far = lacks.iter().filter(|property| **property == Property::NearDevices).count() as i64;
    let whole = i64::from(options.preference_cost);
    (lacks.len() as i64 - far) * whole + far * (whole / 20)
}

fn reckoned(scene: &Scene, ranked: &Ranked) -> Result<(), String> {
    let (request, options) = (&scene.request, &scene.options);
    let score = ranked.score;
    let expected = performance(ranked, request, options);
    // A logarithm is rounded once, a point and a mean are cut once each.
    ensure((score.performance as f64 - expected).abs() < 3.0, || {
        format!("{expected} and {score:?}")
    })?;
    let lacks = unmet(request, &ranked.profile);
    ensure(ranked.unmet == lacks, || format!("{lacks:?} and {:?}", ranked.unmet))?;
    let preferences = -cost(&lacks, options);
    ensure(score.preferences == preferences, || format!("{preferences} and {score:?}"))?;
    // Millionths of what is there, and thousandths that they weigh.
    let cost = ranked.cost.millionths() * i64::from(options.packing_weight) / 1000;
    ensure(score.packing == -cost, || format!("{cost} and {score:?}"))?;
    ensure(score.total == score.performance + score.packing + preferences, || format!("{score:?}"))
}

#[test]
fn every_score_is_what_its_parts_come_to() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for_cases(23, 400, |rng| {
        let mut scene = Scene::new(rng);
        scene.options.all = true;
        scene.options.caution = rng.pick(&[0, 500, 700, 1000]);
        scene.options.packing_weight = rng.pick(&[0, 250, 1000]);
        let Ok(answer) = scene.answer() else { return Ok(()) };
        for ranked in &answer.ranked {
            reckoned(&scene, ranked).map_err(|text| format!("{text}\n{}", scene.text()))?;
            for property in &ranked.unmet {
                *seen.entry(format!("{property:?}")).or_default() += 1;
            }
            *seen.entry("scores".to_owned()).or_default() += 1;
            if ranked.score.packing < 0 {
                *seen.entry("costs".to_owned()).or_default() += 1;
            }
        }
        // What all are measured against.
        let zero = answer.baseline.as_ref().is_none_or(|ranked| ranked.score == Score::default());
        ensure(zero, || format!("{:?}", answer.baseline))?;
        if let Some(Ranked { profile, .. }) = &answer.baseline {
            let lacks = unmet(&scene.request, profile);
            let cost = -cost(&lacks, &scene.options);
            let found = score(&checked(&scene.request), &scene.options, profile, 0);
            ensure(found.preferences == cost, || format!("{found:?}: {lacks:?} of {profile:?}"))?;
        }
        Ok(())
    });
    println!("{seen:#?}");
    for (what, least) in [
        ("scores", 1000),
        ("costs", 500),
        ("DedicatedCpus", 5),
        ("WholeCores", 5),
        ("OneNode", 5),
        ("GpuLocality", 2),
        ("SameSwitch", 5),
        ("LinkedGpus", 5),
        ("FabricPartition", 5),
        ("Cells", 5),
        ("Smt", 5),
        ("NearDevices", 2),
        ("HealthyLinks", 2),
    ] {
        assert!(seen.get(what).is_some_and(|n| *n >= least), "{what}: {seen:?}");
    }
}
