//! Checks of pCPUs: which thread runs where, beside which others, and whether that is allowed.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Case, vcpu_id};
use super::violation::{CpuUser, Violation};
use crate::host::{Core, Node, Reserve};
use crate::placement::Style;
use crate::request::Policy;
use crate::sets::CpuSet;
use crate::units::{Bytes, CoreId, NodeId, PcpuId, VcpuId};

/// The parts of a placement that name pCPUs.
pub(super) struct Cpus<'a> {
    pub(super) dedicated: bool,
    pub(super) threads: u32,
    pub(super) vcpus: &'a [CpuSet],
    pub(super) idle: &'a CpuSet,
    pub(super) emulator_own: &'a CpuSet,
    pub(super) emulator: &'a CpuSet,
    pub(super) iothreads: &'a [CpuSet],
}

impl Cpus<'_> {
    pub(super) fn check(&self, case: &Case<'_>, found: &mut Vec<Violation>) {
        let request = case.request;
        if usize::try_from(request.spec().vcpus) != Ok(self.vcpus.len()) {
            found.push(Violation::VcpuCount {
                found: self.vcpus.len(),
                wanted: request.spec().vcpus,
            });
        }
        if usize::try_from(request.spec().io_threads) != Ok(self.iothreads.len()) {
            found.push(Violation::IoThreadCount {
                found: self.iothreads.len(),
                wanted: request.spec().io_threads,
            });
        }
        let floats = case.style == Style::Default;
        // The default layout is the baseline, not a recommendation: policies about layout do not
        // bind it.
        let shared = request.spec().shared;
        let dedicates = request.spec().policies.dedicated_cpus == Policy::Require;
        if dedicates && shared.is_none() && !self.dedicated && !floats {
            found.push(Violation::NotDedicated);
        }
        if shared.is_some() && self.dedicated && !floats {
            found.push(Violation::NotShared);
        }
        if self.dedicated == matches!(case.style, Style::Float | Style::FloatNuma) && !floats {
            let (style, dedicated) = (case.style, self.dedicated);
            found.push(Violation::StyleFloats { style, dedicated });
        }
        for (user, pcpus) in self.users() {
            let own = matches!(user, CpuUser::Idle | CpuUser::EmulatorOwn);
            let must = !floats || (self.dedicated && matches!(user, CpuUser::Vcpu(_)));
            // If all pCPUs are isolated for VMs, other threads run elsewhere and need no pin.
            let thread = matches!(user, CpuUser::Emulator | CpuUser::IoThread(_));
            let host = case.host;
            let beside = match host.description().reserved {
                Reserve::Auto => host.allowed().is_subset(host.isolated()),
                Reserve::None => true,
                Reserve::These(_) => false,
            };
            if pcpus.is_empty() && must && !own && !(thread && beside) {
                found.push(Violation::NoPcpus { user });
            }
            if floats && !pcpus.is_empty() {
                found.push(Violation::DefaultPins { user, pcpus: pcpus.clone() });
            }
        }
        if floats {
            return;
        }
        let mut vcpus = CpuSet::new();
        for set in self.vcpus {
            vcpus.extend(set);
        }
        for (user, pcpus) in self.users() {
            usable(case, user, pcpus, found);
            self.excluded(case, user, pcpus, found);
            let beside = pcpus.intersection(&vcpus);
            // Where vCPUs share pCPUs, emulator and I/O threads may be on these too.
            let thread = matches!(user, CpuUser::Emulator | CpuUser::IoThread(_));
            let may = matches!(user, CpuUser::Vcpu(_)) || (thread && !self.dedicated);
            if !may && !beside.is_empty() {
                found.push(Violation::BesideVcpus { user, pcpus: beside });
            }
        }
        self.on_their_nodes(case, found);
        if self.dedicated {
            self.one_each(found);
        } else {
            self.not_crowded(case, found);
            for (position, set) in self.vcpus.iter().enumerate() {
                let pcpus = set.intersection(case.host.isolated());
                if !pcpus.is_empty() {
                    let vcpu = vcpu_id(position);
                    found.push(Violation::FloatsIsolated { vcpu, pcpus });
                }
            }
        }
        if self.dedicated || self.threads > 1 {
            self.guest_cores(case, found);
        }
        self.emulator(case, found);
        self.idle(case, &vcpus, found);
        // Floating vCPUs share pCPUs, and so cores, by design.
        if request.spec().policies.whole_cores == Policy::Require && self.dedicated {
            self.whole_cores(case, &vcpus, found);
        }
    }

    pub(super) fn users(&self) -> Vec<(CpuUser, &CpuSet)> {
        let mut users = Vec::new();
        for (position, set) in self.vcpus.iter().enumerate() {
            users.push((CpuUser::Vcpu(vcpu_id(position)), set));
        }
        users.push((CpuUser::Idle, self.idle));
        users.push((CpuUser::EmulatorOwn, self.emulator_own));
        users.push((CpuUser::Emulator, self.emulator));
        for (number, set) in self.iothreads.iter().enumerate() {
            users.push((CpuUser::IoThread(number), set));
        }
        users
    }

    /// The pCPUs are among those that the request is held to, and on its nodes. Emulator and I/O
    /// threads may also run on what the host keeps.
    fn excluded(&self, case: &Case<'_>, user: CpuUser, pcpus: &CpuSet, found: &mut Vec<Violation>) {
        let spec = case.request.spec();
        let mut pcpus = pcpus.intersection(case.host.online());
        if matches!(user, CpuUser::Emulator | CpuUser::IoThread(_)) {
            // The VM's own pCPUs beside its vCPUs are checked as what they are.
            for others in [&case.housekeeping, self.idle, self.emulator_own] {
                pcpus = pcpus.difference(others);
            }
        }
        let mut off = CpuSet::new();
        if let Some(cpus) = &spec.cpus {
            off.extend(&pcpus.difference(cpus));
        }
        if let Some(nodes) = &spec.nodes {
            // vCPUs and idle siblings on the nodes of the cells: these have a check of their own.
            let of_cells = |id| {
                matches!(user, CpuUser::Vcpu(_) | CpuUser::Idle)
                    && spec.memory_nodes.is_none()
                    && case.nodes.contains(id)
            };
            for node in case.host.nodes() {
                if !nodes.contains(node.id) && !of_cells(node.id) {
                    off.extend(&pcpus.intersection(&node.cpus));
                }
            }
        }
        if !off.is_empty() {
            found.push(Violation::CpusExcluded { user, pcpus: off });
        }
    }

    fn on_their_nodes(&self, case: &Case<'_>, found: &mut Vec<Violation>) {
        let mut of_cells = Vec::new();
        for cell in case.cells {
            let mut cpus = CpuSet::new();
            for node in case.host.nodes() {
                if cell.nodes.contains(node.id) || lends(case, node) {
                    cpus.extend(&node.cpus);
                }
            }
            of_cells.push((cell, cpus));
        }
        for (position, set) in self.vcpus.iter().enumerate() {
            let vcpu = vcpu_id(position);
            for (cell, cpus) in &of_cells {
                // A cell without nodes and an offline pCPU have their own violations.
                let off = set.intersection(case.host.online()).difference(cpus);
                if cell.vcpus.contains(vcpu) && !cell.nodes.is_empty() && !off.is_empty() {
                    found.push(Violation::OffNode { vcpu, cell: cell.id, pcpus: off });
                }
            }
        }
    }

    fn one_each(&self, found: &mut Vec<Violation>) {
        let mut seen: BTreeMap<PcpuId, VcpuId> = BTreeMap::new();
        for (position, set) in self.vcpus.iter().enumerate() {
            let vcpu = vcpu_id(position);
            if set.len() > 1 {
                found.push(Violation::NotOnePcpu { vcpu, pcpus: set.clone() });
            }
            for pcpu in set.iter() {
                match seen.get(&pcpu) {
                    Some(&first) => {
                        found.push(Violation::PcpuTwice { pcpu, first, second: vcpu });
                    }
                    None => {
                        seen.insert(pcpu, vcpu);
                    }
                }
            }
        }
    }

    /// No more vCPUs than there is room for: on each set, counting those that cannot leave it, and
    /// on all.
    fn not_crowded(&self, case: &Case<'_>, found: &mut Vec<Violation>) {
        let mut counts: BTreeMap<CpuSet, usize> = BTreeMap::new();
        let mut all = CpuSet::new();
        for set in self.vcpus.iter().filter(|set| !set.is_empty()) {
            *counts.entry(set.clone()).or_default() += 1;
            all.extend(set);
        }
        let mut sets: BTreeSet<CpuSet> = counts.keys().cloned().collect();
        sets.insert(all);
        for pcpus in sets {
            let inside = counts.iter().filter(|(set, _)| set.is_subset(&pcpus));
            let vcpus = inside.map(|(_, count)| *count).sum();
            let most = room(case, &pcpus);
            if vcpus > most {
                found.push(Violation::Crowded { vcpus, pcpus, most });
            }
        }
    }

    /// The vCPUs of one guest core are on one host core, and no other vCPUs are on it; but two
    /// guest cores of one vCPU each may be, and no third, if no core of the node is left for one of
    /// them.
    fn guest_cores(&self, case: &Case<'_>, found: &mut Vec<Violation>) {
        let threads = usize::try_from(self.threads).unwrap_or(usize::MAX).max(1);
        let mut core_of_group: BTreeMap<usize, CoreId> = BTreeMap::new();
        let mut first_on: BTreeMap<CoreId, (usize, &CpuSet)> = BTreeMap::new();
        let mut left: BTreeMap<NodeId, bool> = BTreeMap::new();
        let own = self.own();
        for (position, set) in self.vcpus.iter().enumerate() {
            let vcpu = vcpu_id(position);
            let group = position / threads;
            for core in cores_of(case, set).into_values() {
                let (at, other) = *first_on.entry(core.id).or_insert((position, set));
                // Two vCPUs on the very same pCPU are a violation of their own.
                if at / threads != group && !(self.dedicated && other.intersects(set)) {
                    let mut is_left =
                        || *left.entry(core.node).or_insert_with(|| is_left(case, core.node, &own));
                    let few = count_on(core, &own) <= 2 + count_on(core, self.emulator_own);
                    if !(threads == 1 && self.dedicated && few && !is_left()) {
                        let (core, first) = (core.id, vcpu_id(at));
                        found.push(Violation::VcpusShareCore { core, first, second: vcpu });
                    }
                }
                let of_group = *core_of_group.entry(group).or_insert(core.id);
                if of_group != core.id && self.threads > 1 {
                    let (core, other) = (of_group, core.id);
                    found.push(Violation::GuestCoreSplit { vcpu, core, other });
                }
            }
        }
    }

    /// The pCPUs with a vCPU, and those of the emulator alone.
    fn own(&self) -> CpuSet {
        let mut own = self.emulator_own.clone();
        self.vcpus.iter().for_each(|set| own.extend(set));
        own
    }

    fn emulator(&self, case: &Case<'_>, found: &mut Vec<Violation>) {
        let wanted = case.request.spec().emulator_pcpus;
        if wanted == 0 {
            return;
        }
        let own = self.emulator_own.len();
        if usize::try_from(wanted).is_ok_and(|wanted| own < wanted) {
            found.push(Violation::EmulatorCount { found: own, wanted });
        }
        let pcpus = self.emulator.difference(self.emulator_own);
        if !pcpus.is_empty() {
            found.push(Violation::EmulatorElsewhere { pcpus });
        }
    }

    fn idle(&self, case: &Case<'_>, vcpus: &CpuSet, found: &mut Vec<Violation>) {
        let both = self.idle.intersection(self.emulator_own);
        if !both.is_empty() {
            found.push(Violation::IdleInUse { pcpus: both });
        }
        let mut beside = CpuSet::new();
        for core in cores_of(case, &vcpus.union(self.emulator_own)).into_values() {
            for pcpu in &core.pcpus {
                beside.insert(*pcpu);
            }
        }
        let apart = self.idle.intersection(case.host.online()).difference(&beside);
        if !apart.is_empty() {
            found.push(Violation::IdleApart { pcpus: apart });
        }
    }

    fn whole_cores(&self, case: &Case<'_>, vcpus: &CpuSet, found: &mut Vec<Violation>) {
        let held = vcpus.union(self.idle);
        let own = held.union(self.emulator_own);
        for core in cores_of(case, &own).into_values() {
            // Beside a vCPU nothing of the VM's own runs either.
            let beside = core.pcpus.iter().any(|pcpu| vcpus.contains(*pcpu));
            let quiet = if beside { &held } else { &own };
            let mut rest = CpuSet::new();
            for pcpu in &core.pcpus {
                if !quiet.contains(*pcpu) {
                    rest.insert(*pcpu);
                }
            }
            for (holder, claim) in case.usage.tenants() {
                let pcpus = rest.intersection(&claim.dedicated);
                if !pcpus.is_empty() {
                    rest = rest.difference(&pcpus);
                    let holder = holder.to_owned();
                    found.push(Violation::CoreShared { core: core.id, pcpus, holder });
                }
            }
            // A sibling that the host does not allow cannot be claimed, and no tenant of ours can
            // get it. One that the request excludes stays free for others, as it wishes.
            let mut pcpus = rest.intersection(case.host.allowed());
            if let Some(cpus) = &case.request.spec().cpus {
                pcpus = pcpus.intersection(&cpus.union(&case.housekeeping));
            }
            if !pcpus.is_empty() {
                found.push(Violation::CoreNotWhole { core: core.id, pcpus });
            }
        }
    }
}

