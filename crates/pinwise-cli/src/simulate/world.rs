//! The fleet of a trace, and the decision for each event.

use std::collections::BTreeMap;
use std::time::Instant;

use pinwise::fleet::{FleetHost, FleetOptions, HostRank};
use pinwise::{Claim, Host, PciAddr, Placement, Request, Usage};
use serde::Serialize;

use super::learn::Seen;
use super::near;
use super::trace::{Event, Trace, Vm};
use super::vm::{self, Near};
use crate::outcome::Failure;

#[derive(Serialize)]
struct Outcome<'a> {
    format: &'static str,
    engine: &'static str,
    trace: &'a str,
    decisions: Vec<Decision<'a>>,
}

#[derive(Serialize)]
struct Decision<'a> {
    id: &'a str,
    t: &'a serde_json::Number,
    host: Option<&'a str>,
    cells: Vec<Cell>,
    gpus: Vec<&'a str>,
    hosts_tried: usize,
    latency_us: u64,
    error: Option<String>,
}

#[derive(Serialize)]
struct Cell {
    node: u32,
    memory_mib: u64,
    page_kib: u64,
    pins: BTreeMap<u32, u32>,
}

/// A template with the names of its GPUs.
struct Kind<'a> {
    host: Host,
    names: BTreeMap<PciAddr, &'a str>,
    tenants: &'a [(String, Claim)],
}

/// Replays the trace. The result is JSON, placement-result/1. `share_is_named` tells whether the
/// options' share of a GPU is the caller's, and not to be learned.
pub(super) fn replay(
    trace: &Trace,
    options: &FleetOptions,
    share_is_named: bool,
) -> Result<String, Failure> {
    let mut options = FleetOptions { answers: 1, ..options.clone() };
    let mut kinds: BTreeMap<&str, Kind<'_>> = BTreeMap::new();
    for (name, described) in &trace.templates {
        let host = described.host.clone().build();
        let host = host.map_err(|e| format!("templates.{name:?}: {e}"))?;
        let names = described.gpus.iter().map(|(id, address)| (*address, id.as_str())).collect();
        kinds.insert(name, Kind { host, names, tenants: &described.tenants });
    }
    let mut of_kind: Vec<&Kind<'_>> = Vec::new();
    let mut fleet = Vec::new();
    for member in &trace.fleet {
        let (name, template) = (&member.host, member.template.as_str());
        let kind = kinds.get(template);
        let kind = kind.ok_or_else(|| {
            format!("host {name:?} names template {template:?}, which does not exist")
        })?;
        let usage = Usage::with_running(&kind.host, kind.tenants.iter().cloned());
        let usage = usage.map_err(|e| format!("host {name:?}: {e}"))?;
        fleet.push(FleetHost::new(&kind.host, usage));
        of_kind.push(kind);
    }
    let mut placed: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut decisions, mut seen) = (Vec::new(), Seen::default());
    for event in &trace.events {
        let (t, vm) = match event {
            Event::Arrive { t, vm } => (t, vm),
            Event::Depart { id } => {
                if let Some(at) = placed.remove(id.as_str()) {
                    fleet[at].release(id)?;
                }
                continue;
            }
        };
        seen.learn(vm, &mut options.engine, share_is_named);
        #[expect(clippy::disallowed_methods, reason = "the result has a latency")]
        let start = Instant::now();
        let (chosen, tried) = decide(&fleet, vm, &options)?;
        let latency_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (hosts_tried, error) = (tried, None);
        let refused = Decision {
            id: &vm.id,
            t,
            host: None,
            cells: Vec::new(),
            gpus: Vec::new(),
            hosts_tried,
            latency_us,
            error,
        };
        let Some(HostRank { host: at, best, .. }) = chosen else {
            decisions.push(refused);
            continue;
        };
        let placement = &best.placement;
        fleet[at].claim(&vm.id, placement.claim())?;
        placed.insert(&vm.id, at);
        let names = &of_kind[at].names;
        decisions.push(Decision {
            host: Some(&trace.fleet[at].host),
            cells: cells(placement),
            gpus: placement.gpus().filter_map(|gpu| names.get(&gpu.address).copied()).collect(),
            ..refused
        });
    }
    let (format, engine) = ("placement-result/1", "pinwise");
    let outcome = Outcome { format, engine, trace: &trace.name, decisions };
    Ok(serde_json::to_string(&outcome)? + "\n")
}

/// The best host for the VM, and the number of hosts that were tried. The VM has the same number of
/// cells on all hosts of one kind; a host that fits no split is not tried.
fn decide(
    fleet: &[FleetHost<&Host>],
    vm: &Vm,
    options: &FleetOptions,
) -> Result<(Option<HostRank>, usize), Failure> {
    let mut requests: BTreeMap<u32, Vec<(Near, Vec<Request>)>> = BTreeMap::new();
    let mut cells = Vec::new();
    for host in fleet {
        let number = vm::cells(host.host(), vm);
        if let Some(number) = number.filter(|number| !requests.contains_key(number)) {
            requests.insert(number, vm::requests(vm, number)?);
        }
        cells.push(number);
    }
    let mut tried = 0;
    // The attempts differ in the number of cells, not in the place of the GPUs.
    let nears: Vec<Near> = requests.values().next().into_iter().flatten().map(|w| w.0).collect();
    for (at, near) in nears.into_iter().enumerate() {
        let of = |number: u32| &requests[&number][at].1;
        for way in 0..requests.keys().map(|number| of(*number).len()).max().unwrap_or(0) {
            let ask = |host: usize| cells[host].and_then(|number| of(number).get(way));
            let (best, asked) = near::best(fleet, ask, near, options);
            tried += asked;
            if best.is_some() {
                return Ok((best, tried));
            }
        }
    }
    Ok((None, tried))
}

/// The cells of a placement, each on one node, in the form of the result.
fn cells(placement: &Placement) -> Vec<Cell> {
    let cell = |cell: &pinwise::placement::Cell| Cell {
        node: cell.nodes.first().map_or(0, |node| node.0),
        memory_mib: cell.memory.0 >> 20,
        page_kib: cell.page_size.kib(),
        pins: cell
            .vcpus
            .iter()
            .filter_map(|vcpu| {
                let pcpu = placement.vcpus.get(vcpu.0 as usize)?.first()?;
                Some((vcpu.0, pcpu.0))
            })
            .collect(),
    };
    placement.cells.iter().map(cell).collect()
}
