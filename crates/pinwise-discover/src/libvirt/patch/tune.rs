//! `<cputune>`: the pins of vCPUs, emulator and I/O threads. Only pins that are wrong are touched.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;

use super::edit::EditedText;
use super::parts::{child, insert, listed};
use super::problem::PatchError;
use crate::document::number;
use pinwise::emit::xml::Element;
use pinwise::placement::Placement;
use pinwise::sets::{CpuSet, VcpuSet};
use pinwise::units::{Id, VcpuId};

/// A pinned thread: libvirt writes them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thread {
    Vcpu(u32),
    Emulator,
    Io(u32),
}

impl Thread {
    /// The thread that a child of `<cputune>` pins; `None` if the child is not a pin.
    pub(super) fn of(node: Node<'_, '_>) -> Result<Option<Self>, PatchError> {
        let id = |name: &str| {
            let text = node.attribute(name).unwrap_or("");
            number(text.trim()).ok_or_else(|| PatchError::value("the number of a thread", text))
        };
        Ok(match node.tag_name().name() {
            "vcpupin" => Some(Self::Vcpu(id("vcpu")?)),
            "emulatorpin" => Some(Self::Emulator),
            "iothreadpin" => Some(Self::Io(id("iothread")?)),
            _ => None,
        })
    }

    const fn kind(self) -> u8 {
        match self {
            Self::Vcpu(_) => 0,
            Self::Emulator => 1,
            Self::Io(_) => 2,
        }
    }

    fn element(self, set: &CpuSet) -> Element {
        let pin = match self {
            Self::Vcpu(id) => Element::new("vcpupin").attr("vcpu", id),
            Self::Emulator => Element::new("emulatorpin"),
            Self::Io(id) => Element::new("iothreadpin").attr("iothread", id),
        };
        pin.attr("cpuset", set)
    }
}

/// The pins of a domain, as its XML states them.
pub(super) fn pins(root: Node<'_, '_>) -> Result<BTreeMap<Thread, CpuSet>, PatchError> {
    let mut pins = BTreeMap::new();
    let tune = child(root, "cputune")?;
    for node in tune.into_iter().flat_map(|tune| tune.children()).filter(Node::is_element) {
        if let (Some(thread), Some(set)) = (Thread::of(node)?, listed(node, "cpuset")) {
            // No domain has such a vCPU.
            if !matches!(thread, Thread::Vcpu(id) if id >= VcpuId::LIMIT) {
                pins.entry(thread).or_insert(set);
            }
        }
    }
    Ok(pins)
}

/// The reasons for other pins.
pub(super) struct Reasons {
    pub(super) vcpus: String,
    pub(super) others: String,
}

/// Whether all vCPUs float on the one set that `<vcpu>` names, so that they need no pins.
fn says_it_all(root: Node<'_, '_>, placement: &Placement) -> Result<bool, PatchError> {
    let area: Option<CpuSet> = child(root, "vcpu")?.and_then(|node| listed(node, "cpuset"));
    let one = |area: &CpuSet| placement.vcpus.iter().all(|set| set == area);
    Ok(placement.style.floats() && area.as_ref().is_some_and(one))
}

