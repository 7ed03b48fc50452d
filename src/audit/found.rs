//! A finding: a rule with its facts, and what to do about it.

use super::facts::{Facts, Severity};
use super::fix::{Fix, fixes};
use super::scene::Scene;
use super::table::AuditId;

/// A finding about a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The rule.
    pub id: AuditId,
    /// The ids and numbers.
    pub facts: Facts,
    /// What to do about it, the surest first.
    pub fixes: Vec<Fix>,
}

impl Found {
    /// What the rule finds; `None` if it is silent.
    pub(super) fn of(id: AuditId, scene: &Scene<'_>) -> Option<Self> {
        let facts = id.find(scene)?;
        let fixes = fixes(id, &facts, scene);
        Some(Self { id, facts, fixes })
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.id.severity()
    }
}
