//! What must hold between answers: for the same machine told another way, for a little more or less of
//! something, and over a host's whole life. Random scenes on the fixtures' hosts; the seeds are fixed.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers, made here")]

#[path = "../common/mod.rs"]
mod common;
mod extremes;
mod facts;
mod renumber;
#[path = "../common/rng.rs"]
#[allow(unreachable_pub, clippy::wrong_self_convention, reason = "another test crate's")]
mod rng;
mod says;
mod scene;
mod scores;
#[cfg(feature = "libvirt-xml")]
mod xml;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pinwise::{
    Bytes, Change, CoreKind, CoreSpec, CpuSet, Distance, GpuRequest, HostBuilder, L3Spec, NodeId,
    NodeSpec, PackageId, PagePool, PageSize, PciAddr, PcpuId, Policies, Policy, Property, Range,
    Ranked, RequestBuilder, Score, Style, Usage, Weights, Wish, Workload, emit, recommend,
    smallest_changes, verify,
};

use common::checked;
use renumber::{Numbers, shuffled};
use rng::Rng;
use scene::{Answer, HOSTS, Scene, pool_total, request, tenant};

/// Checks so many cases, each with its own numbers, and reports the first that fail.
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
        Ok(answer) => emit::json::recommendation(host, usage, request, answer),
        Err(refused) => emit::json::refusal(refused, &[]),
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
        least(&format!("{style} wins"), 1.0);
    }
    (1..=3).for_each(|nodes| least(&format!("on {nodes} nodes"), 3.0));
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

#[test]
fn the_same_question_has_the_same_answer() {
    for_cases(1, 110, |rng| {
        let scene = Scene::new(rng);
        let (first, again) =
            (bytes(&scene, &scene.answer()), bytes(&scene, &scene.clone().answer()));
        ensure(first == again, || format!("{first}\n{again}\n{}", scene.text()))
    });
}

#[test]
fn the_order_of_the_description_does_not_matter() {
    for_cases(2, 110, |rng| {
        let scene = Scene::new(rng);
        let host = shuffled(rng, scene.description.clone()).build().unwrap();
        let other = Scene { host, ..scene.clone() };
        let (first, again) = (bytes(&scene, &scene.answer()), bytes(&other, &other.answer()));
        ensure(first == again, || format!("{first}\n{again}\n{}", scene.text()))
    });
}

/// Who came first, and which device was named first, is not in the question.
#[test]
fn the_order_of_tenants_and_devices_does_not_matter() {
    let several = std::cell::Cell::new((0, 0));
    for_cases(25, 150, |rng| {
        let mut scene = Scene::new(rng);
        if let GpuRequest::Addresses(gpus) = &mut scene.request.gpus {
            gpus.sort();
        }
        let mut other = scene.clone();
        rng.shuffle(&mut other.tenants);
        other.usage = Usage::empty(&other.host);
        for (name, claim) in &mut other.tenants {
            rng.shuffle(&mut claim.devices);
            rng.shuffle(&mut claim.pages);
            other.usage.claim(&other.host, name, claim.clone()).unwrap();
        }
        let mut named = 0;
        if let GpuRequest::Addresses(gpus) = &mut other.request.gpus {
            rng.shuffle(gpus);
            named = gpus.len();
        }
        let (tenants, gpus) = several.get();
        let more = |is: bool| u32::from(is);
        several.set((tenants + more(other.tenants.len() > 1), gpus + more(named > 1)));
        let (before, after) = (scene.answer(), other.answer());
        // Of several that somebody holds, a refusal names the first that was named.
        if named > 1 && before.is_err() && after.is_err() {
            return Ok(());
        }
        let (first, again) = (bytes(&scene, &before), bytes(&other, &after));
        ensure(first == again, || format!("{first}\n{again}\n{}", scene.text()))
    });
    let (tenants, gpus) = several.get();
    assert!(tenants > 30 && gpus > 5, "{tenants} with several tenants, {gpus} with several GPUs");
}

