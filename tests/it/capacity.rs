//! The exact count of further VMs, against counts that are made another way.

use std::collections::{BTreeMap, VecDeque};

use pinwise::capacity::{Allowed, FreeOnNode, GpuBond, vms};
use pinwise::capacity::{Capacity, Shape, capacity, reference_shapes};
use pinwise::host::{FabricPartition, Reserve};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::{NodeId, PcpuId};
use pinwise::usage::PageClaim;
use pinwise::{
    Bytes, Claim, Host, HostSpec, NodeSet, PageSize, Policies, Policy, Question, RequestSpec,
    Usage, recommend,
};
use pinwise_testkit::machine::{Machine, cpus, gpu};

use pinwise_testkit::rng::Rng;

const PAGE: PageSize = PageSize::GIB_1;

fn shape(cells: u32, vcpus: u32, gib: u64, gpus: u32) -> Shape {
    Shape { gpus, ..Shape::new(cells, vcpus, Bytes::from_gib(gib), PAGE) }
}

fn node_set(of: &[u32]) -> NodeSet {
    of.iter().copied().map(NodeId).collect()
}

/// All sets of `k` of `n` nodes that lie in an allowed set.
fn choices(n: usize, shape: &Shape) -> Vec<Vec<usize>> {
    let k = shape.cells;
    let all = (0_u32..1 << n).filter(|mask| mask.count_ones() == k);
    let nodes = |mask: u32| (0..n).filter(|at| mask & (1 << at) != 0).collect::<Vec<_>>();
    let allowed = |nodes: &Vec<usize>| match &shape.allowed {
        Allowed::Any => true,
        Allowed::Sets(sets) => {
            let inside = |set: &NodeSet| nodes.iter().all(|n| set.contains(NodeId(*n as u32)));
            sets.iter().any(inside)
        }
    };
    all.map(nodes).filter(allowed).collect()
}

/// Every way of placing one VM after the other: no formula, no bound.
fn brute(left: &[FreeOnNode], shape: &Shape, choices: &[Vec<usize>], known: &mut Known) -> u64 {
    let key: Vec<(u64, u64, u64)> = left.iter().map(|r| (r.cpus, r.pages, r.gpus)).collect();
    if let Some(count) = known.get(&key) {
        return *count;
    }
    let (vcpus, gpus) = (u64::from(shape.vcpus), u64::from(shape.gpus));
    let pages = shape.memory.0 / shape.page_size.bytes();
    let mut most = 0;
    for nodes in choices {
        let fits = |at: &usize| {
            left[*at].cpus >= vcpus && left[*at].pages >= pages && left[*at].gpus >= gpus
        };
        if nodes.iter().all(fits) {
            let mut less = left.to_vec();
            for at in nodes {
                less[*at].cpus -= vcpus;
                less[*at].pages -= pages;
                less[*at].gpus -= gpus;
            }
            most = most.max(1 + brute(&less, shape, choices, known));
        }
    }
    known.insert(key, most);
    most
}

type Known = BTreeMap<Vec<(u64, u64, u64)>, u64>;

fn random_case(rng: &mut Rng) -> (Vec<FreeOnNode>, Shape) {
    let n = rng.between(1, 5);
    let cells = rng.between(1, 3) as u32;
    let gpus = rng.between(0, 2) as u32;
    let mut shape = shape(cells, rng.between(1, 4) as u32, rng.between(1, 3) as u64, gpus);
    let most = if n > 4 { 2 } else { 3 };
    let room = |at: usize, rng: &mut Rng| FreeOnNode {
        node: NodeId(at as u32),
        cpus: rng.between(0, most * shape.vcpus as usize + 1) as u64,
        pages: rng.between(0, most * 3) as u64,
        gpus: rng.between(0, 5) as u64,
    };
    let rooms: Vec<FreeOnNode> = (0..n).map(|at| room(at, rng)).collect();
    if rng.percent(60) {
        let some = |rng: &mut Rng| {
            let all = (0..n as u32).filter(|_| rng.percent(60));
            all.collect::<Vec<_>>()
        };
        let sets = (0..rng.between(1, 5)).map(|_| node_set(&some(rng))).collect();
        shape.allowed = Allowed::Sets(sets);
    }
    (rooms, shape)
}

