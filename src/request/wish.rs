//! Devices that are requested by kind and nearness instead of by address.

use std::fmt;

use super::policy::Policy;

/// The kind of devices that a request may ask for without naming them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum WishKind {
    /// Network and InfiniBand controllers, whole or as virtual functions.
    Nic,
    /// NVMe controllers.
    Nvme,
}

impl fmt::Display for WishKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nic => "NIC",
            Self::Nvme => "NVMe disk",
        })
    }
}

/// The number of devices that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum WishNumber {
    /// One for each GPU of the VM.
    PerGpu,
    /// This number in all.
    Count(u32),
}

/// The largest part of a host that counts as near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Nearness {
    /// One PCIe switch, or several below one root port: traffic need not pass the root complex.
    #[default]
    Switch,
    /// One root complex.
    RootComplex,
    /// One NUMA node.
    Node,
}

impl Nearness {
    /// All parts, the smallest first.
    pub const ALL: [Self; 3] = [Self::Switch, Self::RootComplex, Self::Node];

    /// The name in requests and arguments.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::RootComplex => "root-complex",
            Self::Node => "node",
        }
    }
}

/// Devices of one kind, chosen together with the GPUs: each is the nearest one that is free.
///
/// With [`WishNumber::PerGpu`], each device belongs to one GPU; otherwise a device is near if any
/// GPU is. In a VM without GPUs a device is near on a node of the VM, whatever `within` says, and
/// `near` then holds for the devices that are requested by address too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct DeviceWish {
    /// The kind.
    pub kind: WishKind,
    /// The number.
    pub number: WishNumber,
    /// A part of the model's name or of its PCI ids (`15b3:1021`); any model if `None`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub model: Option<String>,
    /// How strictly each device must be near.
    #[cfg_attr(
        feature = "serde",
        serde(default = "prefer", skip_serializing_if = "super::policy::is_prefer")
    )]
    pub near: Policy,
    /// What counts as near a GPU.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub within: Nearness,
}

#[cfg(feature = "serde")]
fn is_default(within: &Nearness) -> bool {
    *within == Nearness::default()
}

#[cfg(feature = "serde")]
fn prefer() -> Policy {
    Policy::Prefer
}

impl DeviceWish {
    /// Devices of any model, preferably near.
    #[must_use]
    pub const fn new(kind: WishKind, number: WishNumber) -> Self {
        Self { kind, number, model: None, near: Policy::Prefer, within: Nearness::Switch }
    }

    /// The number of devices for a VM with this number of GPUs.
    #[must_use]
    pub fn devices(&self, gpus: usize) -> usize {
        match self.number {
            WishNumber::PerGpu => gpus,
            WishNumber::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
        }
    }
}
