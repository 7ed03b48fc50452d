//! The guest's PCIe tree: a port for every card, under an expander bus of its cell where the guest
//! is to see which cell is near, and under a switch where GPUs and NICs share one on the host.

use std::collections::BTreeMap;

use crate::engine::profile::count;
use crate::engine::refusal::Fact;
use crate::host::Host;
use crate::host::pcie::{DeviceKind, RootComplex};
use crate::placement::{
    ExpanderBus, GuestFunction, GuestPci, GuestPort, GuestSwitch, PlacedDevice,
};
use crate::units::{CellId, PciAddr};

/// Buses that are left for what else the domain has: its disks, its network, its console.
const SPARE_BUSES: usize = 32;
/// The most ports on one expander bus or switch: a slot each.
const MAX_PORTS: usize = 32;
/// What firmware maps above 4 GiB without being told.
const DEFAULT_WINDOW_MIB: u64 = 32 * 1024;

type Card = Vec<PciAddr>;

/// What hangs from one bus: cards with a root port each, and switches with the cards below them.
#[derive(Debug, Default)]
struct Bus {
    plain: Vec<Card>,
    switches: Vec<(PciAddr, Vec<Card>)>,
}

impl Bus {
    fn ports(&self) -> usize {
        self.plain.len() + self.switches.len()
    }

    /// Bus numbers: one behind every port, and one inside every switch.
    fn numbers(&self) -> usize {
        let below = self.switches.iter().map(|(_, cards)| 2 + cards.len());
        self.plain.len() + below.sum::<usize>()
    }

    fn cards(&self) -> usize {
        self.plain.len() + self.switches.iter().map(|(_, cards)| cards.len()).sum::<usize>()
    }

    /// Puts cards of one host switch below one guest switch where GPUs and NICs are among them. For
    /// others nothing is known to be won, and the switch that QEMU has says that its links are
    /// slow.
    fn share(&mut self, host: &Host) {
        let kind = |card: &Card| host.pci().get(card[0]).map(|device| device.kind());
        if !self.plain.iter().any(|card| kind(card) == Some(DeviceKind::Nic)) {
            return;
        }
        let mut by_switch: BTreeMap<PciAddr, Vec<usize>> = BTreeMap::new();
        for (card, at) in self.plain.iter().zip(0..) {
            if let Some(switch) = host.pci().switch_of(card[0]) {
                by_switch.entry(switch).or_default().push(at);
            }
        }
        by_switch.retain(|_, cards| {
            let has = |wanted| cards.iter().any(|at| kind(&self.plain[*at]) == Some(wanted));
            cards.len() <= MAX_PORTS && has(DeviceKind::Gpu) && has(DeviceKind::Nic)
        });
        for (switch, cards) in &by_switch {
            let below = cards.iter().map(|at| std::mem::take(&mut self.plain[*at])).collect();
            self.switches.push((*switch, below));
        }
        self.plain.retain(|card| !card.is_empty());
    }
}

/// Lays out the devices, with the switches that they share where the guest is to be `shown` them.
///
/// # Errors
/// [`Fact::TooManyDevices`] if the buses do not suffice.
pub(crate) fn guest_pci(
    host: &Host,
    devices: &[PlacedDevice],
    shown: bool,
) -> Result<GuestPci, Fact> {
    let mut first = Bus::default();
    let mut buses: BTreeMap<(CellId, RootComplex), Bus> = BTreeMap::new();
    let root = |address| match host.gpu_index(address) {
        Some(gpu) => host.derived().gpus[gpu].root,
        None => host.pci().root_of(address),
    };
    for device in devices {
        let bus = match device.cell {
            Some(cell) => buses.entry((cell, root(device.address))).or_default(),
            None => &mut first,
        };
        let functions = std::iter::once(device.address).chain(device.functions.iter().copied());
        // A virtual function is a card of its own, though its address may be in a card's slot.
        let is_virtual = |at| host.pci().get(at).is_some_and(|d| d.physical_function.is_some());
        let alone = is_virtual(device.address);
        let same =
            |card: &&mut Card| !alone && card[0].same_slot(device.address) && !is_virtual(card[0]);
        match bus.plain.iter_mut().find(same) {
            Some(card) => card.extend(functions),
            None => bus.plain.push(functions.collect()),
        }
    }
    if shown {
        first.share(host);
        buses.values_mut().for_each(|bus| bus.share(host));
    }
    let total: usize = buses.values().map(|bus| 1 + bus.numbers()).sum();
    let crowded = buses.values().any(|bus| bus.ports() > MAX_PORTS);
    if crowded || first.numbers() + total + SPARE_BUSES > 256 {
        if shown {
            // Without switches there may be room.
            return guest_pci(host, devices, false);
        }
        let cards = first.cards() + buses.values().map(Bus::cards).sum::<usize>();
        return Err(Fact::TooManyDevices { devices: count(cards) });
    }
    let mut pci = GuestPci { mmio64_mib: window(host, devices), ..GuestPci::default() };
    let mut index = 1;
    pci.hang(&first, &mut index, 0);
    // From the top of the range down: the last expander's last port is bus 255, and everything that
    // libvirt puts on the first bus numbers upward from 1.
    let mut bus_nr = 256 - total;
    for ((cell, root), bus) in &buses {
        let expander = index;
        index += 1;
        let small =
            u8::try_from(bus_nr).expect("an expander has a port, so its number is below 255");
        let (cell, root) = (*cell, *root);
        pci.expanders.push(ExpanderBus { index: expander, cell, bus_nr: small, root });
        bus_nr += 1 + bus.numbers();
        pci.hang(bus, &mut index, expander);
    }
    Ok(pci)
}

impl GuestPci {
    /// What hangs from the bus of the controller `parent`; indexes are taken from `index` on.
    fn hang(&mut self, bus: &Bus, index: &mut u32, parent: u32) {
        let mut take = || {
            *index += 1;
            *index - 1
        };
        // On bus 0 libvirt has devices of its own and chooses.
        let mut slots = (0..).map(|slot| (parent != 0).then_some(slot));
        for (card, slot) in bus.plain.iter().zip(&mut slots) {
            self.plug(card, take(), parent, slot);
        }
        for ((host, cards), slot) in bus.switches.iter().zip(&mut slots) {
            let port = take();
            self.ports.push(GuestPort { index: port, parent, slot });
            let switch = take();
            self.switches.push(GuestSwitch { index: switch, port, host: *host });
            for (card, slot) in cards.iter().zip(0..) {
                self.plug(card, take(), switch, Some(slot));
            }
        }
    }

    fn plug(&mut self, card: &Card, index: u32, parent: u32, slot: Option<u8>) {
        self.ports.push(GuestPort { index, parent, slot });
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

/// Room for all BARs, doubled since each is aligned to its own size, where the default is too
/// small.
fn window(host: &Host, devices: &[PlacedDevice]) -> Option<u64> {
    let functions = devices.iter().flat_map(|d| std::iter::once(&d.address).chain(&d.functions));
    needed_window(host, functions.copied())
}

/// The same for these functions.
pub(crate) fn needed_window(host: &Host, functions: impl Iterator<Item = PciAddr>) -> Option<u64> {
    let functions = functions.filter_map(|address| host.pci().get(address));
    let bars = functions.flat_map(|device| &device.bars);
    let mib: u64 = bars.map(|bar| bar.0.div_ceil(1 << 20)).fold(0, u64::saturating_add);
    (mib > DEFAULT_WINDOW_MIB / 2)
        .then(|| mib.saturating_mul(2).checked_next_power_of_two())
        .flatten()
}
