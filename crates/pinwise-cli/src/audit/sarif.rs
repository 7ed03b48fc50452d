//! Findings as SARIF 2.1.0, which code-scanning tools read.

use pinwise::audit::{AuditId, Found};
use pinwise::json::Audited;
use serde_json::{Value, json};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// One run, with a rule for each kind of finding and a result for each finding.
pub(super) fn report(domains: &[Audited]) -> String {
    let rules: Vec<Value> = AuditId::ALL.iter().map(|id| rule(*id)).collect();
    let results: Vec<Value> = domains
        .iter()
        .flat_map(|domain| domain.findings.iter().map(move |found| result(domain, found)))
        .collect();
    let driver = json!({
        "name": "pinwise",
        "version": env!("CARGO_PKG_VERSION"),
        "rules": rules,
    });
    let report = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "results": results }],
    });
    format!("{report:#}\n")
}

fn rule(id: AuditId) -> Value {
    json!({
        "id": id.name(),
        "shortDescription": { "text": id.name().replace('-', " ") },
        "fullDescription": { "text": plain(id.about()), "markdown": id.about().trim() },
        "defaultConfiguration": { "level": id.severity().name() },
    })
}

/// Documentation without its marks.
fn plain(markdown: &str) -> String {
    let text = markdown.replace("**", "").replace('`', "");
    // Links to neighbours: `[Name](Self::Name)`.
    let mut plain = String::new();
    for part in text.split('[') {
        match part.split_once("](") {
            Some((name, rest)) => {
                plain += name;
                plain += rest.split_once(')').map_or("", |(_, rest)| rest);
            }
            None => plain += part,
        }
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn result(domain: &Audited, found: &Found) -> Value {
    let index = AuditId::ALL.iter().position(|id| *id == found.id);
    let fixes: String = found.fixes.iter().map(|fix| format!("\nFix: {fix}")).collect();
    json!({
        "ruleId": found.id.name(),
        "ruleIndex": index,
        "level": found.severity().name(),
        "message": { "text": format!("{}: {found}{fixes}", domain.name) },
        "locations": [{
            "physicalLocation": { "artifactLocation": { "uri": uri(&domain.source) } },
            "logicalLocations": [{ "name": domain.name, "kind": "resource" }],
        }],
    })
}

/// A path as a relative reference of a URI.
fn uri(path: &str) -> String {
    let path = if path == "-" { "stdin" } else { path };
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri += &format!("%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_is_plain_and_paths_are_uris() {
        let text = plain(" **Looks at** a `x` ([`Y`](Self::Y)),\n and on.");
        assert_eq!(text, "Looks at a x (Y), and on.");
        assert_eq!(uri("a b/ü.xml"), "a%20b/%C3%BC.xml");
    }
}
