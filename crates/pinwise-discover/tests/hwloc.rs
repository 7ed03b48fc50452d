//! libhwloc as the oracle: what it makes of this machine, of lstopo's files and of captured sysfs
//! trees is what our readers make of them.
//!
//! libhwloc crashes on broken files, so it looks at each in a process of its own: this test, run
//! again for [`the_oracle_speaks`] alone.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test stops at what it did not expect; the environment says what to read"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use hwlocality::Topology;
use hwlocality::object::TopologyObject;
use hwlocality::object::attributes::{ObjectAttributes, PCIDeviceAttributes, UpstreamAttributes};
use hwlocality::object::types::ObjectType;
use hwlocality::topology::builder::{BuildFlags, TypeFilter};
use pinwise::host::DeviceKind;
use pinwise::units::{PackageId, PcpuId};
use pinwise::{CpuSet, HostSpec, PciAddr};
use pinwise_discover::{Reading, hwloc, sysfs};
use pinwise_testkit::trees::{Folder, UNREAD, corpus, extract, root_below};

const FILE: &str = "PINWISE_ORACLE_FILE";
const LOOK: &str = "PINWISE_ORACLE_LOOK";
/// What the oracle's words begin with, among those of the test's own machinery.
const WORD: &str = "oracle: ";

/// Of each kind, what there is: `core 0,4`.
type Seen = BTreeMap<String, BTreeSet<String>>;

fn seen(lines: impl IntoIterator<Item = String>) -> Seen {
    let mut seen = Seen::new();
    for line in lines {
        let kind = line.split(' ').next().unwrap().to_owned();
        seen.entry(kind).or_default().insert(line);
    }
    seen
}

/// A host in the oracle's words.
fn ours(host: &HostSpec) -> Seen {
    let mut packages: BTreeMap<PackageId, CpuSet> = BTreeMap::new();
    let mut lines = Vec::new();
    for core in &host.cores {
        packages.entry(core.package).or_default().extend(&core.pcpus);
        lines.push(format!("core {}", core.pcpus));
        lines.extend(core.pcpus.iter().map(|pcpu| format!("pcpu {pcpu}")));
    }
    lines.extend(packages.values().map(|cpus| format!("package {cpus}")));
    lines.extend(host.l3_domains.iter().map(|l3| format!("l3 {}", l3.cpus)));
    for node in &host.nodes {
        lines.push(format!("node {}", node.id));
        lines.push(format!("memory {} {}", node.id, node.memory.0));
        lines.push(format!("place {} {}", node.id, node.cpus));
    }
    for device in &host.devices {
        let (class, ids) = (device.class.0 >> 8, (device.vendor.0, device.device.0));
        lines.push(format!("pci {} {class:04x} {:04x}:{:04x}", device.address, ids.0, ids.1));
    }
    seen(lines)
}

fn cpus(object: &TopologyObject) -> CpuSet {
    let set = object.cpuset().unwrap();
    set.iter_set().map(|bit| PcpuId(u32::try_from(usize::from(bit)).unwrap())).collect()
}

fn function(pci: &PCIDeviceAttributes) -> String {
    let address = PciAddr {
        domain: u32::from(pci.domain()),
        bus: pci.bus_id(),
        device: pci.bus_device(),
        function: pci.function(),
    };
    let (class, ids) = (pci.class_id(), (pci.vendor_id(), pci.device_id()));
    format!("pci {address} {class:04x} {:04x}:{:04x}", ids.0, ids.1)
}

