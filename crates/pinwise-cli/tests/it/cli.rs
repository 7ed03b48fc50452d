//! Exit statuses, the one sentence on bad input, and the JSON that other programs read.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::program::{file, fixture, json, pinwise, recommend, status, text};

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
    assert!(text(&capture.stderr).contains("1 tenants are ignored"));
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
    assert_eq!(answer["smallest_change"][0]["text"], "at most 8 GPUs (--gpus 8)");
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
    assert!(
        text.contains("near fits on node 1 after these steps:\n  1. re-pin VM \"there\""),
        "{text}"
    );
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
        (vec!["--vcpus", "1", "--memory", "5000B"], "5000 B"),
        (vec!["--vcpus", "1", "--memory", "5000"], "5000 what? write 5000MiB or 5000GiB"),
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
        assert_eq!(sentence, format!("error: {path}: no host descriptions found\n"));
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
        "--cpus",
        "1-9, 40-49,129-150",
        "--nodes",
        "0",
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
    let sized = ["--vcpus", "4", "--memory", "8GiB", "--format", "xml"];
    let output = recommend(&[&sized[..], &["--domain", domain.to_str().unwrap()]].concat());
    assert_eq!(self::status(&output), 0, "{}", text(&output.stderr));
    let patched = text(&output.stdout);
    assert!(patched.contains("<!-- mine --><name>mine</name>"), "{patched}");
    assert!(patched.contains("<emulatorpin"), "{patched}");
}

/// Sockets, dies and cores of the best placement.
fn topology(arguments: &[&str]) -> [u64; 3] {
    let two = ["--vcpus", "16", "--memory", "64GiB", "--cells", "2", "--style", "pin+numa"];
    let (status, answer) = json(&[&two[..], arguments].concat());
    assert_eq!(status, 0, "{arguments:?}");
    let topology = &answer["ranked"][0]["placement"]["topology"];
    ["sockets", "dies", "cores"].map(|name| topology[name].as_u64().unwrap())
}

#[test]
fn windows_sees_one_socket_whoever_says_that_it_is_windows() {
    let domain = |name: &str, features: &str| {
        let xml =
            format!("<domain type='kvm'><name>w</name><features>{features}</features></domain>");
        file(name, &xml).to_str().unwrap().to_owned()
    };
    let windows = domain("windows.xml", "<hyperv mode='custom'><relaxed state='on'/></hyperv>");
    let linux = domain("linux.xml", "<acpi/>");
    let host = ["--host", "fixtures/hosts/hgx-h200.json"];
    let of = |arguments: &[&str]| topology(&[&host[..], arguments].concat());
    assert_eq!(of(&[]), [2, 1, 8]);
    assert_eq!(of(&["--domain", &linux]), [2, 1, 8]);
    assert_eq!(of(&["--guest", "windows"]), [1, 2, 8]);
    assert_eq!(of(&["--domain", &windows]), [1, 2, 8]);
    assert_eq!(of(&["--domain", &windows, "--guest", "any"]), [2, 1, 8]);
    let output = recommend(&["--guest", "dos"]);
    assert!(text(&output.stderr).contains("is not any or windows"));
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
