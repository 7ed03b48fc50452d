//! Overlay of pCPUs: their states, cores, packages, nodes and caches.
//!
//! A source's numbers of cores, packages and caches are its own, so the groups of pCPUs are
//! compared instead. pCPUs that are offline on either side are excluded.

use std::collections::BTreeMap;

use super::conflict::{Collector, Disagreement};
use super::note::OverlayNote;
use crate::facts::data::{Facts, PcpuFacts};
use crate::kinds::{Told, guess, is_uniform, settle};
use pinwise::host::{CacheKind, CacheSpec, CoreKind, CoreSpec, HostSpec, L3Spec, Part};
use pinwise::sets::CpuSet;
use pinwise::units::{NodeId, PackageId, PcpuId};

pub(super) fn lay(host: &mut HostSpec, facts: &Facts, collector: &mut Collector) {
    if facts.pcpus.is_empty() {
        return;
    }
    add_cores(host, facts);
    let online = online(host);
    let told = pcpus(facts, |_| true);
    let absent = told.difference(&online.union(&host.offline));
    if !absent.is_empty() {
        collector.unknown(&facts.source, "pCPUs", absent.to_string());
    }
    states(host, facts, &online, collector);
    frequencies(host, facts);
    // The pCPUs that are online on both sides.
    let both = pcpus(facts, |pcpu| pcpu.online != Some(false)).intersection(&online);
    cores(host, facts, &both, collector);
    packages(host, facts, &both, collector);
    nodes(host, facts, &both, collector);
    l3_domains(host, facts, &both, collector);
    caches(host, facts, &both, collector);
}

/// Kinds of cores, where the host has one kind and facts tell of pCPUs: by what is known of clocks
/// and shapes now, else, of cores that the facts themselves gave, by shapes alone.
pub(super) fn kinds(host: &mut HostSpec, facts: &[Facts], bare: bool, collector: &mut Collector) {
    let mut told = facts.iter().filter(|facts| !facts.pcpus.is_empty());
    let Some(first) = told.next().filter(|_| is_uniform(host)) else { return };
    settle(&mut host.cores, &Told::default(), &host.l3_domains, &host.caches);
    if !bare || !is_uniform(host) {
        return;
    }
    if let Some(sign) = guess(host) {
        collector.note(OverlayNote::KindsGuessed { source: first.source.clone(), sign });
    }
}

fn online(host: &HostSpec) -> CpuSet {
    union(host.cores.iter().map(|core| &core.pcpus))
}

fn union<'a>(sets: impl Iterator<Item = &'a CpuSet>) -> CpuSet {
    sets.fold(CpuSet::new(), |mut all, set| {
        all.extend(set);
        all
    })
}

fn pcpus(facts: &Facts, which: impl Fn(&PcpuFacts) -> bool) -> CpuSet {
    facts.pcpus.iter().filter(|pcpu| which(pcpu)).map(|pcpu| pcpu.pcpu).collect()
}

/// The pCPUs of `both`, grouped by the source's number.
fn groups<K: Ord>(
    facts: &Facts,
    both: &CpuSet,
    name: impl Fn(&PcpuFacts) -> Option<K>,
) -> BTreeMap<K, CpuSet> {
    let mut groups: BTreeMap<K, CpuSet> = BTreeMap::new();
    for pcpu in facts.pcpus.iter().filter(|pcpu| both.contains(pcpu.pcpu)) {
        if let Some(name) = name(pcpu) {
            groups.entry(name).or_default().insert(pcpu.pcpu);
        }
    }
    groups
}

/// The key of a pCPU's core: core numbers are unique only within a package if lscpu prints the
/// kernel's.
fn core_of(pcpu: &PcpuFacts) -> Option<(u32, u32)> {
    Some((pcpu.package.unwrap_or(0), pcpu.core?))
}

/// The cores of the pCPUs that are not offline.
pub(in crate::facts) fn cores_of(facts: &Facts, offline: &CpuSet) -> Vec<CoreSpec> {
    let on = pcpus(facts, |pcpu| pcpu.online != Some(false)).difference(offline);
    let core = |((package, core), pcpus)| {
        let (package, kind) = (PackageId(package), CoreKind::default());
        CoreSpec { package, die: 0, core, kind, max_mhz: None, pcpus }
    };
    groups(facts, &on, core_of).into_iter().map(core).collect()
}

