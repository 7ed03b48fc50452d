//! How GPUs reach each other's memory.

/// What one GPU may do to another's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAccess {
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Use links such as NVLink.
    Link,
    /// Atomic operations.
    Atomics,
    /// The driver's own property of the pair.
    Property,
}

/// Whether a driver lets a GPU reach another, in the words of `nvidia-smi topo -p2p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerStatus {
    /// It can.
    Ok,
    /// CNS: the chipset cannot.
    ChipsetNotSupported,
    /// GNS: the GPU cannot.
    GpuNotSupported,
    /// TNS: not over this way.
    TopologyNotSupported,
    /// NS: it cannot.
    NotSupported,
    /// DR: it was turned off.
    Disabled,
    /// U: the driver does not know.
    Unknown,
}
