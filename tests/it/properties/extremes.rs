//! The largest hosts and requests that are let in.

use std::time::{Duration, Instant};

use pinwise::host::{
    CoreKind, CoreSpec, FabricPartition, GpuLink, GpuLinkKind, L3Spec, NodeSpec, PagePool,
    PciClass, PciDevice, PciId,
};
use pinwise::request::{GpuRequest, Wish};
use pinwise::units::{Distance, NodeId, PackageId, PcpuId};
use pinwise::{
    Bytes, Claim, CpuSet, Host, HostSpec, PageSize, PciAddr, Policies, Policy, Question,
    RequestSpec, Usage, Workload, recommend, verify,
};

use super::scene::{EXBIBYTES_16, HOSTS, SIZES, endpoints};
use pinwise_testkit::common::checked;
use pinwise_testkit::rng::Rng;

/// Longer than any of these takes on a busy machine, and far less than a search without bounds.
const LIMIT: Duration = Duration::from_secs(30);

/// What a host has how many of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) nodes: u32,
    pub(crate) cores: u32,
    pub(crate) threads: u32,
    pub(crate) gpus: u32,
    pub(crate) linked: bool,
}

pub(crate) fn build(shape: Shape) -> Host {
    let Shape { nodes, cores, threads, gpus, linked } = shape;
    let a_node = cores / nodes;
    let pcpus = |core: u32| (0..threads).map(move |thread| PcpuId(thread * cores + core));
    let some = |range: std::ops::Range<u32>| range.flat_map(pcpus).collect::<CpuSet>();
    let node = |id: u32| NodeSpec {
        id: NodeId(id),
        cpus: some(id * a_node..(id + 1) * a_node),
        memory: Bytes::from_gib(512),
        pools: vec![PagePool { size: PageSize::GIB_1, total: 400, free: 400 }],
        distances: (0..nodes)
            .map(|to| match (to == id, to / 8 == id / 8) {
                (true, _) => Distance::LOCAL,
                (_, true) => Distance(12),
                _ => Distance(32),
            })
            .collect(),
    };
    let core = |n: u32| CoreSpec {
        package: PackageId(n / a_node / 8),
        die: 0,
        core: n,
        kind: CoreKind::Performance,
        max_mhz: None,
        pcpus: pcpus(n).collect(),
    };
    let l3 = |n: u32| L3Spec { cpus: some(n * 8..(n * 8 + 8).min(cores)), size: None };
    // A GPU and a NIC on every bus.
    let device = |n: u32| {
        let (class, device) = if n.is_multiple_of(2) { (0x03_0200, 0) } else { (0x02_0000, 1) };
        let address = PciAddr { domain: 0, bus: 16 + (n / 2) as u8, device, function: 0 };
        let new = PciDevice::new(address, PciClass(class), PciId(0x10de), PciId(0x2335));
        PciDevice { node: Some(NodeId(n / 2 * nodes / gpus.max(1))), ..new }
    };
    let devices: Vec<PciDevice> = (0..2 * gpus).map(device).collect();
    let all: Vec<PciAddr> = devices.iter().step_by(2).map(|device| device.address).collect();
    let (mut gpu_links, mut fabric_partitions) = (Vec::new(), Vec::new());
    if linked {
        for (at, a) in all.iter().enumerate() {
            let link = |b: &PciAddr| GpuLink { a: *a, b: *b, kind: GpuLinkKind::NvLink, count: 18 };
            gpu_links.extend(all[at + 1..].iter().map(link));
        }
        let sets = [1, 2, 4, 8].into_iter().flat_map(|size| all.chunks(size));
        fabric_partitions =
            (1..).zip(sets).map(|(id, gpus)| FabricPartition { id, gpus: gpus.to_vec() }).collect();
    }
    let host = HostSpec {
        name: format!("{shape:?}"),
        nodes: (0..nodes).map(node).collect(),
        cores: (0..cores).map(core).collect(),
        l3_domains: if a_node % 8 == 0 { (0..cores / 8).map(l3).collect() } else { Vec::new() },
        devices,
        gpu_links,
        fabric_partitions,
        ..HostSpec::default()
    };
    host.build().unwrap()
}

/// The time that this thread has run so far, which a busy machine does not lengthen. `None` where
/// the kernel does not tell.
fn thread_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Asks, and says how long it took and whether it fits.
#[allow(clippy::disallowed_methods, reason = "this looks for searches without end")]
fn ask(host: &Host, usage: &Usage, request: &RequestSpec) -> (Duration, bool) {
    let asked = checked(request);
    let (start, before) = (Instant::now(), thread_time());
    let answer = recommend(Question::new(host, usage, &asked));
    let took = match (before, thread_time()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed(),
    };
    for ranked in answer.iter().flat_map(|answer| &answer.ranked) {
        assert_eq!(
            verify(Question::new(host, usage, &asked), &ranked.placement),
            Ok(()),
            "{request:?}"
        );
    }
    assert!(took < LIMIT, "{took:?} on {} for {request:?}", host.name());
    (took, answer.is_ok())
}

