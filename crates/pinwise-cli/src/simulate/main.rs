//! Replays a placement trace against a fleet, every decision through the engine.
//!
//! `cargo run --release --example replay -- TRACE.json` reads placement-trace/1 and writes
//! placement-result/1; `--capacity FILE` reads placement-capacity/1 and prints the capacities instead.
//! Exit status: 0 done, 2 bad input.

mod capacity;
mod near;
mod trace;
mod vm;
mod world;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use pinwise::fleet::{FleetOptions, HostOrder};

/// Files larger than this are refused.
const MAX_FILE: u64 = 256 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BinName {
    FirstFit,
    BestFit,
    Spread,
}

/// Replays a placement trace against a fleet, and writes what was decided.
#[derive(Debug, Parser)]
#[command(name = "replay")]
struct Args {
    /// The trace (placement-trace/1).
    #[arg(value_name = "TRACE", required_unless_present = "capacity")]
    trace: Option<PathBuf>,
    /// Where the decisions go; standard output otherwise.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many threads ask hosts; needs the feature rayon.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Which of the hosts that fit is taken.
    #[arg(long, value_enum, default_value = "best-fit")]
    bin: BinName,
    /// Instead of a replay: how many VMs fit in each case of this file (placement-capacity/1).
    #[arg(long, value_name = "FILE", conflicts_with = "trace")]
    capacity: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    if let Some(file) = &args.capacity {
        let text = capacity::answer(&text(file)?).map_err(|e| at(file, &e))?;
        return write(args, &text);
    }
    let Some(file) = &args.trace else { return Err("a trace is missing".to_owned()) };
    let trace = trace::read(&text(file)?).map_err(|e| at(file, &e))?;
    let bin = match args.bin {
        BinName::FirstFit => HostOrder::FirstFit,
        BinName::BestFit => HostOrder::BestFit,
        BinName::Spread => HostOrder::Spread,
    };
    let mut options = FleetOptions { bin, ..FleetOptions::default() };
    // A scheduler fills hosts: what a placement takes from later VMs counts more than its speed.
    options.engine.packing_weight = 4000;
    let result = with_threads(args.threads, || world::replay(&trace, &options))?;
    write(args, &result.map_err(|e| at(file, &e))?)
}

fn at(file: &Path, problem: &str) -> String {
    format!("{}: {problem}", file.display())
}

fn text(file: &Path) -> Result<String, String> {
    let bad = |e: std::io::Error| at(file, &e.to_string());
    let mut text = String::new();
    let read = std::fs::File::open(file).map_err(bad)?.take(MAX_FILE + 1);
    if { read }.read_to_string(&mut text).map_err(bad)? as u64 > MAX_FILE {
        return Err(at(file, &format!("larger than {} MiB", MAX_FILE >> 20)));
    }
    Ok(text)
}

fn write(args: &Args, text: &str) -> Result<(), String> {
    match &args.output {
        Some(file) => std::fs::write(file, text).map_err(|e| at(file, &e.to_string())),
        None => {
            // A reader that has seen enough (`| head`) is no failure.
            _ = std::io::stdout().write_all(text.as_bytes());
            Ok(())
        }
    }
}

#[cfg(feature = "rayon")]
fn with_threads<T: Send>(threads: u16, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build();
    Ok(pool.map_err(|e| format!("--threads {threads}: {e}"))?.install(work))
}

#[cfg(not(feature = "rayon"))]
fn with_threads<T>(threads: u16, work: impl FnOnce() -> T) -> Result<T, String> {
    match threads {
        1 => Ok(work()),
        _ => Err(format!("--threads {threads}: build with --features rayon for more than one")),
    }
}
