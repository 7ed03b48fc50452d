//! The best key that a host could have, from its free resources.

use std::ops::Deref;

use super::answer::{FleetOptions, HostOrder, Remaining};
use super::at_home;
use super::cheapest::cheapest;
use super::counted::Counted;
use super::key::{HostKey, RemainingOrder};
use super::member::FleetHost;
use super::upper_bound::UpperBound;
use crate::host::Host;
use crate::request::Request;

/// A bound of the key of the host at position `at`: the engine would choose no placement there with
/// a better key. `upper` is the bound of scores for VMs without devices, if it was computed.
pub(super) fn at_best<H: Deref<Target = Host>>(
    member: &FleetHost<H>,
    at: usize,
    request: &Request,
    options: &FleetOptions,
    upper: Option<&UpperBound>,
) -> HostKey {
    let FleetHost { host, counts, .. } = member;
    let FleetOptions { engine, order, .. } = options;
    let counted = match (order, upper) {
        (HostOrder::BestFit, Some(upper)) => at_home::best(member, request, engine, upper),
        (HostOrder::BestFit, None) => {
            let (packages, scattered, price) = cheapest(member, request, engine);
            Some(Counted { packages, scattered, price, ..Counted::nothing(host, request) })
        }
        _ => Some(Counted::nothing(host, request)),
    };
    // If no placement is possible, the host is searched last, for the reasons.
    let never = || Counted { unmet: usize::MAX, ..Counted::nothing(host, request) };
    let Counted { unmet, packages, scattered, price, score, pcpus } = counted.unwrap_or_else(never);
    let dedicated = request.spec().must_dedicate();
    let (fewest_gpus, most_gpus) = counts.gpus_taken(host, request);
    // If the most remaining is preferred, the bound is the remainder after the smallest VM.
    let (gpus, pcpus) = match order {
        HostOrder::Spread if dedicated => (fewest_gpus, u64::from(request.spec().vcpus)),
        HostOrder::Spread => (fewest_gpus, 0),
        HostOrder::BestFit | HostOrder::FirstFit => (most_gpus, pcpus.0),
    };
    let free = counts.in_all();
    let remaining =
        Remaining { gpus: free.gpus.saturating_sub(gpus), pcpus: free.pcpus.saturating_sub(pcpus) };
    let remaining = RemainingOrder::new(*order, remaining);
    HostKey { unmet, packages, scattered, price, score, remaining, host: at }.asked_by(*order)
}
