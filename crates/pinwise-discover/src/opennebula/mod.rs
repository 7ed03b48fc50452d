//! A host of OpenNebula with its VMs, from `onehost show -x`.
//!
//! It shows nodes, cores, hugepages and the PCI functions that match a filter, and which VM has
//! which pCPUs and functions. Packages, caches, distances and IOMMU groups are not told: each node
//! counts as a package, which a note says.

pub(crate) mod note;

use std::collections::{BTreeMap, BTreeSet};

use crate::libvirt::LibvirtError;
use crate::libvirt::xml::{
    self, XmlNode, XmlValue, child, children, descend, missing, root, text, twice,
};
use crate::notes::{Note, Notes};
use crate::reading::Reading;
pub use note::OpenNebulaNote;
use pinwise::host::{
    CoreSpec, HostSpec, MAX_PCI_FUNCTIONS, NodeSpec, PagePool, PciClass, PciDevice, PciId,
};
use pinwise::sets::{CpuSet, NodeSet};
use pinwise::shown::plain;
use pinwise::units::{Bytes, Id, NodeId, PackageId, PageSize, PciAddr, PcpuId};
use pinwise::usage::Claim;

/// A host of OpenNebula.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OneHost {
    /// The host, and notes on what was assumed.
    pub reading: Reading,
    /// Its VMs, each with its pCPUs and PCI functions, for
    /// [`Usage::with_running`](pinwise::Usage::with_running).
    pub tenants: Vec<(String, Claim)>,
}

/// Reads what `onehost show -x` prints. A VM's pCPUs are dedicated to it, unless several VMs are on
/// one.
///
/// # Errors
/// [`LibvirtError`] if the text is too long, is not such XML, has no `NUMA_NODES`, or has a
/// malformed value.
pub fn read_onehost(xml: &str) -> Result<OneHost, LibvirtError> {
    let document = xml::parse(xml)?;
    let root = root(&document, "HOST")?;
    let share = child(root, "HOST_SHARE")?.ok_or_else(|| missing(root, "<HOST_SHARE>"))?;
    let all = child(share, "NUMA_NODES")?.ok_or_else(|| missing(share, "<NUMA_NODES>"))?;
    let mut held = Held::default();
    let (mut nodes, mut cores, mut seen) = (Vec::new(), Vec::new(), NodeSet::new());
    for node in children(all, "NODE") {
        let spec = numa_node(node, &mut cores, &mut held)?;
        if !seen.insert(spec.id) {
            return Err(twice(node, format!("node {}", spec.id)));
        }
        nodes.push(spec);
    }
    nodes.sort_by_key(|node| node.id);
    let devices = devices(share, &seen, &mut held)?;
    let named = child(root, "NAME")?.map(|name| plain(text(name, "NAME").raw()));
    let mut host = HostSpec {
        name: named.filter(|name| !name.is_empty()).unwrap_or_else(|| "host".to_owned()),
        about: "read from onehost show -x".to_owned(),
        nodes,
        cores,
        devices,
        ..HostSpec::default()
    };
    host.mark_source("onehost show");
    let mut notes = Notes::default();
    if host.nodes.len() > 1 {
        notes.add(OpenNebulaNote::NodesArePackages);
    }
    if !held.reserved.is_empty() {
        notes.add(OpenNebulaNote::Reserved { pcpus: held.reserved.clone() });
    }
    let tenants = held.tenants();
    if !tenants.is_empty() {
        notes.add(OpenNebulaNote::MemoryOfNobody { vms: tenants.len() });
    }
    let notes: Vec<Note> = notes.finish();
    Ok(OneHost { reading: Reading { host, notes }, tenants })
}

/// Who has what.
#[derive(Default)]
struct Held {
    /// The VMs on each pCPU.
    pcpus: BTreeMap<PcpuId, BTreeSet<u32>>,
    /// The functions of each VM.
    devices: BTreeMap<u32, Vec<PciAddr>>,
    reserved: CpuSet,
}

impl Held {
    fn tenants(self) -> Vec<(String, Claim)> {
        let mut claims: BTreeMap<u32, Claim> = BTreeMap::new();
        for (pcpu, vms) in &self.pcpus {
            for vm in vms {
                let claim = claims.entry(*vm).or_default();
                let place = if vms.len() == 1 { &mut claim.dedicated } else { &mut claim.floating };
                place.insert(*pcpu);
            }
        }
        for (vm, devices) in self.devices {
            claims.entry(vm).or_default().devices = devices;
        }
        claims.into_iter().map(|(vm, claim)| (format!("VM {vm}"), claim)).collect()
    }
}

/// The text of a child; an error if it is absent.
fn value<'a>(node: XmlNode<'a>, name: &'static str) -> Result<XmlValue<'a>, LibvirtError> {
    Ok(text(child(node, name)?.ok_or_else(|| missing(node, name))?, name))
}

fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A number; 0 if the element is absent.
fn amount(node: XmlNode<'_>, name: &'static str) -> Result<u64, LibvirtError> {
    match child(node, name)? {
        Some(child) => text(child, name).parse("a number", decimal),
        None => Ok(0),
    }
}

fn id<T: Id>(text: &str) -> Option<T> {
    let id = u32::try_from(decimal(text)?).ok().filter(|id| *id < T::LIMIT);
    id.map(T::from_index)
}

fn numa_node(
    node: XmlNode<'_>,
    cores: &mut Vec<CoreSpec>,
    held: &mut Held,
) -> Result<NodeSpec, LibvirtError> {
    let number: NodeId = value(node, "NODE_ID")?.parse("a node's number", id)?;
    let mut cpus = CpuSet::new();
    for (core, at) in children(node, "CORE").zip(0..) {
        let list = value(core, "CPUS")?;
        let mut own = CpuSet::new();
        // `0:-1,1:12,1:14`: a pCPU and a VM on it; -1 is nobody, -2 is kept from VMs.
        for word in list.trimmed().split(',').filter(|word| !word.is_empty()) {
            let (pcpu, vm) = word.split_once(':').unwrap_or((word, "-1"));
            let bad = || list.bad("a list of pCPUs and VMs such as 0:-1,4:12");
            let pcpu: PcpuId = id(pcpu).ok_or_else(bad)?;
            own.insert(pcpu);
            match vm {
                "-1" => {}
                "-2" => _ = held.reserved.insert(pcpu),
                vm => {
                    let vm = decimal(vm).and_then(|vm| u32::try_from(vm).ok()).ok_or_else(bad)?;
                    held.pcpus.entry(pcpu).or_default().insert(vm);
                }
            }
        }
        if own.is_empty() {
            continue;
        }
        if own.intersects(&cpus) {
            return Err(twice(core, format!("a pCPU of {own}")));
        }
        cpus.extend(&own);
        cores.push(CoreSpec::new(PackageId(number.0), at, own));
    }
    let memory = child(node, "MEMORY")?.ok_or_else(|| missing(node, "<MEMORY>"))?;
    let kib = |kib: u64| Bytes(kib.saturating_mul(1024));
    let total = kib(value(memory, "TOTAL")?.parse("a number of KiB", decimal)?);
    let (pools, memory) = pools(node, total, kib(amount(memory, "USAGE")?))?;
    Ok(NodeSpec { id: number, cpus, memory, pools, distances: Vec::new() })
}

/// The pools of a node, and its memory. The memory in use includes that in hugepages.
fn pools(
    node: XmlNode<'_>,
    total: Bytes,
    used: Bytes,
) -> Result<(Vec<PagePool>, Bytes), LibvirtError> {
    let (mut rest, mut used, mut pools) = (total, used, Vec::new());
    for page in children(node, "HUGEPAGE") {
        let named = value(page, "SIZE")?;
        let size = named.parse("a page size in KiB", |text| PageSize::from_kib(decimal(text)?))?;
        if pools.iter().any(|pool: &PagePool| pool.size == size) {
            return Err(twice(page, format!("the pool of {size}")));
        }
        let count = amount(page, "PAGES")?.min(rest.0 / size.bytes());
        let taken = amount(page, "USAGE")?.min(count);
        rest = rest.saturating_sub(size.times(count));
        used = used.saturating_sub(size.times(taken));
        if size.is_huge() {
            pools.push(PagePool { size, total: count, free: count - taken });
        }
    }
    let size = PageSize::KIB_4;
    let count = rest.0 / size.bytes();
    let free = rest.saturating_sub(used).0 / size.bytes();
    pools.insert(0, PagePool { size, total: count, free });
    Ok((pools, total))
}

