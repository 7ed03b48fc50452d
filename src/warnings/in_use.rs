//! Functions that the host uses itself and loses to the VM.

use super::warning::{InUse, Warning};
use crate::host::pcie::PciDevice;
use crate::host::{Host, HostUse};
use crate::placement::Placement;
use crate::units::PciAddr;

/// The warnings about functions in use, the most harmful first.
pub(super) fn in_use(host: &Host, placement: &Placement, all: &mut Vec<Warning>) {
    let mut taken: Vec<PciAddr> = Vec::new();
    for device in &placement.devices {
        taken.push(device.address);
        taken.extend(device.functions.iter().chain(&device.withheld));
    }
    let no_display = !host.pci().has_display_without(&taken);
    let mut uses: Vec<(InUse, PciAddr)> = Vec::new();
    for device in taken.iter().filter_map(|address| host.pci().get(*address)) {
        let given = placement.gpus().any(|gpu| gpu.address == device.address);
        uses.extend(of(device, no_display, given).map(|by| (by, device.address)));
    }
    uses.sort();
    all.extend(uses.into_iter().map(|(by, address)| Warning::InUse { address, by }));
}

/// The uses of one function; of its driver only if it is a `given` GPU.
fn of(device: &PciDevice, no_display: bool, given: bool) -> impl Iterator<Item = InUse> {
    let has = |wanted: HostUse| device.used_for.contains(&wanted);
    let last = no_display && device.is_display() && !device.is_for_vms();
    let driver = device.host_driver().filter(|_| given);
    let uses = [
        device.boot_vga.then_some(InUse::BootDisplay),
        last.then_some(InUse::LastDisplay),
        has(HostUse::Processes).then_some(InUse::Processes),
        has(HostUse::Mounts).then_some(InUse::Mounts),
        has(HostUse::DefaultRoute).then_some(InUse::DefaultRoute),
        driver.map(|driver| InUse::Driver { driver: driver.to_owned() }),
    ];
    uses.into_iter().flatten()
}
