//! Notes on cores, caches and the pCPUs of nodes, shared by several readers.

use std::fmt;

use pinwise::host::{CacheKind, CacheSpec};
use pinwise::sets::CpuSet;
use pinwise::units::NodeId;

/// A repair of cores, caches or nodes that several readers make.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoreNote {
    /// Overlapping caches of one level and kind, which real hardware never has.
    Overlapping {
        /// The level.
        level: u8,
        /// The kind.
        kind: CacheKind,
    },
    /// pCPUs that name SMT siblings which do not name them back.
    OneSided {
        /// The number of such pCPUs.
        count: usize,
    },
    /// Core ids that are missing or not unique.
    Renumbered,
    /// An L3 cache that holds only some pCPUs of a core.
    Divided {
        /// The pCPUs of the core.
        core: CpuSet,
    },
    /// pCPUs that are on no node.
    Adopted {
        /// The pCPUs.
        pcpus: CpuSet,
        /// The node that is assumed.
        node: NodeId,
    },
}

/// The shape by which cores are taken for efficiency cores where no source tells kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KindSign {
    /// One thread, where other cores of the package have two.
    Threads,
    /// An L2 cache in common with other cores, where others of the package have one each.
    SharedL2,
}

/// The cores of that shape as a phrase.
impl fmt::Display for KindSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Threads => "cores with one thread beside cores with two",
            Self::SharedL2 => "cores that share an L2 cache beside cores with one each",
        })
    }
}

impl fmt::Display for CoreNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlapping { level, kind } => {
                let (size, shared_by) = (None, Vec::new());
                let cache = CacheSpec { level: *level, kind: *kind, size, shared_by };
                write!(f, "some pCPUs are in several {cache} caches: these caches are ignored")
            }
            Self::OneSided { count } => {
                write!(
                    f,
                    "{count} pCPUs name SMT siblings that do not name them back: these pairs are ignored"
                )
            }
            Self::Renumbered => {
                f.write_str("core ids are missing or not unique: cores are numbered by pCPU")
            }
            Self::Divided { core } => {
                write!(f, "L3 caches divide the core of pCPUs {core}: all L3 caches are ignored")
            }
            Self::Adopted { pcpus, node } => {
                write!(f, "pCPUs {pcpus} are on no node: node {node} is assumed")
            }
        }
    }
}
