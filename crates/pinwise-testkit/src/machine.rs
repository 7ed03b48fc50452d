//! Small hosts of our making, for scenes where every pCPU matters.

use pinwise::host::{
    CoreKind, CoreSpec, GpuLink, GpuLinkKind, L3Spec, NodeSpec, PagePool, PciClass, PciDevice,
    PciId, Reserve,
};
use pinwise::units::{NodeId, PackageId, PcpuId};
use pinwise::{Bytes, CpuSet, HostSpec, PageSize, PciAddr};

/// A node is a package with one L3 domain; core c has pCPUs c, c + cores, …; GPU n is `10+n:00.0`.
/// Core 0 of node 0 is reserved.
#[derive(Debug, Clone)]
pub struct Machine<'a> {
    pub nodes: u32,
    /// Cores a node.
    pub cores: u32,
    pub threads: u32,
    /// Pages of 1 GiB a node.
    pub pages: u64,
    /// By GPU: its node.
    pub gpus: &'a [u32],
    /// Linked GPUs, by number.
    pub links: &'a [(u8, u8)],
}

pub fn gpu(number: u8) -> PciAddr {
    PciAddr { domain: 0, bus: 0x10 + number, device: 0, function: 0 }
}

pub fn cpus(list: &str) -> CpuSet {
    list.parse().unwrap()
}

impl Machine<'_> {
    pub fn describe(&self) -> HostSpec {
        let all = self.nodes * self.cores;
        let of_core = |core: u32| (0..self.threads).map(move |t| PcpuId(t * all + core));
        let of_node = |node: u32| {
            (node * self.cores..(node + 1) * self.cores).flat_map(of_core).collect::<CpuSet>()
        };
        let node = |id: u32| NodeSpec {
            id: NodeId(id),
            cpus: of_node(id),
            memory: Bytes::from_gib(self.pages + 16),
            pools: vec![PagePool { size: PageSize::GIB_1, total: self.pages, free: self.pages }],
            distances: Vec::new(),
        };
        let core = |n: u32| CoreSpec {
            package: PackageId(n / self.cores),
            die: 0,
            core: n % self.cores,
            kind: CoreKind::Performance,
            max_mhz: None,
            pcpus: of_core(n).collect(),
        };
        let device = |(number, node): (u8, &u32)| PciDevice {
            node: Some(NodeId(*node)),
            iommu_group: Some(u32::from(number)),
            ..PciDevice::new(gpu(number), PciClass(0x03_0200), PciId(0x10de), PciId(0x2335))
        };
        let link = |(a, b): &(u8, u8)| GpuLink {
            a: gpu(*a),
            b: gpu(*b),
            kind: GpuLinkKind::NvLink,
            count: 4,
        };
        HostSpec {
            name: "machine".to_owned(),
            nodes: (0..self.nodes).map(node).collect(),
            cores: (0..all).map(core).collect(),
            l3_domains: (0..self.nodes).map(|n| L3Spec { cpus: of_node(n), size: None }).collect(),
            devices: (0..).zip(self.gpus).map(device).collect(),
            gpu_links: self.links.iter().map(link).collect(),
            reserved: Reserve::These(of_core(0).collect()),
            ..HostSpec::default()
        }
    }
}
