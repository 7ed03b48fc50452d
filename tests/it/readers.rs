//! One machine, two readers: what lstopo wrote of a sysfs tree and the tree itself are the same
//! host.

use std::collections::BTreeMap;
use std::fs;

use pinwise::{Host, PciAddr};
use pinwise_discover::{Gives, hwloc, sysfs, text_formats};
use pinwise_testkit::trees::{Folder, corpus, root_below, unpack};

/// What both readers can know, by name; PCI functions only where both name them, as lstopo leaves
/// out those of no interest.
fn facts(host: &Host, other: &Host) -> BTreeMap<&'static str, String> {
    let mut cores: Vec<_> =
        host.cores().iter().map(|c| (c.pcpus.clone(), c.kind, c.max_mhz)).collect();
    cores.sort();
    let mut packages: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for core in host.cores() {
        packages.entry(core.id.package).or_default().extend(core.pcpus.clone());
    }
    let mut packages: Vec<_> = packages.into_values().collect();
    packages.iter_mut().for_each(|cpus| cpus.sort());
    packages.sort();
    let nodes = host.nodes();
    let huge = |node: &pinwise::host::Node| {
        let pools = node.pools.iter().filter(|pool| pool.size.is_huge() && pool.total > 0);
        pools.map(|pool| (pool.size, pool.total)).collect::<Vec<_>>()
    };
    let shared = |address: &PciAddr| other.pci().get(*address);
    let pci = host.pci().devices().iter().filter_map(|device| {
        let theirs = shared(&device.address)?;
        let mut above = host.pci().bridges_above(device.address).map(|bridge| bridge.address);
        let parent = above.find(|bridge| shared(bridge).is_some());
        // Only hwloc 3 tells the programming interface.
        let class = device.class.0 >> 8;
        let node = device.node.filter(|_| theirs.node.is_some());
        Some(format!(
            "{} {class:04x} {} {} {parent:?} {node:?}",
            device.address, device.vendor, device.device
        ))
    });
    BTreeMap::from([
        ("online", host.online().to_string()),
        ("packages", format!("{packages:?}")),
        ("cores", format!("{cores:?}")),
        ("L3", format!("{:?}", host.l3_domains())),
        (
            "nodes",
            format!("{:?}", nodes.iter().map(|n| (n.id, n.cpus.to_string())).collect::<Vec<_>>()),
        ),
        ("memory", format!("{:?}", nodes.iter().map(|n| (n.id, n.memory)).collect::<Vec<_>>())),
        ("pools", format!("{:?}", nodes.iter().map(huge).collect::<Vec<_>>())),
        ("distances", format!("{:?}", nodes.iter().map(|n| &n.distances).collect::<Vec<_>>())),
        ("PCI", format!("{:?}", pci.collect::<Vec<_>>())),
    ])
}

const CGROUP: &str = "hwloc leaves out what a cgroup forbids, the tree shows all";
const KINDS: &str = "the tree tells which pCPUs are cpu_atom, the file only their frequencies";
const MODULES: &str = "hwloc takes the siblings of a Bulldozer module as cores";
/// Facts that differ, by file, and why.
const EXCEPTIONS: [(&str, &[&str], &str); 14] = [
    ("gen29-nri-cpuallocator-2-socket-4-node-40-core.xml", &["cores"], KINDS),
    ("gen29-32intel64-2p8co2t+8ve.xml", &["PCI"], "the tree lacks the bridge 0000:5f:03.0"),
    (
        "gen29-16amd64-4n4c-cgroup-distance-merge.xml",
        &["L3", "cores", "distances", "memory", "nodes", "online", "packages", "pools"],
        CGROUP,
    ),
    (
        "gen29-16amd64-8n2c-cpusets.xml",
        &["cores", "distances", "memory", "nodes", "online", "packages", "pools"],
        CGROUP,
    ),
    (
        "hwloc214-linux-16amd64-8n2c-cpusets.xml",
        &["cores", "distances", "memory", "nodes", "online", "packages", "pools"],
        CGROUP,
    ),
    (
        "gen29-32amd64-4s2n4c-cgroup2.xml",
        &["L3", "cores", "distances", "memory", "nodes", "online", "packages", "pools"],
        CGROUP,
    ),
    (
        "hwloc214-linux-32amd64-4s2n4c-cgroup2.xml",
        &["L3", "cores", "distances", "memory", "nodes", "online", "packages", "pools"],
        CGROUP,
    ),
    ("gen29-64amd64-4s2n4ca2co.xml", &["cores"], MODULES),
    ("gen29-x86linux-64amd64-4p2n4ca2co.xml", &["cores"], MODULES),
    (
        "gen29-20em64t-hybrid-1p6c2t+2ca4co1t.xml",
        &["cores"],
        "hwloc takes cores of 5000 and 5200 MHz as one kind",
    ),
    ("v3format-linux-nvidia-dgx-gb10.xml", &["cores"], "the file has no frequencies"),
    (
        "gen29-8em64t-2s2ca2c-buggynuma.xml",
        &["distances", "memory", "nodes", "pools"],
        "hwloc drops nodes whose pCPUs are another node's",
    ),
    (
        "gen29-fakeheterocpunuma.xml",
        &["distances", "memory", "nodes", "pools"],
        "hwloc drops nodes whose pCPUs are another node's",
    ),
    (
        "gen29-8ia64-2s2c2t.xml",
        &["L3"],
        "the tree's caches name no pCPUs, so they would divide cores; hwloc guesses",
    ),
];

