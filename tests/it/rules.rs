//! Each rule speaks where its finding was seen and is silent elsewhere; the table says what the
//! findings say; the examples that were worked by hand come out of the engine.

use pinwise::engine::{Collective, GpuPath, L3Use, Profile, Work};
use pinwise::placement::MemoryMode;
use pinwise::rules::{Evidence, Grade, Range, RuleId, StudyId, findings};
use pinwise::{
    Claim, Host, Options, PageSize, Recommendation, RequestSpec, Style, Usage, Workload,
};
use pinwise_testkit::common::{
    ask_all, ask_with, checked, description, gpu_vm, host, hosts, of_profile, of_style, these, vm,
};

/// Whether the rule's word counts: it speaks, and no other rule on the metric goes before it.
fn counts(rule: RuleId, profile: &Profile) -> bool {
    findings(&Evidence::default(), profile).iter().any(|finding| finding.rule == rule)
}

/// A named test a case, and the list of the cases for the meta-test.
macro_rules! cases {
    ($($rule:ident { $speaks:ident: $where:expr; $silent:ident: $elsewhere:expr; })*) => {
        const CASES: &[RuleId] = &[$(RuleId::$rule),*];
        $(
            #[test]
            fn $speaks() {
                let profile: Profile = $where;
                assert!(counts(RuleId::$rule, &profile), "{profile:#?}");
            }

            #[test]
            fn $silent() {
                let profile: Profile = $elsewhere;
                assert!(!counts(RuleId::$rule, &profile), "{profile:#?}");
            }
        )*
    };
}

#[test]
fn every_rule_has_a_case_where_it_speaks_and_one_where_it_is_silent() {
    let missing: Vec<_> = RuleId::ALL.iter().filter(|rule| !CASES.contains(rule)).collect();
    assert!(missing.is_empty(), "no cases for {missing:?}");
    assert_eq!(CASES.len(), RuleId::COUNT, "a rule has its cases twice");
}

fn placed(host: &Host, request: &RequestSpec, fits: impl Fn(&Profile) -> bool) -> Profile {
    let profile = of_profile(&ask_all(host, request), fits).profile;
    // What the search counted is what the placement has.
    let answer = ask_all(host, request);
    for ranked in &answer.ranked {
        let built = Profile::of(host, &checked(request), &ranked.placement);
        assert_eq!(built, ranked.profile);
    }
    profile
}

fn style(host: &Host, request: &RequestSpec, style: Style) -> Profile {
    placed(host, request, |profile| profile.style == style)
}

/// A VM that fits on one node of two, beside its GPU.
fn small() -> RequestSpec {
    gpu_vm(8, 16, 1, Workload::GpuTraining)
}

/// A VM too large for one node of two, with two GPUs on each.
fn wide() -> RequestSpec {
    let gpus = these(&["01:00.0", "21:00.0", "81:00.0", "a1:00.0"]);
    RequestSpec { gpus, peer_to_peer: Some(false), ..gpu_vm(100, 256, 4, Workload::GpuTraining) }
}

fn pin_on_one_node() -> Profile {
    style(&host("rtx-pro-6000"), &small(), Style::Pin)
}

fn siblings_on_one_node() -> Profile {
    style(&host("rtx-pro-6000"), &small(), Style::PinSmt)
}

fn flat_over_two() -> Profile {
    placed(&host("rtx-pro-6000"), &wide(), |p| {
        p.style == Style::Pin && p.memory == MemoryMode::Strict
    })
}

fn interleaved_over_two() -> Profile {
    placed(&host("rtx-pro-6000"), &wide(), |p| p.memory == MemoryMode::Interleave)
}

fn interleaved_inside_a_package() -> Profile {
    placed(&host("hgx-h200-snc2"), &vm(32, 64), |p| {
        p.memory == MemoryMode::Interleave && p.packages == 1
    })
}

fn cells_with_expanders() -> Profile {
    placed(&host("rtx-pro-6000"), &wide(), |p| p.style == Style::PinNuma && p.expanders)
}

