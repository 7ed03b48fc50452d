//! The request: a VM's size, its devices, and how strictly each property is wanted.

use std::collections::BTreeSet;

mod error;
mod policy;
mod sharing;
mod wish;

use crate::sets::{CpuSet, NodeSet};
use crate::units::{Bytes, PageSize, PciAddr, Ratio};
use crate::workload::Workload;

pub use error::RequestError;
pub use policy::Policy;
pub use sharing::Sharing;
pub use wish::{DeviceWish, Nearness, WishKind, WishNumber};

/// The largest number of vCPUs of a VM.
pub const MAX_VCPUS: u32 = 4096;
/// The largest number of I/O threads, and of emulator pCPUs, of a VM.
pub const MAX_IO_THREADS: u32 = 256;

/// The largest number of virtual functions of GPUs that a VM may have by number. Chosen by us: then
/// a host with such functions on up to eight nodes can offer as many on each.
pub const MAX_VFS_BY_NUMBER: u32 = 8;

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
    /// The required value, if there is one.
    #[must_use]
    pub fn required(&self) -> Option<T> {
        if let Self::Require(value) = self { Some(*value) } else { None }
    }

    /// Whether `value` meets the wish: it is the wanted value, or any value is wanted.
    #[must_use]
    pub fn is_met_by(&self, value: T) -> bool {
        match self {
            Self::Auto => true,
            Self::Prefer(wanted) | Self::Require(wanted) => *wanted == value,
        }
    }
}

/// The GPUs of a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase", deny_unknown_fields))]
pub enum GpuRequest {
    /// A number of whole GPUs, of any model or of one whose name contains a text (case is ignored).
    /// A GPU that has virtual functions is not given by number.
    Count {
        /// The number of GPUs.
        count: u32,
        /// A part of the model's name or of its PCI ids (`10de:2335`).
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        model: Option<String>,
    },
    /// A number of virtual functions (SR-IOV) of GPUs, of any model or of one whose name contains a
    /// text. At most [`MAX_VFS_BY_NUMBER`].
    #[doc(alias = "vGPU")]
    #[doc(alias = "SR-IOV")]
    #[cfg_attr(feature = "serde", serde(rename = "vf_of"))]
    VfOf {
        /// The number of virtual functions.
        count: u32,
        /// A part of the name or of the PCI ids of the virtual functions or of their cards.
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
        model: Option<String>,
    },
    /// Exactly these GPUs, whole ones or virtual functions.
    Addresses(Vec<PciAddr>),
}

impl Default for GpuRequest {
    fn default() -> Self {
        Self::Count { count: 0, model: None }
    }
}

impl GpuRequest {
    /// The number of GPUs.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Count { count, .. } | Self::VfOf { count, .. } => {
                usize::try_from(*count).unwrap_or(usize::MAX)
            }
            Self::Addresses(addresses) => addresses.len(),
        }
    }
}

/// How strictly each property is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Policies {
    /// A dedicated pCPU for every vCPU. With `Prefer`, vCPUs float only if pinning cannot fit, and
    /// then no more of them than the node has shared pCPUs: see [`RequestSpec::shared`] for more.
    #[cfg_attr(
        feature = "serde",
        serde(alias = "dedicated-cpus", skip_serializing_if = "is_require")
    )]
    pub dedicated_cpus: Policy,
    /// No core shared with another tenant; siblings without a vCPU stay idle. With `Ignore`, each
    /// pCPU alone is free or held, and the VM holds only those of its vCPUs and its emulator.
    #[cfg_attr(
        feature = "serde",
        serde(alias = "whole-cores", skip_serializing_if = "is_require")
    )]
    pub whole_cores: Policy,
    /// No other tenant with dedicated pCPUs in the L3 domains of the VM's dedicated pCPUs, now or
    /// later. Cores without a known L3 domain count as one domain for each package.
    #[doc(alias = "cache isolation")]
    #[cfg_attr(feature = "serde", serde(alias = "own-l3", skip_serializing_if = "is_ignore"))]
    pub own_l3: Policy,
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
    /// The GPUs form exactly one of the host's fabric partitions. Met if the host has none.
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
            own_l3: Policy::Ignore,
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

