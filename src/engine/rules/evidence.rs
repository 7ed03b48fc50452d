//! The table of evidence: the range that each rule predicts, its findings and its grade.
//!
//! Findings F1 to F45 are the published measurements behind this crate. F1 to F12 and F20 come from
//! one benchmark of four layouts on six GPU systems (r/VFIO, 2026; scripts 6erun/vcpu_benchmarks);
//! the others are independent sources. For a finding without a number (`observed`) we chose a wide
//! range.

use std::fmt;

use crate::engine::profile::Profile;
use crate::engine::work::Work;
use crate::units::Ratio;
use crate::workload::Metric;

use super::RuleId;

/// The grade of a claim, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Grade {
    /// The user's own result ([`Evidence::with`]), without a published study.
    Own,
    /// The source gives a number.
    Measured,
    /// The source gives a direction; we chose the range.
    Observed,
    /// The source's documentation predicts it.
    Stated,
    /// Our own reasoning from hardware facts.
    Reasoned,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Own => "own",
            Self::Measured => "measured",
            Self::Observed => "observed",
            Self::Stated => "stated",
            Self::Reasoned => "reasoned",
        })
    }
}

/// The number of a finding, 1 to 45.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StudyId(pub u8);

impl fmt::Display for StudyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F{}", self.0)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for StudyId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A predicted factor on a metric relative to the default layout, `low <= likely <= high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Range {
    /// The cautious value.
    pub low: Ratio,
    /// The expected value.
    pub likely: Ratio,
    /// The best value seen.
    pub high: Ratio,
}

impl Range {
    /// No change at all.
    pub const ONE: Self = Self { low: Ratio::ONE, likely: Ratio::ONE, high: Ratio::ONE };

    /// A range in thousandths; `None` unless `0 < low <= likely <= high`.
    #[must_use]
    pub const fn new(low: u32, likely: u32, high: u32) -> Option<Self> {
        if low == 0 || low > likely || likely > high {
            return None;
        }
        Some(Self { low: Ratio(low), likely: Ratio(likely), high: Ratio(high) })
    }

    /// The combination of both effects.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self {
            low: self.low.times(other.low),
            likely: self.likely.times(other.likely),
            high: self.high.times(other.high),
        }
    }
}

/// One end of a row's range, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Fixed(u32),
    /// This much for every node that the VM spans.
    PerNode(u32),
    /// This much for each of the fewest nodes that would hold the VM.
    PerFewestNode(u32),
    /// The number of nodes that the VM spans, at most this much.
    NodesAtMost(u32),
    /// The first value if the VM spans no more nodes than it needs, otherwise the second.
    IfFewest(u32, u32),
    /// The least, the likely and the most work, against the default layout's.
    LeastWork,
    LikelyWork,
    MostWork,
    /// Less by so much times the share of vCPUs on shared cores.
    Hidden(u32),
    /// What is left where all vCPUs go at the pace of the slowest: at the least, and likely.
    LeastPace,
    LikelyPace,
}

impl End {
    #[inline]
    fn at(self, profile: &Profile) -> Ratio {
        match self {
            Self::Fixed(n) => Ratio(n),
            _ => self.depending_on(profile),
        }
    }

    fn depending_on(self, profile: &Profile) -> Ratio {
        let nodes = profile.nodes.max(1);
        let fewest = profile.fewest_nodes.clamp(1, nodes);
        Ratio(match self {
            Self::Fixed(n) => n,
            Self::PerNode(n) => n * nodes,
            Self::PerFewestNode(n) => n * fewest,
            Self::NodesAtMost(n) => (nodes * 1000).min(n),
            Self::LeastWork => profile.work.ends_against(profile.default_work).0.0,
            Self::LikelyWork => profile.work.likely_against(profile.default_work).0,
            Self::MostWork => profile.work.ends_against(profile.default_work).1.0,
            Self::LeastPace => profile.work.held_back().0.0,
            Self::LikelyPace => profile.work.held_back().1.0,
            Self::Hidden(n) => {
                let Work { siblings, .. } = profile.work;
                let vcpus = profile.default_work.vcpus().max(1);
                1000_u32.saturating_sub(n * (2 * siblings).min(vcpus) / vcpus).max(1)
            }
            Self::IfFewest(then, otherwise) => {
                if fewest == nodes {
                    then
                } else {
                    otherwise
                }
            }
        })
    }
}

