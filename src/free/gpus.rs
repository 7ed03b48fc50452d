//! Free GPUs.

use super::devices::may_be_parent;
use crate::host::derived::GpuFacts;
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
    /// Those of the matching GPUs that are given by address only, as they have virtual functions.
    pub(crate) split: GpuMask,
    /// Those of the matching GPUs that are not given by number, as a tenant may hold a share of
    /// them: see [`unnamed_parents`].
    pub(crate) unsure: GpuMask,
}

/// The whole GPUs for a request for a number of them.
pub(crate) fn eligible(host: &Host, usage: &Usage, request: &Request) -> Eligible {
    let RequestSpec { gpus, devices, .. } = request.spec();
    let model = match gpus {
        GpuRequest::Count { model, .. } => model.as_deref(),
        GpuRequest::Addresses(_) | GpuRequest::VfOf { .. } => None,
    };
    let none = GpuMask::EMPTY;
    let mut all = Eligible { free: none, closed: none, matching: none, split: none, unsure: none };
    let parents = unnamed_parents(host, usage);
    for (at, gpu) in host.gpus().iter().enumerate() {
        let facts = &host.derived().gpus[at];
        let matches = match model {
            Some(model) => is_model(gpu, host, model),
            None => host.derived().offered.contains(at),
        };
        if facts.is_virtual || !matches {
            continue;
        }
        all.matching.insert(at);
        if facts.is_split {
            all.split.insert(at);
        } else if parents.contains(at) {
            all.unsure.insert(at);
        } else if is_unheld(usage, facts) && !devices.contains(&gpu.address) {
            let closed = !needed(host, request, at).is_empty();
            if closed { &mut all.closed } else { &mut all.free }.insert(at);
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

/// Whether the GPU's model or PCI ids contain `model`.
pub(super) fn is_model(gpu: &Gpu, host: &Host, model: &str) -> bool {
    let wanted = model.to_lowercase();
    let ids = host.pci().get(gpu.address).map(|d| format!("{:04x}:{:04x}", d.vendor.0, d.device.0));
    gpu.model.to_lowercase().contains(&wanted) || ids.is_some_and(|ids| ids.contains(&wanted))
}

/// The GPUs that take from the host nothing that it needs.
pub(crate) fn harmless(host: &Host) -> GpuMask {
    let gpus = &host.derived().gpus;
    (0..gpus.len()).filter(|at| gpus[*at].needed.is_empty()).collect()
}

/// The GPUs of whose bundle no tenant holds any function, and whose bundle excludes no function
/// that a tenant holds; integrated GPUs and those with virtual functions included.
pub(crate) fn unheld(host: &Host, usage: &Usage) -> GpuMask {
    let gpus = &host.derived().gpus;
    (0..gpus.len()).filter(|at| is_unheld(usage, &gpus[*at])).collect()
}

fn is_unheld(usage: &Usage, gpu: &GpuFacts) -> bool {
    let is_held =
        |member: &PciAddr| usage.holder_of(*member).is_some() || usage.sharer_of(*member).is_some();
    !gpu.bundle.iter().any(is_held) && !gpu.excludes.iter().any(is_held)
}

/// The GPUs that are given to a request for a number of GPUs of any model: not integrated into the
/// processor, and without virtual functions.
pub(crate) fn by_number(host: &Host) -> GpuMask {
    (0..host.gpus().len()).filter(|at| host.derived().gpus[*at].by_number).collect()
}

/// The GPUs that a tenant may hold a share of: those that may be the parent of a mediated device
/// whose parent is unknown. None where every parent is known.
pub(crate) fn unnamed_parents(host: &Host, usage: &Usage) -> GpuMask {
    if usage.unnamed_shares().next().is_none() {
        return GpuMask::EMPTY;
    }
    let gpus = host.gpus().iter().enumerate();
    gpus.filter(|(_, gpu)| may_be_parent(host, gpu.address)).map(|(at, _)| at).collect()
}

/// The GPUs that VMs usually ask for and may have: unheld, and given by number.
pub(crate) fn free(host: &Host, usage: &Usage) -> GpuMask {
    (unheld(host, usage) & by_number(host)) - unnamed_parents(host, usage)
}

/// The GPUs that a request for a number of GPUs of any model is offered: unheld, and without a
/// group that takes from the host what it needs.
pub(crate) fn offered(host: &Host, usage: &Usage) -> GpuMask {
    let kind = host.derived().offered & harmless(host) & whole(host);
    (unheld(host, usage) & kind) - unnamed_parents(host, usage)
}

/// The GPUs that are neither virtual functions nor have any.
fn whole(host: &Host) -> GpuMask {
    let gpus = &host.derived().gpus;
    (0..gpus.len()).filter(|at| !gpus[*at].is_virtual && !gpus[*at].is_split).collect()
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
