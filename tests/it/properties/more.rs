//! More hardware, or less required, never makes a VM impossible.

use pinwise::host::{CoreKind, CoreSpec, L3Spec, NodeSpec, PagePool};
use pinwise::request::Wish;
use pinwise::units::{Distance, NodeId, PackageId, PcpuId};
use pinwise::{Bytes, CpuSet, HostSpec, PageSize, PciAddr, Policy, RequestSpec};

use pinwise_testkit::rng::Rng;
use super::scene::Scene;
use super::{POLICIES, ensure, for_cases, policy_of};

/// An idle node of eight cores with two pCPUs each, in a package of its own.
fn with_node(rng: &mut Rng, mut host: HostSpec) -> HostSpec {
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
fn with_gpu(rng: &mut Rng, mut host: HostSpec, like: PciAddr) -> HostSpec {
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

/// The request with one requirement less, for each.
fn relaxed(request: &RequestSpec) -> Vec<RequestSpec> {
    let mut all = Vec::new();
    for property in POLICIES {
        let mut other = request.clone();
        let policy = policy_of(&mut other.policies, property);
        if *policy == Policy::Require {
            *policy = Policy::Prefer;
            all.push(other);
        }
    }
    if request.spec().cells.required().is_some() {
        all.push(RequestSpec { cells: Wish::Auto, ..request.clone() });
    }
    if request.spec().smt.required().is_some() {
        all.push(RequestSpec { smt: Wish::Auto, ..request.clone() });
    }
    if request.spec().page_size.is_some() {
        all.push(RequestSpec { page_size: None, ..request.clone() });
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
