//! Lines about nodes without memory and nodes without CPUs.

use std::fmt::Write as _;

use super::warnings::node_or_nodes;
use crate::engine::recommend::Ranked;
use crate::host::Host;
use crate::request::Request;
use crate::sets::NodeSet;
use crate::units::Bytes;

/// The sentence that these nodes have no memory, without its full stop.
pub(super) fn without_memory(nodes: &NodeSet) -> String {
    format!("{} {} no memory", node_or_nodes(nodes), if nodes.len() == 1 { "has" } else { "have" })
}

/// A line for the host's nodes that have CPUs and no memory, and one for each node that has memory
/// and no CPUs, each behind a line break.
pub(super) fn odd_nodes(host: &Host, request: &Request) -> String {
    let without = host.nodes().iter().filter(|n| n.memory == Bytes::ZERO && !n.cpus.is_empty());
    let without: NodeSet = without.map(|node| node.id).collect();
    let mut text = String::new();
    if !without.is_empty() {
        let mut line = without_memory(&without);
        line.replace_range(..1, "N");
        _ = write!(text, "\n{line}: vCPUs there use memory of other nodes.");
    }
    for node in host.nodes().iter().filter(|n| n.memory != Bytes::ZERO && n.cpus.is_empty()) {
        let id = node.id;
        let named = request.spec().memory_nodes.as_ref().is_some_and(|ids| ids.contains(id));
        let used = match named {
            true => "in --memory-nodes".to_owned(),
            false => format!("not used; --memory-nodes {id} uses it"),
        };
        _ = write!(text, "\nNode {id}: {} without CPUs ({used}).", node.memory);
    }
    text
}

/// What is on which nodes, if vCPUs are on nodes without memory for the VM.
pub(super) fn lent(ranked: &Ranked) -> Option<String> {
    let nodes = ranked.placement.nodes();
    let apart = "vCPUs are also on nodes without memory for it";
    ranked.profile.lent.then(|| format!("all memory is on {}, {apart}", node_or_nodes(&nodes)))
}
