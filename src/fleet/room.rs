//! What is free on a host by count, and what that alone rules out.

use crate::host::Host;
use crate::host::usage::Usage;
use crate::request::{GpuRequest, Policy, Request};
use crate::units::PageSize;

/// What a host has too little of, whatever the placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "short", rename_all = "kebab-case"))]
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
        size: PageSize,
        /// Pages needed.
        needed: u64,
        /// The most that are free.
        free: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NodeCounts {
    pcpus: u32,
    gpus: u32,
}

/// The counts of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Room {
    nodes: Vec<NodeCounts>,
    gpus: u32,
}

impl Room {
    pub(super) fn new(host: &Host, usage: &Usage) -> Self {
        let small = |n: usize| u32::try_from(n).expect("a host has at most 4096 pCPUs");
        let usable = host.allowed().difference(usage.dedicated()).difference(&host.housekeeping());
        let free = || host.gpus().iter().filter(|gpu| usage.holder_of(gpu.address).is_none());
        let node = |node: &crate::host::Node| NodeCounts {
            pcpus: small(usable.intersection(&node.cpus).len()),
            gpus: small(free().filter(|gpu| gpu.node == Some(node.id)).count()),
        };
        Self { nodes: host.nodes().iter().map(node).collect(), gpus: small(free().count()) }
    }

    /// Free GPUs and pCPUs.
    pub(super) fn free(&self) -> (u64, u64) {
        let pcpus = self.nodes.iter().map(|node| u64::from(node.pcpus)).sum();
        (u64::from(self.gpus), pcpus)
    }

    /// What the request needs more of than could be had. `None` proves nothing.
    pub(super) fn short(&self, host: &Host, usage: &Usage, request: &Request) -> Option<Shortfall> {
        let nodes = match (request.policies.one_node, request.cells.required()) {
            (Policy::Require, _) => 1,
            // A guest without cells may still lie on several nodes.
            (_, Some(cells)) if cells > 1 => cells as usize,
            _ => self.nodes.len(),
        };
        let most = |of: &mut dyn Iterator<Item = u64>| {
            let mut all: Vec<u64> = of.collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.into_iter().take(nodes).fold(0, u64::saturating_add)
        };
        if let GpuRequest::Count { count, .. } = &request.gpus {
            let (needed, all) = (u64::from(*count), u64::from(self.gpus));
            let local = request.policies.gpu_locality == Policy::Require;
            let on_nodes = || most(&mut self.nodes.iter().map(|node| u64::from(node.gpus)));
            let free = if local { on_nodes() } else { all };
            if free < needed {
                return Some(Shortfall::Gpus { needed, free });
            }
        }
        if request.policies.dedicated_cpus == Policy::Require {
            let needed = u64::from(request.vcpus);
            let free = most(&mut self.nodes.iter().map(|node| u64::from(node.pcpus)));
            if free < needed {
                return Some(Shortfall::Pcpus { needed, free });
            }
        }
        let size = request.page_size?;
        let needed = size.pages_in(request.memory)?;
        let free = most(&mut host.nodes().iter().map(|n| usage.free_pages(host, n.id, size)));
        let free = free.min(usage.free_pages_in_all(host, size));
        (free < needed).then_some(Shortfall::Pages { size, needed, free })
    }
}
