//! Operators' texts: what is read of a broken one never breaks the host that it is laid over.

use pinwise::json::write_host;

use super::mutations;
use pinwise_testkit::common::description;
use pinwise_testkit::fuzz;
use pinwise_testkit::texts::{
    AMD_SMI, CAPABILITIES, IOMMU_GROUPS, LSCPU_LIST, LSCPU_TABLE, LSPCI, LSTOPO_2, MEMINFO,
    NCCL_TOPOLOGY, NODEINFO, NUMA, P2P, PCI_TREE, ROCM, TOPO,
};

fn broken(kind: &str, sound: &[&str]) {
    let sound: Vec<_> = sound.iter().map(|text| text.as_bytes()).collect();
    mutations(kind, &sound, |text, _| fuzz::facts(text));
}

/// A table of eight GPUs, as `title` and the cells between two, one's own, and at a row's end have
/// it.
fn eight(gap: &str, other: &str, own: &str, header: &str, end: impl Fn(usize) -> String) -> String {
    let names: Vec<_> = (0..8).map(|gpu| format!("GPU{gpu}")).collect();
    let row = |gpu: usize| {
        let cells: Vec<_> = (0..8).map(|to| if to == gpu { own } else { other }).collect();
        format!("GPU{gpu}{gap}{}{}\n", cells.join(gap), end(gpu))
    };
    format!("{gap}{}{header}\n{}", names.join(gap), (0..8).map(row).collect::<String>())
}

#[test]
fn tables_of_nvidia_smi() {
    let end = |gpu: usize| format!("\tN/A\t{}\t\tN/A", if gpu < 4 { 0 } else { 2 });
    let header = "\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID";
    broken("nvidia-smi topo -m", &[TOPO, &eight("\t", "NV18", " X ", header, end)]);
    broken("nvidia-smi topo -p2p", &[P2P]);
}

#[test]
fn tables_of_rocm_smi() {
    let title = "====== Link Type between two GPUs ======\n";
    let table = eight("  ", "XGMI", "0", "", |_| String::new());
    broken("rocm-smi", &[ROCM, &(title.to_owned() + &table)]);
}

#[test]
fn output_of_numactl() {
    broken("numactl", &[NUMA]);
}

#[test]
fn meminfo() {
    broken("meminfo", &[MEMINFO]);
}

#[test]
fn output_of_nodeinfo() {
    broken("nodeinfo", &[NODEINFO]);
}

#[test]
fn tables_of_amd_smi() {
    broken("amd-smi", &[AMD_SMI]);
}

#[test]
fn listings_of_pci_functions() {
    broken("lspci", &[LSPCI]);
    broken("IOMMU groups", &[IOMMU_GROUPS]);
    broken("lspci -t", &[PCI_TREE]);
}

/// Put together with the rest of the machine.
#[test]
fn hosts_with_listings_of_pci_functions() {
    let whole = [LSCPU_TABLE, NUMA, PCI_TREE, IOMMU_GROUPS, LSPCI].join(fuzz::sources::BETWEEN);
    mutations("hosts with lspci", &[whole.as_bytes()], |text, _| fuzz::sources::assembled(text));
}

/// Parts of capabilities, by their root element.
#[test]
fn parts_of_capabilities() {
    let part = |name: &str| {
        let (begin, end) = (format!("<{name}"), format!("</{name}>"));
        let from = CAPABILITIES.find(&begin).unwrap();
        CAPABILITIES[from..CAPABILITIES.find(&end).unwrap() + end.len()].to_owned()
    };
    let parts = ["host", "topology", "cells"].map(part);
    let sound: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
    mutations("parts of capabilities", &sound, |text, _| fuzz::sources::assembled(text));
}

#[test]
fn output_of_lscpu() {
    broken("lscpu", &[LSCPU_TABLE, LSCPU_LIST]);
}

/// Alone, with memory from another text, and pasted.
#[test]
fn hosts_of_lscpu() {
    let with_memory = [LSCPU_TABLE, NUMA].join(fuzz::sources::BETWEEN);
    let pasted = format!("```\r\nuser@host:~$ lscpu -p\r\n{LSCPU_LIST}user@host:~$\r\n```\r\n");
    let sound = [LSCPU_TABLE, LSCPU_LIST, &with_memory, &pasted].map(str::as_bytes);
    mutations("hosts of lscpu", &sound, |text, _| fuzz::sources::assembled(text));
}

#[test]
fn pasted_xml() {
    let pasted = [CAPABILITIES, LSTOPO_2]
        .map(|xml| format!("\u{1b}[1muser@host\u{1b}[0m:~$ cat\n```xml\n{xml}```\nuser@host:~$\n"));
    let sound = [pasted[0].as_bytes(), pasted[1].as_bytes()];
    mutations("pasted XML", &sound, |text, _| fuzz::sources::assembled(text));
}

#[test]
fn topologies_of_nccl() {
    // With addresses that a host has.
    let known = NCCL_TOPOLOGY.replace("0000:0b:00.0", "0000:1b:00.0").replace("0c:00.0", "3b:00.0");
    broken("NCCL", &[NCCL_TOPOLOGY, &known]);
}

#[test]
fn json_of_hosts_with_sources() {
    let mut host = description("rtx-4080");
    host.mark_source("sysfs");
    mutations("host with sources", &[write_host(&host).as_bytes()], |text, _| {
        fuzz::host_json(text)
    });
}
