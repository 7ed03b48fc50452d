//! The outer loops of the search: passes, sizes, and the node sets of one size.

use smallvec::SmallVec;

use super::cpus::{CoreUse, CpuPolicy, FreeCores};
use super::found::Found;
use super::inventory::{Inventory, emulator_room, emulator_way};
use super::lent::Roles;
use super::memo::Memo;
use super::nodes::{Grown, subsets};
use super::state::{CHOICES, Choice, Outcome, Pass, PerNode, Size};
use super::walk::{Scratch, Splits, Walk};
use crate::engine::profile::{L3Use, Profile, count};
use crate::engine::score::Property;
use crate::host::core_set::CoreSet;
use crate::host::mask::NodeMask;
use crate::placement::{MemoryMode, Style};
use crate::request::{Policy, Request};

/// The number of GPU sets around which node sets are grown, if not all node sets can be tried.
const MAX_GPU_SEEDS: usize = 64;

/// Finds the best candidate of every variant.
pub(crate) fn search(inventory: &Inventory<'_>) -> Found {
    if let Some(property) = inventory.gpus.lacking {
        let mut found = Found::new(inventory, 0);
        Style::ALL.into_iter().for_each(|style| found.note(style, property));
        return found;
    }
    let found = Found::new(inventory, inventory.stocks.len() * 2 * CHOICES);
    let (scratch, grown) = (Scratch::default(), Grown::default());
    let mut walk = Walk { inventory, memo: Memo::new(), found, scratch, grown };
    walk.try_passes(&mut Splits::default());
    walk.found
}

impl Walk<'_> {
    /// Loop 1: every policy, with every number of threads per guest core.
    fn try_passes(&mut self, splits: &mut Splits) {
        let inventory = self.inventory;
        for (way, stock) in inventory.stocks.iter().enumerate() {
            for threads in threads(inventory.request, stock.way) {
                let first = (way * 2 + threads as usize - 1) * CHOICES;
                let units = u64::from(inventory.request.spec().vcpus / threads);
                if emulator_room(inventory, stock, threads, units).is_none() {
                    self.memo.start_pass(inventory.host.nodes().len());
                    self.try_sizes(&Pass::new(inventory, stock, threads, first), splits);
                    if threads == 1 && !stock.way.doubled {
                        self.memo.keep_plain();
                    }
                }
            }
        }
    }

    /// Loop 2: node sets of growing size.
    fn try_sizes(&mut self, pass: &Pass<'_>, splits: &mut Splits) {
        let inventory = self.inventory;
        let mut growth = Growth::new(inventory.request, pass);
        let fewest = fewest_nodes(inventory, pass);
        let fewest_local = fewest_local(inventory, pass);
        for nodes in growth.first.max(fewest)..=growth.last {
            if nodes > growth.last {
                break;
            }
            let choices: SmallVec<[Choice; CHOICES]> =
                choices_of(inventory.request, pass, nodes).collect();
            if nodes < fewest_local {
                choices.iter().for_each(|c| self.found.note(c.style, Property::GpuLocality));
                continue;
            }
            let size = Size { pass, even: self.even(pass, nodes), choices };
            let outcome = self.try_node_sets(&size, growth.is_widening, splits);
            growth.learn(nodes, outcome);
        }
    }

    /// Loop 3: the node sets of one size.
    fn try_node_sets(
        &mut self,
        size: &Size<'_>,
        is_widening: bool,
        splits: &mut Splits,
    ) -> Outcome {
        let (pass, derived) = (size.pass, self.inventory.host.derived());
        let alike = pass.alike.then(|| size.even.nodes(&pass.usable));
        let nodes = alike.as_deref().unwrap_or(&pass.usable);
        let on_nodes = |gpus: &&NodeMask| gpus.iter().all(|n| nodes.contains(&n));
        let seeds = pass.of_gpus.iter().filter(on_nodes).copied().take(MAX_GPU_SEEDS);
        let far = |a, b| derived.far(a, b).0;
        let room = |at: usize| {
            if pass.stock.way.doubled { pass.stock.nodes[at].cores[0] } else { pass.caps[at] }
        };
        let number = size.even.share.len();
        let tried = self
            .grown
            .get_or_grow(nodes, number, room, || subsets(nodes, number, seeds, far, room));
        self.found.cut |= !tried.complete;
        let mut outcome = Outcome::default();
        for mask in tried.masks.iter().copied() {
            // Once the VM fits, a wider set is only worth trying if it brings GPUs onto its nodes.
            if !is_widening || pass.of_gpus.iter().any(|gpus| gpus.is_subset(mask)) {
                outcome.add(self.try_gpu_sets(size, mask, splits));
            }
        }
        outcome
    }
}

/// The sizes of the node sets still to be tried, which depend on what the smaller sets gave.
#[derive(Debug)]
struct Growth {
    first: usize,
    last: usize,
    /// Whether the VM fits on fewer nodes already, with a node for each cell.
    is_widening: bool,
    /// The number of nodes that cells can need: 2, or the required number; and that a core for each
    /// vCPU needs, where cores may be shared.
    for_cells: usize,
    /// The largest number of nodes on which any GPU set lies.
    for_gpus: usize,
}

