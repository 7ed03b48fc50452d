//! `pinwise fleet`: the hosts of a fleet, ranked for one request.

mod hosts;
mod print;

use std::path::PathBuf;

use clap::ValueEnum;
use pinwise::fleet::{FleetOptions, rank};
use pinwise::request::{GpuRequest, Wish};
use pinwise::{Bytes, PageSize, Policies, Policy, Request, RequestSpec};

use crate::input::at;
use crate::input::bin::Bin;
use crate::input::memory;
use crate::input::packing::Packing;
use crate::input::policies::{PolicyArgs, ThreadArgs};
use crate::outcome::{Failure, Outcome};

/// Shown below the arguments.
const EXAMPLES: &str = "\
Examples:
  pinwise fleet hosts/ --vcpus 16 --memory 64GiB --gpus 1
  pinwise fleet hosts.jsonl --vcpus 32 --memory 256GiB --gpus 2 --same-switch require --format json
  for host in a b c; do ssh $host pinwise capture; done | jq -c . | pinwise fleet - --vcpus 8 --memory 32GiB

Exit status: 0, a host fits; 2, bad input; 3, none fits.";

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    Text,
    /// One line of JSON per host.
    Json,
}

/// Ranks the hosts of a fleet for one request.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A folder of descriptions (*.json), a file with one description per line, or "-" for standard
    /// input.
    #[arg(value_name = "DIR|FILE|-")]
    hosts: PathBuf,
    /// The number of vCPUs.
    #[arg(long)]
    vcpus: u32,
    /// The memory with its unit, such as 64GiB.
    #[arg(long, value_parser = memory)]
    memory: Bytes,
    /// The number of GPUs.
    #[arg(long, default_value_t = 0)]
    gpus: u32,
    /// The page size; by default the largest that fits.
    #[arg(long)]
    page_size: Option<PageSize>,
    /// The number of equal NUMA cells that the guest sees.
    #[arg(long)]
    cells: Option<u32>,
    /// Allow GPUs on nodes other than the VM's.
    #[arg(long)]
    remote_gpus: bool,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    threads: ThreadArgs,
    /// The order of the hosts that fit.
    #[arg(long, value_enum, default_value = "best-fit")]
    bin: Bin,
    #[command(flatten)]
    packing: Packing,
    /// The number of hosts to show.
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// The form of the output.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let request = request(args)?;
    let fleet = hosts::read(&args.hosts)?;
    if fleet.hosts.is_empty() {
        return Err(at(&args.hosts, "no host descriptions found"));
    }
    let mut options =
        FleetOptions { order: args.bin.into(), answers: args.top, ..FleetOptions::default() };
    args.packing.apply(&mut options);
    let mut answer = rank(&fleet.hosts, &request, &options);
    let fit = answer.ranked.len();
    // The engine answers with at least one host, even if none is to be shown.
    answer.ranked.truncate(args.top);
    let text = match args.format {
        Format::Text => print::table(&fleet.names, &answer, fit),
        Format::Json => print::lines(&fleet.names, &answer)?,
    };
    Ok(if fit > 0 { Outcome::done(text) } else { Outcome::nothing_fits(text) })
}

fn request(args: &Args) -> Result<Request, Failure> {
    let gpu_locality = if args.remote_gpus { Policy::Prefer } else { Policy::Require };
    let base = RequestSpec::new("vm1", args.vcpus, args.memory);
    let request = RequestSpec {
        page_size: args.page_size,
        gpus: GpuRequest::Count { count: args.gpus, model: None },
        cells: args.cells.map_or(Wish::Auto, Wish::Require),
        even_cells: args.cells.is_some(),
        policies: args.policies.over(Policies { gpu_locality, ..Policies::default() }),
        io_threads: args.threads.io_threads.unwrap_or(base.io_threads),
        emulator_pcpus: args.threads.emulator_pcpus.unwrap_or(base.emulator_pcpus),
        ..base
    };
    Ok(request.build()?)
}
