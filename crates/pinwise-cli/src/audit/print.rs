//! Findings as text.

use pinwise::audit::{Found, Severity};
use pinwise::json::Audited;

/// Each domain with its findings, then the notes and a sum.
pub(super) fn text(domains: &[Audited], notes: &[String]) -> String {
    let mut text: String = domains.iter().map(domain).collect();
    notes.iter().for_each(|note| text += &format!("Note: {note}.\n"));
    let of = |severity| {
        let all = domains.iter().flat_map(|domain| &domain.findings);
        all.filter(|found| found.severity() == severity).count()
    };
    let [errors, warnings, hints] = [Severity::Error, Severity::Warning, Severity::Note].map(of);
    let sum = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    text + &format!(
        "{}: {}, {}, {}.\n",
        sum(domains.len(), "domain"),
        sum(errors, "error"),
        sum(warnings, "warning"),
        sum(hints, "note")
    )
}

fn domain(domain: &Audited) -> String {
    let Audited { name, source, findings } = domain;
    match findings.as_slice() {
        [] => format!("{name} ({source}): nothing found\n\n"),
        findings => {
            let all: String = findings.iter().map(finding).collect();
            format!("{name} ({source}):\n{all}\n")
        }
    }
}

fn finding(found: &Found) -> String {
    let mut text = format!("  {} {}: {found}\n", found.severity().name(), found.id.name());
    if let Some(effect) = found.id.effect() {
        text += &format!("    expected of the fix: {effect}\n");
    }
    for fix in &found.fixes {
        text += &format!("    fix: {}\n", fix.to_string().replace('\n', "\n      "));
    }
    text
}
