//! The records of a host's hardware: plain data.

use super::pcie::{PciDevice, PciTree};
use crate::sets::CpuSet;
use crate::units::{Bytes, CoreId, Distance, L3Id, NodeId, PackageId, PageSize, PciAddr, PcpuId};

/// The maker of the CPU. AMD guests need `topoext` to see SMT siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum CpuVendor {
    /// GenuineIntel.
    Intel,
    /// AuthenticAMD, HygonGenuine.
    Amd,
    /// Any other, or unknown.
    #[default]
    Other,
}

/// The kind of a core on a hybrid CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum CoreKind {
    /// A performance core, and every core of a CPU with one kind.
    #[default]
    Performance,
    /// An efficiency core.
    Efficiency,
    /// A low-power efficiency core, outside the L3 domain of the other cores.
    #[cfg_attr(feature = "serde", serde(rename = "low-power"))]
    LowPower,
}

impl CoreKind {
    /// All kinds, the fastest first.
    pub const ALL: [Self; 3] = [Self::Performance, Self::Efficiency, Self::LowPower];
}

/// The pages of one size on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[doc(alias = "hugepages")]
pub struct PagePool {
    /// The size of a page.
    pub size: PageSize,
    /// The number of pages in the pool.
    pub total: u64,
    /// The number of free pages, as the kernel counts them. At most `total`.
    pub free: u64,
}

/// A host NUMA node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// The OS index of the node.
    pub id: NodeId,
    /// The online pCPUs of the node; none on a memory-only or GPU node.
    pub cpus: CpuSet,
    /// The package of its pCPUs; `None` without pCPUs, or if they are in several packages.
    pub package: Option<PackageId>,
    /// The memory, hugepages included; zero on a node without memory.
    pub memory: Bytes,
    /// The page pools by ascending size, the base page included.
    pub pools: Vec<PagePool>,
    /// Relative distances from this node to all nodes, in the order of
    /// [`Host::nodes`](super::Host::nodes).
    pub distances: Vec<Distance>,
}

impl Node {
    /// The pool of pages of `size`.
    #[must_use]
    pub fn pool(&self, size: PageSize) -> Option<&PagePool> {
        self.pools.iter().find(|pool| pool.size == size)
    }
}

/// A physical core with its SMT siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Core {
    /// The id of the core.
    pub id: CoreId,
    /// The node of the core.
    pub node: NodeId,
    /// The L3 domain, if known.
    pub l3: Option<L3Id>,
    /// The kind of core.
    pub kind: CoreKind,
    /// Whether its top frequency is above the usual one of its kind.
    pub favoured: bool,
    /// The top frequency in MHz, if known.
    pub max_mhz: Option<u32>,
    /// The online pCPUs of the core: SMT siblings of each other, ascending.
    #[doc(alias = "hyperthreads")]
    pub pcpus: Vec<PcpuId>,
}

/// A set of pCPUs that share an L3 cache. It may be smaller or larger than a node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct L3Domain {
    /// The number of the domain.
    pub id: L3Id,
    /// The online pCPUs of the domain.
    pub cpus: CpuSet,
    /// The size of the cache, if known.
    pub size: Option<Bytes>,
}

/// A GPU that could be given to a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gpu {
    /// The address.
    pub address: PciAddr,
    /// The node; `None` if the kernel says -1.
    pub node: Option<NodeId>,
    /// The name of the GPU's model, or its ids.
    pub model: String,
    /// Whether it is integrated into the CPU. An integrated GPU is chosen only if the request names
    /// it.
    pub integrated: bool,
}

impl Gpu {
    /// The record of the function, which is a GPU or a virtual function of one.
    pub(crate) fn of(pci: &PciTree, device: &PciDevice) -> Self {
        Self {
            address: device.address,
            node: device.node,
            model: device.label(),
            integrated: pci.is_integrated(device.address),
        }
    }
}
