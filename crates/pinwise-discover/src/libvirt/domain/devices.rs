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

/// The host's PCI functions that the domain holds, with their whole IOMMU groups, sorted.
pub(super) fn read(
    root: XmlNode<'_>,
    host: &Host,
    notes: &mut Notes,
) -> Result<Vec<PciAddr>, LibvirtError> {
    let mut all = BTreeSet::new();
    let devices = child(root, "devices")?;
    for node in devices.into_iter().flat_map(|devices| devices.children()) {
        let Some(source) = source(node, notes)? else { continue };
        let address = child(source, "address")?.ok_or_else(|| missing(source, "<address>"))?;
        let address = pci_address(address)?;
        // A group is passed through as a whole, whichever of its functions the guest sees.
        match host.pci().get(address).map(|device| device.kind()) {
            None => notes.add(LibvirtNote::NotADevice { address }),
            Some(DeviceKind::Bridge) => notes.add(LibvirtNote::Bridge { address }),
            Some(_) => all.extend(host.pci().group_of(address)),
        }
    }
    Ok(all.into_iter().collect())
}

/// The `<source>` of a device that names a PCI device of the host; `None` for other devices.
fn source<'a>(node: XmlNode<'a>, notes: &mut Notes) -> Result<Option<XmlNode<'a>>, LibvirtError> {
    let kind = node.attribute("type").unwrap_or_default();
    match (node.tag_name().name(), kind) {
        ("hostdev", "pci") => {
            child(node, "source")?.ok_or_else(|| missing(node, "<source>")).map(Some)
        }
        ("hostdev", "mdev") => {
            let address = descend(node, &["source", "address"])?;
            let uuid = address.and_then(|address| attribute(address, "uuid"));
            let uuid = uuid.map(|uuid| shorten(uuid.trimmed()));
            notes.add(LibvirtNote::Mediated { uuid });
            Ok(None)
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
