//! Puts host devices, and the PCI controllers above them, among the domain's own.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::edit::EditedText;
use super::parts::{child, insert, pci_address};
use super::problem::PatchError;
use crate::document::number;
use pinwise::emit::libvirt::{EmitError, cpu, pci, shows_cells};
use pinwise::emit::xml::Element;
use pinwise::placement::Placement;
use pinwise::units::PciAddr;

/// Devices that libvirt puts behind a root port each, if they have no address yet.
const PLUGGED: [&str; 13] = [
    "disk",
    "interface",
    "controller",
    "hostdev",
    "video",
    "sound",
    "memballoon",
    "rng",
    "filesystem",
    "vsock",
    "shmem",
    "crypto",
    "watchdog",
];

/// A PCI controller of the domain.
struct Controller<'a, 'i> {
    node: Node<'a, 'i>,
    index: u32,
    /// The index of the controller whose bus this one is on.
    parent: u32,
    is_expander: bool,
    /// Whether it is a root port, or a downstream port of a switch.
    is_port: bool,
    /// Whether it is the upstream port of a switch.
    is_switch: bool,
}

/// The place where an element begins, which identifies it.
fn place(node: &Node<'_, '_>) -> usize {
    node.range().start
}

impl<'a> Controller<'a, '_> {
    /// An attribute of `<target>`.
    fn target(&self, name: &str) -> Result<Option<&'a str>, PatchError> {
        Ok(child(self.node, "target")?.and_then(|target| target.attribute(name)))
    }
}

pub(super) fn patch(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
) -> Result<(), PatchError> {
    let Some(devices) = child(root, "devices")? else {
        let mut all = pci::controllers(placement);
        all.extend(pci::host_devices(placement));
        all.extend(cpu::iommu(placement));
        if !all.is_empty() {
            check_machine(root, placement)?;
            insert(source, root, Element::new("devices").children(all));
        }
        return Ok(());
    };
    if devices.children().any(|node| node.has_tag_name("memory")) {
        let reason = "memory devices belong to cells that are replaced";
        return Err(PatchError::Conflict { element: "memory", reason });
    }
    check_machine(root, placement)?;
    if let Some(iommu) = cpu::iommu(placement) {
        source.exchange(devices, child(devices, "iommu")?.as_slice(), &[iommu]);
    }
    let (existing, stale) = host_devices(devices, placement)?;
    let mut mine: BTreeSet<_> = stale.iter().map(place).collect();
    mine.extend(existing.values().map(place));

    let controllers = controllers(devices)?;
    let freed = freed(devices, &controllers, &mine)?;
    let tree = Numbering::new(devices, placement, &controllers, &freed)?;
    tree.check(devices, placement, &controllers, &freed)?;
    let number = |index: u32| tree.numbers.get(&index).copied().unwrap_or(0);
    let mut ours = pci::numbered_controllers(placement, &number);
    let plain = tree.fillers.iter().map(|index| pci::controller(*index, pci::ROOT_PORT));
    ours.extend(plain);
    let is_freed = |controller: &&Controller<'_, '_>| freed.contains(&controller.index);
    let owned: Vec<_> = controllers.iter().filter(is_freed).map(|c| c.node).collect();
    match controllers.last() {
        // If no controller is replaced, the new ones go after the last one.
        Some(last) if owned.is_empty() && !ours.is_empty() => source.insert_after(last.node, &ours),
        _ => source.exchange(devices, &owned, &ours),
    }

    let mut added = Vec::new();
    for function in &placement.pci.functions {
        let Some(node) = existing.get(&function.host) else {
            added.push(pci::host_device(function, &number));
            continue;
        };
        let address = pci::guest_address(function, &number);
        // The alias tells the next patch that this device is ours, unless the user has chosen one.
        let alias = child(*node, "alias")?;
        let own = alias.and_then(|alias| alias.attribute("name")).unwrap_or("");
        if !own.starts_with("ua-") {
            source.exchange(*node, alias.as_slice(), &[pci::alias(function.host)]);
        }
        let old = child(*node, "address")?;
        source.exchange(*node, old.as_slice(), &[address]);
    }
    source.exchange(devices, &stale, &added);
    Ok(())
}

/// Only q35 has the PCIe root that ports and expander buses hang from.
fn check_machine(root: Node<'_, '_>, placement: &Placement) -> Result<(), PatchError> {
    let kind = child(root, "os")?.map(|os| child(os, "type")).transpose()?.flatten();
    let machine = kind.and_then(|node| node.attribute("machine")).unwrap_or("");
    if placement.pci.ports.is_empty() || machine.contains("q35") {
        return Ok(());
    }
    Err(PatchError::Machine { machine: pinwise::shown::shorten(machine, 60) })
}

type HostDevices<'a, 'i> = (BTreeMap<PciAddr, Node<'a, 'i>>, Vec<Node<'a, 'i>>);

/// The domain's devices that are in the placement, by host address, and those of an earlier
/// placement that are to be removed.
fn host_devices<'a, 'i>(
    devices: Node<'a, 'i>,
    placement: &Placement,
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
        } else if alias.starts_with(pci::ALIAS) {
            stale.push(node);
        }
    }
    Ok((existing, stale))
}

