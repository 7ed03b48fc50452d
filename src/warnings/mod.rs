//! What to know before using a placement: facts about the host and the neighbours that no score can
//! mend. Sentences are made by `explain`.

mod neighbours;
mod peers;

use crate::engine::profile::{Collective, Profile};
use crate::host::Host;
use crate::host::pcie::LinkState;
use crate::placement::{Placement, Style};
use crate::question::Question;
use crate::request::Request;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{Bytes, L3Id, NodeId, PageSize, PciAddr};

use neighbours::neighbours;
use peers::peers;

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
    /// The host's description knows no IOMMU group at all: the IOMMU is off, or the source tells none.
    UnknownIommuGroup {
        /// The device.
        address: PciAddr,
    },
    /// GPUs that meet below one root port, without a direct link, and ports between them that send what
    /// they say to each other up to the root complex: peer-to-peer does not stay inside the switch. What
    /// that costs is in no finding.
    RedirectedPeers {
        /// The GPUs.
        gpus: Vec<PciAddr>,
        /// The ports with request redirect on.
        ports: Vec<PciAddr>,
        /// Whether all of these ports let requests pass whose addresses are translated already: GPUs that
        /// ask the IOMMU ahead (ATS) then still reach each other directly.
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
    /// Tenants have SMT siblings of the VM's vCPUs, as the request allows: what the second thread of a
    /// core does slows the first.
    SharedCores {
        /// Their names.
        tenants: Vec<String>,
        /// The VM's pCPUs on these cores.
        cpus: CpuSet,
    },
    /// Tenants have pCPUs in L3 domains of the VM's vCPUs, and so a part of the cache. What that costs
    /// is in no finding.
    SharedL3 {
        /// Their names.
        tenants: Vec<String>,
        /// The domains, ascending.
        domains: Vec<L3Id>,
    },
    /// Tenants have pCPUs or pages on nodes of the VM's memory, and so a part of its bandwidth. VMs on
    /// different nodes were measured not to disturb each other (F27); how much they do on one is in no
    /// finding.
    SharedNodes {
        /// Their names.
        tenants: Vec<String>,
        /// The nodes.
        nodes: NodeSet,
    },
    /// The VM takes the last pCPUs of a node on which hugepages stay free: no VM can have them near.
    StrandedPages {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
        /// How many stay free.
        pages: u64,
    },
    /// The operator keeps no pCPUs for the host; the first core was left out.
    NoReservedPcpus {
        /// The pCPUs of that core; none on a host with one core.
        left_out: CpuSet,
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

/// All that is to be known about a placement.
pub(crate) fn warnings(
    question: Question<'_>,
    placement: &Placement,
    profile: &Profile,
) -> Vec<Warning> {
    let Question { host, usage, request, .. } = question;
    let mut all = Vec::new();
    links(host, placement, &mut all);
    let nodes = placement.nodes();
    for device in &placement.devices {
        let address = device.address;
        match device.node {
            None => all.push(Warning::UnknownNode { address }),
            Some(node) if !nodes.is_empty() && !nodes.contains(node) && device.is_gpu => {
                all.push(Warning::RemoteGpu { address, node, nodes: nodes.clone() });
            }
            Some(_) => {}
        }
        if host.pci().get(address).is_some_and(|found| found.iommu_group.is_none()) {
            all.push(match host.pci().has_groups() {
                true => Warning::NoIommuGroup { address },
                false => Warning::UnknownIommuGroup { address },
            });
        }
        if !device.withheld.is_empty() {
            all.push(Warning::SharedIommuGroup { address, others: device.withheld.clone() });
        }
    }
    let page = placement.cells.first().map(|cell| cell.page_size);
    if let Some(size) = page.filter(|page| !page.is_huge()) {
        let (memory, vfio) = (placement.memory(), !placement.devices.is_empty());
        all.push(Warning::NoHugepages { page_size: size, memory, vfio });
    }
    peers(host, request, placement, &mut all);
    neighbours(host, usage, placement, &mut all);
    if placement.style != Style::Default {
        threads(host, request, placement, &nodes, &mut all);
    }
    spread_set(host, placement, profile, &mut all);
    if !profile.partition {
        let gpus = placement.gpus().map(|gpu| gpu.address).collect();
        all.push(Warning::NotAPartition { gpus });
    }
    all
}

fn links(host: &Host, placement: &Placement, all: &mut Vec<Warning>) {
    let given = |address| placement.devices.iter().any(|device| device.address == address);
    let others = placement.devices.iter().filter(|d| !d.is_gpu).map(|d| d.address);
    // A degraded GPU is worth telling to everyone who asks for GPUs, also when it was avoided.
    let gpus = host.gpus().iter().zip(&host.derived().gpus);
    let degraded = gpus.filter(|(_, facts)| facts.degraded && placement.gpus().next().is_some());
    for address in degraded.map(|(gpu, _)| gpu.address).chain(others) {
        if let Some((now, possible)) = host.pci().degraded_link(address) {
            let given = given(address);
            all.push(Warning::DegradedLink { address, now, possible, given });
        }
    }
}

/// Where the emulator threads run, and what is left to the host.
fn threads(
    host: &Host,
    request: &Request,
    placement: &Placement,
    nodes: &NodeSet,
    all: &mut Vec<Warning>,
) {
    if host.reserved().is_empty() && !host.is_for_vms_only() {
        all.push(Warning::NoReservedPcpus { left_out: host.housekeeping() });
    }
    let near = placement
        .emulator
        .iter()
        .any(|pcpu| host.core_of(pcpu).is_some_and(|core| nodes.contains(core.node)));
    if !near && request.spec().emulator_pcpus == 0 && !placement.emulator.is_empty() {
        all.push(Warning::EmulatorFar { cpus: placement.emulator.clone(), nodes: nodes.clone() });
    }
}

fn spread_set(host: &Host, placement: &Placement, profile: &Profile, all: &mut Vec<Warning>) {
    let through_host = profile.collective == Collective::Host && profile.gpu_nodes == 1;
    let node = placement.gpus().find_map(|gpu| gpu.node);
    let Some(node) = node.filter(|_| through_host && profile.gpus_unknown == 0) else { return };
    let elsewhere = |gpu: &crate::host::Gpu| gpu.node.is_some_and(|other| other != node);
    if host.gpus().iter().any(|gpu| !gpu.integrated && elsewhere(gpu)) {
        all.push(Warning::SpreadSetMayBeFaster { node });
    }
}
