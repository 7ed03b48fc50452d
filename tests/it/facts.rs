//! Operators' texts as facts: what each kind says, on made-up texts and on real machines' where
//! they are at hand.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use pinwise::host::{CommonBridge, GpuLinkKind};
use pinwise::units::NodeId;
use pinwise_discover::facts::{
    Facts, GpuName, LinkFacts, NicName, PathEnd, PeerStatus, read_facts, vendor,
};
use pinwise_testkit::texts::{NCCL_TOPOLOGY, NUMA, ROCM, TOPO};
use pinwise_testkit::trees::corpus;

/// A row of a golden table: the file, and what it gives or why it gives nothing.
type Golden = (&'static str, &'static str);

/// Sources, GPUs, those with a node, NICs, links, nodes and functions.
fn counts(facts: &[Facts]) -> String {
    let one = |facts: &Facts| {
        let source = facts.source.rsplit(' ').next().unwrap();
        let placed = facts.gpus.iter().filter(|gpu| gpu.node.is_some()).count();
        let nodes: BTreeSet<_> = facts.gpus.iter().filter_map(|gpu| gpu.node).collect();
        format!(
            "{source}: {} GPUs, {placed} on {} nodes, {} NICs, {} links, {} paths, {} peers, \
             {} functions, {} notes",
            facts.gpus.len(),
            nodes.len(),
            facts.nics.len(),
            facts.links.len(),
            facts.paths.len(),
            facts.peers.len(),
            facts.functions.len(),
            facts.notes.len()
        )
    };
    facts.iter().map(one).collect::<Vec<_>>().join(" + ")
}

fn check(folder: &str, ending: &str, golden: &[Golden]) {
    let Some(folder) = corpus(folder) else {
        println!("no real machines' texts here (PINWISE_CORPUS): nothing to test");
        return;
    };
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    let mut failures = Vec::new();
    let (mut read, mut refused) = (0, 0);
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(file).unwrap();
        let found = match read_facts(&text) {
            Ok(facts) => {
                read += 1;
                counts(&facts)
            }
            Err(error) => {
                refused += 1;
                format!("refused: {error}")
            }
        };
        let known = golden.iter().find(|(known, _)| *known == name).map(|(_, what)| *what);
        if known != Some(found.as_str()) {
            failures.push(format!("    (\"{name}\", \"{}\"),", found.replace('"', "\\\"")));
        }
    }
    println!("{} files: {read} read, {refused} refused", files.len());
    assert!(failures.is_empty(), "not as in the table:\n{}", failures.join("\n"));
    assert_eq!(files.len(), golden.len(), "a file of the table is gone");
}

