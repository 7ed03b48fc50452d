//! Rules about the pCPUs of vCPUs.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use super::scene::{Best, Scene};
use crate::host::Reserve;
use crate::sets::{CpuSet, VcpuSet};
use crate::units::{CoreId, Id as _, VcpuId};

/// The facts, if they name a vCPU.
fn about(facts: Facts) -> Option<Facts> {
    (!facts.vcpus.is_empty()).then_some(facts)
}

/// These pCPUs with the vCPUs that are held to their cores.
fn at(scene: &Scene<'_>, pcpus: CpuSet) -> Facts {
    let vcpus = scene.vcpus(|set| set.intersects(&pcpus) && scene.core_of(set).is_some());
    Facts { vcpus, pcpus, ..Facts::default() }
}

fn number(n: usize) -> Option<u64> {
    u64::try_from(n).ok()
}

pub(super) fn unusable(scene: &Scene<'_>) -> Option<Facts> {
    let usable = scene.host.allowed();
    let lost = |set: &CpuSet| !set.is_empty() && !set.intersects(usable);
    let pcpus = scene.domain.vcpus.iter().filter(|set| lost(set));
    let pcpus = pcpus.fold(CpuSet::new(), |all, set| all.union(set));
    about(Facts { vcpus: scene.vcpus(lost), pcpus, ..Facts::default() })
}

pub(super) fn on_tenants(scene: &Scene<'_>) -> Option<Facts> {
    let held = scene.pinned.intersection(scene.usage.dedicated());
    let tenants = scene.holders(&held);
    about(Facts { tenants, ..at(scene, held) })
}

pub(super) fn floats_over_tenants(scene: &Scene<'_>) -> Option<Facts> {
    let held = scene.usage.dedicated();
    let everywhere = !scene.domain.placed_by_numad && !held.is_empty();
    let over = |set: &CpuSet| match set.is_empty() {
        true => everywhere,
        false => set.len() > 1 && set.intersects(held),
    };
    let vcpus = scene.vcpus(over);
    let all = vcpus.iter().map(|vcpu| &scene.domain.vcpus[vcpu.0 as usize]);
    let pcpus = all.fold(CpuSet::new(), |all, set| match set.is_empty() {
        true => held.clone(),
        false => all.union(&set.intersection(held)),
    });
    let tenants = scene.holders(&pcpus);
    about(Facts { vcpus, pcpus, tenants, ..Facts::default() })
}

pub(super) fn on_reserved(scene: &Scene<'_>) -> Option<Facts> {
    let reserved = match &scene.host.description().reserved {
        Reserve::These(reserved) => reserved,
        Reserve::Auto | Reserve::None => return None,
    };
    let pcpus = scene.stated.intersection(reserved);
    let vcpus = scene.vcpus(|set| set.intersects(reserved));
    about(Facts { vcpus, pcpus, ..Facts::default() })
}

pub(super) fn starved(scene: &Scene<'_>) -> Option<Facts> {
    let host = scene.host;
    let taken = scene.pinned.union(scene.usage.dedicated());
    let left = host.online().difference(&taken);
    let starved = left.is_empty() && !host.emulators_roam() && host.cores().len() > 1;
    about(at(scene, scene.pinned.clone())).filter(|_| starved)
}

pub(super) fn shared(scene: &Scene<'_>) -> Option<Facts> {
    let (mut once, mut twice) = (CpuSet::new(), CpuSet::new());
    for pcpu in scene.single.iter().copied().flatten() {
        if !once.insert(pcpu) {
            twice.insert(pcpu);
        }
    }
    let must = scene.best.as_ref().is_some_and(|best| !best.ranked.placement.dedicated);
    about(at(scene, twice)).filter(|_| !must)
}

/// The host core of each vCPU that is held to one, by guest core.
fn guest_cores(scene: &Scene<'_>) -> Vec<Vec<(VcpuId, CoreId)>> {
    let threads = scene.domain.topology.threads.max(1) as usize;
    let of = |(vcpu, set): (u32, &CpuSet)| Some((VcpuId(vcpu), scene.core_of(set)?));
    let all: Vec<_> = (0..VcpuId::LIMIT).zip(&scene.domain.vcpus).map(of).collect();
    all.chunks(threads).map(|core| core.iter().copied().flatten().collect()).collect()
}

