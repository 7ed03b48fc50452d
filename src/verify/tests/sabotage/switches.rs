//! Switches that a guest is shown.

use super::super::scenes::{Scene, address, numa_smt, port, switched};
use super::Sabotage;
use crate::placement::GuestSwitch;
use crate::verify::Violation::*;

fn another_switch(scene: &mut Scene, index: u32, port: u32) {
    let host = address("11:00.0");
    scene.placement.pci.switches.push(GuestSwitch { index, port, host });
}

pub(super) fn switches_broken() -> Vec<Sabotage> {
    let first = address("13:00.0");
    let (own, beside) = (address("11:00.0"), address("12:00.0"));
    vec![
        (switched, |s| s.placement.pci.ports[1].slot = Some(1), SlotTwice { parent: 2, slot: 1 }),
        (switched, |s| s.placement.pci.ports[2].slot = None, PortSlot { port: 4, slot: None }),
        (switched, |s| s.placement.pci.ports[1].parent = 9, PortParent { port: 3, parent: 9 }),
        // A switch below a switch: what we print has none, and its buses would not be counted.
        (
            switched,
            |s| {
                another_switch(s, 6, 5);
                s.placement.pci.ports.push(port(5, 2, Some(2)));
                s.placement.pci.ports[2].parent = 6;
            },
            SwitchPort { index: 6, port: 5 },
        ),
        (
            switched,
            |s| {
                another_switch(s, 5, 1);
                s.placement.pci.ports[2].parent = 5;
            },
            SwitchShares { index: 5, port: 1 },
        ),
        (
            switched,
            |s| {
                another_switch(s, 6, 5);
                s.placement.pci.ports.push(port(5, 0, None));
            },
            EmptySwitch { index: 6 },
        ),
        (
            switched,
            |s| {
                s.placement.pci.switches[0].host = address("12:00.0");
                s.placement.pci.ports[2] = port(4, 0, None);
            },
            DeviceSwitch { address: first, index: 2, found: beside, wanted: Some(own) },
        ),
        // Another card's switch, with no switch of its own.
        (
            numa_smt,
            |s| {
                another_switch(s, 7, 4);
                s.placement.pci.ports[1] = port(4, 2, Some(0));
                s.placement.pci.ports.push(port(8, 7, Some(0)));
                s.placement.pci.functions[2].port = 8;
                s.placement.pci.functions[3].port = 8;
            },
            DeviceSwitch { address: address("81:00.0"), index: 7, found: own, wanted: None },
        ),
        // The buses below a switch count: its own, and one for each of its ports.
        (
            numa_smt,
            |s| {
                another_switch(s, 7, 3);
                s.placement.pci.ports.push(port(8, 7, Some(0)));
                s.placement.pci.functions[0].port = 8;
                s.placement.pci.functions[1].port = 8;
                s.placement.pci.expanders[1].bus_nr = 35;
            },
            BusOverlap { index: 2, bus_nr: 35, taken: 35 },
        ),
    ]
}
