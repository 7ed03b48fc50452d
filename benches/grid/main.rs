//! How long recommendations take over a grid of hosts and requests, as one table:
//! `cargo bench --bench grid`, or `cargo bench --bench grid -- CASE` for those whose name contains CASE.
//! `-- CASE --once N` runs them N times and measures nothing: for callgrind.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads the clock")]

mod shapes;

use std::hint::black_box;
use std::time::{Duration, Instant};

use pinwise::{Host, Options, Request, Usage, recommend};
use shapes::{SHAPES, Shape, vm};

struct Case {
    name: String,
    request: Request,
}

/// The median of many runs, in nanoseconds.
fn median(mut run: impl FnMut()) -> u128 {
    let warm = Instant::now();
    run();
    let first = warm.elapsed().max(Duration::from_nanos(100));
    let batch = (Duration::from_micros(200).as_nanos() / first.as_nanos()).max(1);
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(150) || times.len() < 5 {
        let begin = Instant::now();
        (0..batch).for_each(|_| run());
        times.push(begin.elapsed().as_nanos() / batch);
    }
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let wanted = args.first().filter(|arg| !arg.starts_with("--")).cloned().unwrap_or_default();
    let once = args.iter().position(|arg| arg == "--once");
    let once = once.and_then(|at| args.get(at + 1)).and_then(|n| n.parse::<u32>().ok());
    for shape in SHAPES {
        for fill in [0, 50, 90] {
            let place = format!("{}/{fill}%", shape.name());
            let cases: Vec<Case> =
                cases(shape, &place).filter(|c| c.name.contains(&wanted)).collect();
            if !cases.is_empty() {
                let host = shape.host();
                let usage = shape.usage(&host, fill);
                cases.iter().for_each(|case| measure(&host, &usage, case, once));
            }
        }
    }
}

/// What is asked of a host.
fn cases(shape: Shape, place: &str) -> impl Iterator<Item = Case> {
    let cells = [1, 2, 4, 8].into_iter().filter(move |cells| *cells <= shape.nodes);
    cells.flat_map(move |cells| {
        [0, 1, 2, 4, 8].into_iter().map(move |gpus| {
            let request = vm(cells, gpus).build().expect("in range");
            Case { name: format!("{place}/{cells}c/{gpus}g"), request }
        })
    })
}

/// Prints the median, or only runs the case so many times.
fn measure(host: &Host, usage: &Usage, case: &Case, once: Option<u32>) {
    let options = Options::default();
    let run = || recommend(black_box(host), black_box(usage), &case.request, &options);
    if let Some(times) = once {
        (0..times).for_each(|_| _ = black_box(run()));
        return;
    }
    let fits = run().is_ok();
    let nanos = median(|| _ = black_box(run()));
    println!("{:<22}{nanos:>12} ns  {}", case.name, if fits { "" } else { "refused" });
}
