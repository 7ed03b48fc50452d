//! Values of every format, drawn at random.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::capacity::{Allowed, GpuBond, Shape};
use crate::host::pcie::RootComplex;
use crate::placement::{
    Cell, ExpanderBus, GuestFunction, GuestPci, GuestPort, GuestSwitch, GuestTopology, MemoryMode,
    PlacedDevice, Placement, Style,
};
use crate::request::{
    DeviceWish, GpuRequest, Guest, Nearness, Policies, Policy, RequestSpec, Sharing, Wish,
    WishKind, WishNumber,
};
use crate::sets::IdSet;
use crate::units::{Bytes, CellId, Distance, Id, NodeId, PageSize, PciAddr, Ratio};
use crate::usage::{Claim, Generation, Offer, PageClaim};
use crate::workload::{Weights, Workload};

fn set<T: Id>() -> impl Strategy<Value = IdSet<T>> {
    vec(0..T::LIMIT, 0..6).prop_map(|ids| ids.into_iter().map(T::from_index).collect())
}

fn node() -> impl Strategy<Value = NodeId> {
    (0..NodeId::LIMIT).prop_map(NodeId)
}

fn cell_id() -> impl Strategy<Value = CellId> {
    (0..CellId::LIMIT).prop_map(CellId)
}

fn page_size() -> impl Strategy<Value = PageSize> {
    (2_u32..=30).prop_map(|shift| PageSize::from_kib(1 << shift).unwrap())
}

fn address() -> impl Strategy<Value = PciAddr> {
    (any::<u32>(), any::<u8>(), 0_u8..32, 0_u8..8)
        .prop_map(|(domain, bus, device, function)| PciAddr { domain, bus, device, function })
}

fn addresses() -> impl Strategy<Value = Vec<PciAddr>> {
    vec(address(), 0..4)
}

pub(super) fn claim() -> impl Strategy<Value = Claim> {
    let pages = (option::of(node()), page_size(), any::<u64>())
        .prop_map(|(node, page_size, count)| PageClaim { node, page_size, count });
    (
        set(),
        set(),
        vec(pages, 0..4),
        addresses(),
        vec(option::of(address()), 0..3),
        any::<[bool; 2]>(),
        any::<u32>(),
    )
        .prop_map(
            |(dedicated, floating, pages, devices, mediated, isolation, floating_vcpus)| {
                let [whole_cores, own_l3] = isolation;
                Claim {
                    dedicated,
                    floating,
                    pages,
                    devices,
                    mediated,
                    whole_cores,
                    own_l3,
                    floating_vcpus,
                }
            },
        )
}

pub(super) fn offer() -> impl Strategy<Value = Offer> {
    ("\\PC{0,8}", "\\PC{0,8}", claim(), any::<u64>(), any::<bool>()).prop_map(
        |(host, tenant, claim, generation, whole_cores)| Offer {
            host,
            tenant,
            claim,
            generation: Generation(generation),
            whole_cores,
        },
    )
}

fn policies() -> impl Strategy<Value = Policies> {
    let policy = || prop::sample::select(vec![Policy::Require, Policy::Prefer, Policy::Ignore]);
    [policy(), policy(), policy(), policy(), policy(), policy(), policy(), policy()].prop_map(
        |[
            dedicated_cpus,
            whole_cores,
            own_l3,
            one_node,
            gpu_locality,
            same_switch,
            linked_gpus,
            partition,
        ]| {
            Policies {
                dedicated_cpus,
                whole_cores,
                own_l3,
                one_node,
                gpu_locality,
                same_switch,
                linked_gpus,
                fabric_partition: partition,
            }
        },
    )
}

fn workload() -> impl Strategy<Value = Workload> {
    let custom = any::<[u16; 7]>().prop_map(|w| {
        Workload::Custom(Weights {
            cpu_single_thread: w[0],
            cpu_all_threads: w[1],
            memory_bandwidth: w[2],
            memory_latency: w[3],
            gpu_compute: w[4],
            host_gpu_transfer: w[5],
            collective: w[6],
        })
    });
    prop_oneof![prop::sample::select(Workload::PRESETS.to_vec()), custom]
}

