//! Findings as text.

use pinwise::audit::{Fix, Severity};
use pinwise::json::Audited;

/// The largest number of lines of an element that is shown whole.
const MAX_LINES: usize = 20;

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
    if findings.is_empty() {
        return format!("{name} ({source}): nothing found\n\n");
    }
    let mut text = format!("{name} ({source}):\n");
    let mut shown = Vec::new();
    for found in findings {
        text += &format!("  {} {}: {found}\n", found.severity().name(), found.id.name());
        if let Some(effect) = found.id.effect() {
            text += &format!("    expected of the fix: {effect}\n");
        }
        for fix in &found.fixes {
            let again = shown.contains(&fix);
            shown.push(fix);
            text += &format!("    fix: {}\n", lines(fix, again));
        }
    }
    text + "\n"
}

/// The fix, indented. Long elements are cut, and those that were shown before are only named.
fn lines(fix: &Fix, again: bool) -> String {
    let text = fix.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    if rest.is_empty() {
        return first.to_owned();
    }
    if again {
        return format!("{first} as above");
    }
    let cut = if rest.len() > MAX_LINES { rest.len() - MAX_LINES / 2 } else { 0 };
    let mut shown = first.to_owned();
    for (at, line) in rest.iter().enumerate() {
        if cut > 0 && at == MAX_LINES / 2 {
            let hidden = cut - MAX_LINES / 2;
            shown += &format!("\n      ... {hidden} more lines: --format json has all");
        }
        if cut == 0 || at < MAX_LINES / 2 || at >= cut {
            shown += &format!("\n      {line}");
        }
    }
    shown
}
