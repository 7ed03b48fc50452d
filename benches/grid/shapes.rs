//! Synthetic hosts and neighbours for measurements: servers of two sockets or more with two SMT
//! siblings a core, an L3 domain for every eight cores, a PCIe switch for every two GPUs.

use pinwise::{
    Bytes, Claim, CoreSpec, CpuSet, Distance, GpuRequest, Host, HostBuilder, L3Spec, NodeId,
    NodeSpec, PackageId, PageClaim, PagePool, PageSize, PciAddr, PciDevice, PcpuId, Policies,
    Policy, RequestBuilder, Usage, Wish,
};

/// Cores that share an L3.
const L3_CORES: u32 = 8;

/// A host's size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) sockets: u32,
    pub(crate) nodes: u32,
    pub(crate) pcpus: u32,
    pub(crate) gib: u64,
    pub(crate) gpus: u32,
}

/// The sizes that are measured.
pub(crate) const SHAPES: [Shape; 7] = [
    Shape { sockets: 2, nodes: 2, pcpus: 128, gib: 2048, gpus: 8 },
    Shape { sockets: 2, nodes: 4, pcpus: 192, gib: 2048, gpus: 8 },
    Shape { sockets: 2, nodes: 8, pcpus: 256, gib: 2048, gpus: 8 },
    Shape { sockets: 2, nodes: 8, pcpus: 768, gib: 6144, gpus: 8 },
    Shape { sockets: 4, nodes: 16, pcpus: 256, gib: 4096, gpus: 8 },
    Shape { sockets: 4, nodes: 24, pcpus: 384, gib: 6144, gpus: 8 },
    Shape { sockets: 8, nodes: 64, pcpus: 4096, gib: 16384, gpus: 16 },
];

impl Shape {
    /// `8n256` for 8 nodes and 256 pCPUs.
    pub(crate) fn name(self) -> String {
        format!("{}n{}", self.nodes, self.pcpus)
    }

    fn cores_per_node(self) -> u32 {
        self.pcpus / 2 / self.nodes
    }

    /// Hugepages of 2 MiB a node: nine tenths of its memory.
    fn pages(self) -> u64 {
        self.gib * 1024 / u64::from(self.nodes) * 9 / 10 / 2
    }

    /// The SMT siblings of a core: as Linux numbers them, all first threads before all second ones.
    fn siblings(self, core: u32) -> [PcpuId; 2] {
        [PcpuId(core), PcpuId(core + self.pcpus / 2)]
    }

    fn cpus(self, cores: std::ops::Range<u32>) -> CpuSet {
        cores.flat_map(|core| self.siblings(core)).collect()
    }

    fn node(self, id: u32) -> NodeSpec {
        let own = self.cores_per_node();
        let memory = Bytes::from_gib(self.gib / u64::from(self.nodes));
        let package = |node: u32| node / (self.nodes / self.sockets);
        let distance = |to: u32| match () {
            () if to == id => 10,
            () if package(to) == package(id) => 12,
            () => 32,
        };
        let (total, size) = (self.pages(), PageSize::MIB_2);
        NodeSpec {
            id: NodeId(id),
            cpus: self.cpus(id * own..(id + 1) * own),
            memory,
            pools: vec![PagePool { size, total, free: total }],
            distances: (0..self.nodes).map(|to| Distance(distance(to))).collect(),
        }
    }

    fn core(self, number: u32) -> CoreSpec {
        CoreSpec {
            package: PackageId(number / (self.pcpus / 2 / self.sockets)),
            die: 0,
            core: number,
            kind: pinwise::CoreKind::Performance,
            max_mhz: None,
            pcpus: self.siblings(number).into_iter().collect(),
        }
    }

