//! The engine: a host, its tenants, a request and options in; ranked placements, or facts that refuse,
//! out.

pub(crate) mod build;
pub(crate) mod cost;
pub(crate) mod diagnose;
pub(crate) mod profile;
pub(crate) mod recommend;
pub(crate) mod refusal;
pub(crate) mod rules;
pub(crate) mod score;
pub(crate) mod search;
