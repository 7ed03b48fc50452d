//! Free devices of a kind, for requests that name none.

use super::devices::{bundle, excludes, holder};
use super::gpus::not_allowed;
use crate::host::Host;
use crate::host::pci_place::PciPlace;
use crate::host::pcie::{DeviceKind, PciDevice};
use crate::request::{DeviceWish, Request, WishKind};
use crate::units::PciAddr;
use crate::usage::Usage;

/// A device that a request may be given by kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offered {
    pub(crate) address: PciAddr,
    pub(crate) place: PciPlace,
}

/// The devices that may be given for one wish.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wished {
    /// Those already set aside for VMs (bound to `vfio-pci`) first, then by address. No two are in
    /// one bundle.
    pub(crate) free: Vec<Offered>,
    /// The number of devices of the kind and model, free or not.
    pub(crate) total: usize,
}

/// The kind of functions that a wish asks for.
pub(crate) const fn device_kind(kind: WishKind) -> DeviceKind {
    match kind {
        WishKind::Nic => DeviceKind::Nic,
        WishKind::Nvme => DeviceKind::Nvme,
    }
}

/// The devices for one of the request's wishes.
///
/// A device is not offered if it is not free: see [`holder`]; if it has virtual functions, which
/// would vanish; if it cannot be used beside a named device; or if functions of another card, or
/// some that the host needs, would leave the host with it, as nobody named them.
pub(crate) fn wished(host: &Host, usage: &Usage, request: &Request, wish: &DeviceWish) -> Wished {
    let devices = &request.spec().devices;
    let matches = |device: &&PciDevice| {
        let model = wish.model.as_deref();
        device.kind() == device_kind(wish.kind) && model.is_none_or(|text| device.is_model(text))
    };
    let mut all: Vec<&PciDevice> = host.pci().devices().iter().filter(matches).collect();
    let total = all.len();
    all.sort_by_key(|device| device.driver.as_deref() != Some("vfio-pci"));
    // What goes with the named devices, and what SR-IOV excludes beside them.
    let mut taken: Vec<PciAddr> = Vec::new();
    for device in devices {
        taken.extend(bundle(host, *device).iter());
        taken.extend(excludes(host, *device).iter());
    }
    let mut free = Vec::new();
    for device in all {
        let address = device.address;
        let whole = bundle(host, address);
        let others = |member: &&PciAddr| taken.contains(member) || !member.same_slot(address);
        if holder(host, usage, address).is_some()
            || device.has_virtual(host)
            || whole.iter().any(|member| others(&member))
            || !not_allowed(request, &host.pci().needed_mates(address)).is_empty()
        {
            continue;
        }
        taken.extend(whole.iter());
        free.push(Offered { address, place: PciPlace::of(host, address) });
    }
    Wished { free, total }
}
