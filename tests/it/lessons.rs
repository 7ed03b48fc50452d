//! What the benchmark taught, as claims about answers on the fixtures' hosts.

use std::collections::BTreeSet;

use pinwise::changes::smallest_changes;
use pinwise::emit::libvirt::fragments;
use pinwise::explain::explain_refusal;
use pinwise::host::CoreKind;
use pinwise::request::Wish;
use pinwise::rules::{Evidence, RuleId, StudyId};
use pinwise::units::{NodeId, PcpuId};
use pinwise::{
    Claim, Host, Metric, NodeSet, Options, PageSize, Policies, Policy, Question, Ranked,
    Recommendation, RequestSpec, Style, Usage, Warning, Workload, explain,
};
use pinwise_testkit::common::{
    ask, ask_all, ask_with, checked, description, gpu_vm, host, hosts, of_profile, of_style,
    prediction, these, vm,
};

fn ids(numbers: &[u8]) -> Vec<StudyId> {
    numbers.iter().copied().map(StudyId).collect()
}

fn rank_of(answer: &Recommendation, style: Style) -> usize {
    let mut styles = answer.ranked.iter().map(|ranked| ranked.placement.style);
    styles.position(|other| other == style).expect("the style was placed")
}

/// The nodes of the cores under the VM's vCPUs.
fn vcpu_nodes(host: &Host, ranked: &Ranked) -> NodeSet {
    let pcpus = ranked.placement.vcpu_pcpus();
    pcpus.iter().filter_map(|pcpu| host.core_of(pcpu)).map(|core| core.node).collect()
}

fn text(host: &Host, request: &RequestSpec, options: &Options) -> String {
    let usage = Usage::empty(host);
    let answer = ask_with(host, &usage, request, options).unwrap();
    explain(Question::new(host, &usage, &checked(request)).with(options), &answer)
}

fn refusal(host: &Host, request: &RequestSpec) -> String {
    let (usage, options) = (Usage::empty(host), Options::default());
    let refusal = ask(host, request).unwrap_err();
    let request = checked(request);
    let changes = smallest_changes(Question::new(host, &usage, &request).with(&options));
    explain_refusal(host, &request, &refusal, Some(&changes))
}

/// Training over two nodes, two GPUs on each, peer-to-peer off as in the benchmark.
fn spread_training(gpus: &[&str], vcpus: u32, gib: u64) -> RequestSpec {
    let base = gpu_vm(vcpus, gib, 4, Workload::GpuTraining);
    RequestSpec { gpus: these(gpus), peer_to_peer: Some(false), ..base }
}

#[test]
fn cells_hurt_collectives_that_cross_nodes_through_host_memory_so_pin_comes_first() {
    for (name, gpus) in [
        ("rtx-pro-6000", ["01:00.0", "21:00.0", "81:00.0", "a1:00.0"]),
        ("mi350x", ["13:00.0", "14:00.0", "93:00.0", "94:00.0"]),
        ("hgx-h200", ["1b:00.0", "2b:00.0", "9b:00.0", "ab:00.0"]),
    ] {
        for (vcpus, gib) in [(16, 64), (48, 256), (90, 1000)] {
            let answer = ask(&host(name), &spread_training(&gpus, vcpus, gib)).unwrap();
            assert_eq!(answer.best().placement.style, Style::Pin, "{name}, {vcpus}");
            let cells = of_style(&answer, Style::PinNuma);
            assert!(cells.score < answer.best().score, "{name}, {vcpus}");
            let collective = prediction(cells, Metric::CollectiveHost);
            assert!(collective.from.contains(&StudyId(6)), "{collective:?}");
            assert!(collective.range.likely.0 < 1000, "{collective:?}");
        }
    }
}

