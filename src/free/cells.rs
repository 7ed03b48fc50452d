//! VMs of several equal cells, counted over plain numbers.

use smallvec::SmallVec;

/// The largest number of VMs with `k` cells each, on `k` distinct nodes, if node i has room for
/// `room[i]` cells: the largest n such that the sum of min(`room[i]`, n) is at least k n. It equals
/// the minimum, over r from 0 to k - 1, of the sum of all but the r largest `room[i]`, divided by k
/// - r: even if the r largest nodes serve every VM, the others must supply k - r cells of each.
pub(crate) fn vms_of_cells(room: impl Iterator<Item = u64>, k: usize) -> u64 {
    let mut room: SmallVec<[u64; 64]> = room.collect();
    room.sort_unstable_by(|a, b| b.cmp(a));
    let mut rest: u128 = room.iter().map(|b| u128::from(*b)).sum();
    let mut least = u128::MAX;
    for taken in 0..k {
        least = least.min(rest / (k - taken) as u128);
        rest -= room.get(taken).map_or(0, |b| u128::from(*b));
    }
    u64::try_from(least).unwrap_or(u64::MAX)
}
