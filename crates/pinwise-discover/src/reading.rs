//! The result of reading a whole host.

use crate::notes::Note;
use pinwise::host::HostSpec;

/// A machine as a source shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The host, unchecked until it is built. Parts that the source does not know are missing:
    /// sysfs has no names of GPU models and no NVLinks, lstopo no IOMMU groups, and libvirt's
    /// capabilities no devices.
    pub host: HostSpec,
    /// Notes on what was ignored, replaced or guessed.
    pub notes: Vec<Note>,
}
