//! Batches of VMs: a list of requests in order, or one request several times.

use std::collections::BTreeSet;
use std::ops::Deref;

use super::answer::{FleetAnswer, FleetOptions, HostRank, HostRefusal};
use super::member::FleetHost;
use super::rank::rank_some;
use crate::free::{gpus, virtual_gpus};
use crate::host::Host;
use crate::request::{Request, RequestError, RequestSpec};
use crate::sets::{CpuSet, NodeSet};
use crate::units::PackageId;
use crate::usage::Claim;

/// A part of the fleet that the VMs of a gang must not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[doc(alias = "anti-affinity")]
#[non_exhaustive]
pub enum AntiAffinity {
    /// Nothing: they may share a host and its packages.
    #[default]
    Nothing,
    /// A host: no two are on one host.
    Hosts,
    /// A package: no two are in one package of a host. Nodes that are not in exactly one package
    /// count as one package.
    Packages,
}

/// The reason why a VM of a list or a gang was not placed. Nothing was claimed for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// No host fits the VM.
    #[error("VM {name:?} fits on no host of the fleet")]
    NoHost {
        /// The VM's name.
        name: String,
        /// Every host that was tried, with the reason. Hosts that already hold a VM of the gang are
        /// left out if the VMs must be on different hosts.
        refused: Vec<(usize, HostRefusal)>,
    },
    /// The name for a VM of the gang is too long.
    #[error(transparent)]
    Name(#[from] RequestError),
    /// A tenant with this name is on the chosen host.
    #[error("a tenant {name:?} already exists on the chosen host")]
    NameTaken {
        /// The name.
        name: String,
    },
}

/// Places each request in turn on its best host and claims it there, so later ones see the claims
/// of earlier ones. A request that fits nowhere is skipped.
pub fn place_each<H>(
    hosts: &mut [FleetHost<H>],
    requests: &[Request],
    options: &FleetOptions,
) -> Vec<Result<HostRank, BatchError>>
where
    H: Deref<Target = Host> + Sync,
{
    requests.iter().map(|request| place(hosts, request, |_| true, options)).collect()
}

/// Places the same request `count` times, with `-0`, `-1`, … appended to its name, and claims all
/// of it or, if one VM fits nowhere, nothing.
///
/// VMs that must be in different packages are placed one after the other, with the packages of
/// earlier ones counted as taken. In another order more might fit; orders are not searched.
///
/// # Errors
/// [`BatchError`] for the first VM without a place. In this case no host has changed.
pub fn place_gang<H>(
    hosts: &mut [FleetHost<H>],
    request: &Request,
    count: usize,
    apart: AntiAffinity,
    options: &FleetOptions,
) -> Result<Vec<HostRank>, BatchError>
where
    H: Deref<Target = Host> + Sync,
{
    let mut placed: Vec<HostRank> = Vec::new();
    let mut barred: Vec<(usize, String)> = Vec::new();
    let mut failed = None;
    for number in 0..count {
        let name = format!("{}-{number}", request.spec().name);
        let named = RequestSpec { name, ..request.spec().clone() }.build();
        let taken: BTreeSet<usize> = placed.iter().map(|rank| rank.host).collect();
        let open = |at: usize| apart != AntiAffinity::Hosts || !taken.contains(&at);
        let rank = named.map_err(BatchError::from).and_then(|r| place(hosts, &r, open, options));
        match rank {
            Ok(rank) => {
                if apart == AntiAffinity::Packages {
                    barred.push((rank.host, bar(&mut hosts[rank.host], &rank)));
                }
                placed.push(rank);
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    for (at, bar) in barred {
        hosts[at].release(&bar).expect("what bars a package was claimed above");
    }
    let Some(error) = failed else { return Ok(placed) };
    for rank in placed {
        let released = hosts[rank.host].release(&rank.best.placement.name);
        released.expect("a VM of the gang was claimed above");
    }
    Err(error)
}

fn place<H>(
    hosts: &mut [FleetHost<H>],
    request: &Request,
    open: impl Fn(usize) -> bool + Sync,
    options: &FleetOptions,
) -> Result<HostRank, BatchError>
where
    H: Deref<Target = Host> + Sync,
{
    let asked = |at| open(at).then_some(request);
    let FleetAnswer { ranked, refused, .. } = rank_some(hosts, asked, options, 1);
    let name = request.spec().name.clone();
    let Some(rank) = ranked.into_iter().next() else {
        return Err(BatchError::NoHost { name, refused });
    };
    match hosts[rank.host].claim(&name, rank.best.placement.claim()) {
        Ok(()) => Ok(rank),
        // A placement takes only free resources, so only the name can conflict.
        Err(_) => Err(BatchError::NameTaken { name }),
    }
}

/// Claims all free resources in the packages of a placement, under a name that no tenant has, so
/// that the next VM of the gang gets nothing there.
fn bar<H: Deref<Target = Host>>(member: &mut FleetHost<H>, rank: &HostRank) -> String {
    let host = member.host();
    let package = |id| host.node(id).and_then(|node| node.package);
    let packages: BTreeSet<Option<PackageId>> =
        rank.best.placement.nodes().iter().map(package).collect();
    let of_packages = host.nodes().iter().filter(|node| packages.contains(&node.package));
    let (mut nodes, mut dedicated) = (NodeSet::new(), CpuSet::new());
    for node in of_packages {
        nodes.insert(node.id);
        dedicated.extend(&node.cpus);
    }
    let gpus = gpus::unheld(host, member.usage()).iter().map(|at| &host.gpus()[at]);
    let virtual_gpus = virtual_gpus::free(host, member.usage());
    let gpus = gpus.map(|gpu| (gpu.address, gpu.node));
    let all = gpus.chain(virtual_gpus.map(|device| (device.address, device.node)));
    let inside = all.filter(|(_, node)| node.is_some_and(|node| nodes.contains(node)));
    let devices = inside.map(|(address, _)| address).collect();
    let claim = Claim {
        dedicated: dedicated.difference(member.usage().dedicated()),
        devices,
        ..Claim::default()
    };
    // A requested VM cannot have a slash in its name; a tenant from elsewhere might.
    let taken = |name: &String| member.usage().tenants().any(|(tenant, _)| tenant == name);
    let mut names = (0_u64..).map(|n| format!("/apart/{n}"));
    let name = names.find(|name| !taken(name)).unwrap_or_default();
    member.claim(&name, claim).expect("only what is free is claimed");
    name
}
