//! Where a host's description comes from: a file, or the machine itself.
//!
//! Every reader ends in a [`HostBuilder`](crate::HostBuilder), whose `build` checks it; nothing that
//! comes from outside is trusted before.

#[cfg(any(feature = "sysfs", feature = "libvirt-xml"))]
mod cores;
#[cfg(any(feature = "sysfs", feature = "libvirt-xml"))]
mod notes;
#[cfg(feature = "serde")]
mod placement;
#[cfg(any(feature = "sysfs", feature = "libvirt-xml"))]
mod reading;
#[cfg(any(feature = "serde", feature = "sysfs", feature = "libvirt-xml"))]
mod shown;
#[cfg(feature = "serde")]
mod snapshot;
#[cfg(feature = "serde")]
mod texts;
#[cfg(feature = "serde")]
pub use placement::{Described, PLACEMENT_FORMAT, read_described, read_placement_host};
#[cfg(feature = "serde")]
pub use snapshot::{FORMAT, MAX_TEXT, SnapshotError, read_host, write_host};
#[cfg(feature = "serde")]
pub use texts::{read_request, read_tenant};

#[cfg(any(feature = "sysfs", feature = "libvirt-xml"))]
pub use reading::Reading;

#[cfg(feature = "libvirt-xml")]
pub mod hwloc;
#[cfg(feature = "libvirt-xml")]
pub mod libvirt;
#[cfg(feature = "sysfs")]
pub mod sysfs;
