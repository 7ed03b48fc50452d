//! Checks of devices that the request asks for by kind: their number and model, what leaves the
//! host with them, and how near they are to the GPUs.

use super::case::Case;
use super::violation::Violation;
use crate::host::Host;
use crate::host::pcie::PciDevice;
use crate::placement::{PlacedDevice, Style};
use crate::request::{DeviceWish, Nearness, Policy, Request, WishKind, WishNumber};
use crate::units::PciAddr;

/// Whether the class of a function is one of the kind.
pub(super) fn is_kind(record: &PciDevice, kind: WishKind) -> bool {
    let class = record.class.0;
    match kind {
        // Network controllers, and InfiniBand controllers on the serial bus.
        WishKind::Nic => class >> 16 == 0x02 || class >> 8 == 0x0c06,
        WishKind::Nvme => class >> 8 == 0x0108,
    }
}

/// Whether a placed device is one that some wish asks for: not a GPU and not named.
pub(super) fn is_wished(host: &Host, request: &Request, device: &PlacedDevice) -> bool {
    let spec = request.spec();
    let Some(record) = host.pci().get(device.address) else { return false };
    let named = device.is_gpu || spec.devices.contains(&device.address);
    !named && spec.device_wishes.iter().any(|wish| is_kind(record, wish.kind))
}

pub(super) fn check(case: &Case<'_>, devices: &[PlacedDevice], found: &mut Vec<Violation>) {
    let mut gpus = Vec::new();
    for device in devices {
        if device.is_gpu {
            gpus.push(device.address);
        }
    }
    for wish in &case.request.spec().device_wishes {
        let mut chosen = Vec::new();
        for device in devices.iter().filter(|device| is_wished(case.host, case.request, device)) {
            let Some(record) = case.host.pci().get(device.address) else { continue };
            if is_kind(record, wish.kind) {
                chosen.push(device.address);
                one(wish, device, record, found);
            }
        }
        let wanted = match wish.number {
            WishNumber::PerGpu => gpus.len(),
            WishNumber::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
        };
        if chosen.len() != wanted {
            let (kind, found_here) = (wish.kind, chosen.len());
            found.push(Violation::WishCount { kind, found: found_here, wanted });
        }
        if wish.near == Policy::Require && case.style != Style::Default {
            let near = if gpus.is_empty() {
                chosen.iter().filter(|device| on_nodes(case, **device)).count()
            } else {
                beside(case.host, wish, &gpus, &chosen)
            };
            if near < chosen.len() {
                let (kind, within) = (wish.kind, wish.within.name());
                found.push(Violation::WishApart { kind, within, near, wanted: chosen.len() });
            }
        }
    }
}

/// Its model, and whether other cards leave the host with it, which nobody named.
fn one(wish: &DeviceWish, device: &PlacedDevice, record: &PciDevice, found: &mut Vec<Violation>) {
    let address = device.address;
    if let Some(wanted) = &wish.model {
        let part = wanted.to_lowercase();
        let ids = format!("{:04x}:{:04x}", record.vendor.0, record.device.0);
        let model = record.name.clone().unwrap_or_else(|| ids.clone());
        if !model.to_lowercase().contains(&part) && !ids.contains(&part) {
            found.push(Violation::WishModel { address, model, wanted: wanted.clone() });
        }
    }
    // Other functions of its own card may leave with it.
    let of_other = |taken: &&PciAddr| {
        let slot = |at: PciAddr| (at.domain, at.bus, at.device);
        slot(**taken) != slot(address)
    };
    if let Some(&withheld) = device.withheld.iter().find(of_other) {
        found.push(Violation::WishTakes { address, withheld });
    }
}

fn on_nodes(case: &Case<'_>, device: PciAddr) -> bool {
    let node = case.host.pci().get(device).and_then(|record| record.node);
    node.is_some_and(|node| case.nodes.contains(node))
}

/// The bridges above a function, the nearest first.
fn above(host: &Host, address: PciAddr) -> Vec<PciAddr> {
    let mut chain = Vec::new();
    let mut next = host.pci().get(address).and_then(|record| record.parent);
    // The host's bridges form trees, so this loop ends.
    while let Some(bridge) = next {
        chain.push(bridge);
        next = host.pci().get(bridge).and_then(|record| record.parent);
    }
    chain
}

/// Whether two functions meet within a part of the host.
pub(super) fn meet(host: &Host, a: PciAddr, b: PciAddr, within: Nearness) -> bool {
    let (of_a, of_b) = (above(host, a), above(host, b));
    let bridge = of_a.iter().any(|bridge| of_b.contains(bridge));
    let top = |own: PciAddr, chain: &[PciAddr]| {
        let top = chain.last().copied().unwrap_or(own);
        (top.domain, top.bus)
    };
    let root = top(a, &of_a) == top(b, &of_b);
    let node = |address| host.pci().get(address).and_then(|record| record.node);
    let one_node = node(a).is_some() && node(a) == node(b);
    match within {
        Nearness::Switch => bridge,
        Nearness::RootComplex => bridge || root,
        Nearness::Node => bridge || root || one_node,
    }
}

/// The number of devices that can be near a GPU at once: with one device for each GPU, the largest
/// number of pairs.
pub(super) fn beside(
    host: &Host,
    wish: &DeviceWish,
    gpus: &[PciAddr],
    chosen: &[PciAddr],
) -> usize {
    let near = |gpu: usize, device: usize| meet(host, gpus[gpu], chosen[device], wish.within);
    if matches!(wish.number, WishNumber::Count(_)) {
        let any = |device: &usize| (0..gpus.len()).any(|gpu| near(gpu, *device));
        return (0..chosen.len()).filter(any).count();
    }
    // Each device in turn takes a free GPU, or one whose device can move to another.
    let mut device_of: Vec<Option<usize>> = vec![None; gpus.len()];
    let mut paired = 0;
    for device in 0..chosen.len() {
        let mut seen = vec![false; gpus.len()];
        paired += usize::from(augment(device, &near, &mut device_of, &mut seen));
    }
    paired
}

fn augment(
    device: usize,
    near: &impl Fn(usize, usize) -> bool,
    device_of: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    for gpu in 0..device_of.len() {
        if seen[gpu] || !near(gpu, device) {
            continue;
        }
        seen[gpu] = true;
        let free = match device_of[gpu] {
            None => true,
            Some(other) => augment(other, near, device_of, seen),
        };
        if free {
            device_of[gpu] = Some(device);
            return true;
        }
    }
    false
}
