//! The JSON Schemas of answers.

use serde_json::{Value, json};

use super::{
    Definition, Field, amounts, array, boolean, document, holdings, list, names, number, object,
    of, one_of, placement, string,
};
use crate::json::format::{PLACEMENT, RECOMMENDATION, REFUSAL};
use crate::workload::Metric;

/// The JSON Schema (draft 2020-12) of what [`recommendation`](crate::json::recommendation) and
/// [`recommendation_on`](crate::json::recommendation_on) write. The same bytes each time.
#[must_use]
pub fn recommendation_schema() -> String {
    let fields = vec![
        ("host", false, of("host"), "the host, if the answer describes it"),
        ("ranked", true, list("ranked"), "the placements, best first"),
        ("rejected", true, list("rejected"), "the styles that do not fit, and why"),
        (
            "near_misses",
            true,
            list("near_miss"),
            "what a slightly smaller VM would keep, and the L3 domains that the best placement spans",
        ),
        ("warnings", true, array(string()), "warnings about the best placement, as sentences"),
        (
            "changes",
            false,
            list("domain_change"),
            "what the best placement changes in the domain that was given, if one was",
        ),
        ("search_cut", true, boolean(), "whether the search met its limit"),
    ];
    let mut definitions = placement::definitions();
    definitions.extend([
        amounts(),
        holdings::pages(),
        ("host", host()),
        ("ranked", ranked()),
        ("rejected", rejected()),
        ("fact", fact()),
        ("near_miss", named("near_miss", "a near miss, with its sentence")),
        ("warning", named("warning", "a warning about the placement")),
        ("domain_change", domain_change()),
        ("placement", whole_placement()),
    ]);
    document(RECOMMENDATION, "placements, best first", fields, definitions)
}

/// The JSON Schema (draft 2020-12) of what [`refusal`](crate::json::refusal) writes. The same bytes
/// each time.
#[must_use]
pub fn refusal_schema() -> String {
    let change = named("change", "a change that would make the request fit, with its sentence");
    let fields = vec![
        ("rejected", true, list("rejected"), "the styles, and why each does not fit"),
        ("smallest_change", true, list("change"), "changes that would each make it fit"),
    ];
    let definitions: Vec<Definition> =
        vec![("rejected", rejected()), ("fact", fact()), ("change", change)];
    document(REFUSAL, "why nothing fits", fields, definitions)
}

/// A value that one field names, with the numbers that belong to it: a reader must expect names
/// that it does not know, since later releases add some.
fn named(tag: &'static str, about: &str) -> Value {
    let name = json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]*$" });
    json!({
        "type": "object",
        "description": about,
        "properties": { tag: name },
        "required": [tag],
    })
}

fn domain_change() -> Value {
    let text = || one_of(&[string(), json!({ "type": "null" })]);
    object(
        "a change to an existing domain",
        vec![
            ("part", true, string(), "the changed part"),
            ("before", true, text(), "what the domain said; null if it lacked the part"),
            ("after", true, text(), "what it says now; null if the part was removed"),
            ("why", true, string(), "the reason"),
        ],
    )
}

fn fact() -> Value {
    named("fact", "why something cannot be")
}

fn host() -> Value {
    let source = object(
        "the source of a part",
        vec![("part", true, string(), "the part"), ("from", true, string(), "the source")],
    );
    object(
        "the host and the origin of its description",
        vec![
            ("name", true, string(), "its name"),
            ("text", true, string(), "one line about it"),
            ("sources", true, array(source), "the source of each part of its description"),
            ("conflicts", true, array(string()), "conflicts between its sources"),
            ("notes", true, array(string()), "notes of the readers"),
        ],
    )
}

fn rejected() -> Value {
    object(
        "a style that does not fit",
        vec![
            ("style", true, placement::style(), "the style"),
            ("facts", true, list("fact"), "why, the decisive fact first"),
            ("text", true, array(string()), "the facts as sentences"),
        ],
    )
}

fn ranked() -> Value {
    let claim = holdings::claim().into_iter().map(|(name, _, of, about)| (name, true, of, about));
    let unmet = json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]*$" });
    object(
        "a placement with its score",
        vec![
            ("rank", true, number(u64::MAX), "its rank, from 1"),
            ("style", true, placement::style(), "how much of the hardware the guest sees"),
            ("baseline", true, boolean(), "whether it is the layout that predictions compare to"),
            ("score", true, score(), "its score"),
            ("predictions", true, array(prediction()), "the prediction for each metric"),
            ("placement", true, of("placement"), "the placement, as a text of its own format"),
            ("findings", true, array(finding()), "the finding of each rule"),
            ("unmet", true, array(unmet), "preferred properties that it does not have"),
            (
                "claim",
                true,
                object("the claim on the host", claim.collect()),
                "the claim on the host: a tenant without its name",
            ),
            ("warnings", true, list("warning"), "warnings about the placement"),
        ],
    )
}

fn whole_placement() -> Value {
    let format = json!({ "const": PLACEMENT });
    let mut fields = vec![("format", true, format, "the placement's format and its version")];
    fields.extend(placement::fields());
    object("a placement", fields)
}

fn score() -> Value {
    let part = |name, about| -> Field { (name, true, json!({ "type": "integer" }), about) };
    object(
        "how good it is, in millionths of a natural logarithm: 100000 is about 10%",
        vec![
            part("total", "the sum of the parts; the ranking goes by it"),
            part("performance", "the weighted mean of the predictions' logarithms"),
            part("packing", "the cost to the host's other tenants: zero or less"),
            part("preferences", "the cost of unmet preferences: zero or less"),
        ],
    )
}

fn prediction() -> Value {
    let grade = one_of(&[grade(), json!({ "type": "null" })]);
    let mut fields = vec![("metric", true, metric(), "the metric")];
    fields.extend(range());
    fields.push(("grade", true, grade, "the weakest grade among its findings; null for none"));
    fields.push(("findings", true, studies(), "the studies that it rests on"));
    object("the prediction for a metric", fields)
}

fn finding() -> Value {
    let rule = json!({ "type": "string", "pattern": "^[a-z][a-z0-9-]*$" });
    let mut fields =
        vec![("rule", true, rule, "the rule"), ("metric", true, metric(), "the metric")];
    fields.extend(range());
    fields.push(("grade", true, grade(), "how it is known"));
    fields.push(("findings", true, studies(), "the studies that it rests on"));
    object("the finding of a rule about a metric", fields)
}

fn metric() -> Value {
    names(&Metric::ALL.map(Metric::name))
}

fn grade() -> Value {
    names(&["own", "measured", "observed", "stated", "reasoned"])
}

fn studies() -> Value {
    array(json!({ "type": "string", "pattern": "^F[0-9]+$" }))
}

fn range() -> Vec<Field> {
    let end = |name, about| -> Field { (name, true, json!({ "type": "number" }), about) };
    vec![
        end("low", "the factor against the default layout to count on"),
        end("likely", "the factor to expect"),
        end("high", "the factor that was seen at best"),
    ]
}
