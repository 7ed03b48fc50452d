//! The virtual functions of each physical function (SR-IOV).

use std::collections::BTreeMap;

use crate::units::PciAddr;

/// The virtual functions of each physical function that has any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct VirtualFunctions(BTreeMap<PciAddr, Vec<PciAddr>>);

impl VirtualFunctions {
    /// The functions, each with its physical function if it is virtual, sorted by address.
    pub(super) fn of(functions: impl Iterator<Item = (PciAddr, Option<PciAddr>)>) -> Self {
        let mut all: BTreeMap<PciAddr, Vec<PciAddr>> = BTreeMap::new();
        for (address, physical) in functions {
            if let Some(physical) = physical.filter(|physical| *physical != address) {
                all.entry(physical).or_default().push(address);
            }
        }
        Self(all)
    }

    pub(super) fn of_physical(&self, address: PciAddr) -> &[PciAddr] {
        self.0.get(&address).map_or(&[], Vec::as_slice)
    }
}
