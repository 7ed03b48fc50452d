//! Rules about processors.

use crate::engine::profile::{L3Use, Profile};
use crate::engine::work::Work;
use crate::placement::Style;

/// `LowPowerCore`: a vCPU sits on a low-power efficiency core.
///
/// # What it looks at
/// The kinds of the cores under pinned vCPUs.
/// # Why it matters
/// Such a core has a low clock and no part in the L3 cache of the others.
/// # Evidence
/// F55: about 0.30 of a performance core, as stated; F56: a game at 0.5.
/// # When it is silent
/// No vCPU is pinned to one, or the host has one kind of core.
pub(crate) fn low_power_core(profile: &Profile) -> bool {
    profile.dedicated && profile.work.low_power > 0
}

/// `EfficiencyCore`: a vCPU sits on an efficiency core of a host that has faster ones.
///
/// # What it looks at
/// The kinds of the cores under pinned vCPUs.
/// # Why it matters
/// A guest cannot tell the kinds apart, so any thread may land on the slow core and stay there.
/// # Evidence
/// One thread on an efficiency core reaches 0.59 and 0.67 of a performance core (F43), 0.53 and
/// 0.61 (F52), 0.55 to 0.58 (F54).
/// # When it is silent
/// No vCPU is pinned to one, or the host has one kind of core.
pub(crate) fn efficiency_core(profile: &Profile) -> bool {
    profile.on_slow_cores()
}

/// `PinnedThread`, `PinnedThreads`: every vCPU has a pCPU of its own.
///
/// # What it looks at
/// Whether vCPUs have dedicated pCPUs.
/// # Why it matters
/// A pinned vCPU keeps its caches and is never queued behind another.
/// # Evidence
/// F2: latency and noise improved in some cases; F26: pure computation on all threads did not.
/// # When it is silent
/// The vCPUs float.
pub(crate) fn pinned(profile: &Profile) -> bool {
    profile.dedicated
}

/// `CrowdedThread`, `CrowdedThreads`: other tenants float on the cores of pinned vCPUs.
///
/// # What it looks at
/// The number of tenants that float on each core under the VM's pinned vCPUs.
/// # Why it matters
/// A vCPU that is pinned cannot go elsewhere while another tenant's thread runs on its pCPU, and is
/// slowed by one on the sibling.
/// # Evidence
/// Reasoned, the numbers are ours. Two busy threads on one pCPU have half of it each, but the
/// host's scheduler moves the one that may move to an idle pCPU if there is one: at the low end the
/// VM loses 0.3 where three tenants float on all its cores, likely 0.05. It stays above an
/// efficiency core, which is slow at all times.
/// # When it is silent
/// Nobody floats there, or the VM floats itself.
pub(crate) fn crowded(profile: &Profile) -> bool {
    profile.dedicated && profile.crowd > 0
}

/// `SiblingThreads`: the vCPUs have fewer cores than they would have floating, and share them more.
///
/// # What it looks at
/// The numbers of cores under the vCPUs and of vCPUs on second threads, for the VM and for the
/// default layout on the same host.
/// # Why it matters
/// A second thread shares its core's units: twice the vCPUs, hardly more work.
/// # Evidence
/// The work model, `engine::work`: F8, F44, F65 and F67. F19: squeezing a VM onto siblings cost 40
/// to 75% of the CPU capacity.
/// # When it is silent
/// The VM has as many cores as the default layout would keep busy; or cores of a slower kind are
/// involved.
pub(crate) fn siblings(profile: &Profile) -> bool {
    profile.work != profile.default_work && !slow_cores(profile)
}

/// `SlowerCores`: the vCPUs have other kinds of cores than they would have floating.
///
/// # What it looks at
/// The numbers of cores under the vCPUs by kind and of vCPUs on second threads, for the VM and for
/// the default layout on the same host.
/// # Why it matters
/// An efficiency core does about three fifths of a performance core.
/// # Evidence
/// The work model, `engine::work`: F43, F52 and F54 for the kinds, F8, F44 and F67 for second
/// threads.
/// # When it is silent
/// The VM has as many cores of each kind as the default layout would keep busy; or all of both are
/// performance cores.
pub(crate) fn slower_cores(profile: &Profile) -> bool {
    profile.work != profile.default_work && slow_cores(profile)
}

/// Whether the VM or the default layout has vCPUs on slower kinds of cores.
fn slow_cores(profile: &Profile) -> bool {
    let slow = |work: Work| work.efficiency + work.low_power > 0;
    slow(profile.work) || slow(profile.default_work)
}

/// `HiddenSiblings`: pinned vCPUs share cores, and the guest is shown a core for each vCPU.
///
/// # What it looks at
/// The share of the vCPUs that have a core in common with another, and what the guest is shown.
/// # Why it matters
/// A guest that is half busy puts two busy threads on one core while others are idle.
/// # Evidence
/// Reasoned: with half of V vCPUs busy at random, a pair is busy together in about one of four
/// cases, and then loses about a whole thread (F8). The low end is a pair that is busy all the
/// time.
/// # When it is silent
/// The guest is shown its siblings, or each vCPU has a core of its own, or the vCPUs float: the
/// host's scheduler then moves one away.
pub(crate) fn hidden_siblings(profile: &Profile) -> bool {
    profile.hides_siblings()
}

/// `MixedKinds`: pinned vCPUs on cores of several kinds.
///
/// # What it looks at
/// The kinds of the cores under the vCPUs.
/// # Why it matters
/// A guest cannot tell the kinds apart, and work that it divides evenly waits for the slow ones.
/// # Evidence
/// Reasoned: at the low end all vCPUs go at the pace of an efficiency core (F52). F58: guests that
/// do not know it were at times badly slow.
/// # When it is silent
/// One kind, or the vCPUs float.
pub(crate) fn mixed_kinds(profile: &Profile) -> bool {
    profile.dedicated && profile.work.mixes_kinds()
}

/// `CellThreads`: guest cells over several nodes, pinned and bound.
///
/// # What it looks at
/// The numbers of cells and of nodes.
/// # Why it matters
/// A guest that sees its nodes keeps threads beside their memory.
/// # Evidence
/// F26: 1.13 (±0.07) for pure computation against flat and floating.
/// # When it is silent
/// One cell.
pub(crate) fn cells(profile: &Profile) -> bool {
    profile.dedicated && profile.style.shows_cells() && profile.nodes > 1
}

/// `WholeL3Domains`: the cores on each node are in one L3 domain.
///
/// # What it looks at
/// The number of L3 domains that the VM's cores on each of its nodes are in.
/// # Why it matters
/// Threads in one domain exchange cache lines in 21 to 30 ns, across domains in about 200 ns (F39).
/// # Evidence
/// F38: 1.18 on a database aligned to one domain.
/// # When it is silent
/// Nodes with one L3 domain or an unknown number, or cores of one node in several domains, even if
/// fewer could not hold them: the database fitted one.
pub(crate) fn whole_l3_domains(profile: &Profile) -> bool {
    profile.style != Style::Default && profile.dedicated && profile.l3 == L3Use::One
}
