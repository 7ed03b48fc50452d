//! Checks of the warnings about devices that are farther from their GPUs than asked for. Which of
//! several devices is told to be apart is open; how many are, and where each is, is not.

use super::wishes::{beside, is_kind, is_wished, meet};
use super::wrong_warning::WrongWarning;
use crate::host::Host;
use crate::placement::Placement;
use crate::request::{Nearness, Policy, Request};
use crate::warnings::Warning;

/// The warnings about devices apart that are false, and the numbers that are wrong.
pub(super) fn wrongly_apart(
    host: &Host,
    request: &Request,
    placement: &Placement,
    warnings: &[Warning],
) -> Vec<WrongWarning> {
    let mut gpus = Vec::new();
    for device in placement.devices.iter().filter(|device| device.is_gpu) {
        gpus.push(device.address);
    }
    let mut told: Vec<&Warning> = Vec::new();
    for warning in warnings {
        if matches!(warning, Warning::DeviceApart { .. }) {
            told.push(warning);
        }
    }
    let mut found = Vec::new();
    for wish in request.spec().device_wishes.iter().filter(|wish| wish.near != Policy::Ignore) {
        let mut chosen = Vec::new();
        for device in placement.devices.iter().filter(|d| is_wished(host, request, d)) {
            if host.pci().get(device.address).is_some_and(|record| is_kind(record, wish.kind)) {
                chosen.push(device.address);
            }
        }
        let apart = match gpus.is_empty() {
            true => 0,
            false => chosen.len() - beside(host, wish, &gpus, &chosen),
        };
        let mut of_wish = 0;
        told.retain(|warning| {
            let Warning::DeviceApart { address, gpu, within } = warning else { return true };
            let near = |part: &Nearness| gpu.is_some_and(|gpu| meet(host, gpu, *address, *part));
            let is_gpu = gpu.is_none_or(|gpu| gpus.contains(&gpu));
            let smallest = Nearness::ALL.into_iter().find(near);
            let holds = is_gpu && smallest == *within && !near(&wish.within);
            let is_true = chosen.contains(address) && holds;
            of_wish += usize::from(is_true);
            !is_true
        });
        if of_wish != apart {
            found.push(WrongWarning::Apart { kind: wish.kind, told: of_wish, apart });
        }
    }
    // What no wish accounts for is false.
    let wrong = |warning: &Warning| WrongWarning::False { warning: warning.clone() };
    found.extend(told.into_iter().map(wrong));
    found
}
