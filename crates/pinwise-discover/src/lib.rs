//! Readers of host descriptions: from files, or from the machine itself.
//!
//! Every reader returns a [`HostSpec`](pinwise::HostSpec), whose `build` checks it; nothing from
//! outside is trusted before that.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

#[cfg(all(feature = "serde", feature = "xml"))]
mod assembly;
#[cfg(any(feature = "sysfs", feature = "xml"))]
mod caches;
mod core_note;
#[cfg(any(feature = "sysfs", feature = "xml"))]
mod cores;
#[cfg(feature = "xml")]
mod document;
mod kinds;
mod notes;
mod pasted;
#[cfg(feature = "serde")]
mod placement_host;
#[cfg(any(feature = "sysfs", feature = "xml"))]
mod reading;
mod redact;
mod texts;
mod uuid;
#[cfg(all(feature = "serde", feature = "xml"))]
mod vm;

pub mod facts;
#[cfg(all(feature = "serde", feature = "sysfs", feature = "xml"))]
pub mod files;
#[cfg(feature = "xml")]
pub mod hwloc;
#[cfg(all(feature = "serde", feature = "xml"))]
pub mod kubevirt;
#[cfg(feature = "xml")]
pub mod libvirt;
#[cfg(feature = "nvml")]
pub mod nvml;
#[cfg(feature = "xml")]
pub mod opennebula;
#[cfg(feature = "xml")]
pub mod proxmox;
#[cfg(feature = "sysfs")]
pub mod sysfs;
#[cfg(all(feature = "serde", feature = "xml"))]
pub mod tenants;

#[cfg(all(feature = "serde", feature = "xml"))]
pub use assembly::{Assembled, Assembly, AssemblyError, TextKind};
pub use core_note::{CoreNote, KindSign};
pub use notes::Note;
pub use pasted::clean as unpasted;
#[cfg(feature = "serde")]
pub use placement_host::{Described, PLACEMENT_FORMAT, read_described, read_placement_host};
#[cfg(any(feature = "sysfs", feature = "xml"))]
pub use reading::Reading;
pub use redact::{Redacted, redact};
pub use texts::{Gives, TextFormat, text_formats};
#[cfg(all(feature = "serde", feature = "xml"))]
pub use vm::{VmError, read_vm};