/// The claim of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The rule.
    pub rule: RuleId,
    /// The metric that it predicts.
    pub metric: Metric,
    low: End,
    likely: End,
    high: End,
    /// The grade.
    pub grade: Grade,
    /// The findings behind it; empty for our own reasoning.
    pub findings: &'static [StudyId],
}

impl Row {
    /// The range for a candidate. A candidate that spans more nodes than its size needs gets the
    /// range for the fewest nodes where the row depends on them.
    #[must_use]
    pub fn range(&self, profile: &Profile) -> Range {
        let (low, likely) = self.scored(profile);
        Range { low, likely, high: self.high.at(profile).max(likely) }
    }

    /// The ends of the range that the score counts: the low one and the likely one.
    #[inline]
    pub(crate) fn scored(&self, profile: &Profile) -> (Ratio, Ratio) {
        let low = self.low.at(profile);
        (low, self.likely.at(profile).max(low))
    }

    /// The grade for this candidate: reasoned if the row depends on the number of nodes and the
    /// candidate spans more than its size needs, because that was never measured.
    #[must_use]
    pub fn grade(&self, profile: &Profile) -> Grade {
        let ends = [self.low, self.likely, self.high];
        let grows = ends.iter().any(|end| !matches!(end, End::Fixed(_)));
        if grows && profile.nodes > profile.fewest_nodes { Grade::Reasoned } else { self.grade }
    }
}

macro_rules! table {
    ($($rule:ident, $metric:ident, ($low:expr, $likely:expr, $high:expr), $grade:ident, [$($f:literal)*];)*) => {
        const TABLE: [Row; RuleId::COUNT] = {
            use End::{
                Fixed, Hidden, IfFewest, LeastPace, LeastWork, LikelyPace, LikelyWork, MostWork, NodesAtMost, PerFewestNode,
                PerNode,
            };
            [$(Row {
                rule: RuleId::$rule,
                metric: Metric::$metric,
                low: $low,
                likely: $likely,
                high: $high,
                grade: Grade::$grade,
                findings: &[$(StudyId($f)),*],
            }),*]
        };
    };
}

