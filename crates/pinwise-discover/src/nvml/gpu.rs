//! The facts about one GPU.

use std::ffi::c_ulong;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::PciInfo;
use nvml_wrapper::{Device, Nvml};

use crate::facts::{GpuFacts, GpuName};
use pinwise::host::LinkState;
use pinwise::sets::{CpuSet, IdSet, NodeSet};
use pinwise::shown::plain;
use pinwise::units::{Id, NodeId, PciAddr, PcpuId};

/// `NVML_AFFINITY_SCOPE_NODE`.
const OF_NODE: u32 = 0;
/// The largest number of MIG instances that are looked for; cards have at most 7.
const MAX_INSTANCES: u32 = 64;
/// The speeds of PCIe generations from 1, in MT/s.
const SPEEDS: [u32; 6] = [2_500, 5_000, 8_000, 16_000, 32_000, 64_000];

/// The GPU of an index, with its PCI address; or NVML's message.
pub(super) fn open(nvml: &Nvml, index: u32) -> Result<(PciAddr, Device<'_>), String> {
    let said = |error: NvmlError| plain(&error.to_string());
    let device = nvml.device_by_index(index).map_err(said)?;
    let info = device.pci_info().map_err(said)?;
    let address = address(&info).ok_or_else(|| format!("PCI address {:?}", plain(&info.bus_id)))?;
    Ok((address, device))
}

/// The PCI address of a GPU, which is always function 0.
pub(super) fn address(info: &PciInfo) -> Option<PciAddr> {
    let small = |number: u32, limit: u8| u8::try_from(number).ok().filter(|n| *n < limit);
    let bus = u8::try_from(info.bus).ok()?;
    Some(PciAddr { domain: info.domain, bus, device: small(info.device, 32)?, function: 0 })
}

/// The facts that NVML gives about a GPU; a fact that it refuses is left out.
pub(super) fn read(address: PciAddr, device: &Device<'_>) -> GpuFacts {
    let nodes = device.memory_affinity(words::<NodeId>(), OF_NODE);
    let nodes: NodeSet = set(&nodes.unwrap_or_default());
    let cpus: CpuSet = set(&device.cpu_affinity(words::<PcpuId>()).unwrap_or_default());
    let state = |generation: Result<u32, _>, width: Result<u32, _>| {
        let at = usize::try_from(generation.ok()?.checked_sub(1)?).ok()?;
        let width = u8::try_from(width.ok()?).ok().filter(|width| *width > 0)?;
        Some(LinkState { mts: *SPEEDS.get(at)?, width })
    };
    let counts =
        [device.running_compute_processes_count(), device.running_graphics_processes_count()];
    let counts: Vec<u32> = counts.into_iter().filter_map(Result::ok).collect();
    let processes = counts.iter().fold(0_u32, |sum, count| sum.saturating_add(*count));
    GpuFacts {
        model: device.name().ok().map(|name| plain(&name)).filter(|name| !name.is_empty()),
        // A GPU near several nodes is on none of them.
        node: nodes.first().filter(|_| nodes.len() == 1),
        cpus: Some(cpus).filter(|cpus| !cpus.is_empty()),
        link_now: state(device.current_pcie_link_gen(), device.current_pcie_link_width()),
        link_max: state(device.max_pcie_link_gen(), device.max_pcie_link_width()),
        mig_instances: instances(device),
        mig: device.mig_mode().ok().map(|mode| mode.current != 0),
        processes: (!counts.is_empty()).then_some(processes),
        ..GpuFacts::new(GpuName::At(address))
    }
}

/// The number of MIG instances; `None` if MIG is off or not supported.
fn instances(device: &Device<'_>) -> Option<u32> {
    device.mig_mode().ok().filter(|mode| mode.current != 0)?;
    let most = device.mig_device_count().ok()?.min(MAX_INSTANCES);
    // Numbers of instances that do not exist are answered with an error.
    let found = (0..most).filter(|index| device.mig_device_by_index(*index).is_ok());
    u32::try_from(found.count()).ok()
}

/// The number of NVML's words that have a bit for every id.
fn words<T: Id>() -> usize {
    T::LIMIT.div_ceil(c_ulong::BITS) as usize
}

/// The ids whose bits are set, the lowest first.
fn set<T: Id>(words: &[c_ulong]) -> IdSet<T> {
    let bits = words.iter().zip((0..T::LIMIT).step_by(c_ulong::BITS as usize));
    let bits = bits.flat_map(|(word, first)| {
        let on = (0..c_ulong::BITS).filter(move |bit| word >> bit & 1 == 1);
        on.map(move |bit| first + bit)
    });
    bits.filter(|index| *index < T::LIMIT).map(T::from_index).collect()
}
