//! One request against many hosts.
//!
//! A [`FleetHost`] is a topology, which hosts of one model share, and the [`Usage`] of its own tenants,
//! with counts of what is free beside it. [`rank`] refuses by these counts first, and bounds by them how
//! good a placement on each host could be. Hosts are searched in the order of that bound, each state
//! once, until no other can come before those that [`FleetOptions::answers`] asks for; only these are
//! given to [`recommend`](crate::recommend()) whole. With the feature `rayon` hosts are asked in
//! parallel; the answer is the same, byte for byte.

mod at_home;
mod batch;
mod bound;
mod ceiling;
mod room;
mod search;

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::engine::recommend::{Infeasible, Ranked, recommend};
use crate::engine::score::Options;
use crate::host::Host;
use crate::question::Question;
use crate::request::Request;
use crate::usage::{Claim, ClaimError, Usage};

pub use batch::{AntiAffinity, BatchError, place_each, place_gang};
use bound::HostKey;
use ceiling::UpperBound;
use room::Room;
pub use room::Shortfall;
use search::Search;

/// Which of the hosts that fit is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum HostOrder {
    /// The one where the VM takes the least from VMs that could still come.
    #[default]
    BestFit,
    /// The first, in the order of the hosts.
    FirstFit,
    /// The one with the most left.
    Spread,
}

/// What the caller may tune.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetOptions {
    /// For the placement on each host.
    pub engine: Options,
    /// Which host is taken.
    pub bin: HostOrder,
    /// How many hosts are answered with a placement, one at least. The fewer, the fewer hosts have to be
    /// searched.
    pub answers: usize,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self { engine: Options::default(), bin: HostOrder::default(), answers: 3 }
    }
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
    pub left: Remaining,
}

/// What a host has left beside a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Remaining {
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

/// A host that comes after those with a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotChosen {
    /// Its position in the fleet.
    pub host: usize,
    /// Whether it was searched. Then the rest is what was found; otherwise it is the best that counts
    /// allow, and whether the VM fits is not known.
    pub searched: bool,
    /// What other VMs would lose and wait for at least, in thousandths of GPUs, with pieces of L3
    /// domains; see [`HostCost::price`](crate::engine::HostCost::price). Zero for [`HostOrder::Spread`], which does
    /// not ask.
    pub price: i64,
    /// What would be left there.
    pub left: Remaining,
}

/// Every host, once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetAnswer {
    /// The best hosts, best first: as many as were asked for, or all on which the VM fits.
    pub ranked: Vec<HostRank>,
    /// The others on which it may fit, in the order of what is known of them.
    pub behind: Vec<NotChosen>,
    /// Those on which it does not, in their order, and why.
    pub refused: Vec<(usize, HostRefusal)>,
}

/// So many hosts are searched before the bounds are looked at again; twice as many each time.
const FIRST_BATCH: usize = 16;

/// The best hosts for the VM, each with its placement, how far the others are behind, and why it does
/// not fit on those that are refused. With [`HostOrder::FirstFit`] the hosts after the first that fits are not asked.
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
    rank_some(hosts, request, options, options.answers.max(1))
}

