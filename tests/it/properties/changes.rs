//! Every change that is told makes it fit, and no kind of change that would is left out.

use std::collections::{BTreeMap, BTreeSet};

use pinwise::changes::{Change, smallest_changes};
use pinwise::host::{PagePool, Reserve, ReserveMemory};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::NodeId;
use pinwise::{Bytes, HostSpec, PageSize, PciAddr, Policy, Question, RequestSpec};

use super::scene::{HOSTS, Scene, pool_total};
use super::{POLICIES, ensure, for_cases, policy_of};
use pinwise_testkit::case::Case;
use pinwise_testkit::common::checked;
use pinwise_testkit::rng::Rng;
use pinwise_testkit::tiny;

/// Hugepages made of the free base pages of a node; `None` if there are too few.
fn more_pages(mut host: HostSpec, node: NodeId, size: PageSize, more: u64) -> Option<HostSpec> {
    let built = host.clone().build().unwrap();
    let kept = built.node(node).map_or(0, |node| built.kept_memory(node).0);
    let node = host.nodes.iter_mut().find(|spec| spec.id == node).unwrap();
    let base = node.pools.iter_mut().find(|pool| !pool.size.is_huge())?;
    let taken = more * (size.bytes() / base.size.bytes());
    // Not those that the host keeps.
    base.free.checked_sub(taken.checked_add(kept.div_ceil(base.size.bytes()))?)?;
    base.free -= taken;
    base.total -= taken;
    match node.pools.iter_mut().find(|pool| pool.size == size) {
        Some(pool) => (pool.total, pool.free) = (pool.total + more, pool.free + more),
        None => node.pools.push(PagePool { size, total: more, free: more }),
    }
    Some(host)
}

fn without(request: &mut RequestSpec, address: PciAddr) {
    if let GpuRequest::Addresses(named) = &mut request.gpus {
        named.retain(|other| *other != address);
    }
    request.devices.retain(|other| *other != address);
}

/// Does what a change says.
fn apply(host: &mut HostSpec, request: &mut RequestSpec, change: &Change) -> Result<(), String> {
    let before = request.clone();
    match *change {
        Change::MorePages { node, page_size: size, more, total } => {
            *host = more_pages(host.clone(), node, size, more).ok_or("no base pages")?;
            let built = host.clone().build().map_err(|error| error.to_string())?;
            let now = pool_total(&built, node, size);
            return ensure(now == total, || format!("{now} pages, not {total}"));
        }
        Change::KeepNothing { ref kept } => {
            let built = host.clone().build().map_err(|error| error.to_string())?;
            host.reserved = Reserve::None;
            return ensure(&built.kept().cpus == kept && !kept.is_empty(), || "not kept".into());
        }
        Change::KeepNoMemory => host.reserve_memory = ReserveMemory::OnEach(Bytes::ZERO),
        Change::OtherPageSize { page_size: size } => {
            ensure(request.page_size.is_some(), || "no size is asked for".into())?;
            request.page_size = Some(size);
        }
        Change::AnyCpus => request.cpus = None,
        Change::AnyNodes => request.nodes = None,
        Change::AnyMemoryNodes => request.memory_nodes = None,
        Change::FewerEmulatorPcpus { emulator_pcpus } => {
            ensure(emulator_pcpus < request.emulator_pcpus, || "not fewer".into())?;
            request.emulator_pcpus = emulator_pcpus;
        }
        Change::Relax { property } => {
            let policy = policy_of(&mut request.policies, property);
            ensure(*policy == Policy::Require, || "not required".into())?;
            *policy = Policy::Prefer;
        }
        Change::UnevenCells => request.even_cells = false,
        Change::AnyCells => {
            ensure(request.cells.required().is_some(), || "not required".into())?;
            request.cells = Wish::Auto;
        }
        Change::OtherCells { cells } => {
            ensure(request.cells.required().is_some(), || "not required".into())?;
            request.cells = Wish::Require(cells);
        }
        Change::OtherSmt { shown } => {
            ensure(request.smt.required().is_some(), || "not required".into())?;
            request.smt = Wish::Require(shown);
        }
        Change::AnySmt => {
            ensure(request.smt.required().is_some(), || "not required".into())?;
            request.smt = Wish::Auto;
        }
        Change::MoreVcpus { vcpus } => {
            ensure(vcpus > request.vcpus, || "not more".into())?;
            request.vcpus = vcpus;
        }
        Change::AnyGpus { gpus } => {
            ensure(request.gpus.count() == gpus as usize, || "another number".into())?;
            request.gpus = GpuRequest::Count { count: gpus, model: None };
        }
        Change::AnyModel => {
            let (GpuRequest::Count { model, .. } | GpuRequest::VfOf { model, .. }) =
                &mut request.gpus
            else {
                return Err("the GPUs are named".into());
            };
            *model = None;
        }
        Change::VirtualFunctions { count } => {
            let GpuRequest::Count { count: gpus, model } = &request.gpus else {
                return Err("no whole GPUs by number".into());
            };
            ensure(*gpus == count, || "another number".into())?;
            request.gpus = GpuRequest::VfOf { count, model: model.clone() };
        }
        Change::WholeGpus { count } => {
            let GpuRequest::VfOf { count: functions, model } = &request.gpus else {
                return Err("no virtual functions by number".into());
            };
            ensure(*functions == count, || "another number".into())?;
            request.gpus = GpuRequest::Count { count, model: model.clone() };
        }
        Change::AllowGroup => request.allow_group = true,
        Change::WithoutDevice { address } => without(request, address),
        Change::FewerVcpus { vcpus } => {
            ensure(vcpus < request.vcpus, || "not fewer".into())?;
            request.vcpus = vcpus;
        }
        Change::EvenVcpus { vcpus } => {
            let is_even = vcpus.is_multiple_of(2) && vcpus < request.vcpus;
            ensure(is_even, || "not an even number below".into())?;
            request.vcpus = vcpus;
        }
        Change::LessMemory { memory } => {
            ensure(memory < request.memory, || "not less".into())?;
            request.memory = memory;
        }
        Change::FewerGpus { gpus } => {
            let (GpuRequest::Count { count, .. } | GpuRequest::VfOf { count, .. }) =
                &mut request.gpus
            else {
                return Err("the GPUs are not counted".into());
            };
            ensure(gpus < *count, || "not fewer".into())?;
            *count = gpus;
        }
        _ => return Err("a change that nobody can make".into()),
    }
    ensure(*request != before, || "nothing changes".into())
}