#[rustfmt::skip]
const NVIDIA: &[Golden] = &[
    ("amd-4gpu-pcie.rocm-smi.partial.txt", "--showtopo: 4 GPUs, 0 on 0 nodes, 0 NICs, 0 links, 0 paths, 0 peers, 0 functions, 0 notes"),
    ("b300-8gpu-2numa.txt", "-m: 8 GPUs, 8 on 2 nodes, 8 NICs, 28 links, 92 paths, 0 peers, 0 functions, 0 notes"),
    ("desktop-2gpu-node-with-p2p-ns.txt", "-m: 2 GPUs, 2 on 1 nodes, 0 NICs, 0 links, 1 paths, 0 peers, 0 functions, 0 notes + -p2p: 2 GPUs, 0 on 0 nodes, 0 NICs, 0 links, 0 paths, 2 peers, 0 functions, 0 notes"),
    ("hgx-h100-8gpu-2s48c.txt", "-m: 8 GPUs, 8 on 2 nodes, 0 NICs, 28 links, 0 paths, 0 peers, 0 functions, 0 notes"),
    ("hgx-h200-8gpu-snc2-4numa.guest.txt", "-m: 8 GPUs, 8 on 2 nodes, 4 NICs, 28 links, 38 paths, 0 peers, 0 functions, 0 notes"),
    ("hgx-h200-8gpu-snc2-4numa.host.txt", "-m: 8 GPUs, 8 on 2 nodes, 4 NICs, 28 links, 38 paths, 0 peers, 0 functions, 0 notes"),
    ("mi308x-8gpu-2numa.rocm-smi.txt", "--showtopo: 8 GPUs, 8 on 2 nodes, 0 NICs, 28 links, 0 paths, 0 peers, 0 functions, 0 notes"),
    ("mixed-5gpu-2s8c-unbalanced.txt", "-m: 5 GPUs, 5 on 2 nodes, 0 NICs, 0 links, 10 paths, 0 peers, 0 functions, 0 notes"),
    ("one-gpu-node1-2s32c.txt", "-m: 1 GPUs, 1 on 1 nodes, 2 NICs, 0 links, 3 paths, 0 peers, 0 functions, 0 notes"),
    ("pcie-4gpu-2s14c-node0.txt", "-m: 4 GPUs, 4 on 1 nodes, 0 NICs, 0 links, 6 paths, 0 peers, 0 functions, 0 notes"),
    ("pcie-8gpu-2s24c-pixpairs.txt", "-m: 8 GPUs, 8 on 2 nodes, 0 NICs, 0 links, 28 paths, 0 peers, 0 functions, 0 notes"),
    ("rtx3090-2gpu-ryzen5900x-nvlink.txt", "-m: 2 GPUs, 2 on 1 nodes, 0 NICs, 1 links, 0 paths, 0 peers, 0 functions, 0 notes"),
    ("rtx4090-8gpu-2xepyc64c-nps4.txt", "-m: 8 GPUs, 8 on 8 nodes, 0 NICs, 0 links, 28 paths, 0 peers, 0 functions, 0 notes"),
    ("rtx5090-2gpu-trpro3975wx-with-p2p.txt", "-m: 2 GPUs, 2 on 1 nodes, 0 NICs, 0 links, 1 paths, 0 peers, 0 functions, 0 notes + -p2p: 2 GPUs, 0 on 0 nodes, 0 NICs, 0 links, 0 paths, 2 peers, 0 functions, 0 notes"),
    ("rtxpro6000-8gpu-1cpu-2switch.noaffinity.txt", "-m: 8 GPUs, 0 on 0 nodes, 0 NICs, 0 links, 28 paths, 0 peers, 0 functions, 0 notes"),
    ("rtxpro6000-8gpu-2xepyc9124-direct.noaffinity.txt", "-m: 8 GPUs, 0 on 0 nodes, 0 NICs, 0 links, 28 paths, 0 peers, 0 functions, 0 notes"),
    ("vm-4gpu-nvlink-flat-80vcpu.partial.txt", "-m: 4 GPUs, 4 on 1 nodes, 8 NICs, 6 links, 54 paths, 0 peers, 0 functions, 1 notes"),
];
#[rustfmt::skip]
const NCCL: &[Golden] = &[
    ("aws-p4d-24xl-topo.xml", "topology: 8 GPUs, 8 on 2 nodes, 4 NICs, 0 links, 0 paths, 0 peers, 16 functions, 0 notes"),
    ("azure-ncv4-graph.xml", "refused: the document is a <graphs>, not a <system>"),
    ("azure-ndv2-topo.xml", "topology: 8 GPUs, 8 on 2 nodes, 1 NICs, 0 links, 0 paths, 0 peers, 9 functions, 0 notes"),
    ("azure-ndv5-topo.xml", "topology: 8 GPUs, 8 on 2 nodes, 8 NICs, 0 links, 0 paths, 0 peers, 24 functions, 0 notes"),
    ("nccl-h200-snc2-2x48c.partial.xml", "topology: 3 GPUs, 3 on 1 nodes, 4 NICs, 3 links, 0 paths, 0 peers, 11 functions, 0 notes"),
    ("rccl-topo_16p1h.xml", "topology: 16 GPUs, 16 on 4 nodes, 8 NICs, 28 links, 0 paths, 0 peers, 52 functions, 0 notes"),
    ("rccl-topo_16p1h_vm.xml", "topology: 16 GPUs, 16 on 4 nodes, 8 NICs, 28 links, 0 paths, 0 peers, 24 functions, 0 notes"),
    ("rccl-topo_4p1h.xml", "topology: 4 GPUs, 4 on 1 nodes, 1 NICs, 4 links, 0 paths, 0 peers, 10 functions, 0 notes"),
    ("rccl-topo_4p1h_1.xml", "topology: 4 GPUs, 4 on 2 nodes, 2 NICs, 4 links, 0 paths, 0 peers, 9 functions, 0 notes"),
    ("rccl-topo_4p3l.xml", "topology: 4 GPUs, 4 on 1 nodes, 2 NICs, 6 links, 0 paths, 0 peers, 11 functions, 0 notes"),
    ("rccl-topo_4p3l_2h.xml", "topology: 8 GPUs, 8 on 4 nodes, 1 NICs, 12 links, 0 paths, 0 peers, 17 functions, 0 notes"),
    ("rccl-topo_4p3l_ia.xml", "topology: 8 GPUs, 8 on 1 nodes, 1 NICs, 12 links, 0 paths, 0 peers, 19 functions, 0 notes"),
    ("rccl-topo_4p3l_n2.xml", "topology: 8 GPUs, 8 on 4 nodes, 1 NICs, 12 links, 0 paths, 0 peers, 17 functions, 0 notes"),
    ("rccl-topo_4p3l_n2_1.xml", "topology: 8 GPUs, 8 on 4 nodes, 1 NICs, 12 links, 0 paths, 0 peers, 17 functions, 0 notes"),
    ("rccl-topo_4p3l_n4.xml", "topology: 8 GPUs, 8 on 6 nodes, 1 NICs, 12 links, 0 paths, 0 peers, 17 functions, 0 notes"),
    ("rccl-topo_4p_940.xml", "topology: 4 GPUs, 4 on 4 nodes, 4 NICs, 6 links, 0 paths, 0 peers, 8 functions, 0 notes"),
    ("rccl-topo_8p6l.xml", "topology: 8 GPUs, 8 on 2 nodes, 1 NICs, 24 links, 0 paths, 0 peers, 17 functions, 0 notes"),
    ("rccl-topo_8p6l_1nic.xml", "topology: 8 GPUs, 8 on 2 nodes, 1 NICs, 24 links, 0 paths, 0 peers, 17 functions, 0 notes"),
    ("rccl-topo_8p6l_2nic.xml", "topology: 8 GPUs, 8 on 2 nodes, 2 NICs, 24 links, 0 paths, 0 peers, 18 functions, 0 notes"),
    ("rccl-topo_8p6l_3nic.xml", "topology: 8 GPUs, 8 on 2 nodes, 3 NICs, 24 links, 0 paths, 0 peers, 19 functions, 0 notes"),
    ("rccl-topo_8p6l_4nic.xml", "topology: 8 GPUs, 8 on 2 nodes, 4 NICs, 24 links, 0 paths, 0 peers, 20 functions, 0 notes"),
    ("rccl-topo_8p6l_5nic.xml", "topology: 8 GPUs, 8 on 2 nodes, 5 NICs, 24 links, 0 paths, 0 peers, 21 functions, 0 notes"),
    ("rccl-topo_8p6l_6nic.xml", "topology: 8 GPUs, 8 on 2 nodes, 6 NICs, 24 links, 0 paths, 0 peers, 22 functions, 0 notes"),
    ("rccl-topo_8p_90a.xml", "topology: 8 GPUs, 8 on 1 nodes, 1 NICs, 12 links, 0 paths, 0 peers, 10 functions, 0 notes"),
    ("rccl-topo_8p_90a_1.xml", "topology: 8 GPUs, 8 on 3 nodes, 1 NICs, 12 links, 0 paths, 0 peers, 8 functions, 0 notes"),
    ("rccl-topo_8p_pcie.xml", "topology: 8 GPUs, 8 on 1 nodes, 1 NICs, 0 links, 0 paths, 0 peers, 19 functions, 0 notes"),
    ("rccl-topo_8p_pcie_1.xml", "topology: 8 GPUs, 8 on 1 nodes, 1 NICs, 0 links, 0 paths, 0 peers, 19 functions, 0 notes"),
    ("rccl-topo_8p_pcie_2nic.xml", "topology: 8 GPUs, 8 on 1 nodes, 2 NICs, 0 links, 0 paths, 0 peers, 20 functions, 0 notes"),
    ("rccl-topo_8p_ts1.xml", "topology: 8 GPUs, 8 on 4 nodes, 2 NICs, 8 links, 0 paths, 0 peers, 18 functions, 0 notes"),
    ("rccl-topo_8p_ts1_1.xml", "topology: 8 GPUs, 8 on 4 nodes, 2 NICs, 8 links, 0 paths, 0 peers, 18 functions, 0 notes"),
    ("rccl-topo_8p_ts1_n4.xml", "topology: 8 GPUs, 8 on 6 nodes, 2 NICs, 8 links, 0 paths, 0 peers, 18 functions, 0 notes"),
    ("rccl-topo_8p_ts1_n4_1.xml", "topology: 8 GPUs, 8 on 6 nodes, 2 NICs, 8 links, 0 paths, 0 peers, 18 functions, 0 notes"),
    ("rccl-topo_8p_ts1_n4_2.xml", "topology: 8 GPUs, 8 on 6 nodes, 2 NICs, 8 links, 0 paths, 0 peers, 18 functions, 0 notes"),
];

