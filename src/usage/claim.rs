//! What a tenant holds, and why a claim is refused.

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
    /// The node they are on; `None` if they are on no particular node.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub node: Option<NodeId>,
    /// Their size.
    #[cfg_attr(feature = "serde", serde(alias = "size"))]
    pub page_size: PageSize,
    /// How many pages.
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

/// What one tenant holds: plain sets.
///
/// A field may be added in any release: begin with [`Claim::default`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Claim {
    /// pCPUs that nobody else may use: those with a vCPU, and siblings kept idle beside them.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "CpuSet::is_empty"))]
    pub dedicated: CpuSet,
    /// pCPUs that it shares with others: those that its vCPUs float on, or its emulator and I/O
    /// threads run on.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "CpuSet::is_empty"))]
    pub floating: CpuSet,
    /// Its memory.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub pages: Vec<PageClaim>,
    /// Its devices, whole IOMMU groups.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub devices: Vec<PciAddr>,
}

impl Claim {
    /// Pages needed, by node and size; without a node, of that size on all nodes together.
    pub(super) fn pages_by_place(&self) -> BTreeMap<(Option<NodeId>, PageSize), u64> {
        let mut wanted: BTreeMap<(Option<NodeId>, PageSize), u64> = BTreeMap::new();
        for page in &self.pages {
            // Pages on a node are also among those of all nodes together.
            let on_node = page.node.map(|node| (Some(node), page.page_size));
            for key in on_node.into_iter().chain([(None, page.page_size)]) {
                let sum = wanted.entry(key).or_default();
                *sum = sum.saturating_add(page.count);
            }
        }
        wanted
    }
}

/// A tenant's name in a sentence: quoted, and the beginning of a long one.
pub(super) fn named(tenant: &str) -> String {
    format!("{:?}", shorten(tenant, 64))
}

/// pCPUs in a sentence: the beginning of a long list, because every second one of thousands would
/// fill a page.
fn listed(cpus: &CpuSet) -> String {
    shorten(&cpus.to_string(), 128)
}

/// Why a claim was refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// A tenant of this name holds something already.
    #[error("there is a tenant {} already", named(.tenant))]
    NameTaken {
        /// Its name.
        tenant: String,
    },
    /// No tenant of this name.
    #[error("there is no tenant {}", named(.tenant))]
    NoTenant {
        /// The name.
        tenant: String,
    },
    /// pCPUs that the host does not have online.
    #[error("tenant {} claims pCPUs {}, which are not online", named(.tenant), listed(.cpus))]
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
    /// Pages that are not free, or that the host does not have.
    #[error("tenant {} claims {needed} pages of {page_size} on {}, where {free} are free",
        named(.tenant), .node.map_or_else(|| "any node".to_owned(), |node| format!("node {node}")))]
    PagesShort {
        /// The tenant that claims.
        tenant: String,
        /// The node; `None` for all together.
        node: Option<NodeId>,
        /// The page size.
        page_size: PageSize,
        /// Pages claimed.
        needed: u64,
        /// Pages free.
        free: u64,
    },
    /// A device that does not exist, or is a bridge.
    #[error("tenant {} claims {address}, which is not a device of the host", named(.tenant))]
    NoDevice {
        /// The tenant that claims.
        tenant: String,
        /// The device.
        address: PciAddr,
    },
    /// A device that another tenant holds, or that is claimed twice.
    #[error("tenant {} claims {address}, held by {}", named(.tenant), named(.holder))]
    DeviceHeld {
        /// The tenant that claims.
        tenant: String,
        /// The device.
        address: PciAddr,
        /// The tenant that holds it.
        holder: String,
    },
}
