//! The program `pinwise` as people and other programs call it.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod audit;
mod cli;
mod devices;
mod domain;
#[cfg(feature = "libvirt")]
mod libvirt;
mod manners;
#[cfg(feature = "nvml")]
mod nvml;
mod program;
mod replay;
mod sources;
mod vms;
