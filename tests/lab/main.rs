//! The emitted XML before libvirt, and the engine inside guests that QEMU boots: `tests/lab/run`
//! installs what that takes and runs it.
//!
//! Every test passes at once unless `PINWISE_LAB=1`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a lab says what it did, asks the environment whether it is there, and stops at surprises"
)]

mod archive;
mod booted;
mod judge;
mod judged;
mod machine;
mod spread;
mod stand_in;
mod view;
mod virtual_host;