/// Sets the pins; `ids` are the ids of the I/O threads.
pub(super) fn patch(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
    ids: &[u32],
    reasons: &Reasons,
) -> Result<(), PatchError> {
    let said = says_it_all(root, placement)?;
    let vcpus = placement.vcpus.iter().zip(0..).filter(|_| !said);
    let vcpus = vcpus.map(|(set, id)| (Thread::Vcpu(id), set));
    let io = placement.iothreads.iter().zip(ids).map(|(set, id)| (Thread::Io(*id), set));
    let all = vcpus.chain([(Thread::Emulator, &placement.emulator)]).chain(io);
    let wanted: BTreeMap<Thread, &CpuSet> = all.filter(|(_, set)| !set.is_empty()).collect();
    report(source, &pins(root)?, &wanted, placement, ids, reasons);
    let Some(tune) = child(root, "cputune")? else {
        if !wanted.is_empty() {
            let pins = wanted.iter().map(|(thread, set)| thread.element(set));
            insert(source, root, Element::new("cputune").children(pins));
        }
        return Ok(());
    };
    let mut stale = Vec::new();
    let mut kept: Vec<(u8, Node<'_, '_>)> = Vec::new();
    let mut seen = BTreeSet::new();
    for node in tune.children().filter(Node::is_element) {
        let Some(thread) = Thread::of(node)? else {
            if placement.dedicated && is_quota(tune, node) {
                let name = node.tag_name().name();
                let before = node.text().unwrap_or("").trim();
                let before = pinwise::shown::shorten(before, super::problem::MAX_SHOWN);
                let why = "it would only stall pCPUs that nobody else uses";
                source.changed(name, Some(before), None, why);
                stale.push(node);
            }
            continue;
        };
        match wanted.get(&thread) {
            Some(set) if seen.insert(thread) => {
                if listed(node, "cpuset").as_ref() != Some(set) {
                    source.set_attribute(node, "cpuset", &set.to_string());
                }
                kept.push((thread.kind(), node));
            }
            // Nothing says where this thread should be instead.
            None if is_left(thread, placement, ids) && seen.insert(thread) => {
                kept.push((thread.kind(), node));
            }
            _ => stale.push(node),
        }
    }
    let missing: Vec<_> = wanted.iter().filter(|(thread, _)| !seen.contains(thread)).collect();
    let rest = |node: &Node<'_, '_>| node.is_element() || node.is_comment();
    if missing.is_empty()
        && !stale.is_empty()
        && tune.children().filter(rest).count() == stale.len()
    {
        source.remove(tune);
        return Ok(());
    }
    for kind in 0..=2 {
        let new: Vec<Element> = (missing.iter())
            .filter(|(thread, _)| thread.kind() == kind)
            .map(|(thread, set)| thread.element(set))
            .collect();
        if new.is_empty() {
            continue;
        }
        match kept.iter().rfind(|(other, _)| *other <= kind) {
            Some((_, node)) => source.insert_after(*node, &new),
            None => source.insert_last(tune, &new),
        }
    }
    stale.iter().for_each(|node| source.remove(*node));
    trim(source, tune, placement);
    Ok(())
}

/// Whether the pin of an I/O thread stays as it is: the placement has no set for the thread.
fn is_left(thread: Thread, placement: &Placement, ids: &[u32]) -> bool {
    let Thread::Io(id) = thread else { return false };
    let at = ids.iter().position(|other| *other == id);
    at.is_some_and(|at| placement.iothreads.get(at).is_none_or(CpuSet::is_empty))
}

/// Whether the element is part of a limit on the time of the vCPUs: a quota, or its period.
fn is_quota(tune: Node<'_, '_>, node: Node<'_, '_>) -> bool {
    let name = node.tag_name().name();
    let whose = name.strip_suffix("quota").or_else(|| name.strip_suffix("period"));
    let Some(whose) = whose.filter(|whose| matches!(*whose, "" | "global_")) else {
        return false;
    };
    let quota = format!("{whose}quota");
    let mut limits = tune.children().filter(|node| node.has_tag_name(quota.as_str()));
    limits.any(|limit| {
        // A negative quota is none.
        !limit.text().is_some_and(|text| text.trim().starts_with('-'))
    })
}

