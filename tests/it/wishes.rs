//! Devices that are requested by kind: the nearest free ones, chosen together with the GPUs, and
//! the partitions of a fabric.

use pinwise::changes::{Change, smallest_changes};
use pinwise::engine::{Fact, GpuPath, Property};
use pinwise::host::{
    CommonBridge, CoreSpec, DeviceKind, HostSpec, NodeSpec, PciClass, PciDevice, PciId,
};
use pinwise::request::{DeviceWish, GpuRequest, Nearness, WishKind, WishNumber};
use pinwise::units::{NodeId, PackageId, PcpuId};
use pinwise::{
    Bytes, Claim, Host, PciAddr, Placement, Policy, Question, Ranked, RequestSpec, Usage, Warning,
    recommend, verify,
};
use pinwise_testkit::common::{host, vm};
use pinwise_testkit::rng::Rng;

fn addresses(list: &[&str]) -> Vec<PciAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

fn nic(number: WishNumber) -> DeviceWish {
    DeviceWish::new(WishKind::Nic, number)
}

fn gpus(count: u32) -> GpuRequest {
    GpuRequest::Count { count, model: None }
}

/// The best answer, which the checker has seen.
fn best(host: &Host, usage: &Usage, spec: RequestSpec) -> Ranked {
    let request = spec.build().unwrap();
    let question = Question::new(host, usage, &request);
    let answer = recommend(question).unwrap();
    for ranked in answer.ranked.iter().chain(&answer.baseline) {
        assert_eq!(verify(question, &ranked.placement), Ok(()));
    }
    answer.ranked.into_iter().next().unwrap()
}

/// The GPUs and the other devices of a placement.
fn given(placement: &Placement) -> (Vec<PciAddr>, Vec<PciAddr>) {
    let of = |gpus: bool| {
        let devices = placement.devices.iter().filter(move |device| device.is_gpu == gpus);
        devices.map(|device| device.address).collect()
    };
    (of(true), of(false))
}

#[test]
fn each_gpu_has_the_nic_of_its_switch_and_the_guest_sees_them_below_one() {
    let host = host("hgx-h200");
    let usage = Usage::empty(&host);
    let wish = DeviceWish { near: Policy::Require, ..nic(WishNumber::PerGpu) };
    for count in [1, 2, 4] {
        let spec =
            RequestSpec { gpus: gpus(count), device_wishes: vec![wish.clone()], ..vm(16, 64) };
        let best = best(&host, &usage, spec);
        let (gpus, nics) = given(&best.placement);
        assert_eq!((gpus.len(), nics.len()), (count as usize, count as usize));
        for (gpu, nic) in gpus.iter().zip(&nics) {
            assert_eq!(host.pci().switch_of(*gpu), host.pci().switch_of(*nic));
        }
        assert_eq!(best.placement.pci.switches.len(), count as usize);
        assert!(!best.unmet.contains(&Property::BesideGpus));
    }
}

#[test]
fn gpus_whose_nics_are_held_are_not_chosen_while_others_have_theirs() {
    let host = host("hgx-h200");
    let mut usage = Usage::empty(&host);
    let free =
        RequestSpec { gpus: gpus(2), device_wishes: vec![nic(WishNumber::PerGpu)], ..vm(16, 64) };
    let (_, nics) = given(&best(&host, &usage, free.clone()).placement);
    let claim = Claim { devices: nics.clone(), ..Default::default() };
    usage.claim(&host, "other", claim).unwrap();
    let again = best(&host, &usage, free);
    let (gpus, others) = given(&again.placement);
    assert!(nics.iter().all(|nic| !others.contains(nic)));
    for (gpu, nic) in gpus.iter().zip(&others) {
        assert_eq!(host.pci().switch_of(*gpu), host.pci().switch_of(*nic));
    }
}

