//! The result as plain data: an emitter has nothing left to decide.

use std::fmt;
use std::str::FromStr;

use crate::host::pcie::RootComplex;
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{Bytes, CellId, Distance, NodeId, PageSize, ParseUnitError, PciAddr};
use crate::usage::{Claim, PageClaim};

/// How much of the hardware the guest sees, and how tightly it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Style {
    /// vCPUs and memory float; one guest cell. The baseline of all predictions.
    Default,
    /// vCPUs pinned, each to the first thread of its core; one guest cell.
    Pin,
    /// Pinned, with a guest cell per node.
    PinNuma,
    /// Pinned, with a guest cell per node and SMT siblings shown.
    PinNumaSmt,
    /// Pinned, one guest cell, SMT siblings shown.
    PinSmt,
    /// vCPUs float over the shared pCPUs of the VM's nodes, memory is bound; one guest cell.
    Float,
    /// The same with a guest cell per node: the vCPUs of a cell float over its node.
    FloatNuma,
}

impl Style {
    /// All styles.
    pub const ALL: [Self; 7] = [
        Self::Default,
        Self::Pin,
        Self::PinNuma,
        Self::PinNumaSmt,
        Self::PinSmt,
        Self::Float,
        Self::FloatNuma,
    ];

    /// The name in JSON and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Pin => "pin",
            Self::PinNuma => "pin+numa",
            Self::PinNumaSmt => "pin+numa+smt",
            Self::PinSmt => "pin+smt",
            Self::Float => "float",
            Self::FloatNuma => "float+numa",
        }
    }

    /// Whether the guest sees NUMA cells.
    #[must_use]
    pub const fn shows_cells(self) -> bool {
        matches!(self, Self::PinNuma | Self::PinNumaSmt | Self::FloatNuma)
    }

    /// Whether vCPUs float over the pCPUs of the VM's nodes.
    #[must_use]
    pub const fn floats(self) -> bool {
        matches!(self, Self::Float | Self::FloatNuma)
    }

    /// Whether the guest sees SMT siblings.
    #[must_use]
    pub const fn shows_smt(self) -> bool {
        matches!(self, Self::PinNumaSmt | Self::PinSmt)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Style {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Style {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Style {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected =
            "a style (default, pin, pin+numa, pin+numa+smt, pin+smt, float or float+numa)";
        let style = Self::ALL.into_iter().find(|style| style.name() == text);
        style.ok_or_else(|| ParseUnitError::new(text, expected))
    }
}

/// How the guest's memory is bound to the host's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum MemoryMode {
    /// Each cell only on its nodes; if it has several, the kernel chooses among them.
    Strict,
    /// Spread page by page over the nodes of the cell.
    Interleave,
    /// Anywhere.
    Unbound,
}

impl fmt::Display for MemoryMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Strict => "strict",
            Self::Interleave => "interleave",
            Self::Unbound => "unbound",
        })
    }
}

/// The CPU topology that the guest sees. The product is the number of vCPUs.
///
/// A recommended one has a socket for each host package that the VM uses, if these hold equal
/// numbers of its guest cores; otherwise one socket. Windows always sees one. Cells of equal size
/// in one package are the dies of its socket; on CPUs other than Intel's, in guests without SMT
/// siblings, they are sockets, as Linux takes a socket there for one L3. The border of a cell never
/// lies inside a core; where cells are of unequal size it lies inside a socket.
///
/// With the host's caches shown (`<cache mode='passthrough'>`), an Intel guest sees one L3 in each
/// socket, and an AMD guest with SMT siblings as many vCPUs on each L3 as the host has pCPUs. With
/// emulated caches (`<cache mode='emulate' level='3'/>`) each die has one L3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct GuestTopology {
    /// Virtual sockets.
    pub sockets: u32,
    /// Dies per socket.
    pub dies: u32,
    /// Cores per die.
    pub cores: u32,
    /// Threads per core.
    pub threads: u32,
}

