//! Rules: the known effects of a candidate's layout on each metric, and its score.
//!
//! **Takes** a `Profile` (everything that a rule may depend on), the evidence table and the
//! workload's weights. **Gives** findings (one rule's range for one metric), predictions (one range
//! per metric) and a `Score` of four integers. Every number comes from one table, every row of
//! which cites published `STUDIES` or is graded as our own reasoning, and no rule writes a
//! sentence.
//!
//! # Rules and rows
//! A rule is an id, a condition on the profile, and a row: one metric, a range *low, likely, high*
//! against the default layout on the same host with the same GPUs, a grade, and the studies behind
//! it. Ratios are in thousandths: 1400 is 1.4 times the default layout. An end of a range is a
//! constant, or depends on the nodes that the VM spans and on the fewest that a VM of its size
//! needs:
//! - `PerNode(n)`, `PerFewestNode(n)`: n for each of these;
//! - `NodesAtMost(n)`: the number of nodes, at most n thousandths;
//! - `IfFewest(a, b)`: a if the VM spans no more nodes than it needs, otherwise b;
//! - `LeastWork`, `LikelyWork`, `MostWork`: the ratio of the work model (`engine::work`);
//! - `LeastPace`, `LikelyPace`: what is left of that if all vCPUs go at the pace of the slowest;
//! - `Crowded(n)`: 1 less n times the share of the VM's cores that others float on, weighted;
//! - `Hidden(n)`: 1 less n times the share of vCPUs that have a core in common with another.
//!
//! A row whose ends depend on nodes is graded *reasoned* for a VM that spans more nodes than it
//! needs, because that was never measured. If `likely` would be below `low`, it is raised to `low`;
//! likewise `high` to `likely`.
//!
//! # Which rules apply
//! For each metric at most one rule applies: the first, in `RuleId` order, whose condition holds.
//! The order is precedence, from special to general: `EfficiencyCore` (0.55 to 0.65) comes before
//! `PinnedThread` (1.00 to 1.02), so only the former applies to a pinned VM with a vCPU on an
//! efficiency core. A rule that is *on top* (`Hugepages`) does not compete: its range multiplies
//! the metric's prediction.
//!
//! Metrics that a VM cannot have are left out: GPU metrics without a GPU; of the two collectives,
//! the one that the VM's GPUs would not use, and both with fewer than two GPUs. A metric for which
//! no rule's condition holds is predicted 1.00, without a grade.
//!
//! A *prediction* is the product of a metric's findings, end by end, rounded to thousandths. Its
//! grade is the weakest of theirs: measured, observed (a direction was published, the range is
//! ours), stated (a source expects it), reasoned (ours).
//!
//! # The score
//! 1. *Point.* A range becomes one number between its low and its likely end, on a logarithmic
//!    scale: caution x ln(low) + (1 - caution) x ln(likely), in millionths ("micro-logs"). The
//!    default caution of 500 thousandths is the middle. The high end never counts. Cells that
//!    nobody asked for have a caution of 1000, so that they come first only if they are ahead at
//!    their low ends: the VM has GPUs, the workload is `General`, and the request neither requires
//!    nor prefers a number of cells. The benchmark, too, starts with one cell, and shows several
//!    after it has confirmed that the work gains from host bandwidth (F5, F6, F12).
//! 2. *Performance.* The mean of the points of all metrics that apply, weighted by the workload.
//! 3. *Preferences.* Each unmet wish costs `preference_cost`, by default 100,000: about 10%. Wishes
//!    are preferred policies, numbers of cells and SMT, and always requested devices on a node of
//!    the VM and GPUs whose links run at full speed and width. A requested device elsewhere costs a
//!    twentieth of that.
//! 4. *Packing.* Minus the packing cost times its weight; see `cost`.
//!
//! The total is the sum of the last three. 0 is the default layout, 100,000 is e^0.1 = 1.105 times
//! it.
//!
//! Example: latency-sensitive (weights: one thread 40, all threads 5, bandwidth 5, latency 50),
//! pinned on one of four nodes of a host with two packages, hugepages, no choice of L3 domains.
//!
//! | metric | rules | low to likely | point | weight |
//! |---|---|---|---|---|
//! | one thread | `PinnedThread` | 1.00 to 1.02 | 9,901 | 40 |
//! | all threads | `PinnedThreads` | 1.00 to 1.00 | 0 | 5 |
//! | bandwidth | `BandwidthOfOneNode` x `Hugepages` | 1.00 to 1.47 | 192,631 | 5 |
//! | latency | `LatencyBoundPackages` | 1.00 to 1.25 | 111,572 | 50 |
//!
//! The sum of point x weight is 6,937,795; divided by 100 it is a performance of 69,377, shown as
//! +69 (thousandths).
//!
//! # Why integers
//! The ranking must be a total order and the same on every machine. Logarithms come from `libm`,
//! which gives the same bits everywhere, and are rounded once to integers; every step after that is
//! integer arithmetic whose divisions round toward zero. No float is compared.
//!
//! # Hard and soft
//! A required property is never scored: candidates that lack it are rejected. One list of
//! properties serves both, so every property can be required or preferred. A refusal names the
//! first missing one in the list's order.
//!
//! # Invariants
//! - Rows are in `RuleId` order, one per rule, and the rows of one metric are adjacent: a rule that
//!   applies excludes only the rows of its metric that follow in the same block.
//! - 0 < low <= likely <= high for every row and profile. A row without a study is graded reasoned.
//! - A condition reads the profile and nothing else. Equal profiles have equal findings and scores.
//!
//! # Known limitations
//! - Predictions are factors relative to the default layout *with the same GPUs on the same host*.
//!   They cannot compare two GPU sets, or two hosts; dominance (`gpus`) and the packing cost
//!   (`fleet`) do that.
//! - Effects on different metrics are taken as independent, and two rules on one metric multiply
//!   only if one is on top. Of neighbours, only those that float on the VM's cores have rules, with
//!   ranges of our own: without a price, an idle node would be no better than a crowded one. Other
//!   sharing is a warning, because no published number measures its cost.
//! - `Evidence::with` puts the user's own range in a rule's row as three constants, graded
//!   *own* and without studies; the conditions stay ours.
//!
//! # To add a rule
//! Add its row in `evidence.rs`, its name in the list below, its condition beside its neighbours in
//! `cpu.rs`, `memory.rs` or `pcie.rs` under the same four headings, and two cases in
//! `tests/it/rules.rs`: one where it applies, one where it is silent.

