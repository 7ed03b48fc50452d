//! Free devices: their bundles and holders.

use std::borrow::Cow;

use crate::host::Host;
use crate::units::PciAddr;
use crate::usage::Usage;

/// The functions that must go together with `address`, itself included.
pub(crate) fn bundle(host: &Host, address: PciAddr) -> Cow<'_, [PciAddr]> {
    match host.gpu_index(address) {
        Some(at) => Cow::Borrowed(&host.derived().gpus[at].bundle),
        None => Cow::Owned(host.pci().bundle_of(address)),
    }
}

/// A tenant that holds `address` or a function that must go together with it. Without one, the
/// device is free.
pub(crate) fn holder<'a>(host: &Host, usage: &'a Usage, address: PciAddr) -> Option<&'a str> {
    bundle(host, address).iter().find_map(|member| usage.holder_of(*member))
}
