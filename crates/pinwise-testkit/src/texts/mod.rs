//! Small made-up texts of the kinds that operators send.

/// `virsh capabilities` of two nodes.
pub const CAPABILITIES: &str = include_str!("capabilities.xml");
/// A node device of the same machine.
pub const NODE_DEVICE: &str = include_str!("node-device.xml");
/// A desktop VM as `virsh dumpxml` prints it.
pub const DOMAIN: &str = include_str!("domain.xml");
/// Files of `lstopo`, of format 1 and twice of format 2.
pub const LSTOPO_1: &str = include_str!("lstopo-1.xml");
/// See [`LSTOPO_1`].
pub const LSTOPO_2: &str = include_str!("lstopo-2.xml");
/// See [`LSTOPO_1`].
pub const LSTOPO_3: &str = include_str!("lstopo-3.xml");
/// A `placement-host/1` description with tenants.
pub const PLACEMENT_HOST: &str = include_str!("placement-host.json");
/// A request in our own format.
pub const REQUEST: &str = include_str!("request.json");
/// A tenant in our own format.
pub const TENANT: &str = include_str!("tenant.json");

/// A VM of Proxmox, as `qm config` prints it.
pub const QEMU_CONF: &str = include_str!("qemu.conf");
/// A host of OpenNebula with two VMs, as `onehost show -x` prints it.
pub const ONEHOST: &str = include_str!("onehost.xml");
/// A VM of KubeVirt, as `kubectl get vmi` prints it.
pub const KUBEVIRT: &str = include_str!("vmi.json");

pub const TOPO: &str =
    "\u{1b}[4m\tGPU0\tGPU1\tmlx5_0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\u{1b}[0m\r
GPU0\t X \tNV4\tPIX\t0,2,4,6\t0\t\tN/A
GPU1\tNV4\t X \tSYS\t1,3,5,7\t1\t\tN/A
mlx5_0\tPIX\tSYS\t X

Legend:

  X    = Self
";

pub const ROCM: &str = "
============================ ROCm System Management Interface ============================
================================ Weight between two GPUs =================================
       GPU0         GPU1         GPU2
GPU0   0            15           30
GPU1   15           0            40
GPU2   30           40           0

================================= Hops between two GPUs ==================================
       GPU0         GPU1         GPU2
GPU0   0            1            2
GPU1   1            0            2
GPU2   2            2            0

=============================== Link Type between two GPUs ===============================
       GPU0         GPU1         GPU2
GPU0   0            XGMI         XGMI
GPU1   XGMI         0            PCIE
GPU2   XGMI         PCIE         0

======================================= Numa Nodes =======================================
GPU[0]\t\t: (Topology) Numa Node: 2
GPU[0]\t\t: (Topology) Numa Affinity: 2
GPU[1]\t\t: (Topology) Numa Node: -1
GPU[2]\t\t: (Topology) Numa Node: 0
================================== End of ROCm SMI Log ===================================
";

pub const NUMA: &str = "available: 3 nodes (0-1,4)
node 0 cpus: 0 1 4 5
node 0 size: 1000 MB
node 0 free: 10 MB
node 1 cpus: 2 3 6 7
node 1 size: 2000 MB
node 1 free: 20 MB
node 4 cpus:
node 4 size: 500 MB
node 4 free: 500 MB
node distances:
node   0   1   4
  0:  10  21  17
  1:  21  10  28
  4:  17  28  10
";

pub const NCCL_TOPOLOGY: &str = r#"<system version="1">
  <cpu numaid="-1" affinity="0000000f" arch="x86_64">
    <pci busid="00000000:0A:00.0" class="0x060400" link_speed="32.0 GT/s PCIe" link_width="16">
      <pci busid="0000:0b:00.0" class="0x030200" vendor="0x10de" device="0x2335" link_speed="" link_width="0">
        <gpu dev="0"><nvlink target="0000:0c:00.0" count="2" tclass="0x030200"/></gpu>
      </pci>
      <pci busid="0000:0c:00.0" class="0x030200" vendor="0x10de" device="0x2335" link_speed="2.5 GT/s" link_width="16">
        <gpu dev="1"><nvlink target="0000:0b:00.0" count="1" tclass="0x030200"/></gpu>
      </pci>
    </pci>
    <nic><net name="eth0"/></nic>
  </cpu>
