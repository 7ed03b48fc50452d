//! Nodes, cores and L3 domains of a description.

use std::fmt;

use crate::host::records::{CoreKind, PagePool};
use crate::sets::CpuSet;
use crate::units::{Bytes, Distance, NodeId, PackageId};

/// A node of a description.
///
/// A field may be added in any release: begin with [`NodeSpec::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct NodeSpec {
    /// The OS index of the node.
    pub id: NodeId,
    /// The pCPUs. Every one must be online.
    #[cfg_attr(feature = "serde", serde(default))]
    pub cpus: CpuSet,
    /// The memory, hugepages included.
    pub memory: Bytes,
    /// The page pools. If the base page is missing, the memory beyond the hugepages is its pool,
    /// all free.
    #[cfg_attr(feature = "serde", serde(default))]
    pub pools: Vec<PagePool>,
    /// Relative distances to all nodes by ascending id; empty for the kernel's defaults, 10 and 20.
    #[cfg_attr(feature = "serde", serde(default))]
    pub distances: Vec<Distance>,
}

impl NodeSpec {
    /// A node with all memory in free base pages, and with the kernel's default distances.
    #[must_use]
    pub fn new(id: NodeId, cpus: CpuSet, memory: Bytes) -> Self {
        Self { id, cpus, memory, pools: Vec::new(), distances: Vec::new() }
    }
}

/// A core of a description.
///
/// A field may be added in any release: begin with [`CoreSpec::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct CoreSpec {
    /// The package that holds the core.
    pub package: PackageId,
    /// The die that holds the core, inside the package.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_zero"))]
    pub die: u32,
    /// The kernel's `core_id`.
    pub core: u32,
    /// The kind of core.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_performance"))]
    pub kind: CoreKind,
    /// The top frequency in MHz, if known.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub max_mhz: Option<u32>,
    /// The online pCPUs of the core.
    pub pcpus: CpuSet,
}

impl CoreSpec {
    /// A performance core on the first die of its package, of unknown frequency.
    #[must_use]
    pub fn new(package: PackageId, core: u32, pcpus: CpuSet) -> Self {
        Self { package, die: 0, core, kind: CoreKind::Performance, max_mhz: None, pcpus }
    }
}

#[cfg(feature = "serde")]
fn is_zero(die: &u32) -> bool {
    *die == 0
}

#[cfg(feature = "serde")]
fn is_performance(kind: &CoreKind) -> bool {
    *kind == CoreKind::Performance
}

/// An L3 domain of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct L3Spec {
    /// The pCPUs that share the cache.
    pub cpus: CpuSet,
    /// The cache's size.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub size: Option<Bytes>,
}

/// The contents of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum CacheKind {
    /// Data only.
    Data,
    /// Instructions only.
    Instruction,
    /// Both.
    Unified,
}

/// The caches of one level, kind and size, other than L3 caches, which have [`L3Spec`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct CacheSpec {
    /// The level: 1, 2 or 4.
    pub level: u8,
    /// The contents.
    pub kind: CacheKind,
    /// The size of each cache.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub size: Option<Bytes>,
    /// For each cache, the pCPUs that share it.
    pub shared_by: Vec<CpuSet>,
}

/// `L1 data`, `L2`.
impl fmt::Display for CacheSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            CacheKind::Data => " data",
            CacheKind::Instruction => " instruction",
            CacheKind::Unified => "",
        };
        write!(f, "L{}{kind}", self.level)
    }
}
