//! Which sets of nodes are tried, and how a VM is shared out over one.

use std::rc::Rc;

use crate::host::mask::NodeMask;

/// The largest number of node sets of one size that are all tried. If there are more, sets are
/// grown from every node, and the answer says that the search was cut.
pub(crate) const MAX_SETS: u64 = 4096;

/// Sets of one size, and whether they are all there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subsets {
    pub(crate) masks: Vec<NodeMask>,
    pub(crate) complete: bool,
}

/// The nodes with their room, the size of the sets, and the sets.
type OfSize = (Vec<(usize, u64)>, usize, Rc<Subsets>);

/// Node sets that were grown, for another pass with the same room on the same nodes.
#[derive(Debug, Default)]
pub(crate) struct Grown(Vec<OfSize>);

impl Grown {
    /// The sets of `size` nodes, from `grow` unless they are known. All sets of a size are not
    /// kept: they are made as fast.
    pub(crate) fn get_or_grow(
        &mut self,
        nodes: &[usize],
        size: usize,
        room: impl Fn(usize) -> u64,
        grow: impl FnOnce() -> Subsets,
    ) -> Rc<Subsets> {
        let rooms = || nodes.iter().map(|at| (*at, room(*at)));
        let same = |(of, n, _): &&OfSize| *n == size && of.iter().copied().eq(rooms());
        if let Some((.., known)) = self.0.iter().find(same) {
            return Rc::clone(known);
        }
        let grown = Rc::new(grow());
        if !grown.complete {
            self.0.push((rooms().collect(), size, Rc::clone(&grown)));
        }
        grown
    }
}

/// The number of subsets with `size` members of a set of `n`, saturating.
fn binomial(n: u64, size: u64) -> u64 {
    let mut result: u64 = 1;
    for i in 0..size.min(n - size) {
        result = result.saturating_mul(n - i) / (i + 1);
    }
    result
}

/// The subsets of `nodes` with `size` members, all of them up to [`MAX_SETS`]. Beyond, for each
/// node, and for each of the `wanted` sets, it and its nearest neighbours by `distance`, and it and
/// those with the most `room`.
pub(crate) fn subsets(
    nodes: &[usize],
    size: usize,
    wanted: impl Iterator<Item = NodeMask>,
    distance: impl Fn(usize, usize) -> u8,
    room: impl Fn(usize) -> u64,
) -> Subsets {
    if size == 0 || size > nodes.len() {
        return Subsets { masks: Vec::new(), complete: true };
    }
    let all = binomial(nodes.len() as u64, size as u64);
    if all <= MAX_SETS {
        return Subsets { masks: combinations(nodes, size, all), complete: true };
    }
    let (mut masks, mut others) = (Vec::new(), Vec::with_capacity(nodes.len()));
    // A GPU set on no known node seeds no node set, and one on a single node none of its own.
    let wanted = wanted.filter(|seed| (2..=size).contains(&(seed.len() as usize)));
    for seed in nodes.iter().map(|node| NodeMask::one(*node)).chain(wanted) {
        let Some(first) = seed.first() else { continue };
        let wanted = size - seed.len() as usize;
        if wanted == 0 {
            masks.push(seed);
            continue;
        }
        for by_room in [false, true] {
            let outside = |n: &usize| !seed.contains(*n);
            let key = |n: &usize| {
                let near = u64::from(distance(first, *n));
                let spare = u64::MAX - room(*n);
                if by_room { (spare, near, *n) } else { (near, spare, *n) }
            };
            others.clear();
            others.extend(nodes.iter().filter(|n| outside(n)).map(key));
            // Only the members matter, not their order.
            if (1..others.len()).contains(&wanted) {
                others.select_nth_unstable(wanted - 1);
            }
            masks.push(others.iter().take(wanted).fold(seed, |mask, (.., at)| mask.with(*at)));
        }
    }
    masks.sort_unstable();
    masks.dedup();
    Subsets { masks, complete: false }
}

/// All `number` subsets of this size, in the order of their members.
fn combinations(nodes: &[usize], size: usize, number: u64) -> Vec<NodeMask> {
    let mut masks = Vec::with_capacity(usize::try_from(number).unwrap_or(0));
    let mut chosen: Vec<usize> = (0..size).collect();
    loop {
        let (last, others) = chosen.split_last().expect("a subset has a member");
        let others: NodeMask = others.iter().map(|at| nodes[*at]).collect();
        masks.extend((*last..nodes.len()).map(|last| others.with(nodes[last])));
        let next = (0..size - 1).rev().find(|i| chosen[*i] < nodes.len() - size + i);
        let Some(at) = next else { return masks };
        let first = chosen[at] + 1;
        chosen.splice(at.., first..first + size - at);
    }
}

