//! Cases with virtual functions: those of another generator, whose GPUs are split into virtual
//! functions, tenants hold some of them, and the request may ask for them.

use pinwise::host::{DeviceKind, PciClass, PciDevice, PciId};
use pinwise::request::GpuRequest;
use pinwise::{Claim, HostSpec, PciAddr, Workload};

use super::case::Case;
use super::rng::Rng;

/// Gives the function at `address` this number of virtual functions, in slots from 16 on of its
/// bus. They know neither their node nor the bridge above: these are those of the physical
/// function.
pub fn add(host: &mut HostSpec, address: PciAddr, functions: u8) {
    let own = host.devices.iter().find(|device| device.address == address);
    let own = own.expect("the function is in the list").clone();
    for at in 0..functions {
        let address = PciAddr { device: 16 + at / 8, function: at % 8, ..address };
        // Groups of their own, far from those of other buses.
        let group = 100_000 + u32::from(address.bus) * 1000 + u32::from(at);
        host.devices.push(PciDevice {
            address,
            physical_function: Some(own.address),
            node: None,
            parent: None,
            iommu_group: own.iommu_group.map(|_| group),
            link_now: None,
            link_max: None,
            ..own.clone()
        });
    }
}

/// Gives the host's GPUs up to `most` virtual functions each. Some of these know their node and the
/// bridge above, and some share an IOMMU group with a neighbour.
pub fn split(rng: &mut Rng, host: &mut HostSpec, most: u8) {
    let is_gpu = |device: &&PciDevice| device.kind() == DeviceKind::Gpu;
    let gpus: Vec<PciDevice> = host.devices.iter().filter(is_gpu).cloned().collect();
    for gpu in &gpus {
        let functions = rng.pick(&[0, 1, most / 2, most]).min(128);
        let (knows, in_group) = (rng.percent(70), rng.percent(10));
        add(host, gpu.address, functions);
        for device in &mut host.devices {
            if device.physical_function == Some(gpu.address) && knows {
                (device.node, device.parent) = (gpu.node, gpu.parent);
            }
            if device.physical_function == Some(gpu.address) && in_group {
                device.iommu_group = device.iommu_group.map(|group| group / 2 * 2);
            }
            if device.address == gpu.address && rng.percent(20) {
                device.mediated = Some(Vec::new());
            }
        }
    }
}

/// The case with split GPUs. Half of the requests for GPUs by number are for virtual functions, and
/// some of those by address have one; some tenants hold virtual functions, cards or mediated
/// devices. `None` where that does not hold together.
pub fn split_case(rng: &mut Rng, mut case: Case, most: u8) -> Option<Case> {
    split(rng, &mut case.host, most);
    let nic = PciDevice::new(
        PciAddr { domain: 7, bus: 0, device: 0, function: 0 },
        PciClass(0x02_00_00),
        PciId(0x8086),
        PciId(0x1592),
    );
    let function = PciDevice {
        address: PciAddr { function: 1, ..nic.address },
        physical_function: Some(nic.address),
        ..nic.clone()
    };
    case.host.devices.extend([nic, function]);
    let shares: Vec<PciAddr> = case
        .host
        .devices
        .iter()
        .filter(|device| device.kind() == DeviceKind::Gpu && device.physical_function.is_some())
        .map(|device| device.address)
        .collect();
    let cards: Vec<PciAddr> =
        case.host.devices.iter().filter_map(|device| device.physical_function).collect();
    for number in 0..rng.pick(&[0, 0, 1, 2]) {
        if shares.is_empty() {
            break;
        }
        let mut claim = Claim::default();
        match rng.below(8) {
            0 => claim.devices.push(rng.pick(&cards)),
            1 => claim.mediated.push(Some(rng.pick(&cards))),
            2 => claim.mediated.push(None),
            _ => claim.devices.push(rng.pick(&shares)),
        }
        case.tenants.push((format!("vf{number}"), claim));
        if case.build().is_none() {
            case.tenants.pop();
        }
    }
    match &mut case.request.gpus {
        GpuRequest::Count { count, model } if rng.percent(60) => {
            let (count, model) = ((*count).max(1), model.clone());
            case.request.gpus = GpuRequest::VfOf { count, model };
        }
        GpuRequest::Addresses(named) if !shares.is_empty() && !named.is_empty() => {
            named[0] = rng.pick(&shares);
        }
        _ => {}
    }
    // As for whole GPUs: between sets the search takes the better path, whatever the score says.
    if case.request.workload.weights().collective > 0 && case.request.gpus.count() > 1 {
        case.request.workload = Workload::default();
    }
    case.build().is_some().then_some(case)
}