fn devices(
    share: XmlNode<'_>,
    nodes: &NodeSet,
    held: &mut Held,
) -> Result<Vec<PciDevice>, LibvirtError> {
    let mut devices: Vec<PciDevice> = Vec::new();
    let mut seen = BTreeSet::new();
    let all = descend(share, &["PCI_DEVICES"])?;
    for node in all.into_iter().flat_map(|all| children(all, "PCI")) {
        // `0000:02:00:0`, with a colon before the function.
        let address = value(node, "ADDRESS")?.parse("an address such as 0000:02:00:0", |text| {
            let (rest, function) = text.rsplit_once([':', '.'])?;
            format!("{rest}.{function}").parse::<PciAddr>().ok()
        })?;
        if !seen.insert(address) {
            return Err(twice(node, format!("function {address}")));
        }
        if devices.len() >= MAX_PCI_FUNCTIONS {
            return Err(
                value(node, "ADDRESS")?.bad("one of at most as many functions as a host has")
            );
        }
        let hex = |text: &str| u16::from_str_radix(text, 16).ok().filter(|_| text.len() == 4);
        let code = |name| value(node, name)?.parse("four hexadecimal digits", hex);
        let class = PciClass(u32::from(code("CLASS")?) << 8);
        let (vendor, device) = (PciId(code("VENDOR")?), PciId(code("DEVICE")?));
        let mut new = PciDevice::new(address, class, vendor, device);
        let name = child(node, "DEVICE_NAME")?.map(|name| plain(text(name, "DEVICE_NAME").raw()));
        new.name = name.filter(|name| !name.is_empty());
        let near = child(node, "NUMA_NODE")?.map(|node| text(node, "NUMA_NODE"));
        new.node = near.and_then(|node| id(node.trimmed())).filter(|node| nodes.contains(*node));
        if let Some(vm) = child(node, "VMID")? {
            let vm = text(vm, "VMID");
            if !vm.trimmed().starts_with('-') {
                let number = |text: &str| u32::try_from(decimal(text)?).ok();
                let vm = vm.parse("the number of a VM, or -1", number)?;
                held.devices.entry(vm).or_default().push(address);
            }
        }
        devices.push(new);
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::read_onehost;

    /// Made up, in OpenNebula's form.
    const TEXT: &str = "<HOST><ID>1</ID><NAME>made-up</NAME><HOST_SHARE><NUMA_NODES>
<NODE><NODE_ID><![CDATA[0]]></NODE_ID>
<CORE><CPUS><![CDATA[0:-1,4:-1]]></CPUS><DEDICATED>NO</DEDICATED><FREE>2</FREE><ID>0</ID></CORE>
<CORE><CPUS><![CDATA[1:12,5:12]]></CPUS><ID>1</ID></CORE>
<HUGEPAGE><PAGES>512</PAGES><SIZE>2048</SIZE><USAGE>128</USAGE></HUGEPAGE>
<MEMORY><DISTANCE>0 1</DISTANCE><TOTAL>4194304</TOTAL><USAGE>524288</USAGE></MEMORY></NODE>
<NODE><NODE_ID>1</NODE_ID>
<CORE><CPUS>2:-2,6:-2</CPUS><ID>0</ID></CORE><CORE><CPUS>3:12,3:14,7:-1</CPUS><ID>1</ID></CORE>
<MEMORY><DISTANCE>1 0</DISTANCE><TOTAL>4194304</TOTAL><USAGE>0</USAGE></MEMORY></NODE>
</NUMA_NODES><PCI_DEVICES><PCI><ADDRESS>0000:02:00:0</ADDRESS><CLASS>0302</CLASS>
<DEVICE>2335</DEVICE><DEVICE_NAME>Chip [Card]</DEVICE_NAME><NUMA_NODE>1</NUMA_NODE>
<VENDOR>10de</VENDOR><VMID>14</VMID></PCI></PCI_DEVICES></HOST_SHARE></HOST>";

    #[test]
    fn nodes_cores_pages_devices_and_vms_are_read() {
        let read = read_onehost(TEXT).unwrap();
        let notes: Vec<String> = read.reading.notes.iter().map(ToString::to_string).collect();
        assert_eq!(
            notes,
            [
                "OpenNebula does not tell packages: each node counts as one",
                "OpenNebula keeps pCPUs 2,6 from VMs; keep them with --reserve 2,6",
                "the memory of 2 VMs counts as used, but OpenNebula does not tell whose it is",
            ]
        );
        let host = read.reading.host.build().unwrap();
        assert_eq!((host.online().to_string().as_str(), host.cores().len()), ("0-7", 4));
        let pools: Vec<_> = host.nodes()[0].pools.iter().map(|p| (p.total, p.free)).collect();
        // 3 GiB of base pages. Beside the hugepages, 256 MiB are in use.
        assert_eq!(pools, [(786_432, 720_896), (512, 384)]);
        let gpu = &host.gpus()[0];
        assert_eq!(gpu.address.to_string(), "0000:02:00.0");
        let tenants: Vec<String> = read
            .tenants
            .iter()
            .map(|(name, claim)| {
                let devices = claim.devices.len();
                format!("{name}: {} {} {devices}", claim.dedicated, claim.floating)
            })
            .collect();
        assert_eq!(tenants, ["VM 12: 1,5 3 0", "VM 14:  3 1"]);
    }

    #[test]
    fn what_cannot_be_is_an_error_with_its_place() {
        for (from, to, sentence) in [
            (
                "1:12,5:12",
                "1:12,x",
                "line 4, column 13: CPUS \"1:12,x\" is not a list of pCPUs and VMs such as 0:-1,4:12",
            ),
            ("<NODE_ID>1<", "<NODE_ID>0<", "line 7, column 1: node 0 is repeated"),
            ("0302", "VGA", "line 10, column 70: CLASS \"VGA\" is not four hexadecimal digits"),
            ("1:12,5:12", "0:-1", "line 4, column 1: a pCPU of 0 is repeated"),
            (
                "SIZE>2048",
                "SIZE>2000",
                "line 5, column 35: SIZE \"2000\" is not a page size in KiB",
            ),
        ] {
            let error = read_onehost(&TEXT.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
    }
}
