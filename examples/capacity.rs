//! How many more VMs of a shape fit on a host, before and after one is placed.
//!
//! `cargo run --example capacity`

use std::error::Error;
use std::io::Write as _;

use pinwise::capacity::{Capacity, Shape, capacity};
use pinwise::json::read_host;
use pinwise::request::GpuRequest;
use pinwise::{Bytes, PageSize, Question, RequestSpec, Usage, recommend};

const HOST: &str = include_str!("../fixtures/hosts/hgx-h200-snc2.json");

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let host = read_host(HOST)?.build()?;
    let mut usage = Usage::empty(&host);
    // A VM of one cell with two GPUs, all on one node; two of them fit one node of this host.
    let pair = Shape { gpus: 2, ..Shape::new(1, 10, Bytes::from_gib(200), PageSize::GIB_1) };
    writeln!(out, "empty: {} VMs with two GPUs", shown(capacity(&host, &usage, &pair)))?;

    let request = RequestSpec {
        gpus: GpuRequest::Count { count: 1, model: None },
        ..RequestSpec::new("single", 8, Bytes::from_gib(64))
    };
    let request = request.build()?;
    let answer = recommend(Question::new(&host, &usage, &request))?;
    usage.claim(&host, "single", answer.best().placement.claim())?;
    let after = shown(capacity(&host, &usage, &pair));
    writeln!(out, "with one VM of one GPU: {after} VMs with two GPUs")?;
    Ok(())
}

/// A number, or its bounds where the search met its limit.
fn shown(capacity: Capacity) -> String {
    match capacity.exact() {
        Some(vms) => vms.to_string(),
        None => format!("{} to {}", capacity.at_least(), capacity.at_most()),
    }
}
