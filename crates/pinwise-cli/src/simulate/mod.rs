//! `pinwise simulate`: a placement trace replayed against a fleet, every decision through the
//! engine.
//!
//! It reads placement-trace/1, whose VMs name OpenStack's policies, and writes placement-result/1.
//! [`trace`] is the file, [`vm`] makes requests of a VM, [`near`] has the policies that a request
//! cannot say, and [`world`] keeps the fleet and decides.

mod near;
mod trace;
mod vm;
mod world;

use std::path::PathBuf;

use pinwise::fleet::FleetOptions;

use crate::input::bin::Bin;
use crate::input::{at, foreign, write};
use crate::outcome::{Failure, Outcome};

/// How much what a placement takes from later VMs counts against its speed: a scheduler fills
/// hosts, so here it counts more than in the library's default. Chosen by us.
const PACKING_WEIGHT: u32 = 4000;

/// Replays a placement trace against a fleet, and writes what was decided.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The trace (placement-trace/1).
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Where the decisions go; standard output otherwise.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many threads ask hosts. The decisions are the same with any number.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Which of the hosts that fit is taken.
    #[arg(long, value_enum, default_value = "best-fit")]
    bin: Bin,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let trace = trace::read(&foreign::text(&args.trace)?).map_err(|e| at(&args.trace, e))?;
    let mut options = FleetOptions { order: args.bin.into(), ..FleetOptions::default() };
    options.engine.packing_weight = PACKING_WEIGHT;
    let threads = args.threads;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build();
    let pool = pool.map_err(|e| format!("--threads {threads}: {e}"))?;
    // A failure is a sentence here, as only that may cross to another thread.
    let result = pool.install(|| world::replay(&trace, &options).map_err(|e| e.to_string()));
    let text = result.map_err(|e| at(&args.trace, e))?;
    Ok(Outcome::done(write(args.output.as_deref(), text)?))
}
