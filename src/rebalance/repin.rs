//! New pCPUs for a VM that keeps its memory and its devices.

use std::collections::{BTreeMap, BTreeSet};

use super::advice::Step;
use crate::free::{FreePcpus, Isolation};
use crate::host::{Core, Host};
use crate::request::Request;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{CoreId, PcpuId};
use crate::usage::{Claim, Usage};

/// Finds new pCPUs for the VM that holds `held`, among those that are free in `usage`, which
/// excludes the VM. Cores that can stay do, and the others stay on their nodes while there is room.
///
/// It works core by core: siblings stay siblings, and a whole core is replaced by a whole core. A
/// core shared with a tenant may be replaced by one shared with another. `None` if there is no
/// room, or if it has L3 domains of its own. If the VM's request is known, the new pCPUs are among
/// those that it is held to.
pub(crate) fn repin(
    host: &Host,
    usage: &Usage,
    tenant: &str,
    held: &Claim,
    request: Option<&Request>,
) -> Option<Step> {
    let free = FreePcpus::new(host, usage);
    let free = match request {
        Some(request) => free.narrowed(host, request),
        None => free,
    };
    let excluded = |pcpu: PcpuId| {
        let cpus = request.and_then(|request| request.spec().cpus.as_ref());
        cpus.is_some_and(|cpus| !cpus.contains(pcpu))
    };
    // Whether its L3 domains stay its own is not looked at.
    if held.own_l3 {
        return None;
    }
    let taken = &free.held.union(&free.closed);
    let mut cores: BTreeMap<CoreId, (&Core, Vec<PcpuId>)> = BTreeMap::new();
    for pcpu in held.dedicated.iter() {
        let core = host.core_of(pcpu)?;
        cores.entry(core.id).or_insert_with(|| (core, Vec::new())).1.push(pcpu);
    }
    let isolation = |whole| Isolation::whole(whole || held.whole_cores);
    let is_whole = |core: &Core, own: &[PcpuId]| {
        let cannot_have = |p: PcpuId| !host.allowed().contains(p) || excluded(p);
        core.pcpus.iter().all(|p| own.contains(p) || cannot_have(*p))
    };
    // Cores that can stay do.
    let (mut dedicated, mut moves) = (CpuSet::new(), Vec::new());
    let (mut leaving, mut used) = (Vec::new(), BTreeSet::new());
    for (core, own) in cores.into_values() {
        let whole = is_whole(core, &own);
        let closed = whole && core.pcpus.iter().any(|pcpu| taken.contains(*pcpu));
        if !closed && own.iter().all(|pcpu| !taken.contains(*pcpu)) {
            used.insert(core.id);
            dedicated.extend(&own.into_iter().collect());
        } else {
            leaving.push((core, own, whole));
        }
    }
    // Whole cores come before parts of cores, and larger parts before smaller ones.
    leaving.sort_by_key(|(core, own, whole)| (!whole, usize::MAX - own.len(), core.id));
    for (from, own, whole) in leaving {
        let room = |at: usize, core: &Core| {
            let usable = free.of_core(at, core, isolation(whole)).count();
            let fits = if whole { own.len() == usable } else { own.len() <= usable };
            fits.then_some(usable)
        };
        let near = |core: &Core| host.distance(from.node, core.node);
        // Two guest cores on one host core would be siblings that the guest does not know of.
        let open = host.cores().iter().enumerate().filter(|(_, core)| !used.contains(&core.id));
        let targets = open.filter_map(|(at, core)| Some((room(at, core)?, at, core)));
        // Of shared cores, the one with the fewest usable pCPUs is taken first, so that whole ones
        // stay whole.
        let load = |at: usize| free.floaters.as_ref().map_or(0, |floaters| floaters.load(at));
        let target = targets.min_by_key(|(usable, at, core)| {
            let elsewhere = (core.node != from.node, near(core), core.kind != from.kind);
            (elsewhere, load(*at), *usable, core.id)
        });
        let (_, at, core) = target?;
        used.insert(core.id);
        for (old, new) in own.into_iter().zip(free.of_core(at, core, isolation(whole))) {
            dedicated.insert(new);
            moves.push((old, new));
        }
    }
    moves.sort_unstable();
    let node_of = |pcpu: PcpuId| host.core_of(pcpu).map(|core| core.node);
    let memory: NodeSet = held.pages.iter().filter_map(|page| page.node).collect();
    let away = moves.iter().any(|(old, new)| {
        node_of(*old) != node_of(*new) && node_of(*new).is_none_or(|node| !memory.contains(node))
    });
    let left_behind = if away { memory } else { NodeSet::new() };
    // The VM keeps the pCPUs that it floats on, except those now dedicated to it.
    let floating = held.floating.difference(&dedicated);
    let claim = Box::new(Claim { dedicated, floating, ..held.clone() });
    let vfio = !held.devices.is_empty() || !held.mediated.is_empty();
    Some(Step::Repin { tenant: tenant.to_owned(), moves, claim, left_behind, vfio })
}