#[test]
fn numbers_of_pcpus_nodes_and_buses_do_not_matter() {
    for_cases(3, 130, |rng| {
        let mut scene = Scene::new(rng);
        // What is kept for the host by default goes by numbers: the lowest.
        scene.description.reserved = scene.host.housekeeping();
        scene.host = scene.description.clone().build().unwrap();
        let numbers = Numbers::new(rng, &scene.description);
        let description = numbers.host(&scene.description);
        let host = description.clone().build().unwrap();
        let mut usage = Usage::empty(&host);
        for (name, claim) in &scene.tenants {
            usage.claim(&host, name, numbers.claim(claim)).unwrap();
        }
        let request = numbers.request(&scene.request);
        let other = Scene { description, host, usage, request, ..scene.clone() };
        let (first, again) = (scores(&scene.answer()), scores(&other.answer()));
        ensure(first == again, || format!("{first:?}\n{again:?}\n{}{}", scene.text(), other.text()))
    });
}

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
        scene.request.workload = Workload::Custom(weights);
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

/// An idle node of eight cores with two pCPUs each, in a package of its own.
fn with_node(rng: &mut Rng, mut host: HostBuilder) -> HostBuilder {
    let id = NodeId(host.nodes.iter().map(|node| node.id.0 + 1).max().unwrap());
    let last = host.cores.iter().flat_map(|core| core.pcpus.iter()).max().unwrap();
    let package = PackageId(host.cores.iter().map(|core| core.package.0 + 1).max().unwrap());
    let core = |n: u32| {
        let pcpus: CpuSet = (1..=2).map(|thread| PcpuId(last.0 + 2 * n + thread)).collect();
        CoreSpec { package, die: 0, core: n, kind: CoreKind::Performance, max_mhz: None, pcpus }
    };
    let cores: Vec<CoreSpec> = (0..8).map(core).collect();
    let cpus: CpuSet = cores.iter().flat_map(|core| core.pcpus.iter()).collect();
    host.l3_domains.push(L3Spec { cpus: cpus.clone(), size: None });
    if let Some(allowed) = &mut host.allowed {
        *allowed = allowed.union(&cpus);
    }
    host.cores.extend(cores);
    let far = Distance(rng.between(11, 40) as u8);
    for node in host.nodes.iter_mut().filter(|node| !node.distances.is_empty()) {
        node.distances.push(far);
    }
    let mut distances = vec![far; host.nodes.len()];
    distances.push(Distance::LOCAL);
    let pool = |size, count| PagePool { size, total: count, free: count };
    let pools = vec![pool(PageSize::MIB_2, 8192), pool(PageSize::GIB_1, 16)];
    host.nodes.push(NodeSpec { id, cpus, memory: Bytes::from_gib(64), pools, distances });
    host
}

/// One GPU more, like one that is there, on a root bus of its own.
fn with_gpu(rng: &mut Rng, mut host: HostBuilder, like: PciAddr) -> HostBuilder {
    let mut gpu = host.devices.iter().find(|device| device.address == like).unwrap().clone();
    gpu.address = PciAddr { domain: 7, bus: 1, device: 0, function: 0 };
    gpu.parent = None;
    gpu.iommu_group = gpu.iommu_group.map(|_| 9999);
    let nodes: Vec<NodeId> = host.nodes.iter().map(|node| node.id).collect();
    gpu.node = Some(rng.pick(&nodes));
    host.devices.push(gpu);
    host
}

#[test]
fn more_hardware_never_makes_it_infeasible() {
    for_cases(5, 180, |rng| {
        let scene = Scene::new(rng);
        let before = scene.answer();
        let gpu = scene.host.gpus().iter().find(|gpu| !gpu.integrated).map(|gpu| gpu.address);
        let (kind, description) = match gpu.filter(|_| rng.percent(50)) {
            Some(gpu) => ("GPU", with_gpu(rng, scene.description.clone(), gpu)),
            None => ("node", with_node(rng, scene.description.clone())),
        };
        let host = description.clone().build().unwrap();
        let other = Scene { description, host, ..scene.clone() };
        let after = other.answer();
        ensure(before.is_err() || after.is_ok(), || {
            format!("a {kind} more: {:?}\n{}", after.err(), other.text())
        })
    });
}

