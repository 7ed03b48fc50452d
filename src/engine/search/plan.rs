//! The plan: which cores of a node a VM takes, as numbers of cores in groups.
//!
//! # From the outside in
//! 1. *Isolation.* Where the kernel isolates some of the allowed pCPUs, cores with an isolated pCPU
//!    come before others.
//! 2. *Kind.* Performance cores come before efficiency cores, and these before low-power ones.
//! 3. *Load.* Cores on which the fewest other tenants float come first. A slow core is slower than
//!    a fast one that is shared now and then, so kinds come before that.
//! 4. *Package.* A node with several packages has one filled first.
//! 5. *L3 domain*, by group.
//!
//! Packages and groups are chosen alike: *whole first, then best fit*. If one holds all that is
//! left, it is the one with the fewest free cores; of equals the smaller one, so that an untouched
//! larger one stays whole; then the lower position. Otherwise the one with the most free cores is
//! taken whole, and the choice is repeated. One that gave cores of a better tier comes before
//! others.
//!
//! Largest first uses the fewest groups, and best fit for the rest leaves the large remainders to
//! others. Example: three domains with 8, 6 and 5 free cores. A VM of 5 goes to the third, a VM of
//! 6 to the second. A VM of 10 takes the first whole and 2 cores of the third: two domains, the
//! fewest possible, and the second is untouched.
//!
//! Where L3 domains of one node have caches of different sizes, and the workload gives memory
//! latency a weight of at least 20 (general, latency-sensitive), a larger cache comes before a
//! better fit: games on a Ryzen X3D gain 1.10 (0.90 to 1.35) on the V-cache die while their threads
//! fit it (F46, F49, F50).

use smallvec::SmallVec;

use super::cpus::FreeCores;
use crate::host::CoreKind;

/// Numbers of cores by group, in the order in which they are taken. Groups are positions in
/// `Derived::groups`; each is there once.
pub(super) type Plan = SmallVec<[(usize, usize); 8]>;

/// A package or a group that cores can be taken from.
#[derive(Debug, Clone, Copy)]
struct Source {
    /// The position of the group; of the first group, for a package.
    at: usize,
    /// Cores that can be taken.
    free: usize,
    /// All cores.
    cores: usize,
    /// The size of the L3 cache, or 0 where it does not matter.
    cache: u64,
    /// Whether the VM has cores of it already, from a better tier.
    known: bool,
}

/// Takes cores from the sources, whole first, then best fit, until none is left to take. Returns
/// how many are left.
fn take(
    from: impl Iterator<Item = Source> + Clone,
    mut left: usize,
    mut each: impl FnMut(Source, usize),
) -> usize {
    if left == 0 {
        return 0;
    }
    // Most VMs fit into one: no list is made for these.
    if let Some(source) = best_fit(from.clone(), left) {
        each(source, left);
        return 0;
    }
    let mut sources: SmallVec<[Source; 8]> = from.filter(|source| source.free > 0).collect();
    while left > 0 {
        if let Some(source) = best_fit(sources.iter().copied(), left) {
            each(source, left);
            return 0;
        }
        let largest = |at: &usize| {
            let source: &Source = &sources[*at];
            (source.known, source.cache, source.free, usize::MAX - source.at)
        };
        let Some(at) = (0..sources.len()).max_by_key(largest) else { break };
        let source = sources.remove(at);
        each(source, source.free);
        left -= source.free;
    }
    left
}

/// The source that holds all that is left and fits it best.
fn best_fit(sources: impl Iterator<Item = Source>, left: usize) -> Option<Source> {
    let fitting = sources.filter(|source| source.free >= left);
    fitting.min_by_key(|s| (!s.known, std::cmp::Reverse(s.cache), s.free, s.cores, s.at))
}

impl FreeCores<'_> {
    /// The cores that a VM takes on a node that has room for them.
    pub(super) fn plan(&self, node: usize, cores: u64, threads: u32) -> Plan {
        let t = threads as usize - 1;
        let mut plan = Plan::new();
        let mut left = usize::try_from(cores).unwrap_or(usize::MAX);
        let derived = self.host.derived();
        let kinds = if derived.hybrid {
            &CoreKind::ALL[..]
        } else {
            &[derived.groups[derived.nodes[node].groups.start].kind]
        };
        if self.tiers.is_empty() {
            for kind in kinds {
                left = self.plan_kind(node, *kind, left, &mut plan, |at| self.counts[at][t]);
            }
        }
        for alike in self.tiers.chunk_by(|a, b| a.isolated == b.isolated) {
            for (kind, tier) in
                kinds.iter().flat_map(|kind| alike.iter().map(move |tier| (*kind, tier)))
            {
                left = self.plan_kind(node, kind, left, &mut plan, |at| tier.counts[at][t]);
            }
        }
        plan
    }

    /// Plans with the cores of one kind that `free` counts, by group. Returns how many cores are
    /// left to plan.
    fn plan_kind(
        &self,
        node: usize,
        kind: CoreKind,
        left: usize,
        plan: &mut Plan,
        free: impl Fn(usize) -> u32,
    ) -> usize {
        let derived = self.host.derived();
        let facts = &derived.nodes[node];
        let of_kind = |at: &usize| derived.groups[*at].kind == kind;
        // What better tiers gave.
        let had = if self.tiers.is_empty() { Plan::new() } else { plan.clone() };
        let source = |at: usize| Source {
            at,
            free: free(at) as usize,
            cores: derived.groups[at].cores.len(),
            cache: if self.wants_cache { derived.groups[at].cache } else { 0 },
            known: had.iter().any(|(group, _)| *group == at),
        };
        let groups = || facts.groups.clone().filter(of_kind).map(source);
        let mut add =
            |source: Source, count: usize| match plan.iter_mut().find(|(at, _)| *at == source.at) {
                Some((_, known)) => *known += count,
                None => plan.push((source.at, count)),
            };
        if facts.packages.len() < 2 {
            return take(groups(), left, &mut add);
        }
        let mut packages: SmallVec<[Source; 8]> = SmallVec::new();
        for group in groups() {
            let package =
                |s: &&mut Source| derived.groups[s.at].package == derived.groups[group.at].package;
            match packages.iter_mut().find(package) {
                Some(known) => {
                    known.free += group.free;
                    known.cores += group.cores;
                    known.known |= group.known;
                }
                None => packages.push(Source { cache: 0, ..group }),
            }
        }
        take(packages.into_iter(), left, |package, count| {
            let here =
                |s: &Source| derived.groups[s.at].package == derived.groups[package.at].package;
            take(groups().filter(here), count, &mut add);
        })
    }
}
