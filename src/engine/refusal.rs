//! Hard constraints only: a candidate is possible, or is rejected with facts.

use crate::engine::profile::Profile;
use crate::engine::score::{Property, each_lack};
use crate::host::{Host, TakenFunction};
use crate::placement::Style;
use crate::request::{Policy, Request, WishKind};
use crate::sets::{CpuSet, NodeSet};
use crate::units::{Bytes, NodeId, PageSize, PciAddr};

/// A reason why a placement is impossible, as ids and numbers. [`explain`](mod@crate::explain)
/// makes the sentences.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "fact", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Fact {
    /// Too few cores with enough free siblings.
    CoresShort {
        /// The nodes.
        nodes: NodeSet,
        /// vCPUs per core.
        threads: u32,
        /// The number of cores needed.
        needed: u64,
        /// The number of cores available.
        free: u64,
    },
    /// Too few pCPUs where vCPUs float, or where cores may carry two.
    PcpusShort {
        /// The nodes.
        nodes: NodeSet,
        /// The number of pCPUs needed: one per vCPU.
        needed: u64,
        /// The number of pCPUs that are dedicated to nobody.
        free: u64,
    },
    /// Too few pages.
    PagesShort {
        /// The nodes.
        nodes: NodeSet,
        /// The page size.
        page_size: PageSize,
        /// The number of pages needed.
        needed: u64,
        /// The number of pages free.
        free: u64,
    },
    /// Ordinary memory that is kept for the host: base pages that the VM may not have.
    MemoryKept {
        /// The nodes that keep some.
        nodes: NodeSet,
        /// The memory that they keep together.
        memory: Bytes,
    },
    /// Memory that is not a multiple of any page size of the host.
    NoPageSize {
        /// The memory.
        memory: Bytes,
        /// The requested page size; `None` for any.
        page_size: Option<PageSize>,
    },
    /// Too few GPUs.
    GpusShort {
        /// The number of GPUs needed.
        needed: u32,
        /// The number of GPUs that are free and match.
        free: u32,
        /// The number of GPUs that match.
        total: u32,
        /// The requested model.
        model: Option<String>,
    },
    /// Too few devices of a kind.
    DevicesShort {
        /// The kind.
        kind: WishKind,
        /// The number of devices needed.
        needed: u32,
        /// The number of devices that may be given.
        free: u32,
        /// The number of devices of the kind and model.
        total: u32,
        /// The requested model.
        model: Option<String>,
    },
    /// An address that is not a device of the host.
    NoDevice {
        /// The address.
        address: PciAddr,
    },
    /// A device that is not a GPU.
    NotAGpu {
        /// The address.
        address: PciAddr,
    },
    /// GPUs that match, but are given by address only: they have virtual functions (SR-IOV), which
    /// are there for other VMs.
    GpusSplit {
        /// The number of these GPUs.
        gpus: u32,
        /// The number of their virtual functions.
        functions: u32,
    },
    /// GPUs that match, but are not given by number: tenants hold mediated devices whose parent is
    /// unknown, and it may be any of these.
    GpusUnsure {
        /// The number of GPUs or virtual functions.
        gpus: u32,
        /// The tenants.
        tenants: Vec<String>,
    },
    /// Too few virtual functions of GPUs.
    VfsShort {
        /// The number of virtual functions needed.
        needed: u32,
        /// The number of virtual functions that are free and match.
        free: u32,
        /// The number of virtual functions that match.
        total: u32,
        /// The requested model.
        model: Option<String>,
    },
    /// A device that cannot be used beside a function that a tenant holds: a physical function and
    /// its virtual functions, or a function and a mediated device of it.
    FunctionHeld {
        /// The device.
        address: PciAddr,
        /// The function that the tenant holds, or holds a mediated device of.
        function: PciAddr,
        /// Whether the tenant holds a mediated device of the function, and not the function itself.
        share: bool,
        /// The holder.
        holder: String,
    },
    /// Two requested functions that cannot be used at once: a physical function and one of its
    /// virtual functions.
    FunctionsExclude {
        /// The physical function.
        physical: PciAddr,
        /// The virtual function.
        function: PciAddr,
    },
    /// A device that a tenant holds, or whose IOMMU group a tenant holds a part of.
    DeviceHeld {
        /// The device.
        address: PciAddr,
        /// The holder.
        holder: String,
    },
    /// A device whose IOMMU group takes from the host what it needs.
    GroupTaken {
        /// The device.
        address: PciAddr,
        /// What the host would lose.
        taken: Vec<TakenFunction>,
        /// The ports above it that are known to be without access control, nearest first: they put
        /// what is below them into one group.
        ports: Vec<PciAddr>,
        /// Free GPUs that take nothing of that kind from the host, if the device is a GPU.
        others: Vec<PciAddr>,
    },
    /// GPUs whose node is unknown, though locality is required.
    GpuNodeUnknown {
        /// One of them.
        address: PciAddr,
    },
    /// A style that does not answer the request: pinned vCPUs where shared pCPUs are asked for, or
    /// floating ones where dedicated pCPUs are required.
    StyleUnasked {
        /// The style.
        style: Style,
    },
    /// A required property that no candidate of the style has.
    Lacks {
        /// The property.
        property: Property,
    },
    /// Too few usable nodes for the cells, or for a second node.
    NodesShort {
        /// The number of nodes needed.
        needed: u32,
        /// The number of nodes with usable pCPUs and memory.
        usable: u32,
    },
    /// SMT siblings cannot be shown: no core has two usable pCPUs.
    NoSmt,
    /// SMT siblings cannot be shown: the vCPUs are not a multiple of the threads.
    OddVcpus {
        /// The number of vCPUs.
        vcpus: u32,
        /// Threads per core.
        threads: u32,
    },
    /// Too few pCPUs for the emulator threads.
    NoEmulatorPcpu {
        /// The number of pCPUs needed besides the vCPUs'.
        needed: u64,
        /// The number of pCPUs left.
        free: u64,
    },
    /// pCPUs of the request's own set that it cannot have: absent or offline, not allowed, kept for
    /// the host, held by a tenant, or not on the nodes that it is held to.
    CpusUnusable {
        /// These pCPUs.
        cpus: CpuSet,
        /// The number of the set's other pCPUs.
        left: u32,
    },
    /// Nodes of the request's own set that the host does not have.
    NodesMissing {
        /// These nodes.
        nodes: NodeSet,
        /// The number of the set's other nodes.
        left: u32,
    },
    /// Memory nodes of the request that the host does not have.
    MemoryNodesMissing {
        /// These nodes.
        nodes: NodeSet,
        /// The number of the set's other nodes.
        left: u32,
    },
    /// Nodes without memory, where pages are short.
    NodesWithoutMemory {
        /// These nodes.
        nodes: NodeSet,
    },
    /// More devices than the guest's PCI tree has room for.
    TooManyDevices {
        /// The number of cards.
        devices: u32,
    },
}

/// A style without a possible candidate, with the reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Rejection {
    /// The style.
    pub style: Style,
    /// The facts, the decisive one first.
    pub facts: Vec<Fact>,
}

/// The styles that the request can be answered with, the default layout apart.
pub(crate) fn asked(request: &Request) -> impl Iterator<Item = Style> + use<> {
    let (pins, floats) = (request.spec().shared.is_none(), !request.spec().must_dedicate());
    let styles = Style::ALL.into_iter().filter(|style| *style != Style::Default);
    styles.filter(move |style| if style.floats() { floats } else { pins })
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