#[test]
fn lstopo_and_sysfs_show_the_same_host() {
    let (Some(archives), Some(files)) = (corpus("hwloc-sysfs"), corpus("hwloc-xml")) else {
        println!("no real machines' trees and files here (PINWISE_CORPUS): nothing to test");
        return;
    };
    let names = |folder| {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let files_named = names(&files);
    let (mut same, mut differ, mut failures) = (0, 0, Vec::new());
    for archive in names(&archives) {
        let Some((tree, _)) = archive.split_once(".tar.") else { continue };
        let of_tree = |file: &&String| {
            let name = file.strip_suffix(".xml").unwrap_or_default();
            let name = name.split_once('-').map_or("", |(_, name)| name);
            name == tree
                || name == format!("linux-{tree}")
                || tree.starts_with("nri-") && name.starts_with(tree.trim_end_matches("sysfs"))
        };
        let siblings: Vec<_> = files_named.iter().filter(of_tree).collect();
        if siblings.is_empty() {
            println!("{tree}: no file of lstopo");
            continue;
        }
        let folder = Folder::new();
        unpack(&archives.join(&archive), &folder);
        let root = root_below(&folder.0, 2).unwrap();
        let truth = sysfs::read(&root).unwrap().host.build().unwrap();
        for file in siblings {
            let text = fs::read_to_string(files.join(file)).unwrap();
            let host = hwloc::read_lstopo(&text).unwrap().host.build().unwrap();
            let (theirs, ours) = (facts(&truth, &host), facts(&host, &truth));
            let odd: Vec<_> =
                ours.keys().filter(|fact| ours[*fact] != theirs[*fact]).copied().collect();
            let known = EXCEPTIONS.iter().find(|(known, ..)| known == file);
            let (expected, why) = known.map_or((&[][..], ""), |(_, facts, why)| (*facts, *why));
            if odd == expected {
                println!("{file}: {} facts same, {odd:?} not: {why}", ours.len() - odd.len());
            } else {
                for fact in &odd {
                    println!("{file}: {fact}:\n  sysfs  {}\n  lstopo {}", theirs[fact], ours[fact]);
                }
                failures.push(format!("{file}: {odd:?} differ, expected {expected:?}"));
            }
            if odd.is_empty() { same += 1 } else { differ += 1 }
        }
    }
    println!("{same} files show the same host as their trees, {differ} differ");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(same > 0);
}

/// Writes the README's table anew where `PINWISE_BLESS` is set.
#[test]
fn the_readme_has_every_text_that_is_read() {
    let begin = "<!-- texts: written by PINWISE_BLESS=1 cargo test --test it readers:: -->\n";
    let end = "<!-- /texts -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(path).unwrap();
    let (before, rest) = readme.split_once(begin).unwrap();
    let (table, after) = rest.split_once(end).unwrap();
    let mut wanted = String::from("| Text | Printed by | Gives |\n|---|---|---|\n");
    for format in text_formats() {
        let gives = match format.gives {
            Gives::Host => "a host",
            Gives::Devices => "its PCI functions",
            Gives::Tenant => "a tenant",
            Gives::Vm => "the request for a VM, or a tenant",
            Gives::Request => "the request for a VM",
            Gives::Facts => "facts, laid over a host",
            Gives::HostOrFacts => "a host without memory, or facts, laid over one",
            other => panic!("{other:?} has no words here"),
        };
        wanted += &format!("| {} | `{}` | {gives} |\n", format.name, format.command);
    }
    if std::env::var_os("PINWISE_BLESS").is_some() {
        fs::write(path, format!("{before}{begin}{wanted}{end}{after}")).unwrap();
        return;
    }
    assert!(table == wanted, "it is stale: PINWISE_BLESS=1 cargo test --test it readers::");
}