/// Takes the cores if the host has none.
fn add_cores(host: &mut HostSpec, facts: &Facts) {
    if !host.cores.is_empty() {
        return;
    }
    host.cores = cores_of(facts, &host.offline);
    if !host.cores.is_empty() {
        host.add_source(Part::Cpus, &facts.source);
    }
}

fn states(host: &HostSpec, facts: &Facts, online: &CpuSet, collector: &mut Collector) {
    for (found, there) in [("online", &host.offline), ("offline", online)] {
        let differ = pcpus(facts, |pcpu| pcpu.online == Some(found == "online"));
        let differ = differ.intersection(there);
        if !differ.is_empty() {
            collector.differ(Disagreement {
                part: Part::Cpus,
                what: "the state",
                of: format!("pCPUs {differ}"),
                host: if found == "online" { "offline" } else { "online" }.to_owned(),
                host_source: host.source_of(Part::Cpus),
                found: found.to_owned(),
                source: &facts.source,
                taken: false,
            });
        }
    }
}

/// Adds top frequencies that the host lacks. Existing ones are not compared: they change when
/// boosting is turned on or off.
fn frequencies(host: &mut HostSpec, facts: &Facts) {
    let told: BTreeMap<PcpuId, u32> =
        facts.pcpus.iter().filter_map(|pcpu| Some((pcpu.pcpu, pcpu.max_mhz?))).collect();
    let mut filled = false;
    for core in host.cores.iter_mut().filter(|core| core.max_mhz.is_none()) {
        core.max_mhz = core.pcpus.iter().filter_map(|pcpu| told.get(&pcpu)).max().copied();
        filled |= core.max_mhz.is_some();
    }
    if filled {
        host.add_source(Part::Cpus, &facts.source);
    }
}

/// The groups into which two sources divide the same pCPUs.
struct Division<'a> {
    part: Part,
    what: &'static str,
    host: Vec<CpuSet>,
    found: Vec<CpuSet>,
    both: &'a CpuSet,
}

impl Division<'_> {
    /// Reports each of the host's groups that the source divides differently, by its first pCPU.
    fn compare(self, host: &HostSpec, facts: &Facts, collector: &mut Collector) {
        let mut at: BTreeMap<PcpuId, usize> = BTreeMap::new();
        for (group, index) in self.found.iter().zip(0..) {
            at.extend(group.iter().map(|pcpu| (pcpu, index)));
        }
        let told = union(self.found.iter()).intersection(self.both);
        for group in &self.host {
            let group = group.intersection(&told);
            let Some(first) = group.first() else { continue };
            let Some(found) = at.get(&first).and_then(|index| self.found.get(*index)) else {
                continue;
            };
            // A pCPU that the host does not mention contradicts nothing.
            let found = found.intersection(&union(self.host.iter()));
            if found != group {
                collector.differ(Disagreement {
                    part: self.part,
                    what: self.what,
                    of: format!("pCPU {first}"),
                    host: group.to_string(),
                    host_source: host.source_of(self.part),
                    found: found.to_string(),
                    source: &facts.source,
                    taken: false,
                });
            }
        }
    }
}

fn cores(host: &HostSpec, facts: &Facts, both: &CpuSet, collector: &mut Collector) {
    let found = groups(facts, both, core_of).into_values().collect();
    let own = host.cores.iter().map(|core| core.pcpus.clone()).collect();
    let what = "the SMT siblings";
    Division { part: Part::Cpus, what, host: own, found, both }.compare(host, facts, collector);
}

fn packages(host: &HostSpec, facts: &Facts, both: &CpuSet, collector: &mut Collector) {
    let found = groups(facts, both, |pcpu| pcpu.package).into_values().collect();
    let mut own: BTreeMap<PackageId, CpuSet> = BTreeMap::new();
    for core in &host.cores {
        own.entry(core.package).or_default().extend(&core.pcpus);
    }
    let own = own.into_values().collect();
    let what = "the pCPUs of the package";
    Division { part: Part::Cpus, what, host: own, found, both }.compare(host, facts, collector);
}

