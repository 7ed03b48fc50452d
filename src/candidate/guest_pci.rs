//! The guest's PCIe tree: a root port for every card, under an expander bus of its cell where the
//! guest is to see which cell is near.

use std::collections::BTreeMap;

use crate::feasibility::Fact;
use crate::host::Host;
use crate::host::pcie::RootComplex;
use crate::placement::{ExpanderBus, GuestFunction, GuestPci, PlacedDevice, RootPort};
use crate::profile::count;
use crate::units::{CellId, PciAddr};

/// Buses that are left for what else the domain has: its disks, its network, its console.
const SPARE_BUSES: usize = 32;
/// The most root ports on one expander bus: a slot each.
const MAX_PORTS: usize = 32;
/// What firmware maps above 4 GiB without being told.
const DEFAULT_WINDOW_MIB: u64 = 32 * 1024;

type Card = Vec<PciAddr>;

/// Lays out the devices.
///
/// # Errors
/// [`Fact::TooManyDevices`] if the buses do not suffice.
pub(crate) fn guest_pci(host: &Host, devices: &[PlacedDevice]) -> Result<GuestPci, Fact> {
    let mut plain: Vec<Card> = Vec::new();
    let mut buses: BTreeMap<(CellId, RootComplex), Vec<Card>> = BTreeMap::new();
    for device in devices {
        let cards = match device.cell {
            Some(cell) => buses.entry((cell, host.pci().root_of(device.address))).or_default(),
            None => &mut plain,
        };
        let functions = std::iter::once(device.address).chain(device.functions.iter().copied());
        match cards.iter_mut().find(|card| card[0].same_slot(device.address)) {
            Some(card) => card.extend(functions),
            None => cards.push(functions.collect()),
        }
    }
    let total: usize = buses.values().map(|cards| 1 + cards.len()).sum();
    let crowded = buses.values().any(|cards| cards.len() > MAX_PORTS);
    if crowded || plain.len() + total + SPARE_BUSES > 256 {
        let cards = plain.len() + buses.values().map(Vec::len).sum::<usize>();
        return Err(Fact::TooManyDevices { devices: count(cards) });
    }
    let mut pci = GuestPci { mmio64_mib: window(host, devices), ..GuestPci::default() };
    let mut index = 1;
    for card in &plain {
        pci.plug(card, index, 0, None);
        index += 1;
    }
    // From the top of the range down: the last expander's last port is bus 255, and everything that
    // libvirt puts on the first bus numbers upward from 1.
    let mut bus_nr = 256 - total;
    for ((cell, root), cards) in buses {
        let expander = index;
        index += 1;
        let small =
            u8::try_from(bus_nr).expect("an expander has a port, so its number is below 255");
        pci.expanders.push(ExpanderBus { index: expander, cell, bus_nr: small, root });
        bus_nr += 1 + cards.len();
        for (card, slot) in cards.iter().zip(0..) {
            pci.plug(card, index, expander, Some(slot));
            index += 1;
        }
    }
    Ok(pci)
}

impl GuestPci {
    fn plug(&mut self, card: &Card, index: u32, parent: u32, slot: Option<u8>) {
        self.ports.push(RootPort { index, parent, slot });
        // The requested function first: a guest expects a GPU at function 0 and its audio after it.
        for (host, function) in card.iter().zip(0..) {
            let multifunction = function == 0 && card.len() > 1;
            self.functions.push(GuestFunction {
                host: *host,
                port: index,
                function,
                multifunction,
            });
        }
    }
}

/// Room for all BARs, doubled since each is aligned to its own size, where the default is too small.
fn window(host: &Host, devices: &[PlacedDevice]) -> Option<u64> {
    let functions = devices.iter().flat_map(|d| std::iter::once(&d.address).chain(&d.functions));
    let bars = functions.filter_map(|address| host.pci().get(*address)).flat_map(|d| &d.bars);
    let mib: u64 = bars.map(|bar| bar.0.div_ceil(1 << 20)).fold(0, u64::saturating_add);
    (mib > DEFAULT_WINDOW_MIB / 2)
        .then(|| mib.saturating_mul(2).checked_next_power_of_two())
        .flatten()
}
