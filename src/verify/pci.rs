//! Checks of the guest's PCIe tree: controllers, bus numbers, ports, and the devices in them.

use std::collections::{BTreeMap, BTreeSet};

use super::case::Case;
use super::violation::Violation;
use crate::host::pcie::RootComplex;
use crate::placement::{
    ExpanderBus, GuestFunction, GuestPci, GuestPort, GuestSwitch, PlacedDevice,
};
use crate::units::PciAddr;

/// The first bus numbers, which libvirt uses for controllers that it adds itself behind plain
/// ports.
const SPARE_BUSES: usize = 8;
/// The largest bus number.
const LAST_BUS: usize = 255;
/// The largest slot on a bus, and the largest function in a slot.
const LAST_SLOT: u8 = 31;
const LAST_FUNCTION: u8 = 7;

pub(super) fn check(
    case: &Case<'_>,
    devices: &[PlacedDevice],
    pci: &GuestPci,
    found: &mut Vec<Violation>,
) {
    let GuestPci { expanders: _, ports, switches, functions, mmio64_mib } = pci;
    indexes(pci, found);
    buses(case, pci, found);
    slots(pci, found);
    plugged_switches(pci, found);
    on_ports(ports, switches, functions, found);
    let cards = shown(devices, functions, found);
    cards_on_ports(case, devices, pci, &cards, found);
    below_their_cells(case, devices, pci, &cards, found);
    if let Some(window) = *mmio64_mib {
        mmio(case, devices, window, found);
    }
}

/// Controllers are numbered from 1 without gaps.
fn indexes(pci: &GuestPci, found: &mut Vec<Violation>) {
    let GuestPci { expanders, ports, switches, .. } = pci;
    let count = expanders.len() + ports.len() + switches.len();
    let mut seen = BTreeSet::new();
    let all = expanders.iter().map(|expander| expander.index);
    let all = all.chain(ports.iter().map(|port| port.index));
    for index in all.chain(switches.iter().map(|switch| switch.index)) {
        if !seen.insert(index) {
            found.push(Violation::IndexTwice { index });
        } else if index == 0 || usize::try_from(index).is_ok_and(|index| index > count) {
            found.push(Violation::IndexGap { index, count });
        }
    }
}

/// The buses of an expander are its own bus, one for each of its ports and one for each switch
/// below it. If another expander takes one of them, the guest silently loses devices.
fn buses(case: &Case<'_>, pci: &GuestPci, found: &mut Vec<Violation>) {
    let GuestPci { expanders, ports, switches, .. } = pci;
    // Switches plugged into a missing port are a violation of their own.
    let numbers_below = |index: u32| {
        let mut numbers = 0;
        for port in ports.iter().filter(|port| port.parent == index) {
            numbers += 1;
            for switch in switches.iter().filter(|switch| switch.port == port.index) {
                numbers += 1 + ports.iter().filter(|port| port.parent == switch.index).count();
            }
        }
        numbers
    };
    let mut sorted = Vec::new();
    for expander in expanders {
        // The root complex is compared with those of the devices below.
        let ExpanderBus { index, cell, bus_nr, root: _ } = *expander;
        if !case.cells.iter().any(|known| known.id == cell) {
            found.push(Violation::ExpanderCell { index, cell });
        }
        if !(1..=254).contains(&bus_nr) {
            found.push(Violation::BusNumber { index, bus_nr });
        }
        sorted.push((bus_nr, index));
    }
    sorted.sort_unstable();
    let mut taken: Option<usize> = None;
    for &(bus_nr, index) in &sorted {
        if let Some(taken) = taken.filter(|taken| usize::from(bus_nr) <= *taken) {
            found.push(Violation::BusOverlap { index, bus_nr, taken });
        }
        taken = taken.max(Some(usize::from(bus_nr) + numbers_below(index)));
    }
    if let (Some(last), Some(&(_, index))) = (taken.filter(|last| *last > LAST_BUS), sorted.last())
    {
        found.push(Violation::BusBeyond { index, last });
    }
    let first = sorted.first().map_or(LAST_BUS + 1, |(bus_nr, _)| usize::from(*bus_nr));
    let room = first.saturating_sub(1 + SPARE_BUSES);
    let plain = numbers_below(0);
    if plain > room {
        found.push(Violation::PlainPorts { found: plain, room });
    }
}

