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
            format!("{}: {free} free cores, {needed} needed, {short} short", on(nodes))
        }
        Fact::CoresShort { nodes, threads, needed, free } => {
            let short = needed.saturating_sub(*free);
            format!(
                "{}: {free} cores with {threads} free siblings, {needed} needed, {short} short",
                on(nodes)
            )
        }
        Fact::PcpusShort { nodes, needed, free } => {
            let short = needed.saturating_sub(*free);
            format!("{}: {free} pCPUs to share, {needed} needed, {short} short", on(nodes))
        }
        Fact::PagesShort { nodes, page_size: size, needed, free } => {
            let short = needed.saturating_sub(*free);
            format!("{}: {free} free pages of {size}, {needed} needed, {short} short", on(nodes))
        }
        Fact::NoPageSize { memory, page_size: Some(size) } => {
            format!("{memory} is no whole number of {size} pages")
        }
        Fact::NoPageSize { memory, page_size: None } => {
            format!("{memory} is no whole number of any page size of the host")
        }
        Fact::GpusShort { needed, free, total, model } => {
            let model = model.as_ref().map(|m| format!(" matching {m:?}")).unwrap_or_default();
            format!("{free} free GPUs{model} of {total} on the host, {needed} needed")
        }
        Fact::NoDevice { address } => format!("{address} is no device of the host"),
        Fact::NotAGpu { address } => format!("{address} is no GPU"),
        Fact::DeviceHeld { address, holder } => {
            format!("{address} or a member of its IOMMU group is held by {holder:?}")
        }
        Fact::GpuNodeUnknown { address } => {
            format!(
                "the host does not tell which node GPU {address} is on, so it is not known to be near"
            )
        }
        Fact::Lacks { property } => {
            format!("required and not possible here: {}", of_property(*property))
        }
        Fact::NodesShort { needed, usable } => {
            format!("usable nodes (with free pCPUs and memory): {usable}, needed: {needed}")
        }
        Fact::NoSmt => "no core has two usable SMT siblings".to_owned(),
        Fact::OddVcpus { vcpus, threads } => {
            format!("the number of vCPUs, {vcpus}, is no multiple of {threads} threads a core")
        }
        Fact::NoEmulatorPcpu { needed, free } => {
            format!("{free} pCPUs are left for the emulator threads, {needed} needed")
        }
        Fact::TooManyDevices { devices } => {
            format!("{devices} cards are more than the guest's PCI buses hold")
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
        Property::DedicatedCpus => "a pCPU of its own for every vCPU",
        Property::WholeCores => "whole cores",
        Property::OneNode => "one node",
        Property::GpuLocality => "every GPU on a node of the VM",
        Property::SameSwitch => "all GPUs below one PCIe switch",
        Property::LinkedGpus => "a direct link between every two GPUs",
        Property::FabricPartition => "GPUs that are one fabric partition",
        Property::Cells => "the wanted number of guest cells",
        Property::Smt => "SMT siblings shown or hidden as wanted",
        Property::NearDevices => "every NIC on a node of the VM",
        Property::HealthyLinks => "GPUs whose links run at full speed and width",
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
            format!("preferring instead of requiring: {}", of_property(*property))
        }
    }
}
