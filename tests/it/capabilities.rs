//! Capabilities and node devices read as hosts.

use pinwise::host::{CacheKind, CacheSpec, CommonBridge, CpuVendor, DeviceKind, LinkState};
use pinwise::units::{Distance, NodeId};
use pinwise::{Bytes, Host, PageSize, PciAddr};
use pinwise_discover::Reading;
use pinwise_discover::libvirt::{
    NodeDevice, add_node_devices, read_capabilities, read_node_device,
};
use pinwise_testkit::common::sentences;

/// Two nodes with two cores of two threads each; pCPU 9 is off.
const TWO: &str = pinwise_testkit::texts::CAPABILITIES;

/// A port with a GPU and its audio below it, on node 4.
fn card() -> Vec<String> {
    let function = |name: &str, parent: &str, slot: &str, ids: &str, more: &str| {
        format!(
            "<device><name>{name}</name><parent>{parent}</parent><driver><name>vfio-pci</name>
             </driver><capability type='pci'>{slot}{ids}{more}</capability></device>"
        )
    };
    let at = |bus, slot, function| {
        format!(
            "<domain>0</domain><bus>{bus}</bus><slot>{slot}</slot><function>{function}</function>"
        )
    };
    let ids = |class, product| {
        format!(
            "<class>0x{class}</class><product id='0x2684'>{product}</product>
                 <vendor id='0x10de'>NVIDIA Corporation</vendor>"
        )
    };
    let group = "<iommuGroup number='15'>
        <address domain='0x0000' bus='0x1b' slot='0x00' function='0x0'/>
        <address domain='0x0000' bus='0x1b' slot='0x00' function='0x1'/></iommuGroup>
        <numa node='4'/><pci-express><link validity='cap' port='0' speed='16' width='16'/>
        <link validity='sta' speed='2.5' width='16'/></pci-express>";
    vec![
        function(
            "pci_0000_1b_00_0",
            "pci_0000_1a_01_0",
            &at(27, 0, 0),
            &ids("030000", "AD102"),
            group,
        ),
        function(
            "pci_0000_1b_00_1",
            "pci_0000_1a_01_0",
            &at(27, 0, 1),
            &ids("040300", "Audio"),
            group,
        ),
        function("pci_0000_1a_01_0", "computer", &at(26, 1, 0), &ids("060400", ""), ""),
    ]
}

fn with(devices: &[String]) -> (Host, Vec<String>) {
    let Reading { mut host, mut notes } = read_capabilities(TWO).unwrap();
    let devices: Vec<NodeDevice> =
        devices.iter().filter_map(|xml| read_node_device(xml).unwrap()).collect();
    notes.extend(add_node_devices(&mut host, devices));
    (host.build().unwrap(), sentences(&notes))
}

fn at(address: &str) -> PciAddr {
    address.parse().unwrap()
}

#[test]
fn capabilities_describe_nodes_cores_caches_and_pages() {
    let (host, notes) = with(&[]);
    assert_eq!((host.cpu_vendor(), host.cpu_model()), (CpuVendor::Amd, "Some"));
    assert_eq!(host.online().to_string(), "0-7");
    assert_eq!(host.description().offline.to_string(), "9");
    let cores: Vec<_> = host.cores().iter().map(|core| core.pcpus[1].0).collect();
    assert_eq!(cores, [4, 5, 6, 7]);
    assert_eq!(host.l3_domains().len(), 2);
    assert_eq!(host.l3_domains()[0].size, Some(Bytes::from_mib(32)));
    let l2 = CacheSpec {
        level: 2,
        kind: CacheKind::Unified,
        size: Some(Bytes::from_mib(1)),
        shared_by: vec!["0".parse().unwrap()],
    };
    assert_eq!(host.description().caches, [l2]);
    let bank = "<bank level='2' type='both' size='1' unit='MiB' cpus='0,4,9'/>";
    let odd = TWO.replacen("<bank ", &format!("{bank}<bank "), 1);
    let odd = read_capabilities(&odd).unwrap();
    assert!(odd.host.caches.is_empty());
    assert!(
        odd.notes
            .iter()
            .any(|n| n.to_string()
                == "some pCPUs are in several L2 caches: these caches are ignored")
    );
    let node = host.node(NodeId(4)).unwrap();
    assert_eq!((node.memory, node.cpus.to_string()), (Bytes::from_gib(16), "2-3,6-7".to_owned()));
    assert_eq!(node.pool(PageSize::GIB_1).unwrap().free, 8);
    assert_eq!(node.pool(PageSize::KIB_4).unwrap().total, 2_097_152);
    assert_eq!(node.distances, [Distance(21), Distance(10)]);
    assert_eq!(notes, ["capabilities do not show free pages: all are assumed free"]);
}

