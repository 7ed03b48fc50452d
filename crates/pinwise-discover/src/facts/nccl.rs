//! The topology that NCCL and RCCL write to `NCCL_TOPO_DUMP_FILE` and read from `NCCL_TOPO_FILE`.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Facts, FunctionFacts, GpuFacts, GpuName, LinkFacts, NicName};
use super::note::FactsNote;
use super::problem::FactsError;
use super::reader::Reader;
use crate::hwloc::parse_mask;
use crate::libvirt::LibvirtError;
use crate::libvirt::xml::{self, XmlNode, attribute, children, missing, required, twice};
use pinwise::host::{GpuLinkKind, LinkState, PciClass, PciId};
use pinwise::sets::CpuSet;
use pinwise::shown::{is_word, plain};
use pinwise::units::{Id as _, NodeId, PciAddr};

pub(super) const READER: Reader = Reader {
    name: "a topology of NCCL",
    command: "NCCL_TOPO_DUMP_FILE=topology.xml all_reduce_perf",
    describes_host: false,
    looks_like: |text| text.xml.is_some(),
    read: |text| text.xml.map(read).into_iter().collect(),
};

const SOURCE: &str = "NCCL's topology";
/// The largest depth: deeper than any tree of switches.
const MAX_DEPTH: usize = 64;
/// The largest number of functions: more than any host shows to NCCL.
const MAX_FUNCTIONS: usize = 16_384;
/// The largest number of GPUs: more than any host has.
const MAX_GPUS: usize = 256;
/// The largest number of targets of a GPU's links: more than any GPU has.
const MAX_TARGETS: usize = 64;
/// The largest number of links: more than any GPU has.
const MAX_LINKS: u32 = 1024;

/// The class of an NVSwitch as the target of a link.
const NVSWITCH: PciClass = PciClass(0x06_8000);

fn is_gpu(class: PciClass) -> bool {
    class.0 >> 16 == 0x03 || class.0 >> 8 == 0x1200
}

/// The surroundings of an element.
#[derive(Clone, Copy)]
struct Around<'c> {
    node: Option<NodeId>,
    cpus: &'c Option<CpuSet>,
    bridge: Option<PciAddr>,
    depth: usize,
}

#[derive(Default)]
struct Seen {
    functions: Vec<FunctionFacts>,
    seen: BTreeSet<PciAddr>,
    gpus: BTreeMap<PciAddr, GpuFacts>,
    nics: Vec<NicName>,
    /// The links of GPUs, by source and target.
    links: BTreeMap<(PciAddr, PciAddr), (GpuLinkKind, u32)>,
    /// The switches that links go to.
    switches: BTreeSet<PciAddr>,
    nodes: BTreeSet<NodeId>,
}

/// The facts of a topology. A `<graphs>` document, which NCCL derives from one, is refused.
fn read(text: &str) -> Result<Facts, FactsError> {
    let document = xml::parse(text)?;
    let root = xml::root(&document, "system")?;
    let mut found = Seen::default();
    for cpu in children(root, "cpu") {
        let node = attribute(cpu, "numaid").filter(|value| value.trimmed() != "-1");
        let id = |text: &str| {
            let id = super::lines::decimal(text).filter(|id| *id < NodeId::LIMIT);
            id.map(NodeId)
        };
        let node = node.map(|value| value.parse("a node's number or -1", id)).transpose()?;
        if let Some(node) = node.filter(|node| !found.nodes.insert(*node)) {
            return Err(twice(cpu, format!("the cpu of node {node}")).into());
        }
        let mask = attribute(cpu, "affinity");
        let mask = mask.map(|value| value.parse("a mask such as 0000ffff,00000000", parse_mask));
        let cpus = mask.transpose()?.filter(|cpus| !cpus.is_empty());
        // A NIC without its own PCI function is directly below the CPU.
        for net in children(cpu, "nic").flat_map(|nic| children(nic, "net")) {
            let name = attribute(net, "name").map(|name| plain(name.raw()));
            let name = name.filter(|name| is_word(name)).unwrap_or_else(|| "net".to_owned());
            found.nics.push(NicName::Called(name));
        }
        children_of(cpu, Around { node, cpus: &cpus, bridge: None, depth: 0 }, &mut found)?;
    }
    Ok(finish(found))
}

