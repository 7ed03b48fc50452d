//! The JSON Schema of host descriptions: it is the one in `fixtures`, every description there fits
//! it, and it says of each field what the reader says.
//!
//! `PINWISE_BLESS=1` writes it anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use pinwise::host::{
    Acs, CacheKind, CacheSpec, CoreKind, FabricPartition, GpuLink, GpuLinkKind, HostUse, LinkState,
    Part,
};
use pinwise::json::{host_schema, read_host, write_host};
use pinwise::units::NodeId;
use pinwise::{Bytes, HostSpec};
use pinwise_testkit::common::{description, fixtures};
use pinwise_testkit::schema::{places, pointer};
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(&host_schema()).unwrap()
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let file = fixtures("pinwise-host-1.schema.json");
    #[allow(clippy::disallowed_methods, reason = "a test is told by its caller to write")]
    if std::env::var_os("PINWISE_BLESS").is_some_and(|value| value == "1") {
        fs::write(&file, host_schema()).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == host_schema(), "it is stale: PINWISE_BLESS=1 cargo test --test it schema::");
}

fn broken(value: &Value) -> Vec<String> {
    pinwise_testkit::schema::broken(&schema(), value)
}

fn descriptions() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["hosts", "captures", "cases"] {
        for entry in fs::read_dir(fixtures(folder)).unwrap() {
            let path = entry.unwrap().path();
            let own = if path.is_dir() { path.join("host.json") } else { path };
            if own.is_file() && own.extension().is_some_and(|kind| kind == "json") {
                found.push(own);
            }
        }
    }
    found
}

#[test]
fn every_description_fits() {
    let files = descriptions();
    assert!(files.len() > 9, "{files:?}");
    for file in files {
        let value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(broken(&value), Vec::<String>::new(), "{}", file.display());
    }
}

/// A description with every field that there is.
fn full() -> HostSpec {
    let mut host = description("hgx-h200-snc2");
    host.about = "synthetic".to_owned();
    host.nodes.truncate(1);
    host.nodes[0].distances.truncate(1);
    host.cores.truncate(1);
    (host.cores[0].die, host.cores[0].max_mhz) = (1, Some(3000));
    host.cores[0].kind = CoreKind::Efficiency;
    host.l3_domains.truncate(1);
    host.l3_domains[0].size = Some(Bytes::from_mib(1));
    host.caches = vec![CacheSpec {
        level: 2,
        kind: CacheKind::Unified,
        size: Some(Bytes::from_mib(1)),
        shared_by: vec!["0".parse().unwrap()],
    }];
    host.clusters = vec!["0".parse().unwrap()];
    host.offline = "5000".parse().unwrap();
    host.allowed = Some("0".parse().unwrap());
    host.isolated = "0".parse().unwrap();
    host.reserved = "0".parse().unwrap();
    host.reserve_memory = "1 GiB".parse().unwrap();
    host.devices.truncate(1);
    let device = &mut host.devices[0];
    device.name = Some("GPU".to_owned());
    device.node = Some(NodeId(0));
    device.parent = Some(device.address);
    device.iommu_group = Some(1);
    device.driver = Some("vfio-pci".to_owned());
    device.physical_function = Some(device.address);
    device.mediated = Some(vec!["4b20d080-1b54-4048-85b3-a6a62d165c01".to_owned()]);
    device.mig_instances = Some(2);
    (device.boot_vga, device.used_for) = (true, HostUse::ALL.to_vec());
    device.link_now = Some(LinkState { mts: 2500, width: 1 });
    device.link_max = Some(LinkState { mts: 2500, width: 1 });
    device.access = Some(Acs {
        request_redirect: true,
        completion_redirect: true,
        upstream_forwarding: true,
        direct_translated: true,
    });
    device.bars = vec![Bytes::from_mib(1)];
    let (a, b) = (device.address, device.address);
    host.gpu_links = vec![GpuLink { a, b, kind: GpuLinkKind::NvLink, count: 1 }];
    host.fabric_partitions = vec![FabricPartition { id: 1, gpus: vec![a] }];
    host.sources.clear();
    host.add_source(Part::Pci, "sysfs");
    host
}

#[test]
fn schema_and_reader_know_the_same_fields_and_need_the_same() {
    let text = write_host(&full());
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(broken(&value), Vec::<String>::new());
    let mut names = BTreeSet::new();
    let ways = places(&value);
    for way in &ways {
        let key = way.last().unwrap();
        if key.parse::<usize>().is_ok() {
            continue;
        }
        names.insert(key.clone());
        // Without the field: both miss it, or neither does.
        let mut less = value.clone();
        let above = less.pointer_mut(&pointer(&way[..way.len() - 1])).unwrap();
        above.as_object_mut().unwrap().remove(key);
        let read = read_host(&less.to_string());
        let fits = broken(&less).is_empty();
        assert_eq!(read.is_ok(), fits, "without {way:?}: {read:?}");
    }
    // Every field of the schema was there to be tried.
    let schema = schema();
    let defined = schema["$defs"].as_object().unwrap().values();
    let objects = defined.chain([&schema]).filter_map(|one| one["properties"].as_object());
    let known: BTreeSet<String> = objects.flat_map(|map| map.keys().cloned()).collect();
    assert_eq!(names, known);
}

#[test]
fn a_value_of_the_wrong_form_is_refused_by_both() {
    let value: Value = serde_json::from_str(&write_host(&full())).unwrap();
    let ways = places(&value);
    let wrong = [json!(-1), json!(true), json!({}), json!("x y"), json!([[]]), json!(1.5)];
    let mut tried = 0;
    for way in &ways {
        for new in &wrong {
            let mut changed = value.clone();
            *changed.pointer_mut(&pointer(way)).unwrap() = new.clone();
            let read = read_host(&changed.to_string());
            let fits = broken(&changed).is_empty();
            assert_eq!(read.is_ok(), fits, "{way:?} as {new}: {read:?} {:?}", broken(&changed));
            tried += usize::from(!fits);
        }
    }
    assert!(tried > 200, "{tried}");
    let mut more = value;
    more["devices"][0]["colour"] = json!("red");
    assert!(!broken(&more).is_empty() && read_host(&more.to_string()).is_err());
}

#[test]
fn amounts_sets_and_addresses_are_refused_and_taken_by_both() {
    let value: Value = serde_json::from_str(&write_host(&full())).unwrap();
    for (way, texts) in [
        (
            "/nodes/0/memory",
            &[
                "64 GiB", "64g", "4096", "7 B", " 1 tib ", "64 GB", "1.5 GiB", "", "-1", "GiB",
                "1 X",
            ][..],
        ),
        ("/offline", &["", "0-3,8", "0-31:2/4", " 1\n", "1,", "a", "1-", "^5", "1 2", "0x3"]),
        (
            "/devices/0/address",
            &[
                "0000:1b:00.0",
                "1b:00.0",
                "00000000:1B:1f.7",
                "1b:20.0",
                "1b:00.8",
                "1b",
                "0:0:0:0.0",
            ],
        ),
        ("/devices/0/class", &["0x030200", "30200", "0x", "0x1030200", "gpu"]),
        ("/devices/0/vendor", &["0x10de", "10DE", "0x110de", "x"]),
        ("/nodes/0/pools/0/size", &["4 KiB", "2 MiB", "2 MB"]),
    ] {
        for text in texts {
            let mut changed = value.clone();
            *changed.pointer_mut(way).unwrap() = json!(text);
            let read = read_host(&changed.to_string());
            assert_eq!(read.is_ok(), broken(&changed).is_empty(), "{way} as {text:?}: {read:?}");
        }
    }
}
