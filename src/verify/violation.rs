//! Violations: what can be wrong with a placement, as facts.

use std::fmt;

use crate::host::CpuVendor;
use crate::host::pcie::RootComplex;
use crate::placement::{GuestTopology, MemoryMode, Style};
use crate::request::WishKind;
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{Bytes, CellId, CoreId, Distance, NodeId, PageSize, PciAddr, PcpuId, VcpuId};

/// A use of pCPUs by a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CpuUser {
    /// A vCPU.
    Vcpu(VcpuId),
    /// The SMT siblings that are kept idle.
    Idle,
    /// The pCPUs held for the emulator threads alone.
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

/// One error in a placement. Its message shows all of its fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the sentence above each variant says what its fields are")]
pub enum Violation {
    /// The placement is for another VM.
    #[error("the placement is for VM {found:?}, but the request is for {wanted:?}")]
    Name { found: String, wanted: String },
    /// A number of vCPUs other than requested.
    #[error("the placement has {found} vCPUs, but the request asks for {wanted}")]
    VcpuCount { found: usize, wanted: u32 },
    /// A number of I/O threads other than requested.
    #[error("the placement has {found} I/O threads, but the request asks for {wanted}")]
    IoThreadCount { found: usize, wanted: u32 },

    /// A thread without pCPUs, though the style pins.
    #[error("{user} has no pCPU")]
    NoPcpus { user: CpuUser },
    /// A pinned thread, though the default style lets everything float.
    #[error("{user} is on pCPUs {pcpus}, but the default style pins nothing")]
    DefaultPins { user: CpuUser, pcpus: CpuSet },
    /// pCPUs that do not exist or are offline.
    #[error("{user} is on pCPUs {pcpus}, which are not online")]
    NotOnline { user: CpuUser, pcpus: CpuSet },
    /// pCPUs outside the host's allowed set.
    #[error("{user} is on pCPUs {pcpus}, which the host does not allow for VMs")]
    NotAllowed { user: CpuUser, pcpus: CpuSet },
    /// pCPUs that are reserved for the host.
    #[error("{user} is on pCPUs {pcpus}, which are reserved for the host")]
    Reserved { user: CpuUser, pcpus: CpuSet },
    /// pCPUs dedicated to another tenant.
    #[error("{user} is on pCPUs {pcpus}, which are dedicated to tenant {holder:?}")]
    PcpusHeld { user: CpuUser, pcpus: CpuSet, holder: String },
    /// pCPUs outside of those, or of the nodes, that the request is held to.
    #[error("{user} is on pCPUs {pcpus}, which the request excludes")]
    CpusExcluded { user: CpuUser, pcpus: CpuSet },
    /// Memory on nodes that the request does not name, or, if it names none, that have no CPUs.
    #[error("the memory of cell {cell} is on nodes {nodes}, which the request does not allow")]
    MemoryExcluded { cell: CellId, nodes: NodeSet },
    /// Pinned to pCPUs of other nodes than the cell's.
    #[error("vCPU {vcpu} is on pCPUs {pcpus}, which are not on the nodes of its cell {cell}")]
    OffNode { vcpu: VcpuId, cell: CellId, pcpus: CpuSet },
    /// Floating vCPUs, though the request requires dedicated pCPUs.
    #[error("the vCPUs float, but the request requires dedicated pCPUs")]
    NotDedicated,
    /// A dedicated vCPU that is not on exactly one pCPU.
    #[error("vCPU {vcpu} is dedicated to pCPUs {pcpus}, but must have exactly one")]
    NotOnePcpu { vcpu: VcpuId, pcpus: CpuSet },
    /// Two dedicated vCPUs on one pCPU.
    #[error("vCPUs {first} and {second} are both on pCPU {pcpu}")]
    PcpuTwice { pcpu: PcpuId, first: VcpuId, second: VcpuId },
    /// More vCPUs on some pCPUs than may share them.
    #[error("{vcpus} vCPUs share pCPUs {pcpus}, which have room for {most}")]
    Crowded { vcpus: usize, pcpus: CpuSet, most: usize },
    /// Dedicated pCPUs, though the request asks for shared ones.
    #[error("vCPUs have pCPUs of their own, though the request asks for shared ones")]
    NotShared,
    /// A style that contradicts how vCPUs have their pCPUs.
    #[error("style {style} does not go with dedicated pCPUs: {dedicated}")]
    StyleFloats { style: Style, dedicated: bool },
    /// Floating vCPUs on isolated pCPUs, among which the kernel does not balance.
    #[error(
        "vCPU {vcpu} floats on isolated pCPUs {pcpus}, where the kernel leaves vCPUs on the first"
    )]
    FloatsIsolated { vcpu: VcpuId, pcpus: CpuSet },
    /// Two vCPUs on one core that the guest does not see as SMT siblings.
    #[error("vCPUs {first} and {second} are both on core {core}, but not siblings in the guest")]
    VcpusShareCore { core: CoreId, first: VcpuId, second: VcpuId },
    /// Guest SMT siblings that are not on one core.
    #[error("vCPU {vcpu} is on core {other}, but its siblings in the guest are on core {core}")]
    GuestCoreSplit { vcpu: VcpuId, core: CoreId, other: CoreId },
    /// A core partly held by another tenant, though whole cores are required.
    #[error("core {core} is shared: tenant {holder:?} holds its pCPUs {pcpus}")]
    CoreShared { core: CoreId, pcpus: CpuSet, holder: String },
    /// A core that is not claimed whole, though whole cores are required.
    #[error("core {core} is not claimed whole: its pCPUs {pcpus} remain free")]
    CoreNotWhole { core: CoreId, pcpus: CpuSet },
    /// A claim to isolation that does not follow from the request, or a missing one.
    #[error("the placement claims {what}: {found}, but must: {wanted}")]
    IsolationClaimed { what: &'static str, found: bool, wanted: bool },
    /// Another tenant's dedicated pCPUs in L3 domains that must be the VM's own.
    #[error("pCPUs {pcpus} in the VM's own L3 domains are held by tenant {holder:?}")]
    L3Shared { pcpus: CpuSet, holder: String },
    /// pCPUs that the isolation of another tenant closes.
    #[error(
        "{user} has pCPUs {pcpus}, on cores or in L3 domains that are tenant {holder:?}'s alone"
    )]
    TenantIsolated { user: CpuUser, pcpus: CpuSet, holder: String },
    /// pCPUs kept idle on cores that the VM does not use.
    #[error("pCPUs {pcpus} are kept idle on cores that the VM does not run on")]
    IdleApart { pcpus: CpuSet },
    /// pCPUs that are both idle and held for the emulator.
    #[error("pCPUs {pcpus} are both kept idle and held for the emulator")]
    IdleInUse { pcpus: CpuSet },
    /// Another thread on a vCPU's pCPU.
    #[error("{user} has pCPUs {pcpus}, which are used by vCPUs")]
    BesideVcpus { user: CpuUser, pcpus: CpuSet },
    /// Too few pCPUs held for the emulator threads.
    #[error("the emulator has {found} pCPUs of its own, but the request asks for {wanted}")]
    EmulatorCount { found: usize, wanted: u32 },
    /// Emulator threads outside of their own pCPUs.
    #[error("the emulator is on pCPUs {pcpus}, which are not its own")]
    EmulatorElsewhere { pcpus: CpuSet },

    /// A guest topology whose product is not the number of vCPUs.
    #[error("{} do not make {vcpus} vCPUs", product(topology))]
    Topology { topology: GuestTopology, vcpus: u32 },
    /// A number of threads per guest core that contradicts the style.
    #[error("style {style} does not allow {threads} threads per guest core")]
    StyleThreads { style: Style, threads: u32 },
    /// A number of cells that contradicts the style.
    #[error("style {style} does not allow {cells} cells")]
    StyleCells { style: Style, cells: usize },
    /// SMT siblings shown to the guest against the request, or hidden against it.
    #[error(
        "the guest has {threads} threads per core, but the request says SMT in the guest: {wanted}"
    )]
    Smt { threads: u32, wanted: bool },
    /// `topoext` set where it is not needed, or missing where it is.
    #[error(
        "topoext is {found}, but must not be for {threads} threads per core and CPU vendor {vendor:?}"
    )]
    Topoext { found: bool, threads: u32, vendor: CpuVendor },
    /// An emulated IOMMU where it is not needed, or none where it is.
    #[error(
        "emulated IOMMU is {found} for {vcpus} vCPUs, but it is needed from 256 vCPUs on and only then"
    )]
    Iommu { found: bool, vcpus: u32 },
    /// A number of cells other than required.
    #[error("the guest has {found} cells, but the request requires {wanted}")]
    CellCount { found: usize, wanted: u32 },
    /// No cells at all.
    #[error("the placement has no cells")]
    NoCells,
    /// Cells that are not numbered from 0 in order.
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
    /// A cell on nodes other than those that the request is held to.
    #[error("cell {cell} is on nodes {nodes}, which the request excludes")]
    NodesExcluded { cell: CellId, nodes: NodeSet },
    /// Several nodes, or none, though one is required.
    #[error("the VM is on nodes {nodes:?}, but the request requires one node")]
    NotOneNode { nodes: NodeSet },
    /// An incomplete row of distances.
    #[error("cell {cell} lists {found} distances, but there are {wanted} cells")]
    DistanceCount { cell: CellId, found: usize, wanted: usize },
    /// A distance that differs from the host's.
    #[error("the distance from cell {from} to cell {to} is {found}, but must be {wanted}")]
    Distance { from: CellId, to: CellId, found: Distance, wanted: Distance },

    /// An amount of memory other than requested.
    #[error("the cells have {found} of memory in all, but the request asks for {wanted}")]
    MemorySum { found: Bytes, wanted: Bytes },
    /// Cells that differ in vCPUs or memory, though the request asks for equal cells.
    #[error("cell {cell} has {found} vCPUs and {memory} of memory, unlike the first cell")]
    CellsDiffer { cell: CellId, found: usize, memory: Bytes },
    /// A memory mode that contradicts the style.
    #[error("style {style} does not allow {mode} memory")]
    StyleMemory { style: Style, mode: MemoryMode },
    /// A cell bound to nodes, though the default style lets everything float.
    #[error("cell {cell} is bound to nodes, but the default style binds nothing")]
    DefaultBinds { cell: CellId },
    /// A cell whose memory is zero or not a whole number of pages.
    #[error(
        "cell {cell} has {memory} of memory, which is not a positive number of pages of {page_size}"
    )]
    CellMemory { cell: CellId, memory: Bytes, page_size: PageSize },
    /// A page size other than requested.
    #[error("cell {cell} has pages of {found}, but the request asks for pages of {wanted}")]
    CellPageSize { cell: CellId, found: PageSize, wanted: PageSize },
    /// Pages that do not add up to the cell's memory.
    #[error(
        "cell {cell} has {pages} pages of {page_size}, which do not add up to its memory of {memory}"
    )]
    CellPages { cell: CellId, pages: u64, page_size: PageSize, memory: Bytes },
    /// Pages on a node that the cell is not bound to.
    #[error("cell {cell} has {pages} pages on node {node}, which is not one of its nodes")]
    PagesOffNode { cell: CellId, node: NodeId, pages: u64 },
    /// More pages than are free.
    #[error("the VM takes {needed} pages of {page_size} on {}, but {free} are free", pool(*node))]
    PagesShort { node: Option<NodeId>, page_size: PageSize, needed: u64, free: u64 },
    /// Memory bound to a node that has none.
    #[error("cell {cell} is bound to node {node}, which has no memory")]
    NoMemory { cell: CellId, node: NodeId },
    /// Strict memory on several nodes, in a guest with several cells.
    #[error(
        "cell {cell} has strict memory on nodes {nodes}, but with several cells each must be on one node"
    )]
    StrictSpreads { cell: CellId, nodes: NodeSet },

    /// A number of GPUs other than requested.
    #[error("the placement has {found} GPUs, but the request asks for {wanted}")]
    GpuCount { found: usize, wanted: usize },
    /// A requested device that is not placed, or not in the requested role.
    #[error("device {address} is requested (as a GPU: {as_gpu}), but not placed")]
    DeviceMissing { address: PciAddr, as_gpu: bool },
    /// A placed device that was not requested.
    #[error("device {address} is placed (as a GPU: {as_gpu}), but not requested")]
    DeviceUnasked { address: PciAddr, as_gpu: bool },
    /// A number of devices of one kind other than requested.
    #[error("{found} devices are chosen by kind ({kind}), but the request asks for {wanted}")]
    WishCount { kind: WishKind, found: usize, wanted: usize },
    /// A device chosen by kind that is of another model.
    #[error("device {address} is a {model:?}, but the request asks for {wanted:?}")]
    WishModel { address: PciAddr, model: String, wanted: String },
    /// A device chosen by kind that takes another card from the host.
    #[error("device {address} was chosen by kind, but takes {withheld} from the host too")]
    WishTakes { address: PciAddr, withheld: PciAddr },
    /// Devices chosen by kind that are not near the GPUs, or the VM, though that is required.
    #[error("{near} of {wanted} devices ({kind}) are near (within: {within}), but all must be")]
    WishApart { kind: WishKind, within: &'static str, near: usize, wanted: usize },
    /// An address that is not a device of the host.
    #[error("{address} is not a device of the host")]
    NoSuchDevice { address: PciAddr },
    /// A device placed as a GPU that is not a GPU.
    #[error("device {address} is placed as a GPU, but is not a GPU")]
    NotGpu { address: PciAddr },
    /// A GPU of another model.
    #[error("GPU {address} is a {model:?}, but the request asks for {wanted:?}")]
    GpuModel { address: PciAddr, model: String, wanted: String },
    /// A GPU integrated into the CPU that the request does not name.
    #[error("GPU {address} is integrated into the CPU, and the request does not name it")]
    GpuIntegrated { address: PciAddr },
    /// A whole GPU where the request asks for virtual functions, or the other way round.
    #[error("GPU {address} is {} virtual function, but the request asks for the other kind", if *is_virtual { "a" } else { "no" })]
    GpuKind { address: PciAddr, is_virtual: bool },
    /// A GPU with virtual functions that the request does not name.
    #[error(
        "GPU {address} has virtual functions such as {function}, and the request does not name it"
    )]
    GpuSplit { address: PciAddr, function: PciAddr },
    /// A device beside a function that another tenant holds, which SR-IOV excludes.
    #[error("device {address} cannot be used beside {function}, held by tenant {holder:?}")]
    FunctionHeld { address: PciAddr, function: PciAddr, holder: String },
    /// A physical function and a virtual function of it, given to one VM.
    #[error("device {address} is placed beside its virtual function {function}")]
    FunctionsExclude { address: PciAddr, function: PciAddr },
    /// A device whose mediated device another tenant holds.
    #[error(
        "device {address} is placed, but tenant {holder:?} holds a mediated device of {parent}"
    )]
    DeviceShared { address: PciAddr, parent: PciAddr, holder: String },
    /// A GPU that the request does not name, and whose mediated device a tenant may hold.
    #[error(
        "GPU {address} may be the parent of a mediated device of tenant {holder:?}, and the request does not name it"
    )]
    DeviceUnsure { address: PciAddr, holder: String },
    /// A device held by another tenant.
    #[error("device {address} is held by tenant {holder:?}")]
    DeviceHeld { address: PciAddr, holder: String },
    /// A function that is placed twice.
    #[error("function {address} is placed twice")]
    DeviceTwice { address: PciAddr },
    /// An IOMMU group that is only partly placed.
    #[error("device {address} is placed without {missing}, a member of its IOMMU group")]
    GroupSplit { address: PciAddr, missing: PciAddr },
    /// A function given to the guest that is not a part of the GPU's card.
    #[error("device {address} comes with {function}, which is not a part of its card")]
    NotCompanion { address: PciAddr, function: PciAddr },
    /// A part of a GPU's card that is not given to the guest.
    #[error("GPU {address} comes without {missing}, which is a part of its card")]
    CompanionMissing { address: PciAddr, missing: PciAddr },
    /// A function that the host needs, taken with an IOMMU group.
    #[error("device {address} takes {taken} from the host, which needs it")]
    NeededTaken { address: PciAddr, taken: PciAddr },
    /// A GPU chosen by number that costs the host more than a free one.
    #[error("GPU {address} costs the host more than GPU {other}, which is free")]
    LossAvoidable { address: PciAddr, other: PciAddr },
    /// A device withheld from the host without need.
    #[error(
        "{withheld} is withheld with {address}, but shares no IOMMU group with the VM's devices"
    )]
    WithheldApart { address: PciAddr, withheld: PciAddr },
    /// A function of another card.
    #[error("{function} is placed as a function of {address}, which is another card")]
    FunctionApart { address: PciAddr, function: PciAddr },
    /// A node of a device that differs from the host's.
    #[error("device {address} is placed on {}, but is on {}", or_none("node", *found), or_none("node", *wanted))]
    DeviceNode { address: PciAddr, found: Option<NodeId>, wanted: Option<NodeId> },
    /// A device in a cell other than its node's.
    #[error("device {address} belongs to {}, but must belong to {}", or_none("cell", *found), or_none("cell", *wanted))]
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
    /// GPUs that do not form a fabric partition, though one is required.
    #[error("the {} GPUs that begin with {} do not form a fabric partition", gpus.len(), or_none("GPU", gpus.first()))]
    NotPartition { gpus: Vec<PciAddr> },
    /// A partition other than the one that the GPUs form.
    #[error("the placement names {}, but its GPUs form {}", or_none("partition", *found), or_none("partition", *wanted))]
    WrongPartition { found: Option<u32>, wanted: Option<u32> },
    /// GPUs that must be linked, behind NVSwitches of the host whose partitions are unknown.
    #[error("links between {} GPUs are required, but no fabric partition is known", gpus.len())]
    UntoldFabric { gpus: Vec<PciAddr> },

    /// Two guest controllers with the same index.
    #[error("controller index {index} occurs twice")]
    IndexTwice { index: u32 },
    /// A guest controller index that leaves a gap.
    #[error("controller index {index} is not between 1 and {count}, the number of controllers")]
    IndexGap { index: u32, count: usize },
    /// An expander bus of a cell that does not exist.
    #[error("expander bus {index} belongs to cell {cell}, which does not exist")]
    ExpanderCell { index: u32, cell: CellId },
    /// A bus number that libvirt refuses.
    #[error("expander bus {index} has bus number {bus_nr}, which must be between 1 and 254")]
    BusNumber { index: u32, bus_nr: u8 },
    /// An expander bus whose number is taken by the buses of another one.
    #[error("expander bus {index} has bus number {bus_nr}, but numbers up to {taken} are taken")]
    BusOverlap { index: u32, bus_nr: u8, taken: usize },
    /// Buses beyond the last number.
    #[error("the buses below expander bus {index} reach number {last}, beyond the last one, 255")]
    BusBeyond { index: u32, last: usize },
    /// More plain ports than there are bus numbers for.
    #[error(
        "the guest has {found} plain root ports, but bus numbers for {room} before the first expander bus"
    )]
    PlainPorts { found: usize, room: usize },
    /// A port on a bus that does not exist.
    #[error(
        "port {port} is on bus {parent}, which is neither bus 0 nor an expander bus nor a switch"
    )]
    PortParent { port: u32, parent: u32 },
    /// A port without a slot from 0 to 31 on its expander bus or switch.
    #[error("port {port} on an expander bus or switch has {}, but needs one from 0 to 31", or_none("slot", *slot))]
    PortSlot { port: u32, slot: Option<u8> },
    /// Two ports in one slot.
    #[error("two ports are in slot {slot} of bus {parent}")]
    SlotTwice { parent: u32, slot: u8 },
    /// A switch that is not plugged into a root port.
    #[error("switch {index} is plugged into {port}, which is not a root port")]
    SwitchPort { index: u32, port: u32 },
    /// A switch that shares its root port.
    #[error("switch {index} shares root port {port} with another device")]
    SwitchShares { index: u32, port: u32 },
    /// A switch with no port.
    #[error("switch {index} has no port below it")]
    EmptySwitch { index: u32 },
    /// A function behind a port that does not exist.
    #[error("host function {host} is behind root port {port}, which does not exist")]
    NoSuchPort { host: PciAddr, port: u32 },
    /// A function number beyond 7.
    #[error("host function {host} is function {function} in the guest, beyond the last one, 7")]
    FunctionNumber { host: PciAddr, function: u8 },
    /// Two functions with the same number behind one port.
    #[error("root port {port} has function {function} twice")]
    FunctionTwice { port: u32, function: u8 },
    /// A port without function 0, behind which the guest finds nothing.
    #[error("root port {port} has no function 0")]
    NoFunctionZero { port: u32 },
    /// `multifunction` elsewhere than on function 0 of several.
    #[error(
        "multifunction of {host} is {found}, but must be set on function 0 of several and nowhere else"
    )]
    Multifunction { host: PciAddr, found: bool },
    /// A placed function that the guest does not see.
    #[error("host function {host} is placed, but missing from the guest's PCIe tree")]
    NotShown { host: PciAddr },
    /// A function in the guest that is not placed, or that must be withheld.
    #[error("host function {host} is in the guest's PCIe tree, but not placed")]
    ShownUnplaced { host: PciAddr },
    /// A host function that the guest sees twice.
    #[error("host function {host} is in the guest's PCIe tree twice")]
    ShownTwice { host: PciAddr },
    /// One card behind two ports.
    #[error(
        "function {function} of card {address} is behind root port {port}, but the card is behind {other}"
    )]
    CardSplit { address: PciAddr, function: PciAddr, port: u32, other: u32 },
    /// Two cards behind one port.
    #[error("the cards {first} and {second} are both behind root port {port}")]
    CardsShare { port: u32, first: PciAddr, second: PciAddr },
    /// A device below the bus of a cell other than its own.
    #[error("device {address} is below the bus of {}, but belongs to {}", or_none("cell", *found), or_none("cell", *wanted))]
    DeviceBus { address: PciAddr, found: Option<CellId>, wanted: Option<CellId> },
    /// A device below the expander bus of another root complex.
    #[error(
        "device {address} is below expander bus {index} for root complex {}, but its own is {}",
        root(found),
        root(wanted)
    )]
    DeviceRoot { address: PciAddr, index: u32, found: RootComplex, wanted: RootComplex },
    /// A device that the guest sees below a switch other than its own on the host.
    #[error(
        "device {address} is below guest switch {index} for host switch {found}, but its own is {}",
        or_none("switch", *wanted)
    )]
    DeviceSwitch { address: PciAddr, index: u32, found: PciAddr, wanted: Option<PciAddr> },
    /// An MMIO window that is not a power of two, or is smaller than the BARs.
    #[error("the MMIO window has {found} MiB, but must be a power of two of at least {needed} MiB")]
    MmioWindow { found: u64, needed: u64 },
}