/// Something of the sizes that are let in, small and large alike.
fn extreme(rng: &mut Rng, host: &Host) -> RequestSpec {
    let vcpus = match rng.below(4) {
        0 => rng.pick(&[1, 2, 3, 2048, 4095, 4096]),
        _ => rng.between(1, (host.online().len()).min(4096)),
    };
    let page_size = rng.pick(&[None, None, None, None, Some(SIZES[0]), Some(SIZES[1])]);
    let page = page_size.unwrap_or(SIZES[0]);
    let memory = match rng.below(8) {
        0 => page.times(1),
        1 => page.times(EXBIBYTES_16.0 / page.bytes()),
        2 => Bytes::from_gib(rng.between(1, 1 << 20) as u64),
        _ => Bytes::from_gib((vcpus * rng.between(1, 4)) as u64),
    };
    let gpus = match rng.below(12) {
        0 => GpuRequest::Count { count: 64, model: None },
        1 => {
            let mut all = endpoints(host);
            rng.shuffle(&mut all);
            all.truncate(64);
            all.retain(|address| host.gpu(*address).is_some());
            GpuRequest::Addresses(all)
        }
        _ => GpuRequest::Count { count: rng.between(0, host.gpus().len()) as u32, model: None },
    };
    let mut devices = Vec::new();
    if rng.percent(20) {
        let is_gpu = |address: &PciAddr| host.gpu(*address).is_some();
        devices = endpoints(host).into_iter().filter(|address| !is_gpu(address)).collect();
        devices.truncate(64 - gpus.count().min(64));
    }
    let cells = rng.between(1, vcpus.min(64)) as u32;
    let require = |rng: &mut Rng, n| if rng.percent(n) { Policy::Require } else { Policy::Prefer };
    RequestSpec {
        page_size,
        gpus,
        devices,
        cells: rng.pick(&[Wish::Auto, Wish::Auto, Wish::Prefer(cells), Wish::Require(cells)]),
        even_cells: rng.percent(30),
        smt: rng.pick(&[Wish::Auto, Wish::Auto, Wish::Require(true), Wish::Require(false)]),
        workload: rng.pick(&Workload::PRESETS),
        emulator_pcpus: rng.pick(&[0, 0, 0, 256]),
        io_threads: rng.pick(&[0, 0, 0, 256]),
        policies: Policies {
            dedicated_cpus: require(rng, 70),
            whole_cores: require(rng, 50),
            linked_gpus: require(rng, 20),
            ..Policies::default()
        },
        ..RequestSpec::new("vm1", vcpus as u32, memory)
    }
}

#[test]
fn extreme_requests_are_answered_on_every_fixture() {
    for (name, at) in HOSTS.iter().zip(0..) {
        let host = pinwise_testkit::common::host(name);
        let usage = Usage::empty(&host);
        for case in 0..15 {
            let mut rng = Rng::new(11_000_000 + 100 * at + case);
            ask(&host, &usage, &extreme(&mut rng, &host));
        }
    }
}

#[test]
fn the_largest_hosts_are_answered_in_time() {
    let shapes = [
        Shape { nodes: 64, cores: 2048, threads: 2, gpus: 32, linked: true },
        Shape { nodes: 64, cores: 4096, threads: 1, gpus: 32, linked: false },
        Shape { nodes: 1, cores: 2048, threads: 2, gpus: 32, linked: false },
    ];
    let (mut slowest, mut fitting) = (Duration::ZERO, 0);
    for (shape, at) in shapes.into_iter().zip(0..) {
        let host = build(shape);
        let usage = Usage::empty(&host);
        for case in 0..6 {
            let mut rng = Rng::new(12_000_000 + 100 * at + case);
            let request = extreme(&mut rng, &host);
            let (took, fits) = ask(&host, &usage, &request);
            println!("{took:?} {fits} {request:?}");
            slowest = slowest.max(took);
            fitting += u32::from(fits);
        }
    }
    println!("the slowest took {slowest:?}, {fitting} fit");
    assert!(fitting > 1, "only {fitting} fit");
}

/// More sets of eight nodes than are all tried: those around the GPUs are, and one of these lacks
/// cores.
#[test]
fn equal_cells_stay_off_a_node_without_room_where_not_all_sets_are_tried() {
    let host = build(Shape { nodes: 64, cores: 512, threads: 2, gpus: 8, linked: false });
    let cells = |each: u32| RequestSpec {
        cells: Wish::Require(8),
        even_cells: true,
        smt: Wish::Require(false),
        gpus: GpuRequest::Count { count: 8, model: None },
        policies: Policies { gpu_locality: Policy::Require, ..Policies::default() },
        ..RequestSpec::new("vm1", 8 * each, Bytes::from_gib(64))
    };
    let mut usage = Usage::empty(&host);
    let half =
        Claim { dedicated: host.nodes()[0].cpus.iter().take(4).collect(), ..Claim::default() };
    usage.claim(&host, "neighbour", half).unwrap();
    assert_eq!([4, 5, 6].map(|each| ask(&host, &usage, &cells(each)).1), [true, false, false]);
    usage.release("neighbour").unwrap();
    assert!(ask(&host, &usage, &cells(6)).1);
}
