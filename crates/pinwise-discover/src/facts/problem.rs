//! What can be wrong with a text of facts.

/// The longest text that [`read_facts`](super::read_facts) looks at, in bytes.
pub const MAX_FACTS: usize = 4 << 20;

/// The commands whose output describes a host.
const HOSTS: &str = "lscpu -e, virsh capabilities or lstopo --of xml";

/// Why a text gives no facts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// A text beyond [`MAX_FACTS`].
    #[error("the text has {bytes} bytes, but the limit is {limit}")]
    TooLong {
        /// The length in bytes.
        bytes: usize,
        /// The most: [`MAX_FACTS`], or less for XML.
        limit: usize,
    },
    /// Nothing but blanks.
    #[error("the text is empty")]
    Empty,
    /// None of the texts that are known.
    #[error(
        "the text begins with {beginning:?}, which is none of {known}; a host is read from the output of {HOSTS}"
    )]
    Unknown {
        /// The texts that are known: the names of the [`READERS`](super::READERS).
        known: String,
        /// How it begins.
        beginning: String,
    },
    /// The output of a command, or a part of it, that does not show each pCPU.
    #[error("the text looks like {of}, which cannot be read: use the whole output of {HOSTS}")]
    Unsuitable {
        /// The command or the part.
        of: &'static str,
    },
    /// XML, which needs the feature `xml`.
    #[error("the text is XML, which this build cannot read: build with --features xml")]
    NoXml,
    /// A value that its place does not allow.
    #[error("line {line}: {what} {value:?} is not {expected}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// What the value is of.
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
        /// The row's name.
        row: String,
        /// Its cells.
        found: usize,
        /// The columns.
        columns: usize,
    },
    /// More of something than a host can have.
    #[error("line {line}: more than {limit} {what}")]
    TooMany {
        /// The line of the first one too many, from 1.
        line: usize,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Something that may be there once.
    #[error("line {line}: {what} is repeated")]
    Twice {
        /// The line of the second, from 1.
        line: usize,
        /// What.
        what: String,
    },
    /// Something that the rest cannot be without.
    #[error("line {line}: {what} is missing")]
    Missing {
        /// The line of what lacks it, from 1.
        line: usize,
        /// What.
        what: String,
    },
    /// Two cells that say of the same pair what cannot both be so.
    #[error("line {line}: {of} is {value:?}, but {other:?} in the opposite direction")]
    Asymmetric {
        /// The line of the second, from 1.
        line: usize,
        /// The pair.
        of: String,
        /// What the second says.
        value: String,
        /// What the first says.
        other: String,
    },
    /// XML that is not read here.
    #[cfg(feature = "xml")]
    #[error(transparent)]
    Document(#[from] crate::libvirt::LibvirtError),
}
