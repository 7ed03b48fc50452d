//! Sentences for warnings.

use std::fmt;

use super::functions::{list, taken};
use crate::request::Nearness;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{Bytes, NodeId, PciAddr};
use crate::warnings::{InUse, Warning};

/// Names from outside: quoted, with control characters escaped.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// A sentence without its full stop.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of_warning(self))
    }
}

fn of_warning(warning: &Warning) -> String {
    let groups = [
        of_use,
        of_cpus,
        of_memory,
        of_neighbours,
        of_device,
        of_iommu,
        of_functions,
        of_peers,
        of_fabric,
    ];
    let sentence = groups.into_iter().find_map(|of_group| of_group(warning));
    sentence.expect("every warning belongs to a group: a test has one of each")
}

/// The sentence for a warning about pCPUs: the host's, and those of the emulator threads.
fn of_cpus(warning: &Warning) -> Option<String> {
    let sentence = match warning {
        Warning::KeptForHost { cpus, why } if cpus.is_empty() => {
            format!("nothing is kept for the host ({why}): its own work runs beside the VM's")
        }
        Warning::KeptForHost { cpus, why } => format!(
            "kept for the host: pCPUs {cpus} ({why}); --reserve SET keeps others, --reserve none keeps \
             none"
        ),
        Warning::NotIsolated { cpus, siblings } => not_isolated(cpus, siblings),
        Warning::EmulatorFar { cpus, nodes } => {
            format!("the emulator threads run on pCPUs {cpus}, outside of the VM's nodes {nodes}")
        }
        _ => return None,
    };
    Some(sentence)
}

fn not_isolated(cpus: &CpuSet, siblings: &CpuSet) -> String {
    let work = "the host's own work may run there";
    let own =
        format!("pCPUs {cpus} of the VM are not isolated, although the kernel isolates others");
    let beside = format!("the SMT siblings {siblings} of its isolated pCPUs are not isolated");
    match (cpus.is_empty(), siblings.is_empty()) {
        (false, true) => format!("{own}: {work}"),
        (true, _) => format!("{beside}: {work}"),
        (false, false) => format!("{own}, and {beside}: {work}"),
    }
}

/// The sentence for a warning about pages.
fn of_memory(warning: &Warning) -> Option<String> {
    let sentence = match warning {
        Warning::NoHugepages { page_size: size, memory, vfio } => {
            let vfio = if *vfio {
                "; passthrough pins each page at start, which takes about a quarter second per GB (F41)"
            } else {
                ""
            };
            format!(
                "no hugepages of a suitable size are free: {memory} of memory use {size} pages (F14){vfio}"
            )
        }
        Warning::LeftForHost { left, overhead } => format!(
            "the ordinary memory left for the host is {}, and QEMU itself takes about {overhead} of that; \
             --reserve-memory says how much has to stay free on each node",
            on_nodes(left)
        ),
        Warning::LittleForEmulator { left, overhead } => format!(
            "QEMU itself takes about {overhead} of ordinary memory beside the VM's hugepages, but the host has \
             {} free",
            on_nodes(left)
        ),
        Warning::RemoteMemory { cpus, nodes, memory } => format!(
            "pCPUs {cpus} are on {}, without memory for the VM: the memory of their vCPUs is on {}, and every \
             access is remote (F29, F30, F31)",
            node_or_nodes(nodes),
            node_or_nodes(memory)
        ),
        Warning::StrandedPages { node, page_size: size, pages } => format!(
            "the VM takes the last pCPUs of node {node}, where {pages} pages of {size} stay free: no other VM \
             can use them locally"
        ),
        _ => return None,
    };
    Some(sentence)
}

/// Amounts of memory with their nodes.
fn on_nodes(memory: &[(NodeId, Bytes)]) -> String {
    let of = |(node, memory): &(NodeId, Bytes)| format!("{memory} on node {node}");
    memory.iter().map(of).collect::<Vec<_>>().join(" and ")
}

