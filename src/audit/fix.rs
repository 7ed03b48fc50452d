//! What to do about a finding: elements of the domain, lines for virsh, or advice.

use std::fmt;

use super::facts::Facts;
use super::scene::Scene;
use super::table::AuditId;
use crate::emit::libvirt::{cpu, memory, pci};
use crate::emit::xml::{Element, Layout};
use crate::placement::Placement;
use crate::shown::plain;

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Fix {
    /// An element that belongs inside another element of the domain, in place of one of its name.
    Xml {
        /// The parent.
        inside: &'static str,
        /// The element.
        element: String,
    },
    /// A line for a shell.
    Virsh {
        /// The line.
        line: String,
    },
    /// What else to do, as a phrase.
    Advice {
        /// The phrase.
        text: &'static str,
    },
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xml { inside, element } => write!(f, "inside <{inside}>: {element}"),
            Self::Virsh { line } => f.write_str(line),
            Self::Advice { text } => f.write_str(text),
        }
    }
}

fn xml(inside: &'static str, element: &Element) -> Fix {
    Fix::Xml { inside, element: element.render(&Layout::default(), "") }
}

fn advice(text: &'static str) -> Fix {
    Fix::Advice { text }
}

const PATCH: &str = "pinwise recommend --domain FILE --diff prints the whole change";
const NOWHERE: &str = "nothing better is free beside the other tenants";