fn policy_of(policies: &mut Policies, property: Property) -> &mut Policy {
    match property {
        Property::DedicatedCpus => &mut policies.dedicated_cpus,
        Property::WholeCores => &mut policies.whole_cores,
        Property::OneNode => &mut policies.one_node,
        Property::GpuLocality => &mut policies.gpu_locality,
        Property::SameSwitch => &mut policies.same_switch,
        Property::LinkedGpus => &mut policies.linked_gpus,
        Property::FabricPartition => &mut policies.fabric_partition,
        other => panic!("{other:?} is not a policy"),
    }
}

const POLICIES: [Property; 7] = [
    Property::DedicatedCpus,
    Property::WholeCores,
    Property::OneNode,
    Property::GpuLocality,
    Property::SameSwitch,
    Property::LinkedGpus,
    Property::FabricPartition,
];

/// The request with one requirement less, for each.
fn relaxed(request: &RequestBuilder) -> Vec<RequestBuilder> {
    let mut all = Vec::new();
    for property in POLICIES {
        let mut other = request.clone();
        let policy = policy_of(&mut other.policies, property);
        if *policy == Policy::Require {
            *policy = Policy::Prefer;
            all.push(other);
        }
    }
    if request.cells.required().is_some() {
        all.push(RequestBuilder { cells: Wish::Auto, ..request.clone() });
    }
    if request.smt.required().is_some() {
        all.push(RequestBuilder { smt: Wish::Auto, ..request.clone() });
    }
    if request.page_size.is_some() {
        all.push(RequestBuilder { page_size: None, ..request.clone() });
    }
    all
}

#[test]
fn a_requirement_less_never_makes_it_infeasible() {
    for_cases(6, 180, |rng| {
        let scene = Scene::new(rng);
        if scene.answer().is_err() {
            return Ok(());
        }
        for request in relaxed(&scene.request) {
            let after = scene.answer_to(&request);
            ensure(after.is_ok(), || format!("{after:?}\nfor {request:?}\n{}", scene.text()))?;
        }
        Ok(())
    });
}

#[test]
fn release_undoes_a_claim_and_a_refused_claim_does_nothing() {
    let refused = std::cell::Cell::new(0);
    for_cases(7, 300, |rng| {
        let scene = Scene::new(rng);
        let mut usage = scene.usage.clone();
        let before = format!("{:?}", usage.held());
        let mut claim = tenant(rng, &scene.host, &usage);
        if rng.percent(50) {
            // A part that may be too much comes last.
            let other = tenant(rng, &scene.host, &Usage::empty(&scene.host));
            claim.dedicated.extend(&other.dedicated);
            claim.pages.extend(other.pages);
            claim.devices.extend(other.devices);
        }
        let name = if rng.percent(10) { "tenant0" } else { "further" };
        match usage.claim(&scene.host, name, claim.clone()) {
            Ok(()) => {
                ensure(format!("{:?}", usage.held()) != before, || {
                    "no tenant is there".to_owned()
                })?;
                let back = usage.release(name).map_err(|error| error.to_string())?;
                ensure(back == claim, || format!("{back:?}\n{claim:?}"))?;
            }
            Err(_) => refused.set(refused.get() + 1),
        }
        let same = usage == scene.usage && format!("{:?}", usage.held()) == before;
        ensure(same, || format!("{before}\n{usage:?}\n{claim:?}\n{}", scene.text()))
    });
    assert!((40..200).contains(&refused.get()), "{} of 300 claims are refused", refused.get());
}

/// The sums over the tenants that no host can exceed.
fn check_sums(scene: &Scene, usage: &Usage) -> Result<(), String> {
    let (mut pcpus, mut devices) = (CpuSet::new(), BTreeSet::new());
    let mut pages: BTreeMap<(Option<NodeId>, PageSize), u64> = BTreeMap::new();
    for (name, claim) in usage.tenants() {
        let twice = claim.dedicated.intersection(&pcpus);
        ensure(twice.is_empty(), || format!("{name} has pCPUs {twice} that others have"))?;
        pcpus.extend(&claim.dedicated);
        for device in &claim.devices {
            ensure(devices.insert(*device), || format!("{name} has {device} that others have"))?;
        }
        for page in &claim.pages {
            *pages.entry((None, page.size)).or_default() += page.count;
            if page.node.is_some() {
                *pages.entry((page.node, page.size)).or_default() += page.count;
            }
        }
    }
    let host = &scene.host;
    for ((node, size), held) in pages {
        let all = host.nodes().iter().map(|n| pool_total(host, n.id, size)).sum();
        let total = node.map_or(all, |node| pool_total(host, node, size));
        ensure(held <= total, || format!("{held} pages of {size} of {total} on {node:?}"))?;
    }
    Ok(())
}

