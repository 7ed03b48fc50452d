//! The arguments of `pinwise recommend`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use pinwise::host::{Reserve, ReserveMemory};
use pinwise::request::{Guest, Sharing, Wish};
use pinwise::units::{ParseUnitError, Ratio};
use pinwise::{Bytes, CpuSet, NodeSet, PageSize, PciAddr, Policy, Style, Workload};
use pinwise_discover::tenants::Isolation;

use super::wishes::WishArgs;
use crate::input::policies::{ThreadArgs, policy};
use crate::input::{memory, reserve};

/// Shown below the arguments.
const EXAMPLES: &str = "\
Examples:
  pinwise recommend --host live --vcpus 8 --memory 16GiB --gpus 1
  pinwise recommend --host live --domain vm.xml --diff
  virsh dumpxml vm | pinwise recommend --host live --domain - --format xml
  pinwise recommend --host lscpu.txt --facts numactl.txt lspci.txt groups.txt --vcpus 8 --memory 16GiB
  pinwise recommend --host caps.xml --tenant domains/ --vcpus 16 --memory 64GiB --workload latency-sensitive
  qm config 101 | pinwise recommend --host live --tenant /etc/pve/qemu-server --request -
  pinwise recommend --host live --vcpus 6 --memory 12GiB --dedicated-cpus ignore --whole-cores ignore

Exit status: 0, a recommendation; 2, bad input; 3, the VM does not fit.";

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// An explanation followed by the XML.
    Text,
    /// Only libvirt XML, ready to paste.
    Xml,
    /// One JSON object.
    Json,
}

/// A value, or explicitly none: clap reads `Option<Option<T>>` as an option with an optional value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<T>(pub(crate) Option<T>);

