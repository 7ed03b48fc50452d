//! A libvirt that runs: its test driver, which needs no daemon and plays a host with one domain,
//! and where `PINWISE_LAB_QEMU` says which (`tests/lab/run` does), its QEMU driver on this machine.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::path::Path;
use std::process::Command;

use pinwise::units::{NodeId, PcpuId};
use pinwise::{Bytes, HostError, HostSpec, PageSize};
use pinwise_discover::libvirt::{Connection, ConnectionError};

const TEST: &str = "test:///default";

#[test]
fn the_host_has_its_nodes_and_their_free_pages() {
    let reading = Connection::open(TEST).unwrap().host().unwrap();
    assert_eq!(reading.host.about, "read from libvirt");
    // The driver makes the numbers up, and has no hugepages at all.
    let notes: Vec<String> = reading.notes.iter().map(ToString::to_string).collect();
    let told = tells_free_pages(&notes);
    let cut: Vec<_> = notes.iter().filter(|note| note.ends_with(": reduced")).collect();
    assert_eq!(!cut.is_empty(), told);
    if told {
        assert_eq!(cut[0], "node 0 has 21 free pages of 2 MiB, more than 0 in all: reduced");
    } else {
        println!("NOT TESTED: free pages, as this libvirt's test driver tells none");
    }
    let host = reading.host.build().unwrap();
    assert_eq!((host.nodes().len(), host.online().len(), host.cores().len()), (2, 16, 16));
    let node = host.node(NodeId(0)).unwrap();
    assert_eq!((node.memory, node.cpus.to_string()), (Bytes::from_gib(2), "0-7".to_owned()));
    let base = node.pools.iter().find(|pool| pool.size == PageSize::KIB_4).unwrap();
    assert_eq!((base.total, base.free), (524_288, if told { 7 } else { 524_288 }));
}

/// Whether the test driver tells free pages: that of libvirt 9.0 fills in the numbers but says that
/// it filled in none.
fn tells_free_pages(notes: &[String]) -> bool {
    let silent = "node 0 tells no free pages (0 of 3): all are assumed free";
    let untold = notes.iter().filter(|note| note.contains("all are assumed free"));
    let untold: Vec<_> = untold.collect();
    assert!(untold.is_empty() || untold[0] == silent, "{untold:?}");
    untold.is_empty()
}

#[test]
fn running_domains_are_tenants() {
    let connection = Connection::open(TEST).unwrap();
    let host = connection.host().unwrap().host.build().unwrap();
    let (domains, notes) = connection.domains(&host, false).unwrap();
    assert_eq!(notes, []);
    assert_eq!(domains.len(), 1);
    assert_eq!((domains[0].name.as_str(), domains[0].running), ("test", true));
    assert_eq!(domains[0].claim.floating.to_string(), "0-15");
}

fn host() -> HostSpec {
    Connection::open(TEST).unwrap().host().unwrap().host
}

/// The test driver reads the domains that it plays from a file, and then plays no nodes.
fn play(name: &str, domains: &str) -> Connection {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("play-{name}.xml"));
    std::fs::write(&file, format!("<node>{domains}</node>")).unwrap();
    Connection::open(&format!("test://{}", file.display())).unwrap()
}

/// A domain of two pinned vCPUs.
fn pinned(name: &str, runstate: u32, first: u32) -> String {
    let second = first + 1;
    format!(
        "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
          <test:runstate>{runstate}</test:runstate>
          <name>{name}</name><memory unit='GiB'>1</memory><vcpu>2</vcpu>
          <cputune><vcpupin vcpu='0' cpuset='{first}'/><vcpupin vcpu='1' cpuset='{second}'/></cputune>
          <os><type arch='i686'>hvm</type></os>
        </domain>"
    )
}

#[test]
fn those_that_are_off_are_told_when_asked_for() {
    // 1 is running, 5 shut off.
    let connection =
        play("off", &[pinned("web", 1, 4), pinned("idle", 5, 6), pinned("db", 1, 2)].concat());
    assert_eq!(connection.host().unwrap().host.build().unwrap_err(), HostError::NoPcpus);
    let host = host().build().unwrap();
    let names = |off| {
        let (domains, _) = connection.domains(&host, off).unwrap();
        let held = domains.iter().map(|d| d.claim.dedicated.to_string());
        domains.iter().map(|d| (d.name.clone(), d.running)).zip(held).collect::<Vec<_>>()
    };
    let (db, web) =
        ((("db".into(), true), "2-3".to_owned()), (("web".into(), true), "4-5".to_owned()));
    assert_eq!(names(false), [db.clone(), web.clone()]);
    assert_eq!(names(true), [db, (("idle".into(), false), "6-7".to_owned()), web]);
}

