//! The inner loops of the search: what is tried on one set of nodes.

use std::cell::OnceCell;
use std::ops::Range;

use smallvec::SmallVec;

use super::cpus::CoreUse;
use super::state::{Cores, Layout, Outcome, Size};
use super::walk::{Splits, Walk};
use super::weigh::Judged;
use crate::engine::profile::count;
use crate::engine::score::Property;
use crate::host::mask::NodeMask;

impl Walk<'_> {
    /// Loop 4: the GPU sets that no other set dominates as seen from these nodes.
    pub(super) fn try_gpu_sets(
        &mut self,
        size: &Size<'_>,
        mask: NodeMask,
        splits: &mut Splits,
    ) -> Outcome {
        let inventory = self.inventory;
        let mut outcome = Outcome::default();
        // If GPUs must be local and are not, this is noted once for every style.
        let local_only = inventory.wants_local();
        let home = mask & inventory.memory;
        let is_remote = local_only && !inventory.gpus.may_be_local(home);
        if !has_cores(size, mask) || (is_remote && self.is_noted(size)) {
            return outcome;
        }
        let pages = self.pages_on(size, mask);
        if pages.is_empty() {
            return outcome;
        }
        if is_remote {
            self.note_remote(size, mask, &pages);
            return outcome;
        }
        let between = OnceCell::new();
        let mut layout = self.layout(size, mask, &pages, &between);
        let named_far = layout.devices_far;
        for i in self.gpu_sets(home) {
            layout.gpus = self.memo.gpu_set(i);
            let set = &inventory.gpus.sets[layout.gpus];
            let is_local = set.nodes.is_subset(home);
            if local_only && !(is_local && set.unknown == 0) {
                continue;
            }
            let nodes = || set.node_of(inventory.host).flatten();
            let remote = || nodes().filter(|at| !home.contains(*at));
            layout.devices_far = named_far + count(inventory.gpus.chosen[set.chosen].far(home));
            layout.gpus_remote = if is_local { 0 } else { count(remote().count()) };
            let possible = self.try_splits(&layout, splits);
            outcome.possible |= possible;
            outcome.settled |= possible && is_local;
        }
        outcome
    }

    /// Loop 5: the splits of the guest cores over the nodes. Returns whether a candidate is
    /// possible.
    fn try_splits(&mut self, layout: &Layout<'_>, splits: &mut Splits) -> bool {
        let Layout { size: &Size { pass, ref even, .. }, mask, .. } = *layout;
        if let Some(core_use) = pass.core_use(mask).filter(|_| layout.alone == NodeMask::EMPTY) {
            return self.try_shared(layout, core_use, splits);
        }
        let share = even.share.as_slice();
        let evenly = even.core_use(mask);
        let no_choice = match pass.shares_cores() {
            true => layout.nodes == 1,
            false => layout.nodes != 2 || self.is_good(layout, evenly),
        };
        // Numbers of GPUs that differ from node to node are a reason for an uneven split.
        let set = &self.inventory.gpus.sets[layout.gpus];
        let settled = no_choice && !mask.is_subset(set.nodes);
        let even_only =
            even.fits_on(mask) && (pass.alike || (settled && layout.alone == NodeMask::EMPTY));
        let (at, tried) = if even_only { (&[][..], share) } else { self.split(layout, splits) };
        let mut possible = false;
        for units in tried.chunks_exact(layout.nodes) {
            let has_gaps = layout.alone != NodeMask::EMPTY && units.contains(&0);
            if layout.alone != NodeMask::EMPTY && pass.stock.way.doubled {
                let used = mask.iter().zip(units).filter(|(_, units)| **units > 0);
                if !has_emulator(layout.size, used.map(|(at, _)| at).collect()) {
                    continue;
                }
            }
            let is_even = even_only || (units == share && pass.if_all.is_empty());
            let core_use = match is_even {
                true => evenly,
                false => self.memo.core_use(pass.stock, at, units, pass.base.threads),
            };
            let entry = self.entry(layout, core_use);
            possible |= self.try_choices(layout, Cores { units, is_even, has_gaps, entry });
        }
        possible
    }

    /// Loops 5 to 7 where vCPUs share cores and how they are used is known: a split is made only
    /// for a candidate that is kept. Returns whether a candidate is possible.
    fn try_shared(&mut self, layout: &Layout<'_>, core_use: CoreUse, splits: &mut Splits) -> bool {
        let entry = self.entry(layout, core_use);
        let mut possible = false;
        for choice in &layout.size.choices {
            let tried = layout.pages.iter().copied();
            let judged = tried
                .map(|page| (page, self.judge(layout, *choice, (false, 0), entry, page)))
                .find(|(_, judged)| *judged != Judged::Impossible);
            let Some((page, judged)) = judged else { continue };
            possible = true;
            let Judged::Ahead(start, score) = judged else { continue };
            if let Some((units, is_even)) = self.shared_split(layout, core_use, splits) {
                let cores = Cores { units, is_even, has_gaps: false, entry };
                self.keep_if_best(layout, *choice, cores, page, (start, score));
            }
        }
        possible
    }

    /// The first split that uses the cores this way, and whether it is the even one.
    fn shared_split<'l>(
        &mut self,
        layout: &Layout<'_>,
        core_use: CoreUse,
        splits: &'l mut Splits,
    ) -> Option<(&'l [u64], bool)> {
        let Size { pass, even, .. } = layout.size;
        let (at, tried) = self.split(layout, splits);
        let mut tried = tried.chunks_exact(layout.nodes);
        let units = tried.find(|units| {
            self.memo.core_use(pass.stock, at, units, pass.base.threads) == core_use
        })?;
        Some((units, units == even.share.as_slice()))
    }

    /// Loops 6 and 7: what the guest is shown, in the largest page size under which it is possible.
    /// Returns whether a candidate is possible.
    fn try_choices(&mut self, layout: &Layout<'_>, cores: Cores<'_>) -> bool {
        let mut possible = false;
        for choice in &layout.size.choices {
            // Large pages that suffice for the VM may be fewer than its cells.
            let mut pages = layout.pages.iter();
            possible |= pages.any(|page| self.consider(layout, *choice, cores, *page));
        }
        possible
    }

    /// The page sizes with enough free pages on these nodes.
    fn pages_on(&self, size: &Size<'_>, mask: NodeMask) -> SmallVec<[usize; 4]> {
        let sizes = self.inventory.pages.iter().zip(&size.even.pages).enumerate();
        let enough = sizes.filter(|(_, (pages, even))| {
            (mask.is_subset(**even) && pages.in_all >= pages.needed) || pages.suffice_on(mask)
        });
        enough.map(|(page, _)| page).collect()
    }

    /// Whether every style of this size has a note already of what it lacks.
    fn is_noted(&self, size: &Size<'_>) -> bool {
        size.choices.iter().all(|choice| self.found.lacking(choice.style).is_some())
    }

    /// Notes for the styles that would otherwise fit on these nodes that their GPUs are not local.
    fn note_remote(&mut self, size: &Size<'_>, mask: NodeMask, pages: &[usize]) {
        let is_even = size.even.fits_on(mask);
        for choice in &size.choices {
            let mut pages = pages.iter();
            if pages.any(|page| self.has_cells(size, *choice, mask, is_even, *page)) {
                self.found.note(choice.style, Property::GpuLocality);
            }
        }
    }

    /// The layout on these nodes, without GPUs so far.
    fn layout<'l>(
        &self,
        size: &'l Size<'l>,
        mask: NodeMask,
        pages: &'l [usize],
        between: &'l OnceCell<u64>,
    ) -> Layout<'l> {
        let home = mask & self.inventory.memory;
        let off = |node: &&Option<usize>| node.is_none_or(|at| !home.contains(at));
        Layout {
            size,
            mask,
            home,
            alone: size.pass.roles.alone_in(mask, self.inventory.memory),
            nodes: size.even.share.len(),
            packages: self.inventory.host.derived().packages_of(mask),
            devices_far: count(self.inventory.device_nodes.iter().filter(off).count()),
            pages,
            between,
            gpus: 0,
            gpus_remote: 0,
        }
    }

    /// The GPU sets that are not dominated as seen from these nodes, as a range for
    /// `Memo::gpu_set`.
    fn gpu_sets(&mut self, mask: NodeMask) -> Range<usize> {
        let gpus = &self.inventory.gpus;
        self.memo.gpu_sets(mask & gpus.nodes, || gpus.undominated(mask))
    }
}

