//! What is asked for: a VM's size, its devices, and how strictly each wish is meant.

use std::collections::BTreeSet;

use crate::units::{Bytes, PageSize, PciAddr};
use crate::workload::Workload;

/// The most vCPUs of a VM.
pub const MAX_VCPUS: u32 = 4096;
/// The most I/O threads, and the most emulator pCPUs, of a VM.
pub const MAX_IO_THREADS: u32 = 256;

/// How strictly a property is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Policy {
    /// A placement without it is refused.
    Require,
    /// A placement without it costs [`Options::preference_cost`](crate::Options::preference_cost).
    Prefer,
    /// The score alone decides.
    #[default]
    Ignore,
}

/// A wanted value, and how strictly it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Wish<T> {
    /// Any: the score alone decides.
    #[default]
    Auto,
    /// Another value costs [`Options::preference_cost`](crate::Options::preference_cost).
    Prefer(T),
    /// Another value is refused.
    Require(T),
}

impl<T: PartialEq + Copy> Wish<T> {
    /// The value that must be, if one must.
    #[must_use]
    pub fn required(&self) -> Option<T> {
        if let Self::Require(value) = self { Some(*value) } else { None }
    }

    /// Whether `value` is what is preferred, or nothing is.
    #[must_use]
    pub fn is_met_by(&self, value: T) -> bool {
        match self {
            Self::Auto => true,
            Self::Prefer(wanted) | Self::Require(wanted) => *wanted == value,
        }
    }
}

/// Which GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase", deny_unknown_fields))]
pub enum GpuRequest {
    /// So many, of any model or of one whose name contains the text, whatever its case.
    Count {
        /// How many.
        count: u32,
        /// A part of the model's name or of its ids (`10de:2335`).
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        model: Option<String>,
    },
    /// Just these.
    Addresses(Vec<PciAddr>),
}

impl Default for GpuRequest {
    fn default() -> Self {
        Self::Count { count: 0, model: None }
    }
}

impl GpuRequest {
    /// How many GPUs.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Count { count, .. } => usize::try_from(*count).unwrap_or(usize::MAX),
            Self::Addresses(addresses) => addresses.len(),
        }
    }
}

/// How strictly each property is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Policies {
    /// A pCPU of its own for every vCPU. `Prefer` floats the vCPUs only where pinning cannot fit.
    #[cfg_attr(
        feature = "serde",
        serde(alias = "dedicated-cpus", skip_serializing_if = "is_require")
    )]
    pub dedicated_cpus: Policy,
    /// No core shared with another tenant; siblings without a vCPU stay idle.
    #[cfg_attr(
        feature = "serde",
        serde(alias = "whole-cores", skip_serializing_if = "is_require")
    )]
    pub whole_cores: Policy,
    /// All vCPUs and all memory on one node.
    #[cfg_attr(feature = "serde", serde(alias = "one-node", skip_serializing_if = "is_ignore"))]
    pub one_node: Policy,
    /// Every GPU on a node of the VM.
    #[cfg_attr(
        feature = "serde",
        serde(alias = "gpu-locality", skip_serializing_if = "is_prefer")
    )]
    pub gpu_locality: Policy,
    /// All GPUs below one PCIe switch.
    #[cfg_attr(feature = "serde", serde(alias = "same-switch", skip_serializing_if = "is_ignore"))]
    pub same_switch: Policy,
    /// Every two GPUs linked directly (NVLink, xGMI).
    #[cfg_attr(feature = "serde", serde(alias = "linked-gpus", skip_serializing_if = "is_ignore"))]
    pub linked_gpus: Policy,
    /// The GPUs are just one of the host's fabric partitions. Met where the host has none.
    #[cfg_attr(
        feature = "serde",
        serde(alias = "fabric-partition", skip_serializing_if = "is_prefer")
    )]
    pub fabric_partition: Policy,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            dedicated_cpus: Policy::Require,
            whole_cores: Policy::Require,
            one_node: Policy::Ignore,
            gpu_locality: Policy::Prefer,
            same_switch: Policy::Ignore,
            linked_gpus: Policy::Ignore,
            fabric_partition: Policy::Prefer,
        }
    }
}

