//! What the VMs seen so far say of those to come.

use std::collections::VecDeque;

use pinwise::Bytes;
use pinwise::engine::{GpuShape, GpuShare, Options};

use super::trace::{ThreadPolicy, Vm};

/// The number of VMs with GPUs that are remembered, the latest. Chosen by us.
const REMEMBERED: usize = 512;

/// The share of a slot is what this part of the GPUs asked for had at most, in hundredths. On
/// hosts that leave less the engine takes less, so no slot is missed for it. Chosen by us, on
/// traces with other seeds than the published figures.
const QUANTILE: usize = 75;

/// The latest VMs with GPUs.
#[derive(Debug, Default)]
pub(super) struct Seen {
    latest: VecDeque<GpuShape>,
}

impl Seen {
    /// Adds a VM, and sets the options that depend on the VMs seen: the mix, and unless the caller
    /// named one, the share of a slot.
    pub(super) fn learn(&mut self, vm: &Vm, options: &mut Options, share_is_named: bool) {
        if vm.gpus == 0 {
            return;
        }
        let threads = if vm.thread_policy == ThreadPolicy::Isolate { 1 } else { 2 };
        let cores = vm.vcpus.div_ceil(threads).div_ceil(vm.gpus);
        let memory = Bytes::from_mib(vm.memory_mib.div_ceil(u64::from(vm.gpus)).min(1 << 40));
        let share = GpuShare { cores, memory };
        self.latest.push_back(GpuShape { gpus: vm.gpus, share, count: 1 });
        if self.latest.len() > REMEMBERED {
            self.latest.pop_front();
        }
        options.gpu_mix = self.mix();
        if !share_is_named {
            options.gpu_share = Some(GpuShare {
                cores: self.quantile(|share| share.cores),
                memory: self.quantile(|share| share.memory),
            });
        }
    }

    /// Each shape once, with the number of its VMs.
    fn mix(&self) -> Vec<GpuShape> {
        let mut all: Vec<GpuShape> = self.latest.iter().copied().collect();
        all.sort_unstable();
        all.dedup_by(|next, kept| {
            let same = (next.gpus, next.share) == (kept.gpus, kept.share);
            kept.count += if same { next.count } else { 0 };
            same
        });
        all
    }

    /// The least that is enough for [`QUANTILE`] hundredths of the GPUs.
    fn quantile<T: Ord + Copy + Default>(&self, of: impl Fn(&GpuShare) -> T) -> T {
        let mut all: Vec<(T, usize)> =
            self.latest.iter().map(|shape| (of(&shape.share), shape.gpus as usize)).collect();
        all.sort_unstable();
        let gpus: usize = all.iter().map(|(_, gpus)| gpus).sum();
        let mut below = 0;
        let enough = |(_, of): &&(T, usize)| {
            below += of;
            below * 100 >= gpus * QUANTILE
        };
        all.iter().find(enough).map(|(value, _)| *value).unwrap_or_default()
    }
}
