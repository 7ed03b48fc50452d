//! The ways to choose GPUs: which of them are alike, every way to take some, and what a choice
//! breaks for others.

use smallvec::SmallVec;

use crate::engine::gpu_set::GpuSetFold;
use crate::engine::profile::count;
use crate::host::Host;
use crate::host::derived::GpuFacts;
use crate::host::function::Loss;
use crate::host::mask::GpuMask;

/// The most sets that are looked at; beyond that GPUs of one kind in one place count as equal,
/// and then the search stops here and says so.
pub(super) const MAX_SETS: usize = 1024;

/// GPUs in classes of equal ones.
pub(super) type Classes = SmallVec<[GpuMask; 16]>;

/// The GPUs that every set of `size` GPUs with the smallest loss has, and those that the rest is
/// chosen from. A set may have no GPU with a larger loss than one that it leaves out.
pub(super) fn least_loss(host: &Host, eligible: GpuMask, size: u32) -> (GpuMask, GpuMask) {
    let all = &host.derived().gpus;
    let of = |loss: &dyn Fn(Loss) -> bool| -> GpuMask {
        eligible.iter().filter(|at| loss(all[*at].loss)).collect()
    };
    let mut losses: SmallVec<[Loss; 16]> = eligible.iter().map(|at| all[at].loss).collect();
    losses.sort_unstable();
    let last = (size as usize).checked_sub(1).and_then(|at| losses.get(at).copied());
    match last {
        Some(last) => (of(&|loss| loss < last), of(&|loss| loss == last)),
        None => (GpuMask::EMPTY, eligible),
    }
}

/// Free groups that the set takes a part of and leaves a part of: switches count four times, nodes
/// twice, direct links and larger fabric partitions that end with it once each. Chosen by us: a
/// switch pair is the smallest thing that another VM could want whole. Where every two are linked,
/// every choice cuts as many links: only differences matter.
pub(super) fn broken(host: &Host, gpus: GpuMask, free: GpuMask) -> u32 {
    let derived = host.derived();
    let rest = free - gpus;
    let mut broken = 0;
    let (mut switches, mut nodes) = (GpuMask::EMPTY, GpuMask::EMPTY);
    for at in gpus.iter() {
        let gpu = &derived.gpus[at];
        // Each switch and node once, at its first GPU.
        if !switches.contains(at) && gpu.on_switch.intersects(rest) {
            broken += 4;
        }
        if !nodes.contains(at) && gpu.on_node.intersects(rest) {
            broken += 2;
        }
        switches |= gpu.on_switch;
        nodes |= gpu.on_node;
        broken += (gpu.linked & rest).len();
    }
    let larger = |p: &&GpuMask| p.len() > gpus.len();
    let lost = |p: &&GpuMask| p.is_subset(free) && p.intersects(gpus);
    broken + count(derived.partitions.iter().filter(|p| larger(p) && lost(p)).count())
}

/// GPUs of one model in one place: not quite equal, but what is told apart where not all sets can
/// be.
pub(super) fn alike(host: &Host, at: usize) -> GpuMask {
    let all = &host.derived().gpus;
    let gpu = &all[at];
    let same = |other: &usize| {
        let kind = |gpu: &GpuFacts| (gpu.degraded, gpu.slot, gpu.on_switch);
        kind(&all[*other]) == kind(gpu)
    };
    let mask = gpu.on_node & gpu.around & gpu.model;
    mask.iter().filter(same).collect()
}

/// The free GPUs in classes, by the first of each; `like` gives those that a GPU is like.
pub(super) fn classes(free: GpuMask, like: impl Fn(usize) -> GpuMask) -> Classes {
    let mut classes = Classes::new();
    let mut rest = free;
    while let Some(first) = rest.first() {
        let class = like(first) & rest;
        classes.push(class);
        rest -= class;
    }
    classes
}

/// Calls `add` with every way to take `size` GPUs more from the classes, the first of each class
/// first, until it says stop. Whether it went through them all.
pub(super) fn walk(
    all: &[GpuFacts],
    classes: &[GpuMask],
    size: u32,
    chosen: GpuSetFold,
    add: &mut impl FnMut(GpuSetFold) -> bool,
) -> bool {
    if size == 0 {
        return add(chosen);
    }
    let Some((class, rest)) = classes.split_first() else { return true };
    let others = rest.iter().map(|class| class.len()).sum::<u32>();
    let most = class.len().min(size);
    // What the other classes cannot give has to come from this one.
    let least = size.saturating_sub(others);
    (least..=most).rev().all(|taken| {
        let first = class.iter().take(taken as usize);
        let chosen = first.fold(chosen, |set, at| set.with(at, &all[at]));
        walk(all, rest, size - taken, chosen, add)
    })
}

/// The number of ways to take `size` GPUs from the classes, at most one more than [`MAX_SETS`].
pub(super) fn ways(classes: &[GpuMask], size: u32) -> usize {
    let size = size as usize;
    let mut ways: SmallVec<[usize; 16]> = SmallVec::from_elem(0, size + 1);
    ways[0] = 1;
    for class in classes {
        for sum in (1..=size).rev() {
            let most = sum.min(class.len() as usize);
            let more: usize = (1..=most).map(|taken| ways[sum - taken]).sum();
            ways[sum] = (ways[sum] + more).min(MAX_SETS + 1);
        }
    }
    ways[size]
}
