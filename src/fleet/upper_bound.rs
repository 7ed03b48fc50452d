//! The scores that a VM without devices could have on hosts of one model, whatever is free there,
//! computed once for all of them.

use smallvec::SmallVec;

use crate::engine::gpu_set::SetFacts;
use crate::engine::profile::{L3Use, Profile, count};
use crate::engine::recommend::unmet;
use crate::engine::refusal::lacking;
use crate::engine::search::nodes::subsets;
use crate::engine::work::Work;
use crate::engine::{Options, Score, score};
use crate::host::mask::{GpuMask, NodeMask, PackageMask};
use crate::host::{Host, Node};
use crate::placement::{MemoryMode, Style};
use crate::request::{Policy, Request};
use crate::units::Bytes;

use super::counts::most_nodes;

/// The largest number of node sets that are distinguished. If the VM could be at home on more, none
/// are.
const MAX_SETS: usize = 64;

/// Bounds over the placements of one kind: the smallest number of unmet preferences, and the lowest
/// and highest score, both without the packing cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) unmet: usize,
    pub(super) worst: Score,
    pub(super) best: Score,
    /// The lowest score if other tenants crowd all of the VM's cores; the default where no host of
    /// the model is crowded.
    pub(super) crowded: Score,
}

impl Span {
    fn and(self, other: Self) -> Self {
        Self {
            unmet: self.unmet.min(other.unmet),
            worst: self.worst.min(other.worst),
            best: self.best.max(other.best),
            crowded: self.crowded.min(other.crowded),
        }
    }
}

/// The placements that span `packages` packages and use L3 domains as `l3` says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) packages: u32,
    pub(super) l3: L3Use,
    pub(super) span: Span,
}

/// A set of nodes that the VM could be at home on.
#[derive(Debug)]
pub(super) struct NodeSetAtHome {
    /// Positions in [`Host::nodes`].
    pub(super) nodes: SmallVec<[usize; 2]>,
    /// The number of packages of the nodes.
    pub(super) packages: u32,
}

/// The scores of placements on one model. Those *at home*, on exactly as many nodes as the VM has
/// cells, are distinguished by kind.
#[derive(Debug)]
pub(super) struct UpperBound {
    /// The number of nodes that the VM is at home on.
    pub(super) nodes: usize,
    /// All sets of that many nodes; `None` if there are more than [`MAX_SETS`], or the cores could
    /// be split unevenly.
    pub(super) sets: Option<Vec<NodeSetAtHome>>,
    /// Whether every core has two allowed pCPUs.
    pub(super) pairs: bool,
    /// The best score of any placement.
    pub(super) highest: i64,
    /// `at_home[t - 1]`: the kinds of placements at home with t threads per core.
    at_home: [Vec<Kind>; 2],
    /// `wider[t - 1]`: the placements on other numbers of nodes, with t threads per core.
    wider: [Option<Span>; 2],
    /// Placements whose vCPUs float.
    floating: Option<Span>,
    /// Whether tenants float on some of the hosts.
    crowded: bool,
}

impl UpperBound {
    /// The bound for hosts, some of them perhaps `crowded`; `None` for VMs with devices, whose
    /// scores depend on the devices they get.
    pub(super) fn new(
        host: &Host,
        request: &Request,
        options: &Options,
        crowded: bool,
    ) -> Option<Self> {
        let spec = request.spec();
        let named = !spec.devices.is_empty() || !spec.device_wishes.is_empty();
        // Which L3 domains are free of others is not known of a model.
        let apart = spec.policies.own_l3 != Policy::Ignore;
        if spec.gpus.count() > 0 || named || apart || spec.shared.is_some() {
            return None;
        }
        let nodes = request.spec().cells.required().unwrap_or(1) as usize;
        let [_, pairs] = &host.derived().allowed;
        let mut all = Self {
            nodes,
            sets: (nodes == 1 || request.spec().even_cells).then(|| sets(host, nodes)).flatten(),
            pairs: pairs.count(&(0..host.cores().len())) as usize == host.cores().len(),
            highest: i64::MIN,
            at_home: Default::default(),
            wider: [None; 2],
            floating: None,
            crowded,
        };
        let pools = host.nodes().iter().flat_map(|node| &node.pools);
        let usable = pools.filter(|pool| {
            let wanted = request.spec().page_size.is_none_or(|size| size == pool.size);
            wanted && pool.size.pages_in(request.spec().memory).is_some()
        });
        let mut hugepages: SmallVec<[bool; 8]> = usable.map(|pool| pool.size.is_huge()).collect();
        hugepages.sort_unstable();
        hugepages.dedup();
        let floats = request.spec().policies.dedicated_cpus != Policy::Require;
        for (threads, dedicated) in [(1, true), (2, true), (1, false)] {
            if dedicated || floats {
                let base = base(host, request, threads, dedicated);
                each_profile(host, request, &base, &hugepages, |profile| {
                    all.add(request, options, &profile);
                });
            }
        }
        Some(all)
    }

