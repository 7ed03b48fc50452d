//! The emitted XML before libvirt itself: its schema, its parser and, where `PINWISE_LAB_QEMU` says
//! which connection, its QEMU driver.
//!
//! Only with `PINWISE_LAB=1`, as it takes tools that `tests/lab/install` installs. `tests/lab/run`
//! does all of it, a libvirtd of its own included.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a lab says what it did, and the environment whether it is there"
)]

#[path = "lab/placements.rs"]
mod placements;

use std::path::{Path, PathBuf};
use std::process::Command;

use pinwise::emit::libvirt;

/// Whether the lab is asked for; says so where it is not.
fn lab() -> bool {
    let asked = std::env::var("PINWISE_LAB").is_ok_and(|value| value == "1");
    if !asked {
        println!("not run: set PINWISE_LAB=1 after tests/lab/install");
    }
    asked
}

/// Runs a judge; fails with its words unless it is content.
fn run(name: &str, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: run tests/lab/install"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{name}: {program} {arguments:?}:\n{out}{err}");
    out
}

fn file(name: &str, xml: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lab-{name}.xml"));
    std::fs::write(&path, xml).expect("the target folder can be written");
    path
}

/// What is between the first `<name>` and its end.
fn domain_name(xml: &str) -> &str {
    let rest = xml.split_once("<name>").expect("a domain has a name").1;
    rest.split_once("</name>").expect("and it ends").0
}

/// Lets every judge there is look at a domain. With the QEMU driver: the domain as that would save it.
fn judge(name: &str, xml: &str) -> Option<String> {
    let path = file(name, xml);
    let path = path.to_str().expect("the path is ours");
    run(name, "virt-xml-validate", &[path, "domain"]);
    run(name, "virsh", &["-q", "-c", "test:///default", "define", "--validate", path]);
    let connection = std::env::var("PINWISE_LAB_QEMU").ok()?;
    let own = format!("pinwise-lab-{name}");
    // A name that no domain of the machine has. And host-passthrough is for KVM alone, which the
    // driver looks for: a machine without it can judge all else.
    let mut xml = xml.replacen(
        &format!("<name>{}</name>", domain_name(xml)),
        &format!("<name>{own}</name>"),
        1,
    );
    if !Path::new("/dev/kvm").exists() {
        for (kvm, emulated) in
            [("type=?kvm?", "type=?qemu?"), ("mode=?host-passthrough?", "mode=?maximum?")]
        {
            for quote in ["'", "\""] {
                xml = xml.replacen(&kvm.replace('?', quote), &emulated.replace('?', quote), 1);
            }
        }
    }
    let path = file(&own, &xml);
    let path = path.to_str().expect("the path is ours");
    let at = ["-q", "-c", connection.as_str()];
    run(name, "virsh", &[&at[..], &["define", "--validate", path]].concat());
    let saved = run(name, "virsh", &[&at[..], &["dumpxml", "--inactive", &own]].concat());
    run(name, "virsh", &[&at[..], &["undefine", &own, "--nvram"]].concat());
    Some(saved)
}

#[test]
fn whole_domains_are_accepted() {
    if !lab() {
        return;
    }
    for placement in placements::all() {
        let xml = libvirt::domain(&placement).expect("the placements are sound");
        judge(&placement.name, &xml);
        println!("accepted: {}", placement.name);
    }
}

/// A desktop's domain with every placement in it, and that with the next one in it.
#[cfg(feature = "libvirt-xml")]
#[test]
fn patched_domains_are_accepted() {
    if !lab() {
        return;
    }
    let desk = include_str!("lab/desk.xml");
    judge("desk", desk);
    let all = placements::all();
    for (placement, next) in all.iter().zip(all.iter().cycle().skip(1)) {
        let once = libvirt::patch(placement, desk).expect("it fits");
        let saved = judge(&format!("desk-{}", placement.name), &once);
        // libvirt gave everything an address; a patch of that changes no more than ours.
        if let Some(saved) = saved {
            let again = libvirt::patch(placement, &saved).expect("it fitted before");
            let again =
                judge(&format!("desk-{}-saved", placement.name), &again).expect("as before");
            let count =
                |xml: &str| (xml.matches("<controller").count(), xml.matches("<hostdev").count());
            assert_eq!(count(&again), count(&saved), "{}:\n{saved}\n{again}", placement.name);
        }
        let twice = libvirt::patch(next, &once).expect("it fits too");
        judge(&format!("desk-{}-then-{}", placement.name, next.name), &twice);
        println!("accepted: {} in the desk, then {}", placement.name, next.name);
    }
}

/// Every style that is possible on every fixture, small and large, with one GPU, some and none.
#[test]
fn every_recommendation_on_every_fixture_is_accepted() {
    if !lab() {
        return;
    }
    let mut judged = 0;
    let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hosts");
    let mut files: Vec<_> = std::fs::read_dir(hosts)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("and readable").path())
        .collect();
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a fixture is a text");
        let host = pinwise::discover::read_host(&text).expect("of a host");
        let host = host.build().expect("that is valid");
        for (vcpus, gib, gpus) in [(6, 12, 1), (20, 40, 2), (64, 128, 4), (120, 240, 8), (9, 18, 0)]
        {
            let gpus = pinwise::GpuRequest::Count { count: gpus, model: None };
            let memory = pinwise::Bytes::from_gib(gib);
            let io_threads = vcpus % 3;
            let base = pinwise::RequestBuilder::new("vm", vcpus, memory);
            let request = pinwise::RequestBuilder { gpus, io_threads, ..base };
            let request = request.build().expect("the request is in range");
            let usage = pinwise::Usage::empty(&host);
            let options = pinwise::Options { all: true, ..pinwise::Options::default() };
            let Ok(answer) = pinwise::recommend(&host, &usage, &request, &options) else {
                continue;
            };
            for (ranked, at) in answer.ranked.iter().chain(&answer.baseline).zip(0..) {
                let placement = &ranked.placement;
                pinwise::verify(&host, &usage, &request, placement).expect("the checker agrees");
                let xml = libvirt::domain(placement).expect("what the engine gives can be printed");
                judge(&format!("{}-{vcpus}-{at}", host.name()), &xml);
                judged += 1;
            }
        }
    }
    println!("{judged} recommendations accepted");
    assert!(judged >= 100, "only {judged} were possible");
}
