//! Sets of identifiers over OS indexes, in the kernel's list format (`0-3,8`) in and out.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use smallvec::SmallVec;

use crate::units::{CellId, Id, NodeId, ParseUnitError, PcpuId, VcpuId};

/// A set of identifiers with one bit per identifier.
///
/// It takes one 64-bit word for each 64 identifiers between its lowest and its highest member; up
/// to four words need no allocation, so a single pCPU, or any set on a host of 256 pCPUs, is free
/// to make. Members are below the identifier's [`Id::LIMIT`]: parsing refuses larger ones, and
/// [`IdSet::insert`] panics on them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdSet<T> {
    /// The number of empty words before the first; zero for the empty set.
    skipped: usize,
    /// No zero word at either end: equal sets have equal words.
    words: SmallVec<[u64; 4]>,
    kind: PhantomData<T>,
}

/// The positions of the bits of a word, ascending.
#[inline]
pub(crate) fn bits(word: u64) -> Bits {
    Bits(word)
}

/// The iterator of [`bits`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let first = (self.0 != 0).then(|| self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(first)
    }
}

/// Host logical CPUs.
#[doc(alias = "cpumask")]
pub type CpuSet = IdSet<PcpuId>;
/// Host NUMA nodes.
#[doc(alias = "nodemask")]
pub type NodeSet = IdSet<NodeId>;
/// Guest CPUs.
pub type VcpuSet = IdSet<VcpuId>;
/// Guest NUMA nodes.
pub type CellSet = IdSet<CellId>;

impl<T> Default for IdSet<T> {
    fn default() -> Self {
        Self { skipped: 0, words: SmallVec::new(), kind: PhantomData }
    }
}

/// Ordered by the members in words of 64, the lowest word first.
impl<T: Id> Ord for IdSet<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_words = || self.words.cmp(&other.words);
        match (self.is_empty(), other.is_empty()) {
            // If one set has a word that the other skips, the other is less.
            (false, false) => other.skipped.cmp(&self.skipped).then_with(by_words),
            _ => by_words(),
        }
    }
}

impl<T: Id> PartialOrd for IdSet<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Id> IdSet<T> {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The set of one member.
    pub(crate) fn one(id: T) -> Self {
        assert!(id.index() < T::LIMIT, "{} is below {}", T::WHAT, T::LIMIT);
        let (skipped, bit) = (id.index() as usize / 64, 1_u64 << (id.index() % 64));
        Self { skipped, words: SmallVec::from_buf_and_len([bit, 0, 0, 0], 1), kind: PhantomData }
    }

    /// The set of `number` members from `first` on.
    pub(crate) fn row(first: u32, number: u32) -> Self {
        let mut set = Self::new();
        if let Some(last) = number.checked_sub(1) {
            set.insert_range(T::from_index(first), T::from_index(first + last));
        }
        set
    }

    fn word(&self, at: usize) -> u64 {
        at.checked_sub(self.skipped).and_then(|at| self.words.get(at)).copied().unwrap_or(0)
    }

    /// The position after the last word.
    fn end(&self) -> usize {
        self.skipped + self.words.len()
    }

    /// The set with these words; the first word is at position `first`.
    fn of_words(first: usize, words: impl Iterator<Item = u64>) -> Self {
        let mut set = Self { skipped: first, ..Self::default() };
        for word in words {
            if word == 0 && set.words.is_empty() {
                set.skipped += 1;
            } else {
                set.words.push(word);
            }
        }
        set.trim_end();
        set
    }

    fn trim_end(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
        if self.words.is_empty() {
            self.skipped = 0;
        }
    }

    /// Combines the words of both sets with `op`, which must map two zeros to zero.
    fn zip(&self, other: &Self, op: impl Fn(u64, u64) -> u64) -> Self {
        let (first, end) = match (self.is_empty(), other.is_empty()) {
            (true, _) => (other.skipped, other.end()),
            (_, true) => (self.skipped, self.end()),
            _ => (self.skipped.min(other.skipped), self.end().max(other.end())),
        };
        Self::of_words(first, (first..end).map(|at| op(self.word(at), other.word(at))))
    }

    /// The words from `first` to `last`, added where missing. The caller must add a member to the
    /// words at the ends.
    fn room_for(&mut self, first: usize, last: usize) -> &mut [u64] {
        if self.words.is_empty() {
            self.skipped = first;
        } else if first < self.skipped {
            self.words.insert_many(0, std::iter::repeat_n(0, self.skipped - first));
            self.skipped = first;
        }
        if last >= self.end() {
            self.words.resize(last + 1 - self.skipped, 0);
        }
        let start = self.skipped;
        &mut self.words[first - start..=last - start]
    }

