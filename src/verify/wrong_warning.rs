//! The errors of warnings.

use crate::request::WishKind;
use crate::warnings::Warning;

/// An error in the warnings about neighbours and peers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongWarning {
    /// A warning whose claim is false.
    #[error("the warning is false: {warning:?}")]
    False {
        /// The warning.
        warning: Warning,
    },
    /// A true fact without its warning.
    #[error("the warning is missing: {warning:?}")]
    Missing {
        /// The warning.
        warning: Warning,
    },
    /// Another number of devices that are told to be farther from their GPUs than asked for.
    #[error("{told} devices ({kind}) are told to be apart from their GPUs, and {apart} are")]
    Apart {
        /// The kind of the devices.
        kind: WishKind,
        /// The number of warnings.
        told: usize,
        /// The number of devices that cannot all be near a GPU at once.
        apart: usize,
    },
}
