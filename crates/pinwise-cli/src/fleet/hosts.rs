//! The hosts of a fleet, from a folder, a file or standard input.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pinwise::fleet::FleetHost;
use pinwise::json::write_host;
use pinwise::shown::plain;
use pinwise::{Host, HostError, HostSpec, Usage};
use pinwise_discover::{Described, files, read_described};

use crate::input::at;
use crate::outcome::Failure;
use crate::said::{aside, is_quiet};

/// The longest line of a file of descriptions, in bytes.
const MAX_LINE: u64 = 64 << 20;
/// The largest number of hosts of a fleet.
const MAX_HOSTS: usize = 1_000_000;
/// The largest number of ignored files that are named.
const MAX_NAMED: usize = 5;

/// The hosts of a fleet and their names, which are kept apart because hosts share topologies.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    pub(super) hosts: Vec<FleetHost<Arc<Host>>>,
    /// `names[n]`: the name of `hosts[n]`.
    pub(super) names: Vec<String>,
    topologies: Topologies,
}

impl Fleet {
    /// Adds the host that a text describes, with its tenants.
    fn add(&mut self, text: &str) -> Result<(), Failure> {
        if self.hosts.len() >= MAX_HOSTS {
            return Err(format!("the fleet has more than {MAX_HOSTS} hosts").into());
        }
        let Described { host: mut spec, tenants, .. } = read_described(text)?;
        let name = std::mem::take(&mut spec.name);
        let host = self.topologies.shared(spec)?;
        let usage = Usage::with_running(&host, tenants)?;
        self.hosts.push(FleetHost::new(host, usage));
        self.names.push(name);
        Ok(())
    }
}

/// Each topology once: hosts whose descriptions differ only in name and tenants share one. Ten
/// thousand hosts of one model are then one topology in memory, and the engine bounds them
/// together.
#[derive(Debug, Default)]
struct Topologies(BTreeMap<String, Arc<Host>>);

impl Topologies {
    /// The topology of a description, without its name.
    fn shared(&mut self, spec: HostSpec) -> Result<Arc<Host>, HostError> {
        let key = write_host(&spec);
        if let Some(host) = self.0.get(&key) {
            return Ok(Arc::clone(host));
        }
        let host = Arc::new(spec.build()?);
        self.0.insert(key, Arc::clone(&host));
        Ok(host)
    }
}

/// Reads a fleet: a folder of `*.json`, a file with one description per line, or `-` for standard
/// input.
pub(super) fn read(from: &Path) -> Result<Fleet, Failure> {
    if from.is_dir() { read_folder(from) } else { read_lines(from) }
}

fn read_folder(folder: &Path) -> Result<Fleet, Failure> {
    let files = files::list_up_to(folder, &["json"], MAX_HOSTS)?;
    // A folder without any host is an error of its own.
    if !files.is_empty() {
        say_skipped(folder)?;
    }
    let (mut fleet, progress) = (Fleet::default(), Progress::new(Some(files.len() as u64)));
    for file in &files {
        fleet.add(&files::text(file)?).map_err(|e| at(file, e))?;
        progress.step();
    }
    Ok(fleet)
}

/// Says which entries of a folder are not read.
fn say_skipped(folder: &Path) -> Result<(), Failure> {
    let (mut names, mut count) = (Vec::new(), 0_usize);
    for entry in std::fs::read_dir(folder).map_err(|e| at(folder, e))? {
        let path = entry.map_err(|e| at(folder, e))?.path();
        let is_read = path.extension().is_some_and(|ending| ending == "json");
        if !is_read {
            count += 1;
            names.push(plain(&path.file_name().unwrap_or_default().to_string_lossy()));
            // The first names in their order, of any number of files.
            names.sort_unstable();
            names.truncate(MAX_NAMED);
        }
    }
    if count > 0 {
        let (folder, more) = (folder.display(), if count > MAX_NAMED { ", …" } else { "" });
        let (names, verb) = (names.join(", "), if count == 1 { "is" } else { "are" });
        aside(format_args!(
            "note: {folder}: {count} of its entries {verb} ignored, not *.json: {names}{more}"
        ));
    }
    Ok(())
}

fn read_lines(from: &Path) -> Result<Fleet, Failure> {
    let source: Box<dyn Read> = match from.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(from).map_err(|e| at(from, e))?),
    };
    let mut reader = BufReader::new(source);
    let (mut fleet, progress) = (Fleet::default(), Progress::new(None));
    for number in 1_u64.. {
        let bad = |e: &dyn std::fmt::Display| at(from, format_args!("line {number}: {e}"));
        let mut line = String::new();
        // One byte beyond the limit, so that the reader of descriptions refuses longer lines.
        let read = reader.by_ref().take(MAX_LINE + 1).read_line(&mut line);
        if read.map_err(|e| bad(&e))? == 0 {
            break;
        }
        if !line.trim().is_empty() {
            fleet.add(&line).map_err(|e| bad(&e))?;
        }
        progress.step();
    }
    Ok(fleet)
}

/// A progress bar on a terminal, shown after a second of reading and removed at the end.
struct Progress(ProgressBar);

impl Progress {
    /// Progress towards a number of hosts; `None` for a stream of unknown length.
    fn new(hosts: Option<u64>) -> Self {
        if is_quiet() || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let (bar, template) = match hosts {
            Some(hosts) => (ProgressBar::new(hosts), "{pos} of {len} hosts {wide_bar} {elapsed}"),
            None => (ProgressBar::no_length(), "{pos} hosts {spinner} {elapsed}"),
        };
        let style = ProgressStyle::with_template(template);
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_draw_target(ProgressDrawTarget::hidden());
        Self(bar)
    }

    /// Counts one more host.
    fn step(&self) {
        let Self(bar) = self;
        let late = bar.elapsed() > Duration::from_secs(1) && !is_quiet();
        if late && bar.is_hidden() && std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
