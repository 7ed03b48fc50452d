//! Whether all VMs of a list fit a host together, found by trying: no part of the engine.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;

use serde_json::Value;

/// Free pCPUs, pages and GPUs of a node.
type Room = (u64, u64, u64);

/// Cells, and a cell's pCPUs and pages; GPUs in all.
type Item = (usize, u64, u64, u64);

/// Whether the VMs fit the empty host together. All nodes of the host are equal but for their GPUs.
pub(crate) fn fits(host: &Value, vms: &[&Value]) -> bool {
    let number = |value: &Value| value.as_u64().unwrap();
    let nodes = host["nodes"].as_array().unwrap();
    let pcpus = host["cores"].as_array().unwrap().len() as u64 * 2 / nodes.len() as u64;
    let room = |node: &Value| {
        let gpus = host["gpus"].as_array().unwrap();
        let gpus = gpus.iter().filter(|gpu| gpu["node"] == node["id"]).count() as u64;
        (pcpus, number(&node["mempages"][1]["total"]), gpus)
    };
    let mut rooms: Vec<Room> = nodes.iter().map(room).collect();
    rooms.sort_unstable();
    let most_gpus = rooms.iter().map(|room| room.2).max().unwrap();
    let item = |vm: &&Value| {
        let (vcpus, mib, gpus) =
            (number(&vm["vcpus"]), number(&vm["memory_mib"]), number(&vm["gpus"]));
        let holds = |cells: &u64| {
            let (each, pages) = (vcpus / cells, mib / cells / 2);
            vcpus % cells == 0 && each <= pcpus && pages <= rooms[0].1 && gpus <= cells * most_gpus
        };
        let cells = [1, 2, 4, 8].into_iter().find(holds).unwrap();
        (usize::try_from(cells).unwrap(), vcpus / cells, mib / cells / 2, gpus)
    };
    let mut items: Vec<Item> = vms.iter().map(item).collect();
    items.sort_by_key(|(.., gpus)| std::cmp::Reverse(*gpus));
    try_all(&items, rooms, &mut BTreeSet::new())
}

fn try_all(items: &[Item], rooms: Vec<Room>, seen: &mut BTreeSet<(usize, Vec<Room>)>) -> bool {
    let Some((first, rest)) = items.split_first() else { return true };
    if !seen.insert((items.len(), rooms.clone())) {
        return false;
    }
    let mut ways = Vec::new();
    put(*first, 0, &rooms, &mut ways);
    ways.into_iter().any(|mut way| {
        way.sort_unstable();
        try_all(rest, way, seen)
    })
}

/// Every way to put the cells on nodes from `from` on.
fn put(item: Item, from: usize, rooms: &[Room], ways: &mut Vec<Vec<Room>>) {
    let (cells, pcpus, pages, gpus) = item;
    if cells == 0 {
        if gpus == 0 {
            ways.push(rooms.to_vec());
        }
        return;
    }
    for at in from..rooms.len() {
        let room = rooms[at];
        if room.0 < pcpus || room.1 < pages {
            continue;
        }
        for here in 0..=gpus.min(room.2) {
            let mut rooms = rooms.to_vec();
            rooms[at] = (room.0 - pcpus, room.1 - pages, room.2 - here);
            put((cells - 1, pcpus, pages, gpus - here), at + 1, &rooms, ways);
        }
    }
}
