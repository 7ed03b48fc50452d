//! Facts laid over a host: what is added, what stays, what is reported, and where each part is
//! from.

use pinwise::explain::host_line;
use pinwise::host::{GpuLinkKind, LinkState, Part, PciId};
use pinwise::json::{read_host, write_host};
use pinwise::units::{Distance, NodeId};
use pinwise::{Bytes, HostSpec, PciAddr};
use pinwise_discover::facts::{
    Facts, GpuFacts, GpuName, LinkFacts, NodeFacts, PartitionFacts, Report, SourceConflict,
    overlay, read_facts, vendor,
};
use pinwise_discover::{Assembly, AssemblyError, TextKind};
use pinwise_testkit::common::description;

fn at(address: &str) -> PciAddr {
    address.parse().unwrap()
}

/// The 8-GPU host without what only another source than sysfs knows.
fn bare() -> HostSpec {
    let mut host = description("hgx-h200-snc2");
    host.gpu_links.clear();
    host.fabric_partitions.clear();
    host.devices.iter_mut().for_each(|device| device.name = None);
    host.mark_source("sysfs");
    host
}

fn gpus(host: &HostSpec) -> Vec<PciAddr> {
    host.clone().build().unwrap().gpus().iter().map(|gpu| gpu.address).collect()
}

/// A table of `count` GPUs with NV18 between all, on these nodes.
fn topo(nodes: &[u32]) -> String {
    let names: Vec<String> = (0..nodes.len()).map(|gpu| format!("GPU{gpu}")).collect();
    let mut text = format!("\t{}\tCPU Affinity\tNUMA Affinity\n", names.join("\t"));
    for (gpu, node) in nodes.iter().enumerate() {
        let cell = |other: usize| if other == gpu { " X " } else { "NV18" };
        let cells: Vec<_> = (0..nodes.len()).map(cell).collect();
        text += &format!("GPU{gpu}\t{}\tN/A\t{node}\n", cells.join("\t"));
    }
    text
}

fn lay(host: &mut HostSpec, text: &str) -> Report {
    overlay(host, &read_facts(text).unwrap())
}

fn said(laid: &Report) -> Vec<String> {
    laid.conflicts.iter().map(ToString::to_string).collect()
}

#[test]
fn links_that_the_host_lacks_are_added_by_number_and_keep_their_source() {
    let mut host = bare();
    let laid = lay(&mut host, &topo(&[0, 0, 0, 0, 2, 2, 2, 2]));
    assert_eq!((laid.conflicts.len(), laid.notes.len()), (0, 0), "{laid:?}");
    assert_eq!(host.gpu_links.len(), 28);
    let gpus = gpus(&host);
    let link = host.gpu_links.iter().find(|link| (link.a, link.b) == (gpus[1], gpus[6])).unwrap();
    assert_eq!((link.kind, link.count), (GpuLinkKind::NvLink, 18));
    assert_eq!(host.source_of(Part::GpuLinks), "nvidia-smi topo -m");
    assert_eq!(host.source_of(Part::Pci), "sysfs");
    let line = host_line(&host.clone().build().unwrap());
    let sources = "; CPUs, memory, distances, PCI from sysfs; GPU links from nvidia-smi topo -m";
    assert!(line.ends_with(sources), "{line}");
    // Provenance survives the snapshot, byte for byte.
    let text = write_host(host.build().unwrap().description());
    let back = read_host(&text).unwrap();
    assert_eq!(back.source_of(Part::GpuLinks), "nvidia-smi topo -m");
    assert_eq!(write_host(&back), text);
}

#[test]
fn another_number_of_gpus_gives_nothing_but_a_conflict_with_both_numbers() {
    let mut host = bare();
    let before = host.clone();
    let laid = lay(&mut host, &topo(&[0, 0, 0, 0, 2, 2, 2]));
    assert_eq!(host, before);
    let sentence = "nvidia-smi topo -m numbers 7 GPUs, but sysfs has 8 of that vendor: all its facts about \
                    GPUs are ignored";
    assert_eq!(said(&laid), [sentence]);
    assert!(matches!(laid.conflicts[0], SourceConflict::GpuCount { found: 7, host: 8, .. }));
}

