//! Every folder of `fixtures/cases` is answered as it says. `PINWISE_BLESS=1` rewrites what is
//! expected; `fixtures/cases/README.md` tells how to add one.

use std::fs;
use std::path::{Path, PathBuf};

use pinwise_testkit::common::fixtures;
use pinwise::changes::smallest_changes;
use pinwise::emit::libvirt::fragments;
use pinwise::explain::explain_refusal;
use pinwise::json::{read_host, read_request, read_tenant};
use pinwise::{Options, Question, Usage, explain, recommend, verify};

fn folders() -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures("cases")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The explanation, and the XML where something is recommended.
fn answer(folder: &Path) -> (String, Option<String>) {
    let shown = folder.display();
    let own = folder.join("host.json");
    let file = match own.is_file() {
        true => own,
        false => fixtures(read(&folder.join("host.txt")).trim()),
    };
    let host = read_host(&read(&file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let host = host.build().unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let tenants = files(folder).into_iter().filter(|name| name.starts_with("tenant-"));
    let tenants = tenants.map(|name| {
        read_tenant(&read(&folder.join(&name))).unwrap_or_else(|e| panic!("{shown}/{name}: {e}"))
    });
    let usage = Usage::with_running(&host, tenants).unwrap_or_else(|e| panic!("{shown}: {e}"));
    let request = read_request(&read(&folder.join("request.json")))
        .unwrap_or_else(|e| panic!("{shown}/request.json: {e}"));
    let request = request.build().unwrap_or_else(|e| panic!("{shown}/request.json: {e}"));
    let options = Options::default();
    match recommend(Question::new(&host, &usage, &request).with(&options)) {
        Ok(found) => {
            for ranked in &found.ranked {
                verify(Question::new(&host, &usage, &request), &ranked.placement)
                    .unwrap_or_else(|e| panic!("{shown}: {e:?}"));
            }
            let xml = fragments(&found.best().placement).unwrap();
            (explain(Question::new(&host, &usage, &request).with(&options), &found), Some(xml))
        }
        Err(refusal) => {
            let changes = smallest_changes(Question::new(&host, &usage, &request).with(&options));
            (explain_refusal(&host, &request, &refusal, Some(&changes)), None)
        }
    }
}

fn write(path: &Path, text: Option<&str>) {
    match text {
        Some(text) => fs::write(path, text).unwrap(),
        None if path.exists() => fs::remove_file(path).unwrap(),
        None => {}
    }
}

#[test]
fn every_case_is_answered_as_it_says() {
    #[allow(clippy::disallowed_methods, reason = "a test is told by its caller to write")]
    let bless = std::env::var_os("PINWISE_BLESS").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    for folder in folders() {
        let (text, xml) = answer(&folder);
        assert_eq!(answer(&folder), (text.clone(), xml.clone()), "asked twice");
        let (text_file, xml_file) = (folder.join("expected.txt"), folder.join("expected.xml"));
        if bless {
            write(&text_file, Some(&text));
            write(&xml_file, xml.as_deref());
        }
        let expected = fs::read_to_string(&text_file).unwrap_or_default();
        if expected != text {
            wrong.push(format!("{}\n{}", text_file.display(), first_difference(&expected, &text)));
        }
        let expected = fs::read_to_string(&xml_file).ok();
        if expected != xml {
            let texts = (expected.unwrap_or_default(), xml.unwrap_or_default());
            let difference = first_difference(&texts.0, &texts.1);
            wrong.push(format!("{}\n{difference}", xml_file.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n\nIf the new answers are right: PINWISE_BLESS=1 cargo test --test cases",
        wrong.join("\n\n")
    );
}

fn first_difference(expected: &str, found: &str) -> String {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    for line in 1.. {
        match (expected.next(), found.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => {
                let [a, b] = [a, b].map(|line| line.unwrap_or("(end)"));
                return format!("  line {line}\n  expected  {a}\n  found     {b}");
            }
        }
    }
    "  they differ at their ends only".to_owned()
}

#[test]
fn a_case_has_its_point_its_host_its_request_and_nothing_unknown() {
    let folders = folders();
    assert!(folders.len() >= 8);
    for folder in folders {
        let point = read(&folder.join("point.txt"));
        assert!(point.lines().count() == 1 && point.len() > 20, "{}", folder.display());
        let names = files(&folder);
        let has = |name: &str| names.iter().any(|other| other == name);
        assert!(has("request.json"), "{}", folder.display());
        assert!(has("host.txt") != has("host.json"), "{}: one host", folder.display());
        for name in &names {
            let known = [
                "point.txt",
                "host.txt",
                "host.json",
                "request.json",
                "expected.txt",
                "expected.xml",
            ];
            let tenant = name.starts_with("tenant-") && name.ends_with(".json");
            assert!(known.contains(&name.as_str()) || tenant, "{}/{name}", folder.display());
        }
    }
}