fn children_of(
    parent: XmlNode<'_>,
    above: Around<'_>,
    found: &mut Seen,
) -> Result<(), LibvirtError> {
    if above.depth > MAX_DEPTH {
        let element = attribute(parent, "busid");
        let element = element.ok_or_else(|| missing(parent, "busid"))?;
        return Err(element.bad("a function below at most 64 others"));
    }
    children(parent, "pci").try_for_each(|pci| function(pci, above, found))
}

fn address(node: XmlNode<'_>, name: &'static str) -> Result<PciAddr, LibvirtError> {
    let address = |text: &str| text.parse().ok().filter(|_| text.matches(':').count() == 2);
    required(node, name)?.parse("a PCI address such as 0000:1b:00.0", address)
}

fn function(pci: XmlNode<'_>, above: Around<'_>, found: &mut Seen) -> Result<(), LibvirtError> {
    let address = address(pci, "busid")?;
    if !found.seen.insert(address) {
        return Err(twice(pci, format!("function {address}")));
    }
    if found.functions.len() >= MAX_FUNCTIONS {
        return Err(required(pci, "busid")?.bad("one of at most 16384 functions"));
    }
    let class = attribute(pci, "class").map(|value| {
        value.parse("a PCI class such as 0x030200", |text| text.parse::<PciClass>().ok())
    });
    let class = class.transpose()?;
    let id = |name| {
        let value = attribute(pci, name).filter(|value| !value.trimmed().is_empty());
        let id = |text: &str| text.parse::<PciId>().ok();
        value.map(|value| value.parse("a PCI id such as 0x10de", id)).transpose()
    };
    let ids = id("vendor")?.zip(id("device")?);
    let link_max = link(pci)?;
    let (node, upper) = (above.node, above.bridge);
    found.functions.push(FunctionFacts {
        class,
        ids,
        node,
        above: upper,
        link_max,
        ..FunctionFacts::new(address)
    });
    let mut own = GpuFacts::new(GpuName::At(address));
    (own.node, own.cpus) = (node, above.cpus.clone());
    let mut gpus = children(pci, "gpu");
    if let Some(gpu) = gpus.next() {
        if let Some(second) = gpus.next() {
            return Err(twice(second, format!("the gpu of {address}")));
        }
        links(gpu, address, found)?;
        found.gpus.insert(address, own);
    } else if class.is_some_and(is_gpu) {
        // Topology files from cloud providers name only the functions.
        found.gpus.insert(address, own);
    } else if children(pci, "nic").next().is_some()
        || class.is_some_and(|class| class.0 >> 16 == 0x02)
    {
        found.nics.push(NicName::At(address));
    }
    children_of(pci, Around { bridge: Some(address), depth: above.depth + 1, ..above }, found)
}

/// The links of a GPU. NCCL lists links to one target together; if a file lists them apart, their
/// numbers add up.
fn links(gpu: XmlNode<'_>, own: PciAddr, found: &mut Seen) -> Result<(), LibvirtError> {
    let mut targets = BTreeSet::new();
    for (name, kind) in [("nvlink", GpuLinkKind::NvLink), ("xgmi", GpuLinkKind::Xgmi)] {
        for link in children(gpu, name) {
            let target = address(link, "target")?;
            let count = required(link, "count")?;
            let number = |text: &str| {
                super::lines::decimal(text).filter(|count| (1..=MAX_LINKS).contains(count))
            };
            let count = count.parse("a number of links", number)?;
            if target == own {
                return Err(required(link, "target")?.bad("another device's address"));
            }
            let class = attribute(link, "tclass");
            let class = class.map(|value| {
                value.parse("a PCI class such as 0x030200", |text| text.parse::<PciClass>().ok())
            });
            targets.insert(target);
            if targets.len() > MAX_TARGETS || found.gpus.len() > MAX_GPUS {
                return Err(required(link, "target")?.bad("one of 64 targets of one of 256 GPUs"));
            }
            let (known, sum) = found.links.entry((own, target)).or_insert((kind, 0));
            if *known != kind {
                return Err(twice(link, format!("a link of another kind to {target}")));
            }
            *sum = sum.saturating_add(count);
            let class = class.transpose()?;
            if class == Some(NVSWITCH) {
                found.switches.insert(target);
            } else if class.is_some_and(is_gpu) {
                // The target may be one that the file does not describe: NCCL writes only those of
                // one process.
                let unseen = || GpuFacts::new(GpuName::At(target));
                found.gpus.entry(target).or_insert_with(unseen);
            }
        }
    }
    Ok(())
}

