//! Profiles: the few facts about a candidate that rules, requirements and preferences may see.
//!
//! **Takes** a placement, or a candidate as counts, and the host. **Gives** a `Profile`: 29 small
//! numbers, flags and enums, without ids. Two candidates with equal profiles have equal
//! predictions, lack the same properties and score the same but for the packing cost. That is what
//! makes the search affordable: thousands of layouts share a handful of profiles, and each profile
//! is judged once.
//!
//! # The facts
//! - *Shown to the guest*: style, memory mode, cells, expander buses, threads of a guest core.
//! - *pCPUs*: dedicated or not; whether all cores are whole; the numbers of cores under the vCPUs
//!   by kind, and of vCPUs on second threads, for the VM and for the default layout (`work`); how
//!   the cores lie in L3 domains; how much tenants that float crowd them.
//! - *Nodes*: how many have its memory (0 for the default layout, which floats), whether vCPUs are
//!   on others, in how many packages,
//!   the fewest that a VM of this size would need on this host if it were empty; how many nodes
//!   with memory and how many packages the host has.
//! - *Memory*: hugepages or base pages. A page counts as huge above 64 KiB.
//! - *GPUs*: how many; on how many known nodes; how many on unknown nodes, on nodes that the VM has
//!   nothing on, and behind a degraded link; their path; whether all are on one switch; whether
//!   they are a fabric partition (true without GPUs and on hosts without partitions); how
//!   collectives move data.
//! - *Other devices*: how many are not known to be on one of the VM's nodes, and how many of those
//!   that were chosen by kind are farther from the GPUs than preferred, or than required.
//!
//! # Definitions that matter
//! **Fewest nodes.** The larger of two counts over nodes, largest first: nodes until the cores
//! suffice (pCPUs, where vCPUs float), and nodes until the memory suffices. Free or not does not
//! matter, so the number is one per host, size and threads. 40 guest cores of 16 a node need 3
//! nodes; with two threads 20 need 2.
//!
//! **L3 use.** Per node, the number of domains used against the fewest that could hold as many
//! cores on an empty node, largest first: `Whole` if no more, `Pieces` otherwise, `NoChoice` with
//! fewer than two domains. The worst node counts. 10 cores on a node of four 8-core domains are
//! whole in two domains.
//!
//! **Path.** `Linked` if every two GPUs are linked and the set is a fabric partition or the host
//! has neither partitions nor NVSwitches of its own; else `SameSwitch` if every two meet below one
//! root port; else `SameNode` if every two are in one root complex or known to be on one node; else
//! `Across`. *On one switch* is stricter than the path of that name: the bridge above the port of
//! every GPU is the same one.
//!
//! **Collectives.** None with fewer than two GPUs. GPU to GPU if the request says so, or if it says
//! nothing and the path is `Linked` or `SameSwitch`; otherwise through host memory. The two are
//! different metrics.
//!
//! **Whole cores.** True if every core under a dedicated vCPU has all its allowed pCPUs in the VM's
//! hands, whether or not that was asked for.
//!
//! **Local.** GPUs are local if the VM spans a node, none is on another node, and none is on an
//! unknown one.
//!
//! # Who makes a profile
//! 1. `Profile::of` reads a finished placement, and `Profile::beside` the tenants that float on its
//!    cores. They are the definition.
//! 2. The search fills one from counts: the pass's constants, the features of a layout, the choice,
//!    the page size. No placement exists yet.
//! 3. The fleet's `UpperBound` runs through all profiles that a VM without devices could have on a
//!    model.
//!
//! In debug builds the engine compares 1 and 2 for every placement that it returns, and the fleet
//! asserts that bounds made from 3 hold for what it finds. Properties and the oracle do so over
//! random hosts.
//!
//! # To add a fact
//! It is not enough to add a field. A fact must be set in all three places above. If it differs
//! between layouts of one pass, it must also be a feature of the memo, or two layouts with
//! different facts share a verdict. If it is a fact about a set of GPUs, it must be in the set's
//! class and in the `DominanceKey`, or sets are dropped that would win, and two GPUs that differ in
//! it must not be twins. If it is about cores, it belongs in `CoreUse`.
//!
//! # Invariants
//! - A profile holds no id, address or position: renumbering a host changes no profile.
//! - Nothing here depends on what other tenants do, except through which cores were free, and in
//!   `crowd`, which `Profile::beside` sets.
//! - Counts are below the host's limits (64 nodes, 64 GPUs, 4096 pCPUs), so `u32` never saturates.
//!
//! # Known limitations
//! - Devices are near or far by node. A switch shared by a GPU and a NIC is shown to the guest, but
//!   no rule sees it, because no published number says what it gains.
//! - GPUs of unknown node in one root complex have the path `SameNode`; they are still not local.
//! - Other neighbours (shared cores, caches, bandwidth) are no facts here. They are warnings.
//! - The load of a core is a number of tenants: a claim does not say how many vCPUs float.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::gpu_set::{Collective, GpuPath, SetFacts, collective};
use crate::engine::wished::Wished;
use crate::engine::work::{Work, busy};
use crate::host::Host;
use crate::host::derived::ByKind;
use crate::host::mask::{NodeMask, PackageMask};
use crate::placement::{MemoryMode, Placement, Style};
use crate::request::Request;
use crate::sets::{CpuSet, NodeSet};
use crate::units::{L3Id, NodeId, PackageId, PciAddr, PcpuId};
use crate::usage::Usage;

