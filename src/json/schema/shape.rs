//! The JSON Schema of the shapes that capacity counts.

use super::request::sharing;
use super::{U32, amounts, array, boolean, document, names, number, of, one_of, set, tagged};
use crate::json::format::SHAPE;

/// The JSON Schema (draft 2020-12) of what [`write_shape`](crate::json::write_shape) writes. The
/// same bytes each time.
#[must_use]
pub fn shape_schema() -> String {
    let sets = tagged("sets", array(set()), "all cells in one of these sets of nodes");
    let fields = vec![
        ("cells", true, number(U32), "the number of cells, each on a node of its own"),
        ("vcpus", true, number(U32), "vCPUs of each cell"),
        ("memory", true, of("bytes"), "memory of each cell"),
        ("page_size", true, of("bytes"), "the size of its pages, a power of two from 4 KiB"),
        ("gpus", false, number(U32), "GPUs of each cell, on the cell's node; 0 if omitted"),
        (
            "virtual_functions",
            false,
            number(U32),
            "virtual functions (SR-IOV) of GPUs of each cell, on the cell's node; 0 if omitted",
        ),
        ("smt", false, boolean(), "whether the guest sees SMT siblings; false if omitted"),
        ("whole_cores", false, boolean(), "whether a core has one VM only; true if omitted"),
        ("shared", false, sharing(), "vCPUs that float over shared pCPUs; dedicated if omitted"),
        (
            "bond",
            false,
            names(&["any", "linked", "partition"]),
            "how its GPUs must be connected; any if omitted",
        ),
        (
            "allowed",
            false,
            one_of(&[names(&["any"]), sets]),
            "the nodes that its cells may be on; any if omitted",
        ),
    ];
    document(SHAPE, "a VM of equal cells, each on a node of its own", fields, vec![amounts()])
}
