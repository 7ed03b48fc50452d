//! What comes back of a placement's claim through its domain's XML.

use std::collections::BTreeMap;

use pinwise::units::NodeId;
use pinwise::usage::PageClaim;
use pinwise::{Claim, CpuSet, Host, PageSize, Placement};

/// What the XML can say of a placement's claim. SMT siblings that are kept idle are in no element,
/// that the emulator's pCPUs are its own neither, nor isolation; threads without a pin float
/// everywhere, where a placement names nothing, except the emulator's beside pinned vCPUs. vCPUs
/// that share a node's only free pCPU, beside others on other nodes, are pinned to it alone, as if
/// it was theirs.
pub fn in_xml(placement: &Placement, host: &Host) -> Claim {
    let mut claim = placement.claim();
    (claim.whole_cores, claim.own_l3) = (false, false);
    let unsaid = placement.idle.union(&placement.emulator_own);
    claim.dedicated = claim.dedicated.difference(&unsaid);
    let others = placement.iothreads.iter().chain([&placement.emulator]);
    others.for_each(|set| claim.floating.extend(set));
    // vCPUs that share one set have no pins of their own.
    let together =
        placement.style.floats() && placement.vcpus.iter().all(|s| *s == placement.vcpus[0]);
    let pinned = !together && placement.vcpus.iter().all(|set| set.len() == 1);
    let emulator = placement.emulator.is_empty() && !pinned;
    let mut unpinned = placement.iothreads.iter().chain(&placement.vcpus);
    if emulator || unpinned.any(CpuSet::is_empty) {
        claim.floating.extend(host.online());
    }
    let alone = placement.vcpus.iter().filter(|set| set.len() == 1 && !together);
    alone.for_each(|set| claim.dedicated.extend(set));
    let wide = placement.vcpus.iter().filter(|set| set.len() != 1 || together).count();
    claim.floating_vcpus = u32::try_from(wide).expect("few vCPUs");
    claim.floating = claim.floating.difference(&claim.dedicated);
    let mut pages: BTreeMap<(Option<NodeId>, PageSize), u64> = BTreeMap::new();
    for PageClaim { node, page_size: size, count } in claim.pages {
        *pages.entry((node, size)).or_default() += count;
    }
    let page = |((node, size), count)| PageClaim { node, page_size: size, count };
    claim.pages = pages.into_iter().map(page).collect();
    claim
}

/// The same, with no word about which of a cell's nodes has how much of it.
pub fn without_shares(mut claim: Claim) -> Claim {
    let mut sums: BTreeMap<PageSize, u64> = BTreeMap::new();
    claim.pages.iter().for_each(|page| *sums.entry(page.page_size).or_default() += page.count);
    let sum = |(size, count)| PageClaim { node: None, page_size: size, count };
    claim.pages = sums.into_iter().map(sum).collect();
    claim
}
