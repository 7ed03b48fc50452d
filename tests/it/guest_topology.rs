//! The sockets, dies and cores that a guest sees, by the packages of its nodes and the sizes of its
//! cells. What a kernel makes of them is judged in `tests/lab`.

use pinwise::host::{CoreKind, CoreSpec, CpuVendor, NodeSpec};
use pinwise::request::{Guest, Wish};
use pinwise::units::{Distance, NodeId, PackageId, PcpuId};
use pinwise::{CpuSet, Host, HostSpec, RequestSpec, Style};
use pinwise_testkit::common::{ask, of_style, vm};

/// Cores of each node, with two pCPUs each.
const CORES: u32 = 8;

/// The package of each node, in order; nothing is kept for the host.
fn host(packages: &[u32], vendor: CpuVendor) -> Host {
    let nodes = packages.len() as u32;
    let all = nodes * CORES;
    let first = |node: u32| node * CORES;
    let row = |from: u32| -> CpuSet { (from..from + CORES).map(PcpuId).collect() };
    let distance = |from: u32, to: u32| if from == to { Distance::LOCAL } else { Distance(20) };
    let node = |id: u32| NodeSpec {
        id: NodeId(id),
        cpus: row(first(id)).union(&row(all + first(id))),
        memory: pinwise::Bytes::from_gib(64),
        pools: Vec::new(),
        distances: (0..nodes).map(|to| distance(id, to)).collect(),
    };
    let core = |number: u32| CoreSpec {
        package: PackageId(packages[(number / CORES) as usize]),
        die: 0,
        core: number,
        kind: CoreKind::Performance,
        max_mhz: None,
        pcpus: [number, all + number].map(PcpuId).into_iter().collect(),
    };
    HostSpec {
        name: "made".to_owned(),
        cpu_vendor: vendor,
        nodes: (0..nodes).map(node).collect(),
        cores: (0..all).map(core).collect(),
        reserved: pinwise::host::Reserve::None,
        ..HostSpec::default()
    }
    .build()
    .unwrap()
}

/// Sockets, dies, cores and threads of the best placement of a style.
fn shown(host: &Host, request: &RequestSpec, style: Style) -> [u32; 4] {
    let answer = ask(host, request).unwrap();
    let topology = of_style(&answer, style).placement.topology;
    [topology.sockets, topology.dies, topology.cores, topology.threads]
}

fn cells(vcpus: u32, cells: u32) -> RequestSpec {
    RequestSpec { cells: Wish::Require(cells), ..vm(vcpus, 8) }
}

fn on_intel(packages: &[u32], vcpus: u32) -> [u32; 4] {
    let request = cells(vcpus, packages.len() as u32);
    shown(&host(packages, CpuVendor::Intel), &request, Style::PinNuma)
}

#[test]
fn equal_cells_are_sockets_or_dies_of_their_packages() {
    assert_eq!(on_intel(&[0, 1], 8), [2, 1, 4, 1]);
    assert_eq!(on_intel(&[0, 0], 8), [1, 2, 4, 1]);
    assert_eq!(on_intel(&[0, 0, 1, 1], 8), [2, 2, 2, 1]);
    assert_eq!(on_intel(&[0, 1, 2, 3], 8), [4, 1, 2, 1]);
    assert_eq!(on_intel(&[0, 0, 0, 1, 1, 1], 12), [2, 3, 2, 1]);
    let siblings = shown(&host(&[0, 0], CpuVendor::Amd), &cells(8, 2), Style::PinNumaSmt);
    assert_eq!(siblings, [1, 2, 2, 2]);
}

#[test]
fn packages_that_hold_unequal_numbers_or_take_turns_are_one_socket() {
    assert_eq!(on_intel(&[0, 0, 1], 6), [1, 3, 2, 1]);
    assert_eq!(on_intel(&[0, 1, 0, 1], 8), [1, 4, 2, 1]);
}

#[test]
fn unequal_cells_are_never_a_socket_for_each_vcpu() {
    assert_eq!(on_intel(&[0, 1], 7), [1, 1, 7, 1]);
    assert_eq!(on_intel(&[0, 0], 7), [1, 1, 7, 1]);
    assert_eq!(on_intel(&[0, 1, 2, 3], 27), [1, 1, 27, 1]);
    // Five in each package.
    let mut description = host(&[0, 0, 1, 1], CpuVendor::Intel).description().clone();
    description.reserved = "0,16,32,48".parse().unwrap();
    let uneven = description.build().unwrap();
    assert_eq!(shown(&uneven, &cells(10, 4), Style::PinNuma), [2, 1, 5, 1]);
}

/// Linux would take each such die for a package.
#[test]
fn a_vcpu_alone_is_no_die() {
    assert_eq!(on_intel(&[0, 0, 1, 1], 4), [2, 1, 2, 1]);
}

/// Linux takes a package of theirs for one L3, unless the guest has `topoext`.
#[test]
fn equal_cells_on_other_cpus_than_intels_are_sockets() {
    for vendor in [CpuVendor::Amd, CpuVendor::Other] {
        let request = cells(8, 4);
        assert_eq!(shown(&host(&[0; 4], vendor), &request, Style::PinNuma), [4, 1, 2, 1]);
        let request = cells(7, 2);
        assert_eq!(shown(&host(&[0; 2], vendor), &request, Style::PinNuma), [1, 1, 7, 1]);
    }
}

#[test]
fn a_flat_guest_has_a_socket_for_each_package_with_as_many_cores() {
    let flat = |packages: &[u32], vcpus| {
        let request = RequestSpec { cells: Wish::Require(1), ..vm(vcpus, 8) };
        shown(&host(packages, CpuVendor::Amd), &request, Style::Pin)
    };
    assert_eq!(flat(&[0, 1], 8), [1, 1, 8, 1]);
    assert_eq!(flat(&[0, 1], 16), [2, 1, 8, 1]);
    assert_eq!(flat(&[0, 1], 15), [1, 1, 15, 1]);
    assert_eq!(flat(&[0, 0], 16), [1, 1, 16, 1]);
}

#[test]
fn windows_sees_one_socket() {
    for vendor in [CpuVendor::Intel, CpuVendor::Amd] {
        let host = host(&[0, 0, 1, 1], vendor);
        let windows = |request| RequestSpec { guest: Guest::Windows, ..request };
        assert_eq!(shown(&host, &windows(cells(8, 4)), Style::PinNuma), [1, 4, 2, 1]);
        assert_eq!(shown(&host, &windows(cells(9, 4)), Style::PinNuma), [1, 1, 9, 1]);
        assert_eq!(shown(&host, &windows(vm(32, 8)), Style::Pin), [1, 1, 32, 1]);
    }
}
