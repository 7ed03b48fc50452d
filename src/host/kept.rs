//! The pCPUs that the host keeps for its own work, its kernel, services, emulator and I/O threads.
//!
//! What an operator names is kept, and nothing else. Where the operator leaves the choice open
//! ([`Reserve::Auto`]), one core is kept, by the first of these rules that applies:
//! 1. No core: on a host with one core, and where the kernel isolates every allowed pCPU, so that
//!    the host's work runs outside the allowed set.
//! 2. Where the kernel isolates some: the first core without an isolated pCPU, else the pCPUs of a
//!    core that are not isolated. The kernel's scheduler keeps its work off isolated pCPUs anyway.
//! 3. A low-power efficiency core, else an efficiency core: the host's own work is light.
//! 4. A core of the L3 domain with the smallest cache, where the sizes of caches differ.
//! 5. A core of a node without GPUs, where other nodes have GPUs; else of a node all of whose GPUs
//!    the host itself drives, where other nodes have GPUs for VMs.
//! 6. The core of the lowest allowed pCPU.
//!
//! Rules 3 to 6 are ours; no published number tells what a core kept for the host is worth.

use std::fmt;
use std::str::FromStr;

use super::pcie::PciTree;
use super::records::{Core, CoreKind, Gpu, L3Domain};
use crate::sets::CpuSet;
use crate::units::{ParseUnitError, PcpuId};

/// The pCPUs to keep for the host's own work, as its operator says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
pub enum Reserve {
    /// One core, chosen by the rules that [`Kept::why`] names.
    #[default]
    Auto,
    /// Nothing: the host's own work runs beside the VMs.
    None,
    /// These pCPUs.
    These(CpuSet),
}

/// `auto`, `none`, or a list such as `0-3,8`. An empty text is `auto`.
impl FromStr for Reserve {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "auto" | "" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            list => {
                let these = list.parse().map(Self::These);
                these.map_err(|_| ParseUnitError::new(text, "auto, none, or a list such as 0-3,8"))
            }
        }
    }
}

impl fmt::Display for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::These(cpus) => write!(f, "{cpus}"),
        }
    }
}

impl From<Reserve> for String {
    fn from(reserve: Reserve) -> Self {
        reserve.to_string()
    }
}

impl TryFrom<String> for Reserve {
    type Error = ParseUnitError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CpuSet> for Reserve {
    /// These pCPUs; [`Reserve::Auto`] for the empty set.
    fn from(cpus: CpuSet) -> Self {
        if cpus.is_empty() { Self::Auto } else { Self::These(cpus) }
    }
}

/// The reason for which pCPUs are kept, or none are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum KeptWhy {
    /// The operator named them, or asked for none.
    Operator,
    /// None: the host has one core.
    OnlyCore,
    /// None: the kernel isolates every allowed pCPU.
    AllIsolated,
    /// The kernel isolates others.
    NotIsolated,
    /// A low-power efficiency core.
    LowPowerCore,
    /// An efficiency core.
    EfficiencyCore,
    /// A core of the L3 domain with the smallest cache.
    SmallestL3,
    /// A core of a node without GPUs.
    NoGpus,
    /// A core of a node whose GPUs the host itself drives.
    OwnGpus,
    /// The core of the lowest allowed pCPU.
    FirstCore,
}

/// The reason as a phrase.
impl fmt::Display for KeptWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "as its operator says",
            Self::OnlyCore => "it has one core",
            Self::AllIsolated => "all allowed pCPUs are isolated",
            Self::NotIsolated => "the kernel isolates others",
            Self::LowPowerCore => "a low-power efficiency core",
            Self::EfficiencyCore => "an efficiency core",
            Self::SmallestL3 => "a core with the smallest L3 cache",
            Self::NoGpus => "a core of a node without GPUs",
            Self::OwnGpus => "a core of a node whose GPUs are in use by the host",
            Self::FirstCore => "the first core",
        })
    }
}

/// The pCPUs that are kept for the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The pCPUs, whole cores unless the operator or the kernel's isolation cut one.
    pub cpus: CpuSet,
    /// The reason.
    pub why: KeptWhy,
}