/// How many L3 domains of their nodes the VM's cores are in, on the node where it is worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum L3Use {
    /// The nodes have one L3 domain each, or it is unknown: nothing to choose.
    NoChoice,
    /// The cores on each node are in one domain.
    One,
    /// The cores on some node are in several domains, but in as few as they could be in on an empty
    /// host: with 6 cores per domain, 8 cores in two.
    Fewest,
    /// The cores on some node are in more domains than that.
    Pieces,
}

/// An L3 domain, or the cores of a package without a known one: no cache is shared between
/// packages.
type L3Domain = (PackageId, Option<L3Id>);

/// The facts about a candidate that rules may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile {
    /// The style.
    pub style: Style,
    /// Whether each vCPU has a pCPU of its own.
    pub dedicated: bool,
    /// Whether no core is shared with another tenant by intent.
    pub whole_cores: bool,
    /// Whether no other tenant has dedicated pCPUs in its L3 domains by intent.
    pub own_l3: bool,
    /// How memory is tied to nodes.
    pub memory: MemoryMode,
    /// Nodes of the VM's memory; 0 where it floats.
    pub nodes: u32,
    /// Whether vCPUs are on other nodes than its memory's, which have none for the VM.
    pub lent: bool,
    /// The fewest nodes of this host that could hold a VM of this size, were it empty.
    pub fewest_nodes: u32,
    /// Packages that those nodes and the vCPUs' are in.
    pub packages: u32,
    /// Guest cells.
    pub cells: u32,
    /// Whether devices hang from expander buses of their cells.
    pub expanders: bool,
    /// Threads of a guest core.
    pub threads: u32,
    /// Whether memory is in hugepages.
    pub hugepages: bool,
    /// The cores under the VM's vCPUs.
    pub work: Work,
    /// The cores that the default layout would keep busy on this host.
    pub default_work: Work,
    /// How the cores lie in L3 domains.
    pub l3: L3Use,
    /// How much other tenants' floating threads crowd the VM's cores, in thousandths: the mean over
    /// the cores under pinned vCPUs of 0 for a core that nobody else floats on, 400 for one tenant,
    /// 700 for two and 1000 for three or more.
    pub crowd: u32,
    /// GPUs.
    pub gpus: u32,
    /// Known nodes that the GPUs are on.
    pub gpu_nodes: u32,
    /// GPUs whose node is unknown.
    pub gpus_unknown: u32,
    /// GPUs on a node that the VM has nothing on.
    pub gpus_remote: u32,
    /// GPUs whose link runs below what it could.
    pub gpus_degraded: u32,
    /// Other devices on a node that the VM has nothing on, or on an unknown one.
    pub devices_far: u32,
    /// Devices that the request asks for by kind, farther from the GPUs than it prefers.
    pub devices_apart: u32,
    /// The same, farther than it requires.
    pub devices_refused: u32,
    /// How the GPUs reach each other; meaningful with two or more.
    pub gpu_path: GpuPath,
    /// Whether all GPUs are below one PCIe switch.
    pub same_switch: bool,
    /// Whether the GPUs are just one fabric partition, or the host has none.
    pub partition: bool,
    /// How collectives move data.
    pub collective: Collective,
    /// Nodes of the host with memory.
    pub host_nodes: u32,
    /// Packages of the host.
    pub host_packages: u32,
    /// Whether L3 caches of one node of the host differ in size, as far as their sizes are known.
    pub unequal_caches: bool,
}

