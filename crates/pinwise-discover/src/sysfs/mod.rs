//! Reader of a host from a sysfs tree: the running machine's, or one captured to a folder.
//!
//! Firmware errs, kernels differ, and a captured tree may come from anywhere, so every file is
//! bounded, and no content causes a panic. A wrong value that the kernel itself writes (lists of
//! pCPUs, numbers) is an error; a wrong value that often comes from firmware is ignored with a
//! note.
//!
//! Not read, because nothing here would use it: memory tiers, and the access control (ACS) of
//! functions that are not bridges.

mod access;
mod cache;
mod cpu;
mod in_use;
mod kfd;
mod node;
pub(crate) mod note;
mod package;
mod pci;
mod problem;
mod tree;

pub use note::SysfsNote;
pub use problem::SysfsError;

use std::path::Path;

use crate::notes::Notes;
use crate::reading::Reading;
use pinwise::host::CpuVendor;
use pinwise::host::HostSpec;
use pinwise::shown::{is_word, plain};
use tree::Tree;

/// Reads the tree below `root`: `/` for this machine, or a folder with a copy of `sys` and
/// optionally `proc`.
///
/// The pCPUs that this process may use become the host's allowed ones, if the tree shows them.
///
/// # Errors
/// [`SysfsError`] if there are no pCPUs, a folder cannot be listed, a file is larger than any
/// kernel's, or a number, a list of pCPUs or a PCI id is invalid.
pub fn read(root: &Path) -> Result<Reading, SysfsError> {
    let tree = Tree::new(root);
    let mut notes = Notes::default();
    let cpus = cpu::read(&tree, &mut notes)?;
    let nodes = node::read(&tree, &cpus, &mut notes)?;
    let ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
    let devices = pci::read(&tree, &ids, &mut notes)?;
    let gpu_links = kfd::read(&tree, &devices, &mut notes)?;
    let (cpu_vendor, cpu_model) = model(&tree);
    let mut host = HostSpec {
        name: name(&tree)?,
        about: "read from sysfs".to_owned(),
        cpu_vendor,
        cpu_model,
        nodes,
        cores: cpus.cores,
        l3_domains: cpus.l3_domains,
        caches: cpus.caches,
        clusters: cpus.clusters,
        offline: cpus.offline,
        allowed: cpus.allowed,
        isolated: cpus.isolated,
        devices,
        gpu_links,
        ..HostSpec::default()
    };
    host.mark_source("sysfs");
    Ok(Reading { host, notes: notes.finish() })
}

/// The machine's name, if it looks like one given by a person; otherwise "host".
fn name(tree: &Tree<'_>) -> Result<String, SysfsError> {
    for path in ["proc/sys/kernel/hostname", "etc/hostname"] {
        let text = tree.text(path)?.unwrap_or_default();
        let word = text.trim();
        if is_word(word) {
            return Ok(word.to_owned());
        }
    }
    Ok("host".to_owned())
}

/// The model of the first processor in cpuinfo: no machine mixes models.
fn model(tree: &Tree<'_>) -> (CpuVendor, String) {
    let text = tree.beginning("proc/cpuinfo");
    let field = |names: &[&str]| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.map(|(key, value)| (key.trim(), value.trim()));
        found.filter(|(key, _)| names.contains(key)).map(|(_, value)| value).next()
    };
    let vendor = match field(&["vendor_id", "vendor"]) {
        Some("GenuineIntel") => CpuVendor::Intel,
        Some("AuthenticAMD" | "HygonGenuine") => CpuVendor::Amd,
        _ => CpuVendor::Other,
    };
    // POWER calls it "cpu".
    (vendor, field(&["model name", "cpu"]).map(plain).unwrap_or_default())
}
