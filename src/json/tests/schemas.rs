//! The schemas: the committed files are the generated ones, and each says of every field what its
//! reader says. `PINWISE_BLESS=1` writes the files anew.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::values::full;
use super::{fixtures, value};
use crate::json::{
    AUDIT, HOST, OFFER, PLACEMENT, RECOMMENDATION, REFUSAL, REQUEST, SHAPE, TENANT, USAGE,
    audit_schema, host_schema, offer_schema, placement_schema, read_offer, read_placement,
    read_request, read_shape, read_tenant, recommendation_schema, refusal_schema, request_schema,
    shape_schema, tenant_schema, usage_schema, write_offer, write_placement, write_request,
    write_shape, write_tenant,
};
use pinwise_testkit::schema::{broken, places, pointer};

fn all() -> [(&'static str, String); 10] {
    [
        (HOST, host_schema()),
        (REQUEST, request_schema()),
        (TENANT, tenant_schema()),
        (USAGE, usage_schema()),
        (PLACEMENT, placement_schema()),
        (OFFER, offer_schema()),
        (SHAPE, shape_schema()),
        (RECOMMENDATION, recommendation_schema()),
        (REFUSAL, refusal_schema()),
        (AUDIT, audit_schema()),
    ]
}

#[test]
fn the_committed_schemas_are_the_generated_ones() {
    for (format, schema) in all() {
        let file = fixtures().join(format!("{}.schema.json", format.replace('/', "-")));
        #[allow(clippy::disallowed_methods, reason = "a test is told by its caller to write")]
        if std::env::var_os("PINWISE_BLESS").is_some_and(|value| value == "1") {
            fs::write(&file, &schema).unwrap();
        }
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(found == schema, "{format} is stale: PINWISE_BLESS=1 cargo test --lib json");
    }
}

#[test]
fn keys_are_in_snake_case_and_references_lead_somewhere() {
    fn walk(schema: &Value, keys: &mut BTreeSet<String>, names: &mut BTreeSet<String>) {
        if let Some(map) = schema.get("properties").and_then(Value::as_object) {
            keys.extend(map.keys().cloned());
        }
        names.extend(schema.get("$ref").map(|name| name.as_str().unwrap().to_owned()));
        match schema {
            Value::Object(map) => map.values().for_each(|inner| walk(inner, keys, names)),
            Value::Array(items) => items.iter().for_each(|inner| walk(inner, keys, names)),
            _ => {}
        }
    }
    for (format, schema) in all() {
        let schema = value(&schema);
        let (mut keys, mut names) = (BTreeSet::new(), BTreeSet::new());
        walk(&schema, &mut keys, &mut names);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(keys.iter().all(|key| key.chars().all(plain)), "{format}: {keys:?}");
        let defined = schema["$defs"].as_object().unwrap().keys();
        let defined: BTreeSet<_> = defined.map(|name| format!("#/$defs/{name}")).collect();
        assert_eq!(names, defined, "{format}");
    }
}

/// A text of a format with every field there, its schema, and whether the reader takes a text.
type Format = (String, Value, fn(&str) -> bool);

fn formats() -> [Format; 5] {
    let full = full();
    [
        (write_request(&full.request), value(&request_schema()), |t| read_request(t).is_ok()),
        (write_tenant("a", &full.claim), value(&tenant_schema()), |t| read_tenant(t).is_ok()),
        (write_offer(&full.offer), value(&offer_schema()), |t| read_offer(t).is_ok()),
        (write_shape(&full.shape), value(&shape_schema()), |t| read_shape(t).is_ok()),
        (write_placement(&full.placement), value(&placement_schema()), |t| {
            read_placement(t).is_ok()
        }),
    ]
}

#[test]
fn schema_and_reader_need_the_same_fields_and_refuse_the_same_values() {
    let wrong = [json!(-1), json!(true), json!({}), json!("x y"), json!(1.5)];
    for (text, schema, is_read) in formats() {
        let whole = value(&text);
        assert_eq!(broken(&schema, &whole), Vec::<String>::new());
        let (mut refused, mut names) = (0, BTreeSet::new());
        for way in places(&whole) {
            let key = way.last().unwrap();
            let in_list = key.parse::<usize>().is_ok();
            let mut tries: Vec<(Value, &str)> = Vec::new();
            if !in_list {
                names.insert(key.clone());
                let mut less = whole.clone();
                let above = less.pointer_mut(&pointer(&way[..way.len() - 1])).unwrap();
                above.as_object_mut().unwrap().remove(key);
                tries.push((less, "removed"));
            }
            for new in &wrong {
                let mut changed = whole.clone();
                *changed.pointer_mut(&pointer(&way)).unwrap() = new.clone();
                tries.push((changed, "changed"));
            }
            if let Some(Value::Object(_)) = whole.pointer(&pointer(&way)) {
                let mut more = whole.clone();
                more.pointer_mut(&pointer(&way)).unwrap()["colour"] = json!("red");
                tries.push((more, "with a colour"));
            }
            for (changed, what) in tries {
                let broken = broken(&schema, &changed);
                let is_read = is_read(&changed.to_string());
                assert_eq!(is_read, broken.is_empty(), "{way:?} {what}: {broken:?} {changed}");
                refused += usize::from(!is_read);
            }
        }
        assert!(refused > 20, "{refused}");
        // Every field of the schema was there to be tried; a policy has one of its forms.
        let title = schema["title"].as_str().unwrap().to_owned();
        let objects = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        let known = objects.filter_map(|one| one["properties"].as_object());
        let known: BTreeSet<String> = known.flat_map(|map| map.keys().cloned()).collect();
        assert!(known.is_subset(&names), "{title}: {:?}", known.difference(&names));
    }
}

#[test]
fn a_text_of_another_version_is_refused_with_both_versions() {
    for (text, schema, is_read) in formats() {
        let format = schema["title"].as_str().unwrap();
        let (name, version) = format.rsplit_once('/').unwrap();
        let next = format!("{name}/{}", version.parse::<u32>().unwrap() + 1);
        let text = text.replacen(format, &next, 1).replace("vcpus", "guest_cpus");
        assert!(!is_read(&text));
        let said = match name {
            "pinwise-request" => read_request(&text).unwrap_err(),
            "pinwise-tenant" => read_tenant(&text).unwrap_err(),
            "pinwise-offer" => read_offer(&text).unwrap_err(),
            "pinwise-shape" => read_shape(&text).unwrap_err(),
            _ => read_placement(&text).unwrap_err(),
        };
        assert_eq!(
            said.to_string(),
            format!("the text has format {next:?}, but this version reads {format:?}")
        );
    }
}
