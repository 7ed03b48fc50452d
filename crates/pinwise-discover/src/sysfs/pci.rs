//! PCI functions and bridges.

use std::collections::BTreeMap;
use std::path::Path;

use super::access::{self, CONFIG_BYTES};
use super::in_use;
use super::note::SysfsNote;
use super::problem::SysfsError;
use super::tree::Tree;
use crate::notes::Notes;
use crate::uuid::is_uuid;
use pinwise::host::{DeviceKind, LinkState, PciClass, PciDevice, PciId};
use pinwise::shown::{is_word, shorten};
use pinwise::units::{Bytes, NodeId, PciAddr};

const FOLDER: &str = "sys/bus/pci/devices";
/// The kernel's flag for a memory resource.
const IORESOURCE_MEM: u64 = 0x200;

pub(super) fn read(
    tree: &Tree<'_>,
    nodes: &[NodeId],
    notes: &mut Notes,
) -> Result<Vec<PciDevice>, SysfsError> {
    let mut devices = BTreeMap::new();
    let mut unlinked = 0_u32;
    for name in tree.names(FOLDER)? {
        let Ok(address) = name.parse::<PciAddr>() else {
            notes.add(SysfsNote::NotAnAddress { folder: FOLDER, name: shorten(&name, 40) });
            continue;
        };
        let device = function(tree, &name, address, nodes, notes)?;
        unlinked += u32::from(tree.link(&format!("{FOLDER}/{name}")).is_none());
        devices.insert(address, device);
    }
    if unlinked > 0 {
        notes.add(SysfsNote::NoLinks { count: unlinked });
    }
    if devices.is_empty() {
        notes.add(SysfsNote::NoFunctions);
    } else if devices.values().all(|device| device.iommu_group.is_none()) {
        notes.add(SysfsNote::NoGroups);
    }
    let bridges: Vec<_> =
        devices.values().filter(|d| d.kind() == DeviceKind::Bridge).map(|d| d.address).collect();
    for device in devices.values_mut() {
        // The parent may be a bridge to an older bus, or missing from a captured tree.
        let lost = |parent: &PciAddr| bridges.binary_search(parent).is_err();
        if let Some(parent) = device.parent.take_if(|parent| lost(parent)) {
            notes.add(SysfsNote::NotABridge { parent, address: device.address });
        }
    }
    in_use::mark(tree, devices.values_mut());
    Ok(devices.into_values().collect())
}

fn function(
    tree: &Tree<'_>,
    name: &str,
    address: PciAddr,
    nodes: &[NodeId],
    notes: &mut Notes,
) -> Result<PciDevice, SysfsError> {
    let file = |attribute: &str| format!("{FOLDER}/{name}/{attribute}");
    let missing = |attribute| tree.bad(&file(attribute), "", "readable");
    let class: Option<PciClass> = tree.value(&file("class"), "a PCI class")?;
    let vendor: Option<PciId> = tree.value(&file("vendor"), "a PCI vendor")?;
    let id: Option<PciId> = tree.value(&file("device"), "a PCI device id")?;
    let mut device = PciDevice::new(
        address,
        class.ok_or_else(|| missing("class"))?,
        vendor.ok_or_else(|| missing("vendor"))?,
        id.ok_or_else(|| missing("device"))?,
    );
    device.node = tree.index(&file("numa_node"))?.map(NodeId);
    if let Some(node) = device.node.take_if(|node| !nodes.contains(node)) {
        notes.add(SysfsNote::NoSuchNode { address, node });
    }
    device.parent = tree.link(&format!("{FOLDER}/{name}")).and_then(|link| parent(&link));
    device.iommu_group = tree.link_name(&file("iommu_group")).and_then(|group| group.parse().ok());
    device.driver = tree.link_name(&file("driver")).filter(|driver| is_word(driver));
    device.boot_vga = tree.text(&file("boot_vga"))?.as_deref() == Some("1");
    device.physical_function = tree.link_name(&file("physfn")).and_then(|pf| pf.parse().ok());
    device.mediated = mediated(tree, name)?;
    device.link_now = link(tree, &file("current_link"))?;
    device.link_max = link(tree, &file("max_link"))?;
    if device.kind() == DeviceKind::Bridge {
        let config = tree.bytes(&file("config"), u64::from(CONFIG_BYTES) + 1);
        device.access = config.and_then(|config| access::parse(&config));
    }
    device.bars = bars(&tree.text(&file("resource"))?.unwrap_or_default());
    Ok(device)
}

