//! The JSON Schema of placements.

use serde_json::{Value, json};

use super::{
    Definition, Field, U32, addresses, array, boolean, cpu_sets, cpus, document, list, names,
    number, object, of, set, string,
};
use crate::json::format::PLACEMENT;
use crate::placement::Style;
use crate::units::{CellId, Id as _, NodeId};

/// The JSON Schema (draft 2020-12) of what [`write_placement`](crate::json::write_placement)
/// writes. The same bytes each time.
///
/// [`verify`](crate::verify()) checks the rest: that the fields fit together, to a request and to a
/// host.
#[must_use]
pub fn placement_schema() -> String {
    let about = "a VM's place on its host, and its guest's view";
    document(PLACEMENT, about, fields(), definitions())
}

/// The fields without the format.
pub(super) fn fields() -> Vec<Field> {
    vec![
        ("name", true, string(), "the VM's name"),
        ("style", true, style(), "how much of the hardware the guest sees"),
        (
            "memory_mode",
            true,
            names(&["strict", "interleave", "unbound"]),
            "how memory is bound to the host's nodes",
        ),
        ("dedicated", true, boolean(), "whether each vCPU has one pCPU that nobody else uses"),
        ("topology", true, topology(), "the CPU topology that the guest sees"),
        ("vcpus", true, list("vcpu"), "the vCPUs in order, with the pCPUs that each may run on"),
        cpus("idle", false, "idle SMT siblings of the VM's cores"),
        cpus("emulator", false, "the pCPUs of the emulator threads; empty if they float"),
        cpus("emulator_own", false, "pCPUs held for the emulator threads alone"),
        ("iothreads", false, list("cpus"), "the pCPUs of each I/O thread"),
        ("cells", true, list("cell"), "the guest cells; one if the guest sees none"),
        ("gpus", false, list("device"), "the GPUs that the VM gets"),
        ("devices", false, list("device"), "the other devices that the VM gets"),
        (
            "fabric_partition",
            false,
            number(U32),
            "the fabric partition that the GPUs form, to be activated before the VM starts",
        ),
        ("pci", false, of("pci"), "the guest's PCIe tree; empty if omitted"),
        (
            "iommu",
            false,
            boolean(),
            "whether the guest needs an emulated IOMMU with x2APIC; false if omitted",
        ),
        (
            "topoext",
            false,
            boolean(),
            "whether the guest's CPU needs topoext to see its SMT siblings; false if omitted",
        ),
        (
            "whole_cores",
            false,
            boolean(),
            "whether the VM has its cores to itself, also from later VMs; false if omitted",
        ),
        (
            "own_l3",
            false,
            boolean(),
            "whether the VM has its L3 domains to itself, also from later VMs; false if omitted",
        ),
    ]
}

pub(super) fn definitions() -> Vec<Definition> {
    vec![
        cpu_sets(),
        addresses(),
        ("vcpu", vcpu()),
        ("cell", cell()),
        ("device", device()),
        ("pci", pci()),
        ("expander", expander()),
        ("port", port()),
        ("switch", switch()),
        ("function", function()),
    ]
}

pub(super) fn style() -> Value {
    names(&Style::ALL.map(Style::name))
}

fn cell_id() -> Value {
    number(u64::from(CellId::LIMIT) - 1)
}

fn node_id() -> Value {
    number(u64::from(NodeId::LIMIT) - 1)
}

/// A value that is null where it is not known.
fn nullable(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

fn topology() -> Value {
    object(
        "the CPU topology; the product is the number of vCPUs",
        vec![
            ("sockets", true, number(U32), "virtual sockets"),
            ("dies", true, number(U32), "dies in each socket"),
            ("cores", true, number(U32), "cores in each die"),
            ("threads", true, number(U32), "threads of each core"),
        ],
    )
}

fn vcpu() -> Value {
    object(
        "a vCPU",
        vec![
            ("vcpu", true, number(U32), "its number: its position in the list"),
            cpus("pcpus", true, "its pCPUs; empty if it floats everywhere"),
        ],
    )
}

fn cell() -> Value {
    let pages = object(
        "pages on one node",
        vec![
            ("node", true, node_id(), "the node"),
            ("count", true, number(u64::MAX), "the number of pages"),
        ],
    );
    object(
        "a guest NUMA node; a guest without NUMA is one cell",
        vec![
            ("id", true, cell_id(), "its number"),
            ("nodes", true, set(), "the host nodes of its vCPUs and memory; empty if both float"),
            ("vcpus", true, set(), "its vCPUs"),
            ("memory_kib", true, number(u64::MAX >> 10), "its memory in KiB"),
            ("page_kib", true, number(1 << 30), "the size of its pages in KiB"),
            ("pages", false, array(pages), "the expected number of pages on each node"),
            ("distances", true, array(number(255)), "relative distances to all cells, in order"),
        ],
    )
}

fn device() -> Value {
    object(
        "a device that the VM gets",
        vec![
            ("address", true, of("address"), "its address on the host"),
            ("node", false, nullable(node_id()), "its host node; null if unknown"),
            (
                "cell",
                false,
                nullable(cell_id()),
                "the cell whose expander bus it is below; null for none",
            ),
            ("functions", false, array(of("address")), "functions that the guest gets with it"),
            (
                "withheld",
                false,
                array(of("address")),
                "functions of its IOMMU group that are withheld from everybody",
            ),
        ],
    )
}

fn pci() -> Value {
    object(
        "the part of the guest's PCIe tree that passed-through devices need",
        vec![
            ("expanders", false, list("expander"), "expander buses by index"),
            ("ports", false, list("port"), "root ports and downstream ports by index"),
            ("switches", false, list("switch"), "switches by index"),
            ("functions", false, list("function"), "the functions, by port and function"),
            (
                "mmio64_mib",
                false,
                number(u64::MAX),
                "MiB of 64-bit MMIO space that the firmware must offer; its own default if omitted",
            ),
        ],
    )
}

fn expander() -> Value {
    let root = object(
        "a root complex of the host",
        vec![
            ("domain", true, number(U32), "the PCI domain"),
            ("bus", true, number(255), "the root bus"),
        ],
    );
    object(
        "a guest PCIe root that belongs to a cell",
        vec![
            ("index", true, number(U32), "its controller index"),
            ("cell", true, cell_id(), "the cell that it belongs to"),
            ("bus_nr", true, number(255), "its guest bus number"),
            ("root", true, root, "the root complex of the host that it represents"),
        ],
    )
}

fn port() -> Value {
    object(
        "a guest PCIe port",
        vec![
            ("index", true, number(U32), "its controller index and chassis"),
            ("parent", true, number(U32), "the controller index of the bus that it is on"),
            ("slot", false, number(255), "its slot on that bus; libvirt's choice if omitted"),
        ],
    )
}

fn switch() -> Value {
    object(
        "a guest PCIe switch",
        vec![
            ("index", true, number(U32), "the controller index of its upstream port"),
            ("port", true, number(U32), "the controller index of the root port above"),
            ("host", true, of("address"), "the host switch that it represents"),
        ],
    )
}

fn function() -> Value {
    object(
        "the place of a host function in the guest",
        vec![
            ("host", true, of("address"), "the host function"),
            ("port", true, number(U32), "the controller index of its port"),
            ("function", true, number(255), "its function number in the guest's slot 0"),
            ("multifunction", false, boolean(), "whether it is function 0 of several"),
        ],
    )
}
