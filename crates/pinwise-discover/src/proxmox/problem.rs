//! Why a configuration of Proxmox was not read.

/// Why a configuration of Proxmox was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxmoxError {
    /// A text longer than any configuration.
    #[error("the configuration has {bytes} bytes, but the limit is {limit}")]
    TooLong {
        /// The length in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A text without the options of a VM.
    #[error("the text is not the configuration of a VM, which qm config ID prints")]
    Unlike,
    /// More options than a VM can have.
    #[error("line {line}: more than {limit} options")]
    TooMany {
        /// The line of the first one over the limit, from 1.
        line: usize,
        /// The limit.
        limit: usize,
    },
    /// A second occurrence of an option.
    #[error("line {line}: {key} is repeated")]
    Twice {
        /// The line of the second, from 1.
        line: usize,
        /// The option.
        key: String,
    },
    /// A malformed value.
    #[error("line {line}: {key} {value:?} is not {expected}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// The option.
        key: String,
        /// The value or the part of it, shortened.
        value: String,
        /// The expected value.
        expected: &'static str,
    },
    /// pCPUs or nodes that the host does not have; a claim without them would be wrong.
    #[error("line {line}: {key} names {what}, which the host does not have")]
    Absent {
        /// The line, from 1.
        line: usize,
        /// The option.
        key: String,
        /// The pCPUs or the node.
        what: String,
    },
}
