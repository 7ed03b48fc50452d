//! Findings as sentences.

use std::fmt;

use super::facts::{Effect, Facts};
use super::found::Found;
use super::table::AuditId;
use crate::shown::{plain, shorten};
use crate::units::PciAddr;

/// The largest part of a list that a sentence shows, in bytes.
const MAX_SHOWN: usize = 120;

/// One sentence without a full stop, with its ids and numbers.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sentence(self.id, &self.facts))
    }
}

/// `memory-latency x1.05 (1.00 to 1.30; measured, F30)`.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, range, grade, studies } = self;
        let [low, likely, high] = [range.low, range.likely, range.high]
            .map(|ratio| format!("{}.{:02}", ratio.0 / 1000, ratio.0 % 1000 / 10));
        write!(f, "{metric} x{likely} ({low} to {high}; {grade}")?;
        studies.iter().try_for_each(|study| write!(f, ", {study}"))?;
        f.write_str(")")
    }
}

fn short(list: impl fmt::Display) -> String {
    shorten(&list.to_string(), MAX_SHOWN)
}

fn addresses(devices: &[PciAddr]) -> String {
    let all: Vec<String> = devices.iter().map(ToString::to_string).collect();
    short(all.join(", "))
}

fn names(tenants: &[String]) -> String {
    let all: Vec<String> = tenants.iter().map(|name| plain(name)).collect();
    short(all.join(", "))
}

fn numbers(ids: &[u32]) -> String {
    let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
    short(all.join(", "))
}

