//! `pinwise audit`: its forms, its exit statuses, and domains beside each other. All domains here
//! are made for these tests.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::program::{file, pinwise, recommend, repository, status, text};

const HOST: [&str; 2] = ["--host", "fixtures/hosts/rtx-4080.json"];

/// A domain of six vCPUs with the host's GPU of this number, if any.
fn domain(name: &str, gpu: Option<usize>) -> String {
    let text = std::fs::read_to_string(repository().join(HOST[1])).unwrap();
    let host = pinwise::json::read_host(&text).unwrap().build().unwrap();
    let device = gpu.map(|gpu| {
        let bus = host.gpus()[gpu].address.bus;
        format!(
            "<hostdev mode='subsystem' type='pci'><source><address bus='0x{bus:02x}'/></source>\
             </hostdev>"
        )
    });
    format!(
        "<domain type='kvm'>\n  <name>{name}</name>\n  <memory unit='GiB'>8</memory>\n  \
         <vcpu>6</vcpu>\n  <os><type machine='q35'>hvm</type></os>\n  <devices>\n    {}\n  \
         </devices>\n</domain>\n",
        device.unwrap_or_default()
    )
}

/// The file of a domain, patched with its best placement.
fn good(name: &str, gpu: Option<usize>) -> PathBuf {
    let plain = file(&format!("{name}-plain.xml"), &domain(name, gpu));
    let plain = plain.to_str().unwrap();
    let output = recommend(&[&HOST[..], &["--domain", plain, "--format", "xml"]].concat());
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    file(&format!("{name}.xml"), &text(&output.stdout))
}

fn audit(arguments: &[&str]) -> Output {
    pinwise(&[&["audit"], &HOST[..], arguments].concat())
}

fn json(arguments: &[&str]) -> (i32, Value) {
    let output = audit(&[arguments, &["--format", "json"]].concat());
    let value = serde_json::from_slice(&output.stdout);
    (status(&output), value.unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr))))
}