pub(super) fn siblings_apart(scene: &Scene<'_>) -> Option<Facts> {
    let mut vcpus = VcpuSet::new();
    for core in guest_cores(scene) {
        if core.iter().any(|(_, id)| *id != core[0].1) {
            vcpus.extend(&core.iter().map(|(vcpu, _)| *vcpu).collect());
        }
    }
    let pcpus = pcpus_of(scene, &vcpus);
    about(Facts { vcpus, pcpus, ..Facts::default() })
}

pub(super) fn siblings_hidden(scene: &Scene<'_>) -> Option<Facts> {
    let must = scene.best.as_ref().is_some_and(|best| best.ranked.profile.hides_siblings());
    if must || siblings_apart(scene).is_some() || shared(scene).is_some() {
        return None;
    }
    let mut on: BTreeMap<CoreId, Vec<(usize, VcpuId)>> = BTreeMap::new();
    for (core, at) in guest_cores(scene).iter().zip(0..) {
        for (vcpu, id) in core {
            on.entry(*id).or_default().push((at, *vcpu));
        }
    }
    let mixed = on.values().filter(|vcpus| vcpus.iter().any(|(core, _)| *core != vcpus[0].0));
    let vcpus: VcpuSet = mixed.flatten().map(|(_, vcpu)| *vcpu).collect();
    let pcpus = pcpus_of(scene, &vcpus);
    about(Facts { vcpus, pcpus, ..Facts::default() })
}

fn pcpus_of(scene: &Scene<'_>, vcpus: &VcpuSet) -> CpuSet {
    let sets = vcpus.iter().map(|vcpu| &scene.domain.vcpus[vcpu.0 as usize]);
    sets.fold(CpuSet::new(), |all, set| all.union(set))
}

/// The engine's answer for a domain whose vCPUs are held to a core each, if it is pinned too.
fn beside<'s>(scene: &'s Scene<'_>) -> Option<&'s Best> {
    let best = scene.best.as_ref()?;
    let narrow = scene.domain.vcpus.iter().all(|set| scene.core_of(set).is_some());
    (narrow && best.ranked.placement.dedicated).then_some(best)
}

/// A number that the engine's answer has less of.
fn fewer(scene: &Scene<'_>, found: usize, right: usize, pcpus: &CpuSet) -> Option<Facts> {
    let (found, right) = (number(found), number(right));
    about(Facts { found, right, ..at(scene, pcpus.clone()) }).filter(|_| right < found)
}

pub(super) fn low_power(scene: &Scene<'_>) -> Option<Facts> {
    let (own, best) = (&scene.span.low_power, &beside(scene)?.span.low_power);
    fewer(scene, own.len(), best.len(), own)
}

pub(super) fn efficiency(scene: &Scene<'_>) -> Option<Facts> {
    let best = &beside(scene)?.span;
    let own = &scene.span.efficiency;
    let all = scene.span.kinds == 1;
    fewer(scene, own.len(), best.efficiency.len() + best.low_power.len(), own).filter(|_| all)
}

pub(super) fn mixed_kinds(scene: &Scene<'_>) -> Option<Facts> {
    let best = &beside(scene)?.span;
    let own = scene.span.efficiency.union(&scene.span.low_power);
    let better =
        best.kinds < scene.span.kinds || best.efficiency.len() + best.low_power.len() < own.len();
    let (found, right) = (number(scene.span.kinds), number(best.kinds));
    let mixed = scene.span.kinds > 1 && better && low_power(scene).is_none();
    about(Facts { found, right, ..at(scene, own) }).filter(|_| mixed)
}

pub(super) fn floats_on_isolated(scene: &Scene<'_>) -> Option<Facts> {
    let isolated = scene.host.isolated();
    let over = |set: &CpuSet| set.len() > 1 && set.intersects(isolated);
    let pcpus = scene.domain.vcpus.iter().filter(|set| over(set));
    let pcpus = pcpus.fold(CpuSet::new(), |all, set| all.union(&set.intersection(isolated)));
    about(Facts { vcpus: scene.vcpus(over), pcpus, ..Facts::default() })
}