#[test]
fn too_few_and_too_far_are_facts_and_changes() {
    let host = host("hgx-h200");
    let usage = Usage::empty(&host);
    let refused = |wish: DeviceWish, gpus: GpuRequest| {
        let spec = RequestSpec { gpus, device_wishes: vec![wish], ..vm(16, 64) };
        let request = spec.build().unwrap();
        let question = Question::new(&host, &usage, &request);
        let facts = recommend(question).unwrap_err().rejected.swap_remove(0).facts;
        (facts, smallest_changes(question))
    };
    let unknown = DeviceWish { model: Some("no such".to_owned()), ..nic(WishNumber::Count(1)) };
    let (facts, changes) = refused(unknown, gpus(1));
    assert!(matches!(facts[0], Fact::DevicesShort { needed: 1, free: 0, total: 0, .. }));
    assert!(changes.contains(&Change::AnyDeviceModel { kind: WishKind::Nic }));
    // The host has eight.
    let (_, changes) = refused(nic(WishNumber::Count(11)), gpus(1));
    let eight = Change::FewerDevices { kind: WishKind::Nic, count: 8 };
    assert!(changes.contains(&eight), "{changes:?}");
    // Two NICs below the switch of one GPU: there is one.
    let two = DeviceWish { near: Policy::Require, ..nic(WishNumber::Count(2)) };
    let (facts, changes) = refused(two.clone(), GpuRequest::Addresses(addresses(&["1b:00.0"])));
    assert_eq!(facts[0], Fact::Lacks { property: Property::BesideGpus });
    let relax = Change::Relax { property: Property::BesideGpus };
    assert!(changes.contains(&relax), "{changes:?}");
    let preferred = DeviceWish { near: Policy::Prefer, ..two };
    let gpu = GpuRequest::Addresses(addresses(&["1b:00.0"]));
    let spec = RequestSpec { gpus: gpu, device_wishes: vec![preferred], ..vm(16, 64) };
    let request = spec.clone().build().unwrap();
    let answer = best(&host, &usage, spec);
    assert!(answer.unmet.contains(&Property::BesideGpus));
    let told = answer.warnings(Question::new(&host, &usage, &request));
    assert!(told.iter().any(|warning| matches!(warning, Warning::DeviceApart { .. })), "{told:?}");
}

#[test]
fn without_gpus_a_nic_is_on_a_node_of_the_vm() {
    let host = host("hgx-h200");
    let usage = Usage::empty(&host);
    for node in ["0", "1"] {
        let wish = DeviceWish { near: Policy::Require, ..nic(WishNumber::Count(2)) };
        let nodes = Some(node.parse().unwrap());
        let spec = RequestSpec { nodes, device_wishes: vec![wish], ..vm(8, 16) };
        let best = best(&host, &usage, spec);
        assert!(
            best.placement.devices.iter().all(|d| d.node == best.placement.nodes().iter().next())
        );
        assert_eq!(best.placement.devices.len(), 2);
    }
}

#[test]
fn a_kind_is_asked_for_once_and_a_named_device_is_not_chosen_again() {
    let twice = vec![nic(WishNumber::Count(1)), nic(WishNumber::PerGpu)];
    assert!(RequestSpec { device_wishes: twice, ..vm(4, 4) }.build().is_err());
    let host = host("hgx-h200");
    let usage = Usage::empty(&host);
    let named = addresses(&["1c:00.0"]);
    let spec = RequestSpec {
        gpus: GpuRequest::Addresses(addresses(&["1b:00.0"])),
        devices: named.clone(),
        device_wishes: vec![nic(WishNumber::Count(1))],
        ..vm(16, 64)
    };
    let (_, others) = given(&best(&host, &usage, spec).placement);
    assert_eq!(others.len(), 2);
    assert!(others.contains(&named[0]));
}

/// How near two functions are: 0 below one root port, then one root complex, one node, anything.
fn far(host: &Host, a: PciAddr, b: PciAddr) -> usize {
    match host.pci().common_bridge(a, b) {
        CommonBridge::Pix | CommonBridge::Pxb => 0,
        CommonBridge::Phb => 1,
        CommonBridge::Node => 2,
        CommonBridge::Sys => 3,
    }
}

