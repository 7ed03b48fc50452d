//! The line about kinds of cores and L3 domains.

use std::collections::BTreeMap;

use crate::host::{CoreKind, Host};
use crate::sets::CpuSet;
use crate::units::Bytes;

/// The most sizes of L3 caches that the line lists; real hosts have two.
const MAX_SIZES: usize = 4;

/// One line about a host's kinds of cores and L3 domains: `Cores: 8 performance, 16 efficiency`,
/// `Cores: L3: 96 MiB on 0-7,16-23; 32 MiB on 8-15,24-31`. `None` where there is one kind of core,
/// and no node with several L3 domains, no two sizes of them, and no core outside.
#[must_use]
pub fn cores_line(host: &Host) -> Option<String> {
    let parts: Vec<String> = [kinds(host), l3(host)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("Cores: {}", parts.join("; ")))
}

/// `6 performance, 8 efficiency, 2 low-power efficiency`.
fn kinds(host: &Host) -> Option<String> {
    if !host.derived().hybrid {
        return None;
    }
    let kinds = CoreKind::ALL.iter().filter_map(|kind| {
        let count = host.cores().iter().filter(|core| core.kind == *kind).count();
        let name = match kind {
            CoreKind::Performance => "performance",
            CoreKind::Efficiency => "efficiency",
            CoreKind::LowPower => "low-power efficiency",
        };
        (count > 0).then(|| format!("{count} {name}"))
    });
    Some(kinds.collect::<Vec<_>>().join(", "))
}

/// `L3: 16 x 32 MiB`, or with the pCPUs of each size where sizes differ or cores are outside.
fn l3(host: &Host) -> Option<String> {
    let mut sizes: BTreeMap<Option<Bytes>, (usize, CpuSet)> = BTreeMap::new();
    for domain in host.l3_domains() {
        let (count, cpus) = sizes.entry(domain.size).or_default();
        *count += 1;
        cpus.extend(&domain.cpus);
    }
    let outside = host.cores().iter().any(|core| core.l3.is_none());
    let differ = sizes.len() > 1 || outside && !sizes.is_empty();
    let several = host.derived().nodes.iter().any(|node| node.l3_sizes.len() > 1);
    if !differ && !several {
        return None;
    }
    let group = |(size, (count, cpus)): (&Option<Bytes>, &(usize, CpuSet))| {
        let caches = match (size, count) {
            (Some(size), 1) => size.to_string(),
            (Some(size), count) => format!("{count} x {size}"),
            (None, 1) => "a cache of unknown size".to_owned(),
            (None, count) => format!("{count} caches of unknown size"),
        };
        if differ { format!("{caches} on {cpus}") } else { caches }
    };
    // The largest first.
    let mut groups: Vec<String> = sizes.iter().rev().take(MAX_SIZES).map(group).collect();
    if sizes.len() > MAX_SIZES {
        groups.push(format!("{} more sizes", sizes.len() - MAX_SIZES));
    }
    Some(format!("L3: {}", groups.join("; ")))
}
