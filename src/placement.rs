//! The answer as plain data: everything an emitter prints is decided here.

use std::fmt;
use std::str::FromStr;

use crate::host::pcie::RootComplex;
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{Bytes, CellId, Distance, NodeId, PageSize, ParseUnitError, PciAddr};
use crate::usage::{Claim, PageClaim};

/// How much of the hardware the guest is shown, and how tightly it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Style {
    /// vCPUs and memory float; one guest cell. The yardstick of all predictions.
    Default,
    /// vCPUs pinned to first threads; one guest cell.
    Pin,
    /// Pinned, with a guest cell per node.
    PinNuma,
    /// Pinned, with a guest cell per node and SMT siblings shown.
    PinNumaSmt,
    /// Pinned, one guest cell, SMT siblings shown.
    PinSmt,
}

impl Style {
    /// All styles.
    pub const ALL: [Self; 5] =
        [Self::Default, Self::Pin, Self::PinNuma, Self::PinNumaSmt, Self::PinSmt];

    /// The name in JSON and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Pin => "pin",
            Self::PinNuma => "pin+numa",
            Self::PinNumaSmt => "pin+numa+smt",
            Self::PinSmt => "pin+smt",
        }
    }

    /// Whether the guest sees cells.
    #[must_use]
    pub const fn shows_cells(self) -> bool {
        matches!(self, Self::PinNuma | Self::PinNumaSmt)
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
        let expected = "a style (default, pin, pin+numa, pin+numa+smt or pin+smt)";
        let style = Self::ALL.into_iter().find(|style| style.name() == text);
        style.ok_or_else(|| ParseUnitError::new(text, expected))
    }
}

/// How the guest's memory is tied to the host's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum MemoryMode {
    /// Each cell only on its nodes; over several nodes, on whichever of them the kernel takes.
    Strict,
    /// Page by page over the nodes of the cell.
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
    /// Dies a socket.
    pub dies: u32,
    /// Cores a die.
    pub cores: u32,
    /// Threads a core.
    pub threads: u32,
}

/// A guest NUMA node, or all of a guest that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Its number.
    pub id: CellId,
    /// The host nodes of its vCPUs and memory; empty where both float.
    pub nodes: NodeSet,
    /// Its vCPUs.
    pub vcpus: VcpuSet,
    /// Its memory.
    pub memory: Bytes,
    /// The size of its pages.
    pub page_size: PageSize,
    /// Where its pages are expected: exact on one node; over several, an even share, which the
    /// kernel may move. Sums to the memory. Empty where the memory floats.
    pub pages: Vec<(NodeId, u64)>,
    /// Relative distances to all cells, in order, symmetric over the cells.
    pub distances: Vec<Distance>,
}

/// A device that the VM gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedDevice {
    /// Where it is on the host.
    pub address: PciAddr,
    /// Whether it is one of the requested GPUs; else it is one of the other requested devices.
    pub is_gpu: bool,
    /// Its device node; `None` where the kernel does not know it.
    pub node: Option<NodeId>,
    /// The cell whose expander bus it hangs from; `None` where the guest is not told.
    pub cell: Option<CellId>,
    /// Other functions of the same card and IOMMU group, which the guest gets too.
    pub functions: Vec<PciAddr>,
    /// The rest of its IOMMU group: taken from the host, since the group goes as a whole, and not
    /// shown to the guest.
    pub withheld: Vec<PciAddr>,
}

/// A guest PCIe root that belongs to a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "pxb-pcie")]
pub struct ExpanderBus {
    /// Its controller index.
    pub index: u32,
    /// The cell that it belongs to.
    pub cell: CellId,
    /// Its guest bus number. The buses of its ports and switches follow it; the next expander's
    /// number is beyond them.
    pub bus_nr: u8,
    /// The host's root complex that it stands for.
    pub root: RootComplex,
}

