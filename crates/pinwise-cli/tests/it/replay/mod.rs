//! Claims about replayed traces: what is decided can be, and little is refused that could be
//! placed. The hosts and VMs are synthetic, made here.

mod joint;
mod policies;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use pinwise::units::{NodeId, PcpuId};
use pinwise::usage::PageClaim;
use pinwise::{Bytes, Claim, CpuSet, PageSize, PciAddr, Usage};
use pinwise_discover::read_placement_host;
use serde_json::{Value, json};

use crate::program::{file, pinwise, status, text};

/// Two packages of `nodes / 2` nodes, `cores` cores a node with two siblings each, 8 cores an L3
/// domain, 8 GPUs in switch pairs.
fn template(nodes: u32, cores: u32) -> Value {
    let all = nodes * cores;
    let range = |first: u32, count: u32| {
        format!("{first}-{},{}-{}", first + count - 1, first + all, first + all + count - 1)
    };
    let of_node = |id: u32| {
        let distance = |to| {
            if to == id {
                10
            } else if to / (nodes / 2) == id / (nodes / 2) {
                12
            } else {
                32
            }
        };
        let pages = u64::from(921_600 * 2 / nodes) / 2;
        json!({"id": id, "socket": id / (nodes / 2), "cpus": range(id * cores, cores),
            "memory_mib": 2_048_000 / nodes, "distances": (0..nodes).map(distance).collect::<Vec<_>>(),
            "mempages": [{"size_kib": 4, "total": 1024}, {"size_kib": 2048, "total": pages}]})
    };
    let switch = |n: u32| json!({"id": format!("sw{n}"), "node": n * nodes / 4});
    let gpu = |n: u32| {
        json!({"id": format!("gpu{n}"), "address": format!("0000:{:02x}:00.0", 16 + 8 * n),
            "node": n / 2 * nodes / 4, "switch": format!("sw{}", n / 2), "product_id": "2330"})
    };
    json!({"format": "placement-host/1", "name": "made", "sockets": 2,
        "nodes": (0..nodes).map(of_node).collect::<Vec<_>>(),
        "cores": (0..all).map(|core| [core, core + all]).collect::<Vec<_>>(),
        "l3": (0..all / 8).map(|n| range(n * 8, 8)).collect::<Vec<_>>(),
        "switches": (0..4).map(switch).collect::<Vec<_>>(),
        "gpus": (0..8).map(gpu).collect::<Vec<_>>(), "tenants": []})
}

fn a_vm(id: &str, gpus: u32, vcpus: u32, memory_mib: u64) -> Value {
    json!({"format": "placement-vm/1", "id": id, "vcpus": vcpus, "memory_mib": memory_mib,
        "gpus": gpus, "guest_cells": "auto", "allowed_cells": [1, 2, 4, 8], "page_kib": 2048,
        "cpu_policy": "dedicated", "thread_policy": "prefer", "gpu_numa": "required"})
}

/// A small generator: the next number below `n`.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    /// A VM with 0, 1, 2, 4 or 8 GPUs, of 14 vCPUs and 200 GiB each, or a small one without.
    fn vm(&mut self, id: &str) -> Value {
        match self.below(100) {
            0..20 => {
                let vcpus = 2 << self.below(3);
                a_vm(id, 0, vcpus, u64::from(vcpus) * 4096)
            }
            n => {
                let gpus = match n {
                    20..58 => 1,
                    58..76 => 2,
                    76..91 => 4,
                    _ => 8,
                };
                a_vm(id, gpus, 14 * gpus, 204_800 * u64::from(gpus))
            }
        }
    }
}

fn a_trace(templates: &[(&str, Value)], fleet: &[&str], events: Vec<Value>) -> String {
    let hosts = fleet.iter().enumerate();
    let hosts = hosts.map(|(n, t)| json!({"host": format!("h{n}"), "template": t}));
    let templates: BTreeMap<_, _> = templates.iter().cloned().collect();
    json!({"format": "placement-trace/1", "name": "made", "seed": 1, "templates": templates,
        "fleet": hosts.collect::<Vec<_>>(), "events": events})
    .to_string()
}