/// The numbers of GPUs with a NIC at each distance: the most possible for the nearest, and so on.
fn nearest(host: &Host, gpus: &[PciAddr], nics: &[PciAddr]) -> [usize; 4] {
    let Some((gpu, gpus)) = gpus.split_first() else { return [0; 4] };
    let with = |at: usize| {
        let mut rest = nics.to_vec();
        let nic = rest.remove(at);
        let mut counts = nearest(host, gpus, &rest);
        counts[far(host, *gpu, nic)] += 1;
        counts
    };
    (0..nics.len()).map(with).max().unwrap_or([0; 4])
}

/// Two nodes of four cores with two root complexes each. Below every root port are up to three GPUs
/// and NICs, alone or behind a switch.
fn small(rng: &mut Rng) -> Host {
    let at = |bus, device| PciAddr { domain: 0, bus, device, function: 0 };
    let new = |address, class, parent, node| PciDevice {
        parent,
        node: Some(NodeId(node)),
        ..PciDevice::new(address, PciClass(class), PciId(0x10de), PciId(0x2330))
    };
    let (bridge, gpu, nic) = (0x06_0400, 0x03_0200, 0x02_0000);
    let mut devices = Vec::new();
    for (root, node) in [(0x00, 0), (0x40, 0), (0x80, 1), (0xc0, 1)] {
        let mut bus = root;
        for port in 1..=rng.between(0, 2) as u8 {
            let root_port = at(root, port);
            devices.push(new(root_port, bridge, None, node));
            let kind = |rng: &mut Rng| if rng.percent(50) { gpu } else { nic };
            bus += 1;
            if rng.percent(30) {
                devices.push(new(at(bus, 0), kind(rng), Some(root_port), node));
                continue;
            }
            let (upstream, below) = (at(bus, 0), bus + 1);
            devices.push(new(upstream, bridge, Some(root_port), node));
            bus += 1;
            for slot in 0..rng.between(1, 3) as u8 {
                devices.push(new(at(below, slot), bridge, Some(upstream), node));
                bus += 1;
                devices.push(new(at(bus, 0), kind(rng), Some(at(below, slot)), node));
            }
        }
    }
    let core = |n: u32| CoreSpec::new(PackageId(n / 4), n % 4, [PcpuId(n)].into_iter().collect());
    let node = |id: u32| {
        let cpus = (id * 4..id * 4 + 4).map(PcpuId).collect();
        NodeSpec::new(NodeId(id), cpus, Bytes::from_gib(16))
    };
    let (nodes, cores) = ((0..2).map(node).collect(), (0..8).map(core).collect());
    HostSpec { nodes, cores, devices, ..HostSpec::default() }.build().unwrap()
}

fn of_kind(host: &Host, kind: DeviceKind) -> Vec<PciAddr> {
    let all = host.pci().devices().iter().filter(|device| device.kind() == kind);
    all.map(|device| device.address).collect()
}

/// The devices are as near the chosen GPUs as brute force finds any, no device is in two places
/// (the checker says), and required nearness is refused only where no set of GPUs has it.
#[test]
fn the_chosen_devices_are_the_nearest_free_ones() {
    let (mut met, mut refused, mut kept) = ([0; 4], 0, 0);
    for seed in 0..300 {
        let host = small(&mut Rng::new(seed));
        let usage = Usage::empty(&host);
        let (all, free) = (of_kind(&host, DeviceKind::Gpu), of_kind(&host, DeviceKind::Nic));
        for count in 1..=2_u32.min(all.len() as u32) {
            let ask = |near| {
                let device_wishes = vec![DeviceWish { near, ..nic(WishNumber::PerGpu) }];
                let spec = RequestSpec { gpus: gpus(count), device_wishes, ..vm(2, 1) };
                let request = spec.build().unwrap();
                let question = Question::new(&host, &usage, &request);
                let placement = recommend(question).ok()?.best().placement.clone();
                assert_eq!(verify(question, &placement), Ok(()), "seed {seed}");
                Some(given(&placement))
            };
            if let Some((gpus, nics)) = ask(Policy::Prefer) {
                let found = nearest(&host, &gpus, &nics);
                assert_eq!(found, nearest(&host, &gpus, &free), "seed {seed}: {gpus:?} {nics:?}");
                (0..4).for_each(|at| met[at] += found[at]);
            } else {
                assert!(free.len() < count as usize, "seed {seed}");
            }
            let possible = all.iter().enumerate().any(|(at, first)| {
                let near = |gpus: &[PciAddr]| nearest(&host, gpus, &free)[0] == gpus.len();
                match count {
                    1 => near(&[*first]),
                    _ => all[at + 1..].iter().any(|second| near(&[*first, *second])),
                }
            });
            match ask(Policy::Require) {
                None => refused += 1,
                Some((gpus, nics)) => {
                    assert_eq!(nearest(&host, &gpus, &nics)[0], count as usize, "seed {seed}");
                    kept += 1;
                }
            }
            assert_eq!(ask(Policy::Require).is_some(), possible, "seed {seed} {count}");
        }
    }
    assert!(
        met.iter().all(|met| *met > 5) && refused > 20 && kept > 20,
        "{met:?} {refused} {kept}"
    );
}

