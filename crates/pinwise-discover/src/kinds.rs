//! The kinds of cores: from what a source tells of them, else from their clocks and shapes.
//!
//! Cores of one kind differ in clock too: those that the CPU favours by a few percent, those below
//! a stacked cache by less than a tenth. A clock alone therefore makes no kind; a lower one beside
//! a different shape does.

use std::collections::{BTreeMap, BTreeSet};

use crate::core_note::KindSign;
use pinwise::host::{CacheKind, CacheSpec, CoreKind, CoreSpec, CpuVendor, HostSpec, L3Spec};
use pinwise::sets::CpuSet;
use pinwise::units::{PackageId, PcpuId};

/// What a source tells of the kinds of cores; empty where it tells nothing.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The pCPUs of efficiency cores, with or without the low-power ones.
    pub(crate) efficiency: CpuSet,
    /// The pCPUs of low-power efficiency cores.
    pub(crate) low_power: CpuSet,
    /// The speed of pCPUs relative to each other, as the kernel's `cpu_capacity` counts it.
    pub(crate) capacity: BTreeMap<PcpuId, u64>,
    /// The base frequencies of pCPUs, compared where no top frequency is known.
    pub(crate) base_mhz: BTreeMap<PcpuId, u32>,
}

/// Sets the kind of every core. The first of these that tells two kinds apart is taken:
/// 1. what the source names;
/// 2. capacities: a core below three quarters of the largest is an efficiency core. Favoured cores
///    of one kind differ by a few percent, kinds by a third and more; the limit is ours;
/// 3. clocks, where shapes differ too (see [`by_clock`]).
///
/// Of the efficiency cores, those are low-power ones that the source names so, that have no L3
/// cache where other cores of the package have one, or whose clock is below three quarters of the
/// fastest efficiency core's. Known CPUs have 0.6 there; the limit is ours.
pub(crate) fn settle(cores: &mut [CoreSpec], told: &Told, l3: &[L3Spec], caches: &[CacheSpec]) {
    let clocks = clocks(cores, &told.base_mhz);
    let named = told.efficiency.union(&told.low_power);
    let slow = if named.is_empty() { by_capacity(cores, &told.capacity) } else { named };
    let slow = if slow.is_empty() { by_clock(cores, caches, &clocks) } else { slow };
    for core in cores.iter_mut().filter(|core| core.pcpus.intersects(&slow)) {
        core.kind = CoreKind::Efficiency;
    }
    low_power(cores, &told.low_power, l3, &clocks);
}

/// Whether all cores are of one kind, as they also are where no source told any.
pub(crate) fn is_uniform(host: &HostSpec) -> bool {
    host.cores.windows(2).all(|pair| pair[0].kind == pair[1].kind)
}

/// Takes cores of the shape that efficiency cores have for such, where nothing else tells kinds
/// apart; returns the shape. Only where all pCPUs are online, as a core may lack a thread that is
/// off, and not of a single core, which a hypervisor may have given an odd pCPU.
pub(crate) fn guess(host: &mut HostSpec) -> Option<KindSign> {
    let clock_known = host.cores.iter().any(|core| core.max_mhz.is_some());
    if host.cpu_vendor == CpuVendor::Amd || clock_known || !host.offline.is_empty() {
        return None;
    }
    let (narrow, sign) = Shapes::by_package(&host.cores, &host.caches)
        .into_iter()
        .filter(|shapes| !shapes.wide.is_empty() && shapes.narrow.len() > 1)
        .fold((CpuSet::new(), None), |(all, first), shapes| {
            (all.union(&shapes.pcpus_of_narrow()), first.or(Some(shapes.sign)))
        });
    for core in host.cores.iter_mut().filter(|core| core.pcpus.intersects(&narrow)) {
        core.kind = CoreKind::Efficiency;
    }
    low_power(&mut host.cores, &CpuSet::new(), &host.l3_domains, &BTreeMap::new());
    sign
}

/// [`guess`], on hosts whose source names Intel.
#[cfg(feature = "xml")]
pub(crate) fn guess_on_intel(host: &mut HostSpec) -> Option<KindSign> {
    let intel = host.cpu_vendor == CpuVendor::Intel || host.cpu_model.contains("Intel");
    if intel { guess(host) } else { None }
}

/// The clock of each core by its first pCPU: the top frequency, or, where none is known of any
/// core, the base frequency.
fn clocks(cores: &[CoreSpec], base: &BTreeMap<PcpuId, u32>) -> BTreeMap<PcpuId, u32> {
    let top = cores.iter().any(|core| core.max_mhz.is_some());
    let clock = |core: &CoreSpec| {
        let own = || core.pcpus.iter().filter_map(|pcpu| base.get(&pcpu)).max().copied();
        Some((core.pcpus.first()?, if top { core.max_mhz? } else { own()? }))
    };
    cores.iter().filter_map(clock).collect()
}

fn clock_of(core: &CoreSpec, clocks: &BTreeMap<PcpuId, u32>) -> Option<u64> {
    clocks.get(&core.pcpus.first()?).map(|mhz| u64::from(*mhz))
}

/// Whether a value is less than this part of another.
fn below(value: u64, (part, whole): (u64, u64), of: u64) -> bool {
    value.saturating_mul(whole) < of.saturating_mul(part)
}

