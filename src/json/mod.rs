//! Our own formats as JSON text: hosts, requests, tenants, usages, placements, offers, capacity
//! shapes, and answers.
//!
//! | format | what it is | write | read |
//! |---|---|---|---|
//! | [`HOST`] | a host's description | [`write_host`] | [`read_host`] |
//! | [`REQUEST`] | a VM that is asked for | [`write_request`] | [`read_request`] |
//! | [`TENANT`] | what one VM holds | [`write_tenant`] | [`read_tenant`] |
//! | [`USAGE`] | what all VMs of a host hold, and since when | [`write_usage`] | [`read_usage`] |
//! | [`PLACEMENT`] | where a VM lives and what its guest sees | [`write_placement`] | [`read_placement`] |
//! | [`OFFER`] | a claim to be accepted later | [`write_offer`] | [`read_offer`] |
//! | [`SHAPE`] | the VMs that capacity counts | [`write_shape`] | [`read_shape`] |
//! | [`RECOMMENDATION`] | placements, best first | [`recommendation`] | [`read_placements`] |
//! | [`REFUSAL`] | why nothing fits, and what would | [`refusal`] | by other programs |
//!
//! The rules, for every format:
//!
//! - The field `format` names the format and its version. A text of another version is refused with
//!   both versions in the message. Requests and tenants, which people write by hand, may leave the
//!   field out.
//! - Keys are in snake_case, and so are values that tag one of several forms or name a property:
//!   `"fact": "cores_short"`, `"warning": "degraded_link"`, `"change": "more_pages"`, `"unmet":
//!   ["gpu_locality"]`. Names that people type or search for keep the spelling that they have on
//!   the command line and on the screen: workloads (`gpu-training`), metrics (`cpu-all-threads`),
//!   styles (`pin+numa`) and rules (`pinned-threads`).
//! - Amounts of memory are texts with a binary unit (`"64 GiB"`), or numbers whose key ends in the
//!   unit (`memory_kib`). Sets are texts in the kernel's list format (`"0-3,8"`), PCI addresses as
//!   the kernel writes them (`"0000:1b:00.0"`).
//! - A reader refuses a field that it does not know, and names it together with the format. The
//!   writers leave a field out where it has its default, so that a field that a later release adds
//!   does not stop an older reader that does not need it. Defaults belong to the version of the
//!   format.
//! - What is written is read back equal, and the same value gives the same bytes.
//! - Readers also take the older spellings of requests, tenants and shapes: `page-size` and all
//!   other keys with hyphens, `size` for the page size of a tenant's pages, `page` for that of a
//!   shape.
//!
//! Each format has a JSON Schema (draft 2020-12), made by [`host_schema`] and its neighbours, and
//! kept as a file in `fixtures`. A schema says what each field may hold, in its canonical spelling.
//! That the fields fit together, and to a host, is checked by
//! [`HostSpec::build`](crate::HostSpec::build), [`RequestSpec::build`](crate::RequestSpec::build),
//! [`read_usage`] and [`verify`](crate::verify()).

mod answer;
mod format;
mod host;
mod offer;
mod placement;
mod request;
mod schema;
mod shape;
mod tenant;
mod text;
mod usage;
mod write;

#[cfg(test)]
mod tests;

pub use answer::{recommendation, recommendation_on, refusal};
pub use format::{HOST, OFFER, PLACEMENT, RECOMMENDATION, REFUSAL, REQUEST, SHAPE, TENANT, USAGE};
pub use host::{read_host, write_host};
pub use offer::{read_offer, write_offer};
pub use placement::{read_placement, read_placements, write_placement};
pub use request::{read_request, write_request};
pub use schema::{
    host_schema, offer_schema, placement_schema, recommendation_schema, refusal_schema,
    request_schema, shape_schema, tenant_schema, usage_schema,
};
pub use shape::{read_shape, write_shape};
pub use tenant::{read_tenant, write_tenant};
pub use text::{JsonError, MAX_TEXT, format_of, read_as};
pub use usage::{read_usage, write_usage};
