//! The weighing of one candidate against the best of its variant so far.

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::cpus::CoreUse;
use super::found::{Candidate, Rank, Start};
use super::further::wastes;
use super::gpus::GpuSet;
use super::inventory::{Inventory, Pages};
use super::memo::{Features, Verdict};
use super::nodes::share_out;
use super::state::{Choice, Cores, Layout, Pass, Size};
use super::walk::{Scratch, Walk};
use crate::engine::gpu_set::collective;
use crate::engine::profile::{L3Use, Profile, count, crowd};
use crate::engine::refusal::lacking;
use crate::engine::score::{Score, score};
use crate::engine::work::Work;
use crate::host::Host;
use crate::host::mask::NodeMask;
use crate::placement::MemoryMode;
use crate::units::Distance;

/// What is known of a candidate before its packing cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// It is not possible.
    Impossible,
    /// It is possible, and the best of its variant so far is better.
    Behind,
    /// It is possible, and no candidate so far is better.
    Ahead(Start, Score),
}

impl Walk<'_> {
    /// The memo's entry for a layout whose cores would be used this way.
    pub(super) fn entry(&mut self, layout: &Layout<'_>, core_use: CoreUse) -> usize {
        self.memo.entry(Features {
            nodes: layout.home.len(),
            lent: layout.home != layout.mask,
            packages: layout.packages,
            devices_far: layout.devices_far,
            gpus_remote: layout.gpus_remote,
            gpus: self.inventory.gpus.sets[layout.gpus].kind,
            core_use,
        })
    }

    /// Keeps the candidate if it is possible and the best of its variant so far. Returns whether it
    /// is possible.
    pub(super) fn consider(
        &mut self,
        layout: &Layout<'_>,
        choice: Choice,
        cores: Cores<'_>,
        page: usize,
    ) -> bool {
        if cores.has_gaps && choice.style.shows_cells() {
            return false;
        }
        let lent = lent(layout, cores);
        match self.judge(layout, choice, (cores.is_even, lent), cores.entry, page) {
            Judged::Impossible => false,
            Judged::Behind => true,
            Judged::Ahead(start, score) => {
                self.keep_if_best(layout, choice, cores, page, (start, score));
                true
            }
        }
    }

    /// Judges a candidate by all but its packing cost. `lent`: the number of its guest cores on
    /// nodes that lend pCPUs.
    pub(super) fn judge(
        &mut self,
        layout: &Layout<'_>,
        choice: Choice,
        (is_even, lent): (bool, u64),
        entry: usize,
        page: usize,
    ) -> Judged {
        let Layout { size, mask, .. } = *layout;
        let inventory = self.inventory;
        // An expander bus without a device has nothing to show.
        let set = &inventory.gpus.sets[layout.gpus];
        let chosen = inventory.gpus.chosen[set.chosen].mask;
        let with_devices = set.nodes | inventory.devices | chosen;
        if choice.expanders && !with_devices.intersects(mask) {
            return Judged::Impossible;
        }
        let over_one = choice.memory == MemoryMode::Interleave && layout.home.len() < 2;
        if over_one {
            return Judged::Impossible;
        }
        if !self.has_cells(size, choice, mask, is_even, page) {
            return Judged::Impossible;
        }
        if size.pass.stock.way.doubled && self.has_plain(choice, entry, page) {
            return Judged::Behind;
        }
        let score = match self.verdict(layout, choice, entry, page) {
            Ok(score) => score,
            Err(property) => {
                self.found.note(choice.style, property);
                return Judged::Impossible;
            }
        };
        // The packing cost only lowers a score: a candidate that is behind without it stays behind.
        if self.found.is_behind(choice.style, score.total) {
            return Judged::Behind;
        }
        let best = self.found.best_of(size.pass.first + choice.number).map(|best| best.start);
        if best.is_some_and(|best| best.score.0 > score.total) {
            return Judged::Behind;
        }
        let start = Start {
            score: Reverse(score.total),
            nodes: count(layout.nodes),
            threads: size.pass.base.threads,
            blind: choice.style.shows_cells() && !choice.expanders,
            pieces: self.memo.features(entry).core_use.l3 == L3Use::Pieces,
            lent,
            spread: self.spread(layout),
        };
        if best.is_none_or(|best| best >= start) {
            Judged::Ahead(start, score)
        } else {
            Judged::Behind
        }
    }

    /// Whether a layout that differs from this one in that no core carries two vCPUs is possible:
    /// it scores no less.
    fn has_plain(&self, choice: Choice, entry: usize, page: usize) -> bool {
        let inventory = self.inventory;
        let place = choice.place(inventory.pages[page].size);
        let hybrid = inventory.host.derived().hybrid;
        !inventory.options.all && !hybrid && self.memo.has_plain(entry, place)
    }

    /// Whether pages that suffice for the VM can also be divided into the cells that the guest is
    /// shown: each cell needs a page, and cells that must be alike need equal numbers of cores and
    /// pages.
    pub(super) fn has_cells(
        &self,
        size: &Size<'_>,
        choice: Choice,
        mask: NodeMask,
        is_even: bool,
        page: usize,
    ) -> bool {
        let Inventory { request, ref pages, .. } = *self.inventory;
        let pages = &pages[page];
        let both = pages.some & size.pass.roles.both;
        let each = || pages.needed >= u64::from(mask.len()) && mask.is_subset(both);
        let alike = || is_even && mask.is_subset(size.even.pages[page]);
        !choice.style.shows_cells() || (each() && (!request.spec().even_cells || alike()))
    }

    /// Keeps a possible candidate if its rank is the best of its variant.
    pub(super) fn keep_if_best(
        &mut self,
        layout: &Layout<'_>,
        choice: Choice,
        Cores { units, is_even, entry, .. }: Cores<'_>,
        page: usize,
        (start, score): (Start, Score),
    ) {
        let inventory = self.inventory;
        let Choice { style, memory, expanders, .. } = choice;
        let Layout { size: &Size { pass, ref even, .. }, mask, gpus, .. } = *layout;
        let Pages { size, needed, ref free, .. } = inventory.pages[page];
        let Scratch { at, free: of_nodes, weights, pages, cores } = &mut self.scratch;
        at.clear();
        at.extend(mask.iter());
        pages.clear();
        let alike = memory == MemoryMode::Interleave || is_even;
        if alike && mask.is_subset(even.pages[page]) {
            pages.resize(at.len(), needed / at.len() as u64);
        } else {
            of_nodes.clear();
            of_nodes.extend(at.iter().map(|n| free[*n]));
            weights.clear();
            if alike {
                weights.resize(at.len(), 1);
            } else {
                weights.extend(units);
            }
            if !share_out(needed, of_nodes, weights, style.shows_cells(), pages) {
                return;
            }
        }
        let bytes = |i: usize| pages[i].saturating_mul(size.bytes());
        let set = &inventory.gpus.sets[gpus];
        cores.clear();
        if pass.stock.way.dedicated {
            let split = at.iter().zip(units);
            cores.extend(split.map(|(node, units)| pass.stock.carrying(*node, *units).0));
        }
        let host_cost = inventory.slots.host_cost(at, cores, set.gpus, bytes);
        let cost = host_cost.millionths();
        let score = score.with_packing(inventory.options, cost);
        let rank = Rank {
            start: Start { score: Reverse(score.total), ..start },
            load: load(pass, at, units),
            emulator_far: emulator_far(inventory, pass, at, cores),
            cost,
            cores: cores.iter().sum(),
            gpus,
            wastes: pass.alike && wastes(inventory, layout, page),
            left_over: at.iter().map(|at| pass.caps[*at]).sum::<u64>() - pass.units,
            mask,
            page: Reverse(size),
        };
        if self.found.best_of(pass.first + choice.number).is_some_and(|best| *best <= rank) {
            return;
        }
        let candidate = Candidate {
            style,
            way: pass.stock.way,
            threads: pass.base.threads,
            memory,
            expanders,
            nodes: SmallVec::from_slice(at),
            units: SmallVec::from_slice(units),
            page: size,
            pages: SmallVec::from_slice(pages),
            gpus,
            profile: profile(inventory, layout, choice, self.memo.features(entry), page),
            score,
            cost: host_cost,
            rank,
        };
        self.found.keep(pass.first + choice.number, candidate);
    }

    fn verdict(
        &mut self,
        layout: &Layout<'_>,
        choice: Choice,
        entry: usize,
        page: usize,
    ) -> Verdict {
        let inventory = self.inventory;
        let Inventory { request, options, .. } = *inventory;
        self.memo.verdict(entry, choice.place(inventory.pages[page].size), |features| {
            let profile = profile(inventory, layout, choice, features, page);
            match lacking(request, &profile) {
                Some(property) => Err(property),
                None => Ok(score(request, options, &profile, 0)),
            }
        })
    }

    /// The distances between the VM's nodes, from its GPUs to the nearest of them, and a step for
    /// each level of the PCI tree between a GPU and the device that was chosen for it.
    fn spread(&self, layout: &Layout<'_>) -> u64 {
        let (derived, mask) = (self.inventory.host.derived(), layout.mask);
        let between = layout.between.get_or_init(|| {
            let below = |a: usize| mask.below(a).iter();
            let from = |a| below(a).map(|b| u64::from(derived.far(a, b).0)).sum::<u64>();
            mask.iter().map(from).sum()
        });
        let gpus = &self.inventory.gpus;
        let set = &gpus.sets[layout.gpus];
        let levels = u64::from(gpus.chosen[set.chosen].levels);
        between + beside(self.inventory.host, set, mask) + levels
    }
}

