//! Facts about NVIDIA's GPUs, from the driver through NVML.
//!
//! The library is looked up at run time, and most machines that plan VMs do not have it: NVML does
//! not see GPUs bound to vfio-pci, and if all GPUs are bound, the driver is rarely loaded. So its
//! absence is an answer, not a failure. [`Facts`] can also be read before the GPUs are bound, and
//! laid over the host later.

mod gpu;
mod links;
pub(crate) mod note;
pub(crate) mod problem;

pub use note::NvmlNote;
use nvml_wrapper::Nvml;
pub use problem::NoNvml;

use super::facts::Facts;
use super::notes::Notes;
use pinwise::host::MAX_GPUS;
use pinwise::units::PciAddr;

/// Asks NVML about the GPUs of this machine: model, address, nearest node and pCPUs, PCIe link,
/// MIG, processes, NVLink to other GPUs and to switches, and which GPUs reach each other.
///
/// NVML gives the address at the other end of an NVLink, not what is there. It is taken for a GPU
/// if NVML sees a GPU at this address or if it is in `others`, the addresses of GPUs known from
/// elsewhere, and otherwise for a switch. GPUs with the same number of links to switches count as
/// linked to each other by that number.
///
/// A GPU that does not answer is left out, with a note. A single fact that NVML refuses is left
/// out.
///
/// # Errors
/// [`NoNvml`] if the library or the driver is missing or does not work. Expect this: most machines
/// lack one of them.
pub fn read(others: &[PciAddr]) -> Result<Facts, NoNvml> {
    let nvml = Nvml::init()?;
    let count = nvml.device_count()?;
    let mut notes = Notes::default();
    let shown = count.min(u32::try_from(MAX_GPUS).unwrap_or(u32::MAX));
    if shown < count {
        notes.add(NvmlNote::TooMany { found: count, taken: shown });
    }
    let mut found = Vec::new();
    for index in 0..shown {
        match gpu::open(&nvml, index) {
            Ok(gpu) => found.push(gpu),
            Err(said) => notes.add(NvmlNote::Silent { index, said }),
        }
    }
    let mut facts = Facts { source: "NVML".to_owned(), ..Facts::default() };
    facts.gpus = found.iter().map(|(address, device)| gpu::read(*address, device)).collect();
    links::read(&found, others, &mut facts, &mut notes);
    facts.peers = links::peers(&found);
    facts.notes = notes.finish();
    Ok(facts)
}
