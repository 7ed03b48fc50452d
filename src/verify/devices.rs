//! Checks of devices: the requested ones, free, each once, with their cards and IOMMU
//! groups, near the right cells.

use std::collections::{BTreeMap, BTreeSet};

use super::card;
use super::case::{Case, holder_of};
use super::functions;
use super::violation::Violation;
use super::wishes;
use crate::host::pcie::{DeviceKind, PciDevice};
use crate::placement::Style;
use crate::placement::{GuestPci, PlacedDevice};
use crate::request::{GpuRequest, Policy};
use crate::units::{CellId, PciAddr};

pub(super) fn check(
    case: &Case<'_>,
    devices: &[PlacedDevice],
    pci: &GuestPci,
    found: &mut Vec<Violation>,
) {
    requested(case, devices, found);
    let mut seen = BTreeSet::new();
    for device in devices {
        let PlacedDevice { address, is_gpu, node, cell, functions, withheld } = device;
        let address = *address;
        for &member in [&address].into_iter().chain(functions).chain(withheld) {
            if !seen.insert(member) {
                found.push(Violation::DeviceTwice { address: member });
            }
            match case.host.pci().get(member) {
                Some(record) if !card::is_bridge(record) => {}
                _ => found.push(Violation::NoSuchDevice { address: member }),
            }
            if let Some(holder) = holder_of(case.usage, member) {
                let holder = holder.to_owned();
                found.push(Violation::DeviceHeld { address: member, holder });
            }
        }
        for &function in functions {
            let slot = |a: PciAddr| (a.domain, a.bus, a.device);
            if slot(function) != slot(address) {
                found.push(Violation::FunctionApart { address, function });
            }
        }
        card::functions(case, devices, device, found);
        card::withheld(case, device, found);
        let Some(record) = case.host.pci().get(address) else { continue };
        if *is_gpu {
            gpu(case, record, found);
        }
        if *node != record.node {
            found.push(Violation::DeviceNode { address, found: *node, wanted: record.node });
        }
        in_its_cell(case, record, *cell, pci, found);
    }
    functions::check(case, devices, &seen, found);
    groups(case, devices, &seen, found);
    card::losses(case, devices, &seen, found);
    policies(case, devices, found);
    wishes::check(case, devices, found);
}

/// The requested number of GPUs, or exactly the named ones; and exactly the other named devices,
/// besides those that are asked for by kind.
fn requested(case: &Case<'_>, devices: &[PlacedDevice], found: &mut Vec<Violation>) {
    let named = match &case.request.spec().gpus {
        GpuRequest::Addresses(named) => Some(named),
        GpuRequest::Count { .. } | GpuRequest::VfOf { .. } => None,
    };
    let others = Some(&case.request.spec().devices);
    for (as_gpu, wanted) in [(true, named), (false, others)] {
        let mut placed = Vec::new();
        for device in devices {
            if device.is_gpu == as_gpu && !wishes::is_wished(case.host, case.request, device) {
                placed.push(device.address);
            }
        }
        let Some(wanted) = wanted else {
            let wanted = case.request.spec().gpus.count();
            if placed.len() != wanted {
                found.push(Violation::GpuCount { found: placed.len(), wanted });
            }
            continue;
        };
        for &address in wanted {
            if !placed.contains(&address) {
                found.push(Violation::DeviceMissing { address, as_gpu });
            }
        }
        for address in placed {
            if !wanted.contains(&address) {
                found.push(Violation::DeviceUnasked { address, as_gpu });
            }
        }
    }
}

fn gpu(case: &Case<'_>, record: &PciDevice, found: &mut Vec<Violation>) {
    let address = record.address;
    if record.kind() != DeviceKind::Gpu {
        found.push(Violation::NotGpu { address });
        return;
    }
    let model = match &case.request.spec().gpus {
        GpuRequest::Count { model, .. } | GpuRequest::VfOf { model, .. } => model,
        GpuRequest::Addresses(_) => return,
    };
    match model {
        Some(wanted) => {
            // A virtual function may have the name of its card, or one of its own.
            let physical = record.physical_function.and_then(|at| case.host.pci().get(at));
            let is_model = |record: &PciDevice| {
                let ids = format!("{:04x}:{:04x}", record.vendor.0, record.device.0);
                let part = wanted.to_lowercase();
                record.label().to_lowercase().contains(&part) || ids.contains(&part)
            };
            if !is_model(record) && !physical.is_some_and(is_model) {
                let (model, wanted) = (record.label(), wanted.clone());
                found.push(Violation::GpuModel { address, model, wanted });
            }
        }
        None if !card::is_offered(case, record) && record.physical_function.is_none() => {
            found.push(Violation::GpuIntegrated { address });
        }
        None => {}
    }
    functions::by_number(case, record, found);
}

