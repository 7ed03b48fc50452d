//! The largest host that is taken.

/// The most nodes of a host: the search keeps node sets in one machine word.
pub const MAX_NODES: usize = 64;
/// The most pCPUs of a host.
pub const MAX_PCPUS: usize = 4096;
/// The most GPUs of a host: the search keeps GPU sets in one machine word.
pub const MAX_GPUS: usize = 64;
/// The most PCI functions of a host.
pub const MAX_PCI_FUNCTIONS: usize = 16_384;