#[test]
fn the_real_tables_are_read_as_they_were() {
    check("nvidia-topo", "txt", NVIDIA);
}

#[test]
fn the_real_topologies_are_read_as_they_were() {
    check("nccl-topo", "xml", NCCL);
}

/// What the corpus's own list says of each topology, counted by somebody else.
#[test]
fn the_real_topologies_have_what_their_list_counts() {
    let Some(folder) = corpus("nccl-topo") else {
        println!("no real machines' texts here (PINWISE_CORPUS): nothing to test");
        return;
    };
    let list = fs::read_to_string(folder.join("SOURCES.tsv")).unwrap();
    let mut checked = 0;
    for line in list.lines().skip(1) {
        let mut fields = line.split('\t');
        let (name, description) = (fields.next().unwrap(), fields.next_back().unwrap());
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let Ok(facts) = read_facts(&text) else { continue };
        let count = |what: &str| -> usize {
            let words: Vec<&str> = description.split([' ', ',']).collect();
            let at = words.iter().position(|word| *word == what).unwrap();
            words[at - 1].parse().unwrap()
        };
        let links = |kind| {
            let of_kind = |link: &&LinkFacts| link.kind == kind;
            facts[0].links.iter().filter(of_kind).count()
        };
        assert_eq!(facts[0].gpus.len(), count("gpu-class"), "{name}: GPUs");
        assert_eq!(2 * links(GpuLinkKind::Xgmi), count("xgmi"), "{name}: XGMI");
        assert_eq!(links(GpuLinkKind::NvLink) > 0, count("nvlink") > 0, "{name}: NVLink");
        checked += 1;
    }
    println!("{checked} topologies have what their list counts");
    assert!(checked > 30);
}