#[test]
fn an_error_names_the_connection_and_what_libvirt_said() {
    let error = Connection::open("nothing:///here").unwrap_err();
    assert!(matches!(error, ConnectionError::Refused { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with("nothing:///here: libvirt refuses the connection: "), "{message}");
    assert!(message.contains("nothing:///here") && message.len() < 300, "{message}");
    let error = Connection::open("test:///\0").unwrap_err();
    assert!(error.to_string().contains("zero byte"), "{error}");
    // A pin to a pCPU that this host does not have is no tenant's claim.
    let connection = play("beyond", &pinned("far", 1, 12));
    let mut host = host();
    for node in &mut host.nodes {
        node.cpus = node.cpus.iter().filter(|cpu| *cpu < PcpuId(8)).collect();
    }
    host.cores.retain(|core| core.pcpus.first().unwrap() < PcpuId(8));
    let error = connection.domains(&host.build().unwrap(), false).unwrap_err().to_string();
    assert!(error.contains("play-beyond.xml: domain far: line "), "{error}");
    assert!(error.contains("pCPU"), "{error}");
}

/// Runs virsh on a connection, as whoever keeps the machine.
fn virsh(uri: &str, arguments: &[&str]) {
    let output = Command::new("virsh").args(["-q", "-c", uri]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "virsh {arguments:?}: {said}");
}

/// Gone again, whatever becomes of the test.
struct Brief<'a>(&'a str, &'static str);

impl Drop for Brief<'_> {
    fn drop(&mut self) {
        for end in ["destroy", "undefine"] {
            _ = Command::new("virsh").args(["-q", "-c", self.0, end, self.1]).output();
        }
    }
}

#[cfg(feature = "sysfs")]
#[test]
#[expect(clippy::disallowed_methods, reason = "the environment says whether the lab is there")]
fn the_qemu_driver_tells_of_this_machine_what_sysfs_does() {
    let Ok(uri) = std::env::var("PINWISE_LAB_QEMU") else {
        println!("not run: PINWISE_LAB_QEMU names no connection");
        return;
    };
    let connection = Connection::open(&uri).unwrap();
    let reading = connection.host().unwrap();
    println!("{:?}", reading.notes);
    let (live, sysfs) = (reading.host, pinwise_discover::sysfs::read(Path::new("/")).unwrap().host);
    let nodes = |host: &HostSpec| {
        host.nodes.iter().map(|node| (node.id, node.cpus.clone(), node.memory)).collect::<Vec<_>>()
    };
    assert_eq!(nodes(&live), nodes(&sysfs));
    let cores = |host: &HostSpec| host.cores.iter().map(|c| c.pcpus.clone()).collect::<Vec<_>>();
    assert_eq!(cores(&live), cores(&sysfs));
    let functions = |host: &HostSpec| {
        let each = host.devices.iter().map(|device| (device.address, device.vendor, device.device));
        each.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(functions(&live), functions(&sysfs));
    let free = |host: &HostSpec| host.nodes[0].pools[0].free;
    assert!((1..live.nodes[0].pools[0].total).contains(&free(&live)), "{}", free(&live));

    let host = live.build().unwrap();
    let name = "pinwise-lab-brief";
    let xml = format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
          <cputune><vcpupin vcpu='0' cpuset='0'/></cputune>
          <os><type arch='x86_64' machine='q35'>hvm</type></os>
        </domain>"
    );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.xml"));
    std::fs::write(&file, xml).unwrap();
    virsh(&uri, &["define", file.to_str().unwrap()]);
    let brief = Brief(&uri, name);
    let own = |off| {
        let (domains, _) = connection.domains(&host, off).unwrap();
        domains.into_iter().find(|domain| domain.name == name)
    };
    assert_eq!(own(false), None);
    assert!(!own(true).unwrap().running);
    virsh(&uri, &["start", "--paused", name]);
    let running = own(false).unwrap();
    assert!(running.running);
    assert_eq!(running.claim.dedicated.to_string(), "0");
    drop(brief);
    assert_eq!(own(true), None);
}
