//! What to know before using a placement: facts about the host and the neighbours that no score can
//! mend. Sentences are made by `explain`.

mod neighbours;
mod peers;
mod warning;

pub use warning::Warning;

use crate::engine::profile::{Collective, Profile};
use crate::host::Host;
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
