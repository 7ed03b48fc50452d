//! Why NVML could not be asked.

use nvml_wrapper::error::NvmlError;

use pinwise::shown::plain;

/// Why there is no NVML here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoNvml {
    /// The library of NVIDIA's driver is missing or cannot be loaded.
    #[error("NVML is not available: the library cannot be loaded ({problem})")]
    Library {
        /// The message of the loader.
        problem: String,
    },
    /// The library is installed, but the driver is not loaded.
    #[error("NVML is not available: NVIDIA's driver is not loaded")]
    Driver,
    /// The library is installed, but does not work.
    #[error("NVML is not available: the library does not work ({problem})")]
    Refused {
        /// The message of the library.
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
