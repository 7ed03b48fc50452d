//! The free cores of each node, and which of them a VM takes: whole L3 domains first, best fit among
//! partly used ones, performance cores before efficiency cores.

use crate::host::{Core, CoreKind, Host};
use crate::profile::{L3Use, l3_use};
use crate::request::Request;
use crate::sets::CpuSet;
use crate::units::{L3Id, PcpuId};

/// How pCPUs may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    /// A pCPU for every vCPU.
    pub(crate) dedicated: bool,
    /// Only cores that nobody else is on; idle siblings are held.
    pub(crate) whole: bool,
}

/// The pCPUs that a new VM may use.
#[derive(Debug, Clone)]
pub(crate) struct FreePcpus {
    /// Allowed, not kept for the host, held by nobody.
    pub(crate) usable: CpuSet,
    /// Held by tenants.
    pub(crate) held: CpuSet,
    /// Kept for the host.
    pub(crate) housekeeping: CpuSet,
}

impl FreePcpus {
    pub(crate) fn new(host: &Host, held: &CpuSet) -> Self {
        let housekeeping = host.housekeeping();
        let usable = host.allowed().difference(held).difference(&housekeeping);
        Self { usable, held: held.clone(), housekeeping }
    }

    /// The pCPUs of a core that this way may use: none where the core must be whole and is not.
    pub(crate) fn of_core<'a>(
        &'a self,
        host: &'a Host,
        core: &'a Core,
        way: Way,
    ) -> impl Iterator<Item = PcpuId> + 'a {
        let taken = |pcpu: &PcpuId| {
            self.held.contains(*pcpu)
                || (self.housekeeping.contains(*pcpu) && host.allowed().contains(*pcpu))
        };
        let closed = way.whole && core.pcpus.iter().any(taken);
        core.pcpus.iter().copied().filter(move |pcpu| !closed && self.usable.contains(*pcpu))
    }
}

#[derive(Debug, Clone, Copy)]
struct FreeCore {
    /// Position in [`Host::cores`].
    core: usize,
    /// Usable pCPUs.
    pcpus: usize,
    /// pCPUs that are allowed at all: with as many vCPUs the core is whole.
    allowed: usize,
    favoured: bool,
}

/// Free cores of one kind in one L3 domain of one node.
#[derive(Debug, Clone)]
struct Group {
    kind: CoreKind,
    l3: Option<L3Id>,
    /// Free or not, all cores of the domain on this node.
    size: usize,
    cores: Vec<FreeCore>,
    /// By threads less one: cores with at least so many usable pCPUs.
    counts: [usize; 2],
}

impl Group {
    /// The cores that are taken first, with so many usable pCPUs each.
    fn first(&self, count: usize, threads: u32) -> impl Iterator<Item = &FreeCore> {
        self.cores.iter().filter(move |core| core.pcpus >= threads as usize).take(count)
    }
}

/// From this weight on (in hundredths for the presets) one thread's speed is what a workload waits
/// for. Chosen by us: latency-sensitive has 40, inference 20.
const FAVOURED_WEIGHT: u16 = 30;

/// What a number of cores on a node would come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Picked {
    pub(crate) l3: L3Use,
    pub(crate) efficiency: bool,
    /// Whether the VM would hold all of each core.
    pub(crate) whole: bool,
}

/// The free cores of one node.
#[derive(Debug, Clone)]
pub(crate) struct NodeCpus<'h> {
    groups: Vec<Group>,
    l3_sizes: &'h [usize],
    /// By threads less one: cores with at least so many usable pCPUs.
    pub(crate) cores: [u64; 2],
    /// Usable pCPUs.
    pub(crate) pcpus: u64,
}

