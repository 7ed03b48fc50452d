//! Smaller cases that still fail in the same way: what a person wants to read.

use pinwise::host::Reserve;
use pinwise::request::{GpuRequest, Wish};
use pinwise::{HostSpec, Options, Policies, Policy, RequestSpec, Workload};

use pinwise_testkit::case::Case;

/// The smallest case found, by taking away one thing at a time, for which `fails` still holds.
pub(crate) fn smallest(case: Case, fails: impl Fn(&Case) -> bool) -> Case {
    let mut best = case;
    // Bounded, for steps that go in a circle.
    'again: for _ in 0..100 {
        for smaller in steps(&best) {
            if smaller.build().is_some() && fails(&smaller) {
                best = smaller;
                continue 'again;
            }
        }
        break;
    }
    best
}

fn steps(case: &Case) -> Vec<Case> {
    let mut steps = Vec::new();
    for at in 0..case.tenants.len() {
        let mut smaller = case.clone();
        smaller.tenants.remove(at);
        steps.push(smaller);
        for field in 0..7 {
            let mut smaller = case.clone();
            let claim = &mut smaller.tenants[at].1;
            match field {
                0 => claim.dedicated = Default::default(),
                1 => claim.floating = Default::default(),
                2 => claim.pages.clear(),
                3 => claim.devices.clear(),
                4 => claim.whole_cores = false,
                5 => claim.own_l3 = false,
                _ => claim.floating_vcpus = 0,
            }
            steps.push(smaller);
        }
    }
    let host = &case.host;
    let mut hosts = vec![
        HostSpec { reserved: Default::default(), ..host.clone() },
        HostSpec { allowed: None, ..host.clone() },
        HostSpec { l3_domains: Vec::new(), ..host.clone() },
        HostSpec { gpu_links: Vec::new(), ..host.clone() },
        HostSpec { fabric_partitions: Vec::new(), ..host.clone() },
        HostSpec { offline: Default::default(), ..host.clone() },
        HostSpec { cpu_vendor: Default::default(), ..host.clone() },
    ];
    for at in 0..host.devices.len() {
        let mut smaller = host.clone();
        smaller.devices.remove(at);
        hosts.push(smaller);
        let mut smaller = host.clone();
        let device = &mut smaller.devices[at];
        (device.link_now, device.iommu_group, device.name) = (None, None, None);
        hosts.push(smaller);
        let mut smaller = host.clone();
        smaller.devices[at].parent = None;
        hosts.push(smaller);
    }
    for at in 0..host.cores.len() {
        let mut smaller = host.clone();
        let core = smaller.cores.remove(at);
        let without = |set: &mut pinwise::CpuSet| *set = set.difference(&core.pcpus);
        smaller.nodes.iter_mut().for_each(|node| without(&mut node.cpus));
        smaller.l3_domains.iter_mut().for_each(|l3| without(&mut l3.cpus));
        smaller.allowed.iter_mut().for_each(without);
        if let Reserve::These(kept) = &mut smaller.reserved {
            without(kept);
        }
        hosts.push(smaller);
        let mut smaller = host.clone();
        let core = &mut smaller.cores[at];
        (core.kind, core.max_mhz, core.package) = Default::default();
        hosts.push(smaller);
    }
    for node in 0..host.nodes.len() {
        for at in 0..host.nodes[node].pools.len() {
            let mut smaller = host.clone();
            let pool = &mut smaller.nodes[node].pools[at];
            (pool.total, pool.free) = (pool.free, pool.free);
            hosts.push(smaller);
            let mut smaller = host.clone();
            let pool = &mut smaller.nodes[node].pools[at];
            (pool.total, pool.free) = (0, 0);
            hosts.push(smaller);
        }
    }
    hosts.retain(|smaller| smaller != host);
    steps.extend(hosts.into_iter().map(|host| Case { host, ..case.clone() }));
    let request = &case.request;
    let ignore = Policy::Ignore;
    let policies = &request.policies;
    let policies = [
        Policies { dedicated_cpus: ignore, ..*policies },
        Policies { whole_cores: ignore, ..*policies },
        Policies { own_l3: ignore, ..*policies },
        Policies { one_node: ignore, ..*policies },
        Policies { gpu_locality: ignore, ..*policies },
        Policies { same_switch: ignore, ..*policies },
        Policies { linked_gpus: ignore, ..*policies },
        Policies { fabric_partition: ignore, ..*policies },
    ];
    let mut requests: Vec<RequestSpec> =
        policies.map(|policies| RequestSpec { policies, ..request.clone() }).into();
    requests.extend([
        RequestSpec { cells: Wish::Auto, ..request.clone() },
        RequestSpec { smt: Wish::Auto, ..request.clone() },
        RequestSpec { peer_to_peer: None, ..request.clone() },
        RequestSpec { page_size: None, ..request.clone() },
        RequestSpec { emulator_pcpus: 0, ..request.clone() },
        RequestSpec { io_threads: 0, ..request.clone() },
        RequestSpec { shared: None, ..request.clone() },
        RequestSpec { cpus: None, ..request.clone() },
        RequestSpec { nodes: None, ..request.clone() },
        RequestSpec { memory_nodes: None, ..request.clone() },
        RequestSpec { devices: Vec::new(), ..request.clone() },
        RequestSpec { gpus: GpuRequest::default(), ..request.clone() },
        RequestSpec { vcpus: request.vcpus - 1, ..request.clone() },
        RequestSpec { workload: Workload::General, ..request.clone() },
    ]);
    requests.retain(|smaller| smaller != request);
    steps.extend(requests.into_iter().map(|request| Case { request, ..case.clone() }));
    let options = [
        Options { caution: 500, ..case.options.clone() },
        Options { preference_cost: 100_000, ..case.options.clone() },
    ];
    let options = options.into_iter().filter(|smaller| *smaller != case.options);
    steps.extend(options.map(|options| Case { options, ..case.clone() }));
    steps
}
