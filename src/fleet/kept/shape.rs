//! What is known of one shape of requests on every state of a fleet.

use std::collections::{BTreeMap, BTreeSet};

use super::hosts::Hosts;
use super::refused::{Refusal, RefusedHosts};
use super::states::State;
use super::winners::Winners;
use crate::fleet::answer::{HostOrder, Remaining};
use crate::fleet::bound::at_best;
use crate::fleet::key::{HostKey, RemainingOrder};
use crate::fleet::search::{each, found};
use crate::fleet::upper_bound::UpperBound;
use crate::request::{Request, RequestSpec};

/// What is known of one state, for one shape.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// The index has no state.
    Nothing,
    Refused(Refusal),
    /// The best that counts allow.
    Bound(HostKey),
    /// The result of a search.
    Found(HostKey),
}

impl Known {
    /// The key with the first host of the state, if the VM may fit.
    fn key(&self) -> Option<&HostKey> {
        match self {
            Self::Bound(key) | Self::Found(key) => Some(key),
            Self::Nothing | Self::Refused(_) => None,
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        if let Self::Refused(refusal) = self { Some(*refusal) } else { None }
    }
}

/// What is known of one shape.
#[derive(Debug)]
pub(super) struct Shape {
    /// One of the requests.
    request: Request,
    /// The labels that a host must have.
    labels: BTreeSet<String>,
    /// The bounds of scores for VMs without devices, by the address of the topology.
    uppers: BTreeMap<usize, Option<UpperBound>>,
    known: Vec<Known>,
    /// The number of hosts of each state, as counted in `refused`.
    hosts: Vec<u32>,
    winners: Winners,
    refused: RefusedHosts,
    /// The number of changes of states that are taken in.
    seen: u64,
    /// When it was last asked for.
    pub(super) asked: u64,
}

impl Shape {
    pub(super) fn new(request: &Request, labels: &BTreeSet<String>, hosts: &Hosts<'_>) -> Self {
        let mut shape = Self {
            request: request.clone(),
            labels: labels.clone(),
            uppers: BTreeMap::new(),
            known: Vec::new(),
            hosts: Vec::new(),
            winners: Winners::default(),
            refused: RefusedHosts::default(),
            seen: 0,
            asked: 0,
        };
        shape.look_at_all(hosts);
        shape
    }

    /// Whether the request is of this shape: it differs in its name at most.
    pub(super) fn is(&self, request: &RequestSpec, labels: &BTreeSet<String>) -> bool {
        let own = self.request.spec();
        let same = own.vcpus == request.vcpus
            && own.memory == request.memory
            && own.gpus == request.gpus
            && self.labels == *labels;
        same && *own == RequestSpec { name: own.name.clone(), ..request.clone() }
    }

    /// The hosts that refuse the VM, as far as counts and the searches so far say.
    pub(super) fn refused(&self) -> RefusedHosts {
        self.refused
    }

    /// Looks at the states that changed.
    pub(super) fn catch_up(&mut self, hosts: &Hosts<'_>) {
        let Some(changes) = hosts.states.since(self.seen) else { return self.look_at_all(hosts) };
        let changes: Vec<_> = changes.collect();
        self.seen = hosts.states.now();
        if hosts.states.len() > self.winners.room() {
            self.known.resize(hosts.states.len(), Known::Nothing);
            self.hosts.resize(hosts.states.len(), 0);
            let known = &self.known;
            self.winners = Winners::new(known.len(), |a, b| before(known, a, b));
        }
        self.known.resize(self.known.len().max(hosts.states.len()), Known::Nothing);
        self.hosts.resize(self.known.len(), 0);
        for change in changes {
            let at = change.state;
            let known = match hosts.states.get(at) {
                None => Known::Nothing,
                Some(state) if hosts.states.is_new(change) => {
                    self.keep_upper(hosts, state);
                    self.look(hosts, state)
                }
                // If another state has begun here since, that is a later change.
                Some(state) => match self.known[at] {
                    Known::Bound(key) => Known::Bound(HostKey { host: state.first(), ..key }),
                    Known::Found(key) => Known::Found(HostKey { host: state.first(), ..key }),
                    other => other,
                },
            };
            self.set(at, known, hosts);
        }
    }

