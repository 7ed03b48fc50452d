//! Our own formats as JSON text: hosts, requests, tenants, usages, placements, offers, capacity
//! shapes, and answers.
//!
//! | format | contents | write | read |
//! |---|---|---|---|
//! | [`HOST`] | a host's description | [`write_host`] | [`read_host`] |
//! | [`REQUEST`] | a requested VM | [`write_request`] | [`read_request`] |
//! | [`TENANT`] | the claim of one VM | [`write_tenant`] | [`read_tenant`] |
//! | [`USAGE`] | the claims of all VMs of a host, and their generations | [`write_usage`] | [`read_usage`] |
//! | [`PLACEMENT`] | a VM's place on its host, and its guest's view | [`write_placement`] | [`read_placement`] |
//! | [`OFFER`] | a claim to be accepted later | [`write_offer`] | [`read_offer`] |
//! | [`SHAPE`] | the shape of VMs whose capacity is counted | [`write_shape`] | [`read_shape`] |
//! | [`RECOMMENDATION`] | placements, best first | [`recommendation`] | [`read_placements`] |
//! | [`AUDIT`] | findings about domains | [`audit`] | by other programs |
//! | [`REFUSAL`] | the reasons why nothing fits, and changes after which it would | [`refusal`] | by other programs |
//!
//! The rules, for every format:
//!
//! - The field `format` names the format and its version. A text of another version is refused, and
//!   the message names both versions. Requests and tenants, which people write by hand, may omit
//!   the field.
//! - Keys are in snake_case, and so are values that tag one of several forms or name a property:
//!   `"fact": "cores_short"`, `"warning": "degraded_link"`, `"change": "more_pages"`, `"unmet":
//!   ["gpu_locality"]`. Names that people type or search for are spelled as on the command line:
//!   workloads (`gpu-training`), metrics (`cpu-all-threads`), styles (`pin+numa`) and rules
//!   (`pinned-threads`).
//! - Amounts of memory are texts with a binary unit (`"64 GiB"`), or numbers whose key ends in the
//!   unit (`memory_kib`). Sets are texts in the kernel's list format (`"0-3,8"`), PCI addresses in
//!   the kernel's notation (`"0000:1b:00.0"`).
//! - A reader refuses an unknown field, and names it together with the format. Writers omit fields
//!   with default values, so that a field added by a later release does not stop an older reader
//!   unless it matters. Defaults belong to the version of the format.
//! - A written value is read back equal, and the same value gives the same bytes.
//! - Readers also accept older spellings in requests, tenants and shapes: `page-size` and all other
//!   keys with hyphens, `size` for the page size of a tenant's pages, and `page` for that of a
//!   shape.
//!
//! Each format has a JSON Schema (draft 2020-12), made by [`host_schema`] and its neighbours and
//! kept as a file in `fixtures`. A schema states the form of each field in its canonical spelling.
//! Consistency between fields, and with a host, is checked by
//! [`HostSpec::build`](crate::HostSpec::build), [`RequestSpec::build`](crate::RequestSpec::build),
//! [`read_usage`] and [`verify`](crate::verify()).

mod answer;
mod audit;
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

pub use answer::{recommendation, recommendation_for_domain, recommendation_on, refusal};
pub use audit::{Audited, audit};
pub use format::{
    AUDIT, HOST, OFFER, PLACEMENT, RECOMMENDATION, REFUSAL, REQUEST, SHAPE, TENANT, USAGE,
};
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