#[test]
fn the_count_is_that_of_brute_force() {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    let mut in_sets = 0;
    for case in 0..2000 {
        let (rooms, shape) = random_case(&mut Rng::new(21_000_000 + case));
        let choices = choices(rooms.len(), &shape);
        let expected = brute(&rooms, &shape, &choices, &mut Known::new());
        assert_eq!(
            vms(&rooms, &shape),
            Capacity::Exact(expected),
            "case {case}: {rooms:?} {shape:?}"
        );
        *counts.entry(expected).or_default() += 1;
        in_sets += u32::from(shape.allowed != Allowed::Any && expected > 0);
    }
    println!("{counts:?}, {in_sets} in allowed sets");
    assert!((0..4).all(|count| counts[&count] > 50), "the cases are too much alike: {counts:?}");
    assert!(in_sets > 200, "only {in_sets} fit in allowed sets");
}

/// The largest flow, by shortest augmenting paths.
fn flow(mut edges: Vec<Vec<u64>>, from: usize, to: usize) -> u64 {
    let mut total = 0;
    loop {
        let mut before = vec![usize::MAX; edges.len()];
        let mut queue = VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            for next in 0..edges.len() {
                if edges[at][next] > 0 && before[next] == usize::MAX && next != from {
                    before[next] = at;
                    queue.push_back(next);
                }
            }
        }
        if before[to] == usize::MAX {
            return total;
        }
        let path: Vec<usize> =
            std::iter::successors(Some(to), |at| (*at != from).then(|| before[*at])).collect();
        let least = path.windows(2).map(|pair| edges[pair[1]][pair[0]]).min().unwrap();
        for pair in path.windows(2) {
            edges[pair[1]][pair[0]] -= least;
            edges[pair[0]][pair[1]] += least;
        }
        total += least;
    }
}

/// Whether `count` VMs have `k` distinct nodes each: VMs on one side, nodes on the other, at most
/// one cell of a VM on a node.
fn flows(room: &[u64], k: u64, count: usize) -> bool {
    let (from, to) = (0, 1 + count + room.len());
    let mut edges = vec![vec![0; to + 1]; to + 1];
    for vm in 1..=count {
        edges[from][vm] = k;
        for (at, cells) in room.iter().enumerate() {
            edges[vm][1 + count + at] = 1;
            edges[1 + count + at][to] = *cells;
        }
    }
    flow(edges, from, to) == k * count as u64
}

#[test]
fn on_larger_hosts_the_count_is_that_of_the_largest_flow() {
    for case in 0..60 {
        let mut rng = Rng::new(22_000_000 + case);
        let n = rng.between(2, 16);
        let k = rng.between(1, n.min(6));
        let room: Vec<u64> = (0..n).map(|_| rng.between(0, 9) as u64).collect();
        let node = |(at, cells): (usize, &u64)| FreeOnNode {
            node: NodeId(at as u32),
            cpus: 4 * cells + 3,
            pages: 100,
            gpus: 0,
        };
        let rooms: Vec<FreeOnNode> = room.iter().enumerate().map(node).collect();
        let found = vms(&rooms, &shape(k as u32, 4, 1, 0)).exact().unwrap();
        let text = format!("case {case}: {found} of {k} on {room:?}");
        assert!(flows(&room, k as u64, found as usize), "{text}");
        assert!(!flows(&room, k as u64, found as usize + 1), "{text}");
    }
}

#[test]
fn two_of_two_nodes_each_are_not_the_sum() {
    let room = |node: u32, cpus| FreeOnNode { node: NodeId(node), cpus, pages: 100, gpus: 0 };
    // The large node can be in every VM once only.
    let rooms = [room(0, 90), room(1, 4), room(2, 2)];
    assert_eq!(vms(&rooms, &shape(2, 2, 1, 0)), Capacity::Exact(3));
    let pairs = Allowed::Sets(vec![node_set(&[0, 1]), node_set(&[1, 2])]);
    assert_eq!(vms(&rooms, &Shape { allowed: pairs, ..shape(2, 2, 1, 0) }), Capacity::Exact(2));
}

