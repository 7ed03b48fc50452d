//! What is to be told about neighbours, told and left out, case by case.

use super::scenes::{Scene, address, cpus, default, floating, lent, nodes, numa_smt, pin};
use crate::host::spec::L3Spec;
use crate::question::Question;
use crate::request::{DeviceWish, Nearness, Policy, WishKind, WishNumber};
use crate::units::{L3Id, NodeId, PageSize};
use crate::usage::{Claim, PageClaim};
use crate::verify::{WrongWarning, verify_warnings};
use crate::warnings::Warning::{self, *};

fn other() -> Vec<String> {
    vec!["other".to_owned()]
}

/// The other tenant.
fn beside(scene: fn() -> Scene, dedicated: &str, floating: &str, pages: &[(u32, u64)]) -> Scene {
    let page = |(node, count): &(u32, u64)| PageClaim {
        node: Some(NodeId(*node)),
        page_size: PageSize::GIB_1,
        count: *count,
    };
    let pages = pages.iter().map(page).collect();
    let (dedicated, floating) = (cpus(dedicated), cpus(floating));
    let tenants = vec![Claim { dedicated, floating, pages, ..Claim::default() }];
    Scene { tenants, ..scene() }
}

fn with_l3(mut scene: Scene) -> Scene {
    let domain = |list| L3Spec { cpus: cpus(list), size: None };
    scene.host.l3_domains = vec![domain("0-3,8-11"), domain("4-7,12-15")];
    scene
}

/// A scene and all that is to be told of it.
fn cases() -> Vec<(&'static str, Scene, Vec<Warning>)> {
    let shared = |on| SharedNodes { tenants: other(), nodes: nodes(on) };
    let stranded = |size, pages| StrandedPages { node: NodeId(0), page_size: size, pages };
    let mut split = beside(pin, "9", "", &[]);
    split.request.policies.whole_cores = Policy::Prefer;
    split.placement.idle = cpus("10");
    let mut empty_share = beside(pin, "4", "", &[(1, 1)]);
    empty_share.placement.cells[0].pages.push((NodeId(1), 0));
    vec![
        ("alone", pin(), vec![]),
        (
            "memory on another node",
            lent(),
            vec![RemoteMemory { cpus: cpus("1"), nodes: nodes("0"), memory: nodes("1") }],
        ),
        (
            "its own and idle pCPUs are floated over, and one that is nobody's",
            beside(pin, "", "1,3,9", &[]),
            vec![FloatingTenants { tenants: other(), cpus: cpus("1,9") }],
        ),
        (
            "the emulator's own too",
            beside(numa_smt, "", "3", &[]),
            vec![
                FloatingTenants { tenants: other(), cpus: cpus("3") },
                stranded(PageSize::MIB_2, 64 * 64),
                stranded(PageSize::GIB_1, 12),
            ],
        ),
        ("who floats has no pCPU for itself", beside(floating, "", "1,9", &[]), vec![]),
        ("a sibling", split, vec![SharedCores { tenants: other(), cpus: cpus("1") }, shared("0")]),
        // Core 4 is the first of the other domain and of the other node.
        ("another cache and another node", with_l3(beside(pin, "4,12", "", &[])), vec![]),
        (
            "the last cores of a node, whose cache they share",
            with_l3(beside(pin, "3,11", "", &[])),
            vec![
                SharedL3 { tenants: other(), domains: vec![L3Id(0)] },
                shared("0"),
                stranded(PageSize::MIB_2, 64 * 64),
                stranded(PageSize::GIB_1, 12),
            ],
        ),
        (
            "and its last pages",
            beside(pin, "3,11", "", &[(0, 12)]),
            vec![shared("0"), stranded(PageSize::MIB_2, 64 * 64)],
        ),
        ("one of the last two pCPUs", beside(pin, "3", "", &[]), vec![shared("0")]),
        ("all of a node that the VM has nothing of", beside(pin, "4-6,12-14", "", &[]), vec![]),
        ("pages", beside(pin, "", "", &[(0, 1)]), vec![shared("0")]),
        ("pages elsewhere", beside(pin, "", "", &[(1, 1)]), vec![]),
        ("no pages", beside(pin, "4", "", &[(0, 0)]), vec![]),
        ("a node with none of its pages", empty_share, vec![]),
        ("both nodes", beside(numa_smt, "6,14", "", &[(0, 1)]), {
            // The VM's last pCPUs of node 1 are these.
            let on_1 = |size, pages| StrandedPages { node: NodeId(1), page_size: size, pages };
            let left_0 = [stranded(PageSize::MIB_2, 64 * 64), stranded(PageSize::GIB_1, 11)];
            let left_1 = [on_1(PageSize::MIB_2, 64 * 64), on_1(PageSize::GIB_1, 12)];
            [shared("0-1")].into_iter().chain(left_0).chain(left_1).collect()
        }),
        (
            "it floats over theirs",
            beside(default, "4-5", "", &[(0, 1)]),
            vec![FloatsOverTenants { tenants: other(), cpus: cpus("4-5") }],
        ),
    ]
}