/// Node numbers are the kernel's on both sides. A pCPU that is on no node of the host goes to the
/// source's node.
fn nodes(host: &mut HostSpec, facts: &Facts, both: &CpuSet, collector: &mut Collector) {
    let found: BTreeMap<NodeId, CpuSet> = groups(facts, both, |pcpu| pcpu.node);
    let told = union(found.values());
    let settled = union(host.nodes.iter().map(|node| &node.cpus));
    for (id, pcpus) in found {
        let host_source = host.source_of(Part::Memory);
        let Some(node) = host.nodes.iter_mut().find(|node| node.id == id) else {
            collector.unknown(&facts.source, "node", id.to_string());
            continue;
        };
        let own = node.cpus.intersection(&told);
        let other = pcpus.intersection(&settled);
        if own != other {
            collector.differ(Disagreement {
                part: Part::Memory,
                what: "the pCPUs",
                of: format!("node {id}"),
                host: own.to_string(),
                host_source,
                found: other.to_string(),
                source: &facts.source,
                taken: false,
            });
        }
        let new = pcpus.difference(&settled);
        if !new.is_empty() {
            node.cpus.extend(&new);
            host.add_source(Part::Memory, &facts.source);
        }
    }
}

/// The caches of one level and kind, by package: if the numbers are the kernel's, each package may
/// count its own.
fn shared(facts: &Facts, both: &CpuSet, level: u8, kind: CacheKind) -> Vec<CpuSet> {
    let number = |pcpu: &PcpuFacts| {
        let same = pcpu.caches.iter().find(|(at, of, _)| (*at, *of) == (level, kind))?;
        Some((pcpu.package.unwrap_or(0), same.2))
    };
    let mut sets: Vec<CpuSet> = groups(facts, both, number).into_values().collect();
    sets.sort_unstable_by_key(CpuSet::first);
    sets
}

fn l3_domains(host: &mut HostSpec, facts: &Facts, both: &CpuSet, collector: &mut Collector) {
    let found = shared(facts, both, 3, CacheKind::Unified);
    if host.l3_domains.is_empty() {
        // A part of the domains would be worse than none.
        if union(found.iter()) == online(host) {
            let mut tried = host.clone();
            tried.l3_domains = found.into_iter().map(|cpus| L3Spec { cpus, size: None }).collect();
            take_if_sound(host, tried, facts);
        }
        return;
    }
    let own = host.l3_domains.iter().map(|l3| l3.cpus.clone()).collect();
    let what = "the L3 domain";
    Division { part: Part::Cpus, what, host: own, found, both }.compare(host, facts, collector);
}

fn caches(host: &mut HostSpec, facts: &Facts, both: &CpuSet, collector: &mut Collector) {
    let kinds = [
        (1, CacheKind::Data, "the L1 data cache"),
        (1, CacheKind::Instruction, "the L1 instruction cache"),
        (2, CacheKind::Unified, "the L2 cache"),
    ];
    for (level, kind, what) in kinds {
        let found = shared(facts, both, level, kind);
        let known = host.caches.iter().filter(|cache| (cache.level, cache.kind) == (level, kind));
        let own: Vec<CpuSet> = known.flat_map(|cache| cache.shared_by.iter().cloned()).collect();
        if !own.is_empty() {
            let part = Part::Cpus;
            Division { part, what, host: own, found, both }.compare(host, facts, collector);
        } else if !found.is_empty() {
            let mut tried = host.clone();
            tried.caches.push(CacheSpec { level, kind, size: None, shared_by: found });
            take_if_sound(host, tried, facts);
        }
    }
}

/// Takes a changed host, unless it cannot be built.
fn take_if_sound(host: &mut HostSpec, tried: HostSpec, facts: &Facts) {
    if tried.clone().build().is_ok() {
        *host = tried;
        host.add_source(Part::Cpus, &facts.source);
    }
}

#[cfg(test)]
mod tests {
    use crate::facts::overlay::overlay;
    use crate::facts::read_lscpu;
    use pinwise::host::{CoreKind, CoreSpec, HostSpec, L3Spec, NodeSpec, PagePool};
    use pinwise::units::{Bytes, NodeId, PackageId, PageSize};

