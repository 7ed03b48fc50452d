//! Emitters turn a [`Placement`](crate::Placement) into what another program reads.
//!
//! An emitter renders and never decides: which pCPUs, which cells, which bus numbers are all in the
//! placement. It refuses what its reader would misunderstand silently, so that a placement which
//! was changed by hand fails here rather than in a guest.

pub mod libvirt;
pub mod xml;
