//! A tenant's claim, and the reasons for refusing one.

use std::collections::BTreeMap;

use crate::sets::CpuSet;
use crate::shown::shorten;
use crate::units::{NodeId, PageSize, PciAddr};

/// Pages that a tenant holds.
///
/// A field may be added in any release: begin with [`PageClaim::on`] or [`PageClaim::anywhere`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PageClaim {
    /// The node of the pages; `None` if they are on no particular node.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub node: Option<NodeId>,
    /// The page size.
    #[cfg_attr(feature = "serde", serde(alias = "size"))]
    pub page_size: PageSize,
    /// The number of pages.
    pub count: u64,
}

impl PageClaim {
    /// Pages on `node`.
    #[must_use]
    pub fn on(node: NodeId, page_size: PageSize, count: u64) -> Self {
        Self { node: Some(node), page_size, count }
    }

    /// Pages on no particular node.
    #[must_use]
    pub fn anywhere(page_size: PageSize, count: u64) -> Self {
        Self { node: None, page_size, count }
    }
}

/// The resources that one tenant holds, as plain sets.
///
/// A field may be added in any release: begin with [`Claim::default`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Claim {
    /// pCPUs that nobody else may use: those with a vCPU, and the idle siblings beside them.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "CpuSet::is_empty"))]
    pub dedicated: CpuSet,
    /// pCPUs shared with other tenants: those that the vCPUs float on, or that emulator and I/O
    /// threads use.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "CpuSet::is_empty"))]
    pub floating: CpuSet,
    /// The memory of the tenant.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub pages: Vec<PageClaim>,
    /// The devices, in whole IOMMU groups.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub devices: Vec<PciAddr>,
    /// The mediated devices (mdev, NVIDIA vGPU before SR-IOV, Intel GVT-g), each by its parent, the
    /// function that it is a share of; `None` if the parent is unknown. Several tenants may hold
    /// shares of one parent.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub mediated: Vec<Option<PciAddr>>,
    /// Whether nobody else may be on the cores of its dedicated pCPUs: siblings there are closed to
    /// new VMs, though nobody holds them.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_off"))]
    pub whole_cores: bool,
    /// Whether nobody else may be in the L3 domains of its dedicated pCPUs.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_off"))]
    pub own_l3: bool,
    /// The number of its vCPUs that float on `floating`; 0 if none do, or if the number is unknown.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_none"))]
    pub floating_vcpus: u32,
}

/// Whether a writer omits the number.
#[cfg(feature = "serde")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_none(number: &u32) -> bool {
    *number == 0
}

/// Whether a writer omits the flag.
#[cfg(feature = "serde")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_off(value: &bool) -> bool {
    !*value
}

impl Claim {
    /// Pages needed by node and page size. The key without a node is the total of that size on all
    /// nodes.
    pub(super) fn pages_by_place(&self) -> BTreeMap<(Option<NodeId>, PageSize), u64> {
        let mut wanted: BTreeMap<(Option<NodeId>, PageSize), u64> = BTreeMap::new();
        for page in &self.pages {
            // Pages on a node count towards the total of all nodes too.
            let on_node = page.node.map(|node| (Some(node), page.page_size));
            for key in on_node.into_iter().chain([(None, page.page_size)]) {
                let sum = wanted.entry(key).or_default();
                *sum = sum.saturating_add(page.count);
            }
        }
        wanted
    }
}

/// A tenant's name for a message: quoted, and shortened if it is long.
pub(super) fn named(tenant: &str) -> String {
    format!("{:?}", shorten(tenant, 64))
}

/// pCPUs for a message, shortened: a list of thousands of single pCPUs would fill a page.
fn listed(cpus: &CpuSet) -> String {
    shorten(&cpus.to_string(), 128)
}

/// The reason why a claim was refused. The usage is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// A tenant with this name exists.
    #[error("a tenant {} already exists", named(.tenant))]
    NameTaken {
        /// The name of the tenant.
        tenant: String,
    },
    /// No tenant of this name.
    #[error("there is no tenant {}", named(.tenant))]
    NoTenant {
        /// The name.
        tenant: String,
    },
    /// pCPUs that are not online on the host.
    #[error("tenant {} claims pCPUs {}, which are not online on this host", named(.tenant), listed(.cpus))]
    NotOnline {
        /// The tenant that claims.
        tenant: String,
        /// The pCPUs.
        cpus: CpuSet,
    },
    /// Dedicated pCPUs that another tenant holds.
    #[error("tenant {} claims pCPUs {}, held by {}", named(.tenant), listed(.cpus), named(.holder))]
    PcpusHeld {
        /// The tenant that claims.
        tenant: String,
        /// The pCPUs.
        cpus: CpuSet,
        /// The tenant that holds the first of them.
        holder: String,
    },
    /// More pages than are free, or pages of a pool that the host does not have.
    #[error("tenant {} claims {needed} pages of {page_size} on {}, but {free} are free",
        named(.tenant), .node.map_or_else(|| "any node".to_owned(), |node| format!("node {node}")))]
    PagesShort {
        /// The tenant that claims.
        tenant: String,
        /// The node; `None` for all nodes together.
        node: Option<NodeId>,
        /// The page size.
        page_size: PageSize,
        /// The number of pages claimed.
        needed: u64,
        /// The number of pages free.
        free: u64,
    },
    /// An address that is not a device of the host, or is a bridge.
    #[error("tenant {} claims device {address}, which is not a device of the host", named(.tenant))]
    NoDevice {
        /// The tenant that claims.
        tenant: String,
        /// The device.
        address: PciAddr,
    },
    /// A device that cannot be used beside one that another tenant holds: a physical function and
    /// its virtual functions, or a function and its mediated devices.
    #[error("tenant {} claims {address}, which cannot be used beside {other}, held by {}",
        named(.tenant), named(.holder))]
    Excluded {
        /// The tenant that claims.
        tenant: String,
        /// The device.
        address: PciAddr,
        /// The function that the other tenant holds, or holds a mediated device of.
        other: PciAddr,
        /// The tenant that holds it.
        holder: String,
    },
    /// A device that another tenant holds, or that is claimed twice.
    #[error("tenant {} claims device {address}, held by {}", named(.tenant), named(.holder))]
    DeviceHeld {
        /// The tenant that claims.
        tenant: String,
        /// The device.
        address: PciAddr,
        /// The tenant that holds it.
        holder: String,
    },
}
