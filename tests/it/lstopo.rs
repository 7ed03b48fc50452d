//! The reader of lstopo's XML on files that the test writes.

use pinwise::host::{CoreKind, CpuVendor};
use pinwise::units::NodeId;
use pinwise::{Bytes, PageSize, PciAddr};
use pinwise_discover::Reading;
use pinwise_discover::hwloc::{LstopoError, read_lstopo};
use pinwise_testkit::common::sentences;

const LATER: &str = pinwise_testkit::texts::LSTOPO_2;

#[test]
fn a_later_file_is_read_to_the_last_fact() {
    let Reading { host, notes } = read_lstopo(LATER).unwrap();
    assert_eq!(
        sentences(&notes),
        [
            "pCPUs 6 are named but not described: they are offline, or were forbidden to the writer of the file",
            "pCPUs 0-3 are nearer to other nodes and are removed from node 4",
            "pCPUs 0-5 are nearer to other nodes and are removed from node 8",
            "hwloc counts pages but not free ones: all are assumed free",
            "hwloc does not show IOMMU groups, drivers, BARs and link widths of PCI functions",
        ]
    );
    let host = host.build().unwrap();
    assert_eq!((host.name(), host.about()), ("tiny", "read from XML of hwloc 2.9.0"));
    assert_eq!((host.cpu_vendor(), host.cpu_model()), (CpuVendor::Amd, "AMD EPYC 7F32"));
    assert_eq!(
        (host.online().to_string(), host.allowed().to_string()),
        ("0-5".into(), "1-5".into())
    );
    let nodes: Vec<_> = host
        .nodes()
        .iter()
        .map(|node| format!("{}: {} {}", node.id, node.cpus, node.memory))
        .collect();
    assert_eq!(nodes, ["0: 0-3 8 GiB", "1: 4-5 8 GiB", "4:  2 GiB", "8:  1 GiB"]);
    let pool = host.node(NodeId(0)).unwrap().pool(PageSize::GIB_1).unwrap();
    assert_eq!((pool.total, pool.free), (4, 4));
    assert_eq!(host.distance(NodeId(1), NodeId(8)).unwrap().0, 32);
    assert_eq!(host.distance(NodeId(0), NodeId(4)).unwrap().0, 12);
    let cores: Vec<_> = host
        .cores()
        .iter()
        .map(|c| format!("{} {:?} {:?} {}", c.id, c.kind, c.max_mhz, c.pcpus.len()))
        .collect();
    assert_eq!(
        cores,
        [
            "0/0/0 Performance Some(3900) 2",
            "0/0/1 Performance Some(3900) 2",
            "1/2/0 Efficiency None 1",
            "1/2/1 Efficiency None 1"
        ]
    );
    assert_eq!(host.cores()[2].kind, CoreKind::Efficiency);
    assert_eq!(host.l3_domains().len(), 1);
    assert_eq!(host.l3_domains()[0].size, Some(Bytes::from_mib(16)));
    let gpu: PciAddr = "41:00.0".parse().unwrap();
    assert_eq!(host.gpu(gpu).unwrap().node, Some(NodeId(1)));
    assert_eq!(host.gpu(gpu).unwrap().model, "Tesla V100-SXM3-32GB");
    let device = host.pci().get(gpu).unwrap();
    assert_eq!(device.parent, Some("40:01.0".parse().unwrap()));
    assert_eq!((device.link_now, device.link_max), (None, None));
    let disk = host.pci().get("00:02.0".parse().unwrap()).unwrap();
    assert_eq!((disk.node, disk.parent, disk.class.0), (None, None, 0x01_0802));
}

const EARLIER: &str = pinwise_testkit::texts::LSTOPO_1;

#[test]
fn an_earlier_file_has_nodes_above_cpus() {
    let Reading { host, notes } = read_lstopo(EARLIER).unwrap();
    assert_eq!(
        sentences(&notes),
        [
            "some pCPUs are in no package: package 0 is assumed",
            "core ids are missing or not unique: cores are numbered by pCPU",
            "hwloc counts pages but not free ones: all are assumed free",
        ]
    );
    assert_eq!(host.offline.to_string(), "4");
    let host = host.build().unwrap();
    assert_eq!(host.cpu_vendor(), CpuVendor::Intel);
    assert_eq!(host.node(NodeId(1)).unwrap().cpus.to_string(), "2-3");
    assert_eq!(host.distance(NodeId(0), NodeId(1)).unwrap().0, 21);
    assert_eq!(host.cores().len(), 4);
    assert_eq!(host.l3_domains().len(), 1);
    assert_eq!(host.l3_domains()[0].cpus.to_string(), "2-3");
}

#[test]
fn an_error_names_the_place_and_the_value() {
    for (from, to, expected) in [
        (
            "<topology version=\"2.0\"",
            "<topology version=\"9\"",
            "3:1: version \"9\" of topology is",
        ),
        ("type=\"PU\" os_index=\"2\"", "type=\"PU\"", "22:6: PU has no os_index"),
        ("type=\"PU\" os_index=\"2\"", "type=\"PU\" os_index=\"3\"", "23:6: PU 3 occurs twice"),
        (
            "type=\"PU\" os_index=\"2\"",
            "type=\"PU\" os_index=\"-2\"",
            "os_index \"-2\" of PU is not",
        ),
        ("type=\"PU\" os_index=\"2\"", "type=\"PU\" os_index=\"99999\"", "below 16384"),
        (
            "os_index=\"8\" cpuset=\"0x",
            "os_index=\"8\" cpuset=\"0xx",
            "7:3: cpuset \"0xx0000003f\"",
        ),
        ("0000:41:00.0", "41:00.0", "pci_busid \"41:00.0\" of PCIDev is not a PCI address"),
        ("0302 [10de", "0302 10de", "pci_type \"0302 10de:1db8]"),
        ("0000:40:01.0", "0000:41:00.0", "PCIDev 0000:41:00.0 occurs twice"),
        ("<u64values length=\"24\">12", "<u64values length=\"24\">x", "of NUMANode is not a table"),
        ("</topology>", "", "not well-formed XML: "),
        ("hwloc2.dtd\"", "hwloc2.dtd\" [<!ENTITY a \"b\">]", "declares entities at byte"),
        ("type=\"PU\"", "type=\"NUMANode\"", "NUMANode 0 occurs twice"),
    ] {
        assert!(LATER.contains(from), "{from}");
        let message = read_lstopo(&LATER.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(read_lstopo("<a/>").unwrap_err(), LstopoError::NotTopology { root: "a".into() });
    assert_eq!(read_lstopo("<topology/>").unwrap_err(), LstopoError::NoPcpus);
}

#[test]
fn size_and_depth_are_bounded() {
    let long = " ".repeat(pinwise_discover::hwloc::MAX_LSTOPO + 1);
    assert!(matches!(read_lstopo(&long), Err(LstopoError::TooLong { .. })));
    let deep = 200_000;
    let text = format!(
        "<topology>{}<object type=\"PU\" os_index=\"0\"/>{}</topology>",
        "<object type=\"Group\">".repeat(deep),
        "</object>".repeat(deep)
    );
    assert_eq!(read_lstopo(&text).unwrap().host.build().unwrap().online().len(), 1);
}
