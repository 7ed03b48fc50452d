//! The pCPUs that a domain's threads run on.

use std::collections::BTreeSet;

use crate::libvirt::note::LibvirtNote;
use crate::libvirt::problem::LibvirtError;
use crate::libvirt::values::{decimal, list};
use crate::libvirt::xml::{XmlNode, XmlValue, attribute, child, children, required, text, twice};
use crate::notes::Notes;
use pinwise::host::Host;
use pinwise::sets::CpuSet;
use pinwise::units::{Id as _, VcpuId};

/// The largest number of I/O threads; QEMU fails far below.
const MAX_IO_THREADS: u64 = 4096;

pub(super) struct DomainCpus {
    pub(super) dedicated: CpuSet,
    pub(super) floating: CpuSet,
    /// The number of vCPUs that float.
    pub(super) floating_vcpus: u32,
    /// pCPUs that the domain names and that are not online.
    off: CpuSet,
    /// Whether numad chose where the domain runs, which only the host's libvirt knows.
    pub(super) placed_by_numad: bool,
}

pub(super) fn read(
    root: XmlNode<'_>,
    host: &Host,
    notes: &mut Notes,
) -> Result<DomainCpus, LibvirtError> {
    let vcpu = child(root, "vcpu")?;
    let mut count = 1;
    let (mut area, mut placed_by_numad) = (None, false);
    if let Some(vcpu) = vcpu {
        let in_range = |n: &u64| (1..=u64::from(VcpuId::LIMIT)).contains(n);
        let number = |text: &str| decimal(text).filter(in_range);
        count = text(vcpu, "vcpu").parse("a number of vCPUs", number)?;
        if let Some(current) = attribute(vcpu, "current") {
            let now = current.parse("a number of vCPUs up to all", |text| {
                decimal(text).filter(|now| (1..=count).contains(now))
            })?;
            if now < count {
                notes.add(LibvirtNote::VcpusUnplugged { now, most: count });
            }
        }
        placed_by_numad = match attribute(vcpu, "placement") {
            None => false,
            Some(value) => value.parse("static or auto", |text| match text {
                "static" => Some(false),
                "auto" => Some(true),
                _ => None,
            })?,
        };
        // libvirt ignores the list if numad places the vCPUs.
        area = attribute(vcpu, "cpuset").filter(|_| !placed_by_numad);
    }
    if placed_by_numad {
        notes.add(LibvirtNote::NumadPlacesVcpus);
    }
    let mut off = CpuSet::new();
    let area = area.map(|value| cpus(&value, host, &mut off)).transpose()?;
    let is_anywhere = area.is_none();
    let area = area.unwrap_or_else(|| host.online().clone());
    let (dedicated, floating) = (CpuSet::new(), CpuSet::new());
    let floating_vcpus = 0;
    let mut found = DomainCpus { dedicated, floating, floating_vcpus, off, placed_by_numad };
    let tune = child(root, "cputune")?;
    let all_pinned = pins(tune, count, &area, host, &mut found, notes)?;
    match tune.map(|tune| child(tune, "emulatorpin")).transpose()?.flatten() {
        Some(pin) => {
            let set = cpus(&required(pin, "cpuset")?, host, &mut found.off)?;
            found.floating.extend(&set);
        }
        // Its vCPUs make it a dedicated tenant; the light work of these threads may be anywhere.
        None if all_pinned && is_anywhere && !placed_by_numad => {
            notes.add(LibvirtNote::EmulatorUnpinned);
        }
        None => found.floating.extend(&area),
    }
    iothreads(root, tune, &area, host, &mut found)?;
    if !found.off.is_empty() {
        notes.add(LibvirtNote::Offline { pcpus: found.off.clone() });
    }
    Ok(found)
}

/// Reads the pins of the vCPUs. Returns whether each vCPU is pinned to one pCPU.
fn pins(
    tune: Option<XmlNode<'_>>,
    count: u64,
    area: &CpuSet,
    host: &Host,
    found: &mut DomainCpus,
    notes: &mut Notes,
) -> Result<bool, LibvirtError> {
    let mut pinned = BTreeSet::new();
    let (mut beyond, mut alone) = (0_u32, 0_u64);
    for pin in tune.into_iter().flat_map(|tune| children(tune, "vcpupin")) {
        let vcpu = required(pin, "vcpu")?.parse("a vCPU's number", decimal)?;
        if vcpu >= count {
            beyond += 1;
            continue;
        }
        if !pinned.insert(vcpu) {
            return Err(twice(pin, format!("the <vcpupin> of vCPU {vcpu}")));
        }
        let value = required(pin, "cpuset")?;
        let named = value.parse(LIST, list)?;
        let set = online(&value, &named, host, &mut found.off)?;
        match named.len() {
            1 => {
                alone += 1;
                found.dedicated.extend(&set);
            }
            _ => found.floating.extend(&set),
        }
    }
    if beyond > 0 {
        notes.add(LibvirtNote::PinsBeyond { pins: beyond, vcpus: count });
    }
    if (pinned.len() as u64) < count {
        found.floating.extend(area);
    }
    found.floating_vcpus = u32::try_from(count - alone).unwrap_or(u32::MAX);
    Ok(alone == count)
}

fn iothreads(
    root: XmlNode<'_>,
    tune: Option<XmlNode<'_>>,
    area: &CpuSet,
    host: &Host,
    found: &mut DomainCpus,
) -> Result<(), LibvirtError> {
    let mut count = 0;
    if let Some(node) = child(root, "iothreads")? {
        let number = |text: &str| decimal(text).filter(|n| *n <= MAX_IO_THREADS);
        count = text(node, "iothreads").parse("a number of I/O threads", number)?;
    }
    let mut pinned = BTreeSet::new();
    for pin in tune.into_iter().flat_map(|tune| children(tune, "iothreadpin")) {
        let expected = "an I/O thread's number";
        let number = |text: &str| decimal(text).filter(|n| *n <= MAX_IO_THREADS);
        let id = required(pin, "iothread")?.parse(expected, number)?;
        if !pinned.insert(id) {
            return Err(twice(pin, format!("the <iothreadpin> of I/O thread {id}")));
        }
        let set = cpus(&required(pin, "cpuset")?, host, &mut found.off)?;
        found.floating.extend(&set);
    }
    if (pinned.len() as u64) < count {
        found.floating.extend(area);
    }
    Ok(())
}

const LIST: &str = "a list of pCPUs such as 0-3,8 or 0-7,^5";

fn cpus(value: &XmlValue<'_>, host: &Host, off: &mut CpuSet) -> Result<CpuSet, LibvirtError> {
    online(value, &value.parse(LIST, list)?, host, off)
}

/// The named pCPUs that are online; the others are added to `off`. The kernel runs a thread on
/// whichever pCPUs of its mask are online.
fn online(
    value: &XmlValue<'_>,
    named: &CpuSet,
    host: &Host,
    off: &mut CpuSet,
) -> Result<CpuSet, LibvirtError> {
    let there = named.intersection(host.online());
    if there.is_empty() {
        return Err(value.absent(format!("pCPUs {named}")));
    }
    off.extend(&named.difference(&there));
    Ok(there)
}
