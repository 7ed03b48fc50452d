//! The line about guest cells that a request does not ask for.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::studies::from;
use crate::engine::recommend::{Ranked, Recommendation};
use crate::engine::rules::Prediction;
use crate::engine::rules::evidence::StudyId;
use crate::engine::score::{Options, performance, point, shows_cells_unasked};
use crate::request::Request;
use crate::workload::Workload;

/// A metric or a workload is named if cells gain it at least this much, in millionths of a natural
/// logarithm: about 5%. Chosen by us.
const WORTH_NAMING: i64 = 50_000;

/// One line for a request without a workload whose first layout shows one cell: the metrics that
/// gain from the best layout with cells, the workloads that it would come first for, and the flags
/// that ask for it. `None` if no layout with cells is possible, or none was scored by its low ends.
/// The studies that the line names are added to `cited`.
pub(super) fn cells_line(
    request: &Request,
    options: &Options,
    recommendation: &Recommendation,
    cited: &mut BTreeSet<StudyId>,
) -> Option<String> {
    let best = recommendation.best();
    let unasked = |ranked: &&Ranked| shows_cells_unasked(request, &ranked.profile);
    let cells = recommendation.ranked.iter().find(unasked)?;
    if unasked(&best) {
        return None;
    }
    let ours = best.predictions();
    let at = |range| point(range, options.caution);
    let mut gains = Vec::new();
    for theirs in cells.predictions() {
        let ours = ours.iter().find(|ours| ours.metric == theirs.metric);
        let gain = ours.map_or(0, |ours| at(theirs.range) - at(ours.range));
        if gain >= WORTH_NAMING {
            gains.push((gain, theirs));
        }
    }
    gains.sort_by_key(|(gain, _)| Reverse(*gain));
    if gains.is_empty() {
        return None;
    }
    let gains: Vec<String> = gains
        .into_iter()
        .map(|(_, Prediction { metric, range, from: studies, .. })| {
            let text = format!("{metric} {} to {} ({})", range.low, range.likely, from(&studies));
            cited.extend(studies);
            text
        })
        .collect();
    let mut workloads: Vec<(i64, Workload)> = Workload::PRESETS
        .into_iter()
        .map(|workload| (lead(options, recommendation, cells, workload), workload))
        .filter(|(lead, workload)| *lead >= WORTH_NAMING && *workload != Workload::General)
        .collect();
    workloads.sort_by_key(|(lead, _)| Reverse(*lead));
    let names: Vec<&str> = workloads.iter().map(|(_, workload)| workload.name()).collect();
    let number = cells.placement.cells.len();
    let flags = match names.first() {
        Some(first) => {
            format!(", for {}: --workload {first}, or --cells {number}", list(&names))
        }
        None => format!(": --cells {number}"),
    };
    Some(format!("Cells would bring {}{flags}.", list(&gains)))
}

/// How far the layout with cells would be ahead of every layout without, if the request stated this
/// workload; negative if it would be behind.
fn lead(
    options: &Options,
    recommendation: &Recommendation,
    cells: &Ranked,
    workload: Workload,
) -> i64 {
    let total = |ranked: &Ranked| {
        let weights = workload.weights();
        performance(&options.evidence, &ranked.profile, &weights, options.caution)
            + ranked.score.packing
            + ranked.score.preferences
    };
    let others = recommendation.ranked.iter().filter(|r| !r.placement.style.shows_cells());
    total(cells) - others.map(total).max().unwrap_or(i64::MIN / 2)
}

/// `a`, `a and b`, `a, b and c`.
fn list<T: AsRef<str>>(parts: &[T]) -> String {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match parts.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
