//! Readers of libvirt's XML: domains become tenants and requests, capabilities and node devices
//! become a host.
//!
//! Texts in, plain data out; only a `Connection` (feature `libvirt`) talks to libvirt. XML is never
//! trusted: its length, elements, attributes and namespaces are bounded, and a document type is
//! refused. A text that cannot be read is one error with its place. Whatever was left out or
//! guessed is a note.

mod as_is;
mod capabilities;
mod domain;
mod guest_pci;
#[cfg(feature = "libvirt")]
mod live;
mod nodedev;
pub(crate) mod note;
mod patch;
pub(crate) mod problem;
mod request;
mod values;
pub(crate) mod xml;

pub use as_is::{DomainAsIs, domain_as_is};
#[cfg(feature = "serde")]
pub(crate) use capabilities::PARTS;
pub use capabilities::read_capabilities;
pub(crate) use domain::{Binding, spread};
pub use domain::{Domain, is_windows, read_domain};
#[cfg(feature = "libvirt")]
pub use live::{Connection, ConnectionError, SYSTEM};
pub use nodedev::{NodeDevice, add_node_devices, read_node_device};
pub use note::LibvirtNote;
pub use patch::{PatchError, PatchOptions, PatchedDomain, patch, patch_with};
pub use problem::{LibvirtError, TextPlace};
pub(crate) use request::with_devices;
pub use request::{DomainRequest, request_of_domain};
