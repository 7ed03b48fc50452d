//! A domain as a tenant: what it holds on a host, according to its XML.

mod cpu;
mod devices;
mod memory;

pub(super) use devices::source;
pub(crate) use memory::{Binding, spread};
pub(super) use memory::{
    GuestMemory, Pages, bindings, cells, guest_memory, hugepages, page_size_of,
};

use crate::libvirt::problem::LibvirtError;
use crate::libvirt::xml::{self, XmlNode, attribute, child, missing, root, text};
use crate::notes::{Note, Notes};
use pinwise::host::Host;
use pinwise::usage::Claim;

/// The longest name of a domain, in bytes: libvirt names files after it, and file systems allow no
/// longer names.
const MAX_NAME: usize = 255;

/// A VM as its own program describes it: a domain of libvirt, or a VM of Proxmox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The name of the domain.
    pub name: String,
    /// The UUID of the domain, if the XML has one.
    pub uuid: Option<String>,
    /// Whether the domain is known to run: libvirt gives ids to running domains only. The host
    /// already counts the pages of a running domain as used
    /// ([`Usage::with_running`](pinwise::Usage::with_running)); those of a domain that is defined
    /// and not running are still to be taken ([`Usage::claim`](pinwise::Usage::claim)).
    pub running: bool,
    /// What the domain holds.
    pub claim: Claim,
    /// What was left out or guessed, and why.
    pub notes: Vec<Note>,
}

/// Reads the XML of a domain (`virsh dumpxml`, with or without `--inactive`) as a tenant of `host`.
///
/// - pCPUs. A `<vcpupin>` to a single pCPU dedicates that pCPU to the domain: a pin this narrow
///   means that nobody else should run there. A vCPU with a wider pin floats on the pinned pCPUs; a
///   vCPU without a pin floats on the `cpuset` of `<vcpu>`, or on all online pCPUs if there is no
///   `cpuset`. Emulator and I/O threads always float, by the same rule, but for emulator threads
///   that may run on all pCPUs of the host while each vCPU is pinned to one: the domain is then
///   said to be dedicated, and a note tells of its emulator threads. Pins count for all vCPUs, also
///   for those that are not plugged in yet. XML does not show SMT siblings that are kept idle, so
///   the claim lacks them, and isolation from others neither: see
///   [`Tenants::assume`](crate::tenants::Tenants::assume).
/// - Memory. Each guest cell, or all memory if there are no cells, is on the host nodes that
///   `<memnode>` or `<memory>` of `<numatune>` name. It is counted in pages of `<hugepages>`, or in
///   the host's base pages, rounded up to whole pages. Several nodes are assumed to give even
///   shares, as far as their pages go. Memory that exceeds the pages of a `preferred` node, and
///   memory without a node, may be on any node. Plugged-in memory modules count if there are cells.
///   QEMU's own memory does not count.
/// - Devices. PCI devices of `<hostdev>`, of interfaces of type `hostdev` and of NVMe disks, with
///   their whole IOMMU groups. Devices that the host does not have are left out.
///
/// # Errors
/// [`LibvirtError`] if the text is too long or is not XML of a domain, lacks a name or memory, has
/// a value that libvirt would refuse, or names a node that the host does not have, or only pCPUs
/// that are not online.
pub fn read_domain(host: &Host, xml: &str) -> Result<Domain, LibvirtError> {
    let document = xml::parse(xml)?;
    let root = root(&document, "domain")?;
    let mut notes = Notes::default();
    let name = name(root)?;
    let uuid = child(root, "uuid")?.map(|node| text(node, "uuid").trimmed().to_owned());
    let running = match attribute(root, "id") {
        // Some drivers write -1 for a domain that is off.
        Some(id) if id.trimmed() == "-1" => false,
        Some(id) => id.parse("a number", super::values::decimal).map(|_| true)?,
        None => false,
    };
    let cpus = cpu::read(root, host, &mut notes)?;
    let pages = memory::read(root, host, cpus.placed_by_numad, &mut notes)?;
    let devices::HostDevices { devices, mediated } = devices::read(root, host, &mut notes)?;
    let floating = cpus.floating.difference(&cpus.dedicated);
    // XML does not say whether anybody else may be beside the pins.
    let (whole_cores, own_l3) = (false, false);
    let claim = Claim {
        dedicated: cpus.dedicated,
        floating,
        pages,
        devices,
        mediated,
        whole_cores,
        own_l3,
        floating_vcpus: cpus.floating_vcpus,
    };
    Ok(Domain { name, uuid, running, claim, notes: notes.finish() })
}

/// The domain's name.
pub(super) fn name(root: XmlNode<'_>) -> Result<String, LibvirtError> {
    let named = child(root, "name")?.ok_or_else(|| missing(root, "<name>"))?;
    let named = text(named, "name");
    let name = named.raw();
    let sound = (1..=MAX_NAME).contains(&name.len()) && !name.contains(['\n', '/']);
    if !sound || name.trim().is_empty() {
        return Err(named.bad("a name of 1 to 255 bytes without slash or line feed"));
    }
    Ok(name.to_owned())
}

/// The namespace of libosinfo's facts about a domain.
const OSINFO: &str = "http://libosinfo.org/xmlns/libvirt/domain/1.0";

/// Whether the domain is made for Windows: libosinfo's id says so, or, if there is no such id, it
/// has `<hyperv>` features, which other guests rarely use. False for a text that is not the XML of
/// a domain: [`read_domain`] reports why.
#[must_use]
pub fn is_windows(xml: &str) -> bool {
    let Ok(document) = xml::parse(xml) else { return false };
    root(&document, "domain").is_ok_and(is_windows_at)
}

pub(super) fn is_windows_at(root: XmlNode<'_>) -> bool {
    let metadata = xml::children(root, "metadata").next();
    let mut facts = metadata.into_iter().flat_map(|metadata| metadata.descendants());
    let os = facts.find(|node| node.has_tag_name((OSINFO, "os")));
    match os.and_then(|os| os.attribute("id")) {
        Some(id) => id.contains("microsoft.com/win"),
        None => {
            xml::children(root, "features").any(|all| xml::children(all, "hyperv").next().is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_windows;

    #[test]
    fn features_of_hyperv_are_for_windows() {
        let domain =
            |features: &str| format!("<domain type='kvm'>{features}<vcpu>4</vcpu></domain>");
        let windows =
            "<features><acpi/><hyperv mode='custom'><relaxed state='on'/></hyperv></features>";
        assert!(is_windows(&domain(windows)));
        for other in
            ["", "<features><acpi/></features>", "<clock><hyperv/></clock>", "<!-- hyperv -->"]
        {
            assert!(!is_windows(&domain(other)), "{other}");
        }
        assert!(!is_windows("<features><hyperv/></features>") && !is_windows("hyperv"));
        let os = |id| {
            format!(
                "<metadata><o:libosinfo xmlns:o='http://libosinfo.org/xmlns/libvirt/domain/1.0'>\
                 <o:os id='{id}'/></o:libosinfo></metadata>"
            )
        };
        let eleven = os("http://microsoft.com/win/11");
        assert!(is_windows(&domain(&eleven)));
        let other = os("http://fedoraproject.org/fedora/40") + windows;
        assert!(!is_windows(&domain(&other)), "the id counts over <hyperv>");
    }
}
