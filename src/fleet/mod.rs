//! One request against many hosts.
//!
//! A [`FleetHost`] is a topology, which hosts of one model share, and the [`Usage`] of its own tenants,
//! with counts of what is free beside it. [`rank`] refuses by these counts first, asks
//! [`recommend`](crate::recommend()) about the hosts that are left, and orders them by [`Bin`]. With the
//! feature `rayon` hosts are asked in parallel; the answer is the same, byte for byte.

mod batch;
mod room;

use std::cmp::Reverse;
use std::ops::Deref;

use crate::host::Host;
use crate::host::usage::{Claim, ClaimError, Usage};
use crate::profile::L3Use;
use crate::recommend::{Infeasible, Ranked, recommend};
use crate::request::Request;
use crate::score::Options;

pub use batch::{Apart, BatchError, place_each, place_gang};
use room::Room;
pub use room::Shortfall;

/// Which of the hosts that fit is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Bin {
    /// The one where the VM takes the least from VMs that could still come.
    #[default]
    BestFit,
    /// The first, in the order of the hosts.
    FirstFit,
    /// The one with the most left.
    Spread,
}

/// What the caller may tune.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetOptions {
    /// For the placement on each host.
    pub engine: Options,
    /// Which host is taken.
    pub bin: Bin,
}

/// A host of a fleet with its tenants. `H` is what holds the topology: `&Host`, `Arc<Host>`, `Box<Host>`.
#[derive(Debug, Clone)]
pub struct FleetHost<H> {
    host: H,
    usage: Usage,
    room: Room,
}

impl<H: Deref<Target = Host>> FleetHost<H> {
    /// A host with its tenants.
    #[must_use]
    pub fn new(host: H, usage: Usage) -> Self {
        let room = Room::new(&host, &usage);
        Self { host, usage, room }
    }

    /// The topology.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What the tenants hold.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Gives `tenant` what `claim` says.
    ///
    /// # Errors
    /// As [`Usage::claim`]. Nothing has changed then.
    pub fn claim(&mut self, tenant: &str, claim: Claim) -> Result<(), ClaimError> {
        self.usage.claim(&self.host, tenant, claim)?;
        self.room = Room::new(&self.host, &self.usage);
        Ok(())
    }

    /// Takes back all that `tenant` holds, and returns it.
    ///
    /// # Errors
    /// As [`Usage::release`].
    pub fn release(&mut self, tenant: &str) -> Result<Claim, ClaimError> {
        let claim = self.usage.release(tenant)?;
        self.room = Room::new(&self.host, &self.usage);
        Ok(claim)
    }
}

/// A host that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRank {
    /// Its position in the fleet.
    pub host: usize,
    /// The best placement there, with score, findings and cost.
    pub best: Ranked,
    /// What would be left on it.
    pub left: Left,
}

/// What a host has left beside a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Left {
    /// Free GPUs.
    pub gpus: u64,
    /// Free pCPUs.
    pub pcpus: u64,
}

/// Why a host does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRefusal {
    /// What it has free is too little by count alone.
    Short(Shortfall),
    /// No placement was found.
    Infeasible(Infeasible),
}

/// Every host, asked once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetAnswer {
    /// The hosts that fit, best first.
    pub ranked: Vec<HostRank>,
    /// Those that do not, in their order, and why.
    pub refused: Vec<(usize, HostRefusal)>,
}

/// The hosts on which the VM fits, best first, each with its placement; and why it does not on the
/// others. With [`Bin::FirstFit`] the hosts after the first that fits are not asked.
///
/// A pure function of its arguments: the number of threads changes nothing, and of hosts that are
/// equally good the first comes first.
#[must_use]
pub fn rank<H>(hosts: &[FleetHost<H>], request: &Request, options: &FleetOptions) -> FleetAnswer
where
    H: Deref<Target = Host> + Sync,
{
    rank_by(hosts, |_| Some(request), options)
}

