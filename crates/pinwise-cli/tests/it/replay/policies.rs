//! Where GPUs may be under each of a trace's policies.

use pinwise::fleet::HostOrder;
use serde_json::{Value, json};

use crate::{a_trace, a_vm, decisions, template};

/// Two packages of two nodes with two GPUs each. On these nodes all pCPUs are held, and these GPUs.
fn host(busy: &[u32], held: &[u32]) -> Value {
    let mut host = template(4, 24);
    let pins = busy.iter().flat_map(|node| node * 24..(node + 1) * 24);
    let pins = pins.flat_map(|core| [core, core + 96]).enumerate();
    let pins =
        pins.map(|(vcpu, pcpu)| (vcpu.to_string(), json!(pcpu))).collect::<serde_json::Map<_, _>>();
    let of_node = |node: &u32| {
        let own = |pcpu: &Value| (pcpu.as_u64().unwrap() % 96) / 24 == u64::from(*node);
        let pins: serde_json::Map<_, _> =
            pins.clone().into_iter().filter(|(_, pcpu)| own(pcpu)).collect();
        json!({"node": node, "memory_mib": 2, "page_kib": 2048, "pins": pins})
    };
    let gpus: Vec<String> = held.iter().map(|gpu| format!("gpu{gpu}")).collect();
    let cells: Vec<Value> = busy.iter().map(of_node).collect();
    host["tenants"] = json!([{"vm": "t0", "gpus": gpus, "cells": cells}]);
    host
}

/// The node of the only cell and the GPUs, if the VM fits.
fn placed(host: &Value, policy: &str, gpus: u32) -> Option<(u64, Vec<String>)> {
    let mut vm = a_vm("a", gpus, 8, 8192);
    vm["gpu_numa"] = policy.into();
    let event = json!({"t": 0, "op": "arrive", "vm": vm});
    let trace = a_trace(&[("made", host.clone())], &["made"], vec![event]);
    let decision = decisions(&trace, HostOrder::BestFit).remove(0);
    let node = decision["cells"][0]["node"].as_u64()?;
    let gpus = decision["gpus"].as_array()?.iter();
    Some((node, gpus.map(|gpu| gpu.as_str().unwrap().to_owned()).collect()))
}

#[test]
fn gpus_are_where_the_policy_says() {
    let on = |node, gpus: [&str; 2]| Some((node, gpus.map(str::to_owned).to_vec()));
    // Node 0 has no pCPUs left; its GPUs are the only free ones.
    let beside = host(&[0], &[2, 3, 4, 5, 6, 7]);
    assert_eq!(placed(&beside, "required", 2), None);
    assert_eq!(placed(&beside, "legacy", 2), None, "where the GPUs are is known");
    assert_eq!(placed(&beside, "socket", 2), on(1, ["gpu0", "gpu1"]));
    assert!(placed(&beside, "preferred", 2).is_some());
    // Nor has node 1: only the other package has pCPUs.
    let across = host(&[0, 1], &[2, 3, 4, 5, 6, 7]);
    assert_eq!(placed(&across, "socket", 2), None);
    assert!(placed(&across, "preferred", 2).is_some());
    // A GPU of the own package and one of the other would be nearer, but one is not in the package.
    let mixed = host(&[0], &[1, 2, 6, 7]);
    assert_eq!(placed(&mixed, "socket", 2), on(2, ["gpu4", "gpu5"]));
    // What can be on the VM's node is there, whatever else is allowed.
    let free = host(&[0], &[]);
    for policy in ["required", "legacy", "socket", "preferred"] {
        let (node, gpus) = placed(&free, policy, 2).unwrap();
        assert_eq!(gpus, [format!("gpu{}", 2 * node), format!("gpu{}", 2 * node + 1)], "{policy}");
    }
}

#[test]
fn gpus_of_both_packages_need_nodes_of_both() {
    // Three GPUs are free, two of one package and one of the other; nodes 0 and 2 have no pCPUs.
    let host = host(&[0, 2], &[2, 3, 5, 6, 7]);
    let mut vm = a_vm("a", 3, 8, 8192);
    vm["gpu_numa"] = "socket".into();
    for (cells, fits) in [(1, false), (2, true)] {
        vm["guest_cells"] = json!(cells);
        let event = json!({"t": 0, "op": "arrive", "vm": vm});
        let trace = a_trace(&[("made", host.clone())], &["made"], vec![event]);
        let decision = decisions(&trace, HostOrder::BestFit).remove(0);
        assert_eq!(!decision["host"].is_null(), fits, "{cells} cells: {decision}");
    }
}
