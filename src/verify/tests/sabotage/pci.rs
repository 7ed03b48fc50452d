//! Expander buses, ports, and what is plugged into them.

use super::super::scenes::{address, default, expander, function, numa_smt, pin, port};
use super::Sabotage;
use crate::host::pcie::RootComplex;
use crate::units::CellId;
use crate::verify::Violation::*;

pub(super) fn controllers_broken() -> Vec<Sabotage> {
    vec![
        (pin, |s| s.placement.pci.ports.push(port(1, 0, None)), IndexTwice { index: 1 }),
        (
            pin,
            |s| {
                s.placement.pci.ports[0].index = 5;
                s.placement.pci.functions[0].port = 5;
                s.placement.pci.functions[1].port = 5;
            },
            IndexGap { index: 5, count: 1 },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders.push(expander(7, 9, 200, 0)),
            ExpanderCell { index: 7, cell: CellId(9) },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders.push(expander(7, 0, 255, 0)),
            BusNumber { index: 7, bus_nr: 255 },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders[1].bus_nr = 33,
            BusOverlap { index: 2, bus_nr: 33, taken: 33 },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders[1].bus_nr = 254,
            BusBeyond { index: 2, last: 256 },
        ),
        (numa_smt, |s| s.placement.pci.expanders[0].bus_nr = 9, PlainPorts { found: 1, room: 0 }),
        (numa_smt, |s| s.placement.pci.ports[0].parent = 99, PortParent { port: 3, parent: 99 }),
        (numa_smt, |s| s.placement.pci.ports[3].parent = 99, PortParent { port: 6, parent: 99 }),
        (numa_smt, |s| s.placement.pci.ports[0].slot = None, PortSlot { port: 3, slot: None }),
        (
            numa_smt,
            |s| s.placement.pci.ports[0].slot = Some(32),
            PortSlot { port: 3, slot: Some(32) },
        ),
        (numa_smt, |s| s.placement.pci.ports[2].slot = Some(0), SlotTwice { parent: 2, slot: 0 }),
    ]
}

pub(super) fn plugged_in_wrong() -> Vec<Sabotage> {
    let (gpu, sound) = (address("13:00.0"), address("13:00.1"));
    vec![
        (
            numa_smt,
            |s| {
                s.placement.pci.functions[1].port = 9;
                s.placement.pci.functions[0].multifunction = false;
            },
            NoSuchPort { host: sound, port: 9 },
        ),
        (
            pin,
            |s| {
                s.placement.pci.functions[1].port = 9;
                s.placement.pci.functions[0].multifunction = false;
            },
            NoSuchPort { host: sound, port: 9 },
        ),
        (
            pin,
            |s| s.placement.pci.functions[1].function = 8,
            FunctionNumber { host: sound, function: 8 },
        ),
        (
            pin,
            |s| {
                s.placement.pci.functions[1].function = 0;
                s.placement.pci.functions[1].multifunction = true;
            },
            FunctionTwice { port: 1, function: 0 },
        ),
        (default, |s| s.placement.pci.functions[0].function = 1, NoFunctionZero { port: 1 }),
        (default, |s| s.placement.pci.ports.push(port(2, 0, None)), NoFunctionZero { port: 2 }),
        (
            pin,
            |s| s.placement.pci.functions[0].multifunction = false,
            Multifunction { host: gpu, found: false },
        ),
        (
            pin,
            |s| s.placement.pci.functions[1].multifunction = true,
            Multifunction { host: sound, found: true },
        ),
        (
            pin,
            |s| {
                s.placement.pci.functions.pop();
                s.placement.pci.functions[0].multifunction = false;
            },
            NotShown { host: sound },
        ),
        (
            pin,
            |s| s.placement.pci.functions.push(function("13:00.2", 1, 2)),
            ShownUnplaced { host: address("13:00.2") },
        ),
        (
            pin,
            |s| s.placement.pci.functions.push(function("13:00.1", 1, 2)),
            ShownTwice { host: sound },
        ),
        (
            pin,
            |s| {
                s.placement.pci.ports.push(port(2, 0, None));
                s.placement.pci.functions[0].multifunction = false;
                s.placement.pci.functions[1] = function("13:00.1", 2, 0);
            },
            CardSplit { address: gpu, function: sound, port: 2, other: 1 },
        ),
        (
            numa_smt,
            |s| {
                s.placement.pci.ports.remove(2);
                s.placement.pci.ports[2].index = 5;
                s.placement.pci.functions[4] = function("82:00.0", 4, 2);
                s.placement.pci.functions[5].port = 5;
            },
            CardsShare { port: 4, first: address("81:00.0"), second: address("82:00.0") },
        ),
        (
            numa_smt,
            |s| s.placement.pci.ports[0] = port(3, 2, Some(5)),
            DeviceBus { address: gpu, found: Some(CellId(1)), wanted: Some(CellId(0)) },
        ),
        (
            numa_smt,
            |s| s.placement.pci.ports[2] = port(5, 0, None),
            DeviceBus { address: address("82:00.0"), found: None, wanted: Some(CellId(1)) },
        ),
        (
            numa_smt,
            |s| s.placement.pci.ports[0] = port(3, 0, None),
            DeviceBus { address: gpu, found: None, wanted: Some(CellId(0)) },
        ),
        (
            numa_smt,
            |s| s.placement.pci.expanders[0].root.bus = 0x99,
            DeviceRoot {
                address: gpu,
                index: 1,
                found: RootComplex { domain: 0, bus: 0x99 },
                wanted: RootComplex { domain: 0, bus: 0x10 },
            },
        ),
        (
            pin,
            |s| s.placement.pci.mmio64_mib = Some(64 << 10),
            MmioWindow { found: 64 << 10, needed: (64 << 10) + 32 },
        ),
        (
            pin,
            |s| s.placement.pci.mmio64_mib = Some(100_000),
            MmioWindow { found: 100_000, needed: (64 << 10) + 32 },
        ),
    ]
}
