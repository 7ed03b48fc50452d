//! libvirt domain XML for KVM: fragments to paste, a whole domain, or a patch of the user's own.
//!
//! Tried with libvirt 9.0 to 11.3 and QEMU 10.0. libvirt accepts much that then starts wrongly, or
//! starts and is wrong in the guest only (bus numbers too close, cells that leave vCPUs out); what
//! of that a placement could say is refused here, see [`EmitError`].

pub(crate) mod check;
pub mod cpu;
pub mod memory;
pub mod pci;

pub use check::check;

use crate::emit::xml::{Element, Layout};
use crate::placement::{GuestTopology, MemoryMode, Placement};
use crate::units::{Bytes, CellId, PageSize, PciAddr};

/// Why a placement cannot be said in domain XML.
///
/// None of these comes from a placement that this crate recommends; they guard one that was built
/// or changed by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// A name that libvirt, or XML, refuses.
    #[error("the name {name:?} is empty or has a slash, a line feed or a control character")]
    Name {
        /// The name, cut.
        name: String,
    },
    /// The guest topology is not that of the vCPUs.
    #[error(
        "{} sockets x {} dies x {} cores x {} threads are not {vcpus} vCPUs",
        topology.sockets, topology.dies, topology.cores, topology.threads
    )]
    Topology {
        /// The topology.
        topology: GuestTopology,
        /// How many vCPUs there are.
        vcpus: usize,
    },
    /// More vCPUs than interrupts can be sent to without x2APIC.
    #[error("{vcpus} vCPUs need the emulated IOMMU")]
    NoIommu {
        /// How many vCPUs there are.
        vcpus: usize,
    },
    /// The cells are not numbered from 0, do not share out all vCPUs, or an expander bus names
    /// none.
    #[error("the cells are not numbered from 0 or do not share out the vCPUs exactly")]
    Cells,
    /// A guest core with vCPUs in several cells.
    #[error("guest core {core} is in several cells")]
    CoreStraddles {
        /// The core, counted from 0.
        core: u32,
    },
    /// An amount of memory that is nothing, or not made of whole pages.
    #[error("cell {cell} has {memory}, which is not one or more pages of {page_size}")]
    Memory {
        /// The cell.
        cell: CellId,
        /// Its memory.
        memory: Bytes,
        /// Its page size.
        page_size: PageSize,
    },
    /// Bound memory without a node to bind it to.
    #[error("the memory of cell {cell} is {mode}, but it names no node")]
    NoNodes {
        /// The cell.
        cell: CellId,
        /// The mode.
        mode: MemoryMode,
    },
    /// The distances are no symmetric matrix with 10 for local and 11 to 255 for all else.
    #[error("the distance from cell {from} to cell {to} is missing, asymmetric or out of range")]
    Distance {
        /// From here.
        from: CellId,
        /// To here.
        to: CellId,
    },
    /// PCI controllers are not numbered from 1 without gaps up to 255, parents first.
    #[error("PCI controller {index} is out of order")]
    ControllerIndex {
        /// Its index.
        index: u32,
    },
    /// A root port without a slot of its own.
    #[error("root port {port} has no free slot of its own")]
    Slot {
        /// Its controller index.
        port: u32,
    },
    /// A root port that some other device would end up in.
    #[error("nothing is plugged into root port {port}")]
    EmptyPort {
        /// Its controller index.
        port: u32,
    },
    /// An expander bus whose buses collide with those before it, or pass 255.
    #[error("expander bus number {bus_nr} does not fit: the next free one would be {first_free}")]
    BusNumber {
        /// Its bus number.
        bus_nr: u8,
        /// The first number beyond the buses before it, or beyond its own.
        first_free: u32,
    },
    /// A host function that is not plugged in, or twice, or where the guest does not find it.
    #[error("host function {address} has no place of its own in the guest")]
    Function {
        /// Where it is on the host.
        address: PciAddr,
    },
    /// An MMIO window that the firmware would not take.
    #[error("an MMIO window of {mib} MiB is not a power of two")]
    Window {
        /// Its size.
        mib: u64,
    },
}

/// The parts of a domain that a placement decides, ready to paste into one.
///
/// Groups start with a comment that says which element they go into. USB and memory balloon are
/// left to the domain that they are pasted into: every root port here is taken, so what libvirt
/// adds by itself finds no way behind an expander bus. Controllers are numbered from 1: a domain
/// that has some already takes a patch (`pinwise_discover::libvirt::patch`), which goes on after
/// its highest.
///
/// # Errors
/// [`EmitError`] if the placement cannot be said in domain XML.
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

/// The most ports that a BIOS is left to deal with; the domain's own devices want some too. 14
/// booted, 18 did not.
const BIOS_PORTS: usize = 8;

/// A whole domain that starts: what the placement decides, and as little else as possible. Disks,
/// networks and a display are the user's to add.
///
/// It has no `<uuid>`, so libvirt makes one.
///
/// # Errors
/// [`EmitError`] if the placement cannot be said in domain XML.
pub fn domain(placement: &Placement) -> Result<String, EmitError> {
    check::check(placement)?;
    let mut os = Element::new("os");
    let kind = Element::new("type").attr("arch", "x86_64").attr("machine", "q35").text("hvm");
    // Only UEFI places the BARs of a large GPU and knows the size of the MMIO window. The GPU's
    // driver is mostly built in the guest and not signed, which secure boot would refuse. And a
    // BIOS stops where the ports want more than the 64 KiB of I/O addresses that there are, 4 KiB
    // each.
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

/// The elements right below `<domain>` that a placement decides, in libvirt's order.
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

/// The elements that have to be in `<features>`.
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

/// Whether the guest gets `<cell>`s: several, or one that an expander bus belongs to.
#[must_use]
pub fn shows_cells(placement: &Placement) -> bool {
    placement.cells.len() > 1 || !placement.pci.expanders.is_empty()
}
