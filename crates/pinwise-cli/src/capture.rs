//! Writes a machine's description as JSON, from this machine or from what its operator sent:
//! `cargo run --example capture -- --from live --name my-host > my-host.json`.
//!
//! Each part of the description keeps where it was read from. With `--redact`, what names people or
//! single devices is replaced, and standard error says what was.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use pinwise::HostSpec;
use pinwise::json::{write_host};
use pinwise_discover::{Assembly, redact};

#[path = "shared/sources.rs"]
mod sources;

/// Prints the description of a machine as JSON.
#[derive(Parser)]
struct Arguments {
    /// Sources of one machine, in any order: "live", "hwloc", "libvirt" or "libvirt:URI", captured roots with sys/, XML of lstopo or of virsh
    /// capabilities, virsh nodedev-dumpxml files, descriptions, folders of these, and facts such as the
    /// output of nvidia-smi topo -m.
    #[arg(long, value_name = "live|hwloc|libvirt[:URI]|FILE|DIR", num_args = 1.., default_value = "live")]
    from: Vec<PathBuf>,
    /// A name in place of the machine's own.
    #[arg(long)]
    name: Option<String>,
    /// A sentence about where the description comes from.
    #[arg(long)]
    about: Option<String>,
    /// Replaces host names, serial numbers, and addresses of people and networks.
    #[arg(long)]
    redact: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(text) => {
            // A reader that has seen enough (`| head`) is no failure.
            _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<String, String> {
    let mut assembly = Assembly::new();
    for path in &arguments.from {
        sources::add(&mut assembly, Path::new(path))?;
    }
    let assembled = assembly.finish().map_err(|e| e.to_string())?;
    for note in &assembled.notes {
        eprintln!("note: {note}");
    }
    for conflict in &assembled.conflicts {
        eprintln!("conflict: {conflict}");
    }
    let mut host: HostSpec = assembled.host;
    let own = host.name.clone();
    host.name = arguments.name.clone().unwrap_or(host.name);
    host.about = arguments.about.clone().unwrap_or(host.about);
    if arguments.redact {
        if arguments.name.is_none() {
            host.name = "host".to_owned();
        }
        let mut replaced: BTreeMap<String, usize> = BTreeMap::new();
        for what in redact(&mut host, &own) {
            *replaced.entry(what.to_string()).or_default() += 1;
        }
        if own != host.name {
            eprintln!("redacted: the host's name");
        }
        for (what, count) in replaced {
            eprintln!("redacted: {what}, {count} times");
        }
    }
    Ok(write_host(host.build().map_err(|e| e.to_string())?.description()))
}