/// The ids of the findings about the domain at this position.
fn ids(answer: &Value, at: usize) -> Vec<&str> {
    let findings = answer["domains"][at]["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

#[test]
fn a_recommended_domain_is_clean_and_a_plain_one_is_not() {
    let clean = good("audit-clean", Some(0));
    let output = audit(&["--domain", clean.to_str().unwrap()]);
    let said = text(&output.stdout);
    assert_eq!(status(&output), 0, "{said}");
    assert!(said.contains("): nothing found\n"), "{said}");
    assert!(said.ends_with("1 domain: 0 errors, 0 warnings, 0 notes.\n"), "{said}");

    let plain = file("audit-plain.xml", &domain("audit-plain", Some(0)));
    let output = audit(&["--domain", plain.to_str().unwrap()]);
    let said = text(&output.stdout);
    assert_eq!(status(&output), 1, "{said}");
    for part in [
        "  warning unpinned: vCPUs 0-5 have no pins\n",
        "    expected of the fix: cpu-single-thread x1.02 (1.00 to 1.10; observed, F2)\n",
        "    fix: inside <domain>: <cputune>\n",
        "        <vcpupin vcpu='0' cpuset='",
        "  warning many-sockets: the guest sees 6 sockets where 1 are real\n",
        "    fix: inside <cpu>: <topology sockets='1' dies='1' cores='6' threads='1'/>\n",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn json_names_its_format_and_has_facts_effects_and_fixes() {
    let plain = file("audit-json.xml", &domain("audit-json", Some(0)));
    let (status, answer) = json(&["--domain", plain.to_str().unwrap()]);
    assert_eq!((status, answer["format"].as_str()), (1, Some("pinwise-audit/1")));
    let of = answer["domains"][0]["findings"].as_array().unwrap();
    let unpinned = of.iter().find(|finding| finding["id"] == "unpinned").unwrap();
    assert_eq!(unpinned["severity"], "warning");
    assert_eq!(unpinned["facts"]["vcpus"], "0-5");
    assert_eq!(unpinned["effect"]["metric"], "cpu-single-thread");
    assert_eq!(unpinned["effect"]["studies"][0], "F2");
    assert!(unpinned["fixes"][0]["xml"]["element"].as_str().unwrap().starts_with("<cputune>"));
    let levels: Vec<_> = of.iter().map(|finding| finding["severity"].as_str().unwrap()).collect();
    let rank = |level: &&str| ["error", "warning", "note"].iter().position(|l| l == level);
    assert!(levels.iter().map(rank).is_sorted(), "{levels:?}");
}

#[test]
fn domains_are_tenants_of_each_other() {
    let (one, two) = (good("audit-one", None), good("audit-two", None));
    let paths = [one.to_str().unwrap(), two.to_str().unwrap()];
    let (status, answer) = json(&[&["--domain"], &paths[..]].concat());
    assert_eq!(
        (status, ids(&answer, 0), ids(&answer, 1)),
        (1, vec!["pins-of-tenants"], vec!["pins-of-tenants"])
    );
    let facts = &answer["domains"][0]["findings"][0]["facts"];
    assert_eq!(facts["tenants"][0], "audit-two");
    // Given as a tenant, the other is not checked.
    let (status, answer) = json(&["--domain", paths[0], "--tenant", paths[1]]);
    assert_eq!((status, answer["domains"].as_array().unwrap().len()), (1, 1));
    assert_eq!(ids(&answer, 0), ["pins-of-tenants"]);
}

#[test]
fn a_domain_whose_pages_are_in_use_is_taken_for_running() {
    let name = |free: u64| {
        let text = std::fs::read_to_string(repository().join(HOST[1])).unwrap();
        let mut host: Value = serde_json::from_str(&text).unwrap();
        let pools = host["nodes"][0]["pools"].as_array_mut().unwrap();
        pools.retain(|pool| pool["size"] == "4 KiB");
        pools[0]["free"] = Value::from(1 << 20);
        pools[0]["total"] = Value::from(2 << 20);
        pools.push(serde_json::json!({ "size": "1 GiB", "total": 16, "free": free }));
        file(&format!("audit-host-{free}.json"), &host.to_string())
    };
    let pages = "<memoryBacking><hugepages><page size='1048576' unit='KiB'/></hugepages>\
                 </memoryBacking><vcpu>";
    let xml = |of: &str| domain(of, None).replace("<vcpu>", pages);
    let (one, two) = (file("pages-1.xml", &xml("pages-1")), file("pages-2.xml", &xml("pages-2")));
    let paths = [one.to_str().unwrap(), two.to_str().unwrap()];
    // Two domains of 8 GiB have all 16 pages; a third finds none.
    let third = file("pages-3.xml", &xml("pages-3"));
    for free in [16, 0] {
        let host = name(free);
        let ask = |domains: &[&str]| {
            let host = ["audit", "--format", "json", "--host", host.to_str().unwrap(), "--domain"];
            let output = pinwise(&[&host[..], domains].concat());
            serde_json::from_slice::<Value>(&output.stdout).unwrap()
        };
        let two = ask(&paths);
        assert_eq!(
            (ids(&two, 0), ids(&two, 1)),
            (vec!["many-sockets"], vec!["many-sockets"]),
            "{two}"
        );
        let three = ask(&[paths[0], paths[1], third.to_str().unwrap()]);
        assert_eq!(ids(&three, 2), ["pages-taken", "many-sockets"], "{three}");
    }
}

#[test]
fn domains_with_one_gpu_are_alternatives() {
    let (one, two) = (good("audit-work", Some(0)), good("audit-play", Some(0)));
    let (status, answer) =
        json(&["--domain", one.to_str().unwrap(), "--domain", two.to_str().unwrap()]);
    assert_eq!(status, 1);
    assert_eq!(ids(&answer, 0), ["devices-shared"], "{answer}");
    assert_eq!(ids(&answer, 1), ["devices-shared"], "{answer}");
    // Two domains that run at once cannot have one device.
    let running = |path: &PathBuf, name: &str| {
        let xml = std::fs::read_to_string(path).unwrap();
        file(name, &xml.replace("<domain type='kvm'", "<domain type='kvm' id='3'"))
    };
    let (one, two) = (running(&one, "audit-run1.xml"), running(&two, "audit-run2.xml"));
    let output = audit(&["--domain", one.to_str().unwrap(), two.to_str().unwrap()]);
    assert_eq!(crate::program::status(&output), 2);
    let said = text(&output.stderr);
    assert!(said.starts_with("error: the domains and tenants: tenant "), "{said}");
}

#[test]
fn sarif_has_every_rule_and_each_finding_points_at_its_file() {
    let plain = file("audit sarif.xml", &domain("audit-sarif", Some(0)));
    let output = audit(&["--domain", plain.to_str().unwrap(), "--format", "sarif"]);
    assert_eq!(status(&output), 1);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["version"], "2.1.0");
    let run = &report["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), pinwise::audit::AuditId::ALL.len());
    let results = run["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[rule]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let place = &result["locations"][0];
        let uri = place["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.ends_with("/audit%20sarif.xml"), "{uri}");
        assert_eq!(place["logicalLocations"][0]["name"], "audit-sarif");
        assert!(result["message"]["text"].as_str().unwrap().starts_with("audit-sarif: "));
    }
}

#[test]
fn metrics_have_every_rule_of_every_domain_and_what_is_free() {
    let clean = good("audit-metrics", Some(0));
    let output = audit(&["--domain", clean.to_str().unwrap(), "--format", "prometheus"]);
    assert_eq!(status(&output), 0);
    let said = text(&output.stdout);
    let series =
        "pinwise_audit_finding{vm=\"audit-metrics\",kind=\"unpinned\",severity=\"warning\"} 0\n";
    assert!(said.contains(series), "{said}");
    assert!(
        said.contains("# TYPE pinwise_node_free_pcpus gauge\npinwise_node_free_pcpus{node=\"0\"} ")
    );
    assert!(said.contains("pinwise_node_free_pages{node=\"0\",page_kib=\"4\"} "), "{said}");
    for line in said.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<u64>().is_ok(), "{line}");
    }
}

#[test]
fn a_folder_has_other_documents_too_and_bad_input_is_one_sentence() {
    let folder = file("audit-folder", "").with_extension("d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.xml"), domain("audit-a", None)).unwrap();
    std::fs::write(folder.join("default.xml"), "<network><name>default</name></network>").unwrap();
    let path = folder.to_str().unwrap();
    let (_, answer) = json(&["--domain", path]);
    assert_eq!(answer["domains"].as_array().unwrap().len(), 1);
    let note = answer["notes"][0].as_str().unwrap();
    assert!(
        note.ends_with("default.xml was skipped: the document is a <network>, not a <domain>"),
        "{note}"
    );
    let network = folder.join("default.xml");
    for (arguments, sentence) in [
        (vec!["--domain", network.to_str().unwrap()], "default.xml: the document is a <network>"),
        (vec!["--domain", path, path], "domain audit-a is given twice"),
        (vec!["--domain", "absent.xml"], "error: absent.xml: "),
        (vec![], "--domain <FILE|DIR|-|live[:NAME]>"),
    ] {
        let output = audit(&arguments);
        let said = text(&output.stderr);
        assert_eq!(status(&output), 2, "{said}");
        assert!(said.contains(sentence) && said.lines().count() == 1, "{sentence} in {said}");
    }
}
