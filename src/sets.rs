//! Sets of identifiers over OS indexes, in the kernel's list format (`0-3,8`) in and out.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use crate::units::{CellId, Id, NodeId, ParseUnitError, PcpuId, VcpuId};

/// A set of identifiers as a bit per identifier.
///
/// It takes as many 64-bit words as its highest member needs, so a set of a 256-pCPU host has four.
/// Members are below the identifier's [`Id::LIMIT`]; the largest is refused at the door (parsing), and
/// [`IdSet::insert`] panics on it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdSet<T> {
    /// No zero word at the end: equal sets have equal words.
    words: Vec<u64>,
    kind: PhantomData<T>,
}

/// The bits of a word, ascending: sets of at most 64 things by position, in the search's inner loops.
pub(crate) fn bits(word: u64) -> Bits {
    Bits(word)
}

/// What [`bits`] goes through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

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
        Self { words: Vec::new(), kind: PhantomData }
    }
}

impl<T: Id> IdSet<T> {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn trim(mut self) -> Self {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
        self
    }

    fn zip(&self, other: &Self, op: impl Fn(u64, u64) -> u64) -> Self {
        let length = self.words.len().max(other.words.len());
        let word = |words: &[u64], i| words.get(i).copied().unwrap_or(0);
        let words = (0..length).map(|i| op(word(&self.words, i), word(&other.words, i))).collect();
        Self { words, kind: PhantomData }.trim()
    }

    /// Adds `id`; says whether it was new.
    ///
    /// # Panics
    /// If `id` is not below [`Id::LIMIT`].
    pub fn insert(&mut self, id: T) -> bool {
        assert!(id.index() < T::LIMIT, "{} is below {}", T::WHAT, T::LIMIT);
        let (word, bit) = (id.index() as usize / 64, 1_u64 << (id.index() % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    /// Adds all from `first` to `last`, a word at a time.
    pub(crate) fn insert_range(&mut self, first: T, last: T) {
        assert!(last.index() < T::LIMIT, "{} is below {}", T::WHAT, T::LIMIT);
        let (first, last) = (first.index() as usize, last.index() as usize);
        if first > last {
            return;
        }
        self.words.resize(self.words.len().max(last / 64 + 1), 0);
        for word in first / 64..=last / 64 {
            let low = if word == first / 64 { first % 64 } else { 0 };
            let high = if word == last / 64 { last % 64 } else { 63 };
            self.words[word] |= (u64::MAX << low) & (u64::MAX >> (63 - high));
        }
    }

    /// Takes `id` out; says whether it was there.
    pub fn remove(&mut self, id: T) -> bool {
        let was = self.contains(id);
        if was {
            self.words[id.index() as usize / 64] &= !(1_u64 << (id.index() % 64));
            while self.words.last() == Some(&0) {
                self.words.pop();
            }
        }
        was
    }

    /// Whether `id` is in the set.
    #[must_use]
    pub fn contains(&self, id: T) -> bool {
        let word = self.words.get(id.index() as usize / 64).copied().unwrap_or(0);
        word & (1_u64 << (id.index() % 64)) != 0
    }

    /// Whether each of the 64 identifiers from `first` on is a member, the first in the lowest bit.
    pub(crate) fn bits_from(&self, first: usize) -> u64 {
        let word = |at: usize| self.words.get(at).copied().unwrap_or(0);
        match first % 64 {
            0 => word(first / 64),
            shift => word(first / 64) >> shift | word(first / 64 + 1) << (64 - shift),
        }
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether there are none.
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
        self.words.iter().zip(0_u32..).flat_map(|(word, at)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(T::from_index(at * 64 + bit))
            })
        })
    }

    /// Members of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// Members of both.
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
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Whether they share a member.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// Whether every member is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.words.len() <= other.words.len()
            && self.words.iter().zip(&other.words).all(|(a, b)| a & !b == 0)
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

/// The kernel's list format: `0-3,8`; nothing for the empty set.
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

/// The kernel's list format with its strides: `0-3,8`, `0-31:2/4` (2 of every 4), spaces and a
/// newline at the ends allowed, empty for the empty set. Order and repetition do not matter.
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
    fn bits_are_ascending() {
        assert_eq!(bits(0b1010_0001).collect::<Vec<_>>(), [0, 5, 7]);
        assert_eq!(bits(0).count() + bits(u64::MAX).count(), 64);
    }
}
