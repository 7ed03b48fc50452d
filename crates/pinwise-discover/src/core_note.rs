//! Notes on cores, caches and the pCPUs of nodes, which several readers share.

use std::fmt;

use pinwise::host::{CacheKind, CacheSpec};
use pinwise::sets::CpuSet;
use pinwise::units::NodeId;

/// A repair of cores, caches or nodes that several readers make alike.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoreNote {
    /// Caches of one level and kind overlap, as real ones never do.
    Overlapping {
        /// The level.
        level: u8,
        /// The kind.
        kind: CacheKind,
    },
    /// pCPUs name SMT siblings that do not name them back.
    OneSided {
        /// How many such pCPUs there are.
        count: usize,
    },
    /// Core ids are missing, or two cores have the same.
    Renumbered,
    /// An L3 cache holds only some pCPUs of a core.
    Divided {
        /// The pCPUs of the core.
        core: CpuSet,
    },
    /// pCPUs are on no node that the source shows.
    Adopted {
        /// The pCPUs.
        pcpus: CpuSet,
        /// The node that takes them.
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
                write!(f, "pCPUs are in several {cache} caches: left out")
            }
            Self::OneSided { count } => {
                write!(f, "{count} pCPUs name SMT siblings that do not name them: not taken")
            }
            Self::Renumbered => {
                f.write_str("core ids are missing or not unique: cores are numbered by pCPU")
            }
            Self::Divided { core } => {
                write!(f, "L3 caches divide the core of pCPUs {core}: left out")
            }
            Self::Adopted { pcpus, node } => {
                write!(f, "pCPUs {pcpus} are on no node: taken as on node {node}")
            }
        }
    }
}
