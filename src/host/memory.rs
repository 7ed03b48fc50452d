//! The ordinary memory that is kept for the host's own work, its kernel, services and emulators.
//!
//! Ordinary memory is that of base pages; hugepages serve VMs alone. VMs get base pages as long as
//! the amount to keep stays free on each node, beside what is in use already. What is kept covers
//! what QEMU takes beside the guest's memory, too: about 0.3 GiB, and 1 GiB more with passthrough.

use std::fmt;
use std::str::FromStr;

use super::Host;
use super::records::{Node, PagePool};
use crate::units::{Bytes, ParseUnitError};

/// What is kept on each node of a host of several nodes, and of a host at least, unless its
/// operator says otherwise. Ours: no published number tells what a host's own work needs.
const KEPT_ON_NODE: Bytes = Bytes::from_gib(1);
/// See [`KEPT_ON_NODE`].
const KEPT_ON_HOST: Bytes = Bytes::from_gib(2);
/// No more is kept than this part of a node's ordinary memory. Ours.
const PART: u64 = 16;

/// The ordinary memory to keep free on each node, as the host's operator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
pub enum ReserveMemory {
    /// 1 GiB on each node, and 2 GiB on the host's only one; no more than a sixteenth of the node's
    /// ordinary memory. Nodes without memory do not count.
    #[default]
    Auto,
    /// This amount on each node; nothing if it is zero.
    OnEach(Bytes),
}

/// `auto`, or an amount such as `16GiB`. A plain 0 is nothing.
impl FromStr for ReserveMemory {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "0" => Ok(Self::OnEach(Bytes::ZERO)),
            amount => {
                let amount = amount.parse().map(Self::OnEach);
                amount.map_err(|_| ParseUnitError::new(text, "auto, 0, or an amount such as 16GiB"))
            }
        }
    }
}

impl fmt::Display for ReserveMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::OnEach(Bytes::ZERO) => f.write_str("0"),
            Self::OnEach(amount) => write!(f, "{amount}"),
        }
    }
}

impl From<ReserveMemory> for String {
    fn from(reserve: ReserveMemory) -> Self {
        reserve.to_string()
    }
}

impl TryFrom<String> for ReserveMemory {
    type Error = ParseUnitError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Node {
    /// The pool of base pages.
    #[must_use]
    pub fn base_pool(&self) -> Option<&PagePool> {
        self.pools.first().filter(|pool| !pool.size.is_huge())
    }
}

impl Host {
    /// The ordinary memory that is kept free on the node for the host's own work.
    #[must_use]
    pub fn kept_memory(&self, node: &Node) -> Bytes {
        match self.description().reserve_memory {
            ReserveMemory::OnEach(amount) => amount,
            ReserveMemory::Auto => {
                let nodes = self.derived().nodes_with_memory.max(1);
                let own = match nodes {
                    1 => KEPT_ON_HOST,
                    _ => KEPT_ON_NODE,
                };
                let ordinary =
                    node.base_pool().map_or(0, |pool| pool.total.saturating_mul(pool.size.bytes()));
                Bytes(own.0.min(ordinary / PART))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{CoreSpec, HostSpec, NodeSpec};
    use crate::sets::CpuSet;
    use crate::units::{NodeId, PackageId, PcpuId};

    fn kept(gib: &[u64], reserve_memory: ReserveMemory) -> Vec<Bytes> {
        let cpus = |at: u32| CpuSet::one(PcpuId(at));
        let node =
            |(at, gib): (u32, &u64)| NodeSpec::new(NodeId(at), cpus(at), Bytes::from_gib(*gib));
        let nodes: Vec<NodeSpec> = (0..).zip(gib).map(node).collect();
        let core = |at: u32| CoreSpec::new(PackageId(0), at, cpus(at));
        let cores = (0..).zip(gib).map(|(at, _)| core(at)).collect();
        let host = HostSpec { nodes, cores, reserve_memory, ..HostSpec::default() };
        let host = host.build().unwrap();
        host.nodes().iter().map(|node| host.kept_memory(node)).collect()
    }

    #[test]
    fn a_gib_on_each_node_two_on_the_only_one_and_a_sixteenth_at_most() {
        let mib = Bytes::from_mib;
        assert_eq!(kept(&[755, 755], ReserveMemory::Auto), [mib(1024), mib(1024)]);
        assert_eq!(kept(&[64], ReserveMemory::Auto), [mib(2048)]);
        assert_eq!(kept(&[64, 0], ReserveMemory::Auto), [mib(2048), Bytes::ZERO]);
        assert_eq!(kept(&[16], ReserveMemory::Auto), [mib(1024)]);
        assert_eq!(kept(&[8, 4], ReserveMemory::Auto), [mib(512), mib(256)]);
        assert_eq!(kept(&[8, 4], ReserveMemory::OnEach(mib(5))), [mib(5), mib(5)]);
    }

    #[test]
    fn what_to_keep_reads_as_it_prints() {
        for text in ["auto", "0", "16 GiB"] {
            assert_eq!(text.parse::<ReserveMemory>().unwrap().to_string(), text);
        }
        let said = "lots".parse::<ReserveMemory>().unwrap_err().to_string();
        assert!(said.contains("auto, 0, or an amount"), "{said}");
    }
}
