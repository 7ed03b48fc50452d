//! The devices of a placement that the request asks for by kind, read from the placement alone.

use crate::engine::beside::{apart, levels, pairs};
use crate::free::wished::device_kind;
use crate::host::Host;
use crate::host::pci_place::PciPlace;
use crate::placement::Placement;
use crate::request::{DeviceWish, Nearness, Policy, Request, WishNumber};
use crate::sets::NodeSet;
use crate::units::PciAddr;

/// The other devices of a placement: each with the wish that it was chosen for, or with none if the
/// request names it. A request has one wish of a kind at most, so a device's kind tells its wish.
#[derive(Debug)]
pub(crate) struct Wished<'a>(Vec<(PciAddr, Option<&'a DeviceWish>)>);

/// A device that was chosen for a GPU, and the smallest part of the host that holds both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) device: PciAddr,
    /// `None` if no GPU is left for it.
    pub(crate) gpu: Option<PciAddr>,
    /// `None` if they meet in no part that counts as near.
    pub(crate) within: Option<Nearness>,
}

impl<'a> Wished<'a> {
    pub(crate) fn of(host: &Host, request: &'a Request, placement: &Placement) -> Self {
        let spec = request.spec();
        let wish = |address: PciAddr| {
            let kind = host.pci().get(address)?.kind();
            let by_kind = !spec.devices.contains(&address);
            spec.device_wishes.iter().find(|wish| by_kind && device_kind(wish.kind) == kind)
        };
        let others = placement.devices.iter().filter(|device| !device.is_gpu);
        Self(others.map(|device| (device.address, wish(device.address))).collect())
    }

    /// The number of devices that should be near and are not known to be on these nodes.
    pub(crate) fn far(&self, host: &Host, nodes: &NodeSet) -> usize {
        let counts = |wish: &Option<&DeviceWish>| wish.is_none_or(|w| w.near != Policy::Ignore);
        let near = |device: PciAddr| {
            let node = host.pci().get(device).and_then(|device| device.node);
            node.is_some_and(|node| nodes.contains(node))
        };
        self.0.iter().filter(|(device, wish)| counts(wish) && !near(*device)).count()
    }

    /// The numbers of devices that are farther from the GPUs than preferred, and than required.
    /// Without GPUs there are none.
    pub(crate) fn apart(&self, host: &Host, gpus: &[PciAddr]) -> (u32, u32) {
        let (mut preferred, mut required) = (0, 0);
        let wishes = self.wishes();
        if gpus.is_empty() || wishes.is_empty() {
            return (0, 0);
        }
        let places: Vec<PciPlace> = gpus.iter().map(|gpu| PciPlace::of(host, *gpu)).collect();
        for wish in wishes {
            let devices: Vec<PciPlace> =
                self.of_wish(wish).map(|device| PciPlace::of(host, device)).collect();
            let far = apart(wish.number, wish.within, &places, &devices);
            let far = u32::try_from(far).unwrap_or(u32::MAX);
            match wish.near {
                Policy::Require => required += far,
                Policy::Prefer => preferred += far,
                Policy::Ignore => {}
            }
        }
        (preferred, required)
    }

    /// The devices of each wish with the GPUs that they are beside.
    pub(crate) fn beside(&self, host: &Host, gpus: &[PciAddr]) -> Vec<(&'a DeviceWish, Beside)> {
        let places: Vec<PciPlace> = gpus.iter().map(|gpu| PciPlace::of(host, *gpu)).collect();
        let mut all = Vec::new();
        for wish in self.wishes() {
            let devices: Vec<PciAddr> = self.of_wish(wish).collect();
            let of: Vec<PciPlace> = devices.iter().map(|d| PciPlace::of(host, *d)).collect();
            let each = if wish.number == WishNumber::PerGpu { 1 } else { devices.len() };
            let made = pairs(&places, &of, devices.len(), each);
            let paired = |gpu: usize| made.iter().any(|pair| pair.gpu == gpu);
            let mut alone = (0..gpus.len()).filter(|gpu| !paired(*gpu));
            for (at, device) in devices.iter().enumerate() {
                let pair = made.iter().find(|pair| pair.device == at);
                let gpu = pair.map(|pair| pair.gpu).or_else(|| alone.next());
                let level = pair.map(|pair| pair.level);
                let near = |within: &Nearness| level.is_some_and(|at| at < levels(*within));
                let within = Nearness::ALL.into_iter().find(near);
                let gpu = gpu.map(|at| gpus[at]);
                all.push((wish, Beside { device: *device, gpu, within }));
            }
        }
        all
    }

    fn wishes(&self) -> Vec<&'a DeviceWish> {
        let mut wishes: Vec<&DeviceWish> = self.0.iter().filter_map(|(_, wish)| *wish).collect();
        wishes.sort_unstable_by_key(|wish| wish.kind);
        wishes.dedup_by_key(|wish| wish.kind);
        wishes
    }

    fn of_wish(&self, wish: &DeviceWish) -> impl Iterator<Item = PciAddr> {
        let kind = wish.kind;
        let same = move |of: &Option<&DeviceWish>| of.is_some_and(|of| of.kind == kind);
        self.0.iter().filter(move |(_, of)| same(of)).map(|(device, _)| *device)
    }
}
