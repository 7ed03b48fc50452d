//! The VM that a configuration describes.

use super::conf::{Conf, MAX_SHOWN, Setting};
use super::note::ProxmoxNote;
use super::problem::ProxmoxError;
use crate::libvirt::Binding;
use crate::notes::Notes;
use pinwise::host::Host;
use pinwise::request::{MAX_IO_THREADS, MAX_VCPUS};
use pinwise::sets::{CpuSet, NodeSet};
use pinwise::shown::shorten;
use pinwise::units::{Bytes, PageSize, PciAddr};

/// The memory of a VM whose configuration names none.
const DEFAULT_MEMORY: Bytes = Bytes::from_mib(512);
/// The longest name: Proxmox takes DNS names.
const MAX_NAME: usize = 253;

/// A VM.
pub(super) struct Vm {
    pub(super) name: Option<String>,
    pub(super) uuid: Option<String>,
    pub(super) vcpus: u32,
    pub(super) memory: Bytes,
    pub(super) huge: Option<Huge>,
    pub(super) io_threads: u32,
    pub(super) is_windows: bool,
    pub(super) is_template: bool,
    pub(super) devices: Vec<HostDevice>,
    affinity: Option<(Setting, CpuSet)>,
    /// The guest's cells that `numaN` describe; empty if there are none.
    cells: Vec<Cell>,
}

/// The pages that a VM asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Huge {
    /// Pages of 1 GiB if possible, otherwise of 2 MiB.
    Any,
    Size(PageSize),
}

/// An option `hostpciN`.
pub(super) struct HostDevice {
    pub(super) key: String,
    pub(super) places: Vec<Place>,
    /// Whether it is a mediated device of the function.
    pub(super) is_mediated: bool,
}

/// A place on the PCI bus.
pub(super) struct Place {
    pub(super) address: PciAddr,
    /// Whether no function was named: all functions of the device. That of `address` is then 0.
    pub(super) is_whole: bool,
}

/// An option `numaN`.
struct Cell {
    setting: Setting,
    memory: Bytes,
    nodes: NodeSet,
    preferred: bool,
}

impl Vm {
    pub(super) fn of(conf: &Conf, notes: &mut Notes) -> Result<Self, ProxmoxError> {
        let (sockets, cores) = (count(conf, "sockets")?, count(conf, "cores")?);
        let vcpus = sockets.checked_mul(cores).filter(|vcpus| *vcpus <= MAX_VCPUS);
        let vcpus = match (vcpus, conf.get("cores").or(conf.get("sockets"))) {
            (Some(vcpus), _) => vcpus,
            (None, Some(setting)) => {
                return Err(setting.bad(&setting.value, "a number that makes at most 4096 vCPUs"));
            }
            (None, None) => 1,
        };
        if let Some(setting) = conf.get("vcpus") {
            let now = number(&setting.value).filter(|now| (1..=u64::from(vcpus)).contains(now));
            let bad = || setting.bad(&setting.value, "a number of vCPUs up to sockets x cores");
            let now = u32::try_from(now.ok_or_else(bad)?).unwrap_or(vcpus);
            if now < vcpus {
                notes.add(ProxmoxNote::VcpusUnplugged { now, most: vcpus });
            }
        }
        let is_numa = conf.get("numa").is_some_and(Setting::is_on);
        let mut cells = Vec::new();
        for setting in conf.numbered("numa") {
            cells.push(cell(setting)?);
        }
        if !is_numa && !cells.is_empty() {
            notes.add(ProxmoxNote::NumaOff);
            cells.clear();
        }
        let mut memory = match conf.get("memory") {
            Some(setting) => mib(setting, setting.part("current").unwrap_or_default())?,
            None => DEFAULT_MEMORY,
        };
        let of_cells = cells.iter().fold(0, |sum: u64, cell| sum.saturating_add(cell.memory.0));
        if of_cells > 0 && of_cells != memory.0 {
            notes.add(ProxmoxNote::CellsDiffer { cells: Bytes(of_cells), memory });
            memory = Bytes(of_cells);
        }
        let windows = ["win", "w2k", "wxp", "wvista"];
        let os = conf.get("ostype").map_or("", |setting| setting.value.as_str());
        Ok(Self {
            name: conf.get("name").map(name).transpose()?,
            uuid: conf.get("smbios1").and_then(uuid),
            vcpus,
            memory,
            huge: conf.get("hugepages").map(huge).transpose()?,
            io_threads: io_threads(conf),
            is_windows: windows.iter().any(|word| os.starts_with(word)),
            is_template: conf.get("template").is_some_and(Setting::is_on),
            devices: devices(conf, notes)?,
            affinity: conf.get("affinity").map(affinity).transpose()?,
            cells,
        })
    }

    /// The pCPUs that its threads run on.
    pub(super) fn floating(&self, host: &Host, notes: &mut Notes) -> Result<CpuSet, ProxmoxError> {
        let Some((setting, named)) = &self.affinity else { return Ok(host.online().clone()) };
        let there = named.intersection(host.online());
        if there.is_empty() {
            return Err(setting.absent(format!("pCPUs {named}")));
        }
        let off = named.difference(&there);
        if !off.is_empty() {
            notes.add(ProxmoxNote::Offline { pcpus: off });
        }
        Ok(there)
    }