fn blind_cells() -> Profile {
    placed(&host("rtx-pro-6000"), &wide(), |p| p.style == Style::PinNuma && !p.expanders)
}

/// Two linked GPUs.
fn linked(peer_to_peer: Option<bool>) -> Profile {
    let request = RequestSpec { peer_to_peer, ..gpu_vm(8, 16, 2, Workload::GpuTraining) };
    style(&host("hgx-h200"), &request, Style::Pin)
}

/// Two GPUs that are not linked.
fn peers(host: &Host, gpus: &[&str]) -> Profile {
    let peer_to_peer = Some(true);
    let request = RequestSpec { gpus: these(gpus), peer_to_peer, ..small() };
    style(host, &request, Style::Pin)
}

/// The MI350X host as it is where the driver shows no xGMI.
fn unlinked_mi350x() -> Host {
    let mut spec = description("mi350x");
    spec.gpu_links.clear();
    spec.build().unwrap()
}

/// The GPU's node is full, so the VM lives on the other.
fn beside_a_full_node() -> Profile {
    let host = host("rtx-pro-6000");
    let dedicated = host.nodes()[1].cpus.clone();
    let tenant = Claim { dedicated, ..Claim::default() };
    let usage = Usage::with_running(&host, [("tenant".to_owned(), tenant)]).unwrap();
    let request = RequestSpec { gpus: these(&["81:00.0"]), ..small() };
    let answer = ask_with(&host, &usage, &request, &Options::default()).unwrap();
    of_style(&answer, Style::Pin).profile
}

fn desktop(vcpus: u32) -> Profile {
    let request = RequestSpec { workload: Workload::LatencySensitive, ..vm(vcpus, 16) };
    style(&host("i9-14900k"), &request, Style::Pin)
}

/// A desktop's VM, were all its cores efficiency cores.
fn on_efficiency_cores() -> Profile {
    Profile { work: Work { efficiency: 4, ..Work::default() }, ..desktop(4) }
}

/// A desktop's VM, were all its cores low-power ones.
fn on_low_power_cores() -> Profile {
    let work = Work { low_power: 4, ..Work::default() };
    Profile { work, ..desktop(4) }
}

fn one_node_host() -> Profile {
    style(&host("rtx-4080"), &small(), Style::Pin)
}

