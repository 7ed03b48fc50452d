//! What can be wrong with a description.

use super::MAX_BRIDGES;
use crate::sets::CpuSet;
use crate::units::{Bytes, CoreId, NodeId, PageSize, PciAddr, PcpuId};

/// Why a description is not a host. Each names the offending item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is no core with a pCPU.
    #[error("the host has no pCPUs")]
    NoPcpus,
    /// More items than the engine is built for.
    #[error("the host has {found} {what}, the limit is {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// Two items with the same id.
    #[error("{what} {id} occurs twice")]
    Duplicate {
        /// What kind of item.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A number that is beyond what the identifier allows.
    #[error("{what} {id} is beyond the largest id")]
    IdTooLarge {
        /// What kind of item.
        what: &'static str,
        /// Its id.
        id: u32,
    },
    /// A core without pCPUs.
    #[error("core {core} has no pCPUs")]
    EmptyCore {
        /// The core.
        core: CoreId,
    },
    /// SMT siblings that do not lie together.
    #[error("the pCPUs of core {core} are in several {what}")]
    CoreStraddles {
        /// The core.
        core: CoreId,
        /// Nodes, or L3 domains.
        what: &'static str,
    },
    /// A core that no node holds.
    #[error("pCPU {pcpu} is on no node")]
    NoNode {
        /// One of its pCPUs.
        pcpu: PcpuId,
    },
    /// A cache that is an L3, or of a level that no machine has.
    #[error("there are caches of level {level}, it must be 1, 2 or 4: an L3 is an L3 domain")]
    CacheLevel {
        /// The level.
        level: u8,
    },
    /// pCPUs that no core has.
    #[error("{what} names pCPUs {cpus}, which are not online")]
    NotOnline {
        /// Who names them.
        what: String,
        /// The pCPUs.
        cpus: CpuSet,
    },
    /// A table of distances that is not complete or not one of relative distances.
    #[error("node {node}: {problem}")]
    Distances {
        /// The row.
        node: NodeId,
        /// What is wrong with it.
        problem: String,
    },
    /// A pool with more free pages than pages.
    #[error("node {node} has {free} free pages of {size} but only {total} in all")]
    PoolOverfull {
        /// The node.
        node: NodeId,
        /// The page size.
        size: PageSize,
        /// Free pages.
        free: u64,
        /// All pages.
        total: u64,
    },
    /// Pools that are larger than the node's memory.
    #[error("the page pools of node {node} are larger than its memory of {memory}")]
    PoolsExceedMemory {
        /// The node.
        node: NodeId,
        /// Its memory.
        memory: Bytes,
    },
    /// A reference to something that does not exist.
    #[error("{what} names {id}, which does not exist{hint}")]
    Dangling {
        /// Who names it.
        what: String,
        /// What it names.
        id: String,
        /// What it should be instead.
        hint: &'static str,
    },
    /// PCI parents that go round in a circle, or deeper than any machine.
    #[error("the bridges above {address} form a circle or a chain of more than {MAX_BRIDGES}")]
    PciCycle {
        /// Where the walk began.
        address: PciAddr,
    },
    /// A link of a GPU with itself, or a partition that names a GPU twice.
    #[error("{what} names {address} twice")]
    SameGpuTwice {
        /// Who names it.
        what: String,
        /// The GPU.
        address: PciAddr,
    },
}