/// The sentence for a warning about what the VM shares with other tenants.
fn of_neighbours(warning: &Warning) -> Option<String> {
    let sentence = match warning {
        Warning::FloatingTenants { tenants, cpus } => {
            format!("these floating tenants may run on the VM's pCPUs {cpus}: {}", quoted(tenants))
        }
        Warning::FloatsOverTenants { tenants, cpus } => format!(
            "the VM floats over pCPUs {cpus}, which are dedicated to other tenants: {}",
            quoted(tenants)
        ),
        Warning::SharedCores { tenants, cpus } => format!(
            "SMT siblings of the VM's pCPUs {cpus} are held by other tenants, and siblings slow each other: {}",
            quoted(tenants)
        ),
        Warning::SharedL3 { tenants, domains } => format!(
            "the L3 cache of {} is shared with {}; no finding measures the cost",
            if domains.len() == 1 {
                "one domain".to_owned()
            } else {
                format!("{} domains", domains.len())
            },
            quoted(tenants)
        ),
        Warning::SharedNodes { tenants, nodes } => format!(
            "the memory bandwidth of {} is shared with {}; VMs on different nodes do not disturb each \
             other (F27), but no finding measures VMs on one node",
            node_or_nodes(nodes),
            quoted(tenants)
        ),
        _ => return None,
    };
    Some(sentence)
}

/// The sentence for a warning about the place and the link of a device.
fn of_device(warning: &Warning) -> Option<String> {
    let sentence = match warning {
        Warning::DegradedLink { address, now, possible, given } => {
            let role =
                if *given { "is part of the placement" } else { "is not part of the placement" };
            let idle = if now.width == possible.width {
                "; a device that saves power may lower its speed, so check again under load"
            } else {
                ""
            };
            format!(
                "the link of device {address} runs at {now} but could run at {possible} (F10, F45); the device {role}{idle}"
            )
        }
        Warning::NarrowSlot { address, slot, card } => format!(
            "device {address} can do {card}, but its slot only {slot}: a slot with more lanes is faster"
        ),
        Warning::RemoteGpu { address, node, nodes } => format!(
            "GPU {address} is on node {node}, but the VM's memory is on {}: every transfer crosses nodes (F15, F28)",
            node_or_nodes(nodes)
        ),
        Warning::RemoteDevice { address, node, nodes } => format!(
            "device {address} is on node {node}, outside of the VM's {}",
            node_or_nodes(nodes)
        ),
        Warning::DeviceApart { address, gpu: None, .. } => {
            format!("device {address} is not near any GPU of the VM that lacks one")
        }
        Warning::DeviceApart { address, gpu: Some(gpu), within } => format!(
            "device {address} is not as near GPU {gpu} as asked for: {}",
            match within {
                Some(Nearness::Switch) => "they share a switch or a root port",
                Some(Nearness::RootComplex) => "their traffic passes the root complex",
                Some(Nearness::Node) => "they are in different root complexes of one node",
                None => "they are not known to be on one node",
            }
        ),
        Warning::UnknownNode { address } => format!(
            "the node of device {address} is unknown (numa_node -1), so its locality was not considered"
        ),
        Warning::SpreadSetMayBeFaster { node } => format!(
            "all GPUs are on node {node}; with peer-to-peer off, one host had collectives \
             1.5 times faster with GPUs on two nodes (F18): measure both"
        ),
        _ => return None,
    };
    Some(sentence)
}

/// The sentence for a warning about a function that the host uses itself.
fn of_use(warning: &Warning) -> Option<String> {
    let Warning::InUse { address, by } = warning else { return None };
    Some(in_use(*address, by))
}

fn in_use(address: PciAddr, by: &InUse) -> String {
    match by {
        InUse::BootDisplay => format!(
            "the host boots on display {address} (boot_vga): it loses its screen, and without another way \
             in nobody can take the device back"
        ),
        InUse::LastDisplay => format!(
            "{address} is the host's only display: no other display controller is left to the host"
        ),
        InUse::Processes => {
            format!("processes of the host run on GPU {address}: end them before the VM starts")
        }
        InUse::Mounts => format!(
            "mounted file systems of the host are on disks behind {address}: the host loses them"
        ),
        InUse::DefaultRoute => {
            format!("the host's default route goes through {address}: the host loses its network")
        }
        InUse::Driver { driver } => format!(
            "the host's driver {driver} is bound to GPU {address}: the host loses the GPU while the VM runs"
        ),
    }
}

