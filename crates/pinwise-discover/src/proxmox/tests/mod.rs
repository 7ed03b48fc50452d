//! Synthetic configurations, made up for these tests.

use super::{is_qemu_conf, read_qemu_conf, request_of_qemu_conf};
use pinwise::host::{CoreSpec, Host, HostSpec, NodeSpec, PciClass, PciDevice, PciId};
use pinwise::request::{GpuRequest, Guest};
use pinwise::sets::CpuSet;
use pinwise::units::{Bytes, NodeId, PackageId, PageSize, PcpuId};
use pinwise::usage::PageClaim;

/// Two nodes with four cores and 8 GiB each; a GPU with its audio function on node 1, and a NIC.
fn host() -> Host {
    let core = |n: u32| {
        CoreSpec::new(PackageId(n / 4), n % 4, [PcpuId(n)].into_iter().collect::<CpuSet>())
    };
    let node = |n: u32| {
        let cpus: CpuSet = (n * 4..n * 4 + 4).map(PcpuId).collect();
        NodeSpec::new(NodeId(n), cpus, Bytes::from_gib(8))
    };
    let function = |address: &str, class, vendor| PciDevice {
        node: Some(NodeId(1)),
        ..PciDevice::new(address.parse().unwrap(), PciClass(class), PciId(vendor), PciId(1))
    };
    HostSpec {
        nodes: vec![node(0), node(1)],
        cores: (0..8).map(core).collect(),
        devices: vec![
            function("0000:81:00.0", 0x03_0000, 0x10de),
            function("0000:81:00.1", 0x04_0300, 0x10de),
            function("0000:82:00.0", 0x02_0000, 0x8086),
        ],
        ..HostSpec::default()
    }
    .build()
    .unwrap()
}

const CONF: &str = "\
# made up\r
affinity: 0-1, 4-5
boot: order=scsi0
cores: 2
hostpci0: 0000:81:00,pcie=1,x-vga=1
hostpci1: host=82:00.0
hugepages: 2
memory: 6144
name: made-up
numa: 1
numa0: cpus=0-1,hostnodes=0,memory=2048,policy=bind
numa1: cpus=2-3,hostnodes=1,memory=4096
ostype: win11
scsi0: local:vm-1-disk-0,iothread=1,size=32G
scsi1: local:vm-1-disk-1,size=32G
scsihw: virtio-scsi-single
smbios1: uuid=00000000-0000-4000-8000-00000000000A
sockets: 2

[before-an-update]
cores: 8
memory: 1
";

fn cpus(text: &str) -> CpuSet {
    text.parse().unwrap()
}

#[test]
fn a_configuration_is_a_tenant_that_floats() {
    let domain = read_qemu_conf(&host(), "101", CONF).unwrap();
    assert_eq!((&*domain.name, domain.running), ("made-up", false));
    assert_eq!(domain.uuid.as_deref(), Some("00000000-0000-4000-8000-00000000000a"));
    assert_eq!((domain.claim.dedicated, domain.claim.floating), (cpus(""), cpus("0-1,4-5")));
    let page = |node, gib: u64| PageClaim::on(NodeId(node), PageSize::MIB_2, gib * 512);
    let devices: Vec<String> = domain.claim.devices.iter().map(ToString::to_string).collect();
    assert_eq!(devices, ["0000:81:00.0", "0000:81:00.1", "0000:82:00.0"]);
    // No node has pages of this size, so those of the preferred cell may be anywhere.
    let anywhere = PageClaim::anywhere(PageSize::MIB_2, 2048);
    assert_eq!(domain.claim.pages, [anywhere, page(0, 2)]);
    assert_eq!(domain.notes, []);
    let base = read_qemu_conf(&host(), "101", &CONF.replace("hugepages: 2\n", "")).unwrap();
    let page = |node, gib: u64| PageClaim::on(NodeId(node), PageSize::KIB_4, gib << 18);
    assert_eq!(base.claim.pages, [page(0, 2), page(1, 4)]);
}

