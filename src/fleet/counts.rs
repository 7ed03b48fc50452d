//! Counts of the free resources of a host, and the requests that counting alone rules out.

use std::ops::Range;

use smallvec::SmallVec;

use super::answer::{Remaining, Shortfall};
use crate::engine::gpu_tenants::GpuTenants;
use crate::free::{FreePcpus, gpus, pages};
use crate::host::gpu_places::Share;
use crate::host::limits::MAX_NODES;
use crate::host::mask::GpuMask;
use crate::host::{Host, Node};
use crate::placement::Placement;
use crate::request::{GpuRequest, Policy, Request};
use crate::units::PageSize;
use crate::usage::Usage;

/// The free resources of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeCounts {
    /// Usable pCPUs.
    pub(super) pcpus: u16,
    /// Whole cores.
    pub(super) cores: u16,
}

/// Stands for this many free pages or more; the exact number is then taken from the usage.
const MANY: u32 = u32::MAX;

/// The free resources of one host, as counts. Two hosts with the same topology and equal counts are
/// probably, but not certainly, in the same state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FreeCounts {
    /// Counts by position in [`Host::nodes`].
    pub(super) nodes: Box<[NodeCounts]>,
    /// The number of whole cores of each group of cores.
    pub(super) groups: Box<[u16]>,
    /// The number of free pages of each node and pool, or [`MANY`].
    pages: Box<[u32]>,
    /// Unheld GPUs, integrated ones too.
    unheld: GpuMask,
    /// Free GPUs: unheld and not integrated.
    pub(super) gpus: GpuMask,
    /// The GPUs of each tenant that holds any.
    pub(super) held: Box<[GpuMask]>,
    /// The number of cores of each node with GPUs that would be whole without the tenants with
    /// GPUs; empty if there are none.
    roomy: Box<[u16]>,
    /// The number of pages that these tenants hold of each pool of these nodes, or [`MANY`].
    beside_gpus: Box<[u32]>,
    /// Whether tenants float on cores with usable pCPUs.
    pub(super) crowded: bool,
}

impl FreeCounts {
    pub(super) fn new(host: &Host, usage: &Usage) -> Self {
        let small = |n: usize| u16::try_from(n).expect("a host has at most 4096 pCPUs");
        let pcpus = FreePcpus::new(host, usage);
        let whole = pcpus.whole_cores();
        let cores =
            |of: &Range<usize>| small(whole.as_ref().map_or(0, |whole| whole.count(of)) as usize);
        let node = |(at, node): (usize, &Node)| NodeCounts {
            pcpus: small(pcpus.usable.intersection(&node.cpus).len()),
            cores: cores(&host.derived().nodes[at].cores),
        };
        let pools = host.nodes().iter().flat_map(|n| n.pools.iter().map(move |p| (n, p.size)));
        let free = |(node, size)| pages::on_node(host, usage, node, size);
        let pages = pools.map(|pool| u32::try_from(free(pool)).unwrap_or(MANY));
        let tenants = GpuTenants::new(host, usage);
        let beside = |(_, node, size)| u32::try_from(tenants.pages(node, size)).unwrap_or(MANY);
        let some = !tenants.is_empty();
        let with_gpus = host.derived().gpu_places.with_gpus.iter().filter(|_| some);
        let roomy = tenants.whole_cores(with_gpus.map(|node| &host.derived().nodes[node.at].cores));
        let groups = host.derived().groups.iter();
        let unheld = gpus::unheld(host, usage);
        Self {
            groups: groups.map(|group| cores(&group.cores)).collect(),
            nodes: host.nodes().iter().enumerate().map(node).collect(),
            pages: pages.collect(),
            roomy: roomy.into_iter().map(|cores| small(cores as usize)).collect(),
            beside_gpus: gpu_pools(host).filter(|_| some).map(beside).collect(),
            unheld,
            gpus: gpus::free(host, usage),
            held: gpus::held_by_tenants(host, usage).into(),
            crowded: pcpus.floaters.is_some(),
        }
    }

