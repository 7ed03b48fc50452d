//! Scenes: a fixture's host, made a little worse, with tenants, and a request for it.

use pinwise::host::{DeviceKind, NodeSpec, Reserve};
use pinwise::json::write_host;
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::{Distance, NodeId};
use pinwise::usage::PageClaim;
use pinwise::{
    Bytes, Claim, CpuSet, Host, HostSpec, Infeasible, NodeSet, Options, PageSize, PciAddr,
    Policies, Policy, Question, Recommendation, RequestSpec, Usage, Workload, recommend,
};

use pinwise_testkit::common::{checked, description};
use pinwise_testkit::rng::Rng;

pub(crate) const HOSTS: [&str; 8] = [
    "hgx-h200",
    "hgx-h200-snc2",
    "i9-14900k",
    "mi350x",
    "rtx-4080",
    "rtx-4090-nps4",
    "rtx-5090-degraded",
    "rtx-pro-6000",
];
pub(crate) const SIZES: [PageSize; 3] = [PageSize::KIB_4, PageSize::MIB_2, PageSize::GIB_1];

pub(crate) type Answer = Result<Recommendation, Infeasible>;

#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) description: HostSpec,
    pub(crate) host: Host,
    pub(crate) tenants: Vec<(String, Claim)>,
    pub(crate) usage: Usage,
    pub(crate) request: RequestSpec,
    pub(crate) options: Options,
}

impl Scene {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let name = rng.pick(&HOSTS);
        Self::on(rng, name)
    }

    pub(crate) fn on(rng: &mut Rng, name: &str) -> Self {
        let description = worsened(rng, description(name));
        let host = description.clone().build().unwrap();
        let (mut tenants, mut usage) = (Vec::new(), Usage::empty(&host));
        let several = if rng.percent(40) { 0 } else { rng.between(1, 4) };
        for at in 0..several {
            let claim = tenant(rng, &host, &usage);
            let name = format!("tenant{at}");
            if usage.claim(&host, &name, claim.clone()).is_ok() {
                tenants.push((name, claim));
            }
        }
        let mut request = request(rng, &host);
        let options = options(rng);
        hold(rng, &host, &mut request);
        Self { description, host, tenants, usage, request, options }
    }

    pub(crate) fn answer(&self) -> Answer {
        self.answer_to(&self.request)
    }

    pub(crate) fn answer_to(&self, request: &RequestSpec) -> Answer {
        recommend(Question::new(&self.host, &self.usage, &checked(request)).with(&self.options))
    }

    /// What the caller's formats say of it, for a report.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("host: {}\n", write_host(&self.description));
        for (name, claim) in &self.tenants {
            text += &format!("tenant {name}: {}\n", serde_json::to_string(claim).unwrap());
        }
        text += &format!("request: {}\n", serde_json::to_string(&self.request).unwrap());
        let Options {
            caution,
            packing_weight,
            preference_cost,
            all,
            gpu_share,
            gpu_mix,
            slot_weights,
            evidence: _,
        } = &self.options;
        text += &format!(
            "options: caution {caution}, packing {packing_weight}, preference {preference_cost}, \
             all {all}, share {gpu_share:?}, mix {gpu_mix:?}, slots {slot_weights:?}\n"
        );
        text
    }
}

/// The description with pages in use, pCPUs reserved or not allowed, and devices of no known node.
pub(crate) fn worsened(rng: &mut Rng, mut host: HostSpec) -> HostSpec {
    if rng.percent(25) {
        for pool in host.nodes.iter_mut().flat_map(|node| &mut node.pools) {
            pool.free = pool.total * rng.between(30, 100) as u64 / 100;
        }
    }
    if rng.percent(30) {
        let kept = rng.between(1, 4);
        let kept = host.cores.iter().take(kept).flat_map(|core| core.pcpus.iter());
        host.reserved = Reserve::These(kept.collect());
    }
    if rng.percent(20) {
        let share = rng.between(50, 95);
        let all: CpuSet = host.nodes.iter().flat_map(|node| node.cpus.iter()).collect();
        host.allowed = Some(all.iter().filter(|_| rng.percent(share)).collect());
    }
    if rng.percent(10) {
        let some = rng.below(host.devices.len());
        host.devices[some].node = None;
    }
    if rng.percent(6) && host.nodes.len() > 1 {
        let at = rng.below(host.nodes.len());
        let node = &mut host.nodes[at];
        (node.memory, node.pools) = (Bytes::ZERO, Vec::new());
    }
    if rng.percent(6) {
        add_memory(&mut host);
    }
    host
}

