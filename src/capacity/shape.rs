//! The shape of the VMs that are counted.

use crate::free::FreePcpus;
use crate::host::Host;
use crate::request::Sharing;
use crate::sets::NodeSet;
use crate::units::{Bytes, PageSize};
use crate::usage::Usage;

/// The nodes that the cells of one VM may be on. No two cells are on one node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Allowed {
    /// Any nodes.
    #[default]
    Any,
    /// The nodes of one of these sets.
    Sets(Vec<NodeSet>),
}

/// How the GPUs of one VM must be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum GpuBond {
    /// In any way, or not at all.
    #[default]
    Any,
    /// Every two are linked directly, and all are one fabric partition if the host has partitions.
    Linked,
    /// They are exactly one of the host's fabric partitions, if it has partitions.
    Partition,
}

/// A VM of equal cells, each on a node of its own.
///
/// A field may be added in any release: begin with [`Shape::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Shape {
    /// The number of cells, each on a node of its own. No VM fits if it is 0.
    pub cells: u32,
    /// The number of vCPUs per cell, each with a pCPU of its own.
    pub vcpus: u32,
    /// The memory per cell. No VM fits if it is not a whole number of pages.
    pub memory: Bytes,
    /// The page size.
    #[cfg_attr(feature = "serde", serde(alias = "page-size", alias = "page"))]
    pub page_size: PageSize,
    /// The number of GPUs per cell, on the cell's node.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub gpus: u32,
    /// The number of virtual functions (SR-IOV) of GPUs per cell, on the cell's node.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub virtual_functions: u32,
    /// Whether the guest sees SMT siblings: two vCPUs per core. No VM fits if a cell's vCPUs are
    /// odd.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub smt: bool,
    /// Whether each of its cores is given to one VM only.
    #[cfg_attr(
        feature = "serde",
        serde(default = "yes", alias = "whole-cores", skip_serializing_if = "is_yes")
    )]
    pub whole_cores: bool,
    /// vCPUs that float over shared pCPUs; `None` for a pCPU for each. No VM fits if the guest is
    /// to see SMT siblings.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub shared: Option<Sharing>,
    /// How its GPUs must be connected.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub bond: GpuBond,
    /// The nodes that its cells may be on.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub allowed: Allowed,
}

/// Whether a writer omits the value.
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
        let (gpus, virtual_functions, smt, whole_cores) = (0, 0, false, true);
        let (bond, allowed) = (GpuBond::Any, Allowed::Any);
        Self {
            cells,
            vcpus,
            memory,
            page_size: page,
            gpus,
            virtual_functions,
            smt,
            whole_cores,
            shared: None,
            bond,
            allowed,
        }
    }

    /// vCPUs per core.
    pub(super) fn threads(&self) -> u32 {
        if self.smt { 2 } else { 1 }
    }
}

/// The VMs that a host with GPUs is bought for: shapes of 1, 2, 4 and 8 GPUs, up to the number that
/// it has (those with virtual functions left out), with their share of the cores and pages of the
/// GPUs' nodes. Empty for a host without GPUs.
///
/// A share is the equal part that every GPU can have on its own node beside the pCPUs kept for the
/// host, so a full set of equal shapes fits an empty host. GPUs that one node cannot hold are
/// spread evenly over cells; numbers for which that is impossible are left out. The numbers 1, 2, 4
/// and 8 are chosen by us, after boards and cloud offers.
#[must_use]
pub fn reference_shapes(host: &Host) -> Vec<Shape> {
    // On an empty host: a core that the host keeps a part of cannot go to a VM whole.
    let whole = FreePcpus::new(host, &Usage::default()).whole_cores();
    let counted = |at: usize| {
        let node = &host.nodes()[at];
        let gpus = u64::from(host.derived().gpu_places.on_node[at].len());
        let cores = &host.derived().nodes[at].cores;
        (node, gpus, u64::from(whole.as_ref().map_or(0, |whole| whole.count(cores))))
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