#[test]
fn a_vm_too_large_for_a_node_gets_its_bandwidth_from_cells() {
    for (name, vcpus, gib, nodes) in [
        ("rtx-pro-6000", 100, 1000, 2),
        ("hgx-h200", 80, 1200, 2),
        ("hgx-h200-snc2", 80, 1000, 4),
        ("rtx-4090-nps4", 120, 700, 8),
    ] {
        let request = RequestSpec { workload: Workload::DataPipeline, ..vm(vcpus, gib) };
        let answer = ask_all(&host(name), &request);
        let best = answer.best();
        assert_eq!(best.placement.style, Style::PinNuma, "{name}");
        let bandwidth = prediction(best, Metric::MemoryBandwidth);
        assert_eq!(bandwidth.range.likely.0, 1000 * nodes, "{name}");
        for id in ids(&[4, 22, 23, 31]) {
            assert!(bandwidth.from.contains(&id), "{name}: {bandwidth:?}");
        }
        let flat = of_profile(&answer, |p| p.style == Style::Pin);
        assert!(prediction(flat, Metric::MemoryBandwidth).range.likely.0 < 2000, "{name}");
    }
}

#[test]
fn pinning_alone_does_not_unlock_the_bandwidth() {
    let answer = ask_all(&host("rtx-pro-6000"), &vm(100, 1000));
    let strict = of_profile(&answer, |p| {
        p.style == Style::Pin && p.memory == pinwise::placement::MemoryMode::Strict
    });
    let bandwidth = prediction(strict, Metric::MemoryBandwidth);
    assert_eq!(bandwidth.range.likely.0, 1000);
    assert!(bandwidth.from.contains(&StudyId(3)), "{bandwidth:?}");
}

#[test]
fn a_vm_that_fits_on_its_gpus_node_stays_there_whole() {
    for name in ["hgx-h200", "hgx-h200-snc2", "mi350x", "rtx-pro-6000", "rtx-4090-nps4"] {
        let host = host(name);
        for gpu in host.gpus() {
            for workload in Workload::PRESETS {
                let gpus = these(&[&gpu.address.to_string()]);
                let request = RequestSpec { gpus, ..gpu_vm(12, 48, 1, workload) };
                let answer = ask(&host, &request).unwrap();
                let best = answer.best();
                let home: NodeSet = gpu.node.into_iter().collect();
                let about = format!("{name}, {}, {workload}", gpu.address);
                assert_eq!(best.placement.style, Style::Pin, "{about}");
                assert_eq!(best.placement.nodes(), home, "{about}");
                assert_eq!(vcpu_nodes(&host, best), home, "{about}");
                let kept = &host.kept().cpus;
                assert!(best.placement.emulator.is_subset(kept), "{about}: the emulator threads");
            }
        }
    }
}

/// A host with 32 free cores on node 0 and nothing else; core 0 is the host's own.
fn with_32_free_cores() -> (Host, Usage) {
    let host = host("hgx-h200");
    let mut dedicated = host.nodes()[1].cpus.clone();
    for core in (33..48).chain(129..144) {
        dedicated.insert(PcpuId(core));
    }
    let tenant = Claim { dedicated, ..Claim::default() };
    let usage = Usage::with_running(&host, [("tenant".to_owned(), tenant)]).unwrap();
    (host, usage)
}

#[test]
fn thirty_two_vcpus_get_thirty_two_cores_where_they_are_free() {
    let (host, usage) = with_32_free_cores();
    for workload in Workload::PRESETS {
        let request = RequestSpec { workload, ..vm(32, 64) };
        let options = Options::default();
        let answer = ask_with(&host, &usage, &request, &options).unwrap();
        let best = answer.best();
        assert_eq!((best.placement.style, best.placement.topology.threads), (Style::Pin, 1));
        let cores: BTreeSet<_> = best.placement.vcpu_pcpus().iter().collect();
        let cores: BTreeSet<_> = cores.iter().map(|p| host.core_of(*p).map(|c| c.id)).collect();
        assert_eq!(cores.len(), 32, "{workload}");
        let smt = of_style(&answer, Style::PinSmt);
        let threads = prediction(smt, Metric::CpuAllThreads);
        assert!((500..=650).contains(&threads.range.likely.0), "{threads:?}");
        assert!(ids(&[8, 19]).iter().all(|id| threads.from.contains(id)), "{threads:?}");
        let text =
            explain(Question::new(&host, &usage, &checked(&request)).with(&options), &answer);
        assert!(text.contains("saves 16 cores"), "{workload}:\n{text}");
    }
}