/// A ring of sets is where dividing what there is by two says too much.
#[test]
fn an_odd_ring_of_pairs_leaves_one_node_over() {
    let room = |node: u32| FreeOnNode { node: NodeId(node), cpus: 2, pages: 1, gpus: 0 };
    let rooms: Vec<FreeOnNode> = (0..9).map(room).collect();
    let pairs = (0..9).map(|at| node_set(&[at, (at + 1) % 9])).collect();
    let shape = Shape { allowed: Allowed::Sets(pairs), ..shape(2, 2, 1, 0) };
    assert_eq!(vms(&rooms, &shape), Capacity::Exact(4));
}

/// The bound is said where it is met, and what is said then holds.
#[test]
fn a_search_that_is_too_large_says_so() {
    let mut rng = Rng::new(23_000_000);
    let room = |node: u32| FreeOnNode { node: NodeId(node), cpus: 22, pages: 11, gpus: 0 };
    let rooms: Vec<FreeOnNode> = (0..40).map(room).collect();
    let mut triple = || {
        let mut all: Vec<u32> = (0..40).collect();
        rng.shuffle(&mut all);
        node_set(&all[..7])
    };
    let sets: Vec<NodeSet> = (0..300).map(|_| triple()).collect();
    let shape = Shape { allowed: Allowed::Sets(sets), ..shape(7, 2, 1, 0) };
    let found = vms(&rooms, &shape);
    println!("{found:?}");
    assert!(found.at_least() > 0 && found.at_most() <= 40 * 11 / 7, "{found:?}");
}

/// A small host with anything that makes GPUs differ, and some tenants.
fn random_host(rng: &mut Rng) -> (HostSpec, Vec<(String, Claim)>) {
    let nodes = rng.between(1, 3) as u32;
    let gpus: Vec<u32> = (0..rng.between(0, 5)).map(|_| rng.below(nodes as usize) as u32).collect();
    let count = gpus.len() as u8;
    let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
    let links: Vec<(u8, u8)> = pairs.filter(|_| rng.percent(60)).collect();
    let (cores, threads) = (rng.between(2, 5) as u32, rng.between(1, 2) as u32);
    let pages = rng.between(2, 8) as u64;
    let machine = Machine { nodes, cores, threads, pages, gpus: &gpus, links: &links };
    let mut host = machine.describe();
    if rng.percent(30) {
        for device in &mut host.devices {
            device.iommu_group = Some(rng.below(3) as u32);
        }
    }
    if rng.percent(40) && count > 1 {
        let set = |id: u32, rng: &mut Rng| {
            let gpus = (0..count).filter(|_| rng.percent(50)).map(gpu).collect::<Vec<_>>();
            FabricPartition { id, gpus }
        };
        host.fabric_partitions = (1..5).map(|id| set(id, rng)).collect();
        host.fabric_partitions.retain(|p| !p.gpus.is_empty());
        host.fabric_partitions.dedup_by(|a, b| a.gpus == b.gpus);
    }
    if rng.percent(30) {
        host.reserved = Reserve::Auto;
    }
    let online: Vec<PcpuId> = (0..nodes * cores * threads).map(PcpuId).collect();
    if rng.percent(30) {
        host.allowed = Some(online.iter().copied().filter(|_| rng.percent(80)).collect());
    }
    let tenant = |at: usize, rng: &mut Rng| {
        let some = online.iter().copied().filter(|_| rng.percent(12)).collect();
        let node = Some(NodeId(rng.below(nodes as usize + 1) as u32)).filter(|n| n.0 < nodes);
        let page = PageClaim { node, page_size: PAGE, count: rng.below(3) as u64 };
        let devices = if count > 0 && rng.percent(20) { vec![gpu(0)] } else { Vec::new() };
        let claim = Claim { dedicated: some, pages: vec![page], devices, ..Claim::default() };
        (format!("tenant{at}"), claim)
    };
    let tenants = (0..rng.below(3)).map(|at| tenant(at, rng)).collect();
    (host, tenants)
}

