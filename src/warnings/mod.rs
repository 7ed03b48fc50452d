//! Warnings and explanations: facts first, sentences last.
//!
//! **Takes** an answer and the question that it answers: host, usage, request, options. **Gives**
//! facts that no score can mend (`Warning`), and, at the very end, text for a person. The engine
//! never writes a sentence: findings, refusals, warnings, changes and steps are ids and numbers,
//! and every number in a text is a number of the answer or of the question. Errors and violations
//! print themselves.
//!
//! # Why this order
//! A program can act on `RemoteGpu { address, node, nodes }`, a test can count it again, and a text
//! can be reworded without changing a decision. The other way round, numbers would have to be
//! parsed out of prose.
//!
//! # Warnings
//! Warnings are computed when they are asked for, not by the search: a scheduler that ranks a
//! thousand hosts needs those of one. They never change a rank. In their order:
//! 1. *Links*: a GPU of the host, or another device of the VM, whose link runs below what both of
//!    its sides can. GPUs that were passed over are told too, to everyone who gets a GPU. At full
//!    width the cause may be an idle GPU that saves power.
//! 2. *Each device*: its node is unknown; a GPU on a node that the VM has nothing on; no IOMMU
//!    group, or no group known on the whole host; other functions that leave the host with its
//!    group.
//! 3. *Pages*: memory in base pages, whether none else were free or they were asked for, and that
//!    passthrough pins each of them at start.
//! 4. *Peers*: GPUs that meet below one root port, are not linked, and have a port between them
//!    that redirects requests upward (ACS), unless the request says that they do not use
//!    peer-to-peer. Ports of unknown state say nothing.
//! 5. *Neighbours*: tenants that float on the VM's pCPUs; that have siblings of its vCPUs' cores,
//!    pCPUs in its L3 domains, or pCPUs or pages on its memory's nodes; and hugepages that are
//!    stranded, because the VM takes the last usable pCPU of their node. For the default layout
//!    only that it floats over dedicated pCPUs.
//! 6. *Other threads*: no pCPUs are reserved for the host; emulator threads run on none of the VM's
//!    nodes.
//! 7. *GPU sets*: all GPUs are on one node and collectives go through host memory, where one host
//!    measured more over two nodes; the GPUs are no fabric partition.
//!
//! Neighbours and peers are counted a second time by the checker, pCPU by pCPU: nothing false is
//! told, nothing true is left out. What sharing costs is in no published result, so these are
//! warnings and no predictions.
//!
//! # Explanations
//! A recommendation reads, from top to bottom: the host in one line; a table, one row per placement
//! and the default layout as the baseline; why the first is first; what to expect of each metric,
//! with grade and studies; what it takes from the host; warnings; styles that are not possible,
//! with their decisive fact; the studies that were cited; and whether the search was cut.
//!
//! *Why* compares the first with the second, and with the best row that differs in showing cells,
//! if it is not the second. For each metric that both have, the gain is weight x (point of the
//! first - point of the other); the three largest are told, those against the winner marked.
//! Preferred properties that the other lacks, if it lacks more, and packing costs that differ by
//! more than 10 points, follow. If nothing differs, the text says so and names the tie-breaks.
//!
//! Scores are shown in thousandths of a natural logarithm, rounded: +142 is a factor e^0.142 =
//! 1.15. The baseline is 0, and is a yardstick, not an answer: it keeps none of what the request
//! asks for, and pays for none of it.
//!
//! A refusal groups styles with equal facts, shows the first four of each and how many more there
//! are, and then the changes that would each make the request fit. It distinguishes "no single
//! change makes it fit" from "nobody looked".
//!
//! # Citations
//! A study is listed if a printed line rests on it. Citations are collected while that line is
//! written, never parsed out of the finished text: a VM named `F33` cites nothing.
//!
//! # Foreign text
//! Names of VMs, tenants, hosts and models come from outside. Tenants' names are quoted with
//! control characters escaped; in other names they are replaced by U+FFFD. No name can break a line
//! or send a terminal a control character.
//!
//! # Invariants
//! - The text is a pure function of its arguments, without a locale: numbers are integers, and
//!   ratios print as two or three decimals of thousandths.
//! - An answer explained with another usage than it was computed with can contradict itself, so
//!   both travel in one `Question`.
//! - A fact's sentence has no full stop; whoever prints it adds one.
//!
//! # Known limitations
//! - Only the decisive fact of an impossible style is printed beside a recommendation. All facts
//!   are in the answer.
//! - Three metrics explain most of a difference, not all of it; the table of expectations has every
//!   metric of the first placement only.

mod neighbours;
mod peers;
mod warning;

pub use warning::Warning;

use crate::engine::profile::{Collective, Profile};
use crate::host::{Host, Kept, KeptWhy, Reserve};
use crate::placement::{Placement, Style};
use crate::question::Question;
use crate::request::Request;
use crate::sets::NodeSet;

use neighbours::neighbours;
use peers::peers;

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
    let Kept { cpus, why, .. } = host.kept().clone();
    let chosen = !matches!(host.description().reserved, Reserve::These(_));
    if chosen && why != KeptWhy::AllIsolated {
        all.push(Warning::KeptForHost { cpus, why });
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