#[test]
fn with_a_high_packing_weight_siblings_may_win_and_the_text_says_what_they_save() {
    let (host, usage) = with_32_free_cores();
    let request = RequestSpec { workload: Workload::GpuInference, ..vm(32, 64) };
    let options = Options { packing_weight: 3000, ..Options::default() };
    let answer = ask_with(&host, &usage, &request, &options).unwrap();
    assert_eq!(answer.best().placement.style, Style::PinSmt);
    assert!(answer.best().score.packing > of_style(&answer, Style::Pin).score.packing);
    let text = explain(Question::new(&host, &usage, &checked(&request)).with(&options), &answer);
    assert!(text.contains("it leaves less to the host's other tenants"), "{text}");
    assert!(text.contains("16 of 32 free cores"), "{text}");
}

#[test]
fn no_layout_changes_gpu_compute() {
    for host in hosts().iter().filter(|host| !host.gpus().is_empty()) {
        for gpus in [1, 2, 4] {
            let Ok(answer) = ask(host, &gpu_vm(8, 16, gpus, Workload::General)) else { continue };
            for ranked in answer.ranked.iter().chain(&answer.baseline) {
                let compute = prediction(ranked, Metric::GpuCompute);
                assert_eq!(compute.range, pinwise::rules::Range::ONE, "{}", host.name());
            }
        }
    }
}

#[test]
fn a_degraded_link_is_reported_and_passed_over() {
    let host = host("rtx-5090-degraded");
    let slow = "0000:41:00.0";
    for (count, given) in [(1, false), (2, false), (3, false), (4, true)] {
        let request = gpu_vm(8, 16, count, Workload::GpuInference);
        let answer = ask(&host, &request).unwrap();
        let best = answer.best();
        let has = best.placement.gpus().any(|gpu| gpu.address.to_string() == slow);
        assert_eq!(has, given, "{count} GPUs");
        let warnings =
            best.warnings(Question::new(&host, &Usage::empty(&host), &checked(&request)));
        let told = warnings.iter().any(|warning| match warning {
            Warning::DegradedLink { address, given: says, .. } => {
                address.to_string() == slow && *says == given
            }
            _ => false,
        });
        assert!(told, "{warnings:?}");
        let text = text(&host, &request, &Options::default());
        let line = text.lines().find(|line| line.contains(slow) && line.starts_with("Warning"));
        let line = line.expect("the warning is told");
        assert!(line.contains("2.5 GT/s x16") && line.contains(" 16 GT/s x16"), "{line}");
    }
}

#[test]
fn a_latency_sensitive_desktop_vm_gets_the_favoured_performance_cores_first() {
    let host = host("i9-14900k");
    for vcpus in [1, 2, 4, 7] {
        let request = RequestSpec { workload: Workload::LatencySensitive, ..vm(vcpus, 8) };
        let answer = ask(&host, &request).unwrap();
        let best = answer.best();
        assert_eq!(best.placement.style, Style::Pin, "{vcpus}");
        let pcpus = best.placement.vcpu_pcpus();
        for pcpu in pcpus.iter() {
            let core = host.core_of(pcpu).unwrap();
            assert_eq!(core.kind, CoreKind::Performance, "{vcpus}: pCPU {pcpu}");
        }
        let favoured = [8, 10].iter().filter(|pcpu| pcpus.contains(PcpuId(**pcpu))).count();
        assert_eq!(favoured, vcpus.min(2) as usize, "{vcpus}: {pcpus}");
    }
}

#[test]
fn a_desktop_with_one_node_is_offered_no_cells() {
    let host = host("i9-14900k");
    let answer = ask(&host, &gpu_vm(8, 16, 1, Workload::General)).unwrap();
    for ranked in &answer.ranked {
        assert!(!ranked.placement.style.shows_cells());
        assert_eq!(ranked.placement.cells.len(), 1);
        assert!(!fragments(&ranked.placement).unwrap().contains("<numa>"));
    }
}

#[test]
fn shown_siblings_on_the_desktop_are_adjacent_pcpus() {
    let host = host("i9-14900k");
    let answer = ask(&host, &vm(8, 8)).unwrap();
    let smt = of_style(&answer, Style::PinSmt);
    let vcpus: Vec<u32> =
        smt.placement.vcpus.iter().map(|set| set.first().expect("it is pinned").0).collect();
    for pair in vcpus.chunks(2) {
        assert!(pair[0].is_multiple_of(2) && pair[1] == pair[0] + 1, "{vcpus:?}");
    }
}