/// The number of the emulator's own pCPUs that the VM's nodes `at` may lack, if it is on these
/// numbers of `cores`. Whole cores are all counted as large as the host's largest.
fn emulator_far(inventory: &Inventory<'_>, pass: &Pass<'_>, at: &[usize], cores: &[u64]) -> u64 {
    if pass.emulator_pcpus == 0 {
        return 0;
    }
    let all: u64 = at.iter().map(|node| pass.stock.nodes[*node].pcpus).sum();
    let taken = match pass.stock.way.dedicated && pass.stock.way.whole {
        true => cores.iter().sum::<u64>() * inventory.host.derived().widest_core as u64,
        false => u64::from(inventory.request.spec().vcpus),
    };
    pass.emulator_pcpus.saturating_sub(all.saturating_sub(taken))
}

/// The load of the fullest of the VM's nodes, where vCPUs float.
fn load(pass: &Pass<'_>, at: &[usize], units: &[u64]) -> u64 {
    let pools = &pass.stock.pools;
    let full = |(node, units): (&usize, &u64)| pools.get(*node).map_or(0, |p| p.fullness(*units));
    at.iter().zip(units).map(full).max().unwrap_or(0)
}

/// The number of guest cores on nodes that lend pCPUs.
fn lent(layout: &Layout<'_>, cores: Cores<'_>) -> u64 {
    if layout.home == layout.mask {
        return 0;
    }
    let lends = |(at, units): (usize, &u64)| if layout.home.contains(at) { 0 } else { *units };
    layout.mask.iter().zip(cores.units).map(lends).sum()
}

