//! A host's hardware: its topology, and queries on it.

pub(crate) mod acs;
mod bundle;
pub(crate) mod core_set;
pub(crate) mod derived;
mod described;
mod fabric;
pub(crate) mod function;
mod gpu_facts;
pub(crate) mod gpu_places;
mod host_use;
pub(crate) mod kept;
pub(crate) mod limits;
pub(crate) mod mask;
mod memory;
pub(crate) mod pci_place;
pub(crate) mod pcie;
pub(crate) mod records;
pub(crate) mod sources;
pub(crate) mod spec;
mod virtual_functions;
mod virtual_gpus;

pub use acs::Acs;
pub use function::TakenFunction;
pub use host_use::HostUse;
pub use kept::{Kept, KeptWhy, Reserve};
pub use limits::{MAX_GPUS, MAX_NODES, MAX_PCI_FUNCTIONS, MAX_PCPUS};
pub use memory::ReserveMemory;
pub use pcie::{
    CommonBridge, DeviceKind, FabricPartition, GpuLink, GpuLinkKind, LinkState, PciClass,
    PciDevice, PciId, PciTree, RootComplex,
};
pub use records::{Core, CoreKind, CpuVendor, Gpu, L3Domain, Node, PagePool};
pub use sources::{Part, PartSource};
pub use spec::{CacheKind, CacheSpec, CoreSpec, HostError, HostSpec, L3Spec, NodeSpec};

use crate::sets::CpuSet;
use crate::units::{Distance, NodeId, PackageId, PciAddr, PcpuId};
use derived::Derived;

/// A host's hardware, immutable. Only [`HostSpec::build`] makes one.
///
/// Invariants:
/// - pCPUs, cores, nodes, L3 domains, PCI addresses are unique; there is at least one core;
/// - every core has a pCPU, and all its pCPUs are on one node and in at most one L3 domain;
/// - every pCPU of a node, an L3 domain, or the allowed, isolated and reserved sets is online;
/// - every node has a distance to every node, 10 to itself and more than 10 to others;
/// - a pool has no more free pages than pages, and a node's pools fit into its memory;
/// - the PCI parents exist, are bridges, and form trees; device nodes exist;
/// - GPU links and fabric partitions name GPUs of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The description that it was built from, in canonical order.
    spec: HostSpec,
    nodes: Vec<Node>,
    cores: Vec<Core>,
    /// The position of each pCPU's core; `u32::MAX` if the pCPU has none.
    core_of: Vec<u32>,
    l3_domains: Vec<L3Domain>,
    online: CpuSet,
    allowed: CpuSet,
    pci: PciTree,
    gpus: Vec<Gpu>,
    kept: Kept,
    derived: Derived,
}

