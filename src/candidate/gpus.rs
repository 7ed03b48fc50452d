//! Which sets of GPUs are tried: one of each class, never permutations.

use std::collections::BTreeSet;

use crate::feasibility::Fact;
use crate::host::pcie::DeviceKind;
use crate::host::usage::Usage;
use crate::host::{Gpu, Host};
use crate::profile::{GpuPath, count, degraded, gpu_path, is_partition, same_switch};
use crate::request::{GpuRequest, Request};
use crate::units::PciAddr;

use super::nodes::NodeMask;

/// At most so many sets are looked at; beyond that GPUs of one kind in one place count as equal, and
/// then the search stops here and says so.
const MAX_SETS: usize = 1024;

/// A set of GPUs that could be given to the VM, and what distinguishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GpuSet {
    /// Ascending.
    pub(crate) gpus: Vec<PciAddr>,
    /// The known nodes, by position in [`Host::nodes`].
    pub(crate) nodes: NodeMask,
    /// By GPU: its node's position.
    pub(crate) node_of: Vec<Option<usize>>,
    pub(crate) path: GpuPath,
    pub(crate) same_switch: bool,
    pub(crate) partition: bool,
    /// GPUs whose link runs below what it could.
    pub(crate) degraded: u32,
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
    let pci = host.pci();
    let virtual_function = pci.get(address).is_some_and(|d| d.physical_function.is_some());
    let mut all: BTreeSet<PciAddr> = pci.group_of(address).into_iter().collect();
    let serves = |d: &&crate::host::pcie::PciDevice| {
        !virtual_function && d.address.same_slot(address) && d.kind() == DeviceKind::Other
    };
    for device in pci.devices().iter().filter(serves) {
        all.extend(pci.group_of(device.address));
    }
    all
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
                let set = GpuSet::new(host, addresses, &[]);
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
        if size == 0 {
            let none = GpuSet::new(host, &[], &[]);
            return Self { sets: vec![none], complete: true, eligible };
        }
        let classes: Vec<Vec<PciAddr>> = if combinations(eligible.len(), size) <= MAX_SETS {
            eligible.iter().map(|gpu| vec![*gpu]).collect()
        } else {
            classes(host, &eligible)
        };
        let mut chosen = Vec::new();
        let mut sets: Vec<GpuSet> = Vec::new();
        let mut looked_at = 0;
        let mut add = |gpus: &[PciAddr]| {
            looked_at += 1;
            sets.push(GpuSet::new(host, gpus, &eligible));
            looked_at < MAX_SETS
        };
        let mut complete = walk(&classes, size, &mut chosen, &mut add);
        if !complete {
            // The fabric's own sets are worth more than any cut: they are always looked at.
            for partition in host.fabric_partitions().iter().filter(|p| p.gpus.len() == size) {
                if partition.gpus.iter().all(|gpu| eligible.contains(gpu)) {
                    sets.push(GpuSet::new(host, &partition.gpus, &eligible));
                }
            }
        }
        complete &= classes.iter().all(|class| class.len() == 1) || host.gpu_links().is_empty();
        sets.sort_by(|a, b| a.quality().cmp(&b.quality()).then_with(|| a.gpus.cmp(&b.gpus)));
        let mut kept: Vec<GpuSet> = Vec::new();
        for set in sets {
            if !kept.iter().any(|other| other.class() == set.class()) {
                kept.push(set);
            }
        }
        Self { sets: kept, complete, eligible }
    }
}

impl GpuSet {
    fn new(host: &Host, gpus: &[PciAddr], eligible: &[PciAddr]) -> Self {
        let mut gpus = gpus.to_vec();
        gpus.sort_unstable();
        let found: Vec<&Gpu> = gpus.iter().filter_map(|gpu| host.gpu(*gpu)).collect();
        let node_of: Vec<_> =
            found.iter().map(|gpu| gpu.node.and_then(|n| host.node_index(n))).collect();
        let models: BTreeSet<&str> = found.iter().map(|gpu| gpu.model.as_str()).collect();
        let others = gpus.iter().flat_map(|gpu| host.pci().group_of(*gpu));
        let withheld = others.filter(|a| host.gpu(*a).is_some() && !gpus.contains(a)).count();
        Self {
            nodes: node_of.iter().flatten().fold(0, |mask, at| mask | (1 << at)),
            node_of,
            path: gpu_path(host, &gpus),
            same_switch: same_switch(host, &gpus),
            partition: is_partition(host, &gpus),
            degraded: degraded(host, &gpus),
            models: count(models.len()),
            withheld: count(withheld),
            broken: broken(host, &gpus, eligible),
            gpus,
        }
    }