/// Adds a node with memory like the first one's, and without CPUs.
fn add_memory(host: &mut HostSpec) {
    let id = host.nodes.iter().map(|node| node.id.0 + 1).max().unwrap_or(0);
    let mut node = NodeSpec { id: NodeId(id), cpus: CpuSet::new(), ..host.nodes[0].clone() };
    for other in host.nodes.iter_mut().filter(|node| !node.distances.is_empty()) {
        other.distances.push(Distance(24));
    }
    node.distances = host.nodes[0].distances.iter().map(|_| Distance(24)).collect();
    if let Some(own) = node.distances.last_mut() {
        *own = Distance::LOCAL;
    }
    host.nodes.push(node);
}

pub(crate) fn options(rng: &mut Rng) -> Options {
    Options {
        caution: rng.pick(&[500, 500, 0, 1000]),
        preference_cost: rng.pick(&[100_000, 100_000, 0, 400_000]),
        all: rng.percent(15),
        ..Options::default()
    }
}

/// What a tenant of one kind or another would hold. It need not be possible.
pub(crate) fn tenant(rng: &mut Rng, host: &Host, usage: &Usage) -> Claim {
    let online: Vec<_> = host.online().iter().collect();
    let some = |rng: &mut Rng, share: usize| {
        online.iter().copied().filter(|_| rng.percent(share)).collect::<CpuSet>()
    };
    let anywhere = |rng: &mut Rng| {
        let size = rng.pick(&SIZES);
        let most = usize::try_from(usage.free_pages_in_all(host, size)).unwrap();
        PageClaim { node: None, page_size: size, count: rng.below(most / 4 + 1) as u64 }
    };
    match rng.below(8) {
        // Floats.
        0 | 1 => {
            let floating = if rng.percent(50) { host.allowed().clone() } else { some(rng, 30) };
            Claim { floating, pages: vec![anywhere(rng)], ..Claim::default() }
        }
        // Holds pCPUs here and there.
        2 => {
            let share = rng.between(2, 25);
            let dedicated = some(rng, share).difference(usage.dedicated());
            let node = host.nodes()[rng.below(host.nodes().len())].id;
            let size = rng.pick(&SIZES);
            let most = usize::try_from(usage.free_pages(host, node, size)).unwrap();
            let count = rng.below(most + 1) as u64;
            let pages = vec![PageClaim { node: Some(node), page_size: size, count }];
            let [whole_cores, own_l3] = [3, 7].map(|n| dedicated.len().is_multiple_of(n));
            Claim { dedicated, pages, whole_cores, own_l3, ..Claim::default() }
        }
        // Holds a GPU or another device.
        3 => {
            let free = |address: &PciAddr| usage.holder_of(*address).is_none();
            let all: Vec<PciAddr> = endpoints(host).into_iter().filter(free).collect();
            let devices = if all.is_empty() { Vec::new() } else { vec![rng.pick(&all)] };
            Claim { devices, ..Claim::default() }
        }
        // A VM where it was recommended to be.
        _ => {
            let mut request = request(rng, host);
            request.vcpus = request.vcpus.min(host.cores().len() as u32 / 3).max(1);
            request.cells = Wish::Auto;
            let answer = recommend(Question::new(host, usage, &checked(&request)));
            answer.map(|answer| rng.pick(&answer.ranked).placement.claim()).unwrap_or_default()
        }
    }
}

/// All functions but bridges.
pub(crate) fn endpoints(host: &Host) -> Vec<PciAddr> {
    let devices = host.pci().devices().iter();
    devices.filter(|d| d.kind() != DeviceKind::Bridge).map(|d| d.address).collect()
}

fn policy(rng: &mut Rng, require: usize, prefer: usize) -> Policy {
    match rng.below(100) {
        n if n < require => Policy::Require,
        n if n < require + prefer => Policy::Prefer,
        _ => Policy::Ignore,
    }
}

fn wish<T>(rng: &mut Rng, auto: usize, value: T) -> Wish<T> {
    match rng.below(100) {
        n if n < auto => Wish::Auto,
        n if n % 2 == 0 => Wish::Prefer(value),
        _ => Wish::Require(value),
    }
}

