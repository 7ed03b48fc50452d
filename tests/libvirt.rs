//! A libvirt that runs: its test driver, which needs no daemon and plays a host with one domain.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

use std::path::Path;

use pinwise::discover::libvirt::{Connection, ConnectionError};
use pinwise::{Bytes, HostBuilder, HostError, NodeId, PageSize, PcpuId};

const TEST: &str = "test:///default";

#[test]
fn the_host_has_its_nodes_and_their_free_pages() {
    let reading = Connection::open(TEST).unwrap().host().unwrap();
    assert_eq!(reading.host.about, "read through libvirt from test:///default");
    // The driver makes the numbers up, and has no hugepages at all.
    let cut: Vec<_> = reading.notes.iter().filter(|note| note.ends_with(": cut")).collect();
    assert_eq!(cut[0], "node 0 has 21 free pages of 2 MiB of 0: cut");
    assert!(!reading.notes.iter().any(|note| note.contains("all are taken as free")));
    let host = reading.host.build().unwrap();
    assert_eq!((host.nodes().len(), host.online().len(), host.cores().len()), (2, 16, 16));
    let node = host.node(NodeId(0)).unwrap();
    assert_eq!((node.memory, node.cpus.to_string()), (Bytes::from_gib(2), "0-7".to_owned()));
    let base = node.pools.iter().find(|pool| pool.size == PageSize::KIB_4).unwrap();
    assert_eq!((base.total, base.free), (524_288, 7));
}

#[test]
fn running_domains_are_tenants() {
    let connection = Connection::open(TEST).unwrap();
    let host = connection.host().unwrap().host.build().unwrap();
    let (domains, notes) = connection.domains(&host, false).unwrap();
    assert_eq!(notes, [""; 0]);
    assert_eq!(domains.len(), 1);
    assert_eq!((domains[0].name.as_str(), domains[0].running), ("test", true));
    assert_eq!(domains[0].claim.floating.to_string(), "0-15");
}

fn host() -> HostBuilder {
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
    assert!(message.starts_with("nothing:///here: libvirt does not connect: "), "{message}");
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
