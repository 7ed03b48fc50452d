//! The states that the hosts of a fleet are in, and what changed in them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::fleet::counts::FreeCounts;
use crate::fleet::member::FleetHost;
use crate::host::Host;

/// The number of changes that are remembered at least.
const REMEMBERED: usize = 4096;

/// A state: hosts of one topology with the same labels, whose tenants leave the same.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Its hosts by position; never empty.
    pub(super) hosts: BTreeSet<usize>,
    /// The index of its labels.
    pub(super) labels: usize,
    hash: u64,
    /// Unlike that of every other state that was ever at this index.
    born: u64,
}

/// A change of the state at an index: it began, or its hosts changed, or it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) state: usize,
    born: u64,
    begins: bool,
}

/// All states, by index. The index of a state that ended is given to another.
#[derive(Debug, Clone, Default)]
pub(super) struct States {
    all: Vec<Option<State>>,
    ended: Vec<usize>,
    by_hash: BTreeMap<u64, SmallVec<[usize; 1]>>,
    changes: VecDeque<Change>,
    /// The number of changes that are forgotten.
    forgotten: u64,
    births: u64,
}

impl States {
    /// The number of indices in use or ended.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, at: usize) -> Option<&State> {
        self.all[at].as_ref()
    }

    /// The number of changes so far.
    pub(super) fn now(&self) -> u64 {
        self.forgotten + self.changes.len() as u64
    }

    /// The changes since that number; `None` if some of them are forgotten.
    pub(super) fn since(&self, then: u64) -> Option<impl Iterator<Item = Change> + '_> {
        let skipped = usize::try_from(then.checked_sub(self.forgotten)?).ok()?;
        Some(self.changes.range(skipped.min(self.changes.len())..).copied())
    }

    /// Whether the state of this change began with it, and has not ended.
    pub(super) fn is_new(&self, change: Change) -> bool {
        change.begins && self.get(change.state).is_some_and(|state| state.born == change.born)
    }

    /// Adds the host at position `at`, with the labels of this index, and returns its state.
    /// `member` gives the hosts by position.
    pub(super) fn enter<'m>(
        &mut self,
        at: usize,
        labels: usize,
        member: impl Fn(usize) -> &'m FleetHost<Arc<Host>>,
    ) -> usize {
        let own = member(at);
        let hash = hash(&own.host, labels, &own.counts);
        let alike = |state: &State| {
            let first = member(state.first());
            state.labels == labels
                && Arc::ptr_eq(&first.host, &own.host)
                && first.counts == own.counts
                && first.usage.leaves_the_same(&own.usage, &own.host)
        };
        let known = self.by_hash.get(&hash).into_iter().flatten().copied();
        let same = { known }.find(|at| self.get(*at).is_some_and(alike));
        if let Some(same) = same {
            if let Some(state) = &mut self.all[same] {
                state.hosts.insert(at);
            }
            self.changed(same, false);
            return same;
        }
        self.births += 1;
        let state = State { hosts: BTreeSet::from([at]), labels, hash, born: self.births };
        let index = self.ended.pop().unwrap_or(self.all.len());
        if index == self.all.len() {
            self.all.push(None);
        }
        self.all[index] = Some(state);
        self.by_hash.entry(hash).or_default().push(index);
        self.changed(index, true);
        index
    }

    /// Removes the host at position `at` from its state.
    pub(super) fn leave(&mut self, at: usize, state: usize) {
        let Some(left) = &mut self.all[state] else { return };
        left.hosts.remove(&at);
        if left.hosts.is_empty() {
            let hash = left.hash;
            if let Some(same) = self.by_hash.get_mut(&hash) {
                same.retain(|other| *other != state);
                if same.is_empty() {
                    self.by_hash.remove(&hash);
                }
            }
            self.all[state] = None;
            self.ended.push(state);
        }
        self.changed(state, false);
    }

    fn changed(&mut self, state: usize, begins: bool) {
        let born = self.get(state).map_or(0, |state| state.born);
        self.changes.push_back(Change { state, born, begins });
        // Whoever has not looked for longer looks at all states anew, which costs about as much.
        if self.changes.len() > REMEMBERED.max(self.all.len()) {
            self.changes.pop_front();
            self.forgotten += 1;
        }
    }
}

impl State {
    /// The first of its hosts.
    pub(super) fn first(&self) -> usize {
        self.hosts.first().copied().expect("a state without hosts ends")
    }
}

/// FNV-1a: the same on every machine. States with equal hashes are compared in full.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The hash of a text.
pub(super) fn hash_of(text: &str) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(text.as_bytes());
    hasher.finish()
}

fn hash(host: &Arc<Host>, labels: usize, counts: &FreeCounts) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    (Arc::as_ptr(host).addr(), labels).hash(&mut hasher);
    counts.hash(&mut hasher);
    hasher.finish()
}
