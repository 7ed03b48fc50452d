//! The only module that makes sentences: the choice, its reasons, its expected effect, its cost,
//! and warnings. Every number in them is a number of the recommendation.

mod cells;
mod cores;
mod cost;
mod devices;
mod facts;
mod functions;
mod near;
mod nodes;
mod rebalance;
mod studies;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::changes::{Change, near_misses};
use crate::engine::recommend::{Infeasible, Ranked, Recommendation};
use crate::engine::refusal::Rejection;
use crate::engine::rules::Prediction;
use crate::engine::rules::evidence::{Range, StudyId};
use crate::engine::score::{Options, caution, point, shows_cells_unasked};
use crate::host::Host;
use crate::host::sources::sources_text;
use crate::placement::{MemoryMode, Placement, Style};
use crate::question::Question;
use crate::request::Request;
use crate::units::NodeId;
use cells::cells_line;
pub use cores::cores_line;
use cost::cost;
use devices::{devices_line, short};
use facts::{is_about_pcpus, kept_by};
use nodes::odd_nodes;
pub use rebalance::{explain_advice, step_text};
use studies::from;
use warnings::cited_by;

/// One line about a host: its size, who described it, and where each part of the description was
/// read from.
#[must_use]
pub fn host_line(host: &Host) -> String {
    let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let packages = host.packages().len();
    let model = host.cpu_model();
    let mut parts = vec![match model {
        "" => count(packages, "package"),
        model => format!("{packages} x {}", plain(model)),
    }];
    parts.push(count(host.nodes().len(), "node"));
    parts.push(count(host.cores().len(), "core"));
    parts.push(count(host.online().len(), "pCPU"));
    let mut models: BTreeMap<&str, usize> = BTreeMap::new();
    for gpu in host.gpus().iter().filter(|gpu| !gpu.integrated) {
        *models.entry(&gpu.model).or_default() += 1;
    }
    parts.extend(models.iter().map(|(model, n)| format!("{n} x {}", plain(model))));
    if models.is_empty() {
        parts.push("no GPUs".to_owned());
    }
    let about = host.about().split(':').next().unwrap_or_default();
    let sources = sources_text(host.sources());
    // The list of sources says more than "read from sysfs" does.
    let known = sources.is_some() && about.starts_with("read from ");
    let about = match about {
        _ if about.is_empty() || known => String::new(),
        about => format!(" ({})", plain(about)),
    };
    let sources = sources.map_or_else(String::new, |sources| format!("; {}", plain(&sources)));
    let devices = host.assumed_device_node().map_or_else(String::new, |node| {
        format!("; devices taken to be on node {node}, the only one with memory")
    });
    format!("{}: {}{about}{sources}{devices}", plain(host.name()), parts.join(", "))
}

/// [`host_line`], and below it [`cores_line`] and what is odd about nodes, where there is
/// something.
fn host_lines(host: &Host, request: &Request) -> String {
    let cores = cores_line(host).map(|line| format!("\n{line}"));
    host_line(host) + &cores.unwrap_or_default() + &odd_nodes(host, request)
}

/// A foreign text with its control characters replaced.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A recommendation as text for a person: the ranking, the reasons, the expectations, the cost, the
/// warnings.
#[must_use]
pub fn explain(question: Question<'_>, recommendation: &Recommendation) -> String {
    let Question { host, usage, request, options } = question;
    let mut text = format!("{} on {}\n\n", request.spec().name, host_lines(host, request));
    // Collected while the text is written: a VM named F33 must not count as a citation.
    let mut cited = BTreeSet::new();
    table(&mut text, recommendation);
    why(&mut text, request, options, recommendation, &mut cited);
    if let Some(line) = devices_line(host, request, &recommendation.best().placement) {
        _ = writeln!(text, "{line}\n");
    }
    expectations(&mut text, request, recommendation.best(), &mut cited);
    cost(&mut text, host, usage, recommendation.best());
    for miss in near_misses(question, recommendation.best()) {
        _ = writeln!(text, "Note: {miss}.");
    }
    for warning in &recommendation.best().warnings(question) {
        _ = writeln!(text, "Warning: {warning}.");
        cited.extend(cited_by(warning).iter().copied().map(StudyId));
    }
    for Rejection { style, facts } in &recommendation.rejected {
        if let Some(fact) = facts.first() {
            _ = writeln!(text, "Not possible: {style}: {fact}.");
        }
    }
    sources(&mut text, cited);
    if recommendation.cut {
        text.push_str("Note: the search reached its limit; a better placement may exist.\n");
    }
    text
}

