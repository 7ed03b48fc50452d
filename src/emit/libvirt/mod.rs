//! libvirt domain XML for KVM: fragments to paste, or a whole domain.
//!
//! Tested with libvirt 9.0 to 11.3 and QEMU 10.0. libvirt accepts domains that then fail to start,
//! or that start and are wrong only in the guest (bus numbers too close, cells that leave vCPUs
//! out). Placements that would cause this are refused here, see [`EmitError`].

pub(crate) mod check;
pub mod cpu;
pub mod memory;
pub mod pci;

pub use check::check;

use crate::emit::xml::{Element, Layout};
use crate::placement::{GuestTopology, MemoryMode, Placement};
use crate::units::{Bytes, CellId, PageSize, PciAddr};

/// The reason why a placement cannot be written as domain XML.
///
/// No placement that this crate recommends causes any of these; they guard placements that were
/// built or changed by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// A name that libvirt or XML does not allow.
    #[error("the VM's name {name:?} is empty or has a slash, a line feed or a control character")]
    Name {
        /// The name, shortened.
        name: String,
    },
    /// A guest topology whose product is not the number of vCPUs.
    #[error(
        "{} sockets x {} dies x {} cores x {} threads do not make {vcpus} vCPUs",
        topology.sockets, topology.dies, topology.cores, topology.threads
    )]
    Topology {
        /// The topology.
        topology: GuestTopology,
        /// The number of vCPUs.
        vcpus: usize,
    },
    /// More vCPUs than interrupts can address without x2APIC.
    #[error("{vcpus} vCPUs need the emulated IOMMU, which the placement lacks")]
    NoIommu {
        /// The number of vCPUs.
        vcpus: usize,
    },
    /// Cells that are not numbered from 0 or do not partition the vCPUs, or an expander bus that
    /// belongs to no cell.
    #[error("the cells are not numbered from 0, or do not hold every vCPU exactly once")]
    Cells,
    /// A guest core with vCPUs in several cells.
    #[error("guest core {core} is in several cells")]
    CoreStraddles {
        /// The core, counted from 0.
        core: u32,
    },
    /// An amount of memory that is zero, or not a whole number of pages.
    #[error(
        "cell {cell} has {memory} of memory, which is not a positive number of pages of {page_size}"
    )]
    Memory {
        /// The cell.
        cell: CellId,
        /// The memory of the cell.
        memory: Bytes,
        /// The page size of the cell.
        page_size: PageSize,
    },
    /// Bound memory without a node.
    #[error("the memory of cell {cell} is {mode}, but the cell names no node")]
    NoNodes {
        /// The cell.
        cell: CellId,
        /// The mode.
        mode: MemoryMode,
    },
    /// Distances that are not a symmetric matrix with 10 for local and 11 to 255 otherwise.
    #[error("the distance from cell {from} to cell {to} is missing, asymmetric or out of range")]
    Distance {
        /// The first cell.
        from: CellId,
        /// The second cell.
        to: CellId,
    },
    /// PCI controllers that are not numbered from 1 to at most 255, without gaps, parents first.
    #[error("the index of PCI controller {index} is out of order")]
    ControllerIndex {
        /// The index.
        index: u32,
    },
    /// A root port without a slot of its own.
    #[error("root port {port} has no free slot of its own")]
    Slot {
        /// The controller index of the port.
        port: u32,
    },
    /// An empty root port, which libvirt would give to some other device.
    #[error("nothing is plugged into root port {port}")]
    EmptyPort {
        /// The controller index of the port.
        port: u32,
    },
    /// An expander bus whose buses overlap those of an earlier one, or exceed 255.
    #[error(
        "bus number {bus_nr} of an expander bus does not fit: the first free number is {first_free}"
    )]
    BusNumber {
        /// The bus number of the expander bus.
        bus_nr: u8,
        /// The first number beyond the buses before it, or beyond its own.
        first_free: u32,
    },
    /// A host function that is missing from the guest, in it twice, or where the guest does not
    /// find it.
    #[error("host function {address} has no place of its own in the guest")]
    Function {
        /// The address on the host.
        address: PciAddr,
    },
    /// An MMIO window that the firmware would ignore.
    #[error("an MMIO window of {mib} MiB is not a power of two")]
    Window {
        /// The size of the window in MiB.
        mib: u64,
    },
}

