//! The committed host descriptions are what the generator makes, and say what they claim to say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pinwise::host::CommonBridge;
use pinwise::json::{read_host, write_host};
use pinwise::units::NodeId;
use pinwise::{Host, PageSize, PciAddr};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn host(name: &str) -> Host {
    let text = std::fs::read_to_string(folder("hosts").join(format!("{name}.json"))).unwrap();
    read_host(&text).unwrap().build().unwrap()
}

fn gpu_nodes(host: &Host) -> Vec<u32> {
    host.gpus().iter().filter_map(|gpu| gpu.node).map(|node| node.0).collect()
}

fn at(address: &str) -> PciAddr {
    address.parse().unwrap()
}

#[test]
fn the_committed_hosts_are_what_the_generator_makes() {
    let mut made = BTreeSet::new();
    for builder in pinwise_testkit::hosts::all() {
        let file = format!("{}.json", builder.name);
        let text = std::fs::read_to_string(folder("hosts").join(&file)).unwrap_or_default();
        let canonical = write_host(builder.build().unwrap().description());
        assert!(text == canonical, "{file} is stale: run `cargo run -p pinwise-testkit`");
        made.insert(file);
    }
    let entries = std::fs::read_dir(folder("hosts")).unwrap();
    let found: BTreeSet<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, made, "a file that no generator makes");
}

#[test]
fn every_file_reads_builds_and_writes_back_to_its_own_bytes() {
    for folder in ["hosts", "captures"].map(folder).iter().filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let host = read_host(&text).unwrap().build().unwrap();
            assert_eq!(write_host(host.description()), text, "{}", path.display());
            assert_eq!(path.file_stem().unwrap(), host.name());
            assert!(!host.about().is_empty());
        }
    }
}

#[test]
fn the_hosts_have_the_facts_of_their_classes() {
    for (name, packages, pcpus, nodes, l3, gpus) in [
        ("hgx-h200", 2, 192, 2, 2, 8),
        ("hgx-h200-snc2", 2, 192, 4, 2, 8),
        ("mi350x", 2, 256, 2, 16, 8),
        ("rtx-pro-6000", 2, 256, 2, 16, 8),
        ("rtx-4090-nps4", 2, 256, 8, 32, 8),
        ("rtx-4080", 1, 64, 1, 8, 4),
        ("rtx-5090-degraded", 1, 128, 1, 16, 4),
        ("i9-14900k", 1, 32, 1, 1, 2),
    ] {
        let host = host(name);
        let found = (
            host.packages().len(),
            host.online().len(),
            host.nodes().len(),
            host.l3_domains().len(),
            host.gpus().len(),
        );
        assert_eq!(found, (packages, pcpus, nodes, l3, gpus), "{name}");
        assert!(host.about().starts_with("synthetic: "), "{name}");
        let parted: Vec<_> = host.gpus().iter().map(|g| host.pci().group_of(g.address)).collect();
        let consumer = host.gpus().iter().any(|gpu| gpu.model.contains("GeForce"));
        assert!(parted.iter().any(|group| group.len() == 2) == consumer, "{name}: {parted:?}");
    }
}

#[test]
fn hgx_h200_has_its_fabric_and_a_nic_beside_each_gpu() {
    for (name, second) in [("hgx-h200", 1), ("hgx-h200-snc2", 2)] {
        let host = host(name);
        assert_eq!(gpu_nodes(&host), [vec![0; 4], vec![second; 4]].concat());
        assert_eq!(host.gpu_links().len(), 28);
        let sizes: Vec<_> = host.fabric_partitions().iter().map(|p| p.gpus.len()).collect();
        assert_eq!(sizes, [8, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1]);
        let pci = host.pci();
        assert_eq!(pci.common_bridge(at("1b:00.0"), at("1c:00.0")), CommonBridge::Pix);
        assert_eq!(pci.common_bridge(at("1b:00.0"), at("2b:00.0")), CommonBridge::Node);
        assert_eq!(pci.common_bridge(at("1b:00.0"), at("9b:00.0")), CommonBridge::Sys);
    }
    let host = host("hgx-h200-snc2");
    assert_eq!(host.node(NodeId(2)).unwrap().cpus, "48-71,144-167".parse().unwrap());
    assert_eq!(host.distance(NodeId(0), NodeId(1)).unwrap().0, 12);
    assert_eq!(host.distance(NodeId(0), NodeId(3)).unwrap().0, 21);
}

#[test]
fn only_the_degraded_host_has_a_degraded_link() {
    for builder in pinwise_testkit::hosts::all() {
        let host = host(&builder.name);
        let slow = host.gpus().iter().filter_map(|gpu| host.pci().degraded_link(gpu.address));
        let slow: Vec<_> = slow.map(|(now, could)| format!("{now} of {could}")).collect();
        match host.name() {
            "rtx-5090-degraded" => assert_eq!(slow, ["2.5 GT/s x16 of 16 GT/s x16"]),
            name => assert!(slow.is_empty(), "{name}: {slow:?}"),
        }
    }
}

#[test]
fn the_nps4_host_numbers_its_gpus_against_its_nodes() {
    let host = host("rtx-4090-nps4");
    assert_eq!(gpu_nodes(&host), [3, 2, 1, 0, 7, 6, 5, 4]);
    assert_eq!(host.node(NodeId(3)).unwrap().cpus, "48-63,176-191".parse().unwrap());
    assert!(host.nodes().iter().all(|node| node.pool(PageSize::GIB_1).is_none()));
}

#[test]
fn the_desktop_has_three_kinds_of_cores_and_an_integrated_gpu() {
    let host = host("i9-14900k");
    let favoured: Vec<_> = host.cores().iter().filter(|c| c.favoured).map(|c| &c.pcpus).collect();
    assert_eq!(format!("{favoured:?}"), "[[PcpuId(8), PcpuId(9)], [PcpuId(10), PcpuId(11)]]");
    assert_eq!(host.cores().len(), 24);
    let integrated: Vec<_> = host.gpus().iter().map(|gpu| gpu.integrated).collect();
    assert_eq!(integrated, [true, false]);
}
