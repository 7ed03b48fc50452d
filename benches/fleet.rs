//! How long it takes to rank a fleet: `cargo bench --features rayon --bench fleet`, on as many
//! threads as RAYON_NUM_THREADS says. `-- HOSTS` measures one size; `-- HOSTS --once N` only ranks
//! N times; `--tenants N` gives each host up to N tenants, not 10; `--only 1c/0g` asks for these
//! VMs alone.
//!
//! The hosts are of four models; each has tenants of its own, so that hardly two are in the same
//! state.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use pinwise::fleet::{FleetHost, FleetOptions, HostOrder, rank};
use pinwise::units::PcpuId;
use pinwise::usage::PageClaim;
use pinwise::{Claim, Host, PageSize, PciAddr, Usage};
use pinwise_testkit::shapes::{SHAPES, vm};

/// A fixed sequence.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % n as u64).expect("below n")
    }
}

/// Up to `most` VMs of 2 to 16 whole cores on one node each, 4 GiB a core, some with GPUs of their
/// node.
fn tenants(host: &Host, sequence: &mut Sequence, most: usize) -> Usage {
    let mut usage = Usage::empty(host);
    for number in 0..sequence.below(most + 1) {
        let node = &host.nodes()[sequence.below(host.nodes().len())];
        let free = |cpus: &[PcpuId]| !cpus.iter().any(|cpu| usage.dedicated().contains(*cpu));
        let cores = host.cores().iter().filter(|core| core.node == node.id && free(&core.pcpus));
        let wanted = 2 << sequence.below(4);
        let cores: Vec<&Vec<PcpuId>> = cores.map(|core| &core.pcpus).take(wanted).collect();
        let gpus = host.gpus().iter().filter(|gpu| gpu.node == Some(node.id));
        let gpus = gpus.filter(|gpu| usage.holder_of(gpu.address).is_none());
        let devices: Vec<PciAddr> = gpus.map(|gpu| gpu.address).take(sequence.below(3)).collect();
        let (size, count) = (PageSize::MIB_2, cores.len() as u64 * 2048);
        let claim = Claim {
            dedicated: cores.iter().flat_map(|cpus| cpus.iter().copied()).collect(),
            pages: vec![PageClaim { node: Some(node.id), page_size: size, count }],
            devices,
            ..Claim::default()
        };
        // A node without room for it goes without.
        _ = usage.claim(host, &format!("vm{number}"), claim);
    }
    usage
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |at: usize| args.get(at).and_then(|arg| arg.parse::<usize>().ok());
    let option = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| number(at + 1));
    let (once, most) = (option("--once"), option("--tenants").unwrap_or(10));
    let models: Vec<Host> = SHAPES[..4].iter().map(|shape| shape.host()).collect();
    let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1));
    for size in [1_000, 10_000, 100_000] {
        if number(0).is_some_and(|only| only != size) {
            continue;
        }
        let mut sequence = Sequence(size as u64);
        let fleet: Vec<FleetHost<&Host>> = (0..size)
            .map(|at| {
                let host = &models[at % models.len()];
                FleetHost::new(host, tenants(host, &mut sequence, most))
            })
            .collect();
        for (cells, gpus) in [(1, 0), (2, 0), (1, 1), (1, 2), (2, 4), (2, 8)] {
            let wanted = format!("{cells}c/{gpus}g");
            if only.is_some_and(|only| *only != wanted) {
                continue;
            }
            for (name, bin) in [("best fit", HostOrder::BestFit), ("spread", HostOrder::Spread)] {
                let request = vm(cells, gpus).build().expect("in range");
                let options = FleetOptions { order: bin, ..FleetOptions::default() };
                let run = || rank(black_box(&fleet), &request, &options);
                if let Some(times) = once {
                    (0..times).for_each(|_| _ = black_box(run()));
                    continue;
                }
                let mut times: Vec<_> = (0..9)
                    .map(|_| {
                        let start = Instant::now();
                        _ = black_box(run());
                        start.elapsed().as_micros()
                    })
                    .collect();
                times.sort_unstable();
                let answer = run();
                let searched = answer.not_chosen.iter().filter(|host| host.searched).count();
                println!(
                    "{size:>7} hosts  {wanted}  {name:<9} {:>8} us  {} answered, {searched} \
                     searched beside them, {} not, {} refused",
                    times[times.len() / 2],
                    answer.ranked.len(),
                    answer.not_chosen.len() - searched,
                    answer.refused.len(),
                );
            }
        }
    }
}