/// The oracle itself, in a process that was told what to look at.
#[test]
fn the_oracle_speaks() {
    if std::env::var_os(LOOK).is_none() {
        return;
    }
    let builder = Topology::builder().with_flags(BuildFlags::INCLUDE_DISALLOWED).unwrap();
    let builder = builder.with_io_type_filter(TypeFilter::KeepAll).unwrap();
    let builder = match std::env::var_os(FILE) {
        Some(file) => builder.from_xml(&fs::read_to_string(file).unwrap()).unwrap(),
        None => builder,
    };
    let topology = builder.build().unwrap();
    let of = |kind| topology.objects_with_type(kind);
    let say = |line: String| println!("{WORD}{line}");
    for (kind, name) in [
        (ObjectType::Package, "package"),
        (ObjectType::Core, "core"),
        (ObjectType::PU, "pcpu"),
        (ObjectType::L3Cache, "l3"),
    ] {
        // One whose pCPUs a cgroup forbids may be in the file without them; to a host it is
        // nothing.
        let objects = of(kind).map(cpus).filter(|cpus| !cpus.is_empty());
        objects.for_each(|cpus| say(format!("{name} {cpus}")));
    }
    for node in of(ObjectType::NUMANode) {
        let Some(ObjectAttributes::NUMANode(own)) = node.attributes() else { panic!("{node}") };
        let (id, memory) = (node.os_index().unwrap(), own.local_memory().map_or(0, |n| n.get()));
        say(format!("node {id}"));
        say(format!("memory {id} {memory}"));
        say(format!("place {id} {}", cpus(node)));
    }
    for object in of(ObjectType::PCIDevice).chain(of(ObjectType::Bridge)) {
        match object.attributes() {
            Some(ObjectAttributes::PCIDevice(pci)) => say(function(pci)),
            Some(ObjectAttributes::Bridge(bridge)) => {
                if let Some(UpstreamAttributes::PCI(pci)) = bridge.upstream_attributes() {
                    say(function(pci));
                }
            }
            _ => panic!("{object}"),
        }
    }
    say("end".to_owned());
}

/// What the oracle sees; `None`, with its last words, if it cannot read that or crashes.
fn oracle(variables: &[(&str, &Path)]) -> Result<Seen, String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_oracle_speaks", "--nocapture"]).env(LOOK, "1");
    command.env("HWLOC_HIDE_ERRORS", "2").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), output.stderr);
    let mut lines: Vec<_> =
        out.lines().filter_map(|line| Some(line.split_once(WORD)?.1.to_owned())).collect();
    if !output.status.success() || lines.pop().as_deref() != Some("end") {
        let err = String::from_utf8_lossy(&err);
        return Err(format!("{}: {}", output.status, err.lines().take(4).collect::<String>()));
    }
    Ok(seen(lines))
}

