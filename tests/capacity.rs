//! The exact count of further VMs, against counts that are made another way.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers, made here")]

#[path = "oracle/rng.rs"]
#[allow(unreachable_pub, clippy::wrong_self_convention, reason = "another test crate's")]
mod rng;

use std::collections::{BTreeMap, VecDeque};

use pinwise::capacity::{Allowed, GpuBond, NodeRoom, vms};
use pinwise::{
    Bytes, Capacity, Claim, CoreKind, CoreSpec, CpuSet, FabricPartition, GpuLink, GpuLinkKind,
    GpuRequest, Host, HostBuilder, NodeId, NodeSet, NodeSpec, Options, PackageId, PageClaim,
    PagePool, PageSize, PciAddr, PciClass, PciDevice, PciId, PcpuId, Policies, Policy,
    RequestBuilder, Shape, Usage, Wish, capacity, recommend, reference_shapes,
};

use rng::Rng;

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
fn brute(left: &[NodeRoom], shape: &Shape, choices: &[Vec<usize>], known: &mut Known) -> u64 {
    let key: Vec<(u64, u64, u64)> = left.iter().map(|r| (r.cpus, r.pages, r.gpus)).collect();
    if let Some(count) = known.get(&key) {
        return *count;
    }
    let (vcpus, gpus) = (u64::from(shape.vcpus), u64::from(shape.gpus));
    let pages = shape.memory.0 / shape.page.bytes();
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

fn random_case(rng: &mut Rng) -> (Vec<NodeRoom>, Shape) {
    let n = rng.between(1, 5);
    let cells = rng.between(1, 3) as u32;
    let gpus = rng.between(0, 2) as u32;
    let mut shape = shape(cells, rng.between(1, 4) as u32, rng.between(1, 3) as u64, gpus);
    let most = if n > 4 { 2 } else { 3 };
    let room = |at: usize, rng: &mut Rng| NodeRoom {
        node: NodeId(at as u32),
        cpus: rng.between(0, most * shape.vcpus as usize + 1) as u64,
        pages: rng.between(0, most * 3) as u64,
        gpus: rng.between(0, 5) as u64,
    };
    let rooms: Vec<NodeRoom> = (0..n).map(|at| room(at, rng)).collect();
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

/// Whether `count` VMs have `k` distinct nodes each: VMs on one side, nodes on the other, at most one
/// cell of a VM on a node.
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
        let node = |(at, cells): (usize, &u64)| NodeRoom {
            node: NodeId(at as u32),
            cpus: 4 * cells + 3,
            pages: 100,
            gpus: 0,
        };
        let rooms: Vec<NodeRoom> = room.iter().enumerate().map(node).collect();
        let found = vms(&rooms, &shape(k as u32, 4, 1, 0)).exact().unwrap();
        let text = format!("case {case}: {found} of {k} on {room:?}");
        assert!(flows(&room, k as u64, found as usize), "{text}");
        assert!(!flows(&room, k as u64, found as usize + 1), "{text}");
    }
}

#[test]
fn two_of_two_nodes_each_are_not_the_sum() {
    let room = |node: u32, cpus| NodeRoom { node: NodeId(node), cpus, pages: 100, gpus: 0 };
    // The large node can be in every VM once only.
    let rooms = [room(0, 90), room(1, 4), room(2, 2)];
    assert_eq!(vms(&rooms, &shape(2, 2, 1, 0)), Capacity::Exact(3));
    let pairs = Allowed::Sets(vec![node_set(&[0, 1]), node_set(&[1, 2])]);
    assert_eq!(vms(&rooms, &Shape { allowed: pairs, ..shape(2, 2, 1, 0) }), Capacity::Exact(2));
}

/// A ring of sets is where dividing what there is by two says too much.
#[test]
fn an_odd_ring_of_pairs_leaves_one_node_over() {
    let room = |node: u32| NodeRoom { node: NodeId(node), cpus: 2, pages: 1, gpus: 0 };
    let rooms: Vec<NodeRoom> = (0..9).map(room).collect();
    let pairs = (0..9).map(|at| node_set(&[at, (at + 1) % 9])).collect();
    let shape = Shape { allowed: Allowed::Sets(pairs), ..shape(2, 2, 1, 0) };
    assert_eq!(vms(&rooms, &shape), Capacity::Exact(4));
}

/// The bound is said where it is met, and what is said then holds.
#[test]
fn a_search_that_is_too_large_says_so() {
    let mut rng = Rng::new(23_000_000);
    let room = |node: u32| NodeRoom { node: NodeId(node), cpus: 22, pages: 11, gpus: 0 };
    let rooms: Vec<NodeRoom> = (0..40).map(room).collect();
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
