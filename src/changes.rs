//! The smallest changes that would make a refused request fit, each of them tried before it is
//! reported.

use crate::engine::recommend::recommend;
use crate::engine::score::Property;
use crate::host::Host;
use crate::question::Question;
use crate::request::{GpuRequest, Policy, Request, RequestSpec};
use crate::units::{Bytes, NodeId, PageSize};

/// A change to the request or the host after which the request fits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "change", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Change {
    /// Fewer vCPUs.
    FewerVcpus {
        /// The largest number that fits.
        vcpus: u32,
    },
    /// Less memory.
    LessMemory {
        /// The largest amount that fits.
        memory: Bytes,
    },
    /// More pages on one node.
    MorePages {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
        /// The number of additional pages.
        more: u64,
        /// The resulting number of pages in the pool: the value for `nr_hugepages`.
        total: u64,
    },
    /// Another page size.
    OtherPageSize {
        /// The size that fits.
        page_size: PageSize,
    },
    /// Fewer GPUs.
    FewerGpus {
        /// The largest number that fits.
        gpus: u32,
    },
    /// One requirement turned into a preference.
    Relax {
        /// The property.
        property: Property,
    },
}

/// The smallest changes that would each, alone, make a refused request fit. Every one was tried.
#[must_use]
pub fn smallest_changes(question: Question<'_>) -> Vec<Change> {
    let Question { host, usage, request, options } = question;
    let fits = |host: &Host, changed: RequestSpec| {
        changed.build().is_ok_and(|request| {
            recommend(Question::new(host, usage, &request).with(options)).is_ok()
        })
    };
    let plain = request.spec();
    let mut changes = more_pages(host, request, |host| fits(host, plain.clone()));
    let sizes = [PageSize::GIB_1, PageSize::MIB_2, PageSize::KIB_4];
    let other = |size: &PageSize| {
        request.spec().page_size.is_some_and(|wanted| wanted != *size)
            && fits(host, RequestSpec { page_size: Some(*size), ..plain.clone() })
    };
    changes.extend(
        sizes.into_iter().find(other).map(|size| Change::OtherPageSize { page_size: size }),
    );
    let vcpus = |vcpus: u64| {
        let vcpus = u32::try_from(vcpus).unwrap_or(u32::MAX);
        fits(host, RequestSpec { vcpus, ..plain.clone() })
    };
    // Odd and even numbers apart: an odd number cannot show siblings, so fitting is not monotone
    // over both.
    let fewer = [1, 2].map(|step| {
        let below = u64::from(request.spec().vcpus).div_ceil(step);
        most(below, |n| vcpus(n * step)).map_or(0, |n| n * step)
    });
    // Even so it may not be monotone: a few more may fit although one less did not.
    let fewer = fewer[0].max(fewer[1]);
    let below = fewer + 1..u64::from(request.spec().vcpus).min(fewer + 9);
    let fewer = if fewer > 0 { below.rev().find(|n| vcpus(*n)).unwrap_or(fewer) } else { 0 };
    if fewer > 0 {
        changes.push(Change::FewerVcpus { vcpus: u32::try_from(fewer).unwrap_or(u32::MAX) });
    }
    // Each page size apart: memory that is not a multiple of a size cannot use its pages, so
    // fitting is not monotone over all sizes.
    let most_of = |size: &PageSize| {
        let fits = |pages| fits(host, RequestSpec { memory: size.times(pages), ..plain.clone() });
        most(request.spec().memory.0.div_ceil(size.bytes()), fits).map(|pages| size.times(pages))
    };
    let memory = sizes.iter().filter_map(most_of).max();
    changes.extend(memory.map(|memory| Change::LessMemory { memory }));
    if let GpuRequest::Count { count, model } = &request.spec().gpus {
        let gpus = |count| GpuRequest::Count { count, model: model.clone() };
        let fewer = (0..*count).rev();
        let fits = |n: &u32| fits(host, RequestSpec { gpus: gpus(*n), ..plain.clone() });
        changes.extend({ fewer }.find(fits).map(|gpus| Change::FewerGpus { gpus }));
    }
    for (property, relaxed) in relaxations(plain) {
        if fits(host, relaxed) {
            changes.push(Change::Relax { property });
        }
    }
    changes
}