/// The bus in a device's guest address; `None` if it has no PCI address.
fn guest_bus(node: Node<'_, '_>) -> Result<Option<u32>, PatchError> {
    let address = node
        .children()
        .find(|child| child.has_tag_name("address") && child.attribute("type") == Some("pci"));
    address.map(|address| pci_address(address).map(|at| u32::from(at.bus))).transpose()
}

fn controllers<'a, 'i>(devices: Node<'a, 'i>) -> Result<Vec<Controller<'a, 'i>>, PatchError> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for node in devices.children().filter(|node| node.has_tag_name("controller")) {
        if node.attribute("type") != Some("pci") {
            continue;
        }
        let text = node.attribute("index").unwrap_or("");
        let index = number(text).filter(|index| *index <= 255);
        let index = index.ok_or_else(|| PatchError::value("a controller index", text))?;
        if !seen.insert(index) {
            return Err(PatchError::Twice { element: format!("controller of index {index}") });
        }
        let model = node.attribute("model").unwrap_or("");
        let is_expander = model == pci::EXPANDER;
        let is_port = model == pci::ROOT_PORT || model == pci::DOWNSTREAM;
        let is_switch = model == pci::UPSTREAM;
        let parent = guest_bus(node)?.unwrap_or(0);
        all.push(Controller { node, index, parent, is_expander, is_port, is_switch });
    }
    Ok(all)
}

/// The indexes of the controllers that hold nothing but the devices in `mine`: ports that hold
/// nothing else, and switches and expander buses all of whose ports are such or empty.
fn freed(
    devices: Node<'_, '_>,
    controllers: &[Controller<'_, '_>],
    mine: &BTreeSet<usize>,
) -> Result<BTreeSet<u32>, PatchError> {
    // For each bus: whether a device in `mine` is on it, and whether another device is.
    let mut uses: BTreeMap<u32, (bool, bool)> = BTreeMap::new();
    for node in devices.children().filter(Node::is_element) {
        if let Some(bus) = guest_bus(node)? {
            let (ours, others) = uses.entry(bus).or_default();
            *(if mine.contains(&place(&node)) { ours } else { others }) = true;
        }
    }
    let uses = |index| uses.get(&index).copied().unwrap_or_default();
    let mut freed: BTreeSet<u32> = BTreeSet::new();
    freed.extend(
        controllers.iter().filter(|c| c.is_port && uses(c.index) == (true, false)).map(|c| c.index),
    );
    let idle = |port: &Controller<'_, '_>| port.is_port && uses(port.index) == (false, false);
    // Switches before expander buses, and each with the port that it is plugged into.
    for switch in controllers.iter().filter(|controller| controller.is_switch) {
        if free_bus(switch, controllers, &idle, &mut freed) {
            let alone = |port: &&Controller<'_, '_>| {
                port.index == switch.parent && port.is_port && !uses(port.index).0
            };
            let others = controllers.iter().any(|other| {
                other.parent == switch.parent && place(&other.node) != place(&switch.node)
            });
            freed.extend(controllers.iter().find(alone).filter(|_| !others).map(|port| port.index));
        }
    }
    for expander in controllers.iter().filter(|controller| controller.is_expander) {
        free_bus(expander, controllers, &idle, &mut freed);
    }
    Ok(freed)
}

/// Frees a bus and all ports on it, if some of the ports are freed and all others are idle. Returns
/// whether it did.
fn free_bus(
    bus: &Controller<'_, '_>,
    controllers: &[Controller<'_, '_>],
    idle: &dyn Fn(&Controller<'_, '_>) -> bool,
    freed: &mut BTreeSet<u32>,
) -> bool {
    let on_it = || controllers.iter().filter(|port| port.parent == bus.index);
    let frees = on_it().all(|port| freed.contains(&port.index) || idle(port))
        && on_it().any(|port| freed.contains(&port.index));
    if frees {
        let ports: Vec<u32> = on_it().map(|port| port.index).collect();
        freed.extend(ports);
        freed.insert(bus.index);
    }
    frees
}

/// The controller indexes that the placement's controllers get in the domain.
struct Numbering {
    /// The index in the domain, by the index in the placement.
    numbers: BTreeMap<u32, u32>,
    /// Indexes below the highest that are no longer used; libvirt allows no gaps.
    fillers: Vec<u32>,
}

