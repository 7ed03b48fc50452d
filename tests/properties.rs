//! What must hold between answers, on hosts beyond the oracle's size: the same question again, in
//! another order, under other numbers, with more or less on the host.
#![allow(clippy::cast_possible_truncation, reason = "hosts have far fewer than 2^32 of anything")]

mod common;
#[path = "oracle/rng.rs"]
mod rng;

use std::collections::BTreeMap;

use pinwise::emit::json;
use pinwise::{
    Bytes, Claim, CoreKind, CoreSpec, CpuSet, GpuRequest, Host, HostBuilder, Infeasible, NodeId,
    NodeSpec, Options, PackageId, PageClaim, PagePool, PageSize, PciAddr, PcpuId, Policies, Policy,
    Recommendation, Request, RequestBuilder, Usage, Wish, Workload, recommend, verify,
};

use rng::Rng;

/// So many cases of every property.
const CASES: u64 = 160;

const HOSTS: [&str; 8] = [
    "hgx-h200",
    "hgx-h200-snc2",
    "mi350x",
    "rtx-pro-6000",
    "rtx-4090-nps4",
    "rtx-4080",
    "rtx-5090-degraded",
    "i9-14900k",
];

/// A fixture's host, perhaps with tenants, and a request for it.
struct Scene {
    host: HostBuilder,
    tenants: Vec<(String, Claim)>,
    request: RequestBuilder,
}

impl Scene {
    fn new(seed: u64) -> (Self, Rng) {
        let mut rng = Rng::new(seed);
        let host = common::description(HOSTS[seed as usize % HOSTS.len()]);
        let built = host.clone().build().unwrap();
        let mut usage = Usage::empty(&built);
        let mut tenants = Vec::new();
        for number in 0..rng.below(4) {
            let name = format!("t{number}");
            let claim = tenant(&mut rng, &built, &usage);
            if usage.claim(&built, &name, claim.clone()).is_ok() {
                tenants.push((name, claim));
            }
        }
        let request = request(&mut rng, &built);
        (Self { host, tenants, request }, rng)
    }

    fn host(&self) -> Host {
        self.host.clone().build().unwrap()
    }

    fn usage(&self, host: &Host) -> Usage {
        let mut usage = Usage::empty(host);
        for (name, claim) in &self.tenants {
            usage.claim(host, name, claim.clone()).unwrap();
        }
        usage
    }

    /// The answer, every placement of which is legal.
    fn ask(&self, options: &Options) -> Result<Recommendation, Infeasible> {
        let host = self.host();
        checked(&host, &self.usage(&host), &self.request, options)
    }
}

fn checked(
    host: &Host,
    usage: &Usage,
    request: &RequestBuilder,
    options: &Options,
) -> Result<Recommendation, Infeasible> {
    common::ask_with(host, usage, request, options)
}

/// A tenant as a user of the engine would have it: a piece of a node, whole cores, or single pCPUs.
fn tenant(rng: &mut Rng, host: &Host, usage: &Usage) -> Claim {
    let node = rng.pick(host.nodes());
    let mut claim = Claim::default();
    let share = rng.from_to(5, 60);
    let whole = rng.percent(80);
    for core in host.cores().iter().filter(|core| core.node == node.id) {
        if rng.percent(share) {
            let take = if whole { core.pcpus.len() } else { 1 };
            claim.dedicated.extend(&core.pcpus[..take].iter().copied().collect());
        }
    }
    claim.dedicated = claim.dedicated.difference(usage.dedicated());
    for pool in &node.pools {
        let free = usage.free_pages(host, node.id, pool.size) as usize;
        let count = rng.below(free * share / 100 + 1) as u64;
        let node = (!rng.percent(10)).then_some(node.id);
        claim.pages.push(PageClaim { node, size: pool.size, count });
    }
    for gpu in host.gpus().iter().filter(|gpu| gpu.node == Some(node.id)) {
        let card = host.pci().devices().iter().filter(|d| d.address.same_slot(gpu.address));
        let card: Vec<PciAddr> = card.flat_map(|d| host.pci().group_of(d.address)).collect();
        let free = card.iter().all(|a| usage.holder_of(*a).is_none() && !claim.devices.contains(a));
        if free && rng.percent(share / 2) {
            claim.devices.extend(card);
        }
    }
    claim.devices.sort_unstable();
    claim.devices.dedup();
    claim
}