    fn quality(&self) -> (u32, u32, u32, u32, u32) {
        (self.models, self.degraded, self.withheld, self.broken, self.nodes.count_ones())
    }

    /// Sets of one class differ in nothing that a prediction could see.
    fn class(&self) -> (NodeMask, GpuPath, bool, bool, u32, usize) {
        let unknown = self.node_of.iter().filter(|node| node.is_none()).count();
        (self.nodes, self.path, self.same_switch, self.partition, self.degraded, unknown)
    }

    /// By node position: how many of the GPUs are there.
    pub(crate) fn on(&self, node: usize) -> u64 {
        self.node_of.iter().filter(|at| **at == Some(node)).count() as u64
    }
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
/// pair is the smallest thing that another VM could want whole.
fn broken(host: &Host, gpus: &[PciAddr], free: &[PciAddr]) -> u32 {
    let rest = || free.iter().filter(|gpu| !gpus.contains(gpu));
    let node = |gpu: &PciAddr| host.gpu(*gpu).and_then(|gpu| gpu.node);
    let switch = |gpu: &PciAddr| host.pci().switch_of(*gpu);
    let switches: BTreeSet<_> = gpus.iter().filter_map(switch).collect();
    let nodes: BTreeSet<_> = gpus.iter().filter_map(node).collect();
    let split = switches.iter().filter(|s| rest().any(|gpu| switch(gpu) == Some(**s))).count() * 4
        + nodes.iter().filter(|n| rest().any(|gpu| node(gpu) == Some(**n))).count() * 2;
    let cut = host.gpu_links().iter().filter(|link| {
        let both_free = free.contains(&link.a) && free.contains(&link.b);
        both_free && gpus.contains(&link.a) != gpus.contains(&link.b)
    });
    let lost = host.fabric_partitions().iter().filter(|partition| {
        partition.gpus.len() > gpus.len()
            && partition.gpus.iter().all(|gpu| free.contains(gpu))
            && partition.gpus.iter().any(|gpu| gpus.contains(gpu))
    });
    // Where every two are linked, every choice cuts as many: only differences matter.
    count(split + cut.count() + lost.count())
}

/// GPUs of one model in one place with equal links, together; the places ascending.
fn classes(host: &Host, eligible: &[PciAddr]) -> Vec<Vec<PciAddr>> {
    let mut classes: Vec<(_, Vec<PciAddr>)> = Vec::new();
    for gpu in eligible {
        let found = host.gpu(*gpu);
        let pci = host.pci();
        let key = (
            found.and_then(|gpu| gpu.node),
            pci.root_of(*gpu),
            pci.switch_of(*gpu),
            found.map(|gpu| gpu.model.as_str()),
            pci.degraded_link(*gpu).is_some(),
        );
        match classes.iter_mut().find(|(other, _)| *other == key) {
            Some((_, class)) => class.push(*gpu),
            None => classes.push((key, vec![*gpu])),
        }
    }
    classes.into_iter().map(|(_, class)| class).collect()
}

/// Calls `add` with every way to take `size` GPUs from the classes, the first of each class first,
/// until it says stop. Whether it went through them all.
fn walk(
    classes: &[Vec<PciAddr>],
    size: usize,
    chosen: &mut Vec<PciAddr>,
    add: &mut impl FnMut(&[PciAddr]) -> bool,
) -> bool {
    if size == 0 {
        return add(chosen);
    }
    let room: usize = classes.iter().map(Vec::len).sum();
    let Some((class, rest)) = classes.split_first() else { return true };
    if room < size {
        return true;
    }
    for taken in (0..=class.len().min(size)).rev() {
        let before = chosen.len();
        chosen.extend(&class[..taken]);
        let go_on = walk(rest, size - taken, chosen, add);
        chosen.truncate(before);
        if !go_on {
            return false;
        }
    }
    true
}

fn combinations(n: usize, size: usize) -> usize {
    let mut result: usize = 1;
    for i in 0..size.min(n - size) {
        result = result.saturating_mul(n - i) / (i + 1);
    }
    result
}
