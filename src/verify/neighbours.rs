//! Checks of the warnings about neighbours, counted again pCPU by pCPU, about GPUs below one
//! switch, and about devices elsewhere.

use std::collections::BTreeSet;

use super::apart::wrongly_apart;
use super::case::{cores_by_pcpu, free_pages, housekeeping};
use super::fabric;
use super::isolation::closed;
use super::peers::redirected;
use super::violations::Violations;
use super::wrong_warning::WrongWarning;
use crate::host::Host;
use crate::placement::{Placement, Style};
use crate::question::Question;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{L3Id, NodeId, PcpuId};
use crate::usage::Usage;
use crate::warnings::Warning;

/// Checks the `warnings` about the neighbours of `placement`, given the other tenants in the
/// question's usage, and about peer-to-peer traffic between its GPUs if the request allows it. Each
/// fact is counted again from the records.
///
/// # Errors
/// [`WrongWarning::False`] for each false warning, [`WrongWarning::Missing`] for each missing one.
/// Warnings about other subjects are not checked.
pub fn verify_warnings(
    question: Question<'_>,
    placement: &Placement,
    warnings: &[Warning],
) -> Result<(), Violations<WrongWarning>> {
    let Question { host, usage, request, .. } = question;
    let mut expected = expected(host, usage, placement);
    expected.extend(redirected(host, request, placement));
    expected.extend(fabric::expected(host, request, placement));
    expected.extend(elsewhere(host, placement));
    expected.extend(not_isolated(host, placement));
    expected.extend(remote_memory(host, placement));
    let is_checked = |warning: &&Warning| {
        matches!(
            warning,
            Warning::FloatingTenants { .. }
                | Warning::FloatsOverTenants { .. }
                | Warning::SharedCores { .. }
                | Warning::SharedL3 { .. }
                | Warning::SharedNodes { .. }
                | Warning::StrandedPages { .. }
                | Warning::RedirectedPeers { .. }
                | Warning::NotIsolated { .. }
                | Warning::RemoteMemory { .. }
                | Warning::ActivatePartition { .. }
                | Warning::UntoldFabric { .. }
                | Warning::RemoteGpu { .. }
                | Warning::RemoteDevice { .. }
        )
    };
    let mut found = Vec::new();
    for warning in warnings.iter().filter(is_checked) {
        if !expected.contains(warning) {
            found.push(WrongWarning::False { warning: warning.clone() });
        }
    }
    for warning in expected {
        if !warnings.contains(&warning) {
            found.push(WrongWarning::Missing { warning });
        }
    }
    found.extend(wrongly_apart(host, request, placement, warnings));
    Violations::check(found)
}

/// The warnings about devices on nodes that hold neither vCPUs nor memory of the VM.
fn elsewhere(host: &Host, placement: &Placement) -> Vec<Warning> {
    let mut nodes = NodeSet::new();
    for cell in &placement.cells {
        nodes.extend(&cell.nodes);
    }
    let mut all = Vec::new();
    for device in &placement.devices {
        let record = host.pci().get(device.address);
        let Some(node) = record.and_then(|record| record.node) else { continue };
        if nodes.is_empty() || nodes.contains(node) {
            continue;
        }
        let (address, nodes) = (device.address, nodes.clone());
        all.push(if device.is_gpu {
            Warning::RemoteGpu { address, node, nodes }
        } else {
            Warning::RemoteDevice { address, node, nodes }
        });
    }
    all
}

fn expected(host: &Host, usage: &Usage, placement: &Placement) -> Vec<Warning> {
    let cores = cores_by_pcpu(host);
    let mut vcpus = BTreeSet::new();
    for set in &placement.vcpus {
        vcpus.extend(set.iter());
    }
    let mut own: BTreeSet<PcpuId> = placement.idle.iter().collect();
    own.extend(placement.emulator_own.iter());
    if placement.dedicated {
        own.extend(vcpus.iter().copied());
    }
    let mut memory = BTreeSet::new();
    for (node, count) in placement.cells.iter().flat_map(|cell| &cell.pages) {
        if *count > 0 {
            memory.insert(*node);
        }
    }
    let mut over = Sharing::default();
    let mut floating = Sharing::default();
    let mut beside = Sharing::default();
    let mut caches = Sharing::default();
    let mut nodes = Sharing::default();
    for (name, claim) in usage.tenants() {
        for pcpu in claim.floating.iter().filter(|pcpu| own.contains(pcpu)) {
            floating.add(name, pcpu);
        }
        for theirs in claim.dedicated.iter() {
            over.add(name, theirs);
            let Some(core) = cores.get(&theirs) else { continue };
            if memory.contains(&core.node) {
                nodes.add(name, core.node);
            }
            for mine in &vcpus {
                let Some(of_mine) = cores.get(mine) else { continue };
                if of_mine.id == core.id && !vcpus.contains(&theirs) {
                    beside.add(name, *mine);
                }
                if let Some(l3) = core.l3.filter(|l3| of_mine.l3 == Some(*l3)) {
                    caches.add(name, l3);
                }
            }
        }
        for page in claim.pages.iter().filter(|page| page.count > 0) {
            if let Some(node) = page.node.filter(|node| memory.contains(node)) {
                nodes.add(name, node);
            }
        }
    }
    let mut all = Vec::new();
    let set = |of: BTreeSet<PcpuId>| of.into_iter().collect::<CpuSet>();
    if placement.style == Style::Default {
        if let Some((tenants, cpus)) = over.told() {
            all.push(Warning::FloatsOverTenants { tenants, cpus: set(cpus) });
        }
        return all;
    }
    if let Some((tenants, cpus)) = floating.told() {
        all.push(Warning::FloatingTenants { tenants, cpus: set(cpus) });
    }
    if let Some((tenants, cpus)) = beside.told() {
        all.push(Warning::SharedCores { tenants, cpus: set(cpus) });
    }
    if let Some((tenants, domains)) = caches.told() {
        let domains: Vec<L3Id> = domains.into_iter().collect();
        all.push(Warning::SharedL3 { tenants, domains });
    }
    if let Some((tenants, nodes)) = nodes.told() {
        let nodes: NodeSet = nodes.into_iter().collect();
        all.push(Warning::SharedNodes { tenants, nodes });
    }
    stranded(host, usage, placement, &own, &housekeeping(host, &cores), &mut all);
    all
}

