//! Nodes that give a VM only pCPUs or only memory.
//!
//! A node *lends its pCPUs* if the VM may have none of its memory: it has no memory, or the request
//! holds the memory to other nodes. A VM on such pCPUs has its memory on other nodes of its set,
//! and its guest is shown one cell. The set then may have nodes that give only memory, too: without
//! a vCPU. A request that names memory nodes allows these everywhere.
//!
//! On hosts whose nodes with CPUs all have memory, and for requests that name no memory nodes,
//! every node of a set gives both, and nothing here is asked for again.

use crate::engine::profile::count;
use crate::engine::refusal::Fact;
use crate::host::Host;
use crate::host::mask::NodeMask;
use crate::request::Request;
use crate::sets::NodeSet;
use crate::units::Bytes;

/// The nodes whose memory a VM may have: the memory nodes of the request; without these, those of
/// the nodes that it is held to that have CPUs.
///
/// # Errors
/// The fact that the host has none of the request's memory nodes.
pub(super) fn memory(host: &Host, request: &Request, held: NodeMask) -> Result<NodeMask, Fact> {
    let nodes = host.nodes().iter().enumerate();
    let wanted = request.spec().memory_nodes.as_ref();
    let may = |(at, node): &(usize, &crate::host::Node)| match wanted {
        Some(wanted) => wanted.contains(node.id),
        None => held.contains(*at) && !node.cpus.is_empty(),
    };
    let named: NodeMask = nodes.clone().filter(may).map(|(at, _)| at).collect();
    match missing_memory_nodes(host, request).filter(|_| named.is_empty()) {
        Some(fact) => Err(fact),
        None => Ok(named.iter().filter(|at| host.nodes()[*at].memory != Bytes::ZERO).collect()),
    }
}

/// The fact that the host lacks some of the request's memory nodes, if so.
pub(crate) fn missing_memory_nodes(host: &Host, request: &Request) -> Option<Fact> {
    let wanted = request.spec().memory_nodes.as_ref()?;
    let known: NodeSet = host.nodes().iter().map(|node| node.id).collect();
    let nodes = wanted.difference(&known);
    let left = wanted.len() - nodes.len();
    (!nodes.is_empty()).then(|| Fact::MemoryNodesMissing { nodes, left: count(left) })
}

/// What the nodes can give to the VM of one pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roles {
    /// Nodes with room for a guest core and with memory.
    pub(super) both: NodeMask,
    /// Nodes that may give memory alone.
    memory_alone: NodeMask,
    /// Whether nodes may do so beside any others, and not only beside nodes that lend pCPUs.
    anywhere: bool,
}

impl Roles {
    /// `memory`: the nodes whose memory the VM may have; `named`: whether the request names them;
    /// `caps`: the number of guest cores that each node has room for.
    pub(super) fn new(memory: NodeMask, named: bool, caps: &[u64]) -> Self {
        let with_room: NodeMask = (0..caps.len()).filter(|at| caps[*at] > 0).collect();
        let lends = named || !with_room.is_subset(memory);
        let memory_alone = if lends { memory } else { NodeMask::EMPTY };
        Self { both: with_room & memory, memory_alone, anywhere: named }
    }

    /// Whether a node without room for a guest core may be in a set.
    pub(super) fn may_be_without_room(self, at: usize) -> bool {
        self.memory_alone.contains(at)
    }

    /// The number of nodes that may give memory alone.
    pub(super) fn memory_alone(self) -> usize {
        self.memory_alone.len() as usize
    }

    /// The nodes of a set that may give memory alone.
    pub(super) fn alone_in(self, mask: NodeMask, memory: NodeMask) -> NodeMask {
        let may = self.anywhere || !mask.is_subset(memory);
        if may { mask & self.memory_alone } else { NodeMask::EMPTY }
    }
}
