//! Checks of physical functions, virtual functions (SR-IOV) and mediated devices: none is given
//! beside one that excludes it.

use std::collections::BTreeSet;

use super::case::{Case, holder_of};
use super::violation::Violation;
use crate::host::pcie::{DeviceKind, PciDevice};
use crate::placement::PlacedDevice;
use crate::request::GpuRequest;
use crate::units::PciAddr;

/// The functions that `address` excludes, by the records alone: its physical function and its
/// virtual functions.
fn excluded(case: &Case<'_>, address: PciAddr) -> Vec<PciAddr> {
    let mut excluded = Vec::new();
    for record in case.host.pci().devices() {
        let physical = record.physical_function;
        if record.address == address {
            excluded.extend(physical);
        } else if physical == Some(address) {
            excluded.push(record.address);
        }
    }
    excluded.retain(|other| *other != address);
    excluded
}

/// The first tenant, by name, that holds a mediated device of this parent.
fn sharer_of<'a>(case: &Case<'a>, parent: Option<PciAddr>) -> Option<&'a str> {
    for (tenant, claim) in case.usage.tenants() {
        if claim.mediated.contains(&parent) {
            return Some(tenant);
        }
    }
    None
}

pub(super) fn check(
    case: &Case<'_>,
    devices: &[PlacedDevice],
    placed: &BTreeSet<PciAddr>,
    found: &mut Vec<Violation>,
) {
    for &address in placed {
        if let Some(holder) = sharer_of(case, Some(address)) {
            let holder = holder.to_owned();
            found.push(Violation::DeviceShared { address, parent: address, holder });
        }
        for function in excluded(case, address) {
            // A function that is placed too has violations of its own.
            if placed.contains(&function) {
                continue;
            }
            if let Some(holder) = holder_of(case.usage, function) {
                let holder = holder.to_owned();
                found.push(Violation::FunctionHeld { address, function, holder });
            }
            if let Some(holder) = sharer_of(case, Some(function)) {
                let holder = holder.to_owned();
                found.push(Violation::DeviceShared { address, parent: function, holder });
            }
        }
    }
    // Withheld functions are used by nobody.
    let mut given = BTreeSet::new();
    for device in devices {
        given.insert(device.address);
        given.extend(&device.functions);
    }
    for &function in &given {
        let record = case.host.pci().get(function);
        let physical = record.and_then(|record| record.physical_function);
        if let Some(address) = physical.filter(|at| *at != function && given.contains(at)) {
            found.push(Violation::FunctionsExclude { address, function });
        }
    }
}

/// A GPU that the request does not name: of the requested kind, whole only without virtual
/// functions, and not possibly shared.
pub(super) fn by_number(case: &Case<'_>, record: &PciDevice, found: &mut Vec<Violation>) {
    let address = record.address;
    let is_virtual = record.physical_function.is_some();
    let wants_virtual = matches!(case.request.spec().gpus, GpuRequest::VfOf { .. });
    if is_virtual != wants_virtual {
        found.push(Violation::GpuKind { address, is_virtual });
        return;
    }
    if let Some(function) = excluded(case, address).first().filter(|_| !is_virtual) {
        found.push(Violation::GpuSplit { address, function: *function });
    }
    if let Some(holder) = unsure(case, record) {
        found.push(Violation::DeviceUnsure { address, holder: holder.to_owned() });
    }
}

/// A tenant that may hold a share of the GPU: the parent of its mediated device is unknown.
fn unsure<'a>(case: &Case<'a>, record: &PciDevice) -> Option<&'a str> {
    let mut known = false;
    for other in case.host.pci().devices() {
        known |= other.mediated.is_some();
    }
    let may_serve = match known {
        true => record.mediated.is_some(),
        false => record.driver.as_deref() != Some("vfio-pci"),
    };
    let may_serve = may_serve && record.kind() == DeviceKind::Gpu;
    sharer_of(case, None).filter(|_| may_serve)
}

/// Whether a whole GPU with this bundle could be given by number, as far as virtual functions and
/// mediated devices go.
pub(super) fn may_be_given(
    case: &Case<'_>,
    record: &PciDevice,
    bundle: &BTreeSet<PciAddr>,
) -> bool {
    let is_taken =
        |at: &PciAddr| holder_of(case.usage, *at).is_some() || sharer_of(case, Some(*at)).is_some();
    let of_member = |member: &PciAddr| excluded(case, *member);
    record.physical_function.is_none()
        && excluded(case, record.address).is_empty()
        && unsure(case, record).is_none()
        && !bundle.iter().any(is_taken)
        && !bundle.iter().flat_map(of_member).any(|other| is_taken(&other))
}
