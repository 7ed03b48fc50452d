//! New pCPUs for a VM that keeps its memory and its devices.

use std::collections::{BTreeMap, BTreeSet};

use super::Step;
use crate::host::{Core, Host};
use crate::sets::{CpuSet, NodeSet};
use crate::units::{CoreId, PcpuId};
use crate::usage::{Claim, Usage};

/// Finds pCPUs for `held` among those that `usage`, in which the VM has none, leaves free. What
/// can stay stays, and the others stay on their nodes as far as there is room.
///
/// Core by core: siblings stay siblings, a core that the VM has whole becomes one that it has whole,
/// and of others a sibling may be another tenant's, as before. `None` where there is no room.
pub(super) fn repin(host: &Host, usage: &Usage, tenant: &str, held: &Claim) -> Option<Step> {
    let kept = host.housekeeping();
    let taken = usage.dedicated();
    let mut free = host.allowed().difference(taken).difference(&kept);
    let mut cores: BTreeMap<CoreId, (&Core, Vec<PcpuId>)> = BTreeMap::new();
    for pcpu in held.dedicated.iter() {
        let core = host.core_of(pcpu)?;
        cores.entry(core.id).or_insert_with(|| (core, Vec::new())).1.push(pcpu);
    }
    let is_whole = |core: &Core, own: &[PcpuId]| {
        core.pcpus.iter().all(|p| own.contains(p) || !host.allowed().contains(*p))
    };
    // Those that can stay do.
    let (mut dedicated, mut moves) = (CpuSet::new(), Vec::new());
    let (mut leaving, mut used) = (Vec::new(), BTreeSet::new());
    for (core, own) in cores.into_values() {
        let whole = is_whole(core, &own);
        let closed = whole && core.pcpus.iter().any(|pcpu| taken.contains(*pcpu));
        if !closed && own.iter().all(|pcpu| !taken.contains(*pcpu)) {
            used.insert(core.id);
            for pcpu in own {
                free.remove(pcpu);
                dedicated.insert(pcpu);
            }
        } else {
            leaving.push((core, own, whole));
        }
    }
    // The largest parts first, and whole cores before parts of some.
    leaving.sort_by_key(|(core, own, whole)| (!whole, usize::MAX - own.len(), core.id));
    for (from, own, whole) in leaving {
        let room = |core: &&Core| {
            let usable = core.pcpus.iter().filter(|pcpu| free.contains(**pcpu)).count();
            let allowed = core.pcpus.iter().filter(|pcpu| host.allowed().contains(**pcpu)).count();
            let fits = if whole { own.len() == usable } else { own.len() <= usable };
            // Of what is shared, the fullest core goes first: whole ones stay whole.
            (fits && (!whole || usable == allowed)).then_some(usable)
        };
        let near = |core: &Core| host.distance(from.node, core.node);
        // Two guest cores on one core of the host would be siblings that the guest does not know.
        let open = host.cores().iter().filter(|core| !used.contains(&core.id));
        let target = open.filter_map(|core| Some((room(&core)?, core)));
        let target = target.min_by_key(|(usable, core)| {
            (core.node != from.node, near(core), core.kind != from.kind, *usable, core.id)
        });
        let (_, core) = target?;
        used.insert(core.id);
        let to: Vec<PcpuId> = core
            .pcpus
            .iter()
            .copied()
            .filter(|pcpu| free.contains(*pcpu))
            .take(own.len())
            .collect();
        for (old, new) in own.into_iter().zip(to) {
            free.remove(new);
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
    // What it shares it keeps sharing, but for what it has for itself now.
    let floating = held.floating.difference(&dedicated);
    let claim = Box::new(Claim { dedicated, floating, ..held.clone() });
    let vfio = !held.devices.is_empty();
    Some(Step::Repin { tenant: tenant.to_owned(), moves, claim, left_behind, vfio })
}
