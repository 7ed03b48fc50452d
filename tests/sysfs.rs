//! The sysfs reader on trees that the test writes, on this machine, and on real machines' trees where
//! those are present.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod trees;

use std::fs;
use std::path::{Path, PathBuf};

use pinwise::discover::Reading;
use pinwise::discover::sysfs::{self, SysfsError};
use pinwise::{Bytes, CoreKind, CpuVendor, Host, NodeId, PageSize, PciAddr};
use trees::{Folder, corpus, root_below, unpack};

fn reading(root: &Folder) -> Result<Reading, SysfsError> {
    sysfs::read(&root.0)
}

/// Two nodes of two cores with SMT, one pCPU off, a GPU with its audio function below a root port.
fn small() -> Folder {
    let root = Folder::new();
    let cpu = "sys/devices/system/cpu";
    root.write(&format!("{cpu}/online"), "0-6\n").write(&format!("{cpu}/present"), "0-7\n");
    root.write(&format!("{cpu}/isolated"), "2-3,7\n");
    for index in 0..8 {
        let own = format!("{cpu}/cpu{index}");
        root.write(&format!("{own}/online"), if index == 7 { "0\n" } else { "1\n" });
        if index == 7 {
            continue;
        }
        let (core, package) = (index % 4, index % 4 / 2);
        root.write(&format!("{own}/topology/physical_package_id"), format!("{package}\n"))
            .write(&format!("{own}/topology/core_id"), format!("{}\n", core % 2))
            .write(
                &format!("{own}/topology/thread_siblings_list"),
                format!("{core},{}\n", core + 4),
            )
            .write(&format!("{own}/cpufreq/cpuinfo_max_freq"), "3500000\n")
            .write(&format!("{own}/cache/index3/level"), "3\n")
            .write(&format!("{own}/cache/index3/type"), "Unified\n")
            .write(&format!("{own}/cache/index3/size"), "16384K\n")
            .write(
                &format!("{own}/cache/index3/shared_cpu_list"),
                if package == 0 { "0-1,4-5\n" } else { "2-3,6-7\n" },
            );
    }
    for (node, cpus, distance) in [(0, "0-1,4-5\n", "10 21\n"), (1, "2-3,6\n", "21 10\n")] {
        let own = format!("sys/devices/system/node/node{node}");
        let meminfo = format!(
            "Node {node} MemTotal:       8388608 kB\nNode {node} MemFree:        1048576 kB\n\
             Node {node} Active(file):     524288 kB\nNode {node} Inactive(file):   524288 kB\n"
        );
        root.write(&format!("{own}/cpulist"), cpus)
            .write(&format!("{own}/distance"), distance)
            .write(&format!("{own}/meminfo"), meminfo)
            .write(&format!("{own}/hugepages/hugepages-1048576kB/nr_hugepages"), "4\n")
            .write(&format!("{own}/hugepages/hugepages-1048576kB/free_hugepages"), "3\n")
            .write(&format!("{own}/hugepages/hugepages-2048kB/nr_hugepages"), "0\n")
            .write(&format!("{own}/hugepages/hugepages-2048kB/free_hugepages"), "0\n");
    }
    let port = "sys/devices/pci0000:00/0000:00:01.0";
    for (at, class, vendor, id, width) in [
        (port.to_owned(), "0x060400\n", "0x8086\n", "0xa70d\n", "16\n"),
        (format!("{port}/0000:01:00.0"), "0x030000\n", "0x10de\n", "0x2684\n", "16\n"),
        (format!("{port}/0000:01:00.1"), "0x040300\n", "0x10de\n", "0x22ba\n", "255\n"),
    ] {
        root.write(&format!("{at}/class"), class)
            .write(&format!("{at}/vendor"), vendor)
            .write(&format!("{at}/device"), id)
            .write(&format!("{at}/numa_node"), if width == "255\n" { "-1\n" } else { "1\n" })
            .write(&format!("{at}/current_link_speed"), "2.5 GT/s PCIe\n")
            .write(&format!("{at}/current_link_width"), width)
            .write(&format!("{at}/max_link_speed"), "16.0 GT/s PCIe\n")
            .write(&format!("{at}/max_link_width"), width)
            .link(&format!("{at}/driver"), "../../../../bus/pci/drivers/vfio-pci")
            .link(&format!("{at}/iommu_group"), "../../../../kernel/iommu_groups/14");
        let name = at.rsplit('/').next().unwrap();
        let target = at.replace("sys/", "../../../");
        root.link(&format!("sys/bus/pci/devices/{name}"), &target);
    }
    root.write(
        &format!("{port}/0000:01:00.0/resource"),
        "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n\
         0x0000006000000000 0x00000067ffffffff 0x000000000014220c\n\
         0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
         0x0000000000001000 0x000000000000107f 0x0000000000040101\n",
    );
    root.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7F32\n")
        .write("proc/self/status", "Name:\tx\nCpus_allowed_list:\t1-7\n")
        .write("proc/sys/kernel/hostname", "tiny\n");
    root
}

