//! Physical and virtual functions (SR-IOV), mediated devices and MIG instances: who excludes whom,
//! and what a request for virtual functions is given. The hosts are the fixtures, which are
//! synthetic, with functions added.

use std::collections::{BTreeMap, BTreeSet};

use pinwise::capacity::{Shape, capacity};
use pinwise::changes::{Change, smallest_changes};
use pinwise::engine::Fact;
use pinwise::fleet::{FleetHost, FleetOptions, rank};
use pinwise::host::{PciClass, PciDevice, PciId};
use pinwise::rebalance::rebalance;
use pinwise::request::{DeviceWish, GpuRequest, WishKind, WishNumber};
use pinwise::usage::{ClaimError, OfferError, Taken};
use pinwise::{
    Bytes, Claim, Host, HostSpec, PageSize, PciAddr, Policy, Question, RequestSpec, Usage, emit,
    explain, recommend, verify,
};

use pinwise_discover::libvirt::request_of_domain;
use pinwise_testkit::common::{self, checked, these};
use pinwise_testkit::rng::Rng;
use pinwise_testkit::virtual_functions::{add, split};

fn at(text: &str) -> PciAddr {
    text.parse().unwrap()
}

/// The RTX PRO 6000 host with this number of virtual functions on each of its cards.
fn split_host(functions: u8) -> Host {
    let mut host = common::description("rtx-pro-6000");
    let gpus: Vec<PciAddr> = gpus_of(&host);
    gpus.iter().for_each(|gpu| add(&mut host, *gpu, functions));
    host.build().unwrap()
}

fn gpus_of(host: &HostSpec) -> Vec<PciAddr> {
    host.clone().build().unwrap().gpus().iter().map(|gpu| gpu.address).collect()
}

fn virtual_functions(count: u32) -> RequestSpec {
    let gpus = GpuRequest::VfOf { count, model: None };
    RequestSpec { gpus, ..common::vm(4, 16) }
}

fn whole(count: u32) -> RequestSpec {
    RequestSpec { gpus: GpuRequest::Count { count, model: None }, ..common::vm(4, 16) }
}

fn named(addresses: &[PciAddr]) -> RequestSpec {
    RequestSpec { gpus: GpuRequest::Addresses(addresses.to_vec()), ..common::vm(4, 16) }
}

fn devices(addresses: &[PciAddr]) -> Claim {
    Claim { devices: addresses.to_vec(), ..Claim::default() }
}

fn held(host: &Host, claims: &[(&str, Claim)]) -> Usage {
    let mut usage = Usage::empty(host);
    for (name, claim) in claims {
        usage.claim(host, name, claim.clone()).unwrap();
    }
    usage
}

/// The GPUs of the best placement, which the checker has seen.
fn given(host: &Host, usage: &Usage, request: &RequestSpec) -> Vec<PciAddr> {
    let answer = common::ask_with(host, usage, request, &pinwise::Options::default()).unwrap();
    answer.best().placement.gpus().map(|gpu| gpu.address).collect()
}

/// The facts of a refusal, which are those of every style.
fn refused(host: &Host, usage: &Usage, request: &RequestSpec) -> Vec<Fact> {
    let request = checked(request);
    let refusal = recommend(Question::new(host, usage, &request)).unwrap_err();
    refusal.rejected[0].facts.clone()
}

fn functions_of(host: &Host, gpu: usize) -> Vec<PciAddr> {
    host.pci().virtual_functions_of(host.gpus()[gpu].address).to_vec()
}

#[test]
fn a_named_virtual_function_is_placed_on_the_node_of_its_card() {
    let host = split_host(8);
    for gpu in [0, host.gpus().len() - 1] {
        let function = functions_of(&host, gpu)[3];
        let answer = common::ask(&host, &named(&[function])).unwrap();
        let best = answer.best();
        assert_eq!(best.placement.devices[0].address, function);
        assert_eq!(best.placement.devices[0].node, host.gpus()[gpu].node);
        assert!(best.profile.gpus_local());
        assert_eq!(best.placement.claim().devices, [function], "it has no companions");
    }
}

