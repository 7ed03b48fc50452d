//! A fleet that is kept: it owns its hosts, and answers from what it knows of them.
//!
//! **Takes** hosts with names, topologies, tenants and labels; claims, releases and drains; and
//! requests. **Gives** the answers of [`rank`](super::rank) over all hosts that are not drained and
//! have the wanted labels, ties included, at a cost that hardly depends on the number of hosts.
//!
//! # Shapes and states
//! A *shape* is a request without its name, and the labels that its host must have. A *state* is a
//! set of hosts in equal states: of one topology, with the same labels, whose tenants leave the
//! same (see [`fleet`](super)). For each shape the fleet keeps what it knows of each state: that it
//! refuses the VM, and why; the best key that its counts allow; or the key that a search found.
//! States are entries of a tournament (`Winners`) by these keys, and hosts of one state follow each
//! other by position. The best host is the winner, as soon as its key was found by a search: until
//! then the winner is searched and plays again.
//!
//! Claims, releases, drains and added or removed hosts move a host from state to state. States that
//! begin, end or change their hosts are noted, and each shape looks at what was noted since it was
//! last asked: a bound for a state that began, new matches for the others. A shape that is asked
//! for the first time, or missed more changes than there are states, looks at every state once.
//!
//! # Memory
//! At most [`Fleet::set_shapes`] shapes are kept, by default 16; the one that was not asked for the
//! longest goes. A shape takes about 100 bytes for each state, and there are at most as many states
//! as hosts.
//!
//! # Choosing among near-equal hosts
//! Schedulers that work on copies of one fleet all choose the same host, and all but one have to
//! ask again. With [`Ask::spread_choice`] of k, a VM takes one of the k best hosts by a hash of its
//! name. It gives up the best host: the VM may cost later VMs more, up to what it costs on the
//! k-th.
//!
//! # Invariants
//! - Each host that is not drained is in exactly one state, whose hosts are all alike.
//! - An answer does not depend on what was asked before.

mod hosts;
mod refused;
mod shape;
mod states;
mod winners;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use self::refused::RefusedHosts;

use self::hosts::{Hosts, Member};
use self::shape::Shape;
use self::states::{States, hash_of};
use super::answer::{FleetOptions, HostRank};
use super::member::FleetHost;
use super::rank::whole;
use crate::host::Host;
use crate::request::Request;
use crate::usage::{Claim, ClaimError, Usage};

/// The default number of shapes that are kept.
const SHAPES: usize = 16;

/// The hosts that a VM may be on, and the choice among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    /// Labels that the host must have, all of them, such as a zone.
    pub labels: BTreeSet<String>,
    /// Positions of hosts that the VM must not be on, such as those of its group.
    pub not_on: BTreeSet<usize>,
    /// The number of hosts to choose among, the best ones. [`Fleet::place`] takes one of them by a
    /// hash of the VM's name; 0 and 1 take the best. A larger number gives up the best host: the VM
    /// may cost later VMs as much as it would on the worst of the hosts.
    pub spread_choice: usize,
}

/// A change of a fleet that is not possible. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A host of the fleet has the name already.
    #[error("the fleet already has a host {name:?}")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// No host of the fleet is at the position.
    #[error("the fleet has no host at position {host}")]
    NoHost {
        /// The position.
        host: usize,
    },
    /// The claim or release is not possible.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

/// The reason why a VM was not placed. Nothing was claimed for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPlaced {
    /// No host fits.
    #[error("no host fits: {0}")]
    NoHost(RefusedHosts),
    /// A tenant with this name is on the chosen host.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

/// A fleet that is kept.
#[derive(Debug)]
pub struct Fleet {
    options: FleetOptions,
    members: Vec<Option<Member>>,
    names: BTreeMap<Arc<str>, usize>,
    /// Positions of removed hosts, for new ones.
    vacant: BTreeSet<usize>,
    drained: usize,
    labels: Vec<BTreeSet<String>>,
    states: States,
    shapes: Vec<Shape>,
    most_shapes: usize,
    asked: u64,
}

