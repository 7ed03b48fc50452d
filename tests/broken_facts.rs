//! Texts of facts and descriptions, broken in many ways: no panic, no long wait, and what is read never
//! breaks the host that it is laid over.
//!
//! `PINWISE_MUTATIONS` is the number of broken texts of each kind. Without it there are few: the hundred
//! thousand of each that a release is tried with take minutes in a debug build.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]
#![allow(clippy::print_stdout, reason = "what the mutations came to is worth seeing")]
#![allow(clippy::disallowed_methods, reason = "a test may read the clock, and what it is told")]
#![allow(clippy::cast_possible_truncation, reason = "numbers that were drawn below a limit")]

mod common;
#[path = "oracle/rng.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod rng;
mod texts;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::description;
use pinwise::HostBuilder;
use pinwise::discover::facts::{overlay, read_facts};
use pinwise::discover::{read_host, redact, write_host};
use rng::Rng;
use texts::{NCCL_TOPOLOGY, NUMA, P2P, ROCM, TOPO};

/// More than any of these texts takes, on a slow machine with others on it.
const LONGEST: Duration = Duration::from_secs(5);

fn count() -> u64 {
    let told = std::env::var("PINWISE_MUTATIONS").ok();
    told.map_or(1_000, |count| count.parse().expect("PINWISE_MUTATIONS is a number"))
}

/// What stands where a number, a name or a mark may stand, and does not belong there.
const WORDS: [&str; 26] = [
    "0",
    "-1",
    "1",
    "255",
    "256",
    "4096",
    "65536",
    "4294967295",
    "4294967296",
    "99999999999999999999",
    "N/A",
    "X",
    "NV18",
    "NV0",
    "SYS",
    "XGMI",
    "GPU0",
    "GPU7",
    "NIC0",
    "OK",
    "node",
    "0-4294967295",
    "0-4095:1/2",
    "ffff:ff:1f.7",
    "\u{1b}[31m",
    "\u{fffd}é",
];

/// One change of bytes or of structure.
fn mutate(rng: &mut Rng, text: &mut String) {
    match rng.below(12) {
        0 => bytes(rng, text, |rng, bytes, at| bytes[at] ^= 1 << rng.below(7)),
        1 => bytes(rng, text, |rng, bytes, at| bytes[at] = (32 + rng.below(95)) as u8),
        2 => bytes(rng, text, |_, bytes, at| {
            bytes.remove(at);
        }),
        3 => bytes(rng, text, |rng, bytes, at| bytes.insert(at, rng.below(128) as u8)),
        4 => bytes(rng, text, |_, bytes, at| bytes.truncate(at)),
        5 => bytes(rng, text, |rng, bytes, at| {
            let end = rng.between(at, (at + 200).min(bytes.len()));
            let copy = bytes[at..end].to_vec();
            let to = rng.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }),
        6..=8 => {
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            if lines.is_empty() {
                return;
            }
            let (a, b) = (rng.below(lines.len()), rng.below(lines.len()));
            match rng.below(3) {
                0 => lines.swap(a, b),
                1 => lines.insert(b, lines[a]),
                _ => _ = lines.remove(a),
            }
            *text = lines.concat();
        }
        _ => words(rng, text),
    }
}

