//! A host of a fleet.

use std::ops::Deref;

use super::counts::FreeCounts;
use crate::host::Host;
use crate::usage::{Claim, ClaimError, Usage};

/// A host of a fleet with its tenants. `H` holds the topology: `&Host`, `Arc<Host>`, `Box<Host>`.
/// Hosts of one model should share it: hosts with the same `Host` in the same state are searched
/// once.
#[derive(Debug, Clone)]
pub struct FleetHost<H> {
    pub(super) host: H,
    pub(super) usage: Usage,
    /// The free resources in `usage`, recounted at every change.
    pub(super) counts: FreeCounts,
}

impl<H: Deref<Target = Host>> FleetHost<H> {
    /// A host with its tenants.
    #[must_use]
    pub fn new(host: H, usage: Usage) -> Self {
        let counts = FreeCounts::new(&host, &usage);
        Self { host, usage, counts }
    }

    /// The holder of the topology.
    #[must_use]
    pub fn topology(&self) -> &H {
        &self.host
    }

    /// The topology.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The usage of its tenants.
    #[must_use]
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Claims `claim` for `tenant`.
    ///
    /// # Errors
    /// Those of [`Usage::claim`]. In these cases nothing has changed.
    pub fn claim(&mut self, tenant: &str, claim: Claim) -> Result<(), ClaimError> {
        self.usage.claim(&self.host, tenant, claim)?;
        self.counts = FreeCounts::new(&self.host, &self.usage);
        Ok(())
    }

    /// Releases everything that `tenant` holds, and returns it.
    ///
    /// # Errors
    /// Those of [`Usage::release`].
    pub fn release(&mut self, tenant: &str) -> Result<Claim, ClaimError> {
        let claim = self.usage.release(tenant)?;
        self.counts = FreeCounts::new(&self.host, &self.usage);
        Ok(claim)
    }
}
