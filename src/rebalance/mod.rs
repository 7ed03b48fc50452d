//! What would make room for a request that was refused: which VMs to re-pin while they run, which to
//! stop and start elsewhere on the host.

mod repin;
mod search;

use crate::host::Host;
use crate::placement::Placement;
use crate::sets::NodeSet;
use crate::units::PcpuId;
use crate::usage::{Claim, ClaimError, Usage};

pub use search::rebalance;

/// The most VMs that one advice moves.
pub const MAX_STEPS: usize = 3;
/// How often the search asks for a recommendation before it gives up. Chosen by us: about a second.
pub const MAX_QUESTIONS: u32 = 4000;

/// One thing to do. Done in order, each is possible when its turn comes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// While it runs: whatever is pinned to the first pCPU of a pair goes to the second (`virsh
    /// vcpupin`, `emulatorpin`, `iothreadpin`). Its memory and devices stay where they are.
    Repin {
        /// The VM.
        tenant: String,
        /// From where to where, ascending; only what changes.
        moves: Vec<(PcpuId, PcpuId)>,
        /// What it holds then.
        claim: Box<Claim>,
        /// The nodes of its memory, where some vCPU comes to run on another one: none where each stays
        /// on its node.
        left_behind: NodeSet,
        /// Whether it has devices: then its memory is pinned, and no `virsh numatune` moves it.
        vfio: bool,
    },
    /// Stop it, and start it placed anew.
    Restart {
        /// The VM.
        tenant: String,
        /// Where it goes.
        placement: Box<Placement>,
    },
}

impl Step {
    /// Who is moved.
    #[must_use]
    pub fn tenant(&self) -> &str {
        match self {
            Self::Repin { tenant, .. } | Self::Restart { tenant, .. } => tenant,
        }
    }

    /// What the tenant holds afterwards.
    #[must_use]
    pub fn claim(&self) -> Claim {
        match self {
            Self::Repin { claim, .. } => (**claim).clone(),
            Self::Restart { placement, .. } => placement.claim(),
        }
    }
}

/// What to do, and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The steps: no restart where re-pinning is enough, and else the fewest of both.
    pub steps: Vec<Step>,
    /// Where the refused request then goes.
    pub placement: Placement,
}

impl Advice {
    /// What is held after the steps, before the request comes.
    ///
    /// # Errors
    /// [`ClaimError`] if `usage` is not the one that the advice was for, and a step is not possible.
    pub fn after(&self, host: &Host, usage: &Usage) -> Result<Usage, ClaimError> {
        let mut usage = usage.clone();
        for step in &self.steps {
            usage.release(step.tenant())?;
            usage.claim(host, step.tenant(), step.claim())?;
        }
        Ok(usage)
    }
}

/// Why there is no advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAdvice {
    /// The request fits as it is.
    #[error("the request fits without moving anybody")]
    Fits,
    /// It would not fit if all were gone that may be moved.
    #[error("the request would not fit if all that may be moved were gone")]
    Never,
    /// Nothing was found among the sets of up to [`MAX_STEPS`] VMs.
    #[error("nothing was found that makes room by moving up to {} VMs{}", MAX_STEPS,
        if *.cut { ", and not all was tried" } else { "" })]
    NotFound {
        /// Whether [`MAX_QUESTIONS`] cut the search short.
        cut: bool,
    },
}
