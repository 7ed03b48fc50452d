//! Exit statuses, the one sentence on bad input, and the JSON that other programs read.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::program::{file, pinwise, repository, status, text};

fn recommend(arguments: &[&str]) -> Output {
    pinwise(&[&["recommend"], arguments].concat())
}

fn json(arguments: &[&str]) -> (i32, Value) {
    let output = recommend(&[arguments, &["--format", "json"]].concat());
    let value = serde_json::from_slice(&output.stdout);
    (
        status(&output),
        value.unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", text(&output.stderr))),
    )
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(repository().join("fixtures/hosts").join(name)).unwrap()
}

#[test]
fn without_a_subcommand_it_prints_help_and_is_status_2() {
    let output = pinwise(&[]);
    let help = text(&output.stderr);
    assert_eq!(status(&output), 2);
    for name in ["recommend", "fleet", "capture", "simulate", "capacity"] {
        assert!(help.contains(&format!("\n  {name} ")), "{help}");
    }
    assert!(output.stdout.is_empty());
    let asked = pinwise(&["--help"]);
    assert_eq!((status(&asked), text(&asked.stdout)), (0, help));
    assert_eq!(status(&pinwise(&["recommend", "--help"])), 0);
}

#[test]
fn the_embedded_host_is_the_fixture_of_its_name() {
    let embedded = include_str!("../../fixtures/hgx-h200-snc2.json");
    assert!(embedded == fixture("hgx-h200-snc2.json"), "copy the fixture to crates/pinwise-cli");
}

