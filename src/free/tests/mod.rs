//! A property: every module that asks what is free gets the answer that the records give.
#![allow(clippy::cast_possible_truncation, reason = "tests draw small numbers")]

mod scene;

use std::collections::BTreeSet;

use super::{FreePages, FreePcpus, Isolation, bundle, gpus};
use crate::capacity::{Capacity, Shape, capacity};
use crate::engine::{Fact, GpuShare, Options, recommend};
use crate::fleet::{FleetHost, FleetOptions, HostRefusal, Shortfall, rank};
use crate::host::Host;
use crate::host::mask::GpuMask;
use crate::placement::Style;
use crate::question::Question;
use crate::rebalance::Step;
use crate::rebalance::repin;
use crate::request::{GpuRequest, Policies, Policy, Request, RequestSpec, Wish};
use crate::sets::CpuSet;
use crate::units::{Bytes, PageSize, PciAddr};
use crate::usage::{Claim, Usage};
use crate::warnings::Warning;
use scene::{Reading, SIZES, scene};

const CASES: u64 = 600;

fn each(mut check: impl FnMut(&Host, &Usage, &Reading<'_>)) {
    for seed in 0..CASES {
        let (host, usage) = scene(seed);
        let shown = format!("case {seed}");
        let reading = Reading { host: &host, usage: &usage };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check(&host, &usage, &reading);
        }));
        assert!(outcome.is_ok(), "{shown}: {host:?}\n{usage:?}");
    }
}

fn at(host: &Host, mask: GpuMask) -> BTreeSet<PciAddr> {
    mask.iter().map(|at| host.gpus()[at].address).collect()
}

/// A small VM that any host with a free core could hold.
fn small() -> RequestSpec {
    let policies = Policies { fabric_partition: Policy::Ignore, ..Policies::default() };
    RequestSpec { policies, ..RequestSpec::new("vm", 1, Bytes::from_mib(2)) }
}

/// The facts of the refusal of a request; none if it is not refused.
fn facts(host: &Host, usage: &Usage, request: &Request) -> Vec<Fact> {
    let answer = recommend(Question::new(host, usage, request));
    let rejected = answer.err().into_iter().flat_map(|refusal| refusal.rejected);
    rejected.flat_map(|rejection| rejection.facts).collect()
}

#[test]
fn the_definition_is_what_the_records_say() {
    let (mut held, mut companions, mut integrated, mut apart) = (0, 0, 0, 0);
    each(|host, usage, reading| {
        let free = FreePcpus::new(host, usage);
        for whole in [false, true] {
            let isolation = Isolation::whole(whole);
            let cores = reading.cores(whole);
            assert_eq!(free.count(host, isolation), cores.iter().sum::<u64>());
            for (at, core) in host.cores().iter().enumerate() {
                let own: Vec<_> = free.of_core(at, core, isolation).collect();
                assert_eq!(own.len() as u64, cores[at]);
                assert!(own.iter().all(|pcpu| reading.is_usable(*pcpu)));
                for (level, set) in (1..).zip(free.levels(isolation)) {
                    assert_eq!(set.contains(at), cores[at] >= level);
                }
                let is_whole = free.whole_cores().is_some_and(|set| set.contains(at));
                assert_eq!(is_whole, reading.cores(true)[at] > 0);
            }
        }
        assert_eq!(free.usable, super::pcpus::usable(host, usage));
        assert_eq!(free.for_emulators(host), reading.for_emulators());
        for size in SIZES {
            let pages = FreePages::new(host, usage, size);
            for (at, node) in host.nodes().iter().enumerate() {
                assert_eq!(pages.on_node[at], reading.pages_on(node, size));
            }
            assert_eq!(pages.in_all, reading.pages(size));
        }
        assert_eq!(at(host, gpus::unheld(host, usage)), reading.gpus(true));
        assert_eq!(at(host, gpus::free(host, usage)), reading.gpus(false));
        let mut tenants: Vec<_> =
            gpus::held_by_tenants(host, usage).into_iter().map(|mask| at(host, mask)).collect();
        let mut expected = reading.gpus_held();
        tenants.sort();
        expected.sort();
        assert_eq!(tenants, expected);
        for gpu in host.gpus() {
            let bundle: BTreeSet<PciAddr> = bundle(host, gpu.address).iter().copied().collect();
            assert_eq!(bundle, reading.bundle(gpu.address));
            let own = usage.holder_of(gpu.address).is_some();
            held += u32::from(own);
            companions += u32::from(!own && !reading.gpus(true).contains(&gpu.address));
            integrated += u32::from(gpu.integrated);
            apart += u32::from(bundle.len() == 1);
        }
    });
    assert!([held, companions, integrated, apart].iter().all(|count| *count > 50));
}

