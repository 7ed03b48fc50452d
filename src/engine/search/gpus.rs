//! GPU sets: which GPUs the VM could get, one set of every class, better quality first.
//!
//! **Takes** the host, what its tenants hold and the request. **Gives** the sets worth trying, or
//! the facts that leave none. The search asks this module again for every node set: which of the
//! sets are worth trying from there?
//!
//! # Which GPUs take part
//! Named GPUs are one set, virtual functions among them. A number of GPUs is chosen among the
//! *eligible* ones: the model matches (part of its name or of its ids; without a wanted model, any
//! GPU that is not inside the processor, unless it is held for VMs or the host has no other), no
//! tenant holds the GPU or anything that must go with it, and the request does not name it as
//! another device. A GPU with virtual functions is not chosen by number. What must go with a GPU is
//! its IOMMU group, and the helper functions of its card with theirs; [`bundle`](crate::host) says
//! which. A GPU whose group takes from the host what it needs is eligible only if the request
//! allows that.
//!
//! If virtual functions are wanted, they are chosen among those that `free::virtual_gpus` offers,
//! on a host whose list of GPUs has these: at most 64, so that a set is one word here too.
//!
//! # Loss to the host
//! Of the eligible GPUs, those with the smallest `Loss` go: first the ones that no driver of the
//! host holds, last the ones that show its display. A set has no GPU with a larger loss than one
//! that it leaves out. If all such sets lack a required property, every set is looked at.
//!
//! # Enumeration without permutations
//! Choosing 4 of 8 GPUs gives 70 sets, but most boards have only a few kinds of place. Two GPUs are
//! *twins* if exchanging them changes nothing that the engine knows of the host: same node, both or
//! neither on a degraded link, slots of equal speed and width, same neighbours by node, link, root
//! port, root complex, switch, IOMMU group and model, and every fabric partition maps to a fabric
//! partition. Twins form classes, and a set is a number per class, filled from the lowest address.
//! Two nodes with four twins each: 4 GPUs can be 4+0, 3+1, 2+2, 1+3 or 0+4, so five sets.
//!
//! If the twin classes give more than 1024 sets, coarser classes are used: GPUs of one model on one
//! node, mutually within one root complex or that node, on the same switch, all or none of them on
//! a degraded link. Links may tell these apart, so fabric partitions of the wanted size that are
//! wholly eligible are then added on their own. The walk stops after 1024 sets. The answer counts
//! as cut if the walk was stopped, or if the coarse classes were used on GPUs with links.
//!
//! A `GpuSetFold` carries the facts of a set while it grows, as intersections of masks: if all
//! chosen GPUs lie inside the intersection of their "linked" masks, every two are linked. Extending
//! a set by a GPU is a handful of `and`s, and nothing is asked of the PCI tree.
//!
//! # Quality, and one set per class
//! Sets are sorted by, in this order:
//! 1. the number of different models;
//! 2. the number of GPUs with a degraded link;
//! 3. of devices that are requested by kind: the number farther from their GPU than required, than
//!    preferred, and how far all of them are; see `engine::beside`;
//! 4. the number of other GPUs that would be withheld because they share an IOMMU group;
//! 5. what the slots can carry, speed times width, most first; an idle link is not looked at;
//! 5. *fragmentation*, below;
//! 6. the number of known nodes;
//! 7. the addresses, lowest first.
//!
//! Sets of one *class* have the same nodes, the same number of GPUs of unknown node, and equal
//! facts (path, common switch, partition, degraded links), and the devices that go with them are as
//! near and on the same nodes. No prediction can tell them apart, so
//! only the first of each class is kept. Models, withheld GPUs and fragmentation are no part of the
//! score, nor are slots: they decide inside a class, and late in the ranking.
//!
//! *Fragmentation* counts the groups of eligible GPUs that a set splits: 4 for each switch and 2
//! for each node of a chosen GPU on which an eligible GPU remains, 1 for each direct link cut
//! between a chosen and a remaining one, and 1 for each larger fabric partition that was wholly
//! eligible and is not any more. The weights are ours: the GPUs of a switch are the smallest group
//! that another VM could want whole.
//!
//! Example: two nodes, two switches on each, two GPUs on each switch, no links; 2 GPUs wanted.
//! There are four twin classes and ten sets. Both GPUs of one switch: 2 (the node is split). One
//! GPU of each switch of a node: 4 + 4 + 2 = 10. One GPU on each node: 4 + 4 + 2 + 2 = 12. Five
//! classes remain: per node, one with a common switch and one without; and one across the nodes.
//!
//! # Dominance
//! From a given node set, each GPU set has a `DominanceKey` of eleven marks, smaller is better: a
//! GPU on another node; a GPU of unknown node; GPUs on several nodes; the path (linked, below one
//! root port, on one node, across); no common switch; no fabric partition; a degraded link; no GPU
//! on any of these nodes; and, of devices that are requested by kind, the number on other nodes,
//! the number farther from their GPU than preferred, and how far they are in all. Set A dominates B
//! if no mark of A is larger than B's. Dominated sets are dropped; of sets with equal keys the one
//! of better quality stays. The result depends on the node set only through those of its nodes that
//! have GPUs or chosen devices of some set, and is remembered by these.
//!
//! The marks are bytes of a `u128`, none above 127. With the high bit of every byte of B
//! set, subtracting A borrows from a byte's high bit exactly if A's byte is larger: one subtraction
//! compares them all.
//!
//! Dominance comes before the score because the score cannot choose between GPU sets on its own: a
//! prediction is a factor against the default layout *with the same GPUs*. A linked pair is
//! predicted 1.00 for peer-to-peer. An unlinked pair on the VM's only node is predicted 0.90 to
//! 1.20 for its slower path through host memory, which scores higher. On a test host whose pairs
//! differ in nothing else, the unlinked pair scores 47 and the linked one 32 thousandths. By score
//! the unlinked pair would win; dominance removes it wherever the linked pair is no worse in all
//! other marks.
//!
//! # Required properties
//! A common switch, links between every two GPUs, and a fabric partition are properties of the set
//! alone. If some sets have all that are required, the others are dropped. If none has, the request
//! is refused before any node set is tried. GPUs of unknown node are never counted as local.
//!
//! # Invariants
//! A host has at most 64 GPUs, so a set is one word, a `GpuMask`. What a twin class contributes is
//! always its lowest free addresses, so equal input gives equal sets. `kind` is the index of the
//! first set with the same number of nodes, unknown GPUs and facts; the search's memo keys on it,
//! so these must be all that a profile reads of a set.
//!
//! # Known limitations
//! - Twins ignore devices that are requested by address. Of two GPUs that differ only in sharing a
//!   switch with such a NIC, the lower address goes. If the request asks for NICs by kind, two GPUs
//!   are alike only if they are in the same parts of the host as every NIC that could be given.
//! - Two sets that trade marks against each other (linked but remote, local but unlinked) are both
//!   kept and compared by a score that is relative to two different yardsticks.
//! - Beyond 1024 twin sets the answer may miss the best set; it says so.

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::chosen::{Chosen, Wishes};
use super::device_facts::{check_apart, check_device, gpus_short, gpus_unsure};
use super::gpu_choice::{MAX_SETS, alike, broken, classes, least_loss, walk, ways};
use crate::engine::gpu_set::{GpuSetFold, SetFacts};
use crate::engine::refusal::Fact;
use crate::engine::score::{Property, set_lacking};
use crate::free::gpus;
use crate::free::virtual_gpus::{self, Offered};
use crate::host::Host;
use crate::host::mask::{GpuMask, NodeMask};
use crate::request::{GpuRequest, Request};
use crate::usage::Usage;