#[test]
fn a_host_fills_up_and_empties_again() {
    let placed = std::cell::Cell::new(0);
    for_cases(8, 100, |rng| {
        let mut scene = Scene::new(rng);
        let mut usage = Usage::empty(&scene.host);
        scene.request.vcpus = rng.between(1, scene.host.cores().len() / 4) as u32;
        scene.request.cells = Wish::Auto;
        let same = rng.percent(50);
        let (mut names, mut refused): (Vec<String>, u32) = (Vec::new(), 0);
        while names.len() < 30 && refused < 6 {
            let asked = checked(&scene.request);
            let answer = recommend(&scene.host, &usage, &asked, &scene.options);
            let Ok(answer) = answer else {
                // The same VM over and over, once there is one that fits; else six more are tried.
                refused += if same && !names.is_empty() { 6 } else { 1 };
                scene.request = request(rng, &scene.host);
                continue;
            };
            for ranked in &answer.ranked {
                let legal = verify(&scene.host, &usage, &asked, &ranked.placement);
                legal.map_err(|violations| format!("{violations:?}\n{}", scene.text()))?;
            }
            let name = format!("vm{}", names.len());
            let claim = rng.pick(&answer.ranked).placement.claim();
            let claimed = usage.claim(&scene.host, &name, claim);
            claimed.map_err(|error| format!("{error}\n{}", scene.text()))?;
            names.push(name);
            check_sums(&scene, &usage)?;
            if !same {
                scene.request = request(rng, &scene.host);
            }
        }
        placed.set(placed.get() + names.len());
        rng.shuffle(&mut names);
        for name in &names {
            usage.release(name).map_err(|error| error.to_string())?;
        }
        let empty = Usage::empty(&scene.host);
        let same = usage == empty && format!("{:?}", usage.held()) == format!("{:?}", empty.held());
        ensure(same, || format!("{usage:?}\n{empty:?}"))
    });
    assert!(placed.get() > 200, "only {} VMs were placed", placed.get());
}

fn check_numbers(ranked: &Ranked) -> Result<(), String> {
    let Score { total, performance, packing, preferences } = ranked.score;
    ensure(total == performance + packing + preferences, || format!("{:?}", ranked.score))?;
    ensure(packing <= 0 && preferences <= 0, || format!("{:?}", ranked.score))?;
    for prediction in ranked.predictions() {
        let Range { low, likely, high } = prediction.range;
        ensure(low <= likely && likely <= high, || format!("{prediction:?}"))?;
        let findings = ranked.findings.iter().filter(|f| f.metric == prediction.metric);
        let product = findings.fold(Range::ONE, |product, f| product.times(f.range));
        ensure(product == prediction.range, || format!("{prediction:?} is not {product:?}"))?;
    }
    let predicted = |finding: &pinwise::Finding| {
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
            let legal = verify(&scene.host, &scene.usage, &request, &ranked.placement);
            legal.map_err(|violations| format!("{violations:?}\n{}", scene.text()))?;
            check_numbers(ranked).map_err(|text| format!("{text}\n{}", scene.text()))?;
        }
        answer.baseline.iter().try_for_each(check_numbers)
    });
}

/// Hugepages made of the free base pages of a node.
fn more_pages(mut host: HostBuilder, node: NodeId, size: PageSize, more: u64) -> HostBuilder {
    let node = host.nodes.iter_mut().find(|spec| spec.id == node).unwrap();
    let base = node.pools.iter_mut().find(|pool| !pool.size.is_huge()).unwrap();
    let taken = more * (size.bytes() / base.size.bytes());
    (base.total, base.free) = (base.total - taken, base.free - taken);
    match node.pools.iter_mut().find(|pool| pool.size == size) {
        Some(pool) => (pool.total, pool.free) = (pool.total + more, pool.free + more),
        None => node.pools.push(PagePool { size, total: more, free: more }),
    }
    host
}