pub(super) fn not_isolated(scene: &Scene<'_>) -> Option<Facts> {
    let best = &beside(scene)?.span.open;
    let isolates = !scene.host.isolated().is_empty() && scene.all_pinned();
    let own = &scene.span.open;
    fewer(scene, own.len(), best.len(), own).filter(|_| isolates)
}

/// Whether the domain is deliberately spread over its nodes: the guest sees them as cells, or its
/// pages are interleaved over them.
fn is_spread(scene: &Scene<'_>) -> bool {
    use super::as_is::Binding;
    let interleaves = |binding: &Binding| *binding == Binding::Interleave;
    let domain = scene.domain;
    let shown = domain.shows_cells && domain.cells.len() >= scene.span.nodes.len();
    shown || domain.cells.iter().any(|cell| interleaves(&cell.binding))
}

pub(super) fn many_nodes(scene: &Scene<'_>) -> Option<Facts> {
    let best = scene.best.as_ref().filter(|_| scene.all_stated())?;
    let narrow = scene.domain.vcpus.iter().all(|set| scene.core_of(set).is_some());
    let matters = narrow || scene.domain.is_held_by_vfio();
    let (nodes, right_nodes) = (scene.span.nodes.clone(), best.span.nodes.clone());
    let (found, right) = (number(nodes.len()), number(right_nodes.len()));
    let vcpus = scene.vcpus(|set| !set.is_empty());
    let facts = Facts { vcpus, nodes, right_nodes, found, right, ..Facts::default() };
    about(facts).filter(|_| matters && right < found && !is_spread(scene))
}

pub(super) fn many_packages(scene: &Scene<'_>) -> Option<Facts> {
    let best = beside(scene)?;
    let nodes = scene.span.nodes.len() > best.span.nodes.len();
    let (own, right) = (scene.span.packages.len(), best.span.packages.len());
    fewer(scene, own, right, &scene.stated).filter(|_| !nodes && !is_spread(scene))
}

pub(super) fn many_l3(scene: &Scene<'_>) -> Option<Facts> {
    let best = beside(scene)?;
    let parts = |span: &super::scene::Span| (span.nodes.len(), span.packages.len());
    let same = parts(&scene.span) == parts(&best.span);
    // A VM on fewer cores can be in fewer domains at the price of cores.
    let cores = scene.domain.vcpus.iter().filter_map(|set| scene.core_of(set));
    let cores = cores.collect::<BTreeSet<_>>().len();
    let work = best.ranked.profile.work;
    let right = (work.performance + work.efficiency + work.low_power) as usize;
    let facts = fewer(scene, scene.span.l3.len(), best.span.l3.len(), &scene.stated);
    facts.filter(|_| same && cores <= right)
}

pub(super) fn small_cache(scene: &Scene<'_>) -> Option<Facts> {
    let best = beside(scene)?;
    let (found, right) = (scene.span.smallest_cache?, best.span.smallest_cache?);
    let unequal = scene.host.derived().unequal_caches && best.span.l3.len() == 1;
    let facts = Facts { found: Some(found), right: Some(right), ..at(scene, scene.stated.clone()) };
    about(facts).filter(|_| unequal && found < right && scene.span.l3.len() == 1)
}

pub(super) fn crowded(scene: &Scene<'_>) -> Option<Facts> {
    let best = &beside(scene)?.span.crowded;
    let own = &scene.span.crowded;
    let tenants = scene.floaters(own);
    let facts = fewer(scene, own.len(), best.len(), own).filter(|_| scene.all_pinned())?;
    Some(Facts { tenants, ..facts })
}

pub(super) fn unpinned(scene: &Scene<'_>) -> Option<Facts> {
    let host = scene.host;
    let matters = host.nodes().len() > 1 || host.l3_domains().len() > 1 || host.derived().hybrid;
    let vcpus = scene.vcpus(CpuSet::is_empty);
    let some = scene.domain.is_held_by_vfio() || vcpus.len() < scene.domain.vcpus.len();
    let facts = about(Facts { vcpus, ..Facts::default() });
    facts.filter(|_| matters && some && !scene.domain.placed_by_numad)
}

pub(super) fn quota(scene: &Scene<'_>) -> Option<Facts> {
    about(at(scene, scene.pinned.clone())).filter(|_| scene.domain.quota)
}
