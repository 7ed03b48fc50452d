//! The plan of the house: which module of the engine may import which, and why, and no circles of
//! files anywhere. Read from the `use` lines and the paths in the code; tests and comments do not
//! count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module at the root of the engine, what it may import, and why no more. A module that is not
/// named may not exist.
const PLAN: [(&str, &[&str], &str); 21] = [
    ("shown", &[], "what foreign text is shown of: asks nobody"),
    ("units", &["shown"], "the quantities of the field"),
    ("sets", &["units"], "sets of numbers"),
    ("workload", &["units"], "weights of metrics"),
    ("host", &["sets", "units"], "facts about hardware: no tenants, no VM"),
    ("usage", &["host", "sets", "shown", "units"], "who holds what: does not know what is wanted"),
    ("request", &["sets", "shown", "units", "workload"], "what is wanted: knows no host"),
    ("placement", &["host", "sets", "units", "usage"], "a result as plain data: no engine needed"),
    ("free", &["host", "request", "sets", "units", "usage"], "the one definition: decides nothing"),
    (
        "question",
        &["engine", "host", "placement", "request", "usage"],
        "of the engine it has the options alone",
    ),
    (
        "engine",
        &[
            "free",
            "host",
            "placement",
            "question",
            "request",
            "sets",
            "units",
            "usage",
            "verify",
            "warnings",
            "workload",
        ],
        "asks the checker in debug builds alone, and makes no text, XML or JSON",
    ),
    (
        "warnings",
        &["engine", "free", "host", "placement", "question", "request", "sets", "units", "usage"],
        "facts about an answer: of the engine it has the profile",
    ),
    (
        "verify",
        &["host", "placement", "question", "request", "sets", "units", "usage", "warnings"],
        "shares no code with the engine, nor the definition of what is free",
    ),
    (
        "capacity",
        &["free", "host", "request", "sets", "units", "usage"],
        "counts without the engine",
    ),
    (
        "fleet",
        &["engine", "free", "host", "placement", "question", "request", "sets", "units", "usage"],
        "asks the engine host by host",
    ),
    (
        "changes",
        &["engine", "free", "host", "question", "request", "sets", "units", "usage"],
        "asks the engine again",
    ),
    (
        "rebalance",
        &[
            "engine",
            "free",
            "host",
            "placement",
            "question",
            "request",
            "sets",
            "units",
            "usage",
            "verify",
        ],
        "asks the engine with other tenants",
    ),
    (
        "explain",
        &[
            "changes",
            "engine",
            "host",
            "placement",
            "question",
            "rebalance",
            "request",
            "sets",
            "units",
            "usage",
            "warnings",
            "workload",
        ],
        "words: nothing else imports it but the JSON of answers, which has sentences",
    ),
    (
        "audit",
        &[
            "emit",
            "engine",
            "host",
            "placement",
            "question",
            "request",
            "sets",
            "shown",
            "units",
            "usage",
            "workload",
        ],
        "what is wrong with a domain as it is: asks the engine what would be better",
    ),
    ("emit", &["placement", "sets", "shown", "units"], "renders a placement: sees no host"),
    (
        "json",
        &[
            "audit",
            "capacity",
            "changes",
            "emit",
            "engine",
            "explain",
            "host",
            "placement",
            "question",
            "request",
            "sets",
            "shown",
            "units",
            "usage",
            "warnings",
            "workload",
        ],
        "our own formats: nothing imports them",
    ),
];

/// A file by the path of its module, empty for the root.
type Module = Vec<String>;

/// Every Rust file below a folder.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The code of every file below a folder: without comments, and without what tests alone see.
fn code(root: &Path) -> BTreeMap<Module, String> {
    let mut found = BTreeMap::new();
    for path in files_below(root) {
        let inside = path.strip_prefix(root).unwrap().with_extension("");
        let mut module: Module =
            inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if module.iter().any(|part| part == "tests") {
            continue;
        }
        if module.last().is_some_and(|name| matches!(name.as_str(), "mod" | "lib" | "main")) {
            module.pop();
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = text.lines().map(|line| line.split("//").next().unwrap());
        found.insert(module, lines.collect::<Vec<_>>().join("\n"));
    }
    found
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(path: &str) -> Vec<String> {
    let path = path.trim();
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path.split(" as ").next().unwrap().to_owned()];
    };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inside.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(&format!("{before}{}", part.trim()))).collect()
}

