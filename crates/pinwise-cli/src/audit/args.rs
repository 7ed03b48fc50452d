//! The arguments of `pinwise audit`.

use std::path::PathBuf;

use clap::ValueEnum;
use pinwise::Workload;
use pinwise::host::Reserve;

use crate::input::reserve;

/// Shown below the arguments.
const EXAMPLES: &str = "\
Examples:
  pinwise audit --host live --domain /run/libvirt/qemu
  pinwise audit --host live --domain vm.xml --workload latency-sensitive
  virsh dumpxml vm | pinwise audit --host caps.xml --domain - --format json
  pinwise audit --host live --domain /etc/libvirt/qemu --format prometheus > pinwise.prom

Exit status: 0, nothing found; 1, findings, notes among them; 2, bad input.";

/// The form of the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
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
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The host, as for recommend: a description, virsh capabilities, lstopo, a captured root, or
    /// "live" for this machine.
    #[arg(long, value_name = "FILE|DIR|live|hwloc|libvirt[:URI]")]
    pub(super) host: PathBuf,
    /// Additional facts about the host, as for recommend.
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    pub(super) facts: Vec<PathBuf>,
    /// The domains to check: their XML (virsh dumpxml), folders of such files (/etc/libvirt/qemu,
    /// or /run/libvirt/qemu for those that run), or standard input for "-". Each is a tenant beside
    /// the others. With the feature libvirt, "live" for all domains, "live:NAME" for one.
    #[arg(long, value_name = "FILE|DIR|-|live[:NAME]", num_args = 1.., required = true)]
    pub(super) domain: Vec<PathBuf>,
    /// Tenants that are not checked, as for recommend.
    #[arg(long, value_name = "FILE|DIR|live|libvirt[:URI]", num_args = 1..)]
    pub(super) tenant: Vec<PathBuf>,
    /// What is kept for the host: auto, none, or pCPUs such as 0-3,8.
    #[arg(long, value_name = "auto|none|CPUSET", value_parser = reserve)]
    pub(super) reserve: Option<Reserve>,
    /// The work of the guests: gpu-inference, gpu-training, data-pipeline, cpu-throughput,
    /// latency-sensitive or general (the default).
    #[arg(long, value_name = "NAME")]
    pub(super) workload: Option<Workload>,
    /// The form of the findings.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}
