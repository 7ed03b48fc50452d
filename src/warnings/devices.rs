//! Devices away from the VM, and the fabric between its GPUs.

use super::warning::Warning;
use crate::engine::beside::levels;
use crate::engine::wished::{Beside, Wished};
use crate::host::Host;
use crate::placement::{PlacedDevice, Placement};
use crate::request::{Policy, Request};
use crate::sets::NodeSet;

/// The warning about a device on a node that holds nothing of the VM. A VM that floats is near
/// every device or none, and gets no such warning.
pub(super) fn elsewhere(device: &PlacedDevice, nodes: &NodeSet) -> Option<Warning> {
    let node = device.node.filter(|node| !nodes.is_empty() && !nodes.contains(*node))?;
    let (address, nodes) = (device.address, nodes.clone());
    Some(match device.is_gpu {
        true => Warning::RemoteGpu { address, node, nodes },
        false => Warning::RemoteDevice { address, node, nodes },
    })
}

/// The warnings about devices that are chosen by kind and farther from their GPU than asked for.
pub(super) fn apart(host: &Host, request: &Request, placement: &Placement, all: &mut Vec<Warning>) {
    let gpus: Vec<_> = placement.gpus().map(|gpu| gpu.address).collect();
    if request.spec().device_wishes.is_empty() || gpus.is_empty() {
        return;
    }
    for (wish, pair) in Wished::of(host, request, placement).beside(host, &gpus) {
        let Beside { device: address, gpu, within } = pair;
        let near = within.is_some_and(|within| levels(within) <= levels(wish.within));
        if !near && wish.near != Policy::Ignore {
            all.push(Warning::DeviceApart { address, gpu, within });
        }
    }
}

/// The warnings about the fabric: the partition to activate, or that none is known although the
/// host has NVSwitches.
pub(super) fn fabric(
    host: &Host,
    request: &Request,
    placement: &Placement,
    all: &mut Vec<Warning>,
) {
    all.extend(placement.fabric_partition.map(|id| Warning::ActivatePartition { id }));
    let spec = request.spec();
    let switches = host.untold_fabric(&spec.devices);
    let peers = placement.gpus().count() > 1 && spec.peer_to_peer != Some(false);
    if peers && !switches.is_empty() {
        all.push(Warning::UntoldFabric { switches: switches.to_vec() });
    }
}
