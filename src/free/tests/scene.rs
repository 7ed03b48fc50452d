//! Tiny hosts with tenants, and what is free on them read anew from the records.

use std::collections::BTreeSet;

use pinwise_testkit::rng::Rng;

use crate::host::pcie::{PciClass, PciDevice, PciId};
use crate::host::spec::{CoreSpec, HostSpec, NodeSpec};
use crate::host::{Core, CoreKind, Host, Node, PagePool};
use crate::sets::CpuSet;
use crate::units::{Bytes, NodeId, PackageId, PageSize, PciAddr, PcpuId};
use crate::usage::{Claim, PageClaim, Usage};

const GPU: PciClass = PciClass(0x03_02_00);
const AUDIO: PciClass = PciClass(0x04_03_00);
const NIC: PciClass = PciClass(0x02_00_00);

/// The sizes of the pools of every node.
pub(super) const SIZES: [PageSize; 2] = [PageSize::GIB_1, PageSize::MIB_2];

/// A host of at most twelve pCPUs, two nodes and five GPUs, and its tenants.
pub(super) fn scene(seed: u64) -> (Host, Usage) {
    let mut rng = Rng::new(seed);
    let host = host(&mut rng);
    let mut usage = Usage::empty(&host);
    for name in ["a", "b", "c"] {
        let claim = claim(&mut rng, &host);
        // Some claim what others hold.
        let _ = usage.claim(&host, name, claim);
    }
    (host, usage)
}

fn host(rng: &mut Rng) -> Host {
    let nodes = rng.between(1, 2);
    let threads = rng.between(1, 2);
    let mut spec = HostSpec { name: "tiny".to_owned(), ..HostSpec::default() };
    let pool = |rng: &mut Rng, size, most| {
        let total = rng.between(0, most) as u64;
        PagePool { size, total, free: rng.between(0, total as usize) as u64 }
    };
    spec.nodes = (0..nodes as u32)
        .map(|id| NodeSpec {
            id: NodeId(id),
            cpus: CpuSet::new(),
            memory: Bytes::from_gib(32),
            pools: SIZES
                .into_iter()
                .zip([6, 600])
                .map(|(size, most)| pool(rng, size, most))
                .collect(),
            distances: Vec::new(),
        })
        .collect();
    for core in 0..rng.between(nodes, 6) as u32 {
        let node = core as usize % nodes;
        let pcpus: CpuSet = (0..threads as u32).map(|thread| PcpuId(core + thread * 6)).collect();
        spec.nodes[node].cpus.extend(&pcpus);
        let package = PackageId(node as u32);
        let kind = CoreKind::Performance;
        spec.cores.push(CoreSpec { package, die: 0, core, kind, max_mhz: None, pcpus });
    }
    let online: Vec<PcpuId> = spec.cores.iter().flat_map(|core| core.pcpus.iter()).collect();
    let some = |rng: &mut Rng, percent| {
        online.iter().copied().filter(|_| rng.percent(percent)).collect::<CpuSet>()
    };
    if rng.percent(30) {
        spec.allowed = Some(some(rng, 85)).filter(|allowed| !allowed.is_empty());
    }
    if rng.percent(40) {
        spec.reserved = some(rng, 20).into();
    }
    spec.isolated = match rng.below(3) {
        0 => CpuSet::new(),
        1 => some(rng, 50),
        _ => online.iter().copied().collect(),
    };
    spec.devices = devices(rng, nodes);
    spec.build().expect("generated hosts keep the promises of a host")
}

fn devices(rng: &mut Rng, nodes: usize) -> Vec<PciDevice> {
    let mut all: Vec<PciDevice> = Vec::new();
    let with_groups = rng.percent(85);
    for bus in 0..rng.between(0, 5) as u8 {
        let nvidia = PciId(0x10de);
        let address = |function| PciAddr { domain: 0, bus, device: 2, function };
        let mut card = vec![PciDevice::new(address(0), GPU, nvidia, PciId(0x2684))];
        if bus == 0 {
            // Inside the processor: Intel's, on bus 0.
            card[0].vendor = PciId(0x8086);
        }
        if rng.percent(40) {
            card.push(PciDevice::new(address(1), AUDIO, nvidia, PciId(0x22ba)));
        }
        if rng.percent(30) {
            let nic = PciAddr { device: 3, ..address(0) };
            card.push(PciDevice::new(nic, NIC, PciId(0x15b3), PciId(0x1017)));
        }
        let node = rng.percent(85).then(|| NodeId(rng.below(nodes) as u32));
        // Cards may share a group, and the functions of a card may be in several.
        let group = rng.below(2 + usize::from(bus)) as u32;
        for device in &mut card {
            device.node = node;
            let own = u32::from(bus) * 8 + u32::from(device.address.function) + 16;
            let group = if rng.percent(50) { own } else { group };
            device.iommu_group = with_groups.then_some(group);
        }
        all.extend(card);
    }
    all
}

