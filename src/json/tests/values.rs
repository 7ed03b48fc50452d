//! Values of every format, written and read back: drawn at random, and one of each with every field.

use proptest::prelude::*;

use super::assert_fits;
use super::drawn::{claim, offer, placement, request, shape};
use crate::capacity::{Allowed, GpuBond, Shape};
use crate::host::pcie::RootComplex;
use crate::json::{
    offer_schema, placement_schema, read_offer, read_placement, read_request, read_shape,
    read_tenant, request_schema, shape_schema, tenant_schema, write_offer, write_placement,
    write_request, write_shape, write_tenant,
};
use crate::placement::{
    Cell, ExpanderBus, GuestFunction, GuestPci, GuestPort, GuestSwitch, GuestTopology, MemoryMode,
    PlacedDevice, Placement, Style,
};
use crate::request::{
    DeviceWish, GpuRequest, Guest, Nearness, Policies, Policy, RequestSpec, Sharing, Wish,
    WishKind, WishNumber,
};
use crate::sets::IdSet;
use crate::units::{Bytes, CellId, Distance, NodeId, PageSize, PciAddr, Ratio};
use crate::usage::{Claim, Generation, Offer, PageClaim};
use crate::workload::{Weights, Workload};

proptest! {
    #[test]
    fn a_request_comes_back(request in request()) {
        let text = write_request(&request);
        prop_assert_eq!(&read_request(&text).unwrap(), &request);
        assert_fits(&request_schema(), &text);
    }

    #[test]
    fn a_tenant_comes_back(name in "\\PC{0,8}", claim in claim()) {
        let text = write_tenant(&name, &claim);
        assert_fits(&tenant_schema(), &text);
        prop_assert_eq!(read_tenant(&text).unwrap(), (name, claim));
    }

    #[test]
    fn an_offer_comes_back(offer in offer()) {
        let text = write_offer(&offer);
        prop_assert_eq!(&read_offer(&text).unwrap(), &offer);
        assert_fits(&offer_schema(), &text);
    }

    #[test]
    fn a_shape_comes_back(shape in shape()) {
        let text = write_shape(&shape);
        prop_assert_eq!(&read_shape(&text).unwrap(), &shape);
        assert_fits(&shape_schema(), &text);
    }

    #[test]
    fn a_placement_comes_back(placement in placement()) {
        let text = write_placement(&placement);
        prop_assert_eq!(&read_placement(&text).unwrap(), &placement);
        assert_fits(&placement_schema(), &text);
    }
}

/// A value of each format in which no field has its default.
pub(super) struct Full {
    pub(super) request: RequestSpec,
    pub(super) claim: Claim,
    pub(super) offer: Offer,
    pub(super) shape: Shape,
    pub(super) placement: Placement,
}

pub(super) fn full() -> Full {
    let address: PciAddr = "0000:1b:00.0".parse().unwrap();
    let cpus = "1-2".parse::<IdSet<_>>().unwrap();
    let pages = vec![PageClaim { node: Some(NodeId(1)), page_size: PageSize::GIB_1, count: 3 }];
    let claim = Claim {
        dedicated: cpus.clone(),
        floating: cpus.clone(),
        pages,
        devices: vec![address],
        mediated: vec![None, Some(address)],
        whole_cores: true,
        own_l3: true,
        floating_vcpus: 3,
    };
    let request = RequestSpec {
        page_size: Some(PageSize::GIB_1),
        gpus: GpuRequest::Count { count: 1, model: Some("x".to_owned()) },
        devices: vec![address],
        device_wishes: vec![DeviceWish {
            kind: WishKind::Nic,
            number: WishNumber::Count(1),
            model: Some("x".to_owned()),
            near: Policy::Require,
            within: Nearness::Node,
        }],
        allow_group: true,
        workload: Workload::Custom(Weights {
            cpu_single_thread: 1,
            cpu_all_threads: 1,
            memory_bandwidth: 1,
            memory_latency: 1,
            gpu_compute: 1,
            host_gpu_transfer: 1,
            collective: 1,
        }),
        guest: Guest::Windows,
        cells: Wish::Prefer(1),
        even_cells: true,
        smt: Wish::Require(true),
        peer_to_peer: Some(true),
        emulator_pcpus: 1,
        io_threads: 1,
        shared: Some(Sharing { overcommit: Ratio(1500) }),
        cpus: Some(cpus.clone()),
        nodes: Some("0-1".parse().unwrap()),
        memory_nodes: Some("0-1".parse().unwrap()),
        policies: Policies {
            dedicated_cpus: Policy::Ignore,
            whole_cores: Policy::Ignore,
            own_l3: Policy::Require,
            one_node: Policy::Require,
            gpu_locality: Policy::Require,
            same_switch: Policy::Require,
            linked_gpus: Policy::Require,
            fabric_partition: Policy::Require,
        },
        ..RequestSpec::new("a", 4, Bytes::from_gib(4))
    };
    let shape = Shape {
        gpus: 1,
        virtual_functions: 1,
        smt: true,
        whole_cores: false,
        shared: Some(Sharing { overcommit: Ratio(1500) }),
        bond: GpuBond::Linked,
        allowed: Allowed::Sets(vec!["0-1".parse().unwrap()]),
        ..Shape::new(1, 2, Bytes::from_gib(1), PageSize::GIB_1)
    };
    let device = |is_gpu| PlacedDevice {
        address,
        is_gpu,
        node: Some(NodeId(1)),
        cell: Some(CellId(0)),
        functions: vec![address],
        withheld: vec![address],
    };
    let root = RootComplex { domain: 0, bus: 0x17 };
    let placement = Placement {
        name: "a".to_owned(),
        style: Style::PinNuma,
        dedicated: true,
        memory_mode: MemoryMode::Strict,
        topology: GuestTopology { sockets: 1, dies: 1, cores: 1, threads: 1 },
        vcpus: vec![cpus.clone()],
        idle: cpus.clone(),
        emulator_own: cpus.clone(),
        emulator: cpus.clone(),
        iothreads: vec![cpus],
        cells: vec![Cell {
            id: CellId(0),
            nodes: "1".parse().unwrap(),
            vcpus: "0".parse().unwrap(),
            memory: Bytes::from_gib(1),
            page_size: PageSize::GIB_1,
            pages: vec![(NodeId(1), 1)],
            distances: vec![Distance::LOCAL],
        }],
        devices: vec![device(true), device(false)],
        fabric_partition: Some(3),
        pci: GuestPci {
            expanders: vec![ExpanderBus { index: 1, cell: CellId(0), bus_nr: 2, root }],
            ports: vec![GuestPort { index: 2, parent: 1, slot: Some(3) }],
            switches: vec![GuestSwitch { index: 3, port: 2, host: address }],
            functions: vec![GuestFunction {
                host: address,
                port: 2,
                function: 1,
                multifunction: true,
            }],
            mmio64_mib: Some(1 << 17),
        },
        iommu: true,
        topoext: true,
        whole_cores: true,
        own_l3: true,
    };
    let (host, tenant, generation) = ("h".to_owned(), "a".to_owned(), Generation(3));
    let offer = Offer { host, tenant, claim: claim.clone(), generation, whole_cores: true };
    Full { request, claim, offer, shape, placement }
}
