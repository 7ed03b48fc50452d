//! The packages of cores.

use std::collections::{BTreeMap, BTreeSet};

use super::note::SysfsNote;
use super::problem::SysfsError;
use super::tree::{CPUS, Tree};
use crate::notes::Notes;
use pinwise::sets::CpuSet;
use pinwise::units::{PackageId, PcpuId};

/// The packages of the cores with these pCPUs: the kernel's numbers. If these are missing, or one
/// number stands for several packages (as in old kernels and those of POWER and s390), the packages
/// are numbered in the order of the pCPUs that they list.
pub(super) fn packages(
    tree: &Tree<'_>,
    cores: &[CpuSet],
    online: &CpuSet,
    notes: &mut Notes,
) -> Result<Vec<PackageId>, SysfsError> {
    let mut ids = Vec::with_capacity(cores.len());
    let mut named = Vec::with_capacity(cores.len());
    for first in cores.iter().filter_map(CpuSet::first) {
        let file = |name: &str| format!("{CPUS}/cpu{first}/topology/{name}");
        ids.push(tree.index(&file("physical_package_id"))?);
        let mut set = tree.cpus(&file("package_cpus_list"), &file("package_cpus"))?;
        if set.is_none() {
            set = tree.cpus(&file("core_siblings_list"), &file("core_siblings"))?;
        }
        named.extend(set.map(|set| (first, set.intersection(online))));
    }
    let missing = ids.iter().any(Option::is_none);
    if let Some(numbers) = by_list(cores, &named, &ids) {
        notes.add(SysfsNote::PackagesRenumbered);
        return Ok(cores.iter().map(|core| numbered(&numbers, core)).collect());
    }
    if missing {
        notes.add(SysfsNote::NoPackage);
    }
    Ok(ids.into_iter().map(|id| PackageId(id.unwrap_or(0))).collect())
}

/// The packages by the pCPUs that they list, in the order of their lowest; `None` if the ids are
/// equivalent, or the lists are not those of packages.
fn by_list(
    cores: &[CpuSet],
    named: &[(PcpuId, CpuSet)],
    ids: &[Option<u32>],
) -> Option<Vec<CpuSet>> {
    // Only the first pCPU of each core was read: its list must contain the core, and be the list of
    // all other cores in it.
    if named.len() != cores.len() {
        return None;
    }
    let whole: BTreeSet<&CpuSet> = named.iter().map(|(_, set)| set).collect();
    let mut held: BTreeMap<&CpuSet, CpuSet> = BTreeMap::new();
    for ((_, set), core) in named.iter().zip(cores) {
        held.entry(set).or_default().extend(core);
    }
    let sound = held.iter().all(|(set, cpus)| *set == cpus);
    let told: BTreeSet<(&CpuSet, Option<u32>)> =
        named.iter().map(|(_, set)| set).zip(ids.iter().copied()).collect();
    let numbers: BTreeSet<u32> = ids.iter().copied().flatten().collect();
    let clear = !ids.contains(&None) && told.len() == numbers.len();
    if !sound || clear || whole.len() < 2 {
        return None;
    }
    let mut all: Vec<CpuSet> = whole.into_iter().cloned().collect();
    all.sort_unstable_by_key(CpuSet::first);
    Some(all)
}

fn numbered(packages: &[CpuSet], core: &CpuSet) -> PackageId {
    let of = packages.iter().zip(0..).find(|(package, _)| package.intersects(core));
    PackageId(of.map_or(0, |(_, number)| number))
}
