//! `pinwise capture`: the description of a machine as JSON, from the machine itself or from texts
//! that its operator sent.
//!
//! Each part of the description keeps its source. With `--redact`, text that names people or single
//! devices is replaced, and standard error lists the replacements.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pinwise::HostSpec;
use pinwise::json::write_host;
use pinwise_discover::files::{self, Source};
use pinwise_discover::{Assembled, Assembly, redact};

use crate::outcome::{Failure, Outcome};
use crate::said::aside;

/// Shown below the arguments.
const EXAMPLES: &str = "\
Examples:
  pinwise capture > host.json
  pinwise capture --from live nvidia-smi-topo.txt --redact > host.json
  pinwise capture --from capabilities.xml nodedevs/ --name host7 > host7.json";

/// Prints the description of a machine as JSON.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Sources of one machine, in any order: "live", "hwloc", "libvirt" or "libvirt:URI", captured
    /// roots with sys/, XML of lstopo or of virsh capabilities, virsh nodedev-dumpxml files,
    /// descriptions, folders of these, and facts such as the output of nvidia-smi topo -m.
    #[arg(long, value_name = "live|hwloc|libvirt[:URI]|FILE|DIR", num_args = 1.., default_value = "live")]
    from: Vec<PathBuf>,
    /// A name in place of the machine's own.
    #[arg(long)]
    name: Option<String>,
    /// A sentence about the origin of the description.
    #[arg(long)]
    about: Option<String>,
    /// Replace host names, serial numbers, and addresses of people and networks.
    #[arg(long)]
    redact: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut assembly = Assembly::new();
    for path in &args.from {
        files::add_host(&mut assembly, Source::named(path))?;
    }
    let Assembled { mut host, tenants, notes, conflicts, .. } = assembly.finish()?;
    for note in &notes {
        aside(format_args!("note: {note}"));
    }
    if !tenants.is_empty() {
        let count = tenants.len();
        aside(format_args!("note: {count} tenants are ignored: a capture describes only the host"));
    }
    for conflict in &conflicts {
        aside(format_args!("conflict: {conflict}"));
    }
    let own = host.name.clone();
    host.name = args.name.clone().unwrap_or(host.name);
    host.about = args.about.clone().unwrap_or(host.about);
    if args.redact {
        if args.name.is_none() {
            host.name = "host".to_owned();
        }
        redacted(&mut host, &own);
    }
    Ok(Outcome::done(write_host(host.build()?.description())))
}

/// Redacts the description of the host named `own`, and lists the replacements on standard error.
fn redacted(host: &mut HostSpec, own: &str) {
    let mut replaced: BTreeMap<String, usize> = BTreeMap::new();
    for what in redact(host, own) {
        *replaced.entry(what.to_string()).or_default() += 1;
    }
    if own != host.name {
        aside("redacted: the host's name");
    }
    for (what, count) in replaced {
        aside(format_args!("redacted: {what}, {count} times"));
    }
}
