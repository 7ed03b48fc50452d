//! Sentences for what would make room.

use crate::host::Host;
use crate::rebalance::Step;

/// A step of an [`Advice`](crate::Advice) as a sentence without its full stop.
#[must_use]
pub fn step_text(host: &Host, step: &Step) -> String {
    match step {
        Step::Repin { tenant, moves, left_behind, vfio, .. } => {
            let each = moves.iter().map(|(from, to)| format!("{from} to {to}"));
            let each = each.collect::<Vec<_>>().join(", ");
            let left = match (left_behind.is_empty(), vfio) {
                (true, _) => ": its memory stays as near as it was".to_owned(),
                (false, true) => format!(
                    "; its memory stays on nodes {left_behind}, pinned for its devices, where no virsh \
                     numatune can move it, and is a node away from these vCPUs then"
                ),
                (false, false) => format!(
                    "; its memory stays on nodes {left_behind} and is a node away from these vCPUs then"
                ),
            };
            format!("re-pin {tenant:?} while it runs (virsh vcpupin): pCPU {each}{left}")
        }
        Step::Restart { tenant, placement } => {
            let cores = placement.vcpu_pcpus();
            let gpus: Vec<String> = placement.gpus().map(|gpu| gpu.address.to_string()).collect();
            let gpus =
                if gpus.is_empty() { String::new() } else { format!(", GPUs {}", gpus.join(" ")) };
            let nodes = placement.nodes();
            format!(
                "stop {tenant:?} and start it on nodes {nodes} of {:?}: pCPUs {cores}{gpus}",
                host.name()
            )
        }
    }
}
