//! From predictions to one number: integers, so that the order is total and the same everywhere.

use crate::engine::gpu_mix::{Expected, GpuShape, GpuShare, SlotWeights};
use crate::engine::gpu_set::{GpuPath, SetFacts};
use crate::engine::profile::Profile;
use crate::engine::rules::evidence::{Evidence, Range};
use crate::engine::rules::{applies, each_row};
use crate::request::{Policies, Policy, Request, Wish};
use crate::units::Ratio;
use crate::workload::{Metric, Weights, Workload};

/// What the caller may tune. The defaults are chosen by us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How much the low end of a range counts against the likely value, in thousandths: 0 trusts
    /// the likely values, 1000 counts on the low ends. A layout that shows cells to a VM with GPUs
    /// is scored by its low ends alone, as at 1000, if the workload is
    /// [`Workload::General`](crate::Workload::General) and the request names no number of cells.
    pub caution: u32,
    /// How much the cost to the host's other and future tenants counts, in thousandths: at 1000,
    /// taking all that is free costs as much as losing a factor e of performance. At 0, the
    /// default, the cost decides only between candidates that are otherwise equal.
    pub packing_weight: u32,
    /// What a VM has for each GPU in the shapes that are usually asked for: the slots that a
    /// placement ends are slots of these. `None` for seven eighths of what each GPU can have on its
    /// own node. On a node where other tenants leave less, it is what each GPU can have there.
    pub gpu_share: Option<GpuShare>,
    /// The VMs with GPUs that are asked for, by shape: a slot counts less on hosts that could not
    /// hold some of them, even without tenants that have GPUs. Empty, the default, counts all hosts
    /// alike. The time to count it grows with the number of shapes.
    pub gpu_mix: Vec<GpuShape>,
    /// What a slot of 1, 2, 4 and 8 GPUs counts, in thousandths of GPUs: by default as many as it
    /// has. 0 for a size that nobody asks for.
    pub slot_weights: SlotWeights,
    /// What each preference costs that a placement does not meet, in millionths of a natural
    /// logarithm: 100,000 is about 10% of performance. See [`Options::cost_of`].
    pub preference_cost: u32,
    /// Whether to rank every variant of a style, not its best only.
    pub all: bool,
    /// The table of evidence.
    pub evidence: Evidence,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            caution: 500,
            packing_weight: 0,
            gpu_share: None,
            gpu_mix: Vec::new(),
            slot_weights: [1000, 2000, 4000, 8000],
            preference_cost: 100_000,
            all: false,
            evidence: Evidence::default(),
        }
    }
}

impl Options {
    /// What the options say of the VMs with GPUs that may come.
    pub(crate) fn expected(&self) -> Expected<'_> {
        Expected { share: self.gpu_share, weights: self.slot_weights, mix: &self.gpu_mix }
    }

    /// What a placement loses that lacks a preferred property, in millionths of a natural
    /// logarithm. A device on another node costs a twentieth of the others (ours): that decides
    /// between nodes that are alike, and is no reason to spread a VM over several.
    #[must_use]
    pub fn cost_of(&self, property: Property) -> i64 {
        let whole = i64::from(self.preference_cost);
        if property == Property::NearDevices { whole / 20 } else { whole }
    }
}

/// How good a placement is, in millionths of a natural logarithm: +100,000 is about 10% better than
/// the default layout. `total` is the sum of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Score {
    /// The sum of the parts; the ranking goes by it.
    pub total: i64,
    /// The weighted mean of the predictions' logarithms.
    pub performance: i64,
    /// What it costs the host's other tenants beyond what any choice of GPUs would: zero or less.
    pub packing: i64,
    /// What unmet preferences cost: zero or less.
    pub preferences: i64,
}

impl Score {
    /// The same score with another packing cost, in millionths of what is free.
    pub(crate) fn with_packing(self, options: &Options, cost: i64) -> Self {
        let packing = -(cost * i64::from(options.packing_weight) / 1000);
        Self { total: self.performance + packing + self.preferences, packing, ..self }
    }
}

