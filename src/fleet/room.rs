//! What is free on a host by count, and what that alone rules out.

use std::ops::Range;

use smallvec::SmallVec;

use crate::engine::search::cpus::FreePcpus;
use crate::engine::search::{free_gpus, tenants_gpus};
use crate::host::derived::GpuMask;
use crate::host::spec::MAX_NODES;
use crate::host::{Host, Node};
use crate::request::{GpuRequest, Policy, Request};
use crate::units::PageSize;
use crate::usage::Usage;

/// What a host has too little of, whatever the placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "short", rename_all = "snake_case"))]
pub enum Shortfall {
    /// GPUs, on as many nodes as the VM may have.
    Gpus {
        /// GPUs asked for.
        needed: u64,
        /// The most that are free.
        free: u64,
    },
    /// pCPUs, on as many nodes as the VM may have.
    Pcpus {
        /// vCPUs asked for.
        needed: u64,
        /// The most that are free.
        free: u64,
    },
    /// Pages, on as many nodes as the VM may have.
    Pages {
        /// Their size.
        page_size: PageSize,
        /// Pages needed.
        needed: u64,
        /// The most that are free.
        free: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeCounts {
    pub(super) pcpus: u16,
    /// Whole cores.
    pub(super) cores: u16,
    gpus: u16,
}

/// So many pages and more are not counted here.
const MANY: u32 = u32::MAX;

/// The counts of one host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Room {
    pub(super) nodes: Box<[NodeCounts]>,
    /// Whole cores by group, as the host has them.
    pub(super) groups: Box<[u16]>,
    /// Free pages, by node and pool as the host has them; [`MANY`] and more are asked of the usage.
    pages: Box<[u32]>,
    gpus: u16,
    /// Free GPUs that VMs usually ask for.
    pub(super) free: GpuMask,
    /// The GPUs of each tenant that has some.
    pub(super) held: Box<[GpuMask]>,
}

impl Room {
    pub(super) fn new(host: &Host, usage: &Usage) -> Self {
        let small = |n: usize| u16::try_from(n).expect("a host has at most 4096 pCPUs");
        let pcpus = FreePcpus::new(host, usage.dedicated());
        let free = || host.gpus().iter().filter(|gpu| usage.holder_of(gpu.address).is_none());
        let whole = pcpus.whole_cores();
        let cores =
            |of: &Range<usize>| small(whole.as_ref().map_or(0, |whole| whole.count(of)) as usize);
        let node = |(at, node): (usize, &Node)| NodeCounts {
            pcpus: small(pcpus.usable.intersection(&node.cpus).len()),
            cores: cores(&host.derived().nodes[at].cores),
            gpus: small(free().filter(|gpu| gpu.node == Some(node.id)).count()),
        };
        let pools = host.nodes().iter().flat_map(|n| n.pools.iter().map(|pool| (n.id, pool.size)));
        let groups = host.derived().groups.iter();
        Self {
            groups: groups.map(|group| cores(&group.cores)).collect(),
            nodes: host.nodes().iter().enumerate().map(node).collect(),
            pages: pools
                .map(|(node, size)| {
                    u32::try_from(usage.free_pages(host, node, size)).unwrap_or(MANY)
                })
                .collect(),
            gpus: small(free().count()),
            free: free_gpus(host, usage),
            held: tenants_gpus(host, usage).into(),
        }
    }

    /// Free pages by node and pool.
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
            let many = || usage.free_pages(host, node.id, size);
            (at, size, if *free == MANY { many() } else { u64::from(*free) })
        })
    }

    /// What could be claimed of a node's memory, by node position, in pages that the request could use.
    pub(super) fn bytes(&self, host: &Host, usage: &Usage, request: &Request) -> [u64; MAX_NODES] {
        let mut bytes = [0_u64; MAX_NODES];
        for (at, size, free) in self.pages(host, usage) {
            let wanted = request.spec().page_size.is_none_or(|wanted| wanted == size);
            if wanted && size.pages_in(request.spec().memory).is_some() {
                bytes[at] = bytes[at].saturating_add(free.saturating_mul(size.bytes()));
            }
        }
        bytes
    }

    /// Free GPUs and pCPUs.
    pub(super) fn free(&self) -> (u64, u64) {
        let pcpus = self.nodes.iter().map(|node| u64::from(node.pcpus)).sum();
        (u64::from(self.gpus), pcpus)
    }

    /// What the request needs more of than could be had. `None` proves nothing.
    pub(super) fn short(&self, host: &Host, usage: &Usage, request: &Request) -> Option<Shortfall> {
        let nodes = most_nodes(host, request);
        let most = |of: &mut dyn Iterator<Item = u64>| {
            if nodes >= self.nodes.len() {
                return of.fold(0, u64::saturating_add);
            }
            let mut all: SmallVec<[u64; 16]> = of.collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.into_iter().take(nodes).fold(0, u64::saturating_add)
        };
        if let GpuRequest::Count { count, .. } = &request.spec().gpus {
            let (needed, all) = (u64::from(*count), u64::from(self.gpus));
            let local = request.spec().policies.gpu_locality == Policy::Require;
            let on_nodes = || most(&mut self.nodes.iter().map(|node| u64::from(node.gpus)));
            let free = if local { on_nodes() } else { all };
            if free < needed {
                return Some(Shortfall::Gpus { needed, free });
            }
        }
        if request.spec().policies.dedicated_cpus == Policy::Require {
            let needed = u64::from(request.spec().vcpus);
            let free = most(&mut self.nodes.iter().map(|node| u64::from(node.pcpus)));
            if free < needed {
                return Some(Shortfall::Pcpus { needed, free });
            }
        }
        let size = request.spec().page_size?;
        let needed = size.pages_in(request.spec().memory)?;
        let bytes = self.bytes(host, usage, request);
        let pages = || bytes[..self.nodes.len()].iter().map(|free| free / size.bytes());
        let in_all = pages().fold(0, u64::saturating_add).saturating_sub(usage.unbound_pages(size));
        let free = most(&mut pages()).min(in_all);
        (free < needed).then_some(Shortfall::Pages { page_size: size, needed, free })
    }
}

/// On how many nodes the VM may be at most.
pub(super) fn most_nodes(host: &Host, request: &Request) -> usize {
    match (request.spec().policies.one_node, request.spec().cells.required()) {
        (Policy::Require, _) => 1,
        // A guest without cells may still lie on several nodes.
        (_, Some(cells)) if cells > 1 => cells as usize,
        _ => host.nodes().len(),
    }
}
