//! What can be wrong with a placement, as facts.

use std::error::Error;
use std::fmt;

use crate::host::CpuVendor;
use crate::host::pcie::RootComplex;
use crate::placement::{GuestTopology, MemoryMode, Style};
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{Bytes, CellId, CoreId, Distance, NodeId, PageSize, PciAddr, PcpuId, VcpuId};

/// Everything that a check found wrong, at least one thing, as an error that can be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations<T = Violation>(Vec<T>);

impl<T> Violations<T> {
    /// `Ok` where nothing was found.
    pub(super) fn check(found: Vec<T>) -> Result<(), Self> {
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    /// What was found, grouped by subject.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// What was found, grouped by subject.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T> IntoIterator for Violations<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Violations<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// One sentence for each, separated by semicolons.
impl<T: fmt::Display> fmt::Display for Violations<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, violation) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

impl<T: fmt::Debug + fmt::Display> Error for Violations<T> {}

/// What a VM uses pCPUs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CpuUser {
    /// A vCPU.
    Vcpu(VcpuId),
    /// The siblings that are kept idle.
    Idle,
    /// What is held for the emulator threads alone.
    EmulatorOwn,
    /// The emulator threads.
    Emulator,
    /// An I/O thread, counted from 0.
    IoThread(usize),
}

impl fmt::Display for CpuUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcpu(vcpu) => write!(f, "vCPU {vcpu}"),
            Self::Idle => f.write_str("the set of idle siblings"),
            Self::EmulatorOwn => f.write_str("the emulator's own set"),
            Self::Emulator => f.write_str("the emulator"),
            Self::IoThread(number) => write!(f, "I/O thread {number}"),
        }
    }
}

fn or_none<T: fmt::Display>(what: &str, id: Option<T>) -> String {
    id.map_or_else(|| format!("no {what}"), |id| format!("{what} {id}"))
}

fn pool(node: Option<NodeId>) -> String {
    node.map_or_else(|| "the whole host".to_owned(), |node| format!("node {node}"))
}

fn root(root: &RootComplex) -> String {
    let RootComplex { domain, bus } = root;
    format!("{domain:04x}:{bus:02x}")
}

fn product(topology: &GuestTopology) -> String {
    let GuestTopology { sockets, dies, cores, threads } = topology;
    format!("{sockets} sockets x {dies} dies x {cores} cores x {threads} threads")
}

/// One thing that is wrong with a placement. Its sentence names all of its fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the sentence above each variant says what its fields are")]
pub enum Violation {
    /// The placement is for another VM.
    #[error("the placement is for {found:?}, the request for {wanted:?}")]
    Name { found: String, wanted: String },
    /// Another number of vCPUs than requested.
    #[error("the placement has {found} vCPUs, the request {wanted}")]
    VcpuCount { found: usize, wanted: u32 },
    /// Another number of I/O threads than requested.
    #[error("the placement has {found} I/O threads, the request {wanted}")]
    IoThreadCount { found: usize, wanted: u32 },

