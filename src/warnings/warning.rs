//! The warnings as data.

use crate::host::TakenFunction;
use crate::host::kept::KeptWhy;
use crate::host::pcie::LinkState;
use crate::request::Nearness;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{Bytes, L3Id, NodeId, PageSize, PciAddr};

/// A use that the host makes of a function which a VM takes, the most harmful first. The order is
/// ours: without a display or a disk, an operator may have no way to take the function back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "use", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum InUse {
    /// The firmware shows its console on it (`boot_vga`).
    BootDisplay,
    /// No other display controller is left to the host.
    LastDisplay,
    /// Processes of the host compute or draw on it.
    Processes,
    /// File systems on disks behind it are mounted.
    Mounts,
    /// The default route goes through it.
    DefaultRoute,
    /// A driver of the host is bound to this GPU.
    Driver {
        /// The driver.
        driver: String,
    },
}

/// A warning about a placement, as ids and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "warning", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Warning {
    /// A function that the host uses itself and loses.
    InUse {
        /// The function: a device of the VM, or one that leaves the host with it.
        address: PciAddr,
        /// The use.
        by: InUse,
    },
    /// A slot with fewer lanes than the device in it.
    NarrowSlot {
        /// The device.
        address: PciAddr,
        /// The most that the port above it can do.
        slot: LinkState,
        /// The most that the device can do.
        card: LinkState,
    },
    /// A link that runs slower or narrower than both sides can (F10, F45). A device may have
    /// lowered the speed to save power.
    DegradedLink {
        /// The GPU or other device.
        address: PciAddr,
        /// The current state of the link.
        now: LinkState,
        /// The best state that both sides support.
        possible: LinkState,
        /// Whether the VM gets the device.
        given: bool,
    },
    /// A GPU on a node that holds none of the VM's memory (F15, F28).
    RemoteGpu {
        /// The GPU.
        address: PciAddr,
        /// The node of the GPU.
        node: NodeId,
        /// The VM's nodes.
        nodes: NodeSet,
    },
    /// A NIC or other device on a node that holds nothing of the VM.
    RemoteDevice {
        /// The device.
        address: PciAddr,
        /// The node of the device.
        node: NodeId,
        /// The VM's nodes.
        nodes: NodeSet,
    },
    /// A device that was chosen by kind, and is farther from its GPU than asked for.
    DeviceApart {
        /// The device.
        address: PciAddr,
        /// The GPU; `None` if every GPU has another device of the kind.
        gpu: Option<PciAddr>,
        /// The smallest part of the host that holds both; `None` if not even one node does.
        within: Option<Nearness>,
    },
    /// A device whose node is unknown.
    UnknownNode {
        /// The device.
        address: PciAddr,
    },
    /// A GPU that is divided into instances (MIG): the VM gets all of it, and whoever uses the
    /// instances loses them.
    MigInstances {
        /// The GPU.
        address: PciAddr,
        /// The number of instances.
        instances: u32,
    },
    /// A device with virtual functions (SR-IOV), which no other VM can use while this one has it.
    HasVirtualFunctions {
        /// The physical function.
        address: PciAddr,
        /// The number of its virtual functions.
        functions: u32,
    },
    /// A device that may be the parent of a tenant's mediated device, whose parent is unknown.
    MayBeShared {
        /// The device.
        address: PciAddr,
        /// The names of the tenants.
        tenants: Vec<String>,
    },
    /// An IOMMU group with functions that the VM does not get, although they leave the host too.
    SharedIommuGroup {
        /// The device.
        address: PciAddr,
        /// The others.
        others: Vec<TakenFunction>,
    },
    /// A device in no IOMMU group, while others are in one: passthrough needs the IOMMU switched
    /// on.
    NoIommuGroup {
        /// The device.
        address: PciAddr,
    },
    /// A device on a host without any known IOMMU group: the IOMMU is off, or the source shows
    /// none.
    UnknownIommuGroup {
        /// The device.
        address: PciAddr,
    },
    /// GPUs below one root port, without a direct link, whose peer-to-peer traffic does not stay
    /// inside the switch: ports between them redirect it to the root complex. No finding measures
    /// the cost.
    RedirectedPeers {
        /// The GPUs.
        gpus: Vec<PciAddr>,
        /// The ports with request redirect on.
        ports: Vec<PciAddr>,
        /// Whether all of these ports let requests with translated addresses pass:
        /// GPUs that ask the IOMMU in advance (ATS) then still reach each other directly.
        translated: bool,
    },
    /// Memory in base pages, though the VM is pinned: no hugepages of a fitting size are free.
    /// With VFIO every page is pinned at start, about a quarter second a GB (F41).
    NoHugepages {
        /// The page size in use.
        page_size: PageSize,
        /// The memory.
        memory: Bytes,
        /// Whether devices are passed through.
        vfio: bool,
    },
    /// Ordinary memory that the VM's base pages leave free on its nodes, for the host and for QEMU.
    LeftForHost {
        /// The nodes, each with its memory, rounded down to whole MiB.
        left: Vec<(NodeId, Bytes)>,
        /// What QEMU itself takes of it, about.
        overhead: Bytes,
    },
    /// Memory in hugepages, on nodes with less ordinary memory than QEMU itself takes.
    LittleForEmulator {
        /// The nodes, each with its free ordinary memory, rounded down to whole MiB.
        left: Vec<(NodeId, Bytes)>,
        /// What QEMU itself takes of it, about.
        overhead: Bytes,
    },
    /// Tenants that float over pCPUs dedicated to this VM.
    FloatingTenants {
        /// The names of the tenants.
        tenants: Vec<String>,
        /// The pCPUs.
        cpus: CpuSet,
    },
    /// A floating VM over pCPUs that are dedicated to tenants: nothing keeps it off them.
    FloatsOverTenants {
        /// The names of the tenants.
        tenants: Vec<String>,
        /// The pCPUs.
        cpus: CpuSet,
    },
    /// Tenants on SMT siblings of the VM's vCPUs, as the request allows: the two threads of a core
    /// slow each other.
    SharedCores {
        /// The names of the tenants.
        tenants: Vec<String>,
        /// The VM's pCPUs on these cores.
        cpus: CpuSet,
    },
    /// Tenants with pCPUs in L3 domains of the VM's vCPUs, and so with a part of the cache. No
    /// finding measures the cost.
    SharedL3 {
        /// The names of the tenants.
        tenants: Vec<String>,
        /// The domains, ascending.
        domains: Vec<L3Id>,
    },
    /// Tenants with pCPUs or pages on nodes of the VM's memory, and so with a part of its
    /// bandwidth. VMs on different nodes do not disturb each other (F27); no finding measures VMs
    /// on one node.
    SharedNodes {
        /// The names of the tenants.
        tenants: Vec<String>,
        /// The nodes.
        nodes: NodeSet,
    },
    /// Hugepages that stay free on a node whose last pCPUs the VM takes: no other VM can use them
    /// locally.
    StrandedPages {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
        /// The number of pages that stay free.
        pages: u64,
    },
    /// The operator named no pCPUs to keep for the host: these were chosen, or none.
    KeptForHost {
        /// The pCPUs.
        cpus: CpuSet,
        /// The reason for the choice.
        why: KeptWhy,
    },
    /// A VM on pCPUs that are not isolated, or whose siblings are not, on a host whose kernel
    /// isolates some: the host's own work may run there.
    NotIsolated {
        /// The VM's pCPUs that are not isolated.
        cpus: CpuSet,
        /// Siblings of its isolated pCPUs that are not isolated and carry none of its vCPUs.
        siblings: CpuSet,
    },
    /// vCPUs on nodes without memory for the VM: each of their accesses is remote (F29, F30, F31).
    RemoteMemory {
        /// The pCPUs of these vCPUs.
        cpus: CpuSet,
        /// The nodes of these pCPUs.
        nodes: NodeSet,
        /// The nodes of the VM's memory.
        memory: NodeSet,
    },
    /// Emulator threads outside of the VM's nodes.
    EmulatorFar {
        /// The pCPUs of the emulator threads.
        cpus: CpuSet,
        /// The VM's nodes.
        nodes: NodeSet,
    },
    /// GPUs that are all on one node, while a set over several nodes exists: for collectives
    /// through host memory, one host was 1.5 times faster with such a set (F18). Measure both.
    SpreadSetMayBeFaster {
        /// The node that has them all.
        node: NodeId,
    },
    /// GPUs that do not form a fabric partition: the fabric manager cannot link them.
    NotAPartition {
        /// The GPUs.
        gpus: Vec<PciAddr>,
    },
    /// GPUs that form a fabric partition, which must be active before the VM starts.
    ActivatePartition {
        /// The partition's number in the fabric manager.
        id: u32,
    },
    /// NVSwitches that stay with the host, whose fabric partitions are unknown. NVLinks work only
    /// inside an activated partition, so none is counted on.
    UntoldFabric {
        /// The NVSwitches.
        switches: Vec<PciAddr>,
    },
}
