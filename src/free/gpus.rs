//! Free GPUs.

use super::devices::holder;
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
}

/// The GPUs for a request that names `model` (or none) and `devices` besides its GPUs.
pub(crate) fn eligible(
    host: &Host,
    usage: &Usage,
    model: Option<&str>,
    devices: &[PciAddr],
) -> Eligible {
    let (mut free, mut matching) = (GpuMask::EMPTY, GpuMask::EMPTY);
    for (at, gpu) in host.gpus().iter().enumerate() {
        if matches_model(gpu, host, model) {
            matching.insert(at);
            if holder(host, usage, gpu.address).is_none() && !devices.contains(&gpu.address) {
                free.insert(at);
            }
        }
    }
    Eligible { free, matching }
}

/// Whether the GPU's model or PCI ids contain `model`. Without a model, any GPU matches that is not
/// integrated into the processor.
fn matches_model(gpu: &Gpu, host: &Host, model: Option<&str>) -> bool {
    let Some(model) = model else { return !gpu.integrated };
    let wanted = model.to_lowercase();
    let ids = host.pci().get(gpu.address).map(|d| format!("{:04x}:{:04x}", d.vendor.0, d.device.0));
    gpu.model.to_lowercase().contains(&wanted) || ids.is_some_and(|ids| ids.contains(&wanted))
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
