//! The order in which hosts are filled, as an argument.

use clap::ValueEnum;
use pinwise::fleet::HostOrder;

/// Which of the hosts that fit comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bin {
    /// The host where the VM takes the least from VMs that could still come.
    BestFit,
    /// The first host, in the order of the fleet.
    FirstFit,
    /// The host with the most left.
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
