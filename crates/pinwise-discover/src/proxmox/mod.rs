//! VMs of Proxmox VE, from their configuration: what `qm config ID` prints, or a file of
//! `/etc/pve/qemu-server`.
//!
//! A configuration does not tell whether its VM runs. Snapshots in it are not read.

mod conf;
pub(crate) mod note;
mod problem;
mod vm;

use crate::libvirt::{Domain, DomainRequest, spread, with_devices};
use crate::notes::Notes;
use conf::Conf;
pub use note::ProxmoxNote;
use pinwise::RequestSpec;
use pinwise::host::{DeviceKind, Host};
use pinwise::request::Guest;
use pinwise::units::{PageSize, PciAddr};
use pinwise::usage::{Claim, PageClaim};
pub use problem::ProxmoxError;
use std::collections::{BTreeMap, BTreeSet};
use vm::{HostDevice, Huge, Vm};

/// Whether a text is a configuration: at least two of its lines set options that every VM of
/// Proxmox may have, and few other programs name so.
#[must_use]
pub fn is_qemu_conf(text: &str) -> bool {
    Conf::is(text)
}

/// Reads a configuration as a tenant of `host`. `name` is the tenant's name if the configuration
/// gives none, such as the VM's number.
///
/// - pCPUs. All threads of the VM float on `affinity`, or on all online pCPUs: Proxmox pins no vCPU
///   to a pCPU of its own.
/// - Memory. With `numa: 1`, each `numaN` is on its `hostnodes`, by preference unless `policy` says
///   `bind` or `interleave`; other memory may be on any node. It is counted in pages of
///   `hugepages`, or in the host's base pages, rounded up to whole pages.
/// - Devices of `hostpciN`, with their whole IOMMU groups; with `mdev`, a mediated device.
///
/// [`Domain::running`] is false, as the configuration does not tell; see
/// [`Tenants`](crate::tenants::Tenants) for what follows. A template holds nothing.
///
/// # Errors
/// [`ProxmoxError`] if the text is too long, is not a configuration, has a value that Proxmox would
/// refuse, or names a node that the host does not have, or only pCPUs that are not online.
pub fn read_qemu_conf(host: &Host, name: &str, text: &str) -> Result<Domain, ProxmoxError> {
    let mut notes = Notes::default();
    let vm = Vm::of(&Conf::read(text)?, &mut notes)?;
    let named = vm.name.clone().unwrap_or_else(|| name.to_owned());
    let mut claim = Claim::default();
    if vm.is_template {
        notes.add(ProxmoxNote::Template);
    } else {
        claim.floating = vm.floating(host, &mut notes)?;
        claim.pages = pages(&vm, host)?;
        (claim.devices, claim.mediated) = held(&vm.devices, host, &mut notes);
    }
    Ok(Domain { name: named, uuid: vm.uuid, running: false, claim, notes: notes.finish() })
}

/// Reads a configuration as the request for a VM on `host`: its name, vCPUs (all `cores` of all
/// `sockets`), memory, page size, devices, the I/O threads of its disks, and Windows. `affinity`
/// and `numaN` are not read: they are the answer.
///
/// # Errors
/// [`ProxmoxError`] if the text is too long, is not a configuration, or has a value that Proxmox
/// would refuse.
pub fn request_of_qemu_conf(host: &Host, text: &str) -> Result<DomainRequest, ProxmoxError> {
    let mut notes = Notes::default();
    let vm = Vm::of(&Conf::read(text)?, &mut notes)?;
    let name = vm.name.as_deref().unwrap_or("vm1");
    let mut request = RequestSpec::new(name, vm.vcpus, vm.memory);
    request.page_size = match vm.huge {
        Some(Huge::Size(size)) => Some(size).filter(|size| size.pages_in(vm.memory).is_some()),
        Some(Huge::Any) | None => None,
    };
    request.io_threads = vm.io_threads;
    if vm.is_windows {
        request.guest = Guest::Windows;
    }
    let mut given = Vec::new();
    for device in &vm.devices {
        if device.is_mediated {
            notes.add(ProxmoxNote::Mediated { key: device.key.clone() });
            continue;
        }
        for address in there(device, host, &mut notes) {
            if !given.contains(&address) {
                given.push(address);
            }
        }
    }
    let gpu_functions = with_devices(&mut request, host, given);
    let notes = notes.finish();
    Ok(DomainRequest { request, uuid: vm.uuid, gpu_functions, notes, is_foreign: true })
}

/// The host's functions that an option names: of an address without a function, all of its device.
fn there(device: &HostDevice, host: &Host, notes: &mut Notes) -> Vec<PciAddr> {
    let mut found = Vec::new();
    for place in &device.places {
        let same = |other: PciAddr| PciAddr { function: place.address.function, ..other };
        let of = host.pci().devices().iter().map(|known| (known.address, known.kind()));
        let mut of = of
            .filter(|(known, _)| match place.is_whole {
                true => same(*known) == place.address,
                false => *known == place.address,
            })
            .peekable();
        if of.peek().is_none() {
            notes.add(ProxmoxNote::NotADevice { address: place.address });
        }
        for (address, kind) in of {
            match kind {
                DeviceKind::Bridge => notes.add(ProxmoxNote::Bridge { address }),
                _ => found.push(address),
            }
        }
    }
    found
}

/// The functions that a tenant holds, with their whole IOMMU groups, and the parents of its
/// mediated devices.
fn held(
    devices: &[HostDevice],
    host: &Host,
    notes: &mut Notes,
) -> (Vec<PciAddr>, Vec<Option<PciAddr>>) {
    let (mut all, mut mediated) = (BTreeSet::new(), Vec::new());
    for device in devices {
        let found = there(device, host, notes);
        if device.is_mediated {
            mediated.push(found.first().copied());
        } else {
            all.extend(found.into_iter().flat_map(|address| host.pci().group_of(address)));
        }
    }
    mediated.retain(|parent| parent.is_none_or(|parent| !all.contains(&parent)));
    (all.into_iter().collect(), mediated)
}

/// The pages of a tenant.
fn pages(vm: &Vm, host: &Host) -> Result<Vec<PageClaim>, ProxmoxError> {
    let pools = || host.nodes().iter().flat_map(|node| &node.pools);
    let base = pools().map(|pool| pool.size).filter(|size| !size.is_huge()).min();
    let cells = vm.cells(host)?;
    let divides = |size: PageSize| cells.iter().all(|(memory, _)| size.pages_in(*memory).is_some());
    let size = match vm.huge {
        None => base.unwrap_or(PageSize::KIB_4),
        Some(Huge::Size(size)) => size,
        // Proxmox takes pages of 1 GiB if they divide the memory and the processor has them.
        Some(Huge::Any) => {
            let has = pools().any(|pool| pool.size == PageSize::GIB_1 && pool.total > 0);
            if has && divides(PageSize::GIB_1) { PageSize::GIB_1 } else { PageSize::MIB_2 }
        }
    };
    let mut counts = BTreeMap::new();
    for (memory, binding) in &cells {
        spread(memory.0.div_ceil(size.bytes()), size, binding, host, &mut counts);
    }
    let claims = counts.into_iter().filter(|(_, count)| *count > 0);
    Ok(claims.map(|((node, size), count)| PageClaim { node, page_size: size, count }).collect())
}

#[cfg(test)]
mod tests;