/// A set of GPUs that could be given to the VM, and what distinguishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GpuSet {
    pub(crate) gpus: GpuMask,
    /// The known nodes, by position in [`Host::nodes`].
    pub(crate) nodes: NodeMask,
    /// GPUs whose node is unknown.
    pub(crate) unknown: u32,
    pub(crate) facts: SetFacts,
    /// Different models.
    models: u32,
    /// Other GPUs that go with them because of IOMMU groups.
    withheld: u32,
    /// What the slots of its GPUs can carry together.
    slots: u64,
    /// How much it breaks that larger VMs could use: see [`broken`].
    broken: u32,
    /// The first set that a rule sees no difference to, but where its GPUs are.
    pub(crate) kind: usize,
    /// The devices that go with it: index into [`GpuSets::chosen`].
    pub(crate) chosen: usize,
}

/// What a rule can see of a set, a byte each, none above 127: the less the better, whatever the
/// rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DominanceKey(u128);

impl DominanceKey {
    /// Whether no mark is above the other's.
    fn betters(self, other: Self) -> bool {
        const HIGH: u128 = u128::from_le_bytes([0x80; 16]);
        // A byte keeps its high bit unless something larger is taken from it.
        ((other.0 | HIGH) - self.0) & HIGH == HIGH
    }
}

