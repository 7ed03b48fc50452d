//! The JSON Schema of host descriptions.

use serde_json::{Value, json};

use super::{
    Definition, U32, addresses, amounts, cpu_sets, cpus, document, list, names, number, object, of,
    one_of, pattern, text,
};
use crate::host::HostUse;
use crate::host::sources::Part;
use crate::json::format::HOST;
use crate::units::{Id as _, NodeId};

/// The JSON Schema (draft 2020-12) of what [`write_host`](crate::json::write_host) writes and
/// [`read_host`](crate::json::read_host) reads, as JSON text with a line's end. The same bytes each
/// time.
///
/// It says what each field may hold, not that the fields fit together: a node that a device names
/// must exist, for one. [`HostSpec::build`](crate::HostSpec::build) checks that.
#[must_use]
pub fn host_schema() -> String {
    document(
        HOST,
        "a host",
        vec![
            ("name", true, json!({ "type": "string" }), "the host's name"),
            text("about", "the origin of the description; whether it is synthetic"),
            (
                "cpu_vendor",
                false,
                json!({ "enum": ["intel", "amd", "other"] }),
                "the CPU's vendor; other if omitted",
            ),
            text("cpu_model", "the CPU's model"),
            ("nodes", true, list("node"), "the NUMA nodes"),
            ("cores", true, list("core"), "the physical cores with online pCPUs"),
            ("l3_domains", false, list("l3_domain"), "pCPUs that share one L3 cache"),
            ("caches", false, list("cache"), "the other caches"),
            ("clusters", false, list("cpus"), "pCPUs of cores that are grouped below the L3"),
            cpus("offline", false, "pCPUs that exist but are off"),
            cpus("allowed", false, "pCPUs that may be used; all online ones if omitted"),
            cpus("isolated", false, "pCPUs that the kernel's scheduler leaves alone"),
            (
                "reserved",
                false,
                one_of(&[names(&["auto", "none"]), of("cpus")]),
                "what is kept for the host; auto, one core of our choice, where it is left out",
            ),
            (
                "reserve_memory",
                false,
                one_of(&[names(&["auto", "0"]), of("bytes")]),
                "the base-page memory kept free on each node for the host; auto where it is left out",
            ),
            ("devices", false, list("device"), "PCI functions, bridges included"),
            ("gpu_links", false, list("gpu_link"), "direct connections of GPUs"),
            (
                "fabric_partitions",
                false,
                list("fabric_partition"),
                "sets of GPUs that the fabric manager can give to one VM",
            ),
            ("sources", false, list("source"), "the source of each part"),
        ],
        definitions(),
    )
}

fn definitions() -> Vec<Definition> {
    vec![
        cpu_sets(),
        amounts(),
        addresses(),
        ("node", node()),
        ("pool", pool()),
        ("core", core()),
        ("l3_domain", l3_domain()),
        ("cache", cache()),
        ("device", device()),
        ("access", access()),
        ("link", link()),
        ("gpu_link", gpu_link()),
        ("fabric_partition", fabric_partition()),
        ("source", source()),
    ]
}

const CLASS: &str = r"^\s*(0x)?[0-9a-fA-F]{1,6}\s*$";
const ID: &str = r"^\s*(0x)?[0-9a-fA-F]{1,4}\s*$";

fn node() -> Value {
    object(
        "a NUMA node",
        vec![
            ("id", true, number(u64::from(NodeId::LIMIT) - 1), "its OS index"),
            cpus("cpus", false, "its online pCPUs; none on a node with memory only"),
            ("memory", true, of("bytes"), "all of its memory, hugepages included"),
            (
                "pools",
                false,
                list("pool"),
                "its page pools; without one of the base page, all memory beyond the others is free",
            ),
            (
                "distances",
                false,
                json!({ "type": "array", "items": number(255) }),
                "relative distances to all nodes by ascending id; 10 and 20 if omitted",
            ),
        ],
    )
}

fn pool() -> Value {
    object(
        "the pages of one size on a node",
        vec![
            ("size", true, of("bytes"), "the size of a page, a power of two from 4 KiB"),
            ("total", true, number(u64::MAX), "the number of pages"),
            ("free", true, number(u64::MAX), "the number of free pages"),
        ],
    )
}

fn core() -> Value {
    object(
        "a physical core",
        vec![
            ("package", true, number(U32), "its package"),
            ("die", false, number(U32), "its die inside the package; 0 if omitted"),
            ("core", true, number(U32), "the kernel's core_id"),
            (
                "kind",
                false,
                json!({ "enum": ["performance", "efficiency", "low-power"] }),
                "its kind on a hybrid CPU; performance if omitted",
            ),
            ("max_mhz", false, number(U32), "its top frequency in MHz"),
            cpus("pcpus", true, "its online pCPUs, SMT siblings of each other"),
        ],
    )
}

