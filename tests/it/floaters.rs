//! Tenants that float: new pins go elsewhere while there is elsewhere, and where there is none,
//! that costs something and is said. The domains are made for these tests, in the forms that each
//! manager writes.

use pinwise::json::read_tenant;
use pinwise::rules::RuleId;
use pinwise::{
    Bytes, Claim, CpuSet, Host, Question, Ranked, RequestSpec, Usage, Warning, Workload, recommend,
};
use pinwise_discover::libvirt::read_domain;
use pinwise_testkit::machine::{Machine, cpus};

/// Two nodes of 8 cores with two pCPUs (c and c + 16), a GPU on each. Core 0 is the host's.
fn host() -> Host {
    let machine = Machine { nodes: 2, cores: 8, threads: 2, pages: 32, gpus: &[0, 1], links: &[] };
    machine.describe().build().unwrap()
}

/// The host and 3 pCPUs on it, with the tenant of this domain.
fn beside(inside: &str) -> (Host, Usage) {
    let host = host();
    let xml = format!(
        "<domain type='kvm' id='3'><name>db</name><memory unit='GiB'>4</memory>{inside}</domain>"
    );
    let domain = read_domain(&host, &xml).unwrap();
    let usage = Usage::with_running(&host, [(domain.name, domain.claim)]).unwrap();
    (host, usage)
}

fn vm(vcpus: u32) -> RequestSpec {
    let vm = RequestSpec::new("vm", vcpus, Bytes::from_gib(4));
    RequestSpec { workload: Workload::LatencySensitive, ..vm }
}

fn best(host: &Host, usage: &Usage, request: RequestSpec) -> (Ranked, Vec<Warning>) {
    let request = request.build().unwrap();
    let question = Question::new(host, usage, &request);
    let best = recommend(question).unwrap().best().clone();
    let warnings = best.warnings(question);
    (best, warnings)
}

fn dedicated(host: &Host, usage: &Usage, request: RequestSpec) -> CpuSet {
    best(host, usage, request).0.placement.claim().dedicated
}

fn floats(warnings: &[Warning]) -> bool {
    warnings.iter().any(|warning| matches!(warning, Warning::FloatingTenants { .. }))
}

/// A VM on the tenant's node stays off his pCPUs 1-3 and their siblings.
fn stays_off(inside: &str) {
    let (host, usage) = beside(inside);
    assert_eq!(usage.claim_of("db").unwrap().floating, cpus("1-3,17-19"), "{inside}");
    let request = RequestSpec { nodes: Some("0".parse().unwrap()), ..vm(4) };
    let (ranked, warnings) = best(&host, &usage, request);
    assert_eq!(ranked.placement.claim().dedicated, cpus("4-7,20-23"), "{inside}");
    assert!(!floats(&warnings) && ranked.profile.crowd == 0, "{warnings:?}");
}

fn pins(count: u32, set: &str) -> String {
    (0..count).map(|vcpu| format!("<vcpupin vcpu='{vcpu}' cpuset='{set}'/>")).collect()
}

#[test]
fn nova_pins_each_vcpu_to_the_shared_set() {
    let set = "1-3,17-19";
    stays_off(&format!(
        "<vcpu placement='static'>4</vcpu><cputune><shares>4096</shares>{}<emulatorpin \
         cpuset='{set}'/></cputune><numatune><memory mode='strict' nodeset='0'/></numatune>",
        pins(4, set)
    ));
}

#[test]
fn opennebula_pins_shared_vcpus_to_what_is_left_of_the_node() {
    let set = "1,2,3,17,18,19";
    stays_off(&format!(
        "<vcpu><![CDATA[2]]></vcpu><cputune><shares>2048</shares>{}<emulatorpin \
         cpuset=\"{set}\"/></cputune><numatune><memory mode='strict' nodeset='0'/></numatune>",
        pins(2, set)
    ));
}

#[test]
fn ovirt_pins_all_vcpus_that_could_be_plugged_to_the_shared_pool() {
    let set = "1-3,17-19";
    stays_off(&format!(
        "<vcpu placement='static' current='2'>16</vcpu><iothreads>1</iothreads><cputune>{}<emulatorpin \
         cpuset='{set}'/><iothreadpin iothread='1' cpuset='{set}'/></cputune>",
        pins(16, set)
    ));
}

#[test]
fn a_cpuset_is_where_all_threads_run() {
    stays_off("<vcpu placement='static' cpuset='1-3,17-19'>4</vcpu>");
}

