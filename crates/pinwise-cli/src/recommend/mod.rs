//! `pinwise recommend`: a placement, as text, libvirt XML or JSON.
//!
//! Without arguments it answers for an embedded, synthetic HGX H200 host.

mod args;
mod print;
mod request;
mod wishes;

use pinwise::changes::smallest_changes;
use pinwise::{Options, Question};
use pinwise_discover::files;

use crate::input::hosts::{self, Machine};
use crate::input::tenants;
use crate::outcome::{Failure, Outcome};
pub(crate) use args::Args;
use args::Format;
use print::Printer;

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let home = args.host.as_deref();
    let machine = hosts::machine(home, &args.facts, args.reserve.as_ref())?;
    let Machine { host, mut notes, conflicts, tenants: described } = machine;
    if args.format == Format::Xml {
        // XML has no place for conflicts.
        conflicts.iter().for_each(|conflict| eprintln!("conflict: {conflict}"));
    }
    let (usage, more) = tenants::usage(&host, described, &args.tenant, home)?;
    notes.extend(more);
    let domain = args.domain.as_deref().map(files::text).transpose()?;
    let request = request::request(args, domain.as_deref())?;
    let options = Options { all: args.all, ..Options::default() };
    let question = Question::new(&host, &usage, &request).with(&options);
    let printer = Printer {
        format: args.format,
        question,
        embedded: home.is_none(),
        conflicts: &conflicts,
        notes: &notes,
        domain: domain.as_deref(),
    };
    let answer = match pinwise::recommend(question) {
        Ok(answer) => answer,
        Err(refusal) => return Ok(printer.refused(&refusal, &smallest_changes(question))),
    };
    let answer = match args.style {
        Some(style) => answer.only(style),
        None => Ok(answer),
    };
    match answer {
        Ok(answer) => printer.recommended(&answer),
        Err(refusal) => Ok(printer.style_refused(&refusal)),
    }
}