#[test]
fn a_small_tree_is_read_to_the_last_fact() {
    let Reading { host, notes } = reading(&small()).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let host = host.build().unwrap();
    assert_eq!((host.name(), host.cpu_vendor()), ("tiny", CpuVendor::Amd));
    assert_eq!(host.cpu_model(), "AMD EPYC 7F32");
    assert_eq!(host.online().to_string(), "0-6");
    assert_eq!(host.description().offline.to_string(), "7");
    assert_eq!(host.allowed().to_string(), "1-6");
    assert_eq!(host.isolated().to_string(), "2-3");
    let cores: Vec<_> = host.cores().iter().map(|c| format!("{} {:?}", c.id, c.pcpus)).collect();
    assert_eq!(
        cores,
        [
            "0/0/0 [PcpuId(0), PcpuId(4)]",
            "0/0/1 [PcpuId(1), PcpuId(5)]",
            "1/0/0 [PcpuId(2), PcpuId(6)]",
            "1/0/1 [PcpuId(3)]"
        ]
    );
    assert!(host.cores().iter().all(|core| core.max_mhz == Some(3500)));
    let l3: Vec<_> = host.l3_domains().iter().map(|l3| (l3.cpus.to_string(), l3.size)).collect();
    let size = Some(Bytes::from_mib(16));
    assert_eq!(l3, [("0-1,4-5".to_owned(), size), ("2-3,6".to_owned(), size)]);
    assert_eq!(host.distance(NodeId(0), NodeId(1)).unwrap().0, 21);
    let node = host.node(NodeId(1)).unwrap();
    assert_eq!(node.memory, Bytes::from_gib(8));
    let pools: Vec<_> = node.pools.iter().map(|p| (p.size.kib(), p.total, p.free)).collect();
    assert_eq!(pools, [(4, 1 << 20, 1 << 19), (2048, 0, 0), (1 << 20, 4, 3)]);

    let gpu: PciAddr = "01:00.0".parse().unwrap();
    assert_eq!(host.gpus().len(), 1);
    assert_eq!(host.gpu(gpu).unwrap().node, Some(NodeId(1)));
    assert_eq!(host.gpu(gpu).unwrap().model, "10de:2684");
    let device = host.pci().get(gpu).unwrap();
    assert_eq!(device.parent, Some("00:01.0".parse().unwrap()));
    assert_eq!(device.bars, [Bytes::from_mib(16), Bytes::from_gib(32)]);
    assert_eq!(device.driver.as_deref(), Some("vfio-pci"));
    assert_eq!(host.pci().group_of(gpu).len(), 2);
    let (now, could) = host.pci().degraded_link(gpu).unwrap();
    assert_eq!((now.to_string(), could.to_string()), ("2.5 GT/s x16".into(), "16 GT/s x16".into()));
    let audio = host.pci().get("01:00.1".parse().unwrap()).unwrap();
    assert_eq!((audio.node, audio.link_now), (None, None));
}

