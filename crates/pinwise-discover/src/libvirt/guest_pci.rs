//! The guest's PCI controllers: which expander bus a device is below, and how many buses it needs.

use std::collections::BTreeMap;

use super::problem::LibvirtError;
use super::values::decimal;
use super::xml::{XmlNode, attribute, child, children, text};
use pinwise::audit::ExpanderAsIs;
use pinwise::emit::libvirt::pci::{EXPANDER, QEMU_NS, WINDOW_KEY};
use pinwise::units::{CellId, Id as _};

/// The expander bus of machines without PCIe.
const OLD_EXPANDER: &str = "pci-expander-bus";

/// The largest number of controllers above a device. A circle ends there too.
const MAX_DEPTH: usize = 32;

/// A PCI controller of the guest.
#[derive(Debug, Default)]
struct Controller {
    is_expander: bool,
    /// The index of the controller that it is plugged into; `None` on the first bus or unknown.
    parent: Option<u32>,
    bus_nr: Option<u8>,
    cell: Option<CellId>,
}

/// The controllers by index, which is also the number of the bus in guest addresses.
#[derive(Debug, Default)]
pub(super) struct GuestBuses(BTreeMap<u32, Controller>);

/// Reads the controllers. Those without an index are left out: libvirt chooses it later.
pub(super) fn read(root: XmlNode<'_>) -> Result<GuestBuses, LibvirtError> {
    let mut all = BTreeMap::new();
    let devices = child(root, "devices")?;
    for node in devices.into_iter().flat_map(|devices| children(devices, "controller")) {
        if node.attribute("type") != Some("pci") {
            continue;
        }
        let Some(index) = attribute(node, "index") else { continue };
        let index = index.parse("a controller's index", |text| u32::try_from(decimal(text)?).ok());
        let target = child(node, "target")?;
        let bus_nr = target.and_then(|target| attribute(target, "busNr"));
        let cell = target.map(|target| child(target, "node")).transpose()?.flatten();
        let cell = cell.map(|node| {
            text(node, "node").parse("a cell of the guest", |text| {
                let id = u32::try_from(decimal(text)?).ok()?;
                (id < CellId::LIMIT).then_some(CellId(id))
            })
        });
        let number = |text: &str| number(text).and_then(|number| u8::try_from(number).ok());
        let model = node.attribute("model");
        let controller = Controller {
            is_expander: model.is_some_and(|model| model == EXPANDER || model == OLD_EXPANDER),
            parent: children(node, "address").next().and_then(bus).filter(|bus| *bus > 0),
            bus_nr: bus_nr.map(|value| value.parse("a bus number", number)).transpose()?,
            cell: cell.transpose()?,
        };
        all.insert(index?, controller);
    }
    Ok(GuestBuses(all))
}

/// The bus of a guest address: `None` if it is no PCI address, or names none.
pub(super) fn bus(address: XmlNode<'_>) -> Option<u32> {
    let pci = matches!(address.attribute("type"), None | Some("pci"));
    address.attribute("bus").filter(|_| pci).and_then(number)
}

/// A number in decimal or, after `0x`, hexadecimal digits.
fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u32::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None => u32::try_from(decimal(text)?).ok(),
    }
}

impl GuestBuses {
    /// The index of the expander bus that a bus is below, or is.
    fn expander_of(&self, bus: u32) -> Option<u32> {
        let mut at = bus;
        for _ in 0..MAX_DEPTH {
            let controller = self.0.get(&at)?;
            if controller.is_expander {
                return Some(at);
            }
            at = controller.parent?;
        }
        None
    }

    /// The cell of the expander bus that a bus is below.
    pub(super) fn cell_of(&self, bus: u32) -> Option<CellId> {
        self.0.get(&self.expander_of(bus)?).and_then(|expander| expander.cell)
    }

    /// The expander buses whose number is stated.
    pub(super) fn expanders(&self) -> Vec<ExpanderAsIs> {
        let mut below: BTreeMap<u32, u32> = BTreeMap::new();
        for index in self.0.keys() {
            if let Some(expander) = self.expander_of(*index).filter(|expander| expander != index) {
                *below.entry(expander).or_default() += 1;
            }
        }
        let all = self.0.iter().filter(|(_, controller)| controller.is_expander);
        let stated = all.filter_map(|(index, controller)| Some((index, controller.bus_nr?)));
        let buses = |index| below.get(index).copied().unwrap_or(0);
        stated.map(|(index, bus_nr)| ExpanderAsIs { bus_nr, buses: buses(index) }).collect()
    }
}

/// The MMIO window of the firmware in MiB, if the domain's arguments to QEMU state it.
pub(super) fn window(root: XmlNode<'_>) -> Option<u64> {
    let line = root.children().find(|node| node.has_tag_name((QEMU_NS, "commandline")))?;
    let arguments = line.children().filter(|node| node.has_tag_name((QEMU_NS, "arg")));
    let mut values = arguments.filter_map(|node| node.attribute("value"));
    let value = values.find(|value| value.contains(WINDOW_KEY))?;
    let number = value.split("string=").nth(1)?.split(',').next()?;
    decimal(number.trim())
}