#[test]
fn a_partition_is_named_and_told_and_unknown_partitions_promise_nothing() {
    let known = host("hgx-h200");
    let spec = || RequestSpec { gpus: gpus(2), peer_to_peer: Some(true), ..vm(16, 64) };
    let usage = Usage::empty(&known);
    let told = |host: &Host| {
        let best = best(host, &Usage::empty(host), spec());
        let request = spec().build().unwrap();
        let warnings = best.warnings(Question::new(host, &Usage::empty(host), &request));
        (best, warnings)
    };
    let (pair, warnings) = told(&known);
    let id = pair.placement.fabric_partition.unwrap();
    let (given, _) = given(&pair.placement);
    let partition = known.fabric_partitions().iter().find(|partition| partition.id == id);
    assert_eq!(partition.unwrap().gpus, given);
    assert!(warnings.contains(&Warning::ActivatePartition { id }));
    assert_eq!(pair.profile.gpu_path, GpuPath::Linked);
    let mut spec_of_host = known.description().clone();
    spec_of_host.fabric_partitions.clear();
    let unknown = spec_of_host.build().unwrap();
    let (pair, warnings) = told(&unknown);
    assert_eq!(pair.placement.fabric_partition, None);
    assert!(warnings.iter().any(|w| matches!(w, Warning::UntoldFabric { .. })), "{warnings:?}");
    assert!(pair.profile.gpu_path > GpuPath::Linked);
    // A VM that is given all NVSwitches runs the fabric manager itself.
    let switches: Vec<PciAddr> = unknown
        .pci()
        .devices()
        .iter()
        .filter(|device| device.class.0 >> 8 == 0x0680)
        .map(|device| device.address)
        .collect();
    let whole = RequestSpec { gpus: gpus(8), devices: switches, ..vm(16, 64) };
    let whole = best(&unknown, &usage, whole);
    assert_eq!(whole.profile.gpu_path, GpuPath::Linked);
}

#[test]
fn a_device_outside_of_the_vms_nodes_is_told() {
    let host = host("hgx-h200");
    let usage = Usage::empty(&host);
    let nodes = Some("0".parse().unwrap());
    let spec = RequestSpec { devices: addresses(&["9c:00.0"]), nodes, ..vm(8, 16) };
    let request = spec.clone().build().unwrap();
    let best = best(&host, &usage, spec);
    let told = best.warnings(Question::new(&host, &usage, &request));
    let expected = "device 0000:9c:00.0 is on node 1, outside of the VM's node 0";
    assert!(told.iter().any(|warning| warning.to_string() == expected), "{told:?}");
}

#[test]
fn within_a_larger_part_counts_as_near_where_the_request_says_so() {
    let host = host("hgx-h200");
    let usage = Usage::empty(&host);
    let wish = |within| DeviceWish { near: Policy::Require, within, ..nic(WishNumber::Count(2)) };
    let spec = |within| RequestSpec {
        gpus: GpuRequest::Addresses(addresses(&["1b:00.0"])),
        device_wishes: vec![wish(within)],
        ..vm(16, 64)
    };
    let (_, nics) = given(&best(&host, &usage, spec(Nearness::Node)).placement);
    assert!(nics.contains(&addresses(&["1c:00.0"])[0]) && nics.len() == 2);
}