#[test]
fn a_configuration_is_a_request() {
    let asked = request_of_qemu_conf(&host(), CONF).unwrap();
    let request = &asked.request;
    assert_eq!((&*request.name, request.vcpus, request.memory), ("made-up", 4, Bytes::from_gib(6)));
    assert_eq!((request.page_size, request.io_threads), (Some(PageSize::MIB_2), 1));
    assert_eq!(request.guest, Guest::Windows);
    assert_eq!(request.gpus, GpuRequest::Addresses(vec!["0000:81:00.0".parse().unwrap()]));
    assert_eq!(request.devices, ["0000:82:00.0".parse().unwrap()]);
    assert_eq!(asked.notes, []);
    let small = request_of_qemu_conf(&host(), "cores: 3\nostype: l26\n").unwrap().request;
    assert_eq!((&*small.name, small.vcpus, small.memory), ("vm1", 3, Bytes::from_mib(512)));
}

#[test]
fn what_is_left_out_is_a_note() {
    for (from, to, note) in [
        ("numa: 1", "numa: 0", "numaN is ignored without \"numa: 1\", as Proxmox ignores it"),
        (
            "memory: 6144",
            "memory: current=7168",
            "its numaN have 6 GiB, but memory is 7 GiB: the cells count",
        ),
        ("sockets: 2", "sockets: 2\nvcpus: 3", "3 of 4 vCPUs are plugged in; all are counted"),
        ("0-1, 4-5", "0,90", "pCPUs 90 are not online and are ignored"),
        (
            "host=82:00.0",
            "mapping=nic",
            "hostpci1 names the mapping \"nic\", which only the cluster knows: the device is left out; give it with --device ADDRESS",
        ),
        (
            "82:00.0",
            "83:00.0",
            "device 0000:83:00.0 is not in the host's description and is ignored",
        ),
        ("ostype: win11", "template: 1", "it is a template, which holds nothing"),
    ] {
        let domain = read_qemu_conf(&host(), "101", &CONF.replacen(from, to, 1)).unwrap();
        let notes: Vec<String> = domain.notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes, [note]);
    }
    let shared = CONF.replace("host=82:00.0", "82:00.0,mdev=nvidia-1");
    let domain = read_qemu_conf(&host(), "101", &shared).unwrap();
    assert_eq!(domain.claim.mediated, [Some("0000:82:00.0".parse().unwrap())]);
    let asked = request_of_qemu_conf(&host(), &shared).unwrap();
    let note = "hostpci1 is a mediated device, which cannot be asked for and is left out";
    assert_eq!(asked.notes[0].to_string(), note);
}

#[test]
fn what_cannot_be_is_an_error_with_its_line() {
    for (from, to, sentence) in [
        ("cores: 2", "cores: two", "line 4: cores \"two\" is not a number from 1"),
        (
            "cores: 2",
            "cores: 4000",
            "line 4: cores \"4000\" is not a number that makes at most 4096 vCPUs",
        ),
        ("memory: 6144", "memory: 6G", "line 8: memory \"6G\" is not a number of MiB"),
        ("hugepages: 2", "hugepages: 4", "line 7: hugepages \"4\" is not any, 2 or 1024"),
        ("0-1, 4-5", "1-", "line 2: affinity \"1-\" is not a list of pCPUs such as 0-3,8"),
        ("0-1, 4-5", "90", "line 2: affinity names pCPUs 90, which the host does not have"),
        ("hostnodes=0", "hostnodes=7", "line 11: numa0 names node 7, which the host does not have"),
        ("bind", "strict", "line 11: numa0 \"strict\" is not preferred, bind or interleave"),
        ("82:00.0", "gpu", "line 6: hostpci1 \"gpu\" is not PCI addresses such as 01:00.0"),
        ("sockets", "cores", "line 18: cores is repeated"),
    ] {
        let error = read_qemu_conf(&host(), "101", &CONF.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.to_string(), sentence);
    }
}

#[test]
fn prompts_and_fences_do_not_matter_and_other_texts_are_none() {
    let pasted = format!("```\nroot@pve:~# qm config 101\n{CONF}```\n");
    assert_eq!(
        read_qemu_conf(&host(), "1", &pasted.replace("\n[before", "root@pve:~#\n[before")),
        read_qemu_conf(&host(), "1", CONF)
    );
    for other in ["", "cores: 2\n", "[memory]\ncores: 2\nmemory: 1\n", "cores:2\nmemory:1\n"] {
        assert!(!is_qemu_conf(other), "{other:?}");
    }
}
