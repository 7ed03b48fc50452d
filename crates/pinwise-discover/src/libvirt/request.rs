//! The request that a domain makes: its size, devices and threads, read from its XML.

use super::domain::{Pages, guest_memory, is_windows_at, name, page_size_of};
use super::note::LibvirtNote;
use super::problem::LibvirtError;
use super::values::{decimal, pci_address};
use super::xml::{
    self, XmlNode, attribute, child, children, descend, missing, root, shorten, text,
};
use crate::notes::{Note, Notes};
use pinwise::RequestSpec;
use pinwise::host::{DeviceKind, Host, PciDevice};
use pinwise::request::{GpuRequest, Guest, MAX_IO_THREADS, MAX_VCPUS, Wish};
use pinwise::units::PciAddr;

/// A VM that another program describes, such as a domain of libvirt, as a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainRequest {
    /// The request. Everything that the text does not state has its default.
    pub request: RequestSpec,
    /// The VM's UUID, if the text has one.
    pub uuid: Option<String>,
    /// The host's GPUs that the domain is given, and the other functions of their cards that it is
    /// given.
    pub gpu_functions: Vec<PciAddr>,
    /// What was left out, and why.
    pub notes: Vec<Note>,
    /// Whether the text is of another program, not of our own format.
    pub is_foreign: bool,
}

#[cfg(feature = "serde")]
impl DomainRequest {
    /// A request that is complete as it is.
    pub(crate) fn of(request: RequestSpec) -> Self {
        Self {
            request,
            uuid: None,
            gpu_functions: Vec::new(),
            notes: Vec::new(),
            is_foreign: false,
        }
    }
}

/// Reads the XML of a domain as the request for a VM on `host`.
///
/// - Name, vCPUs (all, also those that are not plugged in yet) and memory (that of the guest's
///   cells, or else `<memory>`; zero, which [`RequestSpec::build`] refuses, if the domain states
///   none).
/// - The page size, if all memory is in hugepages of one named size that divides it; otherwise any.
/// - Devices of `<hostdev>`, of interfaces of type `hostdev` and of NVMe disks. The host's GPUs,
///   and virtual functions of these, are requested as GPUs, by address; other functions of a GPU's
///   card come with the GPU; all else is requested as devices. Devices that the host does not have
///   are left out, with a note.
/// - I/O threads. Emulator threads share what the host keeps.
/// - Windows, if libosinfo's id says so, or if there is no such id and the domain has `<hyperv>`
///   features.
///
/// - SMT siblings are preferably shown if the domain's `<topology>` shows some.
///
/// Pins, nodes and the rest of the guest's topology are not read: they are the answer.
///
/// # Errors
/// [`LibvirtError`] if the text is too long or is not XML of a domain, lacks a name, or has a
/// value that libvirt would refuse.
pub fn request_of_domain(host: &Host, xml: &str) -> Result<DomainRequest, LibvirtError> {
    let document = xml::parse(xml)?;
    let root = root(&document, "domain")?;
    let mut notes = Notes::default();
    let memory = guest_memory(root)?;
    let mut request = RequestSpec::new(&name(root)?, vcpus(root, &mut notes)?, memory);
    request.page_size = match page_size_of(root)? {
        Pages::Base | Pages::Several => None,
        Pages::Size(size) => Some(size).filter(|size| size.pages_in(memory).is_some()),
        Pages::Unnamed => {
            let sizes = host.nodes().iter().flat_map(|node| &node.pools);
            let sizes = sizes.filter(|pool| pool.size.is_huge() && pool.total > 0);
            let size = sizes.map(|pool| pool.size).min();
            let size = size.filter(|size| size.pages_in(memory).is_some());
            size.into_iter().for_each(|page_size| notes.add(LibvirtNote::NoPageSize { page_size }));
            size
        }
    };
    request.io_threads = io_threads(root)?;
    if is_windows_at(root) {
        request.guest = Guest::Windows;
    }
    if threads(root)? > 1 {
        request.smt = Wish::Prefer(true);
    }
    let given = devices(root, host, &mut notes)?;
    let gpu_functions = with_devices(&mut request, host, given);
    let uuid = child(root, "uuid")?.map(|node| text(node, "uuid").trimmed().to_owned());
    Ok(DomainRequest { request, uuid, gpu_functions, notes: notes.finish(), is_foreign: true })
}

