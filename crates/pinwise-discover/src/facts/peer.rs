//! Peer access: how GPUs reach each other's memory.

/// A kind of access of one GPU to another GPU's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAccess {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Access over links such as NVLink.
    Link,
    /// Atomic operations.
    Atomics,
    /// The driver's own property of the pair.
    Property,
}

/// Whether the driver lets one GPU reach another, in the words of `nvidia-smi topo -p2p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerStatus {
    /// OK: supported.
    Ok,
    /// CNS: not supported by the chipset.
    ChipsetNotSupported,
    /// GNS: not supported by the GPU.
    GpuNotSupported,
    /// TNS: not supported over the path between the two.
    TopologyNotSupported,
    /// NS: not supported.
    NotSupported,
    /// DR: turned off by a setting of the driver.
    Disabled,
    /// U: unknown to the driver.
    Unknown,
}