    /// Two packages of one core with two pCPUs each, a node each.
    fn host() -> HostSpec {
        let core = |package, pcpus: &str| CoreSpec {
            package: PackageId(package),
            die: 0,
            core: 0,
            kind: CoreKind::default(),
            max_mhz: None,
            pcpus: pcpus.parse().unwrap(),
        };
        let node = |id, cpus: &str| NodeSpec {
            id: NodeId(id),
            cpus: cpus.parse().unwrap(),
            memory: Bytes::from_gib(1),
            pools: vec![PagePool { size: PageSize::KIB_4, total: 1 << 18, free: 1 << 18 }],
            distances: Vec::new(),
        };
        let mut host = HostSpec {
            name: "host".to_owned(),
            nodes: vec![node(0, "0,2"), node(1, "1,3")],
            cores: vec![core(0, "0,2"), core(1, "1,3")],
            ..HostSpec::default()
        };
        host.mark_source("sysfs");
        host
    }

    const SAME: &str = "CPU NODE SOCKET CORE L1d:L2:L3 MAXMHZ\n0 0 0 0 0:0:0 3000.0\n\
        1 1 1 1 1:1:1 3000.0\n2 0 0 0 0:0:0 3000.0\n3 1 1 1 1:1:1 3000.0\n";

    #[test]
    fn what_the_host_lacks_is_taken_and_what_agrees_is_silent() {
        let mut host = host();
        let report = overlay(&mut host, &[read_lscpu(SAME).unwrap()]);
        assert_eq!(report, super::super::Report::default());
        let domains: Vec<String> = host.l3_domains.iter().map(|l3| l3.cpus.to_string()).collect();
        assert_eq!(domains, ["0,2", "1,3"]);
        assert_eq!(host.caches.len(), 2);
        assert!(host.cores.iter().all(|core| core.max_mhz == Some(3000)));
        assert_eq!(host.source_of(pinwise::host::Part::Cpus), "sysfs and lscpu -e");
        host.build().unwrap();
    }

    #[test]
    fn what_differs_is_a_conflict_and_the_host_stays() {
        let mut host = host();
        let l3 = |cpus: &str| L3Spec { cpus: cpus.parse().unwrap(), size: None };
        host.l3_domains = vec![l3("0,2"), l3("1,3")];
        let before = host.clone();
        let text = "CPU NODE SOCKET CORE L3 ONLINE\n0 0 0 0 0 yes\n1 0 0 1 0 yes\n2 0 0 2 0 yes\n\
            3 - - - - no\n9 4 0 7 0 yes\n";
        let report = overlay(&mut host, &[read_lscpu(text).unwrap()]);
        let said: Vec<String> = report.conflicts.iter().map(ToString::to_string).collect();
        let rest = "from lscpu -e; sysfs is used";
        assert_eq!(
            said,
            [
                "lscpu -e names pCPUs 9, which the host does not have: ignored".to_owned(),
                format!("the state of pCPUs 3: online from sysfs, offline {rest}"),
                format!("the SMT siblings of pCPU 0: 0,2 from sysfs, 0 {rest}"),
                format!("the pCPUs of the package of pCPU 0: 0,2 from sysfs, 0-2 {rest}"),
                format!("the pCPUs of the package of pCPU 1: 1 from sysfs, 0-2 {rest}"),
                format!("the pCPUs of node 0: 0,2 from sysfs, 0-2 {rest}"),
                format!("the L3 domain of pCPU 0: 0,2 from sysfs, 0-2 {rest}"),
                format!("the L3 domain of pCPU 1: 1 from sysfs, 0-2 {rest}"),
            ]
        );
        assert_eq!(host, before);
    }

    #[test]
    fn a_pcpu_on_no_node_joins_the_one_that_is_told() {
        let mut host = host();
        host.nodes[1].cpus = "1".parse().unwrap();
        let report = overlay(&mut host, &[read_lscpu(SAME).unwrap()]);
        assert_eq!(report.conflicts, []);
        assert_eq!(host.nodes[1].cpus.to_string(), "1,3");
    }
}
