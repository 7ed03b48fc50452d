//! A host whose list of GPUs has virtual functions in it.
//!
//! The search keeps sets of GPUs in one machine word of positions in [`Host::gpus`]. Eight cards
//! with 48 virtual functions each would need 384 positions, so virtual functions are not in that
//! list. A request for virtual functions is answered on a copy of the host whose list has those
//! that the request may be given (`free::virtual_gpus` chooses at most 64), and the whole GPUs.

use super::limits::MAX_GPUS;
use super::pcie::DeviceKind;
use super::{Gpu, Host};
use crate::units::PciAddr;

impl Host {
    /// The same host, with the GPUs at `wanted` in its list, whole or virtual, and as many of the
    /// others as there is room for, lowest address first. At most 64 may be wanted. Other addresses
    /// than those of GPUs are ignored.
    pub(crate) fn with_gpus(&self, wanted: &[PciAddr]) -> Self {
        let is_gpu = |address: &&PciAddr| {
            self.pci.get(**address).is_some_and(|device| device.kind() == DeviceKind::Gpu)
        };
        let mut listed: Vec<PciAddr> = wanted.iter().filter(is_gpu).copied().collect();
        let others = self.gpus.iter().map(|gpu| gpu.address).filter(|at| !wanted.contains(at));
        listed.extend(others.take(MAX_GPUS.saturating_sub(listed.len())));
        listed.sort_unstable();
        let gpu =
            |address: &PciAddr| self.pci.get(*address).map(|device| Gpu::of(&self.pci, device));
        let gpus: Vec<Gpu> = listed.iter().filter_map(gpu).collect();
        let (links, partitions) = (&self.spec.gpu_links, &self.spec.fabric_partitions);
        let derived = self.derived.clone();
        let derived = derived.with_gpus(&self.nodes, &self.pci, &gpus, links, partitions);
        Self { gpus, derived, ..self.clone() }
    }
}
