//! Advice, or the reason why there is none.

use crate::host::Host;
use crate::placement::Placement;
use crate::sets::NodeSet;
use crate::units::PcpuId;
use crate::usage::{Claim, ClaimError, Usage};

/// The largest number of VMs that one advice moves.
pub const MAX_STEPS: usize = 3;
/// The largest number of recommendations that the search asks for. Chosen by us: about a second.
pub const MAX_QUESTIONS: u32 = 4000;

/// One step of an advice. Carried out in order, each step is possible at its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Re-pin a running VM: threads pinned to the first pCPU of a pair move to the second (`virsh
    /// vcpupin`, `emulatorpin`, `iothreadpin`). Its memory and devices stay where they are.
    Repin {
        /// Name of the VM.
        tenant: String,
        /// Pairs of an old and a new pCPU, ascending; only those that change.
        moves: Vec<(PcpuId, PcpuId)>,
        /// The VM's claim after the step.
        claim: Box<Claim>,
        /// The nodes of its memory, if some vCPU then runs on a node without any of it; otherwise
        /// empty.
        left_behind: NodeSet,
        /// Whether it has devices. If so, its memory is locked and no `virsh numatune` moves it.
        vfio: bool,
    },
    /// Stop a VM, and start it with another placement.
    Restart {
        /// Name of the VM.
        tenant: String,
        /// The new placement of the VM.
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

    /// The VM's claim after the step.
    #[must_use]
    pub fn claim(&self) -> Claim {
        match self {
            Self::Repin { claim, .. } => (**claim).clone(),
            Self::Restart { placement, .. } => placement.claim(),
        }
    }
}

/// The steps after which a refused request fits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// The steps: no restart if re-pinning is enough; otherwise as few restarts, and then as few
    /// steps, as possible.
    pub steps: Vec<Step>,
    /// The placement of the refused request after the steps.
    pub placement: Placement,
}

impl Advice {
    /// The usage after the steps, without the refused request.
    ///
    /// # Errors
    /// [`ClaimError`] if a step is not possible because `usage` is not the one that the advice was
    /// for.
    pub fn after(&self, host: &Host, usage: &Usage) -> Result<Usage, ClaimError> {
        let mut usage = usage.clone();
        for step in &self.steps {
            usage.release(step.tenant())?;
            usage.claim(host, step.tenant(), step.claim())?;
        }
        Ok(usage)
    }
}

/// The reason why there is no advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAdvice {
    /// The request fits without any move.
    #[error("the request fits without moving any VM")]
    Fits,
    /// The request would not fit even without all VMs that may be moved.
    #[error("the request would not fit even if every VM that may be moved were gone")]
    Never,
    /// No set of up to [`MAX_STEPS`] VMs was found whose moves make room.
    #[error("no way was found to make room by moving up to {} VMs{}", MAX_STEPS,
        if *.cut { ", but the search was cut short" } else { "" })]
    NotFound {
        /// Whether [`MAX_QUESTIONS`] cut the search short.
        cut: bool,
    },
}