fn arrivals(seed: u64, count: u32) -> Vec<Value> {
    let mut rng = Rng(seed);
    let arrive = |n| json!({"t": n, "op": "arrive", "vm": rng.vm(&format!("vm{n}"))});
    (0..count).map(arrive).collect()
}

/// Runs a subcommand on a file with this text, which is removed afterwards.
fn run(subcommand: &[&str], input: &str, more: &[&str]) -> std::process::Output {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let input = file(&format!("replay-{}.json", COUNT.fetch_add(1, Relaxed)), input);
    let output = pinwise(&[subcommand, &[input.to_str().unwrap()], more].concat());
    std::fs::remove_file(input).unwrap();
    output
}

fn decisions(trace: &str, bin: &str) -> Vec<Value> {
    let output = run(&["simulate"], trace, &["--bin", bin]);
    assert_eq!(status(&output), 0, "{}", text(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["format"], "placement-result/1");
    result["decisions"].as_array().unwrap().clone()
}

/// What a decision takes, read from its text alone.
fn claim_of(decision: &Value, gpus: &BTreeMap<String, PciAddr>) -> (Claim, Vec<NodeId>) {
    let (mut claim, mut nodes) = (Claim::default(), Vec::new());
    for cell in decision["cells"].as_array().unwrap() {
        let node = NodeId(u32::try_from(cell["node"].as_u64().unwrap()).unwrap());
        let size = PageSize::from_kib(cell["page_kib"].as_u64().unwrap()).unwrap();
        let count = size.pages_in(Bytes::from_mib(cell["memory_mib"].as_u64().unwrap())).unwrap();
        for pcpu in cell["pins"].as_object().unwrap().values() {
            let pcpu = PcpuId(u32::try_from(pcpu.as_u64().unwrap()).unwrap());
            assert!(claim.dedicated.insert(pcpu), "{pcpu} twice: {decision}");
        }
        claim.pages.push(PageClaim { node: Some(node), page_size: size, count });
        nodes.push(node);
    }
    let named = decision["gpus"].as_array().unwrap().iter();
    claim.devices = named.map(|id| gpus[id.as_str().unwrap()]).collect();
    (claim, nodes)
}

#[test]
fn every_decision_can_be_and_every_gpu_is_local() {
    let mut events = arrivals(3, 60);
    for n in (0..60).step_by(3) {
        events.push(json!({"t": 100 + n, "op": "depart", "id": format!("vm{n}")}));
    }
    let later = arrivals(4, 40).into_iter().map(|mut event| {
        event["vm"]["id"] = format!("late-{}", event["vm"]["id"].as_str().unwrap()).into();
        event
    });
    events.extend(later);
    let templates = [("two", template(2, 32)), ("four", template(4, 24))];
    let fleet = ["two", "four", "four", "two", "two"];
    let text = a_trace(&templates, &fleet, events.clone());
    for bin in ["best-fit", "first-fit", "spread"] {
        let decided = decisions(&text, bin);
        let again = decisions(&text, bin);
        let plain = |d: &Value| (d["host"].clone(), d["cells"].clone(), d["gpus"].clone());
        assert!(decided.iter().map(plain).eq(again.iter().map(plain)), "{bin}: the same twice");
        check(&templates, &fleet, &events, &decided);
    }
}

/// Replays decisions without the engine: nothing is used twice, all is on its node, cells are
/// alike.
fn check(templates: &[(&str, Value)], fleet: &[&str], events: &[Value], decided: &[Value]) {
    let read = |(name, value): &(&str, Value)| {
        let described = read_placement_host(&value.to_string()).unwrap();
        ((*name).to_owned(), (described.host.clone().build().unwrap(), described.gpus))
    };
    let kinds: BTreeMap<String, _> = templates.iter().map(read).collect();
    let mut usages: Vec<Usage> = fleet.iter().map(|kind| Usage::empty(&kinds[*kind].0)).collect();
    let mut on: BTreeMap<String, usize> = BTreeMap::new();
    let (mut next, mut placed) = (decided.iter(), 0);
    for event in events {
        if event["op"] == "depart" {
            let id = event["id"].as_str().unwrap();
            if let Some(at) = on.remove(id) {
                usages[at].release(id).unwrap();
            }
            continue;
        }
        let (vm, decision) = (&event["vm"], next.next().unwrap());
        assert_eq!(vm["id"], decision["id"]);
        let Some(name) = decision["host"].as_str() else { continue };
        let at: usize = name[1..].parse().unwrap();
        let (host, gpus) = &kinds[fleet[at]];
        let (claim, nodes) = claim_of(decision, gpus);
        assert_eq!(claim.dedicated.len() as u64, vm["vcpus"].as_u64().unwrap());
        assert_eq!(claim.devices.len() as u64, vm["gpus"].as_u64().unwrap());
        for gpu in &claim.devices {
            assert!(nodes.contains(&host.gpu(*gpu).unwrap().node.unwrap()), "{decision}");
        }
        let mut here = CpuSet::new();
        for node in &nodes {
            here.extend(&host.node(*node).unwrap().cpus);
        }
        assert!(claim.dedicated.is_subset(&here), "{decision}");
        let each = &claim.pages[0].count;
        assert!(claim.pages.iter().all(|page| page.count == *each), "uneven: {decision}");
        let id = vm["id"].as_str().unwrap();
        usages[at].claim(host, id, claim).unwrap();
        on.insert(id.to_owned(), at);
        placed += 1;
    }
    assert!(placed > 30, "{placed}");
}

#[test]
fn one_host_seldom_refuses_what_could_be_placed_jointly() {
    for (nodes, cores, most) in [(2, 32, 5), (4, 24, 1)] {
        let host = template(nodes, cores);
        let (mut refused, mut missed) = (0, 0);
        for seed in 0..100 {
            let events = arrivals(1000 + seed, 40);
            let trace = a_trace(&[("made", host.clone())], &["made"], events.clone());
            let decided = decisions(&trace, "best-fit");
            let Some(first) = decided.iter().position(|d| d["host"].is_null()) else { continue };
            refused += 1;
            let vms: Vec<&Value> = events[..=first].iter().map(|event| &event["vm"]).collect();
            missed += usize::from(joint::fits(&host, &vms));
        }
        assert!(refused > 90, "{refused} of 100 sequences filled the host");
        println!("{nodes} nodes: {missed} of 100 refused although a joint placement exists");
        assert!(missed <= most, "{missed} on {nodes} nodes");
    }
}

#[test]
fn thread_policies_take_cores_as_they_say() {
    let vm = |policy: &str, vcpus: u32| {
        let mut vm = a_vm("a", 0, vcpus, 8192);
        vm["thread_policy"] = policy.into();
        json!({"t": 0, "op": "arrive", "vm": vm})
    };
    let cores = |policy: &str, vcpus: u32| {
        let trace = a_trace(&[("made", template(2, 32))], &["made"], vec![vm(policy, vcpus)]);
        let decision = decisions(&trace, "best-fit").remove(0);
        let pins = decision["cells"][0]["pins"].as_object()?.clone();
        let mut cores: Vec<u64> = pins.values().map(|pcpu| pcpu.as_u64().unwrap() % 64).collect();
        cores.sort_unstable();
        cores.dedup();
        Some(cores.len())
    };
    assert_eq!(cores("isolate", 8), Some(8));
    assert_eq!(cores("require", 8), Some(4));
    assert_eq!(cores("prefer", 8), Some(4));
    assert_eq!(cores("require", 7), None, "seven vCPUs do not pair up");
    assert!(cores("prefer", 7).is_some());
}

#[test]
fn capacities_are_exact_and_bad_cases_are_named() {
    let node = |id: u32, cpus: u32| json!({"id": id, "socket": id / 2, "free_cpus": cpus, "free_hugepages_2m": 100_000, "free_gpus": 2});
    let case = |rule: Value| {
        json!({"rule": rule, "sockets": 2, "nodes": (0..4).map(|n| node(n, 32)).collect::<Vec<_>>(),
            "vm": {"cells": 2, "cpus_per_cell": 16, "memory_mib_per_cell": 1024, "page_kib": 2048,
                "gpus_per_cell": 1}})
    };
    let file = json!({"format": "placement-capacity/1",
        "cases": [case("any".into()), case(json!([[0, 1]])), case(json!([[0, 1], [2, 3]]))]});
    let capacity = |cases: &Value| run(&["capacity", "--cases"], &cases.to_string(), &[]);
    let answer: Value = serde_json::from_slice(&capacity(&file).stdout).unwrap();
    let wanted = [(0, 4), (1, 2), (2, 4)].map(|(case, vms)| json!({"case": case, "max_vms": vms}));
    assert_eq!(answer, json!(wanted));
    let bad = json!({"format": "placement-capacity/1", "cases": [case("some".into())]});
    let refused = capacity(&bad);
    assert_eq!(status(&refused), 2);
    assert!(text(&refused.stderr).contains(".json: cases[0]: rule"), "{}", text(&refused.stderr));
}

#[test]
fn a_described_host_has_its_tenants_and_switches() {
    let mut value = template(2, 8);
    value["tenants"] = json!([{"vm": "t0", "gpus": ["gpu1"], "cells": [
        {"node": 0, "memory_mib": 1024, "page_kib": 2048, "pins": {"0": 1, "1": 17}}]}]);
    let described = read_placement_host(&value.to_string()).unwrap();
    let host = described.host.build().unwrap();
    let usage = Usage::with_running(&host, described.tenants).unwrap();
    assert_eq!(usage.dedicated().to_string(), "1,17");
    assert_eq!(usage.holder_of(described.gpus["gpu1"]), Some("t0"));
    let switch = |id: &str| host.pci().switch_of(described.gpus[id]);
    assert!(switch("gpu0").is_some() && switch("gpu0") == switch("gpu1"));
    assert_ne!(switch("gpu1"), switch("gpu2"));
    assert!(host.kept().cpus.is_empty() && host.emulators_roam());
}

#[test]
fn any_number_of_threads_decides_the_same_and_a_result_can_go_to_a_file() {
    let trace = a_trace(&[("made", template(2, 32))], &["made", "made"], arrivals(7, 12));
    let decided = decisions(&trace, "best-fit");
    let result = file("result.json", "");
    let output = run(&["simulate"], &trace, &["-o", result.to_str().unwrap(), "--threads", "2"]);
    assert_eq!((status(&output), output.stdout.len()), (0, 0), "{}", text(&output.stderr));
    let result: Value = serde_json::from_slice(&std::fs::read(result).unwrap()).unwrap();
    let plain = |d: &Value| (d["host"].clone(), d["cells"].clone(), d["hosts_tried"].clone());
    assert!(
        result["decisions"].as_array().unwrap().iter().map(plain).eq(decided.iter().map(plain))
    );
}

#[test]
fn what_a_described_host_gets_wrong_is_named_with_its_path() {
    let broken: [(&str, Value, &str); 8] = [
        ("/gpus/1/switch", "sw9".into(), "at gpus[1].switch: there is no switch \"sw9\""),
        ("/gpus/1/id", "gpu0".into(), "at gpus[1].id: \"gpu0\" is repeated"),
        ("/gpus/0/node", 1.into(), "at gpus[0].switch: switch \"sw0\" is on another node, 0"),
        ("/nodes/1/socket", 7.into(), "at nodes[1].socket: socket 7, but the host has 2 sockets"),
        (
            "/nodes/0/mempages/1/size_kib",
            3.into(),
            "at nodes[0].mempages[1].size_kib: 3 KiB is not a page size",
        ),
        ("/cores/3", json!([]), "at cores[3]: a core without pCPUs"),
        ("/nodes/0/memory_mib", u64::MAX.into(), "more than 64 bits"),
        ("/nodes/0/cpus", "x".into(), "nodes[0].cpus"),
    ];
    for (path, value, message) in broken {
        let mut host = template(2, 8);
        *host.pointer_mut(path).unwrap() = value;
        let said = read_placement_host(&host.to_string()).unwrap_err().to_string();
        assert!(said.contains(message), "{said}");
    }
}
