//! What one check found, as one error.

use std::error::Error;
use std::fmt;

use super::violation::Violation;

/// All findings of one check, at least one, as an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations<T = Violation>(Vec<T>);

impl<T> Violations<T> {
    /// `Ok` if `found` is empty.
    pub(super) fn check(found: Vec<T>) -> Result<(), Self> {
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    /// What was found, grouped by subject.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// What was found, grouped by subject.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T> IntoIterator for Violations<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Violations<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// One sentence per violation, separated by semicolons.
impl<T: fmt::Display> fmt::Display for Violations<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, violation) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

impl<T: fmt::Debug + fmt::Display> Error for Violations<T> {}
