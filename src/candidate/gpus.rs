//! Which sets of GPUs are tried: one of each class, never permutations.

use std::collections::BTreeSet;

use crate::feasibility::Fact;
use crate::host::derived::GpuMask;
use crate::host::pcie::DeviceKind;
use crate::host::usage::Usage;
use crate::host::{Gpu, Host};
use crate::profile::{SetFacts, count};
use crate::request::{GpuRequest, Request};
use crate::units::PciAddr;

use super::nodes::NodeMask;
use crate::sets::bits;

/// At most so many sets are looked at; beyond that GPUs of one kind in one place count as equal, and
/// then the search stops here and says so.
const MAX_SETS: usize = 1024;

/// A set of GPUs that could be given to the VM, and what distinguishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GpuSet {
    pub(crate) gpus: GpuMask,
    /// The known nodes, by position in [`Host::nodes`].
    pub(crate) nodes: NodeMask,
    /// GPUs whose node is unknown.
    pub(crate) unknown: u32,
    pub(crate) facts: SetFacts,
    /// Different models.
    models: u32,
    /// Other GPUs that go with them because of IOMMU groups.
    withheld: u32,
    /// How much it breaks that larger VMs could use: see [`broken`].
    broken: u32,
}

/// All sets worth trying, best quality first.
#[derive(Debug, Clone, Default)]
pub(crate) struct GpuSets {
    pub(crate) sets: Vec<GpuSet>,
    pub(crate) complete: bool,
    /// Free GPUs that the request would take.
    pub(crate) eligible: Vec<PciAddr>,
}

/// The functions that have to go together with `address`: the other functions of its card that serve
/// it, and all members of the IOMMU groups of any of them.
pub(crate) fn bundle(host: &Host, address: PciAddr) -> BTreeSet<PciAddr> {
    host.pci().bundle(address)
}

fn matches_model(gpu: &Gpu, host: &Host, model: Option<&str>) -> bool {
    let Some(model) = model else { return !gpu.integrated };
    let wanted = model.to_lowercase();
    let ids = host.pci().get(gpu.address).map(|d| format!("{:04x}:{:04x}", d.vendor.0, d.device.0));
    gpu.model.to_lowercase().contains(&wanted) || ids.is_some_and(|ids| ids.contains(&wanted))
}

fn holder<'a>(host: &Host, usage: &'a Usage, address: PciAddr) -> Option<&'a str> {
    bundle(host, address).into_iter().find_map(|member| usage.holder_of(member))
}

impl GpuSets {
    /// The sets for a request, or the facts that leave none.
    pub(crate) fn new(host: &Host, usage: &Usage, request: &Request) -> Result<Self, Vec<Fact>> {
        for address in &request.devices {
            check_device(host, usage, *address)?;
        }
        match &request.gpus {
            GpuRequest::Addresses(addresses) => {
                for address in addresses {
                    check_device(host, usage, *address)?;
                    if host.gpu(*address).is_none() {
                        return Err(vec![Fact::NotAGpu { address: *address }]);
                    }
                }
                let mask = host.gpu_mask(addresses);
                let set = GpuSet::new(host, mask, mask);
                Ok(Self { sets: vec![set], complete: true, eligible: addresses.clone() })
            }
            GpuRequest::Count { count: wanted, model } => {
                let fits = |gpu: &&Gpu| matches_model(gpu, host, model.as_deref());
                let all: Vec<&Gpu> = host.gpus().iter().filter(fits).collect();
                let free = all.iter().filter(|gpu| {
                    holder(host, usage, gpu.address).is_none()
                        && !request.devices.contains(&gpu.address)
                });
                let eligible: Vec<PciAddr> = free.map(|gpu| gpu.address).collect();
                let needed = usize::try_from(*wanted).unwrap_or(usize::MAX);
                if eligible.len() < needed {
                    return Err(vec![Fact::GpusShort {
                        needed: *wanted,
                        free: count(eligible.len()),
                        total: count(all.len()),
                        model: model.clone(),
                    }]);
                }
                Ok(Self::of_size(host, eligible, needed))
            }
        }
    }

    fn of_size(host: &Host, eligible: Vec<PciAddr>, size: usize) -> Self {
        let free = host.gpu_mask(&eligible);
        if size == 0 {
            return Self { sets: vec![GpuSet::new(host, 0, free)], complete: true, eligible };
        }
        let exact = combinations(eligible.len(), size) <= MAX_SETS;
        let classes: Vec<GpuMask> =
            if exact { bits(free).map(|at| 1 << at).collect() } else { classes(host, free) };
        let mut sets: Vec<GpuSet> = Vec::new();
        let mut add = |gpus: GpuMask| {
            sets.push(GpuSet::new(host, gpus, free));
            sets.len() < MAX_SETS
        };
        let all = walk(&classes, count(size), 0, &mut add);
        // The fabric's own sets are worth more than any cut: they are always looked at.
        for partition in host.derived().partitions.iter().filter(|_| !exact) {
            if partition.count_ones() == count(size) && partition & !free == 0 {
                sets.push(GpuSet::new(host, *partition, free));
            }
        }
        sets.sort_by_key(|set| (set.quality(), lowest_first(set.gpus)));
        let mut kept: Vec<GpuSet> = Vec::new();
        for set in sets {
            if !kept.iter().any(|other| other.class() == set.class()) {
                kept.push(set);
            }
        }
        Self { sets: kept, complete: exact || (all && host.gpu_links().is_empty()), eligible }
    }
}

