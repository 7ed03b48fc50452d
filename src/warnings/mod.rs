//! Warnings and explanations: facts first, sentences last.
//!
//! **Takes** an answer and its question: host, usage, request, options. **Gives** facts that no
//! score can express (`Warning`) and, at the very end, text for a person. The engine never writes a
//! sentence: findings, refusals, warnings, changes and steps are ids and numbers, and every number
//! in a text is a number of the answer or of the question. Errors and violations print themselves.
//!
//! # Why this order
//! A program can act on `RemoteGpu { address, node, nodes }`, a test can recompute it, and a text
//! can be reworded without changing a decision. With text first, numbers would have to be parsed
//! out of prose.
//!
//! # Warnings
//! Warnings are computed on request, not by the search: a scheduler that ranks a thousand hosts
//! needs those of one. They never change a rank. In order:
//! 1. *Use by the host*: of the functions that leave the host, those that it uses itself, by harm:
//!    the firmware's display, the last display, a GPU with processes, a controller of mounted
//!    disks, the NIC of the default route, a GPU that a driver of the host is bound to.
//! 2. *Links*: a GPU of the host, or another device of the VM, whose link runs slower or narrower
//!    than both sides can; a VM with GPUs is also warned about GPUs that it did not get. A device
//!    of the VM in a slot with fewer lanes than it has.
//! 3. *Each device*: its node is unknown; it is on a node where the VM has nothing; it is divided
//!    into MIG instances or virtual functions; a mediated device may be a share of it; it has no
//!    IOMMU group, or none is known on the whole host; other functions leave the host with its
//!    group.
//!    A NIC or disk that was chosen by kind is farther from its GPU than asked for.
//! 4. *Pages*: memory is in base pages, whether no others were free or they were requested, and
//!    passthrough pins each of them at start; what ordinary memory that leaves the host on the VM's
//!    nodes; for memory in hugepages, only if what is left is less than QEMU itself takes. vCPUs
//!    are on nodes without memory for the VM.
//! 5. *Peers*: GPUs that meet below one root port, are not linked, and have a port between them
//!    that redirects requests upward (ACS), unless the request says that they do not use
//!    peer-to-peer. Ports of unknown state cause no warning.
//! 6. *Neighbours*: tenants that float on the VM's pCPUs; tenants with siblings of its vCPUs'
//!    cores, pCPUs in its L3 domains, or pCPUs or pages on its memory's nodes; and stranded
//!    hugepages, because the VM takes the last usable pCPU of their node. For the default layout,
//!    only that it floats over dedicated pCPUs.
//! 7. *Other threads*: no pCPUs are reserved for the host; emulator threads run outside of the VM's
//!    nodes, or have a pCPU of their own there.
//! 8. *GPU sets*: all GPUs are on one node and collectives go through host memory, where one host
//!    was faster over two nodes; the GPUs do not form a fabric partition, or form one that must be
//!    activated, or the host has NVSwitches and its partitions are unknown.
//!
//! The checker recomputes the warnings about neighbours, peers, remote memory, fabrics and devices
//! elsewhere: none is false, none is missing. No published result measures the cost of sharing, so
//! these are warnings and not predictions.
//!
//! # Explanations
//! A recommendation reads, from top to bottom: the host in one line; a table with one row per
//! placement and the default layout as the baseline; the reasons for the first; the expected effect
//! on each metric, with grade and studies; the cost to the host; warnings; impossible styles with
//! their decisive fact; the cited studies; and whether the search reached its limit.
//!
//! *Why* compares the first with the second, and with the best row that differs in showing cells,
//! if it is not the second. For each metric that both have, the gain is weight x (point of the
//! first - point of the other). The three largest are shown, with those against the winner marked.
//! Then follow preferences that the other does not meet, if it misses more, and packing costs that
//! differ by more than 10 points. If nothing differs, the text says so and names the tie-breaks.
//!
//! Scores are shown in thousandths of a natural logarithm, rounded: +142 is a factor e^0.142 =
//! 1.15. The baseline is 0. It is not a recommendation: it ignores the request's policies and pays
//! no penalty for them.
//!
//! A refusal groups styles with equal facts, shows the first four of each and the number of others,
//! and then the changes that would each make the request fit. It distinguishes "no single change
//! makes the request fit" from changes that were not searched for.
//!
//! # Citations
//! A study is listed if a printed line uses it. Citations are collected while that line is written,
//! never parsed out of the finished text: a VM named `F33` cites nothing.
//!
//! # Foreign text
//! Names of VMs, tenants, hosts and models come from outside. Tenants' names are quoted, with
//! control characters escaped; in other names control characters are replaced by U+FFFD. No name
//! can break a line or send a control character to a terminal.
//!
//! # Invariants
//! - The text is a pure function of its arguments, without a locale: numbers are integers, and
//!   ratios print with two or three decimals.
//! - An answer explained with a usage other than its own could contradict itself, so both travel in
//!   one `Question`.
//! - A fact's sentence has no full stop; the caller adds one.
//!
//! # Known limitations
//! - Beside a recommendation, only the decisive fact of an impossible style is printed. All facts
//!   are in the answer.
//! - Three metrics explain most of a difference, not all of it; the table of expectations covers
//!   only the first placement.

mod devices;
mod functions;
mod in_use;
mod memory;
mod neighbours;
mod peers;
mod warning;

pub use warning::{InUse, Warning};

use crate::engine::gpu_set::Collective;
use crate::engine::profile::Profile;
use crate::host::{Host, Kept, KeptWhy, Node, Reserve, TakenFunction};
use crate::placement::{Placement, Style};
use crate::question::Question;
use crate::request::Request;
use crate::sets::{CpuSet, NodeSet};
use crate::units::PcpuId;

