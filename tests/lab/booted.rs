//! Guests that were placed by the engine boot, and what they see of themselves is what the
//! placement promised: cells, memory, distances, packages, SMT siblings, the node of every device,
//! and the switches that devices share.
//!
//! QEMU emulates all of it; `tests/lab/stand_in.rs` says what is exchanged for that. Only with
//! `PINWISE_LAB=1`, and only where `PINWISE_LAB_QEMU` names a libvirtd on this machine, as
//! `tests/lab/run` starts one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::judge::{Driver, driver, judge, pcpus};
use crate::spread::{Answer, answers, made_up, made_up_with, nics};
use crate::stand_in::StandIn;
use crate::view::{Route, View};
use pinwise::emit::libvirt;
use pinwise::host::{CpuVendor, DeviceKind};
use pinwise::request::{GpuRequest, Wish};
use pinwise::{Bytes, Host, PageSize, PciAddr, Placement, RequestSpec, Style};
use pinwise_testkit::common;
use roxmltree::Document;

/// What a guest's kernel needs of a cell.
const CELL_MIB: u64 = 288;

fn request(vcpus: u32, mib: u64, gpus: &[&str], others: &[&str], cells: u32) -> RequestSpec {
    let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    RequestSpec {
        gpus: GpuRequest::Addresses(list(gpus)),
        devices: list(others),
        page_size: Some(PageSize::KIB_4),
        cells: if cells > 1 { Wish::Require(cells) } else { Wish::Auto },
        ..RequestSpec::new("booted", vcpus, Bytes::from_mib(mib))
    }
}

/// The answer of a style with so many cells and, where asked for, expander buses.
fn chosen(host: &Host, wanted: RequestSpec, style: Style, expanders: bool) -> Answer {
    let mut all = answers(host, wanted);
    let at = all.iter().position(|answer| {
        let placement = &answer.placement;
        placement.style == style && placement.pci.expanders.is_empty() != expanders
    });
    all.swap_remove(at.expect("the engine offers it"))
}

/// Boots the placement and reads what the guest reports, with libvirt's own account of the domain.
fn boot(driver: &Driver, name: &str, placement: &Placement, amd: bool) -> (String, View) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let printed = libvirt::domain(placement).unwrap();
    judge(&format!("booted-{name}"), &printed);
    let own = format!("pinwise-lab-booted-{name}");
    let (console, said) = (folder.join(format!("{own}.log")), folder.join(format!("{own}.said")));
    let boot = format!(
        "<kernel>{}</kernel><initrd>{}</initrd>\
         <cmdline>console=ttyS0 panic=-1 mitigations=off nokaslr tsc=unstable</cmdline>",
        crate::machine::kernel().display(),
        crate::view::image().display(),
    );
    let port = |path: &Path, at: u32| {
        format!(
            "<serial type='file'><source path='{}'/><target port='{at}'/></serial>",
            path.display()
        )
    };
    let serial = port(&console, 0) + &port(&said, 1);
    let pages = placement.cells.iter().any(|cell| cell.page_size.is_huge());
    let stand_in =
        StandIn { name: &own, pcpus: Some(pcpus()), pages, boot: &boot, serial: &serial, amd };
    let xml = stand_in.apply(placement, &printed);
    let start = std::time::Instant::now();
    let (live, report) = driver.booted(name, &xml, placement, &said);
    println!("{name}: reported after {} s", start.elapsed().as_secs());
    (live, View::read(&report))
}

/// Where libvirt put each controller and each device: how the guest finds it.
fn routes(live: &str, placement: &Placement) -> BTreeMap<PciAddr, Route> {
    let document = Document::parse(live).unwrap();
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).unwrap(),
        None => text.parse().unwrap(),
    };
    let mut controllers = BTreeMap::new();
    for node in document.descendants().filter(|node| node.has_tag_name("controller")) {
        if node.attribute("type") != Some("pci") {
            continue;
        }
        let child = |name| node.children().find(|child| child.has_tag_name(name));
        let part = |name| child("address").map(|at| number(at.attribute(name).unwrap()));
        let root = match node.attribute("model").unwrap() {
            "pcie-root" => Some(0),
            "pcie-expander-bus" => child("target").map(|t| number(t.attribute("busNr").unwrap())),
            _ => None,
        };
        let step = part("slot").zip(part("function"));
        let index = number(node.attribute("index").unwrap());
        controllers.insert(index, (root, part("bus"), step));
    }
    let small = |value: u32| u8::try_from(value).unwrap();
    let route = |bus: u32, function: u8| {
        let mut steps = vec![(0, function)];
        let mut at = bus;
        loop {
            let (root, above, step) = controllers[&at];
            if let Some(root) = root {
                steps.reverse();
                return (small(root), steps);
            }
            let (device, function) = step.unwrap();
            steps.push((small(device), small(function)));
            at = above.unwrap();
        }
    };
    let functions = placement.pci.functions.iter();
    functions.map(|shown| (shown.host, route(shown.port, shown.function))).collect()
}

