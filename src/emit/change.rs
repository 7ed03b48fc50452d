//! A change to a domain, for the person who applies it.

use std::fmt;

/// One change to an existing domain: what it said before, what it says now, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DomainChange {
    /// The changed part, such as `pins of vCPUs 0-7`.
    pub part: String,
    /// What the domain said before; `None` if it did not have the part.
    pub before: Option<String>,
    /// What it says now; `None` if the part was removed.
    pub after: Option<String>,
    /// The reason, as a lower-case sentence.
    pub why: String,
}

impl DomainChange {
    /// A change of `part`.
    #[must_use]
    pub fn new(
        part: impl Into<String>,
        before: Option<String>,
        after: Option<String>,
        why: impl Into<String>,
    ) -> Self {
        Self { part: part.into(), before, after, why: why.into() }
    }
}

impl fmt::Display for DomainChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, before, after, why } = self;
        match (before, after) {
            (Some(before), Some(after)) => write!(f, "{part}: {before} -> {after} ({why})"),
            (None, Some(after)) => write!(f, "{part}: added {after} ({why})"),
            (Some(before), None) => write!(f, "{part}: removed {before} ({why})"),
            (None, None) => write!(f, "{part} ({why})"),
        }
    }
}
