//! A recommendation or a refusal as one JSON object, for other programs.

use serde::Serialize;

use crate::changes::Change;
use crate::engine::recommend::{Infeasible, Ranked, Recommendation};
use crate::engine::refusal::Rejection;
use crate::engine::rules::{Finding, Prediction};
use crate::engine::score::{Property, Score};
use crate::explain::{change_text, fact_text, host_line, warning_text};
use crate::host::sources::PartSource;
use crate::placement::{GuestTopology, MemoryMode, Placement, Style};
use crate::question::Question;
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{Distance, NodeId, PciAddr};
use crate::usage::Claim;
use crate::warnings::Warning;

/// The format of [`recommendation`].
pub const RECOMMENDATION: &str = "pinwise-recommendation/1";
/// The format of [`refusal`].
pub const REFUSAL: &str = "pinwise-refusal/1";

#[derive(Serialize)]
struct Answer<'a> {
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<HostRow<'a>>,
    ranked: Vec<Row>,
    rejected: Vec<Refused>,
    warnings: Vec<String>,
    search_cut: bool,
}

/// The host, and where its description is from.
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
    placement: Place,
    findings: Vec<Finding>,
    unmet: Vec<Property>,
    claim: Claim,
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
struct Refusal {
    format: &'static str,
    rejected: Vec<Refused>,
    smallest_change: Vec<Changed>,
}

#[derive(Serialize)]
struct Place {
    memory_mode: MemoryMode,
    dedicated: bool,
    topology: GuestTopology,
    vcpus: Vec<Vcpu>,
    idle: CpuSet,
    emulator: CpuSet,
    iothreads: Vec<CpuSet>,
    cells: Vec<CellRow>,
    gpus: Vec<Device>,
    devices: Vec<Device>,
}

#[derive(Serialize)]
struct Vcpu {
    vcpu: usize,
    pcpus: CpuSet,
}

#[derive(Serialize)]
struct CellRow {
    id: u32,
    nodes: NodeSet,
    vcpus: VcpuSet,
    memory_kib: u64,
    page_kib: u64,
    distances: Vec<Distance>,
}

#[derive(Serialize)]
struct Device {
    address: PciAddr,
    node: Option<NodeId>,
    cell: Option<u32>,
    functions: Vec<PciAddr>,
    withheld: Vec<PciAddr>,
}

/// The recommendation as JSON, on one line. The baseline is the last of the ranked.
///
/// # Panics
/// Never: every part has a JSON form.
#[must_use]
pub fn recommendation(question: Question<'_>, answer: &Recommendation) -> String {
    written(question, answer, None)
}

/// The same with a field `host`: the host's name, one line about it, where each part of its description
/// was read from, and what its readers had to say.
///
/// # Panics
/// Never: every part has a JSON form.
#[must_use]
pub fn recommendation_on(
    question: Question<'_>,
    conflicts: &[String],
    notes: &[String],
    answer: &Recommendation,
) -> String {
    let host = question.host;
    let (name, sources) = (host.name(), host.sources());
    let row = HostRow { name, text: host_line(host), sources, conflicts, notes };
    written(question, answer, Some(row))
}

fn written(question: Question<'_>, answer: &Recommendation, host: Option<HostRow<'_>>) -> String {
    let warnings = |ranked: &Ranked| ranked.warnings(question);
    let texts = |ranked| warnings(ranked).iter().map(warning_text).collect();
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
        warnings: answer.ranked.first().map(texts).unwrap_or_default(),
        search_cut: answer.cut,
    };
    serde_json::to_string(&answer).expect("numbers, texts and lists of them have a JSON form")
}

/// The refusal as JSON, on one line, with the changes that would make it fit.
///
/// # Panics
/// Never: every part has a JSON form.
#[must_use]
pub fn refusal(refusal: &Infeasible, changes: &[Change]) -> String {
    let changed = |change: &Change| Changed { text: change_text(change), change: change.clone() };
    let refusal = Refusal {
        format: REFUSAL,
        rejected: refused(&refusal.rejected),
        smallest_change: changes.iter().map(changed).collect(),
    };
    serde_json::to_string(&refusal).expect("numbers, texts and lists of them have a JSON form")
}

fn refused(rejected: &[Rejection]) -> Vec<Refused> {
    let refused = |rejection: &Rejection| Refused {
        text: rejection.facts.iter().map(fact_text).collect(),
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
        placement: place(&ranked.placement),
        findings: ranked.findings.clone(),
        unmet: ranked.unmet.clone(),
        claim: ranked.placement.claim(),
        warnings,
    }
}

fn place(placement: &Placement) -> Place {
    let devices = |gpus: bool| {
        let of_kind = placement.devices.iter().filter(move |device| device.is_gpu == gpus);
        let device = |device: &crate::placement::PlacedDevice| Device {
            address: device.address,
            node: device.node,
            cell: device.cell.map(|cell| cell.0),
            functions: device.functions.clone(),
            withheld: device.withheld.clone(),
        };
        of_kind.map(device).collect()
    };
    let vcpu = |(vcpu, pcpus): (usize, &CpuSet)| Vcpu { vcpu, pcpus: pcpus.clone() };
    let cell = |cell: &crate::placement::Cell| CellRow {
        id: cell.id.0,
        nodes: cell.nodes.clone(),
        vcpus: cell.vcpus.clone(),
        memory_kib: cell.memory.kib(),
        page_kib: cell.page_size.kib(),
        distances: cell.distances.clone(),
    };
    Place {
        memory_mode: placement.memory_mode,
        dedicated: placement.dedicated,
        topology: placement.topology,
        vcpus: placement.vcpus.iter().enumerate().map(vcpu).collect(),
        idle: placement.idle.clone(),
        emulator: placement.emulator.clone(),
        iothreads: placement.iothreads.clone(),
        cells: placement.cells.iter().map(cell).collect(),
        gpus: devices(true),
        devices: devices(false),
    }
}
