//! The order of hosts as an argument.

use clap::ValueEnum;
use pinwise::fleet::HostOrder;

/// The order of the hosts that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bin {
    /// First the host where the VM takes the least from later VMs.
    BestFit,
    /// The hosts in the order of the fleet.
    FirstFit,
    /// First the host with the most left.
    Spread,
}

impl From<Bin> for HostOrder {
    fn from(bin: Bin) -> Self {
        match bin {
            Bin::BestFit => Self::BestFit,
            Bin::FirstFit => Self::FirstFit,
            Bin::Spread => Self::Spread,
        }
    }
}
