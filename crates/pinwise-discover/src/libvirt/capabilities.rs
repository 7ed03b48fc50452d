//! A host from `virsh capabilities`.

use std::collections::BTreeMap;

use super::note::LibvirtNote;
use super::problem::LibvirtError;
use super::values::{decimal, list, memory};
use super::xml::{
    self, XmlNode, XmlValue, attribute, child, children, descend, missing, required, text, twice,
};
use crate::caches::Caches;
use crate::cores::{divide, renumber, smt_siblings};
use crate::kinds::guess_on_intel;
use crate::notes::Notes;
use crate::reading::Reading;
use pinwise::host::{CacheKind, CacheSpec, CoreSpec, HostSpec, L3Spec, NodeSpec};
use pinwise::host::{CoreKind, CpuVendor, PagePool};
use pinwise::sets::{CpuSet, NodeSet};
use pinwise::shown::plain;
use pinwise::units::{Bytes, Distance, Id, NodeId, PackageId, PageSize, PcpuId};

/// The parts of capabilities that show every pCPU, by their root element.
pub(crate) const PARTS: [&str; 3] = ["host", "topology", "cells"];

/// Reads what `virsh capabilities` prints: nodes, memory, page pools, distances, cores, L3 caches.
/// Devices are documents of their own, see [`add_node_devices`](super::add_node_devices).
///
/// Capabilities give the number of pages, not of free pages, so all pages are assumed free. They do
/// not give the host's name, frequencies, kinds of cores, isolated pCPUs or allowed pCPUs. Kinds of
/// cores are guessed on Intel hosts, with a note.
///
/// The parts `<host>`, `<topology>` and `<cells>` alone are read too, with a note.
///
/// # Errors
/// [`LibvirtError`] if the text is too long, is not XML of capabilities, has no host topology, or
/// has a malformed number or list.
pub fn read_capabilities(xml: &str) -> Result<Reading, LibvirtError> {
    let document = xml::parse(xml)?;
    let mut notes = Notes::default();
    let (host, cells) = parts(&document, &mut notes)?;
    let mut nodes = Vec::new();
    let mut cpus = CapabilityCpus::default();
    let mut seen = NodeSet::new();
    for cell in children(cells, "cell") {
        let node = node(cell, &mut cpus, &mut notes)?;
        if !seen.insert(node.id) {
            return Err(twice(cell, format!("cell {}", node.id)));
        }
        nodes.push((node, cell));
    }
    nodes.sort_by_key(|(node, _)| node.id);
    let nodes = distances(nodes, &mut notes)?;
    if nodes.iter().any(|node| !node.pools.is_empty()) {
        notes.add(LibvirtNote::AllFree);
    }
    let cores = cores(&cpus, &mut notes);
    let l3_domains = l3_domains(host, &cpus, &cores, &mut notes)?;
    let caches = caches(host, &cpus, &mut notes)?;
    let (cpu_vendor, cpu_model) = model(host)?;
    let mut host = HostSpec {
        name: "host".to_owned(),
        about: "read from libvirt's capabilities".to_owned(),
        cpu_vendor,
        cpu_model,
        nodes,
        cores,
        l3_domains,
        caches,
        offline: cpus.offline,
        ..HostSpec::default()
    };
    if let Some(sign) = guess_on_intel(&mut host) {
        notes.add(LibvirtNote::KindsGuessed { sign });
    }
    host.mark_source("virsh capabilities");
    Ok(Reading { host, notes: notes.finish() })
}

/// `<host>` and its `<cells>`. Of a part of capabilities, both are sought in the part.
fn parts<'a>(
    document: &'a roxmltree::Document<'a>,
    notes: &mut Notes,
) -> Result<(XmlNode<'a>, XmlNode<'a>), LibvirtError> {
    let root = document.root_element();
    let Some(part) = PARTS.into_iter().find(|part| root.has_tag_name(*part)) else {
        let root = xml::root(document, "capabilities")?;
        let host = child(root, "host")?.ok_or_else(|| missing(root, "<host>"))?;
        let cells = descend(host, &["topology", "cells"])?;
        return Ok((host, cells.ok_or_else(|| missing(host, "<topology> with <cells>"))?));
    };
    let way: &[&'static str] = match part {
        "cells" => &[],
        "topology" => &["cells"],
        _ => &["topology", "cells"],
    };
    let cells = descend(root, way)?.ok_or_else(|| missing(root, "<cells>"))?;
    notes.add(LibvirtNote::InPart { part });
    Ok((root, cells))
}

/// The attributes of one online pCPU.
struct Cpu {
    package: Option<u32>,
    die: u32,
    core: Option<u32>,
    siblings: CpuSet,
}

#[derive(Default)]
struct CapabilityCpus {
    online: BTreeMap<PcpuId, Cpu>,
    offline: CpuSet,
}

fn below<T: Id>(value: &XmlValue<'_>, what: &'static str) -> Result<T, LibvirtError> {
    let id = |text: &str| u32::try_from(decimal(text)?).ok().filter(|id| *id < T::LIMIT);
    value.parse(what, id).map(T::from_index)
}