/// A guest NUMA node; a guest without NUMA is one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The number of the cell.
    pub id: CellId,
    /// The host nodes of its memory; empty if it floats. Its vCPUs are on them too, except that the
    /// vCPUs of the only cell may be on further nodes, which have no memory or none for the VM.
    pub nodes: NodeSet,
    /// The vCPUs of the cell.
    pub vcpus: VcpuSet,
    /// The memory of the cell.
    pub memory: Bytes,
    /// The page size.
    pub page_size: PageSize,
    /// The expected number of pages on each node: exact with one node; with several, an even share,
    /// which the kernel may shift. They add up to the memory. Empty if the memory floats.
    pub pages: Vec<(NodeId, u64)>,
    /// Relative distances to all cells, in order, symmetric over the cells.
    pub distances: Vec<Distance>,
}

/// A device that the VM receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedDevice {
    /// The address on the host.
    pub address: PciAddr,
    /// Whether it is one of the requested GPUs, rather than one of the other requested devices.
    pub is_gpu: bool,
    /// The node; `None` if the kernel does not know it.
    pub node: Option<NodeId>,
    /// The cell whose expander bus it is below; `None` if the guest is not told.
    pub cell: Option<CellId>,
    /// Other functions of a GPU's card, which the guest receives too: audio, USB-C, UCSI.
    pub functions: Vec<PciAddr>,
    /// The rest of their IOMMU groups: taken from the host, because a group cannot be split, and
    /// not shown to the guest.
    pub withheld: Vec<PciAddr>,
}

/// A guest PCIe root that belongs to a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "pxb-pcie")]
pub struct ExpanderBus {
    /// The controller index of the bus.
    pub index: u32,
    /// The cell.
    pub cell: CellId,
    /// The guest bus number. The buses of the ports and switches below follow; the next expander
    /// has a number beyond them.
    pub bus_nr: u8,
    /// The root complex of the host that it represents.
    pub root: RootComplex,
}

/// A guest PCIe port: a root port, or a downstream port of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestPort {
    /// The controller index and chassis of the port, which is also the guest bus of the device in
    /// it.
    pub index: u32,
    /// The controller index of its own bus: 0, an expander's or a switch's.
    pub parent: u32,
    /// The slot on that bus; on bus 0 libvirt chooses.
    pub slot: Option<u8>,
}

/// A guest PCIe switch, for devices that share one on the host. Guests use it to find a path
/// between a GPU and a NIC that bypasses the CPU (GPUDirect RDMA).
///
/// QEMU's switch reports 2.5 GT/s x1 for its links, whatever is below. Nothing runs slower for
/// that, but a library that computes with link speeds needs to be told the real ones: NCCL reads a
/// topology from `NCCL_TOPO_FILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "pcie-switch-upstream-port")]
pub struct GuestSwitch {
    /// The controller index of its upstream port, which is also the bus of its downstream ports.
    pub index: u32,
    /// The controller index of the root port that it is plugged into.
    pub port: u32,
    /// The host switch that it represents, by the address of its upstream side.
    pub host: PciAddr,
}

/// The place of a host function in the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestFunction {
    /// The host function.
    pub host: PciAddr,
    /// The controller index of its port.
    pub port: u32,
    /// The function number in slot 0 of the guest bus.
    pub function: u8,
    /// Whether it is function 0 of several.
    pub multifunction: bool,
}

/// The part of the guest's PCIe tree that passed-through devices need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuestPci {
    /// Expander buses, sorted by index.
    pub expanders: Vec<ExpanderBus>,
    /// Root ports and downstream ports, sorted by index. Expanders, ports and switches share one
    /// numbering without gaps.
    pub ports: Vec<GuestPort>,
    /// Switches, sorted by index.
    pub switches: Vec<GuestSwitch>,
    /// The functions, sorted by port and function.
    pub functions: Vec<GuestFunction>,
    /// The 64-bit MMIO space that the firmware must offer, in MiB, a power of two; `None` if the
    /// firmware's default is enough.
    pub mmio64_mib: Option<u64>,
}

