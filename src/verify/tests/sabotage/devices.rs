//! Which devices a VM is given, and on which cells.

use super::super::scenes::{
    address, default, expander, function, link, nodes, numa_smt, nvswitch, pin, placed, port,
};
use super::{Sabotage, other};
use crate::host::HostUse;
use crate::request::{GpuRequest, Policy};
use crate::units::{CellId, NodeId};
use crate::verify::Violation::*;

pub(super) fn devices_broken() -> Vec<Sabotage> {
    let (gpu, nic) = (address("13:00.0"), address("82:00.0"));
    vec![
        (
            pin,
            |s| s.request.gpus = GpuRequest::Count { count: 2, model: None },
            GpuCount { found: 1, wanted: 2 },
        ),
        (
            pin,
            |s| s.request.devices = vec![address("82:00.0")],
            DeviceMissing { address: nic, as_gpu: false },
        ),
        (
            numa_smt,
            |s| {
                let three = ["13:00.0", "14:00.0", "81:00.0"].map(address);
                s.request.gpus = GpuRequest::Addresses(three.to_vec());
            },
            DeviceMissing { address: address("14:00.0"), as_gpu: true },
        ),
        (
            numa_smt,
            |s| s.request.devices = vec![address("c0:00.0")],
            DeviceUnasked { address: nic, as_gpu: false },
        ),
        (
            numa_smt,
            |s| s.request.gpus = GpuRequest::Addresses(vec![address("81:00.0")]),
            DeviceUnasked { address: gpu, as_gpu: true },
        ),
        (
            pin,
            |s| s.placement.devices[0].withheld.push(address("99:00.0")),
            NoSuchDevice { address: address("99:00.0") },
        ),
        (default, |s| s.replace_gpu("82:00.0"), NotGpu { address: nic }),
        (
            pin,
            |s| s.request.gpus = GpuRequest::Count { count: 1, model: Some("A100".to_owned()) },
            GpuModel { address: gpu, model: "NVIDIA H100".to_owned(), wanted: "A100".to_owned() },
        ),
        (default, |s| s.replace_gpu("00:02.0"), GpuIntegrated { address: address("00:02.0") }),
        (
            default,
            |s| s.hold("", &["14:00.0"]),
            DeviceHeld { address: address("14:00.0"), holder: other() },
        ),
        (
            pin,
            |s| s.hold("", &["13:00.2"]),
            DeviceHeld { address: address("13:00.2"), holder: other() },
        ),
        (
            pin,
            |s| s.placement.devices[0].withheld.push(address("13:00.2")),
            DeviceTwice { address: address("13:00.2") },
        ),
        (
            pin,
            |s| s.placement.devices[0].withheld.clear(),
            GroupSplit { address: gpu, missing: address("13:00.2") },
        ),
        // The withheld function of the slot is shown.
        (
            pin,
            |s| {
                s.placement.devices[0].functions.push(address("13:00.2"));
                s.placement.devices[0].withheld.clear();
                s.placement.pci.functions.push(function("13:00.2", 1, 2));
            },
            NotCompanion { address: gpu, function: address("13:00.2") },
        ),
        // The sound of the card is withheld.
        (
            pin,
            |s| {
                let device = &mut s.placement.devices[0];
                device.withheld.append(&mut device.functions);
                s.placement.pci.functions.truncate(1);
                s.placement.pci.functions[0].multifunction = false;
            },
            CompanionMissing { address: gpu, missing: address("13:00.1") },
        ),
        // The withheld function is a controller of disks, a NIC, the boot display, the last
        // display, and the last USB controller of the host.
        (
            pin,
            |s| s.class("13:00.2", 0x0001_0601),
            NeededTaken { address: gpu, taken: address("13:00.2") },
        ),
        (
            pin,
            |s| s.class("13:00.2", 0x0002_0000),
            NeededTaken { address: gpu, taken: address("13:00.2") },
        ),
        (
            pin,
            |s| {
                s.class("13:00.2", 0x0003_0000);
                s.device("13:00.2").boot_vga = true;
            },
            NeededTaken { address: gpu, taken: address("13:00.2") },
        ),
        (
            pin,
            |s| {
                s.class("13:00.2", 0x0003_0000);
                s.class("00:02.0", 0x0003_0200);
            },
            NeededTaken { address: gpu, taken: address("13:00.2") },
        ),
        (
            pin,
            |s| s.host.devices.retain(|device| device.address != address("00:14.0")),
            NeededTaken { address: gpu, taken: address("13:00.2") },
        ),
        // The host uses this GPU, and another is free.
        (
            pin,
            |s| s.device("13:00.0").driver = Some("nvidia".to_owned()),
            LossAvoidable { address: gpu, other: address("14:00.0") },
        ),
        (
            pin,
            |s| s.device("13:00.0").used_for = vec![HostUse::Processes],
            LossAvoidable { address: gpu, other: address("14:00.0") },
        ),
        (
            pin,
            |s| s.device("13:00.0").boot_vga = true,
            LossAvoidable { address: gpu, other: address("14:00.0") },
        ),
        (
            pin,
            |s| s.placement.devices[0].withheld.push(address("82:00.0")),
            WithheldApart { address: gpu, withheld: nic },
        ),
        (
            pin,
            |s| {
                s.placement.devices[0].functions.push(address("82:00.0"));
                s.placement.pci.functions.push(function("82:00.0", 1, 2));
            },
            FunctionApart { address: gpu, function: nic },
        ),
        (
            pin,
            |s| s.placement.devices[0].node = None,
            DeviceNode { address: gpu, found: None, wanted: Some(NodeId(0)) },
        ),
        (
            numa_smt,
            |s| {
                s.placement.devices[0].cell = Some(CellId(1));
                s.placement.pci.expanders[0].cell = CellId(1);
            },
            DeviceCell { address: gpu, found: Some(CellId(1)), wanted: Some(CellId(0)) },
        ),
        // On a plain port although there is an expander bus for its node.
        (
            numa_smt,
            |s| {
                s.placement.devices[2].cell = None;
                s.placement.pci.ports[2] = port(5, 0, None);
            },
            DeviceCell { address: nic, found: None, wanted: Some(CellId(1)) },
        ),
        // There is but one cell.
        (
            pin,
            |s| {
                s.placement.devices[0].cell = Some(CellId(0));
                s.placement.pci.expanders.push(expander(2, 0, 32, 0x10));
                s.placement.pci.ports[0] = port(1, 2, Some(0));
            },
            DeviceCell { address: gpu, found: Some(CellId(0)), wanted: None },
        ),
        // Its node is not known.
        (
            numa_smt,
            |s| {
                s.placement.devices[3].cell = Some(CellId(1));
                s.placement.pci.expanders.push(expander(7, 1, 128, 0xc0));
                s.placement.pci.ports[3] = port(6, 7, Some(0));
            },
            DeviceCell { address: address("c0:00.0"), found: Some(CellId(1)), wanted: None },
        ),
    ]
}

