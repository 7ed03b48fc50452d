//! `pinwise audit`: what is wrong with domains as they are, on their host and beside each other.

mod domains;
mod print;
mod prometheus;
mod sarif;

use std::path::PathBuf;

use clap::ValueEnum;
use pinwise::Workload;
use pinwise::host::Reserve;
use pinwise::json::{self, Audited};

use crate::input::hosts::{self, Machine};
use crate::input::reserve;
use crate::outcome::{Failure, Outcome};
use domains::Checked;

/// The form of the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Sentences, with effects and fixes.
    Text,
    /// One JSON object (pinwise-audit/1).
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Metrics for the textfile collector of Prometheus' node exporter.
    Prometheus,
}

/// Checks domains as they are: findings, the worst first, each with its effect and a fix. Changes
/// nothing.
///
/// Exit statuses: 0 without findings, 1 with some, 2 bad input. Notes alone count as findings.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The host, as for recommend: a description, virsh capabilities, lstopo, a captured root, or
    /// "live" for this machine.
    #[arg(long, value_name = "FILE|DIR|live|hwloc|libvirt[:URI]")]
    host: PathBuf,
    /// Additional facts about the host, as for recommend.
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    facts: Vec<PathBuf>,
    /// The domains to check: their XML (virsh dumpxml), folders of such files, or standard input
    /// for "-". Each is a tenant beside the others. With the feature libvirt, "live" for all
    /// domains, "live:NAME" for one.
    #[arg(long, value_name = "FILE|DIR|-|live[:NAME]", num_args = 1.., required = true)]
    domain: Vec<PathBuf>,
    /// Tenants that are not checked, as for recommend.
    #[arg(long, value_name = "FILE|DIR|live|libvirt[:URI]", num_args = 1..)]
    tenant: Vec<PathBuf>,
    /// What is kept for the host: auto, none, or pCPUs such as 0-3,8.
    #[arg(long, value_name = "auto|none|CPUSET", value_parser = reserve)]
    reserve: Option<Reserve>,
    /// The work of the guests: gpu-inference, gpu-training, data-pipeline, cpu-throughput,
    /// latency-sensitive or general (the default).
    #[arg(long, value_name = "NAME")]
    workload: Option<Workload>,
    /// The form of the findings.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let home = Some(args.host.as_path());
    let machine = hosts::machine(home, &args.facts, args.reserve.as_ref())?;
    let Machine { host, mut notes, conflicts, tenants } = machine;
    notes.extend(conflicts.iter().map(|conflict| format!("conflict: {conflict}")));
    let all = domains::read(args, &host, &mut notes)?;
    let Checked { audited, usage } = domains::check(args, &host, &tenants, all, &mut notes)?;
    let text = match args.format {
        Format::Text => print::text(&audited, &notes),
        Format::Json => json::audit(&host, &audited, &notes) + "\n",
        Format::Sarif => sarif::report(&audited),
        Format::Prometheus => prometheus::metrics(&host, &usage, &audited),
    };
    if matches!(args.format, Format::Sarif | Format::Prometheus) {
        // Neither has a place for notes.
        notes.iter().for_each(|note| eprintln!("note: {note}"));
    }
    let is_clean = audited.iter().all(|domain: &Audited| domain.findings.is_empty());
    Ok(if is_clean { Outcome::done(text) } else { Outcome::found(text) })
}