/// Speed and width; nothing where either is not known.
fn link(pci: XmlNode<'_>) -> Result<Option<LinkState>, LibvirtError> {
    let value = |name| attribute(pci, name).filter(|value| !value.trimmed().is_empty());
    let (Some(speed), Some(width)) = (value("link_speed"), value("link_width")) else {
        return Ok(None);
    };
    if speed.trimmed().starts_with("Unknown") {
        return Ok(None);
    }
    let mts = speed.parse("a speed such as 16 GT/s or 32.0 GT/s PCIe", mts)?;
    let lanes = |text: &str| super::lines::decimal(text).and_then(|lanes| u8::try_from(lanes).ok());
    let width = width.parse("a number of lanes", lanes)?;
    Ok((width > 0 && width != u8::MAX).then_some(LinkState { mts, width }))
}

/// Thousandths of `16.0 GT/s PCIe`, `2.5 GT/s`, `8 GT/s`.
fn mts(speed: &str) -> Option<u32> {
    let (number, unit) = speed.split_once(' ')?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, tenth) = (super::lines::decimal(whole)?, super::lines::decimal(tenth)?);
    let sound = unit.starts_with("GT/s") && (1..1000).contains(&whole) && tenth < 10;
    sound.then(|| whole * 1000 + tenth * 100)
}

fn finish(found: Seen) -> Facts {
    let Seen { functions, mut gpus, nics, links, switches, .. } = found;
    let mut facts = Facts { source: SOURCE.to_owned(), functions, nics, ..Facts::default() };
    let mut lost = BTreeSet::new();
    for ((from, to), (kind, count)) in &links {
        if switches.contains(to) {
            continue;
        }
        if !gpus.contains_key(to) {
            lost.insert(*to);
            continue;
        }
        let back = links.get(&(*to, *from)).copied();
        if back.is_some() && from > to {
            continue;
        }
        // Both ends count the same links; a file that says otherwise is believed in the lower
        // number.
        let sure = back.map_or(*count, |(_, back)| back.min(*count));
        if let Some((other, back)) = back.filter(|back| *back != (*kind, *count)) {
            let (from, to) = (*from, *to);
            let note = if other == *kind {
                FactsNote::CountsDiffer { from, count: *count, to, back, taken: sure }
            } else {
                FactsNote::KindsDiffer { from, to }
            };
            facts.notes.push(note.into());
        }
        let (a, b) = (GpuName::At(*from), GpuName::At(*to));
        facts.links.push(LinkFacts { a, b, kind: *kind, count: Some(sure) });
    }
    for to in lost {
        facts.notes.push(FactsNote::LostTarget { to }.into());
    }
    let mut ports: BTreeMap<PciAddr, BTreeMap<PciAddr, u32>> = BTreeMap::new();
    for ((from, to), (_, count)) in links.iter().filter(|((_, to), _)| switches.contains(to)) {
        ports.entry(*from).or_default().insert(*to, *count);
    }
    facts.links.extend(switched(&ports));
    for (address, ports) in &ports {
        if let Some(gpu) = gpus.get_mut(address) {
            gpu.switch_links = Some(ports.values().fold(0, |sum, n| sum.saturating_add(*n)));
        }
    }
    facts.gpus = gpus.into_values().collect();
    facts
}

/// Behind switches a GPU reaches another with the links that both have to the same switch.
fn switched(ports: &BTreeMap<PciAddr, BTreeMap<PciAddr, u32>>) -> Vec<LinkFacts> {
    let mut links = Vec::new();
    for (a, mine) in ports {
        for (b, theirs) in ports.range(a..).skip(1).take(MAX_GPUS) {
            let shared = mine.iter().filter_map(|(switch, n)| Some(*n.min(theirs.get(switch)?)));
            let count = shared.fold(0, u32::saturating_add);
            if count > 0 {
                let (a, b) = (GpuName::At(*a), GpuName::At(*b));
                links.push(LinkFacts { a, b, kind: GpuLinkKind::NvLink, count: Some(count) });
            }
        }
    }
    links
}
