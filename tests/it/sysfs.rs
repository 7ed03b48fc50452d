//! The sysfs reader on trees that the test writes, on this machine, and on real machines' trees
//! where those are present.

use std::fs;
use std::path::Path;

use pinwise::host::{Acs, CoreKind, CpuVendor, GpuLink, GpuLinkKind};
use pinwise::units::NodeId;
use pinwise::{Bytes, PageSize, PciAddr};
use pinwise_discover::Reading;
use pinwise_discover::sysfs::{self, SysfsError};
use pinwise_testkit::common::sentences;
use pinwise_testkit::trees::{Folder, small};

fn reading(root: &Folder) -> Result<Reading, SysfsError> {
    sysfs::read(&root.0)
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
    let (now, could) = (device.link_now.unwrap(), host.pci().link_possible(gpu).unwrap());
    assert_eq!((now.to_string(), could.to_string()), ("2.5 GT/s x16".into(), "16 GT/s x16".into()));
    assert_eq!(host.pci().degraded_link(gpu), None, "idle");
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
        sentences(&notes),
        [
            "core ids are missing or not unique: cores are numbered by pCPU",
            "proc/self/status allows only pCPUs 7, which are all offline: ignored",
            "node 0 has 9 pages of 1 GiB (3 free), too many for its memory of 8 GiB: reduced to fit",
            "pCPUs 1 are on several nodes and are removed from node 1",
            "pCPUs 6 are on no node: node 1 is assumed",
            "the distances of node 1 are not relative distances (\"10 10\"): 10 and 20 are assumed",
            "PCI function 0000:01:00.0 names node 7, which does not exist: its node is unknown",
            "0000:00:01.0 above 0000:01:00.0 is not a known PCI-to-PCI bridge and is ignored",
            "0000:00:01.0 above 0000:01:00.1 is not a known PCI-to-PCI bridge and is ignored",
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

/// As POWER, s390 and old kernels have it: no numbers, or one number for all.
#[test]
fn packages_are_told_apart_by_the_pcpus_they_list() {
    let topology =
        |cpu: u32, name: &str| format!("sys/devices/system/cpu/cpu{cpu}/topology/{name}");
    let packages = |root: &Folder| {
        let Reading { host, notes } = reading(root).unwrap();
        let of = |core: &pinwise::host::CoreSpec| format!("{}: {}", core.package, core.pcpus);
        (host.cores.iter().map(of).collect::<Vec<_>>(), sentences(&notes))
    };
    let apart = ["0: 0,4", "0: 1,5", "1: 2,6", "1: 3"];
    let note = "package ids are missing or not unique: packages are numbered by pCPU";
    for (id, lists) in [("-1\n", "package_cpus_list"), ("7\n", "core_siblings_list")] {
        let root = small();
        for cpu in 0..7 {
            root.write(&topology(cpu, "physical_package_id"), id);
            let list = if cpu % 4 < 2 { "0-1,4-5\n" } else { "2-3,6-7\n" };
            root.write(&topology(cpu, lists), list);
        }
        assert_eq!(packages(&root), (apart.map(String::from).to_vec(), vec![note.to_owned()]));
        // A list that not all of its pCPUs name is none of a package.
        root.write(&topology(3, lists), "3\n");
        assert!(
            packages(&root).0.iter().all(|core| core.starts_with(id.replace("-1", "0").trim()))
        );
    }
    // Numbers that tell packages apart are kept, whatever they are.
    let root = small();
    for cpu in 0..7 {
        root.write(&topology(cpu, "physical_package_id"), if cpu % 4 < 2 { "9\n" } else { "36\n" });
        let list = if cpu % 4 < 2 { "0-1,4-5\n" } else { "2-3,6-7\n" };
        root.write(&topology(cpu, "package_cpus_list"), list);
    }
    let kept = ["9: 0,4", "9: 1,5", "36: 2,6", "36: 3"];
    assert_eq!(packages(&root), (kept.map(String::from).to_vec(), vec![]));
}

/// `isolcpus` is in the mask that every process starts with; a cgroup's list is a decision.
#[test]
fn isolated_pcpus_are_allowed_unless_a_cgroup_forbids_them() {
    let allowed = |root: &Folder| {
        let host = reading(root).unwrap().host.build().unwrap();
        assert_eq!(host.isolated().to_string(), "2-3");
        host.allowed().to_string()
    };
    let status = |list: &str| format!("Cpus_allowed_list:\t{list}\n");
    let root = small();
    root.write("proc/self/status", status("0-1,4-6"));
    assert_eq!(allowed(&root), "0-6");
    // A mask that leaves out more than they are.
    root.write("proc/self/status", status("4-6"));
    assert_eq!(allowed(&root), "2-6");
    // A mask with one of them is what somebody chose.
    root.write("proc/self/status", status("1-2"));
    assert_eq!(allowed(&root), "1-2");
    let group = "sys/fs/cgroup/vms";
    root.write("proc/self/status", status("0-1,4"))
        .write("proc/self/cgroup", "0::/vms/one\n")
        .write(&format!("{group}/cpuset.cpus.effective"), "0-2,4\n");
    assert_eq!(allowed(&root), "0-2,4");
    root.write("proc/self/cgroup", "4:cpuset:/box\n1:name=systemd:/vms\n")
        .write("sys/fs/cgroup/cpuset/box/cpuset.effective_cpus", "0-1,4\n");
    assert_eq!(allowed(&root), "0-1,4");
    // Nothing outside of the tree is asked.
    root.write("proc/self/cgroup", "0::/../../vms\n");
    assert_eq!(allowed(&root), "0-4");
}

/// A cgroup's memory nodes: the others' memory is there, and none of it free.
#[test]
fn memory_that_a_cgroup_forbids_is_not_free() {
    let root = small();
    let free = |list: &str| -> Result<_, SysfsError> {
        root.write("proc/self/status", format!("Mems_allowed:\t3\nMems_allowed_list:\t{list}\n"));
        let Reading { host, notes } = reading(&root)?;
        let host = host.build().unwrap();
        assert_eq!(host.nodes()[1].memory, Bytes::from_gib(8));
        let free = |node: &pinwise::host::Node| node.pools.iter().map(|pool| pool.free).collect();
        Ok((host.nodes().iter().map(free).collect::<Vec<Vec<u64>>>(), sentences(&notes)))
    };
    let (open, closed) = (vec![1 << 19, 0, 3], vec![0, 0, 0]);
    // Kernels list the nodes that could be, not those that are.
    assert_eq!(free("0-63"), Ok((vec![open.clone(), open.clone()], vec![])));
    let note = "proc/self/status allows only the memory of nodes 0: the memory of nodes 1 does not count as free";
    assert_eq!(free("0"), Ok((vec![open.clone(), closed], vec![note.to_owned()])));
    let note = "proc/self/status allows the memory of no known node (\"7\") and is ignored";
    assert_eq!(free("7"), Ok((vec![open.clone(), open], vec![note.to_owned()])));
    let message = free("0-x").unwrap_err().to_string();
    assert!(message.ends_with("status: \"0-x\" is not a list of nodes"), "{message}");
}

/// What root reads of a port, what others do, and what is not a port.
#[test]
fn access_control_is_read_from_ports_that_show_it() {
    let root = small();
    let (port, gpu) = ("sys/devices/pci0000:00/0000:00:01.0", "0000:01:00.0");
    let mut config = vec![0; 4096];
    config[0x100..0x108].copy_from_slice(&[0x0d, 0, 1, 0, 0x5f, 0, 0x1d, 0]);
    let access = |root: &Folder| {
        let host = reading(root).unwrap().host.build().unwrap();
        ["00:01.0", "01:00.0"].map(|at| host.pci().get(at.parse().unwrap()).unwrap().access)
    };
    assert_eq!(access(&root), [None; 2]);
    root.write(&format!("{port}/config"), &config).write(&format!("{port}/{gpu}/config"), &config);
    let on = Acs {
        request_redirect: true,
        completion_redirect: true,
        upstream_forwarding: true,
        direct_translated: false,
    };
    assert_eq!(access(&root), [Some(on), None]);
    root.write(&format!("{port}/config"), &config[..64]);
    assert_eq!(access(&root), [None; 2]);
}

/// An L2 for each core and one for two; the L1 of a kernel that lists nobody else.
#[test]
fn caches_and_clusters_are_those_that_pcpus_name_alike() {
    let root = small();
    for cpu in 0..7 {
        let cache = format!("sys/devices/system/cpu/cpu{cpu}/cache");
        let of = |index: u32, name: &str| format!("{cache}/index{index}/{name}");
        root.write(&of(0, "level"), "1\n").write(&of(0, "type"), "Data\n");
        root.write(&of(1, "level"), "1\n").write(&of(1, "type"), "Instruction\n");
        root.write(&of(2, "level"), "2\n").write(&of(2, "type"), "Unified\n");
        root.write(&of(2, "size"), "2048K\n");
        let list = match cpu % 4 {
            0 => "0,4\n",
            1 => "1,5\n",
            _ => "2-3,6-7\n",
        };
        root.write(&of(2, "shared_cpu_list"), list);
        let topology = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        root.write(&format!("{topology}/cluster_id"), format!("{}\n", cpu % 4 / 2 * 8));
        root.write(&format!("{topology}/cluster_cpus_list"), list);
    }
    let Reading { host, notes } = reading(&root).unwrap();
    assert_eq!(sentences(&notes), [""; 0]);
    let text = |cache: &pinwise::host::CacheSpec| {
        let sets: Vec<_> = cache.shared_by.iter().map(ToString::to_string).collect();
        format!("{} {:?} {:?}: {}", cache.level, cache.kind, cache.size, sets.join(" "))
    };
    let caches: Vec<_> = host.caches.iter().map(text).collect();
    assert_eq!(
        caches,
        [
            "1 Data None: 0 1 2 3 4 5 6",
            "1 Instruction None: 0 1 2 3 4 5 6",
            "2 Unified Some(Bytes(2097152)): 0,4 1,5 2-3,6"
        ]
    );
    assert_eq!(host.clusters, ["2-3,6".parse().unwrap()]);
    assert_eq!(host.l3_domains.len(), 2);
    let host = host.build().unwrap();
    assert_eq!(host.description().caches.len(), 3);

    // Firmware without clusters; a cache that cuts another.
    root.write("sys/devices/system/cpu/cpu3/topology/cluster_id", "65535\n")
        .write("sys/devices/system/cpu/cpu1/cache/index2/shared_cpu_list", "0-1\n");
    let Reading { host, notes } = reading(&root).unwrap();
    assert_eq!(
        sentences(&notes),
        ["some pCPUs are in several L2 caches: these caches are ignored"]
    );
    assert_eq!((host.caches.len(), host.clusters.len()), (2, 0));
}

#[test]
fn pages_that_are_promised_are_not_free() {
    let root = small();
    let pool = "sys/kernel/mm/hugepages/hugepages-1048576kB/resv_hugepages";
    let free = |root: &Folder| {
        let Reading { host, notes } = reading(root).unwrap();
        let host = host.build().unwrap();
        let free = |node: &pinwise::host::Node| node.pool(PageSize::GIB_1).map(|pool| pool.free);
        (host.nodes().iter().map(free).collect::<Vec<_>>(), sentences(&notes))
    };
    let (before, notes) = free(&root);
    assert_eq!((before, notes), (vec![Some(3), Some(3)], vec![]));
    let (after, notes) = free(root.write(pool, "2\n"));
    assert_eq!(after, [Some(1), Some(1)]);
    let note = "2 free pages of 1 GiB are promised to processes on unknown nodes: subtracted from every node";
    assert_eq!(notes, [note]);
    let (after, _) = free(root.write(pool, "99\n"));
    assert_eq!(after, [Some(0), Some(0)]);
    // With pages on one node only it is clear which are meant.
    root.write("sys/devices/system/node/node0/hugepages/hugepages-1048576kB/free_hugepages", "0\n");
    let (after, notes) = free(root.write(pool, "1\n"));
    assert_eq!((after, notes), (vec![Some(0), Some(2)], vec![]));
}

/// Two linked GPUs (three links side by side), one alone, and a CPU, as KFD lists them.
#[test]
fn xgmi_links_are_those_between_gpus() {
    const KFD: &str = "sys/class/kfd/kfd/topology/nodes";
    let root = small();
    for (node, simd, place, links) in [
        (0, 0, 0, vec![(2, 1, 0)]),
        (1, 304, 0x0300, vec![(2, 0, 0), (11, 2, 3)]),
        (2, 304, 0x0400, vec![(11, 1, 3), (11, 1, 2), (11, 0, 1)]),
        (3, 304, 0x0500, vec![(2, 1, 0)]),
    ] {
        let text = format!("cpu_cores_count 0\nsimd_count {simd}\nlocation_id {place}\ndomain 0\n");
        root.write(&format!("{KFD}/{node}/properties"), text);
        for ((kind, to, count), at) in links.into_iter().zip(0..) {
            let text = format!(
                "type {kind}\nnode_to {to}\nmin_bandwidth 50000\nmax_bandwidth {}\n",
                50_000 * count
            );
            root.write(&format!("{KFD}/{node}/io_links/{at}/properties"), text);
        }
        if simd > 0 {
            let folder = format!("sys/bus/pci/devices/0000:{:02x}:00.0", place >> 8);
            root.write(&format!("{folder}/class"), "0x120000\n")
                .write(&format!("{folder}/vendor"), "0x1002\n")
                .write(&format!("{folder}/device"), "0x740f\n");
        }
    }
    let host = reading(&root).unwrap().host.build().unwrap();
    let at = |address: &str| address.parse().unwrap();
    let link = GpuLink { a: at("03:00.0"), b: at("04:00.0"), kind: GpuLinkKind::Xgmi, count: 3 };
    assert_eq!(host.gpu_links(), [link]);

    // Shares of a GPU: mediated devices are folders in its own.
    let folder = "sys/bus/pci/devices/0000:03:00.0";
    let uuid = "4b20d080-1b54-4048-85b3-a6a62d165c01";
    root.write(&format!("{folder}/mdev_supported_types/nvidia-222/available_instances"), "3\n")
        .write(&format!("{folder}/{uuid}/mdev_type/name"), "GRID T4-1B\n");
    let host = reading(&root).unwrap().host.build().unwrap();
    let mediated = |address: &str| host.pci().get(at(address)).unwrap().mediated.clone();
    assert_eq!(mediated("03:00.0"), Some(vec![uuid.to_owned()]));
    assert_eq!(mediated("04:00.0"), None);

    // A GPU that is not there, a number that is none.
    fs::remove_dir_all(root.0.join("sys/bus/pci/devices/0000:04:00.0")).unwrap();
    let Reading { host, notes } = reading(&root).unwrap();
    assert!(host.gpu_links.is_empty());
    let note = "device 0000:04:00.0 has xGMI links but is not a known GPU: these links are ignored";
    assert!(notes.iter().any(|said| said.to_string() == note), "{notes:?}");
    root.write(&format!("{KFD}/1/io_links/1/properties"), "type 11\nnode_to two\n");
    let message = reading(&root).unwrap_err().to_string();
    assert!(message.ends_with("1/properties: \"two\" is not a number as node_to"), "{message}");
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
    assert!(message.ends_with("shows no pCPUs: it is not the root of a sysfs tree"));
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
