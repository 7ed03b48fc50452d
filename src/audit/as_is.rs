//! A domain as it is defined or runs, as plain data.

use crate::placement::GuestTopology;
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{Bytes, CellId, PageSize, PciAddr};

/// A domain as it is defined or runs. Sets of pCPUs are as the domain states them, offline pCPUs
/// included.
///
/// A field may be added in any release: begin with [`AsIs::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsIs {
    /// The name.
    pub name: String,
    /// Whether it runs, so that its pages are in use already.
    pub running: bool,
    /// The pCPUs that each vCPU may run on; empty if the domain states none.
    pub vcpus: Vec<CpuSet>,
    /// The pCPUs of the emulator threads; empty if the domain states none.
    pub emulator: CpuSet,
    /// The I/O threads by number, and the pCPUs of each; empty if the domain states none.
    pub iothreads: Vec<(u32, CpuSet)>,
    /// Whether numad chose pCPUs or nodes when the domain started, which the domain does not show.
    pub placed_by_numad: bool,
    /// Whether the time of vCPUs, or of the whole domain, is limited by a quota.
    #[doc(alias = "vcpu_quota")]
    pub quota: bool,
    /// The topology that the guest sees; a socket for each vCPU where the domain states none.
    pub topology: GuestTopology,
    /// The guest cells; one with all vCPUs and all memory if the guest sees none.
    pub cells: Vec<CellAsIs>,
    /// Whether the guest sees its cells.
    pub shows_cells: bool,
    /// The host's PCI functions that the domain is given.
    pub devices: Vec<DeviceAsIs>,
    /// The number of mediated devices that it is given.
    pub mediated: u32,
    /// Other domains that are not tenants, as they cannot run at the same time, and the devices
    /// that they have too. No single domain shows this.
    pub alternatives: Vec<(String, Vec<PciAddr>)>,
    /// Whether an emulated IOMMU gives the guest x2APIC (`eim`).
    pub iommu: bool,
    /// The CPU model.
    pub cpu: CpuAsIs,
    /// Whether the guest is Windows.
    pub windows: bool,
    /// The 64-bit MMIO space that the firmware is told to offer, in MiB; `None` if it is not told.
    pub mmio64_mib: Option<u64>,
    /// The expander buses.
    pub expanders: Vec<ExpanderAsIs>,
}

/// The CPU model that the guest sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuAsIs {
    /// Whether it is the host's own (`host-passthrough` or `maximum`).
    pub host: bool,
    /// Whether the feature `topoext` is required.
    pub topoext: bool,
    /// Whether the domain states which caches the guest sees.
    pub caches: bool,
}

/// A guest cell, or all of a guest that sees none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellAsIs {
    /// The number of the cell.
    pub id: CellId,
    /// The vCPUs.
    pub vcpus: VcpuSet,
    /// The memory.
    pub memory: Bytes,
    /// The size of its hugepages; `None` for base pages.
    pub page_size: Option<PageSize>,
    /// The host nodes that its memory is bound to; empty if it is bound to none.
    pub nodes: NodeSet,
    /// How strictly.
    pub binding: Binding,
}

/// How strictly memory is bound to its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binding {
    /// On these nodes only.
    #[default]
    Strict,
    /// On others if these are full.
    Preferred,
    /// Spread page by page over these nodes.
    Interleave,
}

/// A function of the host that the domain is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceAsIs {
    /// The address on the host.
    pub address: PciAddr,
    /// The cell whose expander bus it is below; `None` if the guest is not told.
    pub cell: Option<CellId>,
}

/// An expander bus, and the bus numbers that the firmware needs below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpanderAsIs {
    /// The guest bus number.
    pub bus_nr: u8,
    /// The number of buses below: one for each port and each switch.
    pub buses: u32,
}

impl AsIs {
    /// A domain of this size that states nothing else.
    #[must_use]
    pub fn new(name: &str, vcpus: u32, memory: Bytes) -> Self {
        let cell = CellAsIs {
            id: CellId(0),
            vcpus: VcpuSet::row(0, vcpus),
            memory,
            page_size: None,
            nodes: NodeSet::new(),
            binding: Binding::Strict,
        };
        Self {
            name: name.to_owned(),
            running: false,
            vcpus: (0..vcpus).map(|_| CpuSet::new()).collect(),
            emulator: CpuSet::new(),
            iothreads: Vec::new(),
            placed_by_numad: false,
            quota: false,
            topology: GuestTopology { sockets: vcpus, dies: 1, cores: 1, threads: 1 },
            cells: vec![cell],
            shows_cells: false,
            devices: Vec::new(),
            mediated: 0,
            alternatives: Vec::new(),
            iommu: false,
            cpu: CpuAsIs::default(),
            windows: false,
            mmio64_mib: None,
            expanders: Vec::new(),
        }
    }

    /// Whether VFIO pins its memory: it is given a device of the host, or a share of one.
    pub(super) fn is_held_by_vfio(&self) -> bool {
        !self.devices.is_empty() || self.mediated > 0
    }

    /// The nodes that its memory is bound to; empty if any of it is not bound.
    pub(super) fn memory_nodes(&self) -> NodeSet {
        if self.cells.iter().any(|cell| cell.nodes.is_empty()) {
            return NodeSet::new();
        }
        self.cells.iter().fold(NodeSet::new(), |all, cell| all.union(&cell.nodes))
    }
}
