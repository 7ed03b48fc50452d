//! Why NVML was not asked.

use nvml_wrapper::error::NvmlError;

use pinwise::shown::plain;

/// Why there is no NVML here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoNvml {
    /// No library of NVIDIA's driver, or one that cannot be loaded.
    #[error("NVML is not available: the library cannot be loaded ({problem})")]
    Library {
        /// What the loader says.
        problem: String,
    },
    /// The library is there, the driver is not.
    #[error("NVML is not available: NVIDIA's driver is not loaded")]
    Driver,
    /// The library is there and does not work.
    #[error("NVML is not available: the library does not work ({problem})")]
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
