//! Sentences for facts, properties and changes.

use std::fmt;

use super::functions::group_taken;
use super::nodes::without_memory;
use crate::changes::Change;
use crate::engine::refusal::Fact;
use crate::engine::score::Property;
use crate::host::{Host, Kept};
use crate::sets::{CpuSet, NodeSet};

fn on(nodes: &NodeSet) -> String {
    match nodes.len() {
        1 => format!("node {nodes}"),
        _ => format!("nodes {nodes} together"),
    }
}

/// A sentence without its full stop.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of_fact(self))
    }
}

fn of_fact(fact: &Fact) -> String {
    match fact {
        Fact::CoresShort { nodes, threads: 1, needed, free } => {
            let short = needed.saturating_sub(*free);
            format!("{}: {needed} free cores needed, {free} available, {short} short", on(nodes))
        }
        Fact::CoresShort { nodes, threads, needed, free } => {
            let short = needed.saturating_sub(*free);
            format!(
                "{}: {needed} cores with {threads} free siblings needed, {free} available, {short} short",
                on(nodes)
            )
        }
        Fact::PcpusShort { nodes, needed, free } => {
            let short = needed.saturating_sub(*free);
            format!("{}: {needed} free pCPUs needed, {free} available, {short} short", on(nodes))
        }
        Fact::PagesShort { nodes, page_size: size, needed, free } => {
            let short = needed.saturating_sub(*free);
            format!(
                "{}: {needed} free pages of {size} needed, {free} available, {short} short",
                on(nodes)
            )
        }
        Fact::MemoryKept { nodes, memory } => format!(
            "{}: {memory} of ordinary memory are kept for the host (--reserve-memory 0 keeps none)",
            on(nodes)
        ),
        Fact::StyleUnasked { style } if style.floats() => {
            format!("{style} has vCPUs that share pCPUs (--shared, or --dedicated-cpus prefer)")
        }
        Fact::StyleUnasked { style } => {
            format!("{style} has dedicated pCPUs, but shared ones are asked for (--shared)")
        }
        Fact::NoPageSize { memory, page_size: Some(size) } => {
            format!("memory of {memory} is not a multiple of the page size {size}")
        }
        Fact::NoPageSize { memory, page_size: None } => {
            format!("memory of {memory} is not a multiple of any page size of the host")
        }
        Fact::GpusShort { needed, free, total, model } => {
            let model = model.as_ref().map(|m| format!(" matching {m:?}")).unwrap_or_default();
            let gpus = counted(*needed, "free GPU");
            format!("{gpus}{model} needed, {free} of {total} on the host are free")
        }
        Fact::DevicesShort { kind, needed, free, total, model } => {
            let model = model.as_ref().map(|m| format!(" matching {m:?}")).unwrap_or_default();
            let devices = counted(*needed, &format!("free {kind}"));
            format!("{devices}{model} needed, {free} of {total} on the host can be given")
        }
        Fact::NoDevice { address } => format!("{address} is not a device of the host"),
        Fact::NotAGpu { address } => format!("device {address} is not a GPU"),
        Fact::DeviceHeld { address, holder } => {
            format!("device {address} or a member of its IOMMU group is held by {holder:?}")
        }
        Fact::GpusSplit { gpus, functions } => format!(
            "{} on the host {} virtual functions (SR-IOV, {functions} in all) and {} given by \
             address only (--gpu)",
            counted(*gpus, "matching GPU"),
            if *gpus == 1 { "has" } else { "have" },
            if *gpus == 1 { "is" } else { "are" },
        ),
        Fact::GpusUnsure { gpus, tenants } => format!(
            "{} may be shared by mediated devices (mdev) of {}, whose parents are unknown, so \
             none of these is given by number",
            counted(*gpus, "matching GPU"),
            quoted(tenants),
        ),
        Fact::VfsShort { needed, free, total, model } => {
            let model = model.as_ref().map(|m| format!(" matching {m:?}")).unwrap_or_default();
            let functions = counted(*needed, "free virtual function");
            format!("{functions} of GPUs{model} needed, {free} of {total} on the host are free")
        }
        Fact::FunctionHeld { address, function, share: true, holder } => {
            let of = if address == function { "it".to_owned() } else { function.to_string() };
            format!("device {address} is not free: {holder:?} holds a mediated device of {of}")
        }
        Fact::FunctionHeld { address, function, share: false, holder } => format!(
            "device {address} is not free: {function} is held by {holder:?}, and a physical \
             function and its virtual functions exclude each other (SR-IOV)"
        ),
        Fact::FunctionsExclude { physical, function } => format!(
            "{function} is a virtual function of {physical}: one VM cannot have both (SR-IOV)"
        ),
        Fact::GroupTaken { address, taken, ports, others } => {
            group_taken(*address, taken, ports, others)
        }
        Fact::GpuNodeUnknown { address } => {
            format!("the node of GPU {address} is unknown, so the required locality cannot be met")
        }
        Fact::Lacks { property } => {
            format!("no placement meets this requirement: {}", of_property(*property))
        }
        Fact::NodesShort { needed, usable } => {
            format!("{needed} nodes with free pCPUs and memory needed, {usable} available")
        }
        Fact::NoSmt => "no core has two usable SMT siblings".to_owned(),
        Fact::OddVcpus { vcpus, threads } => {
            format!("the number of vCPUs, {vcpus}, is not a multiple of {threads} threads per core")
        }
        Fact::NoEmulatorPcpu { needed, free } => {
            let pcpus = if *needed == 1 { "pCPU" } else { "pCPUs" };
            format!("{needed} {pcpus} for the emulator threads needed, {free} available")
        }
        Fact::CpusUnusable { cpus, left: 0 } => {
            format!("none of the pCPUs in --cpus is usable: {cpus}")
        }
        Fact::CpusUnusable { cpus, .. } => format!(
            "some pCPUs in --cpus are not usable: {cpus} (absent, kept for the host, held by a \
             tenant, not allowed, or not on the nodes in --nodes)"
        ),
        Fact::NodesMissing { nodes, left: 0 } => {
            format!("the host has none of the nodes in --nodes: {nodes}")
        }
        Fact::NodesMissing { nodes, .. } => {
            format!("the host lacks some of the nodes in --nodes: {nodes}")
        }
        Fact::MemoryNodesMissing { nodes, left: 0 } => {
            format!("the host has none of the nodes in --memory-nodes: {nodes}")
        }
        Fact::MemoryNodesMissing { nodes, .. } => {
            format!("the host lacks some of the nodes in --memory-nodes: {nodes}")
        }
        Fact::NodesWithoutMemory { nodes } => without_memory(nodes),
        Fact::TooManyDevices { devices } => {
            format!("the guest's PCI buses have no room for {devices} cards")
        }
    }
}

