//! Tenants that float: the cores on which their threads may run, by load.

use crate::host::Host;
use crate::host::core_set::CoreSet;
use crate::sets::CpuSet;
use crate::usage::Usage;

/// Loads are counted up to this number of tenants. Chosen by us: beyond, one more tells cores
/// apart no better.
pub(crate) const MOST_LOAD: usize = 3;

/// The cores on which tenants float. A core's *load* is the number of tenants that float on one of
/// its pCPUs, the largest of its pCPUs counting: a busy sibling slows a core as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Floaters {
    /// `at_least[n - 1]`: the cores with a load of n or more.
    at_least: [CoreSet; MOST_LOAD],
}

impl Floaters {
    /// `None` if no tenant floats on a core with one of the `usable` pCPUs.
    pub(crate) fn new(host: &Host, usage: &Usage, usable: &CpuSet) -> Option<Self> {
        let floats = |set: &&CpuSet| !set.is_empty();
        let mut sets = usage.tenants().map(|(_, claim)| &claim.floating).filter(floats).peekable();
        sets.peek()?;
        let mut on_pcpus: [CpuSet; MOST_LOAD] = Default::default();
        for set in sets {
            for n in (1..MOST_LOAD).rev() {
                let more = on_pcpus[n - 1].intersection(set);
                on_pcpus[n].extend(&more);
            }
            on_pcpus[0].extend(set);
        }
        let map = &host.derived().core_map;
        let at_least = on_pcpus.each_ref().map(|pcpus| map.any(pcpus));
        let mut met = map.any(usable);
        met.keep(&at_least[0]);
        (met.count(&(0..host.cores().len())) > 0).then_some(Self { at_least })
    }

    /// The load of the core at this position.
    pub(crate) fn load(&self, core: usize) -> usize {
        self.at_least.iter().take_while(|level| level.contains(core)).count()
    }

    /// `[n]`: the cores with a load of n; the last has those with more, too.
    pub(crate) fn by_load(&self, host: &Host) -> [CoreSet; MOST_LOAD + 1] {
        let mut all: [CoreSet; MOST_LOAD + 1] = Default::default();
        all[0] = CoreSet::of(host.cores(), |_| true);
        all[1..].clone_from_slice(&self.at_least);
        for n in 0..MOST_LOAD {
            let (of_n, more) = all.split_at_mut(n + 1);
            of_n[n].without(&more[0]);
        }
        all
    }
}
