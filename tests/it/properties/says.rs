//! What is said is so: every number of an explanation is in the data, and what a refusal cites is
//! enough to refuse.

use std::collections::BTreeSet;

use pinwise::engine::{Fact, Property};
use pinwise::host::{CoreKind, PagePool};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::NodeId;
use pinwise::{
    Bytes, Claim, CpuSet, PageSize, Policies, Policy, Question, Ranked, RequestSpec, explain, json,
};

use super::scene::Scene;
use super::{ensure, for_cases};
use pinwise_testkit::common::checked;
use pinwise_testkit::rng::Rng;

/// The numbers of a text, as they are written.
fn numbers(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    let words = words.map(|word| word.trim_matches('.')).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Everything that an explanation may count, without what it is told in.
fn data(scene: &Scene, answer: &pinwise::Recommendation) -> BTreeSet<String> {
    let Scene { host, usage, request, .. } = scene;
    let mut text = json::recommendation(Question::new(host, usage, &checked(request)), answer);
    text += &format!("{:?} {:?} {request:?}", answer.ranked, answer.baseline);
    text += &format!("{:?} {} {}", request.workload.weights(), host.name(), host.about());
    text += host.cpu_model();
    host.gpus().iter().for_each(|gpu| text += &format!(" {} ", gpu.model));
    for domain in host.l3_domains() {
        text += &format!(" {} {} ", domain.cpus, domain.size.unwrap_or_default());
    }
    for node in host.nodes().iter().filter(|node| node.cpus.is_empty()) {
        text += &format!(" {} ", node.memory);
    }
    let mut all = numbers(&text);
    let mut add = |number: i128| _ = all.insert(number.to_string());
    let kept = &host.kept().cpus;
    let close = |free: CpuSet, (_, claim): (_, &Claim)| free.difference(&claim.closes(host));
    let free = host.allowed().difference(usage.dedicated()).difference(kept);
    add(usage.tenants().fold(free, close).len() as i128);
    let counts =
        [host.packages().len(), host.nodes().len(), host.cores().len(), host.online().len()];
    let ranks = 0..=(answer.ranked.len() + 1).max(host.gpus().len());
    counts.into_iter().chain(ranks).for_each(|n| add(n as i128));
    let of = |node: NodeId, pool: &PagePool| usage.free_pages(host, node, pool.size);
    let nodes = host.nodes().iter();
    let pools =
        nodes.flat_map(|node| node.pools.iter().map(|pool| (pool.total, of(node.id, pool))));
    pools.for_each(|(total, free)| [total, free].into_iter().for_each(|n| add(n.into())));
    let kinds = CoreKind::ALL.map(|kind| host.cores().iter().filter(|c| c.kind == kind).count());
    kinds.into_iter().chain(0..=host.l3_domains().len()).for_each(|n| add(n as i128));
    let points = |micro: i64| (i128::from(micro) + 500).div_euclid(1000).abs();
    let best = answer.best();
    for ranked in answer.ranked.iter().chain(&answer.baseline) {
        let Ranked { cost, placement, score, .. } = ranked;
        add(points(score.total));
        add(points(best.score.total - score.total));
        add(cost.cores.0.abs_diff(best.cost.cores.0).into());
        add(placement.vcpu_pcpus().len() as i128);
        add((placement.memory().0 / placement.cells[0].page_size.bytes()).into());
    }
    let shown = |ranked: &Ranked| {
        let ranges = ranked.predictions().into_iter().map(|prediction| prediction.range);
        let ratios = ranges.flat_map(|range| [range.low, range.likely, range.high]);
        ratios.map(|ratio| ratio.to_string()).collect::<Vec<_>>()
    };
    let ranked = answer.ranked.iter().chain(&answer.baseline);
    all.extend(ranked.flat_map(shown));
    all
}

#[test]
fn every_number_of_an_explanation_is_in_the_data() {
    let (mut seen, mut told) = (0, BTreeSet::new());
    for_cases(20, 120, |rng| {
        let scene = Scene::new(rng);
        let Ok(answer) = scene.answer() else { return Ok(()) };
        let request = checked(&scene.request);
        let text = explain(
            Question::new(&scene.host, &scene.usage, &request).with(&scene.options),
            &answer,
        );
        // The findings are told as they were published.
        let text = text.split("\nFindings (").next().unwrap();
        let data = data(&scene, &answer);
        let found = numbers(text);
        let missing: Vec<_> = found.difference(&data).collect();
        seen += found.len();
        told.extend(found.iter().cloned());
        ensure(missing.is_empty(), || {
            let odd = |line: &&str| numbers(line).iter().any(|number| missing.contains(&number));
            let lines: Vec<_> = text.lines().filter(odd).collect();
            format!("{missing:?} in\n{}\n{}", lines.join("\n"), scene.text())
        })
    });
    println!("{seen} numbers, {} different", told.len());
    assert!(seen > 2000 && told.len() > 300, "{seen} numbers, {} different", told.len());
}

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Cpus,
    Memory,
    Devices,
}