/// The UUIDs of a function's mediated devices; `None` if its driver does not serve any. Each is a
/// folder in that of its parent, and so is the list of types that can be made.
fn mediated(tree: &Tree<'_>, name: &str) -> Result<Option<Vec<String>>, SysfsError> {
    if tree.names(&format!("{FOLDER}/{name}/mdev_supported_types"))?.is_empty() {
        return Ok(None);
    }
    let mut found = tree.names(&format!("{FOLDER}/{name}"))?;
    found.retain(|name| is_uuid(name));
    found.sort_unstable();
    Ok(Some(found))
}

/// The parent of a function: `../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0` is below
/// 0000:00:01.0; a root bus (`pci0000:00`) is not a function.
fn parent(link: &Path) -> Option<PciAddr> {
    let above = link.parent()?.file_name()?.to_str()?;
    // The short form without a domain is for people; the kernel always writes the domain.
    above.parse().ok().filter(|_| above.matches(':').count() == 2)
}

/// Speed and width; `None` if the device has no link, or the kernel does not know it.
fn link(tree: &Tree<'_>, prefix: &str) -> Result<Option<LinkState>, SysfsError> {
    let speed = tree.text(&format!("{prefix}_speed"))?.unwrap_or_default();
    let width = tree.text(&format!("{prefix}_width"))?.unwrap_or_default();
    // A dead link reads as all ones: 63 in the six bits of the register, 255 in the kernel's byte.
    let width = width.parse().ok().filter(|width| !matches!(width, 0_u8 | 63 | 255));
    Ok(mts(&speed).zip(width).map(|(mts, width)| LinkState { mts, width }))
}

/// Thousandths of `16.0 GT/s PCIe`, `2.5 GT/s`, `8 GT/s`.
fn mts(speed: &str) -> Option<u32> {
    let (number, unit) = speed.split_once(' ')?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let digit = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok());
    let (whole, tenth): (u32, u32) = (digit(whole)??, digit(tenth)??);
    let sound = unit.starts_with("GT/s") && (1..1000).contains(&whole) && tenth < 10;
    sound.then(|| whole * 1000 + tenth * 100)
}

/// The sizes of the memory BARs: first address, last address and flags in each of the first six
/// lines; then follow the ROM, windows of bridges and BARs of virtual functions.
fn bars(resource: &str) -> Vec<Bytes> {
    let number = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let bar = |line: &str| {
        let mut words = line.split_whitespace().map(number);
        let (first, last, flags) = (words.next()??, words.next()??, words.next()??);
        let size = last.checked_sub(first)?.checked_add(1)?;
        (flags & IORESOURCE_MEM != 0 && last > 0).then_some(Bytes(size))
    };
    resource.lines().take(6).filter_map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_in_all_their_spellings() {
        for (text, expected) in [
            ("16.0 GT/s PCIe", Some(16_000)),
            ("2.5 GT/s", Some(2_500)),
            ("8 GT/s", Some(8_000)),
            ("64.0 GT/s PCIe", Some(64_000)),
            ("Unknown", None),
            ("Unknown speed", None),
            ("", None),
            ("99999999999 GT/s", None),
            ("4294968 GT/s", None),
            ("1.25 GT/s", None),
            (". GT/s", None),
        ] {
            assert_eq!(mts(text), expected, "{text}");
        }
    }

    #[test]
    fn a_root_bus_is_no_parent() {
        let above = |link: &str| parent(Path::new(link)).map(|address| address.to_string());
        assert_eq!(above("../../../devices/pci0000:00/0000:00:01.0"), None);
        let below = "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0";
        assert_eq!(above(below).unwrap(), "0000:00:01.0");
        let volume = "../../../devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0";
        assert_eq!(above(volume), None);
    }

    #[test]
    fn only_memory_bars_of_the_first_six_lines_count() {
        let io = "0x0000000000001000 0x000000000000107f 0x0000000000040101\n";
        let memory = "0x0000004000000000 0x0000004fffffffff 0x000000000014220c\n";
        let none = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
        let text = [io, memory, none, none, none, "x", "\n", memory].concat();
        assert_eq!(bars(&text), [Bytes::from_gib(64)]);
        assert_eq!(bars("0x0 0xffffffffffffffff 0x200"), []);
    }
}
