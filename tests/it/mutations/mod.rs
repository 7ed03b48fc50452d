//! Broken texts of every kind that is read: no panic, no more than a moment, no more than some
//! memory, and one short sentence where a text is refused.
//!
//! Each kind is broken some hundred times by default, `PINWISE_MUTATIONS` times where that is set.
//! A failure says the number of the case; `PINWISE_MUTATION` runs that one alone and prints its
//! text.

mod facts;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use pinwise::Bytes;
use pinwise_testkit::fuzz::{self, Outcome};
use pinwise_testkit::rng::Rng;

/// How often each kind is broken where nobody says.
const DEFAULT: u64 = if cfg!(debug_assertions) { 500 } else { 5_000 };
/// A text of some KiB is read in far less; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
/// The most memory that this process may ever have had, all kinds at a time.
const MEMORY: Bytes = Bytes::from_mib(1024);

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
    mutations_of(
        kind,
        &mut |case| {
            let mut rng = Rng::new(case);
            let sound = rng.pick(sound);
            pinwise_testkit::mutate::broken(sound, &mut rng)
        },
        read,
    );
}

/// Reads what is made for each number of a case.
fn mutations_of(
    kind: &str,
    make: &mut impl FnMut(u64) -> Vec<u8>,
    mut read: impl FnMut(&[u8], u64) -> Outcome,
) {
    let only = number("PINWISE_MUTATION");
    let cases = only.map_or(0..number("PINWISE_MUTATIONS").unwrap_or(DEFAULT), |n| n..n + 1);
    let (mut taken, mut refused, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    for case in cases.clone() {
        let text = make(case);
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

#[test]
fn xml_of_lstopo() {
    let sound: [&[u8]; 3] = [
        pinwise_testkit::texts::LSTOPO_1.as_bytes(),
        pinwise_testkit::texts::LSTOPO_2.as_bytes(),
        pinwise_testkit::texts::LSTOPO_3.as_bytes(),
    ];
    for (version, text) in (1..).zip(&sound) {
        mutations(&format!("lstopo {version}"), &[text], |text, _| fuzz::lstopo(text));
    }
}

#[test]
fn xml_of_libvirt() {
    let capabilities = pinwise_testkit::texts::CAPABILITIES.as_bytes();
    mutations("capabilities", &[capabilities], |text, _| fuzz::capabilities(text));
    let device = pinwise_testkit::texts::NODE_DEVICE.as_bytes();
    mutations("node device", &[device], |text, _| fuzz::node_device(text));
}

#[test]
fn hosts_of_opennebula() {
    let host = pinwise_testkit::texts::ONEHOST.as_bytes();
    mutations("host of OpenNebula", &[host], |text, _| fuzz::onehost(text));
}

const DOMAINS: [&[u8]; 2] =
    [pinwise_testkit::texts::DOMAIN.as_bytes(), include_bytes!("../../lab/desk.xml")];

#[test]
fn xml_of_domains() {
    mutations("domain", &DOMAINS, |text, _| fuzz::domain(text));
}

/// A VM of any program, as tenant and as request.
#[test]
fn texts_of_vms() {
    let conf = pinwise_testkit::texts::QEMU_CONF;
    let pasted = format!("```\nroot@host:~# qm config 100\n{conf}root@host:~#\n```\n");
    let json =
        r#"{"name": "made-up", "dedicated": "1-2", "floating": "0", "devices": ["0000:62:00.0"]}"#;
    let fenced = format!("host:~$ cat vm.json\r\n```json\n{json}\n```\n");
    let kubevirt = pinwise_testkit::texts::KUBEVIRT;
    let sound = [conf, &pasted, json, &fenced, kubevirt].map(str::as_bytes);
    mutations("VM", &sound, |text, _| fuzz::vm(text));
}

/// A placement put into a broken domain: refused, or XML that is read again.
#[test]
fn xml_of_domains_to_patch() {
    mutations("domain to patch", &DOMAINS, |text, _| fuzz::patch(text));
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hosts").join(name);
    fs::read(path).unwrap()
}

#[test]
fn json_of_hosts() {
    let sound = [fixture("i9-14900k.json"), fixture("rtx-pro-6000.json")];
    let sound: Vec<&[u8]> = sound.iter().map(Vec::as_slice).collect();
    mutations("host", &sound, |text, _| fuzz::host_json(text));
}

#[test]
fn json_of_hosts_with_tenants() {
    let (placement, own) =
        (pinwise_testkit::texts::PLACEMENT_HOST.as_bytes(), fixture("rtx-4080.json"));
    let sound: [&[u8]; 3] = [placement, placement, &own];
    mutations("described", &sound, |text, _| fuzz::described(text));
}

#[test]
fn json_of_requests_and_tenants() {
    mutations("request", &[pinwise_testkit::texts::REQUEST.as_bytes()], |text, _| {
        fuzz::request_json(text)
    });
    mutations("tenant", &[pinwise_testkit::texts::TENANT.as_bytes()], |text, _| {
        fuzz::tenant_json(text)
    });
}

#[test]
fn texts_of_values() {
    let sound: [&[u8]; 7] = [
        b"0-31:2/4,40,44-47",
        b"0,2-3",
        b"1536 MiB",
        b"2048K",
        b"0000:1b:00.0",
        b"pin",
        b"gpu-training",
    ];
    mutations("values", &sound, |text, _| fuzz::values::values(text));
}

/// Not texts, but choices: of a small host, its tenants, a request for it. Any bytes are some.
#[test]
fn answers_to_requests() {
    let sound: Vec<[u8; 96]> = (0..64)
        .map(|seed| {
            let mut rng = Rng::new(seed);
            std::array::from_fn(|_| u8::try_from(rng.below(256)).unwrap())
        })
        .collect();
    let mut choices = |case: u64| {
        let mut bytes = Rng::new(case).pick(&sound).to_vec();
        bytes.extend(case.to_le_bytes());
        bytes
    };
    mutations_of("answers", &mut choices, |bytes, _| fuzz::answers::answer(bytes));
}

#[test]
fn files_of_sysfs() {
    let mut tree = fuzz::sources::Tree::new();
    let texts: Vec<_> = tree.files.iter().map(|(_, text)| text.clone()).collect();
    assert!(texts.len() > 90, "{}", texts.len());
    let mut next = 0;
    // The mutator is given all texts as one kind, and this breaks one file at a time with it.
    let sound: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    mutations("sysfs", &sound, |text, case| {
        let at = match case {
            0 => next,
            _ => Rng::new(case).below(texts.len()),
        };
        next += 1;
        tree.with(at, text)
    });
}

/// A description in parts: capabilities, one of their node devices, tables of GPUs, and all of them
/// beside lstopo's XML.
#[test]
fn sources_of_one_machine() {
    let lstopo = pinwise_testkit::texts::LSTOPO_2;
    let capabilities = pinwise_testkit::texts::CAPABILITIES;
    let device = pinwise_testkit::texts::NODE_DEVICE;
    let own = String::from_utf8(fixture("rtx-4080.json")).unwrap();
    let joined = [
        [capabilities, device, pinwise_testkit::texts::NUMA].join(fuzz::sources::BETWEEN),
        [pinwise_testkit::texts::TOPO, lstopo, capabilities, device].join(fuzz::sources::BETWEEN),
        [own.as_str(), lstopo, pinwise_testkit::texts::P2P].join(fuzz::sources::BETWEEN),
    ];
    let sound: Vec<&[u8]> = joined.iter().map(|text| text.as_bytes()).collect();
    mutations("sources", &sound, |text, _| fuzz::sources::assembled(text));
}
