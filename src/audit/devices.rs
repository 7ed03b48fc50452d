//! Rules about host devices and the guest's PCIe tree.

use super::facts::Facts;
use super::scene::Scene;
use crate::engine::build::pci::needed_window;
use crate::host::{DeviceKind, PciDevice};
use crate::sets::{CellSet, NodeSet};
use crate::units::{NodeId, PciAddr};

/// The facts, if there are devices.
fn about(devices: Vec<PciAddr>, facts: Facts) -> Option<Facts> {
    (!devices.is_empty()).then_some(Facts { devices, ..facts })
}

fn number(n: usize) -> Option<u64> {
    u64::try_from(n).ok()
}

pub(super) fn absent(scene: &Scene<'_>) -> Option<Facts> {
    let given = scene.domain.devices.iter().map(|device| device.address);
    let lost = given.filter(|address| scene.host.pci().get(*address).is_none());
    // A description without any device knows of none.
    let known = !scene.host.pci().devices().is_empty();
    about(lost.collect(), Facts::default()).filter(|_| known)
}

pub(super) fn held(scene: &Scene<'_>) -> Option<Facts> {
    let given = scene.devices().map(|device| device.address);
    let held = given.filter_map(|at| scene.usage.holder_of(at).map(|holder| (at, holder)));
    let (devices, mut tenants): (Vec<_>, Vec<String>) =
        held.map(|(address, holder)| (address, holder.to_owned())).unzip();
    tenants.sort_unstable();
    tenants.dedup();
    about(devices, Facts { tenants, ..Facts::default() })
}

pub(super) fn shared(scene: &Scene<'_>) -> Option<Facts> {
    let (mut devices, mut tenants) = (Vec::new(), Vec::new());
    for (name, shared) in &scene.domain.alternatives {
        tenants.push(name.clone());
        devices.extend(shared);
    }
    devices.sort_unstable();
    devices.dedup();
    about(devices, Facts { tenants, ..Facts::default() })
}

/// The nodes that the VM is on: those of its memory, or else of its vCPUs.
fn own_nodes(scene: &Scene<'_>) -> NodeSet {
    let memory = scene.domain.memory_nodes();
    match memory.is_empty() {
        false => memory,
        true if scene.all_stated() => scene.span.nodes.clone(),
        true => NodeSet::new(),
    }
}

pub(super) fn gpu_remote(scene: &Scene<'_>) -> Option<Facts> {
    let nodes = own_nodes(scene);
    let best = scene.best.as_ref()?.ranked.profile;
    let far = |gpu: &&PciDevice| gpu.node.is_some_and(|node| !nodes.contains(node));
    let far: Vec<&PciDevice> = scene.gpus().filter(far).collect();
    let right_nodes: NodeSet = far.iter().filter_map(|gpu| gpu.node).collect();
    let (found, right) = (number(far.len()), Some(u64::from(best.gpus_remote)));
    let better = right < found && !nodes.is_empty();
    let devices = far.iter().map(|gpu| gpu.address).collect();
    about(devices, Facts { nodes, right_nodes, found, right, ..Facts::default() })
        .filter(|_| better)
}

pub(super) fn cells_blind(scene: &Scene<'_>) -> Option<Facts> {
    let domain = scene.domain;
    let blind =
        |best: &super::scene::Best| best.ranked.profile.cells > 1 && !best.ranked.profile.expanders;
    let must = scene.best.as_ref().is_some_and(blind);
    let of_node = |node: NodeId| domain.cells.iter().find(|cell| cell.nodes.contains(node));
    let (mut devices, mut cells) = (Vec::new(), CellSet::new());
    for given in &domain.devices {
        let device = scene.host.pci().get(given.address);
        let gpu = device.filter(|device| device.kind() == DeviceKind::Gpu);
        let Some(cell) = gpu.and_then(|gpu| gpu.node).and_then(of_node) else { continue };
        let right = given.cell.and_then(|id| domain.cells.iter().find(|cell| cell.id == id));
        if right.is_none_or(|own| own.nodes != cell.nodes) {
            devices.push(given.address);
            cells.insert(cell.id);
        }
    }
    let several = domain.shows_cells && domain.cells.len() > 1;
    about(devices, Facts { cells, ..Facts::default() }).filter(|_| several && !must)
}

