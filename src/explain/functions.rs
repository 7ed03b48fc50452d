//! Phrases for functions that a VM takes from its host.

use crate::host::TakenFunction;
use crate::units::PciAddr;

/// What a function is, by its class, and what the host loses with it.
fn words(class: u32) -> (&'static str, &'static str) {
    match (class >> 16, class >> 8) {
        (_, 0x0106) => ("SATA controller", "the host loses the disks behind it"),
        (_, 0x0108) => ("NVMe controller", "the host loses its disk"),
        (0x01, _) => ("storage controller", "the host loses the disks behind it"),
        (_, 0x0207 | 0x0c06) => ("InfiniBand controller", "the host loses this network"),
        (0x02, _) => ("network controller", "the host loses this network connection"),
        (_, 0x0300 | 0x0301 | 0x0380) => ("display controller", "the host loses the screen on it"),
        (0x03, _) | (_, 0x1200) => ("GPU", "the host and other VMs lose it"),
        (_, 0x0401 | 0x0403) => ("audio device", "the host loses the sound through it"),
        (_, 0x0c03) => ("USB controller", "the host loses the keyboards and disks plugged into it"),
        (_, 0x0c05) => ("SMBus controller", "the host loses its sensors"),
        (_, 0x0c80) => ("serial bus controller", "the host loses it"),
        (0x06, _) => ("bridge", "the host loses what is behind it"),
        (0x10, _) => ("security processor", "the host loses its encryption and firmware services"),
        _ => ("device", "the host loses it"),
    }
}

/// `SATA controller 0000:01:00.1 (the host loses the disks behind it)` for each, with commas.
pub(super) fn taken(functions: &[TakenFunction]) -> String {
    let phrase = |one: &TakenFunction| {
        let (what, loss) = words(one.class.0);
        format!("{what} {} ({loss})", one.address)
    };
    functions.iter().map(phrase).collect::<Vec<_>>().join(", ")
}

pub(super) fn list(addresses: &[PciAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The refusal of a device whose IOMMU group takes from the host what it needs, with the ways out.
pub(super) fn group_taken(
    address: PciAddr,
    functions: &[TakenFunction],
    ports: &[PciAddr],
    others: &[PciAddr],
) -> String {
    let others = match others {
        [] => String::new(),
        [one] => format!("GPU {one}, whose group is clean, or "),
        some => format!("one of GPUs {}, whose groups are clean, or ", list(some)),
    };
    let ports = match ports {
        [] => String::new(),
        some => format!(" (off at {})", list(some)),
    };
    format!(
        "device {address} takes its whole IOMMU group from the host, with {}: ways out are {others}another \
         slot, for instance one on the processor's own lanes; ports with access control (ACS){ports} \
         split groups; --allow-group takes the loss",
        taken(functions)
    )
}
