//! What the rules of the audit look at: the domain, the host beside its other tenants, and the
//! engine's own answer for the same VM.

use std::collections::BTreeSet;

use super::as_is::{AsIs, CellAsIs};
use crate::engine::recommend::{Ranked, recommend};
use crate::host::{CoreKind, DeviceKind, Host, PciDevice, Reserve};
use crate::question::Question;
use crate::request::{Policies, Policy, RequestSpec};
use crate::sets::{CpuSet, NodeSet, VcpuSet};
use crate::units::{CoreId, Id as _, L3Id, PackageId, PcpuId, VcpuId};
use crate::usage::Usage;

/// The parts of the host that some pCPUs are in.
#[derive(Debug, Default)]
pub(super) struct Span {
    pub(super) nodes: NodeSet,
    pub(super) packages: BTreeSet<PackageId>,
    pub(super) l3: BTreeSet<(PackageId, Option<L3Id>)>,
    /// The size of the smallest L3 cache in bytes, if all are known.
    pub(super) smallest_cache: Option<u64>,
    /// The pCPUs of efficiency cores, of low-power ones, and the number of kinds of cores.
    pub(super) efficiency: CpuSet,
    pub(super) low_power: CpuSet,
    pub(super) kinds: usize,
    /// The pCPUs that the kernel does not isolate.
    pub(super) open: CpuSet,
    /// The pCPUs on whose cores other tenants float.
    pub(super) crowded: CpuSet,
}

impl Span {
    fn of(host: &Host, usage: &Usage, pcpus: &CpuSet) -> Self {
        let mut span = Self { open: pcpus.difference(host.isolated()), ..Self::default() };
        let (mut kinds, mut caches) = (BTreeSet::new(), Vec::new());
        for pcpu in pcpus.iter() {
            let Some(core) = host.core_of(pcpu) else { continue };
            span.nodes.insert(core.node);
            span.packages.insert(core.id.package);
            kinds.insert(core.kind);
            match core.kind {
                CoreKind::Performance => {}
                CoreKind::Efficiency => _ = span.efficiency.insert(pcpu),
                CoreKind::LowPower => _ = span.low_power.insert(pcpu),
            }
            if span.l3.insert((core.id.package, core.l3)) {
                let domain = host.l3_domains().iter().find(|domain| Some(domain.id) == core.l3);
                caches.push(domain.and_then(|domain| domain.size).map(|size| size.0));
            }
            let floats = |on: &PcpuId| usage.tenants().any(|(_, c)| c.floating.contains(*on));
            if core.pcpus.iter().any(floats) {
                span.crowded.insert(pcpu);
            }
        }
        span.kinds = kinds.len();
        let caches: Option<Vec<u64>> = caches.into_iter().collect();
        span.smallest_cache = caches.and_then(|caches| caches.into_iter().min());
        span
    }
}

/// The engine's own answer for the same VM beside the same tenants.
#[derive(Debug)]
pub(super) struct Best {
    pub(super) ranked: Ranked,
    pub(super) span: Span,
}

