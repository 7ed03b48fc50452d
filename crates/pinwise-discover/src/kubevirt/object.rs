//! The parts of KubeVirt's objects that are read. Kubernetes adds fields in any release, so unknown
//! ones are ignored.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::problem::KubevirtError;
use pinwise::shown::plain;
use std::collections::BTreeMap;

/// The longest object that is read, in bytes: etcd stores no larger ones.
const MAX_BYTES: usize = 4 << 20;

/// A VM.
pub(super) struct Object {
    pub(super) name: Option<String>,
    pub(super) domain: Domain,
}

#[derive(Deserialize)]
struct Whole {
    kind: Option<String>,
    metadata: Option<Metadata>,
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Metadata {
    name: Option<String>,
}

/// The spec of a `VirtualMachineInstance`, or of a `VirtualMachine`.
#[derive(Deserialize)]
struct Spec {
    domain: Option<Domain>,
    template: Option<Template>,
    instancetype: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Template {
    spec: Option<TemplateSpec>,
}

#[derive(Deserialize)]
struct TemplateSpec {
    domain: Option<Domain>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Domain {
    pub(super) cpu: Option<Cpu>,
    pub(super) memory: Option<Memory>,
    pub(super) resources: Option<Resources>,
    pub(super) devices: Option<Devices>,
    pub(super) features: Option<Features>,
    pub(super) firmware: Option<Firmware>,
    pub(super) io_threads: Option<IoThreads>,
    pub(super) io_threads_policy: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cpu {
    pub(super) sockets: Option<u32>,
    pub(super) cores: Option<u32>,
    pub(super) threads: Option<u32>,
    pub(super) isolate_emulator_thread: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Memory {
    pub(super) guest: Option<Value>,
    pub(super) hugepages: Option<Hugepages>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hugepages {
    pub(super) page_size: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Resources {
    requests: Option<BTreeMap<String, Value>>,
    limits: Option<BTreeMap<String, Value>>,
}

impl Resources {
    /// What is requested of a resource, or else its limit.
    pub(super) fn of(&self, name: &str) -> Option<&Value> {
        let told = [&self.requests, &self.limits];
        told.into_iter().flatten().find_map(|all| all.get(name))
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Devices {
    pub(super) gpus: Option<Vec<Device>>,
    pub(super) host_devices: Option<Vec<Device>>,
    pub(super) disks: Option<Vec<Disk>>,
    pub(super) interfaces: Option<Vec<Interface>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device {
    pub(super) name: Option<String>,
    pub(super) device_name: Option<String>,
    pub(super) claim_name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Disk {
    #[serde(rename = "dedicatedIOThread")]
    pub(super) dedicated_io_thread: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Interface {
    pub(super) sriov: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Features {
    pub(super) hyperv: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Firmware {
    pub(super) uuid: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IoThreads {
    pub(super) supplemental_pool_thread_count: Option<u32>,
}

impl Object {
    pub(super) fn read(text: &str) -> Result<Self, KubevirtError> {
        if text.len() > MAX_BYTES {
            return Err(KubevirtError::TooLong { bytes: text.len(), limit: MAX_BYTES });
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let whole: Whole = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let (path, inner) = (error.path().to_string(), error.inner());
            KubevirtError::json(&path, inner)
        })?;
        json.end().map_err(|error| KubevirtError::json(".", &error))?;
        let kind = whole.kind.unwrap_or_default();
        match kind.as_str() {
            "VirtualMachineInstance" | "VirtualMachine" => {}
            _ => return Err(KubevirtError::Kind { kind: plain(&kind) }),
        }
        let Some(spec) = whole.spec else { return Err(KubevirtError::NoDomain) };
        let of_template = spec.template.and_then(|template| template.spec);
        let domain = spec.domain.or(of_template.and_then(|spec| spec.domain));
        // A VM whose sizes are an instance type's has none of its own.
        if kind == "VirtualMachine" && spec.instancetype.is_some() {
            return Err(KubevirtError::InstanceType);
        }
        let domain = domain.ok_or(KubevirtError::NoDomain)?;
        let name = whole.metadata.and_then(|metadata| metadata.name);
        let name = name.map(|name| plain(&name)).filter(|name| !name.is_empty());
        Ok(Self { name, domain })
    }
}
