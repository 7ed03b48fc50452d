//! What a rule of the audit finds, as ids and numbers.

use crate::engine::rules::{Grade, Range, StudyId};
use crate::sets::{CellSet, CpuSet, NodeSet, VcpuSet};
use crate::units::{PageSize, PciAddr, Ratio};
use crate::workload::Metric;

/// How bad a finding is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Severity {
    /// The domain does not start, takes what others hold, or its guest works wrongly.
    Error,
    /// It costs performance.
    Warning,
    /// It may cost performance, or is worth knowing.
    Note,
}

impl Severity {
    /// The name in texts, JSON and SARIF.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What a finding is about, as ids and numbers. Each rule's documentation says which it fills;
/// the others are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Facts {
    /// vCPUs.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "VcpuSet::is_empty"))]
    pub vcpus: VcpuSet,
    /// I/O threads by number.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub iothreads: Vec<u32>,
    /// pCPUs.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "CpuSet::is_empty"))]
    pub pcpus: CpuSet,
    /// Host nodes.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "NodeSet::is_empty"))]
    pub nodes: NodeSet,
    /// The nodes that would be right.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "NodeSet::is_empty"))]
    pub right_nodes: NodeSet,
    /// Guest cells.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "CellSet::is_empty"))]
    pub cells: CellSet,
    /// PCI functions of the host.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub devices: Vec<PciAddr>,
    /// Other tenants.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub tenants: Vec<String>,
    /// A page size.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub page_size: Option<PageSize>,
    /// The number that was found.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub found: Option<u64>,
    /// The number that would be right.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub right: Option<u64>,
}

/// What is expected of the fix: a factor on one metric, after against before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Effect {
    /// The metric.
    pub metric: Metric,
    /// The factor.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub range: Range,
    /// The grade.
    pub grade: Grade,
    /// The studies behind it; empty for our own reasoning.
    pub studies: &'static [StudyId],
}

impl Effect {
    /// The factor in thousandths: low, likely, high.
    pub(super) const fn new(
        metric: Metric,
        [low, likely, high]: [u32; 3],
        grade: Grade,
        studies: &'static [StudyId],
    ) -> Self {
        let range = Range { low: Ratio(low), likely: Ratio(likely), high: Ratio(high) };
        Self { metric, range, grade, studies }
    }
}