/// As [`rank`], with a request for each host by its position; hosts without one are left out. For VMs
/// whose form depends on the host, such as the fewest cells that its nodes allow.
#[must_use]
pub fn rank_by<'r, H>(
    hosts: &[FleetHost<H>],
    request: impl Fn(usize) -> Option<&'r Request> + Sync,
    options: &FleetOptions,
) -> FleetAnswer
where
    H: Deref<Target = Host> + Sync,
{
    let one = |at: usize| Some((at, ask(&hosts[at], request(at)?, options)));
    let asked: Vec<_> = if options.bin == Bin::FirstFit {
        let mut asked = Vec::new();
        for at in 0..hosts.len() {
            asked.extend(one(at));
            if asked.last().is_some_and(|(_, answer): &(usize, Result<_, _>)| answer.is_ok()) {
                break;
            }
        }
        asked
    } else {
        each(hosts.len(), one)
    };
    let mut answer = FleetAnswer::default();
    for (host, asked) in asked {
        match asked {
            Ok(rank) => answer.ranked.push(HostRank { host, ..rank }),
            Err(refusal) => answer.refused.push((host, refusal)),
        }
    }
    answer.ranked.sort_by_cached_key(|rank| order(rank, options.bin));
    answer
}

/// What `one` says of every number below `count`, in their order.
#[cfg(not(feature = "rayon"))]
fn each<T>(count: usize, one: impl Fn(usize) -> Option<T>) -> Vec<T> {
    (0..count).filter_map(one).collect()
}

/// What `one` says of every number below `count`, in their order.
#[cfg(feature = "rayon")]
fn each<T: Send>(count: usize, one: impl Fn(usize) -> Option<T> + Sync + Send) -> Vec<T> {
    use rayon::prelude::*;
    (0..count).into_par_iter().filter_map(one).collect()
}

fn ask<H: Deref<Target = Host>>(
    member: &FleetHost<H>,
    request: &Request,
    options: &FleetOptions,
) -> Result<HostRank, HostRefusal> {
    let FleetHost { host, usage, room } = member;
    room.short(host, usage, request).map_or(Ok(()), |short| Err(HostRefusal::Short(short)))?;
    let answer =
        recommend(host, usage, request, &options.engine).map_err(HostRefusal::Infeasible)?;
    let best = answer.ranked.into_iter().next().expect("an answer has a placement");
    let claim = best.placement.claim();
    let gpus = best.placement.gpus().count() as u64;
    let (free_gpus, free_pcpus) = room.free();
    let left = Left {
        gpus: free_gpus.saturating_sub(gpus),
        pcpus: free_pcpus.saturating_sub(claim.dedicated.len() as u64),
    };
    Ok(HostRank { host: 0, best, left })
}

/// How a host is ordered, the best first: preferences that it does not meet; packages, and whether the
/// GPUs of a VM are below several switches; what its bin says; then the score.
type Order = (usize, u32, bool, i64, Reverse<i64>, Left, usize);

/// What pieces of L3 domains cost, in thousandths of GPUs. Chosen by us: as much as a one-GPU slot.
const PIECES_PRICE: i64 = 1000;

fn order(rank: &HostRank, bin: Bin) -> Order {
    let HostRank { host, best, left } = rank;
    let (unmet, profile) = (best.unmet.len(), &best.profile);
    let none = (Reverse(0), Left::default());
    match bin {
        Bin::BestFit => {
            let apart = profile.gpus > 1 && !profile.same_switch;
            let pieces = if profile.l3 == L3Use::Pieces { PIECES_PRICE } else { 0 };
            let price = best.cost.price() + pieces;
            (unmet, profile.packages, apart, price, Reverse(best.score.total), *left, *host)
        }
        Bin::FirstFit => (0, 0, false, 0, none.0, none.1, *host),
        Bin::Spread => {
            let all = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            (unmet, 0, false, -all(left.gpus), Reverse(all(left.pcpus)), none.1, *host)
        }
    }
}