pub(super) fn companions_left(scene: &Scene<'_>) -> Option<Facts> {
    let given = |address: &PciAddr| scene.domain.devices.iter().any(|d| d.address == *address);
    let all = scene.gpus().flat_map(|gpu| scene.host.pci().companions_of(gpu.address));
    about(all.filter(|address| !given(address)).collect(), Facts::default())
}

pub(super) fn group_lost(scene: &Scene<'_>) -> Option<Facts> {
    let given = |address: &PciAddr| scene.domain.devices.iter().any(|d| d.address == *address);
    let all = scene.devices().flat_map(|device| scene.host.pci().needed_mates(device.address));
    let mut lost: Vec<_> = all.map(|mate| mate.address).filter(|at| !given(at)).collect();
    lost.sort_unstable();
    lost.dedup();
    let allowed = scene.question.request.spec().allow_group;
    about(lost, Facts::default()).filter(|_| !allowed)
}

pub(super) fn degraded(scene: &Scene<'_>) -> Option<Facts> {
    let slow = |device: &&PciDevice| scene.host.pci().degraded_link(device.address).is_some();
    about(scene.devices().filter(slow).map(|device| device.address).collect(), Facts::default())
}

pub(super) fn nic_apart(scene: &Scene<'_>) -> Option<Facts> {
    let near: NodeSet = scene.gpus().filter_map(|gpu| gpu.node).collect();
    let pci = scene.host.pci();
    let given =
        |device: &PciDevice| scene.domain.devices.iter().any(|d| d.address == device.address);
    let is_nic = |device: &PciDevice| device.kind() == DeviceKind::Nic;
    let far = |device: &PciDevice| device.node.is_some_and(|node| !near.contains(node));
    let like = |own: &PciDevice, other: &PciDevice| {
        (own.vendor, own.device) == (other.vendor, other.device)
            && other.physical_function.is_some() == own.physical_function.is_some()
    };
    let instead = |own: &PciDevice| {
        pci.devices().iter().any(|other| {
            is_nic(other)
                && like(own, other)
                && other.node.is_some_and(|node| near.contains(node))
                && other.host_driver().is_none()
                && !given(other)
                && scene.usage.holder_of(other.address).is_none()
        })
    };
    let all = scene.devices().filter(|device| is_nic(device) && far(device) && instead(device));
    let devices = all.map(|device| device.address).collect();
    let facts = Facts { right_nodes: near.clone(), ..Facts::default() };
    about(devices, facts).filter(|_| !near.is_empty())
}

pub(super) fn no_partition(scene: &Scene<'_>) -> Option<Facts> {
    let host = scene.host;
    let gpus = scene.gpus().map(|gpu| gpu.address);
    let gpus: Vec<PciAddr> = gpus.filter(|gpu| host.gpu(*gpu).is_some()).collect();
    let partitioned = !host.fabric_partitions().is_empty();
    let some = host.fabric_partitions().iter().any(|p| gpus.iter().any(|gpu| p.gpus.contains(gpu)));
    let none = gpus.len() > 1 && host.partition_of(host.gpu_mask(&gpus)).is_none();
    about(gpus, Facts::default()).filter(|_| partitioned && some && none)
}

pub(super) fn small_window(scene: &Scene<'_>) -> Option<Facts> {
    let found = scene.domain.mmio64_mib?;
    let devices: Vec<PciAddr> = scene.devices().map(|device| device.address).collect();
    let right = needed_window(scene.host, devices.iter().copied())?;
    let facts = Facts { found: Some(found), right: Some(right), ..Facts::default() };
    about(devices, facts).filter(|_| found < right)
}

pub(super) fn buses_lost(scene: &Scene<'_>) -> Option<Facts> {
    let mut expanders = scene.domain.expanders.clone();
    expanders.sort_unstable_by_key(|expander| expander.bus_nr);
    let next = expanders.iter().skip(1).map(|next| u32::from(next.bus_nr)).chain([256]);
    let lost = expanders.iter().zip(next).find(|(expander, next)| {
        u32::from(expander.bus_nr).saturating_add(1).saturating_add(expander.buses) > *next
    });
    lost.map(|(expander, next)| Facts {
        found: Some(u64::from(next.saturating_sub(u32::from(expander.bus_nr) + 1))),
        right: Some(u64::from(expander.buses)),
        ..Facts::default()
    })
}
