//! The facts that keep requested devices from a VM, and that leave too few GPUs.

use crate::engine::profile::count;
use crate::engine::refusal::Fact;
use crate::free::gpus::{self, Eligible};
use crate::free::{Held, bundle, held};
use crate::host::{Host, PciDevice, TakenFunction};
use crate::request::{GpuRequest, Request};
use crate::units::PciAddr;
use crate::usage::Usage;

/// The device exists, is free, and takes nothing from the host that the request does not allow.
pub(super) fn check_device(
    host: &Host,
    usage: &Usage,
    request: &Request,
    address: PciAddr,
) -> Result<(), Vec<Fact>> {
    if host.pci().get(address).is_none_or(|device| !device.is_endpoint()) {
        return Err(vec![Fact::NoDevice { address }]);
    }
    if let Some(Held { function, share, holder }) = held(host, usage, address) {
        let holder = holder.to_owned();
        // A member of its bundle that a tenant holds is told as before.
        let told = bundle(host, address).contains(&function) && !share;
        return Err(vec![match told {
            true => Fact::DeviceHeld { address, holder },
            false => Fact::FunctionHeld { address, function, share, holder },
        }]);
    }
    let needed = match host.gpu_index(address) {
        Some(at) => gpus::needed(host, request, at),
        None if request.spec().allow_group => Vec::new(),
        None => gpus::not_allowed(request, &host.pci().needed_mates(address)),
    };
    match needed.is_empty() {
        true => Ok(()),
        false => Err(vec![group_taken(host, usage, address, needed)]),
    }
}

/// The fact that a device would take functions from the host that it needs.
fn group_taken(host: &Host, usage: &Usage, address: PciAddr, taken: Vec<TakenFunction>) -> Fact {
    let open = |port: &&PciDevice| port.access.is_some_and(|access| !access.request_redirect);
    let ports = host.pci().bridges_above(address).filter(open).map(|port| port.address).collect();
    let is_other = |at: &usize| host.gpus()[*at].address != address;
    let others = gpus::offered(host, usage);
    let others = others.iter().filter(is_other).map(|at| host.gpus()[at].address);
    let others = others.filter(|_| host.gpu(address).is_some()).collect();
    Fact::GroupTaken { address, taken, ports, others }
}

/// No physical function is requested beside a virtual function of its own.
pub(super) fn check_apart(host: &Host, request: &Request) -> Result<(), Vec<Fact>> {
    let spec = request.spec();
    let gpus: &[PciAddr] = match &spec.gpus {
        GpuRequest::Addresses(named) => named,
        GpuRequest::Count { .. } | GpuRequest::VfOf { .. } => &[],
    };
    let named = || gpus.iter().chain(&spec.devices).copied();
    for function in named() {
        let device = host.pci().get(function);
        let physical = device.and_then(|device| device.physical_function);
        if let Some(physical) = physical.filter(|at| *at != function && named().any(|n| n == *at)) {
            return Err(vec![Fact::FunctionsExclude { physical, function }]);
        }
    }
    Ok(())
}

/// The facts about too few GPUs: how many are free, and why others are not given by number.
pub(super) fn gpus_short(
    host: &Host,
    usage: &Usage,
    request: &Request,
    eligible: &Eligible,
    needed: u32,
) -> Vec<Fact> {
    let (free, total) = (eligible.free.len(), eligible.matching.len());
    let model = match &request.spec().gpus {
        GpuRequest::Count { model, .. } => model.clone(),
        GpuRequest::Addresses(_) | GpuRequest::VfOf { .. } => None,
    };
    let mut facts = vec![Fact::GpusShort { needed, free, total, model }];
    if !eligible.split.is_empty() {
        let all = eligible.split.iter().map(|at| host.gpus()[at].address);
        let functions = all.map(|gpu| count(host.pci().virtual_functions_of(gpu).len())).sum();
        facts.push(Fact::GpusSplit { gpus: eligible.split.len(), functions });
    }
    facts.extend(gpus_unsure(usage, eligible.unsure.len()));
    let groups = eligible.closed.iter().map(|at| {
        let taken = gpus::needed(host, request, at);
        group_taken(host, usage, host.gpus()[at].address, taken)
    });
    facts.extend(groups);
    facts
}

/// The fact that GPUs may be shared by mediated devices whose parent is unknown, if there are any.
pub(super) fn gpus_unsure(usage: &Usage, gpus: u32) -> Option<Fact> {
    let tenants = || usage.unnamed_shares().map(str::to_owned).collect();
    (gpus > 0).then(|| Fact::GpusUnsure { gpus, tenants: tenants() })
}