cases! {
    OneOfUnequalCaches {
        one_die_of_a_processor_with_one_large_cache: Profile {
            unequal_caches: true,
            l3: L3Use::One,
            ..one_node_host()
        };
        dies_with_equal_caches_are_another_matter: Profile { l3: L3Use::One, ..one_node_host() };
    }
    LowPowerCore {
        a_low_power_core_is_slow: on_low_power_cores();
        other_cores_are_not_that_slow: desktop(20);
    }
    HiddenSiblings {
        a_guest_that_is_not_told_of_its_siblings_uses_them_badly:
            Profile { threads: 1, ..siblings_on_one_node() };
        a_guest_that_is_told_avoids_them: siblings_on_one_node();
    }
    MixedKinds {
        a_guest_waits_for_its_slow_cores: desktop(20);
        one_kind_waits_for_nobody: desktop(4);
    }
    EfficiencyCore {
        more_vcpus_than_performance_cores_land_on_efficiency_cores: desktop(20);
        few_vcpus_stay_on_performance_cores: desktop(4);
    }
    PinnedThread {
        a_pinned_thread_is_not_moved: pin_on_one_node();
        a_floating_thread_gains_nothing: Profile { dedicated: false, ..pin_on_one_node() };
    }
    CrowdedThread {
        a_tenant_that_floats_crowds_a_pinned_thread:
            Profile { crowd: 400, ..pin_on_one_node() };
        alone_nobody_is_crowded: pin_on_one_node();
    }
    CrowdedThreads {
        tenants_that_float_crowd_all_threads: Profile { crowd: 1000, ..pin_on_one_node() };
        a_floating_vm_moves_away: Profile { crowd: 400, dedicated: false, ..pin_on_one_node() };
    }
    SlowerCores {
        efficiency_cores_do_less_than_the_default_layouts: on_efficiency_cores();
        performance_cores_alone_do_not: desktop(4);
    }
    SiblingThreads {
        two_vcpus_on_a_core_share_it: siblings_on_one_node();
        a_vcpu_with_its_own_core_shares_nothing: pin_on_one_node();
    }
    CellThreads {
        cells_keep_threads_beside_their_memory: cells_with_expanders();
        one_cell_over_two_nodes_does_not: flat_over_two();
    }
    WholeL3Domains {
        eight_vcpus_fill_one_ccd: style(&host("mi350x"), &small(), Style::Pin);
        nine_vcpus_need_two_ccds_and_gain_nothing:
            style(&host("mi350x"), &RequestSpec { vcpus: 9, ..small() }, Style::Pin);
    }
    PinnedThreads {
        pinning_all_threads_changes_little: style(&host("hgx-h200"), &small(), Style::Pin);
        floating_changes_nothing: Profile { dedicated: false, ..pin_on_one_node() };
    }
    BandwidthRemote {
        vcpus_without_memory_beside_them_lose_bandwidth: Profile { lent: true, ..pin_on_one_node() };
        vcpus_beside_their_memory_do_not: pin_on_one_node();
    }
    LatencyRemote {
        vcpus_without_memory_beside_them_wait_longer: Profile { lent: true, ..pin_on_one_node() };
        vcpus_beside_their_memory_wait_no_longer: pin_on_one_node();
    }
    BandwidthOfCells {
        bandwidths_of_cells_add_up: cells_with_expanders();
        a_flat_guest_does_not_add_bandwidths_up: flat_over_two();
    }
    BandwidthInterleaved {
        interleaving_uses_both_nodes: interleaved_over_two();
        cells_are_not_interleaved: cells_with_expanders();
    }
    BandwidthFlat {
        pinning_over_nodes_does_not_unlock_bandwidth: flat_over_two();
        one_node_is_not_flat_over_several: pin_on_one_node();
    }
    BandwidthOfOneNode {
        binding_to_one_of_two_nodes_gains_bandwidth: pin_on_one_node();
        an_unbound_vm_gains_no_bandwidth:
            Profile { memory: MemoryMode::Unbound, ..pin_on_one_node() };
    }
    BandwidthOfOnlyNode {
        binding_to_the_only_node_gains_nothing: one_node_host();
        a_host_of_two_nodes_is_another_matter: pin_on_one_node();
    }
    Hugepages {
        hugepages_come_on_top: pin_on_one_node();
        base_pages_gain_nothing: {
            let request = RequestSpec { page_size: Some(PageSize::KIB_4), ..small() };
            style(&host("rtx-pro-6000"), &request, Style::Pin)
        };
    }
    LatencyInterleaved {
        interleaving_over_packages_costs_latency: interleaved_over_two();
        interleaving_inside_a_package_does_not_cross_it: interleaved_inside_a_package();
    }
    LatencyBoundPackages {
        local_memory_saves_the_way_to_the_other_package: pin_on_one_node();
        with_one_package_there_is_no_such_way: Profile { host_packages: 1, ..pin_on_one_node() };
    }
    LatencyBoundNodes {
        local_memory_saves_the_way_inside_a_package:
            Profile { host_packages: 1, ..pin_on_one_node() };
        with_one_node_there_is_nowhere_to_go: one_node_host();
    }
    LatencyPinned {
        a_pinned_flat_guest_keeps_some_pages_near: flat_over_two();
        an_interleaved_guest_keeps_none_near: interleaved_inside_a_package();
    }
    GpuArithmetic {
        no_layout_reaches_the_gpus_own_work: cells_with_expanders();
        without_a_gpu_there_is_no_such_work: style(&host("rtx-pro-6000"), &vm(8, 16), Style::Pin);
    }
    TransferRemote {
        remote_gpu_slows_transfers: beside_a_full_node();
        local_gpu_is_not_remote: pin_on_one_node();
    }
    TransferInterleaved {
        interleaved_buffers_are_partly_remote: interleaved_over_two();
        bound_buffers_are_not: cells_with_expanders();
    }
    TransferLocal {
        buffers_beside_the_gpu_need_not_cross_nodes: pin_on_one_node();
        a_gpu_on_an_unknown_node_is_not_called_local: Profile {
            gpus_unknown: 1,
            gpu_nodes: 0,
            ..pin_on_one_node()
        };
    }
    CollectiveCellsBlind {
        cells_that_hide_the_gpus_nodes_hurt_collectives: blind_cells();
        expander_buses_tell_the_guest: cells_with_expanders();
    }
    CollectiveCells {
        collectives_still_cross_nodes_behind_expander_buses: cells_with_expanders();
        peer_to_peer_does_not_pass_host_memory: Profile {
            collective: Collective::PeerToPeer,
            ..cells_with_expanders()
        };
    }
    CollectiveOneNode {
        everything_on_one_node_keeps_collectives_there: {
            let request = RequestSpec {
                peer_to_peer: Some(false),
                ..gpu_vm(32, 64, 4, Workload::GpuTraining)
            };
            style(&host("rtx-pro-6000"), &request, Style::Pin)
        };
        gpus_on_two_nodes_are_not_on_one: flat_over_two();
    }
    CollectiveFlat {
        pinning_helps_collectives_of_a_flat_guest: flat_over_two();
        cells_are_not_flat: cells_with_expanders();
    }
    PeerLinked {
        links_make_the_layout_irrelevant: linked(None);
        links_that_the_guest_does_not_use_do_not_count: linked(Some(false));
    }
    PeerSwitch {
        below_one_switch_traffic_stays_inside: peers(&unlinked_mi350x(), &["13:00.0", "14:00.0"]);
        below_two_root_ports_it_does_not: peers(&unlinked_mi350x(), &["13:00.0", "53:00.0"]);
    }
    PeerNode {
        between_root_ports_of_a_node_traffic_passes_the_root_complex:
            peers(&host("rtx-pro-6000"), &["01:00.0", "21:00.0"]);
        below_one_switch_it_does_not: peers(&unlinked_mi350x(), &["13:00.0", "14:00.0"]);
    }
    PeerAcross {
        between_nodes_peer_to_peer_crosses_their_link:
            peers(&host("rtx-pro-6000"), &["01:00.0", "81:00.0"]);
        inside_a_node_it_does_not: Profile {
            gpu_path: GpuPath::SameNode,
            ..peers(&host("rtx-pro-6000"), &["01:00.0", "81:00.0"])
        };
    }
}

