//! Paths and peer access: compared with the description, which cannot hold them.

use std::collections::BTreeMap;

use super::conflict::{Collector, Disagreement};
use super::gpus::Names;
use super::note::OverlayNote;
use crate::facts::data::{Facts, PathEnd};
use crate::facts::peer::PeerStatus;
use pinwise::host::HostSpec;
use pinwise::host::Part;
use pinwise::host::{CommonBridge, DeviceKind, PciTree};

fn text(path: CommonBridge) -> &'static str {
    match path {
        CommonBridge::Pix => "PIX",
        CommonBridge::Pxb => "PXB",
        CommonBridge::Phb => "PHB",
        CommonBridge::Node => "NODE",
        CommonBridge::Sys => "SYS",
    }
}

pub(super) fn check(host: &HostSpec, facts: &Facts, names: &Names, collector: &mut Collector) {
    paths(host, facts, names, collector);
    let mut refused: BTreeMap<PeerStatus, u32> = BTreeMap::new();
    for peer in facts.peers.iter().filter(|peer| peer.status != PeerStatus::Ok) {
        if names.get(peer.from).is_some() && names.get(peer.to).is_some() {
            *refused.entry(peer.status).or_default() += 1;
        }
    }
    for (status, count) in refused {
        let source = facts.source.clone();
        collector.note(OverlayNote::NoPeerAccess { source, count, status });
    }
}

/// Reports a path that contradicts the description's bridges.
fn paths(host: &HostSpec, facts: &Facts, names: &Names, collector: &mut Collector) {
    // Without bridges, every path would be between root ports.
    let bridges = host.devices.iter().any(|device| device.kind() == DeviceKind::Bridge);
    if !bridges || facts.paths.is_empty() {
        return;
    }
    let Some(tree) = tree(host) else { return };
    let mut unnamed = 0_u32;
    for path in &facts.paths {
        let (PathEnd::Gpu(a), PathEnd::Gpu(b)) = (&path.a, &path.b) else {
            unnamed += 1;
            continue;
        };
        let (Some(a), Some(b)) = (names.get(*a), names.get(*b)) else { continue };
        let own = tree.common_bridge(a, b);
        let node = |address| tree.get(address).and_then(|device| device.node);
        let unknown = own == CommonBridge::Sys && (node(a).is_none() || node(b).is_none());
        if own != path.path && !unknown {
            collector.differ(Disagreement {
                part: Part::Pci,
                what: "the nearest common bridge",
                of: format!("{}-{}", a.min(b), a.max(b)),
                host: text(own).to_owned(),
                host_source: host.source_of(Part::Pci),
                found: text(path.path).to_owned(),
                source: &facts.source,
                taken: false,
            });
        }
    }
    if unnamed > 0 {
        let source = facts.source.clone();
        collector.note(OverlayNote::UnnamedNics { source, count: unnamed });
    }
}

/// The description's PCI tree, if its parents are valid; building the host reports it otherwise.
fn tree(host: &HostSpec) -> Option<PciTree> {
    host.clone().build().ok().map(|host| host.pci().clone())
}