#[test]
fn two_mi350x_come_from_one_package_with_whole_l3_domains() {
    let host = host("mi350x");
    let request = gpu_vm(16, 128, 2, Workload::GpuTraining);
    let answer = ask(&host, &request).unwrap();
    let best = answer.best();
    assert_eq!((best.profile.gpu_nodes, best.profile.nodes, best.profile.packages), (1, 1, 1));
    assert!(best.profile.gpus_local());
    let pcpus = best.placement.vcpu_pcpus();
    let domains: BTreeSet<_> =
        pcpus.iter().filter_map(|pcpu| host.core_of(pcpu)).map(|core| core.l3).collect();
    assert_eq!(domains.len(), 2, "16 cores are two CCDs: {pcpus}");
}

#[test]
fn an_amd_guest_with_siblings_is_told_so() {
    let answer = ask(&host("mi350x"), &gpu_vm(16, 128, 2, Workload::GpuTraining)).unwrap();
    let smt = fragments(&of_style(&answer, Style::PinSmt).placement).unwrap();
    assert!(smt.contains("topoext") && smt.contains("threads='2'"), "{smt}");
    let pin = fragments(&of_style(&answer, Style::Pin).placement).unwrap();
    assert!(!pin.contains("topoext"), "{pin}");
}

#[test]
fn with_links_cells_no_longer_hurt_collectives() {
    let request = gpu_vm(90, 1000, 8, Workload::GpuTraining);
    let answer = ask(&host("hgx-h200"), &request).unwrap();
    assert_eq!(answer.best().placement.style, Style::PinNuma);
    assert_eq!(prediction(answer.best(), Metric::CollectiveP2p).range, pinwise::rules::Range::ONE);
    let off = RequestSpec { peer_to_peer: Some(false), ..request };
    let answer = ask(&host("hgx-h200"), &off).unwrap();
    assert_eq!(answer.best().placement.style, Style::Pin);
}

#[test]
fn cells_over_several_gpu_nodes_are_shown_where_the_gpus_are() {
    let gpus = ["01:00.0", "21:00.0", "81:00.0", "a1:00.0"];
    let answer = ask(&host("rtx-pro-6000"), &spread_training(&gpus, 100, 512)).unwrap();
    let cells = of_style(&answer, Style::PinNuma);
    assert_eq!(cells.placement.pci.expanders.len(), 4, "an expander bus a root complex");
    assert!(rank_of(&answer, Style::Pin) < rank_of(&answer, Style::PinNuma));
    for gpu in cells.placement.gpus() {
        let cell = gpu.cell.and_then(|id| cells.placement.cells.iter().find(|c| c.id == id));
        let cell = cell.expect("its expander bus belongs to a cell");
        assert!(gpu.node.is_some_and(|node| cell.nodes.contains(node)), "{gpu:?}");
    }
}

#[test]
fn the_counter_evidence_for_one_node_is_named() {
    let request =
        RequestSpec { peer_to_peer: Some(false), ..gpu_vm(32, 128, 4, Workload::GpuTraining) };
    let text = text(&host("rtx-pro-6000"), &request, &Options::default());
    assert!(text.contains("F18") && text.contains("measure both"), "{text}");
}

/// The host as a kernel shows it whose firmware names no node for any device.
fn without_device_nodes(name: &str) -> Host {
    let mut spec = description(name);
    spec.devices.iter_mut().for_each(|device| device.node = None);
    spec.build().unwrap()
}

#[test]
fn a_host_whose_devices_name_no_node_is_not_guessed_at() {
    let host = without_device_nodes("rtx-pro-6000");
    let request = gpu_vm(8, 16, 1, Workload::GpuInference);
    let preferred = ask(&host, &request).unwrap();
    let best = preferred.best();
    let warnings = best.warnings(Question::new(&host, &Usage::empty(&host), &checked(&request)));
    assert!(warnings.iter().any(|w| matches!(w, Warning::UnknownNode { .. })));
    assert!(best.placement.gpus().all(|gpu| gpu.node.is_none()));
    assert!(best.findings.iter().all(|f| f.metric != Metric::HostGpuTransfer), "nothing is known");
    let text = text(&host, &request, &Options::default());
    assert!(text.contains("its locality was not considered"), "{text}");
    let policies = Policies { gpu_locality: Policy::Require, ..Policies::default() };
    let required = RequestSpec { policies, ..request };
    let text = refusal(&host, &required);
    assert!(text.contains("the node of GPU 0000:01:00.0 is unknown"), "{text}");
    assert!(text.contains("preferring instead of requiring"), "{text}");
}