#[test]
fn what_firmware_gets_wrong_is_left_out_with_a_note() {
    let root = small();
    let node = "sys/devices/system/node";
    root.write(&format!("{node}/node1/distance"), "10 10\n")
        .write(&format!("{node}/node1/cpulist"), "1-3\n")
        .write(&format!("{node}/node0/hugepages/hugepages-1048576kB/nr_hugepages"), "9\n")
        .write("sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/numa_node", "7\n")
        .write("sys/devices/pci0000:00/0000:00:01.0/class", "0x060700\n")
        .write("sys/devices/system/cpu/cpu1/topology/core_id", "0\n")
        .write("sys/devices/cpu_atom/cpus", "3\n")
        .write("proc/self/status", "Cpus_allowed_list:\t7\n");
    let Reading { host, notes } = reading(&root).unwrap();
    assert_eq!(
        notes,
        [
            "core ids are missing or not unique: cores are numbered by pCPU",
            "proc/self/status allows 7, none of them online: ignored",
            "node 0 has 9 pages of 1 GiB, 3 of them free, in 8 GiB: cut to fit",
            "pCPUs 1 are on several nodes: node 1 does not keep them",
            "pCPUs 6 are on no node: taken as on node 1",
            "the distances of node 1 are no relative distances (\"10 10\"): 10 and 20 taken",
            "0000:01:00.0 is on node 7, which does not exist: left out",
            "0000:00:01.0 above 0000:01:00.0 is no PCI-to-PCI bridge here: left out",
            "0000:00:01.0 above 0000:01:00.1 is no PCI-to-PCI bridge here: left out",
        ]
    );
    let host = host.build().unwrap();
    assert_eq!(host.node(NodeId(0)).unwrap().cpus.to_string(), "0-1,4-5");
    assert_eq!(host.node(NodeId(0)).unwrap().pool(PageSize::GIB_1).unwrap().total, 8);
    assert_eq!(host.distance(NodeId(0), NodeId(1)).unwrap().0, 20);
    let kinds: Vec<_> = host.cores().iter().map(|core| core.kind).collect();
    assert_eq!(kinds[3], CoreKind::Efficiency);
    assert_eq!(host.description().allowed, None);
}

#[test]
fn a_kernel_without_nodes_is_one_node() {
    let root = small();
    fs::remove_dir_all(root.0.join("sys/devices/system/node")).unwrap();
    root.write("proc/meminfo", "MemTotal: 4194304 kB\nMemFree: 1024 kB\n");
    root.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
    let host = reading(&root).unwrap().host.build().unwrap();
    assert_eq!(host.nodes().len(), 1);
    assert_eq!(host.nodes()[0].cpus, *host.online());
    let pools: Vec<_> = host.nodes()[0].pools.iter().map(|p| (p.total, p.free)).collect();
    assert_eq!(pools, [(3 << 18, 256), (512, 0)]);
}

#[test]
fn an_error_names_the_file_and_the_value() {
    let empty = Folder::new();
    let message = reading(&empty).unwrap_err().to_string();
    assert!(message.ends_with("shows no pCPUs: it is not the root of a tree with sysfs"));
    for (path, text, expected) in [
        ("sys/devices/system/cpu/online", "0-x", "cpu/online: \"0-x\" is not a list of pCPUs"),
        ("sys/devices/system/cpu/cpu0/topology/core_id", "a", "core_id: \"a\" is not a number"),
        ("sys/devices/system/node/node0/meminfo", "MemTotal: many", "meminfo: \"many\" is not"),
        ("sys/bus/pci/devices/0000:01:00.0/class", "0x\u{1b}[2J", "is not a PCI class"),
    ] {
        let root = small();
        let message = reading(root.write(path, text)).unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains('\u{1b}'), "{message}");
    }
}

#[test]
fn no_value_in_any_file_makes_it_panic() {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => files(&entry.path(), found),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    let root = small();
    let mut all = Vec::new();
    files(&root.0, &mut all);
    assert!(all.len() > 90, "{}", all.len());
    let long = "0".repeat(2 << 20);
    let max = "18446744073709551615";
    let values: [&[u8]; 8] =
        [b"", b"-1", b"0-16383", max.as_bytes(), b"\xff\xfe", b":", b"0x0 0x1", long.as_bytes()];
    let (mut read, mut refused) = (0, 0);
    for path in &all {
        let before = fs::read(path).unwrap();
        for value in values {
            fs::write(path, value).unwrap();
            match reading(&root) {
                Ok(reading) => {
                    let _ = reading.host.build();
                    read += 1;
                }
                Err(error) => {
                    let message = error.to_string();
                    assert!(message.len() < 400, "{message}");
                    refused += 1;
                }
            }
        }
        fs::write(path, before).unwrap();
    }
    println!("{read} broken trees were read, {refused} refused");
    assert!(read > 100 && refused > 100);
}

