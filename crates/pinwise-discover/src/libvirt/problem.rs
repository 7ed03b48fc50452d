//! Why libvirt's XML was not read.

use std::fmt;

/// Where something stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TextPlace {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl fmt::Display for TextPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "line {line}, column {column}")
    }
}

/// Why XML was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LibvirtError {
    /// Longer than any document of libvirt's.
    #[error("the document has {bytes} bytes, but the limit is {limit}")]
    TooLong {
        /// The length in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not well-formed, with a document type, or with too many parts.
    #[error("the document cannot be read as XML: {reason}")]
    Xml {
        /// What the parser says, with the place where it knows it.
        reason: String,
    },
    /// Some other document.
    #[error("the document is a <{found}>, not a <{expected}>")]
    Document {
        /// Its root element.
        found: String,
        /// The expected value.
        expected: &'static str,
    },
    /// A value that is not what it should be.
    #[error("{place}: {name} {text:?} is not {expected}")]
    Value {
        /// The line and column.
        place: TextPlace,
        /// The element or attribute.
        name: &'static str,
        /// The value, shortened.
        text: String,
        /// The expected value.
        expected: &'static str,
    },
    /// An element or attribute that must be there.
    #[error("{place}: <{element}> has no {what}")]
    Missing {
        /// Where the element stands that lacks it.
        place: TextPlace,
        /// That element.
        element: String,
        /// What is missing.
        what: &'static str,
    },
    /// Something that may be there once.
    #[error("{place}: {what} is repeated")]
    Twice {
        /// Where the second stands.
        place: TextPlace,
        /// What is there twice.
        what: String,
    },
    /// Something that the host does not have, and without which the claim would be a wrong one.
    #[error("{place}: {name} names {what}, which the host does not have")]
    Absent {
        /// Where it is asked for.
        place: TextPlace,
        /// The element or attribute that asks.
        name: &'static str,
        /// What is asked for.
        what: String,
    },
}