/// The parts of a domain that a placement decides, ready to paste into an existing one.
///
/// Each group starts with a comment that names its parent element. USB and the memory balloon are
/// left to the existing domain: every root port here is taken, so a device that libvirt adds itself
/// cannot end up behind an expander bus. Controllers are numbered from 1. A domain that already has
/// controllers needs a patch instead (`pinwise_discover::libvirt::patch`), which continues after
/// its highest index.
///
/// # Errors
/// [`EmitError`] if the placement cannot be written as domain XML.
pub fn fragments(placement: &Placement) -> Result<String, EmitError> {
    check::check(placement)?;
    let mut groups = vec![("domain", domain_parts(placement)), ("features", features(placement))];
    let mut devices = pci::controllers(placement);
    devices.extend(pci::host_devices(placement));
    devices.extend(cpu::iommu(placement));
    groups.push(("devices", devices));
    let layout = Layout::default();
    let mut out = String::new();
    for (parent, elements) in groups.iter().filter(|(_, elements)| !elements.is_empty()) {
        out.push_str(&format!("<!-- inside <{parent}> -->\n"));
        for element in elements {
            out.push_str(&element.render(&layout, ""));
            out.push('\n');
        }
    }
    Ok(out)
}

/// The largest number of ports that a BIOS is given; the domain's own devices need some too. 14
/// booted, 18 did not.
const BIOS_PORTS: usize = 8;

/// A whole domain that starts, with little more than the placement decides. The user adds disks,
/// networks and a display.
///
/// It has no `<uuid>`, so libvirt generates one.
///
/// # Errors
/// [`EmitError`] if the placement cannot be written as domain XML.
pub fn domain(placement: &Placement) -> Result<String, EmitError> {
    check::check(placement)?;
    let mut os = Element::new("os");
    let kind = Element::new("type").attr("arch", "x86_64").attr("machine", "q35").text("hvm");
    // Only UEFI places the BARs of a large GPU and knows the size of the MMIO window. Secure boot
    // is off because the GPU's driver is usually built in the guest and not signed. A BIOS stops if
    // the ports need more than the 64 KiB of I/O addresses, at 4 KiB each.
    let many = placement.pci.ports.len() > BIOS_PORTS;
    if many || placement.gpus().next().is_some() || placement.pci.mmio64_mib.is_some() {
        let feature = Element::new("feature").attr("enabled", "no").attr("name", "secure-boot");
        os = os.attr("firmware", "efi").child(kind);
        os = os.child(Element::new("firmware").child(feature));
    } else {
        os = os.child(kind);
    }
    let own = features(placement).into_iter().filter(|element| *element != Element::new("acpi"));
    let on = Element::new("features").children([Element::new("acpi"), Element::new("apic")]);
    let devices = Element::new("devices")
        .child(pci::controller(0, "pcie-root"))
        .children(pci::controllers(placement))
        // Otherwise libvirt adds both, and looks for a port for them.
        .child(Element::new("controller").attr("type", "usb").attr("model", "none"))
        .children(pci::host_devices(placement))
        .child(Element::new("serial").attr("type", "pty"))
        .child(Element::new("memballoon").attr("model", "none"))
        .children(cpu::iommu(placement));
    let domain = Element::new("domain")
        .attr("type", "kvm")
        .child(Element::new("name").text(&placement.name))
        .children(domain_parts(placement))
        .children([os, on.children(own), devices]);
    Ok(domain.render(&Layout::default(), "") + "\n")
}

/// The elements directly below `<domain>` that a placement decides, in libvirt's order.
#[must_use]
pub fn domain_parts(placement: &Placement) -> Vec<Element> {
    let mut parts = memory::sizes(placement).to_vec();
    parts.extend(memory::backing(placement));
    parts.push(cpu::vcpu(placement));
    parts.extend(cpu::iothreads(placement));
    parts.extend(cpu::tune(placement));
    parts.extend(memory::tune(placement));
    parts.push(cpu::cpu(placement));
    parts.extend(pci::window(placement));
    parts
}

/// The elements that `<features>` must contain.
#[must_use]
pub fn features(placement: &Placement) -> Vec<Element> {
    let mut features = Vec::new();
    if shows_cells(placement) {
        // The cells and their distances are ACPI tables.
        features.push(Element::new("acpi"));
    }
    if placement.iommu {
        // Interrupt remapping needs the split I/O APIC.
        features.push(Element::new("ioapic").attr("driver", "qemu"));
    }
    features
}

/// Whether the guest gets `<cell>`s: if there are several, or one that an expander bus belongs to.
#[must_use]
pub fn shows_cells(placement: &Placement) -> bool {
    placement.cells.len() > 1 || !placement.pci.expanders.is_empty()
}
