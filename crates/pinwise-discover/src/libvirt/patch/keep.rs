//! What of a domain is legal beside a placement and therefore stays: its sets of emulator and I/O
//! threads, and the order of siblings within a guest core.
//!
//! The checker decides what is legal: a kept set is tried in a copy of the placement.

use std::collections::BTreeMap;

use super::tune::Thread;
use pinwise::host::Host;
use pinwise::placement::Placement;
use pinwise::sets::CpuSet;
use pinwise::units::CoreId;
use pinwise::{Question, verify};

/// The placement with what of the domain's `pins` stays. `ids` are the ids of its I/O threads.
pub(super) fn kept(
    question: Question<'_>,
    placement: &Placement,
    pins: &BTreeMap<Thread, CpuSet>,
    ids: &[u32],
) -> Placement {
    let mut kept = placement.clone();
    siblings(&mut kept, pins);
    if kept.emulator_own.is_empty() {
        let host = question.host;
        // The domain may have I/O threads that the request does not ask for.
        let asked = question.request.spec().io_threads as usize;
        let legal = |set: &CpuSet| {
            let mut tried = Placement { emulator: set.clone(), ..placement.clone() };
            tried.iothreads.truncate(asked);
            is_apart(host, set, placement) && verify(question, &tried).is_ok()
        };
        if let Some(set) = pins.get(&Thread::Emulator).filter(|set| legal(set)) {
            kept.emulator.clone_from(set);
        }
        for (wanted, id) in kept.iothreads.iter_mut().zip(ids) {
            if let Some(set) = pins.get(&Thread::Io(*id)).filter(|set| legal(set)) {
                wanted.clone_from(set);
            }
        }
    }
    kept
}

/// Whether no pCPU of the set is on a core with a vCPU.
fn is_apart(host: &Host, set: &CpuSet, placement: &Placement) -> bool {
    let core = |pcpu| host.core_of(pcpu).map(|core| core.id);
    let with_vcpus: Vec<Option<CoreId>> = placement.vcpu_pcpus().iter().map(core).collect();
    !set.iter().map(core).any(|core| with_vcpus.contains(&core))
}

/// Siblings of one guest core stay in the domain's order if the core has the same pCPUs.
fn siblings(placement: &mut Placement, pins: &BTreeMap<Thread, CpuSet>) {
    let threads = placement.topology.threads as usize;
    if !placement.dedicated || threads < 2 {
        return;
    }
    for (core, wanted) in placement.vcpus.chunks_mut(threads).enumerate() {
        let first = u32::try_from(core * threads).unwrap_or(u32::MAX);
        let had = (first..).take(wanted.len()).map(|id| pins.get(&Thread::Vcpu(id)));
        let Some(had) = had.collect::<Option<Vec<&CpuSet>>>() else { continue };
        let all = |sets: &mut dyn Iterator<Item = &CpuSet>| {
            sets.fold(CpuSet::new(), |all, set| all.union(set))
        };
        let single = had.iter().all(|set| set.len() == 1);
        if single && all(&mut had.iter().copied()) == all(&mut wanted.iter()) {
            let had: Vec<CpuSet> = had.into_iter().cloned().collect();
            wanted.clone_from_slice(&had);
        }
    }
}