/// A property as a phrase.
impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(of_property(*self))
    }
}

const fn of_property(property: Property) -> &'static str {
    match property {
        Property::DedicatedCpus => "a dedicated pCPU for every vCPU",
        Property::WholeCores => "whole cores",
        Property::OwnL3 => "L3 domains without dedicated pCPUs of other tenants",
        Property::OneNode => "all vCPUs and memory on one node",
        Property::GpuLocality => "every GPU on a node of the VM",
        Property::SameSwitch => "all GPUs below one PCIe switch",
        Property::LinkedGpus => "a direct link between every two GPUs",
        Property::FabricPartition => "GPUs that form one fabric partition",
        Property::Cells => "the requested number of guest cells",
        Property::Smt => "SMT siblings shown or hidden as requested",
        Property::NearDevices => "every NIC on a node of the VM",
        Property::HealthyLinks => "GPU links at full speed and width",
        Property::BesideGpus => "every NIC or disk as near a GPU as asked",
    }
}

/// The flag of the command line that says how strictly a property is wanted.
const fn relaxing(property: Property) -> Option<&'static str> {
    match property {
        Property::DedicatedCpus => Some("--dedicated-cpus"),
        Property::WholeCores => Some("--whole-cores"),
        Property::OwnL3 => Some("--own-l3"),
        Property::OneNode => Some("--one-node"),
        Property::GpuLocality => Some("--gpu-locality"),
        Property::SameSwitch => Some("--same-switch"),
        Property::FabricPartition => Some("--fabric-partition"),
        Property::BesideGpus => Some("--device-near"),
        Property::LinkedGpus
        | Property::Cells
        | Property::Smt
        | Property::NearDevices
        | Property::HealthyLinks => None,
    }
}