/// Shares `total` units out by weight, no more than `caps` each and, if asked, at least one each,
/// and adds the shares to `to`. What a full place cannot take goes to those with the most room.
/// Whether it fits; nothing is added where it does not.
pub(crate) fn share_out(
    total: u64,
    caps: &[u64],
    weights: &[u64],
    one_each: bool,
    to: &mut Vec<u64>,
) -> bool {
    let least = u64::from(one_each);
    let needed = least * caps.len() as u64;
    let room = caps.iter().fold(0_u64, |room, cap| room.saturating_add(*cap));
    if total > room || total < needed || caps.iter().any(|cap| *cap < least) {
        return false;
    }
    let sum = weights.iter().map(|w| u128::from(*w)).sum::<u128>().max(1);
    let ideal = |weight: u64| match (total.checked_mul(weight), u64::try_from(sum)) {
        (Some(product), Ok(sum)) => product / sum,
        _ => u64::try_from(u128::from(total) * u128::from(weight) / sum).unwrap_or(u64::MAX),
    };
    let first = to.len();
    to.extend(caps.iter().zip(weights).map(|(cap, w)| ideal(*w).clamp(least, (*cap).max(least))));
    let shares = &mut to[first..];
    loop {
        let held: u64 = shares.iter().sum();
        if held == total {
            return true;
        }
        if held > total {
            // Only the "at least one" can overshoot: take from the largest.
            let at = (0..shares.len()).max_by_key(|at| (shares[*at], usize::MAX - at));
            let Some(at) = at else { return false };
            shares[at] -= (held - total).min(shares[at] - least);
            continue;
        }
        // Level the rest over those with room: by as much as every one of them can take.
        let open = |shares: &[u64], at: &usize| shares[*at] < caps[*at];
        let number = (0..shares.len()).filter(|at| open(shares, at)).count() as u64;
        let each = (total - held) / number;
        if each == 0 {
            let spare = |at: &usize| (caps[*at] - shares[*at], usize::MAX - *at);
            let at = (0..shares.len()).filter(|at| open(shares, at)).max_by_key(spare);
            let Some(at) = at else { return false };
            shares[at] += 1;
        } else {
            for (share, cap) in shares.iter_mut().zip(caps) {
                *share += each.min(cap - *share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sets_are_complete_and_large_ones_are_cut() {
        let nodes: Vec<usize> = (0..6).collect();
        let all = subsets(&nodes, 3, std::iter::empty(), |_, _| 20, |_| 1);
        assert!(all.complete && all.masks.len() == 20);
        let nodes: Vec<usize> = (0..64).collect();
        let near = |a: usize, b: usize| {
            assert!(a < 64 && b < 64, "nodes only");
            if a / 8 == b / 8 { 12 } else { 32 }
        };
        let last: NodeMask = [62, 63].into_iter().collect();
        let cut = subsets(&nodes, 8, [last, NodeMask::EMPTY].into_iter(), near, |_| 1);
        assert!(!cut.complete && cut.masks.contains(&(0..8).collect()) && cut.masks.len() <= 130);
        assert!(cut.masks.contains(&(56..64).collect()));
    }

    fn shares(total: u64, caps: &[u64], weights: &[u64], one_each: bool) -> Option<Vec<u64>> {
        let mut shares = Vec::new();
        share_out(total, caps, weights, one_each, &mut shares).then_some(shares)
    }

    #[test]
    fn shares_follow_weights_and_room() {
        assert_eq!(shares(32, &[40, 40], &[1, 1], true), Some(vec![16, 16]));
        assert_eq!(shares(33, &[40, 41], &[1, 1], true), Some(vec![16, 17]));
        assert_eq!(shares(32, &[10, 40], &[1, 1], true), Some(vec![10, 22]));
        assert_eq!(shares(32, &[40, 40], &[3, 1], true), Some(vec![24, 8]));
        assert_eq!(shares(2, &[9, 9], &[100, 0], true), Some(vec![1, 1]));
        assert_eq!(shares(20, &[10, 9], &[1, 1], true), None);
        assert_eq!(shares(5, &[9, 0], &[1, 1], true), None);
        assert_eq!(shares(5, &[9, 0], &[1, 1], false), Some(vec![5, 0]));
    }
}
