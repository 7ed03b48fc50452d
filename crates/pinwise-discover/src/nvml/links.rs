//! NVLinks and peer access between GPUs.

use std::collections::BTreeMap;

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{P2pCapabilitiesIndex, P2pStatus};

use super::gpu::address;
use super::note::NvmlNote;
use crate::facts::{Facts, GpuFacts, GpuName, LinkFacts, PeerAccess, PeerFacts, PeerStatus};
use crate::notes::Notes;
use pinwise::host::GpuLinkKind;
use pinwise::units::PciAddr;

/// The largest number of NVLinks of a GPU that NVML is asked about; the largest GPUs have 18.
const MAX_LINKS: u32 = 36;

/// Reads the NVLinks between GPUs, and the number of NVLinks from each GPU to switches.
pub(super) fn read(
    gpus: &[(PciAddr, Device<'_>)],
    others: &[PciAddr],
    facts: &mut Facts,
    notes: &mut Notes,
) {
    let mut direct: BTreeMap<(PciAddr, PciAddr), u32> = BTreeMap::new();
    let mut switched: BTreeMap<PciAddr, u32> = BTreeMap::new();
    for (own, device) in gpus {
        let (mut asked, mut silent) = (false, 0_u32);
        for link in 0..MAX_LINKS {
            let link = device.link_wrapper_for(link);
            // A GPU refuses every link that it does not have.
            let Ok(active) = link.is_active() else { continue };
            asked = true;
            if !active {
                continue;
            }
            match link.remote_pci_info().ok().as_ref().and_then(address) {
                None => silent += 1,
                Some(far) if others.contains(&far) || gpus.iter().any(|(gpu, _)| *gpu == far) => {
                    *direct.entry((*own, far)).or_default() += 1;
                }
                Some(_) => *switched.entry(*own).or_default() += 1,
            }
        }
        if silent > 0 {
            notes.add(NvmlNote::LostLinks { count: silent, address: *own });
        }
        let known = facts.gpus.iter_mut().find(|facts| facts.gpu == GpuName::At(*own));
        if let Some(facts) = known.filter(|_| asked) {
            facts.switch_links = Some(switched.get(own).copied().unwrap_or(0));
        }
    }
    let mut pairs: BTreeMap<(PciAddr, PciAddr), u32> = BTreeMap::new();
    for ((own, far), count) in &direct {
        let pair = (*own.min(far), *own.max(far));
        // Both ends count the links, or only the end that NVML sees.
        let told = pairs.entry(pair).or_insert(*count);
        if told != count {
            let (address, far) = (*own, *far);
            notes.add(NvmlNote::CountsDiffer { address, count: *count, far, back: *told });
            *told = *count.min(told);
        }
        let name = GpuName::At(*far);
        if !facts.gpus.iter().any(|gpu| gpu.gpu == name) {
            facts.gpus.push(GpuFacts::new(name));
        }
    }
    for (a, own) in &switched {
        let after = switched.range(a..).filter(|(b, count)| *b != a && *count == own);
        pairs.extend(after.map(|(b, count)| ((*a, *b), *count)));
    }
    let link = |((a, b), count): (_, _)| LinkFacts {
        a: GpuName::At(a),
        b: GpuName::At(b),
        kind: GpuLinkKind::NvLink,
        count: Some(count),
    };
    facts.links = pairs.into_iter().map(link).collect();
}

const ACCESSES: [(P2pCapabilitiesIndex, PeerAccess); 5] = [
    (P2pCapabilitiesIndex::Read, PeerAccess::Read),
    (P2pCapabilitiesIndex::Write, PeerAccess::Write),
    (P2pCapabilitiesIndex::NvLink, PeerAccess::Link),
    (P2pCapabilitiesIndex::Atomics, PeerAccess::Atomics),
    (P2pCapabilitiesIndex::Prop, PeerAccess::Property),
];

/// The peer access of every pair of GPUs, each direction by itself.
pub(super) fn peers(gpus: &[(PciAddr, Device<'_>)]) -> Vec<PeerFacts> {
    let mut peers = Vec::new();
    for (from, device) in gpus {
        for (to, other) in gpus.iter().filter(|(to, _)| to != from) {
            for (index, access) in ACCESSES {
                let Ok(status) = device.p2p_status(other, index) else { continue };
                peers.push(PeerFacts {
                    from: GpuName::At(*from),
                    to: GpuName::At(*to),
                    access: Some(access),
                    status: peer_status(status),
                });
            }
        }
    }
    peers
}

fn peer_status(status: P2pStatus) -> PeerStatus {
    match status {
        P2pStatus::Ok => PeerStatus::Ok,
        P2pStatus::ChipsetNotSupported => PeerStatus::ChipsetNotSupported,
        P2pStatus::GpuNotSupported => PeerStatus::GpuNotSupported,
        P2pStatus::IohTopologyNotSupported => PeerStatus::TopologyNotSupported,
        P2pStatus::DisabledByRegkey => PeerStatus::Disabled,
        P2pStatus::NotSupported => PeerStatus::NotSupported,
        P2pStatus::Unknown => PeerStatus::Unknown,
    }
}