/// What the guest runs, as far as it decides what the guest may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Guest {
    /// Unknown, or anything but Windows.
    #[default]
    Any,
    /// Windows. It sees one socket: its client editions run on at most two and ignore the rest.
    Windows,
}

impl Guest {
    /// The name in requests and arguments.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Windows => "windows",
        }
    }
}

/// What is asked for, in plain fields; [`RequestSpec::build`] checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct RequestSpec {
    /// The VM's name.
    #[cfg_attr(feature = "serde", serde(default = "default_name"))]
    pub name: String,
    /// How many vCPUs.
    pub vcpus: u32,
    /// How much memory.
    pub memory: Bytes,
    /// The page size; `None` for the largest that fits.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "page-size", skip_serializing_if = "is_default")
    )]
    pub page_size: Option<PageSize>,
    /// Which GPUs.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub gpus: GpuRequest,
    /// NICs and other devices that the VM gets too, and wants near.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub devices: Vec<PciAddr>,
    /// What the guest does.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub workload: Workload,
    /// What the guest runs.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub guest: Guest,
    /// How many guest cells: 1 for a guest without NUMA.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub cells: Wish<u32>,
    /// Whether all cells must be alike: as many vCPUs and as much memory each.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "even-cells", skip_serializing_if = "is_default")
    )]
    pub even_cells: bool,
    /// Whether the guest sees SMT siblings.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub smt: Wish<bool>,
    /// Whether the guest's GPUs use peer-to-peer; `None` where that is unknown.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "peer-to-peer", skip_serializing_if = "is_default")
    )]
    pub peer_to_peer: Option<bool>,
    /// pCPUs for the emulator threads alone; 0 to share the host's reserved pCPUs or the idle
    /// siblings beside the VM's vCPUs.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "emulator-pcpus", skip_serializing_if = "is_default")
    )]
    pub emulator_pcpus: u32,
    /// How many I/O threads.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "io-threads", skip_serializing_if = "is_default")
    )]
    pub io_threads: u32,
    /// How strictly the rest is wanted.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub policies: Policies,
}

/// Whether a writer leaves the value out.
#[cfg(feature = "serde")]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(feature = "serde")]
fn is_require(policy: &Policy) -> bool {
    *policy == Policy::Require
}

#[cfg(feature = "serde")]
fn is_prefer(policy: &Policy) -> bool {
    *policy == Policy::Prefer
}

#[cfg(feature = "serde")]
fn is_ignore(policy: &Policy) -> bool {
    *policy == Policy::Ignore
}

#[cfg(feature = "serde")]
fn default_name() -> String {
    "vm1".to_owned()
}

/// Why a request asks for nothing that could exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A name that libvirt would refuse.
    #[error(
        "the name {name:?} must have 1 to 200 characters, none of them a slash or a control character"
    )]
    Name {
        /// The name, cut.
        name: String,
    },
    /// A number out of its range.
    #[error("{what} is {found}, it must be from {low} to {high}")]
    Range {
        /// Which.
        what: &'static str,
        /// What it is.
        found: u64,
        /// The least.
        low: u64,
        /// The most.
        high: u64,
    },
    /// Memory that is not a whole number of the smallest pages.
    #[error("the memory of {memory} must be more than nothing and a multiple of {page_size}")]
    Memory {
        /// The memory.
        memory: Bytes,
        /// The page size that is asked for, or 4 KiB.
        page_size: PageSize,
    },
    /// A device that is named twice.
    #[error("device {address} is named twice")]
    DeviceTwice {
        /// The device.
        address: PciAddr,
    },
    /// Weights that are all zero.
    #[error("a custom workload needs a weight above zero")]
    NoWeight,
}