/// A refusal as text for a person: what was tried, the decisive fact of each, and what would fit;
/// nothing of that where `changes` is `None`, so where nobody looked.
#[must_use]
pub fn explain_refusal(
    host: &Host,
    request: &Request,
    refusal: &Infeasible,
    changes: Option<&[Change]>,
) -> String {
    let mut text =
        format!("{} does not fit on {}\n\n", request.spec().name, host_lines(host, request));
    let mut by_facts: Vec<(String, Vec<&Rejection>)> = Vec::new();
    for rejection in &refusal.rejected {
        let facts: Vec<String> = rejection.facts.iter().take(4).map(ToString::to_string).collect();
        let facts = facts.join("; ");
        match by_facts.iter_mut().find(|(other, _)| *other == facts) {
            Some((_, styles)) => styles.push(rejection),
            None => by_facts.push((facts, vec![rejection])),
        }
    }
    for (facts, rejections) in by_facts {
        let styles: Vec<&str> = rejections.iter().map(|r| r.style.name()).collect();
        let more = rejections.iter().map(|r| r.facts.len().saturating_sub(4)).max().unwrap_or(0);
        let more = if more > 0 { format!(" (and {more} more reasons)") } else { String::new() };
        _ = writeln!(text, "  {}: {facts}{more}", styles.join(", "));
    }
    let mut facts = refusal.rejected.iter().flat_map(|rejection| &rejection.facts);
    if let Some(kept) =
        facts.any(|fact| is_about_pcpus(fact, host)).then(|| kept_by(host)).flatten()
    {
        _ = writeln!(text, "\n{kept}.");
    }
    match changes {
        None => {}
        Some([]) => text.push_str("\nNo single change makes the request fit.\n"),
        Some(changes) => {
            text.push_str("\nThe request would fit with any one of these changes:\n");
            for change in changes {
                _ = writeln!(text, "  - {change}");
            }
        }
    }
    text
}

/// `+142`: thousandths of a natural logarithm.
fn points(micro: i64) -> String {
    format!("{:+}", (micro as i128 + 500).div_euclid(1000))
}

