//! A recommendation or a refusal as one JSON object, for other programs.

use serde::Serialize;

use super::format::{RECOMMENDATION, REFUSAL};
use super::placement::{PlacementJson, tagged};
use super::write::{Tagged, to_line};
use crate::changes::{Change, NearMiss, near_misses};
use crate::emit::DomainChange;
use crate::engine::recommend::{Infeasible, Ranked, Recommendation};
use crate::engine::refusal::Rejection;
use crate::engine::rules::{Finding, Prediction};
use crate::engine::score::{Property, Score};
use crate::explain::host_line;
use crate::host::sources::PartSource;
use crate::placement::Style;
use crate::question::Question;
use crate::sets::CpuSet;
use crate::units::PciAddr;
use crate::usage::{Claim, PageClaim};
use crate::warnings::Warning;

#[derive(Serialize)]
struct Answer<'a> {
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<HostRow<'a>>,
    ranked: Vec<Row>,
    rejected: Vec<Refused>,
    near_misses: Vec<Near>,
    warnings: Vec<String>,
    /// The changes to the domain that was patched.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [DomainChange]>,
    search_cut: bool,
}

/// The host and the origin of its description.
#[derive(Serialize)]
struct HostRow<'a> {
    name: &'a str,
    text: String,
    sources: &'a [PartSource],
    conflicts: &'a [String],
    notes: &'a [String],
}

#[derive(Serialize)]
struct Row {
    rank: usize,
    style: Style,
    baseline: bool,
    score: Score,
    predictions: Vec<Prediction>,
    placement: Tagged<PlacementJson>,
    findings: Vec<Finding>,
    unmet: Vec<Property>,
    claim: Claimed,
    warnings: Vec<Warning>,
}

#[derive(Serialize)]
struct Refused {
    #[serde(flatten)]
    rejection: Rejection,
    text: Vec<String>,
}

#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    change: Change,
    text: String,
}

#[derive(Serialize)]
struct Near {
    #[serde(flatten)]
    miss: NearMiss,
    text: String,
}

#[derive(Serialize)]
struct Refusal {
    format: &'static str,
    rejected: Vec<Refused>,
    smallest_change: Vec<Changed>,
}

/// A claim with all of its fields, even empty ones: scripts read them.
#[derive(Serialize)]
struct Claimed {
    dedicated: CpuSet,
    floating: CpuSet,
    pages: Vec<PageClaim>,
    devices: Vec<PciAddr>,
    mediated: Vec<Option<PciAddr>>,
    whole_cores: bool,
    own_l3: bool,
    floating_vcpus: u32,
}

impl From<Claim> for Claimed {
    fn from(claim: Claim) -> Self {
        let Claim {
            dedicated,
            floating,
            pages,
            devices,
            mediated,
            whole_cores,
            own_l3,
            floating_vcpus,
        } = claim;
        Self { dedicated, floating, pages, devices, mediated, whole_cores, own_l3, floating_vcpus }
    }
}

/// The recommendation as JSON, on one line. The baseline is the last of the ranked.
#[must_use]
pub fn recommendation(question: Question<'_>, answer: &Recommendation) -> String {
    written(question, answer, None, None)
}

/// The same with a field `host`: the host's name, one line about it, the source of each part of its
/// description, and the notes of its readers.
#[must_use]
pub fn recommendation_on(
    question: Question<'_>,
    conflicts: &[String],
    notes: &[String],
    answer: &Recommendation,
) -> String {
    written(question, answer, Some(host_row(question, conflicts, notes)), None)
}

/// [`recommendation_on`] with a field `changes`: what putting the best placement into an existing
/// domain changes there.
#[must_use]
pub fn recommendation_for_domain(
    question: Question<'_>,
    conflicts: &[String],
    notes: &[String],
    answer: &Recommendation,
    changes: &[DomainChange],
) -> String {
    written(question, answer, Some(host_row(question, conflicts, notes)), Some(changes))
}

fn host_row<'a>(
    question: Question<'a>,
    conflicts: &'a [String],
    notes: &'a [String],
) -> HostRow<'a> {
    let host = question.host;
    let (name, sources) = (host.name(), host.sources());
    HostRow { name, text: host_line(host), sources, conflicts, notes }
}

fn written(
    question: Question<'_>,
    answer: &Recommendation,
    host: Option<HostRow<'_>>,
    changes: Option<&[DomainChange]>,
) -> String {
    let warnings = |ranked: &Ranked| ranked.warnings(question);
    let texts = |ranked| warnings(ranked).iter().map(ToString::to_string).collect();
    let near = |ranked| -> Vec<Near> {
        let misses = near_misses(question, ranked).into_iter();
        misses.map(|miss| Near { text: miss.to_string(), miss }).collect()
    };
    let rows = answer.ranked.iter().map(|r| (r, false));
    let rows = rows.chain(answer.baseline.iter().map(|r| (r, true)));
    let answer = Answer {
        format: RECOMMENDATION,
        host,
        ranked: rows
            .zip(1..)
            .map(|((ranked, baseline), rank)| row(ranked, warnings(ranked), baseline, rank))
            .collect(),
        rejected: refused(&answer.rejected),
        near_misses: answer.ranked.first().map(near).unwrap_or_default(),
        warnings: answer.ranked.first().map(texts).unwrap_or_default(),
        changes,
        search_cut: answer.cut,
    };
    to_line(&answer)
}

/// The refusal as JSON, on one line, with the changes that would make the request fit.
#[must_use]
pub fn refusal(refusal: &Infeasible, changes: &[Change]) -> String {
    let changed = |change: &Change| Changed { text: change.to_string(), change: change.clone() };
    let refusal = Refusal {
        format: REFUSAL,
        rejected: refused(&refusal.rejected),
        smallest_change: changes.iter().map(changed).collect(),
    };
    to_line(&refusal)
}

fn refused(rejected: &[Rejection]) -> Vec<Refused> {
    let refused = |rejection: &Rejection| Refused {
        text: rejection.facts.iter().map(ToString::to_string).collect(),
        rejection: rejection.clone(),
    };
    rejected.iter().map(refused).collect()
}

fn row(ranked: &Ranked, warnings: Vec<Warning>, baseline: bool, rank: usize) -> Row {
    Row {
        rank,
        style: ranked.placement.style,
        baseline,
        score: ranked.score,
        predictions: ranked.predictions(),
        placement: tagged(&ranked.placement),
        findings: ranked.findings.clone(),
        unmet: ranked.unmet.clone(),
        claim: ranked.placement.claim().into(),
        warnings,
    }
}