    /// The best hosts that are not excluded, at most `most`, best first. Searches where it must.
    pub(super) fn best(
        &mut self,
        hosts: &Hosts<'_>,
        not_on: &BTreeSet<usize>,
        most: usize,
    ) -> Vec<usize> {
        loop {
            let mut best: Vec<HostKey> = Vec::new();
            let mut unsure = None;
            for at in self.winners.ordered(|a, b| before(&self.known, a, b)) {
                let (Some(key), Some(state)) = (self.known[at].key(), hosts.states.get(at)) else {
                    break;
                };
                if best.len() == most && best.last().is_some_and(|last| last < key) {
                    break;
                }
                let open = || state.hosts.iter().filter(|host| !not_on.contains(host));
                if matches!(self.known[at], Known::Bound(_)) {
                    if open().next().is_none() {
                        continue;
                    }
                    unsure = Some(at);
                    break;
                }
                best.extend(open().take(most).map(|host| HostKey { host: *host, ..*key }));
                best.sort_unstable();
                best.truncate(most);
            }
            let Some(at) = unsure else { return best.iter().map(|key| key.host).collect() };
            let known = self.search(at, hosts);
            self.set(at, known, hosts);
        }
    }

    fn look_at_all(&mut self, hosts: &Hosts<'_>) {
        self.seen = hosts.states.now();
        for at in 0..hosts.states.len() {
            if let Some(state) = hosts.states.get(at) {
                self.keep_upper(hosts, state);
            }
        }
        let count = hosts.states.len();
        let look = |at: usize| {
            Some(hosts.states.get(at).map_or(Known::Nothing, |state| self.look(hosts, state)))
        };
        self.known = each(count, look);
        let of = |at: usize| hosts.states.get(at).map_or(0, |state| small(state.hosts.len()));
        self.hosts = (0..count).map(of).collect();
        self.refused = RefusedHosts::default();
        for (known, hosts) in self.known.iter().zip(&self.hosts) {
            self.refused.add(known.refusal(), *hosts as usize);
        }
        let known = &self.known;
        self.winners = Winners::new(count, |a, b| before(known, a, b));
    }

    fn keep_upper(&mut self, hosts: &Hosts<'_>, state: &State) {
        if hosts.options.order == HostOrder::BestFit {
            let host = &hosts.member(state.first()).host;
            // Hosts may become crowded later, so the bounds of crowded ones are computed as well.
            let upper = || UpperBound::new(host, &self.request, &hosts.options.engine, true);
            self.uppers.entry(std::sync::Arc::as_ptr(host).addr()).or_insert_with(upper);
        }
    }

    /// What counts say of a state.
    fn look(&self, hosts: &Hosts<'_>, state: &State) -> Known {
        let at = state.first();
        let member = hosts.member(at);
        if !self.labels.is_subset(&hosts.labels[state.labels]) {
            return Known::Refused(Refusal::Excluded);
        }
        if let Some(short) = member.counts.short(&member.host, &member.usage, &self.request) {
            return Known::Refused(Refusal::of(&short));
        }
        if hosts.options.order == HostOrder::FirstFit {
            return Known::Bound(first_fit(at));
        }
        let address = std::sync::Arc::as_ptr(&member.host).addr();
        let upper = self.uppers.get(&address).and_then(Option::as_ref);
        Known::Bound(at_best(member, at, &self.request, hosts.options, upper))
    }

    /// The result of a search of the state at this index.
    fn search(&self, at: usize, hosts: &Hosts<'_>) -> Known {
        let Some(state) = hosts.states.get(at) else { return Known::Nothing };
        let host = state.first();
        match found(hosts.member(host), host, &self.request, hosts.options) {
            None => Known::Refused(Refusal::NoPlacement),
            Some(_) if hosts.options.order == HostOrder::FirstFit => Known::Found(first_fit(host)),
            Some(key) => {
                debug_assert!(self.known[at].key().is_some_and(|bound| *bound <= key));
                Known::Found(key)
            }
        }
    }

    fn set(&mut self, at: usize, known: Known, hosts: &Hosts<'_>) {
        self.refused.remove(self.known[at].refusal(), self.hosts[at] as usize);
        self.known[at] = known;
        self.hosts[at] = hosts.states.get(at).map_or(0, |state| small(state.hosts.len()));
        self.refused.add(known.refusal(), self.hosts[at] as usize);
        let known = &self.known;
        self.winners.update(at, |a, b| before(known, a, b));
    }
}

/// The key of a host that is only tried in its turn.
fn first_fit(host: usize) -> HostKey {
    HostKey {
        unmet: 0,
        packages: 0,
        scattered: false,
        price: 0,
        score: std::cmp::Reverse(0),
        remaining: RemainingOrder::new(HostOrder::FirstFit, Remaining::default()),
        host,
    }
}

fn before(known: &[Known], a: usize, b: usize) -> bool {
    match (known.get(a).and_then(Known::key), known.get(b).and_then(Known::key)) {
        (Some(a), Some(b)) => a < b,
        (first, _) => first.is_some(),
    }
}

fn small(hosts: usize) -> u32 {
    u32::try_from(hosts).unwrap_or(u32::MAX)
}