/// `ln(ratio)` in millionths. `libm` gives the same bits on every platform.
pub(crate) fn micro_log(ratio: Ratio) -> i64 {
    if ratio == Ratio::ONE {
        return 0;
    }
    // Within ±23 million for every ratio of 32 bits, so the conversion keeps the value.
    #[allow(clippy::cast_possible_truncation)]
    let micro = libm::round(libm::log(f64::from(ratio.0.max(1)) / 1000.0) * 1e6) as i64;
    micro
}

/// Where a range stands between its low end and its likely value, in millionths of a logarithm.
pub(crate) fn point(range: Range, caution: u32) -> i64 {
    between(range.low, range.likely, caution)
}

fn between(low: Ratio, likely: Ratio, caution: u32) -> i64 {
    let caution = i64::from(caution.min(1000));
    (micro_log(low) * caution + micro_log(likely) * (1000 - caution)) / 1000
}

/// The weighted mean over the metrics that apply to the candidate.
pub(crate) fn performance(
    evidence: &Evidence,
    profile: &Profile,
    weights: &Weights,
    caution: u32,
) -> i64 {
    let counts = Metric::ALL.map(|metric| weights.of(metric) > 0 && applies(metric, profile));
    // The high ends never count.
    let mut product = [(Ratio::ONE, Ratio::ONE); Metric::ALL.len()];
    let counted = |metric: Metric| counts[metric as usize];
    each_row(evidence, profile, counted, |row| {
        let (low, likely) = &mut product[row.metric as usize];
        let (of_low, of_likely) = row.scored(profile);
        *low = low.times(of_low);
        *likely = likely.times(of_likely);
    });
    let (mut sum, mut sum_of_weights) = (0, 0);
    for metric in Metric::ALL.into_iter().filter(|metric| counted(*metric)) {
        let weight = i64::from(weights.of(metric));
        let (low, likely) = product[metric as usize];
        sum += weight * between(low, likely, caution);
        sum_of_weights += weight;
    }
    if sum_of_weights == 0 { 0 } else { sum / sum_of_weights }
}

/// Whether a candidate shows cells that nothing in the request speaks for: the VM has GPUs, and the
/// request states neither a workload nor a number of cells.
///
/// The low ends alone count for it. Cells bring bandwidth to work that is known to need it, and
/// cost collectives through host memory (F5, F6, F12); of work that is unknown, neither is known.
pub(crate) fn shows_cells_unasked(request: &Request, profile: &Profile) -> bool {
    let spec = request.spec();
    let unasked = spec.workload == Workload::General && spec.cells == Wish::Auto;
    unasked && profile.gpus > 0 && profile.style.shows_cells()
}

/// The caution that the candidate is scored with, in thousandths.
pub(crate) fn caution(request: &Request, options: &Options, profile: &Profile) -> u32 {
    if shows_cells_unasked(request, profile) { 1000 } else { options.caution }
}

/// A property that was preferred and is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Property {
    /// A pCPU of its own for every vCPU.
    DedicatedCpus,
    /// No core shared with another tenant.
    WholeCores,
    /// No other tenant with dedicated pCPUs in its L3 domains.
    OwnL3,
    /// One node.
    OneNode,
    /// Every GPU on a node of the VM.
    GpuLocality,
    /// All GPUs below one switch.
    SameSwitch,
    /// Every two GPUs linked.
    LinkedGpus,
    /// The GPUs are one fabric partition.
    FabricPartition,
    /// The wanted number of cells.
    Cells,
    /// SMT siblings shown, or hidden, as wanted.
    Smt,
    /// A requested NIC or other device on a node of the VM.
    NearDevices,
    /// GPUs whose links run at what both of their sides can.
    HealthyLinks,
    /// Every device that is requested by kind as near a GPU as wanted.
    BesideGpus,
}

/// The properties that a set of `gpus` GPUs lacks wherever the VM is, and how strict each wish is.
fn set_lacks(policies: &Policies, gpus: u32, facts: SetFacts) -> [(Property, Policy, bool); 3] {
    let several = gpus > 1;
    let linked = facts.path == GpuPath::Linked;
    [
        (Property::SameSwitch, policies.same_switch, several && !facts.same_switch),
        (Property::LinkedGpus, policies.linked_gpus, several && !linked),
        (Property::FabricPartition, policies.fabric_partition, !facts.partition),
    ]
}

