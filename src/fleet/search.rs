//! The search of hosts, each state once.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::answer::{FleetOptions, HostRefusal};
use super::counts::FreeCounts;
use super::key::HostKey;
use super::member::FleetHost;
use crate::engine::recommend::{Infeasible, first, recommend, unmet};
use crate::host::Host;
use crate::question::Question;
use crate::request::Request;

/// A topology and a request, by their addresses: comparing their contents would take longer than
/// most searches. The order of these keys has no effect.
pub(super) type HostKind = (usize, usize);

pub(super) fn kind(host: &Host, request: &Request) -> HostKind {
    (std::ptr::from_ref(host).addr(), std::ptr::from_ref(request).addr())
}

/// A kind of host and its free counts. Hosts in one state have equal keys; hosts with equal keys
/// are compared by their usages before they count as one state.
type StateKey<'a> = (Option<HostKind>, &'a FreeCounts);

/// The key of a host, or its position and the reason why the VM does not fit.
type Found = Result<HostKey, (usize, HostRefusal)>;

/// Searches hosts, and caches the result of each state.
pub(super) struct HostSearch<'a, H, R> {
    hosts: &'a [FleetHost<H>],
    request: &'a R,
    options: &'a FleetOptions,
    /// The results, with the position of the searched host. The order of the keys has no effect.
    known: BTreeMap<StateKey<'a>, Vec<(usize, Found)>>,
}

impl<'a, 'r, H, R> HostSearch<'a, H, R>
where
    H: Deref<Target = Host> + Sync,
    R: Fn(usize) -> Option<&'r Request> + Sync,
{
    pub(super) fn new(
        hosts: &'a [FleetHost<H>],
        request: &'a R,
        options: &'a FleetOptions,
    ) -> Self {
        Self { hosts, request, options, known: BTreeMap::new() }
    }

    /// The result for each of these hosts.
    pub(super) fn all(&mut self, bounds: &[HostKey]) -> Vec<Found> {
        let hosts = self.hosts;
        let alike = |a: usize, b: usize| {
            let (a, b) = (&hosts[a], &hosts[b]);
            a.usage.leaves_the_same(&b.usage, &a.host)
        };
        let key = |at: usize| {
            let kind = (self.request)(at).map(|request| kind(&hosts[at].host, request));
            (kind, &hosts[at].counts)
        };
        // The first host of each state is searched, unless the state is known.
        let mut firsts: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut new = Vec::new();
        for bound in bounds {
            let (at, key) = (bound.host, key(bound.host));
            let known = self.known.get(&key).into_iter().flatten();
            let firsts = firsts.entry(key).or_default();
            let mut seen = known.map(|(other, _)| *other).chain(firsts.iter().copied());
            if !seen.any(|other| alike(at, other)) {
                firsts.push(at);
                new.push(at);
            }
        }
        let found = each(new.len(), |i| Some((new[i], self.one(new[i]))));
        for (at, found) in found {
            self.known.entry(key(at)).or_default().push((at, found));
        }
        let of = |bound: &HostKey| {
            let at = bound.host;
            let known = self.known.get(&key(at)).into_iter().flatten();
            let (_, found) = { known }.find(|(other, _)| alike(at, *other))?;
            Some(match found {
                Ok(key) => {
                    let key = HostKey { host: at, ..*key };
                    debug_assert!(*bound <= key, "{bound:?} bounds {key:?}");
                    Ok(key)
                }
                Err((_, refusal)) => Err((at, refusal.clone())),
            })
        };
        bounds.iter().filter_map(of).collect()
    }

    fn one(&self, at: usize) -> Found {
        let FleetHost { host, usage, .. } = &self.hosts[at];
        let engine = &self.options.engine;
        let none = |rejected| (at, HostRefusal::Infeasible(Infeasible { rejected }));
        let request = (self.request)(at).ok_or_else(|| none(Vec::new()))?;
        found(&self.hosts[at], at, request, self.options).ok_or_else(|| {
            // Finding the reasons takes longer than finding that nothing fits, so they are computed
            // separately.
            let why = recommend(Question::new(host, usage, request).with(engine)).err();
            none(why.map_or_else(Vec::new, |why| why.rejected))
        })
    }
}

/// The key of the best placement on the host at position `at`; `None` if there is none.
pub(super) fn found<H: Deref<Target = Host>>(
    FleetHost { host, usage, counts }: &FleetHost<H>,
    at: usize,
    request: &Request,
    options: &FleetOptions,
) -> Option<HostKey> {
    let first = first(Question::new(host, usage, request).with(&options.engine))?;
    let unmet = unmet(request, &first.profile).len();
    Some(HostKey::found(at, host, counts, &first, unmet, options))
}

/// The results of `one` for every number below `count`, in order.
#[cfg(not(feature = "rayon"))]
pub(super) fn each<T>(count: usize, one: impl Fn(usize) -> Option<T>) -> Vec<T> {
    (0..count).filter_map(one).collect()
}

/// The results of `one` for every number below `count`, in order.
#[cfg(feature = "rayon")]
pub(super) fn each<T: Send>(
    count: usize,
    one: impl Fn(usize) -> Option<T> + Sync + Send,
) -> Vec<T> {
    use rayon::prelude::*;
    (0..count).into_par_iter().filter_map(one).collect()
}