/// Which files a file imports from. A file that only passes on what is below it does not need it.
fn imports(module: &Module, code: &str, files: &BTreeMap<Module, String>) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    for statement in code.split(';') {
        let Some(at) = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].trim_end();
            before.is_empty() || before.ends_with([']', ')', '}']) || before.ends_with("pub")
        }) else {
            continue;
        };
        let passes_on = statement[..at].trim_end().ends_with("pub")
            || statement[..at].trim_end().ends_with("pub(crate)")
            || statement[..at].trim_end().ends_with("pub(super)");
        for path in expand(&statement[at + 4..]) {
            let mut parts: Vec<&str> = path.split("::").map(str::trim).collect();
            let mut base: Module = match parts[0] {
                "crate" => Vec::new(),
                "self" => module.clone(),
                "super" => module[..module.len() - 1].to_vec(),
                first if files.contains_key(&[module.as_slice(), &[first.to_owned()]].concat()) => {
                    parts.insert(0, "self");
                    module.clone()
                }
                _ => continue,
            };
            parts.remove(0);
            while parts.first() == Some(&"super") {
                base.pop();
                parts.remove(0);
            }
            base.extend(parts.into_iter().map(str::to_owned));
            while !base.is_empty() && !files.contains_key(&base) {
                base.pop();
            }
            if !base.is_empty() && base != *module && !(passes_on && base.starts_with(module)) {
                found.insert(base);
            }
        }
    }
    found
}

/// The modules that can reach each other: none, where there is no circle.
fn circle(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let mut left = edges.clone();
    loop {
        let ends: BTreeSet<Module> = left
            .iter()
            .filter(|(_, to)| to.iter().all(|to| !left.contains_key(to)))
            .map(|(from, _)| from.clone())
            .collect();
        if ends.is_empty() {
            return left.keys().map(|module| module.join("/")).collect();
        }
        left.retain(|module, _| !ends.contains(module));
    }
}

fn circle_of(root: &Path) -> Vec<String> {
    let files = code(root);
    let edges = files.iter().map(|(module, code)| (module.clone(), imports(module, code, &files)));
    circle(&edges.collect())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn no_files_import_from_each_other_in_a_circle() {
    for folder in ["src", "crates/pinwise-discover/src", "crates/pinwise-cli/src"] {
        assert_eq!(circle_of(&root().join(folder)), [""; 0], "{folder}");
    }
}

#[test]
fn a_circle_would_be_found() {
    let module = |name: &str| vec!["a".to_owned(), name.to_owned()];
    let code = [
        (vec!["a".to_owned()], "pub use x::X;\nmod x;\nmod y;\nmod z;"),
        (module("x"), "use super::y::{self, Y as Z};\npub struct X;"),
        (module("y"), "#[cfg(unix)]\nuse crate::a::{z::{deep, deeper}, x::X};\nfn f() {}"),
        (module("z"), "use std::fmt;"),
    ];
    let files: BTreeMap<Module, String> =
        code.into_iter().map(|(module, code)| (module, code.to_owned())).collect();
    let edges = files.iter().map(|(module, code)| (module.clone(), imports(module, code, &files)));
    let edges: BTreeMap<_, _> = edges.collect();
    assert_eq!(edges[&module("y")], BTreeSet::from([module("x"), module("z")]));
    assert!(edges[&vec!["a".to_owned()]].is_empty());
    assert_eq!(circle(&edges), ["a/x", "a/y"]);
}

#[test]
fn a_module_imports_what_the_plan_allows() {
    let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
    for (module, code) in code(&root().join("src")) {
        let Some(first) = module.first() else { continue };
        let paths = code.split("crate::").skip(1);
        let names = paths.map(|path| {
            path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        });
        seen.entry(first.clone()).or_default().extend(names.filter(|name| name != first));
    }
    let planned: BTreeSet<&str> = PLAN.iter().map(|(module, ..)| *module).collect();
    for (module, allowed, why) in PLAN {
        let found = seen.remove(module).unwrap_or_default();
        let found: BTreeSet<&str> =
            found.iter().map(String::as_str).filter(|name| planned.contains(name)).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let more: Vec<_> = found.difference(&allowed).collect();
        assert!(more.is_empty(), "{module} ({why}) imports {more:?}");
        let fewer: Vec<_> = allowed.difference(&found).collect();
        assert!(fewer.is_empty(), "{module} does not need {fewer:?} any more: off the plan");
    }
    assert!(seen.is_empty(), "not in the plan: {:?}", seen.keys());
}

/// The checker reads the records anew: it asks neither the host what it keeps, nor the usage what
/// is free or who holds a device.
#[test]
fn the_checker_asks_nobody_for_a_verdict() {
    for (module, code) in code(&root().join("src/verify")) {
        for asked in [".kept()", ".free_pages(", ".free_pages_in_all(", ".holder_of("] {
            assert!(!code.contains(asked), "{}: {asked}", module.join("/"));
        }
    }
}

/// A module of tests that never compiles passes like one that does.
#[test]
fn no_code_is_switched_off_for_good() {
    let never = concat!("cfg(any", "())");
    for folder in ["src", "tests", "crates", "examples", "benches"] {
        for path in files_below(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(never), "{}", path.display());
        }
    }
}