/// If the guest has expander buses, a device belongs to a cell on its node, if there is one.
fn in_its_cell(
    case: &Case<'_>,
    record: &PciDevice,
    cell: Option<CellId>,
    pci: &GuestPci,
    found: &mut Vec<Violation>,
) {
    let mut on_node = Vec::new();
    if case.cells.len() > 1 && !pci.expanders.is_empty() {
        for candidate in case.cells {
            if record.node.is_some_and(|node| candidate.nodes.contains(node)) {
                on_node.push(candidate.id);
            }
        }
    }
    let right = match cell {
        Some(cell) => on_node.contains(&cell),
        None => on_node.is_empty(),
    };
    if !right {
        let (address, wanted) = (record.address, on_node.first().copied());
        found.push(Violation::DeviceCell { address, found: cell, wanted });
    }
}

/// IOMMU groups are placed or withheld whole, and nothing outside them is withheld.
fn groups(
    case: &Case<'_>,
    devices: &[PlacedDevice],
    placed: &BTreeSet<PciAddr>,
    found: &mut Vec<Violation>,
) {
    let group_of = |address| case.host.pci().get(address).and_then(|record| record.iommu_group);
    let mut missing: BTreeMap<PciAddr, PciAddr> = BTreeMap::new();
    let mut members: BTreeMap<u32, Vec<PciAddr>> = BTreeMap::new();
    for record in case.host.pci().devices() {
        if let Some(group) = record.iommu_group.filter(|_| !card::is_bridge(record)) {
            members.entry(group).or_default().push(record.address);
        }
    }
    for &address in placed {
        let group = group_of(address).and_then(|group| members.get(&group));
        for &member in group.into_iter().flatten() {
            if !placed.contains(&member) {
                missing.entry(member).or_insert(address);
            }
        }
    }
    for (missing, address) in missing {
        found.push(Violation::GroupSplit { address, missing });
    }
    let mut shown = BTreeSet::new();
    for device in devices {
        for &address in [&device.address].into_iter().chain(&device.functions) {
            shown.extend(group_of(address));
        }
    }
    for device in devices {
        for &withheld in &device.withheld {
            let known = case.host.pci().get(withheld).is_some();
            if known && !group_of(withheld).is_some_and(|group| shown.contains(&group)) {
                found.push(Violation::WithheldApart { address: device.address, withheld });
            }
        }
    }
}

fn policies(case: &Case<'_>, devices: &[PlacedDevice], found: &mut Vec<Violation>) {
    let policies = &case.request.spec().policies;
    let mut gpus = Vec::new();
    for device in devices {
        if device.is_gpu {
            gpus.push(device.address);
        }
    }
    if policies.gpu_locality == Policy::Require && case.style != Style::Default {
        for &address in &gpus {
            let node = case.host.pci().get(address).and_then(|record| record.node);
            if !node.is_some_and(|node| case.nodes.contains(node)) {
                found.push(Violation::GpuRemote { address, node, nodes: case.nodes.clone() });
            }
        }
    }
    for (position, &second) in gpus.iter().enumerate() {
        let others = &gpus[..position];
        if policies.same_switch == Policy::Require {
            if let Some(&first) = others.first() {
                let switch = switch_above(case, first);
                if switch.is_none() || switch != switch_above(case, second) {
                    found.push(Violation::NoCommonSwitch { first, second });
                }
            }
        }
        if policies.linked_gpus == Policy::Require {
            for &first in others {
                let ends = [first.min(second), first.max(second)];
                let mut links = case.host.gpu_links().iter();
                if !links.any(|link| [link.a.min(link.b), link.a.max(link.b)] == ends) {
                    found.push(Violation::NotLinked { first, second });
                }
            }
        }
    }
    let partitions = case.host.fabric_partitions();
    // With a fabric manager, GPUs are linked only inside a partition.
    let missing = found.iter().any(|violation| matches!(violation, Violation::NotLinked { .. }));
    let linked = policies.linked_gpus == Policy::Require && gpus.len() > 1 && !missing;
    let bound = policies.fabric_partition == Policy::Require || linked;
    if bound && !partitions.is_empty() && !gpus.is_empty() {
        gpus.sort_unstable();
        let matches = |listed: &Vec<PciAddr>| {
            let mut listed = listed.clone();
            listed.sort_unstable();
            listed == gpus
        };
        if !partitions.iter().any(|partition| matches(&partition.gpus)) {
            found.push(Violation::NotPartition { gpus });
        }
    }
}

/// The bridge above the port that a function is plugged into: a switch, unless the port is a root
/// port.
fn switch_above(case: &Case<'_>, address: PciAddr) -> Option<PciAddr> {
    let port = case.host.pci().get(address)?.parent?;
    case.host.pci().get(port)?.parent
}
