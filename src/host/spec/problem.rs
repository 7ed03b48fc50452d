//! Errors in a description.

use super::MAX_BRIDGES;
use crate::sets::CpuSet;
use crate::units::{Bytes, CoreId, NodeId, PageSize, PciAddr, PcpuId};

/// The reason why a description is not a valid host. Each names the offending item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// No core has a pCPU.
    #[error("the host has no pCPUs")]
    NoPcpus,
    /// More items than the engine supports.
    #[error("the host has {found} {what}, but the limit is {limit}")]
    TooMany {
        /// The kind of item.
        what: &'static str,
        /// The number found.
        found: usize,
        /// The largest number allowed.
        limit: usize,
    },
    /// Two items with the same id.
    #[error("{what} {id} occurs twice")]
    Duplicate {
        /// The kind of item.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// A number beyond the largest identifier.
    #[error("{what} {id} exceeds the largest id")]
    IdTooLarge {
        /// The kind of item.
        what: &'static str,
        /// The id.
        id: u32,
    },
    /// A core without pCPUs.
    #[error("core {core} has no pCPUs")]
    EmptyCore {
        /// The core.
        core: CoreId,
    },
    /// SMT siblings in several nodes or L3 domains.
    #[error("the pCPUs of core {core} are in several {what}")]
    CoreStraddles {
        /// The core.
        core: CoreId,
        /// "nodes" or "L3 domains".
        what: &'static str,
    },
    /// A core that belongs to no node.
    #[error("pCPU {pcpu} belongs to no node")]
    NoNode {
        /// One of its pCPUs.
        pcpu: PcpuId,
    },
    /// A cache with the level of an L3, or with a level that no machine has.
    #[error("a cache has level {level}, but must have 1, 2 or 4 (an L3 cache is an L3 domain)")]
    CacheLevel {
        /// The level.
        level: u8,
    },
    /// pCPUs that belong to no core.
    #[error("{what} names pCPUs {cpus}, which are not online")]
    NotOnline {
        /// The item that names them.
        what: String,
        /// The pCPUs.
        cpus: CpuSet,
    },
    /// A row of distances that is incomplete or out of range.
    #[error("node {node}: {problem}")]
    Distances {
        /// The node.
        node: NodeId,
        /// The problem.
        problem: String,
    },
    /// A pool with more free pages than pages.
    #[error("node {node} has {free} free pages of {size}, but only {total} pages in all")]
    PoolOverfull {
        /// The node.
        node: NodeId,
        /// The page size.
        size: PageSize,
        /// The number of free pages.
        free: u64,
        /// The number of all pages.
        total: u64,
    },
    /// Pools that are larger than the node's memory.
    #[error("the page pools of node {node} are larger than its memory of {memory}")]
    PoolsExceedMemory {
        /// The node.
        node: NodeId,
        /// The memory of the node.
        memory: Bytes,
    },
    /// A reference to something that does not exist.
    #[error("{what} names {id}, which does not exist{hint}")]
    Dangling {
        /// The item that names it.
        what: String,
        /// The missing item.
        id: String,
        /// What must exist instead.
        hint: &'static str,
    },
    /// A PCI address that no machine can have.
    #[error(
        "the PCI address {address} has device {:#x} and function {}, but the largest are 0x1f and 7",
        address.device,
        address.function
    )]
    AddressRange {
        /// The address.
        address: PciAddr,
    },
    /// PCI parents in a circle, or a chain that is longer than on any machine.
    #[error("the bridges above {address} form a circle or a chain of more than {MAX_BRIDGES}")]
    PciCycle {
        /// The function at which the walk began.
        address: PciAddr,
    },
    /// A link of a GPU with itself, or a partition that lists a GPU twice.
    #[error("{what} names {address} twice")]
    SameGpuTwice {
        /// The item that names it.
        what: String,
        /// The GPU.
        address: PciAddr,
    },
}
