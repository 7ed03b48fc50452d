//! Findings about domains as one JSON object, for other programs.

use serde::Serialize;

use super::format::AUDIT;
use super::write::to_line;
use crate::audit::{AuditId, Effect, Facts, Fix, Found, Severity};
use crate::host::Host;

/// A domain and its findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// The domain's name.
    pub name: String,
    /// Where its XML comes from.
    pub source: String,
    /// The findings, the worst first.
    pub findings: Vec<Found>,
}

#[derive(Serialize)]
struct Audit<'a> {
    format: &'static str,
    host: &'a str,
    domains: Vec<Domain<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Domain<'a> {
    name: &'a str,
    source: &'a str,
    findings: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Finding<'a> {
    id: AuditId,
    severity: Severity,
    text: String,
    facts: &'a Facts,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
    fixes: &'a [Fix],
}

/// The findings about the domains of a host, with the notes of their readers, as JSON on one line.
#[must_use]
pub fn audit(host: &Host, domains: &[Audited], notes: &[String]) -> String {
    let domains = domains.iter().map(|domain| Domain {
        name: &domain.name,
        source: &domain.source,
        findings: domain.findings.iter().map(Finding::of).collect(),
    });
    to_line(&Audit { format: AUDIT, host: host.name(), domains: domains.collect(), notes })
}

impl<'a> Finding<'a> {
    fn of(found: &'a Found) -> Self {
        Self {
            id: found.id,
            severity: found.severity(),
            text: found.to_string(),
            facts: &found.facts,
            effect: found.id.effect(),
            fixes: &found.fixes,
        }
    }
}
