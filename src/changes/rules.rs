//! The same VM under other rules: what its placement must have, and what its guest must see.

use super::ask::Ask;
use super::change::Change;
use super::number::largest_below;
use crate::engine::score::Property;
use crate::host::{Reserve, ReserveMemory};
use crate::request::{Policies, Policy, Wish};
use crate::units::Bytes;

/// The field of each property that has a policy.
type Field = fn(&mut Policies) -> &mut Policy;

const POLICIES: [(Property, Field); 8] = [
    (Property::DedicatedCpus, |policies| &mut policies.dedicated_cpus),
    (Property::WholeCores, |policies| &mut policies.whole_cores),
    (Property::OwnL3, |policies| &mut policies.own_l3),
    (Property::OneNode, |policies| &mut policies.one_node),
    (Property::GpuLocality, |policies| &mut policies.gpu_locality),
    (Property::SameSwitch, |policies| &mut policies.same_switch),
    (Property::LinkedGpus, |policies| &mut policies.linked_gpus),
    (Property::FabricPartition, |policies| &mut policies.fabric_partition),
];

/// Each required property that can be preferred instead.
pub(super) fn relaxed(ask: Ask<'_>) -> impl Iterator<Item = Change> + '_ {
    let required = move |field: Field| *field(&mut ask.spec().policies.clone()) == Policy::Require;
    let suffices = move |field: Field| ask.fits(|spec| *field(&mut spec.policies) = Policy::Prefer);
    let all = POLICIES.into_iter();
    all.filter(move |(_, field)| required(*field) && suffices(*field))
        .map(|(property, _)| Change::Relax { property })
}

/// Any pCPUs, any nodes, or memory of any nodes, where the VM is held to some.
pub(super) fn anywhere(ask: Ask<'_>) -> impl Iterator<Item = Change> {
    let cpus = ask.spec().cpus.is_some() && ask.fits(|spec| spec.cpus = None);
    let nodes = ask.spec().nodes.is_some() && ask.fits(|spec| spec.nodes = None);
    let memory = ask.spec().memory_nodes.is_some() && ask.fits(|spec| spec.memory_nodes = None);
    let changes = [
        cpus.then_some(Change::AnyCpus),
        nodes.then_some(Change::AnyNodes),
        memory.then_some(Change::AnyMemoryNodes),
    ];
    changes.into_iter().flatten()
}

/// Fewer pCPUs for the emulator threads, or none for them alone.
pub(super) fn emulator(ask: Ask<'_>) -> Option<Change> {
    let pcpus = ask.spec().emulator_pcpus;
    let fits = |n: u64| u32::try_from(n).is_ok_and(|n| ask.fits(|spec| spec.emulator_pcpus = n));
    let fewer = largest_below(u64::from(pcpus), fits);
    let fewer = fewer.or_else(|| (pcpus > 0 && fits(0)).then_some(0))?;
    Some(Change::FewerEmulatorPcpus { emulator_pcpus: u32::try_from(fewer).ok()? })
}

/// Cells of other numbers and sizes.
pub(super) fn cells(ask: Ask<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    if ask.spec().even_cells && ask.fits(|spec| spec.even_cells = false) {
        changes.push(Change::UnevenCells);
    }
    let Some(required) = ask.spec().cells.required() else { return changes };
    if ask.fits(|spec| spec.cells = Wish::Auto) {
        changes.push(Change::AnyCells);
    }
    let fits = |cells: &u32| ask.fits(|spec| spec.cells = Wish::Require(*cells));
    // A guest has at most a cell on each node, and at least a vCPU in each cell.
    let most = u32::try_from(ask.host().nodes().len()).unwrap_or(u32::MAX).min(ask.spec().vcpus);
    let below = (1..required.min(most.saturating_add(1))).rev().find(fits);
    let above = (required.saturating_add(1)..=most).find(fits);
    changes.extend(below.into_iter().chain(above).map(|cells| Change::OtherCells { cells }));
    changes
}

/// Siblings hidden where they must be shown, or shown where they must be hidden; if that does not
/// fit, no SMT wish at all.
pub(super) fn smt(ask: Ask<'_>) -> Option<Change> {
    let shown = !ask.spec().smt.required()?;
    let fits = |wish| ask.fits(|spec| spec.smt = wish);
    if fits(Wish::Require(shown)) {
        return Some(Change::OtherSmt { shown });
    }
    fits(Wish::Auto).then_some(Change::AnySmt)
}

/// Nothing kept for the host, where it keeps something.
pub(super) fn kept(ask: Ask<'_>) -> Option<Change> {
    let kept = &ask.host().kept().cpus;
    if kept.is_empty() {
        return None;
    }
    let host = ask.host().with_reserved(Reserve::None).ok()?;
    ask.fits_on(&host).then(|| Change::KeepNothing { kept: kept.clone() })
}

/// No memory kept for the host, where it keeps some.
pub(super) fn kept_memory(ask: Ask<'_>) -> Option<Change> {
    let host = ask.host();
    if host.nodes().iter().all(|node| host.kept_memory(node) == Bytes::ZERO) {
        return None;
    }
    let host = host.with_reserved_memory(ReserveMemory::OnEach(Bytes::ZERO)).ok()?;
    ask.fits_on(&host).then_some(Change::KeepNoMemory)
}

/// Functions that the host needs given up with a device.
pub(super) fn group(ask: Ask<'_>) -> Option<Change> {
    let closed = !ask.spec().allow_group;
    (closed && ask.fits(|spec| spec.allow_group = true)).then_some(Change::AllowGroup)
}
