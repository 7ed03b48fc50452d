//! The guest's PCIe tree: controllers, devices, and the MMIO window for their BARs.

use crate::emit::xml::Element;
use crate::placement::{GuestFunction, Placement};
use crate::units::PciAddr;

/// The XML namespace of QEMU's own arguments.
pub const QEMU_NS: &str = "http://libvirt.org/schemas/domain/qemu/1.0";
/// The firmware's key for the size of its MMIO window, in MiB.
pub const WINDOW_KEY: &str = "opt/ovmf/X-PciMmio64Mb";

/// The model of an expander bus.
pub const EXPANDER: &str = "pcie-expander-bus";
/// The model of a root port.
pub const ROOT_PORT: &str = "pcie-root-port";
/// The model of the upstream port of a switch.
pub const UPSTREAM: &str = "pcie-switch-upstream-port";
/// The model of a downstream port of a switch.
pub const DOWNSTREAM: &str = "pcie-switch-downstream-port";

/// Maps the placement's controller indexes, which start at 1, to indexes that are free in the
/// domain.
pub type Numbers<'a> = &'a dyn Fn(u32) -> u32;

/// The controllers of a domain that has only its first controller.
pub fn controllers(placement: &Placement) -> Vec<Element> {
    numbered_controllers(placement, &|index| index)
}

/// Expander buses, ports and switches, sorted by index.
pub fn numbered_controllers(placement: &Placement, number: Numbers<'_>) -> Vec<Element> {
    let mut all = Vec::new();
    let pci = &placement.pci;
    for expander in &pci.expanders {
        let node = Element::new("node").text(expander.cell);
        let target = Element::new("target").attr("busNr", expander.bus_nr).child(node);
        let element = controller(number(expander.index), EXPANDER).child(target);
        all.push((expander.index, element));
    }
    let on = |slot| PciAddr { domain: 0, bus: 0, device: slot, function: 0 };
    for port in &pci.ports {
        let index = number(port.index);
        let below_switch = pci.switches.iter().any(|switch| switch.index == port.parent);
        let model = if below_switch { DOWNSTREAM } else { ROOT_PORT };
        let mut element = controller(index, model);
        element = element.child(Element::new("target").attr("chassis", index));
        let place = port.slot.map(|slot| address(on(slot), number(port.parent)));
        element = element.children(place);
        all.push((port.index, element));
    }
    for switch in &pci.switches {
        let place = address(on(0), number(switch.port));
        all.push((switch.index, controller(number(switch.index), UPSTREAM).child(place)));
    }
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, element)| element).collect()
}

/// A PCI controller with this index.
#[must_use]
pub fn controller(index: u32, model: &str) -> Element {
    let element = Element::new("controller").attr("type", "pci");
    element.attr("index", index).attr("model", model)
}

/// The host devices of a domain that has no controllers of its own.
pub fn host_devices(placement: &Placement) -> Vec<Element> {
    let functions = placement.pci.functions.iter();
    functions.map(|function| host_device(function, &|index| index)).collect()
}

/// The prefix of our host devices' aliases. libvirt keeps user-defined aliases (`ua-`), so a later
/// patch can tell which devices an earlier placement added.
pub const ALIAS: &str = "ua-pinwise-";

/// The alias of the function.
pub fn alias(host: PciAddr) -> Element {
    let address = host.to_string().replace([':', '.'], "-");
    Element::new("alias").attr("name", format!("{ALIAS}{address}"))
}

/// A `<hostdev>`. libvirt detaches it from the host's driver and returns it afterwards.
pub fn host_device(function: &GuestFunction, number: Numbers<'_>) -> Element {
    unplaced_device(function.host).child(guest_address(function, number))
}

/// The same without a guest address: libvirt chooses one.
pub fn unplaced_device(host: PciAddr) -> Element {
    let source = attributes(Element::new("address"), host, u32::from(host.bus));
    Element::new("hostdev")
        .attr("mode", "subsystem")
        .attr("type", "pci")
        .attr("managed", "yes")
        .child(Element::new("source").child(source))
        .child(alias(host))
}

/// The guest address of the function: in slot 0 behind its port, whose index is the bus number.
pub fn guest_address(function: &GuestFunction, number: Numbers<'_>) -> Element {
    let guest = PciAddr { domain: 0, bus: 0, device: 0, function: function.function };
    let element = address(guest, number(function.port));
    if function.multifunction { element.attr("multifunction", "on") } else { element }
}

/// A guest address; `bus` is a controller's index.
pub fn address(at: PciAddr, bus: u32) -> Element {
    attributes(Element::new("address").attr("type", "pci"), at, bus)
}

fn attributes(element: Element, at: PciAddr, bus: u32) -> Element {
    let element = element.attr("domain", format!("0x{:04x}", at.domain));
    let element = element.attr("bus", format!("0x{bus:02x}"));
    let element = element.attr("slot", format!("0x{:02x}", at.device));
    element.attr("function", format!("0x{:x}", at.function))
}

/// `<qemu:commandline>` with the firmware's MMIO window: libvirt has no element for it, and refuses
/// `opt/ovmf` names in `<sysinfo type='fwcfg'>`.
pub fn window(placement: &Placement) -> Option<Element> {
    let arguments = window_arguments(placement, "qemu")?;
    let element = Element::new("qemu:commandline").attr("xmlns:qemu", QEMU_NS);
    Some(element.children(arguments))
}

/// The arguments of that element.
pub fn window_arguments(placement: &Placement, prefix: &str) -> Option<[Element; 2]> {
    let mib = placement.pci.mmio64_mib?;
    let value = format!("name={WINDOW_KEY},string={mib}");
    let argument = |value: &str| Element::new(&format!("{prefix}:arg")).attr("value", value);
    Some([argument("-fw_cfg"), argument(&value)])
}