/// The devices that go with sets: without wishes, one empty choice for all of them.
type Choices = SmallVec<[Chosen; 1]>;

/// All sets worth trying, best quality first.
#[derive(Debug, Clone, Default)]
pub(crate) struct GpuSets {
    pub(crate) sets: Vec<GpuSet>,
    /// The nodes of all of them, and of all devices that go with them.
    pub(crate) nodes: NodeMask,
    /// The nodes of each whose GPUs are all on known ones; none that holds another.
    local: SmallVec<[NodeMask; 8]>,
    pub(crate) complete: bool,
    /// A required property that no set has, wherever the VM is.
    pub(crate) lacking: Option<Property>,
    /// Free GPUs that the request would take.
    pub(crate) eligible: GpuMask,
    /// The devices that go with the sets; one empty choice if the request wishes none.
    pub(crate) chosen: Choices,
}

impl GpuSets {
    /// The sets for a request, or the facts that leave none.
    pub(crate) fn new(host: &Host, usage: &Usage, request: &Request) -> Result<Self, Vec<Fact>> {
        for address in &request.spec().devices {
            check_device(host, usage, request, *address)?;
        }
        check_apart(host, request)?;
        let wishes = Wishes::new(host, usage, request)?;
        match &request.spec().gpus {
            GpuRequest::Addresses(addresses) => {
                for address in addresses {
                    check_device(host, usage, request, *address)?;
                    if host.gpu(*address).is_none() {
                        return Err(vec![Fact::NotAGpu { address: *address }]);
                    }
                }
                let mask = host.gpu_mask(addresses);
                let set = GpuSet::of_mask(host, request, mask, mask);
                Ok(Self::with(request, &wishes, vec![set], true, mask))
            }
            GpuRequest::Count { count: wanted, .. } => {
                let eligible = gpus::eligible(host, usage, request);
                if eligible.free.len() < *wanted {
                    return Err(gpus_short(host, usage, request, &eligible, *wanted));
                }
                Ok(Self::by_number(host, request, &wishes, eligible.free, *wanted))
            }
            GpuRequest::VfOf { count: wanted, model } => {
                let devices = &request.spec().devices;
                let offered =
                    virtual_gpus::offered(host, usage, *wanted, model.as_deref(), devices);
                let Offered { functions, complete, free, total, unsure } = offered;
                if free < *wanted {
                    let (needed, model) = (*wanted, model.clone());
                    let mut facts = vec![Fact::VfsShort { needed, free, total, model }];
                    facts.extend(gpus_unsure(usage, unsure));
                    return Err(facts);
                }
                let mask = host.gpu_mask(&functions);
                let any = (GpuMask::EMPTY, mask);
                let sets = Self::of_size(host, request, &wishes, any, mask, *wanted);
                Ok(Self { complete: sets.complete && complete, ..sets })
            }
        }
    }

    /// The sets of `size` GPUs with the smallest loss to the host. If all of them lack a required
    /// property, all sets, whatever the loss.
    fn by_number(
        host: &Host,
        request: &Request,
        wishes: &Wishes<'_>,
        eligible: GpuMask,
        size: u32,
    ) -> Self {
        let (given, choice) = least_loss(host, eligible, size);
        let sets = Self::of_size(host, request, wishes, (given, choice), eligible, size);
        if sets.lacking.is_none() || given | choice == eligible {
            return sets;
        }
        Self::of_size(host, request, wishes, (GpuMask::EMPTY, eligible), eligible, size)
    }

