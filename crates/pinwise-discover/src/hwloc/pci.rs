//! PCI functions and bridges, each with its node.

use super::function::FoundDevice;
use super::note::LstopoNote;
use super::walk::Found;
use crate::notes::Notes;
use pinwise::host::NodeSpec;
use pinwise::host::PciDevice;
use pinwise::sets::CpuSet;

/// The PCI functions with their nodes. A function is on the node of its nearby pCPUs; if these are
/// of several nodes, it is equally near to each of them, and its node is `None`.
pub(super) fn finish(
    found: &Found<'_>,
    nodes: &[NodeSpec],
    online: &CpuSet,
    notes: &mut Notes,
) -> Vec<PciDevice> {
    let node = |cpus: &CpuSet| {
        let cpus = cpus.intersection(online);
        let mut near = nodes.iter().filter(|node| node.cpus.intersects(&cpus)).map(|n| n.id);
        near.next().filter(|_| near.next().is_none())
    };
    let places: Vec<_> = found.places.iter().map(node).collect();
    if !found.devices.is_empty() {
        notes.add(LstopoNote::FunctionsInPart);
    }
    let device = |device: &FoundDevice| PciDevice {
        node: device.place.and_then(|at| places.get(at)).copied().flatten(),
        ..device.function.clone()
    };
    found.devices.iter().map(device).collect()
}
