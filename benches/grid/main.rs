//! How long everything takes over a grid of hosts and requests, as one table: the median time, and
//! for the core cases the instructions that callgrind counts.
//!
//! ```text
//! cargo bench --bench grid                                  all of it, in some minutes
//! cargo bench --bench grid -- 8n256/50%                     cases whose name contains this
//! cargo bench --bench grid -- 8n256/50%/2c/2g --once 100    only runs them, for perf and the like
//! cargo bench --bench grid -- --describe 8n256/50%          the host and its tenants, placement-host/1
//! cargo bench --bench grid -- --instructions                compares counts with instructions.tsv
//! cargo bench --bench grid -- --readme                      the README's tables
//! ```
//!
//! With `PINWISE_BLESS=1` the last two write `benches/instructions.tsv` and the README anew. A case
//! is `HOST/FILL/REQUEST`: nodes and pCPUs, how full the nodes are, cells and GPUs or what is
//! missing.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it measures time, and prints what it measured"
)]

mod cases;
mod clock;
mod instructions;
mod readme;

use std::process::ExitCode;

use cases::{FILLS, Place, Task};
use pinwise_testkit::shapes::SHAPES;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let after = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        Some(args.get(at + 1).cloned().unwrap_or_default())
    };
    let wanted = args.first().filter(|arg| !arg.starts_with("--")).cloned().unwrap_or_default();
    let done = if let Some(name) = after("--count") {
        instructions::run_counted(&name)
    } else if let Some(place) = after("--describe") {
        describe(&place)
    } else if args.iter().any(|arg| arg == "--instructions") {
        instructions::guard()
    } else if args.iter().any(|arg| arg == "--readme") {
        readme::write()
    } else if let Some(times) = after("--once") {
        only_run(&wanted, &times)
    } else {
        table(&wanted);
        Ok(())
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether what is recorded is to be written anew.
fn blessed() -> bool {
    std::env::var_os("PINWISE_BLESS").is_some()
}

/// One case, measured.
struct Row {
    host: String,
    fill: u32,
    task: Task,
    name: String,
    nanos: u64,
    /// `false` where a VM was refused.
    fits: bool,
}

/// Calls with every case of the grid whose name contains `wanted`, in the table's order.
fn each_case(wanted: &str, mut call: impl FnMut(Row, &mut cases::Run<'_>)) {
    for shape in SHAPES {
        for fill in FILLS {
            let name = |task: &str| format!("{}/{fill}%/{task}", shape.name());
            let mut tasks = Task::all(shape.nodes);
            tasks.retain(|(task, _)| name(task).contains(wanted));
            if tasks.is_empty() {
                continue;
            }
            let place = Place::new(shape, fill);
            for (text, task) in tasks {
                let Some(mut run) = place.prepare(task) else { continue };
                let (host, name) = (shape.name(), name(&text));
                let row = Row { host, fill, task, name, nanos: 0, fits: run() };
                call(row, &mut run);
            }
        }
    }
}

fn measured(wanted: &str, mut show: impl FnMut(&Row)) -> Vec<Row> {
    let mut rows = Vec::new();
    each_case(wanted, |row, run| {
        let row = Row { nanos: clock::median(|| _ = run()), ..row };
        show(&row);
        rows.push(row);
    });
    rows
}

fn table(wanted: &str) {
    let counter = instructions::Counter::new();
    if let Err(why) = &counter {
        eprintln!("no instructions are counted: {why}");
    }
    println!("{:<32}{:>14}{:>16}", "case", "median ns", "instructions");
    measured(wanted, |row| {
        let core = instructions::CORE.contains(&row.name.as_str());
        let counted = counter.as_ref().ok().filter(|_| core);
        let counted = counted.map_or(String::new(), |counter| match counter.count(&row.name) {
            Ok(count) => count.to_string(),
            Err(why) => why,
        });
        let note = if row.fits { "" } else { "  refused" };
        println!("{:<32}{:>14}{counted:>16}{note}", row.name, row.nanos);
    });
}

fn only_run(wanted: &str, times: &str) -> Result<(), String> {
    let times: u32 = times.parse().map_err(|_| format!("{times:?} is no number of runs"))?;
    each_case(wanted, |_, run| (0..times).for_each(|_| _ = run()));
    Ok(())
}

fn describe(wanted: &str) -> Result<(), String> {
    let places = SHAPES.into_iter().flat_map(|shape| FILLS.map(|fill| (shape, fill)));
    let mut found = places.filter(|(shape, fill)| format!("{}/{fill}%", shape.name()) == wanted);
    let (shape, fill) = found.next().ok_or_else(|| format!("{wanted:?} is no host of the grid"))?;
    println!("{}", shape.describe(fill));
    Ok(())
}
