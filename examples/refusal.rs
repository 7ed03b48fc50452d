//! A VM that does not fit: which facts decide that, and what would make it fit.
//!
//! `cargo run --example refusal`

use std::error::Error;
use std::io::Write as _;

use pinwise::changes::smallest_changes;
use pinwise::explain::explain_refusal;
use pinwise::json::read_host;
use pinwise::request::GpuRequest;
use pinwise::{Bytes, Question, RequestSpec, Usage, recommend};

/// A workstation with one GPU.
const HOST: &str = include_str!("../fixtures/hosts/rtx-4080.json");

fn main() -> Result<(), Box<dyn Error>> {
    let host = read_host(HOST)?.build()?;
    let request = RequestSpec {
        gpus: GpuRequest::Count { count: 5, model: None },
        ..RequestSpec::new("too-many", 8, Bytes::from_gib(64))
    };
    let request = request.build()?;
    let usage = Usage::empty(&host);
    let question = Question::new(&host, &usage, &request);
    let Err(refusal) = recommend(question) else { return Err("five GPUs fit".into()) };

    // Facts are data; a program decides by them, and `explain_refusal` makes sentences.
    let facts: usize = refusal.rejected.iter().map(|rejection| rejection.facts.len()).sum();
    let changes = smallest_changes(question);
    let text = explain_refusal(&host, &request, &refusal, Some(&changes));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    writeln!(out, "{} styles refused by {facts} facts.", refusal.rejected.len())?;
    Ok(())
}