/// A host whose node 0 has 61 free 1 GiB pages of so many.
fn short_of_pages(total: u64) -> Host {
    let mut spec = description("hgx-h200");
    for pool in spec.nodes[0].pools.iter_mut().filter(|pool| pool.size == PageSize::GIB_1) {
        (pool.total, pool.free) = (total, 61);
    }
    spec.build().unwrap()
}

fn a_vm_on_node_0() -> RequestSpec {
    let policies = Policies {
        one_node: Policy::Require,
        gpu_locality: Policy::Require,
        ..Policies::default()
    };
    let base = gpu_vm(16, 64, 1, Workload::GpuInference);
    let page_size = Some(PageSize::GIB_1);
    RequestSpec { gpus: these(&["1b:00.0"]), page_size, policies, ..base }
}

#[test]
fn three_pages_short_on_the_gpus_node_is_refused_with_the_command_that_mends_it() {
    for (total, written) in [(61, 64), (900, 903)] {
        let text = refusal(&short_of_pages(total), &a_vm_on_node_0());
        assert!(text.contains("64 free pages of 1 GiB needed, 61 available, 3 short"), "{text}");
        let command = format!(
            "3 more 1 GiB pages on node 0 (echo {written} > \
             /sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages)"
        );
        assert!(text.contains(&command), "{text}");
    }
}

#[test]
fn where_the_page_size_is_free_the_vm_stays_beside_its_gpu_with_smaller_pages() {
    let request = RequestSpec { page_size: None, ..a_vm_on_node_0() };
    let host = short_of_pages(61);
    let answer = ask(&host, &request).unwrap();
    let placement = &answer.best().placement;
    assert_eq!(placement.cells[0].page_size, PageSize::KIB_4);
    assert_eq!(placement.nodes(), std::iter::once(NodeId(0)).collect());
    let told = |w: &Warning| matches!(w, Warning::NoHugepages { vfio: true, .. });
    let warnings =
        answer.best().warnings(Question::new(&host, &Usage::empty(&host), &checked(&request)));
    assert!(warnings.iter().any(told));
}

#[test]
fn no_vcpu_runs_beside_another_tenants_sibling() {
    let host = host("rtx-pro-6000");
    // Every second core of node 0, by its first thread only.
    let dedicated = (0..64).step_by(2).map(PcpuId).collect();
    let tenant = Claim { dedicated, ..Claim::default() };
    let held = tenant.dedicated.clone();
    let usage = Usage::with_running(&host, [("tenant".to_owned(), tenant)]).unwrap();
    let request =
        RequestSpec { gpus: these(&["01:00.0"]), ..gpu_vm(32, 64, 1, Workload::GpuInference) };
    let answer = ask_with(&host, &usage, &request, &Options::default()).unwrap();
    for ranked in &answer.ranked {
        for pcpu in ranked.placement.vcpu_pcpus().iter() {
            let core = host.core_of(pcpu).unwrap();
            let beside = core.pcpus.iter().any(|sibling| held.contains(*sibling));
            assert!(!beside, "{}: pCPU {pcpu}", ranked.placement.style);
        }
    }
    assert_eq!(answer.best().placement.nodes(), std::iter::once(NodeId(0)).collect());
}

#[test]
fn the_baseline_is_the_same_vm_with_the_same_gpus_and_changes_nothing() {
    let request = gpu_vm(16, 64, 2, Workload::GpuInference);
    for host in hosts().iter().filter(|host| host.gpus().len() > 2) {
        let answer = ask(host, &request).unwrap();
        let baseline = answer.baseline.as_ref().expect("the default layout fits");
        let gpus = |ranked: &Ranked| ranked.placement.gpus().map(|g| g.address).collect::<Vec<_>>();
        assert_eq!(gpus(baseline), gpus(answer.best()), "{}", host.name());
        assert_eq!(baseline.score.total, 0);
        assert!(baseline.predictions().iter().all(|p| p.range == pinwise::rules::Range::ONE));
    }
}