impl Profile {
    /// The profile of a placement, from the placement and the host alone.
    #[must_use]
    pub fn of(host: &Host, request: &Request, placement: &Placement) -> Self {
        let nodes = placement.nodes();
        let gpus: Vec<PciAddr> = placement.gpus().map(|gpu| gpu.address).collect();
        let mut profile = Self {
            style: placement.style,
            dedicated: placement.dedicated,
            own_l3: placement.own_l3,
            memory: placement.memory_mode,
            cells: count(placement.cells.len()),
            expanders: !placement.pci.expanders.is_empty(),
            hugepages: placement.cells.first().is_some_and(|cell| cell.page_size.is_huge()),
            ..Self::of_host(host, request, placement.topology.threads, placement.dedicated)
        };
        let floats = placement.style == Style::Default;
        profile.whole_cores =
            !floats && placement.dedicated && holds_whole_cores(host, request, placement);
        let memory = nodes.iter().filter_map(|node| host.node_index(node)).collect();
        profile.set_nodes(host, memory, nodes_of_vcpus(host, placement));
        profile.set_gpus(host, request, &gpus, &nodes);
        let wished = Wished::of(host, request, placement);
        profile.devices_far = count(wished.far(host, &nodes));
        (profile.devices_apart, profile.devices_refused) = wished.apart(host, &gpus);
        let mut cores: BTreeMap<NodeId, BTreeSet<(L3Domain, u32)>> = BTreeMap::new();
        for pcpu in placement.vcpu_pcpus().iter().filter(|_| placement.dedicated) {
            let Some(core) = host.core_of(pcpu) else { continue };
            let lowest = core.pcpus.first().map_or(0, |pcpu| pcpu.0);
            cores.entry(core.node).or_default().insert(((core.id.package, core.l3), lowest));
        }
        if !floats {
            profile.work = work(host, placement);
        }
        profile.l3 = cores.iter().fold(L3Use::NoChoice, |l3, (node, cores)| {
            let domains: BTreeSet<_> = cores.iter().map(|(domain, _)| domain).collect();
            let sizes = host.node_index(*node).map(|at| &host.derived().nodes[at].l3_sizes);
            l3.max(sizes.map_or(L3Use::NoChoice, |s| l3_use(s, cores.len(), domains.len())))
        });
        profile
    }

    /// What holds for every candidate with this many threads a core.
    pub(crate) fn of_host(host: &Host, request: &Request, threads: u32, dedicated: bool) -> Self {
        let default_work = Work::of_default(host, request.spec().vcpus);
        Self {
            style: Style::Default,
            dedicated,
            whole_cores: false,
            own_l3: false,
            memory: MemoryMode::Unbound,
            nodes: 0,
            lent: false,
            fewest_nodes: fewest_nodes(host, request, threads, dedicated),
            packages: 0,
            cells: 1,
            expanders: false,
            threads,
            hugepages: false,
            work: default_work,
            default_work,
            l3: L3Use::NoChoice,
            crowd: 0,
            gpus: 0,
            gpu_nodes: 0,
            gpus_unknown: 0,
            gpus_remote: 0,
            gpus_degraded: 0,
            devices_far: 0,
            devices_apart: 0,
            devices_refused: 0,
            gpu_path: GpuPath::Across,
            same_switch: false,
            partition: true,
            collective: Collective::None,
            host_nodes: count(host.derived().nodes_with_memory),
            host_packages: count(host.packages().len()),
            unequal_caches: host.derived().unequal_caches,
        }
    }

