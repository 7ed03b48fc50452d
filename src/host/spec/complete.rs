//! Facts about virtual functions that their physical functions tell.

use crate::host::pcie::{DeviceKind, PciDevice};

/// Adds what the descriptions of virtual functions leave out: a virtual function is on the node and
/// below the bridge of its physical function. The devices must be sorted by address.
pub(super) fn complete(devices: &mut [PciDevice]) {
    let of_physical: Vec<_> = devices
        .iter()
        .map(|device| {
            let at = |physical| devices.binary_search_by_key(&physical, |d| d.address).ok();
            let physical = device.physical_function.and_then(at).map(|at| &devices[at])?;
            // A bridge may be above others: a new parent could close a circle.
            let sound = physical.physical_function.is_none()
                && [device, physical].iter().all(|d| d.kind() != DeviceKind::Bridge);
            sound.then_some((physical.node, physical.parent))
        })
        .collect();
    for (device, of_physical) in devices.iter_mut().zip(of_physical) {
        if let Some((node, parent)) = of_physical {
            device.node = device.node.or(node);
            device.parent = device.parent.or(parent);
        }
    }
}