impl Fleet {
    /// A fleet without hosts, which answers with these options. The number of answers is an
    /// argument of [`Fleet::best`], not the options'.
    #[must_use]
    pub fn new(options: FleetOptions) -> Self {
        Self {
            options,
            members: Vec::new(),
            names: BTreeMap::new(),
            vacant: BTreeSet::new(),
            drained: 0,
            labels: Vec::new(),
            states: States::default(),
            shapes: Vec::new(),
            most_shapes: SHAPES,
            asked: 0,
        }
    }

    /// Sets the number of shapes that are kept, at least one.
    pub fn set_shapes(&mut self, most: usize) {
        self.most_shapes = most.max(1);
        while self.shapes.len() > self.most_shapes {
            self.forget_one();
        }
    }

    /// The number of hosts, drained ones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the fleet has no hosts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The position of the host with this name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The name of the host at a position.
    #[must_use]
    pub fn name(&self, host: usize) -> Option<&str> {
        Some(&self.members.get(host)?.as_ref()?.name)
    }

    /// The host at a position, with its tenants.
    #[must_use]
    pub fn host(&self, host: usize) -> Option<&FleetHost<Arc<Host>>> {
        Some(&self.members.get(host)?.as_ref()?.host)
    }

    /// Adds a host and returns its position: that of a removed host, if there is one. Hosts of one
    /// model should share their topology.
    ///
    /// # Errors
    /// [`FleetError::NameTaken`].
    pub fn add(
        &mut self,
        name: &str,
        host: Arc<Host>,
        usage: Usage,
        labels: BTreeSet<String>,
    ) -> Result<usize, FleetError> {
        if self.names.contains_key(name) {
            return Err(FleetError::NameTaken { name: name.to_owned() });
        }
        let known = self.labels.iter().position(|other| *other == labels);
        let labels = known.unwrap_or_else(|| {
            self.labels.push(labels);
            self.labels.len() - 1
        });
        let at = self.vacant.pop_first().unwrap_or(self.members.len());
        if at == self.members.len() {
            self.members.push(None);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name), at);
        let host = FleetHost::new(host, usage);
        self.members[at] = Some(Member { name, host, labels, state: None, drained: false });
        self.enter(at);
        Ok(at)
    }

    /// Removes a host and returns it with its tenants.
    ///
    /// # Errors
    /// [`FleetError::NoHost`].
    pub fn remove(&mut self, host: usize) -> Result<FleetHost<Arc<Host>>, FleetError> {
        self.leave(host)?;
        let member = self.members[host].take().ok_or(FleetError::NoHost { host })?;
        self.names.remove(&member.name);
        self.vacant.insert(host);
        self.drained -= usize::from(member.drained);
        Ok(member.host)
    }

    /// Sets whether a host is drained: then it gets no more VMs. Its tenants stay.
    ///
    /// # Errors
    /// [`FleetError::NoHost`].
    pub fn set_drained(&mut self, host: usize, drained: bool) -> Result<(), FleetError> {
        self.leave(host)?;
        let member = self.member(host)?;
        let before = std::mem::replace(&mut member.drained, drained);
        self.drained = self.drained + usize::from(drained) - usize::from(before);
        self.enter(host);
        Ok(())
    }

    /// Claims `claim` for `tenant` on a host.
    ///
    /// # Errors
    /// [`FleetError::NoHost`], or [`FleetError::Claim`].
    pub fn claim(&mut self, host: usize, tenant: &str, claim: Claim) -> Result<(), FleetError> {
        self.leave(host)?;
        let claimed = self.member(host)?.host.claim(tenant, claim);
        self.enter(host);
        Ok(claimed?)
    }

    /// Releases everything that `tenant` holds on a host, and returns it.
    ///
    /// # Errors
    /// [`FleetError::NoHost`], or [`FleetError::Claim`].
    pub fn release(&mut self, host: usize, tenant: &str) -> Result<Claim, FleetError> {
        self.leave(host)?;
        let released = self.member(host)?.host.release(tenant);
        self.enter(host);
        Ok(released?)
    }

    /// The best hosts for a request, each with its placement, best first: as many as `answers`, or
    /// all on which it fits. With [`HostOrder::FirstFit`](super::HostOrder::FirstFit), the first.
    pub fn best(&mut self, request: &Request, ask: &Ask, answers: usize) -> Vec<HostRank> {
        let most = match self.options.order {
            super::HostOrder::FirstFit => 1,
            _ => answers.max(1),
        };
        let best = self.positions(request, ask, most);
        best.into_iter().filter_map(|at| self.whole(at, request)).collect()
    }

    /// Places a VM on its best host, or as [`Ask::spread_choice`] says, and claims it there.
    ///
    /// # Errors
    /// [`NotPlaced`]; then nothing was claimed.
    pub fn place(&mut self, request: &Request, ask: &Ask) -> Result<HostRank, NotPlaced> {
        let best = self.positions(request, ask, ask.spread_choice.max(1));
        let name = &request.spec().name;
        let chosen = match best.len() {
            0 => return Err(NotPlaced::NoHost(self.refused(request, ask))),
            count => best[usize::try_from(hash_of(name) % count as u64).unwrap_or(0)],
        };
        let rank = self.whole(chosen, request).expect("a search found a placement there");
        match self.claim(chosen, name, rank.best.placement.claim()) {
            Ok(()) => Ok(rank),
            Err(FleetError::Claim(error)) => Err(error.into()),
            Err(_) => unreachable!("the host was found in the fleet"),
        }
    }

    /// The numbers of hosts that refuse a VM, by reason, without a search. Hosts that were not
    /// searched are not counted, though there may be no placement on them.
    pub fn refused(&mut self, request: &Request, ask: &Ask) -> RefusedHosts {
        let at = self.shape(request, ask);
        RefusedHosts { hosts: self.len(), drained: self.drained, ..self.shapes[at].refused() }
    }

    fn positions(&mut self, request: &Request, ask: &Ask, most: usize) -> Vec<usize> {
        let at = self.shape(request, ask);
        let (hosts, shapes) = self.split();
        shapes[at].best(&hosts, &ask.not_on, most)
    }

    fn whole(&self, at: usize, request: &Request) -> Option<HostRank> {
        whole(self.host(at)?, at, request, &self.options).ok()
    }

    /// The index of the request's shape, brought up to date with all changes.
    fn shape(&mut self, request: &Request, ask: &Ask) -> usize {
        self.asked += 1;
        let known = self.shapes.iter().position(|shape| shape.is(request.spec(), &ask.labels));
        let at = known.unwrap_or_else(|| {
            if self.shapes.len() >= self.most_shapes {
                self.forget_one();
            }
            let (hosts, shapes) = self.split();
            shapes.push(Shape::new(request, &ask.labels, &hosts));
            shapes.len() - 1
        });
        let asked = self.asked;
        let (hosts, shapes) = self.split();
        shapes[at].catch_up(&hosts);
        shapes[at].asked = asked;
        at
    }

    fn split(&mut self) -> (Hosts<'_>, &mut Vec<Shape>) {
        let Self { members, states, labels, options, shapes, .. } = self;
        (Hosts { members, states, labels, options }, shapes)
    }

    /// Forgets the shape that was not asked for the longest.
    fn forget_one(&mut self) {
        let oldest = self.shapes.iter().enumerate().min_by_key(|(_, shape)| shape.asked);
        if let Some((at, _)) = oldest {
            self.shapes.swap_remove(at);
        }
    }

    fn member(&mut self, host: usize) -> Result<&mut Member, FleetError> {
        self.members.get_mut(host).and_then(Option::as_mut).ok_or(FleetError::NoHost { host })
    }

    /// Takes a host out of its state, before it changes.
    fn leave(&mut self, host: usize) -> Result<(), FleetError> {
        if let Some(state) = self.member(host)?.state.take() {
            self.states.leave(host, state);
        }
        Ok(())
    }

    /// Puts a host into its state, unless it is drained.
    fn enter(&mut self, at: usize) {
        let Self { members, states, .. } = self;
        let Some(Member { labels, drained: false, .. }) = &members[at] else { return };
        let host = |at: usize| &members[at].as_ref().expect("a state has hosts of the fleet").host;
        let state = states.enter(at, *labels, host);
        if let Some(member) = &mut members[at] {
            member.state = Some(state);
        }
    }
}
