//! Free GPUs.

use super::devices::holder;
use crate::host::mask::GpuMask;
use crate::host::{Gpu, Host, TakenFunction};
use crate::request::{GpuRequest, Request, RequestSpec};
use crate::units::PciAddr;
use crate::usage::Usage;

/// The GPUs that a request may be given if it asks for a number of GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Eligible {
    /// GPUs that match the model, are free, are not named among the request's other devices, and
    /// take nothing from the host that it needs, unless the request allows that.
    pub(crate) free: GpuMask,
    /// GPUs that only what they would take from the host keeps from being free.
    pub(crate) closed: GpuMask,
    /// GPUs that match the model, free or not.
    pub(crate) matching: GpuMask,
}

/// The GPUs for a request for a number of GPUs.
pub(crate) fn eligible(host: &Host, usage: &Usage, request: &Request) -> Eligible {
    let RequestSpec { gpus, devices, .. } = request.spec();
    let model = match gpus {
        GpuRequest::Count { model, .. } => model.as_deref(),
        GpuRequest::Addresses(_) => None,
    };
    let mut all =
        Eligible { free: GpuMask::EMPTY, closed: GpuMask::EMPTY, matching: GpuMask::EMPTY };
    for (at, gpu) in host.gpus().iter().enumerate() {
        if matches_model(at, gpu, host, model) {
            all.matching.insert(at);
            if holder(host, usage, gpu.address).is_none() && !devices.contains(&gpu.address) {
                let closed = !needed(host, request, at).is_empty();
                if closed { &mut all.closed } else { &mut all.free }.insert(at);
            }
        }
    }
    all
}

/// The functions that a GPU would take from a host that needs them: none if the request allows it,
/// or names them itself.
pub(crate) fn needed(host: &Host, request: &Request, at: usize) -> Vec<TakenFunction> {
    not_allowed(request, &host.derived().gpus[at].needed)
}

/// Those of `needed` functions that the request neither allows to take nor names.
pub(crate) fn not_allowed(request: &Request, needed: &[TakenFunction]) -> Vec<TakenFunction> {
    let RequestSpec { gpus, devices, allow_group, .. } = request.spec();
    let named: &[PciAddr] = if let GpuRequest::Addresses(named) = gpus { named } else { &[] };
    let is_open = |one: &&TakenFunction| {
        !*allow_group && !named.contains(&one.address) && !devices.contains(&one.address)
    };
    needed.iter().filter(is_open).copied().collect()
}

/// Whether the GPU's model or PCI ids contain `model`. Without a model, any GPU matches that is
/// offered by number: see [`Derived::offered`](crate::host::derived::Derived::offered).
fn matches_model(at: usize, gpu: &Gpu, host: &Host, model: Option<&str>) -> bool {
    let Some(model) = model else { return host.derived().offered.contains(at) };
    let wanted = model.to_lowercase();
    let ids = host.pci().get(gpu.address).map(|d| format!("{:04x}:{:04x}", d.vendor.0, d.device.0));
    gpu.model.to_lowercase().contains(&wanted) || ids.is_some_and(|ids| ids.contains(&wanted))
}

/// The GPUs that take from the host nothing that it needs.
pub(crate) fn harmless(host: &Host) -> GpuMask {
    let gpus = &host.derived().gpus;
    (0..gpus.len()).filter(|at| gpus[*at].needed.is_empty()).collect()
}

/// The GPUs of whose bundle no tenant holds any function, including integrated GPUs.
pub(crate) fn unheld(host: &Host, usage: &Usage) -> GpuMask {
    let gpus = &host.derived().gpus;
    let is_held = |member: &PciAddr| usage.holder_of(*member).is_some();
    (0..gpus.len()).filter(|at| !gpus[*at].bundle.iter().any(is_held)).collect()
}

/// The GPUs that are not integrated into the processor.
pub(crate) fn discrete(host: &Host) -> GpuMask {
    (0..host.gpus().len()).filter(|at| !host.gpus()[*at].integrated).collect()
}

/// The GPUs that VMs usually ask for and may have: unheld and not integrated.
pub(crate) fn free(host: &Host, usage: &Usage) -> GpuMask {
    unheld(host, usage) & discrete(host)
}

/// The GPUs that a request for a number of GPUs of any model is offered: unheld, and without a group
/// that takes from the host what it needs.
pub(crate) fn offered(host: &Host, usage: &Usage) -> GpuMask {
    unheld(host, usage) & host.derived().offered & harmless(host)
}

/// For each tenant with GPUs, the GPUs of whose bundle it holds a function.
pub(crate) fn held_by_tenants(host: &Host, usage: &Usage) -> Vec<GpuMask> {
    let mut tenants: Vec<(&str, GpuMask)> = Vec::new();
    for (at, gpu) in host.derived().gpus.iter().enumerate() {
        for holder in gpu.bundle.iter().filter_map(|member| usage.holder_of(*member)) {
            match tenants.iter_mut().find(|(name, _)| *name == holder) {
                Some((_, gpus)) => gpus.insert(at),
                None => tenants.push((holder, GpuMask::one(at))),
            }
        }
    }
    tenants.into_iter().map(|(_, gpus)| gpus).collect()
}
