//! The hosts of a fleet that is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::states::States;
use crate::fleet::answer::FleetOptions;
use crate::fleet::member::FleetHost;
use crate::host::Host;

/// A host with its tenants.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) host: FleetHost<Arc<Host>>,
    /// The index of its labels.
    pub(super) labels: usize,
    /// The index of its state; `None` while it is drained or changes.
    pub(super) state: Option<usize>,
    pub(super) drained: bool,
}

/// The hosts as shapes see them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hosts<'a> {
    pub(super) members: &'a [Option<Member>],
    pub(super) states: &'a States,
    pub(super) labels: &'a [BTreeSet<String>],
    pub(super) options: &'a FleetOptions,
}

impl Hosts<'_> {
    /// The host at a position, which is in a state.
    pub(super) fn member(&self, at: usize) -> &FleetHost<Arc<Host>> {
        &self.members[at].as_ref().expect("a state has hosts of the fleet").host
    }
}