fn l3_domain() -> Value {
    object(
        "an L3 cache",
        vec![
            cpus("cpus", true, "the pCPUs that share it"),
            ("size", false, of("bytes"), "its size"),
        ],
    )
}

fn cache() -> Value {
    object(
        "the caches of one level, kind and size",
        vec![
            ("level", true, number(255), "their level: 1, 2 or 4; an L3 is an L3 domain"),
            ("kind", true, json!({ "enum": ["data", "instruction", "unified"] }), "their contents"),
            ("size", false, of("bytes"), "the size of each"),
            ("shared_by", true, list("cpus"), "for each of them the pCPUs that share it"),
        ],
    )
}

fn device() -> Value {
    object(
        "a PCI function",
        vec![
            ("address", true, of("address"), "the address"),
            ("class", true, pattern(CLASS, ""), "its class: 0x030200 is a 3D controller"),
            ("vendor", true, pattern(ID, ""), "its vendor's id"),
            ("device", true, pattern(ID, ""), "its device id"),
            text("name", "the model's name"),
            ("node", false, number(u64::from(u32::MAX)), "the kernel's numa_node; omitted if -1"),
            ("parent", false, of("address"), "the bridge above; left out on a root bus"),
            ("iommu_group", false, number(U32), "its IOMMU group"),
            text("driver", "the kernel driver that holds it"),
            (
                "boot_vga",
                false,
                json!({ "type": "boolean" }),
                "whether the firmware shows its console on it; false if omitted",
            ),
            (
                "used_for",
                false,
                json!({ "type": "array", "items": { "enum": HostUse::ALL.map(HostUse::name) } }),
                "the uses that the host makes of it",
            ),
            (
                "physical_function",
                false,
                of("address"),
                "the physical function that this virtual function belongs to",
            ),
            (
                "mediated",
                false,
                json!({ "type": "array", "items": { "type": "string" } }),
                "the UUIDs of its mediated devices (mdev); omitted if its driver serves none",
            ),
            (
                "mig_instances",
                false,
                number(U32),
                "the number of its MIG instances; omitted if MIG is off or unknown",
            ),
            ("link_now", false, of("link"), "the current state of the link to the port above"),
            ("link_max", false, of("link"), "the most that its own side of the link can do"),
            ("access", false, of("access"), "the access control of a bridge; omitted if unknown"),
            (
                "bars",
                false,
                json!({ "type": "array", "items": of("bytes") }),
                "the sizes of its memory BARs",
            ),
        ],
    )
}

fn access() -> Value {
    let control = |name, about| (name, false, json!({ "type": "boolean" }), about);
    object(
        "the access control services (ACS) of a port; off if omitted",
        vec![
            control("request_redirect", "requests to other devices go up to the root complex"),
            control("completion_redirect", "answers to other devices go up to the root complex"),
            control(
                "upstream_forwarding",
                "traffic that was redirected below is passed on upwards",
            ),
            control("direct_translated", "requests with translated addresses are not redirected"),
        ],
    )
}

fn link() -> Value {
    object(
        "a PCIe link's speed and width",
        vec![
            ("mts", true, number(U32), "megatransfers per second and lane: 32000 is 32 GT/s"),
            ("width", true, number(255), "lanes"),
        ],
    )
}

fn gpu_link() -> Value {
    object(
        "a direct connection of two GPUs, or one through switches of the same kind",
        vec![
            ("a", true, of("address"), "one end"),
            ("b", true, of("address"), "the other end"),
            ("kind", true, json!({ "enum": ["nvlink", "xgmi"] }), "the kind of link"),
            ("count", true, number(U32), "the number of parallel links"),
        ],
    )
}

fn fabric_partition() -> Value {
    object(
        "a set of GPUs that the fabric manager can give to one VM",
        vec![
            ("id", true, number(U32), "its number in the fabric manager"),
            ("gpus", true, json!({ "type": "array", "items": of("address") }), "its GPUs"),
        ],
    )
}

fn source() -> Value {
    let parts: Vec<Value> = Part::ALL
        .iter()
        .map(|part| serde_json::to_value(part).expect("a name of a part is JSON"))
        .collect();
    object(
        "the source of a part; a part with several sources occurs several times",
        vec![
            ("part", true, json!({ "enum": parts }), "the part"),
            ("from", true, json!({ "type": "string" }), "the source"),
        ],
    )
}
