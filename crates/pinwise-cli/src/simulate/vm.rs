//! Requests for a VM of a trace: OpenStack's policies expressed as the library's.
//!
//! | OpenStack | here |
//! |---|---|
//! | `cpu_thread_policy=require` | vCPUs as SMT siblings on whole cores |
//! | `cpu_thread_policy=isolate` | a whole core for each vCPU |
//! | `cpu_thread_policy=prefer` | as `require` where vCPUs pair up and a host fits, then any pCPUs |
//! | `pci_numa_affinity_policy=required` | every GPU on a node of the VM |
//! | … `legacy` | as `required`, then GPUs whose node is known on a node of the VM |
//! | … `socket` | as `required`, then GPUs in the packages of the VM's nodes |
//! | … `preferred` | as `required`, then GPUs anywhere |
//!
//! "Then" is a further attempt, made only if no host of the fleet fits the one before. GPU policies
//! that a request cannot express are a [`Near`], which [`near`](super::near) checks on answers.

use pinwise::host::Node;
use pinwise::request::{GpuRequest, Wish};
use pinwise::{Bytes, Host, PageSize, Policies, Policy, Request, RequestSpec, Workload};

use super::trace::{GpuNuma, GuestCells, ThreadPolicy, Vm};
use crate::outcome::Failure;

/// The number of cells that the guest has on hosts of this kind: the requested one, or the smallest
/// allowed one whose even split fits the empty host. `None` if none fits.
pub(super) fn cells(host: &Host, vm: &Vm) -> Option<u32> {
    match vm.guest_cells {
        GuestCells::Number(cells) => Some(cells),
        GuestCells::Auto(_) => {
            let size = PageSize::from_kib(vm.page_kib)?;
            vm.allowed_cells.iter().copied().find(|cells| holds(host, vm, *cells, size))
        }
    }
}

/// Whether the empty host has enough nodes that each hold an even share of the VM, with enough GPUs
/// on the nodes that have the most.
fn holds(host: &Host, vm: &Vm, cells: u32, size: PageSize) -> bool {
    let even = cells > 0
        && vm.vcpus.is_multiple_of(cells)
        && vm.memory_mib.is_multiple_of(u64::from(cells));
    if !even {
        return false;
    }
    let (vcpus, memory) = (vm.vcpus / cells, vm.memory_mib / u64::from(cells));
    let fits = |node: &&Node| {
        let pcpus = node.cpus.intersection(host.allowed()).len();
        let pages = node.pool(size).map_or(0, |pool| pool.total);
        let mib = u128::from(pages) * u128::from(size.kib()) / 1024;
        pcpus >= vcpus as usize && mib >= u128::from(memory)
    };
    let gpus_on = |node: &Node| host.gpus().iter().filter(|gpu| gpu.node == Some(node.id)).count();
    let mut gpus: Vec<usize> = host.nodes().iter().filter(fits).map(gpus_on).collect();
    gpus.sort_unstable_by(|a, b| b.cmp(a));
    let most: usize = gpus.iter().take(cells as usize).sum();
    gpus.len() >= cells as usize && most >= vm.gpus as usize
}

/// The place of the GPUs, beyond the request's own requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Near {
    /// Anywhere that the request allows.
    AsAsked,
    /// On the VM's nodes, if their own node is known.
    WhereKnown,
    /// In the packages of the VM's nodes.
    InPackage,
}

/// The requests to try for the VM in `cells` cells, grouped by the distance of its GPUs, nearest
/// first. Within a group, a request is tried only if no host fits the one before.
pub(super) fn requests(vm: &Vm, cells: u32) -> Result<Vec<(Near, Vec<Request>)>, Failure> {
    let bad = |e: &dyn std::fmt::Display| Failure::from(format!("VM {:?}: {e}", vm.id));
    let size = PageSize::from_kib(vm.page_kib)
        .ok_or_else(|| bad(&format!("page_kib: {} KiB is not a page size", vm.page_kib)))?;
    let memory = vm.memory_mib.checked_mul(1 << 20).map(Bytes);
    let memory = memory.ok_or_else(|| bad(&"memory_mib exceeds 64 bits"))?;
    let local = |policy| Policies {
        one_node: if cells == 1 { Policy::Require } else { Policy::Ignore },
        gpu_locality: policy,
        ..Policies::default()
    };
    // On SMT siblings a VM takes half as many cores. vCPUs that cannot pair up need cores of their
    // own.
    let pairs = cells > 0 && vm.vcpus.is_multiple_of(cells) && (vm.vcpus / cells).is_multiple_of(2);
    let siblings = Wish::Require(true);
    let threads: &[(Wish<bool>, Policy)] = match vm.thread_policy {
        ThreadPolicy::Prefer if pairs => {
            &[(siblings, Policy::Require), (Wish::Auto, Policy::Ignore)]
        }
        ThreadPolicy::Prefer => &[(Wish::Auto, Policy::Ignore)],
        ThreadPolicy::Require => &[(siblings, Policy::Require)],
        ThreadPolicy::Isolate => &[(Wish::Require(false), Policy::Require)],
    };
    let second = match vm.gpu_numa {
        GpuNuma::Required => None,
        GpuNuma::Preferred => Some(Near::AsAsked),
        GpuNuma::Legacy => Some(Near::WhereKnown),
        GpuNuma::Socket => Some(Near::InPackage),
    };
    let second = second.filter(|_| vm.gpus > 0).map(|near| (Policy::Prefer, near));
    let locality = std::iter::once((Policy::Require, Near::AsAsked)).chain(second);
    let request = |policy: Policy, (smt, whole_cores): &(Wish<bool>, Policy)| {
        let request = RequestSpec {
            page_size: Some(size),
            gpus: GpuRequest::Count { count: vm.gpus, model: None },
            workload: if vm.gpus > 0 { Workload::GpuTraining } else { Workload::General },
            cells: Wish::Require(cells),
            even_cells: true,
            smt: *smt,
            policies: Policies { whole_cores: *whole_cores, ..local(policy) },
            ..RequestSpec::new(&vm.id, vm.vcpus, memory)
        };
        request.build().map_err(|e| bad(&e))
    };
    let ways = locality.map(|(policy, near)| {
        let requests = threads.iter().map(|threads| request(policy, threads));
        Ok((near, requests.collect::<Result<Vec<Request>, Failure>>()?))
    });
    ways.collect()
}