impl Growth {
    fn new(request: &Request, pass: &Pass<'_>) -> Self {
        // A node without a vCPU would not be the VM's, unless it gives memory alone.
        let most = usize::try_from(pass.units).unwrap_or(usize::MAX);
        let most = most.saturating_add(pass.roles.memory_alone()).min(pass.usable.len());
        let one_node = request.spec().policies.one_node == Policy::Require;
        let last = if one_node { most.min(1) } else { most.min(pass.most_doubled()) };
        // A required number of cells is a number of nodes.
        let first = request.spec().cells.required().map_or(1, |cells| cells.max(1) as usize);
        let for_gpus = pass.of_gpus.iter().map(|nodes| nodes.len() as usize).max();
        Self {
            first,
            last: if first > 1 { last.min(first) } else { last },
            is_widening: false,
            for_cells: first.max(2).max(pass.for_cores()),
            for_gpus: for_gpus.unwrap_or(0),
        }
    }

    /// Takes into account what the sets of this number of nodes gave.
    fn learn(&mut self, nodes: usize, outcome: Outcome) {
        // A wider set has three uses: nodes for cells, cores for vCPUs that would share some, and
        // nodes of GPUs that are not local yet, at most one for each node with GPUs.
        let enough = nodes.max(self.for_cells);
        self.is_widening |= outcome.possible && nodes >= enough;
        if outcome.settled {
            self.last = self.last.min(enough);
        } else if outcome.possible {
            self.last = self.last.min(enough.max(nodes + self.for_gpus));
        }
    }
}

impl<'s> Pass<'s> {
    /// Whether vCPUs may share cores: they float, or cores carry two.
    pub(super) fn shares_cores(&self) -> bool {
        !self.stock.way.dedicated || self.stock.way.doubled
    }

    /// The smallest number of nodes whose cores suffice for the vCPUs, or all usable ones, if vCPUs
    /// share cores; 0 if they do not.
    fn for_cores(&self) -> usize {
        if !self.shares_cores() {
            return 0;
        }
        let cores = |at: &usize| self.stock.nodes[*at].cores[0];
        let mut cores: PerNode<u64> = self.usable.iter().map(cores).collect();
        cores.sort_unstable_by(|a, b| b.cmp(a));
        let mut sum = 0;
        let enough = cores.iter().position(|cores| {
            sum += cores;
            sum >= self.units
        });
        enough.map_or(cores.len(), |at| at + 1)
    }

    /// Whether cores carry two vCPUs where any one node of equal cells has too few, rather than all
    /// nodes together: unless whole cores show the guest siblings instead.
    pub(super) fn doubles_by_node(&self) -> bool {
        self.alike && !(self.stock.way.whole && self.shows_pairs)
    }

    /// The largest number of nodes that can lack a core for each vCPU, where cores carry two.
    fn most_doubled(&self) -> usize {
        if !self.stock.way.doubled || self.doubles_by_node() {
            return usize::MAX;
        }
        let cores = |at: &usize| self.stock.nodes[*at].cores[0];
        let mut cores: PerNode<u64> = self.usable.iter().map(cores).collect();
        cores.sort_unstable();
        let mut sum = 0;
        let lacks = |cores: &&u64| {
            sum += **cores;
            sum < self.units
        };
        cores.iter().take_while(lacks).count()
    }

    fn new(
        inventory: &Inventory<'_>,
        stock: &'s FreeCores<'s>,
        threads: u32,
        first: usize,
    ) -> Self {
        let (host, request) = (inventory.host, inventory.request);
        let caps: PerNode<u64> = (0..stock.nodes.len()).map(|at| stock.room(at, threads)).collect();
        let base = Profile {
            whole_cores: stock.way.dedicated && stock.way.whole,
            own_l3: stock.way.own_l3,
            ..Profile::of_host(host, request, threads, stock.way.dedicated)
        };
        let roles = Roles::new(inventory.memory, request.spec().memory_nodes.is_some(), &caps);
        let cells = request.spec().cells.required().unwrap_or(1);
        let several = cells > 1;
        // A node without memory or free pages can still have vCPUs of a flat guest.
        let takes_part = |at: &usize| caps[*at] > 0 || roles.may_be_without_room(*at);
        let usable = (0..caps.len()).filter(takes_part).collect();
        // Floating vCPUs on cores of several kinds, and cells that must be alike, are shared out
        // before it is known which cores they use.
        let CpuPolicy { dedicated, doubled, .. } = stock.way;
        // Nor where other tenants leave a node room for fewer vCPUs than it has cores.
        let loaded = stock.pools.iter().any(|pool| pool.load > 0);
        let knows_best = doubled || (!dedicated && !host.derived().hybrid && !loaded);
        let none = CoreUse { l3: L3Use::NoChoice, cores: [0; 3], whole: true, crowd: 0 };
        let if_all = |at: usize| match caps[at] {
            0 => none,
            room => stock.estimate(at, room, threads),
        };
        let spec = request.spec();
        let may_be_alike = spec.even_cells && spec.cells.required() != Some(1);
        let if_all = if knows_best && !may_be_alike {
            (0..caps.len()).map(if_all).collect()
        } else {
            PerNode::new()
        };
        Self {
            stock,
            units: u64::from(request.spec().vcpus / threads),
            usable,
            if_all,
            memory: inventory.memory,
            roles,
            caps,
            base,
            emulator_pcpus: u64::from(request.spec().emulator_pcpus),
            emulator_free: emulator_free(inventory, stock),
            of_gpus: inventory.gpus.sets.iter().map(|set| set.nodes).collect(),
            alike: request.spec().even_cells && several,
            shows_pairs: request.spec().vcpus.is_multiple_of(2 * cells),
            first,
        }
    }
}