fn request(rng: &mut Rng, host: &Host) -> RequestBuilder {
    let cores = host.cores().len();
    let vcpus = rng.pick(&[1, 2, 4, cores / 8, cores / 4, cores / 2, cores]).max(1) as u32;
    let gib: u64 = host.nodes().iter().map(|node| node.memory.0 >> 30).sum();
    let memory = Bytes::from_gib((gib * rng.from_to(1, 60) as u64 / 100).max(1));
    let count = rng.pick(&[0, 1, 1, 2, 2, 4, 8]).min(host.gpus().len()) as u32;
    let mut policy =
        || rng.pick(&[Policy::Ignore, Policy::Ignore, Policy::Prefer, Policy::Require]);
    let policies = Policies {
        one_node: policy(),
        gpu_locality: policy(),
        linked_gpus: policy(),
        fabric_partition: policy(),
        dedicated_cpus: policy(),
        whole_cores: policy(),
        ..Policies::default()
    };
    let cells = rng.from_to(1, 2) as u32;
    RequestBuilder {
        gpus: GpuRequest::Count { count, model: None },
        workload: rng.pick(&Workload::PRESETS),
        policies: if rng.percent(40) { Policies::default() } else { policies },
        cells: if rng.percent(10) { Wish::Require(cells.min(vcpus)) } else { Wish::Auto },
        smt: rng.pick(&[Wish::Auto, Wish::Auto, Wish::Prefer(true), Wish::Require(false)]),
        peer_to_peer: rng.pick(&[None, Some(true), Some(false)]),
        emulator_pcpus: rng.pick(&[0, 0, 0, 1, 2]),
        io_threads: rng.pick(&[0, 0, 1]),
        ..RequestBuilder::new("vm", vcpus, memory)
    }
}

/// Without the packing cost, whose place among equals is another property.
fn unpacked() -> Options {
    Options { packing_weight: 0, ..Options::default() }
}

fn best_total(answer: &Result<Recommendation, Infeasible>) -> Option<i64> {
    answer.as_ref().ok().map(|answer| answer.best().score.total)
}

fn totals(answer: &Result<Recommendation, Infeasible>) -> Vec<(String, i64)> {
    let rows = answer.iter().flat_map(|answer| &answer.ranked);
    let mut totals: Vec<_> =
        rows.map(|row| (row.placement.style.to_string(), row.score.total)).collect();
    totals.sort_unstable();
    totals
}

#[test]
fn the_same_question_has_the_same_bytes() {
    for seed in 0..CASES {
        let (scene, _) = Scene::new(seed);
        let (first, second) = (scene.ask(&Options::default()), scene.ask(&Options::default()));
        assert_eq!(format!("{first:?}"), format!("{second:?}"), "seed {seed}");
        if let (Ok(first), Ok(second)) = (&first, &second) {
            assert_eq!(json::recommendation(first), json::recommendation(second), "seed {seed}");
        }
    }
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    for seed in 0..CASES {
        let (scene, mut rng) = Scene::new(seed);
        let mut host = scene.host.clone();
        rng.shuffle(&mut host.cores);
        rng.shuffle(&mut host.l3_domains);
        rng.shuffle(&mut host.devices);
        rng.shuffle(&mut host.gpu_links);
        rng.shuffle(&mut host.fabric_partitions);
        host.nodes.iter_mut().for_each(|node| rng.shuffle(&mut node.pools));
        host.fabric_partitions.iter_mut().for_each(|p| rng.shuffle(&mut p.gpus));
        rng.shuffle(&mut host.nodes);
        let mut tenants = scene.tenants.clone();
        rng.shuffle(&mut tenants);
        let shuffled = Scene { host, tenants, request: scene.request.clone() };
        let (first, second) = (scene.ask(&Options::default()), shuffled.ask(&Options::default()));
        assert_eq!(first, second, "seed {seed}");
    }
}

/// New numbers for pCPUs, nodes and PCI buses.
struct Numbers {
    pcpus: BTreeMap<PcpuId, PcpuId>,
    nodes: BTreeMap<NodeId, NodeId>,
    buses: Vec<u8>,
}

impl Numbers {
    fn new(rng: &mut Rng, host: &HostBuilder) -> Self {
        let online: Vec<PcpuId> = host.cores.iter().flat_map(|core| core.pcpus.iter()).collect();
        let mut pcpus = online.clone();
        rng.shuffle(&mut pcpus);
        let ids: Vec<NodeId> = host.nodes.iter().map(|node| node.id).collect();
        let mut nodes = ids.clone();
        rng.shuffle(&mut nodes);
        // Bus 0 tells integrated devices.
        let mut buses: Vec<u8> = (1..=255).collect();
        rng.shuffle(&mut buses);
        buses.insert(0, 0);
        Self {
            pcpus: online.into_iter().zip(pcpus).collect(),
            nodes: ids.into_iter().zip(nodes).collect(),
            buses,
        }
    }