impl Numbering {
    fn new(
        devices: Node<'_, '_>,
        placement: &Placement,
        controllers: &[Controller<'_, '_>],
        freed: &BTreeSet<u32>,
    ) -> Result<Self, PatchError> {
        let mut highest = 0;
        for node in devices.children().filter(Node::is_element) {
            highest = highest.max(guest_bus(node)?.unwrap_or(0));
        }
        highest = controllers.iter().fold(highest, |highest, c| highest.max(c.index));
        let expanders = placement.pci.expanders.iter().map(|expander| expander.index);
        let ports = placement.pci.ports.iter().map(|port| port.index);
        let switches = placement.pci.switches.iter().map(|switch| switch.index);
        let mut wanted: Vec<u32> = expanders.chain(ports).chain(switches).collect();
        wanted.sort_unstable();
        let mut free = freed.iter().copied().chain(highest.saturating_add(1)..);
        let numbers: BTreeMap<u32, u32> = wanted.into_iter().zip(&mut free).collect();
        if let Some(index) = numbers.values().copied().find(|index| *index > 255) {
            return Err(EmitError::ControllerIndex { index }.into());
        }
        let used: BTreeSet<u32> = numbers.values().copied().collect();
        let kept = controllers.iter().map(|c| c.index).filter(|index| !freed.contains(index));
        let top = kept.chain(used.iter().copied()).max().unwrap_or(0);
        let left = freed.difference(&used).copied();
        Ok(Self { fillers: left.filter(|index| *index < top).collect(), numbers })
    }

    /// Refuses a domain whose chassis numbers, cells or ranges of bus numbers collide with the
    /// placement's.
    fn check(
        &self,
        devices: Node<'_, '_>,
        placement: &Placement,
        controllers: &[Controller<'_, '_>],
        freed: &BTreeSet<u32>,
    ) -> Result<(), PatchError> {
        let kept = || controllers.iter().filter(|c| !freed.contains(&c.index));
        let mut chassis: BTreeSet<u32> = self.numbers.values().copied().collect();
        chassis.extend(&self.fillers);
        for controller in kept().filter(|c| c.is_port) {
            let text = controller.target("chassis")?;
            let taken = text.map_or(Some(controller.index), number);
            if let Some(chassis) = taken.filter(|taken| chassis.contains(taken)) {
                return Err(PatchError::Chassis { chassis });
            }
        }
        let cells = if shows_cells(placement) { placement.cells.len() } else { 0 };
        for expander in kept().filter(|c| c.is_expander) {
            let target = child(expander.node, "target")?;
            let cell = target.map(|target| child(target, "node")).transpose()?.flatten();
            let cell = cell.map(|cell| number(cell.text().unwrap_or("").trim()));
            if cell.is_some_and(|cell| cell.is_none_or(|cell| cell as usize >= cells)) {
                let reason = "an expander bus with other devices belongs to a cell that is gone";
                return Err(PatchError::Conflict { element: "controller", reason });
            }
        }
        if placement.pci.expanders.is_empty() {
            return Ok(());
        }
        // For each range of bus numbers: the first, and the number of buses that follow it.
        let mut ranges = Vec::new();
        for expander in &placement.pci.expanders {
            ranges.push((u32::from(expander.bus_nr), buses_of(placement, expander.index)));
        }
        let kept: Vec<_> = kept().collect();
        let mut theirs = 0;
        for expander in kept.iter().filter(|c| c.is_expander) {
            let text = expander.target("busNr")?.unwrap_or("");
            let bus_nr = number(text).filter(|nr| (1..=254).contains(nr));
            let bus_nr = bus_nr.ok_or_else(|| PatchError::value("a bus number", text))?;
            let above = below(&kept, expander.index);
            theirs += above + 1;
            ranges.push((bus_nr, above));
        }
        // The range of bus 0: the domain's ports and bridges, the placement's, one for each device
        // that libvirt has yet to give an address, and 3 for devices that libvirt adds.
        let others = kept.iter().filter(|c| c.index != 0).count().saturating_sub(theirs);
        let ours = buses_of(placement, 0);
        let unplaced = devices.children().filter(|node| {
            PLUGGED.contains(&node.tag_name().name())
                && node.attribute("type") != Some("pci")
                && child(*node, "address").is_ok_and(|address| address.is_none())
        });
        let first = others + ours + self.fillers.len() + unplaced.count() + 3;
        ranges.push((0, first));
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            let above = u32::try_from(pair[0].1).unwrap_or(u32::MAX);
            let first_free = pair[0].0.saturating_add(above).saturating_add(1);
            let bus_nr = u8::try_from(pair[1].0).unwrap_or(u8::MAX);
            if pair[1].0 < first_free {
                return Err(EmitError::BusNumber { bus_nr, first_free }.into());
            }
        }
        Ok(())
    }
}

/// The number of bus numbers that the placement's ports and switches on a bus take.
fn buses_of(placement: &Placement, bus: u32) -> usize {
    let pci = &placement.pci;
    let on = |bus: u32| pci.ports.iter().filter(move |port| port.parent == bus);
    let switches = pci.switches.iter().filter(|s| on(bus).any(|port| port.index == s.port));
    on(bus).count() + switches.map(|switch| 1 + on(switch.index).count()).sum::<usize>()
}

/// The number of the domain's controllers below a bus, at any depth.
fn below(controllers: &[&Controller<'_, '_>], bus: u32) -> usize {
    let mut found = BTreeSet::new();
    let mut left = vec![bus];
    while let Some(bus) = left.pop() {
        let on_it = controllers.iter().filter(|c| c.parent == bus && c.index != bus);
        left.extend(on_it.map(|c| c.index).filter(|index| found.insert(*index)));
    }
    found.len()
}
