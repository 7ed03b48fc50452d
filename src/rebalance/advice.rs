//! What is advised, and why there is no advice.

use crate::host::Host;
use crate::placement::Placement;
use crate::sets::NodeSet;
use crate::units::PcpuId;
use crate::usage::{Claim, ClaimError, Usage};

/// The most VMs that one advice moves.
pub const MAX_STEPS: usize = 3;
/// How many recommendations the search asks for before it gives up. Chosen by us: about a second.
pub const MAX_QUESTIONS: u32 = 4000;

/// One thing to do. Done in order, each step is possible when its turn comes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Re-pin a VM while it runs: whatever is pinned to the first pCPU of a pair goes to the second
    /// (`virsh vcpupin`, `emulatorpin`, `iothreadpin`). Its memory and devices stay where they are.
    Repin {
        /// Name of the VM.
        tenant: String,
        /// Pairs of an old and a new pCPU, ascending; only those that change.
        moves: Vec<(PcpuId, PcpuId)>,
        /// What the VM holds afterwards.
        claim: Box<Claim>,
        /// The nodes of its memory, if some vCPU comes to run on a node without any of it; none if
        /// no vCPU does.
        left_behind: NodeSet,
        /// Whether it has devices. If so its memory is pinned, and no `virsh numatune` moves it.
        vfio: bool,
    },
    /// Stop a VM, and start it with another placement.
    Restart {
        /// Name of the VM.
        tenant: String,
        /// Its new placement.
        placement: Box<Placement>,
    },
}

impl Step {
    /// The name of the VM that is moved.
    #[must_use]
    pub fn tenant(&self) -> &str {
        match self {
            Self::Repin { tenant, .. } | Self::Restart { tenant, .. } => tenant,
        }
    }

    /// What the VM holds afterwards.
    #[must_use]
    pub fn claim(&self) -> Claim {
        match self {
            Self::Repin { claim, .. } => (**claim).clone(),
            Self::Restart { placement, .. } => placement.claim(),
        }
    }
}

/// What to do so that a refused request fits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// The steps: no restart if re-pinning is enough, otherwise as few restarts as possible, and as
    /// few steps as possible.
    pub steps: Vec<Step>,
    /// The placement of the refused request after the steps.
    pub placement: Placement,
}

impl Advice {
    /// The usage after the steps, without the request.
    ///
    /// # Errors
    /// [`ClaimError`] if `usage` is not the one that the advice was for, and a step is not
    /// possible.
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
    /// The request fits as things are.
    #[error("the request fits without moving anybody")]
    Fits,
    /// The request would not fit if all were gone that may be moved.
    #[error("the request would not fit if all that may be moved were gone")]
    Never,
    /// No set of up to [`MAX_STEPS`] VMs was found whose moves make room.
    #[error("nothing was found that makes room by moving up to {} VMs{}", MAX_STEPS,
        if *.cut { ", and not all was tried" } else { "" })]
    NotFound {
        /// Whether [`MAX_QUESTIONS`] cut the search short.
        cut: bool,
    },
}