/// A request in plain fields; [`RequestSpec::build`] checks them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct RequestSpec {
    /// The VM's name.
    #[cfg_attr(feature = "serde", serde(default = "default_name"))]
    pub name: String,
    /// The number of vCPUs.
    pub vcpus: u32,
    /// The amount of memory.
    pub memory: Bytes,
    /// The page size; `None` for the largest that fits.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "page-size", skip_serializing_if = "is_default")
    )]
    pub page_size: Option<PageSize>,
    /// The GPUs.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub gpus: GpuRequest,
    /// NICs and other devices to pass through, preferably near the VM.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub devices: Vec<PciAddr>,
    /// Devices by kind, chosen beside the GPUs: one wish of each kind at most.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "device-wishes", skip_serializing_if = "is_default")
    )]
    pub device_wishes: Vec<DeviceWish>,
    /// Whether a device may take functions from the host that it needs, because they share its
    /// IOMMU group: a storage controller, a NIC, the display, the last USB controller.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "allow-group", skip_serializing_if = "is_default")
    )]
    pub allow_group: bool,
    /// The kind of work that the guest does.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub workload: Workload,
    /// What the guest runs.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub guest: Guest,
    /// The number of guest cells: 1 for a guest without NUMA.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub cells: Wish<u32>,
    /// Whether all cells must be equal in vCPUs and memory.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "even-cells", skip_serializing_if = "is_default")
    )]
    pub even_cells: bool,
    /// Whether the guest sees SMT siblings.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub smt: Wish<bool>,
    /// Whether the guest's GPUs use peer-to-peer; `None` if unknown.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "peer-to-peer", skip_serializing_if = "is_default")
    )]
    pub peer_to_peer: Option<bool>,
    /// The number of pCPUs for the emulator threads alone; 0 to share the host's reserved pCPUs or
    /// the idle siblings beside the VM's vCPUs. They are on the VM's nodes while there is room, and
    /// beside none of its vCPUs on a core, unless whole cores are not required.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "emulator-pcpus", skip_serializing_if = "is_default")
    )]
    pub emulator_pcpus: u32,
    /// The number of I/O threads.
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "io-threads", skip_serializing_if = "is_default")
    )]
    pub io_threads: u32,
    /// How the vCPUs float over shared pCPUs. `None` for dedicated pCPUs, as
    /// [`Policies::dedicated_cpus`] says. Where this is set, that policy and
    /// [`Policies::whole_cores`] have no effect.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub shared: Option<Sharing>,
    /// The pCPUs that the VM is held to; `None` for any. vCPUs, the siblings kept idle beside them
    /// and the emulator's own pCPUs are among these. Emulator threads without pCPUs of their own
    /// may also run on the pCPUs that the host keeps. Numbers that the host does not have count for
    /// nothing. The default layout pins nothing and is not held.
    #[doc(alias = "cpuset")]
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub cpus: Option<CpuSet>,
    /// The nodes that the VM's vCPUs and memory are held to; `None` for any. GPUs and devices on
    /// other nodes can still be given, and are then remote. The default layout is not held.
    #[doc(alias = "nodeset")]
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub nodes: Option<NodeSet>,
    /// The nodes that the VM's memory is held to; `None` for `nodes`, or for any nodes with CPUs.
    /// Only with this set is memory used on nodes without CPUs (HBM, CXL, persistent memory). The
    /// vCPUs may be on other nodes; a guest is then shown one cell. The default layout is not held.
    #[doc(alias = "nodeset")]
    #[cfg_attr(
        feature = "serde",
        serde(default, alias = "memory-nodes", skip_serializing_if = "is_default")
    )]
    pub memory_nodes: Option<NodeSet>,
    /// How strictly each other property is wanted.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub policies: Policies,
}

/// Whether a writer omits the value.
#[cfg(feature = "serde")]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(feature = "serde")]
fn is_require(policy: &Policy) -> bool {
    *policy == Policy::Require
}

#[cfg(feature = "serde")]
use policy::is_prefer;

#[cfg(feature = "serde")]
fn is_ignore(policy: &Policy) -> bool {
    *policy == Policy::Ignore
}

#[cfg(feature = "serde")]
fn default_name() -> String {
    "vm1".to_owned()
}

impl RequestSpec {
    /// A request of this size for a general workload, without devices.
    #[must_use]
    pub fn new(name: &str, vcpus: u32, memory: Bytes) -> Self {
        Self {
            name: name.to_owned(),
            vcpus,
            memory,
            page_size: None,
            gpus: GpuRequest::default(),
            devices: Vec::new(),
            device_wishes: Vec::new(),
            allow_group: false,
            workload: Workload::default(),
            guest: Guest::Any,
            cells: Wish::Auto,
            even_cells: false,
            smt: Wish::Auto,
            peer_to_peer: None,
            emulator_pcpus: 0,
            io_threads: 0,
            shared: None,
            cpus: None,
            nodes: None,
            memory_nodes: None,
            policies: Policies::default(),
        }
    }

