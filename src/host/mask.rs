//! Sets of positions in a host's lists, in one machine word.
//!
//! The search asks the same questions of thousands of sets: is this GPU's node one of the VM's,
//! does this set lie in that one, which GPUs of a set are on this node? As a host has at most 64
//! nodes and 64 GPUs, each takes a few instructions. A set of nodes cannot be mixed up with a set
//! of GPUs: they are different types.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, BitXor, Sub, SubAssign};

use crate::sets::{Bits, bits};

/// Marks a set of positions in [`Host::nodes`](super::Host::nodes), or in another list of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OfNodes {}

/// Marks a set of positions in [`Host::gpus`](super::Host::gpus).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OfGpus {}

/// Marks a set of positions in [`Host::packages`](super::Host::packages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OfPackages {}

/// A set of nodes by position.
pub(crate) type NodeMask = Mask<OfNodes>;
/// A set of GPUs by position.
pub(crate) type GpuMask = Mask<OfGpus>;
/// A set of packages by position. Packages beyond the 64th share the last position.
pub(crate) type PackageMask = Mask<OfPackages>;

/// A set of positions below 64, one bit each. `Of` says in which list. Masks are ordered as
/// numbers: of two, the one with the highest position that the other lacks is greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mask<Of>(u64, PhantomData<Of>);

impl<Of: Copy> Mask<Of> {
    /// The set without positions.
    pub(crate) const EMPTY: Self = Self(0, PhantomData);
    /// The set of all positions: the intersection of no sets.
    pub(crate) const ALL: Self = Self(u64::MAX, PhantomData);

    /// The union of several sets.
    #[inline]
    pub(crate) fn union(sets: impl IntoIterator<Item = Self>) -> Self {
        sets.into_iter().fold(Self::EMPTY, |all, set| all | set)
    }

    /// The set of one position.
    #[inline]
    pub(crate) const fn one(at: usize) -> Self {
        Self(1 << at, PhantomData)
    }

    /// The set with one position more.
    #[inline]
    #[must_use]
    pub(crate) const fn with(self, at: usize) -> Self {
        Self(self.0 | 1 << at, PhantomData)
    }

    /// Adds a position.
    #[inline]
    pub(crate) fn insert(&mut self, at: usize) {
        self.0 |= 1 << at;
    }

    /// Whether the position is in the set.
    #[inline]
    pub(crate) const fn contains(self, at: usize) -> bool {
        self.0 & (1 << at) != 0
    }

    /// Whether the set has no position.
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The number of positions.
    #[inline]
    pub(crate) const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The lowest position.
    #[inline]
    pub(crate) fn first(self) -> Option<usize> {
        self.iter().next()
    }

    /// The positions, lowest first.
    #[inline]
    pub(crate) fn iter(self) -> Bits {
        bits(self.0)
    }

    /// The positions of the set below this one.
    #[inline]
    #[must_use]
    pub(crate) const fn below(self, at: usize) -> Self {
        Self(self.0 & !(u64::MAX << at), PhantomData)
    }

    /// Whether every position is in the other set too.
    #[inline]
    pub(crate) const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether the sets have a position in common.
    #[inline]
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The set as a word: bit n stands for position n.
    #[inline]
    pub(crate) const fn word(self) -> u64 {
        self.0
    }
}

impl<Of: Copy> Default for Mask<Of> {
    #[inline]
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<Of: Copy> FromIterator<usize> for Mask<Of> {
    #[inline]
    fn from_iter<I: IntoIterator<Item = usize>>(positions: I) -> Self {
        positions.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// The union.
impl<Of> BitOr for Mask<Of> {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0, PhantomData)
    }
}

/// The intersection.
impl<Of> BitAnd for Mask<Of> {
    type Output = Self;

    #[inline]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0, PhantomData)
    }
}

/// The positions that are in one set alone.
impl<Of> BitXor for Mask<Of> {
    type Output = Self;

    #[inline]
    fn bitxor(self, other: Self) -> Self {
        Self(self.0 ^ other.0, PhantomData)
    }
}

/// The positions that are not in the other set.
impl<Of> Sub for Mask<Of> {
    type Output = Self;

    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0, PhantomData)
    }
}

impl<Of> BitOrAssign for Mask<Of> {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl<Of> BitAndAssign for Mask<Of> {
    #[inline]
    fn bitand_assign(&mut self, other: Self) {
        self.0 &= other.0;
    }
}

impl<Of> SubAssign for Mask<Of> {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

impl<Of> fmt::Debug for Mask<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(bits(self.0)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(positions: &[usize]) -> NodeMask {
        positions.iter().copied().collect()
    }

    #[test]
    fn masks_are_sets() {
        let (few, many) = (nodes(&[0, 5]), nodes(&[0, 5, 63]));
        assert!(few.is_subset(many) && !many.is_subset(few));
        assert!(few.intersects(many) && !few.intersects(nodes(&[1, 63])));
        assert_eq!((few | nodes(&[63]), many & few, many ^ few), (many, few, NodeMask::one(63)));
        assert_eq!((many - few, few - many), (NodeMask::one(63), NodeMask::EMPTY));
        assert_eq!(many.iter().collect::<Vec<_>>(), [0, 5, 63]);
        assert_eq!((many.len(), many.first(), NodeMask::EMPTY.first()), (3, Some(0), None));
        assert_eq!((many.below(63), many.below(0)), (few, NodeMask::EMPTY));
        assert_eq!((few.with(63), few.contains(5), few.contains(6)), (many, true, false));
        assert_eq!((NodeMask::union([few, nodes(&[63])]), NodeMask::union([])), (many, nodes(&[])));
        assert_eq!((few.word(), NodeMask::ALL.len()), (0b10_0001, 64));
        assert_eq!(format!("{few:?}"), "{0, 5}");
    }

    #[test]
    fn the_set_with_the_higher_position_is_greater() {
        assert!(nodes(&[3]) > nodes(&[0, 1, 2]) && nodes(&[1, 3]) > nodes(&[0, 3]));
    }
}
