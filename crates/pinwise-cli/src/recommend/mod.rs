//! `pinwise recommend`: a placement, as text, libvirt XML or JSON.
//!
//! Without arguments it answers for an embedded, synthetic HGX H200 host. A domain is a request:
//! its size, devices and threads are asked for where the arguments do not say otherwise.

mod args;
mod changes;
mod print;
mod request;
mod wishes;

use pinwise::changes::smallest_changes;
use pinwise::{Options, Question};
use pinwise_discover::files::{self, Source};

use crate::input::hosts::{self, Machine};
use crate::input::tenants;
use crate::outcome::{Failure, Outcome};
use crate::said::aside;
pub(crate) use args::Args;
use args::Format;
use print::Printer;
use request::Asked;

pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let home = args.host.as_deref();
    let machine = hosts::machine(home, &args.facts, args.reserve.as_ref())?;
    let machine = match args.reserve_memory {
        Some(memory) => Machine { host: machine.host.with_reserved_memory(memory)?, ..machine },
        None => machine,
    };
    let Machine { host, mut notes, conflicts, tenants: described } = machine;
    if args.format == Format::Xml {
        // XML has no place for conflicts.
        conflicts.iter().for_each(|conflict| aside(format_args!("conflict: {conflict}")));
    }
    let domain = args.domain.as_deref();
    let domain = domain.map(|path| files::domain(path, home.map(Source::named))).transpose()?;
    let asked = request::request(args, &host, domain.as_deref())?;
    let Asked { request, uuid, is_named, removed, asked, notes: differences } = asked;
    notes.extend(differences);
    let own = is_named.then(|| (request.spec().name.as_str(), uuid));
    let (usage, more) =
        tenants::usage(&host, described, &args.tenant, home, own, args.tenant_isolation)?;
    notes.extend(more);
    let options = Options { all: args.all, ..Options::default() };
    let question = Question::new(&host, &usage, &request).with(&options);
    let printer = Printer {
        format: args.format,
        question,
        embedded: home.is_none(),
        conflicts: &conflicts,
        notes: &notes,
        domain: args.domain.as_deref().zip(domain.as_deref()),
        asked: asked.as_deref(),
        removed: &removed,
        diff: args.diff,
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
