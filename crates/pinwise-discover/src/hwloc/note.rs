//! What the reader of lstopo's XML left out, replaced or guessed.

use std::fmt;

use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, NodeId, PageSize};

/// What the reader of lstopo's XML left out, replaced or guessed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LstopoNote {
    /// pCPUs that the file names without describing them.
    Undescribed {
        /// The pCPUs.
        pcpus: CpuSet,
    },
    /// Allowed pCPUs that are all offline.
    PcpusForbidden,
    /// pCPUs outside all packages.
    NoPackage,
    /// Package ids that are missing or not unique.
    PackagesRenumbered,
    /// A file without distances.
    NoDistances,
    /// Tables of distances, none of them of relative distances between all nodes.
    OtherDistances {
        /// The number of tables.
        tables: usize,
    },
    /// No node with memory.
    NoMemory,
    /// hwloc never counts free pages.
    AllFree,
    /// pCPUs that hwloc attributes to several nodes.
    Nearer {
        /// The pCPUs.
        pcpus: CpuSet,
        /// The farther node, which loses them.
        node: NodeId,
    },
    /// A node with two pools of one page size.
    PoolTwice {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
    },
    /// A pool of hugepages larger than its node's memory.
    PagesCut {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
        /// The number of pages that the source gives for the pool.
        told: u64,
        /// The memory that is left for the pool.
        memory: Bytes,
    },
    /// Facts about PCI functions that hwloc never shows.
    FunctionsInPart,
}

impl fmt::Display for LstopoNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undescribed { pcpus } => write!(
                f,
                "pCPUs {pcpus} are named but not described: they are offline, or were forbidden to the writer of the file"
            ),
            Self::PcpusForbidden => {
                f.write_str("allowed_cpuset allows no online pCPU and is ignored")
            }
            Self::NoPackage => f.write_str("some pCPUs are in no package: package 0 is assumed"),
            Self::PackagesRenumbered => {
                f.write_str("package ids are missing or not unique: packages are numbered in order")
            }
            Self::NoDistances => {
                f.write_str("the file has no distances between nodes: 10 and 20 are assumed")
            }
            Self::OtherDistances { tables } => write!(
                f,
                "none of {tables} tables has relative distances between all nodes: 10 and 20 are assumed"
            ),
            Self::NoMemory => {
                f.write_str("the file shows no memory: all nodes are assumed to have none")
            }
            Self::AllFree => {
                f.write_str("hwloc counts pages but not free ones: all are assumed free")
            }
            Self::Nearer { pcpus, node } => {
                write!(
                    f,
                    "pCPUs {pcpus} are nearer to other nodes and are removed from node {node}"
                )
            }
            Self::PoolTwice { node, page_size } => {
                write!(f, "node {node} has two counts of pages of {page_size}: the first is used")
            }
            Self::PagesCut { node, page_size, told, memory } => {
                write!(
                    f,
                    "node {node} has {told} pages of {page_size}, too many for its memory of {memory}: reduced to fit"
                )
            }
            Self::FunctionsInPart => f.write_str(
                "hwloc does not show IOMMU groups, drivers, BARs and link widths of PCI functions",
            ),
        }
    }
}
