//! The checker's own reading of cards, IOMMU groups, and the losses of a host, function by
//! function.

use std::collections::BTreeSet;

use super::case::Case;
use super::functions;
use super::violation::Violation;
use crate::host::HostUse;
use crate::host::pcie::{DeviceKind, PciDevice};
use crate::placement::PlacedDevice;
use crate::request::{GpuRequest, Policy};
use crate::units::PciAddr;

const VFIO: [&str; 2] = ["vfio-pci", "pci-stub"];

/// A PCI-to-PCI bridge or a host bridge: never taken from a host.
pub(super) fn is_bridge(record: &PciDevice) -> bool {
    matches!(record.class.0 >> 8, 0x0604 | 0x0600)
}

fn for_vms(record: &PciDevice) -> bool {
    VFIO.iter().any(|name| record.driver.as_deref() == Some(name))
}

fn beside(a: &PciDevice, b: &PciDevice) -> bool {
    let slot = |a: PciAddr| (a.domain, a.bus, a.device);
    a.address != b.address && slot(a.address) == slot(b.address)
}

/// Whether a GPU is inside a processor: Intel's in slot 2 of a root bus, AMD's on a slot with
/// functions of AMD's processors.
pub(super) fn is_integrated(case: &Case<'_>, gpu: &PciDevice) -> bool {
    let mut all = case.host.pci().devices().iter();
    let root = gpu.parent.is_none() && gpu.address.device == 2;
    (gpu.vendor.0 == 0x8086 && root)
        || (gpu.vendor.0 == 0x1002
            && all.any(|other| beside(other, gpu) && other.vendor.0 == 0x1022 && !is_bridge(other)))
}

fn is_card(record: &PciDevice) -> bool {
    record.kind() == DeviceKind::Gpu && record.physical_function.is_none()
}

/// Whether `other` belongs to the card of `gpu`.
fn belongs(case: &Case<'_>, gpu: &PciDevice, other: &PciDevice) -> bool {
    let class = other.class.0 >> 8;
    let of_card = class == 0x0403 || matches!(class, 0x0c03 | 0x0c80) && !is_integrated(case, gpu);
    is_card(gpu) && beside(gpu, other) && other.vendor == gpu.vendor && of_card
}

/// What leaves the host with a function: its card, and their groups.
fn bundle(case: &Case<'_>, record: &PciDevice) -> BTreeSet<PciAddr> {
    let all = || case.host.pci().devices().iter();
    let mut bundle = BTreeSet::new();
    for own in all().filter(|own| own.address == record.address || belongs(case, record, own)) {
        bundle.insert(own.address);
        for mate in all().filter(|mate| own.iommu_group.is_some() && !is_bridge(mate)) {
            if mate.iommu_group == own.iommu_group {
                bundle.insert(mate.address);
            }
        }
    }
    bundle
}

/// Whether the host needs the group mate `mate` of a device with this bundle.
fn needs(case: &Case<'_>, bundle: &BTreeSet<PciAddr>, mate: &PciDevice) -> bool {
    let all = || case.host.pci().devices().iter();
    let of_some_card = |one: &PciDevice| all().any(|gpu| belongs(case, gpu, one));
    if for_vms(mate) || of_some_card(mate) {
        return false;
    }
    let class = |one: &PciDevice| one.class.0 >> 8;
    let display = |one: &PciDevice| {
        matches!(class(one), 0x0300 | 0x0301 | 0x0380) && one.physical_function.is_none()
    };
    let usb = |one: &PciDevice| class(one) == 0x0c03;
    let last = |is: &dyn Fn(&PciDevice) -> bool| {
        let left = |one: &&PciDevice| !bundle.contains(&one.address) && is(one);
        is(mate) && all().filter(left).all(of_some_card)
    };
    let base = mate.class.0 >> 16;
    let network = base == 2 || class(mate) == 0x0c06;
    base == 1 || network || mate.boot_vga || last(&display) || last(&usb)
}

/// The functions of a device: its card and nothing else.
pub(super) fn functions(
    case: &Case<'_>,
    devices: &[PlacedDevice],
    device: &PlacedDevice,
    found: &mut Vec<Violation>,
) {
    let address = device.address;
    let Some(gpu) = case.host.pci().get(address) else { return };
    for &function in &device.functions {
        let Some(record) = case.host.pci().get(function) else { continue };
        if beside(gpu, record) && !belongs(case, gpu, record) {
            found.push(Violation::NotCompanion { address, function });
        }
    }
    let given =
        |missing| devices.iter().any(|d| d.address == missing || d.functions.contains(&missing));
    for record in case.host.pci().devices() {
        let missing = record.address;
        if belongs(case, gpu, record) && !given(missing) {
            found.push(Violation::CompanionMissing { address, missing });
        }
    }
}

