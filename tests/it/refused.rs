//! What the emitters refuse: one thing broken, and just that error. And the last that they take.

use pinwise::emit::libvirt::{EmitError, domain, fragments};
use pinwise::placement::MemoryMode;
use pinwise::units::{CellId, Distance};
use pinwise::{Bytes, Placement};
use pinwise_discover::libvirt::{PatchError, patch};

const DESK: &str = include_str!("../lab/desk.xml");

fn named(name: &str) -> Placement {
    pinwise_testkit::placements::all()
        .into_iter()
        .find(|placement| placement.name == name)
        .expect("it is listed")
}

type Case = (&'static str, fn(&mut Placement), fn(&EmitError) -> bool);

#[test]
fn what_libvirt_takes_and_the_guest_does_not_is_refused() {
    let cases: [Case; 18] = [
        ("a vCPU too many", |p| p.topology.cores = 9, |e| matches!(e, EmitError::Topology { .. })),
        ("overflow", |p| p.topology.cores = u32::MAX, |e| matches!(e, EmitError::Topology { .. })),
        (
            "vCPU in no cell",
            |p| assert!(p.cells[1].vcpus.remove(pinwise::units::VcpuId(9))),
            |e| matches!(e, EmitError::Cells),
        ),
        ("cell numbers", |p| p.cells[1].id = CellId(2), |e| matches!(e, EmitError::Cells)),
        (
            "core in two cells",
            |p| (p.topology.sockets, p.topology.cores, p.topology.threads) = (1, 1, 16),
            |e| matches!(e, EmitError::CoreStraddles { core: 0 }),
        ),
        (
            "half a page",
            |p| p.cells[0].memory = Bytes::from_mib(1536),
            |e| matches!(e, EmitError::Memory { cell: CellId(0), .. }),
        ),
        (
            "no node",
            |p| p.cells[1].nodes = "".parse().unwrap(),
            |e| matches!(e, EmitError::NoNodes { mode: MemoryMode::Strict, .. }),
        ),
        (
            "asymmetric",
            |p| p.cells[0].distances[1] = Distance(13),
            |e| matches!(e, EmitError::Distance { .. }),
        ),
        (
            "remote is local",
            |p| p.cells[0].distances[1] = Distance(10),
            |e| matches!(e, EmitError::Distance { .. }),
        ),
        (
            "index gap",
            |p| p.pci.ports[1].index = 9,
            |e| matches!(e, EmitError::ControllerIndex { index: 9 }),
        ),
        (
            "no such bus",
            |p| p.pci.ports[1].parent = 2,
            |e| matches!(e, EmitError::ControllerIndex { .. }),
        ),
        ("no slot", |p| p.pci.ports[1].slot = None, |e| matches!(e, EmitError::Slot { .. })),
        (
            "next bus number",
            |p| p.pci.expanders[1].bus_nr = 65,
            |e| matches!(e, EmitError::BusNumber { bus_nr: 65, first_free: 66 }),
        ),
        (
            "beyond the last bus",
            |p| p.pci.expanders[1].bus_nr = 255,
            |e| matches!(e, EmitError::BusNumber { bus_nr: 255, .. }),
        ),
        (
            "spare port",
            |p| p.pci.functions.retain(|f| f.port != 2),
            |e| matches!(e, EmitError::EmptyPort { port: 2 }),
        ),
        (
            "given twice",
            |p| p.pci.functions[1].host = p.pci.functions[0].host,
            |e| matches!(e, EmitError::Function { .. }),
        ),
        (
            "not multifunction",
            |p| p.pci.functions[0].multifunction = false,
            |e| matches!(e, EmitError::Function { .. }),
        ),
        (
            "odd window",
            |p| p.pci.mmio64_mib = Some(3),
            |e| matches!(e, EmitError::Window { mib: 3 }),
        ),
    ];
    for (what, sabotage, expected) in cases {
        let mut placement = named("two-cells");
        sabotage(&mut placement);
        let error = domain(&placement).unwrap_err();
        assert!(expected(&error), "{what}: {error}");
        assert_eq!(fragments(&placement).unwrap_err(), error, "{what}");
        assert_eq!(patch(&placement, DESK).unwrap_err(), PatchError::Emit(error), "{what}");
    }
    let mut large = named("vcpus-300");
    large.iommu = false;
    assert_eq!(domain(&large).unwrap_err(), EmitError::NoIommu { vcpus: 300 });
}

#[test]
fn switches_that_would_not_be_seen_as_meant_are_refused() {
    let cases: [Case; 7] = [
        (
            "switch in no port",
            |p| p.pci.switches[0].port = 9,
            |e| matches!(e, EmitError::ControllerIndex { index: 3 }),
        ),
        (
            "switch before its port",
            |p| {
                p.pci.switches[0].index = 2;
                p.pci.switches[0].port = 3;
                p.pci.ports[0].index = 3;
            },
            |e| matches!(e, EmitError::ControllerIndex { index: 2 }),
        ),
        (
            "switch below a switch",
            |p| p.pci.switches[0].port = 4,
            |e| matches!(e, EmitError::ControllerIndex { index: 3 }),
        ),
        (
            "switch beside a card",
            |p| p.pci.functions[2].port = 2,
            |e| matches!(e, EmitError::Slot { port: 2 }),
        ),
        (
            "nothing below the switch",
            |p| {
                p.pci.ports[1].parent = 1;
                p.pci.ports[1].slot = Some(8);
                p.pci.ports[2].parent = 1;
                p.pci.ports[2].slot = Some(9);
            },
            |e| matches!(e, EmitError::EmptyPort { port: 2 }),
        ),
        (
            "one slot twice below the switch",
            |p| p.pci.ports[2].slot = Some(0),
            |e| matches!(e, EmitError::Slot { port: 5 }),
        ),
        (
            "the switch's buses",
            |p| p.pci.expanders[1].bus_nr = 69,
            |e| matches!(e, EmitError::BusNumber { bus_nr: 69, first_free: 70 }),
        ),
    ];
    for (what, sabotage, expected) in cases {
        let mut placement = named("switch");
        sabotage(&mut placement);
        let error = domain(&placement).unwrap_err();
        assert!(expected(&error), "{what}: {error}");
        assert_eq!(patch(&placement, DESK).unwrap_err(), PatchError::Emit(error), "{what}");
    }
}

#[test]
fn the_last_slot_and_the_last_bus_may_be_used() {
    let mut placement = named("two-cells");
    placement.pci.ports[1].slot = Some(31);
    // One port below it: the expander's own bus and the last one.
    placement.pci.expanders[1].bus_nr = 254;
    assert!(domain(&placement).unwrap().contains("busNr='254'"));
    placement.pci.ports[1].slot = Some(32);
    assert!(matches!(domain(&placement).unwrap_err(), EmitError::Slot { .. }));
}
