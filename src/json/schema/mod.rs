//! The JSON Schemas of all formats, and what they are put together from.

mod answer;
mod audit;
mod holdings;
mod host;
mod placement;
mod request;
mod shape;

use serde_json::{Map, Value, json};

pub use answer::{recommendation_schema, refusal_schema};
pub use audit::audit_schema;
pub use holdings::{offer_schema, tenant_schema, usage_schema};
pub use host::host_schema;
pub use placement::placement_schema;
pub use request::request_schema;
pub use shape::shape_schema;

/// A field: its name, whether it must be there, what it holds, and what that means.
type Field = (&'static str, bool, Value, &'static str);

/// A schema with a name, which [`of`] refers to.
type Definition = (&'static str, Value);

/// The schema of a format, as JSON text with a line's end. The format's name must be there.
fn document(format: &str, about: &str, fields: Vec<Field>, definitions: Vec<Definition>) -> String {
    whole(format, about, true, fields, definitions)
}

/// The same for a format that people write by hand: the format's name may be left out.
fn document_by_hand(
    format: &str,
    about: &str,
    fields: Vec<Field>,
    definitions: Vec<Definition>,
) -> String {
    whole(format, about, false, fields, definitions)
}

fn whole(
    format: &str,
    about: &str,
    is_format_required: bool,
    mut fields: Vec<Field>,
    definitions: Vec<Definition>,
) -> String {
    let constant = json!({ "const": format });
    fields.insert(0, ("format", is_format_required, constant, "this format and its version"));
    let mut schema = object(about, fields);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(format);
    let definitions = definitions.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    schema["$defs"] = Value::Object(definitions.collect());
    let text = serde_json::to_string_pretty(&schema);
    text.expect("a value that was made here is JSON") + "\n"
}

fn cpu_sets() -> Definition {
    ("cpus", pattern(CPUS, "pCPUs in the kernel's list format: 0-3,8; strides as 0-31:2/4"))
}

fn amounts() -> Definition {
    ("bytes", pattern(BYTES, "an amount of memory with a binary unit: 64 GiB"))
}

fn addresses() -> Definition {
    ("address", pattern(ADDRESS, "a PCI address: 0000:1b:00.0"))
}

/// A set of other numbers than pCPUs, in the same form.
fn set() -> Value {
    json!({ "type": "string", "pattern": CPUS })
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn boolean() -> Value {
    json!({ "type": "boolean" })
}

fn names(names: &[&str]) -> Value {
    json!({ "enum": names })
}

fn array(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn one_of(forms: &[Value]) -> Value {
    json!({ "oneOf": forms })
}

/// A structure with one field, which says which form it is.
fn tagged(name: &'static str, value: Value, about: &'static str) -> Value {
    object(about, vec![(name, true, value, about)])
}

const CPUS: &str =
    r"^\s*([0-9]+(-[0-9]+)?(:[0-9]+/[0-9]+)?(,[0-9]+(-[0-9]+)?(:[0-9]+/[0-9]+)?)*)?\s*$";
const BYTES: &str = r"^\s*[0-9]+\s*([kKmMgGtTpPeE]([iI][bB])?|B)?\s*$";
const ADDRESS: &str = r"^\s*([0-9a-fA-F]{1,8}:)?[0-9a-fA-F]{1,2}:[01]?[0-9a-fA-F]\.[0-7]\s*$";

fn object(about: &str, fields: Vec<Field>) -> Value {
    let required: Vec<&str> = fields.iter().filter(|field| field.1).map(|field| field.0).collect();
    let mut properties = Map::new();
    for (name, _, mut schema, about) in fields {
        schema["description"] = json!(about);
        properties.insert(name.to_owned(), schema);
    }
    json!({
        "type": "object",
        "description": about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn list(name: &str) -> Value {
    json!({ "type": "array", "items": of(name) })
}

fn pattern(pattern: &str, about: &str) -> Value {
    json!({ "type": "string", "pattern": pattern, "description": about })
}

fn number(most: u64) -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": most })
}

const U32: u64 = u32::MAX as u64;

fn text(name: &'static str, about: &'static str) -> Field {
    (name, false, json!({ "type": "string" }), about)
}

fn cpus(name: &'static str, required: bool, about: &'static str) -> Field {
    (name, required, of("cpus"), about)
}