impl GpuSet {
    fn new(host: &Host, gpus: GpuMask, free: GpuMask) -> Self {
        let all = &host.derived().gpus;
        let facts = || bits(gpus).map(|at| &all[at]);
        let (mut models, mut withheld) = (0, 0);
        let mut seen: GpuMask = 0;
        for gpu in facts() {
            models += u32::from(seen & gpu.model == 0);
            seen |= gpu.model;
            withheld |= gpu.group & !gpus;
        }
        Self {
            gpus,
            nodes: facts().filter_map(|gpu| gpu.node).fold(0, |mask, at| mask | (1 << at)),
            unknown: count(facts().filter(|gpu| gpu.node.is_none()).count()),
            facts: SetFacts::of(host, gpus),
            models,
            withheld: withheld.count_ones(),
            broken: broken(host, gpus, free),
        }
    }

    fn quality(&self) -> (u32, u32, u32, u32, u32) {
        let degraded = self.facts.degraded;
        (self.models, degraded, self.withheld, self.broken, self.nodes.count_ones())
    }

    /// Sets of one class differ in nothing that a prediction could see.
    fn class(&self) -> (NodeMask, SetFacts, u32) {
        (self.nodes, self.facts, self.unknown)
    }

    /// The addresses, ascending.
    pub(crate) fn addresses(&self, host: &Host) -> Vec<PciAddr> {
        bits(self.gpus).map(|at| host.gpus()[at].address).collect()
    }

    /// By GPU: the position of its node.
    pub(crate) fn node_of(&self, host: &Host) -> impl Iterator<Item = Option<usize>> {
        bits(self.gpus).map(|at| host.derived().gpus[at].node)
    }
}

/// Orders sets by their addresses: of two, the one whose first different GPU comes first.
fn lowest_first(gpus: GpuMask) -> std::cmp::Reverse<GpuMask> {
    std::cmp::Reverse(gpus.reverse_bits())
}

fn check_device(host: &Host, usage: &Usage, address: PciAddr) -> Result<(), Vec<Fact>> {
    if host.pci().get(address).is_none_or(|device| device.kind() == DeviceKind::Bridge) {
        return Err(vec![Fact::NoDevice { address }]);
    }
    match holder(host, usage, address) {
        Some(holder) => Err(vec![Fact::DeviceHeld { address, holder: holder.to_owned() }]),
        None => Ok(()),
    }
}

/// Free groups that the set takes a part of and leaves a part of: switches count four times, nodes
/// twice, direct links and larger fabric partitions that end with it once each. Chosen by us: a switch
/// pair is the smallest thing that another VM could want whole. Where every two are linked, every
/// choice cuts as many links: only differences matter.
fn broken(host: &Host, gpus: GpuMask, free: GpuMask) -> u32 {
    let derived = host.derived();
    let rest = free & !gpus;
    let mut broken = 0;
    let (mut switches, mut nodes): (GpuMask, GpuMask) = (0, 0);
    for gpu in bits(gpus).map(|at| (at, &derived.gpus[at])) {
        let (at, gpu) = gpu;
        // Each switch and node once, at its first GPU.
        if switches & (1 << at) == 0 && gpu.on_switch & rest != 0 {
            broken += 4;
        }
        if nodes & (1 << at) == 0 && gpu.on_node & rest != 0 {
            broken += 2;
        }
        switches |= gpu.on_switch;
        nodes |= gpu.on_node;
        broken += (gpu.linked & rest).count_ones();
    }
    let larger = |p: &&GpuMask| p.count_ones() > gpus.count_ones();
    let lost = |p: &&GpuMask| *p & !free == 0 && *p & gpus != 0;
    broken + count(derived.partitions.iter().filter(|p| larger(p) && lost(p)).count())
}

/// GPUs of one model in one place, together; the places by their first GPU.
fn classes(host: &Host, free: GpuMask) -> Vec<GpuMask> {
    let all = &host.derived().gpus;
    let place = |at: usize| {
        let gpu = &all[at];
        let healthy = |other: &usize| all[*other].degraded == gpu.degraded;
        let switch = |other: &usize| all[*other].on_switch == gpu.on_switch;
        let same = gpu.on_node & gpu.around & gpu.model & free;
        bits(same).filter(healthy).filter(switch).fold(0, |mask: GpuMask, at| mask | (1 << at))
    };
    let mut classes: Vec<GpuMask> = Vec::new();
    for at in bits(free) {
        if classes.iter().all(|class| class & (1 << at) == 0) {
            classes.push(place(at));
        }
    }
    classes
}

/// Calls `add` with every way to take `size` GPUs from the classes, the first of each class first,
/// until it says stop. Whether it went through them all.
fn walk(
    classes: &[GpuMask],
    size: u32,
    chosen: GpuMask,
    add: &mut impl FnMut(GpuMask) -> bool,
) -> bool {
    if size == 0 {
        return add(chosen);
    }
    let Some((class, rest)) = classes.split_first() else { return true };
    if classes.iter().map(|class| class.count_ones()).sum::<u32>() < size {
        return true;
    }
    (0..=class.count_ones().min(size)).rev().all(|taken| {
        let first: GpuMask = bits(*class).take(taken as usize).fold(0, |mask, at| mask | (1 << at));
        walk(rest, size - taken, chosen | first, add)
    })
}

fn combinations(n: usize, size: usize) -> usize {
    let mut result: usize = 1;
    for i in 0..size.min(n - size) {
        result = result.saturating_mul(n - i) / (i + 1);
    }
    result
}
