//! What the reader of KubeVirt's VMs left out or guessed.

use std::fmt;

use pinwise::units::Bytes;

/// What the reader of KubeVirt's VMs left out or guessed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KubevirtNote {
    /// No number of vCPUs: KubeVirt gives one.
    OneVcpu,
    /// Memory that is not a whole number of MiB.
    MemoryRounded {
        /// The amount in the text.
        told: String,
        /// The amount used.
        memory: Bytes,
    },
    /// GPUs that are named by a resource of the cluster.
    AnyGpu {
        /// The resource.
        resource: String,
    },
    /// Another device that is named by a resource of the cluster.
    HostDevice {
        /// The resource.
        resource: String,
    },
    /// SR-IOV interfaces.
    Sriov {
        /// The number of interfaces.
        count: usize,
    },
}

impl fmt::Display for KubevirtNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneVcpu => write!(f, "no number of vCPUs is given: KubeVirt gives one"),
            Self::MemoryRounded { told, memory } => {
                write!(f, "memory {told:?} is rounded up to {memory}")
            }
            Self::AnyGpu { resource } => {
                write!(f, "only the device plugin knows the GPUs of {resource:?}: any GPU counts")
            }
            Self::HostDevice { resource } => {
                write!(f, "only the device plugin knows the device of {resource:?}: it is left out")
            }
            Self::Sriov { count: 1 } => write!(f, "the SR-IOV interface is left out"),
            Self::Sriov { count } => write!(f, "{count} SR-IOV interfaces are left out"),
        }
    }
}