#[test]
fn every_subcommand_says_what_is_wrong_in_one_sentence() {
    for (arguments, named) in [
        (&["no-such-command"][..], "no-such-command"),
        (&["fleet"], "--vcpus"),
        (&["fleet", "no-such-folder", "--vcpus", "1", "--memory", "1GiB"], "no-such-folder"),
        (&["fleet", "src", "--vcpus", "1", "--memory", "64GB"], "64GB"),
        (&["fleet", "README.md", "--vcpus", "1", "--memory", "1GiB"], "README.md: line 1: "),
        (&["capture", "--from", "no-such-file"], "no-such-file"),
        (&["capture", "--no-such-option"], "--no-such-option"),
        (&["simulate"], "<TRACE>"),
        (&["simulate", "no-such-trace"], "no-such-trace"),
        (&["simulate", "Cargo.toml"], "Cargo.toml: "),
        (&["simulate", "trace", "--threads", "0"], "0"),
        (&["simulate", "trace", "--bin", "worst-fit"], "worst-fit"),
        (&["capacity"], "--cases"),
        (&["capacity", "--cases", "no-such-cases"], "no-such-cases"),
    ] {
        let output = pinwise(arguments);
        let sentence = text(&output.stderr);
        assert_eq!(status(&output), 2, "{arguments:?}: {sentence}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(sentence.trim_end().lines().count(), 1, "{arguments:?}: {sentence}");
        assert!(sentence.starts_with("error: ") && sentence.contains(named), "{sentence}");
    }
}

#[test]
fn a_described_host_brings_its_tenants_also_beside_facts() {
    let host = serde_json::json!({
        "format": "placement-host/1", "name": "made", "sockets": 1,
        "nodes": [{"id": 0, "socket": 0, "cpus": "0-7", "memory_mib": 8192, "mempages": [
            {"size_kib": 4, "total": 1024}, {"size_kib": 2048, "total": 3072}]}],
        "cores": (0..8).map(|core| [core]).collect::<Vec<_>>(),
        "tenants": [{"vm": "there", "cells": [
            {"node": 0, "memory_mib": 1024, "page_kib": 2048, "pins": {"0": 0, "1": 1}}]}]});
    let host = file("described.json", &host.to_string());
    let host = host.to_str().unwrap();
    let (status, answer) = json(&["--host", host, "--vcpus", "6", "--memory", "1GiB"]);
    assert_eq!((status, answer["ranked"][0]["claim"]["dedicated"].as_str()), (0, Some("2-7")));
    let output = recommend(&["--host", host, "--vcpus", "7", "--memory", "1GiB"]);
    assert_eq!(self::status(&output), 3, "{}", text(&output.stdout));
    let distances = file(
        "described.txt",
        "available: 1 nodes (0)\nnode 0 cpus: 0 1 2 3 4 5 6 7\nnode 0 size: 8192 MB\n\
         node distances:\nnode   0\n  0:  10\n",
    );
    let vm = ["--host", host, "--facts", distances.to_str().unwrap(), "--vcpus", "6"];
    let (status, answer) = json(&[&vm[..], &["--memory", "1GiB"]].concat());
    assert_eq!((status, answer["ranked"][0]["claim"]["dedicated"].as_str()), (0, Some("2-7")));
    let capture = pinwise(&["capture", "--from", host]);
    assert_eq!(self::status(&capture), 0);
    assert!(text(&capture.stderr).contains("1 tenants are left out"));
}

#[test]
fn without_arguments_it_answers_for_the_embedded_host_and_says_so() {
    let output = recommend(&[]);
    let text = text(&output.stdout);
    assert_eq!(status(&output), 0);
    assert!(text.starts_with("Host: the embedded fixture hgx-h200-snc2 (synthetic)."), "{text}");
    assert!(text.contains("--host live") && text.contains("<vcpupin vcpu='31'"), "{text}");
}

#[test]
fn the_json_has_the_fields_that_other_programs_read() {
    let (status, answer) = json(&[]);
    assert_eq!(status, 0);
    assert_eq!(answer["format"], "pinwise-recommendation/2");
    let ranked = answer["ranked"].as_array().unwrap();
    for (row, rank) in ranked.iter().zip(1..) {
        assert_eq!(row["rank"], rank);
        let score = &row["score"];
        let part = |name: &str| score[name].as_i64().unwrap();
        assert_eq!(part("total"), part("performance") + part("packing") + part("preferences"));
        for prediction in row["predictions"].as_array().unwrap() {
            let end = |name: &str| prediction[name].as_f64().unwrap();
            assert!(
                0.0 < end("low") && end("low") <= end("likely") && end("likely") <= end("high")
            );
            assert!(prediction["findings"].is_array() && prediction["metric"].is_string());
        }
        let placement = &row["placement"];
        let topology = &placement["topology"];
        let product: u64 = ["sockets", "dies", "cores", "threads"]
            .iter()
            .map(|n| topology[n].as_u64().unwrap())
            .product();
        assert_eq!(product, 32);
        assert_eq!(placement["vcpus"].as_array().unwrap().len(), 32);
        let cells = placement["cells"].as_array().unwrap();
        let memory: u64 = cells.iter().map(|cell| cell["memory_kib"].as_u64().unwrap()).sum();
        assert_eq!(memory, 256 << 20);
        assert_eq!(placement["gpus"].as_array().unwrap().len(), 2);
        for name in ["memory_mode", "emulator"] {
            assert!(placement[name].is_string(), "{name}");
        }
        assert!(placement["iothreads"].is_array() && row["findings"].is_array());
    }
    let styles: Vec<_> = ranked.iter().map(|row| row["style"].as_str().unwrap()).collect();
    assert_eq!(styles.last(), Some(&"default"));
    assert!(answer["rejected"].is_array() && answer["warnings"].is_array());
}

#[test]
fn a_refusal_is_status_3_with_facts_and_the_smallest_change() {
    let (status, answer) = json(&["--gpus", "9"]);
    assert_eq!((status, &answer["format"]), (3, &Value::from("pinwise-refusal/2")));
    assert_eq!(answer["smallest_change"][0]["text"], "at most 8 GPUs");
    assert_eq!(answer["rejected"].as_array().unwrap().len(), 4);
    let output = recommend(&["--gpus", "9", "--format", "xml"]);
    assert_eq!(self::status(&output), 3);
    assert!(output.stdout.is_empty(), "a refusal is not XML");
}

#[test]
fn a_refusal_says_whom_to_move() {
    let asked = file(
        "near.json",
        r#"{"name": "near", "vcpus": 4, "memory": "8 GiB",
            "gpus": {"addresses": ["0000:81:00.0"]},
            "policies": {"one-node": "require", "gpu-locality": "require"}}"#,
    );
    let there = file("there.json", r#"{"name": "there", "dedicated": "64-127,192-255"}"#);
    let (asked, there) = (asked.to_str().unwrap(), there.to_str().unwrap());
    let host = "fixtures/hosts/rtx-pro-6000.json";
    let output = recommend(&["--host", host, "--tenant", there, "--request", asked]);
    assert_eq!(status(&output), 3);
    let text = text(&output.stdout);
    assert!(text.contains("near would fit on node 1 after:\n  1. re-pin \"there\""), "{text}");
}

#[test]
fn bad_input_is_status_2_and_one_sentence_with_the_value() {
    let broken = file("broken.json", "{\"format\": \"pinwise-host/1\", \"name\": 7}");
    let circle = file(
        "circle.json",
        r#"{"format": "pinwise-host/1", "name": "c",
            "nodes": [{"id": 0, "cpus": "0", "memory": "1 GiB"}],
            "cores": [{"package": 0, "core": 0, "pcpus": "0"}],
            "devices": [
              {"address": "0000:00:01.0", "class": "0x060400", "vendor": "0x8086", "device": "0x0001", "parent": "0000:00:02.0"},
              {"address": "0000:00:02.0", "class": "0x060400", "vendor": "0x8086", "device": "0x0001", "parent": "0000:00:01.0"}]}"#,
    );
    let empty = file("empty.json", "");
    let (broken, circle, empty) =
        (broken.to_str().unwrap(), circle.to_str().unwrap(), empty.to_str().unwrap());
    for (arguments, named) in [
        (vec!["--vcpus", "0", "--memory", "1GiB"], "vCPUs is 0"),
        (vec!["--vcpus", "1000000000", "--memory", "1GiB"], "1000000000"),
        (vec!["--vcpus", "99999999999", "--memory", "1GiB"], "99999999999"),
        (vec!["--vcpus", "1", "--memory", "64GB"], "64GB"),
        (vec!["--vcpus", "1", "--memory", "99999999999GiB"], "99999999999GiB"),
        (vec!["--vcpus", "1", "--memory", "5000"], "5000 B"),
        (vec!["--vcpus", "4"], "--memory"),
        (vec!["--memory", "4GiB"], "--vcpus"),
        (vec!["--gpu", "zz:00.0"], "zz:00.0"),
        (vec!["--gpu", "1b:00.0", "1b:00.0"], "twice"),
        (vec!["--cells", "33"], "33"),
        (vec!["--cells", "many"], "many"),
        (vec!["--page-size", "3MiB"], "3MiB"),
        (vec!["--workload", "gaming"], "gaming"),
        (vec!["--style", "pins"], "pins"),
        (vec!["--p2p", "perhaps"], "perhaps"),
        (vec!["--reserve", "500"], "500"),
        (vec!["--reserve", "5-1"], "5-1"),
        (vec!["--name", "a/b"], "a/b"),
        (vec!["--host", "no-such-file"], "no-such-file"),
        (vec!["--host", "src"], "src"),
        (vec!["--host", broken], "name"),
        (vec!["--host", circle], "circle"),
        (vec!["--host", empty], "empty.json: the file is empty"),
        (vec!["--request", broken], "pinwise-request/1"),
        (vec!["--tenant", empty], "empty.json"),
        (vec!["--domain", "no-such-domain.xml"], "no-such-domain.xml"),
        (vec!["--format", "xml", "--domain", broken], "--domain"),
        (vec!["--no-such-option"], "--no-such-option"),
    ] {
        let output = recommend(&arguments);
        let sentence = text(&output.stderr);
        assert_eq!(status(&output), 2, "{arguments:?}: {sentence}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(sentence.trim_end().lines().count(), 1, "{arguments:?}: {sentence}");
        assert!(
            sentence.starts_with("error: ") && sentence.contains(named),
            "{arguments:?}: {sentence}"
        );
    }
}

#[test]
fn a_fleet_without_hosts_is_status_2_and_says_where() {
    let empty = file("no-hosts.jsonl", "");
    for path in [empty.to_str().unwrap(), "src"] {
        let output = pinwise(&["fleet", path, "--vcpus", "1", "--memory", "1GiB"]);
        let sentence = text(&output.stderr);
        assert_eq!(status(&output), 2, "{path}: {sentence}");
        assert_eq!(sentence, format!("error: {path}: no host is described there\n"));
        assert!(output.stdout.is_empty(), "{path}");
    }
}

#[test]
fn every_option_of_the_command_line_is_understood() {
    let tenant = file("tenant.json", r#"{"name": "other", "dedicated": "10-20,106-116"}"#);
    let request = file("request.json", r#"{"vcpus": 4, "memory": "4 GiB"}"#);
    let (status, answer) = json(&[
        "--host",
        "fixtures/hosts/mi350x.json",
        "--tenant",
        tenant.to_str().unwrap(),
        "--reserve",
        "0,128",
        "--name",
        "a&b",
        "--vcpus",
        "8",
        "--memory",
        "16GiB",
        "--gpus",
        "2",
        "--gpu-model",
        "mi350",
        "--page-size",
        "1GiB",
        "--workload",
        "gpu-training",
        "--cells",
        "none",
        "--smt",
        "show",
        "--p2p",
        "unknown",
        "--style",
        "pin+smt",
        "--all",
    ]);
    assert_eq!((status, answer["ranked"][0]["style"].as_str()), (0, Some("pin+smt")));
    let (status, _) = json(&["--request", request.to_str().unwrap()]);
    assert_eq!(status, 0);
    let domain = file(
        "domain.xml",
        "<domain type='kvm'><!-- mine --><name>mine</name><os><type machine='q35'>hvm</type></os></domain>",
    );
    let output = recommend(&["--format", "xml", "--domain", domain.to_str().unwrap()]);
    assert_eq!(self::status(&output), 0, "{}", text(&output.stderr));
    let patched = text(&output.stdout);
    assert!(patched.contains("<!-- mine --><name>mine</name>"), "{patched}");
    assert!(patched.contains("<emulatorpin"), "{patched}");
}

/// A table of nvidia-smi: so many GPUs, the first half on node 0, the others on node 2.
fn topo(gpus: usize) -> String {
    let names: Vec<String> = (0..gpus).map(|gpu| format!("GPU{gpu}")).collect();
    let mut text = format!("\t{}\tCPU Affinity\tNUMA Affinity\n", names.join("\t"));
    for gpu in 0..gpus {
        let cells: Vec<_> =
            (0..gpus).map(|other| if other == gpu { "X" } else { "NV12" }).collect();
        let node = if gpu < gpus / 2 { 0 } else { 2 };
        text += &format!("GPU{gpu}\t{}\tN/A\t{node}\n", cells.join("\t"));
    }
    text
}

#[test]
fn facts_are_laid_over_a_host_and_the_text_says_where_each_part_is_from() {
    let host = fixture("hgx-h200-snc2.json");
    let mut host: Value = serde_json::from_str(&host).unwrap();
    host.as_object_mut().unwrap().remove("gpu_links");
    let bare = file("no-links.json", &host.to_string());
    let (right, wrong) = (file("topo-8.txt", &topo(8)), file("topo-4.txt", &topo(4)));
    let bare = bare.to_str().unwrap();
    let output = recommend(&["--host", bare, "--facts", right.to_str().unwrap()]);
    let answer = text(&output.stdout);
    let line = answer.lines().next().unwrap();
    assert!(line.starts_with("vm1 on hgx-h200-snc2: 2 x INTEL"), "{line}");
    assert!(line.contains("; CPUs, memory, distances, PCI, fabric partitions from "), "{line}");
    assert!(line.contains("no-links.json; GPU links from nvidia-smi topo -m ("), "{line}");
    assert!(line.ends_with("topo-8.txt)"), "{line}");
    // Another machine's: nothing is taken, and the text says so.
    let output = recommend(&["--host", bare, "--facts", wrong.to_str().unwrap()]);
    let answer = text(&output.stdout);
    let conflict = answer.lines().next().unwrap();
    assert!(conflict.starts_with("Conflict: nvidia-smi topo -m ("), "{conflict}");
    assert!(conflict.contains("numbers 4 GPUs") && conflict.contains("has 8"), "{conflict}");
    assert!(!answer.contains("GPU links from"), "{answer}");
    let wrong = ["--host", bare, "--facts", wrong.to_str().unwrap()];
    let (_, answer) = json(&wrong);
    assert!(answer["host"]["conflicts"][0].as_str().unwrap().starts_with("nvidia-smi topo -m"));
    assert_eq!(answer["host"]["sources"][0]["part"], "cpus");
    // XML has no place for them.
    let output = recommend(&[&wrong[..], &["--format", "xml"]].concat());
    assert!(text(&output.stderr).starts_with("conflict: nvidia-smi"));
    assert!(text(&output.stdout).contains("<vcpupin"));
    let nonsense = file("nonsense.txt", "what\nis\nthis");
    let output = recommend(&["--host", bare, "--facts", nonsense.to_str().unwrap()]);
    assert_eq!(status(&output), 2);
    let sentence = text(&output.stderr);
    assert!(
        sentence.contains("nonsense.txt: the text is none of") && sentence.contains("\"what\"")
    );
}

#[test]
fn a_folder_of_what_an_operator_sent_is_a_host() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sent");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    file(
        "sent/capabilities.xml",
        "<capabilities><host><topology><cells num='1'><cell id='0'>\
         <memory unit='KiB'>8388608</memory><cpus num='2'>\
         <cpu id='0' socket_id='0' core_id='0' siblings='0'/>\
         <cpu id='1' socket_id='0' core_id='1' siblings='1'/>\
         </cpus></cell></cells></topology></host></capabilities>",
    );
    file(
        "sent/numa.txt",
        "available: 1 nodes (0)\nnode 0 cpus: 0 1\nnode 0 size: 8192 MB\nnode 0 free: 3072 MB\n",
    );
    let host = folder.to_str().unwrap();
    let output = recommend(&["--host", host, "--vcpus", "1", "--memory", "1GiB"]);
    let answer = text(&output.stdout);
    let line = answer.lines().find(|line| line.starts_with("vm1 on ")).unwrap_or_default();
    assert!(line.contains("; CPUs, memory from virsh capabilities; memory from numactl"), "{line}");
    assert!(line.contains("numa.txt)"), "{line}");
    // Of 8 GiB no more than three are free.
    let output = recommend(&["--host", host, "--vcpus", "1", "--memory", "4GiB"]);
    assert_eq!(status(&output), 3, "{}", text(&output.stdout));
}

#[test]
fn a_capture_mixes_sources_keeps_where_they_are_from_and_redacts() {
    let host = fixture("hgx-h200-snc2.json");
    let mut host: Value = serde_json::from_str(&host).unwrap();
    host.as_object_mut().unwrap().remove("gpu_links");
    host["name"] = "ann-box".into();
    host["about"] = "sent by ann@example.com from ann-box".into();
    host["devices"][0]["name"] = "card of 52:54:00:12:34:56".into();
    let host = file("capture.json", &host.to_string());
    let facts = file("capture-topo.txt", &topo(8));
    let from = ["capture", "--from", host.to_str().unwrap(), facts.to_str().unwrap()];
    let plain = pinwise(&from);
    assert_eq!(status(&plain), 0, "{}", text(&plain.stderr));
    let redacted = pinwise(&[&from[..], &["--redact"]].concat());
    let (before, after) = (text(&plain.stdout), text(&redacted.stdout));
    for name in ["ann", "52:54:00", "capture-topo.txt)"] {
        assert!(before.contains(name), "{name}");
    }
    assert!(!after.contains("ann") && !after.contains("52:54:00"), "{after}");
    assert!(
        after.contains(r#"{"part":"gpu_links","from":"nvidia-smi topo -m (capture-topo.txt)"}"#)
    );
    let said = text(&redacted.stderr);
    for what in ["the host's name", "an e-mail address, 1 times", "a MAC address", "the folders"] {
        assert!(said.contains(&format!("redacted: {what}")), "{said}");
    }
    // What was captured is a host again, the same bytes.
    let again = file("captured.json", &after);
    let (status, answer) = json(&["--host", again.to_str().unwrap()]);
    assert_eq!(status, 0, "{answer}");
    assert_eq!(after.matches("\"kind\":\"nvlink\"").count(), 28);
}

#[test]
fn xml_of_a_host_is_known_by_its_root_element() {
    let capabilities = file(
        "capabilities.xml",
        "<capabilities><host><topology><cells num='1'><cell id='0'>\
         <memory unit='KiB'>8388608</memory><cpus num='2'>\
         <cpu id='0' socket_id='0' core_id='0' siblings='0'/>\
         <cpu id='1' socket_id='0' core_id='1' siblings='1'/>\
         </cpus></cell></cells></topology></host></capabilities>",
    );
    let topology = file(
        "topology.xml",
        "<?xml version=\"1.0\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n<topology version=\"2.0\">\
         <object type=\"Machine\" os_index=\"0\" cpuset=\"0x3\"><object type=\"Package\" os_index=\"0\">\
         <object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x3\" local_memory=\"8589934592\"/>\
         <object type=\"Core\" os_index=\"0\"><object type=\"PU\" os_index=\"0\"/></object>\
         <object type=\"Core\" os_index=\"1\"><object type=\"PU\" os_index=\"1\"/></object>\
         </object></object></topology>",
    );
    for host in [capabilities, topology] {
        let host = host.to_str().unwrap();
        let (status, answer) = json(&["--host", host, "--vcpus", "1", "--memory", "1GiB"]);
        assert_eq!(status, 0, "{host}: {answer}");
    }
    let other = file("other.xml", "<domain/>");
    let output = recommend(&["--host", other.to_str().unwrap()]);
    assert_eq!(status(&output), 2);
    assert!(text(&output.stderr).contains("other.xml: a domain is a tenant"));
}

#[test]
fn what_is_not_built_in_says_how_to_build_it() {
    let cases: &[(&[&str], &str, bool)] = &[
        (&["--host", "hwloc"], "hwloc", cfg!(feature = "hwloc")),
        (&["--host", "libvirt"], "libvirt", cfg!(feature = "libvirt")),
        (&["--tenant", "live"], "libvirt", cfg!(feature = "libvirt")),
    ];
    for (arguments, feature, built) in cases {
        let output = recommend(arguments);
        let expected =
            format!("error: {feature} is not built in: build with --features {feature}\n");
        assert_eq!(text(&output.stderr) == expected, !built, "{}", text(&output.stderr));
        assert!(*built || status(&output) == 2);
    }
}

/// A container: pCPUs, memory and a mask, and nothing else of the machine. A synthetic tree.
#[test]
fn a_container_gets_an_answer_that_says_what_is_not_known() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("container");
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("sys/devices/system/cpu/online", "0-7\n");
    write("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 8388608 kB\n");
    write("proc/self/status", "Cpus_allowed_list:\t0-3\n");
    let vm = ["--host", root.to_str().unwrap(), "--vcpus", "2", "--memory", "2GiB"];
    let said = recommend(&vm);
    assert_eq!(status(&said), 0);
    let said = text(&said.stdout);
    for words in [
        "SMT siblings of 8 pCPUs are not shown",
        "tells no package",
        "no caches are shown",
        "no nodes are shown",
        "no PCI functions are shown",
        "<vcpupin vcpu='1' cpuset='2'/>",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let (status, refusal) = json(&[&vm[..], &["--gpus", "1"]].concat());
    assert_eq!((status, &refusal["format"]), (3, &Value::from("pinwise-refusal/2")));
    let said = text(&recommend(&[&vm[..], &["--gpus", "1"]].concat()).stdout);
    assert!(said.contains("Note: no PCI functions are shown: no GPU is known.\n"), "{said}");
}

/// The findings that a text names, and those that its list at the end explains.
fn findings(said: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let is_finding =
        |word: &&str| word.strip_prefix('F').is_some_and(|number| number.parse::<u8>().is_ok());
    let (told, list) = said.split_once("Findings (published").expect("some are cited");
    let words = told.split(|c: char| !c.is_ascii_alphanumeric());
    let rows = list.lines().skip(1).map_while(|line| line.strip_prefix("  "));
    let listed = rows.map_while(|row| row.split_whitespace().next().filter(is_finding));
    (words.filter(is_finding).map(str::to_owned).collect(), listed.map(str::to_owned).collect())
}

#[test]
fn the_findings_that_the_text_names_are_explained_and_no_others() {
    let far = ["--host", "fixtures/hosts/rtx-pro-6000.json", "--vcpus", "16", "--memory", "64GiB"];
    let far = [&far[..], &["--gpu", "01:00.0", "81:00.0", "--workload", "gpu-training"]].concat();
    let small = [&far[..6], &["--page-size", "4KiB", "--gpus", "1"]].concat();
    let degraded = ["--host", "fixtures/hosts/rtx-5090-degraded.json", "--vcpus", "8"];
    let degraded = [&degraded[..], &["--memory", "16GiB", "--gpus", "1"]].concat();
    // Nothing but the order of equals, whose finding is in no prediction here.
    let equals = ["--vcpus", "4", "--memory", "8GiB", "--workload", "gpu-inference"].to_vec();
    for arguments in [vec![], far, small, degraded, equals] {
        let (named, listed) = findings(&text(&recommend(&arguments).stdout));
        assert!(!listed.is_empty());
        assert_eq!(named, listed, "{arguments:?}");
    }
}

#[test]
fn a_name_that_looks_like_a_finding_cites_nothing() {
    let listed = |name: &str| findings(&text(&recommend(&["--name", name]).stdout)).1;
    assert_eq!(listed("F33"), listed("vm1"));
}
