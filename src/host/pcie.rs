//! The PCIe side of a host: functions, bridges, links, IOMMU groups, GPUs.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::acs::Acs;
use super::host_use::HostUse;
use super::virtual_functions::VirtualFunctions;
use crate::units::{Bytes, NodeId, ParseUnitError, PciAddr};

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident($int:ty), $digits:expr, $expected:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("0x{:0", $digits, "x}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseUnitError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let digits = text.trim();
                let digits = digits.strip_prefix("0x").unwrap_or(digits);
                let plain = (1..=$digits).contains(&digits.len())
                    && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let value = if plain { <$int>::from_str_radix(digits, 16).ok() } else { None };
                value.map(Self).ok_or_else(|| ParseUnitError::new(text, $expected))
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id!(
    /// A PCI class with subclass and programming interface: `0x030200` is a 3D controller.
    PciClass(u32), 6, "a PCI class such as 0x030200"
);
hex_id!(
    /// A PCI vendor or device id.
    PciId(u16), 4, "a PCI vendor or device id such as 0x10de"
);

/// Vendors of display controllers that serve a console (BMC, emulated), which never count as GPUs.
const CONSOLE_VENDORS: [u16; 10] =
    [0x1a03, 0x102b, 0x1013, 0x1234, 0x1af4, 0x1b36, 0x15ad, 0x126f, 0x19e5, 0x18ca];

/// The speed of an idle link in MT/s: PCIe's first generation.
const IDLE_MTS: u32 = 2_500;

/// The kind of a function, as far as placement is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// A GPU or other processing accelerator (class 03xx or 1200) that is not a console adapter.
    Gpu,
    /// A network or InfiniBand controller.
    Nic,
    /// An NVMe controller.
    Nvme,
    /// A PCI-to-PCI bridge: a root port or a port of a switch.
    Bridge,
    /// Anything else.
    Other,
}

/// A link's speed and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct LinkState {
    /// Megatransfers per second and lane: 2500, 5000, 8000, 16000, 32000, 64000.
    pub mts: u32,
    /// Lanes.
    pub width: u8,
}

impl LinkState {
    /// The slower speed and the narrower width of the two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { mts: self.mts.min(other.mts), width: self.width.min(other.width) }
    }

    /// The speed times the width, in MT/s: a measure for comparing links.
    pub(super) fn capacity(self) -> u64 {
        u64::from(self.mts) * u64::from(self.width)
    }

    fn reaches(self, other: Self) -> bool {
        self.mts >= other.mts && self.width >= other.width
    }
}

/// The kernel's notation: `16 GT/s x16`.
impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mts, width } = self;
        match mts % 1000 {
            0 => write!(f, "{} GT/s x{width}", mts / 1000),
            _ => write!(f, "{}.{} GT/s x{width}", mts / 1000, mts % 1000 / 100),
        }
    }
}

/// A PCI function, bridges included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PciDevice {
    /// The address.
    pub address: PciAddr,
    /// The class of the function.
    pub class: PciClass,
    /// The vendor id.
    pub vendor: PciId,
    /// The device id.
    pub device: PciId,
    /// The model's name, if a source gives it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub name: Option<String>,
    /// The kernel's `numa_node`; `None` where the kernel says -1. In a [`Host`](super::Host) with
    /// only one node that has memory, a device without a node is on that one.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub node: Option<NodeId>,
    /// The bridge above; `None` directly on a root bus.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub parent: Option<PciAddr>,
    /// The IOMMU group; `None` without an IOMMU, or if the source does not show groups.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub iommu_group: Option<u32>,
    /// The kernel driver bound to it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub driver: Option<String>,
    /// Whether the firmware showed its console on this display controller (`boot_vga`).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_false"))]
    pub boot_vga: bool,
    /// The uses that the host makes of it, ascending and each once; empty if no source tells any.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub used_for: Vec<HostUse>,
    /// The physical function that this virtual function belongs to.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub physical_function: Option<PciAddr>,
    /// The UUIDs of its mediated devices (mdev), which are shares of it; `None` if its driver is
    /// not known to serve any.
    #[doc(alias = "mdev")]
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub mediated: Option<Vec<String>>,
    /// The number of MIG instances that the GPU is divided into; `None` if MIG is off or unknown.
    #[doc(alias = "multi-instance GPU")]
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub mig_instances: Option<u32>,
    /// The current state of the link to the port above.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub link_now: Option<LinkState>,
    /// The maximum of this function's own side of the link.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub link_max: Option<LinkState>,
    /// The access control of a bridge; `None` if the source does not show it. sysfs shows it only
    /// to root.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub access: Option<Acs>,
    /// The sizes of its memory BARs.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub bars: Vec<Bytes>,
}