    /// Of these sets those that are worth trying: where some have what every set must have, they
    /// alone.
    fn with(
        request: &Request,
        wishes: &Wishes<'_>,
        sets: Vec<GpuSet>,
        complete: bool,
        eligible: GpuMask,
    ) -> Self {
        let (mut sets, chosen) = first_of_each_class(wishes, sets);
        let lacks = |set: &GpuSet| {
            let refused = || (chosen[set.chosen].refused > 0).then_some(Property::BesideGpus);
            set_lacking(&request.spec().policies, set.gpus.len(), set.facts).or_else(refused)
        };
        let lacking = sets.iter().map(lacks).min().flatten();
        if lacking.is_none() {
            sets.retain(|set| lacks(set).is_none());
        }
        for at in 0..sets.len() {
            let seen = |set: &GpuSet| {
                let Chosen { apart, refused, .. } = chosen[set.chosen];
                (set.nodes.len(), set.unknown, set.facts, apart, refused)
            };
            let own = seen(&sets[at]);
            sets[at].kind = sets[..at].iter().position(|set| seen(set) == own).unwrap_or(at);
        }
        let of_devices = NodeMask::union(chosen.iter().map(|chosen| chosen.mask));
        let nodes = NodeMask::union(sets.iter().map(|set| set.nodes)) | of_devices;
        let mut local: SmallVec<[NodeMask; 8]> = SmallVec::new();
        for set in sets.iter().filter(|set| set.unknown == 0) {
            if !local.iter().any(|fewer| fewer.is_subset(set.nodes)) {
                local.retain(|more| !set.nodes.is_subset(*more));
                local.push(set.nodes);
            }
        }
        Self { sets, nodes, local, complete, lacking, eligible, chosen }
    }

    /// Whether some set is known to be on these nodes whole.
    pub(crate) fn may_be_local(&self, mask: NodeMask) -> bool {
        self.local.iter().any(|nodes| nodes.is_subset(mask))
    }

    /// The fewest of these nodes that some set is known to be on whole.
    pub(crate) fn fewest_local(&self, of: NodeMask) -> Option<usize> {
        let here = self.local.iter().filter(|nodes| nodes.is_subset(of));
        here.map(|nodes| nodes.len() as usize).min()
    }

    /// Indices of the sets that no other set dominates as seen from these nodes.
    pub(crate) fn undominated(&self, from: NodeMask) -> impl Iterator<Item = usize> + use<> {
        let mut kept: SmallVec<[(usize, DominanceKey); 16]> = SmallVec::new();
        for (at, set) in self.sets.iter().enumerate() {
            let marks = set.marks(from, &self.chosen[set.chosen]);
            if !kept.iter().any(|(_, other)| other.betters(marks)) {
                kept.retain(|(_, other)| !marks.betters(*other));
                kept.push((at, marks));
            }
        }
        kept.into_iter().map(|(at, _)| at)
    }

    /// The sets of `size` GPUs: all `given` ones, and others by `choice`. `free` has all eligible
    /// GPUs.
    fn of_size(
        host: &Host,
        request: &Request,
        wishes: &Wishes<'_>,
        (given, choice): (GpuMask, GpuMask),
        free: GpuMask,
        size: u32,
    ) -> Self {
        if size == 0 {
            let none = GpuSet::new(host, request, GpuSetFold::default(), free);
            return Self::with(request, wishes, vec![none], true, free);
        }
        let more = size - given.len();
        let twins = classes(choice, |at| match wishes.is_empty() {
            true => host.derived().gpus[at].twins,
            false => host.derived().gpus[at].twins & wishes.alike(at),
        });
        let exact = ways(&twins, more) <= MAX_SETS;
        let classes = if exact { twins } else { classes(choice, |at| alike(host, at)) };
        let mut sets: Vec<GpuSet> = Vec::with_capacity(64);
        let mut add = |set: GpuSetFold| {
            sets.push(GpuSet::new(host, request, set, free));
            sets.len() < MAX_SETS
        };
        let gpus = &host.derived().gpus;
        let begin = given.iter().fold(GpuSetFold::default(), |set, at| set.with(at, &gpus[at]));
        let all = walk(gpus, &classes, more, begin, &mut add);
        // The fabric's own sets are worth more than any cut: they are always looked at.
        for partition in host.derived().partitions.iter().filter(|_| !exact) {
            let allowed = given.is_subset(*partition) && partition.is_subset(given | choice);
            if partition.len() == size && allowed {
                sets.push(GpuSet::of_mask(host, request, *partition, free));
            }
        }
        let unlinked = free.iter().all(|at| host.derived().gpus[at].linked == GpuMask::one(at));
        let equal = unlinked && wishes.is_empty();
        Self::with(request, wishes, sets, exact || (all && equal), free)
    }
}

