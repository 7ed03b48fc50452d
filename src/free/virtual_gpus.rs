//! Free virtual functions of GPUs (SR-IOV), and those of them that a request may be given.
//!
//! A virtual function is free if nobody holds it, its physical function or a function of its IOMMU
//! group. A request for a number of them is answered on a copy of the host whose list of GPUs has
//! at most 64 of them ([`Host::with_gpus`]).
//!
//! # Why a few suffice
//! The free virtual functions of one card on one node are interchangeable: they have one node, one
//! bridge, one model and no links. So a set is a number per card, and a request for n of them needs
//! no more than the n lowest free addresses of each card. If a card with a healthy link has n of
//! them free, its node offers n functions of one card, the one with the fewest free ones that
//! suffice: other cards stay whole for others (ours). The path between functions of one card is the
//! shortest, and they share the card's switch. From this card come those of sets over several
//! nodes, too.
//!
//! If no card of a node has n, all its cards offer theirs, those with healthy links first and those
//! below a switch that has n together before others, until the node's part of the 64 is used up. A
//! request may ask for at most 8 by number (ours), so that hosts with virtual functions on up to
//! eight nodes can offer n on each. Where some card offers fewer than it could, the answer says
//! that the search was cut.
//!
//! [`Host::with_gpus`]: crate::host::Host::with_gpus

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::devices::{bundle, holder, may_be_parent};
use super::gpus::is_model;
use crate::host::limits::MAX_GPUS;
use crate::host::pcie::{DeviceKind, PciDevice};
use crate::host::{Gpu, Host};
use crate::request::{GpuRequest, Request};
use crate::units::{NodeId, PciAddr};
use crate::usage::Usage;

/// The virtual functions that a request for a number of them may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    /// At most 64 free ones that match.
    pub(crate) functions: Vec<PciAddr>,
    /// Whether each node offers all that could make a set better.
    pub(crate) complete: bool,
    /// The number of free ones that match.
    pub(crate) free: u32,
    /// The number that match, free or not.
    pub(crate) total: u32,
    /// The number of matching ones that are not given by number, as a tenant may hold a share of
    /// them.
    pub(crate) unsure: u32,
}

/// The host on which the search answers the request: the host itself, or one whose list of GPUs has
/// the virtual functions that the request may be given.
pub(crate) fn host_for<'a>(host: &'a Host, usage: &Usage, request: &Request) -> Cow<'a, Host> {
    let spec = request.spec();
    match &spec.gpus {
        GpuRequest::VfOf { count, model } if *count > 0 => {
            let offered = offered(host, usage, *count, model.as_deref(), &spec.devices);
            Cow::Owned(host.with_gpus(&offered.functions))
        }
        GpuRequest::Addresses(named) if named.iter().any(|at| is_virtual_gpu(host, *at)) => {
            Cow::Owned(host.with_gpus(named))
        }
        _ => Cow::Borrowed(host),
    }
}

/// Whether the function is a virtual function of a GPU.
pub(crate) fn is_virtual_gpu(host: &Host, address: PciAddr) -> bool {
    host.pci().get(address).is_some_and(is_virtual)
}

fn is_virtual(device: &PciDevice) -> bool {
    device.kind() == DeviceKind::Gpu && device.physical_function.is_some()
}

/// The virtual functions of one card that a request may be given.
struct Card {
    physical: PciAddr,
    node: Option<NodeId>,
    switch: Option<PciAddr>,
    degraded: bool,
    /// The free ones, lowest address first; at most as many as one request takes.
    free: Vec<PciAddr>,
    /// The number of all free ones.
    total: usize,
}

