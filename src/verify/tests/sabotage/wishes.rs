//! Devices that the request asks for by kind.

use super::super::scenes::{address, numa_smt};
use super::Sabotage;
use crate::request::{DeviceWish, Nearness, Policy, WishKind, WishNumber};
use crate::verify::Violation::*;
use crate::verify::tests::scenes::Scene;

/// The NIC of node 1, chosen by kind, in the root complex of its GPU.
fn wished() -> Scene {
    let mut scene = numa_smt();
    scene.request.devices = vec![address("c0:00.0")];
    scene.request.device_wishes = vec![DeviceWish {
        near: Policy::Require,
        within: Nearness::RootComplex,
        ..DeviceWish::new(WishKind::Nic, WishNumber::Count(1))
    }];
    assert_eq!(scene.verify(), Ok(()));
    scene
}

pub(super) fn wishes_broken() -> Vec<Sabotage> {
    let nic = address("82:00.0");
    vec![
        (
            wished,
            |s| s.request.device_wishes[0].number = WishNumber::Count(2),
            WishCount { kind: WishKind::Nic, found: 1, wanted: 2 },
        ),
        (
            wished,
            |s| s.request.device_wishes[0].number = WishNumber::PerGpu,
            WishCount { kind: WishKind::Nic, found: 1, wanted: 2 },
        ),
        (
            wished,
            |s| s.request.device_wishes[0].model = Some("ConnectX".to_owned()),
            WishModel {
                address: nic,
                model: "1000:0001".to_owned(),
                wanted: "ConnectX".to_owned(),
            },
        ),
        (
            wished,
            |s| {
                let other = address("80:03.0");
                let group = s.host.devices.iter().find(|d| d.address == address("82:00.0"));
                let mut taken = group.unwrap().clone();
                (taken.address, taken.parent) = (other, None);
                s.host.devices.push(taken);
                s.placement.devices[2].withheld.push(other);
                s.request.allow_group = true;
            },
            WishTakes { address: nic, withheld: address("80:03.0") },
        ),
        (
            wished,
            |s| s.request.device_wishes[0].within = Nearness::Switch,
            WishApart { kind: WishKind::Nic, within: "switch", near: 0, wanted: 1 },
        ),
    ]
}