    /// Nowhere to run, though the style pins.
    #[error("{user} has no pCPU")]
    NoPcpus { user: CpuUser },
    /// Pinned, though the default style lets everything float.
    #[error("{user} is on pCPUs {pcpus}, but the default style pins nothing")]
    DefaultPins { user: CpuUser, pcpus: CpuSet },
    /// pCPUs that do not exist, or are off.
    #[error("{user} is on pCPUs {pcpus}, which are not online")]
    NotOnline { user: CpuUser, pcpus: CpuSet },
    /// pCPUs that must not be used.
    #[error("{user} is on pCPUs {pcpus}, which are not allowed")]
    NotAllowed { user: CpuUser, pcpus: CpuSet },
    /// pCPUs that are kept for the host.
    #[error("{user} is on pCPUs {pcpus}, which are kept for the host")]
    Reserved { user: CpuUser, pcpus: CpuSet },
    /// pCPUs that another tenant has for itself.
    #[error("{user} is on pCPUs {pcpus}, which tenant {holder:?} has for itself")]
    PcpusHeld { user: CpuUser, pcpus: CpuSet, holder: String },
    /// Pinned to pCPUs of other nodes than the cell's.
    #[error("vCPU {vcpu} is on pCPUs {pcpus}, which are not on the nodes of its cell {cell}")]
    OffNode { vcpu: VcpuId, cell: CellId, pcpus: CpuSet },
    /// vCPUs without pCPUs of their own, though they are required.
    #[error("the vCPUs have no pCPUs of their own, which are required")]
    NotDedicated,
    /// Dedicated, but not to one pCPU.
    #[error("vCPU {vcpu} is dedicated to pCPUs {pcpus}, it must be one")]
    NotOnePcpu { vcpu: VcpuId, pcpus: CpuSet },
    /// Two dedicated vCPUs on one pCPU.
    #[error("vCPUs {first} and {second} are both on pCPU {pcpu}")]
    PcpuTwice { pcpu: PcpuId, first: VcpuId, second: VcpuId },
    /// More vCPUs float on a set than it has pCPUs.
    #[error("{vcpus} vCPUs float on pCPUs {pcpus}, which are fewer")]
    Crowded { vcpus: usize, pcpus: CpuSet },
    /// Two vCPUs on one core, and the guest does not see them as SMT siblings.
    #[error("vCPUs {first} and {second} are both on core {core}, but not siblings in the guest")]
    VcpusShareCore { core: CoreId, first: VcpuId, second: VcpuId },
    /// Guest SMT siblings that are not on one core.
    #[error("vCPU {vcpu} is on core {other}, its siblings in the guest on core {core}")]
    GuestCoreSplit { vcpu: VcpuId, core: CoreId, other: CoreId },
    /// A core that another tenant has a part of, though whole cores are required.
    #[error("core {core} is shared: tenant {holder:?} has pCPUs {pcpus} of it")]
    CoreShared { core: CoreId, pcpus: CpuSet, holder: String },
    /// A core that is not taken whole, though whole cores are required.
    #[error("core {core} is not taken whole: its pCPUs {pcpus} are left to others")]
    CoreNotWhole { core: CoreId, pcpus: CpuSet },
    /// pCPUs kept idle for nothing.
    #[error("pCPUs {pcpus} are kept idle, but are on no core that the VM runs on")]
    IdleApart { pcpus: CpuSet },
    /// pCPUs both idle and in use.
    #[error("pCPUs {pcpus} are both idle and the emulator's own")]
    IdleInUse { pcpus: CpuSet },
    /// Something else where a vCPU runs.
    #[error("{user} has pCPUs {pcpus}, where vCPUs are")]
    BesideVcpus { user: CpuUser, pcpus: CpuSet },
    /// Too few pCPUs for the emulator threads alone.
    #[error("the emulator has {found} pCPUs of its own, the request says {wanted}")]
    EmulatorCount { found: usize, wanted: u32 },
    /// The emulator runs elsewhere than on its own pCPUs.
    #[error("the emulator is on pCPUs {pcpus}, beside its own")]
    EmulatorElsewhere { pcpus: CpuSet },

