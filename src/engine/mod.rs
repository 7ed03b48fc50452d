//! The engine: a host, its tenants, a request and options in; ranked placements, or facts that
//! refuse, out.

pub(crate) mod beside;
pub(crate) mod build;
pub(crate) mod cost;
pub(crate) mod diagnose;
pub(crate) mod gpu_mix;
pub(crate) mod gpu_set;
pub(crate) mod gpu_tenants;
pub(crate) mod profile;
pub(crate) mod recommend;
pub(crate) mod refusal;
pub mod rules;
pub(crate) mod score;
pub(crate) mod search;
pub(crate) mod wished;
pub(crate) mod work;

pub use cost::{HostCost, SLOT_SIZES, SlotCounts};
pub use gpu_mix::{GpuShape, GpuShare, SlotWeights};
pub use gpu_set::{Collective, GpuPath};
pub use profile::{L3Use, Profile};
pub use recommend::{Infeasible, Ranked, Recommendation, recommend};
pub use refusal::{Fact, Rejection};
pub use score::{Options, Property, Score, score};
pub use work::Work;
