//! pCPUs, cores and L3 domains.

use std::collections::BTreeMap;
use std::path::Path;

use super::cache::{caches, clusters};
use super::note::SysfsNote;
use super::package::packages;
use super::problem::SysfsError;
use super::tree::{CPUS, Tree, cache_size};
use crate::cores::{divide, partition, renumber, smt_siblings};
use crate::kinds::{Told, settle};
use crate::notes::Notes;
use pinwise::host::CoreKind;
use pinwise::host::{CacheSpec, CoreSpec, L3Spec, MAX_PCPUS};
use pinwise::sets::CpuSet;
use pinwise::units::{Id as _, PcpuId};

/// The pCPUs of the tree.
pub(super) struct SysfsCpus {
    pub(super) online: CpuSet,
    pub(super) offline: CpuSet,
    pub(super) allowed: Option<CpuSet>,
    pub(super) isolated: CpuSet,
    pub(super) cores: Vec<CoreSpec>,
    pub(super) l3_domains: Vec<L3Spec>,
    pub(super) caches: Vec<CacheSpec>,
    pub(super) clusters: Vec<CpuSet>,
}

pub(super) fn read(tree: &Tree<'_>, notes: &mut Notes) -> Result<SysfsCpus, SysfsError> {
    let present = present(tree)?;
    let online = online(tree, &present)?;
    if online.is_empty() {
        return Err(SysfsError::NoPcpus { root: tree.root().to_owned() });
    }
    if online.len() > MAX_PCPUS {
        let path = tree.path(CPUS);
        return Err(SysfsError::TooLarge { path, limit: MAX_PCPUS, unit: "pCPUs" });
    }
    let mut cores = cores(tree, &online, notes)?;
    let l3_domains = l3_domains(tree, &online, &cores, notes)?;
    let list = |path: &str| tree.cpus(path, "");
    let isolated = list(&format!("{CPUS}/isolated"))?.unwrap_or_default().intersection(&online);
    let caches = caches(tree, &online, notes)?;
    let told = told_kinds(tree, &online, &cores)?;
    settle(&mut cores, &told, &l3_domains, &caches);
    Ok(SysfsCpus {
        offline: present.difference(&online),
        allowed: allowed(tree, &online, &isolated, notes)?,
        isolated,
        caches,
        clusters: clusters(tree, &online, &cores)?,
        online,
        cores,
        l3_domains,
    })
}

/// The pCPUs that have a folder or are listed as present.
fn present(tree: &Tree<'_>) -> Result<CpuSet, SysfsError> {
    let folders = tree.numbered(CPUS, "cpu")?;
    let mut cpus: CpuSet =
        folders.into_iter().filter(|cpu| *cpu < PcpuId::LIMIT).map(PcpuId).collect();
    cpus.extend(&tree.cpus(&format!("{CPUS}/present"), "")?.unwrap_or_default());
    Ok(cpus)
}

fn online(tree: &Tree<'_>, present: &CpuSet) -> Result<CpuSet, SysfsError> {
    if let Some(online) = tree.cpus(&format!("{CPUS}/online"), "")? {
        return Ok(online);
    }
    // Kernels before 2.6.26 have no such list; a pCPU without its own `online` file cannot be
    // turned off.
    let mut online = CpuSet::new();
    for cpu in present.iter() {
        if tree.text(&format!("{CPUS}/cpu{cpu}/online"))?.is_none_or(|text| text == "1") {
            online.insert(cpu);
        }
    }
    Ok(online)
}

/// The pCPUs that this process may use: a cgroup or an affinity mask may forbid others.
fn allowed(
    tree: &Tree<'_>,
    online: &CpuSet,
    isolated: &CpuSet,
    notes: &mut Notes,
) -> Result<Option<CpuSet>, SysfsError> {
    const STATUS: &str = "proc/self/status";
    let text = tree.text(STATUS)?.unwrap_or_default();
    let Some(list) = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")) else {
        return Ok(None);
    };
    let mask: CpuSet =
        list.parse().map_err(|_| tree.bad(STATUS, list.trim(), "a list of pCPUs"))?;
    let mut cpus = mask.intersection(online);
    if cpus.is_empty() {
        let list = list.trim().to_owned();
        notes.add(SysfsNote::PcpusForbidden { file: STATUS, list });
        return Ok(None);
    }
    // The kernel starts every process without the isolated pCPUs, which are for programs that ask
    // for them, such as pinned VMs. Only a cgroup forbids them.
    if !isolated.intersects(&cpus) {
        let within = cgroup(tree)?.unwrap_or_else(|| online.clone());
        cpus.extend(&isolated.intersection(&within));
    }
    Ok((cpus != *online).then_some(cpus))
}

/// The pCPUs of this process's cgroup, from the nearest cgroup above it that lists any.
fn cgroup(tree: &Tree<'_>) -> Result<Option<CpuSet>, SysfsError> {
    let text = tree.text("proc/self/cgroup")?.unwrap_or_default();
    // "0::/system.slice" of version 2, "4:cpuset:/docker" of version 1.
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(kinds), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (folder, file) = match kinds {
            "" => ("sys/fs/cgroup", "cpuset.cpus.effective"),
            "cpuset" => ("sys/fs/cgroup/cpuset", "cpuset.effective_cpus"),
            _ => continue,
        };
        // A namespace shows everything above its top as "..", so nothing above the top is visible.
        let seen = if path.split('/').any(|name| name == "..") { "" } else { path };
        for above in Path::new(seen.trim_matches('/')).ancestors() {
            let file = Path::new(folder).join(above).join(file);
            if let Some(cpus) = tree.value(&file.to_string_lossy(), "a list of pCPUs")? {
                return Ok(Some(cpus));
            }
        }
    }
    Ok(None)
}

