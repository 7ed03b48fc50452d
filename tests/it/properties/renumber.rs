//! The same machine, told another way: in another order, or with other numbers.

use std::collections::BTreeMap;

use pinwise::host::Reserve;
use pinwise::request::GpuRequest;
use pinwise::units::{NodeId, PcpuId};
use pinwise::usage::PageClaim;
use pinwise::{Claim, CpuSet, HostSpec, NodeSet, PciAddr, RequestSpec};

use pinwise_testkit::rng::Rng;

pub(crate) fn shuffled(rng: &mut Rng, mut host: HostSpec) -> HostSpec {
    rng.shuffle(&mut host.nodes);
    rng.shuffle(&mut host.cores);
    rng.shuffle(&mut host.l3_domains);
    rng.shuffle(&mut host.devices);
    rng.shuffle(&mut host.gpu_links);
    rng.shuffle(&mut host.fabric_partitions);
    host.nodes.iter_mut().for_each(|node| rng.shuffle(&mut node.pools));
    for link in &mut host.gpu_links {
        if rng.percent(50) {
            (link.a, link.b) = (link.b, link.a);
        }
    }
    host.fabric_partitions.iter_mut().for_each(|partition| rng.shuffle(&mut partition.gpus));
    host
}

/// Other numbers for all that a machine numbers as it likes.
pub(crate) struct Numbers {
    pcpus: BTreeMap<PcpuId, PcpuId>,
    nodes: BTreeMap<NodeId, NodeId>,
    buses: Vec<u8>,
}

impl Numbers {
    pub(crate) fn new(rng: &mut Rng, host: &HostSpec) -> Self {
        let pcpus: CpuSet = host.cores.iter().flat_map(|core| core.pcpus.iter()).collect();
        let offline = host.offline.clone();
        let pcpus: Vec<PcpuId> = pcpus.union(&offline).iter().collect();
        let mut nodes: Vec<NodeId> = host.nodes.iter().map(|node| node.id).collect();
        nodes.sort_unstable();
        let mut buses: Vec<u8> = (0..=u8::MAX).collect();
        rng.shuffle(&mut buses);
        Self { pcpus: permuted(rng, pcpus), nodes: permuted(rng, nodes), buses }
    }

    fn cpus(&self, cpus: &CpuSet) -> CpuSet {
        cpus.iter().map(|pcpu| self.pcpus[&pcpu]).collect()
    }

    fn address(&self, address: PciAddr) -> PciAddr {
        PciAddr { bus: self.buses[usize::from(address.bus)], ..address }
    }

    fn addresses(&self, addresses: &[PciAddr]) -> Vec<PciAddr> {
        addresses.iter().map(|address| self.address(*address)).collect()
    }

    pub(crate) fn host(&self, host: &HostSpec) -> HostSpec {
        let mut other = host.clone();
        let mut old: Vec<NodeId> = self.nodes.keys().copied().collect();
        old.sort_by_key(|id| self.nodes[id]);
        let position = |id: &NodeId| self.nodes.keys().position(|node| node == id).unwrap();
        for node in &mut other.nodes {
            node.id = self.nodes[&node.id];
            node.cpus = self.cpus(&node.cpus);
            if !node.distances.is_empty() {
                node.distances = old.iter().map(|id| node.distances[position(id)]).collect();
            }
        }
        other.cores.iter_mut().for_each(|core| core.pcpus = self.cpus(&core.pcpus));
        other.l3_domains.iter_mut().for_each(|l3| l3.cpus = self.cpus(&l3.cpus));
        other.offline = self.cpus(&host.offline);
        other.allowed = host.allowed.as_ref().map(|allowed| self.cpus(allowed));
        other.isolated = self.cpus(&host.isolated);
        if let Reserve::These(kept) = &host.reserved {
            other.reserved = Reserve::These(self.cpus(kept));
        }
        for device in &mut other.devices {
            device.address = self.address(device.address);
            device.node = device.node.map(|node| self.nodes[&node]);
            device.parent = device.parent.map(|parent| self.address(parent));
            device.physical_function = device.physical_function.map(|of| self.address(of));
        }
        for link in &mut other.gpu_links {
            (link.a, link.b) = (self.address(link.a), self.address(link.b));
        }
        for partition in &mut other.fabric_partitions {
            partition.gpus = self.addresses(&partition.gpus);
        }
        other
    }

    pub(crate) fn claim(&self, claim: &Claim) -> Claim {
        let page =
            |page: &PageClaim| PageClaim { node: page.node.map(|node| self.nodes[&node]), ..*page };
        Claim {
            dedicated: self.cpus(&claim.dedicated),
            floating: self.cpus(&claim.floating),
            pages: claim.pages.iter().map(page).collect(),
            devices: self.addresses(&claim.devices),
            mediated: claim.mediated.iter().map(|at| at.map(|at| self.address(at))).collect(),
            whole_cores: claim.whole_cores,
            own_l3: claim.own_l3,
            floating_vcpus: claim.floating_vcpus,
        }
    }

    pub(crate) fn request(&self, request: &RequestSpec) -> RequestSpec {
        let mut other = request.clone();
        if let GpuRequest::Addresses(addresses) = &mut other.gpus {
            *addresses = self.addresses(addresses);
        }
        other.devices = self.addresses(&request.devices);
        other.cpus = request.cpus.as_ref().map(|cpus| self.cpus(cpus));
        let nodes =
            |nodes: &NodeSet| -> NodeSet { nodes.iter().map(|id| self.nodes[&id]).collect() };
        other.nodes = request.nodes.as_ref().map(nodes);
        other.memory_nodes = request.memory_nodes.as_ref().map(nodes);
        other
    }
}

fn permuted<T: Ord + Copy>(rng: &mut Rng, ids: Vec<T>) -> BTreeMap<T, T> {
    let mut others = ids.clone();
    rng.shuffle(&mut others);
    ids.into_iter().zip(others).collect()
}
