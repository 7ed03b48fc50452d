//! Free GPUs.

use super::devices::holder;
use crate::host::derived::GpuMask;
use crate::host::{Gpu, Host};
use crate::units::PciAddr;
use crate::usage::Usage;

/// The GPUs that a request for a number of GPUs may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Eligible {
    /// Those that match the model, are free, and are not named as another device of the request.
    pub(crate) free: GpuMask,
    /// Those that match the model, free or not.
    pub(crate) matching: GpuMask,
}

/// The GPUs for a request that names `model`, or none, and `devices` beside its GPUs.
pub(crate) fn eligible(
    host: &Host,
    usage: &Usage,
    model: Option<&str>,
    devices: &[PciAddr],
) -> Eligible {
    let (mut free, mut matching) = (0, 0);
    for (at, gpu) in host.gpus().iter().enumerate() {
        if matches_model(gpu, host, model) {
            matching |= 1 << at;
            if holder(host, usage, gpu.address).is_none() && !devices.contains(&gpu.address) {
                free |= 1 << at;
            }
        }
    }
    Eligible { free, matching }
}

/// Whether the GPU's model or its PCI ids contain `model`. Where no model is asked for, any GPU that is
/// not integrated into the processor.
fn matches_model(gpu: &Gpu, host: &Host, model: Option<&str>) -> bool {
    let Some(model) = model else { return !gpu.integrated };
    let wanted = model.to_lowercase();
    let ids = host.pci().get(gpu.address).map(|d| format!("{:04x}:{:04x}", d.vendor.0, d.device.0));
    gpu.model.to_lowercase().contains(&wanted) || ids.is_some_and(|ids| ids.contains(&wanted))
}

/// The GPUs that nobody holds and that VMs usually ask for.
pub(crate) fn free_gpus(host: &Host, usage: &Usage) -> GpuMask {
    let gpus = host.gpus().iter().enumerate();
    let free = gpus.filter(|(_, gpu)| !gpu.integrated && usage.holder_of(gpu.address).is_none());
    free.fold(0, |mask, (at, _)| mask | (1 << at))
}

/// The GPUs that each tenant holds.
pub(crate) fn tenants_gpus(host: &Host, usage: &Usage) -> Vec<GpuMask> {
    let mut tenants: Vec<(&str, GpuMask)> = Vec::new();
    for (at, gpu) in host.gpus().iter().enumerate() {
        let Some(holder) = usage.holder_of(gpu.address) else { continue };
        match tenants.iter_mut().find(|(name, _)| *name == holder) {
            Some((_, gpus)) => *gpus |= 1 << at,
            None => tenants.push((holder, 1 << at)),
        }
    }
    tenants.into_iter().map(|(_, gpus)| gpus).collect()
}
