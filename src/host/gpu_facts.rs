//! What is known of one GPU of a host beside its record.

use super::mask::GpuMask;
use super::pcie::RootComplex;
use crate::units::PciAddr;

/// What is known of one GPU; every mask holds the GPU itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GpuFacts {
    /// Its node, by position in [`Host::nodes`](super::Host::nodes).
    pub(crate) node: Option<usize>,
    pub(crate) root: RootComplex,
    /// Those on its node; itself alone where that is unknown.
    pub(crate) on_node: GpuMask,
    /// Those that it is linked with.
    pub(crate) linked: GpuMask,
    /// Those below its root port.
    pub(crate) near: GpuMask,
    /// Those in its root complex, or known to be on its node.
    pub(crate) around: GpuMask,
    /// Those on its switch; none, not even itself, where it hangs from no switch.
    pub(crate) on_switch: GpuMask,
    /// Those in its IOMMU group.
    pub(crate) group: GpuMask,
    /// Those of its model.
    pub(crate) model: GpuMask,
    /// Whether its link runs below what both of its sides can.
    pub(crate) degraded: bool,
    /// The functions that have to go together with it, itself included.
    pub(crate) bundle: Vec<PciAddr>,
    /// Those that it could change places with, and nothing here would tell.
    pub(crate) twins: GpuMask,
}
