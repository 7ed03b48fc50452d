//! Devices that are shares of others, or have them: virtual functions, mediated devices, instances.

use super::warning::Warning;
use crate::engine::profile::count;
use crate::free::may_be_parent;
use crate::host::Host;
use crate::units::PciAddr;
use crate::usage::Usage;

/// The warnings about what goes with a device, or may be gone from it already.
pub(super) fn functions(host: &Host, usage: &Usage, address: PciAddr, all: &mut Vec<Warning>) {
    let device = host.pci().get(address);
    if let Some(instances) = device.and_then(|device| device.mig_instances) {
        all.push(Warning::MigInstances { address, instances });
    }
    let functions = count(host.pci().virtual_functions_of(address).len());
    if functions > 0 {
        all.push(Warning::HasVirtualFunctions { address, functions });
    }
    if usage.unnamed_shares().next().is_some() && may_be_parent(host, address) {
        let tenants = usage.unnamed_shares().map(str::to_owned).collect();
        all.push(Warning::MayBeShared { address, tenants });
    }
}
