//! Ranks the hosts of a fleet for one request.
//!
//! `cargo run --release --example fleet -- hosts/ --vcpus 28 --memory 400GiB --gpus 2` reads a folder
//! of descriptions, a file, or `-` for standard input, one JSON object a line in either format.
//! Exit status: 0 a host fits, 2 bad input, 3 none fits.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use pinwise_discover::{Described, read_described};
use pinwise::fleet::{
    FleetAnswer, FleetHost, FleetOptions, HostOrder, HostRank, HostRefusal, rank,
};
use pinwise::request::{GpuRequest, Wish};
use pinwise::{Bytes, Host, PageSize, Policies, Policy, Request, RequestSpec, Usage};

/// A description longer than this is refused.
const MAX_LINE: u64 = 64 << 20;
/// The most hosts of a fleet.
const MAX_HOSTS: usize = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    Text,
    /// A JSON object a line, for each host.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BinName {
    BestFit,
    FirstFit,
    Spread,
}

/// Ranks the hosts of a fleet for one request.
#[derive(Debug, Parser)]
#[command(name = "fleet")]
struct Args {
    /// A folder of descriptions (*.json), a file of them, one a line, or "-" for standard input.
    #[arg(value_name = "DIR|FILE|-")]
    hosts: PathBuf,
    /// The number of vCPUs.
    #[arg(long)]
    vcpus: u32,
    /// The memory, such as 64GiB.
    #[arg(long)]
    memory: Bytes,
    /// The number of GPUs.
    #[arg(long, default_value_t = 0)]
    gpus: u32,
    /// The page size; the largest that fits otherwise.
    #[arg(long)]
    page_size: Option<PageSize>,
    /// How many NUMA cells the guest sees, all alike.
    #[arg(long)]
    cells: Option<u32>,
    /// GPUs may be on other nodes than the VM.
    #[arg(long)]
    remote_gpus: bool,
    /// Which of the hosts that fit comes first.
    #[arg(long, value_enum, default_value = "best-fit")]
    bin: BinName,
    /// How many hosts to show.
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// What to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let answer = run(&args);
    match answer {
        Ok((fits, text)) => {
            // A reader that has seen enough (`| head`) is no failure.
            _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(if fits { 0 } else { 3 })
        }
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(bool, String), String> {
    let request = request(args)?;
    let bin = match args.bin {
        BinName::BestFit => HostOrder::BestFit,
        BinName::FirstFit => HostOrder::FirstFit,
        BinName::Spread => HostOrder::Spread,
    };
    let fleet = read(&args.hosts)?;
    if fleet.is_empty() {
        return Err(format!("{}: no host is described there", args.hosts.display()));
    }
    let options = FleetOptions { bin, answers: args.top, ..FleetOptions::default() };
    let answer = rank(&fleet, &request, &options);
    let text = match args.format {
        Format::Text => table(args, &fleet, &answer),
        Format::Json => lines(args, &fleet, &answer)?,
    };
    Ok((!answer.ranked.is_empty(), text))
}

fn request(args: &Args) -> Result<Request, String> {
    let locality = if args.remote_gpus { Policy::Prefer } else { Policy::Require };
    let base = RequestSpec::new("vm1", args.vcpus, args.memory);
    let request = RequestSpec {
        page_size: args.page_size,
        gpus: GpuRequest::Count { count: args.gpus, model: None },
        cells: args.cells.map_or(Wish::Auto, Wish::Require),
        even_cells: args.cells.is_some(),
        policies: Policies { gpu_locality: locality, ..Policies::default() },
        ..base
    };
    request.build().map_err(|e| e.to_string())
}

/// Hosts as they come; those that differ in nothing but their names and tenants share a topology.
#[derive(Default)]
struct Fleet {
    hosts: Vec<FleetHost<Arc<Host>>>,
    names: Vec<String>,
    models: BTreeMap<String, Arc<Host>>,
}

impl Fleet {
    fn add(&mut self, text: &str) -> Result<(), String> {
        if self.hosts.len() >= MAX_HOSTS {
            return Err(format!("more than {MAX_HOSTS} hosts"));
        }
        let Described { host: mut model, tenants, .. } =
            read_described(text).map_err(|e| e.to_string())?;
        let name = std::mem::take(&mut model.name);
        let key = pinwise::json::write_host(&model);
        let host = match self.models.get(&key) {
            Some(host) => Arc::clone(host),
            None => Arc::new(model.build().map_err(|e| e.to_string())?),
        };
        let usage = Usage::with_running(&host, tenants).map_err(|e| e.to_string())?;
        self.models.entry(key).or_insert_with(|| Arc::clone(&host));
        self.hosts.push(FleetHost::new(host, usage));
        self.names.push(name);
        Ok(())
    }
}

impl std::ops::Deref for Fleet {
    type Target = [FleetHost<Arc<Host>>];
    fn deref(&self) -> &Self::Target {
        &self.hosts
    }
}

/// A bar on a terminal, from the second on that reading takes.
fn progress(length: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    // How many a stream will have nobody knows.
    let style = ProgressStyle::with_template(match length {
        Some(_) => "{pos} of {len} hosts {wide_bar} {elapsed}",
        None => "{pos} hosts {spinner} {elapsed}",
    });
    let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    bar
}

fn step(bar: &ProgressBar) {
    let late = bar.elapsed() > Duration::from_secs(1);
    if late && bar.is_hidden() && std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
    bar.inc(1);
}

fn read(from: &Path) -> Result<Fleet, String> {
    let shown = from.display();
    let mut fleet = Fleet::default();
    if from.is_dir() {
        let entries = std::fs::read_dir(from).map_err(|e| format!("{shown}: {e}"))?;
        let mut files = Vec::new();
        for entry in entries.take(MAX_HOSTS) {
            files.push(entry.map_err(|e| format!("{shown}: {e}"))?.path());
        }
        files.retain(|file| file.extension().is_some_and(|kind| kind == "json"));
        files.sort();
        let bar = progress(Some(files.len() as u64));
        for file in &files {
            let bad = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
            let mut text = String::new();
            let open = std::fs::File::open(file).map_err(|e| bad(&e))?;
            open.take(MAX_LINE + 1).read_to_string(&mut text).map_err(|e| bad(&e))?;
            fleet.add(&text).map_err(|e| bad(&e))?;
            step(&bar);
        }
        bar.finish_and_clear();
        return Ok(fleet);
    }
    let source: Box<dyn Read> = match from.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(from).map_err(|e| format!("{shown}: {e}"))?),
    };
    let mut reader = BufReader::new(source);
    let bar = progress(None);
    for number in 1_u64.. {
        let bad = |e: &dyn std::fmt::Display| format!("{shown}: line {number}: {e}");
        let mut line = String::new();
        // One byte beyond the limit, so that the reader refuses what is longer.
        let read = reader.by_ref().take(MAX_LINE + 1).read_line(&mut line);
        if read.map_err(|e| bad(&e))? == 0 {
            break;
        }
        if !line.trim().is_empty() {
            fleet.add(&line).map_err(|e| bad(&e))?;
        }
        step(&bar);
    }
    bar.finish_and_clear();
    Ok(fleet)
}

