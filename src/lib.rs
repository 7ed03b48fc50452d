//! Where in a host a GPU virtual machine should live, and how much of the hardware its guest should
//! see.
//!
//! vCPUs, memory and GPUs on different NUMA nodes cost a VM a part of its speed, and pinning, guest
//! cells, SMT siblings and hugepages each help some workloads on some hosts and hurt others.
//! [`recommend`] takes a [`Host`], the [`Usage`] of its tenants and a [`Request`], and ranks the
//! placements that fit; each has a [`Score`], a predicted range for every [`Metric`] against the
//! default layout, the findings that the ranges rest on, and what it costs the host.
//!
//! ```
//! use pinwise::{
//!     Bytes, CoreKind, CoreSpec, CpuSet, HostSpec, NodeId, NodeSpec, Options, PackageId,
//!     PcpuId, RequestSpec, Style, Usage, recommend,
//! };
//!
//! // Two packages of four cores, a node each. `discover` reads real machines.
//! let cpus = |range: std::ops::Range<u32>| range.map(PcpuId).collect::<CpuSet>();
//! let node = |id: u32| NodeSpec {
//!     id: NodeId(id),
//!     cpus: cpus(id * 4..id * 4 + 4),
//!     memory: Bytes::from_gib(32),
//!     pools: Vec::new(),
//!     distances: Vec::new(),
//! };
//! let core = |n: u32| CoreSpec {
//!     package: PackageId(n / 4),
//!     die: 0,
//!     core: n % 4,
//!     kind: CoreKind::Performance,
//!     max_mhz: None,
//!     pcpus: cpus(n..n + 1),
//! };
//! let host = HostSpec {
//!     name: "two-nodes".to_owned(),
//!     nodes: (0..2).map(node).collect(),
//!     cores: (0..8).map(core).collect(),
//!     ..HostSpec::default()
//! };
//! let host = host.build()?;
//!
//! let request = RequestSpec::new("vm1", 4, Bytes::from_gib(16)).build()?;
//! let answer = recommend(&host, &Usage::empty(&host), &request, &Options::default())?;
//! // Core 0 is left to the host, so the VM fits on node 1 alone, and stays there whole.
//! let best = &answer.best().placement;
//! assert_eq!(best.style, Style::Pin);
//! assert_eq!(best.vcpu_pcpus(), cpus(4..8));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! - In: [`HostSpec`] or [`discover`], then [`Host`]; [`Usage`] with a [`Claim`] for each tenant;
//!   [`RequestSpec`], then [`Request`], with a [`Workload`] and [`Policies`].
//! - The engine: [`recommend`], tuned by [`Options`]. It enumerates candidates, drops what cannot be
//!   ([`Fact`], [`Rejection`]), asks every rule ([`RuleId`], [`Profile`], [`Evidence`]), and ranks by
//!   [`Score`]. A pure function: no I/O, clock, environment or randomness.
//! - Out: [`Recommendation`] with [`Ranked`] placements, or [`Infeasible`]; [`Placement`] is plain data
//!   with nothing left to decide. [`explain`](explain()) and [`explain_refusal`] make text of it,
//!   [`emit`] makes libvirt XML and JSON, [`smallest_changes`] finds what would fit.
//! - Tenants: [`Placement::offer`] and [`Usage::accept`] claim what was computed a while ago, or say who
//!   took what; [`Usage::drift`] compares memory with what is there. [`capacity`](capacity()) counts the
//!   VMs that could still come, [`rebalance`](rebalance()) says what would make room.
//! - The check: [`verify`](verify()) judges a placement anew, and shares no code with the engine.
//!
//! # Features
//!
//! On by default, and Rust alone: `serde`: descriptions, requests, tenants and answers as JSON. `sysfs`:
//! hosts from sysfs. `libvirt-xml`: libvirt's and lstopo's XML as hosts and tenants, and patching an
//! existing domain. With libraries of the machine: `hwloc`: this machine through libhwloc. `nvml`: what
//! NVIDIA's driver knows, if it is there. `libvirt`: hosts and tenants from a libvirt that runs.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod capacity;
pub mod changes;
pub mod emit;
pub mod engine;
pub mod explain;
pub mod fleet;
mod free;
pub mod host;
#[cfg(feature = "serde")]
pub mod json;
pub mod placement;
mod question;
pub mod rebalance;
pub mod request;
pub mod sets;
#[doc(hidden)]
pub mod shown;
pub mod units;
pub mod usage;
pub mod verify;
mod warnings;
pub mod workload;

pub use engine::rules;
pub use engine::{Infeasible, Options, Ranked, Recommendation, Score, recommend};
pub use explain::explain;
pub use host::{Host, HostError, HostSpec};
pub use placement::{Placement, Style};
pub use question::Question;
pub use request::{Policies, Policy, Request, RequestError, RequestSpec};
pub use sets::{CpuSet, NodeSet};
pub use units::{Bytes, PageSize, PciAddr};
pub use usage::{Claim, Usage};
pub use verify::{Violation, verify};
pub use warnings::Warning;
pub use workload::{Metric, Workload};

/// The README's examples run as tests.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
