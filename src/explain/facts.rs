//! Sentences for facts, properties and changes.

use std::fmt;

use crate::changes::Change;
use crate::engine::refusal::Fact;
use crate::engine::score::Property;
use crate::sets::NodeSet;

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
            format!(
                "{}: {needed} pCPUs for floating vCPUs needed, {free} available, {short} short",
                on(nodes)
            )
        }
        Fact::PagesShort { nodes, page_size: size, needed, free } => {
            let short = needed.saturating_sub(*free);
            format!(
                "{}: {needed} free pages of {size} needed, {free} available, {short} short",
                on(nodes)
            )
        }
        Fact::NoPageSize { memory, page_size: Some(size) } => {
            format!("memory of {memory} is not a multiple of the page size {size}")
        }
        Fact::NoPageSize { memory, page_size: None } => {
            format!("memory of {memory} is not a multiple of any page size of the host")
        }
        Fact::GpusShort { needed, free, total, model } => {
            let model = model.as_ref().map(|m| format!(" matching {m:?}")).unwrap_or_default();
            format!("{needed} free GPUs{model} needed, {free} of {total} on the host are free")
        }
        Fact::NoDevice { address } => format!("{address} is not a device of the host"),
        Fact::NotAGpu { address } => format!("device {address} is not a GPU"),
        Fact::DeviceHeld { address, holder } => {
            format!("device {address} or a member of its IOMMU group is held by {holder:?}")
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
            format!("{needed} pCPUs for the emulator threads needed, {free} available")
        }
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
        Property::OneNode => "all vCPUs and memory on one node",
        Property::GpuLocality => "every GPU on a node of the VM",
        Property::SameSwitch => "all GPUs below one PCIe switch",
        Property::LinkedGpus => "a direct link between every two GPUs",
        Property::FabricPartition => "GPUs that form one fabric partition",
        Property::Cells => "the requested number of guest cells",
        Property::Smt => "SMT siblings shown or hidden as requested",
        Property::NearDevices => "every NIC on a node of the VM",
        Property::HealthyLinks => "GPU links at full speed and width",
    }
}

/// A sentence without its full stop.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&of_change(self))
    }
}

fn of_change(change: &Change) -> String {
    match change {
        Change::FewerVcpus { vcpus } => format!("at most {vcpus} vCPUs"),
        Change::LessMemory { memory } => format!("at most {memory} of memory"),
        Change::MorePages { node, page_size: size, more, total } => format!(
            "{more} more {size} pages on node {node} (echo {total} > \
             /sys/devices/system/node/node{node}/hugepages/hugepages-{}kB/nr_hugepages)",
            size.kib()
        ),
        Change::OtherPageSize { page_size: size } => format!("pages of {size}"),
        Change::FewerGpus { gpus: 0 } => "no GPUs".to_owned(),
        Change::FewerGpus { gpus: 1 } => "at most 1 GPU".to_owned(),
        Change::FewerGpus { gpus } => format!("at most {gpus} GPUs"),
        Change::Relax { property } => {
            format!("preferring instead of requiring {}", of_property(*property))
        }
    }
}
