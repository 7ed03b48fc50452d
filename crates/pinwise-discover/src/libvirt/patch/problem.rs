//! Why a domain was not patched.

use pinwise::emit::libvirt::EmitError;
use pinwise::shown::shorten;

/// The largest part of a foreign text that a message shows, in bytes.
pub(super) const MAX_SHOWN: usize = 60;

/// Why a domain was not patched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// A wrong placement, or one whose buses do not fit beside the domain's.
    #[error("the placement cannot be written as domain XML")]
    Emit(#[from] EmitError),
    /// A text too long to be a domain.
    #[error("the domain has {bytes} bytes, but the limit is {limit}")]
    TooLong {
        /// The length in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A text that is not well-formed, declares a document type, or has too many elements.
    #[error("the domain cannot be read as XML: {reason}")]
    Xml {
        /// The parser's message, with the place.
        reason: String,
    },
    /// A document of another kind.
    #[error("the document is a <{found}>, not a <domain>")]
    NotADomain {
        /// The root element of the document.
        found: String,
    },
    /// A second occurrence of an element that may occur once.
    #[error("<{element}> occurs twice")]
    Twice {
        /// The element.
        element: String,
    },
    /// A malformed number or address.
    #[error("value {text:?} is not {what}")]
    Value {
        /// The expected value.
        what: &'static str,
        /// The value, shortened.
        text: String,
    },
    /// An element in a default namespace of its own, which libvirt does not read.
    #[error("<{element}> is in a namespace that libvirt does not read")]
    Namespace {
        /// The element, shortened.
        element: String,
    },
    /// An element that the placement does not replace and would make wrong.
    #[error("<{element}> would become wrong: {reason}")]
    Conflict {
        /// The element.
        element: &'static str,
        /// What the placement cannot keep.
        reason: &'static str,
    },
    /// A device uses an I/O thread that the placement does not have.
    #[error("a device uses I/O thread {id}, but the placement has {count} I/O threads")]
    IoThread {
        /// The number of the I/O thread.
        id: u32,
        /// The number of I/O threads of the placement.
        count: usize,
    },
    /// A machine type without PCIe expander buses, which show the guest the cells of its devices:
    /// only q35 has them.
    #[error(
        "machine type {machine:?} has no PCIe expander buses to show which cell a device is near: \
         use q35, or a layout with one cell"
    )]
    Machine {
        /// The domain's machine type.
        machine: String,
    },
    /// A chassis number that a new root port would share.
    #[error("chassis {chassis} is already in use")]
    Chassis {
        /// The number, which is also the controller index of the new port.
        chassis: u32,
    },
}

impl PatchError {
    pub(super) fn value(what: &'static str, text: &str) -> Self {
        Self::Value { what, text: shorten(text, MAX_SHOWN) }
    }
}
