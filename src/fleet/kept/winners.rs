//! A tournament: the first of many entries, and the next ones, where a few change at a time.

/// The winners of a knock-out tournament over the positions of a slice. It holds positions only;
/// the entries are the caller's, who says which of two comes first.
#[derive(Debug, Clone, Default)]
pub(super) struct Winners {
    /// `nodes[1]` is the winner of all; nodes 2n and 2n + 1 play for node n. The last half are the
    /// entries themselves.
    nodes: Vec<u32>,
}

/// The position of an entry that does not exist: it loses every match.
const NOBODY: u32 = u32::MAX;

impl Winners {
    /// The tournament of `count` entries.
    pub(super) fn new(count: usize, before: impl Fn(usize, usize) -> bool) -> Self {
        let size = count.next_power_of_two().max(1);
        let entry = |at: usize| if at < count { small(at) } else { NOBODY };
        let mut winners = Self { nodes: vec![NOBODY; size] };
        winners.nodes.extend((0..size).map(entry));
        for node in (1..size).rev() {
            winners.play(node, &before);
        }
        winners
    }

    /// The number of entries that there is room for.
    pub(super) fn room(&self) -> usize {
        self.nodes.len() / 2
    }

    /// Plays again all matches of the entry at position `at`.
    pub(super) fn update(&mut self, at: usize, before: impl Fn(usize, usize) -> bool) {
        let mut node = self.room() + at;
        self.nodes[node] = small(at);
        while node > 1 {
            node /= 2;
            self.play(node, &before);
        }
    }

    fn play(&mut self, node: usize, before: &impl Fn(usize, usize) -> bool) {
        let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
        let right_wins = left == NOBODY || right != NOBODY && before(right as usize, left as usize);
        self.nodes[node] = if right_wins { right } else { left };
    }

    /// The entries in order, the first first.
    pub(super) fn ordered<'a, B: Fn(usize, usize) -> bool>(&'a self, before: B) -> Ordered<'a, B> {
        let open = if self.nodes.len() > 1 { vec![1] } else { Vec::new() };
        Ordered { winners: self, open, before }
    }
}

/// The entries of [`Winners`] in order.
pub(super) struct Ordered<'a, B> {
    winners: &'a Winners,
    /// The roots of the parts that are not given yet.
    open: Vec<usize>,
    before: B,
}

impl<B: Fn(usize, usize) -> bool> Iterator for Ordered<'_, B> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let nodes = &self.winners.nodes;
        let mut best: Option<usize> = None;
        for (i, node) in self.open.iter().enumerate() {
            let winner = nodes[*node];
            let leads =
                |best: usize| (self.before)(winner as usize, nodes[self.open[best]] as usize);
            if winner != NOBODY && best.is_none_or(leads) {
                best = Some(i);
            }
        }
        let mut node = self.open.swap_remove(best?);
        let winner = nodes[node];
        while node < self.winners.room() {
            let (left, right) = (2 * node, 2 * node + 1);
            let (of_winner, other) =
                if nodes[left] == winner { (left, right) } else { (right, left) };
            if nodes[other] != NOBODY {
                self.open.push(other);
            }
            node = of_winner;
        }
        Some(winner as usize)
    }
}

fn small(at: usize) -> u32 {
    u32::try_from(at).expect("a fleet has at most 2^31 states")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_order_after_every_change() {
        let mut keys = vec![5, 3, 9, 1, 7, 3, 8];
        let order = |keys: &[i32]| {
            let mut all: Vec<usize> = (0..keys.len()).collect();
            all.sort_by_key(|at| (keys[*at], *at));
            all
        };
        let mut winners = Winners::new(keys.len(), |a, b| (keys[a], a) < (keys[b], b));
        for (at, key) in [(3, 6), (0, 0), (6, 0), (2, 2), (2, 11)] {
            keys[at] = key;
            winners.update(at, |a, b| (keys[a], a) < (keys[b], b));
            let all: Vec<usize> = winners.ordered(|a, b| (keys[a], a) < (keys[b], b)).collect();
            assert_eq!(all, order(&keys));
        }
        assert_eq!(Winners::new(0, |_, _| true).ordered(|_, _| true).next(), None);
    }
}