/// What is withheld is nothing that the host needs.
pub(super) fn withheld(case: &Case<'_>, device: &PlacedDevice, found: &mut Vec<Violation>) {
    let address = device.address;
    let Some(record) = case.host.pci().get(address) else { return };
    let allowed = case.request.spec().allow_group || device.withheld.is_empty();
    let bundle = if allowed { BTreeSet::new() } else { bundle(case, record) };
    for &taken in &device.withheld {
        let Some(mate) = case.host.pci().get(taken) else { continue };
        if bundle.contains(&taken) && needs(case, &bundle, mate) {
            found.push(Violation::NeededTaken { address, taken });
        }
    }
}

/// What the host loses with a GPU: the larger, the more.
fn loss(case: &Case<'_>, gpu: &PciDevice) -> u8 {
    match (is_integrated(case, gpu), for_vms(gpu)) {
        (true, false) => 6,
        (true, true) => 2,
        (false, true) if gpu.boot_vga => 1,
        (false, false) if gpu.boot_vga => 5,
        (false, _) if gpu.used_for.contains(&HostUse::Processes) => 4,
        (false, false) if gpu.driver.is_some() => 3,
        (false, _) => 0,
    }
}

/// Whether a GPU inside a processor may be taken unasked: it is held for VMs, or it is the only
/// GPU.
pub(super) fn is_offered(case: &Case<'_>, gpu: &PciDevice) -> bool {
    let inside = |one: &PciDevice| is_integrated(case, one);
    let gpus = case.host.gpus().iter().filter_map(|gpu| case.host.pci().get(gpu.address));
    !inside(gpu) || for_vms(gpu) || gpus.into_iter().all(inside)
}

/// No GPU that is chosen by number costs the host more than one that is free.
pub(super) fn losses(
    case: &Case<'_>,
    devices: &[PlacedDevice],
    placed: &BTreeSet<PciAddr>,
    found: &mut Vec<Violation>,
) {
    let spec = case.request.spec();
    let GpuRequest::Count { model, .. } = &spec.gpus else { return };
    let policies = &spec.policies;
    // A required property may leave no other choice.
    let bound = [policies.same_switch, policies.linked_gpus, policies.fabric_partition];
    let near = spec.device_wishes.iter().any(|wish| wish.near == Policy::Require);
    if near || bound.contains(&Policy::Require) {
        return;
    }
    let pci = case.host.pci();
    let free = |gpu: &PciDevice| {
        let bundle = bundle(case, gpu);
        let own = |mate: &PciDevice| mate.address == gpu.address || belongs(case, gpu, mate);
        let mates = bundle.iter().filter_map(|mate| pci.get(*mate)).filter(|mate| !own(mate));
        let open = |mate: &PciDevice| {
            spec.allow_group || spec.devices.contains(&mate.address) || !needs(case, &bundle, mate)
        };
        !placed.contains(&gpu.address)
            && !spec.devices.contains(&gpu.address)
            && functions::may_be_given(case, gpu, &bundle)
            && mates.into_iter().all(open)
    };
    let wanted = |gpu: &PciDevice, name: &str| match model {
        Some(model) => {
            let (part, name) = (model.to_lowercase(), name.to_lowercase());
            let ids = format!("{:04x}:{:04x}", gpu.vendor.0, gpu.device.0);
            name.contains(&part) || ids.contains(&part)
        }
        None => is_offered(case, gpu),
    };
    let mut others = Vec::new();
    for gpu in case.host.gpus() {
        let Some(record) = pci.get(gpu.address) else { continue };
        if wanted(record, &gpu.model) && free(record) {
            others.push((loss(case, record), gpu.address));
        }
    }
    let Some((least, other)) = others.into_iter().min() else { return };
    for device in devices.iter().filter(|device| device.is_gpu) {
        let Some(record) = pci.get(device.address) else { continue };
        // One that is not offered at all is a violation of its own.
        let offered = model.is_some() || is_offered(case, record);
        if is_card(record) && offered && loss(case, record) > least {
            found.push(Violation::LossAvoidable { address: device.address, other });
        }
    }
}
