//! PCI functions from `virsh nodedev-dumpxml`.

use std::collections::{BTreeMap, BTreeSet};

use super::note::LibvirtNote;
use super::problem::LibvirtError;
use super::values::{decimal, pci_address};
use super::xml::{self, XmlNode, attribute, child, children, missing, required, text};
use crate::document::number;
use crate::notes::{Note, Notes};
use pinwise::host::HostSpec;
use pinwise::host::Part;
use pinwise::host::{DeviceKind, LinkState, PciClass, PciDevice, PciId};
use pinwise::shown::plain;
use pinwise::units::{NodeId, PciAddr};

/// The class of a function whose class is missing, as in old versions of libvirt.
const UNKNOWN: PciClass = PciClass(0);
const BRIDGE: PciClass = PciClass(0x06_0400);

/// A PCI function as libvirt describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDevice {
    /// The function as read: its parent may be missing or not a bridge, and its node may not exist.
    pub device: PciDevice,
    /// The functions in the IOMMU group of this one.
    pub group: Vec<PciAddr>,
}

/// Reads one document of `virsh nodedev-dumpxml`; `None` for a device that is not a PCI function.
///
/// # Errors
/// [`LibvirtError`] if the text is too long or is not XML of a device, if a PCI function lacks its
/// address or ids, or if one of its values is malformed.
pub fn read_node_device(xml: &str) -> Result<Option<NodeDevice>, LibvirtError> {
    let document = xml::parse(xml)?;
    let root = xml::root(&document, "device")?;
    let is_pci = |node: &XmlNode<'_>| node.attribute("type") == Some("pci");
    let Some(pci) = children(root, "capability").find(is_pci) else { return Ok(None) };
    let class = child(pci, "class")?.map(|node| {
        text(node, "class").parse("a PCI class such as 0x030200", |class| class.parse().ok())
    });
    let (vendor, _) = id(pci, "vendor", "<vendor>")?;
    let (model, name) = id(pci, "product", "<product>")?;
    let class = class.transpose()?.unwrap_or(UNKNOWN);
    let mut device = PciDevice::new(address(pci)?, class, vendor, model);
    device.name = name;
    if device.class == UNKNOWN && capability(pci, "pci-bridge").is_some() {
        device.class = BRIDGE;
    }
    if let Some(numa) = child(pci, "numa")? {
        let value = required(numa, "node")?;
        if value.trimmed() != "-1" {
            let node = |text: &str| u32::try_from(decimal(text)?).ok().map(NodeId);
            device.node = Some(value.parse("a node's number", node)?);
        }
    }
    // The root of the tree is a device of another kind, so its name is not an address.
    let parent = child(root, "parent")?.map(|node| text(node, "parent"));
    device.parent = parent.and_then(|parent| by_name(parent.trimmed()));
    let driver = child(root, "driver")?.map(|node| child(node, "name")).transpose()?.flatten();
    let driver = driver.map(|node| text(node, "name").trimmed().to_owned());
    let word = |text: &String| text.bytes().all(|b| b.is_ascii_graphic());
    device.driver = driver.filter(|text| (1..=64).contains(&text.len()) && word(text));
    let physical = capability(pci, "phys_function").map(|node| child(node, "address"));
    device.physical_function = physical.transpose()?.flatten().map(pci_address).transpose()?;
    device.mediated = capability(pci, "mdev_types").map(|_| Vec::new());
    let mut group = Vec::new();
    if let Some(node) = child(pci, "iommuGroup")? {
        let number = |text: &str| u32::try_from(decimal(text)?).ok();
        device.iommu_group = Some(required(node, "number")?.parse("a group's number", number)?);
        for member in children(node, "address") {
            group.push(pci_address(member)?);
        }
    }
    let links = child(pci, "pci-express")?;
    for link in links.into_iter().flat_map(|links| children(links, "link")) {
        match link.attribute("validity") {
            Some("cap") => device.link_max = link_state(link)?,
            Some("sta") => device.link_now = link_state(link)?,
            _ => {}
        }
    }
    Ok(Some(NodeDevice { device, group }))
}

fn capability<'a>(pci: XmlNode<'a>, kind: &str) -> Option<XmlNode<'a>> {
    children(pci, "capability").find(|node| node.attribute("type") == Some(kind))
}

fn address(pci: XmlNode<'_>) -> Result<PciAddr, LibvirtError> {
    let part = |name: &'static str, element, expected, limit: u32| {
        let node = child(pci, name)?.ok_or_else(|| missing(pci, element))?;
        text(node, name).parse(expected, |text| number(text).filter(|n| *n <= limit))
    };
    let small = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    Ok(PciAddr {
        domain: part("domain", "<domain>", "a PCI domain", u32::MAX)?,
        bus: small(part("bus", "<bus>", "a PCI bus up to 255", 0xff)?),
        device: small(part("slot", "<slot>", "a PCI slot up to 31", 0x1f)?),
        function: small(part("function", "<function>", "a PCI function up to 7", 7)?),
    })
}