/// Of each class of sets the one of best quality, best first, with the devices that go with each.
fn first_of_each_class(wishes: &Wishes<'_>, mut sets: Vec<GpuSet>) -> (Vec<GpuSet>, Choices) {
    let mut chosen = Choices::from_elem(Chosen::default(), 1);
    if !wishes.is_empty() {
        chosen = match sets.as_slice() {
            // Without GPUs, what is near depends on the VM's nodes: a choice for each.
            [none] if none.gpus.is_empty() => wishes.by_node().into(),
            _ => sets.iter().map(|set| wishes.beside(set.gpus)).collect(),
        };
        sets.resize(chosen.len(), sets[0]);
        sets.iter_mut().zip(0..).for_each(|(set, at)| set.chosen = at);
    }
    let near = |set: &GpuSet| {
        let Chosen { apart, refused, levels, .. } = chosen[set.chosen];
        (refused, apart, levels)
    };
    sets.sort_by_key(|set| {
        let (models, degraded, rest) = set.quality();
        (models, degraded, near(set), rest, lowest_first(set.gpus))
    });
    let same = |a: &GpuSet, b: &GpuSet| {
        let devices = |set: &GpuSet| (near(set), &chosen[set.chosen].nodes);
        a.class() == b.class() && (a.chosen == b.chosen || devices(a) == devices(b))
    };
    let mut kept = 0;
    for at in 0..sets.len() {
        if !sets[..kept].iter().any(|other| same(other, &sets[at])) {
            sets.swap(kept, at);
            kept += 1;
        }
    }
    sets.truncate(kept);
    (sets, chosen)
}

impl GpuSet {
    fn of_mask(host: &Host, request: &Request, gpus: GpuMask, free: GpuMask) -> Self {
        let all = &host.derived().gpus;
        Self::new(
            host,
            request,
            gpus.iter().fold(GpuSetFold::default(), |set, at| set.with(at, &all[at])),
            free,
        )
    }

    fn new(host: &Host, request: &Request, set: GpuSetFold, free: GpuMask) -> Self {
        let (all, gpus) = (&host.derived().gpus, set.gpus);
        let mut new = Self {
            gpus,
            nodes: NodeMask::EMPTY,
            unknown: 0,
            facts: set.facts(host, request),
            models: 0,
            withheld: 0,
            slots: 0,
            broken: broken(host, gpus, free),
            kind: 0,
            chosen: 0,
        };
        let (mut models, mut groups) = (GpuMask::EMPTY, GpuMask::EMPTY);
        for at in gpus.iter() {
            let gpu = &all[at];
            match gpu.node {
                Some(node) => new.nodes.insert(node),
                None => new.unknown += 1,
            }
            new.models += u32::from(!models.intersects(gpu.model));
            models |= gpu.model;
            groups |= gpu.group;
            new.slots = new.slots.saturating_add(gpu.slot);
        }
        new.withheld = (groups - gpus).len();
        new
    }

    fn quality(&self) -> (u32, u32, (u32, Reverse<u64>, u32, u32)) {
        let degraded = self.facts.degraded;
        let slots = Reverse(self.slots);
        (self.models, degraded, (self.withheld, slots, self.broken, self.nodes.len()))
    }

    /// Sets of one class differ in nothing that a prediction could see.
    fn class(&self) -> (NodeMask, SetFacts, u32) {
        (self.nodes, self.facts, self.unknown)
    }

    /// All that a rule can see of it and of the devices that go with it, from these nodes.
    fn marks(&self, from: NodeMask, chosen: &Chosen) -> DominanceKey {
        let SetFacts { path, same_switch, partition, degraded } = self.facts;
        let few = |n: usize| u8::try_from(n).unwrap_or(u8::MAX).min(127);
        DominanceKey(u128::from_le_bytes([
            u8::from(!self.nodes.is_subset(from)),
            u8::from(self.unknown > 0),
            u8::from(self.nodes.len() > 1),
            path as u8,
            u8::from(!same_switch),
            u8::from(!partition),
            u8::from(degraded > 0),
            u8::from(!self.nodes.intersects(from)),
            few(chosen.far(from)),
            few(chosen.apart as usize),
            few(chosen.levels as usize),
            0,
            0,
            0,
            0,
            0,
        ]))
    }

    /// By GPU: the position of its node.
    pub(crate) fn node_of(&self, host: &Host) -> impl Iterator<Item = Option<usize>> {
        self.gpus.iter().map(|at| host.derived().gpus[at].node)
    }
}

/// Orders sets by their addresses: of two, the one whose first different GPU comes first.
fn lowest_first(gpus: GpuMask) -> Reverse<u64> {
    Reverse(gpus.word().reverse_bits())
}