fn wish<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Wish<T>> {
    prop_oneof![
        Just(Wish::Auto),
        value.clone().prop_map(Wish::Prefer),
        value.prop_map(Wish::Require)
    ]
}

fn gpus() -> impl Strategy<Value = GpuRequest> {
    prop_oneof![
        (any::<u32>(), option::of("\\PC{0,8}"))
            .prop_map(|(count, model)| GpuRequest::Count { count, model }),
        (any::<u32>(), option::of("\\PC{0,8}"))
            .prop_map(|(count, model)| GpuRequest::VfOf { count, model }),
        addresses().prop_map(GpuRequest::Addresses)
    ]
}

fn device_wishes() -> impl Strategy<Value = Vec<DeviceWish>> {
    let kind = prop_oneof![Just(WishKind::Nic), Just(WishKind::Nvme)];
    let number = prop_oneof![Just(WishNumber::PerGpu), any::<u32>().prop_map(WishNumber::Count)];
    let near = prop::sample::select(vec![Policy::Require, Policy::Prefer, Policy::Ignore]);
    let within = prop::sample::select(Nearness::ALL.to_vec());
    let wish = (kind, number, option::of("\\PC{0,8}"), near, within).prop_map(
        |(kind, number, model, near, within)| DeviceWish { kind, number, model, near, within },
    );
    vec(wish, 0..3)
}

fn sharing() -> impl Strategy<Value = Option<Sharing>> {
    let overcommit = (1000_u32..=64_000).prop_map(|n| Sharing { overcommit: Ratio(n) });
    option::of(overcommit)
}

pub(super) fn request() -> impl Strategy<Value = RequestSpec> {
    let size = ("\\PC{0,8}", any::<u32>(), any::<u64>(), option::of(page_size()));
    let guest = prop_oneof![Just(Guest::Any), Just(Guest::Windows)];
    let devices = (addresses(), device_wishes());
    let parts = (gpus(), devices, workload(), guest, wish(any::<u32>()), wish(any::<bool>()));
    let held_to = (option::of(set()), option::of(set()), option::of(set()), sharing());
    let rest =
        (option::of(any::<bool>()), any::<[bool; 2]>(), any::<u32>(), any::<u32>(), policies());
    let rest = (rest, held_to);
    (size, parts, rest).prop_map(|(size, (gpus, devices, workload, guest, cells, smt), rest)| {
        let (name, vcpus, memory, page_size) = size;
        let (devices, device_wishes) = devices;
        let ((peer_to_peer, flags, emulator_pcpus, io_threads, policies), held_to) = rest;
        let [even_cells, allow_group] = flags;
        let (cpus, nodes, memory_nodes, shared) = held_to;
        RequestSpec {
            name,
            vcpus,
            memory: Bytes(memory),
            page_size,
            gpus,
            devices,
            device_wishes,
            allow_group,
            workload,
            guest,
            cells,
            even_cells,
            smt,
            peer_to_peer,
            emulator_pcpus,
            io_threads,
            shared,
            cpus,
            nodes,
            memory_nodes,
            policies,
        }
    })
}

pub(super) fn shape() -> impl Strategy<Value = Shape> {
    let bond = prop::sample::select(vec![GpuBond::Any, GpuBond::Linked, GpuBond::Partition]);
    let allowed = prop_oneof![Just(Allowed::Any), vec(set(), 0..4).prop_map(Allowed::Sets)];
    let size = (any::<u32>(), any::<u32>(), any::<u64>(), page_size());
    (size, any::<[u32; 2]>(), any::<[bool; 2]>(), (sharing(), bond), allowed).prop_map(
        |(
            (cells, vcpus, memory, page_size),
            [gpus, virtual_functions],
            [smt, whole_cores],
            (shared, bond),
            allowed,
        )| Shape {
            cells,
            vcpus,
            memory: Bytes(memory),
            page_size,
            gpus,
            virtual_functions,
            smt,
            whole_cores,
            shared,
            bond,
            allowed,
        },
    )
}