/// A vendor or device id, and the name beside it.
fn id(
    pci: XmlNode<'_>,
    name: &'static str,
    element: &'static str,
) -> Result<(PciId, Option<String>), LibvirtError> {
    let node = child(pci, name)?.ok_or_else(|| missing(pci, element))?;
    let id = required(node, "id")?.parse("a PCI id such as 0x10de", |id| id.parse().ok())?;
    let name = plain(text(node, name).raw());
    Ok((id, Some(name).filter(|name| !name.is_empty())))
}

/// `pci_0000_00_01_0`.
fn by_name(name: &str) -> Option<PciAddr> {
    let mut parts = name.strip_prefix("pci_")?.split('_');
    let (domain, bus) = (parts.next()?, parts.next()?);
    let (slot, function) = (parts.next()?, parts.next()?);
    let end = parts.next().is_none();
    format!("{domain}:{bus}:{slot}.{function}").parse().ok().filter(|_| end)
}

/// The speed in GT/s and the width of a link; `None` if the link is down, as it then has no speed
/// and a width of 0.
fn link_state(link: XmlNode<'_>) -> Result<Option<LinkState>, LibvirtError> {
    let (Some(speed), Some(width)) = (attribute(link, "speed"), attribute(link, "width")) else {
        return Ok(None);
    };
    let mts = speed.parse("a speed such as 16 or 2.5", |text| {
        let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
        let (whole, tenth) = (decimal(whole)?, decimal(tenth)?);
        let sound = (1..1000).contains(&whole) && tenth < 10;
        if sound { u32::try_from(whole * 1000 + tenth * 100).ok() } else { None }
    })?;
    let width = width.parse("a number of lanes", |text| u8::try_from(decimal(text)?).ok())?;
    Ok((width > 0).then_some(LinkState { mts, width }))
}

/// Adds PCI functions to a host. Whatever cannot be true of this host is left out: nodes that do
/// not exist, parents that are not bridges, the second description of a function.
///
/// Returns notes on what was left out or guessed.
pub fn add_node_devices<I>(host: &mut HostSpec, devices: I) -> Vec<Note>
where
    I: IntoIterator<Item = NodeDevice>,
{
    let mut notes = Notes::default();
    let there: BTreeSet<PciAddr> = host.devices.iter().map(|device| device.address).collect();
    let mut all: BTreeMap<PciAddr, NodeDevice> = BTreeMap::new();
    for device in devices {
        let address = device.device.address;
        if all.contains_key(&address) || there.contains(&address) {
            notes.add(LibvirtNote::DescribedTwice { address });
        } else {
            all.insert(address, device);
        }
    }
    let parents: BTreeSet<PciAddr> = all.values().filter_map(|d| d.device.parent).collect();
    let shared: BTreeSet<PciAddr> =
        all.values().filter_map(|d| d.device.physical_function).collect();
    let mut classless = 0_u32;
    for NodeDevice { device, .. } in all.values_mut().filter(|d| d.device.class == UNKNOWN) {
        // A function with others below it is a bridge, unless these are its virtual functions;
        // without a class, nothing else is known about it.
        if parents.contains(&device.address) && !shared.contains(&device.address) {
            device.class = BRIDGE;
        } else {
            classless += 1;
        }
    }
    if classless > 0 {
        notes.add(LibvirtNote::NoClass { count: classless });
    }
    let known = host.devices.iter().chain(all.values().map(|d| &d.device));
    let known: BTreeMap<PciAddr, DeviceKind> = known.map(|d| (d.address, d.kind())).collect();
    let mut lost = BTreeSet::new();
    for (&address, NodeDevice { device, group }) in &mut all {
        let exists = |node: &NodeId| host.nodes.iter().any(|spec| spec.id == *node);
        if let Some(node) = device.node.take_if(|node| !exists(node)) {
            notes.add(LibvirtNote::NoSuchNode { address, node });
        }
        let is_bridge = |parent: &PciAddr| known.get(parent) == Some(&DeviceKind::Bridge);
        if let Some(parent) = device.parent.take_if(|parent| !is_bridge(parent)) {
            notes.add(LibvirtNote::NotABridge { parent, address });
        }
        let physical = |function: &PciAddr| known.contains_key(function);
        if let Some(physical) = device.physical_function.filter(|function| !physical(function)) {
            notes.add(LibvirtNote::NoPhysical { physical, address });
        }
        lost.extend(group.iter().filter(|member| !known.contains_key(member)).copied());
    }
    for member in lost {
        notes.add(LibvirtNote::GroupInPart { address: member });
    }
    if !all.is_empty() {
        host.devices.extend(all.into_values().map(|d| d.device));
        host.add_source(Part::Pci, "virsh nodedev-dumpxml");
    }
    notes.finish()
}
