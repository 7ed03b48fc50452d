//! The reader of lstopo's XML on files that the test writes and, where those are present, on files and
//! sysfs trees of real machines.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod trees;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pinwise::discover::Reading;
use pinwise::discover::hwloc::{LstopoError, read_lstopo};
use pinwise::{Bytes, CoreKind, CpuVendor, Host, NodeId, PageSize, PciAddr};
use trees::corpus;

const LATER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE topology SYSTEM "hwloc2.dtd">
<topology version="2.0">
 <object type="Machine" os_index="0" cpuset="0x0000003f" complete_cpuset="0x0000007f" allowed_cpuset="0x0000003e">
  <info name="HostName" value="tiny"/>
  <info name="hwlocVersion" value="2.9.0"/>
  <object type="NUMANode" os_index="8" cpuset="0x0000003f" local_memory="1073741824" subtype="CXL-DRAM"/>
  <object type="Package" os_index="0" cpuset="0x0000000f">
   <info name="CPUVendor" value="AuthenticAMD"/>
   <info name="CPUModel" value="AMD EPYC 7F32 &#10;"/>
   <object type="NUMANode" os_index="0" cpuset="0x0000000f" local_memory="8589934592">
    <page_type size="4096" count="1048576"/>
    <page_type size="1073741824" count="4"/>
   </object>
   <object type="NUMANode" os_index="4" cpuset="0x0000000f" local_memory="2147483648" subtype="HBM"/>
   <object type="L3Cache" cpuset="0x0000000f" cache_size="16777216" depth="3" cache_type="0">
    <object type="Core" os_index="0" cpuset="0x00000003">
     <object type="PU" os_index="0"/>
     <object type="PU" os_index="1"/>
    </object>
    <object type="Core" os_index="1" cpuset="0x0000000c">
     <object type="PU" os_index="2"/>
     <object type="PU" os_index="3"/>
    </object>
   </object>
  </object>
  <object type="Package" os_index="1" cpuset="0x00000030">
   <object type="NUMANode" os_index="1" cpuset="0x00000030" local_memory="8589934592"/>
   <object type="Die" os_index="2" cpuset="0x00000030">
    <object type="Core" os_index="0" cpuset="0x00000010"><object type="PU" os_index="4"/></object>
    <object type="Core" os_index="1" cpuset="0x00000020"><object type="PU" os_index="5"/></object>
   </object>
   <object type="Bridge" bridge_type="0-1" depth="0" bridge_pci="0000:[40-42]">
    <object type="Bridge" bridge_type="1-1" depth="1" bridge_pci="0000:[41-42]" pci_busid="0000:40:01.0" pci_type="0604 [1022:1453] [1458:1000] 00" pci_link_speed="15.753846">
     <object type="PCIDev" pci_busid="0000:41:00.0" pci_type="0302 [10de:1db8] [10de:12a2] a1" pci_link_speed="15.753846">
      <info name="PCIDevice" value="GV100GL [Tesla V100 SXM3 32GB]"/>
      <object type="OSDev" name="opencl0d0" osdev_type="5"><info name="GPUModel" value="V100"/></object>
      <object type="OSDev" name="cuda0" osdev_type="5"><info name="GPUModel" value="Tesla V100-SXM3-32GB"/></object>
     </object>
    </object>
   </object>
  </object>
  <object type="Bridge" bridge_type="0-1" depth="0" bridge_pci="0000:[00-01]">
   <object type="PCIDev" pci_busid="0000:00:02.0" pci_type="0108 [144d:a80a] [144d:a801] 00 02"/>
  </object>
 </object>
 <distances2 type="NUMANode" nbobjs="4" kind="5" name="NUMALatency" indexing="os">
  <indexes length="8">0 1 4 8 </indexes>
  <u64values length="24">10 21 12 31 21 10 22 32 </u64values>
  <u64values length="24">12 22 10 33 31 32 33 10 </u64values>
 </distances2>
 <cpukind cpuset="0x00000030"><info name="CoreType" value="IntelAtom"/></cpukind>
 <cpukind cpuset="0x0000000f"><info name="CoreType" value="IntelCore"/>
  <info name="FrequencyMaxMHz" value="3900"/></cpukind>
</topology>
"#;

