//! Values derived from a host's records that are needed again and again, computed once when the
//! host is built.

use std::collections::BTreeMap;
use std::ops::Range;

use super::core_set::{CoreMap, CoreSet};
use super::fabric::nvswitches;
use super::function::Loss;
pub(crate) use super::gpu_facts::GpuFacts;
use super::gpu_places::GpuPlaces;
use super::mask::{GpuMask, NodeMask, PackageMask};
use super::pcie::{CommonBridge, FabricPartition, GpuLink, LinkState, PciTree};
use super::records::{Core, CoreKind, Gpu, L3Domain, Node};
use crate::sets::CpuSet;
use crate::units::{Bytes, Distance, L3Id, PackageId, PciAddr, PcpuId};

/// Numbers of cores by kind, in the order of [`CoreKind::ALL`]. On a host with cores of one kind,
/// all are of the first.
pub(crate) type ByKind = [u32; 3];

/// Facts about one node that need no further look at its cores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeFacts {
    /// Positions in [`Host::cores`](super::Host::cores).
    pub(crate) cores: Range<usize>,
    /// Positions in [`Derived::groups`].
    pub(crate) groups: Range<usize>,
    /// The GPUs known to be on the node.
    pub(crate) gpus: GpuMask,
    /// The number of its cores in each L3 domain, largest first. Cores of a package without a known
    /// domain count as one domain, and all cores of the node if none has a known domain.
    pub(crate) l3_sizes: Vec<usize>,
    /// The packages that the node's cores are in.
    pub(crate) packages: PackageMask,
}

/// Cores of one kind in one L3 domain of one package of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoreGroup {
    pub(crate) package: PackageId,
    /// The size of the L3 cache in bytes; 0 where it is not known.
    pub(crate) cache: u64,
    pub(crate) kind: CoreKind,
    pub(crate) l3: Option<L3Id>,
    /// Positions in [`Host::cores`](super::Host::cores).
    pub(crate) cores: Range<usize>,
}

/// Values derived from a host's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) packages: Vec<PackageId>,
    /// For each package, numbered as in [`NodeFacts::packages`]: the nodes with cores of it.
    pub(crate) in_package: Vec<NodeMask>,
    pub(crate) nodes: Vec<NodeFacts>,
    /// Sorted by node, package, L3 domain and kind, in the order of the cores.
    pub(crate) groups: Vec<CoreGroup>,
    pub(crate) core_map: CoreMap,
    /// Cores with an outstanding top frequency.
    pub(crate) favoured: CoreSet,
    /// `allowed[n - 1]`: the cores with exactly n allowed pCPUs.
    pub(crate) allowed: [CoreSet; 2],
    /// Relative distances as a flat matrix of node positions: the larger of both directions.
    far: Vec<u8>,
    /// The number of cores of each node, largest first.
    pub(crate) core_counts: Vec<u64>,
    /// The number of online pCPUs of each node, largest first.
    pub(crate) pcpu_counts: Vec<u64>,
    /// The memory of each node, largest first.
    pub(crate) memories: Vec<u64>,
    pub(crate) nodes_with_memory: usize,
    /// Whether known L3 caches of one node differ in size.
    pub(crate) unequal_caches: bool,
    /// Whether there are cores of several kinds.
    pub(crate) hybrid: bool,
    /// The number of cores with an allowed pCPU.
    pub(crate) allowed_cores: ByKind,
    /// Facts by position in [`Host::gpus`](super::Host::gpus).
    pub(crate) gpus: Vec<GpuFacts>,
    /// The GPUs that a request for a number of GPUs of any model may be given as far as their kind
    /// goes: those that are not integrated into a processor, and those that are but are held for
    /// VMs; all if every GPU is integrated.
    pub(crate) offered: GpuMask,
    /// The GPUs of each of [`Host::fabric_partitions`](super::Host::fabric_partitions).
    pub(crate) partitions: Vec<GpuMask>,
    /// The addresses of the NVSwitches.
    pub(crate) nvswitches: Vec<PciAddr>,
    pub(crate) gpu_places: GpuPlaces,
    /// The largest number of SMT siblings of a core.
    pub(crate) widest_core: usize,
}