fn real(name: &str) -> Option<Vec<Facts>> {
    let folder = corpus(if name.ends_with("xml") { "nccl-topo" } else { "nvidia-topo" })?;
    Some(read_facts(&fs::read_to_string(folder.join(name)).unwrap()).unwrap())
}

fn nth(index: u32) -> GpuName {
    GpuName::Nth { vendor: vendor::NVIDIA, index }
}

fn cpus(facts: &Facts) -> Vec<String> {
    facts.gpus.iter().map(|gpu| gpu.cpus.as_ref().map(ToString::to_string).unwrap()).collect()
}

fn nodes(facts: &Facts) -> Vec<u32> {
    facts.gpus.iter().filter_map(|gpu| gpu.node).map(|node| node.0).collect()
}

#[test]
fn a_missing_last_pcpu_and_gpus_against_the_nodes_order_are_read_as_printed() {
    let Some(facts) = real("rtx4090-8gpu-2xepyc64c-nps4.txt") else { return };
    assert_eq!(nodes(&facts[0]), [3, 2, 1, 0, 7, 6, 5, 4]);
    let cpus = cpus(&facts[0]);
    assert_eq!(cpus[0], "48-63,176-191");
    assert_eq!(cpus[4], "112-127,240-254", "255 is not printed, so it is not read");
    assert!(facts[0].paths.iter().all(|path| path.path == CommonBridge::Sys));
}

