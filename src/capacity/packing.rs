//! The search behind the exact count: the largest number of options that can be taken, each any
//! number of times, if every option takes one unit of each of some resources with limited units.

use std::collections::BTreeSet;

use super::count::Capacity;

/// A set of resources: 64 nodes and 64 groups of GPUs.
pub(super) type Resources = u128;

/// The largest number of options that the search visits before it gives up. Chosen by us: about a
/// tenth of a second.
const WORK: u64 = 20_000_000;
/// The largest number of positions that the search remembers.
const STATES: usize = 50_000;

/// A packing problem.
pub(super) struct Packing {
    /// The units of each resource, nodes first.
    pub(super) room: Vec<u64>,
    /// The number of resources that are nodes; they come first.
    pub(super) nodes: usize,
    /// For each option, the resources that it takes a unit of, at least one.
    pub(super) options: Vec<Resources>,
    /// An upper bound of the number of options.
    pub(super) upper: u64,
    /// Whether `options` is complete.
    pub(super) complete: bool,
}

fn bits(set: Resources) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(set), |rest| Some(rest & rest.wrapping_sub(1)))
        .take_while(|rest| *rest != 0)
        .map(|rest| rest.trailing_zeros() as usize)
}

/// The resources that have units left.
fn open(room: &[u64]) -> Resources {
    let left = room.iter().enumerate().filter(|(_, units)| **units > 0);
    left.fold(0, |set, (at, _)| set | (1 << at))
}

fn least(room: &[u64], option: Resources) -> u64 {
    bits(option).map(|at| room[at]).min().unwrap_or(0)
}

/// The largest number of options that can be taken.
pub(super) fn most(packing: Packing) -> Capacity {
    let Packing { mut room, nodes, mut options, upper, complete } = packing;
    let unused = open(&room);
    options.retain(|option| option & !unused == 0);
    // Options with few rivals for their resources come first: they prune most.
    let rivals = |option: &Resources| options.iter().filter(|o| *o & option != 0).count();
    let mut order: Vec<(usize, Resources)> = options.iter().map(|o| (rivals(o), *o)).collect();
    order.sort_unstable();
    let options: Vec<Resources> = order.into_iter().map(|(_, option)| option).collect();
    let upper = if complete { upper.min(cover(&room, nodes, &options)) } else { upper };
    let best = greedy(room.clone(), &options);
    let seen = BTreeSet::new();
    let mut search = PackingSearch { options: &options, nodes, best, upper, work: WORK, seen };
    if best < upper {
        search.go(0, &mut room, 0);
    }
    let settled = complete && search.work > 0;
    Capacity::new(search.best, if settled { search.best } else { upper })
}

struct PackingSearch<'o> {
    options: &'o [Resources],
    nodes: usize,
    best: u64,
    upper: u64,
    work: u64,
    /// The visited positions: the index into `options`, the number of options taken before, and the
    /// units left.
    seen: BTreeSet<(usize, u64, Vec<u64>)>,
}

impl PackingSearch<'_> {
    /// Tries the options from index `at` on, after `taken` options were taken.
    fn go(&mut self, at: usize, room: &mut Vec<u64>, taken: u64) {
        self.best = self.best.max(taken);
        let left = open(room);
        let live = |option: &Resources| option & !left == 0;
        let live: Vec<Resources> = self.options[at..].iter().copied().filter(live).collect();
        // The bound visits an option once for each of its resources.
        let looks = live.iter().map(|option| u64::from(option.count_ones())).sum::<u64>();
        self.work = self.work.saturating_sub((self.options.len() - at) as u64 + looks + 1);
        let Some(option) = live.first().copied() else { return };
        if self.work == 0 || self.best >= self.upper {
            return;
        }
        if taken.saturating_add(cover(room, self.nodes, &live)) <= self.best {
            return;
        }
        let next = at + self.options[at..].iter().take_while(|other| **other != option).count() + 1;
        if self.seen.len() < STATES && !self.seen.insert((next, taken, room.clone())) {
            return;
        }
        let top = least(room, option);
        bits(option).for_each(|at| room[at] -= top);
        for count in (0..=top).rev() {
            self.go(next, room, taken.saturating_add(count));
            if count > 0 {
                bits(option).for_each(|at| room[at] += 1);
            }
            if self.work == 0 || self.best >= self.upper {
                // The caller's units are restored however the loop ends.
                bits(option).for_each(|at| room[at] += count.saturating_sub(1));
                return;
            }
        }
    }
}

/// An upper bound of the number of options that can be taken. Every option needs a unit of one of a
/// few chosen resources, so there are no more options than units of those. Nor are there more than
/// the units of all nodes, or of all other resources, divided by the smallest number that an option
/// takes of them.
fn cover(room: &[u64], nodes: usize, options: &[Resources]) -> u64 {
    let touched = options.iter().fold(0, |all, option| all | option);
    let of_nodes: Resources = (1 << nodes) - 1;
    let by = |part: Resources| {
        let each = options.iter().map(|option| (option & part).count_ones()).min().unwrap_or(0);
        let units = bits(touched & part).map(|at| u128::from(room[at])).sum::<u128>();
        units.checked_div(u128::from(each)).unwrap_or(u128::MAX)
    };
    let mut open: Vec<Resources> = options.to_vec();
    let mut chosen: u128 = 0;
    while !open.is_empty() {
        let mut hits = vec![0_u128; room.len()];
        open.iter().for_each(|option| bits(*option).for_each(|at| hits[at] += 1));
        // The resource with the most options per unit, compared crosswise to avoid fractions.
        let better = |a: &usize, b: &usize| {
            let (left, right) = (hits[*a] * u128::from(room[*b]), hits[*b] * u128::from(room[*a]));
            left.cmp(&right).then(b.cmp(a))
        };
        let Some(at) = (0..room.len()).filter(|at| hits[*at] > 0).max_by(better) else { break };
        chosen += u128::from(room[at]);
        open.retain(|option| option & (1 << at) == 0);
    }
    let least = chosen.min(by(of_nodes)).min(by(!of_nodes));
    u64::try_from(least).unwrap_or(u64::MAX)
}

/// A lower bound to start from: takes the option with most units left, a quarter of them at a time.
fn greedy(mut room: Vec<u64>, options: &[Resources]) -> u64 {
    let mut taken: u64 = 0;
    loop {
        let slack = |option: &&Resources| {
            let sum = bits(**option).map(|at| u128::from(room[at])).sum::<u128>();
            (least(&room, **option), sum)
        };
        let Some(option) = options.iter().max_by_key(slack).copied() else { return taken };
        let most = least(&room, option);
        if most == 0 {
            return taken;
        }
        let some = (most / 4).max(1);
        bits(option).for_each(|at| room[at] -= some);
        taken = taken.saturating_add(some);
    }
}
