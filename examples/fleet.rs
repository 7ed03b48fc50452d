//! One VM and three hosts: which host it should go to, and what it would take there from later VMs.
//!
//! `cargo run --example fleet`

use std::error::Error;
use std::io::Write as _;

use pinwise::fleet::{FleetHost, FleetOptions, HostRefusal, rank};
use pinwise::json::read_host;
use pinwise::request::GpuRequest;
use pinwise::{Bytes, RequestSpec, Usage};

const HOSTS: [&str; 3] = [
    include_str!("../fixtures/hosts/i9-14900k.json"),
    include_str!("../fixtures/hosts/rtx-pro-6000.json"),
    include_str!("../fixtures/hosts/rtx-4090-nps4.json"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut fleet = Vec::new();
    for text in HOSTS {
        // Hosts of one model can share their topology, as `Arc<Host>` or `&Host`.
        let host = Box::new(read_host(text)?.build()?);
        let usage = Usage::empty(&host);
        fleet.push(FleetHost::new(host, usage));
    }
    let request = RequestSpec {
        gpus: GpuRequest::Count { count: 2, model: None },
        ..RequestSpec::new("vm1", 16, Bytes::from_gib(64))
    };
    let answer = rank(&fleet, &request.build()?, &FleetOptions::default());

    let mut out = std::io::stdout().lock();
    for (found, place) in answer.ranked.iter().zip(1..) {
        let (name, placement) = (fleet[found.host].host().name(), &found.best.placement);
        let (style, nodes, left) = (placement.style, placement.nodes(), found.remaining);
        let price = found.best.cost.price();
        writeln!(out, "{place}. {name}: {style} on node {nodes}, {} GPUs left", left.gpus)?;
        writeln!(out, "   takes {price} thousandths of a GPU from VMs that could still come")?;
    }
    for (host, why) in &answer.refused {
        let by_count = matches!(why, HostRefusal::Short(_));
        let how = if by_count { "by count alone" } else { "after a search" };
        writeln!(out, "-  {}: refused {how}", fleet[*host].host().name())?;
    }
    Ok(())
}
