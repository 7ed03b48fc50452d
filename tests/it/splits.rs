//! How cores are shared out over two nodes whose cores are not alike: where an even split would lie
//! badly, uneven ones are tried too.

use pinwise::engine::L3Use;
use pinwise::host::{CoreKind, CoreSpec, L3Spec, NodeSpec, PciClass, PciDevice, PciId};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::{Distance, NodeId, PackageId, PcpuId};
use pinwise::{
    Bytes, Claim, CpuSet, Host, HostSpec, Options, PciAddr, RequestSpec, Style, Usage, Workload,
};
use pinwise_testkit::common::{ask, ask_with, of_style};

/// Cores of one node: their kind, and whether each has an L3 domain of so many to itself.
type Cores = [(CoreKind, u32, bool); 2];

/// Two nodes with these cores of one pCPU each. One more core of each node is the host's.
fn host(nodes: [Cores; 2]) -> Host {
    let mut host = HostSpec { name: "two-nodes".to_owned(), ..HostSpec::default() };
    let (mut next, mut kept) = (0, CpuSet::new());
    for (id, groups) in (0..).zip(nodes) {
        let first = next;
        let own = [(CoreKind::Performance, 1, false)];
        for (kind, number, domain) in own.into_iter().chain(groups) {
            let cpus: CpuSet = (next..next + number).map(PcpuId).collect();
            host.cores.extend(cpus.iter().map(|pcpu| CoreSpec {
                package: PackageId(id),
                die: 0,
                core: pcpu.0,
                kind,
                max_mhz: None,
                pcpus: CpuSet::from_iter([pcpu]),
            }));
            if domain {
                host.l3_domains.push(L3Spec { cpus, size: None });
            }
            next += number;
        }
        kept.insert(PcpuId(first));
        host.nodes.push(NodeSpec {
            id: NodeId(id),
            cpus: (first..next).map(PcpuId).collect(),
            memory: Bytes::from_gib(64),
            pools: Vec::new(),
            distances: if id == 0 { vec![10, 20] } else { vec![20, 10] }
                .into_iter()
                .map(Distance)
                .collect(),
        });
    }
    host.reserved = kept.into();
    host.build().unwrap()
}

/// Eight vCPUs in two cells.
fn two_cells() -> RequestSpec {
    RequestSpec {
        cells: Wish::Require(2),
        workload: Workload::CpuThroughput,
        ..RequestSpec::new("vm1", 8, Bytes::from_gib(8))
    }
}

#[test]
fn cells_are_uneven_where_that_avoids_efficiency_cores() {
    use CoreKind::{Efficiency, Performance};
    let request = RequestSpec { workload: Workload::LatencySensitive, ..two_cells() };
    let sizes = |second: u32| {
        let more = [(Performance, 6, false), (Efficiency, 2, false)];
        let fewer = [(Performance, second, false), (Efficiency, 6, false)];
        let answer = ask(&host([more, fewer]), &request).unwrap();
        let best = of_style(&answer, Style::PinNuma);
        let sizes: Vec<usize> = best.placement.cells.iter().map(|cell| cell.vcpus.len()).collect();
        (sizes, best.profile.on_slow_cores())
    };
    assert_eq!(sizes(4), (vec![4, 4], false), "no reason to be uneven");
    assert_eq!(sizes(2), (vec![6, 2], false));
    assert_eq!(sizes(1), (vec![6, 2], true), "no split avoids them: the fewest");
}

#[test]
fn a_flat_vm_is_shared_out_so_that_it_is_in_as_few_l3_domains_as_can_be() {
    let domains = [(CoreKind::Performance, 4, true); 2];
    let host = host([domains, domains]);
    // More than a node has, and nothing that the guest sees of it.
    let request = RequestSpec {
        cells: Wish::Require(1),
        workload: Workload::CpuThroughput,
        ..RequestSpec::new("vm1", 9, Bytes::from_gib(9))
    };
    let lies = |held: &[u32]| {
        let mut usage = Usage::empty(&host);
        let dedicated = held.iter().copied().map(PcpuId).collect();
        usage.claim(&host, "neighbour", Claim { dedicated, ..Claim::default() }).unwrap();
        let answer = ask_with(&host, &usage, &request, &Options::default()).unwrap();
        let best = of_style(&answer, Style::Pin);
        let pcpus = best.placement.vcpu_pcpus();
        let on = |at: usize| pcpus.intersection(&host.nodes()[at].cpus).len();
        ([on(0), on(1)], best.profile.l3)
    };
    // Node 1 has pCPUs 9 to 17, of which 10 to 13 share an L3, and 14 to 17.
    assert_eq!(lies(&[]), ([5, 4], L3Use::Fewest));
    let (on, l3) = lies(&[10, 14]);
    assert_eq!(l3, L3Use::Fewest, "{on:?}");
    assert_ne!(on[1], 4, "four would be in pieces of two domains");
    // With three left in every domain, six of one node and three of the other.
    let (on, l3) = lies(&[1, 5, 10, 14]);
    assert_eq!(l3, L3Use::Fewest, "{on:?}");
}

#[test]
fn a_flat_vm_is_shared_out_so_that_one_l3_domain_of_each_node_holds_its_cores() {
    let domains = |a, b| [(CoreKind::Performance, a, true), (CoreKind::Performance, b, true)];
    let host = host([domains(5, 2), domains(3, 3)]);
    let lies = |vcpus: u32| {
        let request = RequestSpec { cells: Wish::Require(1), vcpus, ..two_cells() };
        let answer = ask(&host, &request).unwrap();
        let best = of_style(&answer, Style::Pin);
        let pcpus = best.placement.vcpu_pcpus();
        let on = |at: usize| pcpus.intersection(&host.nodes()[at].cpus).len();
        ([on(0), on(1)], best.profile.l3)
    };
    // Four and four would be in two domains of node 1.
    assert_eq!(lies(8), ([5, 3], L3Use::One));
    assert_eq!(lies(9).1, L3Use::Fewest);
}

/// By GPUs it would be six and two, evenly four and four, which alone is on performance cores.
#[test]
fn a_split_by_gpus_and_an_even_one_are_told_apart() {
    use CoreKind::{Efficiency, Performance};
    let cores = |slow| [(Performance, 4, false), (Efficiency, slow, false)];
    let mut described = host([cores(4), cores(1)]).description().clone();
    for (bus, node) in [(1, 0), (2, 0), (3, 0), (4, 1)] {
        let address = PciAddr { domain: 0, bus, device: 0, function: 0 };
        let gpu = PciDevice::new(address, PciClass(0x03_0200), PciId(0x10de), PciId(0x2335));
        described.devices.push(PciDevice { node: Some(NodeId(node)), ..gpu });
    }
    let request = RequestSpec {
        workload: Workload::LatencySensitive,
        gpus: GpuRequest::Count { count: 4, model: None },
        ..two_cells()
    };
    let answer = ask(&described.build().unwrap(), &request).unwrap();
    let best = of_style(&answer, Style::PinNuma);
    let sizes: Vec<usize> = best.placement.cells.iter().map(|cell| cell.vcpus.len()).collect();
    assert_eq!((sizes, best.profile.on_slow_cores()), (vec![4, 4], false));
}
