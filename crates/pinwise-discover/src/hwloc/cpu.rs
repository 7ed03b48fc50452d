//! pCPUs, cores and L3 domains, from the objects found.

use std::collections::BTreeSet;

use super::element::LstopoElement;
use super::note::LstopoNote;
use super::problem::LstopoError;
use super::walk::Found;
use crate::cores::{divide, renumber};
use crate::kinds::{Told, settle};
use crate::notes::Notes;
use pinwise::host::CoreKind;
use pinwise::host::{CoreSpec, L3Spec};
use pinwise::sets::CpuSet;
use pinwise::units::{Id as _, PackageId, PcpuId};

/// The largest number of `<cpukind>` elements; real machines have up to five.
const MAX_KINDS: usize = 256;

/// What the file says about pCPUs.
pub(super) struct LstopoCpus {
    pub(super) online: CpuSet,
    pub(super) offline: CpuSet,
    pub(super) allowed: Option<CpuSet>,
    pub(super) cores: Vec<CoreSpec>,
    pub(super) l3_domains: Vec<L3Spec>,
}

pub(super) fn finish(
    root: LstopoElement<'_>,
    machine: LstopoElement<'_>,
    found: &Found<'_>,
    notes: &mut Notes,
) -> Result<LstopoCpus, LstopoError> {
    // Only hwloc 1 lists online pCPUs; later versions leave offline pCPUs out.
    let told = machine.cpus("online_cpuset")?;
    let online = told.as_ref().map_or(found.pcpus.clone(), |on| found.pcpus.intersection(on));
    if online.is_empty() {
        return Err(LstopoError::NoPcpus);
    }
    let last = PcpuId(PcpuId::LIMIT - 1);
    let complete = machine.cpus("complete_cpuset")?.filter(|cpus| !cpus.contains(last));
    let complete = complete.unwrap_or_default().union(&found.pcpus);
    let offline = told.map_or(CpuSet::new(), |on| complete.difference(&on));
    let silent = complete.difference(&found.pcpus).difference(&offline);
    if !silent.is_empty() {
        notes.add(LstopoNote::Undescribed { pcpus: silent });
    }
    let allowed = allowed(machine, &online, notes)?;
    let kinds = kinds(root)?;
    let mut cores = cores(&kinds, found, &online, notes)?;
    let l3_domains = l3_domains(found, &online, &cores, notes);
    settle(&mut cores, &told_kinds(&kinds, &online), &l3_domains, &[]);
    Ok(LstopoCpus { online, offline, allowed, cores, l3_domains })
}

fn allowed(
    machine: LstopoElement<'_>,
    online: &CpuSet,
    notes: &mut Notes,
) -> Result<Option<CpuSet>, LstopoError> {
    let Some(told) = machine.cpus("allowed_cpuset")? else { return Ok(None) };
    let cpus = told.intersection(online);
    if cpus.is_empty() {
        notes.add(LstopoNote::PcpusForbidden);
        return Ok(None);
    }
    Ok((cpus != *online).then_some(cpus))
}

/// The contents of a `<cpukind>`.
struct CpuKind {
    cpus: CpuSet,
    core_type: Option<CoreKind>,
    capacity: Option<u64>,
    /// hwloc's rank of the kind: faster cores have a higher rank.
    efficiency: Option<u64>,
    mhz: Option<u32>,
    base_mhz: Option<u32>,
}

fn kinds(root: LstopoElement<'_>) -> Result<Vec<CpuKind>, LstopoError> {
    let mut kinds = Vec::new();
    for element in root.children("cpukind") {
        element.within(kinds.len(), MAX_KINDS)?;
        let Some(cpus) = element.cpus("cpuset")? else { return Err(element.missing("cpuset")) };
        kinds.push(CpuKind {
            cpus,
            core_type: match element.info("CoreType") {
                Some("IntelCore") => Some(CoreKind::Performance),
                Some("IntelAtom") => Some(CoreKind::Efficiency),
                Some(low) if low.starts_with("IntelLowPower") => Some(CoreKind::LowPower),
                _ => None,
            },
            capacity: element.info("LinuxCapacity").and_then(|text| text.parse().ok()),
            efficiency: element.text("forced_efficiency").and_then(|text| text.parse().ok()),
            mhz: element.info("FrequencyMaxMHz").and_then(|text| text.parse().ok()),
            base_mhz: element.info("FrequencyBaseMHz").and_then(|text| text.parse().ok()),
        });
    }
    Ok(kinds)
}

