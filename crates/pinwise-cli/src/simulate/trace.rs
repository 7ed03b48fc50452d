//! A trace as written in its file.

use std::collections::BTreeMap;

use pinwise_discover::{Described, read_placement_host};
use serde::Deserialize;

use crate::input::foreign;
use crate::outcome::Failure;

#[derive(Debug, Deserialize)]
struct Text {
    format: String,
    name: String,
    #[serde(default)]
    #[allow(dead_code, reason = "it says where the trace comes from, and changes nothing")]
    seed: Option<u64>,
    templates: BTreeMap<String, serde_json::Value>,
    fleet: Vec<Member>,
    events: Vec<Event>,
}

/// A host of the fleet.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) host: String,
    pub(crate) template: String,
}

/// An arrival or a departure.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Event {
    Arrive { t: serde_json::Number, vm: Box<Vm> },
    Depart { id: String },
}

/// The number of NUMA cells that the guest sees, or `auto`: the smallest allowed one that fits.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum GuestCells {
    Number(u32),
    Auto(Auto),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Auto {
    Auto,
}

/// OpenStack's `hw:cpu_thread_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ThreadPolicy {
    Prefer,
    Require,
    Isolate,
}

/// OpenStack's `hw:cpu_policy`; only VMs with dedicated pCPUs are supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CpuPolicy {
    Dedicated,
}

/// OpenStack's `hw:pci_numa_affinity_policy` for the GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GpuNuma {
    Required,
    Preferred,
    Legacy,
    Socket,
}

/// A requested VM (placement-vm/1).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vm {
    #[serde(default)]
    pub(crate) format: Option<String>,
    pub(crate) id: String,
    pub(crate) vcpus: u32,
    pub(crate) memory_mib: u64,
    #[serde(default)]
    pub(crate) gpus: u32,
    pub(crate) guest_cells: GuestCells,
    #[serde(default)]
    pub(crate) allowed_cells: Vec<u32>,
    pub(crate) page_kib: u64,
    #[allow(dead_code, reason = "there is only one")]
    pub(crate) cpu_policy: CpuPolicy,
    pub(crate) thread_policy: ThreadPolicy,
    pub(crate) gpu_numa: GpuNuma,
}

/// A trace whose templates were read as hosts.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) name: String,
    pub(crate) templates: BTreeMap<String, Described>,
    pub(crate) fleet: Vec<Member>,
    pub(crate) events: Vec<Event>,
}

/// Reads a trace.
pub(crate) fn read(text: &str) -> Result<Trace, Failure> {
    let Text { format, name, seed: _, templates, fleet, events } = foreign::read(text)?;
    foreign::expect_format(&format, "placement-trace/1")?;
    let mut hosts = BTreeMap::new();
    for (name, value) in templates {
        let host = read_placement_host(&value.to_string());
        hosts.insert(name.clone(), host.map_err(|e| format!("templates.{name:?}: {e}"))?);
    }
    for event in &events {
        if let Event::Arrive { vm, .. } = event {
            vm.format.as_deref().map_or(Ok(()), |f| foreign::expect_format(f, "placement-vm/1"))?;
        }
    }
    Ok(Trace { name, templates: hosts, fleet, events })
}