#[test]
fn a_header_cut_after_cpu_affinity_still_has_the_nodes_below_it() {
    let Some(facts) = real("hgx-h200-8gpu-snc2-4numa.host.txt") else { return };
    assert_eq!(nodes(&facts[0]), [0, 0, 0, 0, 2, 2, 2, 2]);
    assert_eq!(cpus(&facts[0])[7], "48-71");
    assert!(facts[0].links.iter().all(|link| link.count == Some(18)));
    let names: Vec<String> = facts[0].nics.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["mlx5_2", "mlx5_3", "mlx5_4", "mlx5_5"], "as the legend says");
    let end = |index: u32| PathEnd::Gpu(nth(index));
    let nic = PathEnd::Nic(NicName::Called("mlx5_2".to_owned()));
    let path = |a: &PathEnd, b: &PathEnd| {
        let found = facts[0].paths.iter().find(|path| path.a == *a && path.b == *b);
        found.map(|path| path.path)
    };
    assert_eq!(path(&end(1), &nic), Some(CommonBridge::Pix));
    assert_eq!(path(&end(0), &nic), Some(CommonBridge::Pxb));
    assert_eq!(path(&end(7), &nic), Some(CommonBridge::Sys));
}

#[test]
fn gpus_that_lie_apart_and_one_alone_are_read_as_printed() {
    let Some(facts) = real("mixed-5gpu-2s8c-unbalanced.txt") else { return };
    assert_eq!(nodes(&facts[0]), [1, 0, 0, 0, 0]);
    assert_eq!(cpus(&facts[0])[0], "8-15,24-31");
    let facts = real("one-gpu-node1-2s32c.txt").unwrap();
    assert_eq!((nodes(&facts[0]), facts[0].gpus.len()), (vec![1], 1));
}

#[test]
fn a_desktops_two_tables_are_two_sources() {
    let Some(facts) = real("desktop-2gpu-node-with-p2p-ns.txt") else { return };
    assert_eq!(facts[0].paths[0].path, CommonBridge::Node);
    assert!(facts[1].peers.iter().all(|peer| peer.status == PeerStatus::NotSupported));
    let facts = real("rtx5090-2gpu-trpro3975wx-with-p2p.txt").unwrap();
    assert!(facts[1].peers.iter().all(|peer| peer.status == PeerStatus::GpuNotSupported));
}

#[test]
fn a_gpu_behind_switches_reaches_the_others_with_all_its_links() {
    let Some(facts) = real("nccl-h200-snc2-2x48c.partial.xml") else { return };
    let facts = &facts[0];
    assert!(facts.gpus.iter().all(|gpu| gpu.switch_links == Some(18)));
    assert!(facts.links.iter().all(|link| link.count == Some(18)), "5 + 5 + 4 + 4");
    assert!(facts.gpus.iter().all(|gpu| gpu.node == Some(NodeId(0))));
    assert_eq!(cpus(facts)[0], "0-23,96-119");
}

#[test]
fn even_and_odd_numbers_old_nic_names_and_colours_are_read() {
    let facts = &read_facts(TOPO).unwrap()[0];
    assert_eq!(cpus(facts), ["0,2,4,6", "1,3,5,7"]);
    assert_eq!(nodes(facts), [0, 1]);
    assert_eq!(facts.nics, [NicName::Called("mlx5_0".to_owned())]);
    let link = LinkFacts { a: nth(0), b: nth(1), kind: GpuLinkKind::NvLink, count: Some(4) };
    assert_eq!(facts.links, [link]);
    assert_eq!(facts.paths.len(), 2);
}