    /// The memory of each cell, and the nodes that it is on; all memory, on any node, if the
    /// configuration has no cells.
    pub(super) fn cells(&self, host: &Host) -> Result<Vec<(Bytes, Binding)>, ProxmoxError> {
        if self.cells.is_empty() {
            return Ok(vec![(self.memory, Binding::default())]);
        }
        let binding = |cell: &Cell| match cell.nodes.iter().find(|id| host.node(*id).is_none()) {
            Some(id) => Err(cell.setting.absent(format!("node {id}"))),
            None => Ok((
                cell.memory,
                Binding {
                    nodes: cell.nodes.clone(),
                    preferred: cell.preferred,
                    ..Binding::default()
                },
            )),
        };
        self.cells.iter().map(binding).collect()
    }
}

/// Decimal digits only.
fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A number of sockets, or of cores of each; 1 by default.
fn count(conf: &Conf, key: &str) -> Result<u32, ProxmoxError> {
    let Some(setting) = conf.get(key) else { return Ok(1) };
    let count = number(&setting.value).and_then(|count| u32::try_from(count).ok());
    count.filter(|count| *count > 0).ok_or_else(|| setting.bad(&setting.value, "a number from 1"))
}

fn mib(setting: &Setting, text: &str) -> Result<Bytes, ProxmoxError> {
    let bytes = number(text).and_then(|mib| mib.checked_mul(1 << 20)).map(Bytes);
    bytes.ok_or_else(|| setting.bad(text, "a number of MiB"))
}

fn name(setting: &Setting) -> Result<String, ProxmoxError> {
    let value = &setting.value;
    let sound = (1..=MAX_NAME).contains(&value.len()) && !value.contains(char::is_control);
    let sound = sound && !value.contains(['/', ' ']);
    if sound { Ok(value.clone()) } else { Err(setting.bad(value, "a name")) }
}

fn uuid(setting: &Setting) -> Option<String> {
    let uuid = setting.parts().find(|(name, _)| *name == "uuid").map(|(_, uuid)| uuid);
    uuid.filter(|uuid| crate::uuid::is_uuid(uuid)).map(str::to_ascii_lowercase)
}

fn huge(setting: &Setting) -> Result<Huge, ProxmoxError> {
    match setting.value.as_str() {
        "any" => Ok(Huge::Any),
        "2" => Ok(Huge::Size(PageSize::MIB_2)),
        "1024" => Ok(Huge::Size(PageSize::GIB_1)),
        other => Err(setting.bad(other, "any, 2 or 1024")),
    }
}

fn affinity(setting: &Setting) -> Result<(Setting, CpuSet), ProxmoxError> {
    let list: String = setting.value.split_whitespace().collect();
    let named: Option<CpuSet> = list.parse().ok();
    let named = named.filter(|named| !named.is_empty());
    let bad = || setting.bad(&setting.value, "a list of pCPUs such as 0-3,8");
    Ok((setting.clone(), named.ok_or_else(bad)?))
}

/// The number of disks with an I/O thread of their own: virtio disks, and SCSI disks where each has
/// its own controller.
fn io_threads(conf: &Conf) -> u32 {
    let single = conf.get("scsihw").is_some_and(|scsi| scsi.value == "virtio-scsi-single");
    let scsi = conf.numbered("scsi").filter(|_| single);
    let disks = conf.numbered("virtio").chain(scsi);
    let with = disks.filter(|disk| disk.parts().any(|part| part == ("iothread", "1"))).count();
    u32::try_from(with).unwrap_or(u32::MAX).min(MAX_IO_THREADS)
}

fn devices(conf: &Conf, notes: &mut Notes) -> Result<Vec<HostDevice>, ProxmoxError> {
    let mut devices = Vec::new();
    for setting in conf.numbered("hostpci") {
        if let Some((_, mapping)) = setting.parts().find(|(name, _)| *name == "mapping") {
            let (key, name) = (setting.key.clone(), shorten(mapping, MAX_SHOWN));
            notes.add(ProxmoxNote::Mapping { key, name });
            continue;
        }
        let host = setting.part("host").unwrap_or_default();
        let places: Option<Vec<Place>> = host.split(';').map(place).collect();
        devices.push(HostDevice {
            key: setting.key.clone(),
            places: places.ok_or_else(|| setting.bad(host, "PCI addresses such as 01:00.0"))?,
            is_mediated: setting.parts().any(|(name, _)| name == "mdev"),
        });
    }
    Ok(devices)
}

/// `0000:01:00.0`, `01:00.0`, or `01:00` for all functions.
fn place(text: &str) -> Option<Place> {
    let text = text.trim();
    let is_whole = !text.contains('.');
    let full = if is_whole { format!("{text}.0") } else { text.to_owned() };
    full.parse().ok().map(|address| Place { address, is_whole })
}

/// `cpus=0-7,hostnodes=0,memory=16384,policy=bind`. Lists are separated by semicolons.
fn cell(setting: &Setting) -> Result<Cell, ProxmoxError> {
    let part =
        |wanted: &str| setting.parts().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let memory = part("memory").map(|memory| mib(setting, memory)).transpose()?;
    let nodes = match part("hostnodes") {
        None => NodeSet::new(),
        Some(list) => {
            let nodes: Option<NodeSet> = list.replace(';', ",").parse().ok();
            let nodes = nodes.filter(|nodes| !nodes.is_empty());
            nodes.ok_or_else(|| setting.bad(list, "a list of nodes such as 0-1"))?
        }
    };
    let preferred = match part("policy") {
        None | Some("preferred") => true,
        Some("bind" | "interleave") => false,
        Some(other) => return Err(setting.bad(other, "preferred, bind or interleave")),
    };
    Ok(Cell { setting: setting.clone(), memory: memory.unwrap_or(Bytes::ZERO), nodes, preferred })
}
