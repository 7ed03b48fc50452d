//! The checker's own proof: clean placements pass, one broken thing is just that violation, and no
//! placement makes it panic.

mod hostile;
mod neighbours;
mod sabotage;
mod scenes;

use super::Violation;
use crate::host::Reserve;
use crate::placement::{GuestTopology, Style};
use crate::question::Question;
use crate::request::{GpuRequest, Policy, Wish};
use crate::units::{Bytes, CellId, NodeId, PageSize, PcpuId};
use scenes::{Scene, address, cpus};

type MakeScene = fn() -> Scene;

/// A clean placement in its surroundings, and its name.
const CLEAN: [(&str, MakeScene); 8] = [
    ("pin", scenes::pin),
    ("pin+numa+smt", scenes::numa_smt),
    ("pin+smt", scenes::smt),
    ("default", scenes::default),
    ("floating in a set", scenes::floating),
    ("below a switch", scenes::switched),
    ("memory on another node", scenes::lent),
    ("a node without memory", scenes::without_memory),
];

#[test]
fn clean_placements_pass() {
    for (name, scene) in CLEAN {
        assert_eq!(scene().verify(), Ok(()), "{name}");
    }
}

#[test]
fn what_the_checker_accepts_can_be_claimed() {
    for (name, scene) in CLEAN {
        let scene = scene();
        let (host, mut usage) = (scene.host(), scene.usage());
        let claim = scene.placement.claim();
        assert_eq!(usage.claim(&host, &scene.placement.name, claim), Ok(()), "{name}");
        // And then the same placement is not free any more.
        let again = super::verify(Question::new(&host, &usage, &scene.request()), &scene.placement);
        let held = |v: &Violation| {
            use Violation::{CoreShared, Crowded, DeviceHeld, PagesShort, PcpusHeld};
            matches!(
                v,
                PcpusHeld { .. }
                    | DeviceHeld { .. }
                    | PagesShort { .. }
                    | CoreShared { .. }
                    | Crowded { .. }
            )
        };
        match again {
            Ok(()) => panic!("{name}"),
            Err(found) => assert!(found.iter().all(held), "{name}: {found:?}"),
        }
    }
}