/// Proxmox starts QEMU without libvirt: its affinity is told as a claim.
#[test]
fn proxmox_affinity_is_a_set_that_the_whole_process_floats_on() {
    let host = host();
    let (name, claim) = read_tenant(r#"{"name": "100", "floating": "1-3,17-19"}"#).unwrap();
    let usage = Usage::with_running(&host, [(name, claim)]).unwrap();
    let request = RequestSpec { nodes: Some("0".parse().unwrap()), ..vm(4) };
    assert_eq!(dedicated(&host, &usage, request), cpus("4-7,20-23"));
}

#[test]
fn emulator_threads_count_and_a_pinned_domains_own_do_not() {
    let pinned = "<vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='1' cpuset='2'/>";
    let pinned = |more: &str| format!("<vcpu>2</vcpu><cputune>{pinned}{more}</cputune>");
    let (host, usage) = beside(&pinned("<emulatorpin cpuset='3-4'/>"));
    let request = |vcpus| RequestSpec { nodes: Some("0".parse().unwrap()), ..vm(vcpus) };
    assert_eq!(dedicated(&host, &usage, request(3)), cpus("5-7,21-23"));
    let (host, usage) = beside(&pinned(""));
    assert_eq!(
        usage.claim_of("db").unwrap(),
        &Claim { dedicated: cpus("1-2"), ..usage.claim_of("db").unwrap().clone() }
    );
    let (ranked, warnings) = best(&host, &usage, request(5));
    assert!(!floats(&warnings) && ranked.profile.crowd == 0, "{warnings:?}");
}

#[test]
fn where_there_is_no_elsewhere_it_costs_something_and_is_said() {
    let (host, usage) = beside("<vcpu cpuset='1-4,17-20'>4</vcpu>");
    let held = RequestSpec { cpus: Some(cpus("1-4,17-20")), ..vm(4) };
    let (crowded, warnings) = best(&host, &usage, held.clone());
    let (alone, _) = best(&host, &Usage::empty(&host), held);
    assert_eq!((crowded.profile.crowd, alone.profile.crowd), (400, 0));
    assert!(crowded.score.total < alone.score.total);
    let rules: Vec<RuleId> = crowded.findings.iter().map(|finding| finding.rule).collect();
    assert!(rules.contains(&RuleId::CrowdedThread) && rules.contains(&RuleId::CrowdedThreads));
    let named = |warning: &Warning| matches!(warning, Warning::FloatingTenants { tenants, .. } if tenants == &["db"]);
    assert!(warnings.iter().any(named), "{warnings:?}");
}

#[test]
fn a_node_without_floating_tenants_beats_one_with() {
    let (host, usage) = beside("<vcpu cpuset='1-7,17-23'>4</vcpu>");
    assert_eq!(dedicated(&host, &usage, vm(6)).intersection(&cpus("0-7,16-23")), cpus(""));
    // Seven cores without a floating tenant are left on the other node; nine need both.
    let both = dedicated(&host, &usage, vm(9));
    assert_eq!(both.intersection(&cpus("8-15")), cpus("8-15"));
}

#[test]
fn of_crowded_cores_those_with_the_fewest_tenants_go_first() {
    let host = host();
    let floating = |set| Claim { floating: cpus(set), ..Claim::default() };
    let tenants = [("a", "1-3"), ("b", "1-2"), ("c", "1"), ("d", "4-7,20-23")];
    let tenants = tenants.map(|(name, set)| (name.to_owned(), floating(set)));
    let usage = Usage::with_running(&host, tenants).unwrap();
    let request = |vcpus| RequestSpec { nodes: Some("0".parse().unwrap()), ..vm(vcpus) };
    assert_eq!(dedicated(&host, &usage, request(5)), cpus("3-7,19-23"));
    assert_eq!(dedicated(&host, &usage, request(6)), cpus("2-7,18-23"));
}

#[test]
fn a_vm_that_floats_itself_is_not_crowded() {
    let (host, usage) = beside("<vcpu cpuset='1-7,17-23'>4</vcpu>");
    // The tenant's four vCPUs leave room for two of three pCPUs.
    let mut request = RequestSpec { cpus: Some(cpus("1-3")), ..vm(2) };
    request.policies.dedicated_cpus = pinwise::Policy::Ignore;
    request.policies.whole_cores = pinwise::Policy::Ignore;
    let request = request.build().unwrap();
    let question = Question::new(&host, &usage, &request);
    let options = pinwise::Options { all: true, ..pinwise::Options::default() };
    let answer = recommend(question.with(&options)).unwrap();
    let floats = |ranked: &&Ranked| !ranked.placement.dedicated;
    let floating: Vec<&Ranked> = answer.ranked.iter().filter(floats).collect();
    assert!(!floating.is_empty() && floating.iter().all(|ranked| ranked.profile.crowd == 0));
}