#[test]
fn a_card_and_its_virtual_functions_exclude_each_other() {
    let host = split_host(8);
    let (card, functions) = (host.gpus()[0].address, functions_of(&host, 0));
    let usage = held(&host, &[("a", devices(&[functions[2]]))]);
    let (function, share, holder) = (functions[2], false, "a".to_owned());
    let fact = Fact::FunctionHeld { address: card, function, share, holder: holder.clone() };
    assert_eq!(refused(&host, &usage, &named(&[card])), std::slice::from_ref(&fact));
    assert_eq!(
        fact.to_string(),
        format!(
            "device {card} is not free: {function} is held by \"a\", and a physical function and \
             its virtual functions exclude each other (SR-IOV)"
        )
    );
    assert_eq!(given(&host, &usage, &named(&[functions[3]])), [functions[3]]);
    let error = usage.clone().claim(&host, "b", devices(&[card])).unwrap_err();
    let tenant = "b".to_owned();
    assert_eq!(error, ClaimError::Excluded { tenant, address: card, other: function, holder });

    let usage = held(&host, &[("p", devices(&[card]))]);
    let holder = "p".to_owned();
    let fact = Fact::FunctionHeld { address: functions[0], function: card, share, holder };
    assert_eq!(refused(&host, &usage, &named(&[functions[0]])), [fact]);
    assert!(usage.clone().claim(&host, "b", devices(&[functions[7]])).is_err());
    // Both in one request.
    let fact = Fact::FunctionsExclude { physical: card, function };
    assert_eq!(refused(&host, &Usage::empty(&host), &named(&[card, function])), [fact]);
}

#[test]
fn by_number_only_cards_without_virtual_functions_are_given() {
    let mut host = common::description("rtx-pro-6000");
    let gpus = gpus_of(&host);
    add(&mut host, gpus[0], 4);
    let host = host.build().unwrap();
    let usage = Usage::empty(&host);
    let all = u32::try_from(gpus.len()).unwrap();
    let one_less =
        RequestSpec { gpus: GpuRequest::Count { count: all - 1, model: None }, ..whole(0) };
    assert_eq!(given(&host, &usage, &one_less), gpus[1..]);
    let facts = refused(&host, &usage, &whole(all));
    let short = Fact::GpusShort { needed: all, free: all - 1, total: all, model: None };
    assert_eq!(facts, [short, Fact::GpusSplit { gpus: 1, functions: 4 }]);
    // By address it is given, and the other VMs' loss is told.
    let answer = common::ask(&host, &named(&gpus[..1])).unwrap();
    let request = checked(&named(&gpus[..1]));
    let text = explain(Question::new(&host, &usage, &request), &answer);
    assert!(text.contains("has virtual functions (SR-IOV, 4 in all)"), "{text}");
    let request = checked(&whole(all));
    let question = Question::new(&host, &usage, &request);
    assert!(!smallest_changes(question).contains(&Change::VirtualFunctions { count: all }));
    let host = split_host(4);
    let (usage, request) = (Usage::empty(&host), checked(&whole(1)));
    let changes = smallest_changes(Question::new(&host, &usage, &request));
    assert!(changes.contains(&Change::VirtualFunctions { count: 1 }), "{changes:?}");
    // The other way round, where no card is split.
    let host = common::host("rtx-pro-6000");
    let (usage, request) = (Usage::empty(&host), checked(&virtual_functions(1)));
    let changes = smallest_changes(Question::new(&host, &usage, &request));
    assert!(changes.contains(&Change::WholeGpus { count: 1 }), "{changes:?}");
}

#[test]
fn by_number_virtual_functions_come_from_one_card_near_the_vm() {
    let host = split_host(8);
    let usage = Usage::empty(&host);
    for count in 1..=8 {
        let given = given(&host, &usage, &virtual_functions(count));
        assert_eq!(given, functions_of(&host, 0)[..count as usize]);
    }
    // Where one card has too few left, another has enough.
    let usage = held(&host, &[("a", devices(&functions_of(&host, 0)[..7]))]);
    assert_eq!(given(&host, &usage, &virtual_functions(2)), functions_of(&host, 1)[..2]);
    assert_eq!(given(&host, &usage, &virtual_functions(1)), functions_of(&host, 0)[7..]);
    let model = |model: &str| {
        let model = Some(model.to_owned());
        RequestSpec { gpus: GpuRequest::VfOf { count: 1, model }, ..common::vm(4, 16) }
    };
    assert_eq!(given(&host, &usage, &model("rtx pro")).len(), 1);
    let total = 8 * u32::try_from(host.gpus().len()).unwrap();
    let short = |needed, free, total, model: Option<&str>| Fact::VfsShort {
        needed,
        free,
        total,
        model: model.map(str::to_owned),
    };
    assert_eq!(refused(&host, &usage, &model("h100")), [short(1, 0, 0, Some("h100"))]);
    let cards: Vec<PciAddr> = host.gpus().iter().map(|gpu| gpu.address).collect();
    let usage = held(&host, &[("a", devices(&cards))]);
    assert_eq!(refused(&host, &usage, &virtual_functions(2)), [short(2, 0, total, None)]);
    let too_many = virtual_functions(9).build().unwrap_err().to_string();
    assert_eq!(too_many, "the number of virtual functions is 9, but must be between 0 and 8");
}