/// What the kernel says where bus numbers or topology do not fit.
const BAD: [&str; 7] = [
    "can not insert",
    "partially hidden behind",
    "No bus number",
    "busn_res: can not",
    "conflicts with",
    "topology: ",
    "invalid SLIT",
];
/// What it says where vCPUs of several nodes share an L3.
const SHARES: &str = "llc-sibling CPU #";

/// Compares everything.
fn compare(name: &str, placement: &Placement, live: &str, view: &View) {
    compare_all(name, placement, live, view, false);
}

/// Compares everything; an AMD guest has no `topoext` here.
fn compare_all(name: &str, placement: &Placement, live: &str, view: &View, amd: bool) {
    for line in &view.log {
        assert!(!BAD.iter().any(|bad| line.contains(bad)), "{name}: {line}");
    }
    caches(name, placement, view, amd);
    let shows_cells = placement.cells.len() > 1 || !placement.pci.expanders.is_empty();
    assert_eq!(view.online(), format!("0-{}", placement.vcpus.len() - 1), "{name}");
    assert_eq!(view.nodes(), placement.cells.len(), "{name}: cells");
    for cell in &placement.cells {
        let id = cell.id.0;
        assert_eq!(view.cpus_of(id), cell.vcpus.to_string(), "{name}: cell {id}");
        let distances: Vec<u8> = cell.distances.iter().map(|distance| distance.0).collect();
        assert_eq!(view.distances(id), distances, "{name}: cell {id}");
        // The kernel keeps its own image and a description of every page; firmware keeps some.
        let (seen, asked) = (view.kib_of(id), cell.memory.kib());
        let least = asked - asked / 16 - (100 << 10);
        assert!((least..=asked).contains(&seen), "{name}: cell {id} has {seen} KiB of {asked}");
    }
    let topology = placement.topology;
    let vcpus = u32::try_from(placement.vcpus.len()).unwrap();
    let of = |size: u32| -> BTreeSet<Vec<u32>> {
        (0..vcpus / size).map(|at| (at * size..(at + 1) * size).collect()).collect()
    };
    let package = topology.dies * topology.cores * topology.threads;
    assert_eq!(view.packages(), of(package), "{name}: packages");
    for vcpu in 0..vcpus {
        let first = vcpu - vcpu % topology.threads;
        let core: pinwise::sets::VcpuSet =
            (first..first + topology.threads).map(pinwise::units::VcpuId).collect();
        assert_eq!(view.siblings(vcpu), core.to_string(), "{name}: siblings of vCPU {vcpu}");
    }
    devices(name, placement, live, view, shows_cells);
}

/// Dies and L3s are those of the topology. An AMD guest takes a socket for one die with one L3:
/// where a cell's border lies inside a socket, it says so, and ends the L3 there.
fn caches(name: &str, placement: &Placement, view: &View, amd: bool) {
    let topology = placement.topology;
    let in_die = topology.cores * topology.threads;
    let width = if amd { in_die * topology.dies } else { in_die };
    let mut crossed = false;
    for vcpu in 0..u32::try_from(placement.vcpus.len()).unwrap() {
        let first = vcpu - vcpu % width;
        let die: pinwise::sets::VcpuSet =
            (first..first + width).map(pinwise::units::VcpuId).collect();
        assert_eq!(view.die(vcpu), die.to_string(), "{name}: die of vCPU {vcpu}");
        let cells = placement.cells.iter();
        let mut cells = cells.filter(|cell| cell.vcpus.contains(pinwise::units::VcpuId(vcpu)));
        let inside = cells.next().unwrap().vcpus.intersection(&die);
        crossed |= inside != die;
        let l3 = if amd { inside } else { die };
        assert_eq!(view.l3(vcpu), l3.to_string(), "{name}: L3 of vCPU {vcpu}");
    }
    let said = view.log.iter().any(|line| line.contains(SHARES));
    assert_eq!(said, amd && crossed, "{name}: {:?}", view.log);
}

