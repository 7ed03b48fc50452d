//! The NVSwitches of a host, which make a fabric between its GPUs.

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