/// The virtual functions for a request for `count` of them that names `model` (or none) and
/// `devices` besides.
pub(crate) fn offered(
    host: &Host,
    usage: &Usage,
    count: u32,
    model: Option<&str>,
    devices: &[PciAddr],
) -> Offered {
    let mut all = Offered { functions: Vec::new(), complete: true, free: 0, total: 0, unsure: 0 };
    let unnamed = usage.unnamed_shares().next().is_some();
    let mut cards: BTreeMap<(PciAddr, Option<NodeId>), Card> = BTreeMap::new();
    for device in host.pci().devices().iter().filter(|device| is_virtual(device)) {
        let physical = device.physical_function.unwrap_or(device.address);
        if !matches(host, device, model) {
            continue;
        }
        all.total += 1;
        if unnamed && may_be_parent(host, device.address) {
            all.unsure += 1;
            continue;
        }
        let own = device.address;
        if holder(host, usage, own).is_some()
            || devices.iter().any(|at| *at == own || *at == physical)
        {
            continue;
        }
        all.free += 1;
        let card = cards.entry((physical, device.node)).or_insert_with(|| Card {
            physical,
            node: device.node,
            switch: host.pci().switch_of(own),
            degraded: host.pci().degraded_link(own).is_some(),
            free: Vec::new(),
            total: 0,
        });
        // Functions of one IOMMU group go together, so one of them stands for the group.
        let withheld = card.free.iter().any(|given| bundle(host, *given).contains(&own));
        if !withheld {
            card.free.push(own);
        }
    }
    let mut cards: Vec<Card> = cards.into_values().collect();
    for card in &mut cards {
        card.total = card.free.len();
        card.free.truncate(count as usize);
    }
    (all.functions, all.complete) = chosen(cards, count as usize);
    all
}

/// At most 64 functions of these cards, as the head of this file explains, by address; and whether
/// each node offers all that it needs to.
fn chosen(mut cards: Vec<Card>, count: usize) -> (Vec<PciAddr>, bool) {
    let mut on_switch: BTreeMap<(Option<NodeId>, Option<PciAddr>), usize> = BTreeMap::new();
    for card in cards.iter().filter(|card| card.switch.is_some()) {
        *on_switch.entry((card.node, card.switch)).or_default() += card.free.len();
    }
    cards.sort_by_key(|card| {
        let whole_switch = on_switch.get(&(card.node, card.switch)).is_some_and(|n| *n >= count);
        let few = card.free.len() < count;
        let fit = if few { usize::MAX - card.total } else { card.total };
        (card.node, card.degraded, few, !whole_switch, card.switch, fit, card.physical)
    });
    let of_nodes = || cards.chunk_by(|a, b| a.node == b.node);
    let part = MAX_GPUS / of_nodes().count().max(1);
    let (mut functions, mut complete) = (Vec::new(), true);
    for of_node in of_nodes() {
        let suffices = |card: &&Card| card.free.len() >= count && !card.degraded;
        let offering =
            if of_node.first().is_some_and(|c| suffices(&c)) { 1 } else { of_node.len() };
        let mut own = of_node[..offering].iter().flat_map(|card| card.free.iter().copied());
        functions.extend(own.by_ref().take(part));
        complete &= own.next().is_none();
    }
    functions.sort_unstable();
    (functions, complete)
}

/// Whether the function or its physical function is of the model.
fn matches(host: &Host, device: &PciDevice, model: Option<&str>) -> bool {
    let physical = device.physical_function.and_then(|physical| host.pci().get(physical));
    let Some(model) = model else { return !host.pci().is_integrated(device.address) };
    let of_model = |device: &PciDevice| is_model(&Gpu::of(host.pci(), device), host, model);
    of_model(device) || physical.is_some_and(of_model)
}

/// The free virtual functions of GPUs.
pub(crate) fn free<'a>(host: &'a Host, usage: &'a Usage) -> impl Iterator<Item = &'a PciDevice> {
    let all = host.pci().devices().iter().filter(|device| is_virtual(device));
    all.filter(|device| holder(host, usage, device.address).is_none())
}

/// The number of virtual functions of GPUs on each node that VMs can have one by one.
pub(crate) fn free_on_nodes(host: &Host, usage: &Usage) -> Vec<u64> {
    let mut on_node = vec![0_u64; host.nodes().len()];
    if !host.pci().devices().iter().any(is_virtual) {
        return on_node;
    }
    // Groups are disjoint: the lowest function of each stands for it.
    let unnamed = usage.unnamed_shares().next().is_some();
    for device in host.pci().devices().iter().filter(|device| is_virtual(device)) {
        let own = device.address;
        let bundle = bundle(host, own);
        let first = bundle.iter().filter(|member| is_virtual_gpu(host, **member)).min();
        let at = device.node.and_then(|node| host.node_index(node));
        let is_free = holder(host, usage, own).is_none() && !(unnamed && may_be_parent(host, own));
        if let Some(at) = at.filter(|_| first == Some(&own) && is_free) {
            on_node[at] += 1;
        }
    }
    on_node
}
