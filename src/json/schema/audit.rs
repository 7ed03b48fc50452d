//! The JSON Schema of findings about domains.

use serde_json::{Value, json};

use super::{
    addresses, array, cpu_sets, document, list, names, number, object, of, one_of, pattern, set,
    string, tagged,
};
use crate::json::format::AUDIT;
use crate::workload::Metric;

/// The JSON Schema (draft 2020-12) of what [`audit`](crate::json::audit) writes. The same bytes
/// each time.
#[must_use]
pub fn audit_schema() -> String {
    let fields = vec![
        ("host", true, string(), "the name of the host"),
        ("domains", true, list("domain"), "the domains, in the order in which they were given"),
        ("notes", true, array(string()), "notes of the readers"),
    ];
    let definitions = vec![
        ("domain", domain()),
        ("finding", finding()),
        ("facts", facts()),
        ("effect", effect()),
        ("fix", fix()),
        addresses(),
        cpu_sets(),
    ];
    document(AUDIT, "findings about domains, the worst first", fields, definitions)
}

fn domain() -> Value {
    object(
        "a domain",
        vec![
            ("name", true, string(), "its name"),
            ("source", true, string(), "the file that it was read from, or live:NAME"),
            ("findings", true, list("finding"), "its findings, the worst first"),
        ],
    )
}

/// Ids are not listed: later releases add some.
fn finding() -> Value {
    object(
        "a finding",
        vec![
            ("id", true, pattern("^[a-z][a-z0-9-]*$", ""), "the rule"),
            ("severity", true, names(&["error", "warning", "note"]), "how bad it is"),
            ("text", true, string(), "the finding as a sentence"),
            ("facts", true, of("facts"), "its ids and numbers"),
            ("effect", false, of("effect"), "what the fix is expected to bring, if a metric tells"),
            ("fixes", true, list("fix"), "what to do about it, the surest first"),
        ],
    )
}

fn facts() -> Value {
    let count = || number(u64::MAX);
    object(
        "the ids and numbers of a finding; those that it is not about are left out",
        vec![
            ("vcpus", false, set(), "vCPUs"),
            ("iothreads", false, array(count()), "I/O threads"),
            ("pcpus", false, of("cpus"), "pCPUs"),
            ("nodes", false, set(), "host nodes"),
            ("right_nodes", false, set(), "the nodes that would be right"),
            ("cells", false, set(), "guest cells"),
            ("devices", false, list("address"), "PCI functions of the host"),
            ("tenants", false, array(string()), "other tenants"),
            ("page_size", false, string(), "a page size"),
            ("found", false, count(), "the number that was found"),
            ("right", false, count(), "the number that would be right"),
        ],
    )
}

fn effect() -> Value {
    let factor = || json!({ "type": "number" });
    let grades = ["own", "measured", "observed", "stated", "reasoned"];
    object(
        "a factor on a metric, after the fix against before",
        vec![
            ("metric", true, names(&Metric::ALL.map(Metric::name)), "the metric"),
            ("low", true, factor(), "the factor to count on"),
            ("likely", true, factor(), "the factor to expect"),
            ("high", true, factor(), "the factor at best"),
            ("grade", true, names(&grades), "how it is known"),
            ("studies", true, array(pattern("^F[0-9]+$", "")), "the studies that it rests on"),
        ],
    )
}

fn fix() -> Value {
    let xml = object(
        "an element of the domain",
        vec![
            ("inside", true, string(), "the parent"),
            ("element", true, string(), "the element, in place of one of its name"),
        ],
    );
    let line = object("a line for a shell", vec![("line", true, string(), "the line")]);
    let advice = object("what else to do", vec![("text", true, string(), "a phrase")]);
    one_of(&[
        tagged("xml", xml, "an element of the domain"),
        tagged("virsh", line, "a line for a shell"),
        tagged("advice", advice, "what else to do"),
    ])
}
