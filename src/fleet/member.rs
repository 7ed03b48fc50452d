//! A host of a fleet.

use std::ops::Deref;

use super::counts::FreeCounts;
use crate::host::Host;
use crate::usage::{Claim, ClaimError, Usage};

/// A host of a fleet with its tenants. `H` is what holds the topology: `&Host`, `Arc<Host>`,
/// `Box<Host>`. Hosts of one model should share it: hosts with the same `Host` in the same state
/// are searched once.
#[derive(Debug, Clone)]
pub struct FleetHost<H> {
    pub(super) host: H,
    pub(super) usage: Usage,
    /// What `usage` leaves free: counted again whenever that changes.
    pub(super) counts: FreeCounts,
}

impl<H: Deref<Target = Host>> FleetHost<H> {
    /// A host with its tenants.
    #[must_use]
    pub fn new(host: H, usage: Usage) -> Self {
        let counts = FreeCounts::new(&host, &usage);
        Self { host, usage, counts }
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
        self.counts = FreeCounts::new(&self.host, &self.usage);
        Ok(())
    }

    /// Takes back all that `tenant` holds, and returns it.
    ///
    /// # Errors
    /// As [`Usage::release`].
    pub fn release(&mut self, tenant: &str) -> Result<Claim, ClaimError> {
        let claim = self.usage.release(tenant)?;
        self.counts = FreeCounts::new(&self.host, &self.usage);
        Ok(claim)
    }
}
