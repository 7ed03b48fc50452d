//! The role of a PCI function on its host: part of a GPU's card, lost by the host, or in use.

use super::host_use::HostUse;
use super::pcie::{DeviceKind, PciClass, PciDevice};
use crate::units::PciAddr;

/// Drivers that hold a function for VMs.
const FOR_VMS: [&str; 2] = ["vfio-pci", "pci-stub"];

/// AMD's processor parts, among them the security processor beside an integrated GPU.
const AMD_PROCESSOR: u16 = 0x1022;
/// AMD's GPUs.
const AMD_GPU: u16 = 0x1002;
const INTEL: u16 = 0x8086;
/// The slot of the GPU in Intel's processors.
const INTEL_GPU_SLOT: u8 = 2;

/// Classes with their subclass.
const AUDIO: u32 = 0x0403;
const USB: u32 = 0x0c03;
const UCSI: u32 = 0x0c80;
const HOST_BRIDGE: u32 = 0x0600;
const DISPLAYS: [u32; 3] = [0x0300, 0x0301, 0x0380];

/// A function that leaves the host although no VM receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TakenFunction {
    /// The address.
    pub address: PciAddr,
    /// The class, which says what the host loses.
    pub class: PciClass,
}

impl From<&PciDevice> for TakenFunction {
    fn from(device: &PciDevice) -> Self {
        Self { address: device.address, class: device.class }
    }
}

/// What the host loses with a GPU, least first. A request for a number of GPUs takes none with a
/// larger loss while one with a smaller loss is free. The order is ours: a driver can be unbound,
/// processes die with it, and a display is what the operator may need to undo the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Loss {
    /// Nothing: no driver of the host's own holds it.
    Nothing,
    /// Held for VMs, although the firmware shows its console on it.
    Console,
    /// Integrated into the processor and held for VMs.
    Integrated,
    /// A driver of the host holds it.
    Driver,
    /// Processes of the host use it.
    Processes,
    /// The host's display.
    Display,
    /// Integrated into the processor, and not held for VMs.
    Processor,
}

impl Loss {
    pub(crate) fn of(gpu: &PciDevice, integrated: bool) -> Self {
        match gpu {
            _ if integrated && gpu.is_for_vms() => Self::Integrated,
            _ if integrated => Self::Processor,
            _ if gpu.boot_vga && gpu.is_for_vms() => Self::Console,
            _ if gpu.boot_vga => Self::Display,
            _ if gpu.used_for.contains(&HostUse::Processes) => Self::Processes,
            _ if gpu.host_driver().is_some() => Self::Driver,
            _ => Self::Nothing,
        }
    }
}

impl PciDevice {
    fn subclass(&self) -> u32 {
        self.class.0 >> 8
    }

    /// Whether it is a device of its own: neither a PCI-to-PCI bridge nor a host bridge. Bridges
    /// stay with the host even inside a shared IOMMU group: VFIO does not ask for them.
    #[must_use]
    pub fn is_endpoint(&self) -> bool {
        self.kind() != DeviceKind::Bridge && self.subclass() != HOST_BRIDGE
    }

    /// The driver of the host that is bound to it; `None` if none is, or one that holds it for VMs
    /// (`vfio-pci`, `pci-stub`).
    #[must_use]
    pub fn host_driver(&self) -> Option<&str> {
        self.driver.as_deref().filter(|driver| !FOR_VMS.contains(driver))
    }

    /// Whether its driver holds it for VMs, so that the host does without it already.
    #[must_use]
    pub fn is_for_vms(&self) -> bool {
        self.driver.as_deref().is_some_and(|driver| FOR_VMS.contains(&driver))
    }

    /// Whether it is a display controller, a console adapter included. Pure accelerators
    /// (0x030200, 0x120000) show no picture.
    pub(crate) fn is_display(&self) -> bool {
        DISPLAYS.contains(&self.subclass()) && self.physical_function.is_none()
    }

    pub(crate) fn is_usb(&self) -> bool {
        self.subclass() == USB
    }

    pub(crate) fn is_storage(&self) -> bool {
        self.class.0 >> 16 == 0x01
    }

    /// Whether it is a display controller integrated into a processor, which shares the machine's
    /// memory. `slot` has the functions of its slot.
    ///
    /// Intel's is in slot 2 of a root bus; its discrete GPUs are below a bridge. AMD's is below a
    /// bridge like a card, but its slot also has functions of AMD's processors (vendor 0x1022): the
    /// security processor (class 0x1080) and the host's USB controllers. All functions of a Radeon
    /// card have the vendor of the GPU, 0x1002.
    pub(super) fn is_integrated(&self, slot: &[PciDevice]) -> bool {
        let beside = |device: &PciDevice| device.vendor.0 == AMD_PROCESSOR && device.is_endpoint();
        self.kind() == DeviceKind::Gpu
            && match self.vendor.0 {
                INTEL => self.parent.is_none() && self.address.device == INTEL_GPU_SLOT,
                AMD_GPU => slot.iter().any(beside),
                _ => false,
            }
    }

    /// Whether it belongs to the card of a GPU on its slot: same vendor, and audio, USB-C or its
    /// port manager (UCSI). Beside an integrated GPU only the audio belongs to it: its slot has USB
    /// controllers and a security processor of the host.
    pub(super) fn is_companion_of(&self, gpu: &PciDevice, integrated: bool) -> bool {
        let classes: &[u32] = if integrated { &[AUDIO] } else { &[AUDIO, USB, UCSI] };
        self.vendor == gpu.vendor
            && self.address != gpu.address
            && self.address.same_slot(gpu.address)
            && classes.contains(&self.subclass())
    }
}