impl PciDevice {
    /// A function with only its address and ids known.
    #[must_use]
    pub fn new(address: PciAddr, class: PciClass, vendor: PciId, device: PciId) -> Self {
        Self {
            address,
            class,
            vendor,
            device,
            name: None,
            node: None,
            parent: None,
            iommu_group: None,
            driver: None,
            boot_vga: false,
            used_for: Vec::new(),
            physical_function: None,
            mediated: None,
            mig_instances: None,
            link_now: None,
            link_max: None,
            access: None,
            bars: Vec::new(),
        }
    }

    /// The kind of the function.
    #[must_use]
    pub fn kind(&self) -> DeviceKind {
        match (self.class.0 >> 8, self.class.0 >> 16) {
            (0x0604, _) => DeviceKind::Bridge,
            (0x0108, _) => DeviceKind::Nvme,
            (_, 0x02) | (0x0c06, _) => DeviceKind::Nic,
            (0x1200, _) | (_, 0x03) if !CONSOLE_VENDORS.contains(&self.vendor.0) => DeviceKind::Gpu,
            _ => DeviceKind::Other,
        }
    }

    /// The model's name, or the ids if no source names it.
    #[must_use]
    pub fn label(&self) -> String {
        let ids = || format!("{:04x}:{:04x}", self.vendor.0, self.device.0);
        self.name.clone().unwrap_or_else(ids)
    }
}

#[cfg(feature = "serde")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The kind of a direct connection between two GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum GpuLinkKind {
    /// NVIDIA NVLink, direct or through NVSwitches.
    NvLink,
    /// AMD Infinity Fabric links between GPUs.
    #[doc(alias = "Infinity Fabric")]
    Xgmi,
}

/// A direct connection between two GPUs; the order of the ends does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct GpuLink {
    /// One end.
    pub a: PciAddr,
    /// The other end.
    pub b: PciAddr,
    /// The kind of link.
    pub kind: GpuLinkKind,
    /// The number of parallel links.
    pub count: u32,
}

/// A set of GPUs that the NVSwitch fabric manager can give to one VM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct FabricPartition {
    /// The partition's number in the fabric manager.
    pub id: u32,
    /// The GPUs of the partition.
    pub gpus: Vec<PciAddr>,
}

/// A PCIe root complex as the kernel sees it: a domain and its root bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootComplex {
    /// The PCI domain.
    pub domain: u32,
    /// The root bus.
    pub bus: u8,
}

/// The distance between two functions, in the terms of `nvidia-smi topo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommonBridge {
    /// Functions of one card, or ports of one switch.
    Pix,
    /// Below one root port, through several switches.
    Pxb,
    /// In one root complex, below different root ports.
    Phb,
    /// In different root complexes of one node.
    Node,
    /// In different nodes, or in unknown ones.
    Sys,
}

/// All functions of a host with their bridges. `HostSpec` builds and checks it: addresses are
/// unique, every parent exists and is a bridge, and no chain of parents is a circle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PciTree {
    /// Sorted by address.
    devices: Vec<PciDevice>,
    groups: BTreeMap<u32, Vec<PciAddr>>,
    virtual_functions: VirtualFunctions,
}

impl PciTree {
    /// The devices must be sorted by address.
    pub(crate) fn new(devices: Vec<PciDevice>) -> Self {
        let mut groups: BTreeMap<u32, Vec<PciAddr>> = BTreeMap::new();
        for device in devices.iter().filter(|device| device.is_endpoint()) {
            if let Some(group) = device.iommu_group {
                groups.entry(group).or_default().push(device.address);
            }
        }
        let functions = devices.iter().map(|device| (device.address, device.physical_function));
        let virtual_functions = VirtualFunctions::of(functions);
        Self { devices, groups, virtual_functions }
    }

    /// The virtual functions of the physical function at `address`, ascending; empty for all other
    /// functions.
    #[must_use]
    pub fn virtual_functions_of(&self, address: PciAddr) -> &[PciAddr] {
        self.virtual_functions.of_physical(address)
    }