#[test]
fn eight_cards_with_48_functions_each_leave_one_after_the_other() {
    let mut description = common::description("hgx-h200");
    for gpu in gpus_of(&description) {
        add(&mut description, gpu, 48);
    }
    let host = description.build().unwrap();
    assert_eq!(host.gpus().len(), 8);
    let usage = Usage::empty(&host);
    for count in 1..=8 {
        let request = RequestSpec {
            policies: pinwise::Policies { gpu_locality: Policy::Require, ..Default::default() },
            ..virtual_functions(count)
        };
        let answer = common::ask_with(&host, &usage, &request, &Default::default()).unwrap();
        assert!(!answer.cut, "{count}");
        assert_eq!(answer.best().placement.gpus().count(), count as usize);
    }
    // All but one of the last card are held: that one is found.
    let all: Vec<PciAddr> = (0..8).flat_map(|gpu| functions_of(&host, gpu)).collect();
    assert_eq!(all.len(), 384);
    let last = functions_of(&host, 7)[20];
    let others: Vec<PciAddr> = all.into_iter().filter(|function| *function != last).collect();
    let usage = held(&host, &[("a", devices(&others))]);
    assert_eq!(given(&host, &usage, &virtual_functions(1)), [last]);
    let free = Fact::VfsShort { needed: 2, free: 1, total: 384, model: None };
    assert_eq!(refused(&host, &usage, &virtual_functions(2)), [free]);
}

#[test]
fn the_functions_of_a_network_card_are_devices_that_exclude_each_other() {
    let mut description = common::description("rtx-4080");
    let address = at("05:00.0");
    let nic = PciDevice::new(address, PciClass(0x02_00_00), PciId(0x8086), PciId(0x1592));
    description.devices.push(nic);
    add(&mut description, address, 64);
    let host = description.build().unwrap();
    let function = host.pci().virtual_functions_of(address)[5];
    let request = |device| RequestSpec { devices: vec![device], ..common::vm(4, 8) };
    let usage = held(&host, &[("a", devices(&[function]))]);
    assert!(matches!(refused(&host, &usage, &request(address))[..], [Fact::FunctionHeld { .. }]));
    let other = host.pci().virtual_functions_of(address)[6];
    let answer = common::ask_with(&host, &usage, &request(other), &Default::default()).unwrap();
    assert_eq!(answer.best().placement.claim().devices, [other]);
    let none = refused(&host, &usage, &virtual_functions(1));
    assert_eq!(none, [Fact::VfsShort { needed: 1, free: 0, total: 0, model: None }]);
}

#[test]
fn virtual_functions_of_one_slot_are_cards_of_their_own_for_the_guest() {
    let host = split_host(8);
    let answer = common::ask(&host, &virtual_functions(3)).unwrap();
    let placement = &answer.best().placement;
    assert_eq!(placement.pci.ports.len(), 3);
    assert!(placement.pci.functions.iter().all(|f| f.function == 0 && !f.multifunction));
    let xml = emit::libvirt::fragments(placement).unwrap();
    assert_eq!(xml.matches("<hostdev").count(), 3);
}

#[test]
fn an_offer_is_refused_if_its_card_was_split_meanwhile() {
    let host = split_host(8);
    let mut usage = Usage::empty(&host);
    let (card, function) = (host.gpus()[0].address, functions_of(&host, 0)[0]);
    let request = checked(&named(&[card]));
    let question = Question::new(&host, &usage, &request);
    let offer = question.offer(&recommend(question).unwrap().best().placement);
    usage.claim(&host, "a", devices(&[function])).unwrap();
    let Err(OfferError::Taken { taken, .. }) = usage.accept(&host, &offer) else {
        panic!("a virtual function is held")
    };
    let [Taken::Excluded { address, other, .. }] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!((*address, *other), (card, function));
    usage.release("a").unwrap();
    usage.accept(&host, &offer).unwrap();
    let request = checked(&virtual_functions(1));
    let given = recommend(Question::new(&host, &usage, &request)).unwrap();
    let given = given.best().placement.devices[0].address;
    assert!(!functions_of(&host, 0).contains(&given), "the card has all of its functions");
}

