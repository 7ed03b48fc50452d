//! A library that answers like NVIDIA's NVML for machines that are invented: `PINWISE_FAKE_NVML`
//! says which. `tests/nvml` copies it to a folder as `libnvidia-ml.so.1` and points the loader
//! there.
//!
//! Only what the crate asks for is here, with the types and numbers of NVIDIA's `nvml.h`.
#![allow(unsafe_code, reason = "C calls it by name and hands it pointers")]
#![allow(missing_docs, reason = "nvml.h has them")]
#![allow(clippy::missing_safety_doc, reason = "the caller is nvml-wrapper, as with the real one")]
#![allow(missing_debug_implementations, reason = "nobody prints them")]
#![allow(clippy::cast_possible_truncation, reason = "all numbers here are small")]
#![allow(clippy::disallowed_methods, reason = "the environment says which machine it is")]

use std::ffi::{c_char, c_uint, c_ulong, c_void};
use std::ptr;

const SUCCESS: c_uint = 0;
const NOT_SUPPORTED: c_uint = 3;
const INSUFFICIENT_SIZE: c_uint = 7;
const DRIVER_NOT_LOADED: c_uint = 9;
const GPU_IS_LOST: c_uint = 15;
const UNKNOWN: c_uint = 999;

/// How many links, and the (domain, bus) behind each.
type Links = fn(gpu: usize, link: usize) -> Option<(c_uint, c_uint)>;

struct Machine {
    name: &'static [u8],
    /// Domain and bus by index; the device is 0.
    gpus: &'static [(c_uint, c_uint)],
    /// The one that does not answer.
    lost: Option<usize>,
    /// Ranges of pCPUs of each node, as many nodes as there are.
    nodes: &'static [&'static [(usize, usize)]],
    /// The node of each GPU; `None` for one that is near to all.
    node: fn(gpu: usize) -> Option<usize>,
    links: Links,
    /// Now and at most.
    generation: (c_uint, c_uint),
    /// Current mode, where there is one.
    mig: Option<fn(gpu: usize) -> c_uint>,
    /// Status of reading and writing, and of NVLink, between two.
    peer: fn(a: usize, b: usize) -> (c_uint, c_uint),
}

/// Eight GPUs, four on every second node, 18 links each to four switches: the machine of
/// `fixtures/hosts/hgx-h200-snc2.json`.
const HGX: Machine = Machine {
    name: b"NVIDIA H200",
    gpus: &[(0, 0x1b), (0, 0x2b), (0, 0x3b), (0, 0x4b), (0, 0x9b), (0, 0xab), (0, 0xbb), (0, 0xcb)],
    lost: None,
    nodes: &[
        &[(0, 23), (96, 119)],
        &[(24, 47), (120, 143)],
        &[(48, 71), (144, 167)],
        &[(72, 95), (168, 191)],
    ],
    node: |gpu| Some(gpu / 4 * 2),
    links: |_, link| (link < 18).then_some((0, 0x05 + link as c_uint % 4)),
    generation: (1, 5),
    mig: Some(|gpu| c_uint::from(gpu == 7)),
    peer: |_, _| (0, 0),
};

/// Four GPUs on PCIe. The first two have a bridge of four links; the last has slots for
/// one.
const PAIR: Machine = Machine {
    name: b"NVIDIA RTX A6000",
    gpus: &[(0x10000, 0x01), (0x10000, 0x21), (0x10000, 0x81), (0x10000, 0xa1)],
    lost: None,
    nodes: &[&[(0, 7)], &[(8, 15)]],
    node: |gpu| Some(gpu / 2),
    links: |gpu, link| match (gpu, link) {
        (0, 0..4) => Some((0x10000, 0x21)),
        (1, 0..4) => Some((0x10000, 0x01)),
        // To a GPU that the driver does not have.
        (2, 0..2) => Some((0x10000, 0xe1)),
        _ => None,
    },
    generation: (4, 4),
    mig: None,
    peer: |a, b| if a + b == 1 { (0, 0) } else { (1, 6) },
};

/// As [`HGX`], with a GPU that fell off the bus.
const LOST: Machine = Machine { lost: Some(2), ..HGX };

/// Names that are no text, links without speed, GPUs near both nodes.
const ODD: Machine =
    Machine { name: b"\xff\xfe", generation: (0, 9), node: |_| None, peer: |_, _| (6, 77), ..PAIR };

fn scene() -> String {
    std::env::var("PINWISE_FAKE_NVML").unwrap_or_default()
}

fn machine() -> &'static Machine {
    match scene().as_str() {
        "hgx" => &HGX,
        "pair" => &PAIR,
        "lost" => &LOST,
        "odd" => &ODD,
        other => panic!("no machine {other:?}"),
    }
}

/// A handle is the index and one, as no handle is null.
fn index(device: *mut c_void) -> usize {
    device as usize - 1
}

#[repr(C)]
pub struct PciInfo {
    bus_id_legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    pci_device_id: c_uint,
    pci_sub_system_id: c_uint,
    bus_id: [c_char; 32],
}

