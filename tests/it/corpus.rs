//! Real machines' files: each is read, or refused with one sentence, in little time. What was
//! counted in each is pinned in `tests/corpus.tsv`, which `PINWISE_BLESS=1` writes anew; what
//! somebody else counted is held against it.
//!
//! The files themselves are not ours and not here: `PINWISE_CORPUS` says where they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pinwise::host::DeviceKind;
use pinwise::json::read_host;
use pinwise::{CpuSet, Host};
use pinwise_discover::{Reading, facts, hwloc, libvirt, sysfs};
use pinwise_testkit::trees::{Folder, corpus, root_below, unpack};

/// The longest that a file may take; a debug build is some twenty times slower than what people
/// run.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });

/// What was counted in a file, or why it was refused.
type Outcome = Result<Vec<(&'static str, usize)>, String>;

/// The files of a folder that are no tables about them, by name.
fn files(folder: &str) -> Vec<(String, PathBuf)> {
    let Some(path) = corpus(folder) else { return Vec::new() };
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|kind| kind != "tsv"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    files.sort();
    files
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

/// Runs a reader; what it takes is part of the claim.
fn timed<T>(name: &str, read: impl Fn() -> T) -> T {
    let start = Instant::now();
    let result = read();
    let first = start.elapsed();
    if first >= PATIENCE {
        // A machine with much else to do stalls, but not twice at the same file.
        _ = read();
        assert!(start.elapsed() - first < PATIENCE, "{name}: took {first:?} and again as long");
    }
    result
}

fn built(reading: Reading) -> Result<(Host, usize), String> {
    let notes = reading.notes.len();
    reading.host.build().map(|host| (host, notes)).map_err(|error| format!("no host: {error}"))
}

fn figures(host: &Host, notes: usize) -> Vec<(&'static str, usize)> {
    let description = host.description();
    let devices = host.pci().devices();
    let with =
        |known: fn(&pinwise::host::PciDevice) -> bool| devices.iter().filter(|d| known(d)).count();
    let huge = host.nodes().iter().flat_map(|node| &node.pools);
    let huge = huge.filter(|pool| pool.size.is_huge()).map(|pool| pool.total);
    let empty = host.nodes().iter().filter(|node| node.cpus.is_empty()).count();
    let bare = host.nodes().iter().filter(|node| node.memory == pinwise::Bytes::ZERO).count();
    let mib: u64 = host.nodes().iter().map(|node| node.memory.kib() >> 10).sum();
    let whole = |number: u64| usize::try_from(number).unwrap();
    vec![
        ("packages", host.packages().len()),
        ("nodes", host.nodes().len()),
        ("nodes-without-pcpus", empty),
        ("nodes-without-memory", bare),
        ("cores", host.cores().len()),
        ("pcpus", host.online().len()),
        ("offline", description.offline.len()),
        ("allowed", host.allowed().len()),
        ("isolated", host.isolated().len()),
        ("l3", host.l3_domains().len()),
        ("mib", whole(mib)),
        ("hugepages", whole(huge.sum())),
        ("functions", devices.len()),
        ("gpus", host.gpus().len()),
        ("with-node", with(|d| d.node.is_some())),
        ("with-port", with(|d| d.parent.is_some())),
        ("with-link", with(|d| d.link_now.is_some())),
        ("with-group", with(|d| d.iommu_group.is_some())),
        ("with-driver", with(|d| d.driver.is_some())),
        ("virtual", with(|d| d.physical_function.is_some())),
        ("gpu-links", host.gpu_links().len()),
        ("notes", notes),
    ]
}

fn of_host(reading: Result<Reading, String>) -> Outcome {
    built(reading?).map(|(host, notes)| figures(&host, notes))
}

/// A tree, and how it was read.
fn tree(name: &str, archive: &Path) -> Result<Reading, String> {
    let folder = Folder::new();
    unpack(archive, &folder);
    let root = root_below(&folder.0, 2).unwrap_or_else(|| folder.0.clone());
    let said = |error: sysfs::SysfsError| error.to_string();
    let reading = timed(name, || sysfs::read(&root)).map_err(said);
    // The folder has another name at every run.
    reading.map_err(|error| error.replace(&*folder.0.to_string_lossy(), "ROOT"))
}

fn lstopo(name: &str, file: &Path) -> Result<Reading, String> {
    let text = text(file);
    timed(name, || hwloc::read_lstopo(&text)).map_err(|error| error.to_string())
}

fn capabilities(name: &str, file: &Path) -> Outcome {
    let text = text(file);
    if name.ends_with(".txt") {
        // What numactl says of the same machine.
        let facts = timed(name, || facts::read_facts(&text)).map_err(|e| e.to_string())?;
        let nodes: Vec<_> = facts.iter().flat_map(|facts| &facts.nodes).collect();
        let pcpus = nodes.iter().filter_map(|node| node.cpus.as_ref()).map(CpuSet::len);
        return Ok(vec![("nodes", nodes.len()), ("pcpus", pcpus.sum())]);
    }
    of_host(timed(name, || libvirt::read_capabilities(&text)).map_err(|e| e.to_string()))
}

/// A domain on a synthetic host of four nodes, which has none of its devices but the GPU.
fn domain(name: &str, file: &Path) -> Outcome {
    let host = include_str!("../../fixtures/hosts/rtx-4090-nps4.json");
    let host = read_host(host).unwrap().build().unwrap();
    let text = text(file);
    let read = timed(name, || libvirt::read_domain(&host, &text));
    let libvirt::Domain { name: _, uuid: _, running, claim, notes } =
        read.map_err(|e| e.to_string())?;
    let as_is = timed(name, || libvirt::domain_as_is(&host, &text)).unwrap().domain;
    let given: Vec<_> = as_is.devices.iter().map(|device| device.address).collect();
    assert!(
        claim
            .devices
            .iter()
            .all(|device| { host.pci().group_of(*device).iter().any(|mate| given.contains(mate)) })
    );
    let pages = |bound: bool| -> u64 {
        claim.pages.iter().filter(|p| p.node.is_some() == bound).map(|p| p.count).sum()
    };
    Ok(vec![
        ("running", usize::from(running)),
        ("dedicated", claim.dedicated.len()),
        ("floating", claim.floating.len()),
        ("pages-bound", usize::try_from(pages(true)).unwrap()),
        ("pages-anywhere", usize::try_from(pages(false)).unwrap()),
        ("devices", claim.devices.len()),
        ("notes", notes.len()),
    ])
}

fn node_device(name: &str, file: &Path) -> Outcome {
    let text = text(file);
    let read = timed(name, || libvirt::read_node_device(&text)).map_err(|e| e.to_string())?;
    let Some(found) = read else { return Ok(vec![("functions", 0)]) };
    let device = &found.device;
    let known = |there: bool| usize::from(there);
    Ok(vec![
        ("functions", 1),
        ("class", usize::try_from(device.class.0).unwrap()),
        ("group-of", found.group.len()),
        ("with-node", known(device.node.is_some())),
        ("with-port", known(device.parent.is_some())),
        ("with-link", known(device.link_now.is_some())),
        ("with-group", known(device.iommu_group.is_some())),
        ("with-driver", known(device.driver.is_some())),
        ("virtual", known(device.physical_function.is_some())),
    ])
}

fn row(name: &str, outcome: &Outcome) -> String {
    match outcome {
        Ok(figures) => {
            let cells: Vec<_> = figures.iter().map(|(what, n)| format!("{what}={n}")).collect();
            format!("{name}\tread\t{}", cells.join(" "))
        }
        Err(sentence) => {
            assert!(sentence.len() < 400 && !sentence.contains('\n'), "{name}: {sentence}");
            format!("{name}\trefused\t{sentence}")
        }
    }
}

/// Holds the rows of some folders against the table. A file that the table does not know is only
/// read: whoever has more files than others sees that they are read, or refused, in time.
fn golden(rows: &[String]) {
    static TABLE: Mutex<()> = Mutex::new(());
    let _alone = TABLE.lock();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus.tsv");
    let table = fs::read_to_string(&path).unwrap_or_default();
    let key = |row: &str| row.split('\t').next().unwrap_or_default().to_owned();
    let mut known: BTreeMap<_, _> = table.lines().map(|row| (key(row), row.to_owned())).collect();
    if std::env::var("PINWISE_BLESS").is_ok_and(|value| value == "1") {
        known.extend(rows.iter().map(|row| (key(row), row.clone())));
        let lines: Vec<_> = known.into_values().map(|row| row + "\n").collect();
        fs::write(path, lines.concat()).unwrap();
        return;
    }
    let mut wrong = Vec::new();
    for row in rows {
        println!("{row}");
        match known.get(&key(row)) {
            Some(expected) if expected != row => wrong.push(format!("{row}\n  not {expected}")),
            Some(_) => {}
            None => println!("  (not in tests/corpus.tsv)"),
        }
    }
    assert!(wrong.is_empty(), "PINWISE_BLESS=1 takes these as right:\n{}", wrong.join("\n"));
}

/// Reads the files of a folder and holds them against the table.
fn folder(name: &str, read: impl Fn(&str, &Path) -> Outcome) {
    let files = files(name);
    if files.is_empty() {
        println!("no {name} here (PINWISE_CORPUS): nothing to test");
    }
    let rows = files.iter().map(|(file, path)| row(&format!("{name}/{file}"), &read(file, path)));
    golden(&rows.collect::<Vec<_>>());
}

const FORBIDDEN: &str =
    "packages and caches whose pCPUs are all forbidden are in the file, not in the host";
const BARE: &str = "pCPUs without package are in package 0, those without core are cores";
const NODE: &str = "a file without nodes is one node";
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
fn files_of_lstopo_are_read_as_pinned_and_as_they_were_counted() {
    let Some(folder) = corpus("hwloc-xml") else {
        println!("no real machines' files here (PINWISE_CORPUS): nothing to test");
        return;
    };
    let features = fs::read_to_string(folder.join("FEATURES.tsv")).unwrap();
    let (mut rows, mut wrong, mut checked) = (Vec::new(), Vec::new(), 0);
    for (name, path) in files("hwloc-xml") {
        let host = lstopo(&name, &path).and_then(built);
        let outcome = host.as_ref().map(|(host, notes)| figures(host, *notes));
        rows.push(row(&format!("hwloc-xml/{name}"), &outcome.map_err(String::clone)));
        let features = features.lines().find(|row| row.split('\t').next() == Some(&name));
        let (Ok((host, _)), Some(features)) = (host, features) else { continue };
        let column = |at: usize| features.split('\t').nth(at).and_then(|n| n.parse().ok());
        let told = [2, 3, 5, 6, 7].map(|at| column(at).unwrap_or(0));
        let exception = EXCEPTIONS.iter().find(|(known, ..)| *known == name);
        if let Some((_, _, why)) = exception {
            println!("{name}: {told:?} objects: {why}");
        }
        let expected = exception.map_or(told, |(_, expected, _)| *expected);
        if counts(&host) != expected {
            wrong.push(format!("{name}: {:?}, expected {expected:?}", counts(&host)));
        }
        let class = |class: u32| {
            let devices = host.pci().devices().iter();
            devices.filter(|device| device.class.0 >> 16 == class).count()
        };
        let bridge = |device: &&pinwise::host::PciDevice| device.kind() == DeviceKind::Bridge;
        let functions = host.pci().devices().iter().filter(|device| !bridge(device)).count();
        let ours = [functions, class(3), class(0x12)];
        let told = [9, 10, 11].map(|at| column(at).unwrap_or(0));
        if ours != told {
            wrong.push(format!("{name}: {ours:?} functions, displays, accelerators, not {told:?}"));
        }
        checked += 1;
    }
    golden(&rows);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 90, "{checked}");
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
fn trees_of_real_machines_are_read_as_pinned_and_as_they_were_counted() {
    let (mut rows, mut checked) = (Vec::new(), 0);
    for (name, path) in files("hwloc-sysfs") {
        let outcome = of_host(tree(&name, &path));
        let short = name.split(".tar.").next().unwrap();
        if let Some((_, truth)) = TRUTHS.iter().find(|(known, _)| *known == short) {
            let figures = outcome.as_ref().unwrap();
            let figure = |of: &str| figures.iter().find(|(what, _)| *what == of).unwrap().1;
            assert_eq!(["pcpus", "cores", "nodes", "l3"].map(figure), *truth, "{name}");
            checked += 1;
        }
        rows.push(row(&format!("hwloc-sysfs/{name}"), &outcome));
    }
    golden(&rows);
    assert_eq!(checked, if rows.is_empty() { 0 } else { TRUTHS.len() });
}

#[test]
fn capabilities_domains_and_node_devices_are_read_as_pinned() {
    folder("libvirt-caps", capabilities);
    folder("libvirt-domains", domain);
    folder("nodedev", node_device);
}

/// The KFD tree of a real machine, put beside made-up PCI functions at the places that it names:
/// two groups of four GPUs, in each of which all are linked with all.
#[test]
fn a_real_machines_xgmi_links_are_read() {
    let Some(archives) = corpus("hwloc-sysfs") else {
        println!("no real machines' files here (PINWISE_CORPUS): nothing to test");
        return;
    };
    let (root, real) = (pinwise_testkit::trees::small(), Folder::new());
    unpack(&archives.join("rocm-kfd-topo-mi210-xgmi-pcie.tar.bz2"), &real);
    let nodes = real.0.join("topo-mi210-xgmi-pcie/nodes");
    let mut gpus = 0;
    for node in fs::read_dir(&nodes).unwrap() {
        let text = fs::read_to_string(node.unwrap().path().join("properties")).unwrap();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let Some((_, place)) = lines.find(|(name, _)| *name == "location_id") else { continue };
        let place: u32 = place.parse().unwrap();
        if place == 0 {
            continue;
        }
        gpus += 1;
        let folder = format!("sys/bus/pci/devices/0000:{:02x}:00.0", place >> 8);
        root.write(&format!("{folder}/class"), "0x120000\n")
            .write(&format!("{folder}/vendor"), "0x1002\n")
            .write(&format!("{folder}/device"), "0x740f\n");
    }
    fs::create_dir_all(root.0.join("sys/class/kfd/kfd/topology")).unwrap();
    fs::rename(nodes, root.0.join("sys/class/kfd/kfd/topology/nodes")).unwrap();
    let host = sysfs::read(&root.0).unwrap().host.build().unwrap();
    let links = host.gpu_links();
    let linked = |gpu: &&pinwise::host::Gpu| {
        links.iter().filter(|l| l.a == gpu.address || l.b == gpu.address).count() == 3
    };
    assert_eq!((gpus, links.len()), (8, 12));
    assert_eq!(host.gpus().iter().filter(linked).count(), 8);
    assert!(links.iter().all(|link| link.count == 1));
}
