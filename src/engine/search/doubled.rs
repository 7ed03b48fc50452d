//! Cores that carry two vCPUs of two guest cores, because the VM's nodes have fewer cores than it
//! has vCPUs: when they have to, and how vCPUs are shared out over them.

use smallvec::SmallVec;

use super::cpus::{FreeCores, NodeRoom};
use super::nodes::share_out;
use crate::host::limits::MAX_NODES;
use crate::host::mask::NodeMask;
use crate::request::Request;
use crate::units::PackageId;

impl FreeCores<'_> {
    /// The same cores, where they may carry two vCPUs each. `None` where every node that has cores
    /// has one for each vCPU, where vCPUs float, and where siblings must be shown or hidden.
    pub(crate) fn doubled(&self, request: &Request) -> Option<Self> {
        let vcpus = u64::from(request.spec().vcpus);
        let few = |room: &NodeRoom| (1..vcpus).contains(&room.cores[0]);
        let wanted = self.way.dedicated && request.spec().smt.required().is_none();
        (wanted && self.nodes.iter().any(few)).then(|| {
            let mut doubled = self.clone();
            doubled.way.doubled = true;
            doubled
        })
    }

    /// The splits of vCPUs that may share cores over these nodes: a vCPU on each, then a vCPU for
    /// each core, the fastest kind first, then the siblings. Nothing is added if the nodes lack the
    /// room.
    pub(super) fn share_by_cores(&self, at: &[usize], vcpus: u64, to: &mut Vec<u64>) {
        let derived = self.host.derived();
        let cores = |node: usize| {
            let mut of_node = [0; 4];
            for group in derived.nodes[node].groups.clone() {
                let kind = derived.place(derived.groups[group].kind);
                of_node[kind] += u64::from(self.counts[group][0]);
            }
            // At most the room: where vCPUs float, others may have left less, or more than pCPUs.
            let mut left = self.room(node, 1);
            for cores in of_node.iter_mut().take(3) {
                *cores = (*cores).min(left);
                left -= *cores;
            }
            of_node[3] = left;
            of_node
        };
        let mut room: SmallVec<[[u64; 4]; 8]> = at.iter().map(|node| cores(*node)).collect();
        let total: u64 = room.iter().flatten().sum();
        if vcpus < at.len() as u64 || total < vcpus {
            return;
        }
        let first = to.len();
        for of_node in &mut room {
            let Some(tier) = of_node.iter_mut().find(|left| **left > 0) else {
                to.truncate(first);
                return;
            };
            *tier -= 1;
            to.push(1);
        }
        let mut left = vcpus - at.len() as u64;
        for tier in 0..4 {
            let caps: SmallVec<[u64; 8]> = room.iter().map(|of_node| of_node[tier]).collect();
            let taken = left.min(caps.iter().sum());
            let mut shares = Vec::with_capacity(caps.len());
            share_out(taken, &caps, &[1; MAX_NODES][..caps.len()], false, &mut shares);
            for (sum, share) in to[first..].iter_mut().zip(shares) {
                *sum += share;
            }
            left -= taken;
        }
    }

    /// Whether cores have to carry two vCPUs each for this many to fit on these nodes; not if all
    /// would, or if one package of a single node can have the VM with its siblings shown. The same
    /// pCPUs are then worth more where the guest sees its siblings.
    pub(super) fn must_double(&self, nodes: NodeMask, vcpus: u64) -> bool {
        let cores = nodes.iter().map(|at| self.nodes[at].cores[0]).sum::<u64>();
        if cores >= vcpus || (cores * 2 == vcpus && !self.wants_hidden) {
            return false;
        }
        let (Some(node), 1) = (nodes.first(), nodes.len()) else { return true };
        let derived = self.host.derived();
        let facts = &derived.nodes[node];
        let pairs = |package: PackageId| {
            let of_package =
                facts.groups.clone().filter(|at| derived.groups[*at].package == package);
            of_package.map(|at| u64::from(self.counts[at][1])).sum::<u64>()
        };
        let free = facts.groups.clone().filter(|at| self.counts[*at][0] > 0);
        let mut packages: SmallVec<[PackageId; 4]> = SmallVec::new();
        free.for_each(|at| packages.push(derived.groups[at].package));
        packages.dedup();
        let may_show = packages.len() > 1 && vcpus.is_multiple_of(2);
        !(may_show && packages.iter().any(|package| pairs(*package) >= vcpus / 2))
    }

    /// The same for this many vCPUs on each of the nodes: one of them has too few cores.
    pub(super) fn must_double_for(&self, nodes: NodeMask, share: u64) -> bool {
        let cores = |at: usize| self.nodes[at].cores[0];
        let all: u64 = nodes.iter().map(cores).sum();
        let lacks = nodes.iter().any(|at| cores(at) < share);
        lacks && (all * 2 != share * u64::from(nodes.len()) || self.wants_hidden)
    }
}
