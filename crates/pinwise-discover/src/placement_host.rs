//! Hosts and their tenants in the format of scheduler benchmarks: `{"format": "placement-host/1",
//! …}`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use pinwise::host::{CoreKind, PagePool};
use pinwise::host::{
    CoreSpec, HostSpec, L3Spec, MAX_GPUS, MAX_NODES, MAX_PCI_FUNCTIONS, MAX_PCPUS, NodeSpec,
};
use pinwise::host::{PciClass, PciDevice, PciId};
use pinwise::json::{JsonError, format_of, read_as, read_host};
use pinwise::sets::CpuSet;
use pinwise::shown::shorten;
use pinwise::units::{Bytes, Distance, Id as _, NodeId, PackageId, PageSize, PciAddr, PcpuId};
use pinwise::usage::{Claim, PageClaim};

/// The format that [`read_placement_host`] reads.
pub const PLACEMENT_FORMAT: &str = "placement-host/1";
/// The largest number of tenants: one per pCPU.
const MAX_TENANTS: usize = MAX_PCPUS;
/// The largest part of a foreign name that a message shows, in bytes.
const MAX_SHOWN: usize = 60;
/// A 3D controller.
const GPU_CLASS: PciClass = PciClass(0x03_0200);
const BRIDGE_CLASS: PciClass = PciClass(0x06_0400);
/// The format has no vendors; its product ids are NVIDIA's.
const GPU_VENDOR: PciId = PciId(0x10de);

const ABOUT: &str = "From a placement-host/1 description. All its pCPUs count as isolated for VMs, as a \
    scheduler's dedicated set is. The format has no vendors, IOMMU groups and bridges: NVIDIA, a group \
    for each GPU, and a switch's ports at made-up addresses are taken.";

