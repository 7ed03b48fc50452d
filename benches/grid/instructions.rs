//! Instructions of the core cases, counted by callgrind: within a hundredth the same on every run,
//! so that they show a change where a busy machine's times do not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::{FILLS, Place, Run, Task};
use pinwise_testkit::shapes::{SHAPES, Shape};

/// The cases whose counts are recorded: every size of host, every kind of refusal, every other
/// stage.
pub(crate) const CORE: [&str; 24] = [
    "2n128/50%/2c/2g",
    "4n192/50%/2c/2g",
    "8n256/50%/2c/2g",
    "8n768/50%/2c/2g",
    "16n256/50%/2c/2g",
    "24n384/50%/2c/2g",
    "64n4096/50%/2c/2g",
    "8n256/0%/1c/0g",
    "8n256/0%/4c/4g",
    "8n256/90%/1c/1g",
    "8n256/50%/4c/no-cpus",
    "8n256/50%/4c/no-pages",
    "8n256/50%/2c/no-local-gpus",
    "24n384/50%/8c/no-cpus",
    "64n4096/50%/8c/no-local-gpus",
    "8n256/0%/build",
    "8n256/0%/read-json",
    "8n256/0%/read-capabilities",
    "8n256/50%/read-domain",
    "8n256/50%/emit-fragments",
    "8n256/50%/emit-json",
    "8n256/50%/verify",
    "8n256/50%/capacity-gpu",
    "8n256/50%/capacity-cells",
];

/// Hosts with the nodes of another and twice the pCPUs. They may take twice the instructions.
const DOUBLED: [(&str, Shape); 3] = [
    ("2n128", Shape { sockets: 2, nodes: 2, pcpus: 256, gib: 2048, gpus: 8 }),
    ("8n256", Shape { sockets: 2, nodes: 8, pcpus: 512, gib: 2048, gpus: 8 }),
    ("24n384", Shape { sockets: 4, nodes: 24, pcpus: 768, gib: 6144, gpus: 8 }),
];
/// On empty hosts, where the larger host has no more nodes that fit.
const DOUBLED_CASES: [&str; 2] = ["0%/2c/2g", "0%/2c/no-cpus"];

/// Counts may differ from the recorded ones by one in so many.
const TOLERANCE: u64 = 10;
const TABLE: &str = "benches/instructions.tsv";
const RECORD: &str = "PINWISE_BLESS=1 cargo bench --bench grid -- --instructions";

/// The case of this name, which may be of a doubled host.
fn find(name: &str) -> Option<(Shape, u32, Task)> {
    let shapes = SHAPES.into_iter().chain(DOUBLED.map(|(_, shape)| shape));
    let mut places = shapes.flat_map(|shape| FILLS.map(|fill| (shape, fill)));
    places.find_map(|(shape, fill)| {
        let own = name.strip_prefix(&format!("{}/{fill}%/", shape.name()))?;
        let task = Task::all(shape.nodes).into_iter().find(|(task, _)| task == own)?;
        Some((shape, fill, task.1))
    })
}

/// Runs a case three times, the last time where callgrind counts.
pub(crate) fn run_counted(name: &str) -> Result<(), String> {
    let (shape, fill, task) = find(name).ok_or_else(|| format!("there is no case {name:?}"))?;
    let place = Place::new(shape, fill);
    let mut run = place.prepare(task).ok_or_else(|| format!("{name} does not exist there"))?;
    // What is done only once, such as growing the heap, is no part of it.
    (0..2).for_each(|_| _ = black_box(run()));
    black_box(only_this(&mut run));
    Ok(())
}

/// Callgrind knows it by its name, which no other function's may contain, and counts what is done
/// in here.
#[inline(never)]
fn only_this(run: &mut Run<'_>) -> bool {
    black_box(run())
}

/// Counts cases, each in a process of its own, so that no case changes another one's heap.
pub(crate) struct Counter {
    program: PathBuf,
}

impl Counter {
    pub(crate) fn new() -> Result<Self, String> {
        said("valgrind", &["--version"])?;
        Ok(Self { program: std::env::current_exe().map_err(|why| why.to_string())? })
    }

