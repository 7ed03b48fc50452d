//! Synthetic hosts and neighbours for measurements: servers with two SMT siblings a core, an L3
//! domain for every eight cores and a PCIe switch for every two GPUs. They are `placement-host/1`
//! texts (`-- --describe 8n256/50%` prints one), so that another scheduler can be given the very
//! same.

use std::ops::Range;

use pinwise::request::{GpuRequest, Wish};
use pinwise::{Bytes, Host, PageSize, Policies, Policy, RequestSpec, Usage};
use pinwise_discover::read_placement_host;
use serde_json::{Value, json};

/// Cores that share an L3.
const L3_CORES: u32 = 8;
/// GPUs of a switch.
const SWITCH_GPUS: u32 = 2;
/// The hugepages are of 2 MiB.
const PAGE_KIB: u64 = 2048;

/// A host's size.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub sockets: u32,
    pub nodes: u32,
    pub pcpus: u32,
    pub gib: u64,
    pub gpus: u32,
}

/// The sizes that are measured.
pub const SHAPES: [Shape; 7] = [
    Shape { sockets: 2, nodes: 2, pcpus: 128, gib: 2048, gpus: 8 },
    Shape { sockets: 2, nodes: 4, pcpus: 192, gib: 2048, gpus: 8 },
    Shape { sockets: 2, nodes: 8, pcpus: 256, gib: 2048, gpus: 8 },
    Shape { sockets: 2, nodes: 8, pcpus: 768, gib: 6144, gpus: 8 },
    Shape { sockets: 4, nodes: 16, pcpus: 256, gib: 4096, gpus: 8 },
    Shape { sockets: 4, nodes: 24, pcpus: 384, gib: 6144, gpus: 8 },
    Shape { sockets: 8, nodes: 64, pcpus: 4096, gib: 16384, gpus: 16 },
];

impl Shape {
    /// `8n256` for 8 nodes and 256 pCPUs.
    pub fn name(self) -> String {
        format!("{}n{}", self.nodes, self.pcpus)
    }

    fn cores(self) -> u32 {
        self.pcpus / 2
    }

    fn cores_of(self, node: u32) -> Range<u32> {
        let own = self.cores() / self.nodes;
        node * own..(node + 1) * own
    }

    fn package(self, node: u32) -> u32 {
        node / (self.nodes / self.sockets)
    }

    fn mib_per_node(self) -> u64 {
        self.gib * 1024 / u64::from(self.nodes)
    }

    /// Hugepages of a node: nine tenths of its memory.
    fn pages(self) -> u64 {
        self.mib_per_node() * 9 / 10 * 1024 / PAGE_KIB
    }

    /// The SMT siblings of a core: as Linux numbers them, all first threads before all second ones.
    fn siblings(self, core: u32) -> [u32; 2] {
        [core, core + self.cores()]
    }

    /// The pCPUs of neighbouring cores, as a list.
    fn cpus(self, cores: &Range<u32>) -> String {
        let second = cores.start + self.cores()..cores.end + self.cores();
        format!("{}-{},{}-{}", cores.start, cores.end - 1, second.start, second.end - 1)
    }

    fn node(self, id: u32) -> Value {
        let distance = |to: u32| match () {
            () if to == id => 10,
            () if self.package(to) == self.package(id) => 12,
            () => 32,
        };
        let small = (self.mib_per_node() * 1024 - self.pages() * PAGE_KIB) / 4;
        json!({
            "id": id,
            "socket": self.package(id),
            "cpus": self.cpus(&self.cores_of(id)),
            "memory_mib": self.mib_per_node(),
            "mempages": [
                {"size_kib": 4, "total": small},
                {"size_kib": PAGE_KIB, "total": self.pages()},
            ],
            "distances": (0..self.nodes).map(distance).collect::<Vec<_>>(),
        })
    }

    /// Two GPUs a switch, the switches evenly over the nodes.
    fn gpu(self, number: u32) -> Value {
        let switch = number / SWITCH_GPUS;
        json!({
            "id": format!("gpu{number}"),
            "address": format!("0000:{:02x}:00.0", 0x10 + 8 * number),
            "node": self.switch_node(switch),
            "switch": format!("sw{switch}"),
            "product_id": "2330",
        })
    }

    fn switches(self) -> u32 {
        self.gpus / SWITCH_GPUS
    }