/// Recommends where on a host a GPU virtual machine should live, and what its guest should see.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The host: a description as JSON (pinwise-host/1, or placement-host/1 with its tenants), XML
    /// of virsh capabilities (or its <cells>) or lstopo, a host of OpenNebula (onehost show -x), a
    /// table of lscpu -e, a folder with one of these, virsh nodedev-dumpxml files and facts, a
    /// captured root with sys/ and proc/, or "live" for this machine. With the feature of the same
    /// name: "hwloc" for this machine through libhwloc, "libvirt" or "libvirt:URI" for the host of
    /// a libvirt. By default an embedded, synthetic HGX H200.
    #[arg(long, value_name = "FILE|DIR|live|hwloc|libvirt[:URI]")]
    pub(crate) host: Option<PathBuf>,
    /// Additional facts about the host: output of nvidia-smi topo -m or -p2p, amd-smi topology,
    /// rocm-smi --showtopo, lscpu -e, numactl --hardware, lspci -nnk or -tv, a listing of IOMMU
    /// groups, a topology of NCCL or RCCL; or another description to lay over it.
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    pub(crate) facts: Vec<PathBuf>,
    /// Tenants on the host: JSON files, domain XML (virsh dumpxml), VMs of Proxmox (qm config, or
    /// /etc/pve/qemu-server), or folders of such files; with the feature libvirt, "live" for the
    /// running domains or "libvirt:URI" for those of another libvirt.
    #[arg(long, value_name = "FILE|DIR|live|libvirt[:URI]", num_args = 1..)]
    pub(crate) tenant: Vec<PathBuf>,
    /// What tenants that are described by domains have to themselves around their pins, which a
    /// domain does not say: none (siblings are free for VMs that share cores), whole-cores, or
    /// own-l3 (cores and L3 domains).
    #[arg(long, value_name = "none|whole-cores|own-l3", value_parser = isolation, default_value = "none")]
    pub(crate) tenant_isolation: Isolation,
    /// What to keep for the host: auto (one core, and the answer says which and why), none, or
    /// pCPUs such as 0-3,8.
    #[arg(long, value_name = "auto|none|CPUSET", value_parser = reserve)]
    pub(crate) reserve: Option<Reserve>,
    /// The ordinary memory (base pages) to keep free for the host on each node: auto (1 GiB, or 2
    /// GiB on the only node; a sixteenth at most), 0, or an amount such as 16GiB.
    #[arg(long, value_name = "auto|0|AMOUNT", value_parser = reserve_memory)]
    pub(crate) reserve_memory: Option<ReserveMemory>,
    /// The request: JSON in our own format, a domain (virsh dumpxml), a VM of Proxmox (qm config)
    /// or of KubeVirt (kubectl get vmi NAME -o json).
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "name", "vcpus", "memory", "gpus", "gpu", "gpu_model", "gpu_kind", "page_size", "workload", "guest",
        "cells", "smt", "p2p", "dedicated_cpus", "shared", "whole_cores", "own_l3", "one_node", "gpu_locality", "same_switch",
        "cpus", "nodes", "memory_nodes", "fabric_partition", "device", "nic", "nic_per_gpu", "nic_model",
        "nvme", "nvme_per_gpu", "nvme_model", "device_near", "device_within",
        "io_threads", "emulator_pcpus",
    ])]
    pub(crate) request: Option<PathBuf>,
    /// The VM's name.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The number of vCPUs.
    #[arg(long)]
    pub(crate) vcpus: Option<u32>,
    /// The memory with its unit, such as 64GiB.
    #[arg(long, value_parser = memory)]
    pub(crate) memory: Option<Bytes>,
    /// The number of GPUs.
    #[arg(long, conflicts_with = "gpu")]
    pub(crate) gpus: Option<u32>,
    /// GPUs by PCI address, whole ones or virtual functions.
    #[arg(long, value_name = "ADDRESS", num_args = 1.., conflicts_with = "gpu_model")]
    pub(crate) gpu: Vec<PciAddr>,
    /// A part of the GPUs' model name or of their PCI ids (10de:2335).
    #[arg(long, value_name = "TEXT")]
    pub(crate) gpu_model: Option<String>,
    /// Whether --gpus counts whole GPUs (pf, the default) or virtual functions of GPUs (vf; SR-IOV,
    /// as for NVIDIA vGPU, AMD MxGPU or Intel Flex).
    #[arg(long, value_name = "pf|vf", value_parser = gpu_kind, conflicts_with = "gpu")]
    pub(crate) gpu_kind: Option<GpuKind>,
    /// NICs and other devices by PCI address.
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pub(crate) device: Vec<PciAddr>,
    /// The devices to choose by kind, and how near.
    #[command(flatten)]
    pub(crate) wishes: WishArgs,
    /// Let devices take from the host what it needs and what shares their IOMMU group: disks,
    /// networks, its display, its last USB controller. No VM receives these.
    #[arg(long)]
    pub(crate) allow_group: bool,
    /// The page size.
    #[arg(long, value_name = "auto|4KiB|2MiB|1GiB", value_parser = page_size)]
    pub(crate) page_size: Option<Choice<PageSize>>,
    /// gpu-inference, gpu-training, data-pipeline, cpu-throughput, latency-sensitive or general.
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: Option<Workload>,
    /// What the guest runs: Windows sees one socket, as its client editions use two at most.
    /// Without it, a domain of --domain that has <hyperv> features runs Windows.
    #[arg(long, value_name = "any|windows", value_parser = guest)]
    pub(crate) guest: Option<Guest>,
    /// The number of NUMA cells that the guest sees.
    #[arg(long, value_name = "auto|none|N", value_parser = cells)]
    pub(crate) cells: Option<Wish<u32>>,
    /// Whether the guest sees SMT siblings.
    #[arg(long, value_name = "auto|show|hide", value_parser = smt)]
    pub(crate) smt: Option<Wish<bool>>,
    /// Whether the guest's GPUs use peer-to-peer.
    #[arg(long, value_name = "yes|no|unknown", value_parser = p2p)]
    pub(crate) p2p: Option<Choice<bool>>,
    /// vCPUs that float over shared pCPUs instead of dedicated ones: at most this many for each
    /// pCPU, those of other tenants counted; 4 without a number, a ratio of our own. --cpus bounds
    /// the pool.
    #[arg(
        long,
        value_name = "RATIO",
        num_args = 0..=1,
        default_missing_value = "4",
        value_parser = overcommit
    )]
    pub(crate) shared: Option<Sharing>,
    /// The threads beside the vCPUs.
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    /// Hold the VM to these pCPUs, such as 8-15,24-31: its vCPUs, the siblings idle beside them and
    /// its own emulator pCPUs. Shared emulator threads may run on what the host keeps, too.
    #[arg(long, value_name = "CPUSET", value_parser = set::<CpuSet>)]
    pub(crate) cpus: Option<CpuSet>,
    /// Hold the VM's vCPUs and memory to these NUMA nodes, such as 0-1. GPUs may be elsewhere.
    #[arg(long, value_name = "NODESET", value_parser = set::<NodeSet>)]
    pub(crate) nodes: Option<NodeSet>,
    /// Hold the VM's memory to these NUMA nodes, also such without CPUs (HBM, CXL, persistent
    /// memory). Its vCPUs may be on others; the guest then sees one cell.
    #[arg(long, value_name = "NODESET", value_parser = set::<NodeSet>)]
    pub(crate) memory_nodes: Option<NodeSet>,
    /// How strictly each vCPU must have a pCPU of its own.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    pub(crate) dedicated_cpus: Option<Policy>,
    /// How strictly no core may be shared with another tenant; with ignore, no idle sibling is
    /// held.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    pub(crate) whole_cores: Option<Policy>,
    /// How strictly no other tenant may have dedicated pCPUs in the L3 domains of the VM's.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    pub(crate) own_l3: Option<Policy>,
    /// How strictly the VM must be on one node.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    pub(crate) one_node: Option<Policy>,
    /// How strictly every GPU must be on a node of the VM.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    pub(crate) gpu_locality: Option<Policy>,
    /// How strictly all GPUs must be below one PCIe switch.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    pub(crate) same_switch: Option<Policy>,
    /// How strictly the GPUs must form one of the host's fabric partitions.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    pub(crate) fabric_partition: Option<Policy>,
    /// Only this style: default, pin, pin+numa, pin+numa+smt, pin+smt, float or
    /// float+numa.
    #[arg(long, value_name = "NAME")]
    pub(crate) style: Option<Style>,
    /// Every variant of every style instead of the best of each.
    #[arg(long)]
    pub(crate) all: bool,
    /// The form of the output.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: Format,
    /// A domain to patch instead of printing fragments: an XML file, "-" for standard input or,
    /// with the feature libvirt, "live:NAME". It is also the request: what the other options do not
    /// say is taken from it.
    #[arg(long, value_name = "FILE|-|live:NAME")]
    pub(crate) domain: Option<PathBuf>,
    /// The changes to the domain as a unified diff instead of its XML.
    #[arg(long, requires = "domain")]
    pub(crate) diff: bool,
}