    /// The instructions of one run.
    pub(crate) fn count(&self, name: &str) -> Result<u64, String> {
        let out = std::env::temp_dir().join(format!("pinwise-callgrind-{}", std::process::id()));
        let valgrind = Command::new("valgrind")
            .args(["--tool=callgrind", "--toggle-collect=*instructions*only_this*"])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(&self.program)
            .args(["--count", name])
            .output();
        let text = std::fs::read_to_string(&out);
        _ = std::fs::remove_file(&out);
        let valgrind = valgrind.map_err(|why| format!("valgrind: {why}"))?;
        if !valgrind.status.success() {
            let said = String::from_utf8_lossy(&valgrind.stderr);
            return Err(format!("{name} under valgrind: {}", said.trim_end()));
        }
        let text = text.map_err(|why| format!("{}: {why}", out.display()))?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        match total.and_then(|total| total.trim().parse().ok()) {
            Some(count) if count > 0 => Ok(count),
            _ => Err(format!("{name}: callgrind counted nothing")),
        }
    }
}

/// The first line that a program prints.
pub(crate) fn said(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|why| format!("{program}: {why}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// What counts depend on, besides the code.
fn tools() -> Result<String, String> {
    let libc = said("ldd", &["--version"])?;
    let (rustc, valgrind) = (said("rustc", &["-V"])?, said("valgrind", &["--version"])?);
    Ok(format!("{}, {}, {rustc}, {libc}, {valgrind}", std::env::consts::ARCH, flags()))
}

/// What the compiler was told, as far as the environment still says so.
pub(crate) fn flags() -> String {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    if flags.is_empty() { "default target CPU".to_owned() } else { flags }
}

/// Counts the core cases, and says where they leave the recorded table, or where twice the pCPUs
/// take more than twice the instructions.
pub(crate) fn guard() -> Result<(), String> {
    if std::env::var("CARGO_INCREMENTAL").is_ok_and(|value| value != "0") {
        return Err("an incremental build has other counts: unset CARGO_INCREMENTAL".to_owned());
    }
    let (counter, tools) = (Counter::new()?, tools()?);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let mut wrong = Vec::new();
    let mut counts = BTreeMap::new();
    let doubled = DOUBLED.iter().flat_map(|(base, shape)| {
        DOUBLED_CASES.map(|case| (format!("{base}/{case}"), format!("{}/{case}", shape.name())))
    });
    let doubled: Vec<(String, String)> = doubled.collect();
    let pairs = doubled.iter().flat_map(|(base, double)| [base.as_str(), double.as_str()]);
    for name in CORE.into_iter().chain(pairs) {
        if !counts.contains_key(name) {
            let count = counter.count(name)?;
            println!("{name:<32}{count:>16}");
            counts.insert(name, count);
        }
    }
    for (base, double) in &doubled {
        let (one, two) = (counts[base.as_str()], counts[double.as_str()]);
        if two > 2 * one {
            wrong.push(format!("{double} takes {two}, more than twice the {one} of {base}"));
        }
    }
    if crate::blessed() {
        let recorded = record(&counts, &tools);
        std::fs::write(&path, recorded).map_err(|why| format!("{TABLE}: {why}"))?;
    } else {
        let text = std::fs::read_to_string(&path).map_err(|why| format!("{TABLE}: {why}"))?;
        wrong.extend(drift(&counts, &text, &tools));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn record(counts: &BTreeMap<&str, u64>, tools: &str) -> String {
    let mut text = format!(
        "# Instructions a run, counted by callgrind. Written by: {RECORD}\n# {tools}\n\
         case\tinstructions\n"
    );
    for name in CORE {
        _ = writeln!(text, "{name}\t{}", counts[name]);
    }
    text
}

/// How the counts differ from the recorded ones.
fn drift(counts: &BTreeMap<&str, u64>, text: &str, tools: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let rows = text.lines().filter_map(|line| line.split_once('\t'));
    let mut recorded: BTreeMap<&str, &str> = rows.collect();
    recorded.remove("case");
    for name in CORE {
        let now = counts[name];
        match recorded.remove(name).map(str::parse::<u64>) {
            Some(Ok(then)) if now.abs_diff(then) <= then / TOLERANCE => {}
            Some(Ok(then)) => {
                let (than, by) = (if now > then { "more" } else { "fewer" }, now.abs_diff(then));
                let percent = by * 100 / then.max(1);
                wrong.push(format!("{name}: {now} instructions, {percent}% {than} than {then}"));
            }
            Some(Err(_)) | None => {
                wrong.push(format!("{name}: no recorded number of instructions"))
            }
        }
    }
    wrong.extend(recorded.keys().map(|name| format!("{name}: recorded, but no core case")));
    if !wrong.is_empty() {
        let then = text.lines().nth(1).unwrap_or_default().trim_start_matches("# ");
        wrong.push(format!(
            "{TABLE} was recorded with {then}; this is {tools}. If the change is meant, or only the \
             tools are others: {RECORD}, and a line in CHANGELOG.md."
        ));
    }
    wrong
}
