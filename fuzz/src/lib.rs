//! The harnesses of `tests/fuzz`, for the targets. No code of its own.
#![allow(clippy::unwrap_used, reason = "a harness stops at what it did not expect")]
#![allow(unreachable_pub, dead_code, reason = "shared with the tests")]

#[path = "../../tests/oracle/case.rs"]
mod case;
#[path = "../../tests/common/claims.rs"]
mod claims;
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/fuzz/mod.rs"]
pub mod fuzz;
#[path = "../../tests/common/rng.rs"]
#[allow(clippy::cast_possible_truncation, reason = "small numbers, made there")]
mod rng;
#[path = "../../tests/oracle/tiny.rs"]
#[allow(clippy::cast_possible_truncation, reason = "small numbers, made there")]
mod tiny;
#[path = "../../tests/trees/mod.rs"]
mod trees;