/// A sentence without its full stop.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of_change(self))
    }
}

/// A change, and in parentheses the flag of the command line that makes it, where there is one.
fn of_change(change: &Change) -> String {
    match change {
        Change::MorePages { node, page_size: size, more, total } => format!(
            "{more} more {size} pages on node {node} (echo {total} > \
             /sys/devices/system/node/node{node}/hugepages/hugepages-{kib}kB/nr_hugepages); \
             if memory is too fragmented, a boot gives them (hugepagesz={boot} hugepages={node}:{total})",
            kib = size.kib(),
            boot = flag(size).trim_end_matches("iB"),
        ),
        Change::AllowGroup => {
            "the host's devices in its IOMMU group given up (--allow-group)".to_owned()
        }
        Change::OtherPageSize { page_size: size } => {
            format!("pages of {size} (--page-size {})", flag(size))
        }
        Change::AnyCpus => "any pCPUs (without --cpus)".to_owned(),
        Change::AnyNodes => "any nodes (without --nodes)".to_owned(),
        Change::AnyMemoryNodes => "memory of any nodes (without --memory-nodes)".to_owned(),
        Change::FewerEmulatorPcpus { emulator_pcpus: 0 } => {
            "no pCPUs for the emulator threads alone".to_owned()
        }
        Change::FewerEmulatorPcpus { emulator_pcpus: 1 } => {
            "at most 1 pCPU for the emulator threads alone".to_owned()
        }
        Change::FewerEmulatorPcpus { emulator_pcpus } => {
            format!("at most {emulator_pcpus} pCPUs for the emulator threads alone")
        }
        Change::Relax { property } => {
            let flag = relaxing(*property).map(|flag| format!(" ({flag} prefer)"));
            let flag = flag.unwrap_or_default();
            format!("preferring instead of requiring {}{flag}", of_property(*property))
        }
        Change::UnevenCells => "guest cells of unequal size".to_owned(),
        Change::AnyCells => "any number of guest cells (--cells auto)".to_owned(),
        Change::OtherCells { cells: 1 } => "1 guest cell (--cells none)".to_owned(),
        Change::OtherCells { cells } => format!("{cells} guest cells (--cells {cells})"),
        Change::OtherSmt { shown: true } => {
            "SMT siblings shown to the guest (--smt show)".to_owned()
        }
        Change::OtherSmt { shown: false } => {
            "SMT siblings hidden from the guest (--smt hide)".to_owned()
        }
        Change::AnySmt => "no requirement on SMT siblings (--smt auto)".to_owned(),
        Change::MoreVcpus { vcpus } => format!("{vcpus} vCPUs (--vcpus {vcpus})"),
        Change::KeepNothing { kept } => {
            format!("nothing kept for the host, which keeps {} (--reserve none)", pcpus(kept))
        }
        Change::KeepNoMemory => "no memory kept free for the host (--reserve-memory 0)".to_owned(),
        Change::AnyGpus { gpus: 1 } => "any GPU (--gpus 1)".to_owned(),
        Change::AnyGpus { gpus } => format!("any {gpus} GPUs (--gpus {gpus})"),
        Change::AnyModel => "GPUs of any model (without --gpu-model)".to_owned(),
        Change::VirtualFunctions { count: 1 } => {
            "a virtual function of a GPU (--gpu-kind vf)".to_owned()
        }
        Change::VirtualFunctions { count } => {
            format!("{count} virtual functions of GPUs (--gpu-kind vf)")
        }
        Change::WholeGpus { count: 1 } => "a whole GPU (--gpu-kind pf)".to_owned(),
        Change::WholeGpus { count } => format!("{count} whole GPUs (--gpu-kind pf)"),
        Change::AnyDeviceModel { kind } => format!("{kind}s of any model"),
        Change::FewerDevices { kind, count: 1 } => format!("at most 1 {kind}"),
        Change::FewerDevices { kind, count } => format!("at most {count} {kind}s"),
        Change::WithoutDevices { kind } => format!("no {kind}s that are chosen by kind"),
        Change::WithoutDevice { address } => format!("without device {address}"),
        Change::FewerVcpus { vcpus: 1 } => "1 vCPU (--vcpus 1)".to_owned(),
        Change::FewerVcpus { vcpus } => format!("at most {vcpus} vCPUs (--vcpus {vcpus})"),
        Change::EvenVcpus { vcpus } => {
            format!("{vcpus} vCPUs, which the guest can see as pairs of siblings (--vcpus {vcpus})")
        }
        Change::LessMemory { memory } => {
            format!("at most {memory} of memory (--memory {})", flag(memory))
        }
        Change::FewerGpus { gpus: 0 } => "no GPUs (--gpus 0)".to_owned(),
        Change::FewerGpus { gpus: 1 } => "at most 1 GPU (--gpus 1)".to_owned(),
        Change::FewerGpus { gpus } => format!("at most {gpus} GPUs (--gpus {gpus})"),
    }
}

