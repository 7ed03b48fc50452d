//! The fabric between GPUs that NVSwitches make: their addresses, and the partition of a set of
//! GPUs.

use super::Host;
use super::mask::GpuMask;
use super::pcie::{PciDevice, PciTree};
use crate::units::PciAddr;

/// NVIDIA's vendor id.
const NVIDIA: u16 = 0x10de;
/// The class and subclass of an NVSwitch: another kind of bridge.
const OTHER_BRIDGE: u32 = 0x0680;

/// Whether the function is an NVSwitch.
fn is_nvswitch(device: &PciDevice) -> bool {
    device.class.0 >> 8 == OTHER_BRIDGE && device.vendor.0 == NVIDIA
}

/// The NVSwitches among the functions, by address.
pub(super) fn nvswitches(pci: &PciTree) -> Vec<PciAddr> {
    pci.devices().iter().filter(|d| is_nvswitch(d)).map(|device| device.address).collect()
}

impl Host {
    /// The NVSwitches that stay with the host although nobody knows which partitions its fabric
    /// manager offers: empty if the host has no NVSwitch, if partitions are known, or if a VM is
    /// given all NVSwitches in `devices` and runs the fabric manager itself. Unless it is empty,
    /// NVLinks between the VM's GPUs may be switched off.
    pub(crate) fn untold_fabric(&self, devices: &[PciAddr]) -> &[PciAddr] {
        let switches = &self.derived().nvswitches;
        let given = switches.iter().all(|switch| devices.contains(switch));
        if given || !self.fabric_partitions().is_empty() { &[] } else { switches }
    }

    /// The number of the first fabric partition that has exactly these GPUs.
    pub(crate) fn partition_of(&self, gpus: GpuMask) -> Option<u32> {
        let at = self.derived().partitions.iter().position(|partition| *partition == gpus)?;
        Some(self.fabric_partitions()[at].id)
    }
}