/// The first required property that no place of the VM could give these GPUs.
pub(crate) fn set_lacking(policies: &Policies, gpus: u32, facts: SetFacts) -> Option<Property> {
    let mut lacks = set_lacks(policies, gpus, facts).into_iter();
    lacks.find_map(|(property, policy, lacking)| {
        (lacking && policy == Policy::Require).then_some(property)
    })
}

/// Calls `each` with every property that the candidate lacks and how strictly it is wanted.
pub(crate) fn each_lack(
    request: &Request,
    profile: &Profile,
    mut each: impl FnMut(Property, Policy),
) {
    let policies = &request.spec().policies;
    let Profile { gpu_path: path, same_switch, partition, gpus_degraded: degraded, .. } = *profile;
    let facts = SetFacts { path, same_switch, partition, degraded };
    let [of_switch, of_links, of_partition] = set_lacks(policies, profile.gpus, facts);
    let shared = request.spec().shared.is_some();
    let dedicated = if shared { Policy::Ignore } else { policies.dedicated_cpus };
    let wish = |required: bool| if required { Policy::Require } else { Policy::Prefer };
    let lacks = [
        (Property::DedicatedCpus, dedicated, !profile.dedicated),
        (Property::WholeCores, policies.whole_cores, profile.dedicated && !profile.whole_cores),
        (Property::OwnL3, policies.own_l3, !profile.own_l3),
        (Property::OneNode, policies.one_node, profile.nodes != 1 || profile.lent),
        (Property::GpuLocality, policies.gpu_locality, profile.gpus > 0 && !profile.gpus_local()),
        of_switch,
        of_links,
        of_partition,
        (
            Property::Cells,
            wish(request.spec().cells.required().is_some()),
            !request.spec().cells.is_met_by(profile.cells),
        ),
        (
            Property::Smt,
            wish(request.spec().smt.required().is_some()),
            !request.spec().smt.is_met_by(profile.threads > 1),
        ),
        (Property::NearDevices, near_devices(request, profile), profile.devices_far > 0),
        (Property::HealthyLinks, Policy::Prefer, profile.gpus_degraded > 0),
        (Property::BesideGpus, Policy::Require, profile.devices_refused > 0),
        (Property::BesideGpus, Policy::Prefer, profile.devices_apart > 0),
    ];
    for (property, policy, lacking) in lacks {
        if lacking && policy != Policy::Ignore {
            each(property, policy);
        }
    }
}

/// How strictly devices must be on the VM's nodes. Without GPUs, that is what being near means to
/// the devices that are requested by kind.
fn near_devices(request: &Request, profile: &Profile) -> Policy {
    let mut wishes = request.spec().device_wishes.iter();
    let required = profile.gpus == 0 && wishes.any(|wish| wish.near == Policy::Require);
    if required { Policy::Require } else { Policy::Prefer }
}

/// The score of a candidate whose packing cost, in millionths of what is free, is known.
#[must_use]
pub fn score(request: &Request, options: &Options, profile: &Profile, cost: i64) -> Score {
    let weights = request.spec().workload.weights();
    let caution = caution(request, options, profile);
    let performance = performance(&options.evidence, profile, &weights, caution);
    let mut preferences = 0;
    each_lack(request, profile, |property, _| preferences -= options.cost_of(property));
    let score = Score { performance, preferences, ..Score::default() };
    score.with_packing(options, cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_in_millionths_and_rounded() {
        assert_eq!(micro_log(Ratio::ONE), 0);
        assert_eq!(micro_log(Ratio(2000)), 693_147);
        assert_eq!(micro_log(Ratio(500)), -693_147);
    }

    #[test]
    fn caution_moves_the_point_from_likely_to_low() {
        let range = Range::new(500, 1000, 2000).unwrap();
        assert_eq!(point(range, 0), 0);
        assert_eq!(point(range, 500), -346_573);
        assert_eq!(point(range, 1000), -693_147);
    }
}
