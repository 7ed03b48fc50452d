//! Near misses: a slightly smaller VM that would be on one node, or in one L3 domain.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::profile::{L3Use, count};
use crate::engine::recommend::{Ranked, recommend};
use crate::engine::search::{Inventory, Pages, host_for};
use crate::question::Question;
use crate::request::RequestSpec;
use crate::units::{Bytes, NodeId};

/// A miss is near if no more than one part in this many is missing. Chosen by us.
const PARTS: u64 = 6;

/// The largest number of smaller VMs that are asked for until one is on one node.
const MAX_ASKED: usize = 8;

/// What a placement misses, and how much smaller the VM would have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "near_miss", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum NearMiss {
    /// The VM spans nodes or is away from its GPUs, and a smaller one would be on one node, with
    /// its GPUs if it has any.
    OneNode {
        /// The node.
        node: NodeId,
        /// The number of GPUs of the VM, all on that node.
        gpus: u32,
        /// The number of vCPUs too many.
        vcpus: u32,
        /// The memory that is too much.
        memory: Bytes,
    },
    /// The VM's cores on a node are in several L3 domains.
    L3Domains {
        /// The node.
        node: NodeId,
        /// The number of the VM's cores on the node.
        cores: u32,
        /// The number of L3 domains that these are in.
        domains: u32,
        /// The largest number of cores that one domain of the node has free for the VM.
        fit: u32,
        /// The number of vCPUs too many for one domain, if that is a near miss.
        vcpus: Option<u32>,
    },
}

/// What the placement misses by at most a sixth of its vCPUs and memory, and the L3 domains that it
/// spans. Each smaller VM was asked for: its best placement of the same style is on one node, or in
/// one domain; its best of any style, if the placement shows cells. Empty for VMs whose vCPUs
/// float.
#[must_use]
pub fn near_misses(question: Question<'_>, ranked: &Ranked) -> Vec<NearMiss> {
    let profile = &ranked.profile;
    if !profile.dedicated || profile.nodes == 0 {
        return Vec::new();
    }
    let host = host_for(question.host, question.usage, question.request);
    let with_gpus = Question { host: &host, ..question };
    let Ok(inventory) = Inventory::new(with_gpus) else { return Vec::new() };
    one_node(question, ranked, &inventory)
        .into_iter()
        .chain(l3_domains(question, ranked, &inventory))
        .collect()
}

/// The smallest loss that brings the VM onto one node.
fn one_node(
    question: Question<'_>,
    ranked: &Ranked,
    inventory: &Inventory<'_>,
) -> Option<NearMiss> {
    let profile = &ranked.profile;
    if profile.nodes == 1 && !profile.lent && profile.gpus_remote == 0 {
        return None;
    }
    let (host, spec) = (question.host, question.request.spec());
    let of_gpus: BTreeSet<_> = ranked.placement.gpus().map(|gpu| gpu.node).collect();
    if of_gpus.len() > 1 || of_gpus.contains(&None) {
        return None;
    }
    let threads = profile.threads;
    let mut losses = Vec::new();
    for (at, node) in host.nodes().iter().enumerate() {
        if of_gpus.iter().flatten().any(|of| *of != node.id) {
            continue;
        }
        let bytes =
            |pages: &Pages| pages.free[at].min(pages.needed).saturating_mul(pages.size.bytes());
        let memory = inventory.pages.iter().map(bytes).max().unwrap_or(0);
        let less = spec.memory.0.saturating_sub(memory);
        for stock in inventory.stocks.iter().filter(|stock| stock.way.dedicated) {
            let room = stock.room(at, threads).saturating_mul(u64::from(threads));
            let fewer = u64::from(spec.vcpus).saturating_sub(room);
            let near = fewer <= u64::from(spec.vcpus) / PARTS && less <= spec.memory.0 / PARTS;
            if near && (fewer > 0 || less > 0) {
                losses.push((fewer, less));
            }
        }
    }
    losses.sort_unstable();
    losses.dedup();
    losses.into_iter().take(MAX_ASKED).find_map(|(fewer, less)| {
        let (vcpus, memory) = (u32::try_from(fewer).ok()?, Bytes(less));
        let smaller = smaller(question, ranked, |spec| {
            spec.vcpus -= vcpus;
            spec.memory = Bytes(spec.memory.0 - less);
        })?;
        let stays = smaller.profile.nodes == 1
            && !smaller.profile.lent
            && (smaller.profile.gpus == 0 || smaller.profile.gpus_local());
        let node = smaller.placement.nodes().first().filter(|_| stays)?;
        Some(NearMiss::OneNode { node, gpus: smaller.profile.gpus, vcpus, memory })
    })
}

/// The node on which the VM's cores are in the most L3 domains, if these are several.
fn l3_domains(
    question: Question<'_>,
    ranked: &Ranked,
    inventory: &Inventory<'_>,
) -> Option<NearMiss> {
    let profile = &ranked.profile;
    if profile.l3 <= L3Use::One {
        return None;
    }
    let host = question.host;
    let mut on: BTreeMap<NodeId, (BTreeSet<_>, BTreeSet<_>)> = BTreeMap::new();
    for core in ranked.placement.vcpu_pcpus().iter().filter_map(|pcpu| host.core_of(pcpu)) {
        let (cores, domains) = on.entry(core.node).or_default();
        cores.insert(core.id);
        domains.insert((core.id.package, core.l3));
    }
    let several = on.iter().filter(|(_, (_, domains))| domains.len() > 1);
    let most = several.max_by_key(|(node, (_, domains))| (domains.len(), std::cmp::Reverse(*node)));
    let (node, (cores, domains)) = most?;
    let at = host.node_index(*node)?;
    let dedicated = || inventory.stocks.iter().filter(|stock| stock.way.dedicated);
    let stock = dedicated().find(|stock| stock.way.whole == profile.whole_cores);
    let fit = stock.or(dedicated().next())?.largest_domain(at, profile.threads);
    let fit = u32::try_from(fit).unwrap_or(u32::MAX);
    let spec = question.request.spec();
    let fewer = spec.vcpus.saturating_sub(fit.saturating_mul(profile.threads));
    let near = on.len() == 1 && fewer > 0 && u64::from(fewer) <= u64::from(spec.vcpus) / PARTS;
    let is_one = || {
        let smaller = smaller(question, ranked, |spec| spec.vcpus -= fewer);
        smaller.is_some_and(|smaller| smaller.profile.l3 == L3Use::One)
    };
    Some(NearMiss::L3Domains {
        node: *node,
        cores: count(cores.len()),
        domains: count(domains.len()),
        fit,
        vcpus: (near && is_one()).then_some(fewer),
    })
}

/// The smaller VM's best placement of the same style; of any style if the placement shows cells.
fn smaller(
    question: Question<'_>,
    ranked: &Ranked,
    change: impl FnOnce(&mut RequestSpec),
) -> Option<Ranked> {
    let mut spec = question.request.spec().clone();
    change(&mut spec);
    let request = spec.build().ok()?;
    let answer = recommend(Question { request: &request, ..question }).ok()?;
    let style = ranked.placement.style;
    let like = |other: &Ranked| style.shows_cells() || other.placement.style == style;
    answer.ranked.into_iter().find(like)
}