#[test]
fn what_is_not_known_stays_unknown() {
    let unknown = TOPO.replace("\t0\t\tN/A", "\tN/A\t\tN/A").replace("0,2,4,6", "N/A");
    let facts = &read_facts(&unknown).unwrap()[0];
    assert_eq!((facts.gpus[0].node, &facts.gpus[0].cpus), (None, &None));
    assert_eq!(facts.gpus[1].node, Some(NodeId(1)));
    // A blank in place of the pCPUs: what is left may be either.
    let blank = TOPO.replace("0,2,4,6", "");
    let facts = &read_facts(&blank).unwrap()[0];
    assert_eq!((facts.gpus[0].node, &facts.gpus[0].cpus), (None, &None));
    assert_eq!(facts.notes.len(), 1, "{:?}", facts.notes);
    // Near to two nodes is on none of them.
    let both = TOPO.replace("\t0\t\tN/A", "\t0-1\t\tN/A");
    assert_eq!(read_facts(&both).unwrap()[0].gpus[0].node, None);
    // Old drivers said SOC.
    let old = TOPO.replace("SYS", "SOC");
    assert_eq!(read_facts(&old).unwrap()[0].paths[1].path, CommonBridge::Sys);
}

#[test]
fn xgmi_over_another_gpu_is_no_link() {
    let facts = &read_facts(ROCM).unwrap()[0];
    let amd = |index| GpuName::Nth { vendor: vendor::AMD, index };
    let link = LinkFacts { a: amd(0), b: amd(1), kind: GpuLinkKind::Xgmi, count: None };
    assert_eq!(facts.links, [link], "0 and 2 are two hops apart, 1 and 2 on PCIe");
    let nodes: Vec<_> = facts.gpus.iter().map(|gpu| gpu.node).collect();
    assert_eq!(nodes, [Some(NodeId(2)), None, Some(NodeId(0))]);
    assert_eq!(facts.notes.len(), 1, "{:?}", facts.notes);
}

#[test]
fn nodes_without_pcpus_and_with_gaps_between_their_numbers_are_read() {
    let facts = &read_facts(NUMA).unwrap()[0];
    let found: Vec<_> = facts
        .nodes
        .iter()
        .map(|node| {
            (node.id.0, node.cpus.as_ref().unwrap().to_string(), node.memory.unwrap().0 >> 20)
        })
        .collect();
    let expected = [(0, "0-1,4-5", 1000), (1, "2-3,6-7", 2000), (4, "", 500)];
    assert_eq!(found, expected.map(|(id, cpus, mib)| (id, cpus.to_owned(), mib)));
    let last: Vec<_> = facts.nodes[2].distances.iter().map(|(to, far)| (to.0, far.0)).collect();
    assert_eq!(last, [(0, 17), (1, 28), (4, 10)]);
    assert!(facts.notes.is_empty(), "{:?}", facts.notes);
    // As a log has them: one text, two sources.
    let both = [TOPO, NUMA].concat();
    let sources: Vec<_> =
        read_facts(&both).unwrap().into_iter().map(|facts| facts.source).collect();
    assert_eq!(sources, ["nvidia-smi topo -m", "numactl --hardware"]);
}

#[test]
fn a_topology_of_nccl_names_functions_with_long_domains_and_believes_the_lower_count() {
    let facts = &read_facts(NCCL_TOPOLOGY).unwrap()[0];
    assert_eq!(facts.functions[0].address, "0000:0a:00.0".parse().unwrap());
    assert_eq!(facts.functions[1].above, Some("0000:0a:00.0".parse().unwrap()));
    assert_eq!(facts.functions[1].link_max, None);
    assert_eq!(facts.functions[2].link_max.unwrap().to_string(), "2.5 GT/s x16");
    assert_eq!((facts.gpus[0].node, cpus(facts)), (None, vec!["0-3".to_owned(); 2]));
    assert_eq!((facts.links.len(), facts.links[0].count), (1, Some(1)));
    assert_eq!(facts.notes.len(), 1, "{:?}", facts.notes);
    assert_eq!(facts.nics, [NicName::Called("eth0".to_owned())]);
}