fn claim(rng: &mut Rng, host: &Host) -> Claim {
    let some = |rng: &mut Rng, percent| {
        host.online().iter().filter(|_| rng.percent(percent)).collect::<CpuSet>()
    };
    let mut claim = Claim {
        dedicated: if rng.percent(60) { some(rng, 20) } else { CpuSet::new() },
        floating: some(rng, 20),
        whole_cores: rng.percent(25),
        own_l3: rng.percent(10),
        ..Claim::default()
    };
    if rng.percent(50) {
        let node = host.nodes()[rng.below(host.nodes().len())].id;
        let (size, count) = (rng.pick(&SIZES), rng.between(0, 3) as u64);
        claim.pages.push(match rng.percent(60) {
            true => PageClaim::on(node, size, count),
            false => PageClaim::anywhere(size, count),
        });
    }
    for device in host.pci().devices() {
        if rng.percent(15) {
            claim.devices.push(device.address);
        }
    }
    claim
}

/// What is free, read from the records one by one.
pub(super) struct Reading<'a> {
    pub(super) host: &'a Host,
    pub(super) usage: &'a Usage,
}

impl Reading<'_> {
    fn is_held(&self, pcpu: PcpuId) -> bool {
        self.usage.tenants().any(|(_, claim)| claim.dedicated.contains(pcpu))
    }

    fn is_allowed(&self, pcpu: PcpuId) -> bool {
        self.host.allowed().contains(pcpu)
    }

    fn is_kept(&self, pcpu: PcpuId) -> bool {
        let host = self.host;
        if !host.reserved().is_empty() {
            return host.reserved().contains(pcpu);
        }
        let open = host.allowed().difference(host.isolated());
        if open.is_empty() || host.cores().len() < 2 {
            return false;
        }
        let some = open.len() < host.allowed().len();
        let has_gpu = |core: &Core| {
            host.gpus().iter().any(|gpu| !gpu.integrated && gpu.node == Some(core.node))
        };
        let least = |core: &&Core| {
            let cut = core.pcpus.iter().any(|pcpu| host.isolated().contains(*pcpu));
            let against = if some { cut } else { has_gpu(core) };
            (against, core.pcpus.iter().copied().find(|pcpu| open.contains(*pcpu)))
        };
        let usable = |core: &&Core| core.pcpus.iter().any(|pcpu| open.contains(*pcpu));
        let core = host.cores().iter().filter(usable).min_by_key(least);
        core.is_some_and(|core| core.pcpus.contains(&pcpu)) && !host.isolated().contains(pcpu)
    }

    pub(super) fn is_usable(&self, pcpu: PcpuId) -> bool {
        self.is_allowed(pcpu) && !self.is_held(pcpu) && !self.is_kept(pcpu) && !self.is_closed(pcpu)
    }

    /// Whether an isolated tenant keeps others off the pCPU. These hosts have no known L3 domains,
    /// so a package is one.
    fn is_closed(&self, pcpu: PcpuId) -> bool {
        let core = |pcpu: PcpuId| self.host.core_of(pcpu).expect("an online pCPU has a core").id;
        let own = core(pcpu);
        let closes = |claim: &Claim, theirs: PcpuId| {
            let other = core(theirs);
            (claim.whole_cores && other == own) || (claim.own_l3 && other.package == own.package)
        };
        !self.is_kept(pcpu)
            && self.usage.tenants().any(|(_, c)| c.dedicated.iter().any(|p| closes(c, p)))
    }

    /// By core: its usable pCPUs; none, if cores have to be whole and it is not.
    pub(super) fn cores(&self, whole: bool) -> Vec<u64> {
        let taken =
            |pcpu: &PcpuId| self.is_held(*pcpu) || (self.is_kept(*pcpu) && self.is_allowed(*pcpu));
        let usable = |core: &Core| {
            let closed = whole && core.pcpus.iter().any(taken);
            let usable = core.pcpus.iter().filter(|pcpu| !closed && self.is_usable(**pcpu));
            usable.count() as u64
        };
        self.host.cores().iter().map(usable).collect()
    }

    /// The number of pCPUs that vCPUs may float on.
    pub(super) fn open(&self, whole: bool) -> u64 {
        let cores = self.host.cores().iter().zip(self.cores(whole));
        let open = |core: &Core| {
            let isolated = |pcpu: &PcpuId| self.host.isolated().contains(*pcpu);
            let usable = core.pcpus.iter().filter(|pcpu| self.is_usable(**pcpu));
            usable.filter(|pcpu| !isolated(pcpu)).count() as u64
        };
        cores.filter(|(_, usable)| *usable > 0).map(|(core, _)| open(core)).sum()
    }

    /// The pCPUs that emulator threads may run on.
    pub(super) fn for_emulators(&self) -> CpuSet {
        let own = |pcpu: &PcpuId| self.is_allowed(*pcpu) || self.host.reserved().contains(*pcpu);
        self.host
            .online()
            .iter()
            .filter(|pcpu| own(pcpu) && !self.is_held(*pcpu) && !self.is_closed(*pcpu))
            .collect()
    }

    /// Free pages of a node, whatever tenants hold on no particular node.
    pub(super) fn pages_on(&self, node: &Node, size: PageSize) -> u64 {
        let pool = node.pools.iter().find(|pool| pool.size == size).expect("every node has it");
        let claims = self.usage.tenants().flat_map(|(_, claim)| &claim.pages);
        let held = claims.filter(|page| (page.node, page.page_size) == (Some(node.id), size));
        let kept = if size.is_huge() { 0 } else { self.host.kept_memory(node).0 };
        let free = pool.free - held.map(|page| page.count).sum::<u64>();
        free.saturating_sub(kept.div_ceil(size.bytes()))
    }

    /// Free pages of the host.
    pub(super) fn pages(&self, size: PageSize) -> u64 {
        let all: u64 = self.host.nodes().iter().map(|node| self.pages_on(node, size)).sum();
        let claims = self.usage.tenants().flat_map(|(_, claim)| &claim.pages);
        let anywhere = claims.filter(|page| (page.node, page.page_size) == (None, size));
        all - anywhere.map(|page| page.count).sum::<u64>()
    }

    /// What leaves the host together with a function.
    pub(super) fn bundle(&self, address: PciAddr) -> BTreeSet<PciAddr> {
        let all = self.host.pci().devices();
        let vendor = all.iter().find(|own| own.address == address).map(|own| own.vendor);
        let helps = |other: &&PciDevice| {
            let card = other.class == AUDIO && Some(other.vendor) == vendor;
            other.address == address || (card && other.address.same_slot(address))
        };
        let mut bundle = BTreeSet::new();
        for member in all.iter().filter(helps) {
            bundle.insert(member.address);
            let group = member.iommu_group;
            let with = all.iter().filter(|other| group.is_some() && other.iommu_group == group);
            bundle.extend(with.map(|other| other.address));
        }
        bundle
    }

    fn holds(claim: &Claim, bundle: &BTreeSet<PciAddr>) -> bool {
        claim.devices.iter().any(|device| bundle.contains(device))
    }

    /// The addresses of the GPUs that nobody holds a part of; with `integrated`, all such GPUs.
    pub(super) fn gpus(&self, integrated: bool) -> BTreeSet<PciAddr> {
        let free = |address: PciAddr| {
            let bundle = self.bundle(address);
            self.usage.tenants().all(|(_, claim)| !Self::holds(claim, &bundle))
        };
        let gpus = self.host.gpus().iter().filter(|gpu| integrated || !gpu.integrated);
        gpus.map(|gpu| gpu.address).filter(|address| free(*address)).collect()
    }

    /// The addresses of the GPUs that nobody holds a part of and that a request for a number of
    /// GPUs of any model may be given, if the host can do without what they take.
    pub(super) fn candidates(&self) -> BTreeSet<PciAddr> {
        let all_inside = self.host.gpus().iter().all(|gpu| gpu.integrated);
        self.gpus(all_inside)
    }

    /// Whether a GPU takes a NIC with it: no other function of these hosts is needed.
    pub(super) fn takes_nic(&self, gpu: PciAddr) -> bool {
        let bundle = self.bundle(gpu);
        let mut nics = self.host.pci().devices().iter().filter(|device| device.class == NIC);
        nics.any(|nic| bundle.contains(&nic.address))
    }

    /// By tenant: the addresses of the GPUs that it holds a part of.
    pub(super) fn gpus_held(&self) -> Vec<BTreeSet<PciAddr>> {
        let of = |(_, claim): (&str, &Claim)| {
            let gpus = self.host.gpus().iter().map(|gpu| gpu.address);
            gpus.filter(|gpu| Self::holds(claim, &self.bundle(*gpu))).collect::<BTreeSet<_>>()
        };
        self.usage.tenants().map(of).filter(|gpus| !gpus.is_empty()).collect()
    }
}
