//! Which devices keep the guest addresses that they have in the domain.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::parts::{child, pci_address};
use super::problem::PatchError;
use super::tree::{Controller, expander_of};
use pinwise::placement::{GuestFunction, GuestPci, Placement};
use pinwise::units::PciAddr;

/// What remains to be done for the placement's devices.
pub(super) struct Settled<'a, 'i> {
    /// The placement with only the devices that are placed anew in its PCIe tree.
    pub(super) anew: Placement,
    /// Functions that join a function of their card that stays.
    pub(super) joined: Vec<Joined<'a, 'i>>,
}

/// A function that joins the slot of function 0 of its card.
pub(super) struct Joined<'a, 'i> {
    /// The function on the host.
    pub(super) host: PciAddr,
    /// Its address in the guest.
    pub(super) at: PciAddr,
    /// The guest address of function 0.
    pub(super) anchor: Option<Node<'a, 'i>>,
}

/// Finds the devices that stay where they are. If one device below the expander buses has to move,
/// all of them do: the numbers of the buses would collide otherwise.
pub(super) fn settle<'a, 'i>(
    devices: Node<'a, 'i>,
    placement: &Placement,
    existing: &BTreeMap<PciAddr, Node<'a, 'i>>,
    controllers: &[Controller<'_, '_>],
    cells: usize,
) -> Result<Settled<'a, 'i>, PatchError> {
    let pci = &placement.pci;
    let mut at: BTreeMap<PciAddr, (PciAddr, Node<'a, 'i>)> = BTreeMap::new();
    for (host, node) in existing {
        if let Some(address) = guest_address(*node)? {
            at.insert(*host, (pci_address(address)?, address));
        }
    }
    let mut right = BTreeSet::new();
    for function in &pci.functions {
        let Some((guest, _)) = at.get(&function.host) else { continue };
        let shown = match expander_of(controllers, u32::from(guest.bus)) {
            Some(expander) => expander.cell()?,
            None => None,
        };
        let is_right = match (cell_of(pci, function), shown) {
            (None, None) => true,
            // The only cell is where everything is.
            (None, Some(cell)) => cell == 0 && cells == 1 && placement.cells.len() == 1,
            (Some(wanted), shown) => shown == Some(wanted),
        };
        if is_right {
            right.insert(function.host);
        }
    }
    let shown = || pci.functions.iter().filter(|function| cell_of(pci, function).is_some());
    if !shown().all(|function| right.contains(&function.host)) {
        shown().for_each(|function| _ = right.remove(&function.host));
    }
    let mut taken: BTreeSet<PciAddr> = BTreeSet::new();
    for node in devices.children().filter(Node::is_element) {
        if let Some(address) = guest_address(node)? {
            taken.insert(pci_address(address)?);
        }
    }
    let (mut joined, mut anew) = (Vec::new(), Vec::new());
    let ports: BTreeSet<u32> = pci.functions.iter().map(|function| function.port).collect();
    for port in ports {
        let (stays, rest): (Vec<&GuestFunction>, Vec<&GuestFunction>) = (pci.functions.iter())
            .filter(|function| function.port == port)
            .partition(|function| right.contains(&function.host));
        let anchor = stays.iter().find_map(|f| at.get(&f.host).filter(|(at, _)| at.function == 0));
        let mut left = Vec::new();
        for function in rest {
            let place = anchor.and_then(|(zero, _)| {
                let wanted = std::iter::once(function.function).chain(1..8);
                let mut places = wanted.map(|function| PciAddr { function, ..*zero });
                places.find(|place| place.function > 0 && !taken.contains(place))
            });
            match place {
                Some(place) => {
                    taken.insert(place);
                    let anchor = anchor.map(|(_, node)| *node);
                    joined.push(Joined { host: function.host, at: place, anchor });
                }
                None => left.push(*function),
            }
        }
        let several = left.len() > 1;
        let whole = stays.is_empty();
        for (function, number) in left.into_iter().zip(0_u8..) {
            anew.push(match whole {
                true => function,
                // Without its function 0 the guest would not find the rest of a card.
                false => {
                    let multifunction = several && number == 0;
                    GuestFunction { function: number, multifunction, ..function }
                }
            });
        }
    }
    Ok(Settled { anew: Placement { pci: only(pci, anew), ..placement.clone() }, joined })
}

/// The guest address of a device, if it has a PCI address.
fn guest_address<'a, 'i>(node: Node<'a, 'i>) -> Result<Option<Node<'a, 'i>>, PatchError> {
    Ok(child(node, "address")?.filter(|address| address.attribute("type") == Some("pci")))
}

/// The guest cell whose expander bus the placement puts the function below.
pub(super) fn cell_of(pci: &GuestPci, function: &GuestFunction) -> Option<u32> {
    let parent = |index: u32| pci.ports.iter().find(|p| p.index == index).map(|p| p.parent);
    let mut bus = parent(function.port)?;
    if let Some(switch) = pci.switches.iter().find(|switch| switch.index == bus) {
        bus = parent(switch.port)?;
    }
    pci.expanders.iter().find(|expander| expander.index == bus).map(|expander| expander.cell.0)
}

/// The part of the tree that these functions need.
fn only(pci: &GuestPci, functions: Vec<GuestFunction>) -> GuestPci {
    let mut ports: BTreeSet<u32> = functions.iter().map(|function| function.port).collect();
    let parents = |ports: &BTreeSet<u32>| -> BTreeSet<u32> {
        pci.ports.iter().filter(|p| ports.contains(&p.index)).map(|p| p.parent).collect()
    };
    let below = parents(&ports);
    let mut switches = pci.switches.clone();
    switches.retain(|switch| below.contains(&switch.index));
    ports.extend(switches.iter().map(|switch| switch.port));
    let below = parents(&ports);
    let mut only = GuestPci { switches, functions, ..pci.clone() };
    only.ports.retain(|port| ports.contains(&port.index));
    only.expanders.retain(|expander| below.contains(&expander.index));
    only
}
