//! Which devices are near which GPUs: the choice of devices that a request asks for by kind.
//!
//! Parts of a host are nested: a switch is below one root port, a root port in one root complex, a
//! root complex on one node. So pairs are made level by level, the smallest part first, and inside
//! a part it does not matter which GPU and which device are paired: no choice leaves fewer pairs at
//! that level, or at a larger one. Where a description has one root complex on several nodes, the
//! pairs of the level of nodes may be fewer than possible.

use crate::host::pci_place::{LEVELS, PciPlace};
use crate::request::{Nearness, WishNumber};

/// A pair: index into the GPUs, index into the devices, and the level at which they meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) gpu: usize,
    pub(crate) device: usize,
    pub(crate) level: usize,
}

/// The number of levels that count as near.
pub(crate) const fn levels(within: Nearness) -> usize {
    match within {
        Nearness::Switch => 2,
        Nearness::RootComplex => 3,
        Nearness::Node => LEVELS,
    }
}

/// Pairs GPUs with devices, at most `most` in all and at most `each` for one GPU, the nearest
/// first; of equals the first GPU, and for it the first device. Pairs that meet nowhere are not
/// made.
pub(crate) fn pairs(
    gpus: &[PciPlace],
    devices: &[PciPlace],
    most: usize,
    each: usize,
) -> Vec<Pair> {
    let mut made: Vec<Pair> = Vec::new();
    let (mut left, mut taken) = (vec![each; gpus.len()], vec![false; devices.len()]);
    for level in 0..LEVELS {
        // One for each GPU in turn, so that devices of one part are spread over its GPUs.
        let mut made_any = true;
        while made_any {
            made_any = false;
            for (gpu, place) in gpus.iter().enumerate() {
                if left[gpu] == 0 {
                    continue;
                }
                let meets = |at: &usize| !taken[*at] && place.meets(&devices[*at], level);
                let Some(device) = (0..devices.len()).find(meets) else { continue };
                if made.len() == most {
                    return made;
                }
                made.push(Pair { gpu, device, level });
                (taken[device], made_any) = (true, true);
                left[gpu] -= 1;
            }
        }
    }
    made
}

/// The number of devices that are farther from their GPUs than `within` allows. With one device for
/// each GPU, a device without a GPU of its own is far.
pub(crate) fn apart(
    number: WishNumber,
    within: Nearness,
    gpus: &[PciPlace],
    devices: &[PciPlace],
) -> usize {
    let near = match number {
        WishNumber::PerGpu => {
            let all = pairs(gpus, devices, devices.len(), 1);
            all.iter().filter(|pair| pair.level < levels(within)).count()
        }
        WishNumber::Count(_) => {
            let level = |device: &PciPlace| gpus.iter().map(|gpu| gpu.level(device)).min();
            let near = |device: &&PciPlace| level(device).is_some_and(|at| at < levels(within));
            devices.iter().filter(near).count()
        }
    };
    devices.len() - near
}

/// The devices for GPUs: indices into `devices`, and the sum of the levels at which they meet their
/// GPUs. Where too few are near, the first of the others follow.
pub(crate) fn choose(
    number: WishNumber,
    count: usize,
    gpus: &[PciPlace],
    devices: &[PciPlace],
) -> (Vec<usize>, usize) {
    let each = if number == WishNumber::PerGpu { 1 } else { count };
    let made = pairs(gpus, devices, count, each);
    let mut levels: usize = made.iter().map(|pair| pair.level).sum();
    let mut chosen: Vec<usize> = made.into_iter().map(|pair| pair.device).collect();
    for at in 0..devices.len() {
        if chosen.len() < count && !chosen.contains(&at) {
            chosen.push(at);
            levels += LEVELS;
        }
    }
    (chosen, levels)
}
