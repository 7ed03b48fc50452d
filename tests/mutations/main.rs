//! Broken texts of every kind that is read: no panic, no more than a moment, no more than some memory,
//! and one short sentence where a text is refused.
//!
//! Each kind is broken some hundred times by default, `PINWISE_MUTATIONS` times where that is set. A
//! failure says the number of the case; `PINWISE_MUTATION` runs that one alone and prints its text.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test is told by the environment how long to look, and times what it reads"
)]

#[path = "../common/mod.rs"]
mod common;
mod facts;
#[path = "../common/mutate.rs"]
mod mutate;
#[path = "../common/rng.rs"]
#[allow(dead_code, clippy::cast_possible_truncation, reason = "others draw otherwise")]
mod rng;
#[path = "../texts/mod.rs"]
mod texts;
#[path = "../trees/mod.rs"]
mod trees;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pinwise::discover::{
    Reading, hwloc, libvirt, read_host, read_request, read_tenant, sysfs, write_host,
};
use pinwise::{Bytes, Host, Options, RequestBuilder, Usage, recommend};
use rng::Rng;

/// How often each kind is broken where nobody says.
const DEFAULT: u64 = if cfg!(debug_assertions) { 500 } else { 5_000 };
/// A text of some KiB is read in far less; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
/// The most memory that this process may ever have had, all kinds at a time.
const MEMORY: Bytes = Bytes::from_mib(1024);

/// What became of a text.
enum Outcome {
    Read,
    Refused(String),
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Reads texts that are broken versions of some sound ones.
fn mutations(kind: &str, sound: &[&[u8]], mut read: impl FnMut(&[u8], u64) -> Outcome) {
    for text in sound {
        if let Outcome::Refused(sentence) = read(text, 0) {
            panic!("{kind}: the sound text is refused: {sentence}");
        }
    }
    let only = number("PINWISE_MUTATION");
    let cases = only.map_or(0..number("PINWISE_MUTATIONS").unwrap_or(DEFAULT), |n| n..n + 1);
    let (mut taken, mut refused, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    for case in cases.clone() {
        let mut rng = Rng::new(case);
        let sound = rng.pick(sound);
        let text = mutate::broken(sound, &mut rng);
        if only.is_some() {
            println!("{}", String::from_utf8_lossy(&text));
        }
        let mut timed = || {
            let start = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| read(&text, case)));
            (outcome, start.elapsed())
        };
        let (mut outcome, mut time) = timed();
        if time >= PATIENCE {
            // A machine with much else to do stalls, but not twice at the same text.
            (outcome, time) = timed();
        }
        slowest = slowest.max(time);
        match outcome {
            Ok(Outcome::Read) => taken += 1,
            Ok(Outcome::Refused(sentence)) => {
                let plain = sentence.len() < 500 && !sentence.contains(char::is_control);
                assert!(plain, "{kind}: PINWISE_MUTATION={case}: {sentence:?}");
                refused += 1;
            }
            Err(panic) => {
                println!("{kind}: PINWISE_MUTATION={case} panicked");
                resume_unwind(panic);
            }
        }
        assert!(time < PATIENCE, "{kind}: PINWISE_MUTATION={case} took {time:?}");
    }
    let peak = peak();
    assert!(peak < MEMORY, "{kind}: {peak} of memory");
    println!(
        "{kind}: {taken} read, {refused} refused, the slowest in {slowest:.1?}, {peak} at most"
    );
    // Neither all the same as before, nor all beyond recognition.
    let few = (cases.end - cases.start) / 100;
    assert!(only.is_some() || taken > few && refused > few, "{kind}: {taken} and {refused}");
}

/// The most memory that this process ever had; nothing where the kernel does not tell.
fn peak() -> Bytes {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Bytes::from_kib(kib.unwrap_or(0))
}

/// A reading's host, and every so often what the engine says to it: a host that was built is sound,
/// however odd it is.
fn built(reading: Result<Reading, String>, case: u64) -> Outcome {
    let host = match reading {
        Ok(reading) => {
            assert!(reading.notes.iter().all(|note| !note.contains(char::is_control)));
            reading.host.build().map_err(|error| error.to_string())
        }
        Err(sentence) => Err(sentence),
    };
    match host {
        Ok(host) => {
            if case.is_multiple_of(16) {
                answered(&host);
            }
            Outcome::Read
        }
        Err(sentence) => Outcome::Refused(sentence),
    }
}

