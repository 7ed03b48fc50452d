//! The part of a bound that depends on free resources, and the counting that all bounds share.

use std::cmp::Reverse;

use super::counts::FreeCounts;
use crate::engine::Options;
use crate::engine::cost::{NodeRoom as SlotRoom, Slots};
use crate::host::Host;
use crate::host::limits::MAX_NODES;
use crate::request::Request;
use crate::usage::Usage;

/// A bound of the placements on a host; the best is the smallest: the engine would choose no
/// placement there that comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counted {
    pub(super) unmet: usize,
    pub(super) packages: u32,
    pub(super) scattered: bool,
    pub(super) price: i64,
    pub(super) score: Reverse<i64>,
    /// An upper bound of the number of pCPUs that the placement takes.
    pub(super) pcpus: Reverse<u64>,
}

impl Counted {
    /// The bound that holds on every host, without any counting.
    pub(super) fn nothing(host: &Host, request: &Request) -> Self {
        let pcpus = Reverse(most_pcpus(host, request, u64::from(request.spec().vcpus)));
        let score = Reverse(i64::MAX);
        Self { unmet: 0, packages: 1, scattered: false, price: 0, score, pcpus }
    }
}

/// The largest number of pCPUs that a VM on this many cores takes: all siblings of its cores, and
/// of the cores of its emulator threads.
pub(super) fn most_pcpus(host: &Host, request: &Request, cores: u64) -> u64 {
    let own = cores + u64::from(request.spec().emulator_pcpus);
    own.saturating_mul(host.derived().widest_core as u64)
}

/// The free slots, with `bytes` free on each node in pages that the request could use.
pub(super) fn slots<'h>(
    host: &'h Host,
    counts: &FreeCounts,
    usage: &Usage,
    request: &Request,
    options: &Options,
    bytes: &[u64; MAX_NODES],
) -> Slots<'h> {
    let places = &host.derived().gpu_places;
    let of_node = |at: usize| SlotRoom {
        gpus: u64::from((places.on_node[at] & counts.gpus).len()),
        cores: u64::from(counts.nodes[at].cores),
        bytes: bytes[at],
    };
    let (free, held) = (counts.gpus, &counts.held);
    let without = || counts.rooms_without_gpu_tenants(host, usage, request, bytes);
    Slots::new(host, of_node, free, held, options.expected(), without)
}