unsafe fn tell(info: *mut PciInfo, (domain, bus): (c_uint, c_uint)) -> c_uint {
    let mut bus_id = [0; 32];
    for (to, from) in bus_id.iter_mut().zip(format!("{domain:08X}:{bus:02X}:00.0").bytes()) {
        *to = from as c_char;
    }
    let told = PciInfo {
        bus_id_legacy: [0; 16],
        domain,
        bus,
        device: 0,
        pci_device_id: 0x2335_10de,
        pci_sub_system_id: 0,
        bus_id,
    };
    unsafe { ptr::write(info, told) };
    SUCCESS
}

unsafe fn put<T>(to: *mut T, value: T) -> c_uint {
    unsafe { ptr::write(to, value) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_uint {
    match scene().as_str() {
        "no-driver" => DRIVER_NOT_LOADED,
        "broken" => UNKNOWN,
        "strange" => 77,
        _ => SUCCESS,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_uint {
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_uint {
    unsafe { put(count, machine().gpus.len() as c_uint) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    device: *mut *mut c_void,
) -> c_uint {
    if machine().lost == Some(index as usize) {
        return GPU_IS_LOST;
    }
    unsafe { put(device, (index as usize + 1) as *mut c_void) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(
    device: *mut c_void,
    info: *mut PciInfo,
) -> c_uint {
    unsafe { tell(info, machine().gpus[index(device)]) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(
    _: *mut c_void,
    name: *mut c_char,
    length: c_uint,
) -> c_uint {
    let told = machine().name;
    assert!(told.len() < length as usize);
    unsafe {
        ptr::copy_nonoverlapping(told.as_ptr().cast(), name, told.len());
        put(name.add(told.len()), 0)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCpuAffinity(
    device: *mut c_void,
    size: c_uint,
    set: *mut c_ulong,
) -> c_uint {
    let ranges = near(index(device)).flat_map(|node| machine().nodes[node]);
    unsafe { words(size, set, ranges.flat_map(|(first, last)| *first..=*last)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryAffinity(
    device: *mut c_void,
    size: c_uint,
    set: *mut c_ulong,
    scope: c_uint,
) -> c_uint {
    assert_eq!(scope, 0, "that of the node");
    unsafe { words(size, set, near(index(device))) }
}

fn near(gpu: usize) -> std::ops::Range<usize> {
    match (machine().node)(gpu) {
        None => 0..machine().nodes.len(),
        Some(node) => node..node + 1,
    }
}

unsafe fn words(size: c_uint, set: *mut c_ulong, bits: impl Iterator<Item = usize>) -> c_uint {
    let wide = c_ulong::BITS as usize;
    let mut told = vec![0; size as usize];
    bits.for_each(|bit| told[bit / wide] |= 1 << (bit % wide));
    unsafe { ptr::copy_nonoverlapping(told.as_ptr(), set, told.len()) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCurrPcieLinkGeneration(
    _: *mut c_void,
    to: *mut c_uint,
) -> c_uint {
    unsafe { put(to, machine().generation.0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxPcieLinkGeneration(
    _: *mut c_void,
    to: *mut c_uint,
) -> c_uint {
    unsafe { put(to, machine().generation.1) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCurrPcieLinkWidth(_: *mut c_void, to: *mut c_uint) -> c_uint {
    unsafe { put(to, 16) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxPcieLinkWidth(_: *mut c_void, to: *mut c_uint) -> c_uint {
    unsafe { put(to, 16) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: *mut c_void,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> c_uint {
    let Some(mig) = machine().mig else { return NOT_SUPPORTED };
    unsafe {
        put(pending, 0);
        put(current, mig(index(device)))
    }
}

/// Two processes compute on the GPU that is divided; on no other, and nothing says who draws.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: *mut c_void,
    count: *mut c_uint,
    _: *mut c_void,
) -> c_uint {
    let Some(mig) = machine().mig else { return NOT_SUPPORTED };
    match mig(index(device)) {
        0 => unsafe { put(count, 0) },
        _ => {
            unsafe { put(count, 2) };
            INSUFFICIENT_SIZE
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkState(
    device: *mut c_void,
    link: c_uint,
    active: *mut c_uint,
) -> c_uint {
    let gpu = index(device);
    // The GPUs of a board have the same number of links, in use or not.
    let most = (0..36).filter(|link| {
        (0..machine().gpus.len()).any(|gpu| (machine().links)(gpu, *link).is_some())
    });
    if link as usize >= most.count() {
        return NOT_SUPPORTED;
    }
    unsafe { put(active, c_uint::from((machine().links)(gpu, link as usize).is_some())) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkRemotePciInfo_v2(
    device: *mut c_void,
    link: c_uint,
    info: *mut PciInfo,
) -> c_uint {
    match (machine().links)(index(device), link as usize) {
        Some(far) => unsafe { tell(info, far) },
        None => NOT_SUPPORTED,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetP2PStatus(
    a: *mut c_void,
    b: *mut c_void,
    what: c_uint,
    status: *mut c_uint,
) -> c_uint {
    let (memory, link) = (machine().peer)(index(a), index(b));
    match what {
        0 | 1 => unsafe { put(status, memory) },
        2 => unsafe { put(status, link) },
        _ => NOT_SUPPORTED,
    }
}
