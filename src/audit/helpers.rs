//! Rules about emulator and I/O threads.

use super::facts::Facts;
use super::scene::Scene;
use crate::sets::CpuSet;

/// The facts, if there are pCPUs.
fn about(facts: Facts) -> Option<Facts> {
    (!facts.pcpus.is_empty()).then_some(facts)
}

/// Whether threads without pins may run on the vCPUs' pCPUs: every vCPU is pinned, and the kernel
/// does not isolate all of their pCPUs, to which its scheduler would move nothing.
fn may_disturb(scene: &Scene<'_>) -> bool {
    let isolated = scene.pinned.is_subset(scene.host.isolated());
    scene.all_pinned() && !isolated && !scene.host.emulators_roam() && !scene.domain.placed_by_numad
}

pub(super) fn emulator_on_vcpus(scene: &Scene<'_>) -> Option<Facts> {
    let pcpus = scene.domain.emulator.intersection(&scene.pinned);
    about(Facts { vcpus: scene.pinned_to(&pcpus), pcpus, ..Facts::default() })
}

pub(super) fn emulator_anywhere(scene: &Scene<'_>) -> Option<Facts> {
    let nowhere = scene.domain.emulator.is_empty() && may_disturb(scene);
    about(Facts { pcpus: scene.pinned.clone(), ..Facts::default() }).filter(|_| nowhere)
}

pub(super) fn iothreads_on_vcpus(scene: &Scene<'_>) -> Option<Facts> {
    let on = scene.domain.iothreads.iter().filter(|(_, set)| set.intersects(&scene.pinned));
    let (mut iothreads, mut pcpus) = (Vec::new(), CpuSet::new());
    for (id, set) in on {
        iothreads.push(*id);
        pcpus.extend(&set.intersection(&scene.pinned));
    }
    about(Facts { vcpus: scene.pinned_to(&pcpus), iothreads, pcpus, ..Facts::default() })
}

pub(super) fn iothreads_anywhere(scene: &Scene<'_>) -> Option<Facts> {
    let free = scene.domain.iothreads.iter().filter(|(_, set)| set.is_empty());
    let iothreads: Vec<u32> = free.map(|(id, _)| *id).collect();
    let some = !iothreads.is_empty() && may_disturb(scene);
    about(Facts { iothreads, pcpus: scene.pinned.clone(), ..Facts::default() }).filter(|_| some)
}

pub(super) fn on_tenants(scene: &Scene<'_>) -> Option<Facts> {
    let held = scene.usage.dedicated();
    let mut pcpus = scene.domain.emulator.intersection(held);
    let on = scene.domain.iothreads.iter().filter(|(_, set)| set.intersects(held));
    let mut iothreads = Vec::new();
    for (id, set) in on {
        iothreads.push(*id);
        pcpus.extend(&set.intersection(held));
    }
    about(Facts { tenants: scene.holders(&pcpus), iothreads, pcpus, ..Facts::default() })
}
