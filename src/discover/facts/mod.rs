//! What a partial source says about a machine: links of GPUs, nodes of devices, distances of nodes.
//!
//! `nvidia-smi`, `rocm-smi`, NVML, NCCL and `numactl` each know something that sysfs, lstopo or libvirt
//! do not, and none of them describes a host. What one of them says is [`Facts`]: plain data, not yet
//! believed.

mod data;

pub use data::{
    Facts, FunctionFacts, GpuFacts, GpuName, LinkFacts, NicName, NodeFacts, PartitionFacts,
    PathEnd, PathFacts, PeerAccess, PeerFacts, PeerStatus, vendor,
};