    fn cpus(&self, set: &mut CpuSet) {
        *set = set.iter().map(|pcpu| self.pcpus[&pcpu]).collect();
    }

    fn address(&self, address: &mut PciAddr) {
        address.bus = self.buses[usize::from(address.bus)];
    }

    fn host(&self, host: &mut HostBuilder) {
        for core in &mut host.cores {
            self.cpus(&mut core.pcpus);
        }
        for l3 in &mut host.l3_domains {
            self.cpus(&mut l3.cpus);
        }
        host.allowed.iter_mut().for_each(|set| self.cpus(set));
        self.cpus(&mut host.isolated);
        self.cpus(&mut host.reserved);
        // Distances are in the order of the ids.
        let old: Vec<NodeId> = host.nodes.iter().map(|node| node.id).collect();
        let mut order: Vec<usize> = (0..old.len()).collect();
        order.sort_by_key(|at| self.nodes[&old[*at]]);
        for node in &mut host.nodes {
            node.distances = order.iter().map(|at| node.distances[*at]).collect();
            node.id = self.nodes[&node.id];
            self.cpus(&mut node.cpus);
        }
        for device in &mut host.devices {
            self.address(&mut device.address);
            device.parent.iter_mut().for_each(|parent| self.address(parent));
            device.physical_function.iter_mut().for_each(|function| self.address(function));
            device.node = device.node.map(|node| self.nodes[&node]);
        }
        for link in &mut host.gpu_links {
            self.address(&mut link.a);
            self.address(&mut link.b);
        }
        for partition in &mut host.fabric_partitions {
            partition.gpus.iter_mut().for_each(|gpu| self.address(gpu));
        }
    }

    fn claim(&self, claim: &mut Claim) {
        self.cpus(&mut claim.dedicated);
        self.cpus(&mut claim.floating);
        for page in &mut claim.pages {
            page.node = page.node.map(|node| self.nodes[&node]);
        }
        claim.devices.iter_mut().for_each(|device| self.address(device));
    }
}

#[test]
fn other_numbers_keep_the_scores() {
    for seed in 0..CASES {
        let (mut scene, mut rng) = Scene::new(seed);
        // Where nothing is reserved, the core of the lowest number is left out: that is a number's work.
        let built = scene.host();
        scene.host.reserved = built.housekeeping();
        scene.host = scene.host().description().clone();
        let numbers = Numbers::new(&mut rng, &scene.host);
        let mut host = scene.host.clone();
        numbers.host(&mut host);
        let mut tenants = scene.tenants.clone();
        tenants.iter_mut().for_each(|(_, claim)| numbers.claim(claim));
        let renumbered = Scene { host, tenants, request: scene.request.clone() };
        for options in [unpacked(), Options::default()] {
            let (first, second) = (scene.ask(&options), renumbered.ask(&options));
            assert_eq!(totals(&first), totals(&second), "seed {seed} {}", scene.host.name);
        }
    }
}

#[test]
fn a_further_tenant_never_improves_the_best_score() {
    for seed in 0..CASES {
        let (mut scene, mut rng) = Scene::new(seed);
        let before = best_total(&scene.ask(&unpacked()));
        let host = scene.host();
        let mut usage = scene.usage(&host);
        let claim = tenant(&mut rng, &host, &usage);
        if usage.claim(&host, "further", claim.clone()).is_err() {
            continue;
        }
        scene.tenants.push(("further".into(), claim));
        let after = best_total(&scene.ask(&unpacked()));
        assert!(after <= before, "seed {seed}: {before:?} then {after:?}");
    }
}

#[test]
fn an_idle_node_or_gpu_more_never_refuses() {
    for seed in 0..CASES {
        let (scene, mut rng) = Scene::new(seed);
        if scene.ask(&Options::default()).is_err() {
            continue;
        }
        let mut host = scene.host().description().clone();
        if rng.percent(50) {
            let first = PcpuId(2000);
            let cpus: CpuSet = (0..8).map(|n| PcpuId(first.0 + n)).collect();
            let id = NodeId(40);
            let pool = PagePool { size: PageSize::GIB_1, total: 64, free: 64 };
            for node in &mut host.nodes {
                node.distances.push(pinwise::Distance(30));
            }
            let mut distances = vec![pinwise::Distance(30); host.nodes.len()];
            distances.push(pinwise::Distance::LOCAL);
            let memory = Bytes::from_gib(128);
            host.nodes.push(NodeSpec {
                id,
                cpus: cpus.clone(),
                memory,
                pools: vec![pool],
                distances,
            });
            for (pcpu, core) in cpus.iter().zip(0..) {
                let pcpus = [pcpu].into_iter().collect();
                let (package, kind) = (PackageId(9), CoreKind::Performance);
                host.cores.push(CoreSpec { package, die: 0, core, kind, max_mhz: None, pcpus });
            }
            host.allowed.iter_mut().for_each(|set| set.extend(&cpus));
        } else if let Some(gpu) = scene.host().gpus().last() {
            let mut more = scene.host().pci().get(gpu.address).unwrap().clone();
            more.address = PciAddr { domain: 7, bus: 1, device: 0, function: 0 };
            (more.parent, more.iommu_group) = (None, Some(9999));
            host.devices.push(more);
        }
        let wider = Scene { host, tenants: scene.tenants.clone(), request: scene.request.clone() };
        assert!(wider.ask(&Options::default()).is_ok(), "seed {seed}");
    }
}

