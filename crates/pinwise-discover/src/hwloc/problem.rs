//! Why XML of lstopo was not read.

/// The longest text that [`read_lstopo`](super::read_lstopo) looks at, in bytes.
pub const MAX_LSTOPO: usize = 64 << 20;
/// The largest part of a foreign text that a message shows, in bytes.
pub(super) const MAX_SHOWN: usize = 60;

/// Why a text is not a topology.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LstopoError {
    /// A text longer than the largest machine needs.
    #[error("the text has {bytes} bytes, but the limit is {limit}")]
    TooLong {
        /// The length of the text in bytes.
        bytes: usize,
        /// The limit in bytes: [`MAX_LSTOPO`].
        limit: usize,
    },
    /// Text that is not XML, with the place.
    #[error("not well-formed XML: {problem}")]
    Xml {
        /// The parser's message.
        problem: String,
    },
    /// A declaration of entities: lstopo never writes one, and entities can blow a text up.
    #[error("the text declares entities at byte {at}, which lstopo never does")]
    Entities {
        /// The offset in bytes.
        at: usize,
    },
    /// XML of another kind.
    #[error("the root element is <{root}>, not <topology>")]
    NotTopology {
        /// The root element.
        root: String,
    },
    /// A malformed value of an attribute.
    #[error("{line}:{column}: {attribute} {value:?} of {element} is not {expected}")]
    Value {
        /// The line, from 1.
        line: u32,
        /// The column of the element, from 1.
        column: u32,
        /// The type of the object, or the element.
        element: String,
        /// The attribute.
        attribute: &'static str,
        /// The value of the attribute.
        value: String,
        /// The expected value.
        expected: String,
    },
    /// An object without a required attribute.
    #[error("{line}:{column}: {element} has no {attribute}")]
    Missing {
        /// The line, from 1.
        line: u32,
        /// The column, from 1.
        column: u32,
        /// The type of the object, or the element.
        element: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// Two objects with the same id.
    #[error("{line}:{column}: {element} {id} occurs twice")]
    Duplicate {
        /// The line of the second, from 1.
        line: u32,
        /// The column of the second, from 1.
        column: u32,
        /// The type of the object.
        element: String,
        /// The id.
        id: String,
    },
    /// More objects than a host can have.
    #[error("{line}:{column}: {element} exceeds the limit of {limit}")]
    TooMany {
        /// The line of the first object over the limit, from 1.
        line: u32,
        /// The column of that object, from 1.
        column: u32,
        /// The type of the object, or the element.
        element: String,
        /// The limit.
        limit: usize,
    },
    /// A topology without online pCPUs.
    #[error("the topology shows no pCPUs")]
    NoPcpus,
}