/// Takes vCPUs that are gone out of schedulers and shares of the cache.
fn trim(source: &mut EditedText<'_>, tune: Node<'_, '_>, placement: &Placement) {
    let count = u32::try_from(placement.vcpus.len()).unwrap_or(u32::MAX);
    let all: VcpuSet = (0..count).map(VcpuId).collect();
    let parts = ["vcpusched", "cachetune", "memorytune"];
    for node in tune.children().filter(|node| parts.contains(&node.tag_name().name())) {
        let Some(vcpus) = listed::<VcpuId>(node, "vcpus") else { continue };
        if vcpus.is_subset(&all) {
            continue;
        }
        let left = vcpus.intersection(&all);
        let part = format!("vCPUs of <{}>", node.tag_name().name());
        let after = (!left.is_empty()).then(|| left.to_string());
        source.changed(part, Some(vcpus.to_string()), after, "the VM has fewer vCPUs");
        match left.is_empty() {
            true => source.remove(node),
            false => source.set_attribute(node, "vcpus", &left.to_string()),
        }
    }
}

fn report(
    source: &mut EditedText<'_>,
    before: &BTreeMap<Thread, CpuSet>,
    wanted: &BTreeMap<Thread, &CpuSet>,
    placement: &Placement,
    ids: &[u32],
    reasons: &Reasons,
) {
    let threads: BTreeSet<Thread> = before.keys().chain(wanted.keys()).copied().collect();
    let differs = |thread: &Thread| before.get(thread) != wanted.get(thread).copied();
    let (vcpus, others): (Vec<Thread>, Vec<Thread>) = (threads.into_iter())
        .filter(|thread| differs(thread) && !is_left(*thread, placement, ids))
        .partition(|thread| matches!(thread, Thread::Vcpu(_)));
    if !vcpus.is_empty() {
        let id =
            |thread: &Thread| if let Thread::Vcpu(id) = thread { Some(VcpuId(*id)) } else { None };
        let named: VcpuSet = vcpus.iter().filter_map(id).collect();
        let had: Vec<&CpuSet> = vcpus.iter().filter_map(|thread| before.get(thread)).collect();
        let has: Vec<&CpuSet> = vcpus.iter().filter_map(|t| wanted.get(t).copied()).collect();
        let shown = |sets: &[&CpuSet]| (!sets.is_empty()).then(|| in_order(sets));
        let part = if named.len() == 1 { "pin of vCPU" } else { "pins of vCPUs" };
        source.changed(format!("{part} {named}"), shown(&had), shown(&has), &reasons.vcpus);
    }
    for thread in others {
        let part = match thread {
            Thread::Io(id) => format!("pins of I/O thread {id}"),
            _ => "pins of the emulator threads".to_owned(),
        };
        let had = before.get(&thread).map(ToString::to_string);
        let has = wanted.get(&thread).map(ToString::to_string);
        source.changed(part, had, has, &reasons.others);
    }
}

/// pCPUs in the order of the vCPUs, with `8-10` for 8, 9, 10; sets of several pCPUs are separated
/// by blanks, and a repeated one is shown once.
fn in_order(sets: &[&CpuSet]) -> String {
    let single: Option<Vec<u32>> = (sets.iter())
        .map(|set| set.first().filter(|_| set.len() == 1).map(|pcpu| pcpu.0))
        .collect();
    let mut parts: Vec<String> = Vec::new();
    let Some(single) = single else {
        for set in sets {
            let text = set.to_string();
            if parts.last() != Some(&text) {
                parts.push(text);
            }
        }
        return parts.join(" ");
    };
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for pcpu in single {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(pcpu) => *last = pcpu,
            _ => runs.push((pcpu, pcpu)),
        }
    }
    for (first, last) in runs {
        parts.push(if first == last { first.to_string() } else { format!("{first}-{last}") });
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::in_order;
    use pinwise::sets::CpuSet;

    #[test]
    fn pins_are_shown_in_the_order_of_the_vcpus() {
        for (sets, text) in [
            (&["8", "9", "10", "24"][..], "8-10,24"),
            (&["0", "16", "1", "17"], "0,16,1,17"),
            (&["0-3", "0-3", "4-7"], "0-3 4-7"),
            (&[], ""),
        ] {
            let sets: Vec<CpuSet> = sets.iter().map(|set| set.parse().unwrap()).collect();
            assert_eq!(in_order(&sets.iter().collect::<Vec<_>>()), text);
        }
    }
}
