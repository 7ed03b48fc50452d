//! Limits on the size of a host.

/// The largest number of nodes: the search keeps node sets in one machine word.
pub const MAX_NODES: usize = 64;
/// The largest number of pCPUs of a host.
pub const MAX_PCPUS: usize = 4096;
/// The largest number of GPUs: the search keeps GPU sets in one machine word.
pub const MAX_GPUS: usize = 64;
/// The largest number of PCI functions of a host.
pub const MAX_PCI_FUNCTIONS: usize = 16_384;