pub(super) fn policies_broken() -> Vec<Sabotage> {
    let (first, second) = (address("13:00.0"), address("81:00.0"));
    vec![
        (
            pin,
            |s| {
                s.request.policies.gpu_locality = Policy::Require;
                s.request.gpus = GpuRequest::Addresses(vec![address("81:00.0")]);
                s.placement.devices = vec![placed("81:00.0", 1, &["81:00.1"], &[])];
                s.placement.pci.functions[0].host = address("81:00.0");
                s.placement.pci.functions[1].host = address("81:00.1");
            },
            GpuRemote { address: address("81:00.0"), node: Some(NodeId(1)), nodes: nodes("0") },
        ),
        (
            numa_smt,
            |s| s.request.policies.same_switch = Policy::Require,
            NoCommonSwitch { first, second },
        ),
        (
            numa_smt,
            |s| s.request.policies.linked_gpus = Policy::Require,
            NotLinked { first, second },
        ),
        (
            pin,
            |s| s.request.policies.fabric_partition = Policy::Require,
            NotPartition { gpus: vec![first] },
        ),
        (
            pin,
            |s| s.placement.fabric_partition = Some(1),
            WrongPartition { found: Some(1), wanted: None },
        ),
        (
            pin,
            |s| s.host.fabric_partitions[0].gpus.truncate(1),
            WrongPartition { found: None, wanted: Some(1) },
        ),
        (
            numa_smt,
            |s| {
                s.request.policies.linked_gpus = Policy::Require;
                s.host.gpu_links.push(link("13:00.0", "81:00.0"));
                s.host.fabric_partitions.clear();
                s.host.devices.push(nvswitch("d0:00.0"));
            },
            UntoldFabric { gpus: vec![first, second] },
        ),
    ]
}