    /// Adds `id`; returns whether it was new.
    ///
    /// # Panics
    /// If `id` is not below [`Id::LIMIT`].
    pub fn insert(&mut self, id: T) -> bool {
        assert!(id.index() < T::LIMIT, "{} is below {}", T::WHAT, T::LIMIT);
        let (at, bit) = (id.index() as usize / 64, 1_u64 << (id.index() % 64));
        let word = &mut self.room_for(at, at)[0];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Adds all from `first` to `last`, a word at a time.
    #[doc(hidden)]
    pub fn insert_range(&mut self, first: T, last: T) {
        assert!(last.index() < T::LIMIT, "{} is below {}", T::WHAT, T::LIMIT);
        let (first, last) = (first.index() as usize, last.index() as usize);
        if first > last {
            return;
        }
        for (word, at) in self.room_for(first / 64, last / 64).iter_mut().zip(first / 64..) {
            let low = if at == first / 64 { first % 64 } else { 0 };
            let high = if at == last / 64 { last % 64 } else { 63 };
            *word |= (u64::MAX << low) & (u64::MAX >> (63 - high));
        }
    }

    /// Removes `id`; returns whether it was a member.
    pub fn remove(&mut self, id: T) -> bool {
        let was = self.contains(id);
        if was {
            self.words[id.index() as usize / 64 - self.skipped] &= !(1_u64 << (id.index() % 64));
            if self.words[0] == 0 || self.words.last() == Some(&0) {
                *self = Self::of_words(self.skipped, self.words.iter().copied());
            }
        }
        was
    }

    /// Whether `id` is in the set.
    #[must_use]
    pub fn contains(&self, id: T) -> bool {
        self.word(id.index() as usize / 64) & (1_u64 << (id.index() % 64)) != 0
    }

    /// Whether each of the 64 identifiers from `first` on is a member, the first in the lowest bit.
    pub(crate) fn bits_from(&self, first: usize) -> u64 {
        match first % 64 {
            0 => self.word(first / 64),
            shift => self.word(first / 64) >> shift | self.word(first / 64 + 1) << (64 - shift),
        }
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The lowest member.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let first = u32::try_from(self.skipped).unwrap_or(u32::MAX);
        let place = |bit: usize| u32::try_from(bit).unwrap_or(u32::MAX);
        self.words.iter().zip(first..).flat_map(move |(word, at)| {
            bits(*word).map(move |bit| T::from_index(at * 64 + place(bit)))
        })
    }

    /// The members of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// Members of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// Adds all members of `other`.
    pub fn extend(&mut self, other: &Self) {
        if !other.is_empty() {
            let mine = self.room_for(other.skipped, other.end() - 1);
            mine.iter_mut().zip(&other.words).for_each(|(mine, theirs)| *mine |= theirs);
        }
    }

    /// Whether the sets share a member.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(self.skipped..).any(|(word, at)| word & other.word(at) != 0)
    }

    /// Whether every member is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.words.iter().zip(self.skipped..).all(|(word, at)| word & !other.word(at) == 0)
    }
}

impl<T: Id> FromIterator<T> for IdSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(ids: I) -> Self {
        let mut set = Self::new();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

/// The kernel's list format: `0-3,8`; the empty string for the empty set.
impl<T: Id> fmt::Display for IdSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.iter().map(Id::index).peekable();
        let mut comma = "";
        while let Some(first) = ids.next() {
            let mut last = first;
            while let Some(next) = ids.next_if(|next| *next == last + 1) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl<T: Id> fmt::Debug for IdSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// The kernel's list format, including strides: `0-3,8`, `0-31:2/4` (2 of every 4). Spaces and a
/// newline at the ends are allowed; an empty text is the empty set. Order and repetition do not
/// matter.
impl<T: Id> FromStr for IdSet<T> {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseUnitError::new(text, "a list such as 0-3,8 with numbers in range");
        let number = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            plain
                .then(|| part.parse::<u32>().ok())
                .flatten()
                .filter(|n| *n < T::LIMIT)
                .ok_or_else(bad)
        };
        let mut set = Self::new();
        let text = text.trim();
        if text.is_empty() {
            return Ok(set);
        }
        for part in text.split(',') {
            let (range, stride) = match part.split_once(':') {
                Some((range, stride)) => (range, Some(stride)),
                None => (part, None),
            };
            let (first, last) = match range.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(range)?, number(range)?),
            };
            let (used, group) = match stride {
                Some(stride) => {
                    let (used, group) = stride.split_once('/').ok_or_else(bad)?;
                    (number(used)?, number(group)?)
                }
                None => (1, 1),
            };
            if first > last || used == 0 || group < used {
                return Err(bad());
            }
            if used == group {
                set.insert_range(T::from_index(first), T::from_index(last));
                continue;
            }
            for id in (first..=last).filter(|id| (id - first) % group < used) {
                set.insert(T::from_index(id));
            }
        }
        Ok(set)
    }
}