#[test]
fn gpus_on_other_nodes_are_another_machines() {
    let mut host = bare();
    let before = host.clone();
    let laid = lay(&mut host, &topo(&[2, 2, 2, 2, 0, 0, 0, 0]));
    assert_eq!(host, before);
    assert!(matches!(laid.conflicts[0], SourceConflict::OtherNodes { .. }), "{laid:?}");
    assert!(said(&laid)[0].contains("on node 2, but sysfs puts it on node 0"), "{laid:?}");
}

#[test]
fn gpus_near_another_packages_pcpus_are_another_machines() {
    let text = topo(&[0, 0, 0, 0, 2, 2, 2, 2]);
    let near = |cpus: &str| text.replacen("N/A\t0", &format!("{cpus}\t0"), 1);
    let mut host = bare();
    let before = host.clone();
    // Node 0 has 0-23 and 96-119; 48 is on the other package.
    let laid = lay(&mut host, &near("0-48"));
    assert_eq!(host, before);
    assert!(said(&laid)[0].contains("on node 0 with pCPUs 0-48, but sysfs puts it on"), "{laid:?}");
    // The whole package instead of the node: said, and the links are taken.
    let laid = lay(&mut host, &near("0-47,96-143"));
    let sentence = "the pCPUs of the node of 0000:1b:00.0: 0-23,96-119 from sysfs, 0-47,96-143 from \
                    nvidia-smi topo -m; sysfs is used";
    assert_eq!((said(&laid), host.gpu_links.len()), (vec![sentence.to_owned()], 28));
    // One that the kernel has and the table lacks is no conflict.
    let mut host = bare();
    assert!(lay(&mut host, &near("0-23,96-118")).conflicts.is_empty());
}

#[test]
fn a_virtual_function_is_not_counted_and_another_vendors_gpu_neither() {
    let mut host = bare();
    let whole = host.devices.iter().find(|d| d.address == at("1b:00.0")).unwrap().clone();
    let mut share = whole.clone();
    (share.address, share.physical_function) = (at("1b:00.1"), Some(whole.address));
    let mut other = whole;
    (other.address, other.vendor) = (at("1b:00.2"), vendor::AMD);
    host.devices.extend([share, other]);
    let laid = lay(&mut host, &topo(&[0, 0, 0, 0, 2, 2, 2, 2]));
    assert_eq!((host.gpu_links.len(), laid.conflicts.len()), (28, 0), "{laid:?}");
    assert!(host.gpu_links.iter().all(|link| link.a.function == 0 && link.b.function == 0));
}

#[test]
fn unknown_nodes_of_devices_are_filled_and_known_ones_stay() {
    let mut host = bare();
    for device in &mut host.devices {
        device.node.take_if(|_| device.address == at("1b:00.0"));
    }
    let laid = lay(&mut host, &topo(&[0, 0, 0, 0, 2, 2, 2, 2]));
    assert!(laid.conflicts.is_empty(), "{laid:?}");
    let node = host.devices.iter().find(|d| d.address == at("1b:00.0")).unwrap().node;
    assert_eq!(node, Some(NodeId(0)));
    assert_eq!(host.source_of(Part::DeviceNodes), "nvidia-smi topo -m");
}

/// As NVML tells: by address.
fn nvml(host: &HostSpec) -> Facts {
    let mut facts = Facts { source: "NVML".to_owned(), ..Facts::default() };
    for address in gpus(host) {
        let model = Some("NVIDIA H200".to_owned());
        facts.gpus.push(GpuFacts { model, ..GpuFacts::new(GpuName::At(address)) });
    }
    facts
}

#[test]
fn the_source_with_addresses_comes_first_whatever_the_order() {
    let host = bare();
    let gpus = gpus(&host);
    let mut exact = nvml(&host);
    let (a, b) = (GpuName::At(gpus[0]), GpuName::At(gpus[1]));
    exact.links.push(LinkFacts { a, b, kind: GpuLinkKind::NvLink, count: Some(12) });
    let numbered = read_facts(&topo(&[0, 0, 0, 0, 2, 2, 2, 2])).unwrap().remove(0);
    let mut results = Vec::new();
    for facts in [[exact.clone(), numbered.clone()], [numbered, exact]] {
        let mut host = host.clone();
        let laid = overlay(&mut host, &facts);
        assert_eq!(
            said(&laid),
            [format!(
                "the links of {}-{}: 12 x NVLink from NVML, 18 x NVLink from nvidia-smi topo -m; \
                 NVML is used",
                gpus[0], gpus[1]
            )]
        );
        assert_eq!(host.gpu_links.iter().filter(|link| link.count == 12).count(), 1);
        results.push(host);
    }
    assert_eq!(results[0], results[1]);
}