/// Requests functions of the host: GPUs and virtual functions of GPUs by address, all else that is
/// not on a GPU's card as devices. Returns the functions of the GPUs' cards.
pub(crate) fn with_devices(
    request: &mut RequestSpec,
    host: &Host,
    given: Vec<PciAddr>,
) -> Vec<PciAddr> {
    let is_gpu = |address: &PciAddr| {
        let device = host.pci().get(*address);
        let is_virtual = |device: &PciDevice| {
            device.kind() == DeviceKind::Gpu && device.physical_function.is_some()
        };
        host.gpu(*address).is_some() || device.is_some_and(is_virtual)
    };
    let gpus: Vec<PciAddr> = given.iter().copied().filter(is_gpu).collect();
    let companions: Vec<PciAddr> =
        gpus.iter().flat_map(|gpu| host.pci().companions_of(*gpu)).collect();
    let of_gpu = |address: &PciAddr| gpus.contains(address) || companions.contains(address);
    let (gpu_functions, devices): (Vec<_>, Vec<_>) = given.into_iter().partition(of_gpu);
    if !gpus.is_empty() {
        request.gpus = GpuRequest::Addresses(gpus);
    }
    request.devices = devices;
    gpu_functions
}

pub(super) fn vcpus(root: XmlNode<'_>, notes: &mut Notes) -> Result<u32, LibvirtError> {
    let Some(node) = child(root, "vcpu")? else { return Ok(1) };
    let number = |text: &str| decimal(text).filter(|n| (1..=u64::from(MAX_VCPUS)).contains(n));
    let count = text(node, "vcpu").parse("a number of vCPUs", number)?;
    if let Some(current) = attribute(node, "current") {
        let now = current.parse("a number of vCPUs up to all", |text| {
            decimal(text).filter(|now| (1..=count).contains(now))
        })?;
        if now < count {
            notes.add(LibvirtNote::VcpusUnplugged { now, most: count });
        }
    }
    Ok(u32::try_from(count).unwrap_or(MAX_VCPUS))
}

/// The number of siblings in each guest core.
fn threads(root: XmlNode<'_>) -> Result<u64, LibvirtError> {
    let topology = descend(root, &["cpu", "topology"])?;
    match topology.and_then(|topology| attribute(topology, "threads")) {
        Some(threads) => threads.parse("a number of threads", decimal),
        None => Ok(1),
    }
}

fn io_threads(root: XmlNode<'_>) -> Result<u32, LibvirtError> {
    let number = |text: &str| {
        let number = u32::try_from(decimal(text)?).ok()?;
        (number <= MAX_IO_THREADS).then_some(number)
    };
    let count = match child(root, "iothreads")? {
        Some(node) => text(node, "iothreads").parse("a number of I/O threads", number)?,
        None => 0,
    };
    let ids = child(root, "iothreadids")?;
    let ids = ids.map_or(0, |ids| children(ids, "iothread").count());
    Ok(count.max(u32::try_from(ids).unwrap_or(u32::MAX)))
}

/// The host's functions that the domain names, in the order of the XML, each once.
fn devices(
    root: XmlNode<'_>,
    host: &Host,
    notes: &mut Notes,
) -> Result<Vec<PciAddr>, LibvirtError> {
    let mut all = Vec::new();
    let devices = child(root, "devices")?;
    for node in devices.into_iter().flat_map(|devices| devices.children()) {
        let kind = node.attribute("type").unwrap_or_default();
        let source = match (node.tag_name().name(), kind) {
            ("hostdev", "pci") | ("interface", "hostdev") => {
                Some(child(node, "source")?.ok_or_else(|| missing(node, "<source>"))?)
            }
            ("hostdev", "mdev") => {
                let uuid = descend(node, &["source", "address"])?
                    .and_then(|address| attribute(address, "uuid"))
                    .map(|uuid| shorten(uuid.trimmed()));
                notes.add(LibvirtNote::MediatedUnrequested { uuid });
                None
            }
            ("disk", "nvme") => {
                children(node, "source").find(|source| source.attribute("type") == Some("pci"))
            }
            _ => None,
        };
        let Some(source) = source else { continue };
        let address = child(source, "address")?.ok_or_else(|| missing(source, "<address>"))?;
        let address = pci_address(address)?;
        match host.pci().get(address).map(|device| device.kind()) {
            None => notes.add(LibvirtNote::NotADevice { address }),
            Some(DeviceKind::Bridge) => notes.add(LibvirtNote::Bridge { address }),
            Some(_) if !all.contains(&address) => all.push(address),
            Some(_) => {}
        }
    }
    Ok(all)
}
