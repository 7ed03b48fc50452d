//! The host's PCI devices that a domain holds.

use std::collections::BTreeSet;

use crate::libvirt::note::LibvirtNote;
use crate::libvirt::problem::LibvirtError;
use crate::libvirt::values::pci_address;
use crate::libvirt::xml::{XmlNode, attribute, child, children, descend, missing, shorten};
use crate::notes::Notes;
use pinwise::host::DeviceKind;
use pinwise::host::Host;
use pinwise::units::PciAddr;

/// What the domain holds of the host's PCI functions.
pub(super) struct HostDevices {
    /// The functions, with their whole IOMMU groups, sorted.
    pub(super) devices: Vec<PciAddr>,
    /// The parents of its mediated devices, in the order of the XML; `None` if the host's
    /// description does not list the UUID.
    pub(super) mediated: Vec<Option<PciAddr>>,
}

/// The host's PCI functions that the domain holds, and the parents of its mediated devices.
pub(super) fn read(
    root: XmlNode<'_>,
    host: &Host,
    notes: &mut Notes,
) -> Result<HostDevices, LibvirtError> {
    let (mut all, mut mediated) = (BTreeSet::new(), Vec::new());
    let devices = child(root, "devices")?;
    for node in devices.into_iter().flat_map(|devices| devices.children()) {
        if (node.tag_name().name(), node.attribute("type")) == ("hostdev", Some("mdev")) {
            mediated.push(parent(node, host, notes)?);
            continue;
        }
        let Some(source) = source(node)? else { continue };
        let address = child(source, "address")?.ok_or_else(|| missing(source, "<address>"))?;
        let address = pci_address(address)?;
        // A group is passed through as a whole, whichever of its functions the guest sees.
        match host.pci().get(address).map(|device| device.kind()) {
            None => notes.add(LibvirtNote::NotADevice { address }),
            Some(DeviceKind::Bridge) => notes.add(LibvirtNote::Bridge { address }),
            Some(_) => all.extend(host.pci().group_of(address)),
        }
    }
    let devices: Vec<PciAddr> = all.into_iter().collect();
    // The only share of a virtual function is the whole of it, and a domain may name both.
    mediated.retain(|parent| parent.is_none_or(|parent| !devices.contains(&parent)));
    Ok(HostDevices { devices, mediated })
}

/// The parent of a mediated device, which its XML does not name: the host's description may list
/// the UUID.
fn parent(
    node: XmlNode<'_>,
    host: &Host,
    notes: &mut Notes,
) -> Result<Option<PciAddr>, LibvirtError> {
    let address = descend(node, &["source", "address"])?;
    let uuid = address.and_then(|address| attribute(address, "uuid"));
    let uuid = uuid.map(|uuid| uuid.trimmed().to_owned());
    let is_it = |known: &String| uuid.as_ref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(known));
    let parent = host
        .pci()
        .devices()
        .iter()
        .find(|device| device.mediated.as_ref().is_some_and(|uuids| uuids.iter().any(is_it)));
    if parent.is_none() {
        notes.add(LibvirtNote::Mediated { uuid: uuid.as_deref().map(shorten) });
    }
    Ok(parent.map(|device| device.address))
}

/// The `<source>` of a device that names a PCI device of the host; `None` for other devices.
pub(in crate::libvirt) fn source<'a>(
    node: XmlNode<'a>,
) -> Result<Option<XmlNode<'a>>, LibvirtError> {
    let kind = node.attribute("type").unwrap_or_default();
    match (node.tag_name().name(), kind) {
        ("hostdev", "pci") => {
            child(node, "source")?.ok_or_else(|| missing(node, "<source>")).map(Some)
        }
        // An interface from a network of virtual functions has this type only while the domain
        // runs.
        ("interface", "hostdev") => {
            child(node, "source")?.ok_or_else(|| missing(node, "<source>")).map(Some)
        }
        ("disk", "nvme") => {
            let mut sources = children(node, "source");
            Ok(sources.find(|source| source.attribute("type") == Some("pci")))
        }
        _ => Ok(None),
    }
}
