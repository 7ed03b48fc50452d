//! Notes on what was ignored, replaced or not compared while facts were laid over a host.

use std::fmt;

use crate::core_note::KindSign;
use crate::facts::peer::PeerStatus;
use pinwise::units::PciAddr;

/// A note on what was ignored, replaced or not compared while facts were laid over a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverlayNote {
    /// PCI functions without a class or ids.
    NoIds {
        /// The source.
        source: String,
        /// The number of functions.
        count: u32,
    },
    /// A GPU that is divided into instances.
    Mig {
        /// The source.
        source: String,
        /// The GPU.
        address: PciAddr,
    },
    /// Links without a number.
    Uncounted {
        /// The source.
        source: String,
    },
    /// A table of distances that is incomplete, or not of relative distances.
    BadDistances {
        /// The source.
        source: String,
    },
    /// GPUs that may not reach each other's memory.
    NoPeerAccess {
        /// The source.
        source: String,
        /// The number of ordered pairs of GPUs.
        count: u32,
        /// The reason.
        status: PeerStatus,
    },
    /// Paths of NICs whose address the source does not give, so that they cannot be compared.
    UnnamedNics {
        /// The source.
        source: String,
        /// The number of paths.
        count: u32,
    },
    /// Cores of this shape are taken for efficiency cores, as the source of the cores tells neither
    /// kinds nor frequencies.
    KindsGuessed {
        /// The source.
        source: String,
        /// The shape.
        sign: KindSign,
    },
    /// The memory of the whole machine, where the host has several nodes.
    UndividedMemory {
        /// The source.
        source: String,
    },
    /// Unlimited memory is assumed of every node, as no source shows any.
    MemoryAssumed {
        /// The source of the pCPUs.
        source: String,
    },
    /// The number of conflicts that were dropped.
    MoreConflicts {
        /// How many.
        count: usize,
    },
}

impl fmt::Display for OverlayNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIds { source, count } => {
                write!(f, "{source}: {count} PCI functions have no class or ids and are ignored")
            }
            Self::Mig { source, address } => {
                write!(f, "{source}: GPU {address} is divided into instances (MIG)")
            }
            Self::Uncounted { source } => {
                write!(f, "{source} gives no numbers of links: one is assumed for each pair")
            }
            Self::BadDistances { source } => {
                write!(f, "{source}: the distances are incomplete or not relative and are ignored")
            }
            Self::NoPeerAccess { source, count, status } => {
                let ways = if *count == 1 { "direction" } else { "directions" };
                write!(
                    f,
                    "{source}: no peer-to-peer in {count} {ways} between GPUs: {}",
                    reason(*status)
                )
            }
            Self::UnnamedNics { source, count } => {
                write!(f, "{source}: {count} paths of NICs without an address are not compared")
            }
            Self::KindsGuessed { source, sign } => {
                write!(f, "{sign} are taken for efficiency cores: {source} names no kinds")
            }
            Self::UndividedMemory { source } => {
                write!(f, "{source} does not tell the memory of each node and is ignored")
            }
            Self::MemoryAssumed { source } => write!(
                f,
                "{source} shows no memory: unlimited memory is assumed on every node; add the output of numactl --hardware with --facts"
            ),
            Self::MoreConflicts { count } => write!(f, "and {count} more conflicts"),
        }
    }
}

fn reason(status: PeerStatus) -> &'static str {
    match status {
        PeerStatus::Ok => "OK",
        PeerStatus::ChipsetNotSupported => "the chipset does not support it",
        PeerStatus::GpuNotSupported => "the GPU does not support it",
        PeerStatus::TopologyNotSupported => "the topology does not support it",
        PeerStatus::NotSupported => "it is not supported",
        PeerStatus::Disabled => "it is turned off",
        PeerStatus::Unknown => "the reason is unknown",
    }
}