#[test]
fn this_machine_is_read() {
    if !Path::new("/sys/devices/system/cpu/online").exists() {
        println!("this machine shows no sysfs: nothing to test");
        return;
    }
    let reading = sysfs::read(Path::new("/")).unwrap();
    println!("{} notes: {:?}", reading.notes.len(), reading.notes);
    let host = reading.host.build().unwrap();
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    assert_eq!(host.online().to_string(), online.trim());
}

/// pCPUs, cores, nodes and L3 domains, as hwloc or the trees' own projects count them.
const TRUTHS: [(&str, [usize; 4]); 18] = [
    ("128arm-2pa2n8cluster4co", [128, 128, 4, 4]),
    ("16amd64-8n2c", [16, 16, 8, 0]),
    ("16ia64-8n2s", [16, 16, 8, 16]),
    ("20em64t-hybrid-1p6c2t+2ca4co1t", [20, 14, 1, 1]),
    ("20s390-2g6s4c", [20, 20, 1, 0]),
    ("256ia64-64n2s2c", [256, 256, 64, 0]),
    ("256ppc-8n8s4t", [256, 64, 8, 64]),
    ("2i386-2t-hugepagesizecount", [2, 1, 1, 0]),
    ("2ps3-2t", [2, 1, 1, 0]),
    ("32em64t-2n8c+dax+nvme+mic+dimms", [16, 16, 2, 2]),
    ("32intel64-2p8co2t+8ve", [32, 16, 2, 2]),
    ("40intel64-2g2n4c+pcilocality", [40, 40, 4, 4]),
    ("memorysidecaches", [80, 40, 4, 2]),
    ("nri-cpuallocator-sysfs", [80, 40, 4, 2]),
    ("nri-sysfs-sample1", [16, 12, 1, 1]),
    ("nri-sysfs-sample2", [112, 56, 8, 2]),
    ("nvidia-dgx-gb10", [20, 20, 1, 2]),
    ("offline-cpu0-node0", [17, 17, 1, 2]),
];

#[test]
fn real_machines_are_read_or_refused_in_one_sentence() {
    let Some(corpus) = corpus("hwloc-sysfs") else {
        println!("no real machines' trees here (PINWISE_CORPUS): nothing to test");
        return;
    };
    let mut archives: Vec<_> =
        fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    archives.sort();
    let (mut read, mut refused, mut checked) = (0, 0, 0);
    for archive in archives.iter().filter(|path| path.to_string_lossy().contains(".tar.")) {
        let name = archive.file_name().unwrap().to_str().unwrap();
        let name = name.split(".tar.").next().unwrap();
        let folder = Folder::new();
        unpack(archive, &folder);
        let root = root_below(&folder.0, 2).unwrap_or_else(|| folder.0.clone());
        let reading = match sysfs::read(&root) {
            Ok(reading) => reading,
            Err(error) => {
                println!("{name}: refused: {error}");
                refused += 1;
                continue;
            }
        };
        let notes = reading.notes;
        match reading.host.build() {
            Ok(host) => {
                let counts = counts(&host);
                println!("{name}: {counts:?} {notes:?}");
                if let Some((_, truth)) = TRUTHS.iter().find(|(known, _)| *known == name) {
                    assert_eq!(counts[..4], *truth, "{name}");
                    checked += 1;
                }
                read += 1;
            }
            Err(error) => {
                println!("{name}: not a host: {error} {notes:?}");
                refused += 1;
            }
        }
    }
    println!("{read} read, {checked} of them with known counts, {refused} refused");
    assert!(read >= checked && checked > 0, "none of the known trees was read");
}

/// pCPUs, cores, nodes, L3 domains, PCI functions.
fn counts(host: &Host) -> [usize; 5] {
    [
        host.online().len(),
        host.cores().len(),
        host.nodes().len(),
        host.l3_domains().len(),
        host.pci().devices().len(),
    ]
}
