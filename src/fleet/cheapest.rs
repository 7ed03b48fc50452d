//! A bound of the price of a VM on a host, over the GPU sets that it could have.

use std::ops::Deref;

use super::counted::slots;
use super::counts::{FreeCounts, most_nodes};
use super::member::FleetHost;
use crate::engine::Options;
use crate::engine::cost::Slots;
use crate::host::Host;
use crate::host::mask::{GpuMask, NodeMask, PackageMask};
use crate::request::{GpuRequest, Policy, Request};

/// The largest number of GPU sets that are tried. If there are more, the price is taken as 0.
const MAX_SETS: usize = 512;

/// A lower bound of the triple of packages, whether the GPUs are scattered over switches, and
/// price.
pub(super) type Cheapest = (u32, bool, i64);

/// The bound over all sets of free GPUs that the VM could have. Its other resources only add to the
/// price.
pub(super) fn cheapest<H: Deref<Target = Host>>(
    FleetHost { host, usage, counts }: &FleetHost<H>,
    request: &Request,
    options: &Options,
) -> Cheapest {
    let derived = host.derived();
    let bytes = counts.bytes(host, usage, request);
    let slots = slots(host, counts, usage, request, options, &bytes);
    let nodes = most_nodes(host, request);
    let local = request.spec().policies.gpu_locality == Policy::Require;
    let of_set = |gpus: GpuMask| -> Option<Cheapest> {
        let several = gpus.len() > 1;
        let first = gpus.first().map(|first| &derived.gpus[first]);
        let scattered = several && first.is_some_and(|first| !gpus.is_subset(first.on_switch));
        let mask: NodeMask = gpus.iter().filter_map(|gpu| derived.gpus[gpu].node).collect();
        if local && mask.len() as usize > nodes {
            return None;
        }
        let packages = mask.iter().map(|at| derived.nodes[at].packages);
        let packages = if local { PackageMask::union(packages).len().max(1) } else { 1 };
        let price = if nodes == 1 {
            // The whole VM is on one node: the node of its GPUs, if these must be local.
            let on_one =
                (0..host.nodes().len()).filter(|at| !local || mask.is_subset(NodeMask::one(*at)));
            on_one.filter_map(|at| on_node(counts, &slots, request, at, gpus, bytes[at])).min()?
        } else {
            slots.host_cost(&[], &[], gpus, |_| 0).price()
        };
        Some((packages, scattered, price))
    };
    let least = (1, false, 0);
    match &request.spec().gpus {
        GpuRequest::Addresses(addresses) => of_set(host.gpu_mask(addresses)).unwrap_or(least),
        GpuRequest::Count { model: Some(_), .. } | GpuRequest::VfOf { .. } => least,
        GpuRequest::Count { count, model: None } => {
            let mut best = None;
            let mut tries = MAX_SETS;
            let classes = classes(host, counts.gpus);
            let all = each_set(&classes, *count, GpuMask::EMPTY, &mut |gpus| {
                best = of_set(gpus).into_iter().chain(best).min();
                tries -= 1;
                tries > 0
            });
            // If no set is possible, a search finds the reasons.
            if all { best.unwrap_or(least) } else { least }
        }
    }
}

/// The price of the VM on the node at position `at` with these GPUs; `None` if the counts leave no
/// room there.
fn on_node(
    counts: &FreeCounts,
    slots: &Slots<'_>,
    request: &Request,
    at: usize,
    gpus: GpuMask,
    bytes: u64,
) -> Option<i64> {
    let dedicated = request.spec().must_dedicate();
    let siblings =
        request.spec().smt.required() != Some(false) && request.spec().vcpus.is_multiple_of(2);
    let fewest = u64::from(if siblings { request.spec().vcpus / 2 } else { request.spec().vcpus });
    let short = bytes < request.spec().memory.0
        || dedicated && u64::from(counts.nodes[at].pcpus) < u64::from(request.spec().vcpus);
    let cores: &[u64] = if dedicated { &[fewest] } else { &[] };
    let price = || slots.host_cost(&[at], cores, gpus, |_| request.spec().memory.0).price();
    (!short).then(price)
}

/// The free GPUs in classes of equal price: GPUs of one node and one switch.
fn classes(host: &Host, free: GpuMask) -> Vec<GpuMask> {
    let facts = &host.derived().gpus;
    let mut classes = Vec::with_capacity(8);
    let mut rest = free;
    while let Some(first) = rest.first() {
        let gpu = &facts[first];
        let like =
            |at: &usize| (facts[*at].node, facts[*at].on_switch) == (gpu.node, gpu.on_switch);
        let class: GpuMask = rest.iter().filter(like).collect();
        classes.push(class);
        rest -= class;
    }
    classes
}

/// Calls `each` with one set for every way to take `count` GPUs from the classes, until it returns
/// false. Returns whether all ways were visited.
fn each_set(
    classes: &[GpuMask],
    count: u32,
    chosen: GpuMask,
    each: &mut impl FnMut(GpuMask) -> bool,
) -> bool {
    if count == 0 {
        return each(chosen);
    }
    let Some((class, rest)) = classes.split_first() else { return true };
    if classes.iter().map(|class| class.len()).sum::<u32>() < count {
        return true;
    }
    (0..=class.len().min(count)).rev().all(|taken| {
        let first: GpuMask = class.iter().take(taken as usize).collect();
        each_set(rest, count - taken, chosen | first, each)
    })
}