/// The scene after a change that was proposed.
fn changed(scene: &Scene, change: &Change) -> Result<Scene, String> {
    let mut other = scene.clone();
    let request = &mut other.request;
    match *change {
        Change::FewerVcpus { vcpus } => {
            ensure(vcpus < request.vcpus, || "not fewer".to_owned())?;
            request.vcpus = vcpus;
        }
        Change::LessMemory { memory } => {
            ensure(memory < request.memory, || "not less".to_owned())?;
            request.memory = memory;
        }
        Change::OtherPageSize { size } => {
            ensure(request.page_size.is_some_and(|wanted| wanted != size), || "no other".into())?;
            request.page_size = Some(size);
        }
        Change::FewerGpus { gpus } => {
            let GpuRequest::Count { count, .. } = &mut request.gpus else {
                return Err("the GPUs are not counted".to_owned());
            };
            ensure(gpus < *count, || "not fewer".to_owned())?;
            *count = gpus;
        }
        Change::Relax { property } => {
            let policy = policy_of(&mut request.policies, property);
            ensure(*policy == Policy::Require, || "not required".to_owned())?;
            *policy = Policy::Prefer;
        }
        Change::MorePages { node, size, more, total } => {
            other.description = more_pages(scene.host.description().clone(), node, size, more);
            other.host = other.description.clone().build().map_err(|error| error.to_string())?;
            let now = pool_total(&other.host, node, size);
            ensure(now == total, || format!("{now} pages, not {total}"))?;
        }
        _ => return Err("a change that nobody can make".to_owned()),
    }
    Ok(other)
}

#[test]
fn every_proposed_change_makes_it_fit() {
    let (mut refusals, mut seen) = (0, BTreeMap::<String, u32>::new());
    // The smaller hosts: a proposal asks many times.
    let hosts = [HOSTS[0], HOSTS[1], HOSTS[2], HOSTS[4], HOSTS[4], HOSTS[5]];
    for case in 0.. {
        let mut rng = Rng::new(10_000_000 + case);
        let name = rng.pick(&hosts);
        let scene = Scene::on(&mut rng, name);
        if scene.answer().is_ok() {
            continue;
        }
        let asked = checked(&scene.request);
        let changes = smallest_changes(&scene.host, &scene.usage, &asked, &scene.options);
        for change in &changes {
            let text = format!("{change:?}");
            let answer = changed(&scene, change).map(|scene| scene.answer());
            let fits = answer.as_ref().is_ok_and(Result::is_ok);
            assert!(fits, "case {case}: {text} {:?}\n{}", answer.err(), scene.text());
            let kind: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
            *seen.entry(kind).or_default() += 1;
        }
        if changes.is_empty() {
            *seen.entry("none".to_owned()).or_default() += 1;
        }
        refusals += 1;
        if refusals == 100 {
            break;
        }
    }
    println!("{seen:?}");
    for kind in ["FewerVcpus", "LessMemory", "OtherPageSize", "FewerGpus", "Relax", "MorePages"] {
        assert!(seen.contains_key(kind), "{kind} is never proposed: {seen:?}");
    }
}

#[test]
fn a_card_whose_functions_are_asked_for_one_by_one_stays_on_one_port() {
    let host = common::host("rtx-4080");
    let request = RequestBuilder { devices: vec!["01:00.1".parse().unwrap()], ..common::vm(4, 8) };
    let request = RequestBuilder { gpus: common::these(&["01:00.0"]), ..request };
    let answer = common::ask(&host, &request).unwrap();
    assert_eq!(answer.best().placement.pci.ports.len(), 1);
}

#[test]
fn the_scenes_use_every_fixture() {
    let hosts = common::hosts();
    let all: BTreeSet<&str> = hosts.iter().map(|host| host.name()).collect();
    assert_eq!(all, BTreeSet::from(HOSTS));
}
