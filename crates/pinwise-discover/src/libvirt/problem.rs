//! Why libvirt's XML was not read.

use std::fmt;

/// A place in a text.
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
    /// A text longer than any document that libvirt writes.
    #[error("the document has {bytes} bytes, but the limit is {limit}")]
    TooLong {
        /// The length in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A text that is not well-formed, declares a document type, or has too many parts.
    #[error("the document cannot be read as XML: {reason}")]
    Xml {
        /// The parser's message, with the place if it knows one.
        reason: String,
    },
    /// A document of another kind.
    #[error("the document is a <{found}>, not a <{expected}>")]
    Document {
        /// The root element of the document.
        found: String,
        /// The expected root element.
        expected: &'static str,
    },
    /// A malformed value.
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
    /// A required element or attribute that is absent.
    #[error("{place}: <{element}> has no {what}")]
    Missing {
        /// The place of the element that lacks it.
        place: TextPlace,
        /// The element that lacks it.
        element: String,
        /// What is missing.
        what: &'static str,
    },
    /// A second occurrence of what may occur once.
    #[error("{place}: {what} is repeated")]
    Twice {
        /// The place of the second.
        place: TextPlace,
        /// What occurs twice.
        what: String,
    },
    /// pCPUs or nodes that the host does not have; a claim without them would be wrong.
    #[error("{place}: {name} names {what}, which the host does not have")]
    Absent {
        /// The place that names them.
        place: TextPlace,
        /// The element or attribute that names them.
        name: &'static str,
        /// The pCPUs or the node.
        what: String,
    },
}