fn sentence(id: AuditId, facts: &Facts) -> String {
    use AuditId as A;
    let vcpus = || format!("vCPUs {}", short(&facts.vcpus));
    let pcpus = || format!("pCPUs {}", short(&facts.pcpus));
    let at = || format!("{} are pinned to {}", vcpus(), pcpus());
    let devices = || addresses(&facts.devices);
    let tenants = || names(&facts.tenants);
    let iothreads = || numbers(&facts.iothreads);
    let found = facts.found.unwrap_or_default();
    let right = facts.right.unwrap_or_default();
    let page = || facts.page_size.map_or_else(String::new, |size| size.to_string());
    let on = || match facts.nodes.is_empty() {
        true => "all nodes together".to_owned(),
        false => format!("nodes {}", facts.nodes),
    };
    match id {
        A::PinsUnusable => {
            format!("{} are pinned to {}, which are offline or not allowed", vcpus(), pcpus())
        }
        A::PinsOfTenants => format!("{}, which are dedicated to {}", at(), tenants()),
        A::DevicesHeld => format!("devices {} are also held by {}", devices(), tenants()),
        A::DevicesAbsent => format!("the host has no device {}", devices()),
        A::PagesMissing => {
            format!("{right} pages of {} are needed, but {} have {found} in all", page(), on())
        }
        A::PagesTaken => {
            format!("{right} pages of {} are needed, but {found} are free on {}", page(), on())
        }
        A::NoIommu => format!("{found} vCPUs need an emulated IOMMU with eim: {right} do without"),
        A::CellsCutCores => {
            format!("cells {} have their border inside guest cores: {}", facts.cells, vcpus())
        }
        A::WindowsSockets => {
            format!("Windows is shown {found} sockets, and its client editions use two at most")
        }
        A::BusesLost => format!(
            "an expander bus needs {right} bus numbers below it, but has {found} before the next"
        ),
        A::SmallWindow => format!(
            "the MMIO window of {found} MiB is too small for the memory of {}: {right} MiB",
            devices()
        ),
        A::GroupLost => {
            format!("the host loses {}, which share an IOMMU group with devices", devices())
        }
        A::LowPowerCores => format!("{}, which are on low-power efficiency cores", at()),
        A::EfficiencyCores => format!("{}, which are on efficiency cores", at()),
        A::MixedKinds => {
            format!("cores of {found} kinds carry the VM: {} on slower ones", at())
        }
        A::SharedPcpus => format!("{}, which several vCPUs share", at()),
        A::SiblingsApart => format!("guest siblings are on different cores: {}", at()),
        A::SiblingsHidden => {
            format!("siblings of one core are different cores to the guest: {}", at())
        }
        A::FloatsOnIsolated => format!(
            "{} float over isolated {}, where the kernel does not balance load",
            vcpus(),
            pcpus()
        ),
        A::FloatsOverTenants => {
            format!("{} float over {}, which are dedicated to {}", vcpus(), pcpus(), tenants())
        }
        A::PinsOnReserved => {
            format!("{} may run on {}, which are reserved for the host", vcpus(), pcpus())
        }
        A::HostStarved => format!("no pCPU is left to the host: {}", at()),
        A::ManyNodes => format!(
            "the VM is on {found} nodes ({}), and would fit on {right} ({})",
            facts.nodes, facts.right_nodes
        ),
        A::ManyPackages => format!("the VM is on {found} packages, and would fit on {right}"),
        A::ManyL3 => format!("the VM is in {found} L3 domains, and would fit in {right}"),
        A::SmallCache => {
            let mib = |bytes: u64| bytes >> 20;
            format!("the VM's L3 cache has {} MiB; one of {} MiB is free", mib(found), mib(right))
        }
        A::MemoryUnbound => match facts.devices.is_empty() {
            true => "memory is bound to no node, though its vCPUs are pinned".to_owned(),
            false => format!(
                "memory is bound to no node, though VFIO pins it where it is for {}",
                devices()
            ),
        },
        A::MemoryElsewhere => format!(
            "memory of cells {} is on nodes {}, but the vCPUs are on nodes {}",
            facts.cells, facts.nodes, facts.right_nodes
        ),
        A::GpuRemote => format!(
            "GPUs {} are on nodes {}, but the memory is on nodes {}",
            devices(),
            facts.right_nodes,
            facts.nodes
        ),
        A::CellsBlind => format!(
            "the guest has cells, but GPUs {} are not below an expander bus of theirs ({})",
            devices(),
            facts.cells
        ),
        A::ManySockets => format!("the guest sees {found} sockets where {right} are real"),
        A::SocketsStraddle => {
            format!("guest sockets of {} are on several packages", vcpus())
        }
        A::NoTopoext => format!(
            "an AMD guest is shown {found} siblings for each core without topoext, and ignores them"
        ),
        A::CachesHidden => {
            format!("the vCPUs have pins in {found} L3 domains, but the guest is not shown them")
        }
        A::EmulatorOnVcpus => format!("emulator threads run on {} of {}", pcpus(), vcpus()),
        A::IothreadsOnVcpus => {
            format!("I/O threads {} run on {} of {}", iothreads(), pcpus(), vcpus())
        }
        A::HelpersOnTenants => format!(
            "emulator or I/O threads run on {}, which are dedicated to {}",
            pcpus(),
            tenants()
        ),
        A::QuotaBesidePins => format!("a quota stops {}, which have pins", vcpus()),
        A::CompanionsLeft => format!("functions {} of its GPUs' cards stay behind", devices()),
        A::DegradedLinks => format!("links of {} run below what both ends can", devices()),
        A::NoPartition => format!("GPUs {} form no partition of the fabric", devices()),
        A::Unpinned => format!("{} have no pins", vcpus()),
        A::Crowded => format!("{} float on the cores of {}", tenants(), vcpus()),
        A::NotIsolated => format!("{}, which are not isolated although others are", at()),
        A::EmulatorAnywhere => {
            format!("emulator threads have no pins, and run on {} too", pcpus())
        }
        A::IothreadsAnywhere => {
            format!("I/O threads {} have no pins, and run on {} too", iothreads(), pcpus())
        }
        A::NicApart => format!(
            "NICs {} are on another node than the GPUs, where a free one is (nodes {})",
            devices(),
            facts.right_nodes
        ),
        A::DevicesShared => {
            format!("devices {} are also given to {}: one runs at a time", devices(), tenants())
        }
        A::SmallPages => {
            format!("base pages hold the memory, though {right} of {} are free", page())
        }
        A::CpuModel => "the guest is not shown the host's CPU model".to_owned(),
    }
}
