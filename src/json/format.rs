//! The names and versions of all formats.

/// A host: [`write_host`](super::write_host), [`read_host`](super::read_host).
pub const HOST: &str = "pinwise-host/1";
/// A request: [`write_request`](super::write_request), [`read_request`](super::read_request).
pub const REQUEST: &str = "pinwise-request/1";
/// A tenant: [`write_tenant`](super::write_tenant), [`read_tenant`](super::read_tenant).
pub const TENANT: &str = "pinwise-tenant/1";
/// The resources held by all tenants of a host: [`write_usage`](super::write_usage),
/// [`read_usage`](super::read_usage).
pub const USAGE: &str = "pinwise-usage/1";
/// A placement: [`write_placement`](super::write_placement),
/// [`read_placement`](super::read_placement).
pub const PLACEMENT: &str = "pinwise-placement/1";
/// An offer: [`write_offer`](super::write_offer), [`read_offer`](super::read_offer).
pub const OFFER: &str = "pinwise-offer/1";
/// A shape for counting VMs: [`write_shape`](super::write_shape),
/// [`read_shape`](super::read_shape).
pub const SHAPE: &str = "pinwise-shape/1";
/// A recommendation: [`recommendation`](super::recommendation).
pub const RECOMMENDATION: &str = "pinwise-recommendation/2";
/// A refusal: [`refusal`](super::refusal).
pub const REFUSAL: &str = "pinwise-refusal/2";
/// Findings about domains: [`audit`](super::audit).
pub const AUDIT: &str = "pinwise-audit/1";
