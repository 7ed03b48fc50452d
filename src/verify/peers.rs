//! Check of the warning about GPUs below one switch, derived again from the functions' parents.

use std::collections::{BTreeMap, BTreeSet};

use crate::host::Host;
use crate::placement::Placement;
use crate::request::Request;
use crate::units::PciAddr;
use crate::warnings::Warning;

/// The warning that is expected, if any.
pub(super) fn redirected(host: &Host, request: &Request, placement: &Placement) -> Option<Warning> {
    let mut devices = BTreeMap::new();
    for device in host.pci().devices() {
        devices.insert(device.address, device);
    }
    let above = |address: PciAddr| {
        let mut chain = Vec::new();
        let mut up = devices.get(&address).and_then(|device| device.parent);
        while let Some(bridge) = up {
            chain.push(bridge);
            up = devices.get(&bridge).and_then(|device| device.parent);
        }
        chain
    };
    let mut linked = BTreeSet::new();
    for link in host.gpu_links() {
        linked.insert((link.a, link.b));
        linked.insert((link.b, link.a));
    }
    let mut gpus = BTreeSet::new();
    let mut through: BTreeMap<PciAddr, bool> = BTreeMap::new();
    for a in placement.devices.iter().filter(|device| device.is_gpu) {
        for b in placement.devices.iter().filter(|device| device.is_gpu) {
            let (a, b) = (a.address, b.address);
            let (of_a, of_b) = (above(a), above(b));
            let meet = of_a.iter().find(|bridge| of_b.contains(bridge));
            if a == b || meet.is_none() || linked.contains(&(a, b)) {
                continue;
            }
            // The path down to b is the path up from b, reversed.
            for port in of_a.iter().take_while(|bridge| Some(*bridge) != meet) {
                let access = devices.get(port).and_then(|device| device.access);
                if let Some(access) = access.filter(|access| access.request_redirect) {
                    gpus.extend([a, b]);
                    through.insert(*port, access.direct_translated);
                }
            }
        }
    }
    if through.is_empty() || request.spec().peer_to_peer == Some(false) {
        return None;
    }
    Some(Warning::RedirectedPeers {
        gpus: gpus.into_iter().collect(),
        translated: through.values().all(|translated| *translated),
        ports: through.into_keys().collect(),
    })
}