/// The number of vCPUs that may share these pCPUs, node by node: on each pCPU the overcommit, which
/// is 1 unless the request asks for shared pCPUs, less the vCPUs of tenants that float there, each
/// tenant's spread evenly over its pCPUs.
fn room(case: &Case<'_>, pcpus: &CpuSet) -> usize {
    let overcommit = case.request.spec().shared.map_or(1000, |shared| shared.overcommit.0);
    let mut all = 0;
    for node in case.host.nodes() {
        let mut here = 0_u64;
        for pcpu in pcpus.intersection(&node.cpus).iter() {
            let mut left = u64::from(overcommit) * 1000;
            for (_, claim) in case.usage.tenants() {
                if claim.floating.contains(pcpu) {
                    let vcpus = u64::from(claim.floating_vcpus) * 1_000_000;
                    left = left.saturating_sub(vcpus / claim.floating.len() as u64);
                }
            }
            here = here.saturating_add(left);
        }
        all += here / 1_000_000;
    }
    usize::try_from(all).unwrap_or(usize::MAX)
}

/// Whether a VM of one cell may have vCPUs on the node without memory of it: the node has none, or
/// the request holds the memory to other nodes.
fn lends(case: &Case<'_>, node: &Node) -> bool {
    let held = &case.request.spec().memory_nodes;
    let others = held.as_ref().is_some_and(|ids| !ids.contains(node.id));
    case.cells.len() == 1 && (node.memory == Bytes::ZERO || others)
}