impl Derived {
    pub(crate) fn new(
        nodes: &[Node],
        cores: &[Core],
        allowed: &CpuSet,
        pci: &PciTree,
        gpus: &[Gpu],
        links: &[GpuLink],
        partitions: &[FabricPartition],
    ) -> Self {
        let mut packages: Vec<PackageId> = cores.iter().map(|core| core.id.package).collect();
        packages.sort_unstable();
        packages.dedup();
        let groups = groups(cores);
        let hybrid = cores.iter().any(|core| core.kind != cores[0].kind);
        let facts = |node: &Node| {
            let first = cores.partition_point(|core| core.node < node.id);
            let last = cores.partition_point(|core| core.node <= node.id);
            // No cache is shared between packages, whatever a description says.
            let mut sizes: BTreeMap<(PackageId, Option<L3Id>), usize> = BTreeMap::new();
            let mut in_packages = PackageMask::EMPTY;
            for core in &cores[first..last] {
                *sizes.entry((core.id.package, core.l3)).or_default() += 1;
                let at = packages.binary_search(&core.id.package).unwrap_or(0);
                in_packages.insert(at.min(63));
            }
            let mut l3_sizes: Vec<usize> = sizes.into_values().collect();
            if cores[first..last].iter().all(|core| core.l3.is_none()) {
                l3_sizes = vec![last - first];
            }
            l3_sizes.sort_unstable_by(|a, b| b.cmp(a));
            let own = groups.partition_point(|group| group.cores.start < first)
                ..groups.partition_point(|group| group.cores.start < last);
            let gpus = mask_of(gpus, |gpu| gpu.node == Some(node.id));
            NodeFacts { cores: first..last, groups: own, gpus, l3_sizes, packages: in_packages }
        };
        let facts: Vec<NodeFacts> = nodes.iter().map(facts).collect();
        let largest_first = |mut sizes: Vec<u64>| {
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            sizes
        };
        let masks = partition_masks(gpus, partitions);
        let gpu_facts = with_twins(gpu_facts(nodes, pci, gpus, links), &masks);
        let cores_of: Vec<usize> = facts.iter().map(|node| node.cores.len()).collect();
        let in_package = (0..packages.len().min(64)).map(|package| {
            let nodes = facts.iter().enumerate();
            nodes.filter(|(_, node)| node.packages.contains(package)).map(|(at, _)| at).collect()
        });
        Self {
            in_package: in_package.collect(),
            widest_core: cores.iter().map(|core| core.pcpus.len()).max().unwrap_or(1),
            gpu_places: GpuPlaces::new(nodes, &cores_of, &packages, &gpu_facts),
            core_counts: largest_first(facts.iter().map(|n| n.cores.len() as u64).collect()),
            pcpu_counts: largest_first(nodes.iter().map(|n| n.cpus.len() as u64).collect()),
            memories: largest_first(nodes.iter().map(|node| node.memory.0).collect()),
            nodes_with_memory: nodes.iter().filter(|n| n.memory != Bytes::ZERO).count(),
            hybrid,
            allowed_cores: {
                let usable = |core: &&Core| core.pcpus.iter().any(|pcpu| allowed.contains(*pcpu));
                let mut counts = ByKind::default();
                for core in cores.iter().filter(usable) {
                    counts[place(core.kind, hybrid)] += 1;
                }
                counts
            },
            offered: offered(gpus, &gpu_facts),
            gpus: gpu_facts,
            unequal_caches: false,
            partitions: masks,
            nvswitches: nvswitches(pci),
            far: distances(nodes),
            core_map: CoreMap::new(cores),
            favoured: CoreSet::of(cores, |core| core.favoured),
            allowed: [1, 2].map(|number| {
                let is_allowed = |pcpu: &&PcpuId| allowed.contains(**pcpu);
                CoreSet::of(cores, |core| core.pcpus.iter().filter(is_allowed).count() == number)
            }),
            packages,
            nodes: facts,
            groups,
        }
    }
}

