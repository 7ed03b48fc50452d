//! NVML, asked for machines that a library of our own plays (`fake.rs`).
//!
//! The loader is told once, when a process starts, where to look: each test runs itself again as a
//! child with its machine.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]
#![allow(clippy::disallowed_methods, reason = "the environment says which machine it is")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pinwise::PciAddr;
use pinwise::host::{DeviceKind, GpuLinkKind, HostUse, LinkState, Part};
use pinwise_discover::facts::{Facts, GpuName, LinkFacts, PeerAccess, PeerStatus, overlay, vendor};
use pinwise_discover::nvml::{self, NoNvml};

const MACHINE: &str = "PINWISE_FAKE_NVML";

/// A test's own folder with the fake where the loader finds it by the real one's name, or with
/// `text` in its place.
fn folder(name: &str, text: Option<&str>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nvml-{name}"));
    fs::create_dir_all(&folder).unwrap();
    let library = folder.join("libnvidia-ml.so.1");
    match text {
        Some(text) => fs::write(library, text).unwrap(),
        None => {
            // Cargo builds examples for `cargo test`, next to the folder of the tests.
            let tests = std::env::current_exe().unwrap();
            let fake = tests.parent().unwrap().with_file_name("examples/libfake_nvml.so");
            let copied = fs::copy(&fake, library);
            copied.unwrap_or_else(|e| {
                panic!("{}: {e}: cargo build --example fake-nvml --features nvml", fake.display())
            });
        }
    }
    folder
}

/// Whether this process is the child that has the machine. If not, it runs the child.
fn on(machine: &str, test: &str, text: Option<&str>) -> bool {
    if std::env::var_os(MACHINE).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(MACHINE, machine)
        .env("LD_LIBRARY_PATH", folder(test, text))
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{machine}:\n{out}{err}");
    assert!(out.contains("1 passed"), "{test} is not the name of this test:\n{out}");
    false
}

fn at(text: &str) -> PciAddr {
    text.parse().unwrap()
}

fn link(a: &str, b: &str, count: u32) -> LinkFacts {
    let (a, b) = (GpuName::At(at(a)), GpuName::At(at(b)));
    LinkFacts { a, b, kind: GpuLinkKind::NvLink, count: Some(count) }
}

fn addresses(facts: &Facts) -> Vec<String> {
    facts.gpus.iter().map(|gpu| gpu.gpu.to_string()).collect()
}

#[test]
fn a_board_with_switches_links_all_its_gpus() {
    if !on("hgx", "a_board_with_switches_links_all_its_gpus", None) {
        return;
    }
    let facts = nvml::read(&[]).unwrap();
    assert_eq!((facts.source.as_str(), facts.notes.as_slice()), ("NVML", &[][..]));
    assert_eq!(addresses(&facts)[..2], ["0000:1b:00.0", "0000:2b:00.0"]);
    assert_eq!(facts.gpus.len(), 8);
    for (gpu, index) in facts.gpus.iter().zip(0..) {
        assert_eq!(gpu.model.as_deref(), Some("NVIDIA H200"));
        assert_eq!(gpu.node.unwrap().0, index / 4 * 2);
        let cpus = if index < 4 { "0-23,96-119" } else { "48-71,144-167" };
        assert_eq!(gpu.cpus.as_ref().unwrap().to_string(), cpus);
        // Idle, so slow for now.
        assert_eq!(gpu.link_now, Some(LinkState { mts: 2_500, width: 16 }));
        assert_eq!(gpu.link_max, Some(LinkState { mts: 32_000, width: 16 }));
        assert_eq!(gpu.mig, Some(index == 7));
        assert_eq!(gpu.processes, Some(if index == 7 { 2 } else { 0 }));
        assert_eq!(gpu.switch_links, Some(18));
    }
    assert_eq!(facts.links.len(), 28);
    assert!(facts.links.iter().all(|link| link.count == Some(18)));
    assert_eq!(facts.links[0], link("0000:1b:00.0", "0000:2b:00.0", 18));
    // To read, to write, over NVLink; each from 8 to 7 others.
    assert_eq!(facts.peers.len(), 3 * 8 * 7);
    assert!(facts.peers.iter().all(|peer| peer.status == PeerStatus::Ok));
}

/// The fixture without what NVML knows is the fixture again once NVML's facts are laid over it.
#[cfg(feature = "serde")]
#[test]
fn what_nvml_says_completes_a_host() {
    if !on("hgx", "what_nvml_says_completes_a_host", None) {
        return;
    }
    let text = include_str!("../../../../fixtures/hosts/hgx-h200-snc2.json");
    let whole = pinwise::json::read_host(text).unwrap();
    let mut host = whole.clone();
    host.gpu_links.clear();
    for device in &mut host.devices {
        if device.vendor == vendor::NVIDIA && device.kind() == DeviceKind::Gpu {
            device.name = None;
            device.node = None;
            device.link_max = None;
        }
    }
    assert_ne!(host.devices, whole.devices);
    let laid = overlay(&mut host, &[nvml::read(&[]).unwrap()]);
    assert_eq!(laid.conflicts, []);
    assert_eq!(laid.notes.len(), 1);
    assert_eq!(laid.notes[0].to_string(), "NVML: GPU 0000:cb:00.0 is divided into instances (MIG)");
    assert_eq!(host.gpu_links, whole.gpu_links);
    for (device, expected) in host.devices.iter().zip(&whole.devices) {
        // The fixture does not say how its links are when idle, nor whether somebody uses its GPUs:
        // here the last one has a process and is divided.
        let is_last = device.address == at("0000:cb:00.0");
        let used = [HostUse::Processes];
        assert_eq!(device.used_for, if is_last { &used[..] } else { &[] });
        assert_eq!(device.mig_instances.is_some(), is_last);
        let device = pinwise::host::PciDevice {
            link_now: expected.link_now,
            used_for: Vec::new(),
            mig_instances: None,
            ..device.clone()
        };
        assert_eq!(device, *expected);
    }
    assert_eq!(host.source_of(Part::GpuLinks), "NVML");
}

