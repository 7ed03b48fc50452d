//! What was left out, replaced or not compared while facts were laid over a host.

use std::fmt;

use crate::core_note::KindSign;
use crate::facts::peer::PeerStatus;
use pinwise::units::PciAddr;

/// What was left out, replaced or not compared while facts were laid over a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverlayNote {
    /// PCI functions without a class or ids.
    NoIds {
        /// The source.
        source: String,
        /// How many functions.
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
    /// A table of distances with holes, or not of relative distances.
    BadDistances {
        /// The source.
        source: String,
    },
    /// GPUs that may not reach each other's memory.
    NoPeerAccess {
        /// The source.
        source: String,
        /// How many ordered pairs of GPUs.
        count: u32,
        /// Why.
        status: PeerStatus,
    },
    /// Paths of NICs that a source names by no address, so that they cannot be compared.
    UnnamedNics {
        /// The source.
        source: String,
        /// How many paths.
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
    /// Conflicts that were dropped, because there were too many.
    MoreConflicts {
        /// How many.
        count: usize,
    },
}

impl fmt::Display for OverlayNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIds { source, count } => {
                write!(f, "{source}: {count} PCI functions without class and ids: left out")
            }
            Self::Mig { source, address } => {
                write!(f, "{source}: {address} is divided into instances (MIG)")
            }
            Self::Uncounted { source } => {
                write!(f, "{source} tells no number of links: one is taken each")
            }
            Self::BadDistances { source } => {
                write!(f, "{source}: the distances are incomplete or not relative: left out")
            }
            Self::NoPeerAccess { source, count, status } => {
                let ways = if *count == 1 { "way" } else { "ways" };
                write!(
                    f,
                    "{source}: no peer-to-peer on {count} {ways} between GPUs, {}",
                    reason(*status)
                )
            }
            Self::UnnamedNics { source, count } => write!(
                f,
                "{source}: {count} paths of NICs that it names by no address: not compared"
            ),
            Self::KindsGuessed { source, sign } => {
                write!(f, "{sign} are taken for efficiency cores: {source} names no kinds")
            }
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
        PeerStatus::Unknown => "it is unknown",
    }
}
