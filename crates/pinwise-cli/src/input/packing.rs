//! What the caller knows of the VMs that may come, as arguments.

use pinwise::engine::{GpuShare, SlotWeights};
use pinwise::fleet::FleetOptions;

use super::memory;

/// How much later VMs count, and what they have.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Packing {
    /// The weight of the packing cost, in thousandths: at 1000, taking everything that is free
    /// costs as much as losing a factor e of performance.
    #[arg(long, value_name = "THOUSANDTHS")]
    packing_weight: Option<u32>,
    /// The cores and memory that later VMs have for each GPU, such as 7:200GiB.
    #[arg(long, value_name = "CORES:MEMORY", value_parser = share)]
    gpu_share: Option<GpuShare>,
    /// What a slot of 1, 2, 4 and 8 GPUs counts, in thousandths of GPUs; 0 for a size that nobody
    /// asks for.
    #[arg(long, value_name = "N,N,N,N", value_parser = weights)]
    slot_weights: Option<SlotWeights>,
}

impl Packing {
    /// Sets what the arguments name.
    pub(crate) fn apply(&self, options: &mut FleetOptions) {
        let engine = &mut options.engine;
        engine.packing_weight = self.packing_weight.unwrap_or(engine.packing_weight);
        engine.gpu_share = self.gpu_share.or(engine.gpu_share);
        engine.slot_weights = self.slot_weights.unwrap_or(engine.slot_weights);
    }

    /// Whether the arguments say what later VMs have for each GPU.
    pub(crate) fn names_share(&self) -> bool {
        self.gpu_share.is_some()
    }
}

fn share(text: &str) -> Result<GpuShare, String> {
    let (cores, bytes) =
        text.split_once(':').ok_or_else(|| format!("{text:?} is not CORES:MEMORY"))?;
    let cores = cores.trim().parse().map_err(|_| format!("{cores:?} is not a number of cores"))?;
    Ok(GpuShare { cores, memory: memory(bytes)? })
}

fn weights(text: &str) -> Result<SlotWeights, String> {
    let one = |weight: &str| {
        weight.trim().parse().map_err(|_| format!("{weight:?} is not a number of thousandths"))
    };
    let all = text.split(',').map(one).collect::<Result<Vec<u32>, String>>()?;
    let wanted = format!("{text:?} is not a list of four numbers, for 1, 2, 4 and 8 GPUs");
    SlotWeights::try_from(all).map_err(|_| wanted)
}