#[test]
fn a_constraint_less_never_refuses() {
    for seed in 0..CASES {
        let (scene, _) = Scene::new(seed);
        if scene.ask(&Options::default()).is_err() {
            continue;
        }
        let request = &scene.request;
        let with = |policies| RequestBuilder { policies, ..request.clone() };
        let looser = Policy::Ignore;
        let policies = request.policies;
        for request in [
            with(Policies { one_node: looser, ..policies }),
            with(Policies { gpu_locality: looser, ..policies }),
            with(Policies { linked_gpus: looser, ..policies }),
            with(Policies { fabric_partition: looser, ..policies }),
            with(Policies { dedicated_cpus: looser, ..policies }),
            with(Policies { whole_cores: looser, ..policies }),
            RequestBuilder { cells: Wish::Auto, ..request.clone() },
            RequestBuilder { smt: Wish::Auto, ..request.clone() },
            RequestBuilder { emulator_pcpus: 0, ..request.clone() },
            RequestBuilder { io_threads: 0, ..request.clone() },
        ] {
            let host = scene.host();
            let answer = checked(&host, &scene.usage(&host), &request, &Options::default());
            assert!(answer.is_ok(), "seed {seed}: {request:?}");
        }
    }
}

#[test]
fn what_is_claimed_is_nobody_elses_and_comes_back() {
    for seed in 0..CASES {
        let (scene, _) = Scene::new(seed);
        let Ok(answer) = scene.ask(&Options::default()) else { continue };
        let host = scene.host();
        let before = scene.usage(&host);
        let claim = answer.best().placement.claim();
        let mut usage = before.clone();
        usage.claim(&host, "vm", claim.clone()).unwrap();
        let second = RequestBuilder { name: "second".into(), ..scene.request.clone() };
        if let Ok(next) = checked(&host, &usage, &second, &Options::default()) {
            for row in &next.ranked {
                let other = row.placement.claim();
                assert!(!other.dedicated.intersects(&claim.dedicated), "seed {seed}");
                assert!(!other.devices.iter().any(|d| claim.devices.contains(d)), "seed {seed}");
            }
        }
        assert_eq!(usage.release("vm"), Ok(claim), "seed {seed}");
        assert_eq!(usage, before, "seed {seed}");
    }
}

#[test]
fn a_host_fills_until_it_refuses() {
    for seed in 0..CASES {
        let (scene, _) = Scene::new(seed);
        let host = scene.host();
        let mut usage = scene.usage(&host);
        let mut request = scene.request.clone();
        // Not a hundred VMs of one vCPU.
        request.vcpus = request.vcpus.max(host.cores().len() as u32 / 8);
        for number in 0.. {
            assert!(number < 64, "seed {seed}: the host is bottomless");
            request.name = format!("vm{number}");
            let request: Request = request.clone().build().unwrap();
            let Ok(answer) = recommend(&host, &usage, &request, &Options::default()) else { break };
            let placement = &answer.best().placement;
            verify(&host, &usage, &request, placement).unwrap();
            usage.claim(&host, &request.name, placement.claim()).unwrap();
        }
    }
}

/// A generator that is always refused proves nothing.
#[test]
fn the_scenes_spread() {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..CASES {
        let (scene, _) = Scene::new(seed);
        let mut count = |what| *counts.entry(what).or_default() += 1;
        match scene.ask(&Options::default()) {
            Ok(answer) if answer.best().profile.nodes > 1 => count("several nodes"),
            Ok(_) => count("one node"),
            Err(_) => count("refused"),
        }
        count(if scene.tenants.is_empty() { "empty" } else { "shared" });
        count(if scene.request.gpus.count() > 0 { "GPUs" } else { "no GPUs" });
    }
    println!("{counts:?}");
    for what in ["several nodes", "one node", "refused", "empty", "shared", "GPUs", "no GPUs"] {
        let share = counts.get(what).copied().unwrap_or(0) * 100 / CASES;
        assert!((5..95).contains(&share), "{what}: {share}%");
    }
}
