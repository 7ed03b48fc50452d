//! What the reader of sysfs left out, replaced or guessed.

use std::fmt;

use pinwise::sets::{CpuSet, NodeSet};
use pinwise::units::{Bytes, NodeId, PageSize, PciAddr};

/// What the reader of sysfs left out, replaced or guessed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SysfsNote {
    /// The process may use none of the online pCPUs.
    PcpusForbidden {
        /// The file that says so.
        file: &'static str,
        /// The pCPUs that it allows.
        list: String,
    },
    /// pCPUs without a list of SMT siblings.
    NoSiblings {
        /// How many pCPUs.
        count: u32,
    },
    /// No pCPU shows its caches.
    NoCaches,
    /// Package ids are missing, or several packages have the same.
    PackagesRenumbered,
    /// pCPUs without a package.
    NoPackage,
    /// A kernel without NUMA support, or a container.
    NoNodes,
    /// pCPUs that several nodes list.
    OnSeveralNodes {
        /// The pCPUs.
        pcpus: CpuSet,
        /// The later node, without them now.
        node: NodeId,
    },
    /// The process may use the memory of none of the nodes.
    MemoryForbidden {
        /// The file that says so.
        file: &'static str,
        /// The nodes that it allows.
        list: String,
    },
    /// The process may use the memory of some nodes only.
    NodesClosed {
        /// The file that says so.
        file: &'static str,
        /// The nodes that it allows.
        list: String,
        /// The others.
        closed: NodeSet,
    },
    /// Free hugepages that processes have mapped but not touched yet.
    PagesPromised {
        /// How many pages.
        pages: u64,
        /// Their size.
        page_size: PageSize,
    },
    /// A row of distances that cannot be one of relative distances.
    BadDistances {
        /// The node.
        node: NodeId,
        /// The row, cut.
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
        /// The size of its pages.
        page_size: PageSize,
        /// How many pages the pool is said to have.
        told: u64,
        /// How many of them are said to be free.
        free: u64,
        /// What memory is left for the pool.
        memory: Bytes,
    },
    /// An entry among the PCI functions whose name is not a PCI address.
    NotAnAddress {
        /// The folder.
        folder: &'static str,
        /// The entry, cut.
        name: String,
    },
    /// PCI functions that are copies and not symbolic links, so that their place in the tree is
    /// lost.
    NoLinks {
        /// How many functions.
        count: u32,
    },
    /// No PCI function at all.
    NoFunctions,
    /// No PCI function in an IOMMU group.
    NoGroups,
    /// The parent of a PCI function is not a bridge, or is missing.
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
                write!(f, "{file} allows {list}, none of them online: ignored")
            }
            Self::NoSiblings { count } => write!(
                f,
                "SMT siblings of {count} pCPUs are not shown: each is taken as a core of its own"
            ),
            Self::NoCaches => {
                f.write_str("no caches are shown: which pCPUs share an L3 is not known")
            }
            Self::PackagesRenumbered => {
                f.write_str("package ids are missing or not unique: packages are numbered by pCPU")
            }
            Self::NoPackage => {
                f.write_str("the kernel tells no package of some pCPUs: taken as package 0")
            }
            Self::NoNodes => {
                f.write_str("no nodes are shown: all pCPUs and memory are taken as one")
            }
            Self::OnSeveralNodes { pcpus, node } => {
                write!(f, "pCPUs {pcpus} are on several nodes: node {node} does not keep them")
            }
            Self::MemoryForbidden { file, list } => {
                write!(f, "{file} allows the memory of no node here ({list:?}): ignored")
            }
            Self::NodesClosed { file, list, closed } => write!(
                f,
                "{file} allows the memory of nodes {list} only: none of nodes {closed} is taken as free"
            ),
            Self::PagesPromised { pages, page_size } => write!(
                f,
                "{pages} free pages of {page_size} are promised to processes, on unknown nodes: taken off every node"
            ),
            Self::BadDistances { node, row } => write!(
                f,
                "the distances of node {node} are not relative distances ({row:?}): 10 and 20 taken"
            ),
            Self::NoMeminfo { file, node } => {
                write!(f, "{file} is missing: node {node} is taken to have no memory")
            }
            Self::PagesCut { node, page_size, told, free, memory } => write!(
                f,
                "node {node} has {told} pages of {page_size}, {free} of them free, in {memory}: cut to fit"
            ),
            Self::NotAnAddress { folder, name } => {
                write!(f, "{folder}/{name:?} is not a PCI address: left out")
            }
            Self::NoLinks { count } => write!(
                f,
                "{count} PCI functions are not symbolic links here: the bridges above are unknown"
            ),
            Self::NoFunctions => f.write_str("no PCI functions are shown: no GPU is known"),
            Self::NoGroups => f.write_str(
                "no PCI function is in an IOMMU group: the IOMMU is off, or was not copied",
            ),
            Self::NotABridge { parent, address } => {
                write!(f, "{parent} above {address} is not a PCI-to-PCI bridge here: left out")
            }
            Self::NoSuchNode { address, node } => {
                write!(f, "{address} is on node {node}, which does not exist: left out")
            }
            Self::NotAGpu { address } => {
                write!(f, "{address} has xGMI links but is not a GPU here: they are left out")
            }
        }
    }
}