    /// The number of free pages by node position and page size.
    fn pages<'a>(
        &'a self,
        host: &'a Host,
        usage: &'a Usage,
    ) -> impl Iterator<Item = (usize, PageSize, u64)> + 'a {
        let nodes = host.nodes().iter().enumerate();
        let pools =
            nodes.flat_map(|(at, node)| node.pools.iter().map(move |pool| (at, node, pool)));
        pools.zip(&self.pages).map(|((at, node, pool), free)| {
            let size = pool.size;
            let many = || pages::on_node(host, usage, node, size);
            (at, size, if *free == MANY { many() } else { u64::from(*free) })
        })
    }

    /// The free bytes of each node in pages that the request could use, by position.
    pub(super) fn bytes(&self, host: &Host, usage: &Usage, request: &Request) -> [u64; MAX_NODES] {
        let mut bytes = [0_u64; MAX_NODES];
        for (at, size, free) in self.pages(host, usage) {
            if pages::needed(request, size).is_some() {
                bytes[at] = bytes[at].saturating_add(free.saturating_mul(size.bytes()));
            }
        }
        bytes
    }

    /// The room of each node with GPUs once the tenants with GPUs are gone, with `bytes` free on
    /// each node in pages that the request could use.
    pub(super) fn rooms_without_gpu_tenants(
        &self,
        host: &Host,
        usage: &Usage,
        request: &Request,
        bytes: &[u64; MAX_NODES],
    ) -> SmallVec<[Share; 8]> {
        let mut bytes = *bytes;
        for ((at, node, size), held) in gpu_pools(host).zip(&self.beside_gpus) {
            let many = || GpuTenants::new(host, usage).pages(node, size);
            let held = if *held == MANY { many() } else { u64::from(*held) };
            if pages::needed(request, size).is_some() {
                bytes[at] = bytes[at].saturating_add(held.saturating_mul(size.bytes()));
            }
        }
        let with_gpus = host.derived().gpu_places.with_gpus.iter().zip(&self.roomy);
        with_gpus
            .map(|(node, cores)| Share { cores: u64::from(*cores), bytes: bytes[node.at] })
            .collect()
    }

    /// The free resources of the whole host.
    pub(super) fn in_all(&self) -> Remaining {
        let pcpus = self.nodes.iter().map(|node| u64::from(node.pcpus)).sum();
        Remaining { gpus: count(self.gpus), pcpus }
    }

    /// The resources that remain beside a placement that holds `dedicated` pCPUs.
    pub(super) fn beside(&self, host: &Host, placement: &Placement, dedicated: u64) -> Remaining {
        let gpus = placement.gpus().filter_map(|gpu| host.gpu_index(gpu.address)).collect();
        let Remaining { pcpus, .. } = self.in_all();
        Remaining { gpus: count(self.gpus - gpus), pcpus: pcpus.saturating_sub(dedicated) }
    }

    /// The smallest and the largest number of the free GPUs that the VM may take. They differ where
    /// integrated GPUs may be taken, which are not among the free ones.
    pub(super) fn gpus_taken(&self, host: &Host, request: &Request) -> (u64, u64) {
        match &request.spec().gpus {
            GpuRequest::Addresses(addresses) => {
                let taken = count(self.gpus & host.gpu_mask(addresses));
                (taken, taken)
            }
            // Virtual functions are not among the free GPUs.
            GpuRequest::VfOf { .. } => (0, 0),
            GpuRequest::Count { count: wanted, model } => {
                let wanted = u64::from(*wanted);
                let others = count(self.candidates(host, model.as_deref()) - self.gpus);
                (wanted.saturating_sub(others), wanted)
            }
        }
    }

    /// The GPUs that a request for a number of them may be given. Whether they have the wanted
    /// model is not checked here: it may be that of an integrated GPU.
    fn candidates(&self, host: &Host, model: Option<&str>) -> GpuMask {
        if model.is_some() { self.unheld } else { self.unheld & host.derived().offered }
    }

    /// A resource of which the request needs more than it could have. `None` proves nothing.
    pub(super) fn short(&self, host: &Host, usage: &Usage, request: &Request) -> Option<Shortfall> {
        let spec = request.spec();
        let nodes = most_nodes(host, request);
        let most = |of: &mut dyn Iterator<Item = u64>| {
            if nodes >= self.nodes.len() {
                return of.fold(0, u64::saturating_add);
            }
            let mut all: SmallVec<[u64; 16]> = of.collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.into_iter().take(nodes).fold(0, u64::saturating_add)
        };
        if let GpuRequest::Count { count: wanted, model } = &spec.gpus {
            let free = self.candidates(host, model.as_deref()) - host.gpu_mask(&spec.devices);
            let of_nodes = host.derived().nodes.iter().map(|node| count(node.gpus & free));
            let local = spec.policies.gpu_locality == Policy::Require;
            let (needed, free) = (u64::from(*wanted), count(free));
            let free = if local { most(&mut { of_nodes }) } else { free };
            if free < needed {
                return Some(Shortfall::Gpus { needed, free });
            }
        }
        if spec.must_dedicate() {
            let needed = u64::from(spec.vcpus);
            let free = most(&mut self.nodes.iter().map(|node| u64::from(node.pcpus)));
            if free < needed {
                return Some(Shortfall::Pcpus { needed, free });
            }
        }
        let size = spec.page_size?;
        let needed = pages::needed(request, size)?;
        let bytes = self.bytes(host, usage, request);
        let pages = || bytes[..self.nodes.len()].iter().map(|free| free / size.bytes());
        let in_all = pages().fold(0, u64::saturating_add).saturating_sub(usage.unbound_pages(size));
        let free = most(&mut pages()).min(in_all);
        (free < needed).then_some(Shortfall::Pages { page_size: size, needed, free })
    }
}

/// The pools of the nodes with GPUs, each with its node and the node's position.
fn gpu_pools(host: &Host) -> impl Iterator<Item = (usize, &Node, PageSize)> {
    let with_gpus = host.derived().gpu_places.with_gpus.iter();
    let nodes = with_gpus.map(|node| (node.at, &host.nodes()[node.at]));
    nodes.flat_map(|(at, node)| node.pools.iter().map(move |pool| (at, node, pool.size)))
}

/// The number of GPUs in the mask.
fn count(gpus: GpuMask) -> u64 {
    u64::from(gpus.len())
}

/// The largest number of nodes that the VM may span.
pub(super) fn most_nodes(host: &Host, request: &Request) -> usize {
    match (request.spec().policies.one_node, request.spec().cells.required()) {
        (Policy::Require, _) => 1,
        // A guest without cells may still span several nodes.
        (_, Some(cells)) if cells > 1 => cells as usize,
        _ => host.nodes().len(),
    }
}
