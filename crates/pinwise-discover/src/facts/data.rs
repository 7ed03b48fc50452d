//! Facts as plain data.

use std::fmt;

use super::peer::{PeerAccess, PeerStatus};
use crate::notes::Note;
use pinwise::host::{CacheKind, CommonBridge, GpuLinkKind, LinkState, PciClass, PciId};
use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, Distance, NodeId, PciAddr, PcpuId};

/// Vendors whose tools number GPUs.
pub mod vendor {
    use pinwise::host::PciId;

    /// NVIDIA.
    pub const NVIDIA: PciId = PciId(0x10de);
    /// AMD.
    pub const AMD: PciId = PciId(0x1002);
}

/// A source's name for a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GpuName {
    /// By its PCI address, the domain as the kernel has it.
    At(PciAddr),
    /// By a vendor's number, from 0: its tools number the GPUs that they see in the order of PCI
    /// addresses.
    Nth {
        /// The vendor whose GPUs are numbered.
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

/// A source's name for a NIC: its address, or a name such as `mlx5_0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NicName {
    /// The PCI address of the NIC.
    At(PciAddr),
    /// A name that is not an address.
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

/// Facts from a source about a GPU; `None` where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// The name of the GPU.
    pub gpu: GpuName,
    /// The model's name as the vendor writes it.
    pub model: Option<String>,
    /// The node that it is next to.
    pub node: Option<NodeId>,
    /// The pCPUs that it is next to.
    pub cpus: Option<CpuSet>,
    /// The current state of its link.
    pub link_now: Option<LinkState>,
    /// The maximum of its own side of the link.
    pub link_max: Option<LinkState>,
    /// Whether it is divided into instances (MIG).
    pub mig: Option<bool>,
    /// The number of these instances.
    pub mig_instances: Option<u32>,
    /// The number of processes that compute or draw on it.
    pub processes: Option<u32>,
    /// The number of its links that go to switches (NVSwitch) rather than directly to another GPU.
    pub switch_links: Option<u32>,
}

impl GpuFacts {
    /// A GPU without any facts.
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
            mig_instances: None,
            processes: None,
            switch_links: None,
        }
    }
}

/// A connection between two GPUs, direct or through switches of the same kind of link; the order of
/// the ends does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkFacts {
    /// One end.
    pub a: GpuName,
    /// The other end.
    pub b: GpuName,
    /// The kind of link.
    pub kind: GpuLinkKind,
    /// The number of parallel links; `None` if the source only says that there are some.
    pub count: Option<u32>,
}

/// The nearest common bridge of two devices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathFacts {
    /// One end.
    pub a: PathEnd,
    /// The other end.
    pub b: PathEnd,
    /// The nearest common bridge.
    pub path: CommonBridge,
}

/// Whether one GPU reaches another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerFacts {
    /// The GPU that reaches.
    pub from: GpuName,
    /// The GPU that is reached.
    pub to: GpuName,
    /// The kind of access; `None` if the source does not say.
    pub access: Option<PeerAccess>,
    /// Whether access is possible.
    pub status: PeerStatus,
}

/// A node in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The OS index of the node.
    pub id: NodeId,
    /// The pCPUs of the node.
    pub cpus: Option<CpuSet>,
    /// The memory.
    pub memory: Option<Bytes>,
    /// The free memory.
    pub free: Option<Bytes>,
    /// The rounding of both amounts: they may be too low by less than this.
    pub rounding: Bytes,
    /// Relative distances to other nodes and itself.
    pub distances: Vec<(NodeId, Distance)>,
}

/// The memory of the whole machine, not divided into nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryFacts {
    /// The memory.
    pub total: Bytes,
    /// The free memory.
    pub free: Option<Bytes>,
}

/// A pCPU in a source; `None` where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcpuFacts {
    /// The kernel's number of the pCPU.
    pub pcpu: PcpuId,
    /// Whether it is online.
    pub online: Option<bool>,
    /// The source's number for its core: pCPUs of one package with the same number are SMT
    /// siblings.
    pub core: Option<u32>,
    /// The source's number for its package, not always the kernel's.
    pub package: Option<u32>,
    /// The node of the pCPU, by OS index.
    pub node: Option<NodeId>,
    /// The caches by level and kind, with the source's number for each: pCPUs of one package with
    /// the same number share the cache.
    pub caches: Vec<(u8, CacheKind, u32)>,
    /// The top frequency in MHz.
    pub max_mhz: Option<u32>,
    /// The lowest frequency in MHz.
    pub min_mhz: Option<u32>,
}

/// A PCI function in a source, bridges included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFacts {
    /// The address.
    pub address: PciAddr,
    /// The class of the function.
    pub class: Option<PciClass>,
    /// The vendor and device id.
    pub ids: Option<(PciId, PciId)>,
    /// The node that it is next to.
    pub node: Option<NodeId>,
    /// A function above it, not always the nearest.
    pub above: Option<PciAddr>,
    /// The maximum state of its link.
    pub link_max: Option<LinkState>,
    /// The current state of its link.
    pub link_now: Option<LinkState>,
    /// The IOMMU group.
    pub iommu_group: Option<u32>,
    /// The kernel driver bound to it.
    pub driver: Option<String>,
    /// The model's name.
    pub name: Option<String>,
}

impl FunctionFacts {
    /// A function without any facts.
    #[must_use]
    pub fn new(address: PciAddr) -> Self {
        Self {
            address,
            class: None,
            ids: None,
            node: None,
            above: None,
            link_max: None,
            link_now: None,
            iommu_group: None,
            driver: None,
            name: None,
        }
    }
}

/// A set of GPUs that the NVSwitch fabric manager can give to one VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFacts {
    /// The fabric manager's number of the partition.
    pub id: u32,
    /// The GPUs of the partition.
    pub gpus: Vec<GpuName>,
}

/// Facts from a source about a machine. Every GPU that it names is in `gpus`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The source in words that a person recognises, such as `nvidia-smi topo -m`.
    pub source: String,
    /// Every GPU that the source sees.
    pub gpus: Vec<GpuFacts>,
    /// Every NIC that the source names.
    pub nics: Vec<NicName>,
    /// Direct connections between GPUs.
    pub links: Vec<LinkFacts>,
    /// The nearest common bridges of devices.
    pub paths: Vec<PathFacts>,
    /// Peer access between GPUs.
    pub peers: Vec<PeerFacts>,
    /// pCPUs.
    pub pcpus: Vec<PcpuFacts>,
    /// Nodes.
    pub nodes: Vec<NodeFacts>,
    /// The memory of the whole machine.
    pub memory: Option<MemoryFacts>,
    /// PCI functions.
    pub functions: Vec<FunctionFacts>,
    /// Partitions of the fabric.
    pub partitions: Vec<PartitionFacts>,
    /// Notes on what was ignored or replaced in reading.
    pub notes: Vec<Note>,
}
