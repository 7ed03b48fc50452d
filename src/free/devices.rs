//! Free devices: their bundles, the functions that they exclude, and their holders.

use std::borrow::Cow;

use crate::host::{DeviceKind, Host};
use crate::units::PciAddr;
use crate::usage::Usage;

/// The functions that must go together with `address`, itself included.
pub(crate) fn bundle(host: &Host, address: PciAddr) -> Cow<'_, [PciAddr]> {
    match host.gpu_index(address) {
        Some(at) => Cow::Borrowed(&host.derived().gpus[at].bundle),
        None => Cow::Owned(host.pci().bundle_of(address)),
    }
}

/// The functions outside the bundle of `address` that nobody may hold beside it, because SR-IOV
/// excludes them: physical or virtual functions of the bundle's members.
pub(crate) fn excludes(host: &Host, address: PciAddr) -> Cow<'_, [PciAddr]> {
    match host.gpu_index(address) {
        Some(at) => Cow::Borrowed(&host.derived().gpus[at].excludes),
        None => {
            let bundle = bundle(host, address);
            let of_member = |member: &PciAddr| host.pci().excluded_by(*member);
            let all = bundle.iter().flat_map(of_member).filter(|other| !bundle.contains(other));
            Cow::Owned(all.collect())
        }
    }
}

/// A function that a tenant holds, so that another is not free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held<'a> {
    /// The function itself, or one that must go together with it or cannot be used beside it.
    pub(crate) function: PciAddr,
    /// Whether the tenant holds a mediated device of the function, and not the function.
    pub(crate) share: bool,
    pub(crate) holder: &'a str,
}

/// What stands against giving `address` to a VM: a tenant that holds it, a function that must go
/// together with it or a function that SR-IOV excludes, or that holds a mediated device of one of
/// these. Without one, the device is free.
pub(crate) fn held<'a>(host: &Host, usage: &'a Usage, address: PciAddr) -> Option<Held<'a>> {
    let bundle = bundle(host, address);
    let whole = |function: PciAddr| {
        let holder = usage.holder_of(function)?;
        Some(Held { function, share: false, holder })
    };
    let shared = |function: PciAddr| {
        let holder = usage.sharer_of(function)?;
        Some(Held { function, share: true, holder })
    };
    let of = |function: &PciAddr| whole(*function).or_else(|| shared(*function));
    // The device itself first: then the refusal need not speak of others.
    of(&address)
        .or_else(|| bundle.iter().find_map(of))
        .or_else(|| excludes(host, address).iter().find_map(of))
}

/// A tenant that holds `address`, a function that must go together with it, or one that cannot be
/// used beside it. Without one, the device is free.
pub(crate) fn holder<'a>(host: &Host, usage: &'a Usage, address: PciAddr) -> Option<&'a str> {
    held(host, usage, address).map(|held| held.holder)
}

/// Whether the function may be the parent of a mediated device whose parent is unknown: of a GPU
/// whose driver may serve such devices. If the description names functions that do, only these.
pub(crate) fn may_be_parent(host: &Host, address: PciAddr) -> bool {
    let Some(device) = host.pci().get(address).filter(|d| d.kind() == DeviceKind::Gpu) else {
        return false;
    };
    let known = host.pci().devices().iter().any(|device| device.mediated.is_some());
    match known {
        true => device.mediated.is_some(),
        // vfio-pci serves no mediated devices.
        false => device.driver.as_deref() != Some("vfio-pci"),
    }
}
