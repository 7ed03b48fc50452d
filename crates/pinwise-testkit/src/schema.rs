//! Values against JSON Schemas: the keywords that our schemas use, and no others.

use regex_lite::Regex;
use serde_json::{Map, Value};

/// Places and keywords where `value` breaks `schema`.
pub fn broken(schema: &Value, value: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    check(schema, schema, value, "", &mut broken);
    broken
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known here"),
    }
}

fn fits(keyword: &str, rule: &Value, schema: &Value, value: &Value) -> bool {
    let has = |map: &Map<String, Value>, name: &Value| map.contains_key(name.as_str().unwrap());
    match keyword {
        "type" => match rule {
            Value::Array(names) => {
                names.iter().any(|name| is_of_type(name.as_str().unwrap(), value))
            }
            name => is_of_type(name.as_str().unwrap(), value),
        },
        "const" => rule == value,
        "enum" => rule.as_array().unwrap().contains(value),
        "minimum" => value.as_i64().is_none_or(|n| n >= rule.as_i64().unwrap()),
        "maximum" => value.as_u64().is_none_or(|n| n <= rule.as_u64().unwrap()),
        "pattern" => {
            let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "required" => {
            let names = rule.as_array().unwrap();
            value.as_object().is_none_or(|map| names.iter().all(|name| has(map, name)))
        }
        "additionalProperties" => {
            assert_eq!(rule, &Value::Bool(false));
            let known = schema["properties"].as_object().unwrap();
            value.as_object().is_none_or(|map| map.keys().all(|name| known.contains_key(name)))
        }
        "$schema" | "$defs" | "title" | "description" | "properties" | "items" | "oneOf" => true,
        other => panic!("the keyword {other} is not known here"),
    }
}

fn check(root: &Value, schema: &Value, value: &Value, path: &str, broken: &mut Vec<String>) {
    if let Some(name) = schema.get("$ref") {
        let name = name.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
        let schema = root["$defs"].get(name).unwrap_or_else(|| panic!("no definition of {name}"));
        return check(root, schema, value, path, broken);
    }
    for (keyword, rule) in schema.as_object().unwrap() {
        if !fits(keyword, rule, schema, value) {
            broken.push(format!("{path}: {keyword}"));
        }
    }
    if let Some(forms) = schema.get("oneOf") {
        let fits = |form: &&Value| {
            let mut broken = Vec::new();
            check(root, form, value, path, &mut broken);
            broken.is_empty()
        };
        if forms.as_array().unwrap().iter().filter(fits).count() != 1 {
            broken.push(format!("{path}: oneOf"));
        }
    }
    if let (Some(properties), Some(map)) = (schema.get("properties"), value.as_object()) {
        for (name, inner) in map {
            if let Some(rule) = properties.get(name) {
                check(root, rule, inner, &format!("{path}.{name}"), broken);
            }
        }
    }
    if let (Some(rule), Some(items)) = (schema.get("items"), value.as_array()) {
        for (at, item) in items.iter().enumerate() {
            check(root, rule, item, &format!("{path}[{at}]"), broken);
        }
    }
}

/// Every place of a value: the keys and positions that lead to it.
pub fn places(value: &Value) -> Vec<Vec<String>> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect()
        }
        _ => Vec::new(),
    };
    let mut found = Vec::new();
    for (key, child) in children {
        found.push(vec![key.clone()]);
        let below = places(child).into_iter();
        found.extend(below.map(|way| [std::slice::from_ref(&key), &way].concat()));
    }
    found
}

/// The JSON pointer to a place.
pub fn pointer(way: &[String]) -> String {
    way.iter().map(|key| format!("/{key}")).collect()
}
