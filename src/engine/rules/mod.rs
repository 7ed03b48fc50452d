//! The rules: each looks at one candidate and may say what its layout does to one metric.
//!
//! To add a rule: add its row to the table in `evidence.rs`, its name here, and its condition beside
//! its neighbours in `cpu.rs`, `memory.rs` or `pcie.rs`, under the four headings that the others have;
//! then the two cases, one where it speaks and one where it is silent, in `tests/rules.rs`.
//!
//! Rules about one metric exclude each other, and the first in the order of [`RuleId`] that speaks is
//! the word on the metric; a rule that is `on top` multiplies instead.

pub(crate) mod cpu;
pub(crate) mod evidence;
pub(crate) mod findings;
pub(crate) mod memory;
pub(crate) mod pcie;

pub use evidence::{Evidence, Grade, Range, Row, StudyId};
pub use findings::{STUDIES, Study};

use crate::engine::profile::{Collective, Profile};
use crate::workload::Metric;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident => $module:ident::$condition:ident;)*) => {
        /// The name of a rule. The order is that of precedence inside a metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
        pub enum RuleId { $($(#[$doc])* $name),* }

        impl RuleId {
            /// All rules.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Whether the rule has something to say about this candidate.
            #[must_use]
            pub fn speaks(self, profile: &Profile) -> bool {
                match self { $(Self::$name => $module::$condition(profile)),* }
            }
        }
    };
}

rules! {
    /// A vCPU on an efficiency core.
    EfficiencyCore => cpu::efficiency_core;
    /// Pinning, for one thread.
    PinnedThread => cpu::pinned;
    /// Two vCPUs on the SMT siblings of each core.
    SiblingThreads => cpu::siblings;
    /// Guest cells, for all threads.
    CellThreads => cpu::cells;
    /// Cores that fill whole L3 domains.
    WholeL3Domains => cpu::whole_l3_domains;
    /// Pinning, for all threads.
    PinnedThreads => cpu::pinned;
    /// A guest cell per node: bandwidths add up.
    BandwidthOfCells => memory::cells;
    /// One guest cell, pages interleaved over several nodes.
    BandwidthInterleaved => memory::flat_interleaved;
    /// One guest cell over several nodes, pages wherever the kernel takes them.
    BandwidthFlat => memory::flat_unbound;
    /// Pinned and bound to one of several nodes.
    BandwidthOfOneNode => memory::one_of_several_nodes;
    /// Pinned on a host with one node.
    BandwidthOfOnlyNode => memory::only_node;
    /// Hugepages instead of 4 KiB pages; on top of the others.
    Hugepages => memory::hugepages;
    /// One guest cell, pages interleaved over several packages.
    LatencyInterleaved => memory::interleaved_over_packages;
    /// Memory local to its vCPUs on a host of several packages.
    LatencyBoundPackages => memory::local_among_packages;
    /// Memory local to its vCPUs on a host of several nodes in one package.
    LatencyBoundNodes => memory::local_among_nodes;
    /// Pinned, memory not local by construction.
    LatencyPinned => memory::pinned;
    /// GPU arithmetic does not care.
    GpuArithmetic => pcie::any_gpu;
    /// A GPU on a node that holds none of the VM's memory.
    TransferRemote => pcie::remote_gpu;
    /// Pages interleaved over the GPUs' nodes and others.
    TransferInterleaved => pcie::interleaved;
    /// GPU and memory on one node.
    TransferLocal => pcie::local_gpu;
    /// Guest cells that do not show where the GPUs are.
    CollectiveCellsBlind => pcie::cells_blind;
    /// Guest cells with expander buses, GPUs in several of them.
    CollectiveCells => pcie::cells_with_expanders;
    /// All GPUs and the whole VM on one node.
    CollectiveOneNode => pcie::collective_on_one_node;
    /// One guest cell, GPUs on several nodes.
    CollectiveFlat => pcie::collective_flat;
    /// Peer-to-peer over direct links.
    PeerLinked => pcie::peer_linked;
    /// Peer-to-peer below one switch.
    PeerSwitch => pcie::peer_switch;
    /// Peer-to-peer inside one node.
    PeerNode => pcie::peer_node;
    /// Peer-to-peer across nodes.
    PeerAcross => pcie::peer_across;
}

impl RuleId {
    /// Whether the rule's range multiplies the metric's prediction instead of competing for it.
    #[must_use]
    pub const fn on_top(self) -> bool {
        matches!(self, Self::Hugepages)
    }
}

/// One rule's word on one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// The metric.
    pub metric: Metric,
    /// The factor against the default layout.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub range: Range,
    /// How it is known.
    pub grade: Grade,
    /// The findings of the benchmark and its peers that it rests on.
    #[cfg_attr(feature = "serde", serde(rename = "findings"))]
    pub from: &'static [StudyId],
}

/// What is expected of one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Prediction {
    /// The metric.
    pub metric: Metric,
    /// The factor against the default layout.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub range: Range,
    /// The weakest grade among what it rests on; `None` where no rule spoke and nothing changes.
    pub grade: Option<Grade>,
    /// The findings that it rests on.
    #[cfg_attr(feature = "serde", serde(rename = "findings"))]
    pub from: Vec<StudyId>,
}

/// Whether a metric can be measured in this VM at all.
#[must_use]
pub(crate) fn applies(metric: Metric, profile: &Profile) -> bool {
    match metric {
        Metric::GpuCompute | Metric::HostGpuTransfer => profile.gpus > 0,
        Metric::CollectiveHost => profile.collective == Collective::Host,
        Metric::CollectiveP2p => profile.collective == Collective::PeerToPeer,
        Metric::CpuSingleThread
        | Metric::CpuAllThreads
        | Metric::MemoryBandwidth
        | Metric::MemoryLatency => true,
    }
}

/// Calls `each` with every row that has something to say about the candidate and one of the metrics,
/// in the order of the rules.
pub(crate) fn each_row<'e>(
    evidence: &'e Evidence,
    profile: &Profile,
    metrics: impl Fn(Metric) -> bool,
    mut each: impl FnMut(&'e Row),
) {
    let mut spoken: Option<Metric> = None;
    for row in evidence.rows() {
        let on_top = row.rule.on_top();
        let open = metrics(row.metric) && (on_top || spoken != Some(row.metric));
        if open && row.rule.speaks(profile) {
            if !on_top {
                spoken = Some(row.metric);
            }
            each(row);
        }
    }
}

/// All findings on a candidate.
#[must_use]
pub fn findings(evidence: &Evidence, profile: &Profile) -> Vec<Finding> {
    let mut all = Vec::with_capacity(Metric::ALL.len() + 1);
    let measurable = |metric| applies(metric, profile);
    each_row(evidence, profile, measurable, |row| {
        all.push(Finding {
            rule: row.rule,
            metric: row.metric,
            range: row.range(profile),
            grade: row.grade(profile),
            from: row.findings,
        });
    });
    all
}

/// The product of the findings for every metric that applies.
#[must_use]
pub fn predictions(findings: &[Finding], profile: &Profile) -> Vec<Prediction> {
    let of = |metric: Metric| {
        let mut prediction =
            Prediction { metric, range: Range::ONE, grade: None, from: Vec::new() };
        for finding in findings.iter().filter(|finding| finding.metric == metric) {
            prediction.range = prediction.range.times(finding.range);
            prediction.grade = prediction.grade.max(Some(finding.grade));
            prediction.from.extend(finding.from);
        }
        prediction.from.sort_unstable();
        prediction.from.dedup();
        prediction
    };
    Metric::ALL.into_iter().filter(|metric| applies(*metric, profile)).map(of).collect()
}
