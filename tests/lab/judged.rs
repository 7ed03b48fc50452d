//! The emitted XML before libvirt itself: its schema, its parser and, where `PINWISE_LAB_QEMU` says
//! which connection, its QEMU driver.
//!
//! Only with `PINWISE_LAB=1`, as it takes tools that `tests/lab/install` installs. `tests/lab/run`
//! does all of it, a libvirtd of its own included.

use std::collections::BTreeSet;
use std::path::Path;

use crate::judge::{self, Driver, asked, judge};
use crate::spread;
use crate::stand_in::StandIn;
use pinwise::emit::libvirt;
use pinwise::{PageSize, Placement, Question, Style};
use pinwise_testkit::placements;

#[test]
fn whole_domains_are_accepted() {
    if !asked() {
        return;
    }
    for placement in placements::all() {
        let xml = libvirt::domain(&placement).expect("the placements are sound");
        judge(&placement.name, &xml);
        println!("accepted: {}", placement.name);
    }
}

/// A desktop's domain with every placement in it, and that with the next one in it.

#[test]
fn patched_domains_are_accepted() {
    if !asked() {
        return;
    }
    let desk = include_str!("desk.xml");
    judge("desk", desk);
    let all = placements::all();
    for (placement, next) in all.iter().zip(all.iter().cycle().skip(1)) {
        let once = pinwise_discover::libvirt::patch(placement, desk).expect("it fits");
        let saved = judge(&format!("desk-{}", placement.name), &once);
        // libvirt gave everything an address; a patch of that changes no more than ours.
        if let Some(saved) = saved {
            let again =
                pinwise_discover::libvirt::patch(placement, &saved).expect("it fitted before");
            let again =
                judge(&format!("desk-{}-saved", placement.name), &again).expect("as before");
            let count =
                |xml: &str| (xml.matches("<controller").count(), xml.matches("<hostdev").count());
            assert_eq!(count(&again), count(&saved), "{}:\n{saved}\n{again}", placement.name);
        }
        let twice = pinwise_discover::libvirt::patch(next, &once).expect("it fits too");
        judge(&format!("desk-{}-then-{}", placement.name, next.name), &twice);
        println!("accepted: {} in the desk, then {}", placement.name, next.name);
    }
}

/// Every style that is possible on every fixture, small and large, with one GPU, some and none.
#[test]
fn every_recommendation_on_every_fixture_is_accepted() {
    if !asked() {
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
        let host = pinwise::json::read_host(&text).expect("of a host");
        let host = host.build().expect("that is valid");
        for (vcpus, gib, gpus) in [(6, 12, 1), (20, 40, 2), (64, 128, 4), (120, 240, 8), (9, 18, 0)]
        {
            let gpus = pinwise::request::GpuRequest::Count { count: gpus, model: None };
            let memory = pinwise::Bytes::from_gib(gib);
            let io_threads = vcpus % 3;
            let base = pinwise::RequestSpec::new("vm", vcpus, memory);
            let request = pinwise::RequestSpec { gpus, io_threads, ..base };
            let request = request.build().expect("the request is in range");
            let usage = pinwise::Usage::empty(&host);
            let options = pinwise::Options { all: true, ..pinwise::Options::default() };
            let Ok(answer) =
                pinwise::recommend(Question::new(&host, &usage, &request).with(&options))
            else {
                continue;
            };
            for (ranked, at) in answer.ranked.iter().chain(&answer.baseline).zip(0..) {
                let placement = &ranked.placement;
                pinwise::verify(Question::new(&host, &usage, &request), placement)
                    .expect("the checker agrees");
                let xml = libvirt::domain(placement).expect("what the engine gives can be printed");
                judge(&format!("{}-{vcpus}-{at}", host.name()), &xml);
                judged += 1;
            }
        }
    }
    println!("{judged} recommendations accepted");
    assert!(judged >= 100, "only {judged} were possible");
}

