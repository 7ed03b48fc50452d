//! Checks of fabric partitions: the one that a placement names, links behind NVSwitches whose
//! partitions are unknown, and the warnings about both.

use super::case::Case;
use super::violation::Violation;
use crate::host::Host;
use crate::host::pcie::PciClass;
use crate::placement::{PlacedDevice, Placement};
use crate::request::{Policy, Request};
use crate::units::PciAddr;
use crate::warnings::Warning;

fn gpus(devices: &[PlacedDevice]) -> Vec<PciAddr> {
    let mut gpus = Vec::new();
    for device in devices {
        if device.is_gpu {
            gpus.push(device.address);
        }
    }
    gpus.sort_unstable();
    gpus
}

/// The NVSwitches of a host without known partitions, unless the VM is given all of them.
fn untold(host: &Host, devices: &[PlacedDevice]) -> Vec<PciAddr> {
    let mut switches = Vec::new();
    if host.fabric_partitions().is_empty() {
        for device in host.pci().devices() {
            // Any programming interface of the class "other bridge", made by NVIDIA.
            let PciClass(class) = device.class;
            if (0x06_8000..=0x06_80ff).contains(&class) && device.vendor.0 == 0x10de {
                switches.push(device.address);
            }
        }
    }
    let mut missing = switches.iter();
    let all_given = !missing
        .any(|switch| !devices.iter().any(|given| !given.is_gpu && given.address == *switch));
    if all_given { Vec::new() } else { switches }
}

/// Whether the partition with this number has exactly these GPUs.
fn is_partition(host: &Host, id: u32, gpus: &[PciAddr]) -> bool {
    host.fabric_partitions().iter().any(|partition| {
        let mut listed = partition.gpus.clone();
        listed.sort_unstable();
        partition.id == id && listed == gpus
    })
}

/// The named partition is the one that the GPUs form, and none is named only if they form none.
/// Required links behind NVSwitches need a known partition.
pub(super) fn check(
    case: &Case<'_>,
    devices: &[PlacedDevice],
    named: Option<u32>,
    found: &mut Vec<Violation>,
) {
    let gpus = gpus(devices);
    let ids = case.host.fabric_partitions().iter().map(|partition| partition.id);
    let mut formed = ids.filter(|id| is_partition(case.host, *id, &gpus));
    let right = match named {
        Some(id) => is_partition(case.host, id, &gpus),
        None => formed.clone().next().is_none(),
    };
    if !right {
        found.push(Violation::WrongPartition { found: named, wanted: formed.next() });
    }
    let linked = case.request.spec().policies.linked_gpus == Policy::Require && gpus.len() > 1;
    if linked && !untold(case.host, devices).is_empty() {
        found.push(Violation::UntoldFabric { gpus });
    }
}

/// The expected warnings: which partition to activate, or that none is known.
pub(super) fn expected(host: &Host, request: &Request, placement: &Placement) -> Vec<Warning> {
    let gpus = gpus(&placement.devices);
    let mut all = Vec::new();
    for partition in host.fabric_partitions() {
        if all.is_empty() && is_partition(host, partition.id, &gpus) {
            all.push(Warning::ActivatePartition { id: partition.id });
        }
    }
    let switches = untold(host, &placement.devices);
    let peers = gpus.len() > 1 && request.spec().peer_to_peer != Some(false);
    if peers && !switches.is_empty() {
        all.push(Warning::UntoldFabric { switches });
    }
    all
}