fn cores(tree: &Tree<'_>, online: &CpuSet, notes: &mut Notes) -> Result<Vec<CoreSpec>, SysfsError> {
    let (mut siblings, mut unknown) = (Vec::new(), 0_u32);
    for cpu in online.iter() {
        let file = |name: &str| format!("{CPUS}/cpu{cpu}/topology/{name}");
        let mut set = tree.cpus(&file("thread_siblings_list"), &file("thread_siblings"))?;
        if set.is_none() {
            set = tree.cpus(&file("core_cpus_list"), &file("core_cpus"))?;
        }
        unknown += u32::from(set.is_none());
        let mut set = set.unwrap_or_default().intersection(online);
        set.insert(cpu);
        siblings.push((cpu, set));
    }
    if unknown > 0 {
        notes.add(SysfsNote::NoSiblings { count: unknown });
    }
    let parts = smt_siblings(&siblings, notes);
    let packages = packages(tree, &parts, online, notes)?;
    let mut specs = Vec::with_capacity(parts.len());
    let mut cores_missing = false;
    for (pcpus, package) in parts.into_iter().zip(packages) {
        let first = pcpus.iter().next().unwrap_or_default();
        let id = |name: &str| tree.index(&format!("{CPUS}/cpu{first}/topology/{name}"));
        let core = id("core_id")?;
        cores_missing |= core.is_none();
        specs.push(CoreSpec {
            package,
            die: id("die_id")?.unwrap_or(0),
            core: core.unwrap_or(0),
            kind: CoreKind::default(),
            max_mhz: max_mhz(tree, &pcpus)?,
            pcpus,
        });
    }
    renumber(&mut specs, cores_missing, notes);
    Ok(specs)
}

/// What the tree tells of kinds: the PMUs that x86 kernels have for each, and else capacities.
fn told_kinds(tree: &Tree<'_>, online: &CpuSet, cores: &[CoreSpec]) -> Result<Told, SysfsError> {
    let pmu = |name: &str| {
        let cpus = tree.cpus(&format!("sys/devices/{name}/cpus"), "")?;
        Ok(cpus.unwrap_or_default().intersection(online))
    };
    let (performance, low_power) = (pmu("cpu_core")?, pmu("cpu_lowpower")?);
    let mut told = Told { efficiency: pmu("cpu_atom")?, low_power, ..Told::default() };
    if !performance.is_empty() {
        told.efficiency.extend(&online.difference(&performance));
    }
    let named = !told.efficiency.is_empty() || !told.low_power.is_empty();
    let clock_known = cores.iter().any(|core| core.max_mhz.is_some());
    for cpu in online.iter() {
        let own = |name: &str| tree.index(&format!("{CPUS}/cpu{cpu}/{name}"));
        if !named {
            let capacity = own("cpu_capacity")?;
            told.capacity.extend(capacity.map(|capacity| (cpu, u64::from(capacity))));
        }
        if !clock_known {
            let khz = own("cpufreq/base_frequency")?;
            told.base_mhz.extend(khz.map(|khz| (cpu, khz / 1000)));
        }
    }
    Ok(told)
}

/// The highest top frequency of a core's pCPUs; the kernel gives kHz.
fn max_mhz(tree: &Tree<'_>, pcpus: &CpuSet) -> Result<Option<u32>, SysfsError> {
    let mut most = None;
    for cpu in pcpus.iter() {
        let khz = tree.index(&format!("{CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq"))?;
        most = most.max(khz.map(|khz| khz / 1000).filter(|mhz| *mhz > 0));
    }
    Ok(most)
}

fn l3_domains(
    tree: &Tree<'_>,
    online: &CpuSet,
    cores: &[CoreSpec],
    notes: &mut Notes,
) -> Result<Vec<L3Spec>, SysfsError> {
    let mut shared = Vec::new();
    let mut sizes = BTreeMap::new();
    let mut caches = false;
    for cpu in online.iter() {
        let cache = format!("{CPUS}/cpu{cpu}/cache");
        for index in tree.numbered(&cache, "index")? {
            caches = true;
            let file = |name: &str| format!("{cache}/index{index}/{name}");
            let instructions = tree.text(&file("type"))?.is_some_and(|kind| kind == "Instruction");
            if tree.index(&file("level"))? != Some(3) || instructions {
                continue;
            }
            // The list may name pCPUs that have gone offline.
            let set = tree.cpus(&file("shared_cpu_list"), &file("shared_cpu_map"))?;
            let mut set = set.unwrap_or_default().intersection(online);
            set.insert(cpu);
            shared.push((cpu, set));
            sizes.insert(cpu, cache_size(&tree.text(&file("size"))?.unwrap_or_default()));
            break;
        }
    }
    if !caches {
        notes.add(SysfsNote::NoCaches);
    }
    let parts = partition(&shared);
    if divide(&parts, cores, notes) {
        return Ok(Vec::new());
    }
    let domain = |cpus: CpuSet| {
        let size = cpus.first().and_then(|cpu| sizes.get(&cpu).copied().flatten());
        L3Spec { cpus, size }
    };
    Ok(parts.into_iter().map(domain).collect())
}
