//! Puts host devices, and the PCI controllers above them, among the domain's own.
//!
//! A device that the domain has keeps its guest address, unless the placement shows the guest which
//! cell the device is near and the address says otherwise. Only the others are placed anew.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::edit::EditedText;
use super::numbering::Numbering;
use super::parts::{child, insert, pci_address, says};
use super::problem::PatchError;
use super::settle::{Joined, Settled, cell_of, settle};
use super::tree::{controllers, freed, place};
use pinwise::emit::libvirt::{cpu, pci};
use pinwise::emit::xml::Element;
use pinwise::placement::{GuestFunction, Placement};
use pinwise::units::PciAddr;

/// Puts the placement's devices into the domain, and takes those in `removed` out of it. `cells` is
/// the number of guest cells shown. Returns whether a device was placed anew.
pub(super) fn patch(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
    removed: &[PciAddr],
    cells: usize,
) -> Result<bool, PatchError> {
    let machine = machine(root)?;
    let Some(devices) = child(root, "devices")? else {
        let has_devices = !placement.pci.functions.is_empty();
        check_machine(machine, placement)?;
        let mut all = Vec::new();
        if has_ports(machine) {
            all.extend(pci::controllers(placement));
            all.extend(pci::host_devices(placement));
        } else {
            let hosts = placement.pci.functions.iter().map(|function| function.host);
            all.extend(hosts.map(pci::unplaced_device));
        }
        all.extend(cpu::iommu(placement));
        if !all.is_empty() {
            for function in &placement.pci.functions {
                report_new(source, function.host, None);
            }
            insert(source, root, Element::new("devices").children(all));
        }
        return Ok(has_devices);
    };
    if devices.children().any(|node| node.has_tag_name("memory")) {
        let reason = "memory devices belong to cells that are replaced";
        return Err(PatchError::Conflict { element: "memory", reason });
    }
    if let Some(iommu) = cpu::iommu(placement) {
        let existing = child(devices, "iommu")?;
        if !existing.is_some_and(|node| says(node, &iommu)) {
            let before = existing.map(|_| "another".to_owned());
            let why = "more than 255 vCPUs need its interrupt remapping";
            source.changed("<iommu>", before, Some("intel with x2APIC".to_owned()), why);
            source.exchange(devices, existing.as_slice(), &[iommu]);
        }
    }
    let (existing, stale) = host_devices(source, devices, placement, removed)?;
    let controllers = controllers(devices)?;
    let Settled { anew, joined } = settle(devices, placement, &existing, &controllers, cells)?;
    if !has_ports(machine) {
        check_machine(machine, &anew)?;
        return Ok(add_unplaced(source, devices, &anew, &existing, &stale));
    }
    let moved = |function: &&GuestFunction| existing.contains_key(&function.host);
    let moved = anew.pci.functions.iter().filter(moved);
    let mut mine: BTreeSet<_> = stale.iter().map(place).collect();
    mine.extend(moved.map(|function| place(&existing[&function.host])));
    let freed = freed(devices, &controllers, &mine)?;
    let tree = Numbering::new(devices, &anew, &controllers, &freed)?;
    tree.check(devices, &anew, cells, &controllers, &freed)?;
    let number = |index: u32| tree.numbers.get(&index).copied().unwrap_or(0);
    let mut ours = pci::numbered_controllers(&anew, &number);
    let plain = tree.fillers.iter().map(|index| pci::controller(*index, pci::ROOT_PORT));
    ours.extend(plain);
    let owned: Vec<_> = controllers.iter().filter(|c| freed.contains(&c.index)).collect();
    if !(ours.is_empty() && owned.is_empty()) {
        let shown = |indexes: Vec<u32>| {
            let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
            (!indexes.is_empty()).then(|| format!("indexes {}", indexes.join(", ")))
        };
        let mut new: Vec<u32> = tree.numbers.values().chain(&tree.fillers).copied().collect();
        new.sort_unstable();
        let before = shown(owned.iter().map(|controller| controller.index).collect());
        source.changed("PCI controllers", before, shown(new), "they carry the devices named here");
    }
    let owned: Vec<_> = owned.iter().map(|controller| controller.node).collect();
    match controllers.last() {
        // If no controller is replaced, the new ones go after the last one.
        Some(last) if owned.is_empty() && !ours.is_empty() => source.insert_after(last.node, &ours),
        _ => source.exchange(devices, &owned, &ours),
    }

    // An alias tells the next patch which devices are on our expander buses.
    for function in anew.pci.functions.iter().filter(|f| cell_of(&anew.pci, f).is_some()) {
        let Some(node) = existing.get(&function.host) else { continue };
        let alias = child(*node, "alias")?;
        let own = alias.and_then(|alias| alias.attribute("name")).unwrap_or("");
        if !own.starts_with("ua-") {
            source.exchange(*node, alias.as_slice(), &[pci::alias(function.host)]);
        }
    }
    let mut added = Vec::new();
    let mut addresses = Vec::new();
    for function in &anew.pci.functions {
        let bus = number(function.port);
        let at = PciAddr { domain: 0, bus: low(bus), device: 0, function: function.function };
        addresses.push((function.host, at, pci::guest_address(function, &number)));
    }
    for Joined { host, at, anchor } in joined {
        let on_slot = PciAddr { function: at.function, bus: 0, ..at };
        addresses.push((host, at, pci::address(on_slot, u32::from(at.bus))));
        let Some(anchor) = anchor.filter(|node| node.attribute("multifunction") != Some("on"))
        else {
            continue;
        };
        source.set_attribute(anchor, "multifunction", "on");
    }
    for (host, at, address) in addresses {
        let Some(node) = existing.get(&host) else {
            report_new(source, host, Some(at));
            added.push(pci::unplaced_device(host).child(address));
            continue;
        };
        let old = child(*node, "address")?;
        let before = old.map(pci_address).transpose()?.map(|at| at.to_string());
        let why = match old {
            Some(_) => "there the guest sees which cell the device is near",
            None => "functions of one card share a slot",
        };
        let part = format!("guest address of hostdev {host}");
        let after = Some(at.to_string());
        if before != after {
            source.changed(part, before, after, why);
        }
        source.exchange(*node, old.as_slice(), &[address]);
    }
    source.exchange(devices, &stale, &added);
    Ok(!anew.pci.functions.is_empty())
}