/// A source, a kind, and why our reader has something else of it than libhwloc.
type Exception = (&'static str, &'static str, &'static str);

/// Each difference that no exception names, and each exception that is none.
fn differences(name: &str, theirs: &Seen, ours: &Seen, exceptions: &[Exception]) -> Vec<String> {
    let mut found = Vec::new();
    for kind in ["package", "node", "memory", "place", "core", "pcpu", "l3", "pci"] {
        let of = |seen: &Seen| seen.get(kind).cloned().unwrap_or_default();
        let (theirs, ours) = (of(theirs), of(ours));
        let known = exceptions.iter().find(|known| (known.0, known.1) == (name, kind));
        if (theirs != ours) != known.is_some() {
            let few = |a: &BTreeSet<String>, b| {
                a.difference(b).take(4).cloned().collect::<Vec<_>>().join("; ")
            };
            let (theirs, ours) = (few(&theirs, &ours), few(&ours, &theirs));
            found.push(format!("{name}: {kind}: oracle alone [{theirs}], ours alone [{ours}]"));
        }
    }
    found
}

#[test]
fn this_machine_is_the_same_through_hwloc_and_sysfs() {
    let Ok(by_sysfs) = sysfs::read(Path::new("/")) else {
        println!("this machine shows no sysfs: nothing to compare");
        return;
    };
    let Reading { host, notes } = hwloc::read_live().unwrap();
    println!("{} PCI functions, notes: {notes:?}", host.devices.len());
    assert!(notes.iter().any(|note| note.to_string().contains("not free ones")), "{notes:?}");
    assert_eq!(host.about, "read from hwloc");
    // What libhwloc leaves out of any machine: bridges without buses, wide domains. And it has
    // pCPUs for nodes without.
    let mut by_sysfs = by_sysfs.host;
    let (mut theirs, mut mine) = (oracle(&[]).unwrap(), ours(&host));
    let known = mine.get("pci").cloned().unwrap_or_default();
    by_sysfs.devices.retain(|device| {
        let told = |line: &String| line.contains(&device.address.to_string());
        let bridge = device.kind() == DeviceKind::Bridge;
        !(bridge || device.address.domain > 0xffff) || known.iter().any(told)
    });
    assert_eq!(differences("live", &mine, &ours(&by_sysfs), &[]), [""; 0]);
    if host.nodes.iter().any(|node| node.cpus.is_empty()) {
        for seen in [&mut theirs, &mut mine] {
            seen.remove("place");
        }
    }
    assert_eq!(differences("live", &theirs, &mine, &[]), [""; 0]);
    let (live, sysfs) = (host.build().unwrap(), by_sysfs.build().unwrap());
    assert_eq!(live.allowed(), sysfs.allowed());
    assert_eq!(live.cpu_vendor(), sysfs.cpu_vendor());
}

const NO_OWN: &str =
    "hwloc gives a node without pCPUs those that are nearest, and a pCPU has one node";
const ORPHANS: &str =
    "pCPUs whose node a cgroup forbids, or is off, are on the node nearest to them";
const OVERLAP: &str = "nodes of an invented tree overlap, and a pCPU has one node";
const NO_PACKAGE: &str = "pCPUs without package are in package 0";
const NO_CORE: &str = "pCPUs without core are cores";

const KNL: &str = "hwloc214-xml-8intel64-fakeKNL-A2A-hybrid.rootattachednumas.xml";
const KNL_1TO2: &str = "hwloc214-xml-8intel64-fakeKNL-A2A-hybrid.rootattachednumas.v1tov2.xml";
const KNL_2TO1: &str = "hwloc214-xml-8intel64-fakeKNL-A2A-hybrid.rootattachednumas.v2tov1.xml";

const FILE_EXCEPTIONS: &[Exception] = &[
    ("gen29-16amd64-4n4c-cgroup-distance-merge.xml", "place", ORPHANS),
    ("gen29-16amd64-8n2c-cpusets.xml", "place", ORPHANS),
    ("gen29-fakeheterocpunuma.xml", "place", OVERLAP),
    ("gen29-fakeheteromemtiers.xml", "place", NO_OWN),
    ("gen29-nri-sysfs-sample2-sample2.xml", "place", NO_OWN),
    ("gen29-offline-cpu0-node0.xml", "place", ORPHANS),
    ("hwloc-doc-ppc64-with-smt.xml", "package", NO_PACKAGE),
    ("hwloc-doc-ppc64-with-smt.xml", "core", NO_CORE),
    ("hwloc-doc-ppc64-without-smt.xml", "package", NO_PACKAGE),
    ("hwloc-doc-ppc64-without-smt.xml", "core", NO_CORE),
    ("hwloc214-linux-16amd64-8n2c-cpusets.xml", "place", ORPHANS),
    ("hwloc214-xml-16-2gr2gr2n2c+misc.xml", "package", NO_PACKAGE),
    ("hwloc214-xml-16amd64-8n2c-cpusets.xml", "place", ORPHANS),
    (
        "hwloc214-xml-28intel64-2p2g7c-CoD.nogroups.v1tov2.xml",
        "place",
        "without groups both nodes of a package have all of its pCPUs, and a pCPU has one node",
    ),
    ("hwloc214-xml-8intel64-4n2t-memattrs.xml", "package", NO_PACKAGE),
    ("hwloc214-xml-8intel64-4n2t-memattrs.xml", "core", NO_CORE),
    (KNL, "package", NO_PACKAGE),
    (KNL, "place", NO_OWN),
    (KNL_1TO2, "package", NO_PACKAGE),
    (KNL_1TO2, "place", NO_OWN),
    (KNL_2TO1, "package", NO_PACKAGE),
    (KNL_2TO1, "place", NO_OWN),
];

#[test]
fn files_are_read_as_libhwloc_reads_them() {
    let Some(folder) = corpus("hwloc-xml") else {
        println!("no real machines' files here (PINWISE_CORPUS): nothing to test");
        return;
    };
    let (mut agreed, mut failures) = (0, Vec::new());
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "xml")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let Ok(Reading { host, .. }) = hwloc::read_lstopo(&fs::read_to_string(file).unwrap())
        else {
            println!("{name}: refused by ours");
            continue;
        };
        match oracle(&[(FILE, file)]) {
            Ok(theirs) => {
                failures.extend(differences(name, &theirs, &ours(&host), FILE_EXCEPTIONS));
                agreed += 1;
            }
            // Hwloc 3 wrote it, or it is too broken.
            Err(words) => println!("{name}: libhwloc does not read it: {words}"),
        }
    }
    println!("{agreed} files read by both");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(agreed > 80, "{agreed}");
}

