//! What memory says against what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::claim::Claim;
use super::tenants::Usage;
use crate::host::Host;
use crate::sets::CpuSet;
use crate::units::{NodeId, PageSize, PciAddr};

/// What only one side has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Difference<T> {
    /// Held according to memory, and not found.
    pub missing: T,
    /// Found, and not held according to memory.
    pub extra: T,
}

/// Pages of one size in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PageDrift {
    /// The node; `None` for pages that may be anywhere.
    pub node: Option<NodeId>,
    /// The page size.
    pub page_size: PageSize,
    /// Pages held according to memory.
    pub held: u64,
    /// Pages found.
    pub found: u64,
}

/// What differs for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TenantDrift {
    /// Its name.
    pub tenant: String,
    /// pCPUs that the tenant has for itself.
    pub dedicated: Difference<CpuSet>,
    /// pCPUs that the tenant floats on.
    pub floating: Difference<CpuSet>,
    /// Pages, by place and size.
    pub pages: Vec<PageDrift>,
    /// Devices, ascending.
    pub devices: Difference<Vec<PciAddr>>,
}

/// How what was found differs from a [`Usage`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Drift {
    /// Tenants in memory that were not found, by name.
    pub missing: Vec<String>,
    /// Tenants found that are not in memory, by name.
    pub unknown: Vec<String>,
    /// Tenants on both sides that hold something else, by name.
    pub differing: Vec<TenantDrift>,
}

impl Drift {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unknown.is_empty() && self.differing.is_empty()
    }
}

impl Usage {
    /// How `found`, for instance what `pinwise-discover` reads from every domain of the host,
    /// differs from what is in memory. If two have one name, the last counts.
    ///
    /// Two differences are not reported, because no domain tells of them: siblings that are kept
    /// idle on cores where the tenant was found, and pCPUs that only its emulator threads have,
    /// which are found as floating.
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
