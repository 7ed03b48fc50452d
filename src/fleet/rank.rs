//! The best hosts for one request.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::answer::{FleetAnswer, FleetOptions, HostOrder, HostRank, HostRefusal, NotChosen};
use super::bound::at_best;
use super::key::HostKey;
use super::member::FleetHost;
use super::search::{HostKind, HostSearch, each, kind};
use super::upper_bound::UpperBound;
use crate::engine::recommend;
use crate::host::Host;
use crate::question::Question;
use crate::request::Request;

/// The number of hosts that are searched before the bounds are checked again; it doubles each time.
/// Also the smallest number of hosts of one kind for which an upper bound is computed: fewer are
/// all searched anyway.
const FIRST_BATCH: usize = 16;

/// The best hosts for the VM, each with its placement; bounds for the others; and the reasons of
/// those that refuse. With [`HostOrder::FirstFit`] the hosts after the first that fits are not
/// tried.
///
/// A pure function of its arguments: the number of threads does not matter, and of equally good
/// hosts the first comes first.
#[must_use]
pub fn rank<H>(hosts: &[FleetHost<H>], request: &Request, options: &FleetOptions) -> FleetAnswer
where
    H: Deref<Target = Host> + Sync,
{
    rank_by(hosts, |_| Some(request), options)
}

/// Like [`rank`], with a request for each host by its position; hosts without one are left out.
/// This is for VMs whose form depends on the host, such as the fewest cells that its nodes allow.
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

/// Like [`rank_by`], but with `answers` answers, whatever the options say.
pub(super) fn rank_some<'r, H>(
    hosts: &[FleetHost<H>],
    request: impl Fn(usize) -> Option<&'r Request> + Sync,
    options: &FleetOptions,
    answers: usize,
) -> FleetAnswer
where
    H: Deref<Target = Host> + Sync,
{
    let mut answer = FleetAnswer::default();
    if options.order == HostOrder::FirstFit {
        for at in 0..hosts.len() {
            let Some(request) = request(at) else { continue };
            match whole(&hosts[at], at, request, options) {
                Ok(rank) => {
                    answer.ranked.push(rank);
                    break;
                }
                Err(refusal) => answer.refused.push((at, refusal)),
            }
        }
        return answer;
    }
    let uppers = upper_bounds(hosts, &request, options);
    let bound = |at: usize| {
        let (FleetHost { host, usage, counts }, request) = (&hosts[at], request(at)?);
        let bound = match counts.short(host, usage, request) {
            Some(short) => Err((at, HostRefusal::Short(short))),
            None => {
                let upper = uppers.get(&kind(host, request));
                Ok(at_best(&hosts[at], at, request, options, upper))
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
    let mut search = HostSearch::new(hosts, &request, options);
    let (mut found, mut from, mut batch) = (Vec::<HostKey>::new(), 0, FIRST_BATCH);
    while from < open.len() {
        let mut end = (from + batch).min(open.len());
        if let Some(last) = found.get(answers - 1) {
            end = from + open[from..end].partition_point(|bound| bound < last);
        }
        if end == from {
            break;
        }
        for outcome in search.all(&open[from..end]) {
            match outcome {
                Ok(key) => found.push(key),
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
        whole(&hosts[at], at, request(at)?, options).ok()
    };
    answer.ranked = each(found.len(), one);
    let not_chosen = |searched: bool| {
        move |key: &HostKey| {
            let HostKey { host, price, remaining, .. } = *key;
            NotChosen { host, searched, price, remaining: remaining.remaining() }
        }
    };
    answer.not_chosen = rest.iter().map(not_chosen(true)).collect();
    answer.not_chosen.extend(open[from..].iter().map(not_chosen(false)));
    answer
}

/// Upper bounds for the kinds with at least [`FIRST_BATCH`] hosts. The order of the keys has no
/// effect.
fn upper_bounds<'r, H>(
    hosts: &[FleetHost<H>],
    request: impl Fn(usize) -> Option<&'r Request>,
    options: &FleetOptions,
) -> BTreeMap<HostKind, UpperBound>
where
    H: Deref<Target = Host>,
{
    let mut kinds: BTreeMap<HostKind, (usize, usize)> = BTreeMap::new();
    for (at, member) in hosts.iter().enumerate() {
        if let Some(request) = request(at).filter(|_| options.order == HostOrder::BestFit) {
            kinds.entry(kind(&member.host, request)).or_insert((at, 0)).1 += 1;
        }
    }
    let many = kinds.into_iter().filter(|(_, (_, count))| *count >= FIRST_BATCH);
    let crowded = hosts.iter().any(|member| member.counts.crowded);
    let upper = |(kind, (at, _)): (HostKind, (usize, usize))| {
        let host = &hosts[at].host;
        Some((kind, UpperBound::new(host, request(at)?, &options.engine, crowded)?))
    };
    many.filter_map(upper).collect()
}

/// The answer for one host: its best placement in full.
pub(super) fn whole<H: Deref<Target = Host>>(
    FleetHost { host, usage, counts }: &FleetHost<H>,
    at: usize,
    request: &Request,
    options: &FleetOptions,
) -> Result<HostRank, HostRefusal> {
    counts.short(host, usage, request).map_or(Ok(()), |short| Err(HostRefusal::Short(short)))?;
    let answer = recommend(Question::new(host, usage, request).with(&options.engine))
        .map_err(HostRefusal::Infeasible)?;
    let best = answer.ranked.into_iter().next().expect("an answer has a placement");
    let dedicated = best.placement.claim().dedicated.len() as u64;
    let remaining = counts.beside(host, &best.placement, dedicated);
    Ok(HostRank { host: at, best, remaining })
}