/// Whether the node has a core that a VM could have whole, with none of the VM's `own` pCPUs.
fn is_left(case: &Case<'_>, node: NodeId, own: &CpuSet) -> bool {
    let mut cores = case.host.cores().iter().filter(|core| core.node == node);
    cores.any(|core| {
        let mut usable = false;
        for pcpu in &core.pcpus {
            let kept = case.housekeeping.contains(*pcpu);
            let held = case.usage.tenants().any(|(_, claim)| claim.dedicated.contains(*pcpu));
            let allowed = case.host.allowed().contains(*pcpu);
            if held || (kept && allowed) {
                return false;
            }
            let cpus = &case.request.spec().cpus;
            let wanted = cpus.as_ref().is_none_or(|cpus| cpus.contains(*pcpu));
            usable |= allowed && !kept && wanted && !case.barred.contains(*pcpu);
        }
        usable && count_on(core, own) == 0
    })
}

/// The number of the core's pCPUs in a set.
fn count_on(core: &Core, set: &CpuSet) -> usize {
    core.pcpus.iter().filter(|pcpu| set.contains(**pcpu)).count()
}

/// The pCPUs are online, allowed, not held by others, and not reserved. Only the emulator and I/O
/// threads may use the host's reserved pCPUs, even those outside the allowed set.
fn usable(case: &Case<'_>, user: CpuUser, pcpus: &CpuSet, found: &mut Vec<Violation>) {
    let host = case.host;
    let off = pcpus.difference(host.online());
    if !off.is_empty() {
        found.push(Violation::NotOnline { user, pcpus: off });
    }
    let shares = matches!(user, CpuUser::Emulator | CpuUser::IoThread(_));
    let named = matches!(host.description().reserved, Reserve::These(_));
    let mut barred = pcpus.intersection(host.online()).difference(host.allowed());
    if named || !shares {
        barred = barred.difference(&case.housekeeping);
    }
    let kept = pcpus.intersection(&case.housekeeping);
    if !shares && !kept.is_empty() {
        found.push(Violation::Reserved { user, pcpus: kept });
    }
    if !barred.is_empty() {
        found.push(Violation::NotAllowed { user, pcpus: barred });
    }
    for (holder, claim) in case.usage.tenants() {
        let held = pcpus.intersection(&claim.dedicated);
        if !held.is_empty() {
            found.push(Violation::PcpusHeld { user, pcpus: held, holder: holder.to_owned() });
        }
    }
}

/// The cores of the pCPUs that have one.
fn cores_of<'a>(case: &Case<'a>, pcpus: &CpuSet) -> BTreeMap<CoreId, &'a Core> {
    let mut cores = BTreeMap::new();
    for pcpu in pcpus.iter() {
        if let Some(core) = case.cores.get(&pcpu) {
            cores.insert(core.id, *core);
        }
    }
    cores
}
