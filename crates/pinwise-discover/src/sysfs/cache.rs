//! Caches other than the L3, and clusters.

use super::problem::SysfsError;
use super::tree::{CPUS, Tree, cache_size};
use crate::caches::Caches;
use crate::cores::partition;
use crate::notes::Notes;
use pinwise::host::{CacheKind, CacheSpec, CoreSpec};
use pinwise::sets::CpuSet;

/// The caches of all levels except the third; pCPUs that list the same set share one.
pub(super) fn caches(
    tree: &Tree<'_>,
    online: &CpuSet,
    notes: &mut Notes,
) -> Result<Vec<CacheSpec>, SysfsError> {
    let mut caches = Caches::default();
    for cpu in online.iter() {
        let folder = format!("{CPUS}/cpu{cpu}/cache");
        for index in tree.numbered(&folder, "index")? {
            let file = |name: &str| format!("{folder}/index{index}/{name}");
            let kind = match tree.text(&file("type"))?.as_deref() {
                Some("Data") => CacheKind::Data,
                Some("Instruction") => CacheKind::Instruction,
                Some("Unified") => CacheKind::Unified,
                _ => continue,
            };
            let level = tree.index(&file("level"))?.and_then(|level| u8::try_from(level).ok());
            let Some(level) = level.filter(|level| Caches::is_told(*level)) else { continue };
            let set = tree.cpus(&file("shared_cpu_list"), &file("shared_cpu_map"))?;
            let mut set = set.unwrap_or_default().intersection(online);
            set.insert(cpu);
            let bytes = cache_size(&tree.text(&file("size"))?.unwrap_or_default());
            caches.add(level, kind, bytes, set);
        }
    }
    Ok(caches.finish(notes))
}

/// Groups of several cores below the L3, such as cores that share an L2, as sets of pCPUs.
pub(super) fn clusters(
    tree: &Tree<'_>,
    online: &CpuSet,
    cores: &[CoreSpec],
) -> Result<Vec<CpuSet>, SysfsError> {
    let mut named = Vec::new();
    for cpu in online.iter() {
        let file = |name: &str| format!("{CPUS}/cpu{cpu}/topology/{name}");
        // Firmware without clusters gives -1 or 65535 here, and the kernel an arbitrary list.
        let known = tree.index(&file("cluster_id"))?.is_some_and(|id| id < 65_535);
        let set = tree.cpus(&file("cluster_cpus_list"), &file("cluster_cpus"))?;
        named.extend(set.filter(|_| known).map(|set| (cpu, set.intersection(online))));
    }
    let several = |set: &CpuSet| {
        let inside: Vec<_> = cores.iter().filter(|core| core.pcpus.intersects(set)).collect();
        inside.len() > 1 && inside.iter().all(|core| core.pcpus.is_subset(set))
    };
    Ok(partition(&named).into_iter().filter(several).collect())
}