#[test]
fn mediated_devices_keep_their_parent_and_only_that_if_it_is_known() {
    let mut description = common::description("rtx-pro-6000");
    description.devices.iter_mut().for_each(|device| device.driver = None);
    let gpus = gpus_of(&description);
    let all = u32::try_from(gpus.len()).unwrap();
    let share = |parent| Claim { mediated: vec![parent], ..Claim::default() };
    let host = description.clone().build().unwrap();
    let usage = held(&host, &[("a", share(Some(gpus[0]))), ("b", share(Some(gpus[0])))]);
    assert_eq!(given(&host, &usage, &whole(all - 1)), gpus[1..]);
    let (address, holder) = (gpus[0], "a".to_owned());
    let fact = Fact::FunctionHeld { address, function: address, share: true, holder };
    assert_eq!(refused(&host, &usage, &named(&gpus[..1])), [fact]);
    let error = usage.clone().claim(&host, "c", devices(&gpus[..1])).unwrap_err().to_string();
    assert!(error.contains("which cannot be used beside"), "{error}");
    // Shares of a card that another VM has are impossible.
    let taken = held(&host, &[("p", devices(&gpus[..1]))]);
    assert!(taken.clone().claim(&host, "a", share(Some(gpus[0]))).is_err());

    // The parent is unknown, and may be any.
    let usage = held(&host, &[("a", share(None))]);
    let tenants = vec!["a".to_owned()];
    let facts = refused(&host, &usage, &whole(1));
    let short = Fact::GpusShort { needed: 1, free: 0, total: all, model: None };
    assert_eq!(facts, [short, Fact::GpusUnsure { gpus: all, tenants: tenants.clone() }]);
    let request = checked(&named(&gpus[..1]));
    let question = Question::new(&host, &usage, &request);
    let answer = recommend(question).unwrap();
    let told = pinwise::Warning::MayBeShared { address: gpus[0], tenants };
    assert!(answer.best().warnings(question).contains(&told));
    assert_eq!(capacity(&host, &usage, &gpu_shape()).exact(), Some(0));

    // Only one card serves any; vfio-pci serves none.
    let of_last = |device: &mut PciDevice| device.address == gpus[gpus.len() - 1];
    let last = description.devices.iter_mut().find_map(|d| of_last(d).then_some(d)).unwrap();
    last.mediated = Some(Vec::new());
    let host = description.clone().build().unwrap();
    assert_eq!(given(&host, &usage, &whole(all - 1)), gpus[..gpus.len() - 1]);
    for device in &mut description.devices {
        device.mediated = None;
        device.driver = Some("vfio-pci".to_owned());
    }
    let host = description.build().unwrap();
    assert_eq!(given(&host, &usage, &whole(all)), gpus);
}

fn gpu_shape() -> Shape {
    Shape { gpus: 1, ..Shape::new(1, 2, Bytes::from_gib(2), PageSize::GIB_1) }
}

#[test]
fn a_divided_card_is_given_with_a_warning() {
    let mut description = common::description("rtx-pro-6000");
    let gpu = gpus_of(&description)[0];
    let mut devices = description.devices.iter_mut();
    devices.find(|device| device.address == gpu).unwrap().mig_instances = Some(3);
    let host = description.build().unwrap();
    let (usage, request) = (Usage::empty(&host), checked(&named(&[gpu])));
    let question = Question::new(&host, &usage, &request);
    let text = explain(question, &recommend(question).unwrap());
    assert!(text.contains("is divided into 3 MIG instances"), "{text}");
}