fn rank_some<'r, H>(
    hosts: &[FleetHost<H>],
    request: impl Fn(usize) -> Option<&'r Request> + Sync,
    options: &FleetOptions,
    answers: usize,
) -> FleetAnswer
where
    H: Deref<Target = Host> + Sync,
{
    let mut answer = FleetAnswer::default();
    if options.bin == HostOrder::FirstFit {
        for at in 0..hosts.len() {
            let Some(request) = request(at) else { continue };
            match whole(hosts, at, request, options) {
                Ok(rank) => {
                    answer.ranked.push(rank);
                    break;
                }
                Err(refusal) => answer.refused.push((at, refusal)),
            }
        }
        return answer;
    }
    let ceilings = ceilings(hosts, &request, options);
    let bound = |at: usize| {
        let (FleetHost { host, usage, room }, request) = (&hosts[at], request(at)?);
        let bound = match room.short(host, usage, request) {
            Some(short) => Err((at, HostRefusal::Short(short))),
            None => {
                let ceiling = ceilings.get(&kind(host, request));
                Ok(HostKey::at_best(&hosts[at], at, request, options, ceiling))
            }
        };
        Some(bound)
    };
    let mut open = Vec::new();
    for bound in each(hosts.len(), bound) {
        match bound {
            Ok(bound) => open.push(bound),
            Err(refused) => answer.refused.push(refused),
        }
    }
    open.sort_unstable();
    let mut search = Search { hosts, request: &request, options, known: BTreeMap::new() };
    let (mut found, mut from, mut batch) = (Vec::<HostKey>::new(), 0, FIRST_BATCH);
    while from < open.len() {
        let mut end = (from + batch).min(open.len());
        if let Some(last) = found.get(answers - 1) {
            end = from + open[from..end].partition_point(|bound| bound < last);
        }
        if end == from {
            break;
        }
        for asked in search.all(&open[from..end]) {
            match asked {
                Ok(standing) => found.push(standing),
                Err(refused) => answer.refused.push(refused),
            }
        }
        found.sort_unstable();
        (from, batch) = (end, batch * 2);
    }
    answer.refused.sort_unstable_by_key(|(at, _)| *at);
    let rest = found.split_off(answers.min(found.len()));
    let one = |at: usize| {
        let at = found[at].host;
        whole(hosts, at, request(at)?, options).ok()
    };
    answer.ranked = each(found.len(), one);
    let behind = |searched: bool| {
        move |s: &HostKey| NotChosen { host: s.host, searched, price: s.price, left: s.left.left() }
    };
    answer.behind = rest.iter().map(behind(true)).collect();
    answer.behind.extend(open[from..].iter().map(behind(false)));
    answer
}

/// A topology and a request, each by where they are.
type HostKind = (usize, usize);

fn kind(host: &Host, request: &Request) -> HostKind {
    (std::ptr::from_ref(host).addr(), std::ptr::from_ref(request).addr())
}

/// By kind, for those of which there are many: of few hosts all are searched anyway. Nothing goes by the
/// order of the keys.
fn ceilings<'r, H>(
    hosts: &[FleetHost<H>],
    request: impl Fn(usize) -> Option<&'r Request>,
    options: &FleetOptions,
) -> BTreeMap<HostKind, UpperBound>
where
    H: Deref<Target = Host>,
{
    let mut kinds: BTreeMap<HostKind, (usize, usize)> = BTreeMap::new();
    for (at, member) in hosts.iter().enumerate() {
        if let Some(request) = request(at).filter(|_| options.bin == HostOrder::BestFit) {
            kinds.entry(kind(&member.host, request)).or_insert((at, 0)).1 += 1;
        }
    }
    let many = kinds.into_iter().filter(|(_, (_, count))| *count >= FIRST_BATCH);
    let ceiling = |(kind, (at, _)): (HostKind, (usize, usize))| {
        Some((kind, UpperBound::new(&hosts[at].host, request(at)?, &options.engine)?))
    };
    many.filter_map(ceiling).collect()
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

/// The placement on one host, with all that is known of it.
fn whole<H: Deref<Target = Host>>(
    hosts: &[FleetHost<H>],
    at: usize,
    request: &Request,
    options: &FleetOptions,
) -> Result<HostRank, HostRefusal> {
    let FleetHost { host, usage, room } = &hosts[at];
    room.short(host, usage, request).map_or(Ok(()), |short| Err(HostRefusal::Short(short)))?;
    let answer = recommend(Question::new(host, usage, request).with(&options.engine))
        .map_err(HostRefusal::Infeasible)?;
    let best = answer.ranked.into_iter().next().expect("an answer has a placement");
    let claim = best.placement.claim();
    let gpus = best.placement.gpus().count() as u64;
    let (free_gpus, free_pcpus) = room.free();
    let left = Remaining {
        gpus: free_gpus.saturating_sub(gpus),
        pcpus: free_pcpus.saturating_sub(claim.dedicated.len() as u64),
    };
    Ok(HostRank { host: at, best, left })
}