impl RequestSpec {
    /// A VM of this size, without devices, for a general workload.
    #[must_use]
    pub fn new(name: &str, vcpus: u32, memory: Bytes) -> Self {
        Self {
            name: name.to_owned(),
            vcpus,
            memory,
            page_size: None,
            gpus: GpuRequest::default(),
            devices: Vec::new(),
            workload: Workload::default(),
            guest: Guest::Any,
            cells: Wish::Auto,
            even_cells: false,
            smt: Wish::Auto,
            peer_to_peer: None,
            emulator_pcpus: 0,
            io_threads: 0,
            policies: Policies::default(),
        }
    }

    /// Checks the fields.
    ///
    /// # Errors
    /// [`RequestError`] if the name is not one, a count is zero where it must not be or beyond its
    /// limit, the memory is not a multiple of the page size, a device is named twice, or all
    /// weights of a custom workload are zero.
    pub fn build(self) -> Result<Request, RequestError> {
        let length = self.name.chars().count();
        if !(1..=200).contains(&length) || self.name.chars().any(|c| c == '/' || c.is_control()) {
            return Err(RequestError::Name { name: crate::shown::shorten(&self.name, 60) });
        }
        let cells = match self.cells {
            Wish::Auto => 1,
            Wish::Prefer(cells) | Wish::Require(cells) => cells,
        };
        for (what, found, low, high) in [
            ("the number of vCPUs", self.vcpus, 1, MAX_VCPUS),
            ("the number of guest cells", cells, 1, self.vcpus.min(64)),
            ("the number of I/O threads", self.io_threads, 0, MAX_IO_THREADS),
            ("the number of emulator pCPUs", self.emulator_pcpus, 0, MAX_IO_THREADS),
        ] {
            if !(low..=high).contains(&found) {
                let [found, low, high] = [found, low, high].map(u64::from);
                return Err(RequestError::Range { what, found, low, high });
            }
        }
        let page = self.page_size.unwrap_or(PageSize::KIB_4);
        if self.memory == Bytes::ZERO || page.pages_in(self.memory).is_none() {
            return Err(RequestError::Memory { memory: self.memory, page_size: page });
        }
        let named: &[PciAddr] =
            if let GpuRequest::Addresses(list) = &self.gpus { list } else { &[] };
        let mut seen = BTreeSet::new();
        if let Some(address) = named.iter().chain(&self.devices).find(|a| !seen.insert(**a)) {
            return Err(RequestError::DeviceTwice { address: *address });
        }
        let gpus = self.gpus.count().saturating_add(self.devices.len());
        if gpus > 64 {
            let found = u64::try_from(gpus).unwrap_or(u64::MAX);
            return Err(RequestError::Range {
                what: "the number of devices",
                found,
                low: 0,
                high: 64,
            });
        }
        if self.workload.weights() == crate::workload::Weights::default() {
            return Err(RequestError::NoWeight);
        }
        Ok(Request(self))
    }
}

/// A request whose fields are in range; [`Request::spec`] shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(RequestSpec);

impl Request {
    /// The fields, all in range.
    #[must_use]
    pub const fn spec(&self) -> &RequestSpec {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_sizes_are_one_sentence_each() {
        let base = RequestSpec::new("vm1", 4, Bytes::from_gib(4));
        let cases = [
            RequestSpec { vcpus: 0, ..base.clone() },
            RequestSpec { vcpus: 1_000_000_000, ..base.clone() },
            RequestSpec { memory: Bytes::ZERO, ..base.clone() },
            RequestSpec { memory: Bytes(5000), ..base.clone() },
            RequestSpec { name: "a\nb".into(), ..base.clone() },
            RequestSpec { name: String::new(), ..base.clone() },
            RequestSpec { cells: Wish::Require(5), ..base.clone() },
            RequestSpec {
                gpus: GpuRequest::Count { count: u32::MAX, model: None },
                ..base.clone()
            },
        ];
        for case in cases {
            let message = case.build().unwrap_err().to_string();
            assert!(message.len() < 200 && !message.contains('\n'), "{message}");
        }
        assert!(base.build().is_ok());
    }
}
