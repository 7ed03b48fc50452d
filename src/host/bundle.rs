//! The bundle of a device: the functions that leave the host with it.
//!
//! - *Companions* of a GPU are the functions of its card: audio, USB-C controller and UCSI of the
//!   GPU's vendor on its slot. They go to the VM with it. Beside a GPU that is integrated into a
//!   processor, only the audio is one: a security processor, or a USB controller of the host,
//!   stays. Other devices have no companions.
//! - *Group mates* are the other members of the IOMMU groups of the device and its companions. VFIO
//!   takes a group whole, so they leave the host; no VM receives them unless its request names
//!   them. Bridges and host bridges stay with the host in any case.
//!
//! A group mate that the host cannot easily do without makes a request fail unless it allows that:
//! a storage controller, a NIC, the boot display, the last display, or the last USB controller. One
//! that a driver already holds for VMs is not lost. The list is ours.
//!
//! # Known limitations
//! - Whether a display or USB controller is the last one is decided by device, so two devices of
//!   one request can each take one of two.
//! - Controllers that no source describes count as absent.

use super::function::TakenFunction;
use super::pcie::{DeviceKind, PciDevice, PciTree};
use crate::units::PciAddr;

impl PciTree {
    /// The functions on the slot of `address`, itself included.
    fn slot_of(&self, address: PciAddr) -> &[PciDevice] {
        let all = self.devices();
        let from = all.partition_point(|d| d.address < PciAddr { function: 0, ..address });
        let slot = all[from..].iter().take_while(|d| d.address.same_slot(address)).count();
        &all[from..from + slot]
    }

    /// Whether the function at `address` is a GPU integrated into a processor.
    #[must_use]
    pub fn is_integrated(&self, address: PciAddr) -> bool {
        self.get(address).is_some_and(|device| device.is_integrated(self.slot_of(address)))
    }

    /// The functions of the card of a GPU, without itself; none for any other device, and for a
    /// virtual function.
    #[must_use]
    pub fn companions_of(&self, address: PciAddr) -> Vec<PciAddr> {
        let is_card = |d: &&PciDevice| d.kind() == DeviceKind::Gpu && d.physical_function.is_none();
        let Some(gpu) = self.get(address).filter(is_card) else { return Vec::new() };
        let integrated = self.is_integrated(address);
        let slot = self.slot_of(address).iter();
        slot.filter(|other| other.is_companion_of(gpu, integrated)).map(|d| d.address).collect()
    }

    /// The functions that must go together with `address`, itself included: its companions, and
    /// the members of their IOMMU groups.
    #[must_use]
    pub fn bundle_of(&self, address: PciAddr) -> Vec<PciAddr> {
        let mut all = self.group_of(address);
        all.push(address);
        for companion in self.companions_of(address) {
            all.push(companion);
            all.extend(self.group_of(companion));
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The group mates of `address` that the host cannot easily do without.
    pub(crate) fn needed_mates(&self, address: PciAddr) -> Vec<TakenFunction> {
        let bundle = self.bundle_of(address);
        let own = self.companions_of(address);
        let is_mate = |mate: &PciAddr| *mate != address && !own.contains(mate);
        let mates: Vec<&PciDevice> =
            bundle.iter().filter(|mate| is_mate(mate)).filter_map(|mate| self.get(*mate)).collect();
        let stays = |is: fn(&PciDevice) -> bool| {
            let rest = self.devices().iter().filter(|d| !bundle.contains(&d.address));
            rest.filter(|device| is(device)).any(|device| !self.is_companion(device))
        };
        let last = |mate: &PciDevice, is: fn(&PciDevice) -> bool| is(mate) && !stays(is);
        let needed = |mate: &&&PciDevice| {
            !mate.is_for_vms()
                && !self.is_companion(mate)
                && (mate.is_storage()
                    || mate.kind() == DeviceKind::Nic
                    || mate.boot_vga
                    || last(mate, PciDevice::is_display)
                    || last(mate, PciDevice::is_usb))
        };
        mates.iter().filter(needed).map(|mate| TakenFunction::from(*mate)).collect()
    }

    /// Whether the function belongs to the card of a GPU.
    fn is_companion(&self, device: &PciDevice) -> bool {
        let slot = self.slot_of(device.address);
        let of = |gpu: &&PciDevice| {
            gpu.kind() == DeviceKind::Gpu && device.is_companion_of(gpu, gpu.is_integrated(slot))
        };
        slot.iter().find(of).is_some()
    }

    /// Whether a display stays with the host once `taken` have left it.
    pub(crate) fn has_display_without(&self, taken: &[PciAddr]) -> bool {
        self.devices().iter().any(|d| d.is_display() && !taken.contains(&d.address))
    }
}