use devices::{apart, elsewhere, fabric};
use functions::functions;
use neighbours::neighbours;
use peers::peers;

/// All warnings about a placement.
pub(crate) fn warnings(
    question: Question<'_>,
    placement: &Placement,
    profile: &Profile,
) -> Vec<Warning> {
    let Question { host, usage, request, .. } = question;
    let mut all = Vec::new();
    in_use::in_use(host, placement, &mut all);
    links(host, placement, &mut all);
    let nodes = placement.nodes();
    for device in &placement.devices {
        let address = device.address;
        if device.node.is_none() {
            all.push(Warning::UnknownNode { address });
        }
        all.extend(elsewhere(device, &nodes));
        functions(host, usage, address, &mut all);
        if host.pci().get(address).is_some_and(|found| found.iommu_group.is_none()) {
            all.push(match host.pci().has_groups() {
                true => Warning::NoIommuGroup { address },
                false => Warning::UnknownIommuGroup { address },
            });
        }
        if !device.withheld.is_empty() {
            let records = device.withheld.iter().filter_map(|mate| host.pci().get(*mate));
            let others = records.map(TakenFunction::from).collect();
            all.push(Warning::SharedIommuGroup { address, others });
        }
    }
    apart(host, request, placement, &mut all);
    let page = placement.cells.first().map(|cell| cell.page_size);
    if let Some(size) = page.filter(|page| !page.is_huge()) {
        let (memory, vfio) = (placement.memory(), !placement.devices.is_empty());
        all.push(Warning::NoHugepages { page_size: size, memory, vfio });
    }
    memory::left(host, usage, placement, &mut all);
    all.extend(remote_memory(host, placement));
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
    fabric(host, request, placement, &mut all);
    all
}

/// The vCPUs of a pinned VM that are on other nodes than its memory.
fn remote_memory(host: &Host, placement: &Placement) -> Option<Warning> {
    let memory = placement.nodes();
    let vcpus = placement.vcpu_pcpus();
    let apart = |node: &&Node| !memory.contains(node.id) && node.cpus.intersects(&vcpus);
    let apart: Vec<&Node> = host.nodes().iter().filter(apart).collect();
    let of_nodes = apart.iter().fold(CpuSet::new(), |all, node| all.union(&node.cpus));
    let nodes: NodeSet = apart.iter().map(|node| node.id).collect();
    let cpus = vcpus.intersection(&of_nodes);
    (!cpus.is_empty()).then_some(Warning::RemoteMemory { cpus, nodes, memory })
}

fn links(host: &Host, placement: &Placement, all: &mut Vec<Warning>) {
    let given = |address| placement.devices.iter().any(|device| device.address == address);
    let others = placement.devices.iter().filter(|d| !d.is_gpu).map(|d| d.address);
    // A VM with GPUs is warned about every GPU with a degraded link, even one that was avoided.
    let gpus = host.gpus().iter().zip(&host.derived().gpus);
    let degraded = gpus.filter(|(_, facts)| facts.degraded && placement.gpus().next().is_some());
    for address in degraded.map(|(gpu, _)| gpu.address).chain(others) {
        if let Some((now, possible)) = host.pci().degraded_link(address) {
            let given = given(address);
            all.push(Warning::DegradedLink { address, now, possible, given });
        }
    }
    for address in placement.devices.iter().map(|device| device.address) {
        if let Some((slot, card)) = host.pci().narrow_slot(address) {
            all.push(Warning::NarrowSlot { address, slot, card });
        }
    }
}

/// The warnings about emulator threads and about the pCPUs left to the host.
fn threads(
    host: &Host,
    request: &Request,
    placement: &Placement,
    nodes: &NodeSet,
    all: &mut Vec<Warning>,
) {
    let Kept { cpus, why, .. } = host.kept().clone();
    let chosen = !matches!(host.description().reserved, Reserve::These(_));
    if chosen && why != KeptWhy::AllIsolated {
        all.push(Warning::KeptForHost { cpus, why });
    }
    let isolates = host.allowed().intersects(host.isolated());
    if placement.dedicated && isolates && !host.allowed().is_subset(host.isolated()) {
        let vcpus = placement.vcpu_pcpus();
        let isolated = vcpus.intersection(host.isolated());
        let cores = isolated.iter().filter_map(|pcpu| host.core_of(pcpu));
        let siblings: CpuSet = cores.flat_map(|core| core.pcpus.iter().copied()).collect();
        let (cpus, siblings) = (
            vcpus.difference(host.isolated()),
            siblings.difference(host.isolated()).difference(&vcpus),
        );
        if !cpus.is_empty() || !siblings.is_empty() {
            all.push(Warning::NotIsolated { cpus, siblings });
        }
    }
    // Of pCPUs that they have to themselves, each one counts; of others, one near is enough.
    let vcpus = placement.vcpu_pcpus();
    let of_vm = |node: &Node| nodes.contains(node.id) || node.cpus.intersects(&vcpus);
    let near = |pcpu: &PcpuId| {
        let node = host.core_of(*pcpu).and_then(|core| host.node(core.node));
        node.is_some_and(of_vm)
    };
    let cpus: CpuSet = placement.emulator.iter().filter(|pcpu| !near(pcpu)).collect();
    let own = request.spec().emulator_pcpus > 0;
    if !cpus.is_empty() && (own || cpus == placement.emulator) {
        all.push(Warning::EmulatorFar { cpus, nodes: nodes.clone() });
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