/// A guest PCIe port: a root port, or a downstream port of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestPort {
    /// Its controller index and chassis; the guest bus of what is plugged in.
    pub index: u32,
    /// The controller index of the bus that it is on: 0, an expander's or a switch's.
    pub parent: u32,
    /// Its slot on that bus; on bus 0 libvirt chooses.
    pub slot: Option<u8>,
}

/// A guest PCIe switch, for devices that share one on the host: guests that look for a path between
/// a GPU and a NIC that leaves the CPU aside (GPUDirect RDMA) go by it.
///
/// QEMU's switch says of its links that they run at 2.5 GT/s x1, whatever hangs from them. Nothing
/// runs slower for that, but a library that reckons with link speeds has to be told others: NCCL
/// takes a topology from `NCCL_TOPO_FILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "pcie-switch-upstream-port")]
pub struct GuestSwitch {
    /// The controller index of its upstream port: the bus that its downstream ports are on.
    pub index: u32,
    /// The controller index of the root port that it is plugged into.
    pub port: u32,
    /// The host's switch that it stands for, by the address of its upstream side.
    pub host: PciAddr,
}

/// Where a host function appears in the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestFunction {
    /// The host function.
    pub host: PciAddr,
    /// The controller index of its port.
    pub port: u32,
    /// Its function number in the guest's slot 0.
    pub function: u8,
    /// Whether it is function 0 of several.
    pub multifunction: bool,
}

/// The guest's PCIe tree, as far as passed-through devices need it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuestPci {
    /// Expander buses by index.
    pub expanders: Vec<ExpanderBus>,
    /// Root ports and downstream ports by index; indexes run on without gaps over expanders, ports
    /// and switches.
    pub ports: Vec<GuestPort>,
    /// Switches by index.
    pub switches: Vec<GuestSwitch>,
    /// The functions, by port and function.
    pub functions: Vec<GuestFunction>,
    /// How much 64-bit MMIO space the firmware has to offer, in MiB, a power of two; `None` where
    /// its own default is enough.
    pub mmio64_mib: Option<u64>,
}

/// Where a VM lives and what its guest sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The VM's name.
    pub name: String,
    /// The style.
    pub style: Style,
    /// Whether each vCPU has one pCPU that nobody else uses.
    pub dedicated: bool,
    /// How memory is tied to nodes.
    pub memory_mode: MemoryMode,
    /// The guest's CPU topology.
    pub topology: GuestTopology,
    /// By vCPU: where it may run. One pCPU each where dedicated; empty where it floats everywhere.
    pub vcpus: Vec<CpuSet>,
    /// SMT siblings of the VM's cores that the VM holds and no vCPU uses.
    pub idle: CpuSet,
    /// pCPUs beside the VM's cores that it holds for its emulator threads alone.
    pub emulator_own: CpuSet,
    /// Where the emulator threads run; empty where they float everywhere.
    pub emulator: CpuSet,
    /// By I/O thread: where it runs.
    pub iothreads: Vec<CpuSet>,
    /// The cells; one where the guest sees none.
    pub cells: Vec<Cell>,
    /// The devices, GPUs first, by address.
    pub devices: Vec<PlacedDevice>,
    /// The guest's PCIe tree.
    pub pci: GuestPci,
    /// Whether the guest needs an emulated IOMMU with x2APIC (more than 255 vCPUs).
    pub iommu: bool,
    /// Whether the guest CPU needs `topoext` to see its SMT siblings (AMD).
    pub topoext: bool,
}

impl Placement {
    /// The VM's memory.
    #[must_use]
    pub fn memory(&self) -> Bytes {
        Bytes(self.cells.iter().map(|cell| cell.memory.0).sum())
    }

    /// The nodes that hold the VM's vCPUs and memory; empty where it floats.
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

    /// What the placement takes from the host, for [`Usage::claim`](crate::Usage::claim).
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
        Claim { floating: shared.difference(&dedicated), dedicated, pages, devices }
    }
}
