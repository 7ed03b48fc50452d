//! The key that orders the hosts of a fleet.

use std::cmp::Reverse;

use super::answer::{FleetOptions, HostOrder, Remaining};
use super::counts::FreeCounts;
use crate::engine::profile::{L3Use, Profile};
use crate::engine::recommend::First;
use crate::host::Host;

/// The price of cores that are scattered over more L3 domains than needed, in thousandths of GPUs.
/// Chosen by us: as much as a one-GPU slot.
pub(super) const PIECES_PRICE: i64 = 1000;

/// The sort key of a host, best first: of the placement that a search found there, or a bound of
/// it. Fields that the order ignores are equal on all hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostKey {
    /// The number of unmet preferences.
    pub(super) unmet: usize,
    /// The number of packages that the VM spans.
    pub(super) packages: u32,
    /// Whether the VM has several GPUs that are not all on one switch.
    pub(super) scattered: bool,
    /// Slots that end or are delayed, in thousandths of GPUs, and [`PIECES_PRICE`].
    pub(super) price: i64,
    /// The score with the packing cost in full, highest first.
    pub(super) score: Reverse<i64>,
    pub(super) remaining: RemainingOrder,
    /// Position in the fleet.
    pub(super) host: usize,
}

/// The resources left on a host, least or most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RemainingOrder {
    Least(Remaining),
    Most(Reverse<Remaining>),
}

impl RemainingOrder {
    /// `remaining` as a sort key for this order of hosts.
    pub(super) fn new(order: HostOrder, remaining: Remaining) -> Self {
        match order {
            HostOrder::Spread => Self::Most(Reverse(remaining)),
            HostOrder::BestFit | HostOrder::FirstFit => Self::Least(remaining),
        }
    }

    pub(super) fn remaining(self) -> Remaining {
        match self {
            Self::Least(remaining) | Self::Most(Reverse(remaining)) => remaining,
        }
    }
}

impl HostKey {
    /// The key of the placement that a search found on the host at position `at`.
    pub(super) fn found(
        at: usize,
        host: &Host,
        counts: &FreeCounts,
        first: &First,
        unmet: usize,
        options: &FleetOptions,
    ) -> Self {
        let Profile { packages, gpus, same_switch, l3, .. } = first.profile;
        let pieces = if l3 == L3Use::Pieces { PIECES_PRICE } else { 0 };
        let dedicated = first.placement.claim().dedicated.len() as u64;
        let remaining = counts.beside(host, &first.placement, dedicated);
        let in_all = first.score.with_packing(&options.engine, first.cost.millionths_in_all());
        let key = Self {
            unmet,
            packages,
            scattered: gpus > 1 && !same_switch,
            price: first.cost.price() + pieces,
            score: Reverse(in_all.total),
            remaining: RemainingOrder::new(options.order, remaining),
            host: at,
        };
        key.asked_by(options.order)
    }

    /// The key without the fields that the order ignores.
    pub(super) fn asked_by(self, order: HostOrder) -> Self {
        match order {
            HostOrder::BestFit | HostOrder::FirstFit => self,
            HostOrder::Spread => {
                Self { packages: 0, scattered: false, price: 0, score: Reverse(0), ..self }
            }
        }
    }
}