</system>
"#;

pub const P2P: &str = " \tGPU0\tGPU1\t
 GPU0\tX\tGNS\t
 GPU1\tOK\tX\t

Legend:

  X    = Self
  OK   = Status Ok
";

pub const MEMINFO: &str = "\
MemTotal:       65764120 kB
MemFree:        41234567 kB
MemAvailable:   60123456 kB
Active(file):    8123456 kB
Inactive(file): 10123456 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
";

pub const LSCPU_TABLE: &str = "\
CPU NODE SOCKET CORE L1d:L1i:L2:L3 ONLINE    MAXMHZ   MINMHZ
  0    0      0    0 0:0:0:0          yes 3800.0000 800.0000
  1    1      1    1 64:64:1:1        yes 3800.0000 800.0000
  2    0      0    0 0:0:0:0          yes         -        -
  3    -      -    - -                 no         -        -
";

pub const LSCPU_LIST: &str = "\
# The following is the parsable format, which can be fed to other
# programs.
# CPU,Core,Socket,Node,,L1d,L1i,L2,L3
0,0,0,0,,0,0,0,0
1,1,1,1,,64,64,1,1
2,0,0,,,0,0,0,
";

/// The functions of a machine as `lspci -Dnnvv` shows them; the addresses of two are a fixture's.
pub const LSPCI: &str = "\
0000:00:01.1 PCI bridge [0604]: Maker Root Port [1022:1483]
\tKernel driver in use: pcieport

0000:01:00.0 VGA compatible controller [0300]: NVIDIA Corporation Chip [Card 1] [10de:2684] (rev a1) (prog-if 00 [VGA controller])
\tSubsystem: Maker Device [1458:40bf]
\tNUMA node: 0
\tIOMMU group: 14
\t\tLnkCap:\tPort #0, Speed 16GT/s, Width x16, ASPM L1
\t\tLnkSta:\tSpeed 2.5GT/s (downgraded), Width x8 (downgraded)
\tKernel driver in use: vfio-pci
\tKernel modules: nouveau

0000:02:00.0 Ethernet controller [0200]: Maker NIC [8086:1572]
\tNUMA node: 1
";

/// IOMMU groups in two of the forms that guides' loops print.
pub const IOMMU_GROUPS: &str = "\
IOMMU Group 1:
\t00:01.1 PCI bridge [0604]: Maker Root Port [1022:1483]
IOMMU Group 14:
\t01:00.0 VGA compatible controller [0300]: NVIDIA Corporation Chip [10de:2684] (rev a1)
\t[RESET] 01:00.1 Audio device [0403]: NVIDIA Corporation Audio [10de:22ba] (rev a1)
IOMMU Group 15 02:00.0 Ethernet controller [0200]: Maker NIC [8086:1572]
/sys/kernel/iommu_groups/16/devices/0000:03:00.0
[    0.5] pci 0000:04:00.0: Adding to iommu group 17
";

/// `lspci -tv` of the same machine.
pub const PCI_TREE: &str = "\
-+-[0000:80]-+-00.0  Maker Host Bridge
 |           \\-01.0-[81-84]----00.0-[82-84]--+-00.0-[83]----00.0  Card
 |                                           \\-01.0-[84]--
 \\-[0000:00]-+-00.0  Maker Host Bridge
             +-01.1-[01]--+-00.0  NVIDIA Corporation Chip
             |            \\-00.1  NVIDIA Corporation Audio
             \\-1f.3  Audio
";

/// `amd-smi topology` of two GPUs.
pub const AMD_SMI: &str = "\
HOPS TABLE:
             0000:03:00.0 0000:0c:00.0
0000:03:00.0 0            1
0000:0c:00.0 1            0
LINK TYPE TABLE:
             0000:03:00.0 0000:0c:00.0
0000:03:00.0 SELF         XGMI
0000:0c:00.0 XGMI         SELF
";

pub const NODEINFO: &str = "\
CPU model:           x86_64
CPU(s):              8
NUMA cell(s):        1
Memory size:         65764120 KiB
";