const THREE_QUARTERS: (u64, u64) = (3, 4);
const NINE_TENTHS: (u64, u64) = (9, 10);

/// The pCPUs of cores whose capacity is clearly below the largest.
fn by_capacity(cores: &[CoreSpec], capacity: &BTreeMap<PcpuId, u64>) -> CpuSet {
    let of = |core: &CoreSpec| core.pcpus.iter().filter_map(|pcpu| capacity.get(&pcpu)).max();
    let most = cores.iter().filter_map(of).max().copied().unwrap_or(0);
    let low = |core: &&CoreSpec| of(core).is_some_and(|own| below(*own, THREE_QUARTERS, most));
    cores.iter().filter(low).flat_map(|core| core.pcpus.iter()).collect()
}

/// The pCPUs of cores that are slower by more than a tenth than every core of the fast kind's shape
/// in their package, if at least one of them has the slow kind's shape and none the fast one's. The
/// tenth is ours: kinds of known CPUs differ by more, and cores of one kind by less.
fn by_clock(cores: &[CoreSpec], caches: &[CacheSpec], clocks: &BTreeMap<PcpuId, u32>) -> CpuSet {
    let clock = |core: &CoreSpec| clock_of(core, clocks);
    let mut found = CpuSet::new();
    for shapes in Shapes::by_package(cores, caches) {
        let Some(slowest) = shapes.wide.iter().filter_map(|core| clock(core)).min() else {
            continue;
        };
        let slow =
            |core: &&&CoreSpec| clock(core).is_some_and(|mhz| below(mhz, NINE_TENTHS, slowest));
        if shapes.narrow.iter().any(|core| slow(&core)) {
            let rest = shapes.narrow.iter().chain(&shapes.unknown).filter(slow);
            found.extend(&rest.flat_map(|core| core.pcpus.iter()).collect());
        }
    }
    found
}

/// The cores of a package by shape, if there are two: cores with several threads or an L2 cache of
/// their own, as the fast kind has, and cores with one thread or an L2 cache in common.
struct Shapes<'a> {
    sign: KindSign,
    wide: Vec<&'a CoreSpec>,
    narrow: Vec<&'a CoreSpec>,
    /// Cores whose L2 cache is not told.
    unknown: Vec<&'a CoreSpec>,
}

impl<'a> Shapes<'a> {
    fn by_package(cores: &'a [CoreSpec], caches: &[CacheSpec]) -> Vec<Self> {
        let l2 = |cache: &&CacheSpec| cache.level == 2 && cache.kind == CacheKind::Unified;
        let l2 = caches.iter().filter(l2).flat_map(|cache| &cache.shared_by);
        let l2: BTreeMap<PcpuId, &CpuSet> =
            l2.flat_map(|set| set.iter().map(move |pcpu| (pcpu, set))).collect();
        let mut packages: BTreeMap<PackageId, Vec<&CoreSpec>> = BTreeMap::new();
        for core in cores {
            packages.entry(core.package).or_default().push(core);
        }
        packages.into_values().map(|cores| Self::new(cores, &l2)).collect()
    }

    fn new(cores: Vec<&'a CoreSpec>, l2: &BTreeMap<PcpuId, &CpuSet>) -> Self {
        let single = |core: &&CoreSpec| core.pcpus.len() == 1;
        let (narrow, wide): (Vec<_>, Vec<_>) = cores.iter().copied().partition(single);
        if !narrow.is_empty() && !wide.is_empty() {
            return Self { sign: KindSign::Threads, wide, narrow, unknown: Vec::new() };
        }
        let sign = KindSign::SharedL2;
        let mut shapes = Self { sign, wide: Vec::new(), narrow: Vec::new(), unknown: Vec::new() };
        for core in cores {
            match core.pcpus.first().and_then(|first| l2.get(&first)) {
                Some(set) if set.is_subset(&core.pcpus) => shapes.wide.push(core),
                Some(_) => shapes.narrow.push(core),
                None => shapes.unknown.push(core),
            }
        }
        shapes
    }

    fn pcpus_of_narrow(&self) -> CpuSet {
        self.narrow.iter().flat_map(|core| core.pcpus.iter()).collect()
    }
}

/// Tells the low-power cores from the other efficiency cores, as [`settle`] says.
fn low_power(
    cores: &mut [CoreSpec],
    named: &CpuSet,
    l3: &[L3Spec],
    clocks: &BTreeMap<PcpuId, u32>,
) {
    let mut cached = CpuSet::new();
    l3.iter().for_each(|l3| cached.extend(&l3.cpus));
    let in_l3 = |core: &CoreSpec| core.pcpus.intersects(&cached);
    let told: BTreeSet<PackageId> =
        cores.iter().filter(|core| in_l3(core)).map(|core| core.package).collect();
    let clock = |core: &CoreSpec| clock_of(core, clocks);
    let efficient = |core: &&mut CoreSpec| core.kind == CoreKind::Efficiency;
    let most = cores.iter().filter(|core| core.kind == CoreKind::Efficiency).filter_map(clock);
    let most = most.max().unwrap_or(0);
    for core in cores.iter_mut().filter(efficient) {
        if core.pcpus.intersects(named)
            || told.contains(&core.package) && !in_l3(core)
            || clock(core).is_some_and(|mhz| below(mhz, THREE_QUARTERS, most))
        {
            core.kind = CoreKind::LowPower;
        }
    }
}
