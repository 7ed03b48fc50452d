//! Policies and threads as arguments.

use pinwise::{Policies, Policy};

/// How strictly each property is wanted.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct PolicyArgs {
    /// How strictly each vCPU must have a pCPU of its own.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    dedicated_cpus: Option<Policy>,
    /// How strictly no core may be shared with another tenant; with ignore, no idle sibling is
    /// held.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    whole_cores: Option<Policy>,
    /// How strictly no other tenant may have dedicated pCPUs in the L3 domains of the VM's.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    own_l3: Option<Policy>,
    /// How strictly the VM must be on one node.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    one_node: Option<Policy>,
    /// How strictly every GPU must be on a node of the VM; require by default.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy, conflicts_with = "remote_gpus")]
    gpu_locality: Option<Policy>,
    /// How strictly all GPUs must be below one PCIe switch.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    same_switch: Option<Policy>,
    /// How strictly the GPUs must form one of the host's fabric partitions.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    fabric_partition: Option<Policy>,
}

impl PolicyArgs {
    /// The policies that the arguments name, and those of `base` for the others.
    pub(crate) fn over(&self, base: Policies) -> Policies {
        Policies {
            dedicated_cpus: self.dedicated_cpus.unwrap_or(base.dedicated_cpus),
            whole_cores: self.whole_cores.unwrap_or(base.whole_cores),
            own_l3: self.own_l3.unwrap_or(base.own_l3),
            one_node: self.one_node.unwrap_or(base.one_node),
            gpu_locality: self.gpu_locality.unwrap_or(base.gpu_locality),
            same_switch: self.same_switch.unwrap_or(base.same_switch),
            fabric_partition: self.fabric_partition.unwrap_or(base.fabric_partition),
            ..base
        }
    }
}

/// The threads beside the vCPUs.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ThreadArgs {
    /// The number of I/O threads.
    #[arg(long, value_name = "N")]
    pub(crate) io_threads: Option<u32>,
    /// The number of pCPUs for the emulator threads alone; by default they share what the host
    /// keeps.
    #[arg(long, value_name = "N")]
    pub(crate) emulator_pcpus: Option<u32>,
}

pub(crate) fn policy(text: &str) -> Result<Policy, String> {
    match text {
        "require" => Ok(Policy::Require),
        "prefer" => Ok(Policy::Prefer),
        "ignore" => Ok(Policy::Ignore),
        _ => Err(format!("{text:?} is not require, prefer or ignore")),
    }
}