/// The profile of a layout with these features. Whatever it reads of the layout is the pass's, or
/// follows from the features.
fn profile(
    inventory: &Inventory<'_>,
    layout: &Layout<'_>,
    choice: Choice,
    features: &Features,
    page: usize,
) -> Profile {
    let Features { nodes, lent, packages, devices_far, gpus_remote, core_use, .. } = *features;
    let Choice { style, memory, expanders, .. } = choice;
    let pass = layout.size.pass;
    let set = &inventory.gpus.sets[layout.gpus];
    let gpus = set.gpus.len();
    Profile {
        style,
        memory,
        expanders,
        nodes,
        lent,
        packages,
        cells: if style.shows_cells() { nodes } else { 1 },
        hugepages: inventory.pages[page].size.is_huge(),
        l3: core_use.l3,
        crowd: crowd(core_use.crowd, core_use.cores.iter().sum()),
        work: Work::new(inventory.request.spec().vcpus, core_use.cores),
        whole_cores: pass.base.whole_cores || (pass.stock.way.dedicated && core_use.whole),
        devices_far,
        gpus,
        gpu_nodes: set.nodes.len(),
        gpus_unknown: set.unknown,
        gpus_remote,
        gpus_degraded: set.facts.degraded,
        devices_apart: inventory.gpus.chosen[set.chosen].apart,
        devices_refused: inventory.gpus.chosen[set.chosen].refused,
        gpu_path: set.facts.path,
        same_switch: set.facts.same_switch,
        partition: set.facts.partition,
        collective: collective(inventory.request, gpus as usize, set.facts.path),
        ..pass.base
    }
}

/// The distances from the GPUs to the nearest of the VM's nodes.
fn beside(host: &Host, set: &GpuSet, mask: NodeMask) -> u64 {
    let derived = host.derived();
    let near = u64::from(set.gpus.len() - set.unknown) * u64::from(Distance::LOCAL.0);
    let further = (set.nodes - mask).iter().map(|node| {
        let gpus = u64::from((derived.nodes[node].gpus & set.gpus).len());
        let nearest = mask.iter().map(|n| derived.far(node, n).0).min().unwrap_or(0);
        gpus * u64::from(nearest.saturating_sub(Distance::LOCAL.0))
    });
    near + further.sum::<u64>()
}
