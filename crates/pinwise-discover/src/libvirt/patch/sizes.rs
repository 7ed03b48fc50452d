//! The amount of memory, and the numbers of vCPUs and I/O threads.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::edit::EditedText;
use super::parts::{amount, child, insert, listed};
use super::problem::PatchError;
use crate::document::number;
use pinwise::emit::libvirt::{cpu, memory};
use pinwise::emit::xml::Element;
use pinwise::placement::Placement;
use pinwise::sets::CpuSet;
use pinwise::units::Bytes;

/// The largest number of I/O threads that is read; QEMU fails far below.
const MAX_IO_THREADS: u32 = 4096;
/// The reason for every part whose size the request states.
const REQUESTED: &str = "the request asks for it";

/// Sets `<memory>`, and `<currentMemory>` and `<maxMemory>` if they would contradict it.
pub(super) fn memory(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
) -> Result<(), PatchError> {
    let wanted = placement.memory();
    let [ours, current] = memory::sizes(placement);
    let existing = child(root, "memory")?;
    let before = existing.and_then(amount);
    if before != Some(wanted) {
        let shown = before.map(|before| before.to_string());
        source.changed("memory", shown, Some(wanted.to_string()), REQUESTED);
        match existing {
            Some(node) => {
                let dump = node.attribute_node("dumpCore").map(|a| source.text(a.range()));
                source.replace(node, &[dump.into_iter().fold(ours, Element::raw_attr)]);
            }
            None => insert(source, root, ours),
        }
    }
    // Absent, it is the whole memory.
    if let Some(node) = child(root, "currentMemory")? {
        let now = amount(node);
        let stays = before == Some(wanted) && now.is_some_and(|now| now <= wanted);
        if !stays && now != Some(wanted) {
            let why = "it follows the memory";
            let shown = now.map(|now| now.to_string());
            source.changed("current memory", shown, Some(wanted.to_string()), why);
            source.replace(node, &[current]);
        }
    }
    if let Some(node) = child(root, "maxMemory")? {
        let most = amount(node).unwrap_or(Bytes::ZERO);
        if most < wanted {
            let why = "it must not be less than the memory";
            let (before, after) = (Some(most.to_string()), Some(wanted.to_string()));
            source.changed("maximum memory", before, after, why);
            source.set_attribute(node, "unit", "KiB");
            source.set_text(node, &wanted.kib().to_string());
        }
    }
    Ok(())
}

/// Sets the number of vCPUs; `<vcpus>` and the number plugged in stay while the number does.
pub(super) fn vcpus(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
) -> Result<(), PatchError> {
    let wanted = placement.vcpus.len();
    let Some(node) = child(root, "vcpu")? else {
        source.changed("vCPUs", Some("1".to_owned()), Some(wanted.to_string()), REQUESTED);
        insert(source, root, cpu::vcpu(placement));
        return Ok(());
    };
    let text = node.text().unwrap_or("").trim();
    let same = text.parse() == Ok(wanted);
    if !same {
        let before = pinwise::shown::shorten(text, super::problem::MAX_SHOWN);
        source.changed("vCPUs", Some(before), Some(wanted.to_string()), REQUESTED);
        source.set_text(node, &wanted.to_string());
        source.remove_attribute(node, "current");
        if let Some(each) = child(root, "vcpus")? {
            let why = "it lists vCPUs of another number";
            source.changed("<vcpus>", Some("its list".to_owned()), None, why);
            source.remove(each);
        }
    }
    if node.attribute("placement") == Some("auto") {
        let why = "the placement decides where the vCPUs run, not numad";
        let (before, after) = (Some("auto".to_owned()), Some("static".to_owned()));
        source.changed("placement of vCPUs", before, after, why);
        source.set_attribute(node, "placement", "static");
    }
    // A set for the threads without pins. There are none, so one that the pins are in is left.
    let pins = placement.vcpu_pcpus();
    let all_pinned = cpu::is_pinned(placement) && !placement.emulator.is_empty();
    let area: Option<CpuSet> = listed(node, "cpuset");
    let stays = all_pinned && area.as_ref().is_some_and(|area| pins.is_subset(area));
    if node.attribute("cpuset").is_some() && !stays {
        let before = area.map_or_else(|| "a set".to_owned(), |area| format!("pCPUs {area}"));
        let why = "the vCPUs run elsewhere, and each thread has its own pins";
        source.changed("cpuset of <vcpu>", Some(before), None, why);
        source.remove_attribute(node, "cpuset");
    }
    Ok(())
}

/// The ids of the domain's I/O threads: libvirt gives those without an explicit id the lowest free
/// ones.
pub(super) fn iothread_ids(root: Node<'_, '_>) -> Result<Vec<u32>, PatchError> {
    let what = "a number of I/O threads";
    let limited = |text: &str| number(text.trim()).filter(|n| *n <= MAX_IO_THREADS);
    let mut count = 0;
    if let Some(node) = child(root, "iothreads")? {
        let text = node.text().unwrap_or("");
        count = limited(text).ok_or_else(|| PatchError::value(what, text))?;
    }
    let mut ids = Vec::new();
    let listed = child(root, "iothreadids")?;
    for node in listed.into_iter().flat_map(|all| all.children()) {
        if node.has_tag_name("iothread") {
            let text = node.attribute("id").unwrap_or("");
            ids.push(limited(text).ok_or_else(|| PatchError::value(what, text))?);
        }
    }
    extend(&mut ids, count as usize);
    Ok(ids)
}

/// Adds the lowest free ids until there are `count`.
fn extend(ids: &mut Vec<u32>, count: usize) {
    let taken: BTreeSet<u32> = ids.iter().copied().collect();
    let missing = count.saturating_sub(ids.len());
    ids.extend((1..).filter(|id| !taken.contains(id)).take(missing));
}

/// Sets the number of I/O threads, and returns the ids of the placement's. `ids` are the domain's.
pub(super) fn iothreads(
    source: &mut EditedText<'_>,
    root: Node<'_, '_>,
    placement: &Placement,
    mut ids: Vec<u32>,
) -> Result<Vec<u32>, PatchError> {
    let (had, wanted) = (ids.len(), placement.iothreads.len());
    if wanted == 0 || wanted == had {
        return Ok(ids);
    }
    let before = (had > 0).then(|| had.to_string());
    source.changed("I/O threads", before, Some(wanted.to_string()), REQUESTED);
    let listed = child(root, "iothreadids")?;
    if wanted < had {
        listed.into_iter().for_each(|node| source.remove(node));
        ids = (1..).take(wanted).collect();
    } else {
        extend(&mut ids, wanted);
    }
    match child(root, "iothreads")? {
        Some(node) => source.set_text(node, &wanted.to_string()),
        None => cpu::iothreads(placement).into_iter().for_each(|e| insert(source, root, e)),
    }
    Ok(ids)
}

/// Refuses a domain with a device whose I/O thread, named by number, is not among `ids`.
pub(super) fn check_iothreads(root: Node<'_, '_>, ids: &[u32]) -> Result<(), PatchError> {
    let devices = root.children().filter(|node| node.has_tag_name("devices"));
    for node in devices.flat_map(|node| node.descendants()) {
        let id = match node.tag_name().name() {
            "driver" => node.attribute("iothread"),
            "iothread" => node.attribute("id"),
            _ => None,
        };
        if let Some(text) = id {
            let id = number(text)
                .ok_or_else(|| PatchError::value("the number of an I/O thread", text))?;
            if !ids.contains(&id) {
                return Err(PatchError::IoThread { id, count: ids.len() });
            }
        }
    }
    Ok(())
}