fn cell() -> impl Strategy<Value = Cell> {
    let memory = (0..=u64::MAX >> 10).prop_map(|kib| Bytes(kib << 10));
    let pages = vec((node(), any::<u64>()), 0..3);
    let distances = vec(any::<u8>().prop_map(Distance), 0..4);
    (cell_id(), set(), set(), memory, page_size(), pages, distances).prop_map(
        |(id, nodes, vcpus, memory, page_size, pages, distances)| Cell {
            id,
            nodes,
            vcpus,
            memory,
            page_size,
            pages,
            distances,
        },
    )
}

fn devices(is_gpu: bool) -> impl Strategy<Value = Vec<PlacedDevice>> {
    let place = (option::of(node()), option::of(cell_id()));
    let device = (address(), place, addresses(), addresses()).prop_map(
        move |(address, (node, cell), functions, withheld)| PlacedDevice {
            address,
            is_gpu,
            node,
            cell,
            functions,
            withheld,
        },
    );
    vec(device, 0..4)
}

fn pci() -> impl Strategy<Value = GuestPci> {
    let expander = (any::<u32>(), cell_id(), any::<[u8; 2]>(), any::<u32>()).prop_map(
        |(index, cell, [bus_nr, bus], domain)| ExpanderBus {
            index,
            cell,
            bus_nr,
            root: RootComplex { domain, bus },
        },
    );
    let port = (any::<[u32; 2]>(), option::of(any::<u8>()))
        .prop_map(|([index, parent], slot)| GuestPort { index, parent, slot });
    let switch = (any::<[u32; 2]>(), address()).prop_map(|([index, port], host)| GuestSwitch {
        index,
        port,
        host,
    });
    let function = (address(), any::<u32>(), any::<u8>(), any::<bool>()).prop_map(
        |(host, port, function, multifunction)| GuestFunction {
            host,
            port,
            function,
            multifunction,
        },
    );
    let lists = (vec(expander, 0..3), vec(port, 0..3), vec(switch, 0..3), vec(function, 0..3));
    (lists, option::of(any::<u64>())).prop_map(
        |((expanders, ports, switches, functions), mmio64_mib)| GuestPci {
            expanders,
            ports,
            switches,
            functions,
            mmio64_mib,
        },
    )
}

pub(super) fn placement() -> impl Strategy<Value = Placement> {
    let modes = vec![MemoryMode::Strict, MemoryMode::Interleave, MemoryMode::Unbound];
    let style = prop::sample::select(Style::ALL.to_vec());
    let head = ("\\PC{0,8}", style, prop::sample::select(modes), any::<[u32; 4]>());
    let cpus = (vec(set(), 0..5), set(), set(), set(), vec(set(), 0..3));
    let devices = (devices(true), devices(false));
    let fabric = (option::of(any::<u32>()), pci());
    (head, cpus, vec(cell(), 0..4), devices, fabric, any::<[bool; 5]>()).prop_map(
        |(
            head,
            cpus,
            cells,
            (gpus, others),
            fabric,
            [dedicated, iommu, topoext, whole_cores, own_l3],
        )| {
            let (fabric_partition, pci) = fabric;
            let (name, style, memory_mode, [sockets, dies, cores, threads]) = head;
            let (vcpus, idle, emulator_own, emulator, iothreads) = cpus;
            Placement {
                name,
                style,
                dedicated,
                memory_mode,
                topology: GuestTopology { sockets, dies, cores, threads },
                vcpus,
                idle,
                emulator_own,
                emulator,
                iothreads,
                cells,
                devices: gpus.into_iter().chain(others).collect(),
                fabric_partition,
                pci,
                iommu,
                topoext,
                whole_cores,
                own_l3,
            }
        },
    )
}