    /// The kinds of placements at home, with `threads` threads a core.
    pub(super) fn at_home(&self, threads: u64) -> &[Kind] {
        &self.at_home[usize::from(threads > 1)]
    }

    /// The placements everywhere else, with their threads per core; `None` if vCPUs float.
    pub(super) fn elsewhere(&self) -> impl Iterator<Item = (Option<u64>, Span)> {
        let [one, two] = self.wider;
        let all = [(Some(1), one), (Some(2), two), (None, self.floating)];
        all.into_iter().filter_map(|(threads, span)| Some((threads, span?)))
    }

    /// The best score with crowded cores, and with cores that carry two vCPUs: better than without
    /// by an unusual table of evidence alone.
    fn unusual(&self, request: &Request, options: &Options, profile: &Profile) -> Score {
        let vcpus = request.spec().vcpus;
        let doubles = profile.dedicated && profile.threads == 1;
        let doubled = doubles.then(|| Work::new(vcpus, [vcpus.div_ceil(2), 0, 0]));
        let works = std::iter::once(profile.work).chain(doubled);
        let crowds: &[u32] = if self.crowded { &[0, 1, 1000] } else { &[0] };
        let all = works.flat_map(|work| crowds.iter().map(move |crowd| (work, *crowd)));
        let profiles = all.map(|(work, crowd)| Profile { work, crowd, ..*profile });
        let scores = profiles.map(|profile| score(request, options, &profile, 0));
        scores.max().unwrap_or_default()
    }

    fn add(&mut self, request: &Request, options: &Options, profile: &Profile) {
        if lacking(request, profile).is_some() {
            return;
        }
        let score = score(request, options, profile, 0);
        let crowd = || Profile { crowd: 1000, ..*profile };
        let crowded = match self.crowded {
            true => self::score(request, options, &crowd(), 0),
            false => Score::default(),
        };
        let unmet = unmet(request, profile).len();
        let best = score.max(self.unusual(request, options, profile));
        self.highest = self.highest.max(best.total);
        let span = Span { unmet, worst: score, best, crowded };
        let add = |to: &mut Option<Span>| *to = Some(to.map_or(span, |known| known.and(span)));
        let at = profile.threads as usize - 1;
        if !profile.dedicated {
            add(&mut self.floating);
        } else if profile.nodes as usize != self.nodes || profile.lent {
            add(&mut self.wider[at]);
        } else {
            let (home, Profile { packages, l3, .. }) = (&mut self.at_home[at], *profile);
            match home.iter_mut().find(|kind| (kind.packages, kind.l3) == (packages, l3)) {
                Some(kind) => kind.span = kind.span.and(span),
                None => home.push(Kind { packages, l3, span }),
            }
        }
    }
}