fn about(fact: &Fact) -> Vec<About> {
    match fact {
        Fact::CoresShort { .. }
        | Fact::PcpusShort { .. }
        | Fact::NoSmt
        | Fact::OddVcpus { .. }
        | Fact::NoEmulatorPcpu { .. } => vec![About::Cpus],
        Fact::PagesShort { .. } | Fact::MemoryKept { .. } | Fact::NoPageSize { .. } => {
            vec![About::Memory]
        }
        Fact::GpusShort { .. }
        | Fact::NoDevice { .. }
        | Fact::NotAGpu { .. }
        | Fact::DeviceHeld { .. }
        | Fact::GpuNodeUnknown { .. }
        | Fact::TooManyDevices { .. } => vec![About::Devices],
        Fact::Lacks { property } => match property {
            Property::DedicatedCpus | Property::WholeCores | Property::Smt => vec![About::Cpus],
            Property::OneNode | Property::Cells => vec![About::Cpus, About::Memory],
            _ => vec![About::Cpus, About::Memory, About::Devices],
        },
        _ => vec![About::Cpus, About::Memory],
    }
}

/// The request without what no fact is about: as few vCPUs, as little memory, no devices.
fn reduced(request: &RequestSpec, cited: &BTreeSet<About>) -> RequestSpec {
    let mut request = request.clone();
    let cells = match request.cells {
        Wish::Auto => 1,
        Wish::Prefer(cells) | Wish::Require(cells) => cells,
    };
    if !cited.contains(&About::Cpus) {
        request = RequestSpec { emulator_pcpus: 0, io_threads: 0, ..request };
        (request.vcpus, request.smt) = (cells, Wish::Auto);
    }
    if !cited.contains(&About::Memory) {
        request.page_size = None;
        request.memory = Bytes(u64::from(cells) * PageSize::GIB_1.bytes());
    }
    if !cited.contains(&About::Devices) {
        // A GPU may be why a node was not looked at, and the facts name the others alone then.
        let near = [request.policies.gpu_locality, request.policies.same_switch];
        if near.iter().all(|policy| *policy != Policy::Require) {
            let Policies { dedicated_cpus, whole_cores, own_l3, one_node, .. } = request.policies;
            let ignored = Policy::Ignore;
            request.policies = Policies {
                dedicated_cpus,
                whole_cores,
                own_l3,
                one_node,
                gpu_locality: ignored,
                same_switch: ignored,
                linked_gpus: ignored,
                fabric_partition: ignored,
            };
            (request.gpus, request.devices) = (GpuRequest::default(), Vec::new());
        }
    }
    request
}

#[test]
fn what_a_refusal_cites_is_enough_to_refuse() {
    let (mut refusals, mut smaller) = (0, 0);
    for_cases(21, 400, |rng: &mut Rng| {
        let scene = Scene::new(rng);
        let Err(refusal) = scene.answer() else { return Ok(()) };
        refusals += 1;
        let facts = refusal.rejected.iter().flat_map(|rejection| &rejection.facts);
        let cited: BTreeSet<About> = facts.flat_map(about).collect();
        let request = reduced(&scene.request, &cited);
        smaller += u32::from(request != scene.request);
        let again = scene.answer_to(&request);
        ensure(again.is_err(), || {
            format!("{refusal:?}\nis about {cited:?}, but {request:?} fits\n{}", scene.text())
        })
    });
    println!("{refusals} refusals, {smaller} of a request with more in it");
    assert!(refusals > 60 && smaller > 40, "{refusals} refusals, {smaller} reduced");
}