/// An index of the kernel; `None` if the attribute is absent or -1, the kernel's word for unknown.
fn index(node: XmlNode<'_>, name: &'static str) -> Result<Option<u32>, LibvirtError> {
    let Some(value) = attribute(node, name) else { return Ok(None) };
    if value.trimmed() == "-1" {
        return Ok(None);
    }
    value.parse("a number", |text| u32::try_from(decimal(text)?).ok()).map(Some)
}

fn node(
    cell: XmlNode<'_>,
    cpus: &mut CapabilityCpus,
    notes: &mut Notes,
) -> Result<NodeSpec, LibvirtError> {
    let id: NodeId = below(&required(cell, "id")?, "a node's number")?;
    let mut own = CpuSet::new();
    let listed = child(cell, "cpus")?;
    for cpu in listed.into_iter().flat_map(|cpus| children(cpus, "cpu")) {
        let pcpu: PcpuId = below(&required(cpu, "id")?, "a pCPU's number")?;
        let siblings = attribute(cpu, "siblings");
        let package = index(cpu, "socket_id")?;
        if siblings.is_none() && package.is_none() {
            // For an offline pCPU, libvirt writes the id and nothing else.
            cpus.offline.insert(pcpu);
            continue;
        }
        let siblings = siblings.map(|value| value.parse("a list of pCPUs", list)).transpose()?;
        let core = index(cpu, "core_id")?;
        let die = index(cpu, "die_id")?.unwrap_or(0);
        let siblings = siblings.unwrap_or_default();
        if cpus.online.insert(pcpu, Cpu { package, die, core, siblings }).is_some() {
            return Err(twice(cpu, format!("pCPU {pcpu}")));
        }
        own.insert(pcpu);
    }
    let (memory, pools) = pools(cell, id, notes)?;
    Ok(NodeSpec { id, cpus: own, memory, pools, distances: Vec::new() })
}

/// The memory of a node, and the page pools that divide it.
fn pools(
    cell: XmlNode<'_>,
    id: NodeId,
    notes: &mut Notes,
) -> Result<(Bytes, Vec<PagePool>), LibvirtError> {
    let mut told = BTreeMap::new();
    for pages in children(cell, "pages") {
        let value = required(pages, "size")?;
        let size = memory(pages, &value)?;
        let size = PageSize::from_kib(size.kib()).filter(|page| page.bytes() == size.0);
        let size = size.ok_or_else(|| value.bad("a page size"))?;
        let count = text(pages, "pages").parse("a number of pages", decimal)?;
        if told.insert(size, count).is_some() {
            return Err(twice(pages, format!("the pool of {size}")));
        }
    }
    let total = match child(cell, "memory")? {
        Some(node) => memory(node, &text(node, "memory"))?,
        // Old versions of libvirt write only the pages, or neither.
        None => Bytes(
            told.iter().fold(0, |sum: u64, (size, count)| sum.saturating_add(size.times(*count).0)),
        ),
    };
    if total == Bytes::ZERO {
        notes.add(LibvirtNote::NoMemory { node: id });
    }
    let base = told.keys().copied().find(|size| !size.is_huge()).unwrap_or(PageSize::KIB_4);
    let mut rest = total;
    let mut pools = Vec::new();
    for (size, count) in told.into_iter().filter(|(size, _)| size.is_huge()) {
        let fits = count.min(rest.0 / size.bytes());
        if fits != count {
            let (node, page_size, told, memory) = (id, size, count, rest);
            notes.add(LibvirtNote::PagesCut { node, page_size, told, memory });
        }
        rest = rest.saturating_sub(size.times(fits));
        pools.push(PagePool { size, total: fits, free: fits });
    }
    let count = rest.0 / base.bytes();
    pools.insert(0, PagePool { size: base, total: count, free: count });
    Ok((total, pools))
}

