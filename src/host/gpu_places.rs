//! Slots: the parts of a host that are best kept for VMs with GPUs, computed when the host is
//! built.

use std::ops::Range;

use super::gpu_facts::GpuFacts;
use super::mask::GpuMask;
use super::records::Node;
use crate::host::limits::MAX_NODES;
use crate::units::PackageId;

/// The slot sizes that are counted, in GPUs. Chosen by us, after HGX boards and cloud offers.
pub const SLOT_SIZES: [u64; 4] = [1, 2, 4, 8];

/// The smallest part of a host with enough GPUs for a slot of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Switch,
    Node,
    Package,
    Host,
}

/// The resources that go with each GPU of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) cores: u64,
    pub(crate) bytes: u64,
}

/// A node with GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GpuNode {
    /// The index of the node in [`Host::nodes`](super::Host::nodes).
    pub(crate) at: usize,
    pub(crate) gpus: GpuMask,
    /// The positions of its switches in [`GpuPlaces::switches`].
    pub(crate) switches: Range<usize>,
}

/// All possible places of slots, free or not. Only GPUs that are given by number are counted: none
/// that is integrated into a processor, is a virtual function or has virtual functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GpuPlaces {
    pub(crate) gpus: u64,
    /// The package number of each node. Nodes that are not in exactly one package share the last
    /// number.
    pub(crate) packages: Vec<usize>,
    /// The GPUs of each node.
    pub(crate) on_node: Vec<GpuMask>,
    /// The nodes that have GPUs.
    pub(crate) with_gpus: Vec<GpuNode>,
    /// For each switch: its node and its GPUs.
    pub(crate) switches: Vec<(usize, GpuMask)>,
    /// The part for each slot size.
    pub(crate) parts: [Part; SLOT_SIZES.len()],
    /// The places of slots of two or more GPUs, with the slot size.
    pub(crate) places: Vec<(u64, GpuMask)>,
    /// Seven eighths of each GPU's part of its own node, because VMs with GPUs seldom take all of
    /// it. Chosen by us.
    pub(crate) share: Share,
}

impl GpuPlaces {
    /// `cores` holds the number of cores of each node.
    pub(super) fn new(
        nodes: &[Node],
        cores: &[usize],
        packages: &[PackageId],
        facts: &[GpuFacts],
    ) -> Self {
        let counted: Vec<usize> = (0..facts.len()).filter(|gpu| facts[*gpu].by_number).collect();
        let on = |at: usize| {
            counted.iter().copied().filter(|gpu| facts[*gpu].node == Some(at)).collect()
        };
        let on_node: Vec<GpuMask> = (0..nodes.len()).map(on).collect();
        let mut with_gpus = Vec::new();
        let mut switches: Vec<(usize, GpuMask)> = Vec::new();
        for (node, mask) in on_node.iter().enumerate() {
            let mut own: Vec<_> =
                mask.iter().map(|gpu| (node, facts[gpu].on_switch & *mask)).collect();
            own.retain(|(_, switch)| !switch.is_empty());
            own.sort_unstable();
            own.dedup();
            let first = switches.len();
            switches.append(&mut own);
            if !mask.is_empty() {
                with_gpus.push(GpuNode { at: node, gpus: *mask, switches: first..switches.len() });
            }
        }
        let package = |node: &Node| {
            let of = |package| packages.binary_search(&package).ok();
            node.package.and_then(of).unwrap_or(packages.len()).min(MAX_NODES)
        };
        let packages: Vec<usize> = nodes.iter().map(package).collect();
        let mut in_packages =
            vec![GpuMask::EMPTY; packages.iter().max().map_or(0, |last| last + 1)];
        for (mask, package) in on_node.iter().zip(&packages) {
            in_packages[*package] |= *mask;
        }
        let most = |masks: &mut dyn Iterator<Item = GpuMask>| {
            u64::from(masks.map(GpuMask::len).max().unwrap_or(0))
        };
        let of_switch = || switches.iter().map(|(_, mask)| *mask);
        let on_switch = most(&mut of_switch());
        let on_one = most(&mut on_node.iter().copied());
        let in_package = most(&mut in_packages.iter().copied());
        let parts = SLOT_SIZES.map(|size| match size {
            _ if size == 1 => Part::Node,
            _ if size <= on_switch => Part::Switch,
            _ if size <= on_one => Part::Node,
            _ if size <= in_package => Part::Package,
            _ => Part::Host,
        });
        let mut places = Vec::new();
        for (size, part) in SLOT_SIZES.into_iter().zip(parts) {
            let masks: Vec<GpuMask> = match part {
                Part::Switch => of_switch().collect(),
                Part::Node => on_node.clone(),
                Part::Package => in_packages.clone(),
                Part::Host => vec![GpuMask::union(on_node.iter().copied())],
            };
            let possible = (2..=counted.len() as u64).contains(&size);
            let some = masks.into_iter().filter(|mask| possible && !mask.is_empty());
            places.extend(some.map(|mask| (size, mask)));
        }
        let share = share(nodes, cores, &on_node);
        let gpus = counted.len() as u64;
        Self { gpus, packages, on_node, with_gpus, switches, parts, places, share }
    }
}

fn share(nodes: &[Node], cores: &[usize], on_node: &[GpuMask]) -> Share {
    let on = || nodes.iter().enumerate().filter(|(at, _)| !on_node[*at].is_empty());
    let gpus = |at: usize| u64::from(on_node[at].len());
    let cores = on().map(|(at, _)| cores[at] as u64 / gpus(at)).min();
    let huge = |node: &Node| {
        let pools = node.pools.iter().filter(|pool| pool.size.is_huge());
        pools.fold(0_u64, |sum, p| sum.saturating_add(p.total.saturating_mul(p.size.bytes())))
    };
    let bytes = |(at, node): (usize, &Node)| {
        let huge = huge(node);
        (if huge > 0 { huge } else { node.memory.0 }) / gpus(at)
    };
    let eighth = |whole: u64| u64::try_from(u128::from(whole) * 7 / 8).unwrap_or(whole);
    Share { cores: eighth(cores.unwrap_or(0)), bytes: eighth(on().map(bytes).min().unwrap_or(0)) }
}