#[cfg(feature = "serde")]
impl<T: Id> serde::Serialize for IdSet<T> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de, T: Id> serde::Deserialize<'de> for IdSet<T> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        for (text, printed) in [
            ("", ""),
            ("0-3,8\n", "0-3,8"),
            ("8,0-3,2", "0-3,8"),
            ("0-31:2/4", "0-1,4-5,8-9,12-13,16-17,20-21,24-25,28-29"),
            ("0-7:1/1", "0-7"),
            ("63-64", "63-64"),
            ("0-63,128-191", "0-63,128-191"),
            ("5-200,300,64", "5-200,300"),
        ] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), printed);
        }
        for text in [
            "a",
            "1-",
            "-1",
            "3-1",
            "1,,2",
            "99999",
            "0-3:0/2",
            "0-3:3/2",
            "+1",
            "^5",
            "0x3",
            "4294967296",
        ] {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_algebra_keeps_one_form_for_equal_sets() {
        let a: CpuSet = "0-3,200".parse().unwrap();
        let b: CpuSet = "2-5,200".parse().unwrap();
        assert_eq!(a.intersection(&b).to_string(), "2-3,200");
        assert_eq!(a.difference(&b), "0-1".parse().unwrap());
        assert_eq!(a.union(&b).len(), 7);
        assert!(a.intersects(&b) && !a.is_subset(&b) && a.difference(&b).is_subset(&a));
        let mut c = a.clone();
        assert!(c.remove(PcpuId(200)) && !c.remove(PcpuId(200)));
        assert_eq!(c, "0-3".parse().unwrap());
    }

    #[test]
    fn every_operation_agrees_with_a_plain_set() {
        use std::collections::BTreeSet;
        let mut state = 7_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u32::try_from((state >> 33) % below).unwrap()
        };
        for _ in 0..500 {
            let mut plain: [BTreeSet<u32>; 2] = Default::default();
            let mut sets = [CpuSet::new(), CpuSet::new()];
            for _ in 0..next(40) {
                let (which, id, far) =
                    (next(2) as usize, next(70), [0, 640, 4000][next(3) as usize]);
                let id = PcpuId(id + far);
                if next(3) == 0 {
                    assert_eq!(sets[which].remove(id), plain[which].remove(&id.0));
                } else {
                    assert_eq!(sets[which].insert(id), plain[which].insert(id.0));
                }
            }
            let ids = |set: &CpuSet| set.iter().map(|id| id.0).collect::<BTreeSet<_>>();
            let [a, b] = &sets;
            let [x, y] = &plain;
            assert_eq!((&ids(a), &ids(b), a.len()), (x, y, x.len()));
            assert_eq!(ids(&a.union(b)), x | y);
            assert_eq!(ids(&a.intersection(b)), x & y);
            assert_eq!(ids(&a.difference(b)), x - y);
            assert_eq!((a.intersects(b), a.is_subset(b)), (!x.is_disjoint(y), x.is_subset(y)));
            assert_eq!((a == b, a.first().map(|id| id.0)), (x == y, x.first().copied()));
            // One form: what was put together otherwise is equal too.
            let again: CpuSet = x.iter().rev().copied().map(PcpuId).collect();
            assert_eq!((&again, again.cmp(a)), (a, Ordering::Equal));
            let words = |plain: &BTreeSet<u32>| {
                let mut words = vec![0_u64; plain.last().map_or(0, |last| *last as usize / 64 + 1)];
                plain.iter().for_each(|id| words[*id as usize / 64] |= 1 << (id % 64));
                words
            };
            assert_eq!(a.cmp(b), words(x).cmp(&words(y)));
            let mut both = a.clone();
            both.extend(b);
            assert_eq!(both, a.union(b));
            let first = 600 + next(60) as usize;
            let bit =
                |at: usize| u64::from(a.contains(PcpuId(u32::try_from(first + at).unwrap()))) << at;
            assert_eq!(a.bits_from(first), (0..64).map(bit).sum::<u64>());
        }
    }

    #[test]
    fn bits_are_ascending() {
        assert_eq!(bits(0b1010_0001).collect::<Vec<_>>(), [0, 5, 7]);
        assert_eq!(bits(0).count() + bits(u64::MAX).count(), 64);
    }
}