fn slots(pci: &GuestPci, found: &mut Vec<Violation>) {
    let mut seen = BTreeSet::new();
    for port in &pci.ports {
        let GuestPort { index, parent, slot } = *port;
        if parent == 0 {
            continue;
        }
        let known = pci.expanders.iter().any(|expander| expander.index == parent)
            || pci.switches.iter().any(|switch| switch.index == parent);
        if !known {
            found.push(Violation::PortParent { port: index, parent });
            continue;
        }
        match slot {
            Some(slot) if slot <= LAST_SLOT => {
                if !seen.insert((parent, slot)) {
                    found.push(Violation::SlotTwice { parent, slot });
                }
            }
            _ => found.push(Violation::PortSlot { port: index, slot }),
        }
    }
}

/// A switch is alone in its root port, and has a port below it.
fn plugged_switches(pci: &GuestPci, found: &mut Vec<Violation>) {
    let GuestPci { expanders, ports, switches, functions, mmio64_mib: _ } = pci;
    let mut taken: BTreeSet<u32> = functions.iter().map(|function| function.port).collect();
    for switch in switches {
        // The host's switch is compared with those above the devices below.
        let GuestSwitch { index, port, host: _ } = *switch;
        let on_root = |known: &&GuestPort| {
            let expander = expanders.iter().any(|expander| expander.index == known.parent);
            known.index == port && (known.parent == 0 || expander)
        };
        if !ports.iter().any(|known| on_root(&known)) {
            found.push(Violation::SwitchPort { index, port });
        } else if !taken.insert(port) {
            found.push(Violation::SwitchShares { index, port });
        }
        if !ports.iter().any(|known| known.parent == index) {
            found.push(Violation::EmptySwitch { index });
        }
    }
}

/// Every port holds a switch or a function 0, which says whether there are more functions.
fn on_ports(
    ports: &[GuestPort],
    switches: &[GuestSwitch],
    functions: &[GuestFunction],
    found: &mut Vec<Violation>,
) {
    let mut on: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for port in ports {
        on.entry(port.index).or_default();
    }
    for shown in functions {
        let GuestFunction { host, port, function, multifunction: _ } = *shown;
        if function > LAST_FUNCTION {
            found.push(Violation::FunctionNumber { host, function });
        }
        match on.get_mut(&port) {
            Some(here) => {
                if here.contains(&function) {
                    found.push(Violation::FunctionTwice { port, function });
                }
                here.push(function);
            }
            None => found.push(Violation::NoSuchPort { host, port }),
        }
    }
    for (port, here) in &on {
        let switch = switches.iter().any(|switch| switch.port == *port);
        if !here.contains(&0) && !switch {
            found.push(Violation::NoFunctionZero { port: *port });
        }
    }
    for shown in functions {
        let GuestFunction { host, port, function, multifunction } = *shown;
        let several = on.get(&port).is_some_and(|here| here.len() > 1);
        if multifunction != (function == 0 && several) {
            found.push(Violation::Multifunction { host, found: multifunction });
        }
    }
}

/// The guest sees exactly the functions it is given. Returns the position of the placed device by
/// function.
fn shown(
    devices: &[PlacedDevice],
    functions: &[GuestFunction],
    found: &mut Vec<Violation>,
) -> BTreeMap<PciAddr, usize> {
    let mut cards = BTreeMap::new();
    for (position, device) in devices.iter().enumerate() {
        // Withheld functions are not shown; node, cell and role are checked with the devices.
        let PlacedDevice { address, is_gpu: _, node: _, cell: _, functions, withheld: _ } = device;
        for &function in [address].into_iter().chain(functions) {
            cards.entry(function).or_insert(position);
        }
    }
    let mut seen = BTreeSet::new();
    for &GuestFunction { host, .. } in functions {
        if !cards.contains_key(&host) {
            found.push(Violation::ShownUnplaced { host });
        }
        if !seen.insert(host) {
            found.push(Violation::ShownTwice { host });
        }
    }
    for &host in cards.keys() {
        if !seen.contains(&host) {
            found.push(Violation::NotShown { host });
        }
    }
    cards
}