fn random_shape(rng: &mut Rng, host: &Host) -> Shape {
    let cells = rng.pick(&[1, 1, 2]);
    let gpus = rng.pick(&[0, 1, 1, 2]);
    let nodes: Vec<u32> = host.nodes().iter().map(|node| node.id.0).collect();
    let set = |rng: &mut Rng| nodes.iter().copied().filter(|_| rng.percent(70)).collect::<Vec<_>>();
    let sets = (0..2).map(|_| node_set(&set(rng))).collect();
    Shape {
        smt: rng.percent(40),
        whole_cores: rng.percent(60),
        bond: rng.pick(&[GpuBond::Any, GpuBond::Linked, GpuBond::Partition]),
        allowed: if rng.percent(30) { Allowed::Sets(sets) } else { Allowed::Any },
        ..shape(cells, rng.between(1, 3) as u32, rng.between(1, 3) as u64, gpus)
    }
}

/// What is left: by core its pCPUs, by node its pages, pages in all, and GPUs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Remaining {
    cores: Vec<(usize, usize)>,
    pages: Vec<u64>,
    in_all: u64,
    gpus: Vec<usize>,
}

/// Every way to give cells cores of a node, of those with equally many pCPUs any.
fn take_cores(
    left: &Remaining,
    node: usize,
    from: usize,
    units: usize,
    shape: &Shape,
) -> Vec<Remaining> {
    if units == 0 {
        return vec![left.clone()];
    }
    let threads = if shape.smt { 2 } else { 1 };
    let mut all = Vec::new();
    let mut seen = Vec::new();
    for at in from..left.cores.len() {
        let (on, pcpus) = left.cores[at];
        if on != node || pcpus < threads || seen.contains(&pcpus) {
            continue;
        }
        seen.push(pcpus);
        let mut next = left.clone();
        next.cores[at].1 = if shape.whole_cores { 0 } else { pcpus - threads };
        all.extend(take_cores(&next, node, at + 1, units - 1, shape));
    }
    all
}

struct Brute<'a> {
    host: &'a Host,
    shape: &'a Shape,
    choices: Vec<Vec<usize>>,
    known: BTreeMap<Remaining, u64>,
}