fn told(scene: &Scene, warnings: &[Warning]) -> Result<(), Vec<WrongWarning>> {
    let (host, usage, request) = (scene.host(), scene.usage(), scene.request());
    verify_warnings(Question::new(&host, &usage, &request), &scene.placement, warnings)
        .map_err(|wrong| wrong.into_iter().collect())
}

#[test]
fn what_is_so_is_told_and_nothing_else() {
    for (name, scene, expected) in cases() {
        assert_eq!(told(&scene, &expected), Ok(()), "{name}");
        for at in 0..expected.len() {
            let mut fewer = expected.clone();
            let warning = fewer.remove(at);
            assert_eq!(
                told(&scene, &fewer),
                Err(vec![WrongWarning::Missing { warning }]),
                "{name}"
            );
        }
    }
}

#[test]
fn what_is_not_so_may_not_be_told() {
    let all = cases();
    for (name, scene, expected) in &all {
        for (_, _, others) in &all {
            for warning in others.iter().filter(|warning| !expected.contains(warning)) {
                let warning = warning.clone();
                let mut more = expected.clone();
                more.push(warning.clone());
                assert_eq!(
                    told(scene, &more),
                    Err(vec![WrongWarning::False { warning }]),
                    "{name}"
                );
            }
        }
    }
}

/// The NIC of node 1, wanted near a GPU and in no part of the host with one: see the sabotage of
/// wishes, where it is required.
#[test]
fn devices_apart_are_told_as_often_as_they_are() {
    let (nic, root) = (address("82:00.0"), Some(Nearness::RootComplex));
    let mut scene = numa_smt();
    scene.request.devices = vec![address("c0:00.0")];
    scene.request.device_wishes = vec![DeviceWish {
        within: Nearness::Switch,
        ..DeviceWish::new(WishKind::Nic, WishNumber::Count(1))
    }];
    assert_eq!(scene.verify(), Ok(()));
    let gpus: Vec<_> = scene.placement.gpus().map(|gpu| (gpu.address, gpu.node)).collect();
    let of = |node| gpus.iter().find(|(_, of)| *of == Some(NodeId(node))).map(|(gpu, _)| *gpu);
    let apart = |gpu, within| DeviceApart { address: nic, gpu, within };
    // What else is to be told of it.
    let missing = told(&numa_smt(), &[]).err().unwrap_or_default();
    let others = missing.into_iter().filter_map(|wrong| match wrong {
        WrongWarning::Missing { warning } => Some(warning),
        _ => None,
    });
    let others: Vec<Warning> = others.collect();
    let told_with = |warnings: &[Warning]| {
        let all = [&others[..], warnings].concat();
        told(&scene, &all)
    };
    assert_eq!(told_with(&[apart(of(1), root)]), Ok(()));
    let missing = WrongWarning::Apart { kind: WishKind::Nic, told: 0, apart: 1 };
    assert_eq!(told_with(&[]), Err(vec![missing.clone()]));
    for warning in [
        apart(of(1), None),
        apart(of(0), root),
        DeviceApart { address: address("c0:00.0"), gpu: of(1), within: root },
    ] {
        let wrong = WrongWarning::False { warning: warning.clone() };
        assert_eq!(told_with(&[warning]), Err(vec![missing.clone(), wrong]));
    }
}
