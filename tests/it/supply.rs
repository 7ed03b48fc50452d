//! What comes in and what goes out: licences, copies of one crate, sources, and the package's files.
//!
//! cargo is asked, and may ask the registry, so this runs where it is asked for:
//! `cargo test --test supply -- --ignored`. `deny.toml` is cargo-deny's; that reads advisories too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use regex_lite::Regex;
use serde_json::Value;

fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(cargo).args(args).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `deny.toml`, which is not in the package, without its comments.
fn rules() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"))
}

fn found<'a>(pattern: &str, text: &'a str) -> Vec<Vec<&'a str>> {
    let pattern = Regex::new(pattern).unwrap();
    let groups = pattern.captures_iter(text);
    groups.map(|groups| groups.iter().skip(1).map(|g| g.unwrap().as_str()).collect()).collect()
}

/// Whether a licence expression is met by these licences: `(MIT OR Apache-2.0) AND Unicode-3.0`.
fn is_met(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any_of(&words, &mut at, allowed);
    assert_eq!(at, words.len(), "{expression}");
    met
}

fn any_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut met = true;
    loop {
        let word = words[*at];
        *at += 1;
        if word == "(" {
            met &= any_of(words, at, allowed);
            *at += 1;
        } else if words.get(*at) == Some(&"WITH") {
            // A licence with an exception is another licence.
            *at += 2;
            met = false;
        } else {
            met &= allowed.contains(word);
        }
        if words.get(*at) != Some(&"AND") {
            return met;
        }
        *at += 1;
    }
}

#[test]
fn licence_expressions_are_read() {
    let allowed = BTreeSet::from(["MIT", "Unicode-3.0"]);
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
        ("MIT WITH an-exception", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 AND MIT) OR Apache-2.0", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}

#[test]
#[ignore = "cargo may ask the registry; .ci/run runs it"]
fn dependencies_keep_the_rules() {
    let Some(rules) = rules() else { return };
    let target = "--filter-platform=x86_64-unknown-linux-gnu";
    let text = cargo(&["metadata", "--format-version=1", "--all-features", "--locked", target]);
    let metadata: Value = serde_json::from_str(&text).unwrap();
    let quoted = |list: &'_ str| -> Vec<String> {
        found("\"([^\"]+)\"", list).into_iter().map(|group| group[0].to_owned()).collect()
    };
    let allowed = quoted(found(r"(?m)^allow = \[([^\]]*)\]", &rules)[0][0]);
    let exceptions: BTreeMap<&str, Vec<String>> =
        found(r#"\{ crate = "([^"]+)", allow = \[([^\]]*)\] \}"#, &rules)
            .into_iter()
            .map(|group| (group[0], quoted(group[1])))
            .collect();
    let skipped = found(r#"\{ crate = "([^"@]+)(?:@[0-9.]+)?", reason"#, &rules);
    let skipped: BTreeSet<&str> = skipped.into_iter().map(|group| group[0]).collect();
    // The packages of this platform's graph alone.
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let used: BTreeSet<&str> = nodes.iter().map(|node| node["id"].as_str().unwrap()).collect();
    let (mut versions, mut seen) = (BTreeMap::<&str, u32>::new(), BTreeSet::new());
    for package in metadata["packages"].as_array().unwrap() {
        let text = |field: &str| package[field].as_str();
        if !used.contains(text("id").unwrap()) {
            continue;
        }
        let name = text("name").unwrap();
        *versions.entry(name).or_default() += 1;
        let mut allowed: BTreeSet<&str> = allowed.iter().map(String::as_str).collect();
        allowed.extend(exceptions.get(name).into_iter().flatten().map(String::as_str));
        let licence = text("license").unwrap_or_else(|| panic!("{name} names no licence"));
        assert!(is_met(licence, &allowed), "{name}: {licence}");
        let registry = text("source").is_none_or(|source| source.starts_with("registry+"));
        assert!(registry, "{name} is not from a registry");
        seen.insert(name);
    }
    assert!(versions.len() > 30, "{versions:?}");
    for (name, count) in versions {
        assert!(count == 1 || skipped.contains(name), "{name} is there in {count} versions");
    }
    // A rule about nobody is a mistake.
    for name in exceptions.keys().chain(&skipped) {
        assert!(seen.contains(name), "{name} is not used any more");
    }
}

#[test]
#[ignore = "asks cargo; .ci/run runs it"]
fn the_package_has_no_stray_file() {
    let list = cargo(&["package", "--list", "--allow-dirty"]);
    let expected = Regex::new(
        r"(?x)^(
            src/[a-z0-9_/]+\.(rs|json)
          | (tests|examples|benches)/[a-z0-9_/]+\.rs
          | tests/(lab|texts)/[a-z0-9-]+\.(xml|json)
          | tests/lab/(apt|install|kernel|libraries|run)
          | (tests|benches)/[a-z]+\.tsv | tests/MUTANTS\.md
          | fixtures/[a-z0-9_/-]+(\.1)?\.(json|xml|txt|md|tsv|schema\.json)
          | fixtures/cases/README\.md
          | Cargo\.(toml|lock) | Cargo\.toml\.orig | \.cargo_vcs_info\.json
          | README\.md | CHANGELOG\.md | SECURITY\.md | LICENSE-(APACHE|MIT)
        )$",
    )
    .unwrap();
    let stray: Vec<&str> = list.lines().filter(|line| !expected.is_match(line)).collect();
    assert!(stray.is_empty(), "{stray:?}");
    let size = |line: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(line);
        std::fs::metadata(path).map_or(0, |file| file.len())
    };
    let whole: u64 = list.lines().map(size).sum();
    assert!((100_000..8 << 20).contains(&whole), "{whole} bytes");
    for file in ["src/lib.rs", "README.md", "SECURITY.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(list.lines().any(|line| line == file), "{file} is missing");
    }
}