impl Brute<'_> {
    fn legal(&self, gpus: &[usize]) -> bool {
        let address = |at: &usize| self.host.gpus()[*at].address;
        let addresses: Vec<_> = gpus.iter().map(address).collect();
        let partitions = self.host.fabric_partitions();
        let is = |p: &FabricPartition| {
            p.gpus.len() == addresses.len() && p.gpus.iter().all(|gpu| addresses.contains(gpu))
        };
        let fabric = gpus.is_empty() || partitions.is_empty() || partitions.iter().any(is);
        let linked = |a, b| a == b || self.host.gpu_link(a, b).is_some();
        match self.shape.bond {
            GpuBond::Any => true,
            GpuBond::Partition => fabric,
            GpuBond::Linked => {
                fabric && addresses.iter().all(|a| addresses.iter().all(|b| linked(*a, *b)))
            }
        }
    }

    /// All that a VM could leave.
    fn ways(&self, left: &Remaining) -> Vec<Remaining> {
        let (host, shape) = (self.host, self.shape);
        let pages = shape.memory.0 / shape.page_size.bytes();
        let threads = if shape.smt { 2 } else { 1 };
        let mut all = Vec::new();
        if shape.vcpus % threads != 0 {
            return all;
        }
        for nodes in &self.choices {
            let enough = nodes.iter().all(|at| left.pages[*at] >= pages);
            if !enough || left.in_all < pages * nodes.len() as u64 {
                continue;
            }
            let mut next = left.clone();
            next.in_all -= pages * nodes.len() as u64;
            nodes.iter().for_each(|at| next.pages[*at] -= pages);
            let mut ways = vec![next];
            for node in nodes {
                let units = (shape.vcpus / threads) as usize;
                let more = |way: &Remaining| take_cores(way, *node, 0, units, shape);
                ways = ways.iter().flat_map(more).collect();
            }
            for mask in 0_u32..1 << left.gpus.len() {
                let bits = (0..left.gpus.len()).filter(|at| mask & (1 << at) != 0);
                let gpus: Vec<usize> = bits.map(|at| left.gpus[at]).collect();
                let on = |node: usize| {
                    let id = host.nodes()[node].id;
                    gpus.iter().filter(|at| host.gpus()[**at].node == Some(id)).count()
                };
                let spread = nodes.iter().all(|node| on(*node) == shape.gpus as usize);
                if !spread || gpus.len() != nodes.len() * shape.gpus as usize || !self.legal(&gpus)
                {
                    continue;
                }
                let group = |at: usize| host.pci().group_of(host.gpus()[at].address);
                let gone = |at: &usize| {
                    gpus.iter().any(|gpu| group(*gpu).contains(&host.gpus()[*at].address))
                };
                for way in &ways {
                    let mut next = way.clone();
                    next.gpus.retain(|at| !gone(at));
                    all.push(next);
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    fn most(&mut self, left: &Remaining) -> u64 {
        if let Some(count) = self.known.get(left) {
            return *count;
        }
        let most = self.ways(left).iter().map(|next| 1 + self.most(next)).max().unwrap_or(0);
        self.known.insert(left.clone(), most);
        most
    }
}

fn left(host: &Host, usage: &Usage, shape: &Shape) -> Remaining {
    let kept = &host.kept().cpus;
    let cores = host.cores().iter().map(|core| {
        let held = |p: &&PcpuId| usage.dedicated().contains(**p);
        let own = |p: &&PcpuId| kept.contains(**p) && host.allowed().contains(**p);
        let closed = core.pcpus.iter().any(|p| held(&p) || own(&p)) && shape.whole_cores;
        let free = |p: &&PcpuId| !held(p) && !kept.contains(**p) && host.allowed().contains(**p);
        let count = if closed { 0 } else { core.pcpus.iter().filter(free).count() };
        (host.node_index(core.node).unwrap(), count)
    });
    let free = |at: &usize| {
        let group = host.pci().group_of(host.gpus()[*at].address);
        group.iter().all(|member| usage.holder_of(*member).is_none())
    };
    Remaining {
        cores: cores.collect(),
        pages: host.nodes().iter().map(|n| usage.free_pages(host, n.id, PAGE)).collect(),
        in_all: usage.free_pages_in_all(host, PAGE),
        gpus: (0..host.gpus().len()).filter(free).collect(),
    }
}

fn random_case_on_a_host(seed: u64) -> (Host, Usage, Shape) {
    let mut rng = Rng::new(seed);
    let (description, tenants) = random_host(&mut rng);
    let host = description.build().unwrap();
    let mut usage = Usage::empty(&host);
    for (name, claim) in tenants {
        // Not all are possible.
        let _ = usage.claim(&host, &name, claim);
    }
    let shape = random_shape(&mut rng, &host);
    (host, usage, shape)
}

/// Cores, pages of nodes and of all, GPUs with links, partitions and IOMMU groups, one VM after the
/// other in every way. Where a pCPU must be left for emulators is the next test's matter.
#[test]
fn on_a_host_the_count_is_that_of_brute_force() {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    let mut bound = 0;
    for case in 0..1500 {
        let (host, usage, shape) = random_case_on_a_host(24_000_000 + case);
        if usage.dedicated().intersects(&host.kept().cpus) || host.kept().cpus.is_empty() {
            continue;
        }
        let choices = choices(host.nodes().len(), &shape);
        let mut brute = Brute { host: &host, shape: &shape, choices, known: BTreeMap::new() };
        let expected = brute.most(&left(&host, &usage, &shape));
        let found = capacity(&host, &usage, &shape);
        assert_eq!(found, Capacity::Exact(expected), "case {case}: {shape:?} {usage:?} {host:?}");
        *counts.entry(expected).or_default() += 1;
        bound += u32::from(shape.bond != GpuBond::Any && shape.gpus > 0 && expected > 0);
    }
    println!("{counts:?}, {bound} with bonds");
    assert!((0..4).all(|count| counts[&count] > 20) && bound > 50, "{counts:?}, {bound}");
}

/// The request of one VM of a shape.
fn request_of(shape: &Shape, name: &str) -> RequestSpec {
    let strictly = |wanted: bool| if wanted { Policy::Require } else { Policy::Ignore };
    let several = shape.gpus * shape.cells > 1;
    RequestSpec {
        page_size: Some(shape.page_size),
        gpus: GpuRequest::Count { count: shape.gpus * shape.cells, model: None },
        cells: Wish::Require(shape.cells),
        smt: Wish::Require(shape.smt),
        policies: Policies {
            whole_cores: strictly(shape.whole_cores),
            one_node: strictly(shape.cells == 1),
            gpu_locality: Policy::Require,
            linked_gpus: strictly(shape.bond == GpuBond::Linked && several),
            fabric_partition: strictly(shape.bond != GpuBond::Any),
            ..Policies::default()
        },
        ..RequestSpec::new(
            name,
            shape.vcpus * shape.cells,
            Bytes(shape.memory.0 * u64::from(shape.cells)),
        )
    }
}

/// One more fits just if the engine finds a place for it, and the engine never places more.
#[test]
fn the_count_is_what_the_engine_could_place() {
    let (mut fitting, mut last) = (0, 0);
    for case in 0..1000 {
        let (host, mut usage, mut shape) = random_case_on_a_host(25_000_000 + case);
        shape.allowed = Allowed::Any;
        let all = capacity(&host, &usage, &shape);
        for number in 0.. {
            let name = format!("vm{number}");
            let request = request_of(&shape, &name).build().unwrap();
            let answer = recommend(Question::new(&host, &usage, &request));
            let before = capacity(&host, &usage, &shape);
            let text = || format!("case {case}.{number}: {before:?} {shape:?} {usage:?} {host:?}");
            assert!(answer.is_ok() || before.at_least() == 0, "refused: {}", text());
            // Several cells may also be uneven, which no shape is.
            if shape.cells > 1 {
                break;
            }
            assert!(answer.is_err() || before.at_most() > 0, "placed: {}", text());
            last += u32::from(answer.is_err());
            let Ok(answer) = answer else { break };
            assert!(number < all.at_most(), "one too many: {}", text());
            fitting += 1;
            let text = text();
            usage.claim(&host, &name, answer.best().placement.claim()).unwrap();
            let after = capacity(&host, &usage, &shape);
            assert!(after.at_most() < before.at_least().max(1), "it costs at least itself: {text}");
        }
    }
    println!("{fitting} placed, {last} refused");
    assert!(fitting > 300 && last > 300, "{fitting} placed, {last} refused");
}

#[test]
fn a_further_tenant_never_makes_room() {
    for case in 0..400 {
        let (host, usage, shape) = random_case_on_a_host(26_000_000 + case);
        let before = capacity(&host, &usage, &shape);
        let mut rng = Rng::new(27_000_000 + case);
        let (_, tenants) = random_host(&mut rng);
        let mut fuller = usage.clone();
        for (name, claim) in tenants {
            let _ = fuller.claim(&host, &format!("further {name}"), claim);
        }
        let after = capacity(&host, &fuller, &shape);
        assert!(
            after.at_most() <= before.at_least(),
            "case {case}: {before:?} {after:?} {shape:?}"
        );
    }
}

/// The last pCPU that no tenant holds is the emulators'.
#[test]
fn where_the_hosts_core_is_taken_one_pcpu_is_left_over() {
    let machine = Machine { nodes: 1, cores: 5, threads: 1, pages: 16, gpus: &[], links: &[] };
    let host = HostSpec { reserved: Reserve::Auto, ..machine.describe() }.build().unwrap();
    let mut usage = Usage::empty(&host);
    assert_eq!(capacity(&host, &usage, &shape(1, 2, 1, 0)), Capacity::Exact(2));
    usage.claim(&host, "on 0", Claim { dedicated: cpus("0"), ..Claim::default() }).unwrap();
    assert_eq!(capacity(&host, &usage, &shape(1, 2, 1, 0)), Capacity::Exact(1));
    assert_eq!(capacity(&host, &usage, &shape(1, 1, 1, 0)), Capacity::Exact(3));
}

/// Linked in pairs, a GPU gone from each: two are free, and no pair.
#[test]
fn two_halves_are_no_pair() {
    let (gpus, links) = ([0, 0, 1, 1], [(0, 1), (2, 3)]);
    let machine = Machine { nodes: 2, cores: 8, threads: 1, pages: 16, gpus: &gpus, links: &links };
    let host = machine.describe().build().unwrap();
    let mut usage = Usage::empty(&host);
    let pair = Shape { bond: GpuBond::Linked, ..shape(1, 2, 1, 2) };
    assert_eq!(capacity(&host, &usage, &pair), Capacity::Exact(2));
    for (name, of) in [("a", 0), ("b", 2)] {
        usage.claim(&host, name, Claim { devices: vec![gpu(of)], ..Claim::default() }).unwrap();
    }
    assert_eq!(capacity(&host, &usage, &pair), Capacity::Exact(0));
    let across = Shape { bond: GpuBond::Any, ..shape(2, 2, 1, 1) };
    assert_eq!(capacity(&host, &usage, &across), Capacity::Exact(1));
    assert_eq!(
        capacity(&host, &usage, &Shape { bond: GpuBond::Linked, ..across }),
        Capacity::Exact(0)
    );
}

/// Every GPU of every fixture has its share on its own node.
#[test]
fn a_full_set_of_reference_shapes_fits_an_empty_host() {
    for host in pinwise_testkit::common::hosts() {
        let usage = Usage::empty(&host);
        let gpus = host.gpus().iter().filter(|gpu| !gpu.integrated).count() as u64;
        let shapes = reference_shapes(&host);
        let sizes: Vec<u64> = shapes.iter().map(|s| u64::from(s.gpus * s.cells)).collect();
        println!("{}: {sizes:?} {:?}", host.name(), shapes.first());
        assert_eq!(sizes.first(), Some(&1), "{}", host.name());
        let whole: Vec<Capacity> = shapes.iter().map(|s| capacity(&host, &usage, s)).collect();
        assert_eq!(whole[0], Capacity::Exact(gpus), "{}", host.name());
        for (size, count) in sizes.iter().zip(&whole) {
            let count = count.exact().unwrap();
            assert!(count > 0 && count * size <= gpus, "{}: {count} of {size}", host.name());
        }
    }
}

/// More sets of GPUs than are looked at, where it does not matter which.
#[test]
fn many_gpus_that_are_all_linked_are_counted_at_once() {
    let gpus = [0; 24];
    let links: Vec<(u8, u8)> = (0..24).flat_map(|a| (a + 1..24).map(move |b| (a, b))).collect();
    let machine =
        Machine { nodes: 1, cores: 32, threads: 1, pages: 64, gpus: &gpus, links: &links };
    let host = machine.describe().build().unwrap();
    let linked = Shape { bond: GpuBond::Linked, ..shape(1, 2, 1, 6) };
    assert_eq!(capacity(&host, &Usage::empty(&host), &linked), Capacity::Exact(4));
    // Each set of six is one partition too many to be found by trying sets.
    let six =
        |id: u32| FabricPartition { id, gpus: (0..6).map(|n| gpu(4 * n + id as u8)).collect() };
    let fabric_partitions = (0..4).map(six).collect();
    let host = HostSpec { fabric_partitions, ..machine.describe() }.build().unwrap();
    assert_eq!(capacity(&host, &Usage::empty(&host), &linked), Capacity::Exact(4));
    let five = Shape { gpus: 5, ..linked };
    assert_eq!(capacity(&host, &Usage::empty(&host), &five), Capacity::Exact(0));
}

/// One link is missing, and there are too many sets to look at all: the bounds hold.
#[test]
fn too_many_sets_of_gpus_are_said() {
    let gpus = [0; 24];
    let links: Vec<(u8, u8)> = (0..24).flat_map(|a| (a + 1..24).map(move |b| (a, b))).collect();
    let machine =
        Machine { nodes: 1, cores: 32, threads: 1, pages: 64, gpus: &gpus, links: &links[1..] };
    let host = machine.describe().build().unwrap();
    let linked = Shape { bond: GpuBond::Linked, ..shape(1, 2, 1, 6) };
    let found = capacity(&host, &Usage::empty(&host), &linked);
    println!("{found:?}");
    assert!((1..=4).contains(&found.at_least()) && found.at_most() == 4, "{found:?}");
}

fn shares_groups(host: &Host) -> bool {
    let mut groups = host.gpus().iter().map(|gpu| host.pci().group_of(gpu.address));
    groups.any(|group| group.len() > 1)
}

/// The host without its GPUs, and its tenants without theirs.
fn without_gpus(host: &Host, usage: &Usage) -> (Host, Usage) {
    let (devices, gpu_links, fabric_partitions) = (Vec::new(), Vec::new(), Vec::new());
    let bare = HostSpec { devices, gpu_links, fabric_partitions, ..host.description().clone() };
    let bare = bare.build().unwrap();
    let mut of_bare = Usage::empty(&bare);
    for (name, claim) in usage.tenants() {
        of_bare.claim(&bare, name, Claim { devices: Vec::new(), ..claim.clone() }).unwrap();
    }
    (bare, of_bare)
}

/// VMs of one shape, one after the other until one is refused, are as many as were counted. VMs of
/// two cells may be fewer where there are GPUs: a VM without keeps off their nodes while it can,
/// and one with GPUs takes those that leave most slots. They may be more: the engine may give them
/// two GPUs of one node. Where GPUs share IOMMU groups, the engine does not look for those whose
/// loss hurts least.
#[test]
fn a_sequence_of_equal_vms_reaches_the_count() {
    let (mut by_cells, mut by_gpus) = (BTreeMap::new(), 0);
    for case in 0..2000 {
        let (mut host, mut usage, mut shape) = random_case_on_a_host(28_000_000 + case);
        shape.allowed = Allowed::Any;
        if shape.cells > 1 && shape.gpus == 0 {
            (host, usage) = without_gpus(&host, &usage);
        }
        let Some(counted) = capacity(&host, &usage, &shape).exact() else { continue };
        let before = usage.clone();
        let mut placed = 0;
        for number in 0.. {
            let name = format!("vm{number}");
            let alike = RequestSpec { even_cells: shape.cells > 1, ..request_of(&shape, &name) };
            let request = alike.build().unwrap();
            let Ok(answer) = recommend(Question::new(&host, &usage, &request)) else { break };
            usage.claim(&host, &name, answer.best().placement.claim()).unwrap();
            placed += 1;
        }
        let text = || format!("case {case}: {placed} of {counted}, {shape:?} {before:?} {host:?}");
        let with_gpus = shape.gpus > 0 && (shape.cells > 1 || shares_groups(&host));
        assert!(placed == counted || (with_gpus && (placed > 0 || counted == 0)), "{}", text());
        by_gpus += u32::from(with_gpus && placed != counted);
        *by_cells.entry((shape.cells, shape.gpus > 0)).or_insert(0) += u32::from(counted > 1);
    }
    println!("{by_cells:?}, {by_gpus} other");
    assert!(
        by_cells.len() == 4 && by_gpus < 40 && by_cells.values().all(|cases| *cases > 2),
        "{by_cells:?}"
    );
}
