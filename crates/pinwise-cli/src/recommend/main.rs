//! Recommends a placement and prints it as text, libvirt XML or JSON.
//!
//! `cargo run --example recommend` alone answers for an embedded, synthetic HGX H200 host.
//! Exit status: 0 recommended, 2 bad input, 3 nothing fits.

mod args;
mod input;
#[path = "../shared/sources.rs"]
mod sources;
mod tenants;

use std::io::Write as _;
use std::process::ExitCode;

use pinwise::changes::{smallest_changes};
use pinwise::explain::{explain_advice, explain_refusal};
use pinwise::rebalance::{rebalance};
use pinwise::{Question, Options, Placement, Style, emit, explain, recommend};

use args::{Args, Format};

const BAD_INPUT: u8 = 2;
const NOTHING_FITS: u8 = 3;

fn main() -> ExitCode {
    let args = match Args::read() {
        Ok(args) => args,
        Err(early) => return early,
    };
    let (status, text) = match run(&args) {
        Ok(answer) => answer,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            return ExitCode::from(BAD_INPUT);
        }
    };
    // A reader that has seen enough (`| head`) is no failure.
    _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(status)
}

/// The exit status and what to print, or what is wrong with the input, in one sentence.
fn run(args: &Args) -> Result<(u8, String), String> {
    let input::Machine { host, mut notes, conflicts, tenants, embedded } = input::host(args)?;
    if args.format == Format::Xml {
        // It has no place for them.
        conflicts.iter().for_each(|conflict| eprintln!("conflict: {conflict}"));
    }
    let (usage, more) = tenants::usage(&host, tenants, args)?;
    notes.extend(more);
    let request = input::request(args)?;
    let options = Options { all: args.all, ..Options::default() };
    let domain = args.domain.as_deref().map(sources::text).transpose()?;
    let mut answer = match recommend(Question::new(&host, &usage, &request).with(&options)) {
        Ok(answer) => answer,
        Err(refusal) => {
            let changes = smallest_changes(Question::new(&host, &usage, &request).with(&options));
            let text = match args.format {
                Format::Json => json::refusal(&refusal, &changes) + "\n",
                Format::Text | Format::Xml => {
                    let text = explain_refusal(&host, &request, &refusal, Some(&changes));
                    // Requests of who is there are not known here, so nobody can be placed anew.
                    let advice = rebalance(Question::new(&host, &usage, &request).with(&options), &[]);
                    let advice =
                        advice.map_or_else(|_| String::new(), |a| explain_advice(&host, &a));
                    said(&notes) + &text + &advice
                }
            };
            return Ok((NOTHING_FITS, refused(args.format, text)));
        }
    };
    if let Some(style) = args.style {
        let only = |ranked: &pinwise::Ranked| ranked.placement.style == style;
        let chosen = match style {
            Style::Default => answer.baseline.take().into_iter().collect(),
            _ => answer.ranked.iter().filter(|ranked| only(ranked)).cloned().collect::<Vec<_>>(),
        };
        if chosen.is_empty() {
            let refusal = pinwise::Infeasible {
                rejected: answer.rejected.into_iter().filter(|r| r.style == style).collect(),
            };
            let text = match args.format {
                Format::Json => json::refusal(&refusal, &[]) + "\n",
                Format::Text | Format::Xml => {
                    said(&notes) + &explain_refusal(&host, &request, &refusal, None)
                }
            };
            return Ok((NOTHING_FITS, refused(args.format, text)));
        }
        answer.ranked = chosen;
    }
    let placement = &answer.best().placement;
    let text = match args.format {
        Format::Json => {
            json::recommendation_on(Question::new(&host, &usage, &request), &conflicts, &notes, &answer)
                + "\n"
        }
        Format::Xml => xml(placement, domain.as_deref())?,
        Format::Text => {
            let mut text = String::new();
            if embedded {
                text += "Host: the embedded fixture hgx-h200-snc2 (synthetic). For this machine: \
                         --host live; for another: --host FILE|DIR.\n\n";
            }
            for conflict in conflicts {
                text += &format!("Conflict: {conflict}.\n");
            }
            text += &said(&notes);
            text += &explain(Question::new(&host, &usage, &request).with(&options), &answer);
            text + "\n" + &xml(placement, domain.as_deref())?
        }
    };
    Ok((0, text))
}

/// What the readers left out, replaced or did not find.
fn said(notes: &[String]) -> String {
    notes.iter().map(|note| format!("Note: {note}.\n")).collect()
}

/// XML is for other programs: a refusal is not XML, so it goes where people read.
fn refused(format: Format, text: String) -> String {
    if format == Format::Xml {
        eprint!("{text}");
        return String::new();
    }
    text
}

fn xml(placement: &Placement, domain: Option<&str>) -> Result<String, String> {
    match domain {
        Some(domain) => {
            pinwise_discover::libvirt::patch(placement, domain).map_err(|e| format!("--domain: {e}"))
        }
        None => emit::libvirt::fragments(placement).map_err(|e| e.to_string()),
    }
}