#[test]
fn node_devices_bring_gpus_with_their_ports_groups_and_links() {
    let (host, notes) = with(&card());
    assert_eq!(notes.len(), 1, "{notes:?}");
    let gpu = &host.gpus()[0];
    assert_eq!((gpu.model.as_str(), gpu.node), ("AD102", Some(NodeId(4))));
    assert_eq!(host.pci().group_of(gpu.address), [at("1b:00.0"), at("1b:00.1")]);
    assert_eq!(host.pci().common_bridge(at("1b:00.0"), at("1b:00.1")), CommonBridge::Pix);
    let found = host.pci().get(gpu.address).unwrap();
    assert_eq!(found.parent, Some(at("1a:01.0")));
    assert_eq!(found.driver.as_deref(), Some("vfio-pci"));
    assert_eq!(found.link_max, Some(LinkState { mts: 16_000, width: 16 }));
    assert_eq!(found.link_now, Some(LinkState { mts: 2_500, width: 16 }));
}

#[test]
fn what_cannot_be_true_of_the_host_is_left_out_with_a_note() {
    let mut card = card();
    card.remove(2);
    card[1] = card[0].clone();
    card[0] = card[0].replace("numa node='4'", "numa node='7'");
    let (host, notes) = with(&card);
    let gpu = host.pci().get(at("1b:00.0")).unwrap();
    assert_eq!((gpu.node, gpu.parent), (None, None));
    let notes = notes.join("; ");
    for words in [
        "0000:1b:00.0 is described twice",
        "names node 7, which does not exist",
        "0000:1a:01.0 above 0000:1b:00.0 is not a known PCI-to-PCI bridge",
        "0000:1b:00.1 is in an IOMMU group but is not described",
    ] {
        assert!(notes.contains(words), "{notes}");
    }
}

#[test]
fn documents_without_classes_still_tell_bridges() {
    let old: Vec<String> = card()
        .iter()
        .map(|xml| {
            let (before, rest) = xml.split_once("<class>").unwrap();
            before.to_owned() + rest.split_once("</class>").unwrap().1
        })
        .collect();
    let (host, notes) = with(&old);
    assert_eq!(host.pci().bridges_above(at("1b:00.0")).count(), 1);
    assert!(host.gpus().is_empty());
    assert!(notes.join("; ").contains("2 PCI functions have no class"), "{notes:?}");
}

#[test]
fn a_function_above_its_own_shares_is_no_bridge() {
    let pci = |name: &str, parent: &str, function: u8, more: &str| {
        format!(
            "<device><name>{name}</name><parent>{parent}</parent><capability type='pci'>
             <domain>0</domain><bus>4</bus><slot>0</slot><function>{function}</function>
             <product id='0x1520'/><vendor id='0x8086'/>{more}</capability></device>"
        )
    };
    let physical = "<capability type='phys_function'>
        <address domain='0x0000' bus='0x04' slot='0x00' function='0x0'/></capability>";
    let (whole, share) = ("pci_0000_04_00_0", "pci_0000_04_00_1");
    let (host, _) = with(&[pci(whole, "computer", 0, ""), pci(share, whole, 1, physical)]);
    let share = host.pci().get(at("04:00.1")).unwrap();
    assert_eq!((share.parent, share.physical_function), (None, Some(at("04:00.0"))));
    assert_eq!(host.pci().get(at("04:00.0")).unwrap().kind(), DeviceKind::Other);
}

