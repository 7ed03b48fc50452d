//! Free pCPUs and cores.

use super::floaters::Floaters;
use super::isolation::{Isolation, closed};
use crate::host::core_set::CoreSet;
use crate::host::{Core, Host};
use crate::request::{Policy, Request};
use crate::sets::CpuSet;
use crate::units::PcpuId;
use crate::usage::{Usage, in_l3_domains};

/// The pCPUs that a new VM may use.
#[derive(Debug, Clone)]
pub(crate) struct FreePcpus {
    /// Allowed, not kept for the host, dedicated to no tenant, closed by none, and among those that
    /// the request is held to. Tenants may float on them.
    pub(crate) usable: CpuSet,
    /// Dedicated to tenants.
    pub(crate) held: CpuSet,
    /// Closed by the isolation of tenants, and dedicated to none.
    pub(crate) closed: CpuSet,
    /// Kept for the host.
    pub(crate) housekeeping: CpuSet,
    /// Cores with a pCPU that is held, or that is both allowed and kept for the host.
    shared: CoreSet,
    /// `at_least[n - 1]`: the cores with at least n usable pCPUs.
    at_least: Vec<CoreSet>,
    /// The cores that tenants float on; `None` if there are none among those with usable pCPUs.
    pub(crate) floaters: Option<Floaters>,
    /// Of each tenant whose vCPUs float: where, and how many.
    pub(crate) sharers: Vec<(CpuSet, u32)>,
    /// The pCPUs that the request is held to; `None` for any.
    held_to: Option<CpuSet>,
    /// `exact[n - 1]`: the cores with exactly n pCPUs that are allowed and that the request may
    /// have or the host keeps. `None` where the request may have any: these are then
    /// [`Derived::allowed`](crate::host::derived::Derived::allowed).
    pub(crate) exact: Option<[CoreSet; 2]>,
    /// The cores in L3 domains where tenants have dedicated pCPUs. Known only where the request
    /// asks for L3 domains of its own.
    pub(crate) beside_others: Option<CoreSet>,
}

/// The pCPUs that are allowed, not kept for the host, dedicated to no tenant, and closed by none.
pub(crate) fn usable(host: &Host, usage: &Usage) -> CpuSet {
    let open = host.allowed().difference(usage.dedicated()).difference(&host.kept().cpus);
    open.difference(&closed(host, usage))
}

/// The pCPUs that a request is held to: those of its set that are on its nodes; `None` for any.
fn held_to(host: &Host, request: &Request) -> Option<CpuSet> {
    let spec = request.spec();
    let on_nodes = spec.nodes.as_ref().map(|ids| {
        let nodes = host.nodes().iter().filter(|node| ids.contains(node.id));
        nodes.fold(CpuSet::new(), |all, node| all.union(&node.cpus))
    });
    match (&spec.cpus, on_nodes) {
        (Some(cpus), Some(on_nodes)) => Some(cpus.intersection(&on_nodes)),
        (Some(cpus), None) => Some(cpus.clone()),
        (None, on_nodes) => on_nodes,
    }
}

impl FreePcpus {
    pub(crate) fn new(host: &Host, usage: &Usage) -> Self {
        let held = usage.dedicated();
        let housekeeping = host.kept().cpus.clone();
        let closed = closed(host, usage);
        let mut usable = host.allowed().difference(held).difference(&housekeeping);
        if !closed.is_empty() {
            usable = usable.difference(&closed);
        }
        let taken = held.union(&housekeeping.intersection(host.allowed()));
        let map = &host.derived().core_map;
        let (shared, at_least) = (map.any(&taken), map.at_least(&usable));
        let floaters = Floaters::new(host, usage, &usable);
        let sharers = usage
            .tenants()
            .filter(|(_, claim)| claim.floating_vcpus > 0 && !claim.floating.is_empty());
        Self {
            usable,
            held: held.clone(),
            closed,
            housekeeping,
            shared,
            at_least,
            floaters,
            sharers: sharers.map(|(_, c)| (c.floating.clone(), c.floating_vcpus)).collect(),
            held_to: None,
            exact: None,
            beside_others: None,
        }
    }