#[test]
fn capacity_counts_virtual_functions_and_not_the_cards_that_have_them() {
    let host = split_host(2);
    let usage = Usage::empty(&host);
    let shape =
        Shape { virtual_functions: 1, ..Shape::new(1, 1, Bytes::from_gib(1), PageSize::GIB_1) };
    let cards = host.gpus().len() as u64;
    let count = |usage: &Usage, shape: &Shape| capacity(&host, usage, shape).exact();
    assert_eq!(count(&usage, &gpu_shape()), Some(0));
    assert_eq!(count(&usage, &shape), Some(2 * cards));
    let usage = held(
        &host,
        &[("p", devices(&[host.gpus()[0].address])), ("a", devices(&functions_of(&host, 1)[..1]))],
    );
    assert_eq!(count(&usage, &shape), Some(2 * cards - 3));
}

#[test]
fn a_fleet_and_a_rebalance_know_who_excludes_whom() {
    let host = split_host(1);
    let cards: Vec<PciAddr> = host.gpus().iter().map(|gpu| gpu.address).collect();
    let full = held(&host, &[("p", devices(&cards))]);
    let some = held(&host, &[("p", devices(&cards[1..]))]);
    let hosts = [FleetHost::new(&host, full), FleetHost::new(&host, some)];
    let request = checked(&virtual_functions(1));
    let answer = rank(&hosts, &request, &FleetOptions::default());
    let ranked: Vec<usize> = answer.ranked.iter().map(|ranked| ranked.host).collect();
    assert_eq!(ranked, [1]);

    // The VM with the virtual function goes to another card's.
    let other = checked(&RequestSpec { name: "a".to_owned(), ..virtual_functions(1) });
    let mut usage = Usage::empty(&host);
    let placement =
        recommend(Question::new(&host, &usage, &other)).unwrap().best().placement.clone();
    usage.claim(&host, "a", placement.claim()).unwrap();
    let request = checked(&named(&cards[..1]));
    let advice = rebalance(Question::new(&host, &usage, &request), &[other]).unwrap();
    let after = advice.after(&host, &usage).unwrap();
    assert_ne!(after.claim_of("a").unwrap().devices, placement.claim().devices);
}

/// No function is in two places: held twice, or held beside a function that excludes it.
fn is_apart(host: &Host, usage: &Usage) -> Result<(), String> {
    let mut holders: BTreeMap<PciAddr, &str> = BTreeMap::new();
    for (name, claim) in usage.tenants() {
        for device in &claim.devices {
            if let Some(other) = holders.insert(*device, name) {
                return Err(format!("{device} is held by {name} and {other}"));
            }
        }
    }
    for record in host.pci().devices() {
        let Some(physical) = record.physical_function else { continue };
        if let (Some(a), Some(b)) = (holders.get(&record.address), holders.get(&physical)) {
            if a != b {
                return Err(format!("{} is held by {a}, {physical} by {b}", record.address));
            }
        }
    }
    for (name, claim) in usage.tenants() {
        for parent in claim.mediated.iter().flatten() {
            if let Some(holder) = holders.get(parent) {
                return Err(format!("{name} has a share of {parent}, which {holder} holds"));
            }
        }
    }
    Ok(())
}

#[test]
fn no_function_is_ever_in_two_places() {
    let names = ["rtx-pro-6000", "hgx-h200", "mi350x"];
    let (mut placed, mut refused, mut virtual_placed) = (0, 0, 0);
    for seed in 0..24 {
        let mut rng = Rng::new(seed);
        let mut description = common::description(names[seed as usize % 3]);
        let most = rng.pick(&[0, 1, 2, 8, 32, 64]);
        split(&mut rng, &mut description, most);
        let host = description.build().unwrap();
        let mut usage = Usage::empty(&host);
        for number in 0..12 {
            let gpus: Vec<PciAddr> = host.gpus().iter().map(|gpu| gpu.address).collect();
            let card = rng.pick(&gpus);
            let functions = host.pci().virtual_functions_of(card);
            let count = rng.between(1, 4) as u32;
            let request = match rng.below(5) {
                0 => whole(count.min(2)),
                1 => named(&[card]),
                2 if !functions.is_empty() => named(&[rng.pick(functions)]),
                _ => virtual_functions(count),
            };
            let request = checked(&RequestSpec { name: format!("vm{number}"), ..request });
            let question = Question::new(&host, &usage, &request);
            match recommend(question) {
                Ok(answer) => {
                    let placement = &answer.best().placement;
                    verify(question, placement).unwrap();
                    let seen: BTreeSet<_> = placement.claim().devices.into_iter().collect();
                    let is_virtual =
                        |at: &&PciAddr| host.pci().get(**at).unwrap().physical_function.is_some();
                    virtual_placed += seen.iter().filter(is_virtual).count();
                    let offer = question.offer(placement);
                    usage.accept(&host, &offer).unwrap();
                    placed += 1;
                }
                Err(refusal) => {
                    assert!(refusal.rejected.iter().all(|rejected| !rejected.facts.is_empty()));
                    refused += 1;
                }
            }
            is_apart(&host, &usage).unwrap();
            if rng.percent(25) {
                let name = usage.tenants().next().map(|(name, _)| name.to_owned());
                name.iter().for_each(|name| drop(usage.release(name)));
            }
        }
    }
    println!("{placed} placed, {virtual_placed} virtual functions given, {refused} refused");
    assert!(placed > 80 && virtual_placed > 80 && refused > 10);
}

