//! Why a text gives no facts.

/// The longest text that [`read_facts`](super::read_facts) looks at, in bytes.
pub const MAX_FACTS: usize = 4 << 20;

/// The commands whose output describes a host.
const HOSTS: &str = "lscpu -e, virsh capabilities or lstopo --of xml";

/// Why a text gives no facts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// A text longer than the limit.
    #[error("the text has {bytes} bytes, but the limit is {limit}")]
    TooLong {
        /// The length in bytes.
        bytes: usize,
        /// The limit in bytes: [`MAX_FACTS`], or less for XML.
        limit: usize,
    },
    /// A text of blanks only.
    #[error("the text is empty")]
    Empty,
    /// A text of unknown kind.
    #[error(
        "the text begins with {beginning:?}, which is none of {known}; a host is read from the output of {HOSTS}"
    )]
    Unknown {
        /// The known kinds of texts: the names of the [`READERS`](super::READERS).
        known: String,
        /// The beginning of the text.
        beginning: String,
    },
    /// The output of a command, or a part of it, that does not show each pCPU.
    #[error("the text looks like {of}, which cannot be read: use the whole output of {HOSTS}")]
    Unsuitable {
        /// The command or the part.
        of: &'static str,
    },
    /// XML in a build without the feature `xml`.
    #[error("the text is XML, which this build cannot read: build with --features xml")]
    NoXml,
    /// A malformed value.
    #[error("line {line}: {what} {value:?} is not {expected}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// The thing that the value is of, such as the memory of a node.
        what: String,
        /// The value, shortened.
        value: String,
        /// The expected value.
        expected: &'static str,
    },
    /// A row with fewer cells than its table has columns.
    #[error("line {line}: the row of {row} has {found} cells, but the table has {columns} columns")]
    Short {
        /// The line, from 1.
        line: usize,
        /// The name of the row.
        row: String,
        /// The number of cells in the row.
        found: usize,
        /// The number of columns of the table.
        columns: usize,
    },
    /// More of something than a host can have.
    #[error("line {line}: more than {limit} {what}")]
    TooMany {
        /// The line of the first one over the limit, from 1.
        line: usize,
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A second occurrence of what may occur once.
    #[error("line {line}: {what} is repeated")]
    Twice {
        /// The line of the second, from 1.
        line: usize,
        /// What occurs twice.
        what: String,
    },
    /// A required part that is absent.
    #[error("line {line}: {what} is missing")]
    Missing {
        /// The line of the text that requires it, from 1.
        line: usize,
        /// What is missing.
        what: String,
    },
    /// Two cells that contradict each other about the same pair.
    #[error("line {line}: {of} is {value:?}, but {other:?} in the opposite direction")]
    Asymmetric {
        /// The line of the second, from 1.
        line: usize,
        /// The pair.
        of: String,
        /// The second value.
        value: String,
        /// The first value.
        other: String,
    },
    /// Two lines that contradict each other.
    #[error("line {line}: {what} is {value}, but {other} in an earlier line")]
    Contradicts {
        /// The later line, from 1.
        line: usize,
        /// The thing that the values are of.
        what: String,
        /// The later value.
        value: String,
        /// The earlier value.
        other: String,
    },
    /// XML that cannot be read.
    #[cfg(feature = "xml")]
    #[error(transparent)]
    Document(#[from] crate::libvirt::LibvirtError),
}
