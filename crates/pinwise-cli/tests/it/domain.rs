//! A domain as the request and as what is patched, and warnings beside XML. All domains here are
//! made for these tests.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::program::{file, json, recommend, repository, status, text};

const HOST: [&str; 2] = ["--host", "fixtures/hosts/rtx-4080.json"];

fn domain(name: &str, bus: &str) -> String {
    format!(
        "<domain type='kvm'>\n  <name>{name}</name>\n  <memory unit='GiB'>8</memory>\n  \
         <vcpu>6</vcpu>\n  <os><type machine='q35'>hvm</type></os>\n  <devices>\n    \
         <hostdev mode='subsystem' type='pci'><source><address bus='{bus}'/></source></hostdev>\n  \
         </devices>\n</domain>\n"
    )
}

/// The bus of the host's first two GPUs, as in `0x01`.
fn gpus() -> [String; 2] {
    let text = std::fs::read_to_string(repository().join(HOST[1])).unwrap();
    let host = pinwise::json::read_host(&text).unwrap().build().unwrap();
    let bus = |at: usize| format!("0x{:02x}", host.gpus()[at].address.bus);
    [bus(0), bus(1)]
}

fn ask(arguments: &[&str]) -> std::process::Output {
    recommend(&[&HOST[..], arguments].concat())
}

#[test]
fn a_host_without_a_request_is_asked_nothing() {
    let output = ask(&[]);
    assert_eq!(status(&output), 2);
    let sentence = text(&output.stderr);
    assert!(sentence.starts_with("error: no VM is asked for: give its size"), "{sentence}");
    assert!(sentence.contains("--domain FILE") && output.stdout.is_empty(), "{sentence}");
}

#[test]
fn the_domain_is_the_request_and_arguments_count_over_it() {
    let [first, second] = gpus();
    let path = file("asks.xml", &domain("asks", &first));
    let path = path.to_str().unwrap();
    let output = ask(&["--domain", path]);
    let said = text(&output.stdout);
    assert_eq!(status(&output), 0, "{said}{}", text(&output.stderr));
    assert!(said.starts_with("Asked for: asks: 6 vCPUs, 8 GiB, GPUs "), "{said}");
    assert!(said.contains("\nChanges to the domain:\n"), "{said}");
    assert!(said.contains("\n  pins of vCPUs 0-5: added "), "{said}");
    let (status, answer) = json(&[&HOST[..], &["--domain", path]].concat());
    assert_eq!(
        (status, answer["ranked"][0]["placement"]["vcpus"].as_array().unwrap().len()),
        (0, 6)
    );
    let parts = answer["changes"].as_array().unwrap();
    assert!(parts.iter().any(|change| change["part"] == "pins of vCPUs 0-5"), "{parts:?}");
    // What arguments say counts, and is told.
    let other = second.trim_start_matches("0x").to_owned() + ":00.0";
    let output = ask(&["--domain", path, "--vcpus", "4", "--gpu", &other]);
    let said = text(&output.stdout);
    for words in [
        "domain asks has 6 vCPUs, but the arguments ask for 4 vCPUs.",
        &format!("but the arguments ask for GPUs 0000:{other}."),
        ": removed the device (the request asks for other devices)",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    // Of the first GPU no source is left; a guest address may have the number of its bus.
    for address in ["<address", "<address domain='0x0000'"] {
        assert!(!said.contains(&format!("{address} bus='{first}'")), "{said}");
    }
}

#[test]
fn a_patch_of_a_patch_says_that_nothing_changes_and_a_diff_is_empty() {
    let path = file("twice.xml", &domain("twice", &gpus()[0]));
    let once = text(&ask(&["--format", "xml", "--domain", path.to_str().unwrap()]).stdout);
    let again = file("again.xml", &once);
    let again = again.to_str().unwrap();
    let output = ask(&["--domain", again]);
    assert!(text(&output.stdout).contains("The domain says this already"), "{output:?}");
    let diff = ["--format", "xml", "--diff", "--domain"];
    assert!(ask(&[&diff[..], &[again]].concat()).stdout.is_empty());
    let diff = text(&ask(&[&diff[..], &[path.to_str().unwrap()]].concat()).stdout);
    assert!(diff.starts_with("--- ") && diff.contains("\n@@ ") && diff.contains("\n+    <vcpupin"));
}

#[test]
fn a_domain_is_read_from_standard_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pinwise"))
        .args(["recommend", HOST[0], HOST[1], "--domain", "-"])
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(domain("piped", &gpus()[0]).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stdout).starts_with("Asked for: piped: "), "{output:?}");
}

#[test]
fn a_vm_is_not_its_own_tenant() {
    let once = file("own.xml", &domain("own", &gpus()[0]));
    let running = text(&ask(&["--format", "xml", "--domain", once.to_str().unwrap()]).stdout);
    let tenant = file("own-runs.xml", &running);
    let tenant = tenant.to_str().unwrap();
    let output = ask(&["--domain", tenant, "--tenant", tenant]);
    let said = text(&output.stdout);
    assert_eq!(status(&output), 0, "{said}");
    assert!(said.contains("tenant own is the VM itself: what it holds counts as free."), "{said}");
    assert!(said.contains("The domain says this already"), "{said}");
}

#[test]
fn warnings_of_xml_go_to_standard_error() {
    let vm = ["--vcpus", "4", "--memory", "8GiB"];
    let said = text(&ask(&vm).stdout);
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("Warning: ")).collect();
    assert!(!warnings.is_empty(), "{said}");
    let xml = ask(&[&vm[..], &["--format", "xml"]].concat());
    for warning in warnings {
        assert!(text(&xml.stderr).contains(warning), "{warning}");
    }
    assert!(!text(&xml.stdout).contains("Warning"));
}
