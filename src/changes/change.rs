//! The changes that can be told.

use crate::engine::score::Property;
use crate::request::WishKind;
use crate::sets::CpuSet;
use crate::units::{Bytes, NodeId, PageSize, PciAddr};

/// A change to the request or the host that makes it fit. The variants are in the order in which
/// they are told: the mildest for the user of the VM first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "change", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Change {
    /// More pages on one node.
    MorePages {
        /// The node.
        node: NodeId,
        /// The page size.
        page_size: PageSize,
        /// The number of pages to add.
        more: u64,
        /// The number of pages that the pool then has in all: what to write into `nr_hugepages`.
        total: u64,
    },
    /// Another page size.
    OtherPageSize {
        /// The size that fits.
        page_size: PageSize,
    },
    /// Any pCPUs, where the VM is held to some.
    AnyCpus,
    /// Any nodes, where the VM is held to some.
    AnyNodes,
    /// Memory of any nodes with CPUs, where the VM's memory is held to some nodes.
    AnyMemoryNodes,
    /// Fewer pCPUs for the emulator threads alone.
    FewerEmulatorPcpus {
        /// The largest number found to fit; 0 to share pCPUs with the host or with the VM's idle
        /// siblings.
        emulator_pcpus: u32,
    },
    /// A property that is required, preferred instead.
    Relax {
        /// The property.
        property: Property,
    },
    /// Guest cells that need not be alike.
    UnevenCells,
    /// Any number of guest cells, where one is required.
    AnyCells,
    /// Another number of guest cells.
    OtherCells {
        /// The nearest number below or above the required one that fits.
        cells: u32,
    },
    /// SMT siblings hidden where showing them is required, or shown where hiding them is.
    OtherSmt {
        /// Whether the guest is shown siblings.
        shown: bool,
    },
    /// No requirement on SMT siblings: two vCPUs may then share a core, and the guest sees a core
    /// for each.
    AnySmt,
    /// More vCPUs: a number that shows siblings, or that makes cells alike, where the requested
    /// number cannot.
    MoreVcpus {
        /// The number that fits.
        vcpus: u32,
    },
    /// Nothing kept for the host's own work.
    KeepNothing {
        /// The pCPUs that the host keeps now.
        kept: CpuSet,
    },
    /// No ordinary memory kept free for the host's own work.
    KeepNoMemory,
    /// Any GPUs, where some are requested by address.
    AnyGpus {
        /// The number of GPUs, which stays the same.
        gpus: u32,
    },
    /// GPUs of any model.
    AnyModel,
    /// Functions that the host needs given up with a device, whose IOMMU group they share.
    AllowGroup,
    /// Virtual functions of GPUs instead of whole GPUs.
    VirtualFunctions {
        /// The number of virtual functions: that of the GPUs.
        count: u32,
    },
    /// Whole GPUs instead of virtual functions of GPUs.
    WholeGpus {
        /// The number of GPUs: that of the virtual functions.
        count: u32,
    },
    /// Devices of any model, where devices of a kind and model are requested.
    AnyDeviceModel {
        /// The kind.
        kind: WishKind,
    },
    /// Fewer of the devices that are requested by kind and number.
    FewerDevices {
        /// The kind.
        kind: WishKind,
        /// The largest number that fits.
        count: u32,
    },
    /// None of the devices that are requested by kind.
    WithoutDevices {
        /// The kind.
        kind: WishKind,
    },
    /// Without one of the devices, or of the GPUs, that are requested by address.
    WithoutDevice {
        /// The first one whose absence suffices.
        address: PciAddr,
    },
    /// Fewer vCPUs.
    FewerVcpus {
        /// The largest number found to fit.
        vcpus: u32,
    },
    /// Fewer vCPUs, where an even number is requested and the largest number that fits is odd.
    EvenVcpus {
        /// The largest even number found to fit: a guest can be shown it as pairs of siblings.
        vcpus: u32,
    },
    /// Less memory.
    LessMemory {
        /// The largest amount found to fit.
        memory: Bytes,
    },
    /// Fewer GPUs.
    FewerGpus {
        /// The largest number that fits.
        gpus: u32,
    },
}
