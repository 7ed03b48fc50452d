//! `pinwise audit`: what is wrong with domains as they are, on their host and beside each other.

mod args;
mod domains;
mod print;
mod prometheus;
mod sarif;

use pinwise::json::{self, Audited};

use crate::input::hosts::{self, Machine};
use crate::outcome::{Failure, Outcome};
pub(crate) use args::Args;
use args::Format;
use domains::Checked;

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let home = Some(args.host.as_path());
    let machine = hosts::machine(home, &args.facts, args.reserve.as_ref())?;
    let Machine { host, mut notes, conflicts, tenants } = machine;
    notes.extend(conflicts.iter().map(|conflict| format!("conflict: {conflict}")));
    let all = domains::read(args, &host, &mut notes)?;
    let Checked { audited, usage } = domains::check(args, &host, tenants, all, &mut notes)?;
    let text = match args.format {
        Format::Text => print::text(&audited, &notes),
        Format::Json => json::audit(&host, &audited, &notes) + "\n",
        Format::Sarif => sarif::report(&audited),
        Format::Prometheus => prometheus::metrics(&host, &usage, &audited),
    };
    if matches!(args.format, Format::Sarif | Format::Prometheus) {
        // Neither has a place for notes.
        notes.iter().for_each(|note| eprintln!("note: {note}"));
    }
    let is_clean = audited.iter().all(|domain: &Audited| domain.findings.is_empty());
    Ok(if is_clean { Outcome::done(text) } else { Outcome::found(text) })
}
