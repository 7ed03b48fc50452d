//! Times: the median of many runs.

use std::time::{Duration, Instant};

/// Runs that are timed together take so long, so that reading the clock does not count.
const BATCH: Duration = Duration::from_micros(200);
/// A case is run for so long, and at least five times.
const PATIENCE: Duration = Duration::from_millis(100);

/// The median, in nanoseconds a run.
pub(crate) fn median(mut run: impl FnMut()) -> u64 {
    let warm = Instant::now();
    run();
    let first = warm.elapsed().max(Duration::from_nanos(100));
    let batch = (BATCH.as_nanos() / first.as_nanos()).max(1);
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < PATIENCE || times.len() < 5 {
        let begin = Instant::now();
        (0..batch).for_each(|_| run());
        times.push(begin.elapsed().as_nanos() / batch);
    }
    times.sort_unstable();
    u64::try_from(times[times.len() / 2]).expect("less than five hundred years")
}
