//! VMs of KubeVirt as requests, from what `kubectl get vmi NAME -o json` prints.

mod amount;
pub(crate) mod note;
mod object;
mod problem;

use crate::libvirt::DomainRequest;
use crate::notes::Notes;
pub use note::KubevirtNote;
use object::{Cpu, Devices, Domain, Object};
use pinwise::RequestSpec;
use pinwise::request::{GpuRequest, Guest, MAX_IO_THREADS, MAX_VCPUS, Wish};
use pinwise::shown::shorten;
use pinwise::units::{Bytes, PageSize};
pub use problem::KubevirtError;

/// The largest part of a foreign text that a message shows, in bytes.
const MAX_SHOWN: usize = 60;

/// Whether a text is an object of KubeVirt, as JSON.
#[must_use]
pub fn is_vm(text: &str) -> bool {
    text.trim_start().starts_with('{') && text.contains("\"kubevirt.io/")
}

/// Reads a `VirtualMachineInstance`, or the one that a `VirtualMachine` describes, as the request
/// for a VM.
///
/// - vCPUs: `sockets` x `cores` x `threads`; without these, the CPU of `resources`, rounded up. SMT
///   siblings are preferably shown if `threads` is above 1.
/// - Memory: `memory.guest`, or else that of `resources`, rounded up to MiB; the page size of
///   `hugepages`, if it divides the memory.
/// - GPUs: `gpus`, and those of `hostDevices` whose resource's name speaks of GPUs. Only the device
///   plugin knows which GPUs a resource means, so they are requested by number. Other
///   `hostDevices` and SR-IOV interfaces are left out. A note tells of each.
/// - A pCPU for the emulator threads, if `isolateEmulatorThread` is set, and I/O threads.
/// - Windows, if the VM has `hyperv` features.
///
/// `dedicatedCpuPlacement` and `numa.guestMappingPassthrough` need nothing: the answer has pCPUs
/// for each vCPU, and the cells that serve the guest best.
///
/// # Errors
/// [`KubevirtError`] if the text is too long, is not such an object, or has a malformed value.
pub fn request_of_vm(text: &str) -> Result<DomainRequest, KubevirtError> {
    let Object { name, domain } = Object::read(text)?;
    let mut notes = Notes::default();
    let memory = memory(&domain, &mut notes)?;
    let vcpus = vcpus(&domain, &mut notes)?;
    let cpu = domain.cpu.unwrap_or_default();
    let devices = domain.devices.unwrap_or_default();
    let name = name.as_deref().unwrap_or("vm1");
    let mut request = RequestSpec::new(name, vcpus, memory);
    let huge = domain.memory.and_then(|memory| memory.hugepages);
    if let Some(size) = huge.and_then(|huge| huge.page_size) {
        let bytes =
            amount::bytes(&size.as_str().into()).and_then(|bytes| PageSize::from_kib(bytes.kib()));
        let bad = "a page size such as 2Mi";
        let size = bytes.ok_or_else(|| KubevirtError::value("hugepages.pageSize", &size, bad))?;
        request.page_size = Some(size).filter(|size| size.pages_in(memory).is_some());
    }
    if cpu.threads.is_some_and(|threads| threads > 1) {
        request.smt = Wish::Prefer(true);
    }
    let isolates = cpu.isolate_emulator_thread == Some(true);
    request.emulator_pcpus = u32::from(isolates);
    let pool = domain.io_threads.and_then(|io| io.supplemental_pool_thread_count);
    let policy = domain.io_threads_policy.as_deref();
    request.io_threads = io_threads(policy, pool, isolates, vcpus, &devices)?;
    if domain.features.is_some_and(|features| features.hyperv.is_some()) {
        request.guest = Guest::Windows;
    }
    let count = gpus(&devices, &mut notes);
    request.gpus = GpuRequest::Count { count, model: None };
    let uuid = domain.firmware.and_then(|firmware| firmware.uuid);
    let uuid = uuid.filter(|uuid| crate::uuid::is_uuid(uuid));
    let (gpu_functions, notes) = (Vec::new(), notes.finish());
    Ok(DomainRequest { request, uuid, gpu_functions, notes, is_foreign: true })
}