// Some rows are wider or narrower than their finding by our choice: the `observed` rows, which have
// a direction and no number; the latency rows, which halve a bare-metal ratio because an unbound VM
// has about half of its pages remote; and the low ends of the bandwidth rows, since F5 sometimes
// saw no gain.
table! {
    LowPowerCore, CpuSingleThread, (Fixed(250), Fixed(300), Fixed(500)), Stated, [55 56];
    EfficiencyCore, CpuSingleThread, (Fixed(530), Fixed(610), Fixed(700)), Measured, [43 52 54];
    PinnedThread, CpuSingleThread, (Fixed(1000), Fixed(1020), Fixed(1100)), Observed, [2];
    SiblingThreads, CpuAllThreads, (LeastWork, LikelyWork, MostWork), Measured, [8 19 44 65 67];
    SlowerCores, CpuAllThreads, (LeastWork, LikelyWork, MostWork), Measured, [8 43 44 52 54 67];
    HiddenSiblings, CpuAllThreads, (Hidden(500), Hidden(250), Fixed(1000)), Reasoned, [8];
    MixedKinds, CpuAllThreads, (LeastPace, LikelyPace, Fixed(1000)), Reasoned, [52 58];
    CellThreads, CpuAllThreads, (Fixed(1000), IfFewest(1070, 1000), Fixed(1200)), Measured, [26];
    WholeL3Domains, CpuAllThreads, (Fixed(1000), Fixed(1050), Fixed(1180)), Measured, [38];
    PinnedThreads, CpuAllThreads, (Fixed(1000), Fixed(1000), Fixed(1050)), Measured, [26];
    BandwidthOfCells, MemoryBandwidth, (Fixed(1000), PerFewestNode(1000), PerNode(1600)), Measured, [4 22 23 31];
    BandwidthInterleaved, MemoryBandwidth, (Fixed(900), IfFewest(1200, 1000), NodesAtMost(2000)), Stated, [16 31];
    BandwidthFlat, MemoryBandwidth, (Fixed(1000), Fixed(1000), Fixed(1050)), Observed, [3];
    BandwidthOfOneNode, MemoryBandwidth, (Fixed(1000), Fixed(1400), Fixed(1550)), Measured, [25];
    BandwidthOfOnlyNode, MemoryBandwidth, (Fixed(1000), Fixed(1000), Fixed(1050)), Observed, [3];
    Hugepages, MemoryBandwidth, (Fixed(1000), Fixed(1050), Fixed(1150)), Stated, [14 42];
    LatencyInterleaved, MemoryLatency, (Fixed(850), Fixed(950), Fixed(1000)), Measured, [32];
    LatencyBoundPackages, MemoryLatency, (Fixed(1000), Fixed(1250), Fixed(1500)), Measured, [13 29];
    LatencyBoundNodes, MemoryLatency, (Fixed(1000), Fixed(1050), Fixed(1300)), Measured, [30];
    LatencyPinned, MemoryLatency, (Fixed(1000), Fixed(1010), Fixed(1050)), Observed, [2];
    OneOfUnequalCaches, MemoryLatency, (Fixed(1000), Fixed(1200), Fixed(1500)), Reasoned, [46 48 49 50 59];
    GpuArithmetic, GpuCompute, (Fixed(1000), Fixed(1000), Fixed(1000)), Measured, [9 36];
    TransferRemote, HostGpuTransfer, (Fixed(300), Fixed(700), Fixed(1000)), Measured, [15 28];
    TransferInterleaved, HostGpuTransfer, (Fixed(800), Fixed(1000), Fixed(1100)), Reasoned, [28];
    TransferLocal, HostGpuTransfer, (Fixed(1000), Fixed(1100), Fixed(1500)), Measured, [15 28];
    CollectiveCellsBlind, CollectiveHost, (Fixed(300), Fixed(600), Fixed(1000)), Observed, [6 20];
    CollectiveCells, CollectiveHost, (Fixed(400), Fixed(850), Fixed(1100)), Reasoned, [6 20];
    CollectiveOneNode, CollectiveHost, (Fixed(900), Fixed(1200), Fixed(2000)), Observed, [7 18];
    CollectiveFlat, CollectiveHost, (Fixed(1000), Fixed(1200), Fixed(2000)), Observed, [7];
    PeerLinked, CollectiveP2p, (Fixed(1000), Fixed(1000), Fixed(1000)), Measured, [35];
    PeerSwitch, CollectiveP2p, (Fixed(950), Fixed(1000), Fixed(1050)), Reasoned, [];
    PeerNode, CollectiveP2p, (Fixed(850), Fixed(950), Fixed(1000)), Reasoned, [];
    PeerAcross, CollectiveP2p, (Fixed(500), Fixed(800), Fixed(1000)), Reasoned, [];
}

/// The table in use: the published rows, some possibly replaced by the user's own results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    rows: [Row; RuleId::COUNT],
}

impl Default for Evidence {
    fn default() -> Self {
        Self { rows: TABLE }
    }
}

impl Evidence {
    /// The row of a rule.
    #[must_use]
    pub fn row(&self, rule: RuleId) -> &Row {
        &self.rows[rule as usize]
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The same table with the user's own range in place of the rule's. Its grade is
    /// [`Grade::Own`], and the rule's published studies are no longer cited for it.
    #[must_use]
    pub fn with(mut self, rule: RuleId, range: Range) -> Self {
        let row = &mut self.rows[rule as usize];
        row.low = End::Fixed(range.low.0);
        row.likely = End::Fixed(range.likely.0);
        row.high = End::Fixed(range.high.0);
        row.grade = Grade::Own;
        row.findings = &[];
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_rules_place_and_is_ordered() {
        for (row, rule) in TABLE.iter().zip(RuleId::ALL) {
            assert_eq!(row.rule, rule);
            assert!(row.findings.iter().all(|f| f.record().is_some()), "{rule:?}");
            assert!(row.findings.is_empty() <= (row.grade == Grade::Reasoned), "{rule:?}");
        }
    }

    #[test]
    fn a_range_is_ordered_and_above_zero() {
        assert!(Range::new(0, 1, 2).is_none() && Range::new(2, 1, 3).is_none());
        assert_eq!(Range::new(1000, 1000, 1000), Some(Range::ONE));
    }
}