#[test]
fn a_pair_is_linked_and_nothing_else_is() {
    if !on("pair", "a_pair_is_linked_and_nothing_else_is", None) {
        return;
    }
    let hidden = at("10000:e1:00.0");
    let facts = nvml::read(&[]).unwrap();
    let four = ["10000:01:00.0", "10000:21:00.0", "10000:81:00.0", "10000:a1:00.0"];
    assert_eq!(addresses(&facts), four);
    assert_eq!(facts.links, [link(four[0], four[1], 4)]);
    // As far as NVML tells, the third one's links may well go to a switch.
    let switched: Vec<_> = facts.gpus.iter().map(|gpu| gpu.switch_links).collect();
    assert_eq!(switched, [Some(0), Some(0), Some(2), Some(0)]);
    assert!(facts.gpus.iter().all(|gpu| gpu.mig.is_none() && gpu.processes.is_none()));
    let status = |from, to, access| {
        let (from, to) = (GpuName::At(at(from)), GpuName::At(at(to)));
        let mut peers = facts.peers.iter();
        let peer = peers.find(|p| (p.from, p.to, p.access) == (from, to, Some(access)));
        peer.unwrap().status
    };
    assert_eq!(status(four[1], four[0], PeerAccess::Write), PeerStatus::Ok);
    assert_eq!(status(four[0], four[2], PeerAccess::Read), PeerStatus::ChipsetNotSupported);
    assert_eq!(status(four[3], four[2], PeerAccess::Link), PeerStatus::Unknown);
    // Who knows from elsewhere that there is a GPU knows better.
    let facts = nvml::read(&[hidden]).unwrap();
    let expected = [link(four[0], four[1], 4), link(four[2], "10000:e1:00.0", 2)];
    assert_eq!(facts.links, expected);
    assert_eq!(facts.gpus[2].switch_links, Some(0));
    assert_eq!(facts.gpus[4].gpu, GpuName::At(hidden));
}

#[test]
fn a_lost_gpu_is_left_out_with_a_note() {
    if !on("lost", "a_lost_gpu_is_left_out_with_a_note", None) {
        return;
    }
    let facts = nvml::read(&[]).unwrap();
    assert_eq!((facts.gpus.len(), facts.links.len()), (7, 21));
    assert!(!addresses(&facts).contains(&"0000:3b:00.0".to_owned()));
    let said = "device fell off the bus or has otherwise become inacessible";
    assert_eq!(facts.notes.len(), 1);
    let expected = format!("GPU 2 does not answer NVML ({said}) and is ignored");
    assert_eq!(facts.notes[0].to_string(), expected);
}

#[test]
fn what_makes_no_sense_is_left_out() {
    if !on("odd", "what_makes_no_sense_is_left_out", None) {
        return;
    }
    let facts = nvml::read(&[]).unwrap();
    assert_eq!(facts.gpus.len(), 4);
    for gpu in &facts.gpus {
        assert_eq!((&gpu.model, gpu.node, gpu.link_now, gpu.link_max), (&None, None, None, None));
        assert_eq!(gpu.cpus.as_ref().unwrap().to_string(), "0-15");
    }
    assert!(facts.peers.iter().all(|peer| peer.status == PeerStatus::Unknown));
    assert!(facts.peers.iter().all(|peer| peer.access != Some(PeerAccess::Link)));
}

#[test]
fn without_the_driver_there_is_no_nvml() {
    if on("no-driver", "without_the_driver_there_is_no_nvml", None) {
        assert_eq!(nvml::read(&[]), Err(NoNvml::Driver));
    }
}

#[test]
fn a_library_that_is_none_is_no_nvml() {
    if on("none", "a_library_that_is_none_is_no_nvml", Some("not a library")) {
        let error = nvml::read(&[]).unwrap_err();
        assert!(matches!(error, NoNvml::Library { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.starts_with("NVML is not available: the library cannot be loaded ("),
            "{message}"
        );
        assert!(
            message.contains("libnvidia-ml.so.1") && !message.contains("libloading"),
            "{message}"
        );
    }
}

#[test]
fn a_library_that_fails_is_no_nvml() {
    if on("broken", "a_library_that_fails_is_no_nvml", None) {
        let problem = "an internal driver error occurred".to_owned();
        assert_eq!(nvml::read(&[]), Err(NoNvml::Refused { problem }));
    }
}

#[test]
fn an_answer_of_no_known_meaning_is_no_nvml() {
    if on("strange", "an_answer_of_no_known_meaning_is_no_nvml", None) {
        let problem = "unexpected enum variant value: 77".to_owned();
        assert_eq!(nvml::read(&[]), Err(NoNvml::Refused { problem }));
    }
}
