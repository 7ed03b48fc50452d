//! Free GPUs.

use super::devices::may_be_parent;
use crate::host::derived::GpuFacts;
use crate::host::mask::GpuMask;
use crate::host::{Gpu, Host};
use crate::units::PciAddr;
use crate::usage::Usage;

/// The GPUs that a request may be given if it asks for a number of GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Eligible {
    /// GPUs that match the model, are free, and are not named among the request's other devices.
    pub(crate) free: GpuMask,
    /// GPUs that match the model, free or not.
    pub(crate) matching: GpuMask,
    /// Those of the matching GPUs that are given by address only, as they have virtual functions.
    pub(crate) split: GpuMask,
    /// Those of the matching GPUs that are not given by number, as a tenant may hold a share of
    /// them: see [`unnamed_parents`].
    pub(crate) unsure: GpuMask,
}

/// The whole GPUs for a request that names `model` (or none) and `devices` besides its GPUs.
pub(crate) fn eligible(
    host: &Host,
    usage: &Usage,
    model: Option<&str>,
    devices: &[PciAddr],
) -> Eligible {
    let none = GpuMask::EMPTY;
    let mut all = Eligible { free: none, matching: none, split: none, unsure: none };
    let parents = unnamed_parents(host, usage);
    for (at, gpu) in host.gpus().iter().enumerate() {
        let facts = &host.derived().gpus[at];
        if facts.is_virtual || !matches_model(gpu, host, model) {
            continue;
        }
        all.matching.insert(at);
        if facts.is_split {
            all.split.insert(at);
        } else if parents.contains(at) {
            all.unsure.insert(at);
        } else if is_unheld(usage, facts) && !devices.contains(&gpu.address) {
            all.free.insert(at);
        }
    }
    all
}

/// Whether the GPU's model or PCI ids contain `model`. Without a model, any GPU matches that is not
/// integrated into the processor.
pub(super) fn matches_model(gpu: &Gpu, host: &Host, model: Option<&str>) -> bool {
    let Some(model) = model else { return !gpu.integrated };
    let wanted = model.to_lowercase();
    let ids = host.pci().get(gpu.address).map(|d| format!("{:04x}:{:04x}", d.vendor.0, d.device.0));
    gpu.model.to_lowercase().contains(&wanted) || ids.is_some_and(|ids| ids.contains(&wanted))
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

/// The GPUs of which a tenant may hold a share: those that may be the parent of a mediated device
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