impl Derived {
    /// Adds the sizes of the L3 caches.
    pub(crate) fn with_caches(mut self, domains: &[L3Domain]) -> Self {
        for group in &mut self.groups {
            let of_group = domains.iter().find(|domain| Some(domain.id) == group.l3);
            group.cache = of_group.and_then(|domain| domain.size).map_or(0, |size| size.0);
        }
        let unequal = |node: &NodeFacts| {
            let groups = &self.groups[node.groups.clone()];
            let mut sizes = groups.iter().map(|group| group.cache).filter(|size| *size > 0);
            let first = sizes.next();
            sizes.any(|size| Some(size) != first)
        };
        self.unequal_caches = self.nodes.iter().any(unequal);
        self
    }

    /// The same for another list of the host's GPUs.
    pub(super) fn with_gpus(
        mut self,
        nodes: &[Node],
        pci: &PciTree,
        gpus: &[Gpu],
        links: &[GpuLink],
        partitions: &[FabricPartition],
    ) -> Self {
        self.partitions = partition_masks(gpus, partitions);
        self.gpus = with_twins(gpu_facts(nodes, pci, gpus, links), &self.partitions);
        self.offered = offered(gpus, &self.gpus);
        for (facts, node) in self.nodes.iter_mut().zip(nodes) {
            facts.gpus = mask_of(gpus, |gpu| gpu.node == Some(node.id));
        }
        let cores_of: Vec<usize> = self.nodes.iter().map(|node| node.cores.len()).collect();
        self.gpu_places = GpuPlaces::new(nodes, &cores_of, &self.packages, &self.gpus);
        self
    }

    /// The place of a kind of core in [`ByKind`].
    pub(crate) fn place(&self, kind: CoreKind) -> usize {
        place(kind, self.hybrid)
    }

    /// The number of packages that these nodes have cores of.
    pub(crate) fn packages_of(&self, nodes: NodeMask) -> u32 {
        self.in_package.iter().map(|package| u32::from(package.intersects(nodes))).sum()
    }

    /// The relative distance of two nodes by position: the larger of both directions.
    pub(crate) fn far(&self, a: usize, b: usize) -> Distance {
        Distance(self.far[a * self.nodes.len() + b])
    }
}

fn place(kind: CoreKind, hybrid: bool) -> usize {
    match kind {
        _ if !hybrid => 0,
        CoreKind::Performance => 0,
        CoreKind::Efficiency => 1,
        CoreKind::LowPower => 2,
    }
}

fn distances(nodes: &[Node]) -> Vec<u8> {
    let all = (0..nodes.len()).flat_map(|a| (0..nodes.len()).map(move |b| (a, b)));
    all.map(|(a, b)| nodes[a].distances[b].max(nodes[b].distances[a]).0).collect()
}

fn groups(cores: &[Core]) -> Vec<CoreGroup> {
    let mut first = 0;
    let of = |core: &Core| (core.node, core.id.package, core.l3, core.kind);
    let same = |of_group: &[Core]| {
        let start = first;
        first += of_group.len();
        let (_, package, l3, kind) = of(&of_group[0]);
        CoreGroup { package, cache: 0, kind, l3, cores: start..first }
    };
    cores.chunk_by(|a, b| of(a) == of(b)).map(same).collect()
}

fn mask_of(gpus: &[Gpu], is_in: impl Fn(&Gpu) -> bool) -> GpuMask {
    gpus.iter().enumerate().filter(|(_, gpu)| is_in(gpu)).map(|(at, _)| at).collect()
}

/// The fabric partitions as sets of these GPUs. A partition with a GPU that is not listed is empty:
/// no set of listed GPUs is that partition.
fn partition_masks(gpus: &[Gpu], partitions: &[FabricPartition]) -> Vec<GpuMask> {
    let of_partition = |p: &FabricPartition| {
        let mask = mask_of(gpus, |gpu| p.gpus.contains(&gpu.address));
        if mask.len() as usize == p.gpus.len() { mask } else { GpuMask::EMPTY }
    };
    partitions.iter().map(of_partition).collect()
}

