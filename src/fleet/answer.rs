//! What a fleet is asked, and what it answers.

use crate::engine::Options;
use crate::engine::{Infeasible, Ranked};
use crate::units::PageSize;

/// Which of the hosts that fit comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum HostOrder {
    /// The host where the VM takes the least from VMs that could still come.
    #[default]
    BestFit,
    /// The first host, in the order of the fleet.
    FirstFit,
    /// The host with the most left.
    Spread,
}

/// What the caller may tune.
///
/// A field may be added in any release: begin with [`FleetOptions::default`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetOptions {
    /// Options of the placement on each host.
    pub engine: Options,
    /// Which host comes first.
    pub order: HostOrder,
    /// How many hosts are answered with a placement, one at least. The fewer there are, the fewer
    /// hosts have to be searched.
    pub answers: usize,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self { engine: Options::default(), order: HostOrder::default(), answers: 3 }
    }
}

/// What a host has too little of, whatever the placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "short", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Shortfall {
    /// GPUs, on as many nodes as the VM may have.
    Gpus {
        /// GPUs asked for.
        needed: u64,
        /// GPUs that are free, at most.
        free: u64,
    },
    /// pCPUs, on as many nodes as the VM may have.
    Pcpus {
        /// vCPUs asked for.
        needed: u64,
        /// pCPUs that are free, at most.
        free: u64,
    },
    /// Pages, on as many nodes as the VM may have.
    Pages {
        /// Page size asked for.
        page_size: PageSize,
        /// Pages needed.
        needed: u64,
        /// Pages that are free, at most.
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
    /// What would be left on it.
    pub remaining: Remaining,
}

/// What a host has left beside a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Remaining {
    /// Free GPUs, those that are integrated into the processor left out.
    pub gpus: u64,
    /// Usable pCPUs.
    pub pcpus: u64,
}

/// Why a host does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostRefusal {
    /// Counting alone shows that too little is free on it.
    Short(Shortfall),
    /// No placement was found.
    Infeasible(Infeasible),
}

/// A host that comes after those that are answered with a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotChosen {
    /// Position of the host in the fleet.
    pub host: usize,
    /// Whether the host was searched. If so, the other fields are what was found; otherwise they
    /// are the best that counts allow, and it is not known whether the VM fits.
    pub searched: bool,
    /// A lower bound of [`HostCost::price`](crate::engine::HostCost::price) on this host, in
    /// thousandths of GPUs, plus 1000 if the cores would be scattered over more L3 domains than
    /// needed. Always 0 with [`HostOrder::Spread`], which does not rank by price.
    pub price: i64,
    /// What would be left on it.
    pub remaining: Remaining,
}

/// Every host, once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FleetAnswer {
    /// The best hosts, best first: as many as were asked for, or all on which the VM fits.
    pub ranked: Vec<HostRank>,
    /// The other hosts on which the VM may fit, the most promising first.
    pub not_chosen: Vec<NotChosen>,
    /// The hosts on which the VM does not fit, by position, and why.
    pub refused: Vec<(usize, HostRefusal)>,
}
