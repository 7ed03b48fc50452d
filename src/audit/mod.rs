//! The audit: a read-only check of a domain as it is.
//!
//! **Takes** a [`Question`] (the host, all *other* tenants, and the request that the domain makes)
//! and the domain as it is ([`AsIs`]). **Gives** findings ([`Found`]), the worst first. A finding
//! has a rule ([`AuditId`]), ids and numbers, the effect that its fix is expected to have, and the
//! fix as text. It changes nothing and asks nobody.
//!
//! # Absolute and relative rules
//! Some rules need the domain and the host alone: guest siblings on different cores. Others say
//! that something could be better: a VM on more nodes than it must be on. These compare with the
//! engine's own answer for the same VM beside the same tenants, so that what they ask for was
//! shown to be possible. Where the engine finds no place they are silent.
//!
//! # Invariants
//! - What the engine recommends with pins has no finding, except about the hardware that the
//!   request names: degraded links, lost groups, fabric partitions, NICs apart.
//! - The same input gives the same findings in the same order.
//!
//! # Known limitations
//! - Only what the domain states counts. cgroups, numad and pins set by hand on a running QEMU do
//!   not show in its XML.
//! - Whether pools of hugepages survive a reboot is not known to a host's description.
//! - Relative rules judge the whole answer: if a finding's fix is put in alone, others may follow.
//!   `pinwise recommend --domain` puts in all of it.

mod as_is;
mod devices;
mod facts;
mod fix;
mod found;
mod guest;
mod helpers;
mod memory;
mod scene;
mod table;
mod text;
mod vcpus;

pub use as_is::{AsIs, Binding, CellAsIs, CpuAsIs, DeviceAsIs, ExpanderAsIs};
pub use facts::{Effect, Facts, Severity};
pub use fix::Fix;
pub use found::Found;
pub use table::AuditId;

use crate::question::Question;
use scene::Scene;

/// The findings about a domain, the worst first; none if it is as it should be.
///
/// The question has the host, the usage of all other tenants, and the request that the domain
/// makes, with its GPUs and devices by address.
#[must_use]
pub fn audit(question: Question<'_>, domain: &AsIs) -> Vec<Found> {
    let scene = Scene::new(question, domain);
    let mut all: Vec<Found> =
        AuditId::ALL.into_iter().filter_map(|id| Found::of(id, &scene)).collect();
    all.sort_by_key(|found| (found.severity(), found.id));
    all
}
