//! What the readers of libvirt's XML left out, replaced or guessed.

use std::fmt;

use crate::core_note::KindSign;
use pinwise::sets::{CpuSet, NodeSet};
use pinwise::units::{Bytes, CellId, NodeId, PageSize, PciAddr};

/// What the readers of libvirt's XML, or a connection to libvirt, left out, replaced or guessed,
/// and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LibvirtNote {
    /// Capabilities never show free pages. A connection asks for these, and withdraws this note.
    AllFree,
    /// A part of capabilities instead of the whole.
    InPart {
        /// The root element of the part.
        part: &'static str,
    },
    /// A node without an amount of memory.
    NoMemory {
        /// The node.
        node: NodeId,
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
    /// A table of distances that is incomplete, or not of relative distances.
    BadDistances,
    /// pCPUs listed in several L3 caches, though a pCPU can be in one only.
    InSeveralL3 {
        /// The pCPUs.
        pcpus: CpuSet,
    },
    /// Cores of this shape are taken for efficiency cores, as capabilities never show kinds.
    KindsGuessed {
        /// The shape.
        sign: KindSign,
    },
    /// A PCI function with two descriptions.
    DescribedTwice {
        /// The function.
        address: PciAddr,
    },
    /// PCI functions without a class, as old versions of libvirt describe them.
    NoClass {
        /// The number of functions.
        count: u32,
    },
    /// A PCI function on a node that does not exist.
    NoSuchNode {
        /// The function.
        address: PciAddr,
        /// The node.
        node: NodeId,
    },
    /// The parent of a PCI function is not a bridge, or is missing.
    NotABridge {
        /// The parent.
        parent: PciAddr,
        /// The function below.
        address: PciAddr,
    },
    /// A virtual function whose physical function is not described.
    NoPhysical {
        /// The physical function.
        physical: PciAddr,
        /// The virtual function.
        address: PciAddr,
    },
    /// A member of an IOMMU group that is not described as a PCI function.
    GroupInPart {
        /// The function.
        address: PciAddr,
    },
    /// A domain with fewer vCPUs plugged in than it can have.
    VcpusUnplugged {
        /// The number of vCPUs plugged in.
        now: u64,
        /// The largest number of vCPUs of the domain.
        most: u64,
    },
    /// Only libvirt knows where numad put the vCPUs.
    NumadPlacesVcpus,
    /// A domain whose vCPUs are each pinned to one pCPU, and whose emulator threads are not pinned.
    EmulatorUnpinned,
    /// pCPUs that a domain names although they are not online.
    Offline {
        /// The pCPUs.
        pcpus: CpuSet,
    },
    /// Pins of vCPUs that the domain does not have.
    PinsBeyond {
        /// The number of pins.
        pins: u32,
        /// The number of vCPUs of the domain.
        vcpus: u64,
    },
    /// A PCI function that the host does not have.
    NotADevice {
        /// The function.
        address: PciAddr,
    },
    /// A PCI bridge, which cannot be passed through.
    Bridge {
        /// The bridge.
        address: PciAddr,
    },
    /// A mediated device whose parent is unknown: its XML does not name the PCI function that it is
    /// a share of, and the host's description does not list it.
    Mediated {
        /// The UUID of the device, shortened.
        uuid: Option<String>,
    },
    /// A mediated device of a domain that is read as a request: requests name whole functions.
    MediatedUnrequested {
        /// The UUID of the device, shortened.
        uuid: Option<String>,
    },
    /// Guest memory that is not a whole number of pages.
    PartPages {
        /// The guest cell.
        cell: CellId,
        /// The memory of the cell.
        memory: Bytes,
        /// The number of pages counted, which is rounded up.
        count: u64,
        /// The page size.
        page_size: PageSize,
    },
    /// A guest cell that may be on several nodes.
    OnSeveralNodes {
        /// The guest cell.
        cell: CellId,
        /// The host's nodes.
        nodes: NodeSet,
    },
    /// Hugepages of the host's default size, which the XML does not name.
    NoPageSize {
        /// The size assumed.
        page_size: PageSize,
    },
    /// Only libvirt knows where numad put the memory.
    NumadPlacesMemory,
    #[cfg(feature = "libvirt")]
    /// A libvirt that cannot list devices.
    NoDevices {
        /// The connection.
        uri: String,
        /// The message of libvirt.
        said: String,
    },
    #[cfg(feature = "libvirt")]
    /// A device or domain that was listed and disappeared before it was read.
    Gone {
        /// The name of the device or domain.
        name: String,
    },
    #[cfg(feature = "libvirt")]
    /// A node whose free pages libvirt does not show.
    NoFreePages {
        /// The node.
        node: NodeId,
        /// The message of libvirt.
        said: String,
    },
    #[cfg(feature = "libvirt")]
    /// A pool with more free pages than pages in all.
    FreeCut {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
        /// The number of free pages that the source gives.
        free: u64,
        /// How many there are.
        total: u64,
    },
}