#[test]
fn a_request_that_wishes_what_it_has_passes() {
    let mut scene = scenes::numa_smt();
    scene.request.cells = Wish::Require(2);
    scene.request.smt = Wish::Require(true);
    scene.request.policies.gpu_locality = Policy::Require;
    assert_eq!(scene.verify(), Ok(()));
    let mut scene = scenes::pin();
    scene.request.smt = Wish::Require(false);
    scene.request.policies.one_node = Policy::Require;
    scene.request.policies.same_switch = Policy::Require;
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn a_model_is_found_by_name_or_ids_whatever_the_case() {
    for text in ["h100", "NVIDIA H", "10DE:2330", ":2330"] {
        let mut scene = scenes::pin();
        scene.request.gpus = GpuRequest::Count { count: 1, model: Some(text.to_owned()) };
        assert_eq!(scene.verify(), Ok(()), "{text}");
    }
}

#[test]
fn a_core_is_whole_where_its_other_sibling_is_not_allowed() {
    let mut scene = scenes::pin();
    scene.host.allowed = Some("0-6,8,10-14".parse().unwrap());
    scene.placement.idle = cpus("10");
    scene.placement.iothreads = vec![cpus("10")];
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn a_core_is_whole_where_the_request_excludes_its_other_sibling() {
    let mut scene = scenes::pin();
    scene.request.cpus = Some(cpus("1-2,10"));
    scene.request.nodes = Some(scenes::nodes("0"));
    scene.placement.idle = cpus("10");
    scene.placement.iothreads = vec![cpus("10")];
    // The sibling that it excludes is for others.
    scene.placement.whole_cores = false;
    assert_eq!(scene.verify(), Ok(()));
    // Emulator and I/O threads may run on what the host keeps, wherever that is.
    scene.placement.iothreads = vec![cpus("8")];
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn the_default_layout_is_not_held_to_anything() {
    let mut scene = scenes::default();
    (scene.request.cpus, scene.request.nodes) = (Some(cpus("1")), Some(scenes::nodes("1")));
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn cores_are_shared_where_the_request_allows_it() {
    let mut scene = scenes::pin();
    scene.request.policies.whole_cores = Policy::Prefer;
    scene.placement.whole_cores = false;
    scene.hold("9-10", &[]);
    scene.placement.idle.remove(PcpuId(9));
    scene.placement.idle.remove(PcpuId(10));
    scene.placement.iothreads = vec![cpus("8")];
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn an_integrated_gpu_is_fine_when_named() {
    let mut scene = scenes::default();
    scene.replace_gpu("0000:00:02.0");
    scene.request.gpus = GpuRequest::Addresses(vec![address("0000:00:02.0")]);
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn gpus_that_are_all_that_is_required_pass() {
    let mut scene = scenes::pin();
    scene.request.gpus = GpuRequest::Count { count: 2, model: None };
    let policies = &mut scene.request.policies;
    for policy in [
        &mut policies.gpu_locality,
        &mut policies.same_switch,
        &mut policies.linked_gpus,
        &mut policies.fabric_partition,
    ] {
        *policy = Policy::Require;
    }
    let mut second = scene.placement.devices[0].clone();
    second.address = address("14:00.0");
    second.functions.clear();
    second.withheld.clear();
    scene.placement.devices.push(second);
    scene.placement.pci.ports.push(scenes::port(2, 0, None));
    scene.placement.pci.functions.push(scenes::function("14:00.0", 2, 0));
    scene.placement.pci.mmio64_mib = Some(256 << 10);
    scene.placement.fabric_partition = Some(1);
    assert_eq!(scene.verify(), Ok(()));
    // Without a fabric manager, any GPUs go together.
    scene.host.fabric_partitions.clear();
    scene.placement.fabric_partition = None;
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn bus_numbers_may_be_as_tight_as_they_get() {
    // One port below the first expander bus, two below the second, one plain port.
    for (first, second) in [(10, 12), (10, 253), (251, 253)] {
        let mut scene = scenes::numa_smt();
        scene.placement.pci.expanders[0].bus_nr = first;
        scene.placement.pci.expanders[1].bus_nr = second;
        assert_eq!(scene.verify(), Ok(()), "{first} {second}");
    }
}

#[test]
fn the_last_slot_function_and_byte_may_be_used() {
    let mut scene = scenes::numa_smt();
    scene.placement.pci.ports[0].slot = Some(31);
    scene.placement.pci.functions[1].function = 7;
    let gpus = [address("13:00.0"), address("81:00.0")];
    for device in scene.host.devices.iter_mut().filter(|device| gpus.contains(&device.address)) {
        device.bars = vec![Bytes::from_gib(64)];
    }
    scene.placement.pci.mmio64_mib = Some(128 << 10);
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn the_last_page_may_be_used() {
    for (node, held) in [(Some(NodeId(0)), 12), (None, 28)] {
        let mut scene = scenes::pin();
        scene.hold_pages(node, PageSize::GIB_1, held);
        assert_eq!(scene.verify(), Ok(()), "{node:?}");
    }
}

#[test]
fn a_guest_of_255_vcpus_needs_no_iommu() {
    let mut scene = scenes::default();
    scene.request.vcpus = 255;
    scene.placement.vcpus = vec![cpus(""); 255];
    scene.placement.cells[0].vcpus = "0-254".parse().unwrap();
    scene.placement.topology.cores = 255;
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn only_the_reserved_core_is_the_hosts() {
    let mut scene = scenes::pin();
    scene.host.reserved = cpus("3,11").into();
    scene.placement.emulator = cpus("3");
    scene.placement.vcpus[0] = cpus("0");
    scene.placement.idle = cpus("8,10");
    scene.placement.iothreads = vec![cpus("8")];
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn the_only_core_is_not_the_hosts() {
    let mut scene = scenes::smt();
    scene.request.vcpus = 1;
    scene.request.policies.whole_cores = Policy::Ignore;
    scene.placement.whole_cores = false;
    scene.host.cores.truncate(1);
    scene.host.nodes.truncate(1);
    scene.host.nodes[0].cpus = cpus("0,8");
    scene.host.nodes[0].distances.clear();
    scene.host.devices.clear();
    scene.host.gpu_links.clear();
    scene.host.fabric_partitions.clear();
    (scene.host.allowed, scene.host.reserved) = (None, Reserve::Auto);
    let placement = &mut scene.placement;
    (placement.style, placement.topoext) = (Style::Pin, false);
    placement.topology = GuestTopology { sockets: 1, dies: 1, cores: 1, threads: 1 };
    placement.vcpus = vec![cpus("0")];
    placement.emulator = cpus("8");
    placement.cells[0].vcpus = "0".parse().unwrap();
    placement.cells[0].nodes = "0".parse().unwrap();
    placement.cells[0].pages = vec![(NodeId(0), 4)];
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn cells_without_expander_buses_pass() {
    let mut scene = scenes::numa_smt();
    let pci = &mut scene.placement.pci;
    pci.expanders.clear();
    for (port, index) in pci.ports.iter_mut().zip(1..) {
        (port.index, port.parent, port.slot) = (index, 0, None);
    }
    for function in &mut pci.functions {
        function.port -= 2;
    }
    for device in &mut scene.placement.devices {
        device.cell = None;
    }
    assert_eq!(scene.verify(), Ok(()));
}

#[test]
fn every_violation_is_one_line() {
    for (_, _, violation) in sabotage::table() {
        let text = violation.to_string();
        let first = text.chars().next().unwrap();
        assert!(!text.contains('\n') && text.len() < 200, "{text}");
        let proper = ["vCPU", "GPU", "I/O"].iter().any(|word| text.starts_with(word));
        assert!(first.is_lowercase() || first.is_ascii_digit() || proper, "{text}");
    }
    let short = Violation::CellMemory {
        cell: CellId(1),
        memory: Bytes::from_mib(1536),
        page_size: PageSize::GIB_1,
    };
    let text = "cell 1 has 1536 MiB of memory, which is not a positive number of pages of 1 GiB";
    assert_eq!(short.to_string(), text);
    let gpu = address("13:00.0");
    let (found, wanted) = (None, Some(NodeId(0)));
    let elsewhere = Violation::DeviceNode { address: gpu, found, wanted };
    let text = "device 0000:13:00.0 is placed on no node, but is on node 0";
    assert_eq!(elsewhere.to_string(), text);
    let page = PageSize::GIB_1;
    for (node, place) in [(None, "the whole host"), (Some(NodeId(1)), "node 1")] {
        let short = Violation::PagesShort { node, page_size: page, needed: 4, free: 2 };
        let text = format!("the VM takes 4 pages of 1 GiB on {place}, but 2 are free");
        assert_eq!(short.to_string(), text);
    }
}