    /// Whether every vCPU must have a pCPU of its own.
    #[must_use]
    pub fn must_dedicate(&self) -> bool {
        self.shared.is_none() && self.policies.dedicated_cpus == Policy::Require
    }

    /// The most vCPUs for each pCPU, where vCPUs float.
    #[must_use]
    pub fn overcommit(&self) -> Ratio {
        self.shared.map_or(Ratio::ONE, |shared| shared.overcommit)
    }

    /// Checks the fields.
    ///
    /// # Errors
    /// [`RequestError`] if the name is invalid, a count is out of its range, the memory is not a
    /// positive multiple of the page size, a device or a kind of devices is asked for twice, a
    /// device has an invalid address, all weights of a custom workload are zero, shared vCPUs come
    /// with an overcommit out of its range or with what only dedicated pCPUs can have, or `cpus`,
    /// `nodes` or `memory_nodes` is an empty set.
    pub fn build(self) -> Result<Request, RequestError> {
        let length = self.name.chars().count();
        if !(1..=200).contains(&length) || self.name.chars().any(|c| c == '/' || c.is_control()) {
            return Err(RequestError::Name { name: crate::shown::shorten(&self.name, 60) });
        }
        let cells = match self.cells {
            Wish::Auto => 1,
            Wish::Prefer(cells) | Wish::Require(cells) => cells,
        };
        let virtual_functions = match self.gpus {
            GpuRequest::VfOf { count, .. } => count,
            GpuRequest::Count { .. } | GpuRequest::Addresses(_) => 0,
        };
        for (what, found, low, high) in [
            ("the number of vCPUs", self.vcpus, 1, MAX_VCPUS),
            ("the number of virtual functions", virtual_functions, 0, MAX_VFS_BY_NUMBER),
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
        if let Some(address) = named.iter().chain(&self.devices).find(|a| !a.is_valid()) {
            return Err(RequestError::AddressRange { address: *address });
        }
        let mut seen = BTreeSet::new();
        if let Some(address) = named.iter().chain(&self.devices).find(|a| !seen.insert(**a)) {
            return Err(RequestError::DeviceTwice { address: *address });
        }
        let mut kinds = BTreeSet::new();
        if let Some(wish) = self.device_wishes.iter().find(|wish| !kinds.insert(wish.kind)) {
            return Err(RequestError::WishTwice { kind: wish.kind });
        }
        let named = self.gpus.count().saturating_add(self.devices.len());
        let wished = self.device_wishes.iter().map(|wish| wish.devices(self.gpus.count()));
        let gpus = wished.fold(named, usize::saturating_add);
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
        if let Some(Sharing { overcommit }) = self.shared {
            if !(Ratio::ONE..=Sharing::MAX).contains(&overcommit) {
                return Err(RequestError::Overcommit { overcommit });
            }
            for (what, is_asked) in [
                ("SMT siblings shown to the guest", self.smt == Wish::Require(true)),
                ("pCPUs for its emulator alone", self.emulator_pcpus > 0),
                ("L3 domains of its own", self.policies.own_l3 == Policy::Require),
            ] {
                if is_asked {
                    return Err(RequestError::SharedWith { what });
                }
            }
        }
        for (what, is_empty) in [
            ("pCPUs", self.cpus.as_ref().is_some_and(CpuSet::is_empty)),
            ("nodes", self.nodes.as_ref().is_some_and(NodeSet::is_empty)),
            ("memory nodes", self.memory_nodes.as_ref().is_some_and(NodeSet::is_empty)),
        ] {
            if is_empty {
                return Err(RequestError::EmptySet { what });
            }
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
            RequestSpec { cpus: Some(CpuSet::new()), ..base.clone() },
            RequestSpec { nodes: Some(NodeSet::new()), ..base.clone() },
            RequestSpec { memory_nodes: Some(NodeSet::new()), ..base.clone() },
            RequestSpec { shared: Some(Sharing { overcommit: Ratio(999) }), ..base.clone() },
            RequestSpec { shared: Some(Sharing { overcommit: Ratio(64_001) }), ..base.clone() },
            RequestSpec { shared: Some(Sharing::default()), emulator_pcpus: 1, ..base.clone() },
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
