//! The pipeline: candidates, feasibility, rules, score, ranking.

use crate::engine::build::{build, default_layout};
use crate::engine::cost::HostCost;
use crate::engine::diagnose::rejections;
use crate::engine::profile::Profile;
use crate::engine::refusal::{Fact, Rejection, asked};
use crate::engine::rules::{Finding, Prediction, findings, predictions};
use crate::engine::score::{Property, Score, each_lack};
use crate::engine::search::cpus::CpuPolicy;
use crate::engine::search::gpus::GpuSet;
use crate::engine::search::{Candidate, Found, Inventory, host_for, search};
use crate::placement::{Placement, Style};
use crate::question::Question;
use crate::request::Request;
use crate::verify::{verify, verify_warnings};
use crate::warnings::{Warning, warnings};

/// A placement with its score and the reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ranked {
    /// Where the VM would live.
    pub placement: Placement,
    /// How good that is.
    pub score: Score,
    /// The rules' words; [`Ranked::predictions`] are made of them.
    pub findings: Vec<Finding>,
    /// Preferred properties that it lacks.
    pub unmet: Vec<Property>,
    /// What it costs the host.
    pub cost: HostCost,
    /// What the rules saw of it.
    pub profile: Profile,
}

/// The answer: at least one placement that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recommendation {
    /// Best first; the best of each style, or of each variant with
    /// [`Options::all`](super::Options::all).
    pub ranked: Vec<Ranked>,
    /// The default layout with the first placement's GPUs, which all predictions are against. Score
    /// and predictions are those of no change. `None` where even that does not fit.
    pub baseline: Option<Ranked>,
    /// The styles that do not fit, and why.
    pub rejected: Vec<Rejection>,
    /// Whether a bound cut the search, so that something better may exist.
    pub cut: bool,
}

/// The answer that nothing fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no style of placement fits")]
#[non_exhaustive]
pub struct Infeasible {
    /// Every style, and why.
    pub rejected: Vec<Rejection>,
}

impl Ranked {
    /// What is expected of each metric, against the default layout.
    #[must_use]
    pub fn predictions(&self) -> Vec<Prediction> {
        predictions(&self.findings, &self.profile)
    }

    /// What to know before using it, as the host and its tenants were when it was recommended. Who
    /// asks a thousand hosts needs them of one.
    #[must_use]
    pub fn warnings(&self, question: Question<'_>) -> Vec<Warning> {
        warnings(question, &self.placement, &self.profile)
    }
}

impl Recommendation {
    /// The best placement.
    ///
    /// # Panics
    /// Never for a value that [`recommend`] returned: it has at least one.
    #[must_use]
    pub fn best(&self) -> &Ranked {
        self.ranked.first().expect("a recommendation has a placement: checked by recommend")
    }

    /// The same answer with the placements of one style alone. For [`Style::Default`] that is the
    /// baseline, which is then no longer beside them.
    ///
    /// # Errors
    /// [`Infeasible`] if no placement of that style fits, with the facts about that style.
    pub fn only(mut self, style: Style) -> Result<Self, Infeasible> {
        match style {
            Style::Default => self.ranked = self.baseline.take().into_iter().collect(),
            _ => self.ranked.retain(|ranked| ranked.placement.style == style),
        }
        if self.ranked.is_empty() {
            self.rejected.retain(|rejection| rejection.style == style);
            if self.rejected.is_empty() {
                let facts = vec![Fact::StyleUnasked { style }];
                self.rejected.push(Rejection { style, facts });
            }
            return Err(Infeasible { rejected: self.rejected });
        }
        Ok(self)
    }
}

/// Where on this host the VM should live, best first, with scores and reasons.
///
/// A pure function of its arguments.
///
/// # Bounds
/// At most 4096 sets of nodes of each size and 1024 sets of GPUs are tried, whatever is asked, and
/// [`Recommendation::cut`] says where that left some out. What cannot be by count is refused
/// before: too few pCPUs, pages or GPUs, a property that no set of GPUs has, and GPUs that have to
/// be local where no nodes that the VM could be on have them all.
///
/// # Errors
/// [`Infeasible`] if no placement fulfils all that the request requires; it has the decisive facts
/// of every style.
pub fn recommend(question: Question<'_>) -> Result<Recommendation, Infeasible> {
    let options = question.options;
    let everywhere = |facts: Vec<_>| Infeasible {
        rejected: asked(question.request)
            .map(|style| Rejection { style, facts: facts.clone() })
            .collect(),
    };
    let host = host_for(question.host, question.usage, question.request);
    let inventory = Inventory::new(Question { host: &host, ..question }).map_err(everywhere)?;
    let found = search(&inventory);
    let mut ranked: Vec<Ranked> = Vec::with_capacity(Style::ALL.len());
    let mut failed = Vec::new();
    for candidate in in_order(&found) {
        let done = |r: &Ranked| !options.all && r.placement.style == candidate.style;
        if ranked.iter().any(done) {
            continue;
        }
        match build(&inventory, candidate) {
            Ok(placement) => {
                if !is_told_twice(&found, candidate) {
                    ranked.push(rank(&inventory, candidate, placement));
                }
            }
            Err(fact) => failed.push((candidate.style, fact)),
        }
    }
    let placed: Vec<Style> = ranked.iter().map(|row| row.placement.style).collect();
    let rejected = rejections(&inventory, &found, &placed, failed);
    let Some(best) = ranked.first() else { return Err(Infeasible { rejected }) };
    let baseline = baseline(&inventory, best);
    debug_assert!(ranked.iter().all(|r| verify(question, &r.placement).is_ok()));
    let warnings = |r: &Ranked| r.warnings(question);
    let told = |r: &Ranked| verify_warnings(question, &r.placement, &warnings(r)).is_ok();
    debug_assert!(ranked.iter().chain(&baseline).all(told));
    Ok(Recommendation { ranked, baseline, rejected, cut: found.cut })
}

