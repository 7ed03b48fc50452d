//! Hard constraints only: a candidate is possible, or it is rejected with facts.

use crate::engine::profile::Profile;
use crate::engine::score::{Property, each_lack};
use crate::host::Host;
use crate::placement::Style;
use crate::request::{Policy, Request};
use crate::sets::NodeSet;
use crate::units::{Bytes, NodeId, PageSize, PciAddr};

/// Why something cannot be, as ids and numbers. [`explain`](mod@crate::explain) makes the
/// sentences.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "fact", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Fact {
    /// Too few cores with enough free siblings.
    CoresShort {
        /// Where.
        nodes: NodeSet,
        /// vCPUs a core.
        threads: u32,
        /// Cores needed.
        needed: u64,
        /// Cores free.
        free: u64,
    },
    /// Too few pCPUs for vCPUs that float.
    PcpusShort {
        /// Where.
        nodes: NodeSet,
        /// pCPUs needed: one a vCPU.
        needed: u64,
        /// pCPUs that nobody has for itself.
        free: u64,
    },
    /// Too few pages.
    PagesShort {
        /// Where.
        nodes: NodeSet,
        /// The page size.
        page_size: PageSize,
        /// Pages needed.
        needed: u64,
        /// Pages free.
        free: u64,
    },
    /// Memory that is no whole number of any page size of the host.
    NoPageSize {
        /// The memory.
        memory: Bytes,
        /// The page size asked for; `None` where any would do.
        page_size: Option<PageSize>,
    },
    /// Too few GPUs.
    GpusShort {
        /// GPUs needed.
        needed: u32,
        /// GPUs that are free and match.
        free: u32,
        /// GPUs that match.
        total: u32,
        /// The model asked for.
        model: Option<String>,
    },
    /// An address that is no device of the host.
    NoDevice {
        /// The address.
        address: PciAddr,
    },
    /// A device that is not a GPU.
    NotAGpu {
        /// The address.
        address: PciAddr,
    },
    /// A device that somebody holds, or whose IOMMU group somebody holds.
    DeviceHeld {
        /// The device.
        address: PciAddr,
        /// Who.
        holder: String,
    },
    /// GPUs whose node the host does not tell, where locality is required.
    GpuNodeUnknown {
        /// One of them.
        address: PciAddr,
    },
    /// A required property that no candidate of the style has.
    Lacks {
        /// The property.
        property: Property,
    },
    /// More cells, or a second node, than there are usable nodes.
    NodesShort {
        /// Nodes needed.
        needed: u32,
        /// Nodes with usable pCPUs and memory.
        usable: u32,
    },
    /// SMT siblings cannot be shown: no core has two usable pCPUs.
    NoSmt,
    /// SMT siblings cannot be shown: the vCPUs are not a multiple of the threads.
    OddVcpus {
        /// The vCPUs.
        vcpus: u32,
        /// Threads a core.
        threads: u32,
    },
    /// No pCPU is left for the emulator threads.
    NoEmulatorPcpu {
        /// pCPUs needed beside the vCPUs'.
        needed: u64,
        /// pCPUs left.
        free: u64,
    },
    /// The guest's PCI tree has no room for so many devices.
    TooManyDevices {
        /// Cards.
        devices: u32,
    },
}

/// A style that has no possible candidate, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Rejection {
    /// The style.
    pub style: Style,
    /// The facts, the decisive one first.
    pub facts: Vec<Fact>,
}

/// The first required property that a candidate lacks.
pub(crate) fn lacking(request: &Request, profile: &Profile) -> Option<Property> {
    let mut first = None;
    each_lack(request, profile, |property, policy| {
        if policy == Policy::Require && first.is_none() {
            first = Some(property);
        }
    });
    first
}

/// The nodes at these positions.
pub(crate) fn node_set(host: &Host, positions: impl Iterator<Item = usize>) -> NodeSet {
    positions.filter_map(|at| host.nodes().get(at)).map(|node| node.id).collect()
}

/// A set of one node.
pub(crate) fn one_node(id: NodeId) -> NodeSet {
    NodeSet::one(id)
}
