//! Claims about what a placement costs VMs that could still come: slots of 1, 2, 4 and 8 GPUs, and
//! what the caller says that each size counts.

use pinwise::engine::{GpuShape, GpuShare, HostCost, SlotWeights};
use pinwise::request::GpuRequest;
use pinwise::units::NodeId;
use pinwise::{Bytes, Claim, Host, Options, PciAddr, Usage, Workload};
use pinwise_testkit::common::{ask_with, gpu_vm, host};

/// Four GPUs on node 0, four on node 2, no switches.
fn two_boards() -> Host {
    host("hgx-h200-snc2")
}

/// The first GPU that a VM with this number of GPUs gets, and its cost.
fn placed(
    host: &Host,
    usage: &Usage,
    gpus: u32,
    weights: Option<SlotWeights>,
) -> (NodeId, HostCost) {
    let mut options = Options::default();
    options.slot_weights = weights.unwrap_or(options.slot_weights);
    let request = gpu_vm(4 * gpus, u64::from(8 * gpus), gpus, Workload::GpuTraining);
    let answer = ask_with(host, usage, &request, &options).unwrap();
    let best = answer.best();
    let first = best.placement.gpus().next().unwrap().node.unwrap();
    (first, best.cost)
}

fn with_held(host: &Host, node: u32, gpus: usize) -> Usage {
    let mut usage = Usage::empty(host);
    let on = host.gpus().iter().filter(|gpu| gpu.node == Some(NodeId(node)));
    let devices: Vec<PciAddr> = on.take(gpus).map(|gpu| gpu.address).collect();
    usage.claim(host, "tenant", Claim { devices, ..Claim::default() }).unwrap();
    usage
}

#[test]
fn a_slot_counts_as_many_gpus_as_it_has_or_what_the_caller_says() {
    let (host, empty) = (two_boards(), Usage::empty(&two_boards()));
    let (_, cost) = placed(&host, &empty, 1, None);
    assert_eq!((cost.slots_before, cost.slots_after), ([8, 4, 2, 1], [7, 3, 1, 0]));
    assert_eq!((cost.loss(), cost.price()), (1000 + 2000 + 4000 + 8000, 15_000));
    let (_, cost) = placed(&host, &empty, 1, Some([0, 700, 0, 500]));
    assert_eq!((cost.loss(), cost.price()), (1200, 1200));
    // The share of the free cores, and the price against all slots of the empty host: whichever GPU
    // it takes ends as much.
    let cores = i64::try_from(cost.cores.0 * 1_000_000 / cost.cores.1).unwrap();
    assert_eq!((cost.unavoidable, cost.millionths()), (1200, cores));
    let mut avoidable = cost;
    avoidable.unavoidable = 200;
    assert_eq!(avoidable.millionths(), cores + 1000 * 1_000_000 / (4 * 700 + 500));
    let (_, free) = placed(&host, &empty, 1, Some([0; 4]));
    assert_eq!((free.price(), free.millionths()), (0, cores));
}

#[test]
fn a_size_that_nobody_asks_for_is_not_spared() {
    // Two of the GPUs of node 2 are held, so a slot of four is there no more.
    let host = two_boards();
    let usage = with_held(&host, 2, 2);
    let (node, cost) = placed(&host, &usage, 1, None);
    assert_eq!((node, cost.slots_before[2] - cost.slots_after[2]), (NodeId(2), 0));
    // A pair is put off on node 2, whose tenant may go; on node 0 only a pair of two ends, and a
    // slot of four, which counts nothing now.
    let (node, cost) = placed(&host, &usage, 1, Some([1000, 2000, 0, 0]));
    assert_eq!((node, cost.slots_before[2] - cost.slots_after[2]), (NodeId(0), 1));
}

#[test]
fn a_held_slot_costs_half_of_its_weight() {
    let host = two_boards();
    let usage = with_held(&host, 2, 2);
    let (_, cost) = placed(&host, &usage, 1, Some([0, 0, 600, 0]));
    // Free slots of four are on node 0 alone; that of node 2 waits for one tenant.
    assert_eq!((cost.loss(), cost.delayed), (0, 300));
}

/// The last free GPU of node 2 breaks no board; a VM that wants one of node 0 by name breaks one.
#[test]
fn what_no_choice_avoids_is_told_apart() {
    let host = two_boards();
    let usage = with_held(&host, 2, 3);
    let (node, cost) = placed(&host, &usage, 1, None);
    assert_eq!((node, cost.price()), (NodeId(2), cost.unavoidable));
    let far = host.gpus().iter().find(|gpu| gpu.node == Some(NodeId(0))).unwrap().address;
    let mut request = gpu_vm(4, 8, 1, Workload::GpuTraining);
    request.gpus = GpuRequest::Addresses(vec![far]);
    let answer = ask_with(&host, &usage, &request, &Options::default()).unwrap();
    let named = answer.best().cost;
    // It has no other choice, so all that it ends is unavoidable.
    assert_eq!(named.price(), named.unavoidable);
    assert!(named.price() > cost.price(), "{named:?} {cost:?}");
}

/// Half of the cores of each node are held, without GPUs.
fn half_held(host: &Host) -> Usage {
    let mut usage = Usage::empty(host);
    for node in host.nodes() {
        let cores = host.cores().iter().filter(|core| node.cpus.contains(core.pcpus[0]));
        let cores: Vec<_> = cores.collect();
        let half = cores[..cores.len() / 2].iter().flat_map(|core| core.pcpus.iter().copied());
        let claim = Claim { dedicated: half.collect(), ..Claim::default() };
        usage.claim(host, &format!("others{}", node.id.0), claim).unwrap();
    }
    usage
}

#[test]
fn a_share_that_nobody_could_have_ends_no_slot() {
    let host = two_boards();
    // Twelve cores of each node are left, three for each of its four GPUs.
    let usage = half_held(&host);
    for cores in [1, 3, 4, 100] {
        let gpu_share = Some(GpuShare { cores, memory: Bytes::from_gib(1) });
        let options = Options { gpu_share, ..Options::default() };
        let request = gpu_vm(2, 8, 1, Workload::GpuTraining);
        let answer = ask_with(&host, &usage, &request, &options).unwrap();
        assert_eq!(answer.best().cost.slots_before, [8, 4, 2, 1], "{cores}");
    }
}

#[test]
fn slots_for_vms_that_do_not_fit_weigh_less() {
    let (host, request) = (two_boards(), gpu_vm(2, 8, 1, Workload::GpuTraining));
    let share = |cores| GpuShare { cores, memory: Bytes::from_gib(1) };
    // Three cores for each GPU are left: of 9 VMs with 8 GPUs, 3 fit, and one is added.
    let gpu_mix = vec![
        GpuShape { gpus: 8, share: share(3), count: 3 },
        GpuShape { gpus: 8, share: share(4), count: 6 },
        GpuShape { gpus: 1, share: share(12), count: 5 },
    ];
    let options = Options { gpu_mix, ..Options::default() };
    let cost = |usage: &Usage| ask_with(&host, usage, &request, &options).unwrap().best().cost;
    assert_eq!(cost(&Usage::empty(&host)).weights, [1000, 2000, 4000, 8000]);
    assert_eq!(cost(&half_held(&host)).weights, [1000, 2000, 4000, 3200]);
}