/// What the spread has to hold, so that it is one.
fn covers(placements: &[&Placement]) {
    let cells: BTreeSet<usize> = placements.iter().map(|p| p.cells.len()).collect();
    assert_eq!(cells, (1..=8).collect(), "cells");
    let unequal = placements.iter().filter(|p| {
        let sizes: BTreeSet<_> =
            p.cells.iter().map(|cell| (cell.vcpus.len(), cell.memory)).collect();
        sizes.len() > 1
    });
    assert!(unequal.count() >= 3, "unequal cells");
    let devices: BTreeSet<usize> = placements.iter().map(|p| p.devices.len()).collect();
    let few = devices.iter().filter(|count| **count <= 16).count();
    assert!(devices.contains(&1) && devices.contains(&16) && few >= 8, "devices: {devices:?}");
    let vcpus: BTreeSet<usize> = placements.iter().map(|p| p.vcpus.len()).collect();
    assert!(vcpus.contains(&2) && vcpus.contains(&300) && vcpus.len() >= 10, "vCPUs: {vcpus:?}");
    let pages: BTreeSet<PageSize> =
        placements.iter().flat_map(|p| p.cells.iter().map(|cell| cell.page_size)).collect();
    assert_eq!(pages, [PageSize::KIB_4, PageSize::MIB_2, PageSize::GIB_1].into(), "pages");
    let styles: BTreeSet<Style> = placements.iter().map(|p| p.style).collect();
    // VMs whose vCPUs float are started where this machine is the host.
    let pinned = Style::ALL.into_iter().filter(|style| !style.floats());
    assert_eq!(styles, pinned.collect(), "styles");
    assert!(placements.iter().any(|p| !p.pci.switches.is_empty()), "switches");
}

/// Recommendations of every size, each all the way to a QEMU with its vCPUs stopped. The machine is
/// another one, so what names pCPUs, nodes and page pools is mapped onto what is here.
#[test]
fn a_spread_of_recommendations_starts() {
    if !asked() {
        return;
    }
    let answers = spread::spread();
    let placements: Vec<&Placement> = answers.iter().map(|answer| &answer.placement).collect();
    covers(&placements);
    assert!(placements.len() >= 60, "only {}", placements.len());
    let mut started = 0;
    for (answer, at) in answers.iter().zip(0..) {
        let (placement, host) = (&answer.placement, answer.host.name());
        let printed = libvirt::domain(placement).expect("what the engine gives can be printed");
        let name = format!("spread-{at}");
        judge(&name, &printed);
        let Some(driver) = Driver::of_lab() else { continue };
        let own = format!("pinwise-lab-{name}");
        let stand_in = StandIn { name: &own, pcpus: Some(judge::pcpus()), ..StandIn::default() };
        let xml = stand_in.apply(placement, &printed);
        driver.native(&name, &xml);
        let fits = placement.memory().0 <= judge::MOST_MEMORY;
        if fits {
            driver.paused(&name, &xml, placement, |_| {});
            started += 1;
        }
        println!(
            "{}: {} of {host}, {} cells, {} vCPUs, {} devices",
            if fits { "started" } else { "accepted" },
            placement.style,
            placement.cells.len(),
            placement.vcpus.len(),
            placement.devices.len(),
        );
    }
    println!("{} recommendations accepted, {started} started", placements.len());
    if Driver::of_lab().is_some() {
        assert!(started >= 40, "only {started} fit this machine");
    }
}

/// VMs that the engine places on this very machine, as `tests/lab/run` has page pools for: nothing
/// but the CPU model is exchanged, and every thread and page is where the XML says.

#[test]
fn a_vm_of_this_machine_is_held_where_its_xml_says() {
    let Some(driver) = judge::driver() else { return };
    let read = pinwise_discover::sysfs::read(Path::new("/")).expect("this machine can be read");
    let host = read.host.build().expect("and is sound");
    let free = |size: PageSize| -> u64 {
        let pools = host.nodes().iter().filter_map(|node| node.pool(size));
        pools.map(|pool| pool.free).sum()
    };
    let mut held = 0;
    for (page, vcpus) in [(PageSize::KIB_4, 1), (PageSize::MIB_2, 1), (PageSize::KIB_4, 2)] {
        let mib = 128;
        if page == PageSize::MIB_2 && free(page) < mib / 2 {
            println!("no pages of {page} here: not run");
            continue;
        }
        let base = pinwise::RequestSpec::new("here", vcpus, pinwise::Bytes::from_mib(mib));
        let mut request = pinwise::RequestSpec { page_size: Some(page), ..base };
        request.policies.dedicated_cpus = pinwise::Policy::Ignore;
        request.policies.whole_cores = pinwise::Policy::Ignore;
        for (answer, at) in spread::answers(&host, request).iter().zip(0..) {
            let placement = &answer.placement;
            let printed = libvirt::domain(placement).expect("what the engine gives can be printed");
            let name = format!("here-{vcpus}-{}-{at}", page.kib());
            judge(&name, &printed);
            let own = format!("pinwise-lab-{name}");
            let xml = StandIn { name: &own, ..StandIn::default() }.apply(placement, &printed);
            driver.native(&name, &xml);
            driver.paused(&name, &xml, placement, |pid| {
                let wanted = if page == PageSize::MIB_2 { mib << 10 } else { 0 };
                assert_eq!(judge::hugepages(pid), wanted, "{name}: KiB of hugepages");
            });
            println!("held: {name}, {}, {:?}", placement.style, placement.vcpus);
            held += 1;
        }
    }
    assert!(held > 0, "this machine holds no VM");
}