fn bytes(rng: &mut Rng, text: &mut String, change: impl FnOnce(&mut Rng, &mut Vec<u8>, usize)) {
    let mut bytes = std::mem::take(text).into_bytes();
    if !bytes.is_empty() {
        let at = rng.below(bytes.len());
        change(rng, &mut bytes, at);
    }
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

/// Words, and what stands between quotes, are replaced, swapped, doubled or taken out.
fn words(rng: &mut Rng, text: &mut String) {
    let marks = |c: char| c.is_whitespace() || "\"'<>=,:[]{}/".contains(c);
    let mut parts: Vec<String> = Vec::new();
    for c in text.chars() {
        match parts.last_mut() {
            Some(last) if !marks(c) && !last.starts_with(marks) => last.push(c),
            _ => parts.push(c.to_string()),
        }
    }
    let places: Vec<usize> = (0..parts.len()).filter(|at| !parts[*at].starts_with(marks)).collect();
    if places.is_empty() {
        return;
    }
    let (a, b) = (rng.pick(&places), rng.pick(&places));
    match rng.below(4) {
        0 => parts.swap(a, b),
        1 => parts[a] = format!("{} {}", parts[a], parts[b]),
        2 => parts[a].clear(),
        _ => parts[a] = rng.pick(&WORDS).to_owned(),
    }
    *text = parts.concat();
}

/// Reads every mutation of the texts; what each was, counted.
fn run(seed: u64, seeds: &[&str], read: impl Fn(&str) -> &'static str) {
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    for number in 0..count() {
        let mut rng = Rng::new(seed << 32 | number);
        let mut text = rng.pick(seeds).to_owned();
        for _ in 0..rng.between(1, 4) {
            mutate(&mut rng, &mut text);
        }
        let begun = Instant::now();
        *outcomes.entry(read(&text)).or_default() += 1;
        slowest = slowest.max(begun.elapsed());
        assert!(slowest < LONGEST, "mutation {number} took {slowest:?}: {text:.400}");
    }
    println!("{} mutations: {outcomes:?}, the slowest took {slowest:?}", count());
    assert!(outcomes.len() >= 2, "all went the same way: the mutations are no good");
}

/// A host with GPUs of both vendors in the numbers that the texts have.
fn hosts() -> Vec<HostBuilder> {
    let mut small = description("rtx-4080");
    small
        .devices
        .retain(|device| device.kind() != pinwise::DeviceKind::Gpu || device.address.bus < 0x60);
    vec![description("hgx-h200-snc2"), description("mi350x"), small]
}

fn facts(hosts: &[HostBuilder], text: &str) -> &'static str {
    let facts = match read_facts(text) {
        Ok(facts) => facts,
        Err(error) => {
            let error = error.to_string();
            assert!(error.lines().count() <= 1 && error.len() < 1000, "{error}");
            return "refused";
        }
    };
    // One of them is enough for one text; all are taken in turn.
    for whole in hosts.iter().skip(text.len() % hosts.len()).take(1) {
        let mut host = whole.clone();
        let laid = overlay(&mut host, &facts);
        for conflict in &laid.conflicts {
            assert_eq!(conflict.to_string().lines().count(), 1);
        }
        assert!(laid.conflicts.len() < 100 && laid.notes.len() < 100);
        if host != *whole {
            host.build().expect("facts never break a sound host");
        }
    }
    "read"
}

#[test]
fn broken_tables_of_nvidia_smi() {
    let hosts = hosts();
    let eight: String = {
        let names: Vec<_> = (0..8).map(|gpu| format!("GPU{gpu}")).collect();
        let row = |gpu: usize| {
            let cell = |other| if other == gpu { " X " } else { "NV18" };
            let cells: Vec<_> = (0..8).map(cell).collect();
            let node = if gpu < 4 { 0 } else { 2 };
            format!("GPU{gpu}\t{}\tN/A\t{node}\t\tN/A\n", cells.join("\t"))
        };
        let header = format!("\t{}\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\n", names.join("\t"));
        header + &(0..8).map(row).collect::<String>()
    };
    run(1, &[TOPO, &eight], |text| facts(&hosts, text));
    run(2, &[P2P], |text| facts(&hosts, text));
}

#[test]
fn broken_tables_of_rocm_smi() {
    let hosts = hosts();
    let eight: String = {
        let names: Vec<_> = (0..8).map(|gpu| format!("GPU{gpu}")).collect();
        let row = |gpu: usize| {
            let cell = |other| if other == gpu { "0" } else { "XGMI" };
            let cells: Vec<_> = (0..8).map(cell).collect();
            format!("GPU{gpu}  {}\n", cells.join("  "))
        };
        let title = "====== Link Type between two GPUs ======\n";
        format!("{title}  {}\n{}", names.join("  "), (0..8).map(row).collect::<String>())
    };
    run(3, &[ROCM, &eight], |text| facts(&hosts, text));
}

#[test]
fn broken_output_of_numactl() {
    let hosts = hosts();
    run(4, &[NUMA], |text| facts(&hosts, text));
}

#[test]
fn broken_topologies_of_nccl() {
    let hosts = hosts();
    // With addresses that a host has.
    let known = NCCL_TOPOLOGY.replace("0000:0b:00.0", "0000:1b:00.0").replace("0c:00.0", "3b:00.0");
    run(5, &[NCCL_TOPOLOGY, &known], |text| facts(&hosts, text));
}

#[test]
fn broken_descriptions() {
    let mut host = description("rtx-4080");
    host.mark_source("sysfs");
    let text = write_host(&host);
    run(6, &[&text], |text| match read_host(text) {
        Ok(mut host) => {
            redact(&mut host, "rtx");
            match host.build() {
                Ok(host) => {
                    let text = write_host(host.description());
                    assert_eq!(write_host(&read_host(&text).unwrap()), text);
                    "built"
                }
                Err(error) => {
                    assert_eq!(error.to_string().lines().count(), 1);
                    "no host"
                }
            }
        }
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
            "refused"
        }
    });
}
