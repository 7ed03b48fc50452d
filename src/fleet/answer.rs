//! The options of a fleet query, and its answer.

use crate::engine::Options;
use crate::engine::{Infeasible, Ranked};
use crate::units::PageSize;

/// The order of the hosts that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum HostOrder {
    /// First the host where the VM takes the least from later VMs.
    #[default]
    BestFit,
    /// The first host, in the order of the fleet.
    FirstFit,
    /// First the host with the most left.
    Spread,
}

/// Options for a fleet query.
///
/// A field may be added in any release: begin with [`FleetOptions::default`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetOptions {
    /// Options of the placement on each host.
    pub engine: Options,
    /// The order of the hosts.
    pub order: HostOrder,
    /// The number of hosts to answer with a placement, at least one. The fewer, the fewer hosts
    /// have to be searched.
    pub answers: usize,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self { engine: Options::default(), order: HostOrder::default(), answers: 3 }
    }
}

/// A resource that a host lacks for any placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "short", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Shortfall {
    /// GPUs, on as many nodes as the VM may span.
    Gpus {
        /// The number of GPUs requested.
        needed: u64,
        /// An upper bound of the number of free GPUs.
        free: u64,
    },
    /// pCPUs, on as many nodes as the VM may span.
    Pcpus {
        /// The number of vCPUs requested.
        needed: u64,
        /// An upper bound of the number of free pCPUs.
        free: u64,
    },
    /// Pages, on as many nodes as the VM may span.
    Pages {
        /// The page size requested.
        page_size: PageSize,
        /// The number of pages needed.
        needed: u64,
        /// An upper bound of the number of free pages.
        free: u64,
    },
}

/// A host that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostRank {
    /// Position of the host in the fleet.
    pub host: usize,
    /// The best placement on it, with score, findings and cost.
    pub best: Ranked,
    /// The resources left on it.
    pub remaining: Remaining,
}

/// The free resources of a host after a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Remaining {
    /// The number of free GPUs, without those integrated into the processor.
    pub gpus: u64,
    /// The number of usable pCPUs.
    pub pcpus: u64,
}

/// The reason why a host does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostRefusal {
    /// Too little is free, by counting alone.
    Short(Shortfall),
    /// No placement was found.
    Infeasible(Infeasible),
}

/// A host that ranks after those answered with a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotChosen {
    /// Position of the host in the fleet.
    pub host: usize,
    /// Whether the host was searched. If so, the other fields are the search's result; otherwise
    /// they are the best that counts allow, and it is unknown whether the VM fits.
    pub searched: bool,
    /// A lower bound of [`HostCost::price`](crate::engine::HostCost::price) on this host, in
    /// thousandths of GPUs, plus 1000 if the cores would be scattered over more L3 domains than
    /// needed. Always 0 with [`HostOrder::Spread`], which does not rank by price.
    pub price: i64,
    /// The resources that would be left on it.
    pub remaining: Remaining,
}

/// The answer to a fleet query. It contains every host once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FleetAnswer {
    /// The best hosts, best first: the requested number, or all on which the VM fits.
    pub ranked: Vec<HostRank>,
    /// The other hosts on which the VM may fit, the most promising first.
    pub not_chosen: Vec<NotChosen>,
    /// The hosts on which the VM does not fit, by position, with the reason.
    pub refused: Vec<(usize, HostRefusal)>,
}
