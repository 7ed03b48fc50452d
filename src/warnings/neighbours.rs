//! Resources that the VM shares with tenants.

use super::warning::Warning;
use crate::free::pcpus::usable;
use crate::host::Host;
use crate::placement::{Placement, Style};
use crate::sets::{CpuSet, NodeSet};
use crate::units::{L3Id, NodeId};
use crate::usage::{Claim, Usage};

/// The tenants, by name, that hold any of these pCPUs in one way, and these pCPUs.
fn shared(
    usage: &Usage,
    held: impl Fn(&Claim) -> &CpuSet,
    cpus: &CpuSet,
) -> Option<(Vec<String>, CpuSet)> {
    let (mut tenants, mut all) = (Vec::new(), CpuSet::new());
    for (name, claim) in usage.tenants().filter(|(_, claim)| held(claim).intersects(cpus)) {
        tenants.push(name.to_owned());
        all.extend(&held(claim).intersection(cpus));
    }
    (!tenants.is_empty()).then_some((tenants, all))
}

fn dedicated(claim: &Claim) -> &CpuSet {
    &claim.dedicated
}

/// The warnings about the neighbours of a placement.
pub(super) fn neighbours(
    host: &Host,
    usage: &Usage,
    placement: &Placement,
    all: &mut Vec<Warning>,
) {
    if placement.style == Style::Default {
        let over = shared(usage, dedicated, usage.dedicated());
        all.extend(over.map(|(tenants, cpus)| Warning::FloatsOverTenants { tenants, cpus }));
        return;
    }
    let own = placement.claim().dedicated;
    if usage.tenants().next().is_some() {
        let floating = shared(usage, |claim| &claim.floating, &own);
        all.extend(floating.map(|(tenants, cpus)| Warning::FloatingTenants { tenants, cpus }));
        let vcpus = placement.vcpu_pcpus();
        let mut cores = CpuSet::new();
        let mut domains: Vec<L3Id> = Vec::new();
        for core in vcpus.iter().filter_map(|pcpu| host.core_of(pcpu)) {
            core.pcpus.iter().for_each(|pcpu| {
                cores.insert(*pcpu);
            });
            domains.extend(core.l3.filter(|l3| !domains.contains(l3)));
        }
        siblings(host, usage, &vcpus, &cores, all);
        l3_domains(host, usage, domains, all);
        on_nodes(host, usage, placement, all);
    }
    stranded(host, usage, placement, &own, all);
}

fn siblings(host: &Host, usage: &Usage, vcpus: &CpuSet, cores: &CpuSet, all: &mut Vec<Warning>) {
    let Some((tenants, theirs)) = shared(usage, dedicated, &cores.difference(vcpus)) else {
        return;
    };
    let shares = |pcpu: &crate::units::PcpuId| {
        host.core_of(*pcpu).is_some_and(|core| core.pcpus.iter().any(|p| theirs.contains(*p)))
    };
    let cpus = vcpus.iter().filter(shares).collect();
    all.push(Warning::SharedCores { tenants, cpus });
}

fn l3_domains(host: &Host, usage: &Usage, of_vm: Vec<L3Id>, all: &mut Vec<Warning>) {
    let mine = host.l3_domains().iter().filter(|domain| of_vm.contains(&domain.id));
    let mine: Vec<_> = mine.collect();
    let mut inside = CpuSet::new();
    mine.iter().for_each(|domain| inside.extend(&domain.cpus));
    let Some((tenants, theirs)) = shared(usage, dedicated, &inside) else { return };
    let domains = mine.iter().filter(|domain| domain.cpus.intersects(&theirs));
    let mut domains: Vec<L3Id> = domains.map(|domain| domain.id).collect();
    domains.sort_unstable();
    all.push(Warning::SharedL3 { tenants, domains });
}

fn on_nodes(host: &Host, usage: &Usage, placement: &Placement, all: &mut Vec<Warning>) {
    let pages = placement.cells.iter().flat_map(|cell| &cell.pages);
    let memory: NodeSet = pages.filter(|(_, pages)| *pages > 0).map(|(node, _)| *node).collect();
    let (mut tenants, mut nodes) = (Vec::new(), NodeSet::new());
    for (name, claim) in usage.tenants() {
        let pages = |node| claim.pages.iter().any(|page| page.node == Some(node) && page.count > 0);
        let there = |node: &NodeId| {
            let cpus = |node| host.node(node).is_some_and(|n| n.cpus.intersects(&claim.dedicated));
            cpus(*node) || pages(*node)
        };
        let both: NodeSet = memory.iter().filter(there).collect();
        if !both.is_empty() {
            tenants.push(name.to_owned());
            nodes.extend(&both);
        }
    }
    if !tenants.is_empty() {
        all.push(Warning::SharedNodes { tenants, nodes });
    }
}

fn stranded(
    host: &Host,
    usage: &Usage,
    placement: &Placement,
    own: &CpuSet,
    all: &mut Vec<Warning>,
) {
    let left = usable(host, usage).difference(own);
    let took = |node: &&crate::host::Node| node.cpus.intersects(own);
    for node in host.nodes().iter().filter(took).filter(|node| !left.intersects(&node.cpus)) {
        for pool in node.pools.iter().filter(|pool| pool.size.is_huge()) {
            let cells = placement.cells.iter().filter(|cell| cell.page_size == pool.size);
            let taken = cells.flat_map(|cell| &cell.pages).filter(|(id, _)| *id == node.id);
            let taken: u64 = taken.map(|(_, pages)| pages).sum();
            let pages = usage.free_pages(host, node.id, pool.size).saturating_sub(taken);
            if pages > 0 {
                all.push(Warning::StrandedPages { node: node.id, page_size: pool.size, pages });
            }
        }
    }
}