/// A host with its tenants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described {
    /// The host, unchecked until it is built.
    pub host: HostSpec,
    /// The tenants by name, for [`Usage::with_running`](pinwise::Usage::with_running).
    pub tenants: Vec<(String, Claim)>,
    /// The description's names for its GPUs, if it has any.
    pub gpus: BTreeMap<String, PciAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    name: String,
    sockets: u32,
    nodes: Vec<NodeText>,
    cores: Vec<Vec<PcpuId>>,
    #[serde(default)]
    l3: Vec<CpuSet>,
    #[serde(default)]
    switches: Vec<SwitchText>,
    #[serde(default)]
    gpus: Vec<GpuText>,
    #[serde(default)]
    tenants: Vec<TenantText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeText {
    id: NodeId,
    socket: u32,
    cpus: CpuSet,
    memory_mib: u64,
    mempages: Vec<PoolText>,
    #[serde(default)]
    distances: Vec<Distance>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolText {
    size_kib: u64,
    total: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchText {
    id: String,
    node: NodeId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuText {
    id: String,
    address: PciAddr,
    node: Option<NodeId>,
    #[serde(default)]
    switch: Option<String>,
    #[serde(default)]
    product_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantText {
    vm: String,
    #[serde(default)]
    gpus: Vec<String>,
    cells: Vec<CellText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CellText {
    node: NodeId,
    memory_mib: u64,
    page_kib: u64,
    pins: BTreeMap<u32, PcpuId>,
}

/// Reads a host in either format: `pinwise-host/1`, which has no tenants, or `placement-host/1`.
///
/// # Errors
/// [`JsonError`] as for [`read_host`] and [`read_placement_host`].
pub fn read_described(text: &str) -> Result<Described, JsonError> {
    if format_of(text)?.as_deref() == Some(PLACEMENT_FORMAT) {
        return read_placement_host(text);
    }
    Ok(Described { host: read_host(text)?, ..Described::default() })
}

/// Reads a `placement-host/1` description. The last pool of each node holds its hugepages. Every
/// switch becomes a PCIe switch at made-up addresses in its own PCI domain.
///
/// # Errors
/// [`JsonError`] if the text is too long, names another format, is not JSON, has an unknown,
/// missing or malformed field, or has a name or number that refers to nothing, is repeated or
/// exceeds a limit. The rest is checked when the host is built.
pub fn read_placement_host(text: &str) -> Result<Described, JsonError> {
    let spec: Spec = read_as(text, PLACEMENT_FORMAT)?;
    for (what, found, limit) in [
        ("nodes", spec.nodes.len(), MAX_NODES),
        ("cores", spec.cores.len(), MAX_PCPUS),
        ("l3", spec.l3.len(), MAX_PCPUS),
        ("switches", spec.switches.len(), MAX_GPUS),
        ("gpus", spec.gpus.len(), MAX_GPUS),
        ("tenants", spec.tenants.len(), MAX_TENANTS),
    ] {
        if found > limit {
            return wrong(what.to_owned(), format!("{found} entries, but the limit is {limit}"));
        }
    }
    let gpus = gpu_names(&spec)?;
    let host = HostSpec {
        name: spec.name.clone(),
        about: ABOUT.to_owned(),
        nodes: nodes(&spec)?,
        cores: cores(&spec)?,
        l3_domains: spec.l3.iter().map(|cpus| L3Spec { cpus: cpus.clone(), size: None }).collect(),
        isolated: spec.cores.iter().flatten().copied().collect(),
        devices: devices(&spec)?,
        ..HostSpec::default()
    };
    let tenants = spec.tenants.iter().enumerate();
    let tenants = tenants.map(|(at, tenant)| claim(at, tenant, &gpus)).collect::<Result<_, _>>()?;
    Ok(Described { host, tenants, gpus })
}

fn wrong<T>(path: String, problem: String) -> Result<T, JsonError> {
    Err(JsonError::Wrong { path, problem })
}

fn in_range<'a>(path: &str, mut pcpus: impl Iterator<Item = &'a PcpuId>) -> Result<(), JsonError> {
    match pcpus.find(|pcpu| pcpu.index() >= PcpuId::LIMIT) {
        Some(pcpu) => wrong(path.to_owned(), format!("pCPU {pcpu} is not below {}", PcpuId::LIMIT)),
        None => Ok(()),
    }
}

fn mib(path: &str, mib: u64) -> Result<Bytes, JsonError> {
    match mib.checked_mul(1 << 20) {
        Some(bytes) => Ok(Bytes(bytes)),
        None => wrong(path.to_owned(), format!("{mib} MiB is more than 64 bits can count")),
    }
}

fn page_size(path: &str, kib: u64) -> Result<PageSize, JsonError> {
    let found = PageSize::from_kib(kib);
    found.map_or_else(|| wrong(path.to_owned(), format!("{kib} KiB is not a page size")), Ok)
}

fn gpu_names(spec: &Spec) -> Result<BTreeMap<String, PciAddr>, JsonError> {
    let mut names = BTreeMap::new();
    for (at, gpu) in spec.gpus.iter().enumerate() {
        if names.insert(gpu.id.clone(), gpu.address).is_some() {
            let id = shorten(&gpu.id, MAX_SHOWN);
            return wrong(format!("gpus[{at}].id"), format!("{id:?} is repeated"));
        }
    }
    Ok(names)
}

/// The format lists distances in the order of its nodes, the builder by ascending id.
fn nodes(spec: &Spec) -> Result<Vec<NodeSpec>, JsonError> {
    let mut order: Vec<usize> = (0..spec.nodes.len()).collect();
    order.sort_by_key(|at| spec.nodes[*at].id);
    let node = |(at, node): (usize, &NodeText)| {
        let path = |field: &str| format!("nodes[{at}].{field}");
        if node.socket >= spec.sockets {
            let problem =
                format!("socket {}, but the host has {} sockets", node.socket, spec.sockets);
            return wrong(path("socket"), problem);
        }
        let known = node.distances.len();
        if known != 0 && known != order.len() {
            let problem = format!("{known} distances, but {} nodes", order.len());
            return wrong(path("distances"), problem);
        }
        let pool = |(i, pool): (usize, &PoolText)| {
            let size = page_size(&path(&format!("mempages[{i}].size_kib")), pool.size_kib)?;
            Ok(PagePool { size, total: pool.total, free: pool.total })
        };
        Ok(NodeSpec {
            id: node.id,
            cpus: node.cpus.clone(),
            memory: mib(&path("memory_mib"), node.memory_mib)?,
            pools: node.mempages.iter().enumerate().map(pool).collect::<Result<_, _>>()?,
            distances: order.iter().filter_map(|to| node.distances.get(*to)).copied().collect(),
        })
    };
    spec.nodes.iter().enumerate().map(node).collect()
}

fn cores(spec: &Spec) -> Result<Vec<CoreSpec>, JsonError> {
    let mut socket_of: BTreeMap<PcpuId, u32> = BTreeMap::new();
    for node in &spec.nodes {
        socket_of.extend(node.cpus.iter().map(|pcpu| (pcpu, node.socket)));
    }
    let core = |((at, pcpus), core): ((usize, &Vec<PcpuId>), u32)| {
        in_range(&format!("cores[{at}]"), pcpus.iter())?;
        let set: CpuSet = pcpus.iter().copied().collect();
        let Some(first) = pcpus.first() else {
            return wrong(format!("cores[{at}]"), "a core without pCPUs".to_owned());
        };
        if set.len() != pcpus.len() {
            return wrong(format!("cores[{at}]"), "a pCPU is repeated".to_owned());
        }
        let Some(socket) = socket_of.get(first) else {
            return wrong(format!("cores[{at}]"), format!("pCPU {first} belongs to no node"));
        };
        let (package, kind) = (PackageId(*socket), CoreKind::Performance);
        Ok(CoreSpec { package, die: 0, core, kind, max_mhz: None, pcpus: set })
    };
    spec.cores.iter().enumerate().zip(0..).map(core).collect()
}

/// The GPUs, and for each switch a root port, an upstream port and one downstream port per GPU.
fn devices(spec: &Spec) -> Result<Vec<PciDevice>, JsonError> {
    let last = spec.gpus.iter().map(|gpu| gpu.address.domain).max().unwrap_or(0);
    let Some(domain) = last.checked_add(1) else {
        return wrong("gpus".to_owned(), "no PCI domain is left for the switches".to_owned());
    };
    let mut devices = Vec::new();
    let mut switches: BTreeMap<&str, (&SwitchText, u8, u8)> = BTreeMap::new();
    for ((at, switch), bus) in spec.switches.iter().enumerate().zip(0_u8..) {
        if switches.insert(&switch.id, (switch, bus, 0)).is_some() {
            let id = shorten(&switch.id, MAX_SHOWN);
            return wrong(format!("switches[{at}].id"), format!("{id:?} is repeated"));
        }
        devices.push(bridge(port(domain, bus, 0), None, switch.node));
        devices.push(bridge(port(domain, bus, 1), Some(port(domain, bus, 0)), switch.node));
    }
    for ((at, gpu), group) in spec.gpus.iter().enumerate().zip(0..) {
        let product = gpu.product_id.as_deref().unwrap_or("0");
        let Ok(product) = u16::from_str_radix(product, 16) else {
            let problem = format!("{:?} is not a PCI device id", shorten(product, MAX_SHOWN));
            return wrong(format!("gpus[{at}].product_id"), problem);
        };
        let mut device = PciDevice::new(gpu.address, GPU_CLASS, GPU_VENDOR, PciId(product));
        device.node = gpu.node;
        device.iommu_group = Some(group);
        if let Some(id) = &gpu.switch {
            let shown = || shorten(id, MAX_SHOWN);
            let path = || format!("gpus[{at}].switch");
            let Some((switch, bus, ports)) = switches.get_mut(id.as_str()) else {
                return wrong(path(), format!("there is no switch {:?}", shown()));
            };
            if gpu.node.is_some_and(|node| node != switch.node) {
                let problem = format!("switch {:?} is on another node, {}", shown(), switch.node);
                return wrong(path(), problem);
            }
            let down = port(domain, *bus, *ports + 2);
            devices.push(bridge(down, Some(port(domain, *bus, 1)), switch.node));
            device.parent = Some(down);
            *ports += 1;
        }
        devices.push(device);
    }
    debug_assert!(devices.len() < MAX_PCI_FUNCTIONS);
    Ok(devices)
}

/// The `n`th made-up port of a switch, at most `MAX_GPUS` + 2.
fn port(domain: u32, bus: u8, n: u8) -> PciAddr {
    PciAddr { domain, bus, device: n / 8, function: n % 8 }
}

fn bridge(address: PciAddr, parent: Option<PciAddr>, node: NodeId) -> PciDevice {
    let device = PciDevice::new(address, BRIDGE_CLASS, PciId(0), PciId(0));
    PciDevice { node: Some(node), parent, ..device }
}

fn claim(
    at: usize,
    tenant: &TenantText,
    gpus: &BTreeMap<String, PciAddr>,
) -> Result<(String, Claim), JsonError> {
    let mut claim = Claim::default();
    let mut vcpus = BTreeSet::new();
    for (i, cell) in tenant.cells.iter().enumerate() {
        let path = |field: &str| format!("tenants[{at}].cells[{i}].{field}");
        in_range(&path("pins"), cell.pins.values())?;
        for (vcpu, pcpu) in &cell.pins {
            if !vcpus.insert(*vcpu) {
                return wrong(path("pins"), format!("vCPU {vcpu} is in two cells"));
            }
            if !claim.dedicated.insert(*pcpu) {
                return wrong(path("pins"), format!("pCPU {pcpu} has two vCPUs"));
            }
        }
        let size = page_size(&path("page_kib"), cell.page_kib)?;
        let memory = mib(&path("memory_mib"), cell.memory_mib)?;
        let Some(count) = size.pages_in(memory) else {
            return wrong(path("memory_mib"), format!("{memory} is not a multiple of {size}"));
        };
        claim.pages.push(PageClaim { node: Some(cell.node), page_size: size, count });
    }
    for (i, id) in tenant.gpus.iter().enumerate() {
        let Some(address) = gpus.get(id) else {
            let problem = format!("there is no GPU {:?}", shorten(id, MAX_SHOWN));
            return wrong(format!("tenants[{at}].gpus[{i}]"), problem);
        };
        claim.devices.push(*address);
    }
    Ok((tenant.vm.clone(), claim))
}
