//! The places of functions in the PCI tree, for the question how near two of them are.

use super::Host;
use super::pcie::{DeviceKind, PciDevice, RootComplex};
use crate::units::{NodeId, PciAddr};

/// A part of the host in which functions meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The switch with this upstream side.
    Switch(PciAddr),
    /// What is below this root port.
    Port(PciAddr),
    Root(RootComplex),
    Node(NodeId),
}

/// The number of parts of a place.
pub(crate) const LEVELS: usize = 4;

/// The parts that a function is in, the smallest first: its switch, what is below its root port,
/// its root complex, its node. `None` without a switch or a port, or if the node is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PciPlace(pub(crate) [Option<Part>; LEVELS]);

impl PciPlace {
    /// The place of a function of the host.
    pub(crate) fn of(host: &Host, address: PciAddr) -> Self {
        let pci = host.pci();
        let node = pci.get(address).and_then(|device| device.node);
        Self([
            pci.switch_of(address).map(Part::Switch),
            pci.bridges_above(address).last().map(|port| Part::Port(port.address)),
            Some(Part::Root(pci.root_of(address))),
            node.map(Part::Node),
        ])
    }

    /// The level of the smallest part that holds both; [`LEVELS`] if none does.
    pub(crate) fn level(&self, other: &Self) -> usize {
        (0..LEVELS).find(|level| self.meets(other, *level)).unwrap_or(LEVELS)
    }

    /// Whether both are in one part of this level.
    pub(crate) fn meets(&self, other: &Self, level: usize) -> bool {
        self.0[level].is_some() && self.0[level] == other.0[level]
    }
}

impl PciDevice {
    /// Whether a text is a part of its model's name or of its PCI ids; case is ignored.
    pub(crate) fn is_model(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let ids = format!("{:04x}:{:04x}", self.vendor.0, self.device.0);
        ids.contains(&text) || self.label().to_lowercase().contains(&text)
    }

    /// Whether it is a whole function that has virtual functions on this host.
    pub(crate) fn has_virtual(&self, host: &Host) -> bool {
        let of_it = |other: &PciDevice| other.physical_function == Some(self.address);
        self.kind() != DeviceKind::Bridge && host.pci().devices().iter().any(of_it)
    }
}
