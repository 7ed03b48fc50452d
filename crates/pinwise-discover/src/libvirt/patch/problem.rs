//! Why a domain was not patched.

use pinwise::emit::libvirt::EmitError;
use pinwise::shown::shorten;

/// The largest part of a foreign text that a message shows, in bytes.
pub(super) const MAX_SHOWN: usize = 60;

/// Why a domain was not patched. It is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The placement itself is wrong, or its buses do not fit beside the domain's.
    #[error("the placement cannot be written as domain XML")]
    Emit(#[from] EmitError),
    /// Too long to be a domain.
    #[error("the domain has {bytes} bytes, but the limit is {limit}")]
    TooLong {
        /// The length in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not well-formed, or with a document type, or with too many elements.
    #[error("the domain cannot be read as XML: {reason}")]
    Xml {
        /// What the parser says, with the place.
        reason: String,
    },
    /// Some other document.
    #[error("the document is a <{found}>, not a <domain>")]
    NotADomain {
        /// Its root element.
        found: String,
    },
    /// An element that must be there once at most.
    #[error("<{element}> occurs twice")]
    Twice {
        /// The element.
        element: String,
    },
    /// A value that is not the number or address it should be.
    #[error("value {text:?} is not {what}")]
    Value {
        /// The expected value.
        what: &'static str,
        /// What it is, cut.
        text: String,
    },
    /// Something that the placement knows nothing of and that would not be true after it.
    #[error("<{element}> would become wrong: {reason}")]
    Conflict {
        /// The element.
        element: &'static str,
        /// What it says that the placement cannot keep.
        reason: &'static str,
    },
    /// A device uses an I/O thread that the placement does not have.
    #[error("a device uses I/O thread {id}, but the placement has {count} I/O threads")]
    IoThread {
        /// The I/O thread.
        id: u32,
        /// How many there are.
        count: usize,
    },
    /// PCIe root ports, for devices, need the q35 machine.
    #[error("machine type {machine:?} has no PCIe root ports: use q35")]
    Machine {
        /// The domain's machine type.
        machine: String,
    },
    /// A chassis number that one of the new root ports would have too.
    #[error("chassis {chassis} is already in use")]
    Chassis {
        /// The number, and the controller index that it would belong to.
        chassis: u32,
    },
}

impl PatchError {
    pub(super) fn value(what: &'static str, text: &str) -> Self {
        Self::Value { what, text: shorten(text, MAX_SHOWN) }
    }
}
