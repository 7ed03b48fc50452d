//! Why pins change: what was wrong with the domain's own.

use std::collections::BTreeMap;

use super::tune::{Reasons, Thread};
use pinwise::Question;
use pinwise::host::Host;
use pinwise::placement::Placement;
use pinwise::sets::{CpuSet, NodeSet};
use pinwise::units::PcpuId;

/// The reasons for the placement's pins. `threads` is the number of siblings that the domain shows
/// its guest in each core. Without a question nothing is known about the host.
pub(super) fn reasons(
    question: Option<Question<'_>>,
    placement: &Placement,
    pins: &BTreeMap<Thread, CpuSet>,
    threads: u32,
) -> Reasons {
    let vcpus = question.and_then(|question| {
        split_siblings(question.host, pins, threads)
            .or_else(|| held(question, pins))
            .or_else(|| elsewhere(question.host, placement, pins))
    });
    Reasons {
        vcpus: vcpus.unwrap_or_else(|| "the best layout has other pCPUs".to_owned()),
        others: "off the cores of the vCPUs".to_owned(),
    }
}

/// The pCPU of each vCPU that has just one.
fn single(pins: &BTreeMap<Thread, CpuSet>) -> BTreeMap<u32, PcpuId> {
    let one = |(thread, set): (&Thread, &CpuSet)| match thread {
        Thread::Vcpu(id) if set.len() == 1 => Some((*id, set.first()?)),
        _ => None,
    };
    pins.iter().filter_map(one).collect()
}

/// Guest siblings that are not siblings on the host.
fn split_siblings(host: &Host, pins: &BTreeMap<Thread, CpuSet>, threads: u32) -> Option<String> {
    if threads < 2 {
        return None;
    }
    let pins = single(pins);
    let core = |pcpu: PcpuId| host.core_of(pcpu).map(|core| core.id);
    let mut wrong = Vec::new();
    let last = pins.keys().last().copied()?;
    for first in (0..=last).step_by(threads as usize) {
        let siblings: Vec<PcpuId> =
            (first..first + threads).filter_map(|id| pins.get(&id).copied()).collect();
        if siblings.windows(2).any(|pair| core(pair[0]) != core(pair[1])) {
            wrong.push((first, siblings));
        }
    }
    let (first, siblings) = wrong.first()?;
    let pcpus: Vec<String> = siblings.iter().map(ToString::to_string).collect();
    let more = match wrong.len() - 1 {
        0 => String::new(),
        1 => ", and so were those of one more guest core".to_owned(),
        more => format!(", and so were those of {more} more guest cores"),
    };
    Some(format!(
        "guest siblings {first}-{} were on different cores: {}{more}",
        first + threads - 1,
        pcpus.join(", ")
    ))
}

/// pCPUs that another tenant holds, or that the host keeps.
fn held(question: Question<'_>, pins: &BTreeMap<Thread, CpuSet>) -> Option<String> {
    let mut all = CpuSet::new();
    single(pins).values().for_each(|pcpu| _ = all.insert(*pcpu));
    for (tenant, claim) in question.usage.tenants() {
        let both = claim.dedicated.intersection(&all);
        if !both.is_empty() {
            return Some(format!("pCPUs {both} are held by {tenant:?}"));
        }
    }
    let off = all.difference(question.host.online());
    if !off.is_empty() {
        return Some(format!("pCPUs {off} are not online"));
    }
    let kept = all.intersection(&question.host.kept().cpus);
    (!kept.is_empty()).then(|| format!("pCPUs {kept} are kept for the host"))
}

/// Nodes that the placement leaves.
fn elsewhere(
    host: &Host,
    placement: &Placement,
    pins: &BTreeMap<Thread, CpuSet>,
) -> Option<String> {
    let pins = single(pins);
    let nodes = pins.values().filter_map(|pcpu| host.core_of(*pcpu)).map(|core| core.node);
    let nodes: NodeSet = nodes.collect();
    let wanted = placement.nodes();
    let known = !nodes.is_empty() && !wanted.is_empty() && nodes != wanted;
    known.then(|| format!("the vCPUs were on nodes {nodes}, and the best layout is on {wanted}"))
}
