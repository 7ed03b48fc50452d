//! The ordinary memory that the host has left beside the VM, and what its emulator takes of it.

use super::warning::Warning;
use crate::host::Host;
use crate::placement::{Placement, Style};
use crate::units::{Bytes, NodeId};
use crate::usage::Usage;

const MIB: u64 = 1 << 20;

/// What QEMU takes of the host's ordinary memory beside the guest's memory, whatever pages that is
/// in: an estimate, rounded up to whole MiB.
///
/// 30 MiB for the process, 8 MiB for each vCPU, each I/O thread and the main one, a 512th of the
/// memory for page tables, and 1 GiB with passthrough, for the mapping of devices. These are the
/// terms of KubeVirt's `GetMemoryOverhead` without those of its own processes and of video memory.
/// Other managers count less: Nova leaves all of it to `reserved_host_memory_mb`, 512 MiB a host.
fn emulator_overhead(placement: &Placement) -> Bytes {
    let threads = placement.vcpus.len() + placement.iothreads.len() + 1;
    let tables = placement.memory().0.div_ceil(512);
    let vfio = if placement.devices.is_empty() { 0 } else { 1024 * MIB };
    let sum = 30 * MIB + 8 * MIB * threads as u64 + vfio;
    Bytes(sum.saturating_add(tables).div_ceil(MIB).saturating_mul(MIB))
}

/// The warnings about the ordinary memory of the VM's nodes.
pub(super) fn left(host: &Host, usage: &Usage, placement: &Placement, all: &mut Vec<Warning>) {
    if placement.style == Style::Default {
        return;
    }
    let overhead = emulator_overhead(placement);
    let (mut left, mut is_base) = (Vec::new(), false);
    for node in host.nodes().iter().filter(|node| placement.nodes().contains(node.id)) {
        let Some(pool) = node.base_pool().filter(|pool| pool.total > 0) else { continue };
        let cells = placement.cells.iter().filter(|cell| cell.page_size == pool.size);
        let taken = cells.flat_map(|cell| &cell.pages).filter(|(id, _)| *id == node.id);
        let taken: u64 = taken.map(|(_, pages)| pages).sum();
        is_base |= taken > 0;
        let free = usage.free_pages(host, node.id, pool.size).saturating_sub(taken);
        let free = free.saturating_mul(pool.size.bytes()) / MIB * MIB;
        left.push((node.id, Bytes(free)));
    }
    let sum =
        left.iter().fold(0, |sum: u64, (_, free): &(NodeId, Bytes)| sum.saturating_add(free.0));
    if is_base {
        all.push(Warning::LeftForHost { left, overhead });
    } else if !left.is_empty() && sum < overhead.0 {
        all.push(Warning::LittleForEmulator { left, overhead });
    }
}