    /// The same beside the tenants that float, which [`Profile::of`] does not see.
    #[must_use]
    pub fn beside(self, host: &Host, usage: &Usage, placement: &Placement) -> Self {
        let mut cores: BTreeMap<PcpuId, usize> = BTreeMap::new();
        for core in placement.vcpu_pcpus().iter().filter_map(|pcpu| host.core_of(pcpu)) {
            let floats = |pcpu: &PcpuId| {
                usage.tenants().filter(|(_, claim)| claim.floating.contains(*pcpu)).count()
            };
            cores.insert(core.pcpus[0], core.pcpus.iter().map(floats).max().unwrap_or(0));
        }
        let sum = cores.values().map(|load| load_price(*load)).sum();
        let crowd = if placement.dedicated { crowd(sum, count(cores.len())) } else { 0 };
        Self { crowd, ..self }
    }

    /// The facts about the VM's nodes: those of its memory, and those of its vCPUs.
    fn set_nodes(&mut self, host: &Host, memory: NodeMask, vcpus: NodeMask) {
        self.nodes = memory.len();
        self.lent = self.nodes > 0 && !vcpus.is_subset(memory);
        let both = if self.nodes > 0 { memory | vcpus } else { memory };
        let packages = both.iter().map(|at| host.derived().nodes[at].packages);
        self.packages = PackageMask::union(packages).len();
    }

    /// The facts about the GPUs; `nodes` are the VM's.
    fn set_gpus(&mut self, host: &Host, request: &Request, gpus: &[PciAddr], nodes: &NodeSet) {
        // Virtual functions are not in the host's own list of GPUs.
        let host = match gpus.iter().all(|gpu| host.gpu(*gpu).is_some()) {
            true => Cow::Borrowed(host),
            false => Cow::Owned(host.with_gpus(gpus)),
        };
        let host = host.as_ref();
        let known: Vec<NodeId> =
            gpus.iter().filter_map(|gpu| host.gpu(*gpu).and_then(|gpu| gpu.node)).collect();
        self.gpus = count(gpus.len());
        self.gpus_unknown = count(gpus.len() - known.len());
        self.gpu_nodes = count(known.iter().collect::<BTreeSet<_>>().len());
        let remote = known.iter().filter(|node| !nodes.contains(**node)).count();
        self.gpus_remote = if nodes.is_empty() { 0 } else { count(remote) };
        let set = SetFacts::of(host, request, host.gpu_mask(gpus));
        self.partition = set.partition;
        self.gpu_path = set.path;
        self.same_switch = set.same_switch;
        self.gpus_degraded = set.degraded;
        self.collective = collective(request, gpus.len(), self.gpu_path);
    }

    /// Whether pinned vCPUs are on cores of a slower kind than the host's fastest.
    #[must_use]
    pub fn on_slow_cores(&self) -> bool {
        self.dedicated && self.work.efficiency + self.work.low_power > 0
    }

    /// Whether pinned vCPUs share cores and the guest is not shown which.
    #[must_use]
    pub fn hides_siblings(&self) -> bool {
        self.dedicated && self.threads == 1 && self.work.siblings > 0
    }

    /// Whether every GPU is known to be on a node of the VM.
    #[must_use]
    pub fn gpus_local(&self) -> bool {
        self.nodes > 0 && self.gpus_unknown == 0 && self.gpus_remote == 0
    }
}

/// The nodes of the pCPUs that vCPUs may run on, by position in [`Host::nodes`].
fn nodes_of_vcpus(host: &Host, placement: &Placement) -> NodeMask {
    let pcpus = placement.vcpu_pcpus();
    let nodes = host.nodes().iter().enumerate();
    nodes.filter(|(_, node)| node.cpus.intersects(&pcpus)).map(|(at, _)| at).collect()
}

