//! Sets of cores as bits over positions in [`Host::cores`](super::Host::cores), so that free cores
//! are counted a word at a time.

use std::ops::Range;

use smallvec::SmallVec;

use super::records::Core;
use crate::sets::CpuSet;

/// A set of a host's cores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CoreSet(SmallVec<[u64; 4]>);

impl CoreSet {
    /// The empty set for a host with this number of cores.
    pub(crate) fn none(cores: usize) -> Self {
        Self(SmallVec::from_elem(0, cores.div_ceil(64)))
    }

    /// The set of those `cores` for which `is_in` holds.
    pub(crate) fn of(cores: &[Core], is_in: impl Fn(&Core) -> bool) -> Self {
        let mut set = Self::none(cores.len());
        for (at, _) in cores.iter().enumerate().filter(|(_, core)| is_in(core)) {
            set.0[at / 64] |= 1 << (at % 64);
        }
        set
    }

    pub(crate) fn contains(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    /// The number of members among these positions.
    pub(crate) fn count(&self, of: &Range<usize>) -> u32 {
        self.words(of).map(|(_, word)| word.count_ones()).sum()
    }

    /// The members among these positions, ascending.
    pub(crate) fn iter(&self, of: &Range<usize>) -> impl Iterator<Item = usize> + '_ {
        self.words(of).flat_map(|(at, word)| crate::sets::bits(word).map(move |bit| at * 64 + bit))
    }

    /// The words that hold these positions, with all other bits cleared.
    fn words(&self, of: &Range<usize>) -> impl Iterator<Item = (usize, u64)> + '_ {
        let Range { start, end } = *of;
        (start / 64..end.div_ceil(64)).map(move |at| {
            let low = u64::MAX << start.saturating_sub(at * 64);
            let high = end - at * 64;
            (at, self.0[at] & low & if high < 64 { !(u64::MAX << high) } else { u64::MAX })
        })
    }

    /// Removes all but the members of `other`.
    pub(crate) fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine &= theirs);
    }

    /// Removes the members of `other`.
    pub(crate) fn without(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine &= !theirs);
    }
}

/// Consecutive cores whose pCPUs of one thread are consecutive too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    thread: usize,
    core: usize,
    pcpu: usize,
    length: usize,
}

/// The map from pCPUs to cores, as runs; most hosts have a few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoreMap {
    cores: usize,
    /// Sorted by thread, then core.
    runs: Vec<Run>,
    /// The largest number of pCPUs of a core.
    threads: usize,
}

impl CoreMap {
    pub(crate) fn new(cores: &[Core]) -> Self {
        let threads = cores.iter().map(|core| core.pcpus.len()).max().unwrap_or(0);
        let mut runs: Vec<Run> = Vec::new();
        for thread in 0..threads {
            for (core, of) in cores.iter().enumerate() {
                let Some(pcpu) = of.pcpus.get(thread).map(|pcpu| pcpu.0 as usize) else { continue };
                match runs.last_mut() {
                    Some(run)
                        if run.thread == thread
                            && (run.core + run.length, run.pcpu + run.length) == (core, pcpu) =>
                    {
                        run.length += 1;
                    }
                    _ => runs.push(Run { thread, core, pcpu, length: 1 }),
                }
            }
        }
        Self { cores: cores.len(), runs, threads }
    }

    /// The cores with a pCPU in the set.
    pub(crate) fn any(&self, pcpus: &CpuSet) -> CoreSet {
        let mut set = CoreSet::none(self.cores);
        self.runs.iter().for_each(|run| run.add(pcpus, &mut set.0));
        set
    }

    /// `result[n - 1]`: the cores with at least n pCPUs in the set.
    pub(crate) fn at_least(&self, pcpus: &CpuSet) -> Vec<CoreSet> {
        let none = CoreSet::none(self.cores);
        let mut levels = vec![none.clone(); self.threads];
        let mut one = none;
        for thread in self.runs.chunk_by(|a, b| a.thread == b.thread) {
            one.0.fill(0);
            thread.iter().for_each(|run| run.add(pcpus, &mut one.0));
            for level in (0..self.threads).rev() {
                let (below, from) = levels.split_at_mut(level);
                for (at, word) in from[0].0.iter_mut().enumerate() {
                    *word |= one.0[at] & below.last().map_or(u64::MAX, |below| below.0[at]);
                }
            }
        }
        levels
    }
}

impl Run {
    /// Adds the cores of the run that have a pCPU in the set.
    fn add(self, pcpus: &CpuSet, cores: &mut [u64]) {
        let (mut core, mut pcpu, end) = (self.core, self.pcpu, self.core + self.length);
        while core < end {
            let bits = (64 - core % 64).min(end - core);
            let mask = if bits < 64 { !(u64::MAX << bits) } else { u64::MAX };
            cores[core / 64] |= (pcpus.bits_from(pcpu) & mask) << (core % 64);
            (core, pcpu) = (core + bits, pcpu + bits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::CoreKind;
    use crate::units::{CoreId, NodeId, PackageId, PcpuId};

    fn core(pcpus: &[u32]) -> Core {
        Core {
            id: CoreId { package: PackageId(0), die: 0, core: pcpus[0] },
            node: NodeId(0),
            l3: None,
            kind: CoreKind::Performance,
            favoured: false,
            max_mhz: None,
            pcpus: pcpus.iter().copied().map(PcpuId).collect(),
        }
    }

    fn numbered(cores: u32, number: impl Fn(u32) -> Vec<u32>) -> Vec<Core> {
        (0..cores).map(|at| core(&number(at))).collect()
    }

    #[test]
    fn cores_are_found_by_their_pcpus_however_these_are_numbered() {
        let all = [
            (2, numbered(200, |core| vec![core, core + 200])),
            (400, numbered(200, |core| vec![core * 2, core * 2 + 1])),
            (1, numbered(100, |core| vec![core + 70])),
            (8, numbered(50, |core| (0..8).map(|thread| core * 8 + thread).collect())),
            (0, vec![core(&[0, 1, 2]), core(&[3]), core(&[9, 8]), core(&[4, 70])]),
        ];
        for (runs, cores) in all {
            let map = CoreMap::new(&cores);
            assert!(runs == 0 || runs == 8 || map.runs.len() == runs, "{:?}", map.runs.len());
            let set: CpuSet = (0..500).filter(|n| n % 3 > 0 && n % 7 > 2).map(PcpuId).collect();
            let of = |core: &Core| core.pcpus.iter().filter(|pcpu| set.contains(**pcpu)).count();
            assert_eq!(map.any(&set), CoreSet::of(&cores, |core| of(core) > 0));
            for (level, found) in (1..).zip(map.at_least(&set)) {
                let wanted = CoreSet::of(&cores, |core| of(core) >= level);
                assert_eq!(found, wanted);
                let part = cores.len() / 3..cores.len() - 1;
                let members: Vec<usize> = part.clone().filter(|at| wanted.contains(*at)).collect();
                assert_eq!(found.count(&part) as usize, members.len());
                assert_eq!(found.iter(&part).collect::<Vec<_>>(), members);
            }
        }
    }
}