/// Every function is where it was promised, on the node that was promised, and nothing else is.
fn devices(name: &str, placement: &Placement, live: &str, view: &View, shows_cells: bool) {
    let routes = routes(live, placement);
    for device in &placement.devices {
        for host in [device.address].iter().chain(&device.functions) {
            let route = &routes[host];
            let seen = view.functions.get(route);
            let seen = seen.unwrap_or_else(|| panic!("{name}: {host} is lost: no {route:x?}"));
            // A display, a sound card or a NIC stands in.
            let class = match (device.is_gpu, *host == device.address) {
                (true, true) => 0x03,
                (_, false) => 0x04,
                (false, true) => 0x02,
            };
            assert_eq!(seen.class >> 16, class, "{name}: {host}");
            let node = device.cell.map(|cell| cell.0);
            assert_eq!(seen.node, node, "{name}: numa_node of {host}");
            assert!(shows_cells || node.is_none(), "{name}: {host}");
        }
    }
    let endpoints = view.functions.values().filter(|f| [2, 3, 4].contains(&(f.class >> 16)));
    assert_eq!(endpoints.count(), placement.pci.functions.len(), "{name}: functions");
    // Below one switch of the host with a GPU and a NIC: one upstream port above both in the guest.
    let above = |host: &PciAddr| {
        let (root, steps) = &routes[host];
        (*root, steps[..steps.len().saturating_sub(2)].to_vec())
    };
    for switch in &placement.pci.switches {
        let below = |port: u32| {
            placement.pci.ports.iter().any(|p| p.index == port && p.parent == switch.index)
        };
        let members: Vec<_> = placement.pci.functions.iter().filter(|f| below(f.port)).collect();
        let tops: BTreeSet<_> = members.iter().map(|f| above(&f.host)).collect();
        assert!(members.len() > 1 && tops.len() == 1, "{name}: {tops:?}");
        let top = tops.into_iter().next().unwrap();
        assert!(
            view.functions.get(&top).is_some_and(|f| f.class >> 8 == 0x0604),
            "{name}: {top:?}"
        );
    }
}

fn whole(driver: &Driver, name: &str, placement: &Placement) -> View {
    let (live, view) = boot(driver, name, placement, false);
    compare(name, placement, &live, &view);
    view
}

const MI350X: [&str; 3] = ["13:00.0", "14:00.0", "93:00.0"];

/// Two GPUs and a NIC below one switch, a GPU on the other node; two cells.
fn two_cells() -> Answer {
    let wanted = request(8, 1536, &MI350X, &["15:00.0"], 2);
    chosen(&common::host("mi350x"), wanted, Style::PinNuma, true)
}

#[test]
fn two_gpus_and_a_nic_of_one_switch_are_neighbours_on_the_node_of_their_cell() {
    let Some(driver) = driver() else { return };
    let placement = two_cells().placement;
    assert_eq!((placement.pci.switches.len(), placement.pci.expanders.len()), (1, 2));
    let view = whole(&driver, "two-cells", &placement);
    // QEMU's switch says that its links are slow, whatever is plugged in: a fact that the
    // documentation of `GuestSwitch` states.
    let slow = (0x06_0400, "2.5 GT/s PCIe x1".to_owned());
    assert!(view.links().contains(&slow), "{:?}", view.links());
}

/// The same VM without cells: the devices' nodes are not seen, and the comparison says so.
#[test]
fn without_cells_no_device_has_a_node_and_the_comparison_notices() {
    let Some(driver) = driver() else { return };
    let wanted = request(8, 1536, &MI350X, &["15:00.0"], 1);
    let placement = chosen(&common::host("mi350x"), wanted, Style::Default, false).placement;
    let (live, view) = boot(&driver, "flat", &placement, false);
    compare("flat", &placement, &live, &view);
    let gpus = || view.functions.values().filter(|function| function.class >> 16 == 3);
    assert_eq!(gpus().count(), 3);
    assert!(gpus().all(|gpu| gpu.node.is_none()));
    // The promise of two cells is not kept by this guest: neither as a whole, nor for its devices.
    let promised = two_cells().placement;
    let unkept =
        |check: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err();
    assert!(unkept(&|| compare("control", &promised, &live, &view)));
    let mut moved = placement.clone();
    moved.devices[0].cell = Some(pinwise::units::CellId(0));
    assert!(unkept(&|| devices("control", &moved, &live, &view, true)));
}