#[test]
fn names_come_from_the_vendor_and_contradictions_are_one_conflict() {
    let mut host = bare();
    for device in &mut host.devices {
        device.name = Some("GH100 [H200 SXM 141GB]".to_owned());
    }
    let facts = nvml(&host);
    let laid = overlay(&mut host, std::slice::from_ref(&facts));
    assert_eq!(laid.conflicts.len(), 1, "eight GPUs, one sentence: {laid:?}");
    assert!(said(&laid)[0].ends_with("NVML is used"), "{laid:?}");
    assert!(host.clone().build().unwrap().gpus().iter().all(|gpu| gpu.model == "NVIDIA H200"));
    assert_eq!(host.source_of(Part::GpuNames), "NVML");
    // The longer of two names that agree is no conflict.
    let mut host = bare();
    host.devices.iter_mut().for_each(|device| device.name = Some("h200".to_owned()));
    let laid = overlay(&mut host, &[facts]);
    assert!(laid.conflicts.is_empty(), "{laid:?}");
    assert!(host.build().unwrap().gpus().iter().all(|gpu| gpu.model == "NVIDIA H200"));
}

#[test]
fn links_of_pcie_partitions_and_mig_are_laid_over_too() {
    let mut host = bare();
    let gpus = gpus(&host);
    let mut facts = nvml(&host);
    let state = LinkState { mts: 32_000, width: 16 };
    for gpu in &mut facts.gpus {
        (gpu.link_now, gpu.link_max, gpu.mig) = (Some(state), Some(state), Some(false));
    }
    facts.gpus[0].mig = Some(true);
    let names: Vec<_> = gpus[..2].iter().copied().map(GpuName::At).collect();
    facts.partitions.push(PartitionFacts { id: 3, gpus: names });
    facts.partitions.push(PartitionFacts { id: 4, gpus: vec![GpuName::At(at("ff:00.0"))] });
    let laid = overlay(&mut host, &[facts.clone()]);
    let device = host.devices.iter().find(|d| d.address == gpus[0]).unwrap();
    assert_eq!((device.link_now, device.link_max), (Some(state), Some(state)));
    assert_eq!(host.fabric_partitions.len(), 1);
    assert_eq!(host.fabric_partitions[0].gpus, &gpus[..2]);
    assert!(said(&laid)[0].contains("a GPU of partition 4, which the host does not have"));
    assert!(laid.notes.iter().any(|note| note.to_string().contains("MIG")), "{laid:?}");
    // Once more with another limit: the known one stays.
    facts.gpus[0].link_max = Some(LinkState { mts: 16_000, width: 16 });
    let laid = overlay(&mut host, &[facts]);
    assert!(said(&laid).iter().any(|text| text.contains("32 GT/s x16")), "{laid:?}");
    host.build().unwrap();
}

#[test]
fn a_gpu_that_the_host_lacks_is_named() {
    let mut host = bare();
    let mut facts = nvml(&host);
    facts.gpus.push(GpuFacts::new(GpuName::At(at("00000000:FE:00.0"))));
    let laid = overlay(&mut host, &[facts]);
    assert_eq!(said(&laid), ["NVML names GPU 0000:fe:00.0, which the host does not have: ignored"]);
}

#[test]
fn nvlink_on_one_side_and_a_path_on_the_other_is_a_conflict() {
    let mut host = description("hgx-h200-snc2");
    let text = topo(&[0, 0, 0, 0, 2, 2, 2, 2]);
    // GPU0 and GPU1 have no link by this table: both cells of the pair.
    let text = text.replace("GPU0\t X \tNV18", "GPU0\t X \tSYS");
    let text = text.replace("GPU1\tNV18\t X ", "GPU1\tSYS\t X ");
    let facts = read_facts(&text).unwrap();
    assert_eq!((facts[0].links.len(), facts[0].paths.len()), (27, 1));
    let laid = overlay(&mut host, &facts);
    assert!(said(&laid).iter().any(|text| text.contains("none from nvidia-smi")), "{laid:?}");
}

