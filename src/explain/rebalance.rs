//! Sentences for advice.

use std::fmt::Write as _;

use crate::host::Host;
use crate::rebalance::{Advice, Step};

/// A step of an [`Advice`](crate::rebalance::Advice) as a sentence without its full stop.
#[must_use]
pub fn step_text(host: &Host, step: &Step) -> String {
    match step {
        Step::Repin { tenant, moves, left_behind, vfio, .. } => {
            let each = moves.iter().map(|(from, to)| format!("{from} to {to}"));
            let each = each.collect::<Vec<_>>().join(", ");
            let left = super::warnings::node_or_nodes(left_behind);
            let left = match (left_behind.is_empty(), vfio) {
                (true, _) => "; its memory stays local".to_owned(),
                (false, true) => format!(
                    "; its memory stays on {left}, remote from these vCPUs, and virsh numatune \
                     cannot move it because it is pinned for the VM's devices"
                ),
                (false, false) => {
                    format!("; its memory stays on {left}, remote from these vCPUs")
                }
            };
            format!("re-pin VM {tenant:?} while it runs (virsh vcpupin): pCPU {each}{left}")
        }
        Step::Restart { tenant, placement } => {
            let cores = placement.vcpu_pcpus();
            let gpus: Vec<String> = placement.gpus().map(|gpu| gpu.address.to_string()).collect();
            let gpus =
                if gpus.is_empty() { String::new() } else { format!(", GPUs {}", gpus.join(" ")) };
            let nodes = super::warnings::node_or_nodes(&placement.nodes());
            format!(
                "stop VM {tenant:?} and start it on {nodes} of {:?}: pCPUs {cores}{gpus}",
                host.name()
            )
        }
    }
}

/// An [`Advice`] as text for a person: the steps in order, and the nodes that the request then
/// gets.
#[must_use]
pub fn explain_advice(host: &Host, advice: &Advice) -> String {
    let placement = &advice.placement;
    let (name, nodes) = (&placement.name, placement.nodes());
    let mut text = format!(
        "{} fits on {} after these steps:\n",
        super::plain(name),
        super::warnings::node_or_nodes(&nodes)
    );
    for (step, number) in advice.steps.iter().zip(1..) {
        _ = writeln!(text, "  {number}. {}", step_text(host, step));
    }
    text
}
