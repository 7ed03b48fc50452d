//! What the readers of facts left out or replaced.

use std::fmt;

use pinwise::sets::NodeSet;
use pinwise::shown::shorten;
use pinwise::units::PciAddr;

/// The longest list of names that a note shows, in bytes.
const MAX_LIST: usize = 100;

/// What a reader of facts left out or replaced, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FactsNote {
    /// A table that lacks rows, as in a text cut short.
    NoRows {
        /// The line of its header, from 1.
        line: usize,
        /// The devices without a row.
        devices: Vec<String>,
    },
    /// Pairs of GPUs that reach each other by XGMI only through other GPUs.
    IndirectXgmi {
        /// The number of pairs.
        pairs: u32,
    },
    /// More or fewer nodes are described than announced.
    NodeCount {
        /// The number announced.
        announced: u32,
        /// The number described.
        described: usize,
    },
    /// A word of a row that may mean pCPUs or a node, since either column may be blank.
    Ambiguous {
        /// The line, from 1.
        line: usize,
        /// The words, shortened.
        text: String,
    },
    /// A GPU whose memory is a node of its own.
    GpuMemory {
        /// The tool's number of the GPU.
        gpu: u32,
        /// The node or nodes.
        nodes: NodeSet,
    },
    /// The two ends of a connection count different numbers of links.
    CountsDiffer {
        /// One end.
        from: PciAddr,
        /// The number of links that this end counts.
        count: u32,
        /// The other end.
        to: PciAddr,
        /// The number of links that the other end counts.
        back: u32,
        /// The number used.
        taken: u32,
    },
    /// The two ends of a connection name different kinds of links.
    KindsDiffer {
        /// One end.
        from: PciAddr,
        /// The other end.
        to: PciAddr,
    },
    /// Links to something that is neither a GPU nor a switch in this text.
    LostTarget {
        /// The address that the links lead to.
        to: PciAddr,
    },
}

impl fmt::Display for FactsNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRows { line, devices } => {
                let devices = shorten(&devices.join(", "), MAX_LIST);
                write!(f, "the table at line {line} has no rows for {devices}")
            }
            Self::IndirectXgmi { pairs } => write!(
                f,
                "{pairs} pairs of GPUs reach each other by XGMI only through other GPUs and do not count as links"
            ),
            Self::NodeCount { announced, described } => {
                write!(f, "{announced} nodes are announced, but {described} are described")
            }
            Self::Ambiguous { line, text } => {
                write!(f, "line {line}: {text:?} may mean pCPUs or a node and is ignored")
            }
            Self::GpuMemory { gpu, nodes } => {
                write!(f, "GPU{gpu} has its own memory as node {nodes}, which is not used")
            }
            Self::CountsDiffer { from, count, to, back, taken } => {
                write!(
                    f,
                    "{from} has {count} links to {to}, but {to} has {back} back: {taken} are used"
                )
            }
            Self::KindsDiffer { from, to } => {
                write!(f, "{from} and {to} name links of different kinds: the first is used")
            }
            Self::LostTarget { to } => {
                write!(f, "there are links to {to}, which is neither a known GPU nor a switch")
            }
        }
    }
}
