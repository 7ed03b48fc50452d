//! Physical functions, virtual functions and mediated devices that exclude each other.

use super::super::scenes::{Scene, address, default, function, pin, placed, port};
use super::{Sabotage, other};
use crate::host::pcie::PciDevice;
use crate::request::GpuRequest;
use crate::units::NodeId;
use crate::usage::Claim;
use crate::verify::Violation::*;

/// Gives the GPU at `card` the virtual function at `text`.
fn split(s: &mut Scene, card: &str, text: &str) {
    let card = s.host.devices.iter().find(|device| device.address == address(card)).unwrap();
    let function = PciDevice {
        address: address(text),
        physical_function: Some(card.address),
        iommu_group: Some(99),
        ..card.clone()
    };
    s.host.devices.push(function);
}

/// The other tenant has a mediated device.
fn share(s: &mut Scene, parent: Option<&str>) {
    let mediated = vec![parent.map(address)];
    s.tenants = vec![Claim { mediated, ..Claim::default() }];
}

/// The GPUs are named, so that any may be given.
fn name_gpus(s: &mut Scene) {
    let gpus = s.placement.devices.iter().filter(|device| device.is_gpu);
    s.request.gpus = GpuRequest::Addresses(gpus.map(|device| device.address).collect());
}

pub(super) fn functions_broken() -> Vec<Sabotage> {
    let gpu = address("13:00.0");
    vec![
        // A virtual function by number, where whole GPUs are wanted.
        (
            default,
            |s| {
                split(s, "14:00.0", "14:10.0");
                s.replace_gpu("14:10.0");
            },
            GpuKind { address: address("14:10.0"), is_virtual: true },
        ),
        (
            pin,
            |s| s.request.gpus = GpuRequest::VfOf { count: 1, model: None },
            GpuKind { address: gpu, is_virtual: false },
        ),
        (
            pin,
            |s| split(s, "13:00.0", "13:10.0"),
            GpuSplit { address: gpu, function: address("13:10.0") },
        ),
        // A tenant has a virtual function of the card.
        (
            pin,
            |s| {
                split(s, "13:00.0", "13:10.0");
                name_gpus(s);
                s.hold("", &["13:10.0"]);
            },
            FunctionHeld { address: gpu, function: address("13:10.0"), holder: other() },
        ),
        // A tenant has the card of the virtual function.
        (
            default,
            |s| {
                split(s, "81:00.0", "81:10.0");
                s.replace_gpu("81:10.0");
                name_gpus(s);
                s.hold("", &["81:00.0", "81:00.1"]);
            },
            FunctionHeld {
                address: address("81:10.0"),
                function: address("81:00.0"),
                holder: other(),
            },
        ),
        (
            pin,
            |s| {
                split(s, "13:00.0", "13:10.0");
                s.placement.devices.push(placed("13:10.0", 0, &[], &[]));
                s.placement.pci.ports.push(port(2, 0, None));
                s.placement.pci.functions.push(function("13:10.0", 2, 0));
                s.placement.pci.mmio64_mib = Some(1 << 18);
                name_gpus(s);
            },
            FunctionsExclude { address: gpu, function: address("13:10.0") },
        ),
        (
            pin,
            |s| {
                name_gpus(s);
                share(s, Some("13:00.0"));
            },
            DeviceShared { address: gpu, parent: gpu, holder: other() },
        ),
        // The virtual function of a card that is shared.
        (
            default,
            |s| {
                split(s, "81:00.0", "81:10.0");
                s.replace_gpu("81:10.0");
                name_gpus(s);
                share(s, Some("81:00.0"));
            },
            DeviceShared {
                address: address("81:10.0"),
                parent: address("81:00.0"),
                holder: other(),
            },
        ),
        (pin, |s| share(s, None), DeviceUnsure { address: gpu, holder: other() }),
        // Two virtual functions of one slot share a port.
        (
            default,
            |s| {
                split(s, "14:00.0", "14:10.0");
                split(s, "14:00.0", "14:10.1");
                s.host.devices.last_mut().unwrap().iommu_group = Some(98);
                s.replace_gpu("14:10.0");
                s.placement.devices.push(placed("14:10.1", 0, &[], &[]));
                s.placement.pci.functions.push(function("14:10.1", 1, 1));
                s.placement.pci.functions[0].multifunction = true;
                s.placement.pci.mmio64_mib = Some(1 << 18);
                s.request.gpus = GpuRequest::VfOf { count: 2, model: None };
            },
            CardsShare { port: 1, first: address("14:10.0"), second: address("14:10.1") },
        ),
    ]
}

#[test]
fn what_is_not_excluded_stays_legal() {
    let node = Some(NodeId(0));
    // A sibling is held; the parent of a share is another card; vfio-pci's cards are not parents.
    for sound in [
        (|s: &mut Scene| {
            split(s, "14:00.0", "14:10.0");
            split(s, "14:00.0", "14:10.1");
            s.host.devices.last_mut().unwrap().iommu_group = Some(98);
            s.replace_gpu("14:10.0");
            s.request.gpus = GpuRequest::VfOf { count: 1, model: None };
            s.hold("", &["14:10.1"]);
        }) as fn(&mut Scene),
        |s| share(s, Some("81:00.0")),
        |s| {
            share(s, None);
            s.host.devices.iter_mut().for_each(|d| d.driver = Some("vfio-pci".to_owned()));
        },
    ] {
        let mut scene = default();
        sound(&mut scene);
        assert_eq!((scene.verify(), scene.placement.devices[0].node), (Ok(()), node));
    }
}
