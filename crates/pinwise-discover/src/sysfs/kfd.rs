//! xGMI links between AMD GPUs, as listed by the kernel's compute driver (KFD).
//!
//! Only GPUs bound to amdgpu are listed: those already bound to vfio-pci are missing, together with
//! their links.

use std::collections::BTreeMap;

use super::note::SysfsNote;
use super::problem::SysfsError;
use super::tree::Tree;
use crate::notes::Notes;
use pinwise::host::{DeviceKind, GpuLink, GpuLinkKind, PciDevice};
use pinwise::units::PciAddr;

/// The class link leads to the device; a copied tree may have only one of them.
const FOLDERS: [&str; 2] =
    ["sys/class/kfd/kfd/topology/nodes", "sys/devices/virtual/kfd/kfd/topology/nodes"];
/// The kernel's number for a link of the type xGMI (`CRAT_IOLINK_TYPE_XGMI`).
const XGMI: u64 = 11;

pub(super) fn read(
    tree: &Tree<'_>,
    devices: &[PciDevice],
    notes: &mut Notes,
) -> Result<Vec<GpuLink>, SysfsError> {
    for folder in FOLDERS {
        let nodes = tree.numbered(folder, "")?;
        if !nodes.is_empty() {
            return links(tree, folder, &nodes, devices, notes);
        }
    }
    Ok(Vec::new())
}

fn links(
    tree: &Tree<'_>,
    folder: &str,
    nodes: &[u32],
    devices: &[PciDevice],
    notes: &mut Notes,
) -> Result<Vec<GpuLink>, SysfsError> {
    // KFD's nodes are CPUs and GPUs; partitions of one GPU are nodes with the same address.
    let mut addresses = BTreeMap::new();
    for node in nodes {
        let properties = Properties::read(tree, format!("{folder}/{node}/properties"))?;
        if properties.number("simd_count")?.is_some_and(|count| count > 0) {
            let domain = properties.number("domain")?.unwrap_or(0);
            let place = properties.number("location_id")?;
            let address = place.and_then(|place| address(domain, place));
            addresses.extend(address.map(|address| (u64::from(*node), address)));
        }
    }
    let gpu = |address: &PciAddr| {
        devices.iter().any(|device| device.address == *address && device.kind() == DeviceKind::Gpu)
    };
    let mut links = BTreeMap::new();
    for (node, from) in &addresses {
        let own = format!("{folder}/{node}/io_links");
        for link in tree.numbered(&own, "")? {
            let properties = Properties::read(tree, format!("{own}/{link}/properties"))?;
            let far = properties.number("node_to")?.and_then(|node| addresses.get(&node));
            let Some(to) = far.filter(|to| *to != from) else { continue };
            if properties.number("type")? != Some(XGMI) {
                continue;
            }
            if let Some(address) = [*from, *to].into_iter().find(|address| !gpu(address)) {
                notes.add(SysfsNote::NotAGpu { address });
                continue;
            }
            // Each end lists the link. The smallest bandwidth is that of one link, the largest that
            // of all parallel ones.
            let one = properties.number("min_bandwidth")?.unwrap_or(0);
            let all = properties.number("max_bandwidth")?.unwrap_or(0);
            let found = all.checked_div(one).and_then(|count| u32::try_from(count).ok());
            let count: &mut u32 = links.entry((*from.min(to), *from.max(to))).or_insert(1);
            *count = found.unwrap_or(1).max(*count);
        }
    }
    let link = |((a, b), count)| GpuLink { a, b, kind: GpuLinkKind::Xgmi, count };
    Ok(links.into_iter().map(link).collect())
}

/// `properties`: a name and a number per line.
struct Properties<'a> {
    tree: &'a Tree<'a>,
    path: String,
    text: String,
}

impl<'a> Properties<'a> {
    fn read(tree: &'a Tree<'a>, path: String) -> Result<Self, SysfsError> {
        let text = tree.text(&path)?.unwrap_or_default();
        Ok(Self { tree, path, text })
    }

    fn number(&self, name: &str) -> Result<Option<u64>, SysfsError> {
        let mut lines = self.text.lines().filter_map(|line| line.split_once(' '));
        let Some((_, value)) = lines.find(|(key, _)| *key == name) else { return Ok(None) };
        let value = value.trim();
        let bad = |_| self.tree.bad(&self.path, value, &format!("a number as {name}"));
        value.parse().map(Some).map_err(bad)
    }
}

/// Bus, device and function, packed into 16 bits as in PCI.
fn address(domain: u64, place: u64) -> Option<PciAddr> {
    let place = u16::try_from(place).ok()?;
    let [bus, slot] = place.to_be_bytes();
    let domain = u32::try_from(domain).ok()?;
    Some(PciAddr { domain, bus, device: slot >> 3, function: slot & 7 })
}