#[test]
fn named_virtual_functions_may_be_mixed_with_whole_cards() {
    let host = split_host(8);
    let (card, function) = (host.gpus()[0].address, functions_of(&host, 1)[0]);
    let mut both = given(&host, &Usage::empty(&host), &named(&[function, card]));
    both.sort_unstable();
    let mut wanted = vec![card, function];
    wanted.sort_unstable();
    assert_eq!(both, wanted);
    assert!(matches!(these(&["1:0.0"]), GpuRequest::Addresses(_)));
}

#[test]
fn a_domain_with_a_virtual_function_of_a_gpu_asks_for_it_as_a_gpu() {
    let host = split_host(2);
    let function = functions_of(&host, 0)[1];
    let PciAddr { bus, device, function: number, .. } = function;
    let xml = format!(
        "<domain type='kvm'><name>vm</name><memory unit='GiB'>4</memory><vcpu>4</vcpu><devices>\
         <hostdev mode='subsystem' type='pci'><source><address domain='0' bus='{bus}' \
         slot='{device}' function='{number}'/></source></hostdev></devices></domain>"
    );
    let of_domain = request_of_domain(&host, &xml).unwrap();
    assert_eq!(of_domain.request.gpus, GpuRequest::Addresses(vec![function]));
    assert_eq!((of_domain.request.devices, of_domain.gpu_functions), (vec![], vec![function]));
}

#[test]
fn a_nic_beside_a_virtual_function_of_a_gpu_is_below_the_switch_of_its_card() {
    let mut host = common::description("hgx-h200");
    gpus_of(&host).into_iter().for_each(|gpu| add(&mut host, gpu, 2));
    for at in 0..host.devices.len() {
        if let Some(physical) = host.devices[at].physical_function {
            let parent = host.devices.iter().find(|device| device.address == physical);
            host.devices[at].parent = parent.and_then(|physical| physical.parent);
        }
    }
    let host = host.build().unwrap();
    let wish =
        DeviceWish { near: Policy::Require, ..DeviceWish::new(WishKind::Nic, WishNumber::PerGpu) };
    let request = RequestSpec { device_wishes: vec![wish], ..virtual_functions(1) };
    let usage = Usage::empty(&host);
    let answer = common::ask_with(&host, &usage, &request, &pinwise::Options::default()).unwrap();
    let devices = &answer.best().placement.devices;
    let [gpu, nic] = [true, false]
        .map(|gpu| devices.iter().find(|device| device.is_gpu == gpu).unwrap().address);
    assert!(host.pci().get(gpu).unwrap().physical_function.is_some());
    assert_eq!(host.pci().switch_of(gpu), host.pci().switch_of(nic));
}

#[test]
fn a_virtual_function_of_a_named_nic_is_not_chosen_by_kind() {
    let mut host = common::description("rtx-pro-6000");
    let is_nic = |device: &&PciDevice| device.class.0 >> 16 == 2;
    let nics: Vec<PciAddr> = host.devices.iter().filter(is_nic).map(|nic| nic.address).collect();
    nics.iter().for_each(|nic| add(&mut host, *nic, 1));
    let host = host.build().unwrap();
    let wish = DeviceWish::new(WishKind::Nic, WishNumber::Count(1));
    let request = RequestSpec { device_wishes: vec![wish], devices: nics, ..common::vm(4, 16) };
    let facts = refused(&host, &Usage::empty(&host), &request);
    assert!(matches!(facts[0], Fact::DevicesShort { needed: 1, free: 0, .. }), "{facts:?}");
}
