//! Peer-to-peer traffic between GPUs below one switch.

use std::collections::BTreeSet;

use super::warning::Warning;
use crate::host::Host;
use crate::placement::Placement;
use crate::request::Request;
use crate::units::PciAddr;

/// The warning about GPUs that share a switch whose ports redirect their traffic. Ports of unknown
/// state cause no warning.
pub(super) fn peers(host: &Host, request: &Request, placement: &Placement, all: &mut Vec<Warning>) {
    if request.spec().peer_to_peer == Some(false) {
        return;
    }
    let given: Vec<PciAddr> = placement.gpus().map(|gpu| gpu.address).collect();
    let (mut gpus, mut ports) = (BTreeSet::new(), BTreeSet::new());
    let mut translated = true;
    for (at, a) in given.iter().enumerate() {
        for b in &given[at + 1..] {
            let linked = |link: &crate::host::pcie::GpuLink| {
                (link.a, link.b) == (*a, *b) || (link.b, link.a) == (*a, *b)
            };
            if host.gpu_links().iter().any(linked) {
                continue;
            }
            for port in host.pci().ports_between(*a, *b) {
                let Some(access) = port.access.filter(|access| access.request_redirect) else {
                    continue;
                };
                gpus.extend([*a, *b]);
                ports.insert(port.address);
                translated &= access.direct_translated;
            }
        }
    }
    if !ports.is_empty() {
        let (gpus, ports) = (gpus.into_iter().collect(), ports.into_iter().collect());
        all.push(Warning::RedirectedPeers { gpus, ports, translated });
    }
}
