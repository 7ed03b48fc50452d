//! What the tests, benchmarks and fuzzers of pinwise share.
//!
//! Texts and trees that readers read ([`texts`], [`trees`]), hosts to place VMs on ([`hosts`],
//! which are the fixtures; [`machine`], [`tiny`], [`shapes`]), placements made by hand
//! ([`placements`]), numbers drawn from a seed ([`rng`]) and texts broken by them ([`mutate`]), and
//! functions of bytes for fuzzers ([`fuzz`]). [`schema`] holds values against JSON Schemas.
#![allow(missing_docs, missing_debug_implementations, reason = "its users are a few files away")]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::missing_errors_doc,
    clippy::new_without_default,
    reason = "a test stops at what it did not expect, and draws small numbers"
)]

pub mod case;
pub mod claims;
pub mod common;
pub mod fuzz;
pub mod hosts;
pub mod machine;
pub mod mutate;
pub mod placements;
pub mod rng;
pub mod schema;
pub mod shapes;
pub mod texts;
pub mod tiny;
pub mod trees;
pub mod virtual_functions;
