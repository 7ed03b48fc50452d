//! What is written is read back equal, and fits its schema.

mod answers;
mod drawn;
mod schemas;
mod values;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::read_host;
use crate::host::Host;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Every host of the fixtures.
fn hosts() -> Vec<Host> {
    let mut files = Vec::new();
    for folder in ["hosts", "captures", "cases"] {
        for entry in fs::read_dir(fixtures().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            files.push(if path.is_dir() { path.join("host.json") } else { path });
        }
    }
    files.retain(|file| file.is_file() && file.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    let host = |file: &PathBuf| read_host(&fs::read_to_string(file).unwrap()).unwrap();
    files.iter().map(|file| host(file).build().unwrap()).collect()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Fails unless the text fits the schema.
fn assert_fits(schema: &str, text: &str) {
    let broken = pinwise_testkit::schema::broken(&value(schema), &value(text));
    assert!(broken.is_empty(), "{broken:?} in {text}");
}
