//! The JSON Schemas of what VMs hold: tenants, usages and offers.

use serde_json::{Value, json};

use super::{
    Definition, Field, U32, addresses, amounts, array, boolean, cpu_sets, cpus, document,
    document_by_hand, list, number, object, of, one_of, string,
};
use crate::json::format::{OFFER, TENANT, USAGE};
use crate::units::{Id as _, NodeId};

/// The JSON Schema (draft 2020-12) of what [`write_tenant`](crate::json::write_tenant) writes. The
/// same bytes each time.
#[must_use]
pub fn tenant_schema() -> String {
    let mut fields = vec![("name", true, string(), "the VM's name")];
    fields.extend(claim());
    document_by_hand(TENANT, "the claim of one VM", fields, definitions())
}

/// The JSON Schema (draft 2020-12) of what [`write_usage`](crate::json::write_usage) writes. The
/// same bytes each time.
#[must_use]
pub fn usage_schema() -> String {
    let fields = vec![
        ("host", true, string(), "the host's name"),
        ("generation", true, number(u64::MAX), "the number of claims and releases so far"),
        ("tenants", true, list("tenant"), "the tenants"),
        (
            "unexplained",
            true,
            list("unexplained"),
            "pages in use when the host was described that no tenant of that time held",
        ),
    ];
    let mut tenant = vec![
        ("name", true, string(), "the VM's name"),
        ("since", true, number(u64::MAX), "the generation that its claim made"),
    ];
    tenant.extend(claim());
    let unexplained = vec![
        ("node", true, node(), "the node that they are on"),
        ("page_size", true, of("bytes"), "the size of a page"),
        ("count", true, number(u64::MAX), "the number of pages"),
    ];
    let mut definitions = definitions();
    definitions.push(("tenant", object("a tenant", tenant)));
    definitions.push(("unexplained", object("pages that nobody is known to hold", unexplained)));
    document(USAGE, "the claims of all VMs of a host", fields, definitions)
}

/// The JSON Schema (draft 2020-12) of what [`write_offer`](crate::json::write_offer) writes. The
/// same bytes each time.
#[must_use]
pub fn offer_schema() -> String {
    let fields = vec![
        ("host", true, string(), "the name of the host that it is for"),
        ("tenant", true, string(), "the VM's name"),
        ("claim", true, object("the claim of the VM", claim()), "the claim of the VM"),
        (
            "generation",
            true,
            number(u64::MAX),
            "the generation of the usage that it was computed against",
        ),
        (
            "whole_cores",
            true,
            boolean(),
            "whether it is refused if another tenant holds any pCPU of its cores",
        ),
    ];
    document(OFFER, "a claim to be accepted later", fields, definitions())
}

/// The fields of a claim, as a tenant and the claim of an answer have them.
pub(super) fn claim() -> Vec<Field> {
    vec![
        cpus("dedicated", false, "pCPUs that nobody else may use"),
        cpus("floating", false, "pCPUs that it shares with others"),
        ("pages", false, list("pages"), "its memory"),
        ("devices", false, array(of("address")), "its devices, whole IOMMU groups"),
        (
            "mediated",
            false,
            array(one_of(&[of("address"), json!({ "type": "null" })])),
            "its mediated devices (mdev), each by its parent; null if the parent is unknown",
        ),
        (
            "whole_cores",
            false,
            boolean(),
            "whether nobody else may be on its cores; false if omitted",
        ),
        (
            "own_l3",
            false,
            boolean(),
            "whether nobody else may be in the L3 domains of its dedicated pCPUs; false if omitted",
        ),
        (
            "floating_vcpus",
            false,
            number(U32),
            "the number of its vCPUs that float; 0, none or unknown, if omitted",
        ),
    ]
}

/// Pages of one size that a claim has in one place.
pub(super) fn pages() -> Definition {
    let fields = vec![
        ("node", false, node(), "the node of the pages; anywhere if omitted"),
        ("page_size", true, of("bytes"), "the size of a page, a power of two from 4 KiB"),
        ("count", true, number(u64::MAX), "the number of pages"),
    ];
    ("pages", object("pages of one size in one place", fields))
}

fn definitions() -> Vec<Definition> {
    vec![cpu_sets(), amounts(), addresses(), pages()]
}

fn node() -> Value {
    number(u64::from(NodeId::LIMIT) - 1)
}
