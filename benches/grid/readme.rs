//! The README's figures: the grid's medians per size of host, with the machine they were measured
//! on.

use std::fmt::Write as _;
use std::path::Path;

use crate::cases::Task;
use crate::instructions::{Counter, flags, said};
use crate::{Row, blessed, measured};
use pinwise_testkit::shapes::SHAPES;

const BEGIN: &str = "<!-- figures: written by cargo bench --bench grid -- --readme -->\n";
const END: &str = "<!-- /figures -->\n";

/// How full the hosts are where one number stands for all.
const MIDDLE: u32 = 50;
const STAGES: [(Task, &str); 8] = [
    (Task::Build, "build"),
    (Task::ReadJson, "read JSON"),
    (Task::ReadCapabilities, "read XML"),
    (Task::EmitFragments, "emit XML"),
    (Task::EmitJson, "emit JSON"),
    (Task::Verify, "verify"),
    (Task::CapacityGpu, "capacity, 1 GPU"),
    (Task::CapacityCells, "capacity, 2 cells"),
];

/// Measures, and prints the tables or puts them into the README.
pub(crate) fn write() -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).map_err(|why| format!("README.md: {why}"))?;
    let place = readme.find(BEGIN).zip(readme.find(END)).filter(|(begin, end)| begin < end);
    let (begin, end) = place.ok_or("README.md has no place for the figures")?;
    let counter = Counter::new()?;
    let rows = measured("", |row| eprint!("\r{:<40}", row.name));
    eprintln!();
    let figures = figures(&rows, &counter)?;
    if !blessed() {
        println!("{figures}");
        return Ok(());
    }
    let (before, after) = (&readme[..begin + BEGIN.len()], &readme[end..]);
    std::fs::write(&path, format!("{before}{figures}{after}"))
        .map_err(|why| format!("README.md: {why}"))
}

fn figures(rows: &[Row], counter: &Counter) -> Result<String, String> {
    let mut text = format!("{}\n\n", machine()?);
    text.push_str(
        "| nodes/pCPUs | without GPUs | with GPUs | slowest | refused | slowest | instructions |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for shape in SHAPES {
        let own: Vec<&Row> = rows.iter().filter(|row| row.host == shape.name()).collect();
        let of = |which: &dyn Fn(&Row) -> bool| {
            let mut nanos: Vec<u64> =
                own.iter().filter(|row| which(row)).map(|row| row.nanos).collect();
            nanos.sort_unstable();
            nanos
        };
        let fits = |row: &Row| row.task.gpus().filter(|_| row.fits);
        let alone = of(&|row| fits(row) == Some(0));
        let with = of(&|row| fits(row).is_some_and(|gpus| gpus > 0));
        let (fitting, refused) = (of(&|row| fits(row).is_some()), of(&|row| !row.fits));
        let count = counter.count(&format!("{}/{MIDDLE}%/2c/2g", shape.name()))?;
        let cells =
            [middle(&alone), middle(&with), last(&fitting), middle(&refused), last(&refused)];
        let (size, thousands) = (size(&shape.name()), count.div_ceil(1000));
        _ = writeln!(text, "| {size} | {} | {thousands}k |", cells.join(" | "));
    }
    let names = STAGES.map(|(_, name)| name).join(" | ");
    _ = writeln!(text, "\n| nodes/pCPUs | {names} |\n|---{}|", "|---".repeat(STAGES.len()));
    for shape in SHAPES {
        let cells = STAGES.map(|(task, _)| {
            let own = |row: &&Row| (&row.host, row.fill, row.task) == (&shape.name(), MIDDLE, task);
            rows.iter().find(own).map_or_else(|| "-".to_owned(), |row| micros(row.nanos))
        });
        _ = writeln!(text, "| {} | {} |", size(&shape.name()), cells.join(" | "));
    }
    Ok(text)
}

/// `8/256` of `8n256`.
fn size(name: &str) -> String {
    name.replace('n', "/")
}

fn middle(sorted: &[u64]) -> String {
    sorted.get(sorted.len() / 2).map_or_else(|| "-".to_owned(), |nanos| micros(*nanos))
}

fn last(sorted: &[u64]) -> String {
    sorted.last().map_or_else(|| "-".to_owned(), |nanos| micros(*nanos))
}

/// Three digits at most: no more than that can be measured.
fn micros(nanos: u64) -> String {
    match nanos {
        0..10_000 => format!("{}.{} us", nanos / 1000, nanos % 1000 / 100),
        10_000..1_000_000 => format!("{} us", nanos.div_ceil(1000)),
        1_000_000..10_000_000 => {
            format!("{}.{} ms", nanos / 1_000_000, nanos % 1_000_000 / 100_000)
        }
        _ => format!("{} ms", nanos.div_ceil(1_000_000)),
    }
}

/// The machine, the compiler and its flags.
fn machine() -> Result<String, String> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|why| format!("{path}: {why}"));
    let (cpu, memory) = (read("/proc/cpuinfo")?, read("/proc/meminfo")?);
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.split(':').next().map(str::trim) == Some(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let kib = field(&memory, "MemTotal");
    let kib: u64 = kib.trim_end_matches(" kB").parse().map_err(|_| format!("MemTotal {kib:?}"))?;
    let cores = std::thread::available_parallelism().map_err(|why| why.to_string())?;
    let flags = flags();
    Ok(format!(
        "Measured on {} (family {}, model {}), {cores} CPUs, {} GiB of memory, Linux {}, one thread; \
         {}, profile release, {flags}.",
        field(&cpu, "model name"),
        field(&cpu, "cpu family"),
        field(&cpu, "model"),
        kib.div_ceil(1 << 20),
        read("/proc/sys/kernel/osrelease")?.trim(),
        said("rustc", &["-V"])?,
    ))
}
