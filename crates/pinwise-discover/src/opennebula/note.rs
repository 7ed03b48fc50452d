//! What the reader of OpenNebula's hosts assumed.

use std::fmt;

use pinwise::sets::CpuSet;

/// What the reader of OpenNebula's hosts assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenNebulaNote {
    /// Packages are not told.
    NodesArePackages,
    /// pCPUs that OpenNebula keeps from VMs.
    Reserved {
        /// The pCPUs.
        pcpus: CpuSet,
    },
    /// VMs whose memory counts as used on its nodes, but not as theirs.
    MemoryOfNobody {
        /// The number of VMs.
        vms: usize,
    },
}

impl fmt::Display for OpenNebulaNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodesArePackages => {
                write!(f, "OpenNebula does not tell packages: each node counts as one")
            }
            Self::Reserved { pcpus } => write!(
                f,
                "OpenNebula keeps pCPUs {pcpus} from VMs; keep them with --reserve {pcpus}"
            ),
            Self::MemoryOfNobody { vms } => write!(
                f,
                "the memory of {vms} VMs counts as used, but OpenNebula does not tell whose it is"
            ),
        }
    }
}
