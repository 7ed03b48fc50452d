//! Rules about memory.

use crate::engine::profile::{L3Use, Profile};
use crate::placement::{MemoryMode, Style};

fn bound(profile: &Profile) -> bool {
    profile.memory != MemoryMode::Unbound
}

/// One guest cell over several nodes.
fn flat_over_nodes(profile: &Profile) -> bool {
    profile.style != Style::Default && !profile.style.shows_cells() && profile.nodes > 1
}

/// `BandwidthRemote`: vCPUs on nodes that have no memory for the VM.
///
/// # What it looks at
/// Whether vCPUs are on other nodes than the VM's memory.
/// # Why it matters
/// All their accesses are remote, while the default layout has the same pCPUs for a part of its
/// time.
/// # Evidence
/// F31: one remote node gives 0.32 to 0.92 of a local one. The default layout has some of its
/// accesses remote, too; the range against it is our own.
/// # When it is silent
/// Every vCPU is on a node of the VM's memory, or the VM floats.
pub(crate) fn remote(profile: &Profile) -> bool {
    profile.lent && bound(profile)
}

/// `LatencyRemote`: vCPUs on nodes that have no memory for the VM.
///
/// # What it looks at
/// Whether vCPUs are on other nodes than the VM's memory.
/// # Why it matters
/// Each of their cache misses crosses a link.
/// # Evidence
/// F29, F30: idle latency to another node is 1.07 to 1.95 times the local one. Halved, as about
/// half of the default layout's accesses are remote, too; the range is our own.
/// # When it is silent
/// Every vCPU is on a node of the VM's memory, or the VM floats.
pub(crate) fn latency_remote(profile: &Profile) -> bool {
    remote(profile)
}

/// `BandwidthOfCells`: a guest cell per node, each bound to its node.
///
/// # What it looks at
/// The number of nodes, against the fewest that the VM's size needs.
/// # Why it matters
/// Threads read their own node's memory, and the nodes' bandwidths add up.
/// # Evidence
/// F4: 2x to 7x on some hosts; F22: 2.5 on 2 nodes; F23: 11 to 13 on 8; F31: bandwidths add up. A
/// VM on more nodes than it needs was never measured: its likely value is that of the fewest nodes.
/// # When it is silent
/// One cell, or one node.
pub(crate) fn cells(profile: &Profile) -> bool {
    profile.style.shows_cells() && bound(profile) && profile.nodes > 1
}

/// `BandwidthInterleaved`: one guest cell, its pages spread over several nodes in turn.
///
/// # What it looks at
/// The memory mode and the number of nodes.
/// # Why it matters
/// All memory controllers work, though most accesses are remote.
/// # Evidence
/// F16 expects a gain; F31: one remote node gives 0.32 to 0.92 of a local one.
/// # When it is silent
/// Cells, one node, or pages that are not interleaved.
pub(crate) fn flat_interleaved(profile: &Profile) -> bool {
    flat_over_nodes(profile) && profile.memory == MemoryMode::Interleave
}

/// `BandwidthFlat`: one guest cell over several nodes; the kernel places the pages.
///
/// # What it looks at
/// The memory mode and the number of nodes.
/// # Why it matters
/// The guest cannot keep threads beside their pages.
/// # Evidence
/// F3: pinning alone did not unlock the bandwidth gains.
/// # When it is silent
/// Cells, one node, or interleaved pages.
pub(crate) fn flat_unbound(profile: &Profile) -> bool {
    flat_over_nodes(profile) && profile.memory != MemoryMode::Interleave
}

/// `BandwidthOfOneNode`: pinned and bound to one node of several.
///
/// # What it looks at
/// The number of nodes of the VM and of the host.
/// # Why it matters
/// All accesses are local, while a floating VM's are partly remote.
/// # Evidence
/// F25: 1.25 to 1.53 on two generations of EPYC.
/// # When it is silent
/// The VM floats or spans several nodes, or the host has one.
pub(crate) fn one_of_several_nodes(profile: &Profile) -> bool {
    profile.dedicated && bound(profile) && profile.nodes == 1 && profile.host_nodes > 1
}