fn report_new(source: &mut EditedText<'_>, host: PciAddr, at: Option<PciAddr>) {
    let after = match at {
        Some(at) => format!("guest address {at}"),
        None => "a hostdev".to_owned(),
    };
    source.changed(format!("hostdev {host}"), None, Some(after), "the VM is given the device");
}

/// Bus numbers of guests have eight bits, which [`Numbering`] has checked.
fn low(bus: u32) -> u8 {
    u8::try_from(bus).unwrap_or(u8::MAX)
}

/// Adds devices without guest addresses: libvirt finds them slots. Returns whether there are any.
fn add_unplaced(
    source: &mut EditedText<'_>,
    devices: Node<'_, '_>,
    anew: &Placement,
    existing: &BTreeMap<PciAddr, Node<'_, '_>>,
    stale: &[Node<'_, '_>],
) -> bool {
    let hosts = anew.pci.functions.iter().map(|function| function.host);
    let new: Vec<PciAddr> = hosts.filter(|host| !existing.contains_key(host)).collect();
    new.iter().for_each(|host| report_new(source, *host, None));
    let added: Vec<Element> = new.into_iter().map(pci::unplaced_device).collect();
    source.exchange(devices, stale, &added);
    !added.is_empty()
}

/// The machine type; empty if the domain names none.
fn machine<'a>(root: Node<'a, '_>) -> Result<&'a str, PatchError> {
    let kind = child(root, "os")?.map(|os| child(os, "type")).transpose()?.flatten();
    Ok(kind.and_then(|node| node.attribute("machine")).unwrap_or(""))
}

/// Whether the machine type has the PCIe root that ports and expander buses hang from.
fn has_ports(machine: &str) -> bool {
    machine.contains("q35")
}

/// Refuses expander buses on a machine type without PCIe.
fn check_machine(machine: &str, anew: &Placement) -> Result<(), PatchError> {
    if anew.pci.expanders.is_empty() || has_ports(machine) {
        return Ok(());
    }
    Err(PatchError::Machine { machine: pinwise::shown::shorten(machine, 60) })
}

type HostDevices<'a, 'i> = (BTreeMap<PciAddr, Node<'a, 'i>>, Vec<Node<'a, 'i>>);

/// The domain's devices that are in the placement, by host address, and those to be taken out: in
/// `removed`, or from an earlier placement.
fn host_devices<'a, 'i>(
    source: &mut EditedText<'_>,
    devices: Node<'a, 'i>,
    placement: &Placement,
    removed: &[PciAddr],
) -> Result<HostDevices<'a, 'i>, PatchError> {
    let mut existing = BTreeMap::new();
    let mut stale = Vec::new();
    for node in devices.children() {
        let is_host = match node.tag_name().name() {
            "hostdev" => node.attribute("type") == Some("pci"),
            "interface" => node.attribute("type") == Some("hostdev"),
            _ => false,
        };
        let from = if is_host { child(node, "source")? } else { None };
        let Some(address) = from.map(|from| child(from, "address")).transpose()?.flatten() else {
            continue;
        };
        if address.attribute("type").is_some_and(|kind| kind != "pci") {
            continue;
        }
        let host = pci_address(address)?;
        let alias = child(node, "alias")?.and_then(|alias| alias.attribute("name")).unwrap_or("");
        if placement.pci.functions.iter().any(|function| function.host == host) {
            if existing.insert(host, node).is_some() {
                return Err(PatchError::Twice { element: format!("hostdev of {host}") });
            }
            continue;
        }
        let why = if removed.contains(&host) {
            "the request asks for other devices"
        } else if alias.starts_with(pci::ALIAS) {
            "an earlier placement added it"
        } else {
            continue;
        };
        source.changed(format!("hostdev {host}"), Some("the device".to_owned()), None, why);
        stale.push(node);
    }
    Ok((existing, stale))
}