/// What the rules look at.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) host: &'a Host,
    /// The other tenants.
    pub(super) usage: &'a Usage,
    pub(super) question: Question<'a>,
    pub(super) domain: &'a AsIs,
    /// The pCPU of each vCPU that is pinned to one online pCPU.
    pub(super) single: Vec<Option<PcpuId>>,
    /// All of these pCPUs.
    pub(super) pinned: CpuSet,
    /// The online pCPUs that the domain states for its vCPUs.
    pub(super) stated: CpuSet,
    /// The parts of the host that those are in.
    pub(super) span: Span,
    pub(super) best: Option<Best>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(question: Question<'a>, domain: &'a AsIs) -> Self {
        let Question { host, usage, .. } = question;
        let one = |set: &CpuSet| set.first().filter(|_| set.len() == 1);
        let online = |pcpu: &PcpuId| host.online().contains(*pcpu);
        let single: Vec<_> = domain.vcpus.iter().map(|set| one(set).filter(online)).collect();
        let stated = domain.vcpus.iter().fold(CpuSet::new(), |all, set| all.union(set));
        let stated = stated.intersection(host.online());
        let best = best(question).map(|ranked| {
            let span = Span::of(host, usage, &ranked.placement.vcpu_pcpus());
            Best { ranked, span }
        });
        Self {
            host,
            usage,
            question,
            domain,
            pinned: single.iter().copied().flatten().collect(),
            single,
            span: Span::of(host, usage, &stated),
            stated,
            best,
        }
    }

    /// Whether each vCPU is pinned to one pCPU.
    pub(super) fn all_pinned(&self) -> bool {
        self.single.iter().all(Option::is_some)
    }

    /// Whether each vCPU is held to some pCPUs.
    pub(super) fn all_stated(&self) -> bool {
        self.domain.vcpus.iter().all(|set| !set.is_empty())
    }

    /// The core that has all of these pCPUs.
    pub(super) fn core_of(&self, set: &CpuSet) -> Option<CoreId> {
        let core = self.host.core_of(set.first()?)?;
        // A core has few pCPUs: longer sets are not looked through.
        let inside = set.len() <= core.pcpus.len() && set.iter().all(|p| core.pcpus.contains(&p));
        inside.then_some(core.id)
    }

    /// The vCPUs whose set of pCPUs fulfils a condition.
    pub(super) fn vcpus(&self, is_it: impl Fn(&CpuSet) -> bool) -> VcpuSet {
        let all = self.domain.vcpus.iter().zip(0..VcpuId::LIMIT);
        all.filter(|(set, _)| is_it(set)).map(|(_, vcpu)| VcpuId(vcpu)).collect()
    }

    /// The vCPUs that are pinned to one of these pCPUs alone.
    pub(super) fn pinned_to(&self, pcpus: &CpuSet) -> VcpuSet {
        self.vcpus(|set| set.len() == 1 && set.intersects(pcpus))
    }

    /// The names of the tenants that these pCPUs are dedicated to.
    pub(super) fn holders(&self, pcpus: &CpuSet) -> Vec<String> {
        let holds = self.usage.tenants().filter(|(_, claim)| claim.dedicated.intersects(pcpus));
        holds.map(|(name, _)| name.to_owned()).collect()
    }

    /// The names of the tenants that float on the cores of these pCPUs.
    pub(super) fn floaters(&self, pcpus: &CpuSet) -> Vec<String> {
        let cores = pcpus.iter().filter_map(|pcpu| self.host.core_of(pcpu));
        let all: CpuSet = cores.flat_map(|core| core.pcpus.iter().copied()).collect();
        let float = self.usage.tenants().filter(|(_, claim)| claim.floating.intersects(&all));
        float.map(|(name, _)| name.to_owned()).collect()
    }

    /// The nodes of the pCPUs that the vCPUs of the cell are held to; empty if one is held to none.
    pub(super) fn nodes_of(&self, cell: &CellAsIs) -> NodeSet {
        let mut nodes = NodeSet::new();
        for vcpu in cell.vcpus.iter() {
            let set = self.domain.vcpus.get(vcpu.0 as usize);
            let Some(set) = set.filter(|set| !set.is_empty()) else { return NodeSet::new() };
            for node in self.host.nodes().iter().filter(|node| node.cpus.intersects(set)) {
                nodes.insert(node.id);
            }
        }
        nodes
    }

    /// The devices of the domain that the host has.
    pub(super) fn devices(&self) -> impl Iterator<Item = &'a PciDevice> + '_ {
        let given = self.domain.devices.iter();
        let host = self.host;
        given.filter_map(move |device| host.pci().get(device.address))
    }

    /// Its GPUs, virtual functions included.
    pub(super) fn gpus(&self) -> impl Iterator<Item = &'a PciDevice> + '_ {
        self.devices().filter(|device| device.kind() == DeviceKind::Gpu)
    }
}

/// The best placement for the same VM. Where there is none, the one with any pages and without
/// whole cores, or else on a host that keeps nothing: the question is whether the domain could be
/// better off.
fn best(question: Question<'_>) -> Option<Ranked> {
    let of = |question| recommend(question).ok().map(|answer| answer.best().clone());
    if let Some(best) = of(question) {
        return Some(best);
    }
    let spec = question.request.spec();
    let policies = Policies { whole_cores: Policy::Ignore, ..spec.policies };
    let request = RequestSpec { policies, page_size: None, ..spec.clone() }.build().ok()?;
    let question = Question { request: &request, ..question };
    if let Some(best) = of(question) {
        return Some(best);
    }
    let host = question.host.with_reserved(Reserve::None).ok()?;
    of(Question { host: &host, ..question })
}
