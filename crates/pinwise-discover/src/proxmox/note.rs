//! What the reader of Proxmox's configurations left out or guessed.

use std::fmt;

use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, PciAddr};

/// What the reader of Proxmox's configurations left out or guessed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxmoxNote {
    /// A template, which never runs.
    Template,
    /// `numaN` without `numa: 1`, which Proxmox does not look at.
    NumaOff,
    /// The memory of the cells is not the VM's.
    CellsDiffer {
        /// The memory of all cells.
        cells: Bytes,
        /// The memory of the VM.
        memory: Bytes,
    },
    /// Fewer vCPUs are plugged in than the VM can have.
    VcpusUnplugged {
        /// The number plugged in.
        now: u32,
        /// The number that it can have.
        most: u32,
    },
    /// pCPUs that are not online.
    Offline {
        /// The pCPUs.
        pcpus: CpuSet,
    },
    /// A device by the name of a mapping, which only the cluster knows.
    Mapping {
        /// The option.
        key: String,
        /// The name.
        name: String,
    },
    /// A mediated device, which cannot be asked for.
    Mediated {
        /// The option.
        key: String,
    },
    /// A device that the host does not have.
    NotADevice {
        /// The address.
        address: PciAddr,
    },
    /// A bridge, which cannot be passed through.
    Bridge {
        /// The address.
        address: PciAddr,
    },
}

impl fmt::Display for ProxmoxNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template => write!(f, "it is a template, which holds nothing"),
            Self::NumaOff => {
                write!(f, "numaN is ignored without \"numa: 1\", as Proxmox ignores it")
            }
            Self::CellsDiffer { cells, memory } => {
                write!(f, "its numaN have {cells}, but memory is {memory}: the cells count")
            }
            Self::VcpusUnplugged { now, most } => {
                write!(f, "{now} of {most} vCPUs are plugged in; all are counted")
            }
            Self::Offline { pcpus } => write!(f, "pCPUs {pcpus} are not online and are ignored"),
            Self::Mapping { key, name } => write!(
                f,
                "{key} names the mapping {name:?}, which only the cluster knows: the device is left out; give it with --device ADDRESS"
            ),
            Self::Mediated { key } => {
                write!(f, "{key} is a mediated device, which cannot be asked for and is left out")
            }
            Self::NotADevice { address } => {
                write!(f, "device {address} is not in the host's description and is ignored")
            }
            Self::Bridge { address } => {
                write!(f, "device {address} is a bridge, which cannot be passed through")
            }
        }
    }
}