fn node(id: u32) -> NodeFacts {
    NodeFacts {
        id: NodeId(id),
        cpus: None,
        memory: None,
        free: None,
        rounding: Bytes(1 << 20),
        distances: Vec::new(),
    }
}

#[test]
fn distances_fill_a_gap_as_a_whole_or_not_at_all() {
    let mut host = description("hgx-h200");
    host.nodes.iter_mut().for_each(|node| node.distances.clear());
    let row = |far: [u8; 2]| vec![(NodeId(0), Distance(far[0])), (NodeId(1), Distance(far[1]))];
    let mut facts = Facts { source: "numactl".to_owned(), ..Facts::default() };
    facts.nodes = vec![node(0), node(1), node(7)];
    facts.nodes[0].distances = row([10, 32]);
    let mut half = host.clone();
    let laid = overlay(&mut half, &[facts.clone()]);
    assert!(half.nodes.iter().all(|node| node.distances.is_empty()));
    assert!(laid.notes[0].to_string().contains("incomplete"), "{laid:?}");
    assert_eq!(said(&laid), ["numactl names node 7, which the host does not have: ignored"]);
    facts.nodes[1].distances = row([32, 10]);
    overlay(&mut host, &[facts.clone()]);
    assert_eq!(host.nodes[1].distances, [Distance(32), Distance(10)]);
    assert_eq!(host.source_of(Part::Distances), "numactl");
    facts.nodes[1].distances = row([21, 10]);
    let laid = overlay(&mut host, &[facts]);
    assert!(said(&laid)[1].contains("32 10 from numactl, 21 10 from numactl"), "{laid:?}");
}

#[test]
fn free_memory_is_taken_where_nobody_counted_it() {
    let mut host = description("hgx-h200");
    let base = |host: &HostSpec| {
        let host = host.clone().build().unwrap();
        let pool = host.nodes()[0].pools[0];
        (pool.total, pool.free)
    };
    let (total, _) = base(&host);
    let mut facts = Facts { source: "numactl".to_owned(), ..Facts::default() };
    facts.nodes = vec![node(0)];
    facts.nodes[0].free = Some(Bytes::from_gib(1));
    host.nodes[0].pools.retain(|pool| pool.size.is_huge());
    let mut host = host.build().unwrap().description().clone();
    assert_eq!(base(&host), (total, total), "all free, as nobody counted");
    overlay(&mut host, &[facts.clone()]);
    assert_eq!(base(&host), (total, 1 << 18));
    // Counted already: it stays.
    facts.nodes[0].free = Some(Bytes::from_gib(2));
    overlay(&mut host, &[facts.clone()]);
    assert_eq!(base(&host), (total, 1 << 18));
    // Another amount of memory is a conflict; one that was rounded is none.
    facts.nodes[0].memory = Some(Bytes(host.nodes[0].memory.0 - (1 << 20) + 1));
    assert!(overlay(&mut host, &[facts.clone()]).conflicts.is_empty());
    facts.nodes[0].memory = Some(Bytes::from_gib(3));
    assert!(said(&overlay(&mut host, &[facts]))[0].contains("the memory of node 0"));
}

const CAPABILITIES: &str = "<capabilities><host><topology><cells num='1'><cell id='0'>\
    <memory unit='KiB'>8388608</memory><cpus num='2'>\
    <cpu id='0' socket_id='0' core_id='0' siblings='0'/>\
    <cpu id='1' socket_id='0' core_id='1' siblings='1'/>\
    </cpus></cell></cells></topology></host></capabilities>";
const TOPOLOGY: &str = "<topology version=\"2.0\">\
    <object type=\"Machine\" os_index=\"0\" cpuset=\"0x3\"><object type=\"Package\" os_index=\"0\">\
    <object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x3\" local_memory=\"4294967296\"/>\
    <object type=\"Core\" os_index=\"0\"><object type=\"PU\" os_index=\"0\"/></object>\
    <object type=\"Core\" os_index=\"1\"><object type=\"PU\" os_index=\"1\"/></object>\
    <object type=\"Bridge\" bridge_type=\"0-1\"><object type=\"PCIDev\" pci_busid=\"0000:01:00.0\" \
    pci_type=\"0302 [10de:2335] [10de:18be] a1\"/></object>\
    </object></object></topology>";
