//! What NVIDIA's driver knows about its GPUs, through NVML.
//!
//! The library is looked for at run time, and most machines that plan VMs have none: GPUs that are
//! bound to vfio-pci are invisible to it, and with all of them so the driver is rarely loaded. Its
//! absence is an answer, not a failure. [`Facts`] can also be read before the GPUs are bound, and laid
//! over the host later.

mod gpu;
mod links;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::facts::Facts;
use super::notes::Notes;
use pinwise::host::MAX_GPUS;
use pinwise::shown::plain;
use pinwise::units::PciAddr;

/// Why there is no NVML here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoNvml {
    /// No library of NVIDIA's driver, or one that cannot be loaded.
    #[error("no NVML here: the library cannot be loaded ({problem})")]
    Library {
        /// What the loader says.
        problem: String,
    },
    /// The library is there, the driver is not.
    #[error("no NVML here: NVIDIA's driver is not loaded")]
    Driver,
    /// The library is there and does not work.
    #[error("no NVML here: the library does not work ({problem})")]
    Refused {
        /// What it says.
        problem: String,
    },
}

impl From<NvmlError> for NoNvml {
    fn from(error: NvmlError) -> Self {
        match error {
            NvmlError::LibloadingError(said) => Self::Library { problem: plain(&said.to_string()) },
            NvmlError::DriverNotLoaded => Self::Driver,
            said => Self::Refused { problem: plain(&said.to_string()) },
        }
    }
}

/// Asks NVML about the GPUs of this machine: model, address, nearest node and pCPUs, PCIe link, MIG,
/// NVLink to other GPUs and to switches, and which GPUs reach each other.
///
/// NVML does not say what is at the other end of an NVLink, but where. That is a GPU if it is one that
/// NVML sees or one of `others`, the addresses of GPUs that are known from elsewhere; or else a
/// switch. GPUs with the same number of links to switches are linked to each other by so many.
///
/// A GPU that does not answer is left out, with a note; so is a single answer of one that it refuses.
///
/// # Errors
/// [`NoNvml`] if the library or the driver is missing or does not work, which is normal.
pub fn read(others: &[PciAddr]) -> Result<Facts, NoNvml> {
    let nvml = Nvml::init()?;
    let count = nvml.device_count()?;
    let mut notes = Notes::default();
    let shown = count.min(u32::try_from(MAX_GPUS).unwrap_or(u32::MAX));
    if shown < count {
        notes.add(format!("NVML shows {count} GPUs: the first {shown} taken"));
    }
    let mut found = Vec::new();
    for index in 0..shown {
        match gpu::open(&nvml, index) {
            Ok(gpu) => found.push(gpu),
            Err(problem) => {
                notes.add(format!("GPU {index} does not answer NVML ({problem}): left out"));
            }
        }
    }
    let mut facts = Facts { source: "NVML".to_owned(), ..Facts::default() };
    facts.gpus = found.iter().map(|(address, device)| gpu::read(*address, device)).collect();
    links::read(&found, others, &mut facts, &mut notes);
    facts.peers = links::peers(&found);
    facts.notes = notes.into_sentences();
    Ok(facts)
}
