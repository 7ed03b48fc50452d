//! Facts as plain data.

use std::fmt;

use super::peer::{PeerAccess, PeerStatus};
use crate::notes::Note;
use pinwise::host::{CacheKind, CommonBridge, GpuLinkKind, LinkState, PciClass, PciId};
use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, Distance, NodeId, PciAddr, PcpuId};

/// Vendors of GPUs whose tools number them.
pub mod vendor {
    use pinwise::host::PciId;

    /// NVIDIA.
    pub const NVIDIA: PciId = PciId(0x10de);
    /// AMD.
    pub const AMD: PciId = PciId(0x1002);
}

/// How a source names a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GpuName {
    /// By its PCI address, the domain as the kernel has it.
    At(PciAddr),
    /// By a vendor's number, from 0: its tools count the GPUs that they see in the order of the PCI
    /// addresses.
    Nth {
        /// Whose GPUs are counted.
        vendor: PciId,
        /// The number.
        index: u32,
    },
}

/// `0000:1b:00.0`, or `GPU3`.
impl fmt::Display for GpuName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => write!(f, "{address}"),
            Self::Nth { index, .. } => write!(f, "GPU{index}"),
        }
    }
}

/// How a source names a NIC: by its address, or with a name of its own such as `mlx5_0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NicName {
    /// Its PCI address.
    At(PciAddr),
    /// A name that is no address.
    Called(String),
}

impl fmt::Display for NicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => write!(f, "{address}"),
            Self::Called(name) => f.write_str(name),
        }
    }
}

/// One end of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathEnd {
    /// A GPU.
    Gpu(GpuName),
    /// A NIC.
    Nic(NicName),
}

impl fmt::Display for PathEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu(name) => write!(f, "{name}"),
            Self::Nic(name) => write!(f, "{name}"),
        }
    }
}

/// What a source says about a GPU; `None` where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// Which GPU.
    pub gpu: GpuName,
    /// The model's name as the vendor writes it.
    pub model: Option<String>,
    /// The node that it is next to.
    pub node: Option<NodeId>,
    /// The pCPUs that it is next to.
    pub cpus: Option<CpuSet>,
    /// What its link runs at now.
    pub link_now: Option<LinkState>,
    /// The most that its own side of the link can do.
    pub link_max: Option<LinkState>,
    /// Whether it is divided into instances (MIG).
    pub mig: Option<bool>,
    /// How many of its links go to switches (NVSwitch), not to another GPU directly.
    pub switch_links: Option<u32>,
}

impl GpuFacts {
    /// A GPU of which nothing is said but that it is there.
    #[must_use]
    pub fn new(gpu: GpuName) -> Self {
        Self {
            gpu,
            model: None,
            node: None,
            cpus: None,
            link_now: None,
            link_max: None,
            mig: None,
            switch_links: None,
        }
    }
}

/// A direct connection of two GPUs, or one through switches of the same kind of link; order does
/// not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkFacts {
    /// One end.
    pub a: GpuName,
    /// The other end.
    pub b: GpuName,
    /// What kind of link.
    pub kind: GpuLinkKind,
    /// How many links side by side; `None` where the source tells that there are links only.
    pub count: Option<u32>,
}

/// What two devices have in common above them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathFacts {
    /// One end.
    pub a: PathEnd,
    /// The other end.
    pub b: PathEnd,
    /// Their nearest common bridge.
    pub path: CommonBridge,
}

/// Whether one GPU reaches another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerFacts {
    /// The GPU that reaches.
    pub from: GpuName,
    /// The GPU that is reached.
    pub to: GpuName,
    /// What for; `None` where the source does not tell.
    pub access: Option<PeerAccess>,
    /// Whether it does.
    pub status: PeerStatus,
}

/// A node as a source shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its OS index.
    pub id: NodeId,
    /// Its pCPUs.
    pub cpus: Option<CpuSet>,
    /// All of its memory.
    pub memory: Option<Bytes>,
    /// What of it is free.
    pub free: Option<Bytes>,
    /// How exact both amounts are: they may be too low by less than this.
    pub rounding: Bytes,
    /// Relative distances to other nodes and itself.
    pub distances: Vec<(NodeId, Distance)>,
}

/// A pCPU as a source shows it; `None` where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcpuFacts {
    /// The kernel's number of the pCPU.
    pub pcpu: PcpuId,
    /// Whether it is online.
    pub online: Option<bool>,
    /// The source's number of its core: pCPUs of one package with the same number are SMT siblings.
    pub core: Option<u32>,
    /// The source's number of its package, not always the kernel's.
    pub package: Option<u32>,
    /// Its node, by OS index.
    pub node: Option<NodeId>,
    /// Its caches, by level and kind, with the source's number of each: pCPUs of one package with
    /// the same number share the cache.
    pub caches: Vec<(u8, CacheKind, u32)>,
    /// Its top frequency in MHz.
    pub max_mhz: Option<u32>,
    /// Its lowest frequency in MHz.
    pub min_mhz: Option<u32>,
}

/// A PCI function as a source shows it, bridges included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFacts {
    /// Where it is.
    pub address: PciAddr,
    /// Its class.
    pub class: Option<PciClass>,
    /// Its vendor and device id.
    pub ids: Option<(PciId, PciId)>,
    /// The node that it is next to.
    pub node: Option<NodeId>,
    /// A function above it, not always the nearest.
    pub above: Option<PciAddr>,
    /// The most that its link can do.
    pub link_max: Option<LinkState>,
}

/// A set of GPUs that the NVSwitch fabric manager can give to one VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFacts {
    /// The fabric manager's number of the partition.
    pub id: u32,
    /// Its GPUs.
    pub gpus: Vec<GpuName>,
}

/// What a source says about a machine. A GPU that it names anywhere is among its `gpus`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The source in words that a person knows it by, such as `nvidia-smi topo -m`.
    pub source: String,
    /// Every GPU that it sees.
    pub gpus: Vec<GpuFacts>,
    /// Every NIC that it names.
    pub nics: Vec<NicName>,
    /// Direct connections of GPUs.
    pub links: Vec<LinkFacts>,
    /// What devices have in common above them.
    pub paths: Vec<PathFacts>,
    /// Which GPUs reach which.
    pub peers: Vec<PeerFacts>,
    /// pCPUs.
    pub pcpus: Vec<PcpuFacts>,
    /// Nodes.
    pub nodes: Vec<NodeFacts>,
    /// PCI functions.
    pub functions: Vec<FunctionFacts>,
    /// Partitions of the fabric.
    pub partitions: Vec<PartitionFacts>,
    /// What was left out or replaced in reading.
    pub notes: Vec<Note>,
}