/// By node position: the pCPUs that the emulator alone could have, if vCPUs may take all of the
/// node's cores and if they take none. Empty where none is wanted, where cores carry one guest core
/// each, and where the emulator may have siblings of vCPUs, so that counting pCPUs was enough.
fn emulator_free(inventory: &Inventory<'_>, stock: &FreeCores<'_>) -> PerNode<(u64, u64)> {
    let counts = stock.way.doubled && stock.way.whole;
    if inventory.request.spec().emulator_pcpus == 0 || !counts {
        return PerNode::new();
    }
    let way = emulator_way(inventory.request, stock.way);
    let levels = inventory.free.levels(way.isolation());
    let facts = &inventory.host.derived().nodes;
    let free = |at: usize| {
        let of_level = |level: &CoreSet| u64::from(level.count(&facts[at].cores));
        let all: u64 = levels.iter().map(of_level).sum();
        (all.saturating_sub(stock.nodes[at].pcpus), all)
    };
    (0..facts.len()).map(free).collect()
}

/// The smallest number of nodes for which the roomiest nodes together have the cores, and the
/// roomiest, perhaps others, have the pages of some size; `usize::MAX` if all nodes lack them.
fn fewest_nodes(inventory: &Inventory<'_>, pass: &Pass<'_>) -> usize {
    let fewest = |by: &[u64], in_all: u64, needed: u64| {
        let mut room: PerNode<u64> = pass.usable.iter().map(|at| by[*at]).collect();
        room.sort_unstable_by(|a, b| b.cmp(a));
        let mut sum: u64 = 0;
        let enough = |room: &u64| {
            sum = sum.saturating_add(*room);
            sum.min(in_all) >= needed
        };
        room.iter().position(enough).map_or(usize::MAX, |at| at + 1)
    };
    let by_cores = fewest(&pass.caps, u64::MAX, pass.units);
    let pages = inventory.pages.iter().map(|p| fewest(&p.free, p.in_all, p.needed));
    by_cores.max(pages.min().unwrap_or(usize::MAX))
}

/// The smallest number of usable nodes that hold a whole GPU set, if GPUs must be local; 0 if they
/// need not.
fn fewest_local(inventory: &Inventory<'_>, pass: &Pass<'_>) -> usize {
    if !inventory.wants_local() {
        return 0;
    }
    let usable: NodeMask = pass.usable.iter().copied().collect();
    inventory.gpus.fewest_local(usable & inventory.memory).unwrap_or(usize::MAX)
}

/// The numbers of threads that a guest core may have.
fn threads(request: &Request, way: CpuPolicy) -> Vec<u32> {
    let wanted = request.spec().smt.required();
    let mut threads = Vec::new();
    if wanted != Some(true) {
        threads.push(1);
    }
    if wanted != Some(false)
        && way.dedicated
        && !way.doubled
        && request.spec().vcpus.is_multiple_of(2)
    {
        threads.push(2);
    }
    threads
}

/// The choices for a guest on this number of nodes.
fn choices_of(
    request: &Request,
    pass: &Pass<'_>,
    nodes: usize,
) -> impl Iterator<Item = Choice> + use<> {
    let (flat, cells) = match (pass.stock.way.dedicated, pass.base.threads) {
        (false, _) => (Style::Float, Style::FloatNuma),
        (true, 1) => (Style::Pin, Style::PinNuma),
        (true, _) => (Style::PinSmt, Style::PinNumaSmt),
    };
    let strict = |number, style, expanders| {
        let memory = MemoryMode::Strict;
        Choice { number, style, memory, expanders }
    };
    let all: [Choice; CHOICES] = [
        strict(0, flat, false),
        Choice { memory: MemoryMode::Interleave, ..strict(1, flat, false) },
        strict(2, cells, true),
        strict(3, cells, false),
    ];
    // Only a required number of cells leaves choices out here; what policies rule out becomes
    // facts.
    let wanted = request.spec().cells.required();
    all.into_iter().take(if nodes > 1 { CHOICES } else { 1 }).filter(move |choice| {
        let cells = if choice.style.shows_cells() { count(nodes) } else { 1 };
        wanted.is_none_or(|wanted| wanted == cells)
    })
}
