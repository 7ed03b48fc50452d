//! Notes of the reader of sysfs.

use std::fmt;

use pinwise::sets::{CpuSet, NodeSet};
use pinwise::units::{Bytes, NodeId, PageSize, PciAddr};

/// What the reader of sysfs ignored, replaced or guessed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SysfsNote {
    /// No online pCPU that this process may use.
    PcpusForbidden {
        /// The file that forbids them.
        file: &'static str,
        /// The pCPUs that the file allows.
        list: String,
    },
    /// pCPUs without a list of SMT siblings.
    NoSiblings {
        /// The number of pCPUs.
        count: u32,
    },
    /// No pCPU that shows its caches.
    NoCaches,
    /// Package ids that are missing or not unique.
    PackagesRenumbered,
    /// pCPUs without a package.
    NoPackage,
    /// A kernel without NUMA support, or a container.
    NoNodes,
    /// pCPUs that several nodes list.
    OnSeveralNodes {
        /// The pCPUs.
        pcpus: CpuSet,
        /// The later node, from which they were removed.
        node: NodeId,
    },
    /// No node whose memory this process may use.
    MemoryForbidden {
        /// The file that forbids them.
        file: &'static str,
        /// The nodes that the file allows.
        list: String,
    },
    /// Nodes whose memory this process may not use.
    NodesClosed {
        /// The file that forbids them.
        file: &'static str,
        /// The nodes that the file allows.
        list: String,
        /// The other nodes.
        closed: NodeSet,
    },
    /// Free hugepages that processes have mapped but not touched yet.
    PagesPromised {
        /// The number of pages.
        pages: u64,
        /// The page size.
        page_size: PageSize,
    },
    /// A row of distances that are not relative distances.
    BadDistances {
        /// The node.
        node: NodeId,
        /// The row, shortened.
        row: String,
    },
    /// A node without a file about its memory.
    NoMeminfo {
        /// The missing file.
        file: String,
        /// The node.
        node: NodeId,
    },
    /// A pool of hugepages larger than its node's memory, or with more free pages than pages.
    PagesCut {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
        /// The number of pages that the source gives for the pool.
        told: u64,
        /// The number of free pages that the source gives.
        free: u64,
        /// The memory that is left for the pool.
        memory: Bytes,
    },
    /// An entry among the PCI functions whose name is not a PCI address.
    NotAnAddress {
        /// The folder.
        folder: &'static str,
        /// The entry, shortened.
        name: String,
    },
    /// PCI functions that are copies instead of symbolic links, so that their place in the tree is
    /// lost.
    NoLinks {
        /// The number of functions.
        count: u32,
    },
    /// No PCI functions at all.
    NoFunctions,
    /// No PCI function in an IOMMU group.
    NoGroups,
    /// A parent of a PCI function that is not a bridge, or is missing.
    NotABridge {
        /// The parent.
        parent: PciAddr,
        /// The function below.
        address: PciAddr,
    },
    /// A PCI function on a node that does not exist.
    NoSuchNode {
        /// The function.
        address: PciAddr,
        /// The node.
        node: NodeId,
    },
    /// An end of an xGMI link that is not a GPU among the PCI functions.
    NotAGpu {
        /// The end.
        address: PciAddr,
    },
}

impl fmt::Display for SysfsNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PcpusForbidden { file, list } => {
                write!(f, "{file} allows only pCPUs {list}, which are all offline: ignored")
            }
            Self::NoSiblings { count } => write!(
                f,
                "SMT siblings of {count} pCPUs are not shown: each is assumed to be a core"
            ),
            Self::NoCaches => f.write_str("no caches are shown: L3 domains are unknown"),
            Self::PackagesRenumbered => {
                f.write_str("package ids are missing or not unique: packages are numbered by pCPU")
            }
            Self::NoPackage => {
                f.write_str("the package of some pCPUs is not shown: package 0 is assumed")
            }
            Self::NoNodes => {
                f.write_str("no nodes are shown: one node with all pCPUs and memory is assumed")
            }
            Self::OnSeveralNodes { pcpus, node } => {
                write!(f, "pCPUs {pcpus} are on several nodes and are removed from node {node}")
            }
            Self::MemoryForbidden { file, list } => {
                write!(f, "{file} allows the memory of no known node ({list:?}) and is ignored")
            }
            Self::NodesClosed { file, list, closed } => write!(
                f,
                "{file} allows only the memory of nodes {list}: the memory of nodes {closed} does not count as free"
            ),
            Self::PagesPromised { pages, page_size } => write!(
                f,
                "{pages} free pages of {page_size} are promised to processes on unknown nodes: subtracted from every node"
            ),
            Self::BadDistances { node, row } => write!(
                f,
                "the distances of node {node} are not relative distances ({row:?}): 10 and 20 are assumed"
            ),
            Self::NoMeminfo { file, node } => {
                write!(f, "{file} is missing: node {node} is assumed to have no memory")
            }
            Self::PagesCut { node, page_size, told, free, memory } => write!(
                f,
                "node {node} has {told} pages of {page_size} ({free} free), too many for its memory of {memory}: reduced to fit"
            ),
            Self::NotAnAddress { folder, name } => {
                write!(f, "{folder}/{name:?} is not a PCI address and is ignored")
            }
            Self::NoLinks { count } => write!(
                f,
                "{count} PCI functions are not symbolic links: the bridges above them are unknown"
            ),
            Self::NoFunctions => {
                f.write_str("no PCI functions are shown: the host has no known GPUs")
            }
            Self::NoGroups => f.write_str(
                "no PCI function is in an IOMMU group: the IOMMU is off, or was not copied",
            ),
            Self::NotABridge { parent, address } => {
                write!(
                    f,
                    "{parent} above {address} is not a known PCI-to-PCI bridge and is ignored"
                )
            }
            Self::NoSuchNode { address, node } => {
                write!(
                    f,
                    "PCI function {address} names node {node}, which does not exist: its node is unknown"
                )
            }
            Self::NotAGpu { address } => {
                write!(
                    f,
                    "device {address} has xGMI links but is not a known GPU: these links are ignored"
                )
            }
        }
    }
}