#[test]
fn one_cell_with_siblings_and_a_switch_on_the_first_bus() {
    let Some(driver) = driver() else { return };
    let wanted = request(6, 768, &["13:00.0", "14:00.0"], &["15:00.0", "16:00.0"], 1);
    let placement = chosen(&common::host("mi350x"), wanted, Style::PinSmt, false).placement;
    assert_eq!((placement.pci.switches.len(), placement.topology.threads), (1, 2));
    whole(&driver, "smt", &placement);
}

#[test]
fn four_cells_with_siblings() {
    let Some(driver) = driver() else { return };
    let host = common::host("rtx-4090-nps4");
    let gpus =
        GpuRequest::Count { count: u32::try_from(host.gpus().len().min(4)).unwrap(), model: None };
    let wanted = RequestSpec { gpus, ..request(16, 2048, &[], &[], 4) };
    let placement = chosen(&host, wanted, Style::PinNumaSmt, true).placement;
    whole(&driver, "four-cells", &placement);
}

#[test]
fn a_switch_in_each_of_two_cells_with_siblings() {
    let Some(driver) = driver() else { return };
    let wanted = request(12, 1536, &["1b:00.0", "9b:00.0"], &["1c:00.0", "9c:00.0"], 2);
    let placement = chosen(&common::host("hgx-h200"), wanted, Style::PinNumaSmt, true).placement;
    assert_eq!(placement.pci.switches.len(), 2);
    whole(&driver, "two-switches", &placement);
}

/// Cells over packages: packages, nodes in each, vCPUs, threads, and the topology as sockets, dies
/// and cores.
type Packages = ([u32; 4], [u32; 3]);

fn cells_over_packages(vendor: CpuVendor, all: &[Packages]) {
    let Some(driver) = driver() else { return };
    for ([packages, nodes, vcpus, threads], expected) in all {
        let host = crate::spread::packages(*packages, *nodes, vendor);
        let cells = packages * nodes;
        let wanted = request(*vcpus, u64::from(cells) * CELL_MIB, &[], &[], cells);
        let style = if *threads > 1 { Style::PinNumaSmt } else { Style::PinNuma };
        let placement = chosen(&host, wanted, style, false).placement;
        let topology = placement.topology;
        assert_eq!([topology.sockets, topology.dies, topology.cores], *expected, "{placement:?}");
        let amd = vendor == CpuVendor::Amd;
        let name = format!("packages-{packages}-{nodes}-{vcpus}{}", if amd { "-amd" } else { "" });
        let (live, view) = boot(&driver, &name, &placement, amd);
        compare_all(&name, &placement, &live, &view, amd);
    }
}

#[test]
fn equal_cells_are_dies_of_their_packages() {
    cells_over_packages(
        CpuVendor::Intel,
        &[
            ([1, 2, 6, 1], [1, 2, 3]),
            ([2, 2, 8, 1], [2, 2, 2]),
            ([3, 1, 6, 1], [3, 1, 2]),
            ([2, 2, 16, 2], [2, 2, 2]),
            ([4, 2, 16, 1], [4, 2, 2]),
        ],
    );
}

#[test]
fn unequal_cells_share_a_socket_in_silence() {
    cells_over_packages(
        CpuVendor::Intel,
        &[
            ([1, 2, 5, 1], [1, 1, 5]),
            ([2, 1, 7, 1], [1, 1, 7]),
            ([2, 2, 10, 1], [2, 1, 5]),
            ([3, 2, 15, 1], [3, 1, 5]),
            ([4, 1, 10, 2], [1, 1, 5]),
            ([4, 1, 9, 1], [1, 1, 9]),
        ],
    );
}

#[test]
fn equal_cells_of_amd_are_sockets_and_unequal_ones_cost_a_complaint() {
    cells_over_packages(
        CpuVendor::Amd,
        &[
            ([1, 2, 6, 1], [2, 1, 3]),
            ([2, 2, 8, 1], [4, 1, 2]),
            ([1, 2, 5, 1], [1, 1, 5]),
            ([2, 2, 10, 1], [2, 1, 5]),
        ],
    );
}

