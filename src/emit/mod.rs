//! Emitters turn a [`Placement`](crate::Placement) into the input of another program.
//!
//! An emitter renders and never decides: pCPUs, cells and bus numbers are all in the placement. It
//! refuses a placement that the other program would silently misread, so that one changed by hand
//! fails here rather than in a guest.

mod change;
pub mod libvirt;
pub mod xml;

pub use change::DomainChange;
