//! The memo: what the search remembers from layout to layout, so that it is computed once.

use std::ops::Range;

use super::cpus::{CoreUse, FreeCores};
use super::state::CHOICES;
use crate::engine::profile::L3Use;
use crate::engine::score::{Property, Score};
use crate::host::derived::ByKind;
use crate::host::mask::NodeMask;

/// What the search remembers. Features and core uses are those of one pass, and
/// [`Memo::start_pass`] forgets them; GPU sets are remembered for the whole search.
#[derive(Debug)]
pub(super) struct Memo {
    /// Of this pass: one entry for each set of features that was met.
    known: Vec<Known>,
    /// The entries of the last pass in which each core carries one vCPU.
    plain: Vec<Known>,
    /// Of this pass, by node position: the last number of cores that was asked about, and how these
    /// would be used.
    core_uses: Vec<Option<(u64, CoreUse)>>,
    /// Of this search: the GPU sets worth trying, as indices into
    /// [`GpuSets::sets`](super::gpus::GpuSets::sets), for each entry of `gpu_choices_of` in turn.
    gpu_choices: Vec<usize>,
    /// Of this search: for each set of nodes with GPUs that was met, the range of its GPU sets in
    /// `gpu_choices`.
    gpu_choices_of: Vec<(NodeMask, Range<usize>)>,
}

/// An entry of the memo: the features of a layout, and the verdict on each of its profiles once
/// that is known: two for each choice, with base pages and with hugepages.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) features: Features,
    pub(super) verdicts: [Option<Verdict>; CHOICES * 2],
}

/// Everything in which the profiles of two layouts of one pass can differ, for the same choice and
/// page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) nodes: u32,
    pub(super) packages: u32,
    pub(super) devices_far: u32,
    pub(super) gpus_remote: u32,
    /// [`GpuSet::kind`](super::gpus::GpuSet::kind) of the GPU set.
    pub(super) gpus: usize,
    pub(super) core_use: CoreUse,
}

/// The verdict on a profile: its score without the packing cost, or the first required property
/// that it lacks.
pub(super) type Verdict = Result<Score, Property>;

impl Memo {
    /// A memo without entries.
    pub(super) fn new() -> Self {
        Self {
            known: Vec::with_capacity(16),
            plain: Vec::new(),
            core_uses: Vec::new(),
            gpu_choices: Vec::with_capacity(32),
            gpu_choices_of: Vec::with_capacity(16),
        }
    }

    /// Forgets what holds for one pass only, on a host with this number of nodes.
    pub(super) fn start_pass(&mut self, nodes: usize) {
        self.known.clear();
        self.core_uses.clear();
        self.core_uses.resize(nodes, None);
    }

    /// Keeps the entries of this pass beside those of the next ones.
    pub(super) fn keep_plain(&mut self) {
        std::mem::swap(&mut self.plain, &mut self.known);
        self.known.clear();
    }

    /// Whether the kept pass has a possible layout with the features of this entry, whose cores are
    /// used no worse.
    pub(super) fn has_plain(&self, entry: usize, place: usize) -> bool {
        let of = &self.known[entry].features;
        self.plain.iter().any(|plain| {
            let CoreUse { l3, whole, .. } = plain.features.core_use;
            let as_good = l3 <= of.core_use.l3 && whole >= of.core_use.whole;
            let same = Features { core_use: of.core_use, ..plain.features } == *of;
            same && as_good && matches!(plain.verdicts[place], Some(Ok(_)))
        })
    }

    /// For the pass: the index of the entry for these features. An entry is added if there is none.
    #[inline]
    pub(super) fn entry(&mut self, features: Features) -> usize {
        self.known.iter().rposition(|known| known.features == features).unwrap_or_else(|| {
            self.known.push(Known { features, verdicts: [None; CHOICES * 2] });
            self.known.len() - 1
        })
    }

    /// The features of an entry.
    #[inline]
    pub(super) fn features(&self, entry: usize) -> &Features {
        &self.known[entry].features
    }

    /// For the pass: the verdict at a place of an entry, which `judge` gives the first time.
    #[inline]
    pub(super) fn verdict(
        &mut self,
        entry: usize,
        place: usize,
        judge: impl FnOnce(&Features) -> Verdict,
    ) -> Verdict {
        let Known { features, verdicts } = &mut self.known[entry];
        *verdicts[place].get_or_insert_with(|| judge(features))
    }

    /// How the given numbers of cores would be used, the worst node counting. For the pass, as the
    /// stock and the number of threads are the pass's; the last number of each node is remembered.
    pub(super) fn core_use(
        &mut self,
        stock: &FreeCores<'_>,
        at: &[usize],
        split: &[u64],
        threads: u32,
    ) -> CoreUse {
        let mut all = CoreUse { l3: L3Use::NoChoice, cores: ByKind::default(), whole: true };
        for (at, cores) in at.iter().zip(split) {
            let known = &mut self.core_uses[*at];
            let picked = match known {
                Some((of, picked)) if of == cores => *picked,
                _ => known.insert((*cores, stock.estimate(*at, *cores, threads))).1,
            };
            all.l3 = all.l3.max(picked.l3);
            all.add_cores(picked.cores);
            all.whole &= picked.whole;
        }
        all
    }

    /// For the search: the range of the GPU sets worth trying from the nodes `here`, which
    /// `choose` gives the first time. [`Memo::gpu_set`] has the sets.
    pub(super) fn gpu_sets<I: Iterator<Item = usize>>(
        &mut self,
        here: NodeMask,
        choose: impl FnOnce() -> I,
    ) -> Range<usize> {
        if let Some((_, known)) = self.gpu_choices_of.iter().find(|(nodes, _)| *nodes == here) {
            return known.clone();
        }
        let start = self.gpu_choices.len();
        self.gpu_choices.extend(choose());
        let chosen = start..self.gpu_choices.len();
        self.gpu_choices_of.push((here, chosen.clone()));
        chosen
    }

    /// The GPU set at a place of such a range, as an index into `GpuSets::sets`.
    #[inline]
    pub(super) fn gpu_set(&self, at: usize) -> usize {
        self.gpu_choices[at]
    }
}