/// The nodes with their rows of distances, each row in the order of the nodes. The whole table is
/// left out if a distance is missing or is not a relative distance.
fn distances(
    nodes: Vec<(NodeSpec, XmlNode<'_>)>,
    notes: &mut Notes,
) -> Result<Vec<NodeSpec>, LibvirtError> {
    let ids: Vec<NodeId> = nodes.iter().map(|(node, _)| node.id).collect();
    let mut rows = Vec::with_capacity(ids.len());
    for (node, cell) in &nodes {
        let mut told = BTreeMap::new();
        let siblings = child(*cell, "distances")?;
        for sibling in siblings.into_iter().flat_map(|node| children(node, "sibling")) {
            let id: NodeId = below(&required(sibling, "id")?, "a node's number")?;
            let distance = |text: &str| u8::try_from(decimal(text)?).ok().map(Distance);
            let value = required(sibling, "value")?;
            told.insert(id, value.parse("a relative distance up to 255", distance)?);
        }
        let sound = |to: &NodeId| {
            let distance = *told.get(to)?;
            let local = *to == node.id;
            let fine = (distance == Distance::LOCAL) == local && distance >= Distance::LOCAL;
            fine.then_some(distance)
        };
        rows.extend(ids.iter().map(sound).collect::<Option<Vec<_>>>());
    }
    let mut nodes: Vec<_> = nodes.into_iter().map(|(node, _)| node).collect();
    if rows.len() == nodes.len() {
        nodes.iter_mut().zip(rows).for_each(|(node, row)| node.distances = row);
    } else if nodes.len() > 1 {
        notes.add(LibvirtNote::BadDistances);
    }
    Ok(nodes)
}

fn cores(cpus: &CapabilityCpus, notes: &mut Notes) -> Vec<CoreSpec> {
    let online: CpuSet = cpus.online.keys().copied().collect();
    let named = |(pcpu, cpu): (&PcpuId, &Cpu)| {
        let mut siblings = cpu.siblings.intersection(&online);
        siblings.insert(*pcpu);
        (*pcpu, siblings)
    };
    let named: Vec<_> = cpus.online.iter().map(named).collect();
    let mut unnumbered = false;
    let mut specs = Vec::new();
    for pcpus in smt_siblings(&named, notes) {
        let Some(cpu) = pcpus.first().and_then(|first| cpus.online.get(&first)) else { continue };
        unnumbered |= cpu.core.is_none();
        specs.push(CoreSpec {
            package: PackageId(cpu.package.unwrap_or(0)),
            die: cpu.die,
            core: cpu.core.unwrap_or(0),
            kind: CoreKind::default(),
            max_mhz: None,
            pcpus,
        });
    }
    renumber(&mut specs, unnumbered, notes);
    specs
}

fn l3_domains(
    host: XmlNode<'_>,
    cpus: &CapabilityCpus,
    cores: &[CoreSpec],
    notes: &mut Notes,
) -> Result<Vec<L3Spec>, LibvirtError> {
    let online: CpuSet = cpus.online.keys().copied().collect();
    let mut domains = Vec::new();
    let mut seen = CpuSet::new();
    let banks = child(host, "cache")?;
    for bank in banks.into_iter().flat_map(|cache| children(cache, "bank")) {
        if bank.attribute("level") != Some("3") || bank.attribute("type") == Some("code") {
            continue;
        }
        let named: CpuSet = required(bank, "cpus")?.parse("a list of pCPUs", list)?;
        let size = attribute(bank, "size").map(|size| memory(bank, &size)).transpose()?;
        let named = named.intersection(&online);
        if named.intersects(&seen) {
            notes.add(LibvirtNote::InSeveralL3 { pcpus: named });
            return Ok(Vec::new());
        }
        seen.extend(&named);
        let size = size.filter(|size| *size != Bytes::ZERO);
        domains.push(L3Spec { cpus: named, size });
    }
    let sets: Vec<CpuSet> = domains.iter().map(|l3| l3.cpus.clone()).collect();
    Ok(if divide(&sets, cores, notes) { Vec::new() } else { domains })
}

/// The caches of levels other than 3, if libvirt shows them.
fn caches(
    host: XmlNode<'_>,
    cpus: &CapabilityCpus,
    notes: &mut Notes,
) -> Result<Vec<CacheSpec>, LibvirtError> {
    let online: CpuSet = cpus.online.keys().copied().collect();
    let mut caches = Caches::default();
    let banks = child(host, "cache")?;
    for bank in banks.into_iter().flat_map(|cache| children(cache, "bank")) {
        let level = bank.attribute("level").and_then(|level| level.parse().ok());
        let Some(level) = level.filter(|level| Caches::is_told(*level)) else { continue };
        let kind = match bank.attribute("type") {
            Some("data") => CacheKind::Data,
            Some("code") => CacheKind::Instruction,
            Some("both") => CacheKind::Unified,
            _ => continue,
        };
        let named: CpuSet = required(bank, "cpus")?.parse("a list of pCPUs", list)?;
        let size = attribute(bank, "size").map(|size| memory(bank, &size)).transpose()?;
        caches.add(level, kind, size, named.intersection(&online));
    }
    Ok(caches.finish(notes))
}

/// The CPU's vendor, and the model that libvirt matched it with.
fn model(host: XmlNode<'_>) -> Result<(CpuVendor, String), LibvirtError> {
    let Some(cpu) = child(host, "cpu")? else { return Ok((CpuVendor::Other, String::new())) };
    let vendor = child(cpu, "vendor")?.map(|node| text(node, "vendor"));
    let vendor = match vendor.as_ref().map_or("", |vendor| vendor.trimmed()) {
        "Intel" => CpuVendor::Intel,
        "AMD" | "Hygon" => CpuVendor::Amd,
        _ => CpuVendor::Other,
    };
    let model = child(cpu, "model")?.map(|node| plain(text(node, "model").raw()));
    Ok((vendor, model.unwrap_or_default()))
}
