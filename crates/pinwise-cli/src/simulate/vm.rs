//! From a VM of the trace to requests.

use pinwise::request::{GpuRequest, Wish};
use pinwise::{Bytes, Host, PageSize, Policies, Policy, Request, RequestSpec, Workload};

use crate::trace::{GpuNuma, GuestCells, ThreadPolicy, Vm};

/// The number of cells that the guest has on hosts of this kind: the one asked for, or the smallest
/// allowed one whose even split fits the host when it is empty. `None` where none does.
pub(crate) fn cells(host: &Host, vm: &Vm) -> Option<u32> {
    let allowed = match vm.guest_cells {
        GuestCells::Number(cells) => return Some(cells),
        GuestCells::Auto(_) => vm.allowed_cells.iter().copied(),
    };
    let size = PageSize::from_kib(vm.page_kib)?;
    let holds = |cells: u32| {
        let even = cells > 0
            && vm.vcpus.is_multiple_of(cells)
            && vm.memory_mib.is_multiple_of(u64::from(cells));
        if !even {
            return false;
        }
        let (vcpus, memory) = (vm.vcpus / cells, vm.memory_mib / u64::from(cells));
        let fits = |node: &&pinwise::host::Node| {
            let pcpus = node.cpus.intersection(host.allowed()).len();
            let pages = node.pool(size).map_or(0, |pool| pool.total);
            pcpus >= vcpus as usize
                && u128::from(pages) * u128::from(size.kib()) / 1024 >= u128::from(memory)
        };
        let on = |node: &pinwise::host::Node| {
            host.gpus().iter().filter(|gpu| gpu.node == Some(node.id)).count()
        };
        let mut gpus: Vec<usize> = host.nodes().iter().filter(fits).map(on).collect();
        gpus.sort_unstable_by(|a, b| b.cmp(a));
        let most: usize = gpus.iter().take(cells as usize).sum();
        gpus.len() >= cells as usize && most >= vm.gpus as usize
    };
    { allowed }.find(|cells| holds(*cells))
}

/// Where a placement's GPUs must be, beyond what its request requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Near {
    /// Nowhere else.
    AsAsked,
    /// On the VM's nodes, where theirs are known.
    WhereKnown,
    /// In the packages of the VM's nodes.
    InPackage,
}

/// The ways to ask for the VM in so many cells, the best first, by where its GPUs must be. A later one
/// is asked where no host fits an earlier one.
pub(crate) fn requests(vm: &Vm, cells: u32) -> Result<Vec<(Near, Vec<Request>)>, String> {
    let bad = |e: &dyn std::fmt::Display| format!("VM {:?}: {e}", vm.id);
    let size = PageSize::from_kib(vm.page_kib)
        .ok_or_else(|| bad(&format!("page_kib: {} KiB is no page size", vm.page_kib)))?;
    let memory = vm.memory_mib.checked_mul(1 << 20).map(Bytes);
    let memory = memory.ok_or_else(|| bad(&"memory_mib is more than 64 bits can count"))?;
    let local = |policy| Policies {
        one_node: if cells == 1 { Policy::Require } else { Policy::Ignore },
        gpu_locality: policy,
        ..Policies::default()
    };
    // Siblings as CPUs take half as many cores. vCPUs that do not pair up need cores of their own.
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
    // As OpenStack's "PCI NUMA affinity policies" mean the names.
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
        Ok((near, requests.collect::<Result<Vec<Request>, String>>()?))
    });
    ways.collect()
}
