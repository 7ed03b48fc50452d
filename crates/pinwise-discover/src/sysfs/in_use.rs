//! The host's own uses of PCI functions: mounted file systems and the default route.
//!
//! A mounted device leads to the function above it by its link below `sys/class/block`, through
//! device mapper and software RAID by their `slaves`, and through NVMe multipath by the controllers
//! of the subsystem. An interface leads there by its link below `sys/class/net`, through bridges,
//! bonds and VLANs by their `lower_` entries, or by the folder `net` of the function. What cannot
//! be followed, such as network file systems, marks nothing.

use std::collections::BTreeSet;
use std::path::Path;

use super::tree::Tree;
use pinwise::host::{HostUse, PciDevice};
use pinwise::units::PciAddr;

const BLOCK: &str = "sys/class/block";
const NET: &str = "sys/class/net";
const SUBSYSTEMS: &str = "sys/devices/virtual/nvme-subsystem";
/// The largest number of block devices or interfaces that are followed.
const MAX_FOLLOWED: usize = 1024;

/// Marks the functions that the host uses.
pub(super) fn mark<'a>(tree: &Tree<'_>, devices: impl Iterator<Item = &'a mut PciDevice>) {
    let mounts = below_mounts(tree);
    let (interfaces, routes) = below_route(tree);
    for device in devices {
        let folder = format!("sys/bus/pci/devices/{}/net", device.address);
        let own = || interfaces.iter().any(|name| tree.is_there(&format!("{folder}/{name}")));
        if mounts.contains(&device.address) {
            device.used_for.push(HostUse::Mounts);
        }
        if routes.contains(&device.address) || own() {
            device.used_for.push(HostUse::DefaultRoute);
        }
    }
}

/// The last PCI address in the target of a link: the function that a device belongs to.
fn function(link: &Path) -> Option<PciAddr> {
    let names = link.components().filter_map(|name| name.as_os_str().to_str());
    let addresses = names.filter(|name| name.matches(':').count() == 2);
    addresses.rev().find_map(|name| name.parse().ok())
}

/// Whether it may be a part of a path: tables of a captured tree may hold anything.
fn is_name(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || "-_.@!:+".contains(c);
    !name.is_empty() && name.len() <= 128 && name.chars().all(sound) && !name.starts_with('.')
}

/// The functions above mounted devices.
fn below_mounts(tree: &Tree<'_>) -> BTreeSet<PciAddr> {
    let text = tree.beginning("proc/mounts");
    let sources = text.lines().filter_map(|line| line.split_whitespace().next());
    let names: BTreeSet<&str> = sources.filter_map(|source| source.strip_prefix("/dev/")).collect();
    let mut open: Vec<String> = Vec::new();
    for name in names {
        match name.strip_prefix("mapper/") {
            Some(mapped) => open.extend(mapper(tree, mapped)),
            None => open.push(name.to_owned()),
        }
    }
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    while let Some(name) = open.pop() {
        if !is_name(&name) || seen.len() >= MAX_FOLLOWED || !seen.insert(name.clone()) {
            continue;
        }
        let Some(link) = tree.link(&format!("{BLOCK}/{name}")) else { continue };
        if let Some(address) = function(&link) {
            found.insert(address);
        } else if let Some(subsystem) = subsystem(&link) {
            found.extend(controllers(tree, &subsystem));
        } else {
            open.extend(tree.names(&format!("{BLOCK}/{name}/slaves")).unwrap_or_default());
        }
    }
    found
}

/// The block device of device mapper with this name.
fn mapper(tree: &Tree<'_>, mapped: &str) -> Option<String> {
    let all = tree.names(BLOCK).ok()?;
    let named = |name: &String| {
        let of = tree.beginning(&format!("{BLOCK}/{name}/dm/name"));
        name.starts_with("dm-") && of.trim() == mapped
    };
    all.into_iter().find(named)
}

/// The NVMe subsystem of a block device that several controllers may serve.
fn subsystem(link: &Path) -> Option<String> {
    let mut names = link.components().filter_map(|name| name.as_os_str().to_str());
    // The folder of all of them is called nvme-subsystem.
    let is_one = |name: &&str| {
        let number = name.strip_prefix("nvme-subsys").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    };
    names.find(is_one).map(str::to_owned)
}

fn controllers(tree: &Tree<'_>, subsystem: &str) -> Vec<PciAddr> {
    let folder = format!("{SUBSYSTEMS}/{subsystem}");
    let names = tree.names(&folder).unwrap_or_default();
    let links = names.iter().filter_map(|name| tree.link(&format!("{folder}/{name}")));
    links.filter_map(|link| function(&link)).collect()
}

/// The interfaces of the default route, and the functions above them.
fn below_route(tree: &Tree<'_>) -> (BTreeSet<String>, BTreeSet<PciAddr>) {
    let text = tree.beginning("proc/net/route");
    // Interface, destination, gateway, flags, references, uses, metric, mask.
    let default = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().take(8).collect();
        let zero = |at: usize| words.get(at) == Some(&"00000000");
        (zero(1) && zero(7)).then(|| words[0].to_owned())
    };
    let mut open: Vec<String> = text.lines().filter_map(default).collect();
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    while let Some(name) = open.pop() {
        if !is_name(&name) || seen.len() >= MAX_FOLLOWED || !seen.insert(name.clone()) {
            continue;
        }
        match tree.link(&format!("{NET}/{name}")).as_deref().and_then(function) {
            Some(address) => {
                found.insert(address);
            }
            None => {
                let entries = tree.names(&format!("{NET}/{name}")).unwrap_or_default();
                let lower = entries.iter().filter_map(|entry| entry.strip_prefix("lower_"));
                open.extend(lower.map(str::to_owned));
            }
        }
    }
    (seen, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_of_a_device_is_the_last_address_above_it() {
        let link =
            "../../devices/pci0000:00/0000:00:01.2/0000:02:00.0/nvme/nvme0/nvme0n1/nvme0n1p2";
        assert_eq!(function(Path::new(link)).unwrap().to_string(), "0000:02:00.0");
        for link in ["../../devices/virtual/block/dm-0", "../../devices/pci0000:00", ""] {
            assert_eq!(function(Path::new(link)), None, "{link}");
        }
        let shared = "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1";
        assert_eq!(subsystem(Path::new(shared)).unwrap(), "nvme-subsys0");
    }

    #[test]
    fn names_that_leave_their_folder_are_not_followed() {
        for name in ["", "..", "../x", "a/b", ".hidden", "a\0b"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name("nvme0n1p2") && is_name("enp5s0f0np0") && is_name("eth0.100"));
    }
}
