//! The devices that go with each GPU set, where the request asks for devices by kind.
//!
//! **Takes** the host, its tenants and the request. **Gives**, for a set of GPUs, the nearest free
//! devices, how near they are, and which GPUs could be exchanged without a difference to them.
//! Without such a wish nothing is computed, and every set refers to one empty choice.

use crate::engine::beside::{apart, choose};
use crate::engine::profile::count;
use crate::engine::refusal::Fact;
use crate::free::wished::{Wished, wished};
use crate::host::Host;
use crate::host::mask::{GpuMask, NodeMask};
use crate::host::pci_place::{LEVELS, PciPlace};
use crate::request::{DeviceWish, Policy, Request};
use crate::units::PciAddr;
use crate::usage::Usage;

/// The devices chosen for one GPU set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Sorted.
    pub(crate) devices: Vec<PciAddr>,
    /// For each device that should be near: the position of its node, if it is known. Sorted.
    pub(crate) nodes: Vec<Option<usize>>,
    /// The known nodes of all devices.
    pub(crate) mask: NodeMask,
    /// The number of devices farther from the GPUs than preferred.
    pub(crate) apart: u32,
    /// The number of devices farther from the GPUs than required.
    pub(crate) refused: u32,
    /// The sum of the levels at which devices and GPUs meet: the less, the nearer.
    pub(crate) levels: u32,
}

/// What a request wishes, and what is free for it.
#[derive(Debug)]
pub(super) struct Wishes<'a> {
    host: &'a Host,
    all: Vec<(&'a DeviceWish, Wished)>,
    /// The places of the host's GPUs, with the parts only in which a free device is.
    gpus: Vec<PciPlace>,
}

impl<'a> Wishes<'a> {
    /// The wishes of a request.
    ///
    /// # Errors
    /// [`Fact::DevicesShort`] if too few devices are free for one.
    pub(super) fn new(
        host: &'a Host,
        usage: &Usage,
        request: &'a Request,
    ) -> Result<Self, Vec<Fact>> {
        let spec = request.spec();
        let mut all = Vec::with_capacity(spec.device_wishes.len());
        for wish in &spec.device_wishes {
            let found = wished(host, usage, request, wish);
            let (needed, free) = (wish.devices(spec.gpus.count()), found.free.len());
            if free < needed {
                let [needed, free, total] = [needed, free, found.total].map(count);
                let (kind, model) = (wish.kind, wish.model.clone());
                return Err(vec![Fact::DevicesShort { kind, needed, free, total, model }]);
            }
            all.push((wish, found));
        }
        let gpus = if all.is_empty() { &[][..] } else { host.gpus() };
        let gpus = gpus.iter().map(|gpu| shared(host, gpu.address, &all)).collect();
        Ok(Self { host, all, gpus })
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The GPUs that are in the same parts of the host as this one, as far as a free device is in
    /// them.
    pub(super) fn alike(&self, at: usize) -> GpuMask {
        let same = |other: &usize| self.gpus[*other] == self.gpus[at];
        (0..self.gpus.len()).filter(same).collect()
    }

    /// The nearest devices for a set of GPUs.
    pub(super) fn beside(&self, gpus: GpuMask) -> Chosen {
        let places: Vec<PciPlace> = gpus.iter().map(|at| self.gpus[at]).collect();
        let mut chosen = Chosen::default();
        for (wish, found) in &self.all {
            let offered: Vec<PciPlace> = found.free.iter().map(|device| device.place).collect();
            let wanted = wish.devices(places.len());
            let (mut picked, levels) = choose(wish.number, wanted, &places, &offered);
            picked.sort_by_key(|at| found.free[*at].address);
            let picked_places: Vec<PciPlace> = picked.iter().map(|at| offered[*at]).collect();
            let far = apart(wish.number, wish.within, &places, &picked_places);
            match wish.near {
                Policy::Require => chosen.refused += count(far),
                Policy::Prefer => chosen.apart += count(far),
                Policy::Ignore => {}
            }
            chosen.levels += count(levels);
            self.add(&mut chosen, wish, picked.iter().map(|at| found.free[*at].address));
        }
        chosen.sorted()
    }

    /// For a VM without GPUs: the choices for each node with a free device, all different.
    pub(super) fn by_node(&self) -> Vec<Chosen> {
        let mut all: Vec<Chosen> = Vec::new();
        for home in 0..self.host.nodes().len() {
            let mut chosen = Chosen::default();
            for (wish, found) in &self.all {
                let mut devices: Vec<PciAddr> = found.free.iter().map(|of| of.address).collect();
                devices.sort_by_key(|device| match self.node(*device) {
                    Some(node) if node == home => (0, 0),
                    Some(node) => (1, self.host.derived().far(home, node).0),
                    None => (2, 0),
                });
                let wanted = wish.devices(0);
                self.add(&mut chosen, wish, devices.into_iter().take(wanted));
            }
            let chosen = chosen.sorted();
            if !all.contains(&chosen) {
                all.push(chosen);
            }
        }
        all
    }

    fn node(&self, device: PciAddr) -> Option<usize> {
        let node = self.host.pci().get(device).and_then(|device| device.node);
        node.and_then(|node| self.host.node_index(node))
    }

    fn add(&self, chosen: &mut Chosen, wish: &DeviceWish, devices: impl Iterator<Item = PciAddr>) {
        for device in devices {
            let node = self.node(device);
            chosen.devices.push(device);
            chosen.mask |= node.into_iter().collect::<NodeMask>();
            if wish.near != Policy::Ignore {
                chosen.nodes.push(node);
            }
        }
    }
}

impl Chosen {
    fn sorted(mut self) -> Self {
        self.devices.sort_unstable();
        self.nodes.sort_unstable();
        self
    }

    /// The number of devices that should be near and are not known to be on these nodes.
    pub(crate) fn far(&self, mask: NodeMask) -> usize {
        self.nodes.iter().filter(|node| node.is_none_or(|at| !mask.contains(at))).count()
    }
}

/// The place of a GPU, without the parts in which no device is that could be given.
fn shared(host: &Host, gpu: PciAddr, wishes: &[(&DeviceWish, Wished)]) -> PciPlace {
    let mut place = PciPlace::of(host, gpu);
    for level in 0..LEVELS {
        let mut offered = wishes.iter().flat_map(|(_, found)| &found.free);
        if !offered.any(|device| device.place.meets(&place, level)) {
            place.0[level] = None;
        }
    }
    place
}
