//! Checks before a line is written: placements that libvirt or the guest would accept silently and
//! get wrong are refused.

use std::collections::{BTreeMap, BTreeSet};

use super::EmitError;
use crate::emit::xml::is_legal;
use crate::placement::{GuestTopology, MemoryMode, Placement};
use crate::sets::VcpuSet;
use crate::units::{Id as _, VcpuId};

/// The largest PCI bus number, guest controller index and chassis.
const LAST_BUS: u32 = 255;
/// More vCPUs than this need x2APIC, which needs an emulated IOMMU.
const XAPIC_VCPUS: usize = 255;

/// Refuses a placement that domain XML cannot express.
///
/// # Errors
/// [`EmitError`] for the first part that libvirt would refuse or misunderstand.
pub fn check(placement: &Placement) -> Result<(), EmitError> {
    name(&placement.name)?;
    vcpus(placement)?;
    cells(placement)?;
    distances(placement)?;
    tree(placement)?;
    plugged(placement)
}

/// libvirt refuses a slash, a line feed, and a name of only spaces.
fn name(name: &str) -> Result<(), EmitError> {
    let bad = |c: char| c == '/' || c == '\n' || !is_legal(c);
    if name.trim().is_empty() || name.contains(bad) {
        return Err(EmitError::Name { name: crate::shown::shorten(name, 60) });
    }
    Ok(())
}

fn vcpus(placement: &Placement) -> Result<(), EmitError> {
    let topology = placement.topology;
    let product = [topology.sockets, topology.dies, topology.cores, topology.threads]
        .into_iter()
        .try_fold(1_u32, u32::checked_mul);
    let vcpus = placement.vcpus.len();
    if vcpus == 0 || product.and_then(|p| usize::try_from(p).ok()) != Some(vcpus) {
        return Err(EmitError::Topology { topology, vcpus });
    }
    if vcpus > XAPIC_VCPUS && !placement.iommu {
        return Err(EmitError::NoIommu { vcpus });
    }
    Ok(())
}

fn cells(placement: &Placement) -> Result<(), EmitError> {
    let mut seen = VcpuSet::new();
    for (cell, id) in placement.cells.iter().zip(0_u32..) {
        if cell.id.0 != id || cell.vcpus.is_empty() || seen.intersects(&cell.vcpus) {
            return Err(EmitError::Cells);
        }
        seen.extend(&cell.vcpus);
        let whole = cell.memory.0 % 1024 == 0 && cell.page_size.pages_in(cell.memory).is_some();
        if cell.memory.0 == 0 || !whole {
            let (memory, page) = (cell.memory, cell.page_size);
            return Err(EmitError::Memory { cell: cell.id, memory, page_size: page });
        }
        if placement.memory_mode != MemoryMode::Unbound && cell.nodes.is_empty() {
            return Err(EmitError::NoNodes { cell: cell.id, mode: placement.memory_mode });
        }
    }
    let last = seen.iter().last().map_or(0, |vcpu| vcpu.index() as usize + 1);
    if placement.cells.is_empty() || seen.len() != placement.vcpus.len() || last != seen.len() {
        return Err(EmitError::Cells);
    }
    // A guest kernel that finds the threads of a core on two nodes takes them for two cores. The
    // product of the topology is the number of vCPUs, which was checked before.
    let GuestTopology { sockets, dies, cores, threads } = placement.topology;
    for core in 0..sockets * dies * cores {
        let vcpus: VcpuSet = (core * threads..(core + 1) * threads).map(VcpuId).collect();
        if !placement.cells.iter().any(|cell| vcpus.is_subset(&cell.vcpus)) {
            return Err(EmitError::CoreStraddles { core });
        }
    }
    Ok(())
}

fn distances(placement: &Placement) -> Result<(), EmitError> {
    let cells = &placement.cells;
    if cells.len() == 1 {
        // The cells are not shown, so they cannot be wrong.
        return Ok(());
    }
    let at = |from: usize, to: usize| cells[from].distances.get(to).map(|distance| distance.0);
    for from in 0..cells.len() {
        for to in 0..cells.len() {
            let value = at(from, to);
            let fits = match value {
                Some(10) => from == to,
                Some(11..) => from != to,
                _ => false,
            };
            if !fits || value != at(to, from) || cells[from].distances.len() != cells.len() {
                return Err(EmitError::Distance { from: cells[from].id, to: cells[to].id });
            }
        }
    }
    Ok(())
}