const DEVICE: &str = "<device><name>pci_0000_01_00_0</name><capability type='pci'>\
    <class>0x030200</class><domain>0</domain><bus>1</bus><slot>0</slot><function>0</function>\
    <product id='0x2335'>GH100</product><vendor id='0x10de'/>\
    <iommuGroup number='7'><address domain='0' bus='1' slot='0' function='0'/></iommuGroup>\
    </capability></device>";

#[test]
fn sources_are_known_by_their_texts_and_the_more_specific_stays() {
    let mut assembly = Assembly::new();
    let numa =
        "available: 1 nodes (0)\nnode 0 cpus: 0 1\nnode 0 size: 4096 MB\nnode 0 free: 7 MB\n";
    for (name, text, kind) in [
        ("capabilities.xml", CAPABILITIES, TextKind::Capabilities),
        ("pci.xml", DEVICE, TextKind::NodeDevice),
        ("numa.txt", numa, TextKind::Facts),
        ("lstopo.xml", TOPOLOGY, TextKind::Lstopo),
    ] {
        assert_eq!(assembly.add_text(name, text).unwrap(), kind, "{name}");
    }
    let assembled = assembly.finish().unwrap();
    let host = assembled.host;
    let gpu = &host.devices[0];
    assert_eq!((gpu.iommu_group, gpu.name.as_deref()), (Some(7), Some("GH100")), "of libvirt");
    let conflicts: Vec<_> = assembled.conflicts.iter().map(ToString::to_string).collect();
    assert_eq!(
        conflicts,
        ["the memory of node 0: 4 GiB from XML of lstopo, 8 GiB from virsh capabilities; \
          XML of lstopo is used"]
    );
    assert_eq!(host.source_of(Part::Pci), "XML of lstopo and virsh capabilities");
    assert_eq!(host.source_of(Part::Memory), "XML of lstopo and numactl --hardware (numa.txt)");
    host.build().unwrap();
}

#[test]
fn what_makes_no_host_is_one_sentence() {
    let mut assembly = Assembly::new();
    let error = assembly.add_text("d.xml", "<domain/>").unwrap_err();
    assert_eq!(error.to_string(), "d.xml: a domain is a tenant, not a part of a host");
    let error = assembly.add_text("x.txt", "hello").unwrap_err().to_string();
    assert!(error.starts_with("x.txt: the text begins with"), "{error}");
    assembly.add_text("a.xml", TOPOLOGY).unwrap();
    let error = assembly.add_text("b.xml", TOPOLOGY).unwrap_err();
    assert_eq!(error.to_string(), "b.xml: XML of lstopo of the host was already given");
    let mut assembly = Assembly::new();
    assembly.add_text("pci.xml", DEVICE).unwrap();
    assert_eq!(assembly.finish().unwrap_err(), AssemblyError::NoHost);
}

#[test]
fn a_host_without_devices_takes_nccls() {
    let mut assembly = Assembly::new();
    let nccl = "<system version=\"1\"><cpu numaid=\"0\"><pci busid=\"0000:01:00.0\" \
                class=\"0x060400\" vendor=\"0x1000\" device=\"0xc030\">\
                <pci busid=\"0000:02:00.0\" class=\"0x030200\" vendor=\"0x10de\" device=\"0x2335\" \
                link_speed=\"32.0 GT/s PCIe\" link_width=\"16\"><gpu dev=\"0\"/></pci>\
                <pci busid=\"0000:03:00.0\" class=\"0x038000\"><gpu dev=\"1\"/></pci>\
                </pci></cpu></system>";
    assembly.add_text("capabilities.xml", CAPABILITIES).unwrap();
    assembly.add_text("nccl.xml", nccl).unwrap();
    let assembled = assembly.finish().unwrap();
    let host = assembled.host.build().unwrap();
    assert_eq!(host.gpus().len(), 1);
    let gpu = host.pci().get(at("02:00.0")).unwrap();
    assert_eq!((gpu.vendor, gpu.node), (PciId(0x10de), Some(NodeId(0))));
    assert_eq!(gpu.parent, Some(at("01:00.0")));
    let unknown = assembled.conflicts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(unknown[0].contains("GPU 0000:03:00.0, which the host does not have"), "{unknown:?}");
}