/// The candidates, best first.
fn in_order(found: &Found) -> Vec<&Candidate> {
    let mut candidates: Vec<&Candidate> = found.best().collect();
    candidates.sort_by(|a, b| (a.rank(), a.variant()).cmp(&(b.rank(), b.variant())));
    candidates
}

/// Whether its cores turn out whole unasked, and the stricter way fits too: that has the same.
fn is_told_twice(found: &Found, candidate: &Candidate) -> bool {
    let way = CpuPolicy { whole: true, ..candidate.way };
    let twin = (candidate.style, candidate.memory, candidate.expanders, way);
    let unasked = candidate.profile.whole_cores && !candidate.way.whole;
    unasked && found.best().any(|best| best.variant() == twin)
}

/// What comes first in an answer.
#[derive(Debug)]
pub(crate) struct First {
    pub(crate) score: Score,
    pub(crate) cost: HostCost,
    pub(crate) profile: Profile,
    pub(crate) placement: Placement,
}

/// The first of what [`recommend`] answers, without findings and warnings and without the others.
/// `None` where nothing fits.
pub(crate) fn first(question: Question<'_>) -> Option<First> {
    let host = host_for(question.host, question.usage, question.request);
    let inventory = Inventory::new(Question { host: &host, ..question }).ok()?;
    let found = search(&inventory);
    let mut candidates = in_order(&found).into_iter();
    candidates.find_map(|candidate| {
        let placement = build(&inventory, candidate).ok()?;
        let Candidate { score, cost, profile, .. } = *candidate;
        let first = First { score, cost, profile, placement };
        (!is_told_twice(&found, candidate)).then_some(first)
    })
}

fn rank(inventory: &Inventory<'_>, candidate: &Candidate, placement: Placement) -> Ranked {
    let Inventory { host, request, options, .. } = inventory;
    let profile = candidate.profile;
    debug_assert_eq!(
        profile,
        Profile::of(host, request, &placement).beside(host, inventory.usage, &placement),
        "counted as it was built"
    );
    let findings = findings(&options.evidence, &profile);
    Ranked {
        placement,
        score: candidate.score,
        findings,
        unmet: unmet(request, &profile),
        cost: candidate.cost,
        profile,
    }
}

/// The preferred properties that a profile lacks.
pub(crate) fn unmet(request: &Request, profile: &Profile) -> Vec<Property> {
    let mut unmet = Vec::new();
    each_lack(request, profile, |property, _| unmet.push(property));
    unmet
}

fn baseline(inventory: &Inventory<'_>, best: &Ranked) -> Option<Ranked> {
    let gpus: Vec<_> = best.placement.gpus().map(|gpu| gpu.address).collect();
    let mask = inventory.host.gpu_mask(&gpus);
    let others = || best.placement.devices.iter().filter(|device| !device.is_gpu);
    let has = |device| others().any(|other| other.address == device);
    let same = |set: &GpuSet| {
        let chosen = &inventory.gpus.chosen[set.chosen];
        set.gpus == mask && chosen.devices.iter().all(|device| has(*device))
    };
    let set = inventory.gpus.sets.iter().position(same)?;
    let placement = default_layout(inventory, set)?;
    // No rule speaks about the yardstick itself.
    let profile = Profile::of(inventory.host, inventory.request, &placement);
    Some(Ranked {
        placement,
        score: Score::default(),
        findings: Vec::new(),
        unmet: Vec::new(),
        cost: HostCost::default(),
        profile,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{CoreSpec, HostSpec, NodeSpec};
    use crate::request::RequestSpec;
    use crate::units::{Bytes, NodeId, PackageId, PcpuId};
    use crate::usage::Usage;

    #[test]
    fn one_style_alone_is_its_placements_or_its_refusal() {
        // One node of four cores without SMT: nothing to show as siblings.
        let core =
            |core: u32| CoreSpec::new(PackageId(0), core, [PcpuId(core)].into_iter().collect());
        let node = NodeSpec::new(NodeId(0), (0..4).map(PcpuId).collect(), Bytes::from_gib(16));
        let (nodes, cores) = (vec![node], (0..4).map(core).collect());
        let host = HostSpec { nodes, cores, ..HostSpec::default() }.build().unwrap();
        let request = RequestSpec::new("vm1", 2, Bytes::from_gib(4)).build().unwrap();
        let usage = Usage::empty(&host);
        let answer = recommend(Question::new(&host, &usage, &request)).unwrap();

        let pinned = answer.clone().only(Style::Pin).unwrap();
        assert!(pinned.ranked.iter().all(|ranked| ranked.placement.style == Style::Pin));
        assert_eq!(pinned.baseline, answer.baseline);
        let default = answer.clone().only(Style::Default).unwrap();
        assert_eq!((default.ranked.first(), default.baseline), (answer.baseline.as_ref(), None));
        let refused = answer.only(Style::PinSmt).unwrap_err();
        assert!(matches!(&refused.rejected[..], [one] if one.style == Style::PinSmt));
    }
}
