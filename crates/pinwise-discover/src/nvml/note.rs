//! What the reader of NVML left out or replaced.

use std::fmt;

use super::problem::NoNvml;
use pinwise::units::PciAddr;

/// What the reader of NVML left out or replaced, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NvmlNote {
    /// NVML is missing, although the machine has NVIDIA's GPUs.
    Absent {
        /// Why it is missing.
        problem: NoNvml,
    },
    /// More GPUs than a host can have.
    TooMany {
        /// The number of GPUs that NVML shows.
        found: u32,
        /// The number of GPUs used.
        taken: u32,
    },
    /// A GPU that does not answer.
    Silent {
        /// NVML's number of the GPU.
        index: u32,
        /// The message of NVML.
        said: String,
    },
    /// NVLinks whose other end NVML does not show.
    LostLinks {
        /// The number of links.
        count: u32,
        /// The GPU.
        address: PciAddr,
    },
    /// The two ends of a connection count different numbers of NVLinks.
    CountsDiffer {
        /// One end.
        address: PciAddr,
        /// The number of links that this end counts.
        count: u32,
        /// The other end.
        far: PciAddr,
        /// The number of links that the other end counts.
        back: u32,
    },
}

impl fmt::Display for NvmlNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { problem } => write!(f, "{problem}"),
            Self::TooMany { found, taken } => {
                write!(f, "NVML shows {found} GPUs: only the first {taken} are used")
            }
            Self::Silent { index, said } => {
                write!(f, "GPU {index} does not answer NVML ({said}) and is ignored")
            }
            Self::LostLinks { count, address } => {
                write!(
                    f,
                    "NVML does not show the targets of {count} NVLinks of {address}: these links are ignored"
                )
            }
            Self::CountsDiffer { address, count, far, back } => write!(
                f,
                "{address} has {count} NVLinks to {far}, but {far} has {back} back: the smaller number is used"
            ),
        }
    }
}
