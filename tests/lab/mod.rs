//! What the tests that `tests/lab/run` runs have in common: the judges, the machines and guests that
//! QEMU makes up, and the placements that are tried.
#![allow(dead_code, reason = "each of them takes what it needs")]

pub(crate) mod archive;
#[path = "../common/mod.rs"]
pub(crate) mod common;
pub(crate) mod judge;
pub(crate) mod machine;
pub(crate) mod placements;
#[path = "../common/rng.rs"]
#[allow(clippy::cast_possible_truncation, reason = "small numbers, made here")]
mod rng;
pub(crate) mod spread;
pub(crate) mod stand_in;
pub(crate) mod view;
