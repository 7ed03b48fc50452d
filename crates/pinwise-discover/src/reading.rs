//! What a reader of a whole host returns.

use crate::notes::Note;
use pinwise::host::HostSpec;

/// What a source shows of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The host, unchecked until it is built. What the source does not know is left out: sysfs has
    /// no names of GPU models and no NVLinks, lstopo no IOMMU groups, and libvirt's
    /// capabilities no devices.
    pub host: HostSpec,
    /// What was left out, replaced or guessed, and why.
    pub notes: Vec<Note>,
}
