//! What the departure of the tenants with GPUs would give back to a host.

use std::ops::Range;

use smallvec::SmallVec;

use crate::host::gpu_places::{GpuNode, Share};
use crate::host::{Host, Node};
use crate::sets::CpuSet;
use crate::units::PageSize;
use crate::usage::{Claim, Usage};

/// The tenants of a host that hold a GPU: any function of its bundle.
pub(crate) struct GpuTenants<'a> {
    host: &'a Host,
    usage: &'a Usage,
    claims: SmallVec<[&'a Claim; 8]>,
}

impl<'a> GpuTenants<'a> {
    pub(crate) fn new(host: &'a Host, usage: &'a Usage) -> Self {
        let mut names: SmallVec<[&str; 8]> = SmallVec::new();
        for gpu in &host.derived().gpus {
            for holder in gpu.bundle.iter().filter_map(|member| usage.holder_of(*member)) {
                if !names.contains(&holder) {
                    names.push(holder);
                }
            }
        }
        let claims = names.into_iter().filter_map(|name| usage.claim_of(name)).collect();
        Self { host, usage, claims }
    }

    /// The number of cores in each of these ranges that would be whole without these tenants.
    pub(crate) fn whole_cores<'r>(
        &self,
        ranges: impl Iterator<Item = &'r Range<usize>>,
    ) -> SmallVec<[u32; 8]> {
        let mut own = CpuSet::new();
        self.claims.iter().for_each(|claim| own.extend(&claim.dedicated));
        let others = self.usage.dedicated().difference(&own);
        let (allowed, kept) = (self.host.allowed(), &self.host.kept().cpus);
        let map = &self.host.derived().core_map;
        let mut whole = map.any(&allowed.difference(&others).difference(kept));
        whole.without(&map.any(&others.union(&kept.intersection(allowed))));
        ranges.map(|range| whole.count(range)).collect()
    }

    /// The room of each node with GPUs without these tenants. `free` gives the free bytes of a
    /// node by position, in pages of these sizes.
    pub(crate) fn rooms_without(
        &self,
        sizes: impl Iterator<Item = PageSize> + Clone,
        free: impl Fn(usize) -> u64,
    ) -> SmallVec<[Share; 8]> {
        let derived = self.host.derived();
        let with_gpus = &derived.gpu_places.with_gpus;
        let ranges = with_gpus.iter().map(|node| &derived.nodes[node.at].cores);
        let held = |at: usize, size: PageSize| {
            self.pages(&self.host.nodes()[at], size).saturating_mul(size.bytes())
        };
        let room = |(node, cores): (&GpuNode, u32)| {
            let held = sizes.clone().map(|size| held(node.at, size));
            Share { cores: u64::from(cores), bytes: held.fold(free(node.at), u64::saturating_add) }
        };
        with_gpus.iter().zip(self.whole_cores(ranges)).map(room).collect()
    }

    /// The number of pages of a size that these tenants hold on a node.
    pub(crate) fn pages(&self, node: &Node, size: PageSize) -> u64 {
        let pages = self.claims.iter().flat_map(|claim| &claim.pages);
        let here = pages.filter(|page| page.node == Some(node.id) && page.page_size == size);
        here.fold(0, |sum, page| sum.saturating_add(page.count))
    }
}
