//! The warnings as data.

use crate::host::kept::KeptWhy;
use crate::host::pcie::LinkState;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{Bytes, L3Id, NodeId, PageSize, PciAddr};

/// Something to know, as ids and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "warning", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Warning {
    /// A link that runs below what both of its sides can (F10, F45). At full width an idle GPU may
    /// have lowered its speed.
    DegradedLink {
        /// The GPU or other device.
        address: PciAddr,
        /// What it runs at.
        now: LinkState,
        /// What it could.
        possible: LinkState,
        /// Whether the VM gets it.
        given: bool,
    },
    /// A GPU on a node that holds none of the VM's memory (F15, F28).
    RemoteGpu {
        /// The GPU.
        address: PciAddr,
        /// Its node.
        node: NodeId,
        /// The VM's nodes.
        nodes: NodeSet,
    },
    /// The host does not tell which node a device is on.
    UnknownNode {
        /// The device.
        address: PciAddr,
    },
    /// An IOMMU group with functions that the VM does not get: they leave the host too.
    SharedIommuGroup {
        /// The device.
        address: PciAddr,
        /// The others.
        others: Vec<PciAddr>,
    },
    /// In no IOMMU group, while others are: passthrough needs an IOMMU that is switched on for it.
    NoIommuGroup {
        /// The device.
        address: PciAddr,
    },
    /// The host's description knows no IOMMU group at all: the IOMMU is off, or the source tells
    /// none.
    UnknownIommuGroup {
        /// The device.
        address: PciAddr,
    },
    /// GPUs that meet below one root port, without a direct link, and ports between them that send
    /// what they say to each other up to the root complex: peer-to-peer does not stay inside the
    /// switch. What that costs is in no finding.
    RedirectedPeers {
        /// The GPUs.
        gpus: Vec<PciAddr>,
        /// The ports with request redirect on.
        ports: Vec<PciAddr>,
        /// Whether all of these ports let requests pass whose addresses are translated already:
        /// GPUs that ask the IOMMU ahead (ATS) then still reach each other directly.
        translated: bool,
    },
    /// Memory in base pages, though the VM is pinned: no hugepages of a fitting size are free.
    /// With VFIO every page is pinned at start, about a quarter second a GB (F41).
    NoHugepages {
        /// The size that is used.
        page_size: PageSize,
        /// The memory.
        memory: Bytes,
        /// Whether devices are passed through.
        vfio: bool,
    },
    /// Other tenants may run on pCPUs that this VM has for itself.
    FloatingTenants {
        /// Their names.
        tenants: Vec<String>,
        /// The pCPUs.
        cpus: CpuSet,
    },
    /// The VM floats over pCPUs that tenants have for themselves: nothing keeps it off.
    FloatsOverTenants {
        /// Their names.
        tenants: Vec<String>,
        /// The pCPUs.
        cpus: CpuSet,
    },
    /// Tenants have SMT siblings of the VM's vCPUs, as the request allows: what the second thread
    /// of a core does slows the first.
    SharedCores {
        /// Their names.
        tenants: Vec<String>,
        /// The VM's pCPUs on these cores.
        cpus: CpuSet,
    },
    /// Tenants have pCPUs in L3 domains of the VM's vCPUs, and so a part of the cache. What that
    /// costs is in no finding.
    SharedL3 {
        /// Their names.
        tenants: Vec<String>,
        /// The domains, ascending.
        domains: Vec<L3Id>,
    },
    /// Tenants have pCPUs or pages on nodes of the VM's memory, and so a part of its bandwidth. VMs
    /// on different nodes were measured not to disturb each other (F27); how much they do on one is
    /// in no finding.
    SharedNodes {
        /// Their names.
        tenants: Vec<String>,
        /// The nodes.
        nodes: NodeSet,
    },
    /// The VM takes the last pCPUs of a node on which hugepages stay free: no VM can have them
    /// near.
    StrandedPages {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
        /// How many stay free.
        pages: u64,
    },
    /// The operator named no pCPUs to keep for the host: these were chosen, or none.
    KeptForHost {
        /// The pCPUs.
        cpus: CpuSet,
        /// The reason for the choice.
        why: KeptWhy,
    },
    /// The emulator threads run on no node of the VM.
    EmulatorFar {
        /// Where the emulator threads run.
        cpus: CpuSet,
        /// The VM's nodes.
        nodes: NodeSet,
    },
    /// The GPUs are one node's, and another set over several nodes exists: for collectives through
    /// host memory one host measured 1.5 times more with such a set (F18). Measure both.
    SpreadSetMayBeFaster {
        /// The node that has them all.
        node: NodeId,
    },
    /// The GPUs are no fabric partition: the fabric manager cannot link them.
    NotAPartition {
        /// The GPUs.
        gpus: Vec<PciAddr>,
    },
}