/// The pinned vCPUs' pCPUs that are on no node of the VM's memory.
fn remote_memory(host: &Host, placement: &Placement) -> Option<Warning> {
    let mut memory = NodeSet::new();
    for cell in &placement.cells {
        memory.extend(&cell.nodes);
    }
    let (mut cpus, mut nodes) = (CpuSet::new(), NodeSet::new());
    let cores = cores_by_pcpu(host);
    for pcpu in placement.vcpus.iter().flat_map(CpuSet::iter) {
        let Some(core) = cores.get(&pcpu) else { continue };
        if !memory.contains(core.node) {
            cpus.insert(pcpu);
            nodes.insert(core.node);
        }
    }
    (!cpus.is_empty()).then_some(Warning::RemoteMemory { cpus, nodes, memory })
}

/// What the kernel does not isolate under pinned vCPUs, and beside those that it does, if it
/// isolates some of the allowed pCPUs.
fn not_isolated(host: &Host, placement: &Placement) -> Option<Warning> {
    let (mut some, mut all) = (false, true);
    for pcpu in host.allowed().iter() {
        some |= host.isolated().contains(pcpu);
        all &= host.isolated().contains(pcpu);
    }
    let (mut cpus, mut siblings) = (CpuSet::new(), CpuSet::new());
    let vcpus: BTreeSet<PcpuId> = placement.vcpus.iter().flat_map(CpuSet::iter).collect();
    for core in host.cores() {
        let cuts = |pcpu: &&PcpuId| vcpus.contains(*pcpu) && host.isolated().contains(**pcpu);
        let beside = core.pcpus.iter().any(|pcpu| cuts(&pcpu));
        for pcpu in core.pcpus.iter().filter(|pcpu| !host.isolated().contains(**pcpu)) {
            if vcpus.contains(pcpu) {
                cpus.insert(*pcpu);
            } else if beside {
                siblings.insert(*pcpu);
            }
        }
    }
    let said = some && !all && placement.dedicated && placement.style != Style::Default;
    (said && !(cpus.is_empty() && siblings.is_empty()))
        .then_some(Warning::NotIsolated { cpus, siblings })
}

/// The tenants that share, and what they share.
struct Sharing<T>(BTreeSet<String>, BTreeSet<T>);

impl<T> Default for Sharing<T> {
    fn default() -> Self {
        Self(BTreeSet::new(), BTreeSet::new())
    }
}

impl<T: Ord> Sharing<T> {
    fn add(&mut self, tenant: &str, what: T) {
        self.0.insert(tenant.to_owned());
        self.1.insert(what);
    }

    fn told(self) -> Option<(Vec<String>, BTreeSet<T>)> {
        (!self.0.is_empty()).then(|| (self.0.into_iter().collect(), self.1))
    }
}

fn stranded(
    host: &Host,
    usage: &Usage,
    placement: &Placement,
    own: &BTreeSet<PcpuId>,
    kept: &CpuSet,
    all: &mut Vec<Warning>,
) {
    let closed = closed(host, usage);
    for node in host.nodes() {
        let (mut took, mut left) = (false, false);
        for pcpu in node.cpus.iter() {
            let held = usage.tenants().any(|(_, claim)| claim.dedicated.contains(pcpu));
            took |= own.contains(&pcpu);
            left |= host.allowed().contains(pcpu)
                && !kept.contains(pcpu)
                && !held
                && !closed.contains(pcpu)
                && !own.contains(&pcpu);
        }
        if !took || left {
            continue;
        }
        for pool in node.pools.iter().filter(|pool| pool.size.is_huge()) {
            let mut pages = free_pages(host, usage, node.id, pool.size);
            for cell in placement.cells.iter().filter(|cell| cell.page_size == pool.size) {
                let here = |page: &&(NodeId, u64)| page.0 == node.id;
                for (_, count) in cell.pages.iter().filter(here) {
                    pages = pages.saturating_sub(*count);
                }
            }
            if pages > 0 {
                all.push(Warning::StrandedPages { node: node.id, page_size: pool.size, pages });
            }
        }
    }
}
