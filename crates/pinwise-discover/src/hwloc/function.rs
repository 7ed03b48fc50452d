//! A PCI function from its object.

use super::element::LstopoElement;
use super::problem::LstopoError;
use pinwise::host::{DeviceKind, PciClass, PciDevice, PciId};
use pinwise::shown::plain;
use pinwise::units::PciAddr;

/// The origin of a function's name, in ascending order of preference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    /// The list of PCI ids, or no name.
    Ids,
    /// OpenCL, which may give the code name of a GPU.
    OpenCl,
    /// The function's driver.
    Driver,
}

pub(super) struct FoundDevice {
    pub(super) function: PciDevice,
    /// The index of the nearby pCPUs in [`Found::places`].
    pub(super) place: Option<usize>,
    named: Named,
}

impl FoundDevice {
    /// The nearest bridge above the children of this function.
    pub(super) fn bridge_below(&self, above: Option<PciAddr>) -> Option<PciAddr> {
        let bridge = self.function.kind() == DeviceKind::Bridge;
        if bridge { Some(self.function.address) } else { above }
    }

    /// Takes the name that a driver or a runtime gives a GPU, if it is better than the present one.
    pub(super) fn rename(&mut self, os_device: LstopoElement<'_>) {
        let Some(model) = os_device.info("GPUModel").map(plain).filter(|model| !model.is_empty())
        else {
            return;
        };
        let opencl = os_device.text("name").unwrap_or_default().starts_with("opencl");
        let named = if opencl { Named::OpenCl } else { Named::Driver };
        if named > self.named {
            self.function.name = Some(model);
            self.named = named;
        }
    }
}

/// The PCI function of an object; `None` for a host bridge, which has no address.
pub(super) fn read(
    object: LstopoElement<'_>,
    bridge: Option<PciAddr>,
    place: Option<usize>,
) -> Result<Option<FoundDevice>, LstopoError> {
    let Some(address) = object.text("pci_busid") else {
        let host_bridge = object.text("bridge_type").is_some_and(|kind| kind.starts_with('0'));
        return if host_bridge { Ok(None) } else { Err(object.missing("pci_busid")) };
    };
    // hwloc always writes the domain; the form without it is for people.
    let address = address.parse().ok().filter(|_| address.matches(':').count() == 2);
    let address = address.ok_or_else(|| object.bad("pci_busid", "a PCI address"))?;
    let Some(ids) = object.text("pci_type") else { return Err(object.missing("pci_type")) };
    let ids = parse_ids(ids);
    let (class, vendor, device) =
        ids.ok_or_else(|| object.bad("pci_type", "a class and ids such as 0302 [10de:1db8]"))?;
    let mut function = PciDevice::new(address, class, vendor, device);
    function.parent = bridge;
    // hwloc 1 wrote the name of vendor and device as the object's own name.
    let name = object.info("PCIDevice").or_else(|| object.text("name")).map(plain);
    function.name = name.filter(|name| !name.is_empty());
    Ok(Some(FoundDevice { function, place, named: Named::Ids }))
}

/// Class, vendor and device in `0302 [10de:1db8] [10de:12a2] a1`: the class, the ids of the
/// function, the ids of the card, the revision. hwloc 3 adds the programming interface.
fn parse_ids(text: &str) -> Option<(PciClass, PciId, PciId)> {
    let mut words = text.split_whitespace();
    let class: PciId = words.next()?.parse().ok()?;
    let (vendor, device) = words.next()?.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
    let interface = words.nth(2).and_then(|word| u8::from_str_radix(word, 16).ok());
    let class = PciClass(u32::from(class.0) << 8 | u32::from(interface.unwrap_or(0)));
    Some((class, vendor.parse().ok()?, device.parse().ok()?))
}
