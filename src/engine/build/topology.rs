//! The CPU topology that the guest sees.

use crate::engine::search::Candidate;
use crate::host::mask::PackageMask;
use crate::host::{CpuVendor, Host};
use crate::placement::GuestTopology;
use crate::request::{Guest, RequestSpec};

/// The sockets, dies and cores that a guest sees.
///
/// # The rule
/// A guest sees as many sockets as it has host packages, if each of them holds the same number of
/// its guest cores; otherwise one socket with all cores. Windows always sees one.
///
/// Cells with the same number of guest cores do not share a die: where a socket holds several
/// cells, each cell is one of its dies. There are two exceptions.
/// - A die of a single vCPU is not shown. Linux 6.1 takes each of these for a package.
/// - On a CPU other than Intel's, without `topoext`, each cell is a socket. Windows keeps its one
///   socket, with dies.
///
/// Cells with unequal numbers of guest cores get no dies: their borders lie inside a socket. No
/// guest ever sees more sockets than packages or cells, whichever number is larger.
///
/// # Why cells may share a socket
/// A guest learns its cells from the SRAT, by vCPU, and asks the CPU only for packages, dies and
/// caches. Linux checks a single thing: vCPUs that share a last-level cache must be on one node. If
/// they are not, it prints "sched: CPU #2's llc-sibling CPU #0 is not on the same node! \[node: 1
/// != 0\]. Ignoring dependency." with a call trace, once per boot, and cuts the cache's set at the
/// border of the cell. Nodes, distances, packages and scheduler domains are as promised
/// nevertheless.
///
/// Guests booted under QEMU 10.0, with Linux 6.1 and with 6.12:
///
/// | guest CPU | one socket, cell borders inside a die | dies for cells | sockets for cells |
/// |---|---|---|---|
/// | Intel since Skylake | silent | silent | silent |
/// | Intel Haswell and Broadwell servers | complains | silent if each die has an L3 | silent |
/// | AMD without `topoext` | complains | complains | silent |
/// | AMD with `topoext` | complains | silent if each die has an L3 | silent |
///
/// Intel since Skylake is silent because Linux (5.13 and later) expects nodes that share an L3, as
/// sub-NUMA clusters do. On AMD without `topoext` Linux takes the whole package for one L3,
/// whatever the cache leaves say. So unequal cells in an AMD guest cost one complaint in the kernel
/// log, and no more than that. Accepted: the only sockets that no border cuts would be the greatest
/// common divisor of the cells, which is 23 sockets of one core for cells of 11 and 12.
///
/// # What the guest sees of the L3
/// - `<cache mode='passthrough'>`, printed for pinned vCPUs: QEMU hands on how many APIC ids share
///   the host's L3. On Intel it limits that number to the socket, so a socket has one L3, unless
///   the host's L3 is narrower; dies do not divide it. On AMD the host's number stays, for guests
///   that have `topoext`: 16 on most CPUs since Zen 3. Dies and sockets are padded to a power of
///   two of APIC ids, so cells of fewer than 16 vCPUs then share an L3, and Linux complains once.
/// - `<cache mode='emulate' level='3'/>`: each die has one L3.
pub(super) fn topology(host: &Host, spec: &RequestSpec, candidate: &Candidate) -> GuestTopology {
    let Candidate { nodes, units, threads, .. } = candidate;
    let windows = spec.guest == Guest::Windows;
    let sockets = if windows { 1 } else { even_packages(host, nodes, units) };
    let cells = units.len() as u64;
    let alike = units.iter().all(|of_cell| *of_cell == units[0]);
    let (sockets, dies) = if !candidate.style.shows_cells() || !alike {
        (sockets, 1)
    } else if !windows && host.cpu_vendor() != CpuVendor::Intel && !topoext(host, *threads) {
        (cells, 1)
    } else if units[0] * u64::from(*threads) == 1 {
        (sockets, 1)
    } else {
        (sockets, cells / sockets)
    };
    let all: u64 = units.iter().sum();
    GuestTopology {
        sockets: small(sockets),
        dies: small(dies),
        cores: small(all / sockets / dies),
        threads: *threads,
    }
}

/// Whether the guest's CPU needs `topoext`.
pub(super) fn topoext(host: &Host, threads: u32) -> bool {
    host.cpu_vendor() == CpuVendor::Amd && threads > 1
}

/// The number of packages, if each holds the same number of guest cores and all its nodes in a row;
/// otherwise 1. A node with cores of several packages cannot be told apart: 1.
fn even_packages(host: &Host, nodes: &[usize], units: &[u64]) -> u64 {
    let package = |at: &usize| host.derived().nodes[*at].packages;
    let all = PackageMask::union(nodes.iter().map(package));
    let (packages, total) = (u64::from(all.len()), units.iter().sum::<u64>());
    let held = |at: &usize| -> u64 {
        let alike = nodes.iter().zip(units).filter(|(other, _)| package(other) == package(at));
        alike.map(|(_, units)| units).sum()
    };
    let even = |at: &usize| package(at).len() == 1 && held(at) * packages == total;
    let borders = nodes.windows(2).filter(|two| package(&two[0]) != package(&two[1])).count();
    if nodes.iter().all(even) && borders as u64 + 1 == packages { packages } else { 1 }
}

fn small(count: u64) -> u32 {
    u32::try_from(count).expect("no part of a guest is more than its vCPUs")
}