/// `BandwidthOfOnlyNode`: pinned on a host with one node.
///
/// # What it looks at
/// The number of nodes of the host.
/// # Why it matters
/// There is no remote memory to avoid.
/// # Evidence
/// F3.
/// # When it is silent
/// The VM floats, or the host has several nodes.
pub(crate) fn only_node(profile: &Profile) -> bool {
    profile.dedicated && profile.nodes == 1 && profile.host_nodes <= 1
}

/// `Hugepages`: on top of the other rules.
///
/// # What it looks at
/// The page size.
/// # Why it matters
/// Fewer address translations miss.
/// # Evidence
/// F14: 5 to 15% in some configurations; F42 bounds it from above.
/// # When it is silent
/// Base pages.
pub(crate) fn hugepages(profile: &Profile) -> bool {
    profile.hugepages
}

/// `LatencyInterleaved`: one guest cell, pages interleaved over several packages.
///
/// # What it looks at
/// The memory mode and the number of packages.
/// # Why it matters
/// Half of the accesses cross the link between packages, wherever the thread runs.
/// # Evidence
/// F32: about 1.7 times the latency of a one-package chip.
/// # When it is silent
/// Cells, one package, or pages that are not interleaved.
pub(crate) fn interleaved_over_packages(profile: &Profile) -> bool {
    flat_interleaved(profile) && profile.packages > 1
}

fn local(profile: &Profile) -> bool {
    bound(profile) && (profile.nodes == 1 || (profile.style.shows_cells() && profile.nodes > 1))
}

/// `LatencyBoundPackages`: memory beside its vCPUs, on a host of several packages.
///
/// # What it looks at
/// Whether the VM is on one node or has cells, and the host's packages.
/// # Why it matters
/// An unbound VM has about half of its pages behind the packages' link.
/// # Evidence
/// F29: idle latency to the other package is 1.44 to 1.95 times the local one; halved. F13 expects
/// 2 to 3.
/// # When it is silent
/// One package, or one cell over several nodes.
pub(crate) fn local_among_packages(profile: &Profile) -> bool {
    local(profile) && profile.host_nodes > 1 && profile.host_packages > 1
}

/// `LatencyBoundNodes`: memory beside its vCPUs, on a host of several nodes in one package.
///
/// # What it looks at
/// Whether the VM is on one node or has cells, and the host's nodes.
/// # Why it matters
/// Other nodes of a package are a little further.
/// # Evidence
/// F30: 1.07 to 1.65 times the local latency; halved.
/// # When it is silent
/// One node in the host, or one cell over several nodes.
pub(crate) fn local_among_nodes(profile: &Profile) -> bool {
    local(profile) && profile.host_nodes > 1
}

/// `LatencyPinned`: pinned, and memory not local by construction.
///
/// # What it looks at
/// Whether vCPUs are dedicated.
/// # Why it matters
/// First touch puts some pages beside their thread, which then stays there.
/// # Evidence
/// F2: helped latency in some cases.
/// # When it is silent
/// The vCPUs float, or pages are interleaved.
pub(crate) fn pinned(profile: &Profile) -> bool {
    profile.dedicated && profile.memory != MemoryMode::Interleave
}

/// `OneOfUnequalCaches`: all vCPUs in one L3 domain, on a host whose domains have caches of
/// different sizes.
///
/// # What it looks at
/// The L3 domains of the VM's cores, on one node, and the sizes of the host's caches.
/// # Why it matters
/// One part of such a processor has the cache, the other the clock. Threads over both wait for each
/// other's cache lines, about four times as long as inside one (F59), and a floating VM does not
/// end up on the large cache by itself (F50).
/// # Evidence
/// Reasoned. A process pinned to the large cache gained 1.12 to 1.36 over floating (F46), 0.895 in
/// one test (F49), and 0.76 where the domain had fewer cores than the process had busy threads
/// (F48). These are whole programs; that the gain is one of latency is ours.
/// # When it is silent
/// Caches of one size, or of unknown sizes; cores in several domains; several nodes.
pub(crate) fn one_of_unequal_caches(profile: &Profile) -> bool {
    profile.dedicated && profile.unequal_caches && profile.l3 == L3Use::One && profile.nodes == 1
}
