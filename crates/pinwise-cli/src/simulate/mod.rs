//! `pinwise simulate`: replays a placement trace against a fleet; the engine makes every decision.
//!
//! It reads placement-trace/1, whose VMs use OpenStack's policies, and writes placement-result/1.
//! [`trace`] is the file, [`vm`] turns a VM into requests, [`near`] handles the policies that a
//! request cannot express, [`learn`] keeps the VMs seen, and [`world`] keeps the fleet and decides.

mod learn;
mod near;
mod trace;
mod vm;
mod world;

use std::path::PathBuf;

use pinwise::fleet::FleetOptions;

use crate::input::bin::Bin;
use crate::input::packing::Packing;
use crate::input::{at, foreign, write};
use crate::outcome::{Failure, Outcome};

/// The weight of the packing cost. A scheduler fills hosts, so it is larger here than the library's
/// default. Chosen by us.
const PACKING_WEIGHT: u32 = 4000;

/// Replays a placement trace against a fleet, and writes the decisions.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The trace (placement-trace/1).
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// The file for the decisions; standard output by default.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The number of threads. It does not change the decisions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// The host to take among those that fit.
    #[arg(long, value_enum, default_value = "best-fit")]
    bin: Bin,
    #[command(flatten)]
    packing: Packing,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let trace = trace::read(&foreign::text(&args.trace)?).map_err(|e| at(&args.trace, e))?;
    let mut options = FleetOptions { order: args.bin.into(), ..FleetOptions::default() };
    options.engine.packing_weight = PACKING_WEIGHT;
    args.packing.apply(&mut options);
    let threads = args.threads;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build();
    let pool = pool.map_err(|e| format!("--threads {threads}: {e}"))?;
    // The error becomes a string here, because only that may cross threads.
    let result = pool.install(|| {
        world::replay(&trace, &options, args.packing.names_share()).map_err(|e| e.to_string())
    });
    let text = result.map_err(|e| at(&args.trace, e))?;
    Ok(Outcome::done(write(args.output.as_deref(), text)?))
}
