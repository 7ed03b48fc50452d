//! Placements whose GPUs need not be on the VM's nodes, but may not be anywhere either: they must
//! be in the packages of these nodes, or on nodes that are unknown.
//!
//! A request can require or prefer GPUs on the VM's nodes. Policies in between are checked on
//! answers: hosts are ranked for the request that prefers local GPUs, and a host whose best
//! placement has a GPU too far away is skipped. A host whose second best placement would do is
//! missed.
//!
//! A VM that fits in one package is not missed. For it, each package of each host is ranked as a
//! host of its own, with a placeholder tenant that holds everything outside.

use std::collections::BTreeSet;

use pinwise::fleet::{FleetHost, FleetOptions, HostRank, rank_by};
use pinwise::host::Node;
use pinwise::units::PackageId;
use pinwise::{Claim, CpuSet, Host, Placement, Request};

use super::vm::Near;

/// The tenant that holds everything outside of a package. Names of VMs have no slash, so none of
/// them collides.
const OUTSIDE: &str = "/outside";

/// The best host whose best placement has its GPUs near enough, and the number of hosts that were
/// tried. `ask` gives the request for each host by its position.
pub(super) fn best<'r>(
    fleet: &[FleetHost<&Host>],
    ask: impl Fn(usize) -> Option<&'r Request> + Sync,
    near: Near,
    options: &FleetOptions,
) -> (Option<HostRank>, usize) {
    match near {
        Near::AsAsked => among(fleet, &ask, options, |_, _| true),
        Near::WhereKnown => among(fleet, &ask, options, |host, placement| {
            let nodes = placement.nodes();
            placement.gpus().all(|gpu| {
                let node = host.gpu(gpu.address).and_then(|gpu| gpu.node);
                node.is_none_or(|node| nodes.contains(node))
            })
        }),
        Near::InPackage => {
            let (inside, tried) = in_one_package(fleet, &ask, options);
            if inside.is_some() {
                return (inside, tried);
            }
            let (across, more) = among(fleet, &ask, options, shares_packages);
            (across, tried + more)
        }
    }
}

/// The best host whose best placement is acceptable, and the number of hosts that were tried. If
/// none of the answered ones is, all hosts are tried.
fn among<'r>(
    fleet: &[FleetHost<&Host>],
    ask: &(impl Fn(usize) -> Option<&'r Request> + Sync),
    options: &FleetOptions,
    is_right: impl Fn(&Host, &Placement) -> bool,
) -> (Option<HostRank>, usize) {
    let mut answers = options.answers;
    loop {
        let answer = rank_by(fleet, ask, &FleetOptions { answers, ..options.clone() });
        let searched = answer.not_chosen.iter().filter(|host| host.searched).count();
        let tried = answer.ranked.len() + searched + answer.refused.len();
        let all = answer.not_chosen.is_empty();
        let right = |rank: &HostRank| is_right(fleet[rank.host].host(), &rank.best.placement);
        let found = answer.ranked.into_iter().find(right);
        if found.is_some() || all {
            return (found, tried);
        }
        answers = usize::MAX;
    }
}

/// The best placement inside one package of its host, and the number of packages that were tried.
/// Each package of each host is ranked as a host of its own.
fn in_one_package<'r>(
    fleet: &[FleetHost<&Host>],
    ask: &(impl Fn(usize) -> Option<&'r Request> + Sync),
    options: &FleetOptions,
) -> (Option<HostRank>, usize) {
    let (mut parts, mut of) = (Vec::new(), Vec::new());
    for (at, member) in fleet.iter().enumerate().filter(|(at, _)| ask(*at).is_some()) {
        let packages: BTreeSet<_> = member.host().nodes().iter().map(|node| node.package).collect();
        for package in packages {
            let mut part = member.clone();
            let rest = outside(member, package);
            if part.claim(OUTSIDE, rest).is_ok() {
                parts.push(part);
                of.push(at);
            }
        }
    }
    let (found, tried) = among(&parts, &|part: usize| ask(of[part]), options, shares_packages);
    let found = found.map(|mut rank| {
        rank.host = of[rank.host];
        rank
    });
    (found, tried)
}

/// The claim of all free resources outside a package. GPUs on unknown nodes are outside of every
/// package.
fn outside(member: &FleetHost<&Host>, package: Option<PackageId>) -> Claim {
    let (host, usage) = (member.host(), member.usage());
    let mut dedicated = CpuSet::new();
    let others = host.nodes().iter().filter(|node| node.package != package);
    others.for_each(|node| dedicated.extend(&node.cpus));
    let is_outside = |node: Option<&Node>| node.is_none_or(|node| node.package != package);
    let gpus = host.gpus().iter().filter(|gpu| is_outside(gpu.node.and_then(|id| host.node(id))));
    let free = gpus.map(|gpu| gpu.address).filter(|gpu| usage.holder_of(*gpu).is_none());
    let dedicated = dedicated.difference(usage.dedicated());
    Claim { dedicated, devices: free.collect(), ..Claim::default() }
}

/// Whether every GPU is in a package of one of the VM's nodes.
fn shares_packages(host: &Host, placement: &Placement) -> bool {
    let package = |id| host.node(id).and_then(|node| node.package);
    let packages: BTreeSet<PackageId> = placement.nodes().iter().filter_map(package).collect();
    placement.gpus().all(|gpu| {
        let node = host.gpu(gpu.address).and_then(|gpu| gpu.node);
        node.and_then(package).is_some_and(|package| packages.contains(&package))
    })
}