fn list<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

fn table(args: &Args, fleet: &Fleet, answer: &FleetAnswer) -> String {
    let mut rows = vec![
        ["", "host", "style", "nodes", "GPUs", "score", "takes", "left"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (place, found) in answer.ranked.iter().take(args.top).enumerate() {
        let HostRank { host, best, left } = found;
        let placement = &best.placement;
        rows.push(vec![
            (place + 1).to_string(),
            fleet.names[*host].clone(),
            placement.style.to_string(),
            placement.nodes().to_string(),
            list(placement.gpus().map(|gpu| gpu.address)),
            format!("{:+}", best.score.total / 1000),
            format!("{}.{:03} GPUs", best.cost.price() / 1000, best.cost.price() % 1000),
            format!("{} GPUs, {} pCPUs", left.gpus, left.pcpus),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..8).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    let short = answer.refused.iter().filter(|(_, why)| matches!(why, HostRefusal::Short(_)));
    text + &format!(
        "{} hosts fit and come first, {} are behind them, {} do not fit ({} by count alone).\n",
        answer.ranked.len(),
        answer.behind.len(),
        answer.refused.len(),
        short.count()
    )
}

fn lines(args: &Args, fleet: &Fleet, answer: &FleetAnswer) -> Result<String, String> {
    let mut text = String::new();
    for (place, found) in answer.ranked.iter().take(args.top).enumerate() {
        let HostRank { host, best, left } = found;
        let gpus: Vec<String> = best.placement.gpus().map(|gpu| gpu.address.to_string()).collect();
        let line = serde_json::json!({
            "host": fleet.names[*host], "place": place + 1, "style": best.placement.style,
            "nodes": best.placement.nodes(), "gpus": gpus, "score": best.score,
            "cost": best.cost, "left": left, "claim": best.placement.claim(),
        });
        text += &serde_json::to_string(&line).map_err(|e| e.to_string())?;
        text.push('\n');
    }
    for (host, why) in &answer.refused {
        let why = match why {
            HostRefusal::Short(short) => serde_json::json!(short),
            HostRefusal::Infeasible(refusal) => serde_json::json!({ "rejected": refusal.rejected }),
        };
        let line = serde_json::json!({ "host": fleet.names[*host], "refused": why });
        text += &serde_json::to_string(&line).map_err(|e| e.to_string())?;
        text.push('\n');
    }
    Ok(text)
}