/// The cores under the vCPUs of a placement. vCPUs that float over the same pCPUs keep as many
/// cores busy as they can.
fn work(host: &Host, placement: &Placement) -> Work {
    let mut vcpus_on: BTreeMap<&CpuSet, u32> = BTreeMap::new();
    for set in &placement.vcpus {
        *vcpus_on.entry(set).or_default() += 1;
    }
    let mut cores = ByKind::default();
    let mut seen = BTreeSet::new();
    for (set, vcpus) in vcpus_on {
        let mut of_set = ByKind::default();
        for core in set.iter().filter_map(|pcpu| host.core_of(pcpu)) {
            if seen.insert(core.id) {
                of_set[host.derived().place(core.kind)] += 1;
            }
        }
        for (sum, cores) in cores.iter_mut().zip(busy(vcpus, of_set)) {
            *sum += cores;
        }
    }
    Work::new(count(placement.vcpus.len()), cores)
}

/// How much it crowds a core that this many other tenants float on it, in thousandths. Ours: the
/// second and the third tenant add less than the first, as their threads meet each other too.
pub(crate) fn load_price(tenants: usize) -> u32 {
    match tenants {
        0 => 0,
        1 => 400,
        2 => 700,
        _ => 1000,
    }
}

/// [`Profile::crowd`] of this number of cores with this sum of prices.
pub(crate) fn crowd(sum: u32, cores: u32) -> u32 {
    sum.checked_div(cores).unwrap_or(0)
}

/// Counts here are bounded by the host's limits, far below `u32::MAX`.
pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// How `cores` cores in `used` of the node's domains compare with the fewest domains possible.
pub(crate) fn l3_use(sizes: &[usize], cores: usize, used: usize) -> L3Use {
    let mut held = 0;
    let fewest = sizes.iter().take_while(|size| (held < cores).then(|| held += **size).is_some());
    match fewest.count() {
        _ if sizes.len() < 2 => L3Use::NoChoice,
        _ if used < 2 => L3Use::One,
        fewest if used <= fewest => L3Use::Fewest,
        _ => L3Use::Pieces,
    }
}

/// Whether each usable pCPU of the cores under the vCPUs has a vCPU or is kept idle. Those that the
/// request may not have do not count, unless the host keeps them.
fn holds_whole_cores(host: &Host, request: &Request, placement: &Placement) -> bool {
    let cpus = &request.spec().cpus;
    let own = |pcpu| {
        let may = cpus.as_ref().is_none_or(|cpus| cpus.contains(pcpu));
        host.allowed().contains(pcpu) && (may || host.kept().cpus.contains(pcpu))
    };
    let mut held = placement.vcpu_pcpus();
    held.extend(&placement.idle);
    let whole = |pcpu| {
        let core = host.core_of(pcpu);
        core.is_some_and(|core| core.pcpus.iter().all(|p| held.contains(*p) || !own(*p)))
    };
    placement.vcpu_pcpus().iter().all(whole)
}

/// The fewest nodes whose cores, or whose pCPUs where vCPUs float, and whose memory could hold the
/// VM, were all free.
fn fewest_nodes(host: &Host, request: &Request, threads: u32, dedicated: bool) -> u32 {
    let fewest = |sizes: &[u64], needed: u64| {
        let mut held: u64 = 0;
        let enough = sizes.iter().position(|size| {
            held = held.saturating_add(*size);
            held >= needed
        });
        enough.map_or(sizes.len(), |at| at + 1)
    };
    let derived = host.derived();
    let by_cpus = if dedicated {
        fewest(&derived.core_counts, u64::from(request.spec().vcpus.div_ceil(threads.max(1))))
    } else {
        let overcommit = u64::from(request.spec().overcommit().0).max(1);
        fewest(&derived.pcpu_counts, (u64::from(request.spec().vcpus) * 1000).div_ceil(overcommit))
    };
    count(by_cpus.max(fewest(&derived.memories, request.spec().memory.0)))
}