/// The most of everything: unequal cells, sixteen devices, each pair below a switch of its own.
#[test]
fn eight_unequal_cells_with_sixteen_devices() {
    let Some(driver) = driver() else { return };
    let host = made_up(8, CpuVendor::Intel);
    let pick = |kind: DeviceKind, every: usize| -> Vec<PciAddr> {
        let all = host.pci().devices().iter().filter(|device| device.kind() == kind);
        all.map(|device| device.address).step_by(every).collect()
    };
    let wanted = RequestSpec {
        gpus: GpuRequest::Addresses(pick(DeviceKind::Gpu, 2)),
        devices: pick(DeviceKind::Nic, 1),
        ..request(11, 8 * CELL_MIB, &[], &[], 8)
    };
    let placement = chosen(&host, wanted, Style::PinNuma, true).placement;
    assert_eq!((placement.devices.len(), placement.pci.switches.len()), (16, 8));
    let sizes: BTreeSet<usize> = placement.cells.iter().map(|cell| cell.vcpus.len()).collect();
    assert!(sizes.len() > 1, "{sizes:?}");
    whole(&driver, "eight-cells", &placement);
}

/// So many expander buses with so many ports each: no bus number is taken twice, no device is lost.
fn ports(driver: &Driver, expanders: u32, ports: u8) {
    let cells = expanders.max(2);
    let on = |node| if node < expanders { nics(node, ports) } else { Vec::new() };
    let host = made_up_with(cells, CpuVendor::Intel, on);
    let nics = host.pci().devices().iter().filter(|device| device.kind() == DeviceKind::Nic);
    let devices = nics.map(|device| device.address).collect();
    let base = request(cells, u64::from(cells) * CELL_MIB, &[], &[], cells);
    let placement = chosen(&host, RequestSpec { devices, ..base }, Style::PinNuma, true).placement;
    assert_eq!(placement.pci.expanders.len(), expanders as usize);
    assert_eq!(placement.pci.ports.len(), expanders as usize * usize::from(ports));
    whole(driver, &format!("ports-{expanders}-{ports}"), &placement);
}

#[test]
fn one_to_four_expander_buses_with_eight_to_five_ports() {
    let Some(driver) = driver() else { return };
    [(1, 8), (2, 7), (3, 6), (4, 5)]
        .into_iter()
        .for_each(|(many, each)| ports(&driver, many, each));
}

#[test]
fn five_to_eight_expander_buses_with_four_to_one_ports() {
    let Some(driver) = driver() else { return };
    [(5, 4), (6, 3), (7, 2), (8, 1)]
        .into_iter()
        .for_each(|(many, each)| ports(&driver, many, each));
}

#[test]
fn eight_expander_buses_with_eight_ports() {
    let Some(driver) = driver() else { return };
    ports(&driver, 8, 8);
}

/// All 64 pairs take half an hour: where `PINWISE_LONG=1`.
#[test]
fn every_number_of_expander_buses_with_every_number_of_ports() {
    let Some(driver) = driver() else { return };
    if std::env::var_os("PINWISE_LONG").is_none_or(|value| value != "1") {
        println!("PINWISE_LONG=1 boots all 64: not run");
        return;
    }
    for expanders in 1..=8 {
        (1..=8).for_each(|each| ports(&driver, expanders, each));
    }
}

/// Each cell of pages of 2 MiB, which `tests/lab/run` has a pool of.
#[test]
fn cells_of_hugepages_boot_and_are_made_of_them() {
    let Some(driver) = driver() else { return };
    let cells =
        RequestSpec { page_size: Some(PageSize::MIB_2), ..request(4, 2 * CELL_MIB, &[], &[], 2) };
    let placement = chosen(&made_up(2, CpuVendor::Intel), cells, Style::PinNuma, false).placement;
    let pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    let free: u64 = std::fs::read_to_string(pool).map_or(0, |text| text.trim().parse().unwrap());
    if free < CELL_MIB {
        println!("{free} free pages of 2 MiB here, {CELL_MIB} needed: not run");
        return;
    }
    whole(&driver, "hugepages", &placement);
}