fn vcpus(domain: &Domain, notes: &mut Notes) -> Result<u32, KubevirtError> {
    let told = |cpu: &Cpu| [cpu.sockets, cpu.cores, cpu.threads];
    if let Some(parts) = domain.cpu.as_ref().map(told).filter(|p| p.iter().any(Option::is_some)) {
        let one = |part: Option<u32>| part.unwrap_or(1);
        let all = parts.into_iter().try_fold(1_u32, |all, part| all.checked_mul(one(part)));
        let all = all.filter(|all| (1..=MAX_VCPUS).contains(all));
        let shown = parts.map(|part| one(part).to_string()).join(" x ");
        let bad = "a number of vCPUs up to 4096";
        return all.ok_or_else(|| KubevirtError::value("cpu", &shown, bad));
    }
    let Some(value) = domain.resources.as_ref().and_then(|all| all.of("cpu")) else {
        notes.add(KubevirtNote::OneVcpu);
        return Ok(1);
    };
    let vcpus = amount::thousandths(value).map(|milli| milli.div_ceil(1000));
    let vcpus = vcpus.and_then(|vcpus| u32::try_from(vcpus).ok());
    let vcpus = vcpus.filter(|vcpus| (1..=MAX_VCPUS).contains(vcpus));
    let bad = "a number of CPUs such as 4 or 3500m";
    vcpus.ok_or_else(|| KubevirtError::value("resources.cpu", &amount::shown(value), bad))
}

fn memory(domain: &Domain, notes: &mut Notes) -> Result<Bytes, KubevirtError> {
    let guest = domain.memory.as_ref().and_then(|memory| memory.guest.as_ref());
    let (name, value) = match (guest, domain.resources.as_ref().and_then(|all| all.of("memory"))) {
        (Some(guest), _) => ("memory.guest", guest),
        (None, Some(value)) => ("resources.memory", value),
        (None, None) => return Err(KubevirtError::NoMemory),
    };
    let bad = "an amount of memory such as 8Gi";
    let bytes = amount::bytes(value).filter(|bytes| *bytes > Bytes::ZERO);
    let bytes = bytes.ok_or_else(|| KubevirtError::value(name, &amount::shown(value), bad))?;
    let whole = bytes.0.div_ceil(1 << 20).checked_mul(1 << 20).map_or(bytes, Bytes);
    if whole != bytes {
        let told = shorten(&amount::shown(value), MAX_SHOWN);
        notes.add(KubevirtNote::MemoryRounded { told, memory: whole });
    }
    Ok(whole)
}

/// The I/O threads by KubeVirt's rules: one for each disk that has its own; beside these one for
/// all disks (`shared`), or one for each other disk up to twice the vCPUs (`auto`), which is the
/// emulator's if that has a pCPU of its own; or the threads of the pool.
fn io_threads(
    policy: Option<&str>,
    pool: Option<u32>,
    isolates: bool,
    vcpus: u32,
    devices: &Devices,
) -> Result<u32, KubevirtError> {
    let disks = devices.disks.as_deref().unwrap_or_default();
    let own = disks.iter().filter(|disk| disk.dedicated_io_thread == Some(true)).count();
    let own = u32::try_from(own).unwrap_or(u32::MAX);
    let others = u32::try_from(disks.len()).unwrap_or(u32::MAX).saturating_sub(own);
    let threads = match policy {
        None if own == 0 => 0,
        None | Some("shared") => own.saturating_add(1),
        Some("auto") if isolates => 1,
        Some("auto") => {
            let most = vcpus.saturating_mul(2).saturating_sub(own).max(1);
            own.saturating_add(others.min(most))
        }
        Some("supplementalPool") => pool.unwrap_or(1),
        Some(other) => {
            let bad = "shared, auto or supplementalPool";
            return Err(KubevirtError::value("ioThreadsPolicy", other, bad));
        }
    };
    Ok(threads.min(MAX_IO_THREADS))
}

/// The number of GPUs. A note tells of every device that is requested by number, or not at all.
fn gpus(devices: &Devices, notes: &mut Notes) -> u32 {
    let named = |device: &object::Device| {
        let name = device.device_name.as_deref().or(device.claim_name.as_deref());
        shorten(name.or(device.name.as_deref()).unwrap_or_default(), MAX_SHOWN)
    };
    let is_gpu = |device: &&object::Device| {
        let name = device.device_name.as_deref().unwrap_or_default().to_lowercase();
        ["nvidia.com/", "amd.com/", "gpu"].iter().any(|word| name.contains(word))
    };
    let host_devices = devices.host_devices.as_deref().unwrap_or_default();
    let all = devices.gpus.as_deref().unwrap_or_default().iter();
    let all: Vec<_> = all.chain(host_devices.iter().filter(is_gpu)).collect();
    let mut names: Vec<String> = all.iter().map(|device| named(device)).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().for_each(|resource| notes.add(KubevirtNote::AnyGpu { resource }));
    for device in host_devices.iter().filter(|device| !is_gpu(device)) {
        notes.add(KubevirtNote::HostDevice { resource: named(device) });
    }
    let interfaces = devices.interfaces.as_deref().unwrap_or_default();
    let sriov = interfaces.iter().filter(|interface| interface.sriov.is_some()).count();
    if sriov > 0 {
        notes.add(KubevirtNote::Sriov { count: sriov });
    }
    u32::try_from(all.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