    /// A topology that does not have as many vCPUs as requested.
    #[error("{} are not {vcpus} vCPUs", product(topology))]
    Topology { topology: GuestTopology, vcpus: u32 },
    /// Threads that do not go with the style.
    #[error("style {style} with {threads} threads a core")]
    StyleThreads { style: Style, threads: u32 },
    /// Cells that do not go with the style.
    #[error("style {style} with {cells} cells")]
    StyleCells { style: Style, cells: usize },
    /// The guest sees SMT siblings and must not, or the other way round.
    #[error("{threads} threads a core, but SMT in the guest must be {wanted}")]
    Smt { threads: u32, wanted: bool },
    /// `topoext` where it is not needed, or not where it is.
    #[error("topoext is {found} for {threads} threads a core on CPU vendor {vendor:?}")]
    Topoext { found: bool, threads: u32, vendor: CpuVendor },
    /// An emulated IOMMU where it is not needed, or not where it is.
    #[error("the emulated IOMMU is {found} for {vcpus} vCPUs, it is needed from 256 on")]
    Iommu { found: bool, vcpus: u32 },
    /// Another number of cells than required.
    #[error("the guest has {found} cells, {wanted} are required")]
    CellCount { found: usize, wanted: u32 },
    /// Not even one cell.
    #[error("the placement has no cell")]
    NoCells,
    /// Cells that are not counted from 0 in order.
    #[error("cell {found} is at position {position}")]
    CellId { position: usize, found: CellId },
    /// A cell without vCPUs.
    #[error("cell {cell} has no vCPUs")]
    CellEmpty { cell: CellId },
    /// vCPUs that the VM does not have.
    #[error("cell {cell} has vCPUs {vcpus}, which do not exist")]
    CellVcpus { cell: CellId, vcpus: VcpuSet },
    /// vCPUs in two cells.
    #[error("vCPUs {vcpus} are in cells {first} and {second}")]
    CellsOverlap { first: CellId, second: CellId, vcpus: VcpuSet },
    /// vCPUs in no cell.
    #[error("vCPUs {vcpus} are in no cell")]
    InNoCell { vcpus: VcpuSet },
    /// A guest core in two cells.
    #[error("guest core {core} is in cells {first} and {second}")]
    CoreStraddles { core: u32, first: CellId, second: CellId },
    /// More virtual sockets than the guest may see.
    #[error("the guest has {found} sockets, it may have {most} at most")]
    Sockets { found: u32, most: u64 },
    /// A cell that is on no node, though the style pins.
    #[error("cell {cell} is on no node")]
    NoNodes { cell: CellId },
    /// A cell on a node that the host does not have.
    #[error("cell {cell} is on node {node}, which does not exist")]
    NoSuchNode { cell: CellId, node: NodeId },
    /// Several nodes or none, though one is required.
    #[error("the VM is on nodes {nodes:?}, one is required")]
    NotOneNode { nodes: NodeSet },
    /// An incomplete row of distances.
    #[error("cell {cell} has {found} distances for {wanted} cells")]
    DistanceCount { cell: CellId, found: usize, wanted: usize },
    /// A distance that is not the host's.
    #[error("the distance of cells {from} and {to} is {found}, it must be {wanted}")]
    Distance { from: CellId, to: CellId, found: Distance, wanted: Distance },

    /// Another amount of memory than requested.
    #[error("the cells have {found}, the request {wanted}")]
    MemorySum { found: Bytes, wanted: Bytes },
    /// Cells that differ in vCPUs or memory, where the request wants them alike.
    #[error("cell {cell} has {found} vCPUs and {memory}, the first cell has not")]
    CellsDiffer { cell: CellId, found: usize, memory: Bytes },
    /// A memory mode that does not go with the style.
    #[error("style {style} with {mode} memory")]
    StyleMemory { style: Style, mode: MemoryMode },
    /// Bound to nodes, though the default style lets everything float.
    #[error("cell {cell} is bound to nodes, but the default style binds nothing")]
    DefaultBinds { cell: CellId },
    /// A cell whose memory is nothing or not a whole number of pages.
    #[error("cell {cell} has {memory}, which is not one or more pages of {page_size}")]
    CellMemory { cell: CellId, memory: Bytes, page_size: PageSize },
    /// Other pages than requested.
    #[error("cell {cell} has pages of {found}, the request says {wanted}")]
    CellPageSize { cell: CellId, found: PageSize, wanted: PageSize },
    /// Pages that are not the cell's memory.
    #[error("cell {cell} has {pages} pages of {page_size}, which are not its {memory}")]
    CellPages { cell: CellId, pages: u64, page_size: PageSize, memory: Bytes },
    /// Pages on a node that the cell is not bound to.
    #[error("cell {cell} has {pages} pages on node {node}, which is not one of its nodes")]
    PagesOffNode { cell: CellId, node: NodeId, pages: u64 },
    /// More pages than are free.
    #[error("{needed} pages of {page_size} on {}, where {free} are free", pool(*node))]
    PagesShort { node: Option<NodeId>, page_size: PageSize, needed: u64, free: u64 },
    /// Memory bound to a node that has none.
    #[error("cell {cell} is bound to node {node}, which has no memory")]
    NoMemory { cell: CellId, node: NodeId },
    /// Strict memory of one of several cells that is not on one node.
    #[error("cell {cell} of several has strict memory on nodes {nodes}, it must be one")]
    StrictSpreads { cell: CellId, nodes: NodeSet },

