//! The arguments for devices that are chosen by kind.

use pinwise::Policy;
use pinwise::request::{DeviceWish, Nearness, WishKind, WishNumber};

use crate::input::policies::policy;

/// NICs and NVMe disks to choose beside the GPUs.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct WishArgs {
    /// The number of NICs, or of NIC virtual functions, to choose near the GPUs.
    #[arg(long, value_name = "N", conflicts_with = "nic_per_gpu")]
    nic: Option<u32>,
    /// A NIC, or a NIC's virtual function, beside each GPU.
    #[arg(long)]
    nic_per_gpu: bool,
    /// A part of the NICs' model name or of their PCI ids (15b3:1021).
    #[arg(long, value_name = "TEXT")]
    nic_model: Option<String>,
    /// The number of NVMe disks to choose near the GPUs.
    #[arg(long, value_name = "N", conflicts_with = "nvme_per_gpu")]
    nvme: Option<u32>,
    /// An NVMe disk beside each GPU.
    #[arg(long)]
    nvme_per_gpu: bool,
    /// A part of the NVMe disks' model name or of their PCI ids.
    #[arg(long, value_name = "TEXT")]
    nvme_model: Option<String>,
    /// How strictly each device that is chosen by kind must be near a GPU; without GPUs, on a node
    /// of the VM. prefer by default.
    #[arg(long, value_name = "require|prefer|ignore", value_parser = policy)]
    device_near: Option<Policy>,
    /// What counts as near a GPU: below one switch or root port (the default), in one root complex,
    /// or on one node.
    #[arg(long, value_name = "switch|root-complex|node", value_parser = within)]
    device_within: Option<Nearness>,
}

impl WishArgs {
    /// The wishes. A model without a number asks for one device.
    pub(crate) fn wishes(&self) -> Vec<DeviceWish> {
        let nics = (WishKind::Nic, self.nic_per_gpu, self.nic, &self.nic_model);
        let disks = (WishKind::Nvme, self.nvme_per_gpu, self.nvme, &self.nvme_model);
        let wish = |(kind, per_gpu, count, model): (_, bool, Option<u32>, &Option<String>)| {
            let number = match count.or(model.is_some().then_some(1)) {
                _ if per_gpu => WishNumber::PerGpu,
                None | Some(0) => return None,
                Some(count) => WishNumber::Count(count),
            };
            let wish = DeviceWish::new(kind, number);
            Some(DeviceWish {
                model: model.clone(),
                near: self.device_near.unwrap_or(wish.near),
                within: self.device_within.unwrap_or(wish.within),
                ..wish
            })
        };
        [nics, disks].into_iter().filter_map(wish).collect()
    }
}

fn within(text: &str) -> Result<Nearness, String> {
    let known = Nearness::ALL.into_iter().find(|within| within.name() == text);
    known.ok_or_else(|| format!("{text:?} is not switch, root-complex or node"))
}