    fn switch_node(self, switch: u32) -> u32 {
        switch * self.nodes / self.switches()
    }

    /// The nodes that have GPUs, and how many each of them has.
    pub fn gpu_nodes(self) -> (Vec<u32>, u32) {
        let mut nodes: Vec<u32> = (0..self.switches()).map(|s| self.switch_node(s)).collect();
        nodes.dedup();
        let each = self.gpus / u32::try_from(nodes.len()).expect("at most 64 nodes");
        (nodes, each)
    }

    /// The host with neighbours that hold about `percent` of every node's cores and pages:
    /// VMs of 1, 2 or 4 whole cores, scattered by a fixed sequence.
    pub fn describe(self, percent: u32) -> String {
        self.describe_by(|_| percent)
    }

    /// The same, each node to its own extent.
    pub fn describe_by(self, percent: impl Fn(u32) -> u32) -> String {
        let domain = |at: u32| self.cpus(&(at..(at + L3_CORES).min(self.cores())));
        let switch = |s: u32| json!({"id": format!("sw{s}"), "node": self.switch_node(s)});
        let host = json!({
            "format": "placement-host/1",
            "name": self.name(),
            "sockets": self.sockets,
            "nodes": (0..self.nodes).map(|id| self.node(id)).collect::<Vec<_>>(),
            "cores": (0..self.cores()).map(|core| self.siblings(core)).collect::<Vec<_>>(),
            "l3": (0..self.cores()).step_by(L3_CORES as usize).map(domain).collect::<Vec<_>>(),
            "switches": (0..self.switches()).map(switch).collect::<Vec<_>>(),
            "gpus": (0..self.gpus).map(|number| self.gpu(number)).collect::<Vec<_>>(),
            "tenants": self.tenants(percent),
        });
        host.to_string()
    }

    fn tenants(self, percent: impl Fn(u32) -> u32) -> Vec<Value> {
        let (mut tenants, mut state) = (Vec::new(), 1_u64);
        let mut next = move |below: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u32::try_from((state >> 33) % u64::from(below)).expect("below a u32")
        };
        for node in 0..self.nodes {
            // Some more on one node, some less on the next.
            let share = (percent(node) * (80 + next(41)) / 100).min(100);
            let mut cores: Vec<u32> = self.cores_of(node).collect();
            for at in (1..cores.len()).rev() {
                cores.swap(at, next(u32::try_from(at).expect("small") + 1) as usize);
            }
            cores.truncate(cores.len() * share as usize / 100);
            let pages = self.pages() * u64::from(share) / 100 / cores.len().max(1) as u64;
            while !cores.is_empty() {
                let size = [1, 2, 4][next(3) as usize].min(cores.len());
                let taken = cores.split_off(cores.len() - size);
                let pcpus = taken.iter().flat_map(|core| self.siblings(*core));
                let pins = pcpus.enumerate().map(|(vcpu, pcpu)| (vcpu.to_string(), json!(pcpu)));
                tenants.push(json!({"vm": format!("t{}", taken[0]), "gpus": [], "cells": [{
                    "node": node,
                    "memory_mib": pages * size as u64 * PAGE_KIB / 1024,
                    "page_kib": PAGE_KIB,
                    "pins": Value::Object(pins.collect()),
                }]}));
            }
        }
        tenants
    }

    /// The host without its neighbours.
    pub fn host(self) -> Host {
        let described = read_placement_host(&self.describe(0)).expect("the shape is a description");
        described.host.build().expect("the shape is a host")
    }

    /// What the neighbours of [`describe`](Self::describe) hold.
    pub fn usage(self, host: &Host, percent: u32) -> Usage {
        let text = self.describe(percent);
        let described = read_placement_host(&text).expect("the shape is a description");
        Usage::with_running(host, described.tenants).expect("the cores and pages are free")
    }
}

/// A VM with `cells` equal cells, 8 vCPUs and 16 GiB each, and `gpus` GPUs, all local.
pub fn vm(cells: u32, gpus: u32) -> RequestSpec {
    let policies = Policies { gpu_locality: Policy::Require, ..Policies::default() };
    RequestSpec {
        cells: Wish::Require(cells),
        gpus: GpuRequest::Count { count: gpus, model: None },
        page_size: Some(PageSize::MIB_2),
        even_cells: true,
        policies,
        ..RequestSpec::new("vm", 8 * cells, Bytes::from_gib(16 * u64::from(cells)))
    }
}
