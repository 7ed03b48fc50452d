//! Where a host's description comes from: a file, or the machine itself.
//!
//! Every reader ends in a [`HostBuilder`](crate::HostBuilder), whose `build` checks it; nothing that
//! comes from outside is trusted before.

use crate::shown;

#[cfg(all(feature = "serde", feature = "libvirt-xml"))]
mod assembly;
#[cfg(any(feature = "sysfs", feature = "libvirt-xml"))]
mod caches;
mod cores;
mod notes;
#[cfg(feature = "serde")]
mod placement;
#[cfg(any(feature = "sysfs", feature = "libvirt-xml"))]
mod reading;
mod redact;
#[cfg(feature = "serde")]
mod schema;
#[cfg(feature = "serde")]
mod snapshot;
#[cfg(feature = "serde")]
mod texts;
#[cfg(feature = "serde")]
pub use placement::{Described, PLACEMENT_FORMAT, read_described, read_placement_host};
#[cfg(feature = "serde")]
pub use schema::host_schema;
#[cfg(feature = "serde")]
pub use snapshot::{FORMAT, MAX_TEXT, SnapshotError, read_host, write_host};
#[cfg(feature = "serde")]
pub use texts::{read_request, read_tenant};

#[cfg(all(feature = "serde", feature = "libvirt-xml"))]
pub use assembly::{Assembled, Assembly, AssemblyError, TextKind};
#[cfg(any(feature = "sysfs", feature = "libvirt-xml"))]
pub use reading::Reading;

pub use redact::{Redacted, redact};

pub mod facts;
#[cfg(feature = "libvirt-xml")]
pub mod hwloc;
#[cfg(feature = "libvirt-xml")]
pub mod libvirt;
#[cfg(feature = "nvml")]
pub mod nvml;
#[cfg(feature = "sysfs")]
pub mod sysfs;
