//! The devices that were chosen by kind, with the GPUs that they are beside.

use crate::engine::wished::{Beside, Wished};
use crate::host::Host;
use crate::placement::Placement;
use crate::request::{Nearness, Request};
use crate::units::PciAddr;

/// One line, such as `Devices: NIC 1c:00.0 (with GPU 1b:00.0 below one switch).`; `None` if the
/// request asks for no device by kind.
pub(super) fn devices_line(
    host: &Host,
    request: &Request,
    placement: &Placement,
) -> Option<String> {
    let gpus: Vec<_> = placement.gpus().map(|gpu| gpu.address).collect();
    let all = Wished::of(host, request, placement).beside(host, &gpus);
    let told: Vec<String> = all
        .into_iter()
        .map(|(wish, Beside { device, gpu, within })| {
            let place = match (gpu, within) {
                (Some(gpu), Some(within)) => {
                    let part = match within {
                        Nearness::Switch => "below one switch or root port",
                        Nearness::RootComplex => "in one root complex",
                        Nearness::Node => "on one node",
                    };
                    format!(" (with GPU {} {part})", short(gpu))
                }
                _ => match host.pci().get(device).and_then(|found| found.node) {
                    Some(node) => format!(" (node {node})"),
                    None => " (node unknown)".to_owned(),
                },
            };
            format!("{} {}{place}", wish.kind, short(device))
        })
        .collect();
    (!told.is_empty()).then(|| format!("Devices: {}.", told.join(", ")))
}

/// The address without its domain, if that is 0.
pub(super) fn short(address: PciAddr) -> String {
    let text = address.to_string();
    text.strip_prefix("0000:").map(str::to_owned).unwrap_or(text)
}