fn answered(host: &Host) {
    let request = RequestBuilder::new("vm", 2, Bytes::from_gib(1)).build().unwrap();
    let usage = Usage::empty(host);
    if let Ok(answer) = recommend(host, &usage, &request, &Options::default()) {
        for ranked in &answer.ranked {
            pinwise::verify(host, &usage, &request, &ranked.placement).unwrap();
        }
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn outcome<T>(result: Result<T, impl ToString>) -> Outcome {
    result.map_or_else(|error| Outcome::Refused(error.to_string()), |_| Outcome::Read)
}

#[test]
fn xml_of_lstopo() {
    let sound: [&[u8]; 3] = [
        include_bytes!("../texts/lstopo-1.xml"),
        include_bytes!("../texts/lstopo-2.xml"),
        include_bytes!("../texts/lstopo-3.xml"),
    ];
    for (version, text) in (1..).zip(&sound) {
        mutations(&format!("lstopo {version}"), &[text], |text, case| {
            built(hwloc::read_lstopo(&lossy(text)).map_err(|e| e.to_string()), case)
        });
    }
}

#[test]
fn xml_of_capabilities() {
    mutations("capabilities", &[include_bytes!("../texts/capabilities.xml")], |text, case| {
        built(libvirt::read_capabilities(&lossy(text)).map_err(|e| e.to_string()), case)
    });
}

#[test]
fn xml_of_node_devices() {
    let host = || libvirt::read_capabilities(include_str!("../texts/capabilities.xml")).unwrap();
    mutations("node device", &[include_bytes!("../texts/node-device.xml")], |text, case| {
        let device = libvirt::read_node_device(&lossy(text)).map_err(|e| e.to_string());
        let with = |device: Option<libvirt::NodeDevice>| {
            let Reading { mut host, mut notes } = host();
            notes.extend(libvirt::add_node_devices(&mut host, device));
            Reading { host, notes }
        };
        built(device.map(with), case)
    });
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hosts").join(name);
    fs::read(path).unwrap()
}

#[test]
fn xml_of_domains() {
    let host = read_host(&lossy(&fixture("rtx-4090-nps4.json"))).unwrap().build().unwrap();
    let sound: [&[u8]; 2] =
        [include_bytes!("../texts/domain.xml"), include_bytes!("../lab/desk.xml")];
    mutations("domain", &sound, |text, _| {
        let domain = libvirt::read_domain(&host, &lossy(text));
        if let Ok(domain) = &domain {
            assert!(domain.notes.iter().all(|note| !note.contains(char::is_control)));
            _ = Usage::with_running(&host, [(domain.name.clone(), domain.claim.clone())]);
        }
        outcome(domain)
    });
}

/// A placement put into a broken domain: refused, or XML that is read again.
#[test]
fn xml_of_domains_to_patch() {
    let host = read_host(&lossy(&fixture("rtx-4090-nps4.json"))).unwrap().build().unwrap();
    let request = RequestBuilder::new("vm", 4, Bytes::from_gib(8)).build().unwrap();
    let answer = recommend(&host, &Usage::empty(&host), &request, &Options::default()).unwrap();
    let placement = &answer.best().placement;
    let sound: [&[u8]; 2] =
        [include_bytes!("../texts/domain.xml"), include_bytes!("../lab/desk.xml")];
    mutations("domain to patch", &sound, |text, case| {
        let patched = pinwise::emit::libvirt::patch(placement, &lossy(text));
        if let Ok(patched) = &patched {
            let again = pinwise::emit::libvirt::patch(placement, patched);
            assert_eq!(again.as_ref(), Ok(patched), "PINWISE_MUTATION={case}: patched twice");
        }
        outcome(patched)
    });
}

#[test]
fn json_of_hosts() {
    let sound = [fixture("i9-14900k.json"), fixture("rtx-pro-6000.json")];
    let sound: Vec<&[u8]> = sound.iter().map(Vec::as_slice).collect();
    mutations("host", &sound, |text, case| {
        let host = read_host(&lossy(text)).map_err(|error| error.to_string());
        if let Ok(host) = &host {
            assert_eq!(&read_host(&write_host(host)).unwrap(), host);
        }
        built(host.map(|host| Reading { host, notes: Vec::new() }), case)
    });
}

#[test]
fn json_of_requests_and_tenants() {
    mutations("request", &[include_bytes!("../texts/request.json")], |text, _| {
        let request = read_request(&lossy(text)).map_err(|error| error.to_string());
        outcome(request.and_then(|request| request.build().map_err(|error| error.to_string())))
    });
    mutations("tenant", &[include_bytes!("../texts/tenant.json")], |text, _| {
        outcome(read_tenant(&lossy(text)))
    });
}

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => all_files(&entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

#[test]
fn files_of_sysfs() {
    let root = trees::small();
    let mut files = Vec::new();
    all_files(&root.0, &mut files);
    files.sort();
    assert!(files.len() > 90, "{}", files.len());
    let texts: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut next = 0;
    // The mutator is given all texts as one kind, and this breaks one file at a time with it.
    let sound: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    mutations("sysfs", &sound, |text, case| {
        let at = match case {
            0 => next,
            _ => Rng::new(case).below(files.len()),
        };
        next = (next + 1) % files.len();
        fs::write(&files[at], text).unwrap();
        let reading = sysfs::read(&root.0).map_err(|error| error.to_string());
        fs::write(&files[at], &texts[at]).unwrap();
        built(reading.map_err(|error| error.replace(&*root.0.to_string_lossy(), "")), case)
    });
}