#[test]
fn a_function_with_types_of_mediated_devices_serves_them() {
    let pci = |slot: u8, more: &str| {
        format!(
            "<device><name>pci_0000_04_0{slot}_0</name><capability type='pci'><class>0x030200</class>
             <domain>0</domain><bus>4</bus><slot>{slot}</slot><function>0</function>
             <product id='0x1eb8'/><vendor id='0x10de'/>{more}</capability></device>"
        )
    };
    let types = "<capability type='mdev_types'><type id='nvidia-222'><name>GRID T4-1B</name></type>
        </capability>";
    let (host, _) = with(&[pci(0, types), pci(1, "")]);
    let mediated = |address: &str| host.pci().get(at(address)).unwrap().mediated.clone();
    assert_eq!((mediated("04:00.0"), mediated("04:01.0")), (Some(vec![]), None));
}

#[test]
fn wrong_capabilities_are_refused_with_their_place() {
    for (from, to, words) in [
        ("<capabilities>", "<capability>", ""),
        ("id='4'>", "id='x'>", "line 4, column 11: id \"x\" is not a node's number"),
        ("cell id='4'", "cell id='0'", "cell 0 is repeated"),
        ("cpu id='3'", "cpu id='2'", "pCPU 2 is repeated"),
        ("siblings='2,6'", "siblings='2,'", "siblings \"2,\" is not a list of pCPUs"),
        ("socket_id='1'", "socket_id='one'", "socket_id \"one\" is not a number"),
        ("size='1048576'", "size='1048577'", "is not a page size"),
        (">8<", ">-8<", "pages \"-8\" is not a number of pages"),
        ("value='22'", "value='256'", "value \"256\" is not a relative distance"),
        ("<topology>", "<topologie>", ""),
    ] {
        assert!(TWO.contains(from), "{from}");
        let message = read_capabilities(&TWO.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(message.contains(words) && !message.contains('\n'), "{message}");
    }
    let empty = "<capabilities><host/></capabilities>";
    let message = read_capabilities(empty).unwrap_err().to_string();
    assert!(message.ends_with("<host> has no <topology> with <cells>"), "{message}");
}

#[test]
fn what_firmware_gets_wrong_is_left_out_with_a_note() {
    for (from, to, words) in [
        ("value='22'", "value='10'", "10 and 20 are assumed"),
        ("<sibling id='0' value='21'/>", "", "10 and 20 are assumed"),
        ("cpus='0-1,4-5'", "cpus='0-1,4'", "L3 caches divide the core of pCPUs 1,5"),
        ("cpus='0-1,4-5'", "cpus='0-7'", "in several L3 caches"),
        (">8<", ">99<", "99 pages of 1 GiB, too many for its memory of 16 GiB: reduced to fit"),
        ("siblings='3,7'", "siblings='3'", "name SMT siblings that do not name them"),
        ("die_id='0' core_id='1' siblings='3,7'", "core_id='0' siblings='3,7'", "not unique"),
    ] {
        assert!(TWO.contains(from), "{from}");
        let reading = read_capabilities(&TWO.replacen(from, to, 1)).unwrap();
        let notes = reading.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert!(notes.contains(words), "{from}: {notes}");
        reading.host.build().unwrap();
    }
}

#[test]
fn a_speed_beyond_any_link_is_refused() {
    let device = card()[0].replace("speed='16'", "speed='18446744073709551'");
    let error = read_node_device(&device).unwrap_err().to_string();
    assert!(error.contains("speed \"18446744073709551\" is not a speed"), "{error}");
}