#[test]
fn without_spare_performance_cores_a_throughput_vm_still_takes_those_that_are_free() {
    let host = host("i9-14900k");
    let request = RequestSpec { workload: Workload::CpuThroughput, ..vm(7, 8) };
    let answer = ask(&host, &request).unwrap();
    let efficiency = answer.best().placement.vcpu_pcpus();
    let efficiency = efficiency.iter().filter_map(|pcpu| host.core_of(pcpu));
    let efficiency = efficiency.filter(|core| core.kind == CoreKind::Efficiency).count();
    assert_eq!(efficiency, 0, "7 P cores are free");
}

#[test]
fn the_emulators_own_pcpus_are_left_out_of_what_vcpus_float_over() {
    let policies = Policies { dedicated_cpus: Policy::Prefer, ..Policies::default() };
    let request = RequestSpec { emulator_pcpus: 1, policies, ..vm(65, 16) };
    ask(&host("rtx-5090-degraded"), &request).unwrap();
}

#[test]
fn siblings_hold_whole_cores_whatever_the_policy() {
    let policies = Policies { whole_cores: Policy::Ignore, ..Policies::default() };
    let host = host("rtx-5090-degraded");
    let answer = ask(&host, &RequestSpec { policies, ..vm(4, 16) }).unwrap();
    assert!(of_style(&answer, Style::PinSmt).profile.whole_cores);
}

#[test]
fn siblings_that_win_are_told_to_save_cores_too() {
    let (host, usage) = with_32_free_cores();
    let request = RequestSpec { workload: Workload::GpuInference, ..vm(32, 64) };
    let options = Options { packing_weight: 3000, ..Options::default() };
    let answer = ask_with(&host, &usage, &request, &options).unwrap();
    let text = explain(Question::new(&host, &usage, &checked(&request)).with(&options), &answer);
    assert!(text.contains("saves 16 cores"), "{text}");
}

#[test]
fn a_tie_is_not_said_to_be_decided_by_fewer_cores_where_more_won() {
    let request = RequestSpec { workload: Workload::GpuInference, ..vm(12, 48) };
    let host = host("rtx-4090-nps4");
    let answer = ask(&host, &request).unwrap();
    assert!(answer.best().cost.cores.0 > answer.ranked[1].cost.cores.0);
    assert_eq!(answer.best().score.total, answer.ranked[1].score.total);
    let text = text(&host, &request, &Options::default());
    assert!(!text.contains("fewer cores"), "{text}");
}

#[test]
fn the_text_says_why_cells_were_not_chosen() {
    let gpus = ["01:00.0", "21:00.0", "81:00.0", "a1:00.0"];
    let request = spread_training(&gpus, 16, 64);
    let text = text(&host("rtx-pro-6000"), &request, &Options::default());
    assert!(text.contains("F6"), "{text}");
}