/// The sentence for a warning about IOMMU groups.
fn of_iommu(warning: &Warning) -> Option<String> {
    let sentence = match warning {
        Warning::SharedIommuGroup { address, others } => format!(
            "device {address} takes its whole IOMMU group from the host, but the guest does not get the rest: {}",
            taken(others)
        ),
        Warning::NoIommuGroup { address } => {
            format!(
                "device {address} is in no IOMMU group: switch the host's IOMMU on for passthrough"
            )
        }
        Warning::UnknownIommuGroup { address } => format!(
            "the IOMMU group of device {address} is unknown: passthrough needs the host's IOMMU switched on, and takes the whole group"
        ),
        _ => return None,
    };
    Some(sentence)
}

/// The sentence for a warning about shares of a device.
fn of_functions(warning: &Warning) -> Option<String> {
    let sentence = match warning {
        Warning::MigInstances { address, instances } => format!(
            "GPU {address} is divided into {instances} MIG instances: the VM gets the whole GPU, so \
             nothing may use them, and the guest finds MIG switched on"
        ),
        Warning::HasVirtualFunctions { address, functions } => format!(
            "device {address} has virtual functions (SR-IOV, {functions} in all): no other VM can \
             have one of them while this VM has the device"
        ),
        Warning::MayBeShared { address, tenants } => format!(
            "device {address} may be the parent of a mediated device (mdev) of {}: the parent is \
             unknown, so check that nobody shares the device",
            quoted(tenants)
        ),
        _ => return None,
    };
    Some(sentence)
}

/// The sentence for a warning about traffic from GPU to GPU.
fn of_peers(warning: &Warning) -> Option<String> {
    let sentence = match warning {
        Warning::RedirectedPeers { gpus, ports, translated } => {
            let ats = if *translated {
                ", unless the GPUs translate addresses in advance (ATS)"
            } else {
                ""
            };
            format!(
                "peer-to-peer between {} passes through the root complex instead of their switch{ats}: \
                 access control (ACS request redirect) is on at {}; no finding measures the cost",
                list(gpus),
                list(ports)
            )
        }
        _ => return None,
    };
    Some(sentence)
}

/// The sentence for a warning about the fabric between GPUs.
fn of_fabric(warning: &Warning) -> Option<String> {
    let sentence = match warning {
        Warning::NotAPartition { gpus } => format!(
            "GPUs {} do not form a fabric partition: the fabric manager cannot link them",
            list(gpus)
        ),
        Warning::ActivatePartition { id } => format!(
            "the GPUs are fabric partition {id}: activate it before the VM starts (fmpm -a {id}), \
             or they have no NVLinks"
        ),
        Warning::UntoldFabric { switches } => format!(
            "the host keeps NVSwitches ({}), and its fabric partitions are unknown: NVLinks work \
             only inside a partition that the fabric manager has activated, so none is counted on",
            list(switches)
        ),
        _ => return None,
    };
    Some(sentence)
}

/// The numbers of the findings that a warning's sentence cites.
pub(super) const fn cited_by(warning: &Warning) -> &'static [u8] {
    match warning {
        Warning::DegradedLink { .. } => &[10, 45],
        Warning::RemoteGpu { .. } => &[15, 28],
        Warning::RemoteMemory { .. } => &[29, 30, 31],
        Warning::NoHugepages { vfio: true, .. } => &[14, 41],
        Warning::NoHugepages { vfio: false, .. } => &[14],
        Warning::SharedNodes { .. } => &[27],
        Warning::SpreadSetMayBeFaster { .. } => &[18],
        Warning::UnknownNode { .. }
        | Warning::MigInstances { .. }
        | Warning::HasVirtualFunctions { .. }
        | Warning::MayBeShared { .. }
        | Warning::InUse { .. }
        | Warning::NarrowSlot { .. }
        | Warning::SharedIommuGroup { .. }
        | Warning::NoIommuGroup { .. }
        | Warning::UnknownIommuGroup { .. }
        | Warning::RedirectedPeers { .. }
        | Warning::FloatingTenants { .. }
        | Warning::FloatsOverTenants { .. }
        | Warning::SharedCores { .. }
        | Warning::SharedL3 { .. }
        | Warning::LeftForHost { .. }
        | Warning::LittleForEmulator { .. }
        | Warning::StrandedPages { .. }
        | Warning::KeptForHost { .. }
        | Warning::EmulatorFar { .. }
        | Warning::NotIsolated { .. }
        | Warning::RemoteDevice { .. }
        | Warning::DeviceApart { .. }
        | Warning::ActivatePartition { .. }
        | Warning::UntoldFabric { .. }
        | Warning::NotAPartition { .. } => &[],
    }
}