/// Each card is behind one port, and each port holds one card.
fn cards_on_ports(
    case: &Case<'_>,
    devices: &[PlacedDevice],
    pci: &GuestPci,
    cards: &BTreeMap<PciAddr, usize>,
    found: &mut Vec<Violation>,
) {
    let mut port_of: BTreeMap<usize, u32> = BTreeMap::new();
    let mut card_on: BTreeMap<u32, usize> = BTreeMap::new();
    for &GuestFunction { host, port, .. } in &pci.functions {
        let Some(&card) = cards.get(&host) else { continue };
        // A port that does not exist is a violation of its own.
        if !pci.ports.iter().any(|known| known.index == port) {
            continue;
        }
        let address = devices[card].address;
        let other = *port_of.entry(card).or_insert(port);
        if other != port {
            found.push(Violation::CardSplit { address, function: host, port, other });
        }
        let first = devices[*card_on.entry(port).or_insert(card)].address;
        // Functions of one card that are requested one by one are devices of their own. A virtual
        // function is a card of its own.
        let is_virtual =
            |at| case.host.pci().get(at).is_some_and(|record| record.physical_function.is_some());
        let apart = first != address && (is_virtual(first) || is_virtual(address));
        if !first.same_slot(address) || apart {
            found.push(Violation::CardsShare { port, first, second: address });
        }
    }
}

/// A device of a cell is below that cell's expander bus for its root complex; any other is on a
/// plain port. It is below a guest switch only if that is its own switch on the host.
fn below_their_cells(
    case: &Case<'_>,
    devices: &[PlacedDevice],
    pci: &GuestPci,
    cards: &BTreeMap<PciAddr, usize>,
    found: &mut Vec<Violation>,
) {
    for &GuestFunction { host, port, .. } in &pci.functions {
        let Some(device) = cards.get(&host).map(|card| &devices[*card]) else { continue };
        let address = device.address;
        // The other functions are behind the same port, or else have a violation of their own.
        if host != address {
            continue;
        }
        let Some(port) = pci.ports.iter().find(|known| known.index == port) else { continue };
        let mut parent = port.parent;
        let switch = pci.switches.iter().find(|known| known.index == parent);
        if let Some(&GuestSwitch { index, port, host: shown }) = switch {
            let wanted = switch_of(case, address);
            if wanted != Some(shown) {
                found.push(Violation::DeviceSwitch { address, index, found: shown, wanted });
            }
            let Some(port) = pci.ports.iter().find(|known| known.index == port) else { continue };
            parent = port.parent;
        }
        let expander = pci.expanders.iter().find(|known| known.index == parent);
        if parent != 0 && expander.is_none() {
            continue;
        }
        let below = expander.filter(|_| parent != 0);
        let cell = below.map(|expander| expander.cell);
        if cell != device.cell {
            found.push(Violation::DeviceBus { address, found: cell, wanted: device.cell });
            continue;
        }
        let (Some(expander), Some(wanted)) = (below, root_of(case, address)) else { continue };
        if expander.root != wanted {
            let ExpanderBus { index, root, .. } = *expander;
            found.push(Violation::DeviceRoot { address, index, found: root, wanted });
        }
    }
}

/// The upstream side of the switch that a host function is plugged into: two bridges up.
fn switch_of(case: &Case<'_>, address: PciAddr) -> Option<PciAddr> {
    let port = case.host.pci().get(address)?.parent?;
    case.host.pci().get(port)?.parent
}

/// The root complex at the top of the bridges above a host function.
fn root_of(case: &Case<'_>, address: PciAddr) -> Option<RootComplex> {
    let mut top = case.host.pci().get(address)?;
    // The host's bridges form trees, so this loop ends.
    while let Some(above) = top.parent.and_then(|parent| case.host.pci().get(parent)) {
        top = above;
    }
    Some(RootComplex { domain: top.address.domain, bus: top.address.bus })
}

/// The window is a power of two that holds all BARs of the guest's functions.
fn mmio(case: &Case<'_>, devices: &[PlacedDevice], window: u64, found: &mut Vec<Violation>) {
    let mut bytes = 0_u64;
    for device in devices {
        for &function in [&device.address].into_iter().chain(&device.functions) {
            let record = case.host.pci().get(function);
            for bar in record.into_iter().flat_map(|record| &record.bars) {
                bytes = bytes.saturating_add(bar.0);
            }
        }
    }
    let needed = bytes.div_ceil(1 << 20);
    if !window.is_power_of_two() || window < needed {
        found.push(Violation::MmioWindow { found: window, needed });
    }
}