#[test]
fn refusals_say_how_much_is_free() {
    let (mut gpus_short, mut groups_taken, mut cores_short, mut pcpus_short, mut pages_short) =
        (0, 0, 0, 0, 0);
    each(|host, usage, reading| {
        for model in [None, Some(String::new()), Some("8086".to_owned())] {
            let named = model.clone();
            let wanted = GpuRequest::Count { count: 64, model };
            let request = RequestSpec { gpus: wanted, ..small() }.build().unwrap();
            let is_named = |gpu: &PciAddr| {
                let ids = host.pci().get(*gpu).map(|device| format!("{:04x}", device.vendor.0));
                named.as_ref().is_none_or(|model| ids.unwrap().contains(model))
            };
            let all = if named.is_some() { reading.gpus(true) } else { reading.candidates() };
            let (closed, free): (BTreeSet<_>, BTreeSet<_>) =
                all.into_iter().filter(is_named).partition(|gpu| reading.takes_nic(*gpu));
            let facts = facts(host, usage, &request);
            assert!(!facts.is_empty());
            let mut told_closed = BTreeSet::new();
            for fact in facts {
                match fact {
                    Fact::GpusShort { free: told, .. } => {
                        assert_eq!(told, free.len() as u32);
                        gpus_short += 1;
                    }
                    Fact::GroupTaken { address, taken, .. } => {
                        assert!(taken.iter().all(|one| one.class.0 == 0x02_0000));
                        told_closed.insert(address);
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(told_closed, closed);
            groups_taken += closed.len();
        }
        for whole in [Policy::Require, Policy::Ignore] {
            for (dedicated, smt) in
                [(Policy::Require, false), (Policy::Require, true), (Policy::Ignore, false)]
            {
                let policies =
                    Policies { whole_cores: whole, dedicated_cpus: dedicated, ..small().policies };
                let smt = Wish::Require(smt);
                let request = RequestSpec { vcpus: 64, smt, policies, ..small() };
                let cores = reading.cores(whole == Policy::Require);
                for fact in facts(host, usage, &request.build().unwrap()) {
                    let all = |nodes: &crate::sets::NodeSet| nodes.len() == host.nodes().len();
                    match fact {
                        Fact::CoresShort { nodes, threads, free, .. } if all(&nodes) => {
                            let with = |core: &&u64| **core >= u64::from(threads);
                            assert_eq!(free, cores.iter().filter(with).count() as u64);
                            cores_short += 1;
                        }
                        Fact::PcpusShort { nodes, free, .. } if all(&nodes) => {
                            assert_eq!(free, reading.open(false));
                            pcpus_short += 1;
                        }
                        _ => {}
                    }
                }
            }
        }
        for size in SIZES {
            let (page_size, memory) = (Some(size), size.times(4096));
            let request = RequestSpec { page_size, memory, ..small() }.build().unwrap();
            for fact in facts(host, usage, &request) {
                let Fact::PagesShort { nodes, free, page_size, .. } = fact else { continue };
                assert_eq!(page_size, size);
                let on = host.nodes().iter().filter(|node| nodes.contains(node.id));
                let sum = on.map(|node| reading.pages_on(node, size)).sum::<u64>();
                let all = nodes.len() == host.nodes().len();
                assert_eq!(free, if all { reading.pages(size) } else { sum });
                pages_short += 1;
            }
        }
    });
    let told = [gpus_short, groups_taken, cores_short, pcpus_short, pages_short];
    assert!(told.iter().all(|count| *count > 200), "{told:?}");
}

#[test]
fn slots_and_capacity_count_the_same_gpus_and_cores() {
    let mut slots = 0;
    each(|host, usage, reading| {
        let on_nodes = |gpu: &PciAddr| host.gpu(*gpu).is_some_and(|gpu| gpu.node.is_some());
        let free: BTreeSet<PciAddr> = reading.gpus(false).into_iter().filter(on_nodes).collect();
        // Slots of one GPU that need nothing else.
        let share = GpuShare { cores: 0, memory: Bytes::ZERO };
        let options = Options { gpu_share: Some(share), ..Options::default() };
        let request = small().build().unwrap();
        if let Ok(answer) = recommend(Question::new(host, usage, &request).with(&options)) {
            assert_eq!(answer.ranked[0].cost.slots_before[0], free.len() as u64);
            slots += 1;
        }
        // GPUs that go together are one VM's.
        let mut groups: Vec<BTreeSet<PciAddr>> = Vec::new();
        let offered = reading.candidates().into_iter().filter(|gpu| !reading.takes_nic(*gpu));
        let offered: BTreeSet<PciAddr> = offered.collect();
        for gpu in offered.iter().copied() {
            let mut group = reading.bundle(gpu);
            groups.retain(|other| {
                let joins = !other.is_disjoint(&group);
                group.extend(other.iter().filter(|_| joins));
                !joins
            });
            groups.push(group);
        }
        let on_nodes: BTreeSet<PciAddr> = offered.into_iter().filter(on_nodes).collect();
        let groups = groups.iter().filter(|group| !group.is_disjoint(&on_nodes)).count() as u64;
        let shape = Shape { gpus: 1, ..Shape::new(1, 0, Bytes::ZERO, PageSize::MIB_2) };
        assert_eq!(capacity(host, usage, &shape), Capacity::Exact(groups));
        for whole in [false, true] {
            let shape =
                Shape { whole_cores: whole, ..Shape::new(1, 1, Bytes::ZERO, PageSize::MIB_2) };
            let cores = reading.cores(whole);
            let vms = if whole {
                cores.iter().filter(|core| **core > 0).count() as u64
            } else {
                cores.iter().sum()
            };
            // One pCPU may have to be left for emulator threads.
            let found = capacity(host, usage, &shape);
            assert!(found.at_most() <= vms && vms <= found.at_least() + 1, "{found:?} {vms}");
        }
        for size in SIZES {
            let shape = Shape::new(1, 0, size.times(1), size);
            assert_eq!(capacity(host, usage, &shape), Capacity::Exact(reading.pages(size)));
        }
    });
    assert!(slots > 200, "{slots}");
}

#[test]
fn fleets_count_what_the_engine_counts() {
    let mut placed = 0;
    each(|host, usage, reading| {
        let fleet = [FleetHost::new(host, usage.clone())];
        let short = |request: RequestSpec| {
            let answer = rank(&fleet, &request.build().unwrap(), &FleetOptions::default());
            match answer.refused.first() {
                Some((0, HostRefusal::Short(short))) => *short,
                other => panic!("{other:?}"),
            }
        };
        let gpus = GpuRequest::Count { count: 64, model: None };
        let free = reading.candidates().len() as u64;
        let told = short(RequestSpec { gpus, ..small() });
        assert_eq!(told, Shortfall::Gpus { needed: 64, free });
        let gpus = GpuRequest::Count { count: 64, model: Some("2684".to_owned()) };
        let free = reading.gpus(true).len() as u64;
        let told = short(RequestSpec { gpus, ..small() });
        assert_eq!(told, Shortfall::Gpus { needed: 64, free });
        let free = reading.cores(false).iter().sum();
        let told = short(RequestSpec { vcpus: 64, ..small() });
        assert_eq!(told, Shortfall::Pcpus { needed: 64, free });
        for size in SIZES {
            let memory = size.times(4096);
            let policies = Policies { dedicated_cpus: Policy::Ignore, ..small().policies };
            let told = short(RequestSpec { page_size: Some(size), memory, policies, ..small() });
            let free = reading.pages(size);
            assert_eq!(told, Shortfall::Pages { page_size: size, needed: 4096, free });
        }
        // What remains beside a placement is what is free once it is claimed, but for GPUs that it
        // withholds.
        for (count, model) in [(0, None), (1, None), (1, Some("8086".to_owned()))] {
            let gpus = GpuRequest::Count { count, model };
            let request = RequestSpec { gpus, ..small() }.build().unwrap();
            let answer = rank(&fleet, &request, &FleetOptions::default());
            let Some(best) = answer.ranked.first() else { continue };
            let placement = &best.best.placement;
            let mut after = usage.clone();
            after.claim(host, "vm", placement.claim()).unwrap();
            let after = Reading { host, usage: &after };
            let withheld = placement.devices.iter().flat_map(|device| &device.withheld);
            let functions = placement.devices.iter().flat_map(|device| &device.functions);
            let others: BTreeSet<PciAddr> = withheld.chain(functions).copied().collect();
            let lost = |gpu: &PciAddr| !reading.bundle(*gpu).is_disjoint(&others);
            let given: BTreeSet<PciAddr> = placement.gpus().map(|gpu| gpu.address).collect();
            let kept = reading.gpus(false).into_iter().filter(|gpu| !given.contains(gpu));
            let lost = kept.filter(lost).count() as u64;
            assert_eq!(best.remaining.gpus, after.gpus(false).len() as u64 + lost);
            assert_eq!(best.remaining.pcpus, after.cores(false).iter().sum::<u64>());
            placed += 1;
        }
    });
    assert!(placed > 300, "{placed}");
}

#[test]
fn pages_are_stranded_where_no_usable_pcpu_is_left() {
    let mut warned = 0;
    each(|host, usage, reading| {
        let vcpus = reading.cores(true).iter().filter(|core| **core > 0).count() as u32;
        for vcpus in 1..=vcpus {
            let request = RequestSpec { vcpus, ..small() }.build().unwrap();
            let question = Question::new(host, usage, &request);
            let Ok(answer) = recommend(question) else { continue };
            for ranked in answer.ranked {
                let placement = &ranked.placement;
                if placement.style == Style::Default {
                    continue;
                }
                let own = placement.claim().dedicated;
                let left = |node: &crate::host::Node| {
                    node.cpus.iter().any(|pcpu| reading.is_usable(pcpu) && !own.contains(pcpu))
                };
                let mut after = usage.clone();
                after.claim(host, "vm", placement.claim()).unwrap();
                let after = Reading { host, usage: &after };
                let mut expected = BTreeSet::new();
                for node in host.nodes() {
                    if node.cpus.intersects(&own) && !left(node) {
                        let free = SIZES.map(|size| (node.id, size, after.pages_on(node, size)));
                        expected.extend(free.into_iter().filter(|(.., pages)| *pages > 0));
                    }
                }
                let stranded = |warning: &Warning| match warning {
                    Warning::StrandedPages { node, page_size, pages } => {
                        Some((*node, *page_size, *pages))
                    }
                    _ => None,
                };
                let warnings = ranked.warnings(question);
                let told: BTreeSet<_> = warnings.iter().filter_map(stranded).collect();
                warned += told.len();
                assert_eq!(told, expected);
            }
        }
    });
    assert!(warned > 100, "{warned}");
}

#[test]
fn running_vms_move_to_usable_pcpus() {
    let (mut moved, mut none) = (0, 0);
    each(|host, usage, _| {
        for (name, claim) in usage.tenants().filter(|(_, claim)| !claim.dedicated.is_empty()) {
            // Another VM has taken its first pCPU, so that it has to go.
            let mut without = usage.clone();
            without.release(name).unwrap();
            let dedicated = CpuSet::one(claim.dedicated.first().unwrap());
            let taken = Claim { dedicated, ..Claim::default() };
            without.claim(host, "newcomer", taken).unwrap();
            let reading = Reading { host, usage: &without };
            let Some(step) = repin(host, &without, name, claim, None) else {
                none += 1;
                continue;
            };
            let Step::Repin { moves, claim: after, .. } = step else { panic!("{step:?}") };
            assert_eq!(after.dedicated.len(), claim.dedicated.len());
            assert!(moves.iter().all(|(_, new)| reading.is_usable(*new)), "{moves:?}");
            moved += moves.len();
        }
    });
    assert!(moved > 100 && none > 10, "{moved} {none}");
}
