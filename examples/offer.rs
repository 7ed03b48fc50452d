//! Two schedulers, one host: each computes on its own copy of the usage, and of two that want the
//! same the second learns who was first.
//!
//! `cargo run --example offer`

use std::error::Error;
use std::io::Write as _;

use pinwise::json::read_host;
use pinwise::usage::{Offer, OfferError};
use pinwise::{Bytes, Host, Question, RequestSpec, Usage, recommend};

/// A desktop with one node.
const HOST: &str = include_str!("../fixtures/hosts/i9-14900k.json");

/// The best placement against a copy of the usage, as an offer. This takes milliseconds and no
/// lock.
fn offer(host: &Host, seen: &Usage, name: &str) -> Result<Offer, Box<dyn Error>> {
    let request = RequestSpec::new(name, 8, Bytes::from_gib(16)).build()?;
    let question = Question::new(host, seen, &request);
    let answer = recommend(question)?;
    Ok(question.offer(&answer.best().placement))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let host = read_host(HOST)?.build()?;
    let mut usage = Usage::empty(&host);

    // Both see the host when it is empty, so both choose the best place.
    let (first, second) = (offer(&host, &usage, "first")?, offer(&host, &usage, "second")?);
    let accepted = usage.accept(&host, &first)?;
    writeln!(out, "first is accepted: generation {}", accepted.generation)?;

    // An offer is accepted or refused whole, under whatever lock guards the usage.
    match usage.accept(&host, &second) {
        Ok(_) => writeln!(out, "second is accepted too")?,
        Err(conflict @ OfferError::Taken { .. }) => {
            writeln!(out, "second is refused: {conflict}")?;
            let again = offer(&host, &usage, "second")?;
            let accepted = usage.accept(&host, &again)?;
            let cpus = &again.claim.dedicated;
            writeln!(out, "computed anew: pCPUs {cpus}, generation {}", accepted.generation)?;
        }
        Err(other) => return Err(other.into()),
    }
    Ok(())
}
