//! How many VMs a second a kept fleet places: `cargo bench --features rayon --bench stream`, on as
//! many threads as RAYON_NUM_THREADS says. `-- HOSTS` measures one size.
//!
//! The hosts are of four models and hold VMs of the eight shapes of the stream until 85% of their
//! GPUs are held. Then every VM that is placed is followed by the departure of another one. All
//! shapes were asked for once before; the time of these first answers is given separately.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads the clock")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pinwise::fleet::{Ask, Fleet, FleetOptions, HostOrder};
use pinwise::{Host, Options, Question, Request, RequestSpec, Usage, recommend};
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

/// Cells and GPUs of each shape.
const STREAM: [(u32, u32); 8] = [(1, 0), (1, 1), (1, 1), (1, 2), (2, 0), (2, 2), (2, 4), (2, 8)];

fn named(shape: (u32, u32), name: &str) -> Request {
    RequestSpec { name: name.to_owned(), ..vm(shape.0, shape.1) }.build().expect("in range")
}

/// A usage in which VMs of the stream hold about 85% of the GPUs, and the names of the VMs.
fn filled(host: &Host, sequence: &mut Sequence) -> (Usage, Vec<String>) {
    let (mut usage, mut names, mut held) = (Usage::empty(host), Vec::new(), 0);
    let options = Options::default();
    // On average 85% of eight.
    let most = [5, 6, 7, 8, 8][sequence.below(5)];
    for number in 0..32 {
        let shape = STREAM[sequence.below(STREAM.len())];
        if held + shape.1 > most {
            continue;
        }
        let name = format!("old{number}");
        let request = named(shape, &name);
        let question = Question::new(host, &usage, &request).with(&options);
        let Ok(answer) = recommend(question) else { continue };
        let claim = answer.best().placement.claim();
        usage.claim(host, &name, claim).expect("it is free");
        names.push(name);
        held += shape.1;
    }
    (usage, names)
}

fn percentile(times: &[Duration], hundredths: usize) -> f64 {
    times[(times.len() - 1) * hundredths / 100].as_secs_f64() * 1e3
}

fn measure(size: usize) {
    let models: Vec<Arc<Host>> = SHAPES[..4].iter().map(|shape| Arc::new(shape.host())).collect();
    let mut sequence = Sequence(size as u64);
    let mut engine = Options::default();
    engine.packing_weight = 4000;
    let order = HostOrder::BestFit;
    let mut fleet = Fleet::new(FleetOptions { engine, order, ..FleetOptions::default() });
    let mut running: Vec<(usize, String)> = Vec::new();
    for at in 0..size {
        let host = &models[at % models.len()];
        let (usage, names) = filled(host, &mut sequence);
        let position = fleet
            .add(&format!("host{at}"), Arc::clone(host), usage, BTreeSet::new())
            .expect("names differ");
        running.extend(names.into_iter().map(|name| (position, name)));
    }
    let gpus = |free: bool| -> usize {
        let of = |at: usize| fleet.host(at).expect("it was added");
        let count = |at: usize| {
            let (host, usage) = (of(at).host(), of(at).usage());
            let is_free = |gpu: &&pinwise::host::Gpu| usage.holder_of(gpu.address).is_none();
            host.gpus().iter().filter(|gpu| !free || is_free(gpu)).count()
        };
        (0..size).map(count).sum()
    };
    let held = 100.0 - 100.0 * gpus(true) as f64 / gpus(false) as f64;
    let ask = Ask::default();
    let mut first = Vec::new();
    for shape in STREAM {
        let start = Instant::now();
        _ = black_box(fleet.best(&named(shape, "first"), &ask, 1));
        first.push(start.elapsed());
    }
    first.sort_unstable();
    let (mut times, mut refused) = (Vec::new(), 0);
    let count = 20_000;
    let all = Instant::now();
    for number in 0..count {
        let request = named(STREAM[sequence.below(STREAM.len())], &format!("new{number}"));
        let start = Instant::now();
        let placed = fleet.place(&request, &ask);
        let leaving = sequence.below(running.len());
        match placed {
            Ok(rank) => {
                let (host, name) = running.swap_remove(leaving);
                running.push((rank.host, request.spec().name.clone()));
                fleet.release(host, &name).expect("it runs there");
            }
            Err(_) => refused += 1,
        }
        times.push(start.elapsed());
    }
    let rate = f64::from(count) / all.elapsed().as_secs_f64();
    times.sort_unstable();
    println!(
        "{size:>7} hosts, {held:.0}% of GPUs held: {rate:>6.0} placements/s, median {:.3} ms, p99 \
         {:.3} ms, {refused} refused; a new shape {:.0} ms (median), {:.0} ms (slowest)",
        percentile(&times, 50),
        percentile(&times, 99),
        percentile(&first, 50),
        percentile(&first, 100),
    );
}

fn main() {
    let only = std::env::args().skip(1).find_map(|arg| arg.parse::<usize>().ok());
    for size in [1_000, 10_000, 100_000] {
        if only.is_none_or(|only| only == size) {
            measure(size);
        }
    }
}