pub(crate) mod cpu;
pub(crate) mod evidence;
pub(crate) mod findings;
pub(crate) mod memory;
pub(crate) mod pcie;

pub use evidence::{Evidence, Grade, Range, Row, StudyId};
pub use findings::{STUDIES, Study};

use crate::engine::gpu_set::Collective;
use crate::engine::profile::Profile;
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
            /// The number of rules.
            pub const COUNT: usize = Self::ALL.len();

            /// Whether the rule's condition holds for this candidate.
            #[must_use]
            pub fn speaks(self, profile: &Profile) -> bool {
                match self { $(Self::$name => $module::$condition(profile)),* }
            }
        }
    };
}

rules! {
    /// A vCPU on a low-power efficiency core.
    LowPowerCore => cpu::low_power_core;
    /// A vCPU on an efficiency core.
    EfficiencyCore => cpu::efficiency_core;
    /// Pinning, for one thread.
    PinnedThread => cpu::pinned;
    /// Pinned vCPUs on cores that other tenants float on, for one thread; on top of the others.
    CrowdedThread => cpu::crowded;
    /// Fewer cores than the default layout has, and more vCPUs on second threads; on top of the
    /// others.
    SiblingThreads => cpu::siblings;
    /// Other kinds of cores than the default layout has; on top of the others.
    SlowerCores => cpu::slower_cores;
    /// Pinned vCPUs on shared cores, and the guest is not shown which; on top of the others.
    HiddenSiblings => cpu::hidden_siblings;
    /// Pinned vCPUs on cores of several kinds; on top of the others.
    MixedKinds => cpu::mixed_kinds;
    /// Guest cells, for all threads.
    CellThreads => cpu::cells;
    /// Cores in one L3 domain on each node.
    WholeL3Domains => cpu::whole_l3_domains;
    /// Pinning, for all threads.
    PinnedThreads => cpu::pinned;
    /// Pinned vCPUs on cores that other tenants float on, for all threads; on top of the others.
    CrowdedThreads => cpu::crowded;
    /// vCPUs on nodes without memory for the VM, for bandwidth.
    BandwidthRemote => memory::remote;
    /// A guest cell per node: bandwidths add up.
    BandwidthOfCells => memory::cells;
    /// One guest cell, pages interleaved over several nodes.
    BandwidthInterleaved => memory::flat_interleaved;
    /// One guest cell over several nodes, pages wherever the kernel puts them.
    BandwidthFlat => memory::flat_unbound;
    /// Pinned and bound to one of several nodes.
    BandwidthOfOneNode => memory::one_of_several_nodes;
    /// Pinned on a host with one node.
    BandwidthOfOnlyNode => memory::only_node;
    /// Hugepages instead of 4 KiB pages; on top of the others.
    Hugepages => memory::hugepages;
    /// vCPUs on nodes without memory for the VM, for latency.
    LatencyRemote => memory::latency_remote;
    /// One guest cell, pages interleaved over several packages.
    LatencyInterleaved => memory::interleaved_over_packages;
    /// Memory local to its vCPUs on a host of several packages.
    LatencyBoundPackages => memory::local_among_packages;
    /// Memory local to its vCPUs on a host of several nodes in one package.
    LatencyBoundNodes => memory::local_among_nodes;
    /// Pinned, memory not local by construction.
    LatencyPinned => memory::pinned;
    /// One L3 domain on a host whose domains have caches of different sizes; on top of the others.
    OneOfUnequalCaches => memory::one_of_unequal_caches;
    /// GPU arithmetic, which no layout affects.
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
        matches!(
            self,
            Self::SiblingThreads
                | Self::SlowerCores
                | Self::HiddenSiblings
                | Self::MixedKinds
                | Self::CrowdedThread
                | Self::CrowdedThreads
                | Self::Hugepages
                | Self::OneOfUnequalCaches
        )
    }
}

/// The prediction of one rule for one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// The metric.
    pub metric: Metric,
    /// The factor relative to the default layout.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub range: Range,
    /// The grade.
    pub grade: Grade,
    /// The published findings behind it.
    #[cfg_attr(feature = "serde", serde(rename = "findings"))]
    pub from: &'static [StudyId],
}

/// The prediction for one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Prediction {
    /// The metric.
    pub metric: Metric,
    /// The factor relative to the default layout.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub range: Range,
    /// The weakest grade among its findings; `None` if no rule applied and nothing changes.
    pub grade: Option<Grade>,
    /// The findings behind it.
    #[cfg_attr(feature = "serde", serde(rename = "findings"))]
    pub from: Vec<StudyId>,
}

/// Whether this VM has the metric at all.
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

/// Calls `each` with every row that applies to the candidate for one of the metrics, in the order
/// of the rules.
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