impl fmt::Display for LibvirtNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllFree => {
                f.write_str("capabilities do not show free pages: all are assumed free")
            }
            Self::InPart { part } => write!(
                f,
                "this is <{part}>, a part of virsh capabilities: what other parts tell is unknown"
            ),
            Self::NoMemory { node } => {
                write!(f, "node {node} shows no memory: none is assumed")
            }
            Self::PagesCut { node, page_size, told, memory } => {
                write!(
                    f,
                    "node {node} has {told} pages of {page_size}, too many for its memory of {memory}: reduced to fit"
                )
            }
            Self::BadDistances => {
                f.write_str("the distances are incomplete or not relative: 10 and 20 are assumed")
            }
            Self::InSeveralL3 { pcpus } => {
                write!(f, "pCPUs {pcpus} are in several L3 caches: all L3 caches are ignored")
            }
            Self::KindsGuessed { sign } => {
                write!(f, "{sign} are taken for efficiency cores: capabilities name no kinds")
            }
            Self::DescribedTwice { address } => {
                write!(
                    f,
                    "PCI function {address} is described twice: the first description is used"
                )
            }
            Self::NoClass { count } => {
                write!(f, "{count} PCI functions have no class: none of them counts as a GPU")
            }
            Self::NoSuchNode { address, node } => {
                write!(
                    f,
                    "PCI function {address} names node {node}, which does not exist: its node is unknown"
                )
            }
            Self::NotABridge { parent, address } => {
                write!(
                    f,
                    "{parent} above {address} is not a known PCI-to-PCI bridge and is ignored"
                )
            }
            Self::NoPhysical { physical, address } => {
                write!(f, "the physical function {physical} of {address} is not described")
            }
            Self::GroupInPart { address } => {
                write!(f, "PCI function {address} is in an IOMMU group but is not described")
            }
            Self::VcpusUnplugged { now, most } => {
                write!(f, "{now} of {most} vCPUs are plugged in, but all are counted")
            }
            Self::NumadPlacesVcpus => {
                f.write_str("numad places the vCPUs: they may be on any pCPU")
            }
            Self::EmulatorUnpinned => f.write_str(
                "its vCPUs are pinned and its emulator threads are not: these may run on any pCPU, its \
                 vCPUs' too, and are not counted as floating",
            ),
            Self::Offline { pcpus } => write!(f, "pCPUs {pcpus} are not online and are ignored"),
            Self::PinsBeyond { pins, vcpus } => write!(
                f,
                "{pins} <vcpupin> are for vCPUs beyond {vcpus} and are ignored, as by libvirt"
            ),
            Self::NotADevice { address } => {
                write!(f, "{address} is not a device of the host and is ignored")
            }
            Self::Bridge { address } => {
                write!(f, "{address} is a bridge of the host and is ignored")
            }
            Self::Mediated { uuid } => {
                let uuid = uuid.as_ref().map_or_else(String::new, |uuid| format!("{uuid} "));
                write!(
                    f,
                    "mediated device {uuid}is a share of an unnamed device: no GPU that may be its \
                     parent is given by number"
                )
            }
            Self::MediatedUnrequested { uuid } => {
                let uuid = uuid.as_ref().map_or_else(String::new, |uuid| format!("{uuid} "));
                write!(
                    f,
                    "mediated device {uuid}is no part of the request, which names whole functions"
                )
            }
            Self::PartPages { cell, memory, count, page_size } => {
                write!(
                    f,
                    "cell {cell} has {memory} of memory, counted as {count} pages of {page_size}"
                )
            }
            Self::OnSeveralNodes { cell, nodes } => {
                write!(f, "cell {cell} is on nodes {nodes}: even shares are assumed")
            }
            Self::NoPageSize { page_size } => {
                write!(f, "<hugepages> names no size: {page_size} is assumed")
            }
            Self::NumadPlacesMemory => {
                f.write_str("numad places the memory: it may be on any node")
            }
            #[cfg(feature = "libvirt")]
            Self::NoDevices { uri, said } => write!(f, "{uri} does not list devices ({said})"),
            #[cfg(feature = "libvirt")]
            Self::Gone { name } => write!(f, "{name} disappeared before it was read"),
            #[cfg(feature = "libvirt")]
            Self::NoFreePages { node, said } => {
                write!(f, "node {node} does not show free pages ({said}): all are assumed free")
            }
            #[cfg(feature = "libvirt")]
            Self::FreeCut { node, page_size, free, total } => {
                write!(
                    f,
                    "node {node} has {free} free pages of {page_size}, more than {total} in all: reduced"
                )
            }
        }
    }
}