pub(crate) fn request(rng: &mut Rng, host: &Host) -> RequestSpec {
    let cores = host.cores().len();
    let nodes = host.nodes().len();
    let a_node = (cores / nodes).max(2);
    let vcpus = match rng.below(10) {
        0 | 1 => rng.between(1, 8),
        2..6 => rng.between(2, a_node / 2) * 2,
        6..9 => (a_node + rng.below(a_node)).min(cores),
        _ if rng.percent(50) => cores - rng.below(a_node),
        _ => cores + rng.below(cores),
    };
    let pools = host.nodes().iter().flat_map(|node| &node.pools);
    let sizes: Vec<PageSize> = pools.map(|pool| pool.size).collect();
    let largest = sizes.iter().copied().max().unwrap();
    let unit = match rng.below(10) {
        0..7 => largest,
        7 | 8 => rng.pick(&sizes),
        _ => rng.pick(&SIZES),
    };
    let page_size = Some(unit).filter(|_| rng.percent(30));
    let in_all: u64 = host.nodes().iter().map(|node| pool_total(host, node.id, unit)).sum();
    let share = match rng.below(20) {
        0..11 => 1 + rng.below(50 / nodes),
        11..19 => 1 + rng.below(40),
        _ => rng.between(40, 105),
    };
    let pages = (in_all * share as u64 / 100).max(2);
    let memory = unit.times(pages - rng.below(2) as u64);
    let cells = rng.between(1, 4).min(vcpus) as u32;
    let shown = rng.percent(50);
    let mut devices: Vec<PciAddr> = Vec::new();
    if rng.percent(15) {
        let is_gpu = |address: &PciAddr| host.gpu(*address).is_some();
        let others: Vec<_> = endpoints(host).into_iter().filter(|a| !is_gpu(a)).collect();
        devices.push(rng.pick(&others));
    }
    let peer_to_peer = rng.pick(&[None, None, Some(false), Some(true)]);
    let mut request = RequestSpec {
        page_size,
        gpus: gpus(rng, host),
        devices,
        workload: rng.pick(&Workload::PRESETS),
        cells: wish(rng, 75, cells),
        smt: wish(rng, 70, shown),
        peer_to_peer,
        emulator_pcpus: if rng.percent(15) { rng.between(1, 4) as u32 } else { 0 },
        io_threads: if rng.percent(15) { rng.between(1, 3) as u32 } else { 0 },
        policies: Policies {
            dedicated_cpus: policy(rng, 65, 20),
            whole_cores: policy(rng, 60, 20),
            own_l3: Policy::Ignore,
            one_node: policy(rng, 10, 15),
            gpu_locality: policy(rng, 15, 60),
            same_switch: policy(rng, 8, 12),
            linked_gpus: policy(rng, 8, 12),
            fabric_partition: policy(rng, 25, 50),
        },
        ..RequestSpec::new("vm1", vcpus as u32, memory)
    };
    // Rarely, and without a draw.
    request.policies.own_l3 = match (request.vcpus + request.io_threads) % 25 {
        0 if request.policies.dedicated_cpus == Policy::Require => Policy::Require,
        1 => Policy::Prefer,
        _ => Policy::Ignore,
    };
    request
}

/// Sometimes holds the VM to some pCPUs, to some nodes, or its memory to some.
pub(crate) fn hold(rng: &mut Rng, host: &Host, request: &mut RequestSpec) {
    if rng.percent(10) {
        let share = rng.between(30, 95);
        // Whole cores, or any pCPUs.
        let cores = rng.percent(50);
        let mut cpus = CpuSet::new();
        for core in host.cores() {
            let all = rng.percent(share);
            let mut is_in = || if cores { all } else { rng.percent(share) };
            cpus.extend(&core.pcpus.iter().copied().filter(|_| is_in()).collect());
        }
        request.cpus = Some(cpus).filter(|cpus| !cpus.is_empty());
    }
    if rng.percent(10) {
        let mut nodes: Vec<NodeId> = host.nodes().iter().map(|node| node.id).collect();
        rng.shuffle(&mut nodes);
        nodes.truncate(rng.between(nodes.len().div_ceil(2), nodes.len()));
        request.nodes = Some(nodes.into_iter().collect());
    }
    if rng.percent(8) {
        let nodes = host.nodes().iter().map(|node| node.id).filter(|_| rng.percent(50));
        request.memory_nodes = Some(nodes.collect()).filter(|nodes: &NodeSet| !nodes.is_empty());
    }
}

fn gpus(rng: &mut Rng, host: &Host) -> GpuRequest {
    let all: Vec<PciAddr> =
        host.gpus().iter().filter(|gpu| !gpu.integrated).map(|gpu| gpu.address).collect();
    let count = match rng.below(20) {
        0..6 => 0,
        6..19 => rng.between(1, all.len().max(1)),
        _ => all.len() + 1,
    };
    if rng.percent(15) && count <= all.len() {
        let mut some = all;
        rng.shuffle(&mut some);
        some.truncate(count);
        return GpuRequest::Addresses(some);
    }
    let model = host.gpus().first().map(|gpu| gpu.model.clone()).filter(|_| rng.percent(15));
    GpuRequest::Count { count: count as u32, model }
}

/// The memory of a node in pages of a size, for a check of sums.
pub(crate) fn pool_total(host: &Host, node: NodeId, size: PageSize) -> u64 {
    host.node(node).and_then(|node| node.pool(size)).map_or(0, |pool| pool.total)
}

/// The largest memory that a request may name.
pub(crate) const EXBIBYTES_16: Bytes = Bytes(u64::MAX - 4095);