impl<'h> NodeCpus<'h> {
    /// The free cores of the node at this position.
    pub(crate) fn new(
        host: &'h Host,
        free: &FreePcpus,
        request: &Request,
        at: usize,
        way: Way,
    ) -> Self {
        let facts = &host.derived().nodes[at];
        let mut groups: Vec<Group> = Vec::with_capacity(facts.l3_sizes.len());
        let mut pcpus = 0;
        for at in facts.cores.clone() {
            let core = &host.cores()[at];
            // Cores come by L3 domain, so the group is the last one or, on hybrid CPUs, near it.
            let same = |g: &Group| (g.kind, g.l3) == (core.kind, core.l3);
            let at_group = groups.iter().rposition(same).unwrap_or_else(|| {
                let (kind, l3) = (core.kind, core.l3);
                groups.push(Group { kind, l3, size: 0, cores: Vec::new(), counts: [0; 2] });
                groups.len() - 1
            });
            let group = &mut groups[at_group];
            group.size += 1;
            let usable = free.of_core(host, core, way).count();
            pcpus += usable as u64;
            if usable > 0 {
                group.counts[0] += 1;
                group.counts[1] += usize::from(usable > 1);
                let allowed = core.pcpus.iter().filter(|p| host.allowed().contains(**p)).count();
                let favoured = core.favoured;
                group.cores.push(FreeCore { core: at, pcpus: usable, allowed, favoured });
            }
        }
        // Work that waits for single threads takes the fastest cores; other work leaves them. Where
        // cores may be shared, those with all siblings free come first.
        let wants_favoured = request.workload.weights().cpu_single_thread >= FAVOURED_WEIGHT;
        for group in &mut groups {
            group
                .cores
                .sort_by_key(|c| (c.favoured != wants_favoured, usize::MAX - c.pcpus, c.core));
        }
        // Performance before efficiency; the sort is stable, so domains keep the host's order.
        groups.sort_by_key(|group| group.kind);
        let cores = [0, 1].map(|t| groups.iter().map(|g| g.counts[t] as u64).sum());
        Self { groups, l3_sizes: &facts.l3_sizes, cores, pcpus }
    }

    /// The usable pCPUs of each free core.
    pub(crate) fn core_sizes(&self) -> impl Iterator<Item = u64> + '_ {
        self.groups.iter().flat_map(|g| g.cores.iter().map(|core| core.pcpus as u64))
    }

    /// How `cores` cores would lie, if so many are free.
    pub(crate) fn estimate(&self, hybrid: bool, cores: u64, threads: u32) -> Picked {
        let mut domains: Vec<Option<L3Id>> = Vec::new();
        let mut efficiency = false;
        let mut whole = true;
        self.plan(cores, threads, |group, count| {
            efficiency |= group.kind == CoreKind::Efficiency;
            whole &= group.first(count, threads).all(|core| core.allowed == threads as usize);
            if !domains.contains(&group.l3) {
                domains.push(group.l3);
            }
        });
        let cores = usize::try_from(cores).unwrap_or(usize::MAX);
        Picked {
            l3: l3_use(self.l3_sizes, cores, domains.len()),
            efficiency: efficiency && hybrid,
            whole,
        }
    }

    /// Chooses groups: the smallest that holds all that is left, else the largest whole.
    fn plan<'a>(&'a self, cores: u64, threads: u32, mut take: impl FnMut(&'a Group, usize)) {
        let t = threads as usize - 1;
        let mut left = usize::try_from(cores).unwrap_or(usize::MAX);
        let mut taken: Vec<usize> = Vec::new();
        for kind in [CoreKind::Performance, CoreKind::Efficiency] {
            while left > 0 {
                let open = |at: &usize| {
                    let group = &self.groups[*at];
                    group.kind == kind && group.counts[t] > 0 && !taken.contains(at)
                };
                let open = || (0..self.groups.len()).filter(open);
                let count = |at: usize| self.groups[at].counts[t];
                // Among those that hold the rest, the tightest, and of two the smaller domain, so that
                // an untouched larger one stays whole.
                let fitting = open()
                    .filter(|at| count(*at) >= left)
                    .min_by_key(|at| (count(*at), self.groups[*at].size, *at));
                let largest = || open().max_by_key(|at| (count(*at), usize::MAX - *at));
                let Some(at) = fitting.or_else(largest) else { break };
                let used = count(at).min(left);
                taken.push(at);
                left -= used;
                take(&self.groups[at], used);
            }
        }
    }

    /// The cores that a VM takes, as positions in [`Host::cores`], in the order of its vCPUs: by L3
    /// domain, so that neighbours in the guest are neighbours in the host.
    pub(crate) fn pick(&self, cores: u64, threads: u32) -> Vec<usize> {
        let mut picked: Vec<usize> = Vec::new();
        self.plan(cores, threads, |group, count| {
            picked.extend(group.first(count, threads).map(|core| core.core));
        });
        picked
    }
}
