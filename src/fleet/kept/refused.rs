//! The hosts of a fleet that refuse a VM, by reason.

use std::fmt;

use crate::fleet::answer::Shortfall;

/// The numbers of hosts that do not fit a VM, by reason. A host counts under one reason: the first
/// that applies, in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RefusedHosts {
    /// All hosts of the fleet, those that fit included.
    pub hosts: usize,
    /// Drained hosts.
    pub drained: usize,
    /// Hosts without the labels that the VM needs.
    pub excluded: usize,
    /// Hosts with too few free GPUs.
    pub gpus: usize,
    /// Hosts with too few free pCPUs.
    pub pcpus: usize,
    /// Hosts with too few free pages.
    pub pages: usize,
    /// Hosts with enough of everything on which no placement was found.
    pub no_placement: usize,
}

/// The reason why a state refuses a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Excluded,
    Gpus,
    Pcpus,
    Pages,
    NoPlacement,
}

impl Refusal {
    pub(super) fn of(short: &Shortfall) -> Self {
        match short {
            Shortfall::Gpus { .. } => Self::Gpus,
            Shortfall::Pcpus { .. } => Self::Pcpus,
            Shortfall::Pages { .. } => Self::Pages,
        }
    }
}

impl RefusedHosts {
    pub(super) fn add(&mut self, refusal: Option<Refusal>, hosts: usize) {
        if let Some(count) = self.count(refusal) {
            *count += hosts;
        }
    }

    pub(super) fn remove(&mut self, refusal: Option<Refusal>, hosts: usize) {
        if let Some(count) = self.count(refusal) {
            *count -= hosts;
        }
    }

    fn count(&mut self, refusal: Option<Refusal>) -> Option<&mut usize> {
        Some(match refusal? {
            Refusal::Excluded => &mut self.excluded,
            Refusal::Gpus => &mut self.gpus,
            Refusal::Pcpus => &mut self.pcpus,
            Refusal::Pages => &mut self.pages,
            Refusal::NoPlacement => &mut self.no_placement,
        })
    }
}

impl fmt::Display for RefusedHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {} hosts", self.hosts)?;
        let reasons = [
            (self.gpus, "have too few free GPUs"),
            (self.pcpus, "have too few free pCPUs"),
            (self.pages, "have too few free pages"),
            (self.no_placement, "have no placement"),
            (self.excluded, "lack a label"),
            (self.drained, "are drained"),
        ];
        let mut told = 0;
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{} {count} {reason}", if told > 0 { "," } else { "" })?;
            told += 1;
        }
        if told == 0 { write!(f, " none refuses") } else { Ok(()) }
    }
}
