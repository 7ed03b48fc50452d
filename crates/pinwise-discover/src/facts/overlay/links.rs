//! Overlay of links between GPUs, and of fabric partitions.

use super::conflict::{Collector, Disagreement};
use super::gpus::Names;
use super::note::OverlayNote;
use crate::facts::data::{Facts, PathEnd};
use pinwise::host::HostSpec;
use pinwise::host::Part;
use pinwise::host::{FabricPartition, GpuLink, GpuLinkKind};
use pinwise::units::PciAddr;

fn text(kind: GpuLinkKind, count: u32) -> String {
    let kind = match kind {
        GpuLinkKind::NvLink => "NVLink",
        GpuLinkKind::Xgmi => "XGMI",
    };
    format!("{count} x {kind}")
}

pub(super) fn lay(host: &mut HostSpec, facts: &Facts, names: &Names, collector: &mut Collector) {
    let source = host.source_of(Part::GpuLinks);
    let mut added = 0_u32;
    let mut uncounted = false;
    for link in &facts.links {
        let (Some(a), Some(b)) = (names.get(link.a), names.get(link.b)) else { continue };
        let (a, b) = (a.min(b), a.max(b));
        if let Some(known) = find(host, a, b) {
            let count = link.count.unwrap_or(known.count);
            if (known.kind, known.count) != (link.kind, count) {
                collector.differ(Disagreement {
                    part: Part::GpuLinks,
                    what: "the links",
                    of: format!("{a}-{b}"),
                    host: text(known.kind, known.count),
                    host_source: host.source_of(Part::GpuLinks),
                    found: text(link.kind, count),
                    source: &facts.source,
                    taken: false,
                });
            }
            continue;
        }
        if a == b {
            continue;
        }
        uncounted |= link.count.is_none();
        host.gpu_links.push(GpuLink { a, b, kind: link.kind, count: link.count.unwrap_or(1) });
        added += 1;
    }
    absent(host, facts, names, &source, collector);
    if uncounted {
        collector.note(OverlayNote::Uncounted { source: facts.source.clone() });
    }
    if added > 0 {
        host.add_source(Part::GpuLinks, &facts.source);
    }
    partitions(host, facts, names, collector);
}

fn find(host: &HostSpec, a: PciAddr, b: PciAddr) -> Option<GpuLink> {
    let same = |link: &&GpuLink| (link.a.min(link.b), link.a.max(link.b)) == (a, b);
    host.gpu_links.iter().find(same).copied()
}

/// nvidia-smi shows the PCIe path of a pair only if the pair has no links. A table without any link
/// may be from `topo -mp`, which never shows links.
fn absent(host: &HostSpec, facts: &Facts, names: &Names, source: &str, collector: &mut Collector) {
    if facts.links.is_empty() {
        return;
    }
    for path in &facts.paths {
        let (PathEnd::Gpu(a), PathEnd::Gpu(b)) = (&path.a, &path.b) else { continue };
        let (Some(a), Some(b)) = (names.get(*a), names.get(*b)) else { continue };
        let (a, b) = (a.min(b), a.max(b));
        if let Some(known) = find(host, a, b) {
            collector.differ(Disagreement {
                part: Part::GpuLinks,
                what: "the links",
                of: format!("{a}-{b}"),
                host: text(known.kind, known.count),
                host_source: source.to_owned(),
                found: "none".to_owned(),
                source: &facts.source,
                taken: false,
            });
        }
    }
}

/// Adds partitions if the description has none; a partition with a GPU that the host lacks is
/// ignored.
fn partitions(host: &mut HostSpec, facts: &Facts, names: &Names, collector: &mut Collector) {
    let mut found = Vec::new();
    for partition in &facts.partitions {
        let gpus: Option<Vec<PciAddr>> = partition.gpus.iter().map(|gpu| names.get(*gpu)).collect();
        let Some(mut gpus) = gpus else {
            collector.unknown(&facts.source, "a GPU of partition", partition.id.to_string());
            continue;
        };
        gpus.sort_unstable();
        gpus.dedup();
        found.push(FabricPartition { id: partition.id, gpus });
    }
    found.sort_by_key(|partition| partition.id);
    found.dedup_by_key(|partition| partition.id);
    if host.fabric_partitions.is_empty() && !found.is_empty() {
        host.fabric_partitions = found;
        host.add_source(Part::FabricPartitions, &facts.source);
        return;
    }
    let list = |gpus: &[PciAddr]| {
        let mut gpus = gpus.to_vec();
        gpus.sort_unstable();
        gpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    for partition in found {
        let known = host.fabric_partitions.iter().find(|known| known.id == partition.id);
        let known = known.map_or_else(|| "none".to_owned(), |known| list(&known.gpus));
        if known != list(&partition.gpus) {
            collector.differ(Disagreement {
                part: Part::FabricPartitions,
                what: "the GPUs",
                of: format!("partition {}", partition.id),
                host: known,
                host_source: host.source_of(Part::FabricPartitions),
                found: list(&partition.gpus),
                source: &facts.source,
                taken: false,
            });
        }
    }
}