/// The physical or virtual functions of the members of a bundle that are not in the bundle.
fn excluded(pci: &PciTree, bundle: &[PciAddr]) -> Vec<PciAddr> {
    let mut all: Vec<PciAddr> = bundle.iter().flat_map(|at| pci.excluded_by(*at)).collect();
    all.retain(|address| !bundle.contains(address));
    all.sort_unstable();
    all.dedup();
    all
}

fn offered(gpus: &[Gpu], facts: &[GpuFacts]) -> GpuMask {
    let any = gpus.iter().any(|gpu| !gpu.integrated);
    (0..gpus.len()).filter(|at| !any || facts[*at].loss < Loss::Processor).collect()
}

fn gpu_facts(nodes: &[Node], pci: &PciTree, gpus: &[Gpu], links: &[GpuLink]) -> Vec<GpuFacts> {
    let facts = |gpu: &Gpu| {
        let address = gpu.address;
        let itself = mask_of(gpus, |other| other.address == address);
        let linked = |a, b| links.iter().any(|l| (l.a, l.b) == (a, b) || (l.b, l.a) == (a, b));
        let within = |far| mask_of(gpus, |other| pci.common_bridge(address, other.address) <= far);
        let switch = pci.switch_of(address);
        let group = pci.group_of(address);
        let bundle = pci.bundle_of(address);
        let is_virtual = pci.get(address).is_some_and(|d| d.physical_function.is_some());
        let is_split = !pci.virtual_functions_of(address).is_empty();
        GpuFacts {
            root: pci.root_of(address),
            node: gpu.node.and_then(|id| nodes.binary_search_by_key(&id, |node| node.id).ok()),
            on_node: itself | mask_of(gpus, |other| gpu.node.is_some() && other.node == gpu.node),
            linked: itself | mask_of(gpus, |other| linked(address, other.address)),
            near: itself | within(CommonBridge::Pxb),
            around: itself | within(CommonBridge::Node),
            on_switch: mask_of(gpus, |o| switch.is_some() && pci.switch_of(o.address) == switch),
            group: itself | mask_of(gpus, |other| group.contains(&other.address)),
            model: mask_of(gpus, |other| other.model == gpu.model),
            degraded: pci.degraded_link(address).is_some(),
            excludes: excluded(pci, &bundle),
            bundle,
            is_virtual,
            is_split,
            by_number: !gpu.integrated && !is_virtual && !is_split,
            needed: pci.needed_mates(address),
            loss: pci.get(address).map_or(Loss::Nothing, |d| Loss::of(d, gpu.integrated)),
            slot: pci.link_possible(address).map_or(0, LinkState::capacity),
            twins: itself,
        }
    };
    gpus.iter().map(facts).collect()
}

/// Adds the twins of each GPU. The relation is transitive: exchanging the first and the last of
/// three GPUs is a sequence of exchanges of neighbours.
fn with_twins(mut gpus: Vec<GpuFacts>, partitions: &[GpuMask]) -> Vec<GpuFacts> {
    for at in 0..gpus.len() {
        let like = |other: &usize| are_twins(&gpus, partitions, at, *other);
        let twins: GpuMask = (0..gpus.len()).filter(like).collect();
        gpus[at].twins |= twins;
    }
    gpus
}

fn are_twins(gpus: &[GpuFacts], partitions: &[GpuMask], a: usize, b: usize) -> bool {
    let masks = |gpu: &GpuFacts| {
        [gpu.on_node, gpu.linked, gpu.near, gpu.around, gpu.on_switch, gpu.group, gpu.model]
    };
    let both = GpuMask::one(a).with(b);
    let alike = |(x, y): (GpuMask, GpuMask)| {
        x - both == y - both && x.intersects(both) == y.intersects(both)
    };
    let place = |gpu: &GpuFacts| (gpu.node, gpu.degraded, gpu.slot);
    let same_place = place(&gpus[a]) == place(&gpus[b]);
    let exchanged =
        |set: GpuMask| if set.contains(a) == set.contains(b) { set } else { set ^ both };
    same_place
        && masks(&gpus[a]).into_iter().zip(masks(&gpus[b])).all(alike)
        && partitions.iter().all(|set| partitions.contains(&exchanged(*set)))
}