fn table(text: &mut String, recommendation: &Recommendation) {
    let header = ["", "style", "nodes", "cores", "cells", "memory", "pages", "GPUs", "score"];
    let mut rows: Vec<[String; 9]> = vec![header.map(str::to_owned)];
    for (ranked, rank) in recommendation.ranked.iter().zip(1..) {
        rows.push(row(ranked, rank));
    }
    if let Some(baseline) = &recommendation.baseline {
        let mut row = row(baseline, recommendation.ranked.len() + 1);
        row[8].push_str("  baseline");
        rows.push(row);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..9).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::from(" ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = width - cell.chars().count();
            match column {
                0 => _ = write!(line, "{}{cell}", " ".repeat(pad)),
                8 => _ = write!(line, "  {cell}"),
                _ => _ = write!(line, "  {cell}{}", " ".repeat(pad)),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
}

fn row(ranked: &Ranked, rank: usize) -> [String; 9] {
    let placement = &ranked.placement;
    let floats = placement.style == Style::Default;
    let none = if placement.dedicated { ranked.cost.cores.0.to_string() } else { "-".to_owned() };
    let dash = |text: String| if floats { "-".to_owned() } else { text };
    let cores = ranked.cost.cores.0;
    // Relative to one core for every vCPU, on a host that has as many.
    let saved = (placement.vcpus.len() as u64).saturating_sub(cores);
    let could = ranked.profile.default_work.siblings == 0;
    let saves = match saved {
        _ if !placement.dedicated || !could => String::new(),
        0 => String::new(),
        1 => "  saves 1 core".to_owned(),
        n => format!("  saves {n} cores"),
    };
    let mut style = placement.style.name().to_owned();
    if placement.style.shows_cells()
        && !placement.devices.is_empty()
        && placement.pci.expanders.is_empty()
    {
        style.push_str(" (flat PCI)");
    }
    [
        rank.to_string(),
        style,
        dash(placement.nodes().to_string()),
        none,
        placement.cells.len().to_string(),
        placement.memory_mode.to_string(),
        pages(placement),
        gpus(placement),
        format!("{:>6}{saves}", points(ranked.score.total)),
    ]
}

fn pages(placement: &Placement) -> String {
    let Some(page) = placement.cells.first().map(|cell| cell.page_size) else {
        return String::new();
    };
    let count = placement.memory().0 / page.bytes();
    format!("{count} x {page}")
}

/// `19:00.0 2d:00.0 (node 2)`, without the domain if it is 0.
fn gpus(placement: &Placement) -> String {
    let mut by_node: BTreeMap<Option<NodeId>, Vec<String>> = BTreeMap::new();
    for gpu in placement.gpus() {
        by_node.entry(gpu.node).or_default().push(short(gpu.address));
    }
    let group = |(node, gpus): (&Option<NodeId>, &Vec<String>)| match node {
        Some(node) => format!("{} (node {node})", gpus.join(" ")),
        None => format!("{} (node unknown)", gpus.join(" ")),
    };
    if by_node.is_empty() {
        "-".to_owned()
    } else {
        by_node.iter().map(group).collect::<Vec<_>>().join(", ")
    }
}

fn why(
    text: &mut String,
    request: &Request,
    options: &Options,
    recommendation: &Recommendation,
    cited: &mut BTreeSet<StudyId>,
) {
    let best = recommendation.best();
    _ = writeln!(text, "Why 1: {}.", shape(best));
    // The second, and the best that differs in showing cells, which people ask about most.
    let cells = best.placement.style.shows_cells();
    let others = || recommendation.ranked.iter().zip(1..).skip(1);
    let next = others().next();
    let differs = others().find(|(other, _)| other.placement.style.shows_cells() != cells);
    let differs = differs.filter(|(_, rank)| *rank > 2);
    for (other, rank) in next.into_iter().chain(differs) {
        let result = match best.score.total - other.score.total {
            0 => "scores the same".to_owned(),
            gap => format!("scores {} lower", points(gap).trim_start_matches('+')),
        };
        let by_low = |ranked: &Ranked| shows_cells_unasked(request, &ranked.profile);
        let ends = match (by_low(best), by_low(other)) {
            (true, true) => "low ends, because no workload is stated".to_owned(),
            (true, false) => {
                "low to likely; layout 1 by its low ends, because no workload is stated".to_owned()
            }
            (false, true) => format!(
                "low to likely; layout {rank} by its low ends, because no workload is stated"
            ),
            (false, false) => "low to likely".to_owned(),
        };
        _ = writeln!(
            text,
            "Layout {rank} ({}) {result} for {} ({ends}): {}.",
            other.placement.style,
            request.spec().workload,
            differences(request, options, best, other, cited)
        );
    }
    if let Some(line) = cells_line(request, options, recommendation, cited) {
        _ = writeln!(text, "{line}");
    }
    if best.score.total < 0 && recommendation.baseline.is_some() {
        text.push_str(
            "The default layout is a baseline, not a recommendation: it ignores the request's policies, \
             so its score of 0 includes no penalty for them.\n",
        );
    }
    if !best.unmet.is_empty() {
        let unmet: Vec<String> = best.unmet.iter().map(ToString::to_string).collect();
        _ = writeln!(text, "Unmet preferences: {}.", unmet.join("; "));
    }
    text.push('\n');
}

/// The nodes of the VM's parts, in one sentence.
fn shape(ranked: &Ranked) -> String {
    let (placement, profile) = (&ranked.placement, &ranked.profile);
    let nodes = placement.nodes();
    if nodes.is_empty() {
        return "vCPUs and memory float over the whole host; the guest sees one cell".to_owned();
    }
    let vcpus = placement.vcpus.len();
    let all = match vcpus {
        1 => "the vCPU and all memory".to_owned(),
        2 => "both vCPUs and all memory".to_owned(),
        n => format!("all {n} vCPUs and all memory"),
    };
    let things = match profile.gpus {
        0 => all.clone(),
        1 => format!("the GPU, {all}"),
        2 => format!("both GPUs, {all}"),
        n => format!("all {n} GPUs, {all}"),
    };
    let plural = if nodes.len() == 1 { "node" } else { "nodes" };
    let place = match (profile.gpus, profile.gpus_local()) {
        _ if profile.lent => nodes::lent(ranked).unwrap_or_default(),
        (0, _) | (_, true) => format!("{things} are on {plural} {nodes}"),
        _ if profile.gpus_unknown > 0 => {
            format!("{all} are on {plural} {nodes}; the nodes of the GPUs are unknown")
        }
        _ if profile.gpus == 1 => {
            format!("{all} are on {plural} {nodes}; the GPU is on another node")
        }
        _ => format!(
            "{all} are on {plural} {nodes}; of {} GPUs {} on other nodes",
            profile.gpus,
            if profile.gpus_remote == 1 {
                "1 is".to_owned()
            } else {
                format!("{} are", profile.gpus_remote)
            }
        ),
    };
    let guest = match (placement.style.shows_cells(), placement.memory_mode) {
        (true, _) => format!("; the guest sees {} cells", placement.cells.len()),
        (false, MemoryMode::Interleave) => {
            "; memory is interleaved over these nodes and the guest sees one cell".to_owned()
        }
        (false, _) => "; the guest sees one cell".to_owned(),
    };
    let smt = if profile.threads > 1 { " and SMT siblings" } else { "" };
    let shared = match placement.style.floats() {
        true => format!("; vCPUs share {} pCPUs of these nodes", placement.vcpu_pcpus().len()),
        false => String::new(),
    };
    format!("{place}{guest}{smt}{shared}")
}

/// The metrics that make up most of the difference. The findings that the
/// sentences name are added to `cited`.
fn differences(
    request: &Request,
    options: &Options,
    best: &Ranked,
    next: &Ranked,
    cited: &mut BTreeSet<StudyId>,
) -> String {
    let weights = request.spec().workload.weights();
    let find = |r: &Ranked, prediction: &Prediction| {
        r.predictions().iter().find(|p| p.metric == prediction.metric).cloned()
    };
    let mut parts: Vec<(i64, String, Vec<StudyId>)> = Vec::new();
    for ours in &best.predictions() {
        let Some(theirs) = find(next, ours) else { continue };
        let weight = i64::from(weights.of(ours.metric));
        let at = |range, ranked: &Ranked| point(range, caution(request, options, &ranked.profile));
        let gain = weight * (at(ours.range, best) - at(theirs.range, next));
        if gain != 0 {
            // The findings of the side with the lower prediction explain more.
            let said = if gain > 0 && !theirs.from.is_empty() { &theirs } else { ours };
            let why = if said.from.is_empty() {
                String::new()
            } else {
                format!(" ({})", from(&said.from))
            };
            let side = if gain > 0 { "" } else { "against it, " };
            // The ends that count.
            let ends = |Range { low, likely, .. }, ranked: &Ranked| match shows_cells_unasked(
                request,
                &ranked.profile,
            ) {
                true => low.to_string(),
                false => format!("{low} to {likely}"),
            };
            let (now, then) = (ends(ours.range, best), ends(theirs.range, next));
            let sentence = format!("{side}{} {now} instead of {then}{why}", ours.metric);
            parts.push((gain, sentence, said.from.clone()));
        }
    }
    parts.sort_by_key(|(gain, ..)| -gain.abs());
    let mut sentences = Vec::new();
    for (_, sentence, findings) in parts.into_iter().take(3) {
        cited.extend(findings);
        sentences.push(sentence);
    }
    if next.unmet.len() > best.unmet.len() {
        let lacks = next.unmet.iter().filter(|p| !best.unmet.contains(p));
        sentences.extend(lacks.map(|p| format!("it does not meet the preference: {p}")));
    }
    let packing = best.score.packing - next.score.packing;
    if packing != 0 && (sentences.is_empty() || packing.abs() > 10_000) {
        let side =
            if packing > 0 { "it leaves less to" } else { "against that, it leaves more to" };
        sentences.push(format!(
            "{side} the host's other tenants ({} against {})",
            points(best.score.packing),
            points(next.score.packing)
        ));
    }
    if sentences.is_empty() {
        cited.insert(StudyId(1));
        sentences.push(
            "no rule distinguishes them; among equals, fewer nodes come first, then a core for every vCPU (F1), then the lower cost to the host".to_owned(),
        );
    }
    sentences.join("; ")
}

fn expectations(
    text: &mut String,
    request: &Request,
    best: &Ranked,
    cited: &mut BTreeSet<StudyId>,
) {
    _ = writeln!(
        text,
        "Expected relative to default layout     low    likely  high   grade     weight  from"
    );
    let weights = request.spec().workload.weights();
    for Prediction { metric, range, grade, from: findings } in &best.predictions() {
        let grade = grade.map_or_else(|| "-".to_owned(), |grade| grade.to_string());
        let line = format!(
            "  {metric:<36}  {:<6} {:<7} {:<6} {grade:<9} {:<7} {}",
            range.low,
            range.likely,
            range.high,
            weights.of(*metric),
            from(findings)
        );
        text.push_str(line.trim_end());
        text.push('\n');
        cited.extend(findings);
    }
    text.push('\n');
}

/// The cited findings and their sources.
fn sources(text: &mut String, cited: BTreeSet<StudyId>) {
    let records: Vec<_> = cited.into_iter().filter_map(StudyId::record).collect();
    if records.is_empty() {
        return;
    }
    text.push_str("\nFindings (published by others, measured on other machines):\n");
    for record in records {
        _ = writeln!(text, "  {:<4}{} ({})", record.id.to_string(), record.found, record.source);
    }
}