/// Checks the controllers: indexes, slots, and room for the buses.
fn tree(placement: &Placement) -> Result<(), EmitError> {
    let pci = &placement.pci;
    let mut indexes: Vec<u32> = pci.expanders.iter().map(|expander| expander.index).collect();
    indexes.extend(pci.ports.iter().map(|port| port.index));
    indexes.extend(pci.switches.iter().map(|switch| switch.index));
    indexes.sort_unstable();
    if let Some((index, _)) = indexes.iter().zip(1..=LAST_BUS + 1).find(|(is, must)| *is != must) {
        return Err(EmitError::ControllerIndex { index: *index });
    }
    if let Some(index) = indexes.iter().find(|index| **index > LAST_BUS) {
        return Err(EmitError::ControllerIndex { index: *index });
    }
    // The number of bus numbers below each bus that ports may be on.
    let mut buses: BTreeMap<u32, u32> = BTreeMap::from([(0, 0)]);
    buses.extend(pci.expanders.iter().map(|expander| (expander.index, 0)));
    let root_ports: BTreeMap<u32, u32> = (pci.ports.iter())
        .filter(|port| buses.contains_key(&port.parent))
        .map(|port| (port.index, port.parent))
        .collect();
    // For each switch, the bus of its root port.
    let mut switches = BTreeMap::new();
    let mut taken: BTreeSet<u32> = pci.functions.iter().map(|function| function.port).collect();
    for switch in &pci.switches {
        let index = switch.index;
        let bus = root_ports.get(&switch.port).filter(|_| switch.port < index);
        let bus = *bus.ok_or(EmitError::ControllerIndex { index })?;
        if !taken.insert(switch.port) {
            return Err(EmitError::Slot { port: switch.port });
        }
        if !pci.ports.iter().any(|port| port.parent == index) {
            return Err(EmitError::EmptyPort { port: switch.port });
        }
        *buses.entry(bus).or_default() += 1;
        switches.insert(index, bus);
    }
    let mut slots = BTreeSet::new();
    for port in &pci.ports {
        // libvirt requires a controller's index to exceed that of its bus.
        let bus = switches.get(&port.parent).unwrap_or(&port.parent);
        let bus = buses.get_mut(bus).filter(|_| port.parent < port.index);
        *bus.ok_or(EmitError::ControllerIndex { index: port.index })? += 1;
        let slot = port.slot.map(u32::from);
        let twice = slot.is_some_and(|slot| slot > 31 || !slots.insert((port.parent, slot)));
        if twice || (slot.is_none() && port.parent != 0) {
            return Err(EmitError::Slot { port: port.index });
        }
        // libvirt puts devices that it adds itself into the first free port, even one of an
        // expander.
        if !taken.contains(&port.index) {
            return Err(EmitError::EmptyPort { port: port.index });
        }
    }
    // The firmware numbers the buses below an expander upwards from the expander's own number. If
    // the next expander's number is too close, devices vanish or the firmware hangs.
    let mut expanders: Vec<_> = pci.expanders.iter().collect();
    expanders.sort_unstable_by_key(|expander| expander.bus_nr);
    let mut first_free = buses[&0] + 1;
    for expander in expanders {
        let bus_nr = u32::from(expander.bus_nr);
        if bus_nr < first_free {
            return Err(EmitError::BusNumber { bus_nr: expander.bus_nr, first_free });
        }
        first_free = bus_nr + 1 + buses[&expander.index];
        if first_free > LAST_BUS + 1 || bus_nr == LAST_BUS {
            return Err(EmitError::BusNumber { bus_nr: expander.bus_nr, first_free });
        }
        if expander.cell.index() as usize >= placement.cells.len() {
            return Err(EmitError::Cells);
        }
    }
    if let Some(mib) = pci.mmio64_mib.filter(|mib| !mib.is_power_of_two()) {
        return Err(EmitError::Window { mib });
    }
    Ok(())
}

/// Every device is in the tree exactly once.
fn plugged(placement: &Placement) -> Result<(), EmitError> {
    let pci = &placement.pci;
    let mut hosts = BTreeSet::new();
    let mut places = BTreeSet::new();
    for function in &pci.functions {
        let address = function.host;
        let several = pci.functions.iter().filter(|other| other.port == function.port).count() > 1;
        if function.function > 7
            || !places.insert((function.port, function.function))
            || !pci.ports.iter().any(|port| port.index == function.port)
            || function.multifunction != (several && function.function == 0)
            || !hosts.insert(address)
        {
            return Err(EmitError::Function { address });
        }
    }
    // The guest does not find a device without a function 0.
    let lost = pci.functions.iter().find(|function| !places.contains(&(function.port, 0)));
    if let Some(function) = lost {
        return Err(EmitError::Function { address: function.host });
    }
    let placed = placement.devices.iter();
    let mut placed = placed.flat_map(|device| device.functions.iter().chain([&device.address]));
    match placed.find(|address| !hosts.contains(*address)) {
        Some(address) => Err(EmitError::Function { address: *address }),
        None => Ok(()),
    }
}