/// The input of the choice.
pub(super) struct Seen<'a> {
    pub(super) cores: &'a [Core],
    pub(super) l3_domains: &'a [L3Domain],
    pub(super) gpus: &'a [Gpu],
    pub(super) pci: &'a PciTree,
    pub(super) allowed: &'a CpuSet,
    pub(super) isolated: &'a CpuSet,
}

/// The core's lowest pCPU among `of`.
fn lowest(core: &Core, of: &CpuSet) -> Option<PcpuId> {
    core.pcpus.iter().copied().find(|pcpu| of.contains(*pcpu))
}

impl Kept {
    pub(super) fn new(reserve: &Reserve, seen: &Seen<'_>) -> Self {
        match reserve {
            Reserve::None => Self { cpus: CpuSet::new(), why: KeptWhy::Operator },
            Reserve::These(cpus) => Self { cpus: cpus.clone(), why: KeptWhy::Operator },
            Reserve::Auto => seen.choose(),
        }
    }
}

impl Seen<'_> {
    fn choose(&self) -> Kept {
        let none = |why| Kept { cpus: CpuSet::new(), why };
        if self.cores.len() < 2 {
            return none(KeptWhy::OnlyCore);
        }
        if self.allowed.is_subset(self.isolated) {
            return none(KeptWhy::AllIsolated);
        }
        if self.allowed.intersects(self.isolated) {
            return self.not_isolated();
        }
        let usable = |core: &&Core| core.pcpus.iter().any(|pcpu| self.allowed.contains(*pcpu));
        let cores = || self.cores.iter().filter(usable);
        let (slowest, fastest) =
            (cores().map(|core| core.kind).max(), cores().map(|core| core.kind).min());
        let of_kind = |core: &&Core| slowest == fastest || Some(core.kind) == slowest;
        let kept = cores().filter(of_kind).min_by_key(|core| {
            (self.l3_size(core), self.gpus_beside(core), lowest(core, self.allowed))
        });
        let Some(kept) = kept else { return none(KeptWhy::OnlyCore) };
        let differs = |of: &dyn Fn(&Core) -> u64| cores().any(|core| of(core) != of(kept));
        let why = match kept.kind {
            CoreKind::LowPower if slowest != fastest => KeptWhy::LowPowerCore,
            CoreKind::Efficiency if slowest != fastest => KeptWhy::EfficiencyCore,
            _ if differs(&|core| self.l3_size(core)) => KeptWhy::SmallestL3,
            _ if differs(&|core| self.gpus_beside(core)) => match self.gpus_beside(kept) {
                0 => KeptWhy::NoGpus,
                _ => KeptWhy::OwnGpus,
            },
            _ => KeptWhy::FirstCore,
        };
        Kept { cpus: kept.pcpus.iter().copied().collect(), why }
    }

    fn not_isolated(&self) -> Kept {
        let open = self.allowed.difference(self.isolated);
        let has_open = |core: &&Core| core.pcpus.iter().any(|pcpu| open.contains(*pcpu));
        let cut = |core: &Core| core.pcpus.iter().any(|pcpu| self.isolated.contains(*pcpu));
        let first = |core: &&Core| (cut(core), lowest(core, &open));
        let core = self.cores.iter().filter(has_open).min_by_key(first);
        let pcpus = core.into_iter().flat_map(|core| &core.pcpus).copied();
        let cpus = pcpus.filter(|pcpu| !self.isolated.contains(*pcpu)).collect();
        Kept { cpus, why: KeptWhy::NotIsolated }
    }

    /// The size of the core's L3 cache in bytes; the largest number where it is not known.
    fn l3_size(&self, core: &Core) -> u64 {
        let domain = self.l3_domains.iter().find(|domain| Some(domain.id) == core.l3);
        domain.and_then(|domain| domain.size).map_or(u64::MAX, |size| size.0)
    }

    /// How much the GPUs on the core's node speak against it: 0 without GPUs, 1 if a driver of the
    /// host is bound to all of them, else 2.
    fn gpus_beside(&self, core: &Core) -> u64 {
        let here = self.gpus.iter().filter(|gpu| !gpu.integrated && gpu.node == Some(core.node));
        let own = |gpu: &Gpu| {
            self.pci.get(gpu.address).is_some_and(|device| device.host_driver().is_some())
        };
        here.map(|gpu| if own(gpu) { 1 } else { 2 }).max().unwrap_or(0)
    }
}
