//! A machine put together from the texts that people have at hand, all of them made up.

use pinwise::Host;
use pinwise_discover::{Assembled, Assembly, AssemblyError};
use pinwise_testkit::machine::cpus;
use pinwise_testkit::texts::{
    CAPABILITIES, IOMMU_GROUPS, LSCPU_TABLE, LSPCI, NODEINFO, NUMA, ONEHOST, PCI_TREE,
};

fn assembled(texts: &[&str]) -> Assembled {
    let mut assembly = Assembly::new();
    for (text, at) in texts.iter().zip(1..) {
        assembly.add_text(&format!("text {at}"), text).unwrap();
    }
    assembly.finish().unwrap()
}

fn built(texts: &[&str]) -> Host {
    assembled(texts).host.build().unwrap()
}

/// In every order: a text without ids comes last.
#[test]
fn lspci_groups_and_tree_make_the_devices_of_a_host() {
    let mut hosts = Vec::new();
    for listings in [[PCI_TREE, IOMMU_GROUPS, LSPCI], [LSPCI, IOMMU_GROUPS, PCI_TREE]] {
        let host = built(&[&[LSCPU_TABLE, NUMA][..], &listings].concat());
        let gpu = host.pci().get("0000:01:00.0".parse().unwrap()).unwrap();
        assert_eq!(gpu.parent.map(|bridge| bridge.to_string()).as_deref(), Some("0000:00:01.1"));
        assert_eq!((gpu.node.map(|node| node.0), gpu.iommu_group), (Some(0), Some(14)));
        assert_eq!(gpu.driver.as_deref(), Some("vfio-pci"));
        assert_eq!(gpu.link_max.unwrap().to_string(), "16 GT/s x16");
        assert_eq!(host.gpus().len(), 1);
        hosts.push(gpu.clone());
    }
    assert!(hosts[0].name.is_some() && hosts[1].name.is_some());
}

#[test]
fn a_group_that_differs_is_a_conflict() {
    let other = "IOMMU Group 3:\n\t01:00.0 VGA compatible controller [0300]: Chip [10de:2684]\n";
    let texts = ["CPU NODE SOCKET CORE\n0 0 0 0\n1 1 1 1\n", LSPCI, other];
    let conflicts = assembled(&texts).conflicts;
    let said: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "the IOMMU group of 0000:01:00.0: 14 from lspci (text 2), 3 from the listing of IOMMU groups (text 3); lspci (text 2) is used"
        ]
    );
}

#[test]
fn parts_of_capabilities_are_the_host_of_the_whole() {
    let part = |name: &str| {
        let (begin, end) = (format!("<{name}"), format!("</{name}>"));
        let from = CAPABILITIES.find(&begin).unwrap();
        &CAPABILITIES[from..CAPABILITIES.find(&end).unwrap() + end.len()]
    };
    let whole = built(&[CAPABILITIES]);
    for name in ["host", "topology", "cells"] {
        let assembled = assembled(&[part(name)]);
        let note = format!("this is <{name}>, a part of virsh capabilities");
        assert!(assembled.notes[0].to_string().starts_with(&note), "{:?}", assembled.notes);
        let host = assembled.host.build().unwrap();
        assert_eq!(host.online(), whole.online());
        let sets = |host: &Host| host.cores().iter().map(|c| c.pcpus.clone()).collect::<Vec<_>>();
        assert_eq!(sets(&host), sets(&whole));
    }
}

#[test]
fn nodeinfo_tells_memory_and_makes_no_host() {
    let mut assembly = Assembly::new();
    assembly.add_text("nodeinfo.txt", NODEINFO).unwrap();
    let error = assembly.finish().unwrap_err();
    assert_eq!(error, AssemblyError::NoHost);
    assert!(error.to_string().contains("virsh capabilities"), "{error}");
    let table = "CPU NODE SOCKET CORE\n0 0 0 0\n1 0 0 1\n";
    let host = built(&[table, NODEINFO]);
    assert_eq!((host.nodes()[0].memory.kib(), host.online()), (65_764_120, &cpus("0-1")));
}

/// Its VMs are tenants, and facts are laid over it.
#[test]
fn a_host_of_opennebula_brings_its_vms() {
    let pasted = format!("oneadmin@one:~$ onehost show 1 -x\r\n{ONEHOST}oneadmin@one:~$\r\n");
    let group = "IOMMU Group 7 02:00.0 3D controller [0302]: Chip [10de:2335]\n";
    let Assembled { host, tenants, .. } = assembled(&[&pasted, group]);
    let host = host.build().unwrap();
    assert_eq!(host.gpus().len(), 1);
    assert_eq!(host.pci().devices()[0].iommu_group, Some(7));
    let usage = pinwise::Usage::with_running(&host, tenants).unwrap();
    assert_eq!(usage.claim_of("VM 12").unwrap().dedicated, cpus("1,5"));
    assert_eq!(usage.claim_of("VM 14").unwrap().devices.len(), 1);
}
