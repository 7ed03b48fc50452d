//! Free devices: what goes together, and who holds it.

use std::borrow::Cow;

use crate::host::Host;
use crate::units::PciAddr;
use crate::usage::Usage;

/// The functions that have to go together with `address`, itself included.
pub(crate) fn bundle(host: &Host, address: PciAddr) -> Cow<'_, [PciAddr]> {
    match host.gpu_index(address) {
        Some(at) => Cow::Borrowed(&host.derived().gpus[at].bundle),
        None => Cow::Owned(host.pci().bundle_of(address)),
    }
}

/// A tenant that holds `address` or a function that has to go together with it. The device is free
/// if there is none.
pub(crate) fn holder<'a>(host: &Host, usage: &'a Usage, address: PciAddr) -> Option<&'a str> {
    bundle(host, address).iter().find_map(|member| usage.holder_of(*member))
}