const BULLDOZER: &str = "the kernel says that both halves of a Bulldozer module are SMT siblings of \
                         one core, and hwloc that they are cores";
const BUGGY: &str =
    "all nodes claim all pCPUs: hwloc drops the others, ours leaves them their memory";
const CROSSING: &str = "hwloc drops nodes of an invented tree that cut others in two";

const TREE_EXCEPTIONS: &[Exception] = &[
    ("2pa-pcidomain32bits", "pci", "hwloc leaves out PCI domains of more than 16 bits"),
    ("2ps3-2t", "package", NO_PACKAGE),
    ("32em64t-2n8c+dax+nvme+mic+dimms", "pci", "hwloc leaves out a bridge without buses behind it"),
    ("4fake-4gr1nu1pu", "core", NO_CORE),
    ("64amd64-4s2n4ca2co", "core", BULLDOZER),
    ("8em64t-2s2ca2c-buggynuma", "node", BUGGY),
    ("8em64t-2s2ca2c-buggynuma", "memory", BUGGY),
    ("8em64t-2s2ca2c-buggynuma", "place", BUGGY),
    (
        "8ia64-2s2c2t",
        "l3",
        "an old kernel lists no pCPUs of the caches, and hwloc takes the core's",
    ),
    ("fakeheterocpunuma", "node", CROSSING),
    ("fakeheterocpunuma", "memory", CROSSING),
    ("fakeheterocpunuma", "place", OVERLAP),
    ("fakeheteromemtiers", "place", NO_OWN),
    ("nri-sysfs-sample2", "place", NO_OWN),
    ("offline-cpu0-node0", "place", ORPHANS),
    ("x86linux-64amd64-4p2n4ca2co", "core", BULLDOZER),
];

#[test]
fn trees_are_read_as_libhwloc_reads_them() {
    let Some(folder) = corpus("hwloc-sysfs") else {
        println!("no real machines' trees here (PINWISE_CORPUS): nothing to test");
        return;
    };
    let (mut agreed, mut failures) = (0, Vec::new());
    let mut archives: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    archives.sort();
    for archive in archives.iter().filter(|path| path.to_string_lossy().contains(".tar.")) {
        let name = archive.file_name().unwrap().to_str().unwrap().split(".tar.").next().unwrap();
        let folder = Folder::new();
        // libhwloc goes by masks that ours does not look at.
        let masks = ["die_cpus*"];
        let without: Vec<_> = UNREAD.into_iter().filter(|name| !masks.contains(name)).collect();
        extract(archive, &folder, &without);
        let root = root_below(&folder.0, 2).unwrap_or_else(|| folder.0.clone());
        let Ok(Reading { host, .. }) = sysfs::read(&root) else {
            println!("{name}: refused by ours");
            continue;
        };
        let see = [
            ("HWLOC_FSROOT", root.as_path()),
            ("HWLOC_THISSYSTEM", Path::new("0")),
            ("HWLOC_COMPONENTS", Path::new("linux,stop")),
        ];
        match oracle(&see) {
            Ok(theirs) => {
                failures.extend(differences(name, &theirs, &ours(&host), TREE_EXCEPTIONS));
                agreed += 1;
            }
            Err(words) => println!("{name}: libhwloc does not read it: {words}"),
        }
    }
    println!("{agreed} trees read by both");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(agreed > 20, "{agreed}");
}