    /// The same for a request that may be held to some pCPUs or nodes: other pCPUs are not usable.
    /// Where it asks for L3 domains of its own, those of others are known. Other pCPUs make no core
    /// shared, unless a tenant holds them or the host keeps them.
    pub(crate) fn narrowed(mut self, host: &Host, request: &Request) -> Self {
        if request.spec().policies.own_l3 != Policy::Ignore {
            let others = in_l3_domains(host, &self.held);
            self.beside_others = Some(host.derived().core_map.any(&others));
        }
        let Some(held_to) = held_to(host, request) else { return self };
        let usable = self.usable.intersection(&held_to);
        let map = &host.derived().core_map;
        let own = held_to.union(&self.housekeeping).intersection(host.allowed());
        let mut levels = map.at_least(&own).into_iter();
        let mut next = || levels.next().unwrap_or_else(|| CoreSet::none(host.cores().len()));
        let (mut one, mut two, three) = (next(), next(), next());
        one.without(&two);
        two.without(&three);
        let at_least = map.at_least(&usable);
        Self { usable, at_least, held_to: Some(held_to), exact: Some([one, two]), ..self }
    }

    /// The usable pCPUs of `core`, the core at position `at` of [`Host::cores`]; none if
    /// `isolation` does not allow the core.
    pub(crate) fn of_core<'a>(
        &'a self,
        at: usize,
        core: &'a Core,
        isolation: Isolation,
    ) -> impl Iterator<Item = PcpuId> + 'a {
        let others = || self.beside_others.as_ref().is_some_and(|others| others.contains(at));
        let closed =
            (isolation.whole_cores && self.shared.contains(at)) || (isolation.own_l3 && others());
        core.pcpus.iter().copied().filter(move |pcpu| !closed && self.usable.contains(*pcpu))
    }

    /// `levels(..)[n - 1]`: the cores with at least n usable pCPUs, of those that `isolation`
    /// allows.
    pub(crate) fn levels(&self, isolation: Isolation) -> Vec<CoreSet> {
        let mut levels = self.at_least.clone();
        if isolation.whole_cores {
            levels.iter_mut().for_each(|level| level.without(&self.shared));
        }
        if let (true, Some(others)) = (isolation.own_l3, &self.beside_others) {
            levels.iter_mut().for_each(|level| level.without(others));
        }
        levels
    }

    /// The same of the pCPUs that vCPUs may float on: not those that the kernel isolates, as its
    /// scheduler would leave all vCPUs on the first of them (F71).
    pub(crate) fn open_levels(&self, host: &Host) -> Vec<CoreSet> {
        if host.isolated().is_empty() {
            return self.at_least.clone();
        }
        host.derived().core_map.at_least(&self.usable.difference(host.isolated()))
    }

    /// The cores with an isolated usable pCPU; `None` where the kernel isolates all allowed pCPUs
    /// or none.
    pub(crate) fn isolated_cores(&self, host: &Host) -> Option<CoreSet> {
        let isolated = self.usable.intersection(host.isolated());
        let some = !isolated.is_empty() && !host.allowed().is_subset(host.isolated());
        some.then(|| host.derived().core_map.any(&isolated))
    }

    /// The cores that are not shared and have a usable pCPU; `None` on a host without cores.
    pub(crate) fn whole_cores(&self) -> Option<CoreSet> {
        let mut free = self.at_least.first()?.clone();
        free.without(&self.shared);
        Some(free)
    }

    /// The number of usable pCPUs of the cores that `isolation` allows.
    pub(crate) fn count(&self, host: &Host, isolation: Isolation) -> u64 {
        let all = 0..host.cores().len();
        self.levels(isolation).iter().map(|level| u64::from(level.count(&all))).sum()
    }

    /// The pCPUs that emulator threads may run on: allowed or reserved, dedicated to no tenant and
    /// closed by none; where the request is held to some, those or the ones that the host keeps.
    pub(crate) fn for_emulators(&self, host: &Host) -> CpuSet {
        let all = host.allowed().union(&host.reserved()).difference(&self.held);
        let all = if self.closed.is_empty() { all } else { all.difference(&self.closed) };
        match &self.held_to {
            Some(held_to) => all.intersection(&held_to.union(&self.housekeeping)),
            None => all,
        }
    }
}