    /// The functions that cannot be used while `address` is, because SR-IOV excludes them: its
    /// physical function, or its virtual functions.
    pub(crate) fn excluded_by(&self, address: PciAddr) -> impl Iterator<Item = PciAddr> + '_ {
        let physical = self.get(address).and_then(|device| device.physical_function);
        let physical = physical.filter(|physical| *physical != address);
        physical.into_iter().chain(self.virtual_functions_of(address).iter().copied())
    }

    /// All functions, sorted by address.
    #[must_use]
    pub fn devices(&self) -> &[PciDevice] {
        &self.devices
    }

    /// The function at `address`.
    #[must_use]
    pub fn get(&self, address: PciAddr) -> Option<&PciDevice> {
        let at = self.devices.binary_search_by_key(&address, |d| d.address).ok()?;
        self.devices.get(at)
    }

    /// The bridges above `address`, nearest first.
    pub fn bridges_above(&self, address: PciAddr) -> impl Iterator<Item = &PciDevice> {
        let up = |address| self.get(address).and_then(|d| d.parent).and_then(|p| self.get(p));
        std::iter::successors(up(address), move |bridge| up(bridge.address))
    }

    /// The root complex of `address`.
    #[must_use]
    pub fn root_of(&self, address: PciAddr) -> RootComplex {
        let top = self.bridges_above(address).last().map_or(address, |bridge| bridge.address);
        RootComplex { domain: top.domain, bus: top.bus }
    }

    /// The upstream side of the switch that `address` is on: the bridge above its own port. `None`
    /// if its port is a root port, that is, without a switch.
    #[must_use]
    pub fn switch_of(&self, address: PciAddr) -> Option<PciAddr> {
        self.bridges_above(address).nth(1).map(|bridge| bridge.address)
    }

    /// The distance between `a` and `b`.
    #[must_use]
    pub fn common_bridge(&self, a: PciAddr, b: PciAddr) -> CommonBridge {
        let above = |x| self.bridges_above(x).map(|d| d.address).collect::<Vec<_>>();
        let (above_a, above_b) = (above(a), above(b));
        let shared = above_a.iter().find(|bridge| above_b.contains(bridge));
        let node = |x| self.get(x).and_then(|d| d.node);
        match shared {
            Some(bridge)
                if above_a.iter().take(2).any(|x| x == bridge)
                    && above_b.iter().take(2).any(|x| x == bridge) =>
            {
                CommonBridge::Pix
            }
            Some(_) => CommonBridge::Pxb,
            None if a.same_slot(b) => CommonBridge::Pix,
            None if self.root_of(a) == self.root_of(b) => CommonBridge::Phb,
            None if node(a).is_some() && node(a) == node(b) => CommonBridge::Node,
            None => CommonBridge::Sys,
        }
    }

    /// The bridges on the path between `a` and `b`, without the one where the branches meet; empty
    /// if they do not meet below a root port.
    pub(crate) fn ports_between(&self, a: PciAddr, b: PciAddr) -> Vec<&PciDevice> {
        let above = |address| self.bridges_above(address).collect::<Vec<_>>();
        let (mut ports, others) = (above(a), above(b));
        let shared = |bridge: &&PciDevice| others.iter().any(|o| o.address == bridge.address);
        let Some(meet) = ports.iter().position(shared) else { return Vec::new() };
        let top = ports[meet].address;
        ports.truncate(meet);
        ports.extend(others.iter().take_while(|bridge| bridge.address != top));
        ports
    }

    /// The functions, without bridges and host bridges, in the IOMMU group of `address`, itself
    /// included; only itself if the group is unknown.
    #[must_use]
    pub fn group_of(&self, address: PciAddr) -> Vec<PciAddr> {
        let group = self.get(address).and_then(|d| d.iommu_group);
        group.and_then(|g| self.groups.get(&g)).cloned().unwrap_or_else(|| vec![address])
    }

    /// Whether any function is in a known IOMMU group.
    pub(crate) fn has_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The state that the link of `address` could reach: the slower of its own side and the port
    /// above. `None` if its own side is unknown.
    #[must_use]
    pub fn link_possible(&self, address: PciAddr) -> Option<LinkState> {
        let device = self.get(address)?;
        let own = device.link_max?;
        let port = self.bridges_above(address).next().and_then(|port| port.link_max);
        Some(port.map_or(own, |port| own.min(port)))
    }

    /// `(now, possible)` if the link runs slower or narrower than both sides can. A link of full
    /// width at 2.5 GT/s is idle, not degraded, as devices drop to that speed to save power; unless
    /// the link of an equal GPU (same ids and name) is faster now. The exception is ours.
    #[must_use]
    pub fn degraded_link(&self, address: PciAddr) -> Option<(LinkState, LinkState)> {
        let possible = self.link_possible(address)?;
        let now = self.get(address)?.link_now?;
        let idle = now.mts <= IDLE_MTS && now.width >= possible.width;
        let idle = idle && !self.has_faster_equal(address);
        (!now.reaches(possible) && !idle).then_some((now, possible))
    }

    /// Whether the link of a GPU equal to the one at `address` is faster than an idle one.
    fn has_faster_equal(&self, address: PciAddr) -> bool {
        let Some(own) = self.get(address).filter(|own| own.kind() == DeviceKind::Gpu) else {
            return false;
        };
        let model = |device: &PciDevice| (device.vendor, device.device, device.name.clone());
        let is_fast = |device: &&PciDevice| device.link_now.is_some_and(|now| now.mts > IDLE_MTS);
        let mut fast = self.devices.iter().filter(is_fast);
        fast.any(|other| other.kind() == DeviceKind::Gpu && model(other) == model(own))
    }

    /// `(slot, card)` if the port above `address` has fewer lanes than the device.
    #[must_use]
    pub fn narrow_slot(&self, address: PciAddr) -> Option<(LinkState, LinkState)> {
        let card = self.get(address)?.link_max?;
        let slot = self.bridges_above(address).next()?.link_max?;
        (slot.width < card.width).then_some((slot, card))
    }
}