/// The place of a VM on its host, and its guest's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The VM's name.
    pub name: String,
    /// The style.
    pub style: Style,
    /// Whether each vCPU has one pCPU that nobody else uses.
    pub dedicated: bool,
    /// How memory is bound to nodes.
    pub memory_mode: MemoryMode,
    /// The guest's CPU topology.
    pub topology: GuestTopology,
    /// The pCPUs that each vCPU may run on: one pCPU each if dedicated; empty if it floats
    /// everywhere.
    pub vcpus: Vec<CpuSet>,
    /// Idle SMT siblings: pCPUs of the VM's cores that the VM holds and no vCPU uses.
    pub idle: CpuSet,
    /// pCPUs outside the VM's cores that it holds for its emulator threads alone.
    pub emulator_own: CpuSet,
    /// The pCPUs of the emulator threads; empty if they float everywhere.
    pub emulator: CpuSet,
    /// The pCPUs of each I/O thread.
    pub iothreads: Vec<CpuSet>,
    /// The cells; one if the guest sees none.
    pub cells: Vec<Cell>,
    /// The devices, GPUs first, then by address.
    pub devices: Vec<PlacedDevice>,
    /// The host's fabric partition that the GPUs form: it must be active before the VM starts.
    /// `None` without GPUs, or if they form none of the host's partitions.
    pub fabric_partition: Option<u32>,
    /// The guest's PCIe tree.
    pub pci: GuestPci,
    /// Whether the guest needs an emulated IOMMU with x2APIC (more than 255 vCPUs).
    pub iommu: bool,
    /// Whether the guest CPU needs `topoext` to see its SMT siblings (AMD).
    pub topoext: bool,
    /// Whether nobody else may be on the cores of its dedicated pCPUs: see [`Claim::whole_cores`].
    /// Not where the VM has its pCPUs from a set that leaves siblings of its cores to others.
    pub whole_cores: bool,
    /// Whether nobody else may be in the L3 domains of its dedicated pCPUs: see [`Claim::own_l3`].
    pub own_l3: bool,
}

impl Placement {
    /// The VM's memory.
    #[must_use]
    pub fn memory(&self) -> Bytes {
        Bytes(self.cells.iter().map(|cell| cell.memory.0).sum())
    }

    /// The nodes that hold the VM's memory; empty if it floats. See [`Cell::nodes`].
    #[must_use]
    pub fn nodes(&self) -> NodeSet {
        self.cells.iter().fold(NodeSet::new(), |all, cell| all.union(&cell.nodes))
    }

    /// The GPUs.
    pub fn gpus(&self) -> impl Iterator<Item = &PlacedDevice> {
        self.devices.iter().filter(|device| device.is_gpu)
    }

    /// All pCPUs with a vCPU.
    #[must_use]
    pub fn vcpu_pcpus(&self) -> CpuSet {
        let mut all = CpuSet::new();
        self.vcpus.iter().for_each(|set| all.extend(set));
        all
    }

    /// The claim on the host, for [`Usage::claim`](crate::Usage::claim).
    #[must_use]
    pub fn claim(&self) -> Claim {
        let vcpus = self.vcpu_pcpus();
        let own = self.idle.union(&self.emulator_own);
        let mut shared = self.emulator.clone();
        self.iothreads.iter().for_each(|set| shared.extend(set));
        let dedicated = if self.dedicated { vcpus.union(&own) } else { own };
        if !self.dedicated {
            shared.extend(&vcpus);
        }
        let mut pages = Vec::new();
        for cell in &self.cells {
            if cell.pages.is_empty() {
                let count = cell.memory.0.div_ceil(cell.page_size.bytes());
                pages.push(PageClaim { node: None, page_size: cell.page_size, count });
            }
            let bound = cell.pages.iter();
            pages.extend(bound.map(|(node, count)| PageClaim {
                node: Some(*node),
                page_size: cell.page_size,
                count: *count,
            }));
        }
        let mut devices: Vec<PciAddr> = Vec::new();
        for device in &self.devices {
            devices.push(device.address);
            devices.extend(device.functions.iter().chain(&device.withheld));
        }
        devices.sort_unstable();
        devices.dedup();
        Claim {
            floating: shared.difference(&dedicated),
            dedicated,
            pages,
            devices,
            mediated: Vec::new(),
            whole_cores: self.whole_cores,
            own_l3: self.own_l3,
            floating_vcpus: match self.dedicated {
                true => 0,
                false => u32::try_from(self.vcpus.len()).unwrap_or(u32::MAX),
            },
        }
    }
}