#[test]
fn a_later_file_is_read_to_the_last_fact() {
    let Reading { host, notes } = read_lstopo(LATER).unwrap();
    assert_eq!(
        notes,
        [
            "pCPUs 6 are named but not described: off, or forbidden to who wrote the file",
            "pCPUs 0-3 are nearer to other nodes: node 4 is without them",
            "pCPUs 0-5 are nearer to other nodes: node 8 is without them",
            "hwloc counts pages but not free ones: all count as free",
            "hwloc tells no IOMMU groups, drivers, BARs and link widths of PCI functions",
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

const EARLIER: &str = r#"<topology>
 <object type="Machine" os_index="0" cpuset="0x0000000f" complete_cpuset="0x0000001f" online_cpuset="0x0000000f" allowed_cpuset="0x0000000f">
  <distances nbobjs="2" relative_depth="2" latency_base="1.000000">
   <latency value="1.000000"/><latency value="2.000000"/><latency value="2.000000"/><latency value="1.000000"/>
  </distances>
  <distances nbobjs="2" relative_depth="1" latency_base="10.000000">
   <latency value="1.000000"/><latency value="2.100000"/><latency value="2.100000"/><latency value="1.000000"/>
  </distances>
  <object type="NUMANode" os_index="1" cpuset="0x0000000c" local_memory="4294967296">
   <page_type size="4096" count="1048576"/>
   <object type="Socket" os_index="0" cpuset="0x0000000c">
    <info name="CPUModel" value="Intel(R) Xeon(R) CPU"/>
    <object type="Cache" depth="3" cache_type="0" cache_size="8388608">
     <object type="Cache" depth="2" cache_type="0" cache_size="1">
      <object type="Core" os_index="0"><object type="PU" os_index="2"/></object>
     </object>
     <object type="Core" os_index="0"><object type="PU" os_index="3"/></object>
    </object>
   </object>
  </object>
  <object type="NUMANode" os_index="0" cpuset="0x00000003" local_memory="4294967296">
   <object type="PU" os_index="0"/><object type="PU" os_index="1"/>
   <object type="PU" os_index="4"/>
  </object>
 </object>
</topology>"#;

#[test]
fn an_earlier_file_has_nodes_above_cpus() {
    let Reading { host, notes } = read_lstopo(EARLIER).unwrap();
    assert_eq!(
        notes,
        [
            "some pCPUs are in no package: taken as in package 0",
            "core ids are missing or not unique: cores are numbered by pCPU",
            "hwloc counts pages but not free ones: all count as free",
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

/// Every value of every attribute is replaced, every line dropped, and the text cut everywhere.
#[test]
fn no_file_makes_it_panic() {
    let values = ["", "-1", "0", "4294967295", "18446744073709551616", "0xf...f", "PU", "Core"];
    let (mut read, mut refused) = (0, 0);
    let mut check = |text: &str| match read_lstopo(text) {
        Ok(reading) => {
            let _ = reading.host.build();
            read += 1;
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() < 300, "{message}");
            refused += 1;
        }
    };
    for text in [LATER, EARLIER] {
        for (start, _) in text.match_indices("=\"") {
            let (start, rest) = (start + 2, &text[start + 2..]);
            let end = start + rest.find('"').unwrap();
            for value in values {
                check(&format!("{}{value}{}", &text[..start], &text[end..]));
            }
        }
        for (start, line) in text.match_indices('\n') {
            let end = text[start + line.len()..].find('\n').map_or(text.len(), |at| start + 1 + at);
            check(&format!("{}{}", &text[..start], &text[end..]));
            check(&text[..start]);
        }
    }
    println!("{read} broken files were read, {refused} refused");
    assert!(read > 100 && refused > 100);
}

#[test]
fn size_and_depth_are_bounded() {
    let long = " ".repeat(pinwise::discover::hwloc::MAX_LSTOPO + 1);
    assert!(matches!(read_lstopo(&long), Err(LstopoError::TooLarge { .. })));
    let deep = 200_000;
    let text = format!(
        "<topology>{}<object type=\"PU\" os_index=\"0\"/>{}</topology>",
        "<object type=\"Group\">".repeat(deep),
        "</object>".repeat(deep)
    );
    assert_eq!(read_lstopo(&text).unwrap().host.build().unwrap().online().len(), 1);
}

fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().contains(part)).collect();
    files.sort();
    files
}

/// Packages, nodes, cores, pCPUs, L3 domains.
fn counts(host: &Host) -> [usize; 5] {
    [
        host.packages().len(),
        host.nodes().len(),
        host.cores().len(),
        host.online().len(),
        host.l3_domains().len(),
    ]
}

const FORBIDDEN: &str =
    "packages and caches whose pCPUs are all forbidden are in the file, not in the host";
const BARE: &str = "pCPUs without package are in package 0, those without core are cores";
const NODE: &str = "a file without nodes is one node";
/// Edited files that put an InfiniBand card at the address of a disk controller.
const REFUSED: [(&str, &str); 2] = [
    ("hwloc214-xml-32em64t-2n8c2t-pci-normalio.xml", "261:11: PCIDev 0000:04:00.0 occurs twice"),
    ("hwloc214-xml-32em64t-2n8c2t-pci-wholeio.xml", "261:11: PCIDev 0000:04:00.0 occurs twice"),
];
/// Where a file's own objects are not what a host has of them, and why.
const EXCEPTIONS: [(&str, [usize; 5], &str); 14] = [
    ("gen29-16amd64-4n4c-cgroup-distance-merge.xml", [1, 2, 4, 4, 1], FORBIDDEN),
    ("gen29-16amd64-8n2c-cpusets.xml", [6, 4, 10, 10, 0], FORBIDDEN),
    ("gen29-32amd64-4s2n4c-cgroup2.xml", [1, 6, 6, 6, 2], FORBIDDEN),
    ("hwloc-doc-ppc64-with-smt.xml", [1, 2, 16, 16, 0], BARE),
    ("hwloc-doc-ppc64-without-smt.xml", [1, 2, 8, 8, 0], BARE),
    ("hwloc214-linux-16amd64-8n2c-cpusets.xml", [6, 4, 10, 10, 0], FORBIDDEN),
    ("hwloc214-linux-32amd64-4s2n4c-cgroup2.xml", [1, 6, 6, 6, 2], FORBIDDEN),
    ("hwloc214-xml-16-2gr2gr2n2c+misc.xml", [1, 8, 16, 16, 0], BARE),
    ("hwloc214-xml-8em64t-2p2ca2co-nonodesets.v1.xml", [2, 1, 8, 8, 0], NODE),
    ("hwloc214-xml-8intel64-4n2t-memattrs.xml", [1, 4, 8, 8, 0], BARE),
    (
        "hwloc214-xml-8intel64-fakeKNL-A2A-hybrid.rootattachednumas.v1tov2.xml",
        [1, 2, 4, 8, 0],
        BARE,
    ),
    (
        "hwloc214-xml-8intel64-fakeKNL-A2A-hybrid.rootattachednumas.v2tov1.xml",
        [1, 2, 4, 8, 0],
        BARE,
    ),
    ("hwloc214-xml-8intel64-fakeKNL-A2A-hybrid.rootattachednumas.xml", [1, 2, 4, 8, 0], BARE),
    ("v3format-test-8intel64-4n2t-memattrs.xml", [1, 4, 8, 8, 0], BARE),
];

#[test]
#[expect(clippy::disallowed_methods, reason = "the time that a file takes is part of the claim")]
fn files_of_real_machines_are_read_as_they_were_counted() {
    let Some(folder) = corpus("hwloc-xml") else {
        println!("no real machines' files here (PINWISE_CORPUS): nothing to test");
        return;
    };
    let features = fs::read_to_string(folder.join("FEATURES.tsv")).unwrap();
    let (mut built, mut refused, mut failures) = (0, 0, Vec::new());
    for file in files(&folder, ".xml") {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let start = Instant::now();
        let result = read_lstopo(&text).map_err(|e| e.to_string());
        let result = result.and_then(|reading| {
            let Reading { host, notes } = reading;
            host.build().map(|host| (host, notes)).map_err(|e| e.to_string())
        });
        let time = start.elapsed();
        if time.as_secs() > 0 {
            failures.push(format!("{name}: took {time:?}"));
        }
        let (host, notes) = match result {
            Ok(host) => host,
            Err(error) => {
                println!("{name}: refused: {error}");
                if !REFUSED.contains(&(name, error.as_str())) {
                    failures.push(format!("{name}: {error}"));
                }
                refused += 1;
                continue;
            }
        };
        built += 1;
        let counts = counts(&host);
        let devices = (host.pci().devices().len(), host.gpus().len());
        println!("{name}: {counts:?} {devices:?} {time:.1?} {notes:?}");
        let Some(row) = features.lines().find(|row| row.split('\t').next() == Some(name)) else {
            continue;
        };
        let column = |at: usize| row.split('\t').nth(at).and_then(|n| n.parse().ok()).unwrap_or(0);
        let told = [column(2), column(3), column(5), column(6), column(7)];
        let exception = EXCEPTIONS.iter().find(|(known, ..)| *known == name);
        if let Some((_, _, why)) = exception {
            println!("{name}: {told:?} objects: {why}");
        }
        let expected = exception.map_or(told, |(_, expected, _)| *expected);
        if counts != expected {
            failures.push(format!("{name}: {counts:?}, expected {expected:?}"));
        }
    }
    println!("{built} built, {refused} refused");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(built > 90, "{built}");
}