    /// Another number of GPUs than requested.
    #[error("the placement has {found} GPUs, the request {wanted}")]
    GpuCount { found: usize, wanted: usize },
    /// A device that was named and is not there, or not in its role.
    #[error("{address} is requested (as a GPU: {as_gpu}), and not placed")]
    DeviceMissing { address: PciAddr, as_gpu: bool },
    /// A device that was not asked for.
    #[error("{address} is placed (as a GPU: {as_gpu}), and not requested")]
    DeviceUnasked { address: PciAddr, as_gpu: bool },
    /// An address that is no device of the host.
    #[error("{address} is no device of the host")]
    NoSuchDevice { address: PciAddr },
    /// Placed as a GPU, and not one.
    #[error("{address} is placed as a GPU, which it is not")]
    NotGpu { address: PciAddr },
    /// A GPU of another model.
    #[error("GPU {address} is a {model:?}, the request says {wanted:?}")]
    GpuModel { address: PciAddr, model: String, wanted: String },
    /// A GPU inside the CPU that nobody named.
    #[error("GPU {address} is inside the CPU, and not named by the request")]
    GpuIntegrated { address: PciAddr },
    /// A device that another tenant has.
    #[error("{address} belongs to tenant {holder:?}")]
    DeviceHeld { address: PciAddr, holder: String },
    /// A function that is given twice.
    #[error("{address} is placed twice")]
    DeviceTwice { address: PciAddr },
    /// An IOMMU group that is not taken whole.
    #[error("{address} is placed, but not {missing} of its IOMMU group")]
    GroupSplit { address: PciAddr, missing: PciAddr },
    /// A device taken from the host that need not be.
    #[error(
        "{withheld} is withheld with {address}, but shares no IOMMU group with the VM's devices"
    )]
    WithheldApart { address: PciAddr, withheld: PciAddr },
    /// A function of another card.
    #[error("{function} is placed as a function of {address}, which is another card")]
    FunctionApart { address: PciAddr, function: PciAddr },
    /// A device node that is not the host's.
    #[error("{address} is said to be on {}, it is on {}", or_none("node", *found), or_none("node", *wanted))]
    DeviceNode { address: PciAddr, found: Option<NodeId>, wanted: Option<NodeId> },
    /// A device that hangs from another cell than its node's.
    #[error("{address} belongs to {}, it must be {}", or_none("cell", *found), or_none("cell", *wanted))]
    DeviceCell { address: PciAddr, found: Option<CellId>, wanted: Option<CellId> },
    /// A GPU away from the VM's nodes, though locality is required.
    #[error("GPU {address} is on {}, which is not one of the VM's nodes {nodes:?}", or_none("known node", *node))]
    GpuRemote { address: PciAddr, node: Option<NodeId>, nodes: NodeSet },
    /// GPUs not below one switch, though that is required.
    #[error("GPUs {first} and {second} are not below one switch")]
    NoCommonSwitch { first: PciAddr, second: PciAddr },
    /// GPUs not linked, though that is required.
    #[error("GPUs {first} and {second} are not linked")]
    NotLinked { first: PciAddr, second: PciAddr },
    /// GPUs that are no fabric partition, though one is required.
    #[error("the {} GPUs from {} on are not a fabric partition", gpus.len(), or_none("GPU", gpus.first()))]
    NotPartition { gpus: Vec<PciAddr> },

    /// Two guest controllers with one index.
    #[error("controller index {index} occurs twice")]
    IndexTwice { index: u32 },
    /// A guest controller index that leaves a gap.
    #[error("controller index {index} is not from 1 to {count}, the number of controllers")]
    IndexGap { index: u32, count: usize },
    /// An expander bus of a cell that does not exist.
    #[error("expander bus {index} belongs to cell {cell}, which does not exist")]
    ExpanderCell { index: u32, cell: CellId },
    /// A bus number that libvirt refuses.
    #[error("expander bus {index} has number {bus_nr}, it must be from 1 to 254")]
    BusNumber { index: u32, bus_nr: u8 },
    /// An expander bus among the buses of the one below.
    #[error("expander bus {index} has number {bus_nr}, the buses below it reach {taken}")]
    BusOverlap { index: u32, bus_nr: u8, taken: usize },
    /// Buses beyond the last number.
    #[error("the buses below expander bus {index} reach {last}, the last number is 255")]
    BusBeyond { index: u32, last: usize },
    /// More plain ports than there are bus numbers for.
    #[error("{found} plain root ports, there is room for {room} before the first expander bus")]
    PlainPorts { found: usize, room: usize },
    /// A port on a bus that does not exist.
    #[error("port {port} is on bus {parent}, which is neither 0 nor an expander bus nor a switch")]
    PortParent { port: u32, parent: u32 },
    /// A port without a slot from 0 to 31 on its expander bus or switch.
    #[error("port {port} on an expander bus or switch has {}, it must have one up to 31", or_none("slot", *slot))]
    PortSlot { port: u32, slot: Option<u8> },
    /// Two ports in one slot.
    #[error("two ports are in slot {slot} of bus {parent}")]
    SlotTwice { parent: u32, slot: u8 },
    /// A switch that is not plugged into a root port.
    #[error("switch {index} is plugged into {port}, which is not a root port")]
    SwitchPort { index: u32, port: u32 },
    /// A switch that is not alone in its port.
    #[error("switch {index} is not alone in root port {port}")]
    SwitchShares { index: u32, port: u32 },
    /// A switch with no port.
    #[error("switch {index} has no port below it")]
    EmptySwitch { index: u32 },
    /// A function behind a port that does not exist.
    #[error("{host} is behind root port {port}, which does not exist")]
    NoSuchPort { host: PciAddr, port: u32 },
    /// A function number beyond 7.
    #[error("{host} is function {function} in the guest, the last is 7")]
    FunctionNumber { host: PciAddr, function: u8 },
    /// Two functions in one place.
    #[error("root port {port} has function {function} twice")]
    FunctionTwice { port: u32, function: u8 },
    /// A port with nothing that the guest would find.
    #[error("root port {port} has no function 0")]
    NoFunctionZero { port: u32 },
    /// `multifunction` elsewhere than on function 0 of several.
    #[error(
        "multifunction of {host} is {found}, it goes on function 0 of several and nowhere else"
    )]
    Multifunction { host: PciAddr, found: bool },
    /// A placed function that the guest does not see.
    #[error("{host} is placed, but not in the guest's PCIe tree")]
    NotShown { host: PciAddr },
    /// A function in the guest that is not placed, or is to be withheld.
    #[error("{host} is in the guest's PCIe tree, but not placed")]
    ShownUnplaced { host: PciAddr },
    /// A host function that the guest sees twice.
    #[error("{host} is twice in the guest's PCIe tree")]
    ShownTwice { host: PciAddr },
    /// One card behind two ports.
    #[error("{function} of the card {address} is behind root port {port}, the card behind {other}")]
    CardSplit { address: PciAddr, function: PciAddr, port: u32, other: u32 },
    /// Two cards behind one port.
    #[error("the cards {first} and {second} are both behind root port {port}")]
    CardsShare { port: u32, first: PciAddr, second: PciAddr },
    /// A device below another cell's bus than its own.
    #[error("{address} hangs from {}, it belongs to {}", or_none("cell", *found), or_none("cell", *wanted))]
    DeviceBus { address: PciAddr, found: Option<CellId>, wanted: Option<CellId> },
    /// A device below the expander bus of another root complex.
    #[error(
        "{address} hangs from expander bus {index} of root complex {}, its own is {}",
        root(found),
        root(wanted)
    )]
    DeviceRoot { address: PciAddr, index: u32, found: RootComplex, wanted: RootComplex },
    /// A device that the guest sees below another switch than its own on the host.
    #[error(
        "{address} hangs from guest switch {index}, which stands for {found}; its own is {}",
        or_none("switch", *wanted)
    )]
    DeviceSwitch { address: PciAddr, index: u32, found: PciAddr, wanted: Option<PciAddr> },
    /// An MMIO window that is no power of two or smaller than the BARs.
    #[error("the MMIO window of {found} MiB must be a power of two and hold {needed} MiB")]
    MmioWindow { found: u64, needed: u64 },
}