/// The sets of `size` nodes, those with the fewest packages first; `None` if there are too many.
fn sets(host: &Host, size: usize) -> Option<Vec<NodeSetAtHome>> {
    let all: Vec<usize> = (0..host.nodes().len()).collect();
    let found = subsets(&all, size, std::iter::empty(), |_, _| 0, |_| 0);
    let facts = &host.derived().nodes;
    let set = |mask: &NodeMask| NodeSetAtHome {
        nodes: mask.iter().collect(),
        packages: PackageMask::union(mask.iter().map(|at| facts[at].packages)).len(),
    };
    let few = found.complete && found.masks.len() <= MAX_SETS;
    let mut sets: Vec<NodeSetAtHome> = few.then(|| found.masks.iter().map(set).collect())?;
    // A set in one package may settle the bound.
    sets.sort_by_key(|set| set.packages);
    Some(sets)
}

/// The common part of all profiles with these threads.
fn base(host: &Host, request: &Request, threads: u32, dedicated: bool) -> Profile {
    let SetFacts { path, same_switch, partition, degraded } =
        SetFacts::of(host, request, GpuMask::EMPTY);
    Profile {
        // With shared cores one preference less is met, and the score is no better.
        whole_cores: dedicated,
        gpu_path: path,
        same_switch,
        partition,
        gpus_degraded: degraded,
        ..Profile::of_host(host, request, threads, dedicated)
    }
}

/// Calls `each` with every profile that a placement with these threads could have, and with some
/// that none has, which only makes the bound too good.
fn each_profile(
    host: &Host,
    request: &Request,
    base: &Profile,
    hugepages: &[bool],
    mut each: impl FnMut(Profile),
) {
    let derived = host.derived();
    let (flat, cells) = match (base.dedicated, base.threads) {
        (false, _) => (Style::Float, Style::FloatNuma),
        (true, 1) => (Style::Pin, Style::PinNuma),
        (true, _) => (Style::PinSmt, Style::PinNumaSmt),
    };
    let shown =
        [(flat, MemoryMode::Strict), (flat, MemoryMode::Interleave), (cells, MemoryMode::Strict)];
    let domains: &[L3Use] = match base.dedicated {
        true => &[L3Use::NoChoice, L3Use::One, L3Use::Fewest, L3Use::Pieces],
        false => &[L3Use::NoChoice],
    };
    let works = works(host, request, base);
    // Whether some node has pCPUs for the VM, and no memory.
    let without = |node: &Node| node.memory == Bytes::ZERO && !node.cpus.is_empty();
    let lends = request.spec().memory_nodes.is_some() || host.nodes().iter().any(without);
    let packages = count(derived.packages.len().min(64)).max(1);
    for nodes in 1..=count(most_nodes(host, request)) {
        for (style, memory) in shown.into_iter().take(if nodes == 1 { 1 } else { 3 }) {
            let cells = if style.shows_cells() { nodes } else { 1 };
            for packages in 1..=packages {
                for l3 in domains.iter().copied() {
                    for work in works.iter().copied() {
                        for hugepages in hugepages.iter().copied() {
                            let profile = Profile {
                                style,
                                memory,
                                nodes,
                                packages,
                                cells,
                                l3,
                                work,
                                hugepages,
                                ..*base
                            };
                            each(profile);
                            if lends && cells == 1 {
                                each(Profile { lent: true, ..profile });
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The cores that a placement with these threads could have, the best and the worst of each way to
/// mix kinds: what lies between them scores between them.
fn works(host: &Host, request: &Request, base: &Profile) -> SmallVec<[Work; 8]> {
    let vcpus = request.spec().vcpus;
    if !base.dedicated {
        // Nothing floats better than over all cores.
        return SmallVec::from_slice(&[base.default_work]);
    }
    let cores = vcpus / base.threads;
    let mut all = SmallVec::from_slice(&[Work::new(vcpus, [cores, 0, 0])]);
    if host.derived().hybrid {
        let few = cores.min(1);
        let most = cores - few;
        all.extend([
            Work::new(vcpus, [0, cores, 0]),
            Work::new(vcpus, [0, 0, cores]),
            Work::new(vcpus, [most, few, 0]),
            Work::new(vcpus, [most, 0, few]),
            Work::new(vcpus, [few, most, 0]),
            Work::new(vcpus, [few, 0, most]),
            Work::new(vcpus, [0, few, most]),
        ]);
    }
    all
}
