//! What a placement takes from the host.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::engine::cost::SLOT_SIZES;
use crate::engine::recommend::Ranked;
use crate::host::Host;
use crate::placement::Style;
use crate::sets::CpuSet;
use crate::units::{NodeId, PageSize};
use crate::usage::{Claim, Usage};

/// The cores that the VM takes, with the pCPUs of its emulator threads; its pCPUs, where it leaves
/// siblings of its vCPUs to others.
fn pcpus(host: &Host, usage: &Usage, best: &Ranked) -> String {
    let placement = &best.placement;
    let own = match placement.emulator_own.len() {
        0 => String::new(),
        1 => format!(" and pCPU {} for the emulator threads", placement.emulator_own),
        _ => format!(" and pCPUs {} for the emulator threads", placement.emulator_own),
    };
    if placement.style.floats() {
        let shared = placement.vcpu_pcpus();
        let vcpus = placement.vcpus.len();
        let vcpus =
            if vcpus == 1 { "1 vCPU shares".to_owned() } else { format!("{vcpus} vCPUs share") };
        return format!("{vcpus} pCPUs {shared}{own}");
    }
    if placement.dedicated && !best.profile.whole_cores {
        let free = host.allowed().difference(usage.dedicated()).difference(&host.kept().cpus);
        let close = |free: CpuSet, (_, claim): (_, &Claim)| free.difference(&claim.closes(host));
        let free = usage.tenants().fold(free, close);
        let taken = placement.vcpu_pcpus().union(&placement.idle);
        return format!("{} of {} free pCPUs{own}", taken.len(), free.len());
    }
    let (taken, free) = best.cost.cores;
    // Cores that others have pCPUs of are taken too, and were not free.
    if taken > free {
        return format!(
            "{taken} cores{own}, though {free} were free: others are shared with tenants"
        );
    }
    format!("{taken} of {free} free cores{own}")
}

/// The line of the cost.
pub(super) fn cost(text: &mut String, host: &Host, usage: &Usage, best: &Ranked) {
    if best.placement.style == Style::Default {
        text.push_str("Cost to the host: nothing is dedicated to the VM.\n");
        return;
    }
    let mut parts = vec![pcpus(host, usage, best)];
    let mut pages: BTreeMap<(NodeId, PageSize), u64> = BTreeMap::new();
    for cell in &best.placement.cells {
        for (node, count) in &cell.pages {
            *pages.entry((*node, cell.page_size)).or_default() += count;
        }
    }
    for ((node, size), count) in pages {
        let free = usage.free_pages(host, node, size);
        parts.push(format!("{count} of {free} free {size} pages on node {node}"));
    }
    let mut slots = Vec::new();
    let counts = best.cost.slots_before.iter().zip(&best.cost.slots_after);
    for (size, (before, after)) in SLOT_SIZES.iter().zip(counts) {
        if before > after && !host.gpus().is_empty() {
            slots.push(format!("{size}-GPU slots from {before} to {after}"));
        }
    }
    if !slots.is_empty() {
        parts.push(slots.join(", "));
    }
    _ = writeln!(text, "Cost to the host: {}.", parts.join("; "));
}