impl Host {
    /// The name of the host.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The origin of the description, in the words of its author.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.spec.about
    }

    /// The source of each part of the description, if known.
    #[must_use]
    pub fn sources(&self) -> &[PartSource] {
        &self.spec.sources
    }

    /// The CPU's vendor.
    #[must_use]
    pub fn cpu_vendor(&self) -> CpuVendor {
        self.spec.cpu_vendor
    }

    /// The CPU's model, possibly empty.
    #[must_use]
    pub fn cpu_model(&self) -> &str {
        &self.spec.cpu_model
    }

    /// A description that builds this host again, in canonical order.
    #[must_use]
    pub fn description(&self) -> &HostSpec {
        &self.spec
    }

    /// The nodes by ascending id.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The position of a node in [`Host::nodes`].
    #[must_use]
    pub fn node_index(&self, id: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&id, |node| node.id).ok()
    }

    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.node_index(id).map(|at| &self.nodes[at])
    }

    /// The relative distance between two nodes: the larger of both directions, because a guest's
    /// table must be symmetric.
    #[must_use]
    pub fn distance(&self, a: NodeId, b: NodeId) -> Option<Distance> {
        let (a, b) = (self.node_index(a)?, self.node_index(b)?);
        Some(self.nodes[a].distances[b].max(self.nodes[b].distances[a]))
    }

    /// The cores, sorted by node, L3 domain, kind and lowest pCPU.
    #[must_use]
    pub fn cores(&self) -> &[Core] {
        &self.cores
    }

    /// The core of an online pCPU.
    #[must_use]
    pub fn core_of(&self, pcpu: PcpuId) -> Option<&Core> {
        self.core_of.get(pcpu.0 as usize).and_then(|at| self.cores.get(*at as usize))
    }

    /// The L3 domains.
    #[must_use]
    pub fn l3_domains(&self) -> &[L3Domain] {
        &self.l3_domains
    }

    /// The packages that have cores, ascending.
    #[must_use]
    pub fn packages(&self) -> &[PackageId] {
        &self.derived.packages
    }

    /// The online pCPUs.
    #[must_use]
    pub fn online(&self) -> &CpuSet {
        &self.online
    }

    /// The pCPUs that may be used (a cgroup may forbid others).
    #[must_use]
    pub fn allowed(&self) -> &CpuSet {
        &self.allowed
    }

    /// The pCPUs that the kernel's scheduler leaves alone (`isolcpus`).
    #[must_use]
    pub fn isolated(&self) -> &CpuSet {
        &self.spec.isolated
    }

    /// The pCPUs that the operator named to be kept; [`Host::kept`] has those that are.
    #[must_use]
    pub fn reserved(&self) -> CpuSet {
        match &self.spec.reserved {
            Reserve::These(cpus) => cpus.clone(),
            Reserve::Auto | Reserve::None => CpuSet::new(),
        }
    }

    /// The pCPUs on which no vCPU is placed, and why.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether a VM's emulator threads may go without a pCPU beside the vCPUs': the operator keeps
    /// nothing, or all allowed pCPUs are isolated. They then run wherever the host's own work does.
    #[must_use]
    pub fn emulators_roam(&self) -> bool {
        self.spec.reserved == Reserve::None || self.kept.why == KeptWhy::AllIsolated
    }

    /// The PCI functions and bridges.
    #[must_use]
    pub fn pci(&self) -> &PciTree {
        &self.pci
    }

    /// The whole GPUs, sorted by address; virtual functions of GPUs are not among them.
    #[must_use]
    pub fn gpus(&self) -> &[Gpu] {
        &self.gpus
    }

    /// The GPU at `address`.
    #[must_use]
    pub fn gpu(&self, address: PciAddr) -> Option<&Gpu> {
        self.gpu_index(address).map(|at| &self.gpus[at])
    }

    /// The position of a GPU in [`Host::gpus`].
    pub(crate) fn gpu_index(&self, address: PciAddr) -> Option<usize> {
        self.gpus.binary_search_by_key(&address, |gpu| gpu.address).ok()
    }

    /// These GPUs as a mask; addresses of other devices are ignored.
    pub(crate) fn gpu_mask(&self, gpus: &[PciAddr]) -> mask::GpuMask {
        gpus.iter().filter_map(|gpu| self.gpu_index(*gpu)).collect()
    }

    /// Values derived when the host was built.
    pub(crate) fn derived(&self) -> &Derived {
        &self.derived
    }

    /// The node that devices without a known node are taken to be on: the only node with memory, if
    /// the description leaves out the node of some endpoint. `None` where several nodes have
    /// memory; the locality of such a device is then unknown.
    #[must_use]
    pub fn assumed_device_node(&self) -> Option<NodeId> {
        let node = self.spec.only_memory_node()?;
        let untold = |d: &pcie::PciDevice| d.node.is_none() && d.is_endpoint();
        self.spec.devices.iter().any(untold).then_some(node)
    }

    /// Direct connections between GPUs.
    #[must_use]
    pub fn gpu_links(&self) -> &[GpuLink] {
        &self.spec.gpu_links
    }

    /// The direct connection between two GPUs.
    #[must_use]
    pub fn gpu_link(&self, a: PciAddr, b: PciAddr) -> Option<&GpuLink> {
        self.spec.gpu_links.iter().find(|l| (l.a, l.b) == (a, b) || (l.a, l.b) == (b, a))
    }

    /// The sets of GPUs that the fabric manager can give to one VM. Empty without a fabric manager;
    /// linked GPUs can then be combined freely.
    #[must_use]
    pub fn fabric_partitions(&self) -> &[FabricPartition] {
        &self.spec.fabric_partitions
    }

    /// The NVSwitches that stay with the host although nobody knows which partitions its fabric
    /// manager offers: empty if the host has no NVSwitch, if partitions are known, or if a VM is
    /// given all NVSwitches in `devices` and runs the fabric manager itself. Unless it is empty,
    /// NVLinks between the VM's GPUs may be switched off.
    pub(crate) fn untold_fabric(&self, devices: &[PciAddr]) -> &[PciAddr] {
        let switches = &self.derived().nvswitches;
        let given = switches.iter().all(|switch| devices.contains(switch));
        if given || !self.fabric_partitions().is_empty() { &[] } else { switches }
    }

    /// The number of the first fabric partition that has exactly these GPUs.
    pub(crate) fn partition_of(&self, gpus: mask::GpuMask) -> Option<u32> {
        let at = self.derived().partitions.iter().position(|partition| *partition == gpus)?;
        Some(self.fabric_partitions()[at].id)
    }

    /// The same hardware with something else kept for the host itself.
    ///
    /// # Errors
    /// [`HostError`] if a pCPU to keep is not online.
    pub fn with_reserved(&self, reserved: Reserve) -> Result<Self, HostError> {
        HostSpec { reserved, ..self.spec.clone() }.build()
    }

    /// The same hardware with another amount of memory kept for the host itself.
    ///
    /// # Errors
    /// Never for a host that was built; the type is [`HostSpec::build`]'s.
    pub fn with_reserved_memory(&self, reserve_memory: ReserveMemory) -> Result<Self, HostError> {
        HostSpec { reserve_memory, ..self.spec.clone() }.build()
    }

    /// The GPUs among the functions. SR-IOV virtual functions do not count: they are shares of a
    /// GPU. A request can ask for them all the same.
    pub(crate) fn gpus_of(tree: &PciTree) -> Vec<Gpu> {
        let whole =
            |d: &&pcie::PciDevice| d.kind() == DeviceKind::Gpu && d.physical_function.is_none();
        tree.devices().iter().filter(whole).map(|device| Gpu::of(tree, device)).collect()
    }
}