/// A rule, low, likely and high in thousandths, the grade and the findings.
type Line = (RuleId, [u32; 3], Grade, &'static [u8]);

/// The page of findings, typed out once more: what does not grow with the nodes.
#[rustfmt::skip]
const PAGE: &[Line] = &[
    (RuleId::BandwidthOfOneNode, [1000, 1400, 1550], Grade::Measured, &[25]),
    (RuleId::BandwidthOfOnlyNode, [1000, 1000, 1050], Grade::Observed, &[3]),
    (RuleId::BandwidthFlat, [1000, 1000, 1050], Grade::Observed, &[3]),
    (RuleId::BandwidthRemote, [500, 800, 1000], Grade::Reasoned, &[31]),
    (RuleId::LatencyRemote, [750, 900, 1000], Grade::Reasoned, &[29, 30]),
    (RuleId::Hugepages, [1000, 1050, 1150], Grade::Stated, &[14, 42]),
    (RuleId::LatencyBoundPackages, [1000, 1250, 1500], Grade::Measured, &[13, 29]),
    (RuleId::LatencyBoundNodes, [1000, 1050, 1300], Grade::Measured, &[30]),
    (RuleId::LatencyPinned, [1000, 1010, 1050], Grade::Observed, &[2]),
    (RuleId::OneOfUnequalCaches, [1000, 1200, 1500], Grade::Reasoned, &[46, 48, 49, 50, 59]),
    (RuleId::LatencyInterleaved, [850, 950, 1000], Grade::Measured, &[32]),
    (RuleId::PinnedThread, [1000, 1020, 1100], Grade::Observed, &[2]),
    (RuleId::CrowdedThread, [700, 950, 1000], Grade::Reasoned, &[]),
    (RuleId::LowPowerCore, [250, 300, 500], Grade::Stated, &[55, 56]),
    (RuleId::EfficiencyCore, [530, 610, 700], Grade::Measured, &[43, 52, 54]),
    (RuleId::HiddenSiblings, [500, 750, 1000], Grade::Reasoned, &[8]),
    (RuleId::MixedKinds, [1000, 1000, 1000], Grade::Reasoned, &[52, 58]),
    (RuleId::PinnedThreads, [1000, 1000, 1050], Grade::Measured, &[26]),
    (RuleId::CrowdedThreads, [700, 950, 1000], Grade::Reasoned, &[]),
    (RuleId::CellThreads, [1000, 1070, 1200], Grade::Measured, &[26]),
    (RuleId::SiblingThreads, [470, 515, 675], Grade::Measured, &[8, 19, 44, 65, 67]),
    (RuleId::SlowerCores, [470, 515, 675], Grade::Measured, &[8, 43, 44, 52, 54, 67]),
    (RuleId::WholeL3Domains, [1000, 1050, 1180], Grade::Measured, &[38]),
    (RuleId::GpuArithmetic, [1000, 1000, 1000], Grade::Measured, &[9, 36]),
    (RuleId::TransferLocal, [1000, 1100, 1500], Grade::Measured, &[15, 28]),
    (RuleId::TransferRemote, [300, 700, 1000], Grade::Measured, &[15, 28]),
    (RuleId::TransferInterleaved, [800, 1000, 1100], Grade::Reasoned, &[28]),
    (RuleId::CollectiveFlat, [1000, 1200, 2000], Grade::Observed, &[7]),
    (RuleId::CollectiveCellsBlind, [300, 600, 1000], Grade::Observed, &[6, 20]),
    (RuleId::CollectiveCells, [400, 850, 1100], Grade::Reasoned, &[6, 20]),
    (RuleId::CollectiveOneNode, [900, 1200, 2000], Grade::Observed, &[7, 18]),
    (RuleId::PeerLinked, [1000, 1000, 1000], Grade::Measured, &[35]),
    (RuleId::PeerSwitch, [950, 1000, 1050], Grade::Reasoned, &[]),
    (RuleId::PeerNode, [850, 950, 1000], Grade::Reasoned, &[]),
    (RuleId::PeerAcross, [500, 800, 1000], Grade::Reasoned, &[]),
];

/// What grows with the nodes, for VMs too large for fewer: over two, and over four.
#[rustfmt::skip]
const PAGE_BY_NODES: &[(u32, Line)] = &[
    (2, (RuleId::BandwidthOfCells, [1000, 2000, 3200], Grade::Measured, &[4, 22, 23, 31])),
    (4, (RuleId::BandwidthOfCells, [1000, 4000, 6400], Grade::Measured, &[4, 22, 23, 31])),
    (2, (RuleId::BandwidthInterleaved, [900, 1200, 2000], Grade::Stated, &[16, 31])),
    (4, (RuleId::BandwidthInterleaved, [900, 1200, 2000], Grade::Stated, &[16, 31])),
];

fn line(rule: RuleId, profile: &Profile) -> (RuleId, [u32; 3], Grade, Vec<StudyId>) {
    let evidence = Evidence::default();
    let row = evidence.row(rule);
    let Range { low, likely, high } = row.range(profile);
    (rule, [low.0, likely.0, high.0], row.grade(profile), row.findings.to_vec())
}

#[test]
fn the_table_says_what_the_findings_say() {
    let told: Vec<_> =
        PAGE.iter().map(|line| line.0).chain(PAGE_BY_NODES.iter().map(|line| line.1.0)).collect();
    let missing: Vec<_> = RuleId::ALL.iter().filter(|rule| !told.contains(rule)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Every vCPU shares its core with another, where the default layout has a core for each.
    let work = Work { performance: 50, siblings: 50, ..Work::default() };
    let default_work = Work { performance: 100, ..Work::default() };
    let over = |nodes| Profile {
        nodes,
        fewest_nodes: nodes,
        work,
        default_work,
        crowd: 1000,
        ..cells_with_expanders()
    };
    let fixed = PAGE.iter().map(|line| (2, *line));
    for (nodes, (rule, range, grade, ids)) in fixed.chain(PAGE_BY_NODES.iter().copied()) {
        let ids: Vec<_> = ids.iter().copied().map(StudyId).collect();
        assert_eq!(line(rule, &over(nodes)), (rule, range, grade, ids), "over {nodes} nodes");
    }
}

#[test]
fn a_vm_spread_wider_than_it_must_keeps_what_the_fewest_nodes_give() {
    let wider = Profile { nodes: 4, fewest_nodes: 2, ..cells_with_expanders() };
    let (_, range, grade, _) = line(RuleId::BandwidthOfCells, &wider);
    assert_eq!((range[0], range[1], grade), (1000, 2000, Grade::Reasoned));
    // For one that fits on a node nothing is known to come of a second.
    let wider = Profile { nodes: 2, fewest_nodes: 1, ..cells_with_expanders() };
    let (_, range, grade, _) = line(RuleId::BandwidthOfCells, &wider);
    assert_eq!((range[0], range[1], grade), (1000, 1000, Grade::Reasoned));
}

#[test]
fn threads_of_a_vm_spread_wider_than_it_must_gain_nothing_known() {
    let wider = Profile { nodes: 2, fewest_nodes: 1, ..cells_with_expanders() };
    let (_, range, grade, _) = line(RuleId::CellThreads, &wider);
    assert_eq!((range[0], range[1], grade), (1000, 1000, Grade::Reasoned));
}

#[test]
fn a_users_own_result_replaces_a_row() {
    let own = Range::new(900, 1100, 1300).unwrap();
    let evidence = Evidence::default().with(RuleId::CollectiveCells, own);
    let profile = cells_with_expanders();
    assert_eq!(evidence.row(RuleId::CollectiveCells).range(&profile), own);
    let row = evidence.row(RuleId::CollectiveCells);
    assert_eq!((row.grade(&profile), row.findings), (Grade::Own, &[][..]));
    assert_eq!(
        evidence.row(RuleId::CollectiveFlat),
        Evidence::default().row(RuleId::CollectiveFlat)
    );
}

/// That the performance part of a score is what was worked out by hand, in hundredths of a
/// logarithm.
#[track_caller]
fn by_hand(answer: &Recommendation, fits: impl Fn(&Profile) -> bool, hundredths: i64) {
    let score = of_profile(answer, fits).score.performance;
    // The hand stopped at two digits.
    let off = (score - hundredths * 10_000).abs();
    assert!(off < 6_000, "{score} instead of {hundredths} hundredths");
}

/// 4 GPUs over two nodes, on a host with one L3 domain a node, as the hand had no say on those.
fn by_hand_over_two() -> RequestSpec {
    let gpus = these(&["1b:00.0", "2b:00.0", "9b:00.0", "ab:00.0"]);
    RequestSpec { gpus, peer_to_peer: Some(false), ..gpu_vm(90, 256, 4, Workload::GpuTraining) }
}

fn strict_pin(profile: &Profile) -> bool {
    profile.style == Style::Pin && profile.memory == MemoryMode::Strict
}

#[test]
fn training_over_two_nodes_through_host_memory_as_worked_by_hand() {
    let answer = ask_all(&host("hgx-h200"), &by_hand_over_two());
    by_hand(&answer, strict_pin, 4);
    by_hand(&answer, |p| p.style == Style::PinNuma && p.expanders, -17);
    by_hand(&answer, |p| p.style == Style::PinNuma && !p.expanders, -29);
}

#[test]
fn training_over_two_nodes_with_links_as_worked_by_hand() {
    let request = RequestSpec { peer_to_peer: None, ..by_hand_over_two() };
    let mut spec = description("hgx-h200");
    // Two GPUs of each package are no partition of the fabric; without NVSwitches, links are
    // direct.
    spec.fabric_partitions.clear();
    spec.devices.retain(|device| device.class.0 >> 8 != 0x0680);
    let answer = ask_all(&spec.build().unwrap(), &request);
    by_hand(&answer, |p| p.style == Style::PinNuma && p.expanders, 5);
    by_hand(&answer, strict_pin, 0);
}

#[test]
fn data_pipeline_over_two_nodes_as_worked_by_hand() {
    let request = RequestSpec { workload: Workload::DataPipeline, ..by_hand_over_two() };
    let answer = ask_all(&host("hgx-h200"), &request);
    by_hand(&answer, |p| p.style == Style::PinNuma && p.expanders, 19);
    by_hand(&answer, strict_pin, 0);
}

#[test]
fn training_on_one_node_as_worked_by_hand_and_above_the_spread_set() {
    let host = host("hgx-h200");
    let peer_to_peer = Some(false);
    let base = gpu_vm(32, 64, 4, Workload::GpuTraining);
    let ask = |gpus: &[&str]| {
        ask_all(&host, &RequestSpec { gpus: these(gpus), peer_to_peer, ..base.clone() })
    };
    let one = ask(&["1b:00.0", "2b:00.0", "3b:00.0", "4b:00.0"]);
    assert_eq!(one.best().profile.nodes, 1);
    by_hand(&one, strict_pin, 5);
    let spread = ask(&["1b:00.0", "2b:00.0", "9b:00.0", "ab:00.0"]);
    let best = |answer: &Recommendation| answer.best().score.performance;
    assert!(best(&one) > best(&spread), "{} {}", best(&one), best(&spread));
}

#[test]
fn siblings_lose_two_fifths_of_a_throughput_vm() {
    let request = RequestSpec { workload: Workload::CpuThroughput, ..vm(32, 64) };
    let answer = ask_all(&host("hgx-h200"), &request);
    let score = of_profile(&answer, |p| p.style == Style::PinSmt).score.performance;
    assert!((-460_000..=-380_000).contains(&score), "{score}");
}

/// Four fifths of a node, and more than one node, with and without GPUs.
fn sizes(host: &Host) -> Vec<RequestSpec> {
    let cores = host.cores().len();
    let nodes = host.nodes().len();
    let small = u32::try_from((cores / nodes * 4 / 5).max(1)).unwrap();
    let large = u32::try_from(cores * 4 / 5).unwrap();
    let gpus = host.gpus().iter().filter(|gpu| !gpu.integrated).count();
    let mut all = Vec::new();
    for vcpus in [small, large] {
        for count in [0, 1, 2, 4, 8] {
            if usize::try_from(count).unwrap() <= gpus {
                let vm = gpu_vm(vcpus, u64::from(vcpus), count, Workload::General);
                all.push(RequestSpec { peer_to_peer: Some(false), ..vm });
            }
        }
    }
    all
}

#[test]
fn pin_is_never_below_default_on_any_fixture() {
    for host in hosts() {
        // vCPUs on efficiency cores are slower than the mix that the default layout floats over.
        let hybrid = host.name() == "i9-14900k";
        for base in sizes(&host) {
            for workload in Workload::PRESETS {
                let vcpus = if hybrid { base.vcpus.min(7) } else { base.vcpus };
                let request = RequestSpec { workload, vcpus, ..base.clone() };
                let answer = ask_all(&host, &request);
                let score = of_style(&answer, Style::Pin).score.performance;
                let gpus = request.gpus.count();
                assert!(score >= 0, "{}, {vcpus}, {gpus}, {workload}: {score}", host.name());
            }
        }
    }
}

/// The one exception: with more vCPUs than performance cores, F43's row is against a performance
/// core, and nothing is known of a default layout that floats over both kinds.
#[test]
fn pin_is_below_default_only_where_it_must_take_efficiency_cores() {
    let request = RequestSpec { workload: Workload::LatencySensitive, ..vm(16, 16) };
    let answer = ask_all(&host("i9-14900k"), &request);
    let pin = of_style(&answer, Style::Pin);
    assert!(pin.score.performance < 0 && pin.profile.on_slow_cores());
    assert!(pin.findings.iter().any(|finding| finding.rule == RuleId::EfficiencyCore));
}