/// What `--gpus` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GpuKind {
    /// Whole GPUs: physical functions.
    Whole,
    /// Virtual functions.
    Virtual,
}

fn gpu_kind(text: &str) -> Result<GpuKind, String> {
    match text {
        "pf" => Ok(GpuKind::Whole),
        "vf" => Ok(GpuKind::Virtual),
        _ => Err(format!("{text:?} is not pf or vf")),
    }
}

fn page_size(text: &str) -> Result<Choice<PageSize>, String> {
    match text {
        "auto" => Ok(Choice(None)),
        _ => text.parse().map(|size| Choice(Some(size))).map_err(|e: ParseUnitError| e.to_string()),
    }
}

fn guest(text: &str) -> Result<Guest, String> {
    let known = [Guest::Any, Guest::Windows].into_iter().find(|guest| guest.name() == text);
    known.ok_or_else(|| format!("{text:?} is not any or windows"))
}

/// A ratio with at most three decimals: `4`, `1.5`.
fn overcommit(text: &str) -> Result<Sharing, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let thousandths = format!("{part:0<3}");
    let parts = whole.parse::<u32>().ok().zip(thousandths.parse::<u32>().ok());
    let all = parts.and_then(|(whole, part)| whole.checked_mul(1000)?.checked_add(part));
    match all.filter(|_| digits(whole) && digits(part) && part.len() <= 3) {
        Some(overcommit) => Ok(Sharing { overcommit: Ratio(overcommit) }),
        None => Err(format!("{text:?} is not a number of vCPUs for each pCPU, such as 4 or 1.5")),
    }
}

fn isolation(text: &str) -> Result<Isolation, String> {
    match text {
        "none" => Ok(Isolation::Pins),
        "whole-cores" => Ok(Isolation::Cores),
        "own-l3" => Ok(Isolation::L3),
        _ => Err(format!("{text:?} is not none, whole-cores or own-l3")),
    }
}

fn cells(text: &str) -> Result<Wish<u32>, String> {
    match text {
        "auto" => Ok(Wish::Auto),
        "none" => Ok(Wish::Require(1)),
        _ => {
            let bad = |_| format!("{text:?} is not auto, none or a number of cells");
            text.parse().map(Wish::Require).map_err(bad)
        }
    }
}

fn smt(text: &str) -> Result<Wish<bool>, String> {
    match text {
        "auto" => Ok(Wish::Auto),
        "show" => Ok(Wish::Require(true)),
        "hide" => Ok(Wish::Require(false)),
        _ => Err(format!("{text:?} is not auto, show or hide")),
    }
}

fn p2p(text: &str) -> Result<Choice<bool>, String> {
    match text {
        "yes" => Ok(Choice(Some(true))),
        "no" => Ok(Choice(Some(false))),
        "unknown" => Ok(Choice(None)),
        _ => Err(format!("{text:?} is not yes, no or unknown")),
    }
}

/// `auto`, `0`, or an amount with its unit.
fn reserve_memory(text: &str) -> Result<ReserveMemory, String> {
    memory(text).map_or_else(
        |problem| if text.trim() == "auto" { Ok(ReserveMemory::Auto) } else { Err(problem) },
        |amount| Ok(ReserveMemory::OnEach(amount)),
    )
}

/// People write `8-15, 24-31`.
fn set<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.split_whitespace().collect::<String>().parse()
}