#[test]
fn names_from_outside_cannot_drive_a_terminal() {
    let mut description = host("hgx-h200").description().clone();
    description.name = "a\u{1b}[2J\nb".to_owned();
    description.cpu_model = "x\r".to_owned();
    description.devices.iter_mut().for_each(|device| device.name = Some("\u{7}gpu".to_owned()));
    let host = description.build().unwrap();
    let request = vm(4, 4).build().unwrap();
    let mut usage = Usage::empty(&host);
    let floating = Claim { floating: "1-40".parse().unwrap(), ..Claim::default() };
    usage.claim(&host, "t\u{1b}[31m", floating).unwrap();
    let options = Options::default();
    let answer = pinwise::recommend(Question::new(&host, &usage, &request).with(&options)).unwrap();
    let text = pinwise::explain(Question::new(&host, &usage, &request).with(&options), &answer);
    assert!(text.contains("floating tenants"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn a_one_gpu_vm_takes_the_other_half_of_a_switch_pair_that_is_broken_already() {
    let host = host("mi350x");
    let gpus: Vec<_> = host.gpus().iter().map(|gpu| gpu.address).collect();
    let switch = |gpu| host.pci().switch_of(gpu);
    assert!(switch(gpus[2]).is_some() && switch(gpus[2]) == switch(gpus[3]), "a pair");
    let mut usage = Usage::empty(&host);
    let held = Claim { devices: vec![gpus[2]], ..Claim::default() };
    usage.claim(&host, "other", held).unwrap();
    let one = pinwise::request::GpuRequest::Count { count: 1, model: None };
    let request = RequestSpec { gpus: one, ..vm(8, 16) }.build().unwrap();
    let answer = pinwise::recommend(Question::new(&host, &usage, &request)).unwrap();
    let placement = &answer.best().placement;
    pinwise::verify(Question::new(&host, &usage, &request), placement).unwrap();
    let given: Vec<_> = placement.gpus().map(|gpu| gpu.address).collect();
    assert_eq!(given, [gpus[3]]);
}

/// VMs with GPUs that need two nodes or more, without a workload.
fn wide_gpu_vms() -> [(&'static str, RequestSpec); 4] {
    [
        ("rtx-pro-6000", gpu_vm(100, 512, 4, Workload::General)),
        ("hgx-h200", gpu_vm(90, 1000, 8, Workload::General)),
        ("hgx-h200-snc2", gpu_vm(32, 256, 2, Workload::General)),
        ("rtx-4090-nps4", gpu_vm(60, 300, 4, Workload::General)),
    ]
}

#[test]
fn a_gpu_vm_without_a_workload_starts_with_one_cell_and_is_told_what_cells_would_bring() {
    for (name, request) in wide_gpu_vms() {
        let host = host(name);
        let answer = ask(&host, &request).unwrap();
        assert_eq!(answer.best().placement.style, Style::Pin, "{name}");
        let cells = of_style(&answer, Style::PinNuma);
        let number = u32::try_from(cells.placement.cells.len()).unwrap();
        let gain = prediction(cells, Metric::MemoryBandwidth).range;
        let text = text(&host, &request, &Options::default());
        let told = format!("Cells would bring memory-bandwidth {} to {} (", gain.low, gain.likely);
        let line = text.lines().find(|line| line.starts_with(&told));
        let line = line.unwrap_or_else(|| panic!("{name}: {told}\n{text}"));
        let flags = format!(": --workload data-pipeline, or --cells {number}.");
        assert!(line.ends_with(&flags) && line.contains("for data-pipeline"), "{line}");

        // What the line says is so.
        let first = |request: &RequestSpec| ask(&host, request).unwrap().best().placement.style;
        let mut named = 0;
        for workload in Workload::PRESETS {
            if line.contains(workload.name()) {
                named += 1;
                let stated = RequestSpec { workload, ..request.clone() };
                assert_eq!(first(&stated), Style::PinNuma, "{name}, {workload}");
            }
        }
        assert!(named >= 2, "{line}");
        for cells in [Wish::Prefer(number), Wish::Require(number)] {
            let asked = RequestSpec { cells, ..request.clone() };
            assert_eq!(first(&asked), Style::PinNuma, "{name}, {cells:?}");
        }
    }
}

#[test]
fn cells_that_are_ahead_at_their_low_ends_come_first_unasked() {
    let range = pinwise::rules::Range::new(1500, 1800, 2000).unwrap();
    let evidence = Evidence::default().with(RuleId::BandwidthOfCells, range);
    let options = Options { evidence, ..Options::default() };
    for (name, request) in wide_gpu_vms() {
        let host = host(name);
        let answer = ask_with(&host, &Usage::empty(&host), &request, &options).unwrap();
        let best = answer.best();
        assert_eq!(best.placement.style, Style::PinNuma, "{name}");
        let text = text(&host, &request, &options);
        assert!(text.contains("layout 1 by its low ends"), "{name}: {text}");
        assert!(!text.contains("Cells would bring"), "{name}: {text}");
    }
}

#[test]
fn a_vm_without_gpus_gets_cells_by_their_score_without_a_workload_too() {
    for (name, vcpus, gib) in [("rtx-pro-6000", 100, 1000), ("hgx-h200", 80, 1200)] {
        let host = host(name);
        let request = vm(vcpus, gib);
        assert_eq!(request.workload, Workload::General);
        assert_eq!(ask(&host, &request).unwrap().best().placement.style, Style::PinNuma, "{name}");
        let text = text(&host, &request, &Options::default());
        assert!(!text.contains("Cells would bring"), "{name}: {text}");
    }
}