/// `1 matching GPU` or `2 matching GPUs`.
fn counted(number: u32, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The names of tenants, quoted.
fn quoted(tenants: &[String]) -> String {
    tenants.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// An amount as an argument: `13GiB`.
fn flag(amount: &impl fmt::Display) -> String {
    amount.to_string().replace(' ', "")
}

/// `pCPU 0` or `pCPUs 0,24`.
fn pcpus(cpus: &CpuSet) -> String {
    format!("{} {cpus}", if cpus.len() == 1 { "pCPU" } else { "pCPUs" })
}

/// What the host keeps for its own work, if it keeps any pCPUs.
pub(super) fn kept_by(host: &Host) -> Option<String> {
    let Kept { cpus, why, .. } = host.kept();
    (!cpus.is_empty()).then(|| format!("The host keeps {} ({why})", pcpus(cpus)))
}

/// Whether a fact counts cores or pCPUs, so that the pCPUs that the host keeps may decide it.
pub(super) fn is_about_pcpus(fact: &Fact, host: &Host) -> bool {
    match fact {
        // One pCPU that is kept takes no siblings from a host without SMT.
        Fact::NoSmt => host.kept().cpus.len() > 1,
        Fact::CoresShort { .. }
        | Fact::PcpusShort { .. }
        | Fact::NodesShort { .. }
        | Fact::CpusUnusable { .. }
        | Fact::NoEmulatorPcpu { .. } => true,
        Fact::Lacks { property } => {
            matches!(property, Property::DedicatedCpus | Property::WholeCores | Property::OwnL3)
        }
        Fact::PagesShort { .. }
        | Fact::NoPageSize { .. }
        | Fact::GpusShort { .. }
        | Fact::DevicesShort { .. }
        | Fact::GpusSplit { .. }
        | Fact::GpusUnsure { .. }
        | Fact::VfsShort { .. }
        | Fact::FunctionHeld { .. }
        | Fact::FunctionsExclude { .. }
        | Fact::NoDevice { .. }
        | Fact::NotAGpu { .. }
        | Fact::DeviceHeld { .. }
        | Fact::GroupTaken { .. }
        | Fact::GpuNodeUnknown { .. }
        | Fact::OddVcpus { .. }
        | Fact::NodesMissing { .. }
        | Fact::MemoryKept { .. }
        | Fact::MemoryNodesMissing { .. }
        | Fact::NodesWithoutMemory { .. }
        | Fact::StyleUnasked { .. }
        | Fact::TooManyDevices { .. } => false,
    }
}
