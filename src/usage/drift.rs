//! Drift: the differences between a usage in memory and the tenants found on the machine.

use std::collections::{BTreeMap, BTreeSet};

use super::claim::Claim;
use super::tenants::Usage;
use crate::host::Host;
use crate::sets::CpuSet;
use crate::units::{NodeId, PageSize, PciAddr};

/// Resources that only one side has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Difference<T> {
    /// Held in memory, but not found on the machine.
    pub missing: T,
    /// Found on the machine, but not held in memory.
    pub extra: T,
}

/// A difference in pages of one size in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PageDrift {
    /// The node; `None` for pages that may be anywhere.
    pub node: Option<NodeId>,
    /// The page size.
    pub page_size: PageSize,
    /// The number of pages held in memory.
    pub held: u64,
    /// The number of pages found.
    pub found: u64,
}

/// The differences for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TenantDrift {
    /// The name of the tenant.
    pub tenant: String,
    /// pCPUs dedicated to the tenant.
    pub dedicated: Difference<CpuSet>,
    /// pCPUs that the tenant floats on.
    pub floating: Difference<CpuSet>,
    /// Pages, by place and size.
    pub pages: Vec<PageDrift>,
    /// Devices, ascending.
    pub devices: Difference<Vec<PciAddr>>,
}

/// The differences between a [`Usage`] and the tenants that were found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Drift {
    /// Tenants in memory that were not found, by name.
    pub missing: Vec<String>,
    /// Tenants found that are not in memory, by name.
    pub unknown: Vec<String>,
    /// Tenants on both sides whose claims differ, by name.
    pub differing: Vec<TenantDrift>,
}

impl Drift {
    /// Whether there are no differences.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unknown.is_empty() && self.differing.is_empty()
    }
}

impl Usage {
    /// The differences between `found` and this usage. `found` is, for instance, what
    /// `pinwise-discover` reads from every domain of the host; of two tenants with the same name,
    /// the last counts.
    ///
    /// Two differences are not reported, because a domain cannot show them: idle siblings on cores
    /// where the tenant was found, and pCPUs that only the tenant's emulator threads use, which are
    /// found as floating.
    #[must_use]
    pub fn drift<I>(&self, host: &Host, found: I) -> Drift
    where
        I: IntoIterator<Item = (String, Claim)>,
    {
        let found: BTreeMap<String, Claim> = found.into_iter().collect();
        let mut drift = Drift::default();
        for (name, held) in self.tenants() {
            let Some(found) = found.get(name) else {
                drift.missing.push(name.to_owned());
                continue;
            };
            drift.differing.extend(of_tenant(host, name, held, found));
        }
        let unknown = found.into_keys().filter(|name| self.claim_of(name).is_none());
        drift.unknown.extend(unknown);
        drift
    }
}

fn of_tenant(host: &Host, name: &str, held: &Claim, found: &Claim) -> Option<TenantDrift> {
    let mut explained = found.dedicated.union(&found.floating);
    for core in found.dedicated.iter().filter_map(|pcpu| host.core_of(pcpu)) {
        core.pcpus.iter().for_each(|pcpu| {
            explained.insert(*pcpu);
        });
    }
    let dedicated = Difference {
        missing: held.dedicated.difference(&explained),
        extra: found.dedicated.difference(&held.dedicated),
    };
    let floating = Difference {
        missing: held.floating.difference(&found.floating),
        extra: found.floating.difference(&held.floating).difference(&held.dedicated),
    };
    let (before, now) = (pages(held), pages(found));
    let places: BTreeSet<_> = before.keys().chain(now.keys()).copied().collect();
    let count = |of: &BTreeMap<_, u64>, place| of.get(place).copied().unwrap_or(0);
    let pages = places.iter().map(|place| PageDrift {
        node: place.0,
        page_size: place.1,
        held: count(&before, place),
        found: count(&now, place),
    });
    let pages: Vec<PageDrift> = pages.filter(|page| page.held != page.found).collect();
    let of = |claim: &Claim| claim.devices.iter().copied().collect::<BTreeSet<PciAddr>>();
    let (before, now) = (of(held), of(found));
    let devices = Difference {
        missing: before.difference(&now).copied().collect(),
        extra: now.difference(&before).copied().collect::<Vec<_>>(),
    };
    let same = dedicated == Difference::default()
        && floating == Difference::default()
        && pages.is_empty()
        && devices == Difference::default();
    (!same).then(|| TenantDrift { tenant: name.to_owned(), dedicated, floating, pages, devices })
}

fn pages(claim: &Claim) -> BTreeMap<(Option<NodeId>, PageSize), u64> {
    let mut all = BTreeMap::new();
    for page in &claim.pages {
        let sum: &mut u64 = all.entry((page.node, page.page_size)).or_default();
        *sum = sum.saturating_add(page.count);
    }
    all
}