/// What to do about what a rule found.
pub(super) fn fixes(id: AuditId, facts: &Facts, scene: &Scene<'_>) -> Vec<Fix> {
    use AuditId as A;
    match id {
        A::PinsUnusable
        | A::PinsOfTenants
        | A::LowPowerCores
        | A::EfficiencyCores
        | A::MixedKinds
        | A::SharedPcpus
        | A::FloatsOnIsolated
        | A::FloatsOverTenants
        | A::PinsOnReserved
        | A::HostStarved
        | A::ManyL3
        | A::SmallCache
        | A::Crowded
        | A::NotIsolated => placed(scene, &[Part::Pins]),
        A::SiblingsApart | A::SiblingsHidden => placed(scene, &[Part::Pins, Part::Topology]),
        A::ManyNodes | A::ManyPackages | A::GpuRemote | A::Unpinned | A::MemoryElsewhere => {
            placed(scene, &[Part::Pins, Part::Memory])
        }
        A::CellsCutCores | A::SocketsStraddle => placed(scene, &[Part::Topology, Part::Memory]),
        A::CellsBlind => placed(scene, &[]),
        A::MemoryUnbound => bound(facts, scene),
        A::PagesMissing | A::PagesTaken => vec![advice(
            "reserve more pages at boot (hugepagesz=, hugepages=) or through \
             /sys/devices/system/node/nodeN/hugepages, or bind the memory to a node that has them",
        )],
        A::SmallPages => {
            let best = scene.best.as_ref().map(|best| &best.ranked.placement);
            let element = best.and_then(memory::backing);
            element.iter().map(|element| xml("domain", element)).collect()
        }
        A::EmulatorOnVcpus
        | A::EmulatorAnywhere
        | A::IothreadsOnVcpus
        | A::IothreadsAnywhere
        | A::HelpersOnTenants => helpers(id, facts, scene),
        A::QuotaBesidePins => {
            vec![virsh(scene, "schedinfo", "--config vcpu_quota=-1 global_quota=-1")]
        }
        A::ManySockets | A::WindowsSockets => vec![xml("cpu", &one_socket(scene))],
        A::NoTopoext => {
            let feature = Element::new("feature").attr("policy", "require");
            vec![xml("cpu", &feature.attr("name", "topoext"))]
        }
        A::CachesHidden => vec![xml("cpu", &Element::new("cache").attr("mode", "passthrough"))],
        A::CpuModel => vec![advice("<cpu mode='host-passthrough' check='none' migratable='off'>")],
        A::NoIommu => {
            let driver = Element::new("driver").attr("intremap", "on").attr("caching_mode", "on");
            let iommu =
                Element::new("iommu").attr("model", "intel").child(driver.attr("eim", "on"));
            vec![
                xml("devices", &iommu),
                xml("features", &Element::new("ioapic").attr("driver", "qemu")),
            ]
        }
        A::CompanionsLeft => {
            let device = |at| xml("devices", &pci::unplaced_device(at));
            facts.devices.iter().copied().map(device).collect()
        }
        A::SmallWindow => {
            let mib = facts.right.unwrap_or_default();
            let value = format!("name={},string={mib}", pci::WINDOW_KEY);
            vec![xml("qemu:commandline", &Element::new("qemu:arg").attr("value", value))]
        }
        A::BusesLost => vec![advice("busNr of the expander buses farther apart"), advice(PATCH)],
        A::DevicesHeld | A::DevicesShared => {
            vec![advice("run one at a time, or give one of the domains another device")]
        }
        A::DevicesAbsent => vec![advice("remove the <hostdev>, or name the device of this host")],
        A::GroupLost => vec![advice(
            "put the card into a slot with an IOMMU group of its own, or give up the functions \
             knowingly (recommend --allow-group)",
        )],
        A::DegradedLinks => vec![advice(
            "compare LnkCap and LnkSta of lspci -vv on both ends; reseat the card or its riser, \
             and set the slot's width and generation in the firmware",
        )],
        A::NoPartition => {
            vec![advice("choose GPUs that form a partition, and activate it"), advice(PATCH)]
        }
        A::NicApart => vec![advice("give the VM the NIC of its GPUs' node"), advice(PATCH)],
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Pins,
    Topology,
    Memory,
}

/// Parts of the engine's answer, which is proven beside the other tenants.
fn placed(scene: &Scene<'_>, parts: &[Part]) -> Vec<Fix> {
    let Some(best) = &scene.best else { return vec![advice(NOWHERE)] };
    let placement: &Placement = &best.ranked.placement;
    let element = |part: &Part| match part {
        Part::Pins => cpu::tune(placement).map(|tune| xml("domain", &tune)),
        Part::Topology => Some(xml("cpu", &cpu::topology(placement))),
        Part::Memory => memory::tune(placement).map(|tune| xml("domain", &tune)),
    };
    parts.iter().filter_map(element).chain([advice(PATCH)]).collect()
}

/// A line for virsh about the domain.
fn virsh(scene: &Scene<'_>, command: &str, rest: &str) -> Fix {
    let name = plain(&scene.domain.name);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+@".contains(c);
    let name = match name.chars().all(is_plain) && !name.starts_with('-') {
        true => name,
        false => format!("'{}'", name.replace('\'', r"'\''")),
    };
    Fix::Virsh { line: format!("virsh {command} {name} {rest}") }
}

fn bound(facts: &Facts, scene: &Scene<'_>) -> Vec<Fix> {
    let one_cell = scene.domain.cells.len() == 1;
    if facts.right_nodes.is_empty() || !one_cell {
        return placed(scene, &[Part::Pins, Part::Memory]);
    }
    let rest = format!("--mode strict --nodeset {} --config", facts.right_nodes);
    vec![virsh(scene, "numatune", &rest)]
}

/// pCPUs for emulator and I/O threads: what the host keeps, or else any pCPU that no vCPU is pinned
/// to.
fn helpers(id: AuditId, facts: &Facts, scene: &Scene<'_>) -> Vec<Fix> {
    let taken = scene.pinned.union(scene.usage.dedicated());
    let kept = scene.host.kept().cpus.difference(&taken);
    let set = if kept.is_empty() { scene.host.allowed().difference(&taken) } else { kept };
    if set.is_empty() {
        return vec![advice("leave a pCPU to them: no vCPU is pinned to it"), advice(PATCH)];
    }
    let of_emulator = scene.domain.emulator.intersects(&facts.pcpus);
    let emulator = match id {
        AuditId::EmulatorOnVcpus | AuditId::EmulatorAnywhere => true,
        AuditId::HelpersOnTenants => of_emulator,
        _ => false,
    };
    let emulator = emulator.then(|| virsh(scene, "emulatorpin", &format!("{set} --config")));
    let iothreads = facts.iothreads.iter();
    let iothreads =
        iothreads.map(|id| virsh(scene, "iothreadpin", &format!("{id} {set} --config")));
    emulator.into_iter().chain(iothreads).collect()
}

/// One socket with all vCPUs, and as many siblings as before.
fn one_socket(scene: &Scene<'_>) -> Element {
    let domain = scene.domain;
    let threads = domain.topology.threads.max(1);
    let vcpus = u32::try_from(domain.vcpus.len()).unwrap_or(u32::MAX);
    let threads = if vcpus.is_multiple_of(threads) { threads } else { 1 };
    let element = Element::new("topology").attr("sockets", 1).attr("dies", 1);
    element.attr("cores", vcpus / threads).attr("threads", threads)
}
