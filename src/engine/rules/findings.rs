//! The findings: the published measurements behind the table of evidence.

use super::evidence::{Grade, StudyId};

/// A published result that supports a rule, or that corrects another result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Study {
    /// The number of the study.
    pub id: StudyId,
    /// The strength of the evidence.
    pub grade: Grade,
    /// The finding in one sentence; ratios are relative to the default layout unless stated
    /// otherwise.
    pub found: &'static str,
    /// The publication.
    pub source: &'static str,
}

/// The benchmark of four layouts on six GPU systems that started this project.
const POST: &str = "r/VFIO benchmark of four layouts, 2026";
/// The benchmark's scripts and their documentation.
const SUITE: &str = "6erun/vcpu_benchmarks";
const SUSE: &str = "SUSE, Optimizing Linux for AMD EPYC (2018, 2019, 2024)";
const MLC: &str =
    "published Intel Memory Latency Checker outputs (gjbex/Code-optimization and others)";

macro_rules! findings {
    ($($id:literal $grade:ident $source:expr, $found:literal;)*) => {
        /// All findings, by number.
        pub const STUDIES: [Study; 58] = [$(Study {
            id: StudyId($id),
            grade: Grade::$grade,
            found: $found,
            source: $source,
        }),*];
    };
}

findings! {
    1 Observed POST, "pinning was usually the safest starting point";
    2 Observed POST, "pinning alone helped latency and noise in some cases";
    3 Observed POST, "pinning alone did not unlock the memory-bandwidth gains";
    4 Measured POST, "guest cells raised STREAM about 2x to 7x on some multi-node hosts";
    5 Observed POST, "guest cells are not a guaranteed win";
    6 Observed POST, "guest cells made collectives through host memory slower across nodes, sometimes much slower";
    7 Observed POST, "pinning alone helped collectives through host memory a lot on some systems";
    8 Measured POST, "with SMT siblings, twice the vCPUs on the same cores gave 2 to 3% more throughput";
    9 Observed POST, "GPU compute barely changed between layouts";
    10 Observed POST, "one host's PCIe link ran far below its speed; its results are diagnostic only";
    11 Observed POST, "a desktop CPU's boost beat older servers in single-thread speed";
    12 Observed POST, "advice: pin, one cell; expose cells only where GPUs and workload are known to gain";
    13 Stated SUITE, "remote memory has 2 to 3 times the latency of local memory";
    14 Stated SUITE, "hugepages speed up large scans by 5 to 15% in some configurations";
    15 Stated SUITE, "vCPUs or buffers away from the GPU's node slow transfers";
    16 Stated SUITE, "interleaving can raise the total bandwidth of many threads";
    17 Stated SUITE, "Gen 4 x16 gives 22 to 26 GB/s, Gen 1 x16 4 to 5; the slower side of a link decides";
    18 Measured "NVIDIA/nccl#1130", "with peer-to-peer off, 4 GPUs on one node reached 24 GB/s, 2+2 over two nodes 35 GB/s";
    19 Measured "xapi-project/xen-api#6763", "using SMT siblings to stay on one node cost 40 to 75% of CPU capacity";
    20 Stated SUITE, "the benchmark binds collectives to the GPUs' nodes if the guest shows them, otherwise to node 0";
    21 Measured "xapi-project/xen-api#6472", "VMs kept on one node: up to 10% faster, none slower";
    22 Measured SUSE, "over 2 nodes, cells pinned and bound: STREAM 2.46 to 2.55x";
    23 Measured SUSE, "over 8 nodes, cells pinned and bound: STREAM 11 to 13x";
    24 Measured SUSE, "cells neither pinned nor bound: 1.16 to 1.19x on 2 nodes, 2.65 to 2.85x on 8";
    25 Measured SUSE, "inside one node, pinned and bound: STREAM 1.25 to 1.53x";
    26 Measured SUSE, "whole programs: 2.7 to 6.0x if memory-bound, 1.13x if compute-bound";
    27 Measured SUSE, "VMs on different nodes do not disturb each other's bandwidth";
    28 Measured "gearshifft#82, rocm_bandwidth_test#129, torchtitan#3519 and others", "remote transfers reach 0.20 to 1.0 of local bandwidth";
    29 Measured MLC, "idle latency to the other package 1.44 to 1.95 times the local one, 2.1 to 2.8 on one chip";
    30 Measured MLC, "idle latency to another node of the package 1.07 to 1.65 times the local one";
    31 Measured MLC, "node bandwidths add up; a remote node gives 0.32 to 0.92 of a local one";
    32 Measured "Chips and Cheese, EPYC 9575F", "interleaving over two packages: about 1.7 times the latency";
    33 Measured "NVIDIA/nccl-tests#380, #256, nccl#949", "collectives across hosts from VMs: 0.56 to 1.0 of bare metal, by ACS";
    34 Measured "NVIDIA/nccl#1303", "the topology file alone changed one VM from 365 to 51 GB/s";
    35 Measured "NVIDIA/nccl#2171", "NVLink all_reduce inside one VM without visible loss";
    36 Measured "vllm#30492, 1Cat-vLLM#678", "CPU placement changed tensor-parallel inference by factors of 0.98 to 1.02";
    37 Measured "vllm-ascend#6966, vllm#30492", "CPU binding: host-bound serving 1.18x, offloaded weights 1.5x";
    38 Measured "Kubernetes KEP-4800", "CPUs aligned to one L3 domain: 1.18x on a database";
    39 Measured "core-to-core-latency#125, #132", "a cache line takes 188 to 225 ns across L3 domains, 21 to 30 ns inside one";
    40 Measured SUSE, "a guest that sees too few L3 domains can starve OpenMP: 0.29x";
    41 Measured "Linux commit 4d83de6da265", "pinning 4 KiB pages for VFIO takes about a quarter second per GB at start";
    42 Measured "AMDSEV#225", "4 KiB instead of 2 MiB pages in an SEV-SNP guest: an upper bound for others";
    43 Measured "ruby-bench#318, piernik#593", "an E core reaches 0.59 to 0.67 of a P core in one thread";
    44 Measured "intel-ipsec-mb#85, qubes-issues#7404", "a core's second thread adds 0 to 30%";
    45 Measured "nvbandwidth#6, club-3090#162", "more degraded links in VMs: 14 instead of 57 GB/s";
    46 Measured "ModernGekko#34, #20; DolRecomp#28", "a process on the die with the large L3 cache: 1.12 to 1.36x of floating";
    48 Measured "gamemode#453", "a game on a large-cache die with too few cores for it: 0.76x";
    49 Measured "vcache-tray#6", "a game on the large-cache die: 0.895x of floating, power plan changed too";
    50 Observed "rmnr.net, CachyOS-Settings#86", "Linux may rank the die without the large cache first";
    52 Measured "outram-park-backend, HTR-10 report, 2026", "an E core reaches 0.53 and 0.61 of a P core";
    54 Measured "Sokuji documentation, 2026", "an audio pipeline on E cores: 0.55 to 0.58 of P cores";
    55 Stated "virt-manager#155, a KVM Forum 2024 talk", "a vCPU on an LP-E core does about 0.30 of a P core";
    56 Measured "sched-ext/scx#3259", "a game on a chip's E cores alone, outside the P cores' L3: 0.5";
    58 Observed "OSX-KVM#277, lxd#14133", "guests over unlike cores without knowing it were at times badly slow";
    59 Measured "nviennot/core-to-core-latency", "a cache line across L3 domains takes 3.5 to 5.3 times as long as inside one";
    65 Measured "RayforceDB/rayforce#606", "a core's second thread adds -2 to -1% on memory-heavy queries";
    67 Measured "BitFunnel#62, blog.stuffedcow.net and others", "a core's second thread adds -6 to 35%";
    71 Observed "seapath/ansible#908, pve-helpers#4", "vCPUs that float over isolated pCPUs stay on the first of them";
}

impl StudyId {
    /// The finding with this number; `None` if there is none.
    #[must_use]
    pub fn record(self) -> Option<&'static Study> {
        STUDIES.binary_search_by_key(&self, |study| study.id).ok().map(|at| &STUDIES[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_found_by_its_number() {
        assert!(STUDIES.windows(2).all(|pair| pair[0].id < pair[1].id));
        for record in &STUDIES {
            assert_eq!(record.id.record(), Some(record));
        }
        assert_eq!(StudyId(0).record(), None);
        assert_eq!(StudyId(53).record(), None);
    }
}