/// Facts about cores that the kinds give. Ranks count only if no kind has a core type or a
/// capacity: hwloc also ranks favoured cores among performance cores, by their capacity.
fn told_kinds(kinds: &[CpuKind], online: &CpuSet) -> Told {
    let mut told = Told::default();
    let ranked = !kinds.iter().any(|kind| kind.core_type.is_some() || kind.capacity.is_some());
    let most = kinds.iter().filter_map(|kind| kind.efficiency).max();
    for kind in kinds {
        let cpus = kind.cpus.intersection(online);
        match kind.core_type {
            Some(CoreKind::Efficiency) => told.efficiency.extend(&cpus),
            Some(CoreKind::LowPower) => told.low_power.extend(&cpus),
            None if ranked && kind.efficiency.is_some() && kind.efficiency < most => {
                told.efficiency.extend(&cpus);
            }
            Some(CoreKind::Performance) | None => {}
        }
        for pcpu in cpus.iter() {
            told.capacity.extend(kind.capacity.map(|capacity| (pcpu, capacity)));
            told.base_mhz.extend(kind.base_mhz.map(|mhz| (pcpu, mhz)));
        }
    }
    told
}

fn cores(
    kinds: &[CpuKind],
    found: &Found<'_>,
    online: &CpuSet,
    notes: &mut Notes,
) -> Result<Vec<CoreSpec>, LstopoError> {
    let packages = packages(found, notes)?;
    let mut specs = Vec::with_capacity(found.cores.len());
    let (mut lone, mut missing) = (false, false);
    for core in &found.cores {
        let pcpus = core.pcpus.intersection(online);
        if pcpus.is_empty() {
            continue;
        }
        let package = core.package.and_then(|at| packages.get(at)).copied();
        lone |= package.is_none();
        missing |= core.os_index.is_none();
        let own = || kinds.iter().filter(|kind| kind.cpus.intersects(&pcpus));
        specs.push(CoreSpec {
            package: package.unwrap_or(PackageId(0)),
            die: core.die.unwrap_or(0),
            core: core.os_index.unwrap_or(0),
            kind: CoreKind::default(),
            max_mhz: own().filter_map(|kind| kind.mhz).filter(|mhz| *mhz > 0).max(),
            pcpus,
        });
    }
    if lone {
        notes.add(LstopoNote::NoPackage);
    }
    renumber(&mut specs, missing, notes);
    Ok(specs)
}

/// The package ids, in the file's order of packages.
fn packages(found: &Found<'_>, notes: &mut Notes) -> Result<Vec<PackageId>, LstopoError> {
    let mut told = Vec::with_capacity(found.packages.len());
    for package in &found.packages {
        told.extend(package.os_index()?);
    }
    let unique = told.iter().collect::<BTreeSet<_>>().len();
    if unique == found.packages.len() && told.len() == unique {
        return Ok(told.into_iter().map(PackageId).collect());
    }
    notes.add(LstopoNote::PackagesRenumbered);
    Ok(found.packages.iter().zip(0..).map(|(_, number)| PackageId(number)).collect())
}

fn l3_domains(
    found: &Found<'_>,
    online: &CpuSet,
    cores: &[CoreSpec],
    notes: &mut Notes,
) -> Vec<L3Spec> {
    let domains = found.l3.iter();
    let domains = domains.map(|l3| L3Spec { cpus: l3.cpus.intersection(online), size: l3.size });
    let domains: Vec<_> = domains.filter(|l3| !l3.cpus.is_empty()).collect();
    let sets: Vec<CpuSet> = domains.iter().map(|l3| l3.cpus.clone()).collect();
    if divide(&sets, cores, notes) { Vec::new() } else { domains }
}