    /// A switch with two GPUs: its root port, its upstream port, two downstream ports, the GPUs.
    fn switch(self, number: u32) -> Vec<PciDevice> {
        let switches = self.gpus.div_ceil(2);
        let node = Some(NodeId(number * self.nodes / switches));
        let bus = |at: u32| u8::try_from(number * 8 + at).expect("at most 31 switches");
        let function = |bus, slot: u8, class: &str, vendor: &str, parent| PciDevice {
            node,
            parent,
            iommu_group: Some(u32::from(bus) * 32 + u32::from(slot)),
            ..PciDevice::new(
                PciAddr { domain: 0, bus, device: slot, function: 0 },
                class.parse().expect("a class"),
                vendor.parse().expect("a vendor"),
                "0x2330".parse().expect("an id"),
            )
        };
        let (bridge, gpu) = ("0x060400", "0x030200");
        let root = function(bus(0), 1, bridge, "0x8086", None);
        let upstream = function(bus(1), 0, bridge, "0x10b5", Some(root.address));
        let mut all = vec![root, upstream.clone()];
        for port in 0..2 {
            let slot = u8::try_from(port).expect("two ports");
            let down = function(bus(2), slot, bridge, "0x10b5", Some(upstream.address));
            if number * 2 + port < self.gpus {
                all.push(function(bus(3 + port), 0, gpu, "0x10de", Some(down.address)));
            }
            all.push(down);
        }
        all
    }

    /// The host.
    pub(crate) fn host(self) -> Host {
        let cores = self.pcpus / 2;
        let domain =
            |at: u32| L3Spec { cpus: self.cpus(at..(at + L3_CORES).min(cores)), size: None };
        let description = HostBuilder {
            name: self.name(),
            about: "synthetic, for measurements".to_owned(),
            nodes: (0..self.nodes).map(|id| self.node(id)).collect(),
            cores: (0..cores).map(|number| self.core(number)).collect(),
            l3_domains: (0..cores).step_by(L3_CORES as usize).map(domain).collect(),
            devices: (0..self.gpus.div_ceil(2)).flat_map(|s| self.switch(s)).collect(),
            ..HostBuilder::default()
        };
        description.build().expect("the shape is a host")
    }

    /// Neighbours that hold about so many percent of every node's cores and pages: VMs of 1, 2 or 4
    /// whole cores, scattered by a fixed sequence.
    pub(crate) fn usage(self, host: &Host, percent: u32) -> Usage {
        let (mut usage, mut state) = (Usage::empty(host), 1_u64);
        let mut next = move |below: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u32::try_from((state >> 33) % u64::from(below)).expect("below a u32")
        };
        let own = self.cores_per_node();
        for node in 0..self.nodes {
            // Some more on one node, some less on the next.
            let share = (percent * (80 + next(41)) / 100).min(100);
            let mut cores: Vec<u32> = (node * own..(node + 1) * own).collect();
            for at in (1..cores.len()).rev() {
                cores.swap(at, next(u32::try_from(at).expect("small") + 1) as usize);
            }
            cores.truncate((own * share / 100) as usize);
            let pages = self.pages() * u64::from(share) / 100 / cores.len().max(1) as u64;
            while !cores.is_empty() {
                let size = [1, 2, 4][next(3) as usize].min(cores.len());
                let taken = cores.split_off(cores.len() - size);
                let (count, size) = (pages * taken.len() as u64, PageSize::MIB_2);
                let claim = Claim {
                    dedicated: taken.iter().flat_map(|core| self.siblings(*core)).collect(),
                    pages: vec![PageClaim { node: Some(NodeId(node)), size, count }],
                    ..Claim::default()
                };
                let name = format!("t{}", taken[0]);
                usage.claim(host, &name, claim).expect("the cores and pages are free");
            }
        }
        usage
    }
}

/// A VM with so many cells, 8 vCPUs and 16 GiB each, and so many GPUs, all local.
pub(crate) fn vm(cells: u32, gpus: u32) -> RequestBuilder {
    let policies = Policies { gpu_locality: Policy::Require, ..Policies::default() };
    RequestBuilder {
        cells: Wish::Require(cells),
        gpus: GpuRequest::Count { count: gpus, model: None },
        page_size: Some(PageSize::MIB_2),
        policies,
        ..RequestBuilder::new("vm", 8 * cells, Bytes::from_gib(16 * u64::from(cells)))
    }
}
