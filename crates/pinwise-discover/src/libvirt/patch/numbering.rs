//! The indexes and bus numbers that new controllers get beside the domain's.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::parts::child;
use super::problem::PatchError;
use super::tree::{Controller, guest_bus};
use crate::document::number;
use pinwise::emit::libvirt::EmitError;
use pinwise::placement::Placement;

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

/// The controller indexes that the placement's controllers get in the domain.
pub(super) struct Numbering {
    /// The index in the domain, by the index in the placement.
    pub(super) numbers: BTreeMap<u32, u32>,
    /// Indexes below the highest that are no longer used; libvirt allows no gaps.
    pub(super) fillers: Vec<u32>,
}

impl Numbering {
    pub(super) fn new(
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
    /// placement's. `cells` is the number of guest cells shown.
    pub(super) fn check(
        &self,
        devices: Node<'_, '_>,
        placement: &Placement,
        cells: usize,
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
        for expander in kept().filter(|c| c.is_expander) {
            if expander.cell()?.is_some_and(|cell| cell as usize >= cells) {
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
