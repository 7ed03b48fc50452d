//! What the VMs look like that are counted.

use crate::host::Host;
use crate::sets::NodeSet;
use crate::units::{Bytes, PageSize};

/// Which nodes the cells of one VM may be on. They are always distinct nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Allowed {
    /// Any.
    #[default]
    Any,
    /// All in one of these sets.
    Sets(Vec<NodeSet>),
}

/// What the GPUs of one VM must be to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum GpuBond {
    /// Nothing.
    #[default]
    Any,
    /// Every two linked directly, and a fabric partition where the host has partitions.
    Linked,
    /// Just one of the host's fabric partitions, where the host has partitions.
    Partition,
}

/// A VM of equal cells, each on a node of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Shape {
    /// How many cells, so how many nodes. None fits without one.
    pub cells: u32,
    /// vCPUs a cell, each with a pCPU of its own.
    pub vcpus: u32,
    /// Memory a cell. None fits if it is no whole number of pages.
    pub memory: Bytes,
    /// The size of its pages.
    #[cfg_attr(feature = "serde", serde(alias = "page-size", alias = "page"))]
    pub page_size: PageSize,
    /// GPUs a cell, of the cell's node.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub gpus: u32,
    /// Whether the guest sees SMT siblings: two vCPUs a core. None fits if a cell's vCPUs are odd.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub smt: bool,
    /// Whether a core is given to one VM only.
    #[cfg_attr(
        feature = "serde",
        serde(default = "yes", alias = "whole-cores", skip_serializing_if = "is_yes")
    )]
    pub whole_cores: bool,
    /// What its GPUs must be to each other.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub bond: GpuBond,
    /// Which nodes its cells may be on.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub allowed: Allowed,
}

/// Whether a writer leaves the value out.
#[cfg(feature = "serde")]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(feature = "serde")]
fn is_yes(value: &bool) -> bool {
    *value
}

#[cfg(feature = "serde")]
fn yes() -> bool {
    true
}

impl Shape {
    /// Cells of this size on any nodes, without GPUs, with whole cores and without SMT siblings.
    #[must_use]
    pub fn new(cells: u32, vcpus: u32, memory: Bytes, page: PageSize) -> Self {
        let (gpus, smt, whole_cores) = (0, false, true);
        let (bond, allowed) = (GpuBond::Any, Allowed::Any);
        Self { cells, vcpus, memory, page_size: page, gpus, smt, whole_cores, bond, allowed }
    }

    /// vCPUs a core.
    pub(super) fn threads(&self) -> u32 {
        if self.smt { 2 } else { 1 }
    }
}

/// What a host with GPUs is bought for: VMs of 1, 2, 4 and 8 GPUs, as far as it has so many, with
/// their share of the cores and of the hugepages of the GPUs' nodes. None for a host without GPUs.
///
/// A share is what every GPU can have on its own node, the host's own pCPUs left out, so a full set
/// of equal shapes fits an empty host. GPUs that one node cannot hold spread evenly over cells; a
/// number that does not is left out. The numbers 1, 2, 4 and 8 are chosen by us: what boards and
/// clouds offer.
#[must_use]
pub fn reference_shapes(host: &Host) -> Vec<Shape> {
    let kept = host.housekeeping();
    let counted = |at: usize| {
        let node = &host.nodes()[at];
        let on = |gpu: &&crate::host::Gpu| !gpu.integrated && gpu.node == Some(node.id);
        let gpus = host.gpus().iter().filter(on).count() as u64;
        let whole = |core: &&crate::host::Core| {
            core.node == node.id
                && core.pcpus.iter().all(|pcpu| !kept.contains(*pcpu))
                && core.pcpus.iter().any(|pcpu| host.allowed().contains(*pcpu))
        };
        (node, gpus, host.cores().iter().filter(whole).count() as u64)
    };
    let nodes: Vec<_> = (0..host.nodes().len()).map(counted).filter(|(_, g, _)| *g > 0).collect();
    let bytes = |size: PageSize| {
        let pools = nodes.iter().filter_map(|(node, ..)| node.pool(size));
        pools.map(|pool| u128::from(pool.total) * u128::from(size.bytes())).sum::<u128>()
    };
    let pools = nodes.iter().flat_map(|(node, ..)| &node.pools).filter(|pool| pool.total > 0);
    let huge = |size: &PageSize| (size.is_huge(), bytes(*size), *size);
    let Some(page) = pools.map(|pool| pool.size).max_by_key(huge) else { return Vec::new() };
    let share = |of: &dyn Fn(usize) -> u64| {
        (0..nodes.len()).map(|at| of(at) / nodes[at].1).min().unwrap_or(0)
    };
    let vcpus = u32::try_from(share(&|at| nodes[at].2)).unwrap_or(u32::MAX);
    let pages = share(&|at| nodes[at].0.pool(page).map_or(0, |pool| pool.total));
    let Some((most, all)) =
        nodes.iter().map(|(_, gpus, _)| *gpus).max().zip(Some(nodes.iter().map(|n| n.1).sum()))
    else {
        return Vec::new();
    };
    if vcpus == 0 || pages == 0 {
        return Vec::new();
    }
    let of_size = |size: u32| {
        let cells = u64::from(size).div_ceil(most);
        let gpus = size / u32::try_from(cells).ok()?;
        let fits = u64::from(size) <= all && u64::from(gpus) * cells == u64::from(size);
        let memory = page.times(pages.checked_mul(u64::from(gpus))?);
        let shape = Shape::new(u32::try_from(cells).ok()?, vcpus.checked_mul(gpus)?, memory, page);
        fits.then_some(Shape { gpus, ..shape })
    };
    [1, 2, 4, 8].into_iter().filter_map(of_size).collect()
}
