//! The JSON Schema of requests.

use serde_json::{Value, json};

use super::{
    Definition, Field, U32, addresses, amounts, array, boolean, cpu_sets, cpus, document_by_hand,
    list, names, number, object, of, one_of, set, string, tagged,
};
use crate::json::format::REQUEST;
use crate::request::{Guest, Nearness};
use crate::workload::Workload;

/// The JSON Schema (draft 2020-12) of what [`write_request`](crate::json::write_request) writes.
/// The same bytes each time.
///
/// [`RequestSpec::build`](crate::RequestSpec::build) checks the rest: limits, and that memory is a
/// multiple of the page size.
#[must_use]
pub fn request_schema() -> String {
    let fields = vec![
        ("name", false, string(), "the VM's name; vm1 if omitted"),
        ("vcpus", true, number(U32), "the number of vCPUs"),
        ("memory", true, of("bytes"), "the memory"),
        ("page_size", false, of("bytes"), "the page size; the largest that fits if omitted"),
        ("gpus", false, gpus(), "the GPUs; none if omitted"),
        ("devices", false, array(of("address")), "NICs and other devices that the VM gets"),
        (
            "device_wishes",
            false,
            list("device_wish"),
            "devices by kind, chosen beside the GPUs; one wish of each kind at most",
        ),
        (
            "allow_group",
            false,
            boolean(),
            "whether devices may take what the host needs with their IOMMU group; false if omitted",
        ),
        ("workload", false, workload(), "the kind of work that the guest does; general if omitted"),
        ("guest", false, guest(), "what the guest runs; any if omitted"),
        ("cells", false, wish(number(U32)), "the number of guest cells; auto if omitted"),
        ("even_cells", false, boolean(), "whether all cells must be equal; false if omitted"),
        ("smt", false, wish(boolean()), "whether the guest sees SMT siblings; auto if omitted"),
        ("peer_to_peer", false, boolean(), "whether GPUs use peer-to-peer; unknown if omitted"),
        ("emulator_pcpus", false, number(U32), "pCPUs for the emulator threads alone"),
        ("io_threads", false, number(U32), "the number of I/O threads"),
        ("shared", false, sharing(), "vCPUs that float over shared pCPUs; dedicated if omitted"),
        cpus("cpus", false, "the only pCPUs that the VM may have; any if omitted"),
        ("nodes", false, set(), "the only nodes for its vCPUs and memory; any if omitted"),
        (
            "memory_nodes",
            false,
            set(),
            "the only nodes for its memory, which may have no CPUs; those of nodes with CPUs if omitted",
        ),
        ("policies", false, of("policies"), "how strictly each property is wanted"),
    ];
    let definitions: Vec<Definition> = vec![
        cpu_sets(),
        amounts(),
        addresses(),
        ("device_wish", device_wish()),
        ("policy", names(&["require", "prefer", "ignore"])),
        ("policies", policies()),
        ("weights", weights()),
    ];
    document_by_hand(REQUEST, "a requested VM", fields, definitions)
}

fn gpus() -> Value {
    let count = object(
        "GPUs by number",
        vec![
            ("count", true, number(U32), "the number of GPUs"),
            ("model", false, string(), "a part of the model's name, or of its ids: 10de:2335"),
        ],
    );
    let virtual_functions = object(
        "virtual functions of GPUs by number",
        vec![
            ("count", true, number(U32), "the number of virtual functions, at most 8"),
            (
                "model",
                false,
                string(),
                "a part of the name of the virtual functions or of their cards, or of their ids",
            ),
        ],
    );
    one_of(&[
        tagged("count", count, "a number of whole GPUs"),
        tagged("vf_of", virtual_functions, "a number of virtual functions of GPUs (SR-IOV)"),
        tagged("addresses", array(of("address")), "these GPUs"),
    ])
}

fn device_wish() -> Value {
    let number = one_of(&[
        names(&["per_gpu"]),
        tagged("count", number(U32), "this number of devices in all"),
    ]);
    object(
        "devices of one kind",
        vec![
            ("kind", true, names(&["nic", "nvme"]), "the kind"),
            ("number", true, number, "one for each GPU, or a number"),
            ("model", false, string(), "a part of the model's name, or of its ids: 15b3:1021"),
            ("near", false, of("policy"), "how strictly each must be near; prefer if omitted"),
            (
                "within",
                false,
                names(&Nearness::ALL.map(Nearness::name)),
                "the part of the host that counts as near a GPU; switch if omitted",
            ),
        ],
    )
}

/// vCPUs that share pCPUs.
pub(super) fn sharing() -> Value {
    let ratio = json!({ "type": "number", "minimum": 1, "maximum": 64 });
    let about = "the most vCPUs for each shared pCPU, those of other tenants counted; 4 if omitted";
    object("vCPUs that share pCPUs", vec![("overcommit", false, ratio, about)])
}

fn workload() -> Value {
    let presets: Vec<&str> = Workload::PRESETS.iter().map(Workload::name).collect();
    one_of(&[names(&presets), tagged("custom", of("weights"), "the caller's own weights")])
}

fn guest() -> Value {
    names(&[Guest::Any, Guest::Windows].map(Guest::name))
}

fn wish(value: Value) -> Value {
    one_of(&[
        names(&["auto"]),
        tagged("prefer", value.clone(), "preferred"),
        tagged("require", value, "required"),
    ])
}

fn policies() -> Value {
    let policy = |name, about| -> Field { (name, false, of("policy"), about) };
    object(
        "how strictly each property is wanted",
        vec![
            policy("dedicated_cpus", "a dedicated pCPU for every vCPU; require if omitted"),
            policy("whole_cores", "no core shared with another tenant; require if omitted"),
            policy(
                "own_l3",
                "no other tenant in the L3 domains of its dedicated pCPUs; ignore if omitted",
            ),
            policy("one_node", "all vCPUs and memory on one node; ignore if omitted"),
            policy("gpu_locality", "every GPU on a node of the VM; prefer if omitted"),
            policy("same_switch", "all GPUs below one PCIe switch; ignore if omitted"),
            policy("linked_gpus", "every two GPUs linked directly; ignore if omitted"),
            policy("fabric_partition", "the GPUs are one fabric partition; prefer if omitted"),
        ],
    )
}

fn weights() -> Value {
    let weight = |name, about| -> Field { (name, false, json!(number(65_535)), about) };
    object(
        "the weight of each metric; 0 if omitted, and at least one must be positive",
        vec![
            weight("cpu_single_thread", "throughput of one thread"),
            weight("cpu_all_threads", "throughput of all threads"),
            weight("memory_bandwidth", "streaming memory bandwidth"),
            weight("memory_latency", "idle memory latency"),
            weight("gpu_compute", "GPU arithmetic"),
            weight("host_gpu_transfer", "bandwidth between host and GPU"),
            weight("collective", "collectives over all GPUs"),
        ],
    )
}
