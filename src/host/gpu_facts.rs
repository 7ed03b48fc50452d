//! Facts about one GPU of a host beyond its record.

use super::function::{Loss, TakenFunction};
use super::mask::GpuMask;
use super::pcie::RootComplex;
use crate::units::PciAddr;

/// Facts about one GPU. Every mask includes the GPU itself unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GpuFacts {
    /// The position of its node in [`Host::nodes`](super::Host::nodes).
    pub(crate) node: Option<usize>,
    pub(crate) root: RootComplex,
    /// The GPUs on its node; only itself if the node is unknown.
    pub(crate) on_node: GpuMask,
    /// The GPUs that it is linked with.
    pub(crate) linked: GpuMask,
    /// The GPUs below its root port.
    pub(crate) near: GpuMask,
    /// The GPUs in its root complex, or known to be on its node.
    pub(crate) around: GpuMask,
    /// The GPUs on its switch; none, not even itself, if it is not on a switch.
    pub(crate) on_switch: GpuMask,
    /// The GPUs in its IOMMU group.
    pub(crate) group: GpuMask,
    /// The GPUs of its model.
    pub(crate) model: GpuMask,
    /// Whether its link runs slower or narrower than both sides can.
    pub(crate) degraded: bool,
    /// The functions that must go together with it, itself included.
    pub(crate) bundle: Vec<PciAddr>,
    /// The functions outside the bundle that nobody may hold beside it: the physical or the virtual
    /// functions of its members.
    pub(crate) excludes: Vec<PciAddr>,
    /// Whether it is a virtual function.
    pub(crate) is_virtual: bool,
    /// Whether it has virtual functions.
    pub(crate) is_split: bool,
    /// Whether a request for a number of GPUs of any model may be given it: it is not integrated
    /// into a processor, is not a virtual function, and has no virtual functions.
    pub(crate) by_number: bool,
    /// The members of its bundle that the host cannot easily do without: see
    /// [`bundle`](super::bundle).
    pub(crate) needed: Vec<TakenFunction>,
    /// What the host loses with it.
    pub(crate) loss: Loss,
    /// What its slot can carry, in MT/s times lanes; 0 if unknown.
    pub(crate) slot: u64,
    /// The GPUs that could be exchanged with it without any visible difference.
    pub(crate) twins: GpuMask,
}