fn kind(change: &Change) -> String {
    let text = format!("{change:?}");
    match change {
        Change::Relax { .. } => text,
        _ => text.chars().take_while(|c| c.is_alphanumeric()).collect(),
    }
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
        let changes =
            smallest_changes(Question::new(&scene.host, &scene.usage, &asked).with(&scene.options));
        for change in &changes {
            let mut other = scene.clone();
            let done = apply(&mut other.description, &mut other.request, change);
            let fits = done.and_then(|()| {
                other.host = other.description.clone().build().map_err(|e| e.to_string())?;
                other.answer().map_err(|_| "refused".to_owned())
            });
            assert!(fits.is_ok(), "case {case}: {change} {:?}\n{}", fits.err(), scene.text());
            let text = format!("{change:?}");
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

/// A case that requires more than most.
fn demanding(rng: &mut Rng) -> Case {
    loop {
        let mut case = tiny::drawn(rng);
        let request = &mut case.request;
        if rng.percent(25) {
            request.vcpus = rng.between(1, 12) as u32;
        }
        if rng.percent(30) {
            request.cells = Wish::Require(rng.between(1, 4) as u32);
            request.even_cells |= rng.percent(60);
        }
        if rng.percent(30) {
            request.smt = Wish::Require(rng.percent(60));
        }
        if rng.percent(20) {
            request.emulator_pcpus = rng.between(1, 4) as u32;
        }
        if rng.percent(20) {
            request.page_size = Some(rng.pick(&[PageSize::MIB_2, PageSize::GIB_1]));
        }
        for property in POLICIES {
            if rng.percent(15) {
                *policy_of(&mut request.policies, property) = Policy::Require;
            }
        }
        let all = case.host.devices.iter().map(|device| device.address).collect::<Vec<_>>();
        match &mut request.gpus {
            GpuRequest::Count { model, .. } if rng.percent(15) => *model = Some("b".to_owned()),
            GpuRequest::Addresses(named) if !all.is_empty() && rng.percent(20) => {
                named.push(rng.pick(&all))
            }
            _ => {}
        }
        if case.build().is_some_and(|built| built.recommend(&case.options).is_err()) {
            return case;
        }
    }
}

/// Amounts of memory below the requested: all in pages of each size where these are few, otherwise
/// some.
fn memories(rng: &mut Rng, case: &Case) -> BTreeSet<Bytes> {
    let pools = case.host.nodes.iter().flat_map(|node| &node.pools);
    let sizes: BTreeSet<PageSize> = pools.map(|pool| pool.size).collect();
    let mut all = BTreeSet::new();
    for size in sizes {
        let below = case.request.memory.0.div_ceil(size.bytes());
        match below {
            0..=40 => all.extend((1..below).map(|pages| size.times(pages))),
            _ => all.extend((0..20).map(|_| size.times(rng.between(1, below as usize - 1) as u64))),
        }
    }
    all
}

/// The changes of one kind.
type Kind = (String, Vec<(HostSpec, RequestSpec)>);

/// Every single change that a request could be told, as far as they can be counted out.
fn all_single(rng: &mut Rng, case: &Case) -> Vec<Kind> {
    let Case { host, request, .. } = case;
    let requests = |name: &str, changed: Vec<RequestSpec>| -> Kind {
        let other = changed.into_iter().filter(|other| other != request);
        (name.to_owned(), other.map(|other| (host.clone(), other)).collect())
    };
    let with = |change: &dyn Fn(&mut RequestSpec)| {
        let mut other = request.clone();
        change(&mut other);
        other
    };
    let number = |n: u32, set: &dyn Fn(&mut RequestSpec, u32)| -> Vec<RequestSpec> {
        (0..n).map(|n| with(&|other| set(other, n))).collect()
    };
    let cells = request.cells.required().is_some();
    let smt = request.smt.required().is_some();
    let sizes = [PageSize::KIB_4, PageSize::MIB_2, PageSize::GIB_1];
    let addresses = match &request.gpus {
        GpuRequest::Addresses(named) => named.clone(),
        GpuRequest::Count { .. } | GpuRequest::VfOf { .. } => Vec::new(),
    };
    let count = request.gpus.count() as u32;
    let any = GpuRequest::Count { count, model: None };
    let named = addresses.iter().chain(&request.devices);
    let memories = memories(rng, case);
    let mut kinds = vec![
        requests("FewerVcpus", number(request.vcpus, &|other, n| other.vcpus = n)),
        requests("MoreVcpus", vec![with(&|other| other.vcpus += 1)]),
        requests(
            "FewerEmulatorPcpus",
            number(request.emulator_pcpus, &|other, n| other.emulator_pcpus = n),
        ),
        requests("UnevenCells", vec![with(&|other| other.even_cells = false)]),
        requests("AnyCpus", vec![with(&|other| other.cpus = None)]),
        requests("AnyNodes", vec![with(&|other| other.nodes = None)]),
        requests("AnyMemoryNodes", vec![with(&|other| other.memory_nodes = None)]),
        requests("AllowGroup", vec![with(&|other| other.allow_group = true)]),
        requests("WithoutDevice", named.map(|a| with(&|other| without(other, *a))).collect()),
        requests("LessMemory", memories.iter().map(|m| with(&|o| o.memory = *m)).collect()),
    ];
    if cells {
        kinds.push(requests("AnyCells", vec![with(&|other| other.cells = Wish::Auto)]));
        kinds.push(requests("OtherCells", number(9, &|o, n| o.cells = Wish::Require(n))));
    }
    if smt {
        let wishes = [true, false].map(|shown| with(&|other| other.smt = Wish::Require(shown)));
        kinds.push(requests("OtherSmt", wishes.to_vec()));
        kinds.push(requests("AnySmt", vec![with(&|other| other.smt = Wish::Auto)]));
    }
    if request.page_size.is_some() {
        let of_host = |size: &PageSize| {
            host.nodes.iter().flat_map(|node| &node.pools).any(|pool| pool.size == *size)
        };
        let sizes = sizes.iter().filter(|size| of_host(size));
        let other = sizes.map(|size| with(&|other| other.page_size = Some(*size)));
        kinds.push(requests("OtherPageSize", other.collect()));
    }
    for property in POLICIES {
        let relaxed = with(&|other| {
            let policy = policy_of(&mut other.policies, property);
            if *policy == Policy::Require {
                *policy = Policy::Prefer;
            }
        });
        kinds.push(requests(&kind(&Change::Relax { property }), vec![relaxed]));
    }
    match &request.gpus {
        GpuRequest::Addresses(_) if count > 0 => {
            kinds.push(requests("AnyGpus", vec![with(&|other| other.gpus = any.clone())]));
        }
        GpuRequest::Count { model, .. } => {
            let few = |n| GpuRequest::Count { count: n, model: model.clone() };
            kinds.push(requests("FewerGpus", number(count, &|other, n| other.gpus = few(n))));
            kinds.push(requests("AnyModel", vec![with(&|other| other.gpus = any.clone())]));
            let shares = GpuRequest::VfOf { count, model: model.clone() };
            let shares = with(&|other| other.gpus = shares.clone());
            kinds.push(requests("VirtualFunctions", vec![shares]));
        }
        GpuRequest::VfOf { model, .. } => {
            let few = |n| GpuRequest::VfOf { count: n, model: model.clone() };
            kinds.push(requests("FewerGpus", number(count, &|other, n| other.gpus = few(n))));
            let whole = GpuRequest::Count { count, model: model.clone() };
            kinds.push(requests("WholeGpus", vec![with(&|other| other.gpus = whole.clone())]));
            let any = GpuRequest::VfOf { count, model: None };
            kinds.push(requests("AnyModel", vec![with(&|other| other.gpus = any.clone())]));
        }
        GpuRequest::Addresses(_) => {}
    }
    let roomy = HostSpec { reserved: Reserve::None, ..host.clone() };
    if !host.clone().build().unwrap().kept().cpus.is_empty() {
        kinds.push(("KeepNothing".to_owned(), vec![(roomy, request.clone())]));
    }
    let reserve_memory = ReserveMemory::OnEach(Bytes::ZERO);
    let built = host.clone().build().unwrap();
    if built.nodes().iter().any(|node| built.kept_memory(node) > Bytes::ZERO) {
        let roomy = HostSpec { reserve_memory, ..host.clone() };
        kinds.push(("KeepNoMemory".to_owned(), vec![(roomy, request.clone())]));
    }
    let mut pages = Vec::new();
    for size in sizes.into_iter().filter(|size| size.is_huge()) {
        let of_host = host.nodes.iter().flat_map(|node| &node.pools).any(|pool| pool.size == size);
        let wanted = request.page_size.map_or(of_host, |wanted| wanted == size);
        let needed = size.pages_in(request.memory).filter(|needed| wanted && *needed <= 20);
        for more in 1..=needed.unwrap_or(0) {
            let nodes = host.nodes.iter().map(|node| node.id);
            let hosts = nodes.filter_map(|node| more_pages(host.clone(), node, size, more));
            pages.extend(hosts.map(|host| (host, request.clone())));
        }
    }
    kinds.push(("MorePages".to_owned(), pages));
    kinds
}

fn fits(case: &Case, host: HostSpec, request: RequestSpec) -> bool {
    let other = Case { host, request, ..case.clone() };
    other.build().is_some_and(|built| built.recommend(&other.options).is_ok())
}

#[test]
fn every_kind_of_change_that_would_fit_is_told_once() {
    let mut seen = BTreeMap::<String, u32>::new();
    for_cases(21, 600, |rng| {
        let case = demanding(rng);
        let built = case.build().unwrap();
        let question = Question::new(&built.host, &built.usage, &built.request);
        let told = smallest_changes(question.with(&case.options));
        for change in &told {
            let (mut host, mut request) = (case.host.clone(), case.request.clone());
            let done = apply(&mut host, &mut request, change);
            done.map_err(|error| format!("{change}: {error}\n{}", case.text()))?;
            ensure(fits(&case, host, request), || format!("{change}\n{}", case.text()))?;
            *seen.entry(kind(change)).or_default() += 1;
        }
        let sentences: BTreeSet<String> = told.iter().map(ToString::to_string).collect();
        ensure(sentences.len() == told.len(), || format!("twice: {sentences:?}"))?;
        let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
        told.iter().for_each(|change| *kinds.entry(kind(change)).or_default() += 1);
        let twice = |(kind, n): (&String, &u32)| *n > if kind == "OtherCells" { 2 } else { 1 };
        ensure(!kinds.iter().any(twice), || format!("twice: {kinds:?}"))?;
        for (kind, changed) in all_single(rng, &case) {
            let found = changed
                .into_iter()
                .rfind(|(host, request)| fits(&case, host.clone(), request.clone()));
            let Some((host, request)) = found else { continue };
            let other = Case { host, request, ..case.clone() };
            // No wish is told only where the other wish does not fit.
            let other_smt = kind == "AnySmt" && kinds.contains_key("OtherSmt");
            ensure(kinds.contains_key(&kind) || other_smt, || {
                format!("{kind} is not told\n{}{}", case.text(), other.text())
            })?;
            // Of few numbers the largest is told.
            let vcpus = Change::FewerVcpus { vcpus: other.request.vcpus };
            let largest = kind != "FewerVcpus" || case.request.vcpus > 9 || told.contains(&vcpus);
            ensure(largest, || format!("{vcpus} is not told\n{}", case.text()))?;
        }
        Ok(())
    });
    println!("{seen:?}");
    let told: BTreeSet<&str> = seen.keys().map(|kind| kind.split(' ').next().unwrap()).collect();
    assert!(told.len() >= 18, "some kinds are never told: {seen:?}");
}
