//! The records of a host's hardware: plain data.

use crate::sets::CpuSet;
use crate::units::{Bytes, CoreId, Distance, L3Id, NodeId, PackageId, PageSize, PciAddr, PcpuId};

/// Who made the CPU. AMD guests need `topoext` to see SMT siblings.
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

/// What kind of core, on a hybrid CPU.
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
    /// How many there are.
    pub total: u64,
    /// How many nobody holds, as the kernel counts them. At most `total`.
    pub free: u64,
}

/// A host NUMA node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// Its OS index.
    pub id: NodeId,
    /// Its online pCPUs; none on a memory-only or GPU node.
    pub cpus: CpuSet,
    /// The package of its pCPUs; `None` without pCPUs, or where they are in several packages.
    pub package: Option<PackageId>,
    /// All of its memory; zero on a node without memory.
    pub memory: Bytes,
    /// Its page pools by ascending size, the base page included.
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

/// A physical core with its SMT siblings, as the source lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Core {
    /// Its id.
    pub id: CoreId,
    /// Its node.
    pub node: NodeId,
    /// Its L3 domain, where the source tells.
    pub l3: Option<L3Id>,
    /// Its kind.
    pub kind: CoreKind,
    /// Whether its top frequency stands out among its kind's.
    pub favoured: bool,
    /// Its top frequency in MHz, where the source tells.
    pub max_mhz: Option<u32>,
    /// Its online pCPUs: SMT siblings of each other, ascending.
    #[doc(alias = "hyperthreads")]
    pub pcpus: Vec<PcpuId>,
}

/// A set of pCPUs with an L3 cache in common. May be smaller or larger than a node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct L3Domain {
    /// Its number.
    pub id: L3Id,
    /// Its online pCPUs.
    pub cpus: CpuSet,
    /// The cache's size, where the source tells.
    pub size: Option<Bytes>,
}

/// A GPU that could be given to a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gpu {
    /// Where it is.
    pub address: PciAddr,
    /// Its device node; `None` where the kernel says -1.
    pub node: Option<NodeId>,
    /// Its model's name, or its ids.
    pub model: String,
    /// Whether it is inside the CPU. Such a one is chosen only when named.
    pub integrated: bool,
}
