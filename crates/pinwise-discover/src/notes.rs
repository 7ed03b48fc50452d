//! Notes: what readers ignored, replaced or guessed.

use std::fmt;

use crate::core_note::CoreNote;
use crate::facts::note::FactsNote;
use crate::facts::overlay::note::OverlayNote;
#[cfg(feature = "xml")]
use crate::hwloc::note::LstopoNote;
#[cfg(all(feature = "serde", feature = "xml"))]
use crate::kubevirt::note::KubevirtNote;
#[cfg(feature = "xml")]
use crate::libvirt::note::LibvirtNote;
#[cfg(feature = "nvml")]
use crate::nvml::note::NvmlNote;
#[cfg(feature = "xml")]
use crate::opennebula::note::OpenNebulaNote;
#[cfg(feature = "xml")]
use crate::proxmox::note::ProxmoxNote;
#[cfg(feature = "sysfs")]
use crate::sysfs::note::SysfsNote;

/// The number of notes that are kept in full; a source with more repeats one defect.
const MAX_NOTES: usize = 64;

/// One thing that a reader ignored, replaced or guessed, and why. Its `Display` is a sentence
/// without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A note on cores, caches or the pCPUs of nodes, from any reader.
    Core(CoreNote),
    /// From the reader of sysfs.
    #[cfg(feature = "sysfs")]
    Sysfs(SysfsNote),
    /// From the reader of lstopo's XML.
    #[cfg(feature = "xml")]
    Lstopo(LstopoNote),
    /// From the readers of libvirt's XML, or from a connection to libvirt.
    #[cfg(feature = "xml")]
    Libvirt(LibvirtNote),
    /// From the reader of Proxmox's configurations.
    #[cfg(feature = "xml")]
    Proxmox(ProxmoxNote),
    /// From the reader of KubeVirt's VMs.
    #[cfg(all(feature = "serde", feature = "xml"))]
    Kubevirt(KubevirtNote),
    /// From the reader of OpenNebula's hosts.
    #[cfg(feature = "xml")]
    OpenNebula(OpenNebulaNote),
    /// From the reader of NVML.
    #[cfg(feature = "nvml")]
    Nvml(NvmlNote),
    /// From a reader of facts.
    Facts(FactsNote),
    /// From overlaying facts on a host.
    Overlay(OverlayNote),
    /// A note of one source among several.
    Of {
        /// The source in words that a person recognises.
        source: String,
        /// What its reader noted.
        note: Box<Self>,
    },
    /// The number of further notes, which were dropped.
    More(usize),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(note) => note.fmt(f),
            #[cfg(feature = "sysfs")]
            Self::Sysfs(note) => note.fmt(f),
            #[cfg(feature = "xml")]
            Self::Lstopo(note) => note.fmt(f),
            #[cfg(feature = "xml")]
            Self::Libvirt(note) => note.fmt(f),
            #[cfg(feature = "xml")]
            Self::Proxmox(note) => note.fmt(f),
            #[cfg(all(feature = "serde", feature = "xml"))]
            Self::Kubevirt(note) => note.fmt(f),
            #[cfg(feature = "xml")]
            Self::OpenNebula(note) => note.fmt(f),
            #[cfg(feature = "nvml")]
            Self::Nvml(note) => note.fmt(f),
            Self::Facts(note) => note.fmt(f),
            Self::Overlay(note) => note.fmt(f),
            Self::Of { source, note } => write!(f, "{source}: {note}"),
            Self::More(count) => write!(f, "and {count} more notes"),
        }
    }
}

impl From<CoreNote> for Note {
    fn from(note: CoreNote) -> Self {
        Self::Core(note)
    }
}

#[cfg(feature = "sysfs")]
impl From<SysfsNote> for Note {
    fn from(note: SysfsNote) -> Self {
        Self::Sysfs(note)
    }
}

#[cfg(feature = "xml")]
impl From<LstopoNote> for Note {
    fn from(note: LstopoNote) -> Self {
        Self::Lstopo(note)
    }
}

#[cfg(feature = "xml")]
impl From<LibvirtNote> for Note {
    fn from(note: LibvirtNote) -> Self {
        Self::Libvirt(note)
    }
}

#[cfg(feature = "xml")]
impl From<ProxmoxNote> for Note {
    fn from(note: ProxmoxNote) -> Self {
        Self::Proxmox(note)
    }
}

#[cfg(all(feature = "serde", feature = "xml"))]
impl From<KubevirtNote> for Note {
    fn from(note: KubevirtNote) -> Self {
        Self::Kubevirt(note)
    }
}

#[cfg(feature = "xml")]
impl From<OpenNebulaNote> for Note {
    fn from(note: OpenNebulaNote) -> Self {
        Self::OpenNebula(note)
    }
}

#[cfg(feature = "nvml")]
impl From<NvmlNote> for Note {
    fn from(note: NvmlNote) -> Self {
        Self::Nvml(note)
    }
}

impl From<FactsNote> for Note {
    fn from(note: FactsNote) -> Self {
        Self::Facts(note)
    }
}

impl From<OverlayNote> for Note {
    fn from(note: OverlayNote) -> Self {
        Self::Overlay(note)
    }
}

/// Collects notes: the first ones in full, the others as a count.
#[derive(Default)]
pub(crate) struct Notes {
    kept: Vec<Note>,
    more: usize,
}

impl Notes {
    pub(crate) fn add(&mut self, note: impl Into<Note>) {
        if self.kept.len() < MAX_NOTES {
            self.kept.push(note.into());
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Note> {
        if self.more > 0 {
            self.kept.push(Note::More(self.more));
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_beyond_the_bound_are_counted() {
        let mut notes = Notes::default();
        for _ in 0..MAX_NOTES + 3 {
            notes.add(CoreNote::Renumbered);
        }
        let notes = notes.finish();
        assert_eq!(notes.len(), MAX_NOTES + 1);
        assert_eq!(notes.last(), Some(&Note::More(3)));
        assert_eq!(notes[MAX_NOTES].to_string(), "and 3 more notes");
    }
}
