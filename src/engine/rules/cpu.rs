//! Rules about processors.

use crate::engine::profile::{L3Use, Profile};
use crate::placement::Style;

/// `EfficiencyCore`: a vCPU sits on an E core of a hybrid CPU.
///
/// # What it looks at
/// The kinds of the cores that carry vCPUs.
/// # Why it matters
/// A guest cannot tell the kinds apart, so any thread may land on the slow core and stay there.
/// # Evidence
/// F43: one thread on an E core reaches 0.59 (12700KF) and 0.67 (14900K) of a P core.
/// # When it is silent
/// All vCPUs are on P cores, or the host has one kind.
pub(crate) fn efficiency_core(profile: &Profile) -> bool {
    profile.dedicated && profile.efficiency_core
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

/// `SiblingThreads`: V vCPUs on V/2 cores.
///
/// # What it looks at
/// Threads of a guest core.
/// # Why it matters
/// Both siblings share the units of one core: twice the vCPUs, hardly more work done.
/// # Evidence
/// F8: 2 to 3% more than one thread per core, so about 0.51 of V cores; F19: 40 to 75% of the
/// capacity lost; F44: 0% to 30% from the second thread.
/// # When it is silent
/// Every vCPU has a core of its own.
pub(crate) fn siblings(profile: &Profile) -> bool {
    profile.dedicated && profile.threads > 1
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

/// `WholeL3Domains`: the cores fill whole L3 domains instead of pieces of many.
///
/// # What it looks at
/// The L3 domains of the VM's cores, compared with the smallest number that could hold them.
/// # Why it matters
/// Threads in one domain exchange cache lines in 21 to 30 ns, across domains in about 200 ns (F39).
/// # Evidence
/// F38: 1.18 on a database aligned to one domain.
/// # When it is silent
/// Nodes with one L3 domain or an unknown number, or cores in more domains than necessary.
pub(crate) fn whole_l3_domains(profile: &Profile) -> bool {
    profile.style != Style::Default && profile.dedicated && profile.l3 == L3Use::Whole
}
