//! Rules about GPUs: arithmetic, transfers, collectives.

use crate::engine::gpu_set::GpuPath;
use crate::engine::profile::Profile;
use crate::placement::{MemoryMode, Style};

fn placed(profile: &Profile) -> bool {
    profile.style != Style::Default
}

/// `GpuArithmetic`: the layout does not reach the GPU's own work.
///
/// # What it looks at
/// Whether there is a GPU.
/// # Why it matters
/// No layout should be chosen for it.
/// # Evidence
/// F9: matmul barely changed on all systems; F36: 0.98 to 1.02 (F37: host-bound serving can
/// differ).
/// # When it is silent
/// No GPU.
pub(crate) fn any_gpu(profile: &Profile) -> bool {
    profile.gpus > 0
}

/// `TransferRemote`: a GPU on a node that holds none of the VM's memory.
///
/// # What it looks at
/// The GPUs' nodes compared with the VM's. One remote GPU is enough: the slowest decides.
/// # Why it matters
/// Every buffer crosses the link between nodes.
/// # Evidence
/// F15 expects it; F28: 0.20 to 1.0 of the local bandwidth.
/// # When it is silent
/// All known nodes are nodes of the VM.
pub(crate) fn remote_gpu(profile: &Profile) -> bool {
    placed(profile) && profile.gpus_remote > 0
}

/// `TransferInterleaved`: pages interleaved over the GPU's node and others.
///
/// # What it looks at
/// The memory mode.
/// # Why it matters
/// In every such layout, a part of every buffer is remote.
/// # Evidence
/// Reasoned from F28.
/// # When it is silent
/// One node, cells, or pages that are not interleaved.
pub(crate) fn interleaved(profile: &Profile) -> bool {
    profile.memory == MemoryMode::Interleave && profile.nodes > 1
}

/// `TransferLocal`: memory of the VM bound beside each GPU.
///
/// # What it looks at
/// The GPUs' nodes, the memory mode, and whether the host has several nodes.
/// # Why it matters
/// Buffers need not cross nodes.
/// # Evidence
/// F15 and F28, reversed: an unbound VM's buffers may be anywhere.
/// # When it is silent
/// A GPU's node is unknown or remote, the guest is flat over several nodes, or the host has one
/// node.
pub(crate) fn local_gpu(profile: &Profile) -> bool {
    let bound = profile.memory == MemoryMode::Strict;
    let on_its_node = profile.nodes == 1 || profile.style.shows_cells();
    bound && on_its_node && profile.gpus_local() && profile.host_nodes > 1
}

fn cells_and_spread_gpus(profile: &Profile) -> bool {
    let spread = profile.gpu_nodes + u32::from(profile.gpus_unknown > 0) > 1;
    profile.style.shows_cells() && (spread || profile.gpus_unknown > 0)
}

/// `CollectiveCellsBlind`: cells in a guest that cannot see its GPUs' nodes.
///
/// # What it looks at
/// Cells, expander buses, the number of nodes with GPUs.
/// # Why it matters
/// Programs bind to the node that the guest shows; it shows -1, and buffers land anywhere.
/// # Evidence
/// F6: cells made collectives through host memory slower, sometimes much slower; F20: in that case
/// the benchmark bound everything to node 0. We chose the range.
/// # When it is silent
/// One cell, all GPUs on one node, expander buses that tell the guest, or peer-to-peer.
pub(crate) fn cells_blind(profile: &Profile) -> bool {
    cells_and_spread_gpus(profile) && (!profile.expanders || profile.gpus_unknown > 0)
}

/// `CollectiveCells`: cells with expander buses, GPUs in several of them.
///
/// # What it looks at
/// Cells, expander buses, the number of nodes with GPUs.
/// # Why it matters
/// Traffic through host memory still crosses nodes, but programs can bind to the right ones.
/// # Evidence
/// Reasoned from F6 and F20: nobody has measured how much of F6's harm expander buses undo.
/// # When it is silent
/// One cell, all GPUs on one node, or peer-to-peer.
pub(crate) fn cells_with_expanders(profile: &Profile) -> bool {
    cells_and_spread_gpus(profile) && profile.expanders
}

/// `CollectiveOneNode`: all GPUs and the whole VM bound on one node.
///
/// # What it looks at
/// The VM's and the GPUs' nodes.
/// # Why it matters
/// No traffic crosses nodes.
/// # Evidence
/// F7: pinning helped a lot on some systems; F18 is counter-evidence (4 GPUs of one node 24 GB/s,
/// 2+2 over two nodes 35 GB/s) and lowers the low end.
/// # When it is silent
/// The VM or the GPUs span nodes, a GPU's node is unknown, or peer-to-peer.
pub(crate) fn collective_on_one_node(profile: &Profile) -> bool {
    profile.nodes == 1
        && profile.gpus_local()
        && profile.dedicated
        && profile.memory == MemoryMode::Strict
}

/// `CollectiveFlat`: pinned, one guest cell, GPUs or VM over several nodes.
///
/// # What it looks at
/// The number of cells.
/// # Why it matters
/// Threads that copy between GPUs do not migrate.
/// # Evidence
/// F7: pinning alone helped collectives a lot on some systems.
/// # When it is silent
/// Cells, floating vCPUs, everything on one node, or peer-to-peer.
pub(crate) fn collective_flat(profile: &Profile) -> bool {
    profile.dedicated && !profile.style.shows_cells()
}

/// `PeerLinked`: NVLink or xGMI between every two of the VM's GPUs.
///
/// # What it looks at
/// The links, and the fabric partitions where the host has them.
/// The links, and the fabric partitions if the host has any.
/// Traffic does not touch the host at all.
/// # Evidence
/// F35: 474 GB/s in one VM, no visible loss, one site.
/// # When it is silent
/// Two GPUs without a link, a set that no partition allows, or a request that says no.
pub(crate) fn peer_linked(profile: &Profile) -> bool {
    placed(profile) && profile.gpu_path == GpuPath::Linked
}

/// `PeerSwitch`: peer-to-peer below one PCIe switch.
///
/// # What it looks at
/// The nearest common bridge of the GPUs.
/// # Why it matters
/// Traffic stays inside the switch if ACS allows it; if a port is known to redirect it, a warning
/// says so.
/// # Evidence
/// Reasoned; no finding.
/// # When it is silent
/// Links, or GPUs below different root ports.
pub(crate) fn peer_switch(profile: &Profile) -> bool {
    placed(profile) && profile.gpu_path == GpuPath::SameSwitch
}

/// `PeerNode`: peer-to-peer between root ports of one node.
///
/// # What it looks at
/// The nearest common bridge of the GPUs.
/// # Why it matters
/// Traffic goes through the root complex.
/// # Evidence
/// Reasoned; no finding.
/// # When it is silent
/// Links, one switch, or several nodes.
pub(crate) fn peer_node(profile: &Profile) -> bool {
    placed(profile) && profile.gpu_path == GpuPath::SameNode
}

/// `PeerAcross`: peer-to-peer between nodes.
///
/// # What it looks at
/// The nearest common bridge of the GPUs.
/// # Why it matters
/// Traffic crosses the link between nodes, which forwards peer-to-peer writes slowly on many CPUs.
/// # Evidence
/// Reasoned; no finding.
/// # When it is silent
/// Links, or all GPUs on one node.
pub(crate) fn peer_across(profile: &Profile) -> bool {
    placed(profile) && profile.gpu_path == GpuPath::Across
}