/// The largest number below `above` that fits, if fitting is monotone; `None` if 1 does not fit.
fn most(above: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    if above <= 1 || !fits(1) {
        return None;
    }
    let (mut good, mut bad) = (1, above);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) { good = middle } else { bad = middle }
    }
    Some(good)
}

/// The smallest number of additional pages of one size on one node that makes the request fit.
fn more_pages(host: &Host, request: &Request, fits: impl Fn(&Host) -> bool) -> Vec<Change> {
    let size = request.spec().page_size.filter(|size| size.is_huge());
    let Some((size, needed)) = size.and_then(|s| Some((s, s.pages_in(request.spec().memory)?)))
    else {
        return Vec::new();
    };
    let with = |at: usize, more: u64| {
        let mut changed = host.description().clone();
        let node = changed.nodes.get_mut(at)?;
        // A new hugepage takes base memory, which must be free.
        let base = node.pools.first_mut()?;
        let taken = more.checked_mul(size.bytes() / base.size.bytes())?;
        base.free = base.free.checked_sub(taken)?;
        base.total -= taken;
        match node.pools.iter_mut().find(|pool| pool.size == size) {
            Some(pool) => (pool.total, pool.free) = (pool.total + more, pool.free + more),
            None => node.pools.push(crate::host::PagePool { size, total: more, free: more }),
        }
        changed.build().ok()
    };
    let works = |at: usize, more: u64| with(at, more).is_some_and(|host| fits(&host));
    let mut best: Option<(u64, usize)> = None;
    for at in 0..host.nodes().len() {
        let most_needed = best.map_or(needed, |(more, _)| more - 1);
        let base = host.nodes()[at]
            .pools
            .first()
            .map_or(0, |pool| pool.free * pool.size.bytes() / size.bytes());
        let top = most_needed.min(base);
        if top == 0 || !works(at, top) {
            continue;
        }
        let (mut bad, mut good) = (0, top);
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            if works(at, middle) { good = middle } else { bad = middle }
        }
        best = Some((good, at));
    }
    let change = |(more, at): (u64, usize)| {
        let node = &host.nodes()[at];
        let total = node.pool(size).map_or(0, |pool| pool.total) + more;
        Change::MorePages { node: node.id, page_size: size, more, total }
    };
    best.map(change).into_iter().collect()
}

/// The request once for each requirement, with that requirement relaxed.
fn relaxations(request: &RequestSpec) -> Vec<(Property, RequestSpec)> {
    let policies = [
        (Property::DedicatedCpus, request.policies.dedicated_cpus),
        (Property::WholeCores, request.policies.whole_cores),
        (Property::OneNode, request.policies.one_node),
        (Property::GpuLocality, request.policies.gpu_locality),
        (Property::SameSwitch, request.policies.same_switch),
        (Property::LinkedGpus, request.policies.linked_gpus),
        (Property::FabricPartition, request.policies.fabric_partition),
    ];
    let relaxed = |property: Property| {
        let mut changed = request.clone();
        let policies = &mut changed.policies;
        let policy = match property {
            Property::DedicatedCpus => &mut policies.dedicated_cpus,
            Property::WholeCores => &mut policies.whole_cores,
            Property::OneNode => &mut policies.one_node,
            Property::GpuLocality => &mut policies.gpu_locality,
            Property::SameSwitch => &mut policies.same_switch,
            Property::LinkedGpus => &mut policies.linked_gpus,
            _ => &mut policies.fabric_partition,
        };
        *policy = Policy::Prefer;
        changed
    };
    let required = policies.into_iter().filter(|(_, policy)| *policy == Policy::Require);
    required.map(|(property, _)| (property, relaxed(property))).collect()
}
