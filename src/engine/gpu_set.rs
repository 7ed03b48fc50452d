//! What rules may know about a set of GPUs: how they reach each other, and how their collectives
//! move data.
//!
//! **Takes** GPUs of a host, one by one. **Gives** their `SetFacts`: the intersections of what each
//! is linked with, near, around, and on one switch with.

use crate::host::Host;
use crate::host::derived::GpuFacts;
use crate::host::mask::GpuMask;
use crate::request::Request;

/// How the VM's GPUs reach each other without host memory, if they do at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GpuPath {
    /// Every two are linked directly, and the fabric allows the set.
    Linked,
    /// All below one PCIe switch or root port.
    SameSwitch,
    /// All on one node, in one or several root complexes.
    SameNode,
    /// Over several nodes, or unknown ones.
    Across,
}

/// How the VM's collectives move data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collective {
    /// Fewer than two GPUs: there are none.
    None,
    /// Through host memory.
    Host,
    /// From GPU to GPU.
    PeerToPeer,
}

/// How a VM with GPUs on this path does collectives: from GPU to GPU where links or a switch allow
/// it and the request does not say no, or where the request says yes.
pub(crate) fn collective(request: &Request, gpus: usize, path: GpuPath) -> Collective {
    match (gpus, request.spec().peer_to_peer) {
        (0 | 1, _) => Collective::None,
        (_, Some(true)) => Collective::PeerToPeer,
        (_, None) if path <= GpuPath::SameSwitch => Collective::PeerToPeer,
        _ => Collective::Host,
    }
}

/// What rules may know about a set of GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetFacts {
    pub(crate) path: GpuPath,
    pub(crate) same_switch: bool,
    pub(crate) partition: bool,
    pub(crate) degraded: u32,
}

impl SetFacts {
    pub(crate) fn of(host: &Host, request: &Request, set: GpuMask) -> Self {
        let all = &host.derived().gpus;
        let set = set.iter().fold(GpuSetFold::default(), |set, at| set.with(at, &all[at]));
        set.facts(host, request)
    }
}

/// GPUs that were put together one by one, and what they have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GpuSetFold {
    pub(crate) gpus: GpuMask,
    /// GPUs that each of them is linked with, near, around, and on one switch with.
    linked: GpuMask,
    near: GpuMask,
    around: GpuMask,
    on_switch: GpuMask,
    degraded: u32,
}

impl Default for GpuSetFold {
    fn default() -> Self {
        let all = GpuMask::ALL;
        Self {
            gpus: GpuMask::EMPTY,
            linked: all,
            near: all,
            around: all,
            on_switch: all,
            degraded: 0,
        }
    }
}

impl GpuSetFold {
    /// The same with one more.
    pub(crate) fn with(self, at: usize, gpu: &GpuFacts) -> Self {
        Self {
            gpus: self.gpus.with(at),
            linked: self.linked & gpu.linked,
            near: self.near & gpu.near,
            around: self.around & gpu.around,
            on_switch: self.on_switch & gpu.on_switch,
            degraded: self.degraded + u32::from(gpu.degraded),
        }
    }

    pub(crate) fn facts(self, host: &Host, request: &Request) -> SetFacts {
        let partitions = &host.derived().partitions;
        let all_in = |mask: GpuMask| self.gpus.is_subset(mask);
        // No GPUs at all need no partition, and a host without a fabric manager has none.
        let partition =
            self.gpus.is_empty() || partitions.is_empty() || partitions.contains(&self.gpus);
        // Behind NVSwitches whose partitions are unknown, links may be switched off.
        let untold = || !host.untold_fabric(&request.spec().devices).is_empty();
        let fabric = partition && (self.gpus.len() < 2 || !untold());
        let path = if all_in(self.linked) && fabric {
            GpuPath::Linked
        } else if all_in(self.near) {
            GpuPath::SameSwitch
        } else if all_in(self.around) {
            GpuPath::SameNode
        } else {
            GpuPath::Across
        };
        let same_switch = !self.gpus.is_empty() && all_in(self.on_switch);
        SetFacts { path, same_switch, partition, degraded: self.degraded }
    }
}
