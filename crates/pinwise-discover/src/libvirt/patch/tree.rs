//! The domain's own PCI controllers, and which of them a placement makes superfluous.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::parts::{child, pci_address};
use super::problem::PatchError;
use crate::document::number;
use pinwise::emit::libvirt::{EmitError, pci};

/// The largest index of a controller.
const LAST_INDEX: u32 = 255;

/// A PCI controller of the domain.
pub(super) struct Controller<'a, 'i> {
    pub(super) node: Node<'a, 'i>,
    pub(super) index: u32,
    /// The index of the controller whose bus this one is on.
    pub(super) parent: u32,
    pub(super) is_expander: bool,
    /// Whether it is a root port, or a downstream port of a switch.
    pub(super) is_port: bool,
    /// Whether it is the upstream port of a switch.
    pub(super) is_switch: bool,
}

/// The place where an element begins, which identifies it.
pub(super) fn place(node: &Node<'_, '_>) -> usize {
    node.range().start
}

impl<'a> Controller<'a, '_> {
    /// The guest cell that an expander bus belongs to; `None` if it names none.
    pub(super) fn cell(&self) -> Result<Option<u32>, PatchError> {
        let target = child(self.node, "target")?;
        let cell = target.map(|target| child(target, "node")).transpose()?.flatten();
        let Some(cell) = cell else { return Ok(None) };
        let text = cell.text().unwrap_or("");
        let number = number(text.trim());
        number.map(Some).ok_or_else(|| PatchError::value("a guest cell", text))
    }

    /// An attribute of `<target>`.
    pub(super) fn target(&self, name: &str) -> Result<Option<&'a str>, PatchError> {
        Ok(child(self.node, "target")?.and_then(|target| target.attribute(name)))
    }
}

/// The bus in a device's guest address; `None` if it has no PCI address.
pub(super) fn guest_bus(node: Node<'_, '_>) -> Result<Option<u32>, PatchError> {
    let address = node
        .children()
        .find(|child| child.has_tag_name("address") && child.attribute("type") == Some("pci"));
    address.map(|address| pci_address(address).map(|at| u32::from(at.bus))).transpose()
}

/// The PCI controllers. libvirt gives those without an index the lowest free ones, in their order.
pub(super) fn controllers<'a, 'i>(
    devices: Node<'a, 'i>,
) -> Result<Vec<Controller<'a, 'i>>, PatchError> {
    let is_pci = |node: &Node<'_, '_>| {
        node.has_tag_name("controller") && node.attribute("type") == Some("pci")
    };
    let nodes = || devices.children().filter(is_pci);
    let mut seen = BTreeSet::new();
    for text in nodes().filter_map(|node| node.attribute("index")) {
        let index = number(text).filter(|index| *index <= LAST_INDEX);
        let index = index.ok_or_else(|| PatchError::value("a controller index", text))?;
        if !seen.insert(index) {
            return Err(PatchError::Twice { element: format!("controller of index {index}") });
        }
    }
    let mut all = Vec::new();
    for node in nodes() {
        let index = match node.attribute("index").and_then(number) {
            Some(index) => index,
            None => {
                let lowest = (0..=LAST_INDEX).find(|index| !seen.contains(index));
                let index = lowest.ok_or(EmitError::ControllerIndex { index: LAST_INDEX + 1 })?;
                seen.insert(index);
                index
            }
        };
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
pub(super) fn freed(
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

/// The controller that a bus is behind, at any depth, and that is an expander bus.
pub(super) fn expander_of<'c, 'a, 'i>(
    controllers: &'c [Controller<'a, 'i>],
    mut bus: u32,
) -> Option<&'c Controller<'a, 'i>> {
    // A chain of controllers is no longer than their number, unless it runs in a circle.
    for _ in 0..controllers.len() {
        let controller = controllers.iter().find(|controller| controller.index == bus)?;
        if controller.is_expander {
            return Some(controller);
        }
        if bus == 0 {
            return None;
        }
        bus = controller.parent;
    }
    None
}
