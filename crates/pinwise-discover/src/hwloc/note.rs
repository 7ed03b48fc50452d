//! What the reader of lstopo's XML left out, replaced or guessed.

use std::fmt;

use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, NodeId, PageSize};

/// What the reader of lstopo's XML left out, replaced or guessed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LstopoNote {
    /// pCPUs that the file names without an object for them.
    Undescribed {
        /// The pCPUs.
        pcpus: CpuSet,
    },
    /// The process that wrote the file was allowed none of the online pCPUs.
    PcpusForbidden,
    /// pCPUs outside all packages.
    NoPackage,
    /// Package ids are missing, or several packages have the same.
    PackagesRenumbered,
    /// A file without distances.
    NoDistances,
    /// Tables of distances, none of them of relative distances between all nodes.
    OtherDistances {
        /// How many tables.
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
        /// The farther node, without them now.
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
        /// The size of its pages.
        page_size: PageSize,
        /// How many pages the pool is said to have.
        told: u64,
        /// What memory is left for the pool.
        memory: Bytes,
    },
    /// What hwloc never tells about PCI functions.
    FunctionsInPart,
}

impl fmt::Display for LstopoNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undescribed { pcpus } => write!(
                f,
                "pCPUs {pcpus} are named but not described: off, or forbidden to the writer of the file"
            ),
            Self::PcpusForbidden => {
                f.write_str("allowed_cpuset allows none of the pCPUs that are on: ignored")
            }
            Self::NoPackage => f.write_str("some pCPUs are in no package: taken as in package 0"),
            Self::PackagesRenumbered => {
                f.write_str("package ids are missing or not unique: packages are numbered in order")
            }
            Self::NoDistances => {
                f.write_str("the file tells no distances of nodes: 10 and 20 taken")
            }
            Self::OtherDistances { tables } => write!(
                f,
                "{tables} tables have no relative distances of all nodes: 10 and 20 taken"
            ),
            Self::NoMemory => {
                f.write_str("the file tells no memory: every node is taken to have none")
            }
            Self::AllFree => f.write_str("hwloc counts pages but not free ones: all count as free"),
            Self::Nearer { pcpus, node } => {
                write!(f, "pCPUs {pcpus} are nearer to other nodes: node {node} is without them")
            }
            Self::PoolTwice { node, page_size } => {
                write!(f, "node {node} has two counts of pages of {page_size}: the first one taken")
            }
            Self::PagesCut { node, page_size, told, memory } => {
                write!(f, "node {node} has {told} pages of {page_size} in {memory}: cut to fit")
            }
            Self::FunctionsInPart => f.write_str(
                "hwloc tells no IOMMU groups, drivers, BARs and link widths of PCI functions",
            ),
        }
    }
}