pub(super) fn node_or_nodes(nodes: &NodeSet) -> String {
    if nodes.len() == 1 { format!("node {nodes}") } else { format!("nodes {nodes}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::KeptWhy;
    use crate::host::TakenFunction;
    use crate::host::pcie::{LinkState, PciClass};
    use crate::sets::CpuSet;
    use crate::units::PageSize;

    /// The numbers after an F in the sentence, which here has no words of a user's.
    fn named(sentence: &str) -> Vec<u8> {
        let words = sentence.split(|c: char| !c.is_ascii_alphanumeric());
        words.filter_map(|word| word.strip_prefix('F')?.parse().ok()).collect()
    }

    #[test]
    fn a_warning_cites_what_its_sentence_names() {
        let address: PciAddr = "0000:01:00.0".parse().unwrap();
        let link = LinkState { mts: 16_000, width: 16 };
        let mate = TakenFunction { address, class: PciClass(0x01_0601) };
        let node = NodeId(1);
        let nodes = NodeSet::one(NodeId(0));
        let (page_size, memory) = (PageSize::KIB_4, Bytes::from_gib(1));
        let (tenants, cpus) = (|| vec!["a".to_owned()], CpuSet::new);
        for warning in [
            Warning::DegradedLink { address, now: link, possible: link, given: true },
            Warning::RemoteGpu { address, node, nodes: nodes.clone() },
            Warning::RemoteDevice { address, node, nodes: nodes.clone() },
            Warning::DeviceApart { address, gpu: None, within: None },
            Warning::UnknownNode { address },
            Warning::MigInstances { address, instances: 2 },
            Warning::HasVirtualFunctions { address, functions: 2 },
            Warning::MayBeShared { address, tenants: tenants() },
            Warning::SharedIommuGroup { address, others: vec![mate] },
            Warning::NarrowSlot { address, slot: link, card: link },
            Warning::InUse { address, by: InUse::BootDisplay },
            Warning::InUse { address, by: InUse::LastDisplay },
            Warning::InUse { address, by: InUse::Processes },
            Warning::InUse { address, by: InUse::Mounts },
            Warning::InUse { address, by: InUse::DefaultRoute },
            Warning::InUse { address, by: InUse::Driver { driver: "nvidia".to_owned() } },
            Warning::NoIommuGroup { address },
            Warning::UnknownIommuGroup { address },
            Warning::RedirectedPeers {
                gpus: vec![address],
                ports: vec![address],
                translated: false,
            },
            Warning::NoHugepages { page_size, memory, vfio: true },
            Warning::NoHugepages { page_size, memory, vfio: false },
            Warning::LeftForHost { left: vec![(node, memory)], overhead: memory },
            Warning::LittleForEmulator { left: vec![(node, memory)], overhead: memory },
            Warning::FloatingTenants { tenants: tenants(), cpus: cpus() },
            Warning::FloatsOverTenants { tenants: tenants(), cpus: cpus() },
            Warning::SharedCores { tenants: tenants(), cpus: cpus() },
            Warning::SharedL3 { tenants: tenants(), domains: Vec::new() },
            Warning::SharedNodes { tenants: tenants(), nodes: nodes.clone() },
            Warning::StrandedPages { node, page_size, pages: 1 },
            Warning::KeptForHost { cpus: cpus(), why: KeptWhy::FirstCore },
            Warning::RemoteMemory { cpus: cpus(), nodes: nodes.clone(), memory: nodes.clone() },
            Warning::EmulatorFar { cpus: cpus(), nodes },
            Warning::NotIsolated { cpus: cpus(), siblings: cpus() },
            Warning::SpreadSetMayBeFaster { node },
            Warning::NotAPartition { gpus: vec![address] },
            Warning::ActivatePartition { id: 3 },
            Warning::UntoldFabric { switches: vec![address] },
        ] {
            assert_eq!(named(&of_warning(&warning)), cited_by(&warning), "{warning:?}");
        }
    }
}
