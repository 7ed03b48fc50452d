//! Sentences for warnings.

use crate::sets::NodeSet;
use crate::units::PciAddr;
use crate::warnings::Warning;

/// Names come from outside: quoted, with what could drive a terminal escaped.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn list(addresses: &[PciAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A warning as a sentence without its full stop.
#[must_use]
pub fn warning_text(warning: &Warning) -> String {
    match warning {
        Warning::DegradedLink { address, now, possible, given } => {
            let role = if *given {
                "is given to the VM"
            } else {
                "was passed over where another would do"
            };
            let idle = if now.width == possible.width {
                "; an idle GPU may lower its speed, so look again under load"
            } else {
                ""
            };
            format!(
                "the link of {address} runs at {now} and could run at {possible} (F10, F45); it {role}{idle}"
            )
        }
        Warning::RemoteGpu { address, node, nodes } => format!(
            "GPU {address} is on node {node}, the VM's memory on {}: every transfer crosses nodes (F15, F28)",
            node_or_nodes(nodes)
        ),
        Warning::UnknownNode { address } => format!(
            "the host does not tell which node {address} is on (numa_node -1): its locality is unknown and nothing was guessed"
        ),
        Warning::SharedIommuGroup { address, others } => format!(
            "{address} shares its IOMMU group with {}: they leave the host with it and the guest does not get them",
            list(others)
        ),
        Warning::NoIommuGroup { address } => {
            format!(
                "{address} is in no IOMMU group: passthrough needs the host's IOMMU switched on"
            )
        }
        Warning::UnknownIommuGroup { address } => format!(
            "which IOMMU group {address} is in is not known: passthrough needs the host's IOMMU switched on, and takes the whole group"
        ),
        Warning::RedirectedPeers { gpus, ports, translated } => {
            let ats = if *translated {
                ", unless the GPUs have their addresses translated ahead (ATS)"
            } else {
                ""
            };
            format!(
                "peer-to-peer between {} goes up through the root complex, not through their switch{ats}: \
                 access control (ACS request redirect) is on at {}; no finding says what that costs",
                list(gpus),
                list(ports)
            )
        }
        Warning::NoHugepages { page_size: size, memory, vfio } => {
            let vfio = if *vfio {
                "; with passthrough each page is pinned at start, about a quarter second a GB (F41)"
            } else {
                ""
            };
            format!(
                "no hugepages of a fitting size are free: {memory} are in {size} pages (F14){vfio}"
            )
        }
        Warning::FloatingTenants { tenants, cpus } => {
            format!("floating tenants may run on the VM's pCPUs {cpus}: {}", quoted(tenants))
        }
        Warning::FloatsOverTenants { tenants, cpus } => format!(
            "the VM floats over pCPUs {cpus}, which tenants have for themselves: {}",
            quoted(tenants)
        ),
        Warning::SharedCores { tenants, cpus } => format!(
            "tenants have SMT siblings of the VM's pCPUs {cpus}, and each slows the other: {}",
            quoted(tenants)
        ),
        Warning::SharedL3 { tenants, domains } => format!(
            "the L3 cache of {} is shared with {}; no finding says what that costs",
            if domains.len() == 1 {
                "one domain".to_owned()
            } else {
                format!("{} domains", domains.len())
            },
            quoted(tenants)
        ),
        Warning::SharedNodes { tenants, nodes } => format!(
            "the memory bandwidth of {} is shared with {}; VMs on different nodes did not disturb each \
             other (F27), and no finding says how much they do on one",
            node_or_nodes(nodes),
            quoted(tenants)
        ),
        Warning::StrandedPages { node, page_size: size, pages } => format!(
            "no pCPU of node {node} is left, and {pages} of its {size} pages stay free: no further VM \
             can have them near"
        ),
        Warning::NoReservedPcpus { left_out } if left_out.is_empty() => {
            "no pCPUs are reserved for the host".to_owned()
        }
        Warning::NoReservedPcpus { left_out } => {
            format!("no pCPUs are reserved for the host; the core of pCPUs {left_out} was left out")
        }
        Warning::EmulatorFar { cpus, nodes } => {
            format!("the emulator threads run on pCPUs {cpus}, on none of the VM's nodes {nodes}")
        }
        Warning::SpreadSetMayBeFaster { node } => format!(
            "all GPUs are on node {node}; with peer-to-peer off one host measured a set over two nodes \
             1.5 times faster in collectives (F18, one host): measure both"
        ),
        Warning::NotAPartition { gpus } => format!(
            "the GPUs {} are no fabric partition: the fabric manager cannot link them",
            list(gpus)
        ),
    }
}

pub(super) fn node_or_nodes(nodes: &NodeSet) -> String {
    if nodes.len() == 1 { format!("node {nodes}") } else { format!("nodes {nodes}") }
}
