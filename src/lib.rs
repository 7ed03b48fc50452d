//! Where inside a host should a GPU virtual machine live, and how much of the hardware should its
//! guest see?
//!
//! [`recommend`] answers a [`Question`]: a [`Host`], the [`Usage`] of the tenants that are there,
//! and a [`Request`]. The answer is a ranking of the layouts that fit. Each has a [`Score`], an
//! expected range for every [`Metric`] against the default layout, the published findings behind
//! the ranges, and what it costs the host. If nothing fits, the error gives the reasons for each
//! layout.
//!
//! ```
//! # #[cfg(feature = "serde")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use pinwise::json::read_host;
//! use pinwise::{Bytes, Question, RequestSpec, Usage, recommend, verify};
//!
//! let host = read_host(include_str!("../fixtures/hosts/hgx-h200-snc2.json"))?.build()?;
//! let usage = Usage::empty(&host);
//! let request = RequestSpec::new("vm1", 16, Bytes::from_gib(64)).build()?;
//! let question = Question::new(&host, &usage, &request);
//!
//! let best = recommend(question)?.best().placement.clone();
//! assert_eq!(best.nodes().len(), 1); // all of it on one node
//! verify(question, &best)?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "serde"))]
//! # fn main() {}
//! ```
//!
//! # Where things are
//!
//! - **Hosts.** [`host`] has the types and the limits. The crate `pinwise-discover` reads hosts and
//!   tenants from sysfs, lstopo, libvirt and NVML; [`json`] reads and writes pinwise's own formats.
//! - **Requests.** [`request`] and [`workload`]: what the VM needs, what it prefers, what it runs.
//! - **Tenants.** [`usage`]: who holds what. [`Question::offer`] and [`Usage::accept`] claim an
//!   answer that was computed a while ago, or say who took what in between. [`Usage::drift`]
//!   compares what is remembered with what is found.
//! - **Answers.** [`engine`] has the ranking, refusals and options, [`rules`] the rules and their
//!   evidence, and [`placement`] the result: plain data, with nothing left to decide.
//! - **Words and XML.** [`explain`](mod@explain) puts answers and refusals into words, [`emit`]
//!   into libvirt XML.
//! - **More than one VM.** [`capacity`] counts how many more VMs of one shape fit. [`changes`]
//!   finds the smallest change that makes a refused request fit, and [`rebalance`] the moves of
//!   tenants that do.
//! - **More than one host.** [`fleet`] ranks hosts for a request; with the feature `rayon` on all
//!   cores, with the same answers in the same order.
//! - **What runs already.** [`audit`](mod@audit) finds what is wrong with a domain as it is.
//! - **The check.** [`verify`](mod@verify) judges a placement anew, and shares no code with the
//!   engine.
//!
//! # What a score is
//!
//! A sum over metrics, in thousandths of a natural logarithm: +42 is about 4% better than the
//! default layout for the request's workload. Scores compare layouts of one VM on one host. They
//! are not throughput, and they rest on measurements that others made on other machines.
//!
//! # What it does not do
//!
//! It starts, moves and changes nothing, and it measures nothing. It has no I/O, clock,
//! environment, randomness or threads of its own (but for rayon's, in a fleet): the same question
//! has the same answer, byte for byte, on every machine. All its types are `Send` and `Sync`. To
//! share a [`Usage`] between threads, copy it, compute without a lock, and have the offer accepted
//! under one.
//!
//! # Stability
//!
//! Before 1.0 a minor version may change signatures, and the changelog says how to follow. Outputs
//! and growing enums are `non_exhaustive`. A JSON format keeps its version number for as long as
//! older readers understand what is written. A change of recommendations is never silent: the
//! changelog lists each under a heading of its own.
//!
//! # Features
//!
//! - `serde` (on by default): the module [`json`].
//! - `rayon`: the hosts of a fleet are asked in parallel.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod audit;
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
pub use warnings::{InUse, Warning};
pub use workload::{Metric, Workload};

/// The README's examples run as tests.
#[cfg(all(doctest, feature = "serde"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