#[test]
fn a_text_that_cannot_be_so_is_refused_in_one_sentence_with_line_and_value() {
    let graphs = "<graphs version=\"1\"/>";
    for (text, said) in [
        (String::new(), "the text is empty"),
        ("hello\nworld".to_owned(), "the text begins with \"hello\""),
        (TOPO.replace("NV4\tPIX", "NVX\tPIX"), "line 2: GPU0 with GPU1 \"NVX\" is not NV#"),
        (TOPO.replace("NV4\tPIX", "NV5\tPIX"), "line 3: GPU1 with GPU0 is \"NV4\""),
        (TOPO.replace("PIX", "NV4"), "line 2: GPU0 with mlx5_0 \"NV4\""),
        (TOPO.replace("NV4\tPIX", "NV99999999999\tPIX"), "\"NV99999999999\""),
        (TOPO.replace("GPU1\tNV4\t X ", "GPU1\tNV4\tNV4"), "line 3: GPU1 with itself \"NV4\""),
        (TOPO.replace("GPU1\tNV4", "GPU0\tNV4"), "line 3: the row of GPU0 is repeated"),
        (TOPO.replace("GPU1\tNV4", "GPU7\tNV4"), "line 3: the row \"GPU7\" is not one of"),
        (TOPO.replace("GPU0\tGPU1\tmlx", "GPU0\tGPU0\tmlx"), "line 1: column GPU0 is repeated"),
        (TOPO.replace("GPU1", "GPU2"), "line 1: the column of GPU1 is missing"),
        (TOPO.replace("1,3,5,7", "1,3,5-"), "line 3: the CPU affinity of GPU1 \"1,3,5-\""),
        (TOPO.replace("1,3,5,7\t1", "1,3\tx"), "line 3: the NUMA affinity of GPU1 \"x\""),
        (TOPO.replace("SYS\t1,3,5,7\t1\t\tN/A", ""), "line 3: the row of GPU1 has 2 cells"),
        ([TOPO, TOPO].concat(), "line 9: a table of connections is repeated"),
        (ROCM.replacen("XGMI", "YGMI", 1), "GPU0 with GPU1 \"YGMI\" is not XGMI"),
        (ROCM.replacen("15  ", "1x  ", 1), "GPU0 with GPU1 \"1x\" is not a number"),
        (ROCM.replace("Affinity: 2", "Affinity: 3"), "Numa Affinity is \"3\""),
        (ROCM.replace("GPU[2]", "GPU[3]"), "\"GPU[3]\" is not a GPU of the tables"),
        (ROCM.replace("Node: 0", "Node: 99999"), "line 25: Numa Node of GPU[2] \"99999\""),
        (NUMA.replace("1000 MB", "1e3 MB"), "line 3: the size: of node 0 \"1e3\""),
        (NUMA.replace("0 1 4 5", "0 1 1 5"), "line 2: pCPU 1 is repeated"),
        (NUMA.replace("0 1 4 5", "0 1 4 99999"), "line 2: a pCPU of node 0 \"99999\""),
        (NUMA.replace("21  17", "21"), "line 13: the row of node 0 has 2 cells"),
        (NUMA.replace("21  17", "21  9"), "line 13: the distance of node 0 to 4 \"9\""),
        ("available: 2 nodes (0-1)\n".to_owned(), "line 1: the list after the number of nodes"),
        (graphs.to_owned(), "the document is a <graphs>, not a <system>"),
        (NCCL_TOPOLOGY.replace("0000:0c:00.0\" class", "0c:00.0\" class"), "line 7"),
        (NCCL_TOPOLOGY.replace("0000:0c:00.0\" class", "0000:0b:00.0\" class"), "is repeated"),
        (NCCL_TOPOLOGY.replace("count=\"2\"", "count=\"two\""), "line 5, column 52: count \"two\""),
        (NCCL_TOPOLOGY.replace("numaid=\"-1\"", "numaid=\"x\""), "line 2, column 8: numaid \"x\""),
        (NCCL_TOPOLOGY.replace("2.5 GT/s", "4294968 GT/s"), "link_speed \"4294968 GT/s\""),
        (NCCL_TOPOLOGY.replace("</pci>", ""), "cannot be read as XML"),
    ] {
        let error = read_facts(&text).map(|facts| counts(&facts)).expect_err(said).to_string();
        assert!(error.contains(said), "{said:?} is not in {error:?}");
        assert_eq!(error.lines().count(), 1, "{error}");
        // The longest names every kind of text.
        assert!(error.len() < 400, "{error}");
    }
}