/// Whether these nodes have room for the guest cores.
fn has_cores(size: &Size<'_>, mask: NodeMask) -> bool {
    let pass = size.pass;
    let room = || mask.iter().map(|at| pass.caps[at]).sum::<u64>();
    let has_room = size.even.fits_on(mask) || (!pass.alike && room() >= pass.units);
    let doubled = pass.stock.way.doubled;
    // Which nodes that may be without a vCPU are so depends on the split.
    let used = mask - pass.roles.alone_in(mask, pass.memory);
    has_room && (!doubled || (must_double(size, mask) && has_emulator(size, used)))
}

/// Whether cores have to carry two vCPUs each on these nodes.
fn must_double(size: &Size<'_>, mask: NodeMask) -> bool {
    let Size { pass, even, .. } = size;
    match even.share.first().filter(|_| pass.doubles_by_node()) {
        Some(share) => pass.stock.must_double_for(mask, *share),
        None => pass.stock.must_double(mask, pass.units),
    }
}

/// Whether pCPUs are left for the emulator alone where cores carry two vCPUs, which takes all cores
/// of these nodes, or those that equal cells need.
fn has_emulator(size: &Size<'_>, mask: NodeMask) -> bool {
    let pass = size.pass;
    let cores = |at: usize| pass.stock.nodes[at].cores[0];
    let unused = |at: usize| match pass.alike {
        true => cores(at).saturating_sub(size.even.share.first().copied().unwrap_or(0)),
        false => 0,
    };
    let left = |(at, (beside, all)): (usize, &(u64, u64))| match mask.contains(at) {
        true => beside + unused(at),
        false => *all,
    };
    pass.emulator_free.is_empty()
        || pass.emulator_free.iter().enumerate().map(left).sum::<u64>() >= pass.emulator_pcpus
}
