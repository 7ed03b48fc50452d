//! Collection of caches by level, kind and size.

use std::collections::BTreeMap;

use crate::core_note::CoreNote;
use crate::notes::Notes;
use pinwise::host::{CacheKind, CacheSpec};
use pinwise::sets::CpuSet;
use pinwise::units::Bytes;

/// The caches that a reader found, each once although several pCPUs name it.
#[derive(Default)]
pub(super) struct Caches(BTreeMap<(u8, CacheKind, Option<Bytes>), Vec<CpuSet>>);

impl Caches {
    /// Whether caches of this level are collected. L3 caches are L3 domains instead.
    pub(super) fn is_told(level: u8) -> bool {
        matches!(level, 1 | 2 | 4)
    }

    pub(super) fn add(&mut self, level: u8, kind: CacheKind, size: Option<Bytes>, cpus: CpuSet) {
        let size = size.filter(|size| *size != Bytes::ZERO);
        let sets = self.0.entry((level, kind, size)).or_default();
        // Each of its pCPUs names the cache, one after another or in two runs of SMT siblings.
        if !cpus.is_empty() && !sets.iter().rev().any(|known| *known == cpus) {
            sets.push(cpus);
        }
    }

    /// Overlapping caches of one level and kind, which real hardware never has, are ignored with a
    /// note.
    pub(super) fn finish(self, notes: &mut Notes) -> Vec<CacheSpec> {
        let mut seen: BTreeMap<(u8, CacheKind), CpuSet> = BTreeMap::new();
        let mut overlap = Vec::new();
        for ((level, kind, _), sets) in &self.0 {
            let seen = seen.entry((*level, *kind)).or_default();
            for set in sets {
                if set.intersects(seen) && !overlap.contains(&(*level, *kind)) {
                    overlap.push((*level, *kind));
                }
                seen.extend(set);
            }
        }
        let spec = |((level, kind, size), mut shared_by): ((u8, CacheKind, _), Vec<CpuSet>)| {
            shared_by.sort_unstable_by_key(CpuSet::first);
            CacheSpec { level, kind, size, shared_by }
        };
        let mut caches: Vec<CacheSpec> = self.0.into_iter().map(spec).collect();
        for (level, kind) in overlap {
            let is_odd = |cache: &CacheSpec| (cache.level, cache.kind) == (level, kind);
            notes.add(CoreNote::Overlapping { level, kind });
            caches.retain(|cache| !is_odd(cache));
        }
        caches
    }
}
